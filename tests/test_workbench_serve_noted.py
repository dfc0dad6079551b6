"""What an application appends reaches the agent as a note in a pause; what is delegated to it waits for its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from workbench.agents import Mouth, MouthState, ScriptedAgent
from workbench.background.backends import Arrival, Simulated
from workbench.background.by_rule import ByRule
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.parts import Answer, Envelope
from workbench.background.telling import Delegating
from workbench.check import check_participant
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import Event, ModelYielded, TranscriptDelta, UserSpeechStarted, UserSpeechStopped
from workbench.events_background import DelegationChanged, DelegationRequested
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CONTEXT, MicroTurn, Packet
from workbench.serve.context import MOST_WAITING, Appended, ClientWork, Context, appended
from workbench.serve.noted import Noted
from workbench.session import Participant, Said, Session
from workbench.trace import Trace, record


@dataclass(frozen=True)
class Hears:
    """Notices what stands in its plan, and says nothing but what is planned."""

    plan: Mapping[int, tuple[Event, ...]]
    says: Mapping[int, str] = field(default_factory=dict)
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO,)
    mouth: Mouth = field(default_factory=Mouth)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Hears"}

    def start(self, clock: ClockSpec, seed: int) -> tuple[ClockSpec, MouthState]:
        return clock, self.mouth.start(seed)

    def step(self, state: tuple[ClockSpec, MouthState], tick: Tick, heard: MicroTurn) -> tuple[Said, tuple[ClockSpec, MouthState]]:
        packets, events, mouth = self.mouth.act(state[1], state[0], tick, self.says.get(tick, "").split())
        return Said(packets, (*self.plan.get(tick, ()), *events)), (state[0], mouth)


@dataclass(frozen=True)
class Application:
    """The user's side, silent but for what it appends in its ticks."""

    plan: Mapping[int, Appended] = field(default_factory=dict)
    name: str = "user"
    speaks: tuple[str, ...] = (USER_AUDIO, USER_CONTEXT)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Application"}

    def start(self, clock: ClockSpec, seed: int) -> ClockSpec:
        return clock

    def step(self, state: ClockSpec, tick: Tick, heard: MicroTurn) -> tuple[Said, ClockSpec]:
        packets = [Packet(USER_AUDIO, tick, np.zeros(state.samples_per_tick, np.float32))]
        if tick in self.plan:
            entry = self.plan[tick]
            packets.append(Packet(USER_CONTEXT, tick, json.dumps({"what": entry.what, "text": entry.text, "task": entry.task})))
        return Said(tuple(packets)), state


@dataclass(frozen=True)
class Knows:
    name: str = "knows"

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Knows"}

    def work(self, envelope: Envelope, stop: Any) -> tuple[Answer]:
        return (Answer(text=f"{len(envelope.ask.split())} words came with it"),)


def voice(begin: int, end: int, *words: str) -> dict[int, tuple[Event, ...]]:
    """A voice from one tick to another, whose words are heard as it ends."""
    at_s, end_s = 0.2 * begin, 0.2 * end
    step_s = (end_s - at_s) / max(1, len(words))
    deltas = tuple(
        TranscriptDelta(side="user", word=w, start_s=at_s + i * step_s, end_s=at_s + (i + 1) * step_s) for i, w in enumerate(words)
    )
    return {begin: (UserSpeechStarted(at_s=at_s),), end: (*deltas, UserSpeechStopped(at_s=end_s))}


def played(agent: Participant, user: Participant, ticks: int, asks_at: tuple[str, ...] = ("look",)) -> Trace:
    desk = Desk(Simulated(Knows(), (1.0, 1.0)), DeskSpec(say_s=4.0))
    session = Session.start([user, Delegating(Noted(ByRule(agent, asks_at))), desk])
    trace = record(session)
    session.run(ticks)
    return trace


def said(trace: Trace) -> list[tuple[int, str]]:
    return [(turn.tick, word) for turn in trace.turns for word in turn.text(AGENT_TEXT).split()]


def states(trace: Trace) -> list[str]:
    return [event.after for _, event in trace.events(DelegationChanged)]


def test_what_is_delegated_by_rule_beside_it_is_said_once() -> None:
    trace = played(Hears(voice(2, 5, "please", "look", "there") | voice(30, 33, "good", "morning")), Application(), 45)
    [(tick, asked)] = trace.events(DelegationRequested)
    assert (asked.ask, tick) == ("please look there", 8)
    assert [word for _, word in said(trace)] == ["three", "words", "came", "with", "it"]
    assert states(trace) == ["running", "completed", "delivering", "delivered"]
    begun = [event for _, event in trace.events(TranscriptDelta) if event.side == "model"]
    assert [event.word for event in begun] == ["three", "words", "came", "with", "it"]


def test_the_user_s_voice_cuts_a_result_off_which_is_then_said_again() -> None:
    plan = voice(2, 5, "look") | {17: (UserSpeechStarted(at_s=3.4),), 22: (UserSpeechStopped(at_s=4.4),)}
    trace = played(Hears(plan), Application(), 60)
    [(tick, yielded)] = trace.events(ModelYielded)
    assert tick == 17
    assert yielded.unsaid.split()[-1] == "it"
    assert states(trace) == ["running", "completed", "delivering", "completed", "delivering", "delivered"]
    assert [word for at, word in said(trace) if at > 22] == ["one", "words", "came", "with", "it"]


def test_nothing_is_said_into_the_voice_of_the_user_or_of_the_agent() -> None:
    commentary = Application({3: Appended(what="commentary", text="the answer is four"), 4: Appended(what="thinking", text="quietly")})
    trace = played(Hears(voice(2, 12), says={13: "one two three four five"}), commentary, 50)
    words = said(trace)
    assert [word for _, word in words] == ["one", "two", "three", "four", "five", "the", "answer", "is", "four"]
    alone = played(Hears({}, says={13: "one two three four five"}), Application(), 50)
    last = max(turn.tick for turn in alone.turns if turn.get(AGENT_AUDIO) is not None)
    assert words[5][0] > last
    assert "quietly" in "".join(turn.text(USER_CONTEXT) for turn in trace.turns)


def test_an_agent_that_is_told_what_an_application_says_keeps_the_rules_of_participants() -> None:
    assert check_participant(Noted(ByRule(ScriptedAgent(((3, ("one", "two")),))))).ok


def test_texts_enter_in_the_next_tick_and_too_many_at_once_are_refused() -> None:
    context = Context()
    first = context.append(Appended(what="commentary", text="one"))
    assert context.placed(Tick(0)) == []
    assert [entry.text for entry in context.take(Tick(4))] == ["one"]
    assert context.placed(Tick(3)) == []
    assert context.placed(Tick(4)) == [(first, 4)]
    assert context.placed(Tick(4)) == []
    for _ in range(MOST_WAITING):
        context.append(Appended(what="thinking", text="x"))
    with pytest.raises(InputError, match="64 texts wait already"):
        context.append(Appended(what="thinking", text="x"))
    assert appended(MicroTurn(Tick(0))) == ()


def test_an_answer_of_the_application_waits_until_its_task_runs() -> None:
    work = ClientWork()
    run = work.start(ClockSpec(), 0)
    work.answer("1", Answer(text="early"))
    assert run.collect(Tick(1), 4) == []
    run.submit(Tick(1), Envelope(session="s", task="1", run=2, origin_tick=0, origin_s=0.0, ask="x"))
    assert run.collect(Tick(2), 4) == [Arrival("1", 2, Answer(text="early"))]
    work.answer("1", Answer(text="again"))
    assert run.collect(Tick(3), 4) == []
    assert run.clone().collect(Tick(4), 4) == []
