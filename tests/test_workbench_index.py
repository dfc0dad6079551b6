"""The list of sessions in a folder: what a line says, what is found, and that nothing in a folder can stop it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sample_session import stopped_count
from tests.workbench_fakes import chat
from workbench import index
from workbench.index import EMPTY, OPEN, Query, among, evaluations, scan, search
from workbench.packets import AGENT_AUDIO
from workbench.store import TraceWriter, finished, read_trace, save_trace
from workbench.store_format import open_file
from workbench.trace import Header, Trace, record

NANO = {"agent": {"kind": "nano", "checkpoint": "runs/mine.safetensors", "threshold": 0.7}}


def counted(created: str = "2026-05-04T10:00:00Z", **labels: object) -> Trace:
    """The stopped count, by a neural agent, with other labels."""
    trace = stopped_count()
    header = replace(trace.header, created=created, participants=NANO, labels={**trace.header.labels, **labels})
    return Trace(header, trace.turns)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    save_trace(counted(), tmp_path / "runs" / "one" / "trace.sqlite")
    save_trace(counted("2026-05-06T09:00:00Z", family="timer", voice="other"), tmp_path / "timer.sqlite")
    return tmp_path


def test_a_line_says_what_a_session_is_and_how_it_went(folder: Path) -> None:
    entry = scan(folder)["runs/one/trace.sqlite"]
    assert (entry.state, entry.problem, entry.created) == ("whole", "", "2026-05-04T10:00:00Z")
    assert (entry.agent, entry.setting, entry.family, entry.seed, entry.voice) == ("nano", "threshold 0.7 · mine", "stop", 7, "test")
    assert (entry.ticks, entry.duration_s) == (40, 8.0)
    assert entry.outcome == (1, 1)  # it yielded in time; the window of the count reaches past the end
    assert entry.words == ("count", "to", "twenty", "one", "two", "three", "four", "stop", "five")


def test_a_file_that_has_not_changed_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scan(folder)
    read: list[str] = []
    real = index.read_entry
    monkeypatch.setattr(index, "read_entry", lambda path, name, stamp: read.append(name) or real(path, name, stamp))
    assert scan(folder, first) == first
    assert read == []
    (folder / "timer.sqlite").unlink()
    save_trace(counted(family="timer"), folder / "timer.sqlite")
    save_trace(counted(), folder / "third.sqlite")
    shutil.rmtree(folder / "runs")
    assert sorted(scan(folder, first)) == ["third.sqlite", "timer.sqlite"]
    assert sorted(read) == ["third.sqlite", "timer.sqlite"]


def test_a_session_that_goes_on_is_listed_as_open_and_grows(tmp_path: Path) -> None:
    session = chat(seed=3)
    header = Header.of(session, labels={"live": True})
    with TraceWriter(tmp_path / "live.sqlite", header) as writer:
        session.sinks = (*session.sinks, writer)
        session.run(5)
        writer.flush()
        first = scan(tmp_path)
        entry = first["live.sqlite"]
        assert (entry.state, entry.problem, entry.ticks, entry.family) == ("open", OPEN, 5, "live")
        assert not finished(tmp_path / "live.sqlite")
        session.run(5)
        writer.flush()
        assert scan(tmp_path, first)["live.sqlite"].ticks == 10
    entry = scan(tmp_path, first)["live.sqlite"]
    assert (entry.state, entry.problem, entry.ticks) == ("whole", "", 10)


def test_a_list_that_looks_while_a_session_is_closed_does_not_leave_it_open(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    with TraceWriter(path, counted().header) as writer:
        writer.append(counted().turns[0])
        writer.flush()
        reader = open_file(path)
        assert reader.execute("SELECT count(*) FROM tick").fetchone() == (1,)
        threading.Timer(0.2, reader.close).start()
    assert finished(path)
    assert scan(tmp_path)["t.sqlite"].state == "whole"


def test_a_damaged_file_is_a_line_with_its_reason(folder: Path) -> None:
    whole = (folder / "timer.sqlite").read_bytes()
    (folder / "cut.sqlite").write_bytes(whole[: len(whole) // 3])
    (folder / "noise.sqlite").write_bytes(b"no database at all")
    with sqlite3.connect(folder / "other.sqlite") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    for name, change in {
        "header": "UPDATE session SET header = '{}'",
        "list": """UPDATE session SET header = json_set(header, '$.participants', json('[]'))""",
        "event": "UPDATE event SET body = '{' WHERE kind = 'transcript.delta'",
    }.items():
        shutil.copy(folder / "timer.sqlite", folder / f"{name}.sqlite")
        with sqlite3.connect(folder / f"{name}.sqlite") as connection:
            connection.execute(change)
        connection.close()
    with TraceWriter(folder / "empty.sqlite", counted().header):
        pass
    entries = scan(folder)
    problems = {entry.name: entry.problem for entry in entries.values() if entry.state == "damaged"}
    assert sorted(problems) == [f"{name}.sqlite" for name in ("cut", "empty", "event", "header", "list", "noise", "other")]
    assert problems["empty.sqlite"] == EMPTY
    assert "not a Microturn trace" in problems["other.sqlite"]
    assert all(problems.values())
    assert [entry.name for entry in search(entries)][:2] == ["timer.sqlite", "runs/one/trace.sqlite"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), ["timer", "one"]),
        (Query(text="COUNT twen"), ["timer", "one"]),
        (Query(text="seven"), []),
        (Query(text="runs/ stop"), ["one"]),
        (Query(families=("timer", "answer")), ["timer"]),
        (Query(agents=("EchoAgent",)), []),
        (Query(agents=("nano",), since="2026-05-05"), ["timer"]),
        (Query(until="2026-05-04"), ["one"]),
        (Query(since="2026-05-04", until="2026-05-06", families=("stop",)), ["one"]),
    ],
)
def test_a_query_finds_what_fits_it_newest_first(folder: Path, query: Query, found: list[str]) -> None:
    names = [entry.name for entry in search(scan(folder), query)]
    assert [name.removesuffix(".sqlite").removeprefix("runs/").removesuffix("/trace") for name in names] == found


def test_what_can_be_chosen_is_what_there_is(folder: Path) -> None:
    (folder / "noise.sqlite").write_bytes(b"no database at all")
    assert among(scan(folder).values()) == (("stop", "timer"), ("nano",))


def test_a_trace_is_read_in_part_when_only_a_part_is_asked_for(tmp_path: Path) -> None:
    session = chat(seed=3)
    trace = record(session)
    session.run(20)
    path = save_trace(trace, tmp_path / "t.sqlite")
    part = read_trace(path, streams=(AGENT_AUDIO, "user.camera"), kinds=("transcript.delta",))
    assert len(part) == 20
    assert {packet.stream for turn in part.turns for packet in turn.packets} == {AGENT_AUDIO}
    assert {event.kind for _, event in part.all_events()} <= {"transcript.delta"}
    assert read_trace(path, streams=(), kinds=()).turns == [replace(turn, packets=(), events=()) for turn in trace.turns]


def test_evaluations_are_found_with_the_sweeps_beside_them_and_bad_ones_say_why(tmp_path: Path) -> None:
    for name in ("good", "lacking", "torn"):
        (tmp_path / name).mkdir()
    whole = dict.fromkeys(index.REPORTED, 1)
    (tmp_path / "good" / "evaluation.json").write_text(json.dumps(whole))
    (tmp_path / "good" / "thresholds.json").write_text('{"sweep": "thresholds", "points": [{"label": "0.4"}]}')
    (tmp_path / "lacking" / "evaluation.json").write_text('{"agent": "nano"}')
    (tmp_path / "torn" / "evaluation.json").write_text('{"agent": ')
    good, lacking, torn = evaluations(tmp_path)
    assert (good.name, good.whole, good.sweeps) == ("good/evaluation.json", whole, {"thresholds": [{"label": "0.4"}]})
    assert lacking.problem.startswith("it lacks voices, seed, episodes")
    assert torn.problem.startswith("it cannot be read (")
    assert (good.problem, lacking.whole, torn.whole) == ("", {}, {})
