"""Rules between an agent and its loudspeaker: each changes what is heard for a reason that stands in the decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from workbench.agents import ScriptedAgent
from workbench.check import check_participant
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError, TraceError
from workbench.events import (
    Decision,
    Event,
    Gate,
    GatesActed,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    TranscriptDelta,
    UserSpeechStarted,
    UserSpeechStopped,
)
from workbench.explain import summary, why
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, MicroTurn, Packet
from workbench.policies import BargeIn, Governed, Hold, MaxOverlap, MinConfidence, Policy, QuietHours, QuietTimes, SpeakOver, SpeechBudget
from workbench.replay import rebuild, replay
from workbench.rules import POLICIES, View
from workbench.session import Said, Session
from workbench.trace import Trace, record
from workbench.users import SilentUser

CLOCK = ClockSpec(tick_ms=200, sample_rate=1000)
LENGTH = 5  # ticks of an utterance; each of its words lasts two


@dataclass(frozen=True)
class Talker:
    """Begins an utterance in each of `starts`, and perceives the user's voice in the ticks from `user` on to its end."""

    starts: tuple[int, ...]
    user: tuple[int, int] = (99, 99)
    word: str = "one"
    p: float = 0.8
    length: int = LENGTH
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Talker"}

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        at_s = CLOCK.seconds(tick)
        events: list[Event] = [Decision(floor="", said="", p_speak=self.p, p_yield=0.25, p_backchannel=0, threshold=0.5)]
        events += [UserSpeechStarted(at_s=at_s)] * (tick == self.user[0]) + [UserSpeechStopped(at_s=at_s)] * (tick == self.user[1])
        since = min([tick - start for start in self.starts if tick >= start], default=99)
        if since == self.length:
            events.append(ModelSpeechStopped(at_s=at_s))
        if since >= self.length:
            return Said((), tuple(events)), None
        events += [ModelSpeechStarted(at_s=at_s)] * (since == 0)
        packets = [Packet(AGENT_AUDIO, tick, np.full(CLOCK.samples_per_tick, 0.5, np.float32))]
        if since % 2 == 0:
            packets.append(Packet(AGENT_TEXT, tick, self.word))
            events.append(TranscriptDelta(side="model", word=self.word, start_s=at_s, end_s=at_s + 0.4))
        return Said(tuple(packets), tuple(events)), None


def heard(talker: Talker, *policies: Policy, ticks: int = 24) -> tuple[Trace, list[int], list[tuple[int, str]]]:
    """The trace, the ticks in which the agent sounded in full, and the gates with their ticks."""
    session = Session.start([Governed(talker, policies)], clock=CLOCK)
    trace = record(session)
    session.run(ticks)
    loud = [t.tick for t in trace.turns if float(t.audio(AGENT_AUDIO, 200).mean()) > 0.4]
    return trace, loud, [(tick, gate.name) for tick, e in trace.events(Decision) for gate in e.gates]


def test_without_an_objection_nothing_changes() -> None:
    trace, loud, gates = heard(Talker((2, 10)), SpeakOver("never"), BargeIn("at_once"), MaxOverlap(1.0))
    assert (loud, gates) == ([2, 3, 4, 5, 6, 10, 11, 12, 13, 14], [])
    assert len(list(trace.events(TranscriptDelta))) == 6


@pytest.mark.parametrize(
    ("policy", "word", "may"),
    [
        (SpeakOver("never"), "mhm", False),
        (SpeakOver("backchannel"), "mhm", True),
        (SpeakOver("backchannel"), "one", False),
        (SpeakOver("on_cue", cues=("watch",)), "watch", True),
        (SpeakOver("on_cue", cues=("watch",)), "one", False),
        (SpeakOver("always"), "one", True),
    ],
)
def test_who_may_speak_over_the_user(policy: SpeakOver, word: str, may: bool) -> None:
    trace, loud, gates = heard(Talker((4,), user=(2, 6), word=word), policy)
    assert loud == ([4, 5, 6, 7, 8] if may else [])  # an utterance that was not allowed to begin is silent to its end
    assert gates == ([] if may else [(4, "speak over")])
    assert bool(list(trace.events(TranscriptDelta, ModelSpeechStarted))) == may


@pytest.mark.parametrize(
    ("policy", "loud_until"), [(BargeIn("at_once"), 3), (BargeIn("finish_word"), 3), (BargeIn("hold"), 6), (MaxOverlap(0.4), 4)]
)
def test_speech_is_cut_where_the_rule_says(policy: Policy, loud_until: int) -> None:
    trace, loud, _ = heard(Talker((2,), user=(4, 12)), policy)
    assert loud == list(range(2, loud_until + 1))
    yields = [(tick, e.reason) for tick, e in trace.events(ModelYielded)]
    assert [tick for tick, _ in yields] == ([] if loud_until == 6 else [loud_until + 1])
    assert {e.p_yield for _, e in trace.events(ModelYielded)} <= {0.25}  # what the agent decided, which was not to yield
    assert len(list(trace.events(ModelSpeechStopped))) == 1


def test_a_word_is_finished_before_the_cut() -> None:
    _, at_once, _ = heard(Talker((2,), user=(5, 12)), BargeIn("at_once"))
    _, finished, _ = heard(Talker((2,), user=(5, 12)), BargeIn("finish_word"))
    assert (at_once, finished) == ([2, 3, 4], [2, 3, 4, 5])


def counter(*user: int) -> Talker:
    """Counts as our model does: every word is an utterance of its own, two ticks of sound and one of silence."""
    return Talker(tuple(range(2, 24, 3)), user=(user[0], user[1]), length=2)


@pytest.mark.parametrize(
    ("policy", "user", "loud", "gates"),
    [
        (BargeIn("at_once"), (9, 13), [2, 3, 5, 6, 8, 14, 15, 17, 18, 20, 21, 23], [9, 11]),
        (BargeIn("finish_word"), (9, 13), [2, 3, 5, 6, 8, 9, 14, 15, 17, 18, 20, 21, 23], [11]),
        (BargeIn("hold"), (9, 13), [2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23], []),
        (BargeIn("at_once"), (10, 13), [2, 3, 5, 6, 8, 9, 14, 15, 17, 18, 20, 21, 23], [11]),
        (MaxOverlap(0.4), (6, 15), [2, 3, 5, 6, 17, 18, 20, 21, 23], [8, 11, 14]),
        (MaxOverlap(0.6), (6, 15), [2, 3, 5, 6, 8, 17, 18, 20, 21, 23], [9, 11, 14]),
    ],
)
def test_who_was_talked_over_says_no_further_word_until_the_user_falls_silent(
    policy: Policy, user: tuple[int, int], loud: list[int], gates: list[int]
) -> None:
    trace, heard_ticks, found = heard(counter(*user), policy)
    assert heard_ticks == loud
    assert found == [(tick, policy.name) for tick in gates]
    reasons = [gate.reason for _, event in trace.events(Decision) for gate in event.gates]
    assert all("the user began to speak" in reason or "both have spoken for 0." in reason for reason in reasons)


@pytest.mark.parametrize("rule", [BargeIn("finish_word"), BargeIn("at_once")])
@pytest.mark.parametrize("length", [1, 2])
def test_what_the_agent_begins_over_the_user_is_not_kept_from_beginning_by_barge_in(rule: BargeIn, length: int) -> None:
    back_channels = Talker((6, 10, 14, 18), user=(2, 22), word="mhm", length=length)
    trace, loud, gates = heard(back_channels, SpeakOver("backchannel"), rule)
    if rule.mode == "finish_word" or length == 1:
        assert (loud, gates) == ([start + tick for start in (6, 10, 14, 18) for tick in range(length)], [])
    else:  # both speak, and what was cut does not begin again
        assert (loud, gates) == ([6], [(tick, "barge-in") for tick in (7, 10, 14, 18)])
        reasons = [gate.reason for _, event in trace.events(Decision) for gate in event.gates]
        assert reasons == ["the user speaks", *["it was cut, and the user has not fallen silent"] * 3]


def test_a_back_channel_may_begin_again_once_the_user_who_spoke_over_the_agent_has_been_silent() -> None:
    @dataclass(frozen=True)
    class Twice(Talker):
        """Perceives the user's voice a second time, in ticks 12 to 20."""

        def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
            said, state = super().step(state, tick, heard)
            at_s = CLOCK.seconds(tick)
            again = [UserSpeechStarted(at_s=at_s)] * (tick == 12) + [UserSpeechStopped(at_s=at_s)] * (tick == 20)
            return replace(said, events=(*said.events, *again)), state

    _, loud, gates = heard(Twice((2, 6, 14, 17), user=(3, 8), word="mhm", length=2), BargeIn("finish_word"))
    assert (loud, gates) == ([2, 3, 14, 15, 17, 18], [(6, "barge-in")])


def test_a_stop_that_a_rule_forced_is_told_as_such_in_traces_old_and_new() -> None:
    trace, _, _ = heard(counter(9, 13), BargeIn("at_once"))
    told = why(trace, 1.9)
    assert told.headline == "At 1.8 s the agent was cut by barge-in: the user began to speak."
    assert "cut at 1.80 s, not by its own choice: p(yield) 0.250" in told.reasons
    assert [row.why for row in summary(trace) if row.what == "<yield>"] == ["cut by barge-in: the user began to speak"]
    assert "because barge-in gate: wanted one, did <silence> (the user began to speak over it" in why(trace, 2.3).headline
    events = (replace(e, p_yield=1.0) if isinstance(e, ModelYielded) else e for e in trace.turns[9].events)
    old = Trace(trace.header, [*trace.turns[:9], replace(trace.turns[9], events=tuple(events)), *trace.turns[10:]])
    assert str(why(old, 1.9)) == str(told)


def test_a_cut_fades_and_does_not_click() -> None:
    trace, _, _ = heard(Talker((2,), user=(4, 12)), BargeIn("at_once"))
    audio = trace.turns[4].audio(AGENT_AUDIO, 200)
    assert audio[0] == pytest.approx(0.5)
    assert np.all(np.diff(audio) <= 0)
    assert np.all(audio[10:] == 0)


def test_quiet_hours_budget_and_confidence_are_kept() -> None:
    assert heard(Talker((2, 10)), QuietHours(1.8, 3.0))[1:] == ([2, 3, 4, 5, 6], [(10, "quiet hours")])
    assert heard(Talker((2, 10, 18)), SpeechBudget(1.2))[1:] == ([2, 3, 4, 5, 6, 10, 11, 12, 13, 14], [(18, "budget")])
    assert heard(Talker((2,), p=0.3), MinConfidence(0.5))[1:] == ([], [(2, "confidence")])


def test_quiet_times_hold_every_day_by_the_clock_on_the_wall() -> None:
    night = QuietTimes(22 * 3600, 7 * 3600, began_s=7 * 3600 - 1.6)  # the session begins 1.6 s before seven
    trace, loud, gates = heard(Talker((2, 10)), night)
    assert (loud, gates) == ([10, 11, 12, 13, 14], [(2, "quiet hours")])
    reason = next(gate.reason for _, event in trace.events(Decision) for gate in event.gates)
    assert reason == "it is to be quiet from 22:00 to 07:00, and it is 06:59"
    assert heard(Talker((2, 10)), QuietTimes(3600, 7200, began_s=86_400 - 0.4))[1] == [2, 3, 4, 5, 6, 10, 11, 12, 13, 14]
    with pytest.raises(InputError, match="quiet hours from 22:00 to 07:00 go by the clock on the wall, and a simulated session has none"):
        heard(Talker((2,)), QuietTimes(22 * 3600, 7 * 3600))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxOverlap(float("nan")), "max overlap of nan s is no length of time; give seconds, zero or more"),
        (lambda: MaxOverlap(-3), "max overlap of -3 s"),
        (lambda: SpeechBudget(-1), "budget of -1 s is no length of time"),
        (lambda: MinConfidence(7), "confidence 7 is no probability; give a number from 0 to 1"),
        (lambda: QuietHours(5, 2), "quiet hours from 5 to 2 s are never"),
        (lambda: QuietHours(float("nan"), 2), "quiet hours from nan to 2 s are never"),
        (lambda: QuietTimes(3600, 3600), "two of them must differ"),
        (lambda: QuietTimes(0, 86_400), "a time of day is from 00:00 to 23:59"),
        (lambda: SpeakOver("on_cue"), "speak over on_cue has no words"),
        (lambda: SpeakOver("loud"), "speak over 'loud' is no rule; give one of never, backchannel, on_cue, always"),  # type: ignore[arg-type]
        (lambda: BargeIn("now"), "barge-in 'now' is no rule; give one of at_once, finish_word, hold"),  # type: ignore[arg-type]
        (lambda: Hold(patience_s=float("nan")), "ticks and patience_s are zero or more"),
    ],
)
def test_a_number_that_makes_no_rule_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_rules_add_up_and_each_tells_its_reason() -> None:
    trace, loud, gates = heard(Talker((4,), user=(2, 6), p=0.3), SpeakOver("never"), MinConfidence(0.5))
    assert (loud, gates) == ([], [(4, "speak over"), (4, "confidence")])
    reasons = [gate.reason for _, event in trace.events(Decision) for gate in event.gates]
    assert reasons == ["the user speaks, and nothing may be said over them", "p(speak) 0.30 < 0.50"]


def test_two_sessions_differ_only_where_the_rule_differs() -> None:
    one, two = heard(Talker((2, 10)))[0], heard(Talker((2, 10)), QuietHours(1.8, 3.0))[0]
    assert [a.tick for a, b in zip(one.turns, two.turns, strict=True) if a.events != b.events] == [10, 12, 14, 15]


@dataclass(frozen=True)
class Untold(Talker):
    """The same talker without a record of what it decides."""

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        said, _ = super().step(state, tick, heard)
        return replace(said, events=tuple(event for event in said.events if not isinstance(event, Decision))), None


@pytest.mark.parametrize("policy", [SpeakOver("never"), BargeIn("at_once"), MaxOverlap(0.4), QuietHours(1, 2), SpeechBudget(0.5)])
def test_a_gate_that_acts_on_an_agent_without_decisions_is_recorded_on_its_own(policy: Policy) -> None:
    """With the same reason in the same tick as the decision of one that leaves some has it, and everything else is the same."""
    (told, loud, gates), (untold, untold_loud, none) = (heard(kind((2, 9), user=(4, 12)), policy) for kind in (Talker, Untold))
    assert loud == untold_loud
    assert none == []
    assert gates
    assert [(t, g) for t, e in untold.events(GatesActed) for g in e.gates] == [(t, g) for t, e in told.events(Decision) for g in e.gates]
    assert not list(told.events(GatesActed))
    others = [[e for e in trace.all_events() if not isinstance(e[1], Decision | GatesActed)] for trace in (told, untold)]
    assert [(t, e) for t, e in others[0] if not isinstance(e, ModelYielded)] == [
        (t, e) for t, e in others[1] if not isinstance(e, ModelYielded)
    ]


def test_what_a_rule_did_to_an_agent_without_decisions_is_told_and_numbers_are_not_made_up() -> None:
    trace, loud, _ = heard(Untold((2, 9), user=(4, 12)), BargeIn("at_once"), SpeakOver("never"))
    assert loud == [2, 3]
    cut, silent = why(trace, 0.8), why(trace, 1.8)
    assert cut.headline == "At 0.8 s the agent was cut by barge-in: the user began to speak."
    assert 'cut at 0.80 s, not by its own choice; unsaid: "one"' in cut.reasons
    assert silent.headline.startswith("At 1.8 s the agent stayed silent because barge-in gate: wanted one, did <silence> (")
    assert (cut.decision, silent.decision) == (None, None)
    assert not any("p(speak)" in reason for reason in (*cut.reasons, *silent.reasons))
    assert [row.why for row in summary(trace) if row.what == "<yield>"] == ["cut by barge-in: the user began to speak, unsaid: one"]
    assert why(trace, 0.4).headline == 'At 0.4 s the agent began to say "one"; it left no decision record.'


def test_an_agent_without_decisions_is_replayed_with_its_gates() -> None:
    governed = Governed(ScriptedAgent(((3, ("two",)), (12, ("four",)))), (QuietHours(0, 1),))
    session = Session.start([SilentUser(30), governed])
    trace = record(session)
    session.run(20)
    [(tick, acted)] = trace.events(GatesActed)
    assert (tick, acted.gates) == (3, (Gate("quiet hours", "two", "<silence>", "it is to be quiet from 0 to 1 s"),))
    assert replay(trace).difference is None


def test_a_governed_agent_keeps_the_rules_of_participants() -> None:
    governed = Governed(ScriptedAgent(((3, ("two",)),)), (SpeakOver("never"), QuietHours(0, 2)))
    assert check_participant(governed).ok, check_participant(governed)
    assert governed.with_threshold is None
    rebuilt = rebuild(record(Session.start([SilentUser(9), governed])))
    assert rebuilt.participants[1] == governed
    assert governed.spec()["policies"][1] == {"class": "QuietHours", "from_s": 0, "to_s": 2, "name": "quiet hours"}
    for wrong in (object(), SpeakOver):
        with pytest.raises(InputError, match="is no rule; give an instance of a class with a name and a method objection"):
            Governed(ScriptedAgent(()), (wrong,))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two policies are called 'budget'"):
        Governed(ScriptedAgent(()), (SpeechBudget(1), SpeechBudget(2)))


class NoFive:
    """A rule as somebody may write it, with no more than it needs."""

    name = "no five"

    def objection(self, view: View) -> str:
        return "five is not said" if "five" in view.words else ""


def test_a_rule_of_ones_own_needs_a_name_and_an_objection_and_is_made_again_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    _, loud, gates = heard(Talker((2,), word="five"), NoFive())
    assert (loud, gates) == ([], [(2, "no five")])
    session = Session.start([SilentUser(30), Governed(ScriptedAgent(((3, ("four", "five")), (12, ("six",)))), (NoFive(),))])
    trace = record(session)
    session.run(30)
    assert [event.word for _, event in trace.events(TranscriptDelta)] == ["six"]
    with pytest.raises(TraceError, match=r"the rule 'NoFive' is none of SpeakOver, .*made again where POLICIES of workbench.rules has it"):
        replay(trace)
    monkeypatch.setattr("workbench.rules.POLICIES", {**POLICIES, "NoFive": NoFive})
    assert replay(trace).difference is None
