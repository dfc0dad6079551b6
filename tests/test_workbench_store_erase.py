"""Erased payloads are gone from the bytes of the files, the chain still verifies, and tampering does not pass."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.background_fakes import Typist, asked, conversation, played, together
from tests.workbench_fakes import BIT_EXACT, assert_same_turn, chat
from workbench.errors import InputError, TraceError
from workbench.events import Decision, PayloadErased, TranscriptDelta
from workbench.events_background import DelegationCreated
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_TEXT
from workbench.store import Erasure, TraceWriter, erase, read_trace, save_trace, verify
from workbench.trace import Header, Trace, record

MARKER = "plugh"  # begins every word that is said, so that words can be searched for in the raw bytes


def recorded(path: Path, ticks: int = 30) -> Trace:
    session = chat(seed=8, marker=MARKER)
    trace = record(session)
    with TraceWriter(path, trace.header, default=BIT_EXACT) as writer:
        session.sinks = (*session.sinks, writer)
        session.run(ticks)
    return trace


def raw(folder: Path) -> bytes:
    """The bytes of the file and of its -wal and -shm companions, as they stand on disk."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def pieces(trace: Trace, stream: str, tick: int) -> list[bytes]:
    data = trace.turns[tick].audio(stream, 0).tobytes()
    assert len(data) == 800
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def of_user(ticks: range, **more: object) -> Erasure:
    return Erasure(stream=USER_AUDIO, from_tick=ticks.start, to_tick=ticks.stop - 1, who="Ada", why="asked for it", **more)  # type: ignore[arg-type]


def test_an_erased_payload_is_gone_from_the_bytes_and_the_chain_still_verifies(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    trace = recorded(path)
    before = raw(tmp_path)
    salts = [row[0] for row in sqlite3.connect(path).execute("SELECT salt FROM blob WHERE stream = ? AND tick = 12", (USER_AUDIO,))]
    head = verify(path).facts["head"]
    assert erase(path, of_user(range(10, 20))) == 20  # ten payloads, ten transcript words
    after = raw(tmp_path)
    for tick in range(30):
        for piece in pieces(trace, USER_AUDIO, tick):
            assert piece in before
            assert (piece in after) == (tick not in range(10, 20))
        assert all(piece in after for piece in pieces(trace, AGENT_AUDIO, tick))
    assert salts[0] in before
    assert salts[0] not in after
    report = verify(path)
    assert report.ok, str(report)
    assert report.facts["erased"] == 10
    assert report.facts["head"] != head


def test_the_words_go_with_the_sound_unless_they_are_to_stay(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    trace = recorded(path)
    erase(path, of_user(range(5), words=False))
    assert len([e for t, e in read_trace(path).events(TranscriptDelta) if t < 5 and e.side == "user"]) == 5
    erase(path, of_user(range(5)))
    erase(path, Erasure(stream=USER_TEXT, from_tick=0, to_tick=4, who="Ada", why="asked for it"))
    gone = [trace.turns[tick].text(USER_TEXT) for tick in range(5)]
    back = read_trace(path)
    assert [e.word for t, e in back.events(TranscriptDelta) if t < 5 and e.side == "user"] == []
    assert all(back.turns[tick].get(USER_TEXT) is None for tick in range(5))
    said_by_agent = {trace.turns[tick].text(AGENT_TEXT) for tick in range(30)}
    for word in set(gone) - said_by_agent:
        assert f'"{word}"'.encode() not in raw(tmp_path)
    assert verify(path).ok


def test_erasing_the_agents_words_takes_its_transcript_and_decisions_along(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    recorded(path)
    erase(path, Erasure(stream=AGENT_TEXT, from_tick=0, to_tick=29, who="Ada", why="asked for it"))
    erase(path, Erasure(stream=USER_TEXT, from_tick=0, to_tick=29, who="Ada", why="asked for it"))
    assert MARKER.encode() not in raw(tmp_path)
    back = read_trace(path)
    assert list(back.events(Decision)) == []
    assert len(back) == 30
    assert verify(path).ok


def test_what_is_not_erased_stays_as_it_was_and_the_erasure_is_an_event(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    trace = recorded(path)
    erase(path, of_user(range(10, 20)))
    back = read_trace(path)
    for tick in (*range(10), *range(20, 29)):
        assert_same_turn(back.turns[tick], trace.turns[tick])
    assert {p.stream for p in back.turns[12].packets} == {USER_TEXT, AGENT_AUDIO, AGENT_TEXT}
    ((tick, event),) = back.events(PayloadErased)
    assert tick == 29
    assert (event.stream, event.from_tick, event.to_tick, event.count) == (USER_AUDIO, 10, 19, 20)
    assert (event.who, event.why) == ("Ada", "asked for it")
    assert event.when.endswith("Z")


def test_a_running_session_can_be_taken_off_the_record(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    session = chat(seed=8, marker=MARKER)
    trace = record(session)
    writer = TraceWriter(path, Header.of(session), default=BIT_EXACT)
    session.sinks = (*session.sinks, writer)
    session.run(20)
    writer.erase(of_user(range(5, 15)))
    on_disk = raw(tmp_path)
    assert not any(piece in on_disk for tick in range(5, 15) for piece in pieces(trace, USER_AUDIO, tick))
    assert all(piece in on_disk for piece in pieces(trace, USER_AUDIO, 3))
    session.run(10)
    writer.close()
    on_disk = raw(tmp_path)
    assert not any(piece in on_disk for tick in range(5, 15) for piece in pieces(trace, USER_AUDIO, tick))
    assert len(read_trace(path)) == 30
    assert verify(path).ok


def test_erasing_in_a_file_left_by_a_crash_empties_the_log_too(tmp_path: Path) -> None:
    session = chat(seed=8, marker=MARKER)
    trace = record(session)
    (tmp_path / "live").mkdir()
    (tmp_path / "crashed").mkdir()
    with TraceWriter(tmp_path / "live" / "t.sqlite", Header.of(session), default=BIT_EXACT) as writer:
        session.sinks = (*session.sinks, writer)
        session.run(20)
        writer.flush()
        for file in (tmp_path / "live").iterdir():  # as a power cut or kill -9 would leave them
            shutil.copy(file, tmp_path / "crashed")
    crashed = tmp_path / "crashed" / "t.sqlite"
    assert any(path.name.endswith("-wal") for path in (tmp_path / "crashed").iterdir())
    assert all(piece in raw(tmp_path / "crashed") for piece in pieces(trace, USER_AUDIO, 9))
    erase(crashed, of_user(range(20)))
    assert not any(piece in raw(tmp_path / "crashed") for tick in range(20) for piece in pieces(trace, USER_AUDIO, tick))
    assert len(read_trace(crashed)) == 20
    assert verify(crashed).ok


def test_an_erasure_says_who_and_why_and_names_a_stream_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="say who asked for it and why"):
        Erasure(stream=USER_AUDIO, from_tick=0, to_tick=1, who="", why="x")
    with pytest.raises(InputError, match="ticks 3 to 1 are no range"):
        Erasure(stream=USER_AUDIO, from_tick=3, to_tick=1, who="Ada", why="x")
    recorded(tmp_path / "t.sqlite", ticks=3)
    with pytest.raises(TraceError, match=r"holds no stream 'user.smell'; it holds agent.audio, agent.text, user.audio, user.text"):
        erase(tmp_path / "t.sqlite", Erasure(stream="user.smell", from_tick=0, to_tick=1, who="Ada", why="x"))


def test_an_erasure_that_a_reader_hinders_says_so(tmp_path: Path) -> None:
    session = chat(seed=8)
    writer = TraceWriter(tmp_path / "t.sqlite", Header.of(session))
    session.sinks = (writer,)
    session.run(5)
    writer.flush()
    reader = sqlite3.connect(tmp_path / "t.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM tick").fetchone()
    writer._connection.execute("PRAGMA busy_timeout=50")
    with pytest.raises(TraceError, match="because another program reads the trace; close that and erase again"):
        writer.erase(of_user(range(5)))
    reader.close()
    with pytest.raises(TraceError, match="failed after tick 4"):
        writer.close()


EDITS: dict[str, str] = {
    "a word of a decision": "UPDATE event SET body = replace(body, 'speak', 'idle') WHERE kind = 'decision' AND tick = 4",
    "the kind of an event": "UPDATE event SET kind = 'decision' WHERE kind = 'transcript.delta' AND tick = 4",
    "a payload": "UPDATE blob SET bytes = zeroblob(length(bytes)) WHERE tick = 7 AND stream = 'user.audio'",
    "a payload and its digest": "UPDATE blob SET bytes = x'00', salt = x'', "
    "digest = x'6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d' WHERE tick = 7 AND stream = 'user.audio'",
    "the stream of a payload": "UPDATE blob SET stream = 'user.audio' WHERE tick = 7 AND stream = 'agent.audio'",
    "a tick taken out": "DELETE FROM tick WHERE tick = 5",
    "an event taken out": "DELETE FROM event WHERE tick = 5 AND kind = 'decision'",
    "an event put in": "INSERT INTO event (entry, tick, kind, digest, salt, body) "
    "SELECT entry, tick, kind, digest, salt, body FROM event WHERE tick = 5 LIMIT 1",
    "a link taken out": "DELETE FROM digest WHERE entry = 6",
    "the tick of an entry": "UPDATE tick SET tick = 99 WHERE tick = 5",
    "two events exchanged": "UPDATE event SET seq = 1000000 WHERE seq = (SELECT min(seq) FROM event WHERE tick = 5)",
    "the header": "UPDATE session SET header = replace(header, '\"seed\": 8', '\"seed\": 9')",
    "the bytes of an erased payload put back": "UPDATE blob SET bytes = x'00', salt = x'00' WHERE tick = 1 AND stream = 'user.audio'",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_tampering_is_detected(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "t.sqlite"
    recorded(path, ticks=12)
    erase(path, of_user(range(1, 2)))
    assert verify(path).ok
    connection = sqlite3.connect(path)
    assert connection.execute(edit).rowcount >= 1
    connection.commit()
    connection.close()
    report = verify(path)
    assert not report.ok
    assert all("chain" in problem or "changed after it was written" in problem for problem in report.problems)
    with pytest.raises(TraceError, match=r"chain|changed"):
        report.or_raise(TraceError)


def test_ticks_cut_off_the_end_show_in_the_head(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    recorded(path, ticks=12)
    head = verify(path).facts["head"]
    connection = sqlite3.connect(path)
    for table in ("event", "blob", "tick", "digest"):
        connection.execute(f"DELETE FROM {table} WHERE tick > 8")
    connection.commit()
    connection.close()
    report = verify(path)
    assert report.ok
    assert report.facts["head"] != head


def test_a_report_reads_as_text(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    recorded(path, ticks=2)

    assert str(verify(path)).startswith(f"{path}: ok (ticks 2, payloads 8, erased 0, head ")


def test_what_was_asked_of_the_background_goes_with_the_words_that_asked_it(tmp_path: Path) -> None:
    plan = together(asked(5, f"look up {MARKER}"), asked(30, "look up anna"))
    trace = played(conversation(plan, user=Typist({2: ((USER_TEXT, f"about {MARKER}"),)}), says_notes=False), 36)
    path = save_trace(trace, tmp_path / "t.sqlite", default=BIT_EXACT)
    assert MARKER.encode() in raw(tmp_path)
    erase(path, Erasure(stream=USER_TEXT, from_tick=0, to_tick=25, who="Ada", why="asked for it"))
    assert MARKER.encode() not in raw(tmp_path)
    assert [event.ask for _, event in read_trace(path).events(DelegationCreated)] == ["look up anna"]
    assert verify(path).ok
