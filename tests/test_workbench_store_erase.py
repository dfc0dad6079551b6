"""Erased payloads are gone from the bytes of the files, the chain still verifies, and tampering does not pass."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tests.background_fakes import Typist, asked, asks, conversation, heard, played, together
from tests.sample_session import GATE_TICK, YIELD_TICK, stopped_count, without_decisions
from tests.test_workbench_cli import microturn
from tests.test_workbench_guard import CLOCK, SAFE, Hears
from tests.workbench_fakes import BIT_EXACT, assert_same_turn, chat
from workbench.agents import ScriptedAgent, SilentAgent
from workbench.errors import InputError, TraceError
from workbench.events import Decision, Event, Gate, GatesActed, ModelYielded, PayloadErased, TranscriptDelta, TruthWord
from workbench.events_background import DelegationChanged, DelegationCreated, DelegationResult
from workbench.events_rules import GuardActed, IntentEstimated
from workbench.intents import Guessing
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, BACKGROUND_TEXT, USER_AUDIO, USER_TEXT
from workbench.policies import HOLD_BACK, POLICIES, Governed, Guard
from workbench.redact import ERASED, OWN
from workbench.session import Session
from workbench.store import Erasure, TraceWriter, annotate, erasable, erase, read_annotations, read_trace, save_trace, verify
from workbench.trace import Header, Trace, record
from workbench.users import SilentUser

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
    assert (report.facts["erased"], report.facts["erased_events"]) == (10, 10)
    assert report.facts["head"] != head


def test_remarks_on_an_erased_stretch_lose_what_they_say_unless_words_are_to_stay(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    recorded(path)
    for first, last, note in ((2, 9, "before"), (5, 10, "said quux, and"), (19, 25, "quux again"), (20, 25, "after")):
        annotate(path, first, last, "listener", {"note": note})
    assert erase(path, of_user(range(10, 20), words=False)) == 10
    assert [remark.body["note"] for remark in read_annotations(path)] == ["before", "said quux, and", "quux again", "after"]
    assert erasable(path, of_user(range(10, 20))) == 12  # ten transcript words, two remarks
    assert erase(path, of_user(range(10, 20))) == 12
    assert [(remark.from_tick, remark.author, remark.body) for remark in read_annotations(path)] == [
        (2, "listener", {"note": "before"}),
        (5, "listener", {}),
        (19, "listener", {}),
        (20, "listener", {"note": "after"}),
    ]
    assert b"quux" not in raw(tmp_path)
    assert erasable(path, of_user(range(10, 20))) == 0
    assert verify(path).ok


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
    "an event moved to another tick": "UPDATE event SET tick = 9 WHERE tick = 5 AND kind = 'decision'",
    "a payload moved to another tick": "UPDATE blob SET tick = 9 WHERE tick = 5 AND stream = 'user.audio'",
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

    assert str(verify(path)).startswith(f"{path}: ok (ticks 2, payloads 8, erased 0, erased_events 0, head ")


def test_what_was_asked_of_the_background_goes_with_the_words_that_asked_it(tmp_path: Path) -> None:
    plan = together(asked(5, f"look up {MARKER}"), asked(30, "look up anna"))
    trace = played(conversation(plan, user=Typist({2: ((USER_TEXT, f"about {MARKER}"),)}), says_notes=False), 36)
    path = save_trace(trace, tmp_path / "t.sqlite", default=BIT_EXACT)
    assert MARKER.encode() in raw(tmp_path)
    erase(path, Erasure(stream=USER_TEXT, from_tick=0, to_tick=25, who="Ada", why="asked for it"))
    assert MARKER.encode() not in raw(tmp_path)
    assert [event.ask for _, event in read_trace(path).events(DelegationCreated)] == ["look up anna"]
    assert verify(path).ok


def test_what_a_guard_quotes_of_the_user_goes_and_the_rest_of_its_decision_stays(tmp_path: Path) -> None:
    agent = Hears(ScriptedAgent(((6, ("one", "two", "three", "four", "five")),)), {3: "please open", 4: "the", 8: "safe"})
    session = Session.start([SilentUser(9), Governed(agent, (SAFE,))], clock=CLOCK)
    trace = record(session)
    session.run(40)
    path = save_trace(trace, tmp_path / "t.sqlite", default=BIT_EXACT)
    [(tick, decision)] = [(tick, event) for tick, event in trace.events(Decision) if event.gates]
    [(_, yielded)] = trace.events(ModelYielded)
    assert "'open the safe'" in decision.gates[0].reason
    assert "'open the safe'" in yielded.reason
    before = erasable(path, of_user(range(40)))
    assert erase(path, of_user(range(40))) == before
    left = read_trace(path)
    gate = Gate("guard", ERASED, "<silence>", ERASED)
    assert [event for at, event in left.events(Decision) if at == tick] == [replace(decision, gates=(gate,))]
    assert list(left.events(ModelYielded)) == [(tick, replace(yielded, reason=ERASED))]
    assert list(left.events(GuardActed)) == []
    assert len(list(left.events(Decision))) == len(list(trace.events(Decision)))
    assert raw(tmp_path).count(b"open the safe") == 1, "the rule itself, in the header, is nobody's words"
    assert verify(path).ok
    assert erasable(path, of_user(range(40))) == 0


def test_what_a_guard_quotes_goes_where_the_agent_left_no_decision(tmp_path: Path) -> None:
    agent = Hears(ScriptedAgent(((6, ("one", "two", "three", "four", "five")),)), {3: "please open", 4: "the", 8: "safe"})
    session = Session.start([SilentUser(9), Governed(agent, (SAFE,))], clock=CLOCK)
    trace = record(session)
    session.run(40)
    trace = without_decisions(trace)
    path = save_trace(trace, tmp_path / "t.sqlite", default=BIT_EXACT)
    [(tick, acted)] = trace.events(GatesActed)
    assert "'open the safe'" in acted.gates[0].reason
    erase(path, of_user(range(40)))
    left = read_trace(path)
    assert list(left.events(GatesActed)) == [(tick, GatesActed(gates=(Gate("guard", ERASED, "<silence>", ERASED),)))]
    assert raw(tmp_path).count(b"open the safe") == 1, "the rule itself, in the header, is nobody's words"
    assert verify(path).ok


def test_of_a_decision_the_texts_that_may_repeat_others_go_and_what_tells_of_the_agent_stays(tmp_path: Path) -> None:
    trace = stopped_count()
    own = Gate("threshold", "six", "<silence>", "p(speak) 0.42 < threshold 0.50")
    told = {
        2: (Gate("repertoire", "call doctor smith", "<cancel>", "of its 3 words there is none"),),
        3: (own, Gate("of my own", "go on", "mhm", "they spoke of a biopsy")),
        4: (Gate("threshold", "<silence>", "okay <open> look up the biopsy", "p(speak) 0.60 >= threshold 0.50"),),
        5: (Gate("budget", "go on", "<silence>", "'biopsy' may not be asked"),),  # a guard that was given another name
    }
    turns = [replace(turn, events=tuple(_gated(event, told.get(turn.tick, ())) for event in turn.events)) for turn in trace.turns]
    path = save_trace(replace(trace, turns=turns), tmp_path / "t.sqlite")
    erase(path, of_user(range(40)))
    left = dict(read_trace(path).events(Decision))
    assert left[2].gates == (Gate("repertoire", ERASED, "<cancel>", ERASED),)
    assert left[3].gates == (own, Gate("of my own", ERASED, ERASED, ERASED))
    assert left[4].gates == (Gate("threshold", "<silence>", f"okay <open> {ERASED}", "p(speak) 0.60 >= threshold 0.50"),)
    assert left[5].gates == (Gate("budget", ERASED, "<silence>", ERASED),)
    before = dict(trace.events(Decision))
    assert {tick: left[tick] for tick in before if tick not in told} == {tick: before[tick] for tick in before if tick not in told}
    assert left[GATE_TICK].gates[0].reason.startswith("p(speak)")
    assert left[YIELD_TICK].said == "<yield>"
    assert all(word not in raw(tmp_path) for word in (b"biopsy", b"smith"))
    assert verify(path).ok


def _gated(event: Event, gates: tuple[Gate, ...]) -> Event:
    return replace(event, gates=gates) if isinstance(event, Decision) and gates else event


def test_the_gates_whose_texts_stay_are_those_of_every_rule_but_the_guard() -> None:
    mine = {rule.name for rule in POLICIES.values() if rule is not Guard}  # type: ignore[attr-defined]
    assert {*mine, HOLD_BACK, "threshold"} <= OWN
    assert Guard.name not in OWN


def test_a_decision_that_cannot_be_read_is_told_and_nothing_is_erased(tmp_path: Path) -> None:
    path = save_trace(stopped_count(), tmp_path / "t.sqlite")
    with sqlite3.connect(path) as file:
        file.execute("""UPDATE event SET body = '{"kind": "decision"}' WHERE kind = 'decision' AND tick = 7""")
    with pytest.raises(TraceError, match=r"event 'decision' in tick 7 is not readable .* restore it from a copy"):
        erase(path, of_user(range(40)))
    assert read_trace(path, kinds=()).audio(USER_AUDIO).any()


def test_what_is_told_of_slow_work_goes_with_its_own_streams(tmp_path: Path) -> None:
    trace = played(conversation(asked(5, "look up anna"), says_notes=False), 30)
    path = save_trace(trace, tmp_path / "t.sqlite", default=BIT_EXACT)
    [text] = [event.text.encode() for _, event in trace.events(DelegationResult)]
    assert text in raw(tmp_path)
    erase(path, Erasure(stream=BACKGROUND_TEXT, from_tick=0, to_tick=29, who="Ada", why="asked for it"))
    assert text not in raw(tmp_path)
    assert verify(path).ok


# --- what repeats a stretch at another time than its own --------------------------------------------------------------------------


def of_text(first: int, last: int) -> Erasure:
    return Erasure(stream=USER_TEXT, from_tick=first, to_tick=last, who="Ada", why="asked for it")


def heard_late(*phrases: tuple[int, str], by: int = 2) -> dict[int, tuple[Event, ...]]:
    """Words as an agent hears them that takes its time: each phrase sounds in its tick, and is noted `by` ticks later."""
    return {tick + by: events for tick, events in heard(*phrases).items()}


LISTENER = Typist({0: ((USER_TEXT, "hello"),)})  # so that the stream is there


def test_a_word_goes_by_when_it_sounded_not_by_when_it_was_noted(tmp_path: Path) -> None:
    plan = heard_late((4, "tell"), (5, "me"), (6, MARKER), (7, "please"))
    path = save_trace(played(conversation(plan, user=LISTENER), 20), tmp_path / "t.sqlite")
    assert raw(tmp_path).count(MARKER.encode()) == 2, "in the transcript, and in what the desk was told"
    erase(path, of_text(6, 6))
    assert MARKER.encode() not in raw(tmp_path)
    assert [event.word for _, event in read_trace(path).events(TranscriptDelta)] == ["tell", "me", "please"]
    assert verify(path).ok
    assert erasable(path, of_text(6, 6)) == 0


def test_a_word_that_began_before_the_stretch_and_sounds_on_into_it_goes(tmp_path: Path) -> None:
    trace = stopped_count()
    long = {5: TruthWord(word=MARKER, start_s=1.1, end_s=1.5), 12: TranscriptDelta(side="model", word="xyzzy", start_s=2.5, end_s=3.1)}
    turns = [replace(turn, events=(*turn.events, long[turn.tick])) if turn.tick in long else turn for turn in trace.turns]
    path = save_trace(replace(trace, turns=turns), tmp_path / "t.sqlite")
    erase(path, of_user(range(7, 8)))
    assert MARKER.encode() not in raw(tmp_path)
    assert b"xyzzy" in raw(tmp_path)
    erase(path, Erasure(stream=AGENT_AUDIO, from_tick=14, to_tick=14, who="Ada", why="asked for it"))
    assert b"xyzzy" not in raw(tmp_path)
    ticks = [tick for tick, _ in read_trace(path).events(Decision)]
    own = "the decisions go in which a word was begun that sounds in the stretch, and that of the stretch"
    assert [tick for tick in range(len(trace)) if tick not in ticks] == [12, 13, 14], own


@pytest.mark.parametrize("running", [False, True])
def test_what_the_agent_says_goes_as_text_too_with_its_sound_and_what_it_says_elsewhere_stays(tmp_path: Path, running: bool) -> None:
    agent = ScriptedAgent(((4, ("four", "five")), (10, ("seven", "twelve")), (20, ("nine",))))
    session = Session.start([SilentUser(40), agent], clock=CLOCK)
    path = tmp_path / "t.sqlite"
    trace = record(session)
    session.run(40)
    [(tick, word)] = [(tick, event) for tick, event in trace.events(TranscriptDelta) if event.word == "seven"]
    at = CLOCK.tick_at(word.end_s - 1e-6)
    assert at > tick, "it sounds on in the next micro-turn"
    gone = Erasure(stream=AGENT_AUDIO, from_tick=at, to_tick=at, who="Ada", why="asked for it")
    if running:
        again = Session.start([SilentUser(40), agent], clock=CLOCK)
        with TraceWriter(path, Header.of(again), default=BIT_EXACT) as writer:
            again.sinks = (writer,)
            again.run(tick)
            writer.erase(gone)
            again.run(40 - tick)
    else:
        save_trace(trace, path, default=BIT_EXACT)
        erase(path, gone)
    left = read_trace(path)
    assert left.turns[tick].text(AGENT_TEXT) == ""
    assert [left.turns[at].text(AGENT_TEXT) for at in (4, 20)] == [trace.turns[at].text(AGENT_TEXT) for at in (4, 20)]
    assert b"seven" not in raw(tmp_path).replace(b'"seven"', b"", 1), "but in the agent's own script, in the header"
    assert verify(path).ok


def test_slow_work_goes_that_was_asked_for_in_words_of_the_stretch_however_late_and_other_work_stays(tmp_path: Path) -> None:
    words = heard_late((5, f"look up {MARKER}"), (40, "look up anna"))
    plan = together(words, asks(9, f"look up {MARKER}", schedule="silent"), asks(43, "look up anna", schedule="silent"))
    trace = played(conversation(plan, user=LISTENER, latency_s=3.0), 70)
    path = save_trace(trace, tmp_path / "t.sqlite")
    results = [tick for tick, _ in trace.events(DelegationResult)]
    assert results[0] > 20
    erase(path, of_text(5, 5))
    assert MARKER.encode() not in raw(tmp_path)
    left = read_trace(path)
    assert [event.ask for _, event in left.events(DelegationCreated)] == ["look up anna"]
    assert [tick for tick, _ in left.events(DelegationResult)] == results[1:]
    assert [tick for tick in results if left.turns[tick].text(BACKGROUND_TEXT)] == results[1:]
    assert {event.task for _, event in left.events(DelegationChanged)} == {"2"}
    assert verify(path).ok


def test_what_was_typed_goes_with_all_that_is_told_of_the_work_it_asked_for(tmp_path: Path) -> None:
    user = Typist({5: ((USER_TEXT, f"look up {MARKER}"),)})
    path = save_trace(played(conversation(asks(8, f"look up {MARKER}"), user=user, says_notes=False), 40), tmp_path / "t.sqlite")
    assert raw(tmp_path).count(MARKER.encode()) > 5
    erase(path, of_text(4, 6))
    assert MARKER.encode() not in raw(tmp_path)
    assert verify(path).ok


def test_of_work_that_was_changed_in_words_of_the_stretch_goes_what_came_of_the_change(tmp_path: Path) -> None:
    plan = together(asked(3, "look up anna"), heard_late((30, f"no {MARKER}")), asks(33, f"no {MARKER}", act="amend"))
    trace = played(conversation(plan, user=LISTENER, latency_s=8.0, says_notes=False), 90)
    path = save_trace(trace, tmp_path / "t.sqlite")
    assert sum(MARKER in str(event) for _, event in trace.events(DelegationChanged)) == 1
    erase(path, of_text(30, 30))
    assert MARKER.encode() not in raw(tmp_path)
    left = read_trace(path)
    assert [event.ask for _, event in left.events(DelegationCreated)] == ["look up anna"]
    assert [event.after for _, event in left.events(DelegationChanged)] == ["running"]
    assert verify(path).ok


def test_estimates_go_that_were_made_of_words_of_the_stretch_and_only_those(tmp_path: Path) -> None:
    agent = Guessing(Hears(SilentAgent(), {4: "look", 5: "up", 6: MARKER, 7: "please", 30: "stop"}))
    trace = record(session := Session.start([SilentUser(40), agent], clock=CLOCK))
    session.run(40)
    path = save_trace(trace, tmp_path / "t.sqlite")
    erase(path, of_user(range(6, 7)))
    assert [event.words for _, event in read_trace(path).events(IntentEstimated)] == ["look", "look up", "stop"]
    assert MARKER.encode() not in raw(tmp_path)


def test_what_a_guard_found_later_goes_with_the_words_in_which_it_was_asked(tmp_path: Path) -> None:
    agent = Hears(ScriptedAgent(((6, ("one", "two", "three", "four", "five")),)), {3: "please open", 4: "the", 8: "safe"})
    trace = record(session := Session.start([SilentUser(9), Governed(agent, (SAFE,))], clock=CLOCK))
    session.run(40)
    path = save_trace(trace, tmp_path / "t.sqlite")
    erase(path, of_user(range(3, 5)))
    left = read_trace(path)
    assert list(left.events(GuardActed)) == []
    assert all("open the safe" not in str(event) for event in (*left.events(Decision), *left.events(ModelYielded)))


def test_what_comes_late_of_a_stretch_erased_in_a_running_session_is_written_without_its_words(tmp_path: Path) -> None:
    words = heard_late((5, f"look up {MARKER}"), (12, "thanks"), (40, "look up anna"))
    plan = together(words, asks(9, f"look up {MARKER}"), asks(43, "look up anna"))
    session = conversation(plan, user=LISTENER, says_notes=False)
    writer = TraceWriter(tmp_path / "t.sqlite", Header.of(session))
    session.sinks = (writer,)
    session.run(6)
    writer.erase(of_text(5, 5))  # before anything of it was noted
    session.run(64)
    writer.flush()
    assert MARKER.encode() not in raw(tmp_path)
    writer.close()
    assert MARKER.encode() not in raw(tmp_path)
    left = read_trace(tmp_path / "t.sqlite")
    assert [event.word for _, event in left.events(TranscriptDelta)] == ["thanks", "look", "up", "anna"]
    assert [event.ask for _, event in left.events(DelegationCreated)] == ["look up anna"]
    assert len(left) == 70
    assert verify(tmp_path / "t.sqlite").ok


def test_a_running_session_can_be_kept_off_the_record_for_a_while_to_come(tmp_path: Path) -> None:
    session = chat(seed=8, marker=MARKER)
    trace = record(session)
    with TraceWriter(tmp_path / "t.sqlite", Header.of(session), default=BIT_EXACT) as writer:
        session.sinks = (*session.sinks, writer)
        session.run(10)
        writer.erase(of_user(range(8, 15)))
        session.run(20)
    on_disk = raw(tmp_path)
    for tick in range(30):
        assert all((piece in on_disk) == (tick not in range(8, 15)) for piece in pieces(trace, USER_AUDIO, tick))
    assert verify(tmp_path / "t.sqlite").ok


def test_a_request_in_words_said_again_outside_the_stretch_stays_and_one_in_words_that_nobody_was_heard_to_say_goes(tmp_path: Path) -> None:
    plan = together(heard((5, f"look up {MARKER}")), asked(12, "look up ben"), asks(24, "call xyzzy"))
    path = save_trace(played(conversation(plan, user=LISTENER), 60), tmp_path / "t.sqlite")
    erase(path, of_text(5, 5))
    assert [event.ask for _, event in read_trace(path).events(DelegationCreated)] == ["look up ben"]


def test_in_a_running_session_a_late_decision_is_written_without_what_it_quotes(tmp_path: Path) -> None:
    agent = Hears(ScriptedAgent(((6, ("one", "two", "three", "four", "five")),)), {3: "please open", 4: "the", 8: "safe"})
    session = Session.start([SilentUser(9), Governed(agent, (SAFE,))], clock=CLOCK)
    with TraceWriter(tmp_path / "t.sqlite", Header.of(session)) as writer:
        session.sinks = (writer,)
        session.run(6)
        writer.erase(of_user(range(3, 5)))
        session.run(34)
    left = read_trace(tmp_path / "t.sqlite")
    assert [gate for _, event in left.events(Decision) for gate in event.gates] == [Gate("guard", ERASED, "<silence>", ERASED)]
    assert raw(tmp_path).count(b"open the safe") == 1, "the rule itself, in the header, is nobody's words"
    assert verify(tmp_path / "t.sqlite").ok


def test_through_the_commands_a_word_that_the_model_hears_late_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "answer"
    assert microturn("run", "--scenario", "answer", "--seed", 3, "--out", out) == 0
    path = out / "trace.sqlite"
    assert [tick for tick, event in read_trace(path).events(TranscriptDelta) if event.word == "seven"] == [9], "it sounds in 6 and 7"
    whole = ("--stream", "user.audio", "--from", "1.2s", "--to", "1.6s", "--who", "Ada", "--why", "asked for it")
    assert microturn("erase", out, *whole) == 0
    assert b'"word":"seven"' not in path.read_bytes()
    capsys.readouterr()
    assert microturn("inspect", out) == 0
    assert 'agent heard "tell me four"' in capsys.readouterr().out


def test_through_the_commands_what_was_typed_leaves_nothing_in_the_file(tmp_path: Path) -> None:
    out = tmp_path / "typed"
    assert microturn("run", "--type", "1s:look up anna", "--background", "local", "--lasts", "6s", "--out", out) == 0
    path = out / "trace.sqlite"
    assert path.read_bytes().count(b"look up anna") > 5
    whole = ("--stream", "user.text", "--from", "0.8s", "--to", "1.4s", "--who", "Ada", "--why", "asked for it")
    assert microturn("erase", out, *whole) == 0
    assert b"anna" not in path.read_bytes()
    assert verify(path).ok


def test_erasing_in_a_trace_that_was_changed_ends_as_inspecting_it_does(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    recorded(path, ticks=12)
    whole = ("--stream", "user.audio", "--to", "1s", "--who", "Ada", "--why", "asked for it")
    assert microturn("erase", path, *whole) == 0
    with sqlite3.connect(path) as file:
        file.execute("UPDATE event SET body = json_set(body, '$.said', 'yes') WHERE kind = 'decision' AND tick = 9")
    assert microturn("erase", path, *whole) == 1
    assert microturn("inspect", path) == 1
