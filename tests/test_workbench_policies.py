"""Rules between an agent and its loudspeaker: each changes what is heard for a reason that stands in the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from workbench.agents import ScriptedAgent
from workbench.check import check_participant
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import (
    Decision,
    Event,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    TranscriptDelta,
    UserSpeechStarted,
    UserSpeechStopped,
)
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, MicroTurn, Packet
from workbench.policies import BargeIn, Governed, MaxOverlap, MinConfidence, Policy, QuietHours, SpeakOver, SpeechBudget
from workbench.replay import rebuild
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
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Talker"}

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        at_s = CLOCK.seconds(tick)
        events: list[Event] = [Decision(floor="", said="", p_speak=self.p, p_yield=0, p_backchannel=0, threshold=0.5)]
        events += [UserSpeechStarted(at_s=at_s)] * (tick == self.user[0]) + [UserSpeechStopped(at_s=at_s)] * (tick == self.user[1])
        since = min([tick - start for start in self.starts if tick >= start], default=99)
        if since == LENGTH:
            events.append(ModelSpeechStopped(at_s=at_s))
        if since >= LENGTH:
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
    assert len(list(trace.events(ModelSpeechStopped))) == 1


def test_a_word_is_finished_before_the_cut() -> None:
    _, at_once, _ = heard(Talker((2,), user=(5, 12)), BargeIn("at_once"))
    _, finished, _ = heard(Talker((2,), user=(5, 12)), BargeIn("finish_word"))
    assert (at_once, finished) == ([2, 3, 4], [2, 3, 4, 5])


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


def test_rules_add_up_and_each_tells_its_reason() -> None:
    trace, loud, gates = heard(Talker((4,), user=(2, 6), p=0.3), SpeakOver("never"), MinConfidence(0.5))
    assert (loud, gates) == ([], [(4, "speak over"), (4, "confidence")])
    reasons = [gate.reason for _, event in trace.events(Decision) for gate in event.gates]
    assert reasons == ["the user speaks, and nothing may be said over them", "p(speak) 0.30 < 0.50"]


def test_two_sessions_differ_only_where_the_rule_differs() -> None:
    one, two = heard(Talker((2, 10)))[0], heard(Talker((2, 10)), QuietHours(1.8, 3.0))[0]
    assert [a.tick for a, b in zip(one.turns, two.turns, strict=True) if a.events != b.events] == [10, 12, 14, 15]


def test_a_governed_agent_keeps_the_rules_of_participants() -> None:
    governed = Governed(ScriptedAgent(((3, ("two",)),)), (SpeakOver("never"), QuietHours(0, 2)))
    assert check_participant(governed).ok, check_participant(governed)
    assert governed.with_threshold is None
    rebuilt = rebuild(record(Session.start([SilentUser(9), governed])))
    assert rebuilt.participants[1] == governed
    assert governed.spec()["policies"][1] == {"class": "QuietHours", "from_s": 0, "to_s": 2, "name": "quiet hours"}
    with pytest.raises(InputError, match="two policies are called 'budget'"):
        Governed(ScriptedAgent(()), (SpeechBudget(1), SpeechBudget(2)))
