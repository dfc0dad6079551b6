"""A recorded session runs again to the same decisions; a fork is the same until the edit; `why` reads the reasons off the trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scenario_fakes import play_family
from workbench.agents import EchoAgent, OracleAgent, SilentAgent
from workbench.background.by_rule import ByRule
from workbench.background.telling import Delegating
from workbench.clock import ClockSpec, Tick
from workbench.compare import first_difference
from workbench.errors import InputError, TraceError
from workbench.events import Decision, Edited, Event, Gate, ModelYielded, TranscriptDelta, TruthExpect, TruthWord
from workbench.explain import reason_of, summary, why
from workbench.intents import Guessing
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, MicroTurn, Packet
from workbench.policies import Governed, Hold, MaxOverlap
from workbench.replay import Edit, TraceUser, fork, other_weights, rebuild, replay, under
from workbench.serve.noted import Noted
from workbench.session import Participant, Said, Session
from workbench.store import Keep, TraceWriter, read_trace, save_trace
from workbench.trace import Trace, record
from workbench.users import RecordedUser, ScriptedUser, SilentUser

CLOCK = ClockSpec()


@dataclass(frozen=True)
class LevelAgent:
    """Hums while the user is louder than its threshold says: a neural agent in small, with a decision record each tick."""

    threshold: float = 0.5
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO,)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "LevelAgent", "threshold": self.threshold}

    def with_threshold(self, threshold: float) -> LevelAgent:
        return replace(self, threshold=threshold)

    def start(self, clock: ClockSpec, seed: int) -> float:
        return 0.0

    def step(self, state: float, tick: Tick, heard: MicroTurn) -> tuple[Said, float]:
        level = 0.5 * state + float(np.abs(heard.audio(USER_AUDIO, CLOCK.samples_per_tick)).mean())
        p_speak = level / (1 + level)
        hums = p_speak >= self.threshold
        said = "hum" if hums else ""
        gate = Gate("threshold", "hum", "<silence>", f"p(speak) {p_speak:.2f} < threshold {self.threshold:.2f}")
        gates = (gate,) if 0.3 < p_speak < self.threshold else ()
        decision = Decision(
            floor="speak" if hums else "listen",
            said=said,
            p_speak=p_speak,
            p_yield=0.0,
            p_backchannel=0.0,
            threshold=self.threshold,
            top=(("hum", p_speak),),
            gates=gates,
        )
        events: tuple[Event, ...] = (decision,)
        if not hums:
            return Said((), events), level
        at_s = CLOCK.seconds(tick)
        events = (*events, TranscriptDelta(side="model", word="hum", start_s=at_s, end_s=at_s + 0.2))
        wave = (0.1 * np.sin(np.arange(CLOCK.samples_per_tick) / 9)).astype(np.float32)
        return Said((Packet(AGENT_TEXT, tick, "hum"), Packet(AGENT_AUDIO, tick, wave)), events), level


def recorded(threshold: float = 0.45, agent: Participant | None = None) -> Trace:
    """Five seconds: the user is loud from 1 to 2 s and from 3 to 4 s."""
    samples = np.zeros(5 * 16_000, np.float32)
    rng = np.random.default_rng(4)
    for start_s in (1, 3):
        samples[start_s * 16_000 : (start_s + 1) * 16_000] = rng.uniform(-1, 1, 16_000)
    session = Session.start([RecordedUser(samples, tail_s=1.0), agent or LevelAgent(threshold)], seed=2)
    trace = record(session, labels={"recording": "made up"})
    session.run(100)
    return trace


def hums(trace: Trace) -> list[int]:
    return [turn.tick for turn in trace.turns if turn.text(AGENT_TEXT)]


@pytest.mark.parametrize(("codec", "exact"), [("f32", True), ("pcm16", False)])
def test_a_recorded_session_replays_from_its_file_to_the_same_decisions(tmp_path: Path, codec: Any, exact: bool) -> None:
    trace = recorded()
    assert hums(trace)
    stored = read_trace(save_trace(trace, tmp_path / "t.sqlite", default=Keep(codec=codec)))
    again = replay(stored, agent=LevelAgent(0.45))
    assert again.difference is None
    assert first_difference(stored, again.trace, exact=exact) is None
    assert again.trace.header.participants["user"] == {"class": "TraceUser", "of": trace.header.participants["user"], "ticks": 30}


def test_another_agent_differs_at_the_first_other_decision() -> None:
    again = replay(recorded(), agent=LevelAgent(0.3))
    assert again.difference is not None
    first = min(set(hums(again.trace)) ^ set(hums(recorded())))
    assert again.difference.tick <= first
    assert "agent" in str(again.difference) or "decision" in str(again.difference)


def test_a_replay_of_a_replay_is_the_same_again() -> None:
    once = replay(recorded(), agent=LevelAgent(0.45)).trace
    assert replay(once, agent=LevelAgent(0.45)).difference is None


def test_copies_are_as_old_as_what_they_are_made_of_and_under_the_same_consent() -> None:
    trace = recorded()
    trace.header = replace(trace.header, consent={"given": True, "retention": {AGENT_AUDIO: "none"}}, created="2026-01-02T03:04:05+00:00")
    agent = LevelAgent(0.45)
    copies = [replay(trace, agent=agent).trace, fork(trace, 2.0, Edit(threshold=0.9), agent=agent).trace, under(trace)]
    for header in (copy.header for copy in copies):
        assert (header.consent, header.created) == (trace.header.consent, trace.header.created)


def test_a_fork_is_the_same_until_the_edit_and_says_what_was_edited() -> None:
    trace = recorded()
    what_if = fork(trace, 3.0, Edit(threshold=0.01), agent=LevelAgent(0.45))
    assert what_if.difference is not None
    assert what_if.difference.tick == 15
    assert first_difference(Trace(trace.header, trace.turns[:15]), Trace(trace.header, what_if.trace.turns[:15])) is None
    assert [(tick, e.participant, e.note) for tick, e in what_if.trace.events(Edited)] == [(15, "agent", "threshold 0.01")]
    assert set(hums(what_if.trace)) > set(hums(trace))
    assert len(hums(trace)) == len([t for t in hums(recorded()) if t < 100]), "the fork changed the trace it came from"


def test_muting_the_user_takes_out_what_was_said() -> None:
    trace = recorded()
    assert [t for t in hums(trace) if t >= 15]
    what_if = fork(trace, 3.0, Edit(mute_user_s=1.0), agent=LevelAgent(0.45)).trace
    assert [t for t in hums(what_if) if t >= 16] == []
    assert not what_if.audio(USER_AUDIO)[3 * 16_000 : 4 * 16_000].any()
    assert [tick for tick, _ in what_if.events(Edited)] == [15, 16, 17, 18, 19]


def test_a_fork_whose_past_cannot_be_rebuilt_is_refused() -> None:
    with pytest.raises(TraceError, match=r"the past of this fork differs from the trace \(tick \d+.*with the checkpoint and version"):
        fork(recorded(), 4.0, Edit(threshold=0.5), agent=LevelAgent(0.2))


def test_forks_and_edits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="a fork without an edit is a replay"):
        Edit()
    with pytest.raises(InputError, match=r"threshold 1.5 is no probability"):
        Edit(threshold=1.5)
    with pytest.raises(InputError, match="9 s is outside this session; it runs from 0 to 6 s"):
        fork(recorded(), 9.0, Edit(threshold=0.5), agent=LevelAgent(0.45))
    silent = recorded()
    silent.header.participants["agent"] = {"class": "SilentAgent"}  # type: ignore[index]
    with pytest.raises(TraceError, match="the past of this fork differs"):
        fork(silent, 4.0, Edit(threshold=0.5))


def test_a_participant_that_nobody_can_rebuild_is_named() -> None:
    with pytest.raises(
        TraceError, match=r"'agent' was a LevelAgent, which cannot be rebuilt; known are ScriptedUser.*replay\(trace, agent=…\)"
    ):
        replay(recorded())
    trace = recorded()
    trace.header.participants["helper"] = {"class": "X"}  # type: ignore[index]
    with pytest.raises(TraceError, match=r"participants \['helper'\], who cannot be rebuilt"):
        rebuild(trace)


def test_a_trace_user_keeps_the_ground_truth_and_ends_with_the_trace() -> None:
    trace = recorded()
    word = TruthWord(word="loud", start_s=1.0, end_s=2.0)
    trace.turns[5] = replace(trace.turns[5], events=(word, *trace.turns[5].events))
    again = replay(trace, agent=LevelAgent(0.45)).trace
    assert list(again.events(TruthWord)) == [(5, word)]
    session = Session.start([TraceUser(trace)]).run(1000)
    assert session.tick == len(trace)


def explained() -> Trace:
    trace = recorded()
    extra: dict[int, tuple[Event, ...]] = {
        5: (TranscriptDelta(side="user", word="count", start_s=1.0, end_s=1.4),),
        6: (TruthExpect(id="0", what="reply", anchor="end of the question", anchor_s=1.4, from_s=0.0, to_s=1.0, words=("hum",)),),
        22: (ModelYielded(at_s=4.4, p_yield=0.8, reason="the user said stop", unsaid="hum hum"),),
    }
    for tick, events in extra.items():
        trace.turns[tick] = replace(trace.turns[tick], events=(*events, *trace.turns[tick].events))
    return trace


def test_why_tells_in_words_and_numbers_why_the_agent_spoke_or_not() -> None:
    trace = explained()
    first = hums(trace)[0]
    spoke = why(trace, CLOCK.seconds(first) + 0.1)
    assert (spoke.tick, spoke.outcome) == (first, "spoke")
    p_speak = next(e.p_speak for t, e in trace.events(Decision) if t == first)
    assert (
        spoke.headline
        == f'At {CLOCK.seconds(first):.1f} s the agent began to say "hum" because p(speak) {p_speak:.2f} reached its threshold 0.45.'
    )
    assert [w.text for w in spoke.heard] == ["count"]
    assert spoke.evidence == (5, first)
    assert any('expected: reply "hum" between 1.40 and 2.40 s (end of the question at 1.40 s)' in r for r in spoke.reasons)
    silent = why(trace, 0.5)
    assert silent.outcome == "stayed silent"
    assert "p(speak) 0.00 stayed below its threshold 0.45" in silent.headline
    assert "no words heard in the 3 s before" in silent.reasons
    yielded = why(trace, 4.5)
    assert yielded.outcome == "yielded"
    assert 'yielded at 4.40 s: the user said stop, p(yield) 0.800; unsaid: "hum hum"' in yielded.reasons
    assert "evidence: ticks" in str(yielded)
    assert yielded.to_json()["decision"]["threshold"] == 0.45


def test_a_gate_is_the_reason_when_one_acted() -> None:
    gated = [e for _, e in recorded(0.45).events(Decision) if e.gates]
    assert gated
    assert reason_of(gated[0]).startswith("threshold gate: wanted hum, did <silence> (p(speak) 0.")


def test_the_summary_has_a_row_for_every_phrase_and_yield_in_order() -> None:
    trace = explained()
    rows = summary(trace)
    assert [row.start_s for row in rows] == sorted(row.start_s for row in rows)
    assert rows[0].who == "user"
    assert rows[0].what == "count"
    spoken = [row for row in rows if row.who == "agent" and row.what != "<yield>"]
    assert " ".join(row.what for row in spoken).split() == ["hum"] * len(hums(trace))
    assert all("reached its threshold 0.45" in row.why for row in spoken)
    (gave_way,) = [row for row in rows if row.what == "<yield>"]
    assert gave_way.why == "the user said stop, p(yield) 0.80, unsaid: hum hum"


def test_why_outside_the_session_is_refused() -> None:
    with pytest.raises(InputError, match="99 s is outside this session; it runs from 0 to 6 s"):
        why(recorded(), 99.0)


def test_a_muted_user_goes_on_being_seen() -> None:
    trace = play_family("tell_when", 3)
    what_if = fork(trace, 1.0, Edit(mute_user_s=2.0), agent=OracleAgent()).trace
    seen = [turn.frames(USER_CAMERA) is not None for turn in trace.turns[5:15]]
    assert any(seen)
    assert [turn.frames(USER_CAMERA) is not None for turn in what_if.turns[5:15]] == seen
    assert not any(np.abs(turn.audio(USER_AUDIO, 3200)).max() for turn in what_if.turns[5:15])


def test_an_agent_in_the_place_of_another_is_under_the_rules_of_that_one() -> None:
    held = recorded(agent=Governed(LevelAgent(0.45), (MaxOverlap(9.0),), Hold(ticks=4)))
    assert hums(held) != hums(recorded())
    assert replay(held, agent=LevelAgent(0.45)).difference is None
    assert fork(held, 3.0, Edit(mute_user_s=1.0), agent=LevelAgent(0.45)).difference is not None


def test_all_that_an_agent_was_wrapped_in_is_put_around_another_one() -> None:
    inner = ByRule(Guessing(EchoAgent()), ("draw",))
    wrapped = Delegating(Governed(Noted(inner), (MaxOverlap(2.0),), Hold(ticks=1, patience_s=0.4)))
    trace = record(Session.start([SilentUser(9), wrapped]))
    other = rebuild(trace, agent=SilentAgent()).participants[1]
    assert other == replace(wrapped, agent=replace(wrapped.agent, agent=Noted(replace(inner, agent=Guessing(SilentAgent())))))


def test_an_agent_that_comes_wrapped_takes_the_place_of_all_of_it() -> None:
    trace = record(Session.start([SilentUser(9), Delegating(Governed(EchoAgent(), (), Hold(ticks=4)))]))
    mine = Governed(EchoAgent(), (MaxOverlap(1.0),))
    assert rebuild(trace, agent=mine).participants[1] == Delegating(mine)


def kept_of(trace: Trace, path: Path, **keep: str) -> Trace:
    """The trace as a file gives it back that keeps of these streams only so much."""
    keeps = {f"{side}.audio": Keep(retention) for side, retention in keep.items()}  # type: ignore[arg-type]
    with TraceWriter(path, trace.header, keep=keeps, default=Keep(codec="f32")) as writer:
        for turn in trace.turns:
            writer.append(turn)
    return read_trace(path)


@pytest.mark.parametrize("retention", ["none", "features"])
def test_what_was_not_kept_cannot_be_heard_again(tmp_path: Path, retention: str) -> None:
    trace = kept_of(recorded(), tmp_path / "t.sqlite", user=retention)
    assert trace.not_kept == {USER_AUDIO: retention}
    why = rf"user.audio was not kept in this trace \(retention '{retention}'\), and the agent heard it, so what it did cannot be done again"
    with pytest.raises(TraceError, match=why):
        replay(trace, agent=LevelAgent(0.45))
    with pytest.raises(TraceError, match=why):
        fork(trace, 3.0, Edit(threshold=0.2), agent=LevelAgent(0.45))


def test_streams_that_were_not_kept_and_not_heard_are_no_difference(tmp_path: Path) -> None:
    trace = kept_of(recorded(), tmp_path / "t.sqlite", agent="none")
    assert not trace.audio(AGENT_AUDIO).any()
    assert replay(trace, agent=LevelAgent(0.45)).difference is None
    assert replay(trace, agent=LevelAgent(0.3)).difference is not None
    deaf = LevelAgent(0.45, hears=())
    assert replay(kept_of(recorded(agent=deaf), tmp_path / "d.sqlite", user="none"), agent=deaf).difference is None


def test_a_user_who_is_rebuilt_says_again_what_was_not_kept(tmp_path: Path) -> None:
    session = rebuild(play_family("stop", 7), user="rebuilt")
    whole = record(session)
    session.run(200)
    assert isinstance(session.participants[0], ScriptedUser)
    trace = kept_of(whole, tmp_path / "t.sqlite", user="none")
    what_if = fork(trace, 3.0, Edit(mute_user_s=1.0))
    assert first_difference(replace(whole, turns=whole.turns[:15]), replace(what_if.trace, turns=what_if.trace.turns[:15])) is None


def test_a_fork_by_other_weights_says_so_before_it_says_where_it_differs() -> None:
    def weighted(agent: LevelAgent, weights: str) -> LevelAgent:
        @dataclass(frozen=True)
        class Weighted(LevelAgent):
            def spec(self) -> Mapping[str, Any]:
                return {**super().spec(), "weights": weights}

        return Weighted(agent.threshold)

    trace = recorded(agent=weighted(LevelAgent(0.45), "aa"))
    with pytest.raises(TraceError, match=r"^made with weights aa, these are bb; the past of this fork differs from the trace"):
        fork(trace, 4.0, Edit(threshold=0.5), agent=weighted(LevelAgent(0.2), "bb"))
    assert other_weights(trace.header, trace.header) == ""
    assert other_weights(recorded().header, trace.header) == "", "an older trace does not say"
