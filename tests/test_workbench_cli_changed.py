"""What was changed in a trace or erased from it is told before anything is said of it; a difference names the fields that differ."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.test_workbench_cli import microturn
from tests.workbench_fakes import BIT_EXACT, chat
from workbench.compare import first_difference
from workbench.events import Decision, Edited
from workbench.store import TraceWriter, read_trace, save_trace, verify
from workbench.trace import Header, Trace, record


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the stop scenario with the oracle; not to be changed."""
    out = tmp_path_factory.mktemp("changed") / "stop"
    assert microturn("run", "--scenario", "stop", "--seed", 7, "--agent", "oracle", "--out", out) == 0
    return out


@pytest.fixture
def copy(ran: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ran, tmp_path / "stop"))


def put_words_into_its_mouth(folder: Path, tick: int) -> None:
    """Change what the agent decided in a tick, as somebody would who does not know of the chain."""
    with sqlite3.connect(folder / "trace.sqlite") as connection:
        changed = "UPDATE event SET body = json_set(body, '$.said', 'yes') WHERE kind = 'decision' AND tick = ?"
        assert connection.execute(changed, (tick,)).rowcount == 1


@pytest.mark.parametrize("more", [(), ("--json",), ("--why", "1s"), ("--why", "1s", "--json")])
def test_inspect_of_a_changed_trace_shows_it_and_fails(copy: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert microturn("inspect", copy, *more) == 0
    before = capsys.readouterr()
    put_words_into_its_mouth(copy, 20)
    assert microturn("inspect", copy, *more) == 1
    printed = capsys.readouterr()
    assert len(printed.out) > len(before.out) / 2, "what there is is shown all the same"
    assert "1 problem(s)" in printed.err
    assert "event 'decision' in entry 21 (tick 20) was changed after it was written" in printed.err
    if more == ("--json",):
        assert json.loads(printed.out)["chain"]["ok"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        ("score",),
        ("score", "--suite", "vap"),
        ("replay",),
        ("fork", "--at", "2s", "--mute-user", "1s", "--out", "o"),
        ("export", "--to", "vtt", "--out", "o"),
        ("export", "--to", "fdb-dataset", "--out", "o"),
    ],
    ids=str,
)
def test_nothing_is_said_of_a_changed_trace_but_what_is_wrong_with_it(
    copy: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for tick in (20, 21, 22, 23):
        put_words_into_its_mouth(copy, tick)
    command, *options = arguments
    assert microturn(command, copy, *options) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {copy}/trace.sqlite does not verify: event 'decision' in entry 21 (tick 20) was changed")
    assert "; and 1 more. Restore it from a copy; `microturn inspect` shows what it holds now" in printed.err


@pytest.mark.parametrize(("command", "code"), [("score", 0), ("replay", 1)])
def test_what_was_erased_is_named_and_the_rest_goes_on(copy: Path, command: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    erased = ("erase", copy, "--stream", "user.audio", "--who", "Ada", "--why", "asked", "--from", "1s", "--to", "2s")
    assert microturn(*erased) == 0
    capsys.readouterr()
    assert microturn(command, copy) == code
    printed = capsys.readouterr()
    assert printed.err == (
        f"{copy}/trace.sqlite: user.audio was erased in ticks 5 to 9 (Ada: asked); what rests on it cannot be told any more\n"
    )
    begun = "differs from 0.8 s on: tick 4, events"  # where a true word is noted that sounds on into what was erased
    assert printed.out.startswith(begun if command == "replay" else f"{copy}/trace.sqlite (stop)")


GONE = {
    "blob SET bytes = NULL, salt = NULL WHERE stream = 'user.audio' AND tick < 3": "3 payloads and 0 events",
    "event SET body = NULL, salt = NULL WHERE seq IN (SELECT seq FROM event WHERE kind = 'truth.word' LIMIT 2)": "0 payloads and 2 events",
}


@pytest.mark.parametrize("command", ["score", "inspect"])
@pytest.mark.parametrize(("edit", "told"), GONE.items())
def test_what_is_gone_without_a_record_is_named(copy: Path, capsys: pytest.CaptureFixture[str], command: str, edit: str, told: str) -> None:
    with sqlite3.connect(copy / "trace.sqlite") as connection:
        connection.execute(f"UPDATE {edit}")
    assert microturn(command, copy) == 0
    assert f"trace.sqlite: {told} are gone, and no erasure is on record" in capsys.readouterr().err


def test_replay_prints_only_the_fields_in_which_a_decision_differs(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = read_trace(ran / "trace.sqlite")
    decisions = dict(trace.events(Decision))
    other = replace(decisions[12], p_speak=0.25, said="")
    turn = trace.turns[12]
    changed = replace(turn, events=tuple(other if isinstance(e, Decision) else e for e in turn.events))
    turns = [*trace.turns[:12], changed, *trace.turns[13:]]
    save_trace(Trace(trace.header, turns), tmp_path / "other.sqlite", default=BIT_EXACT)
    assert microturn("replay", tmp_path / "other.sqlite") == 1
    said, p_speak = decisions[12].said, decisions[12].p_speak
    assert capsys.readouterr().out == (
        f"differs from 2.4 s on: tick 12, decision: said '', p_speak 0.25 against said {said!r}, p_speak {p_speak!r}\n"
    )


def test_events_of_two_kinds_differ_by_their_kinds() -> None:
    session = chat()
    trace = record(session)
    session.run(3)
    turn = trace.turns[2]
    edited = replace(turn, events=tuple(Edited(participant="agent") if isinstance(e, Decision) else e for e in turn.events))
    difference = first_difference(trace, Trace(trace.header, [*trace.turns[:2], edited]))
    assert str(difference) == "tick 2, events: decision against session.edited"


def test_a_file_that_grows_while_it_is_verified_holds(tmp_path: Path) -> None:
    """Each question of a verification is answered of one state of the file, however much is written in between."""
    session = chat(seed=5)
    path = tmp_path / "grows.sqlite"
    stop, reports = threading.Event(), []
    with TraceWriter(path, Header.of(session)) as writer:
        session.sinks = (writer,)
        session.run(200)
        writer.flush()

        def write() -> None:
            for _ in range(1_500):  # not for ever: each verification takes longer than the one before
                if stop.is_set():
                    break
                session.step()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            reports = [verify(path) for _ in range(30)]
        finally:
            stop.set()
            thread.join()
    assert [report.problems for report in reports if not report.ok] == []
