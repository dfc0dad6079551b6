"""Agents without a model: silent, always talking, echo, scripted, and the oracle that acts perfectly; and the mouth they speak with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from workbench.asking import is_request, requested, results_in
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
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, BACKGROUND_TEXT, TRUTH, USER_AUDIO, USER_TEXT, MicroTurn, Packet
from workbench.scenarios.script import TOLD, Command, onward
from workbench.session import Said
from workbench.voice_out import Speech, SpeechOut, SpeechState, VoiceOut

YIELD = "<yield>"
SHORTEST_WORD_S = 0.1


@dataclass(frozen=True, slots=True)
class MouthState:
    """What a mouth has still to sound, and whether it was sounding at the end of the last tick."""

    speech: Speech = field(default_factory=SpeechState)
    talking: bool = False

    def clone(self) -> MouthState:
        return self


@dataclass(frozen=True)
class Mouth:
    """Turns the words an agent decides on into `agent.text` and `agent.audio` packets and the events that go with them.

    `act` gives the packets, the events and the next state of one tick. With `yield_` the sound is cut (a fade of about 10 ms) and what was
    queued is dropped before any new word; `model.yielded` then names the cut-off and unbegun words, and after them those of `planned`. A
    `transcript.delta` event (side "model") stands in the tick in which its word begins to sound. `agent.audio` is left out of silent
    ticks.
    """

    out: VoiceOut = field(default_factory=SpeechOut)

    def start(self, seed: int = 0) -> MouthState:
        """The mouth before its first tick."""
        return MouthState(self.out.start(seed))

    def act(
        self,
        state: MouthState,
        clock: ClockSpec,
        tick: Tick,
        words: Sequence[str] = (),
        yield_: bool = False,
        *,
        p_yield: float = 1.0,
        reason: str = "the agent chose to yield",
        planned: Sequence[str] = (),
    ) -> tuple[tuple[Packet, ...], tuple[Event, ...], MouthState]:
        speech, events = state.speech, list[Event]()
        if yield_:
            unsaid = " ".join([*speech.words, *planned])
            speech = self.out.cut(speech)
            events.append(ModelYielded(at_s=clock.seconds(tick), p_yield=p_yield, reason=reason, unsaid=unsaid))
        for word in words:
            speech = self.out.say(speech, word)
        size = clock.samples_per_tick
        packets = [Packet(AGENT_TEXT, tick, " ".join(words))] if words else []
        if not speech.speaking:
            if state.talking:
                events.append(ModelSpeechStopped(at_s=clock.seconds(tick)))
            return tuple(packets), tuple(events), MouthState(self.out.at(speech, (tick + 1) * size))
        left = clock.samples(speech.pending_s)
        pulled = self.out.pull(self.out.at(speech, tick * size), size)
        packets.append(Packet(AGENT_AUDIO, tick, pulled.audio))
        if pulled.started and not state.talking:
            events.append(ModelSpeechStarted(at_s=pulled.started[0].start_s))
        events.extend(
            TranscriptDelta(side="model", word=w.word, start_s=round(w.start_s, 6), end_s=round(w.end_s, 6)) for w in pulled.started
        )
        if not pulled.state.speaking:
            events.append(ModelSpeechStopped(at_s=(tick * size + min(left, size)) / clock.sample_rate))
        return tuple(packets), tuple(events), MouthState(pulled.state, pulled.state.speaking)


@dataclass(frozen=True)
class SilentAgent:
    """Never says anything."""

    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO, USER_TEXT)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "SilentAgent"}

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        return Said(), None


@dataclass(frozen=True)
class EchoAgent:
    """Plays back what it heard, one tick later."""

    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO,)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "EchoAgent"}

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        audio = heard.get(USER_AUDIO)
        return Said((Packet(AGENT_AUDIO, tick, audio),) if isinstance(audio, np.ndarray) else ()), None


@dataclass(frozen=True, slots=True)
class Speaking:
    """The clock and the mouth of an agent in a session."""

    clock: ClockSpec
    mouth: MouthState

    def clone(self) -> Speaking:
        return self


@dataclass(frozen=True)
class AlwaysTalkingAgent:
    """Never stops talking, whatever it hears: the given words over and over, each as soon as the one before has ended."""

    words: tuple[str, ...] = ("one", "two", "three", "four", "five")
    mouth: Mouth = field(default_factory=Mouth)
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO, USER_TEXT)

    def __post_init__(self) -> None:
        if not self.words:
            raise InputError("an agent that always talks has no words to say; give at least one")

    def spec(self) -> Mapping[str, Any]:
        return {"class": "AlwaysTalkingAgent", "words": list(self.words)}

    def start(self, clock: ClockSpec, seed: int) -> Talking:
        return Talking(clock, self.mouth.start(seed), 0)

    def step(self, state: Talking, tick: Tick, heard: MicroTurn) -> tuple[Said, Talking]:
        longest = int(state.clock.tick_s / SHORTEST_WORD_S) + 1
        short = state.mouth.speech.pending_s < state.clock.tick_s
        words = [self.words[(state.said + n) % len(self.words)] for n in range(longest if short else 0)]
        packets, events, mouth = self.mouth.act(state.mouth, state.clock, tick, words)
        return Said(packets, events), Talking(state.clock, mouth, state.said + len(words))


@dataclass(frozen=True, slots=True)
class Talking:
    """The clock and the mouth of an agent that talks, and how many words it has begun or queued."""

    clock: ClockSpec
    mouth: MouthState
    said: int

    def clone(self) -> Talking:
        return self


@dataclass(frozen=True)
class ScriptedAgent:
    """Says given words in given ticks: `plan` is a list of (tick, words); the word "<yield>" cuts what is sounding."""

    plan: tuple[tuple[int, tuple[str, ...]], ...]
    mouth: Mouth = field(default_factory=Mouth)
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO, USER_TEXT)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "ScriptedAgent", "plan": [[tick, list(words)] for tick, words in self.plan]}

    def start(self, clock: ClockSpec, seed: int) -> Speaking:
        return Speaking(clock, self.mouth.start())

    def step(self, state: Speaking, tick: Tick, heard: MicroTurn) -> tuple[Said, Speaking]:
        due = [word for at, words in self.plan if at == tick for word in words]
        words = [word for word in due if word != YIELD]
        packets, events, mouth = self.mouth.act(state.mouth, state.clock, tick, words, YIELD in due)
        return Said(packets, events), Speaking(state.clock, mouth)


Plan: TypeAlias = tuple[tuple[int, str], ...]  # words not yet said, each with its tick


@dataclass(frozen=True, slots=True)
class OracleState:
    """Orders not yet due, words not yet said (with their ticks), the last word said, the mouth, and what is yet to be heard of the user."""

    clock: ClockSpec
    mouth: MouthState
    pending: tuple[Command, ...] = ()
    plan: Plan = ()
    last: str = ""
    hearing: tuple[Command, ...] = ()

    def clone(self) -> OracleState:
        return self


@dataclass(frozen=True)
class OracleAgent:
    """Does what a perfect agent would: carries out the script's orders from the truth stream, each in its tick.

    What the background tells it, it says in the tick in which it hears of it; where there is no result, it is sorry.
    """

    mouth: Mouth = field(default_factory=Mouth)
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (TRUTH, BACKGROUND_TEXT)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "OracleAgent"}

    def start(self, clock: ClockSpec, seed: int) -> OracleState:
        return OracleState(clock, self.mouth.start())

    def step(self, state: OracleState, tick: Tick, heard: MicroTurn) -> tuple[Said, OracleState]:
        told = heard.get(TRUTH)
        commands = [c for c in told if isinstance(c, Command)] if isinstance(told, tuple) else []
        pending = (*state.pending, *(c for c in commands if c.act not in TOLD))
        heard_by_now, hearing = _heard_by((*state.hearing, *(c for c in commands if c.act in TOLD)), state.clock.seconds(tick))
        due, pending = due_orders(pending, state.clock, tick)
        yields, plan = False, (*state.plan, *((tick, word) for word in results_in(heard)))
        for command in due:
            yields, plan = yields or command.act == "yield", _planned(command, tick, state.last, plan)
        dropped = tuple(word for _, word in state.plan) if yields else ()
        yields = yields and (bool(dropped) or state.mouth.speech.speaking)
        items = [word for at, word in plan if at <= tick]
        words = [item for item in items if not is_request(item)]
        requests = [requested(item, state.clock.seconds(tick)) for item in items if is_request(item)]
        reason = "the user took the floor"
        packets, events, mouth = self.mouth.act(state.mouth, state.clock, tick, words, yields, reason=reason, planned=dropped)
        decision = _decision(items, yields, mouth.talking, bool(plan or pending))
        rest = tuple(item for item in plan if item[0] > tick)
        last = words[-1] if words else state.last
        said = (*heard_by_now, *requests, *events, decision)
        return Said(packets, said), OracleState(state.clock, mouth, pending, rest, last, hearing)


def _heard_by(hearing: Sequence[Command], now_s: float) -> tuple[list[Event], tuple[Command, ...]]:
    """What has been heard of the user by now, and what is still to be."""
    events: list[Event] = []
    for command in (c for c in hearing if c.at_s <= now_s):
        at_s = round(command.at_s, 6)
        match command.act:
            case "talks":
                events.append(UserSpeechStarted(at_s=at_s))
            case "pauses":
                events.append(UserSpeechStopped(at_s=at_s))
            case _:
                events += [TranscriptDelta(side="user", word=word, start_s=at_s, end_s=at_s) for word in command.words]
    return events, tuple(c for c in hearing if c.at_s > now_s)


def due_orders(pending: tuple[Command, ...], clock: ClockSpec, tick: Tick) -> tuple[list[Command], tuple[Command, ...]]:
    """The orders to carry out in this tick, one after the other, and those that are left.

    An order to give way or to clear takes back all orders that were given before it.
    """
    carried_out = []
    for command in sorted((c for c in pending if c.tick(clock) <= tick), key=lambda c: c.at_s):
        if command in pending:  # not taken back by one that was due before it
            earlier = pending.index(command)
            pending = pending[earlier + 1 :] if command.act in ("yield", "clear") else pending[:earlier] + pending[earlier + 1 :]
            carried_out.append(command)
    return carried_out, pending


def _planned(command: Command, tick: int, last: str, plan: Plan) -> Plan:
    """The plan once a command is carried out in this tick; `last` is the last word said before."""
    match command.act:
        case "say" | "count":
            return plan + tuple((tick + i * command.every_ticks, word) for i, word in enumerate(command.words))
        case "amend":
            goes_on = plan[0][0] if plan else tick
            return tuple((goes_on + i * command.every_ticks, word) for i, word in enumerate(onward(command.words, last, command.step)))
        case _:
            return ()


def _decision(words: Sequence[str], yields: bool, talking: bool, waiting: bool) -> Decision:
    acts = bool(words) or yields
    floor = "speak" if words or talking else "wait" if waiting else "listen"
    said = " ".join([YIELD] * yields + list(words))
    return Decision(floor=floor, said=said, p_speak=float(acts), p_yield=float(yields), p_backchannel=0.0, threshold=0.5)
