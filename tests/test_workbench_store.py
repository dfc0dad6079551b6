"""The trace file: what goes in comes out, what is refused, and what survives a kill."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workbench_fakes import BIT_EXACT, SMALL, assert_same_turn, chat
from workbench.clock import Tick
from workbench.errors import InputError, TraceError
from workbench.events import Unknown
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, TRUTH, USER_AUDIO, USER_CAMERA, USER_TEXT, MicroTurn, Packet
from workbench.store import Keep, TraceWriter, annotate, read_annotations, read_features, read_trace, save_trace, verify
from workbench.store_format import decode, encode, features
from workbench.store_read import BLOCK, reading
from workbench.trace import Header, Trace, record

ROOT = Path(__file__).resolve().parent.parent


def recorded(path: Path, ticks: int = 20, **how: object) -> Trace:
    """A chat run into a file and into memory at once; the trace in memory."""
    session = chat(seed=3)
    trace = record(session, labels={"family": "chat"}, consent={"audio": "yes"})
    with TraceWriter(path, trace.header, **how) as writer:  # type: ignore[arg-type]
        session.sinks = (*session.sinks, writer)
        session.run(ticks)
    return trace


def test_a_file_holds_the_session_bit_for_bit_under_f32(tmp_path: Path) -> None:
    trace = recorded(tmp_path / "t.sqlite", default=BIT_EXACT)
    back = read_trace(tmp_path / "t.sqlite")
    assert len(back) == len(trace) == 20
    for one, two in zip(trace.turns, back.turns, strict=True):
        assert_same_turn(one, two)
    assert replace(back.header, versions={}, created="") == trace.header
    assert back.header.versions["microturn"]
    assert back.header.created.endswith("Z")
    assert [p.name for p in tmp_path.iterdir()] == ["t.sqlite"], "close() left companions beside the file"


def test_pcm16_rounds_audio_to_one_part_in_32768_and_nothing_else(tmp_path: Path) -> None:
    trace = recorded(tmp_path / "t.sqlite")
    back = read_trace(tmp_path / "t.sqlite")
    for stream in (USER_AUDIO, AGENT_AUDIO):
        error = np.abs(back.audio(stream) - np.clip(trace.audio(stream), -1, 32767 / 32768)).max()
        assert 0 < error <= 0.5 / 32768
    assert [t.text(AGENT_TEXT) for t in back.turns] == [t.text(AGENT_TEXT) for t in trace.turns]
    assert list(back.all_events()) == list(trace.all_events())


def test_a_file_is_read_turn_by_turn_as_it_is_read_at_once(tmp_path: Path) -> None:
    recorded(tmp_path / "t.sqlite", 2 * BLOCK + 30)
    whole = read_trace(tmp_path / "t.sqlite")
    with reading(tmp_path / "t.sqlite") as session:
        assert (session.header, len(session)) == (whole.header, 2 * BLOCK + 30)
        for one, two in zip(session.turns(), whole.turns, strict=True):
            assert_same_turn(one, two)
        assert session.has("transcript.delta")
        assert not session.has("model.yielded")
    some = read_trace(tmp_path / "t.sqlite", streams=(AGENT_TEXT,), kinds=())
    assert {packet.stream for turn in some.turns for packet in turn.packets} == {AGENT_TEXT}
    assert not list(some.all_events())


@pytest.mark.parametrize("odd", [float("inf"), 2**70, -(2**63) - 1, "\ud800", 0.0001234567890123456789, 10**18])
def test_values_that_json_alone_can_read_come_back_as_they_were(tmp_path: Path, odd: Any) -> None:
    events = (Unknown(name="newer", body={"odd": odd, "p": 0.25}), Unknown(name="newer", body={"deep": [{"odd": odd}]}))
    save_trace(Trace(Header(clock=SMALL, seed=0, participants={}), [MicroTurn(Tick(0), (), events)]), tmp_path / "t.sqlite")
    back = read_trace(tmp_path / "t.sqlite")
    assert back.turns[0].events == events
    assert verify(tmp_path / "t.sqlite").ok


@given(st.lists(st.integers(-32768, 32767), max_size=50))
def test_samples_of_a_16_bit_recording_pass_pcm16_unchanged(counts: list[int]) -> None:
    samples = (np.array(counts, np.int16) / np.float32(32768)).astype(np.float32)
    stored = encode(USER_AUDIO, samples, "pcm16")
    assert stored is not None
    back = decode(*stored)
    assert isinstance(back, np.ndarray)
    assert np.array_equal(back, samples)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.text())
def test_pictures_and_texts_survive_storage(shape: list[int], text: str) -> None:
    picture = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    stored = encode(USER_CAMERA, picture, "pcm16")
    assert stored is not None
    back = decode(*stored)
    assert isinstance(back, np.ndarray)
    assert back.shape == picture.shape
    assert np.array_equal(back, picture)
    words = encode(USER_TEXT, text, "pcm16")
    assert words is not None
    assert decode(*words) == text


def test_orders_on_the_truth_stream_are_not_stored(tmp_path: Path) -> None:
    header = Header(clock=SMALL, seed=0, participants={})
    turn = MicroTurn(Tick(0), (Packet(TRUTH, Tick(0), (object(),)), Packet(USER_TEXT, Tick(0), "hello")))
    save_trace(Trace(header, [turn]), tmp_path / "t.sqlite")
    assert [p.stream for p in read_trace(tmp_path / "t.sqlite").turns[0].packets] == [USER_TEXT]


def test_retention_none_keeps_nothing_and_features_keeps_level_and_activity(tmp_path: Path) -> None:
    keep = {USER_AUDIO: Keep("features"), USER_TEXT: Keep("none")}
    trace = recorded(tmp_path / "t.sqlite", keep=keep)
    back = read_trace(tmp_path / "t.sqlite")
    assert {p.stream for t in back.turns for p in t.packets} == {AGENT_AUDIO, AGENT_TEXT}
    kept = read_features(tmp_path / "t.sqlite", USER_AUDIO)
    assert [f.tick for f in kept] == list(range(20))
    rms_db = 10 * np.log10(np.mean(trace.turns[4].audio(USER_AUDIO, 0) ** 2))
    assert kept[4].values == {"level_db": pytest.approx(rms_db, abs=0.06), "active": True}
    assert read_features(tmp_path / "t.sqlite", USER_TEXT) == []
    assert verify(tmp_path / "t.sqlite").ok
    data = (tmp_path / "t.sqlite").read_bytes()
    assert trace.turns[4].audio(USER_AUDIO, 0).tobytes()[:64] not in data


def test_silence_has_a_level_and_no_activity() -> None:
    assert features(np.zeros(200, np.float32)) == {"level_db": -120.0, "active": False}


def test_unknown_retention_or_codec_is_refused() -> None:
    with pytest.raises(InputError, match="retention is one of"):
        Keep("some")  # type: ignore[arg-type]


def test_annotations_come_back_and_leave_the_chain_alone(tmp_path: Path) -> None:
    recorded(tmp_path / "t.sqlite")
    head = verify(tmp_path / "t.sqlite").facts["head"]
    annotate(tmp_path / "t.sqlite", 3, 5, "listener", {"note": "too early"})
    (remark,) = read_annotations(tmp_path / "t.sqlite")
    assert (remark.from_tick, remark.to_tick, remark.author, remark.body) == (3, 5, "listener", {"note": "too early"})
    assert verify(tmp_path / "t.sqlite").facts["head"] == head
    with pytest.raises(InputError, match="ticks 5 to 3 are no range"):
        annotate(tmp_path / "t.sqlite", 5, 3, "listener", {})


def test_a_trace_is_readable_while_it_is_written(tmp_path: Path) -> None:
    session = chat()
    with TraceWriter(tmp_path / "t.sqlite", Header.of(session)) as writer:
        session.sinks = (writer,)
        session.run(7)
        assert writer.flush() == 6
        assert len(read_trace(tmp_path / "t.sqlite")) == 7
        session.run(3)
    assert len(read_trace(tmp_path / "t.sqlite")) == 10


def test_after_kill_9_every_acknowledged_tick_is_there_and_none_is_half_there(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    code = f"from tests.workbench_fakes import write_for_ever; write_for_ever({str(path)!r})"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = -1
    for line in child.stdout:
        acknowledged = int(line)
        if acknowledged >= 150:
            break
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().splitlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    whole = [line for line in rest if line.isdigit()]
    acknowledged = max([acknowledged, *(int(line) for line in whole[:-1])])
    back = read_trace(path)
    assert [turn.tick for turn in back.turns] == list(range(len(back)))
    assert len(back) > acknowledged >= 150
    again = chat(seed=5)
    for turn in back.turns:
        assert_same_turn(turn, again.step())
    assert verify(path).ok


ODD: dict[str, object] = {"bytes": b"mhm", "a list": [1.0], "half a surrogate": "a\ud83d", "nothing": None}


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD)
def test_a_payload_of_no_known_kind_is_reported_and_nobody_waits_for_ever(tmp_path: Path, payload: Any) -> None:
    session = chat()
    writer = TraceWriter(tmp_path / "t.sqlite", record(session).header, room=2)
    session.sinks = (*session.sinks, writer)
    session.run(4)
    writer.flush()
    writer.append(MicroTurn(Tick(4), (Packet("odd", Tick(4), payload),)))
    with pytest.raises(TraceError, match=r"failed after tick 3: stream 'odd' carried .*Ticks up to that one are in the file"):
        writer.flush()
    with pytest.raises(TraceError, match="failed after tick 3"):
        writer.append(MicroTurn(Tick(5)))
    with pytest.raises(TraceError, match="failed after tick 3"):
        writer.close()
    assert len(read_trace(tmp_path / "t.sqlite")) == 4


def test_a_failure_that_nobody_foresaw_is_raised_by_the_next_call(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t.sqlite", record(chat()).header)
    writer.append(MicroTurn(Tick(0), (), ("no event",)))  # type: ignore[arg-type]
    with pytest.raises(TraceError, match="failed before its first tick: str among the events is none"):
        writer.close()
    writer = TraceWriter(tmp_path / "u.sqlite", record(chat()).header)
    writer.append(MicroTurn(Tick(0), 5))  # type: ignore[arg-type]
    with pytest.raises(TraceError, match="failed before its first tick"):
        writer.close()


def test_an_unfinished_transaction_vanishes_whole(tmp_path: Path) -> None:
    session = chat()
    writer = TraceWriter(tmp_path / "t.sqlite", Header.of(session))
    session.sinks = (writer,)
    session.run(4)
    writer.flush()
    good = session.fork().step()
    bad = MicroTurn(good.tick, (*good.packets, Packet("odd", good.tick, np.zeros(3))))  # type: ignore[arg-type]
    writer.append(bad)
    with pytest.raises(TraceError, match=r"failed after tick 3: stream 'odd' carried float64"):
        writer.flush()
    with pytest.raises(TraceError, match="failed after tick 3"):
        writer.append(good)
    with pytest.raises(TraceError, match="failed after tick 3"):
        writer.close()
    assert len(read_trace(tmp_path / "t.sqlite")) == 4


def test_a_full_disk_is_named_as_the_cause_and_what_was_written_stays(tmp_path: Path) -> None:
    """A transaction that SQLite has taken back by itself, as where the disk is full, cannot be taken back once more."""

    class OnFullDisk(TraceWriter):
        full = False

        def _write(self, turns: list[MicroTurn]) -> None:
            if self.full:
                self._connection.execute("PRAGMA max_page_count = 1")
            super()._write(turns)

    session = chat()
    writer = OnFullDisk(tmp_path / "t.sqlite", Header.of(session), default=Keep(codec="f32"))
    session.sinks = (writer,)
    session.run(4)
    writer.flush()
    writer.full = True
    session.run(12)
    with pytest.raises(TraceError, match=r"failed after tick \d+: database or disk is full\. Ticks up to that one .*make room"):
        writer.close()
    assert len(read_trace(tmp_path / "t.sqlite")) == writer.acknowledged + 1 >= 4
    assert verify(tmp_path / "t.sqlite").ok


def test_a_trace_that_fails_at_once_says_that_nothing_is_in_it(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t.sqlite", Header.of(chat()))
    writer.append(MicroTurn(0, (Packet("odd", 0, np.zeros(3)),)))  # type: ignore[arg-type]
    with pytest.raises(TraceError, match=r"failed before its first tick: stream 'odd' .*No tick is in the file; mend the cause"):
        writer.close()


def test_a_full_queue_raises_under_raise(tmp_path: Path) -> None:
    session = chat()
    turn = session.step()
    released = threading.Event()

    class Stuck(TraceWriter):
        """A writer whose disk does not answer until released."""

        def _write(self, turns: list[MicroTurn]) -> None:
            released.wait()
            super()._write(turns)

    writer = Stuck(tmp_path / "t.sqlite", Header.of(session), when_full="raise", room=2)
    too_many = Trace(Header.of(session), [MicroTurn(Tick(tick), turn.packets) for tick in range(200)])
    with pytest.raises(TraceError, match=r"is 2 ticks behind at tick \d+; the disk is too slow"):
        _ = [writer.append(turn) for turn in too_many.turns]
    released.set()
    writer.close()
    assert verify(tmp_path / "t.sqlite").ok


def test_a_full_queue_waits_under_wait(tmp_path: Path) -> None:
    trace = recorded(tmp_path / "t.sqlite", ticks=300, room=2)
    assert len(read_trace(tmp_path / "t.sqlite")) == len(trace) == 300


def test_a_closed_writer_takes_no_more(tmp_path: Path) -> None:
    session = chat()
    writer = TraceWriter(tmp_path / "t.sqlite", Header.of(session))
    writer.close()
    writer.close()
    with pytest.raises(TraceError, match="is closed; a trace takes no more ticks"):
        writer.append(session.step())


def test_a_path_that_is_taken_or_has_no_folder_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path / "t.sqlite")
    with pytest.raises(TraceError, match="exists; a trace is never overwritten"):
        recorded(tmp_path / "t.sqlite")
    with pytest.raises(TraceError, match="does not exist; create it"):
        recorded(tmp_path / "no" / "t.sqlite")


def test_a_header_that_is_not_json_is_refused_before_a_file_appears(tmp_path: Path) -> None:
    header = Header(clock=SMALL, seed=0, participants={"user": {"voice": object()}})
    with pytest.raises(TraceError, match=r"the header cannot be stored: object is not JSON; spec\(\), consent and labels"):
        TraceWriter(tmp_path / "t.sqlite", header)
    assert not (tmp_path / "t.sqlite").exists()


def test_an_event_that_is_not_json_is_reported_by_name(tmp_path: Path) -> None:
    turn = MicroTurn(Tick(0), (), (Unknown(name="odd", body={"x": object()}),))
    with pytest.raises(TraceError, match="event 'odd' cannot be stored: object is not JSON"):
        save_trace(Trace(Header(clock=SMALL, seed=0, participants={}), [turn]), tmp_path / "t.sqlite")


def test_files_that_are_no_trace_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is not a file; give the path of a trace"):
        read_trace(tmp_path / "missing.sqlite")
    (tmp_path / "text.sqlite").write_text("hello " * 500)
    with pytest.raises(TraceError, match=r"is not a readable trace .*restore it from a copy"):
        read_trace(tmp_path / "text.sqlite")
    sqlite3.connect(tmp_path / "foreign.sqlite").executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1);").connection.close()
    with pytest.raises(TraceError, match="is not a Microturn trace"):
        read_trace(tmp_path / "foreign.sqlite")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path / "t.sqlite")
    connection = sqlite3.connect(tmp_path / "t.sqlite")
    connection.execute("PRAGMA user_version=7")
    connection.close()
    with pytest.raises(TraceError, match="has trace schema 7; this version reads schema 1"):
        read_trace(tmp_path / "t.sqlite")


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_damaged_file_gives_a_trace_error_or_fails_verification(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damage")
    whole = tmp_path_factory.getbasetemp() / "whole.sqlite"
    if not whole.exists():
        recorded(whole)
    path = folder / "t.sqlite"
    shutil.copy(whole, path)
    size = path.stat().st_size
    if data.draw(st.booleans(), label="cut"):
        with path.open("r+b") as file:
            file.truncate(data.draw(st.integers(1, size - 17_000)))
    else:
        at = data.draw(st.integers(0, size - 17_000))
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"\xa5" * 16_000)
    with pytest.raises(TraceError):
        _read_and_verify(path)


def _read_and_verify(path: Path) -> None:
    read_trace(path)
    verify(path).or_raise(TraceError)
