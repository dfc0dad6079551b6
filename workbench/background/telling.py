"""An agent and what the desk has to know of it: its requests with whose words they repeat, what it heard and said, and when it gave way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from workbench.asking import REPERTOIRE
from workbench.background.authority import EVIDENCE_S, changed_by, source_of, spoke_last
from workbench.background.notes import bodies, notes_of
from workbench.background.parts import AGENT_SPEECH, BACKGROUND, OTHER_SPEECH, TYPED, USER_SPEECH, Word
from workbench.background.words import spoken_words
from workbench.clock import ClockSpec, Tick
from workbench.errors import TraceError
from workbench.events import (
    Decision,
    Event,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    TranscriptDelta,
    UserSpeechStarted,
    UserSpeechStopped,
    from_json,
    to_json,
)
from workbench.events_background import DelegationRequested
from workbench.events_rules import GuardActed
from workbench.packets import AGENT_TASKS, BACKGROUND_TEXT, USER_TEXT, MicroTurn, Packet, only
from workbench.session import Said, State, Together
from workbench.wrapped import Wrapped, WrappedState

Told: TypeAlias = (
    TranscriptDelta
    | UserSpeechStarted
    | UserSpeechStopped
    | ModelSpeechStarted
    | ModelSpeechStopped
    | ModelYielded
    | Decision
    | DelegationRequested
    | GuardActed
)
TOLD = (
    TranscriptDelta,
    UserSpeechStarted,
    UserSpeechStopped,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    Decision,
    DelegationRequested,
    GuardActed,
)
NOTE_WORDS = 100  # of a note that are remembered, lest long results hide what the user said
_SOURCES = {"user": USER_SPEECH, "model": AGENT_SPEECH}


@dataclass(frozen=True)
class DelegatingState(WrappedState):
    """The state of the agent, and the words of everyone that a request may repeat."""

    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Delegating(Wrapped):
    """An agent beside a desk: it says on `agent.tasks` which of its events the desk has to know, a `delegation.requested` among them.

    The agent requests slow work with that event, and hears of it on `background.text` if it hears that stream. The source of a request is
    set here, from what came in; what the agent says of it does not count. Of its decisions the desk is told those in which it could not say
    what it was handed.
    """

    @property
    def speaks(self) -> tuple[str, ...]:
        return (*self.agent.speaks, AGENT_TASKS)

    @property
    def hears(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.agent.hears, USER_TEXT, BACKGROUND_TEXT)))

    def start(self, clock: ClockSpec, seed: int) -> DelegatingState:
        return DelegatingState(clock, self.agent.start(clock, seed))

    def step(self, state: DelegatingState, tick: Tick, heard: MicroTurn) -> tuple[Said, DelegatingState]:
        return self.step_many([state], [tick], [heard])[0]

    def step_many(
        self, states: Sequence[DelegatingState], ticks: Sequence[Tick], heard: Sequence[MicroTurn]
    ) -> list[tuple[Said, DelegatingState]]:
        """One tick of many sessions, together where the agent can take them together."""
        theirs = [only(turn, self.agent.hears) for turn in heard]
        if isinstance(self.agent, Together):
            stepped = self.agent.step_many([state.agent for state in states], ticks, theirs)
        else:
            stepped = [self.agent.step(state.agent, tick, turn) for state, tick, turn in zip(states, ticks, theirs, strict=True)]
        rows = zip(states, ticks, heard, stepped, strict=True)
        return [self._tell(state, tick, turn, said, agent) for state, tick, turn, (said, agent) in rows]

    def _tell(self, state: DelegatingState, tick: Tick, heard: MicroTurn, said: Said, agent: State) -> tuple[Said, DelegatingState]:
        """What the agent said, with the source of its requests, and what the desk is told of it."""
        now_s = state.clock.seconds(tick)
        words = (*state.words, *_came_in(heard, state.clock), *words_of(said.events))
        if words and words[0].start_s < now_s - 2 * EVIDENCE_S:
            words = tuple(word for word in words if word.start_s >= now_s - EVIDENCE_S)
        events = tuple(_sourced(event, words) if isinstance(event, DelegationRequested) else event for event in said.events)
        told = [event for event in events if isinstance(event, TOLD) and _concerns(event)]
        packets = (*said.packets, Packet(AGENT_TASKS, tick, told_text(told))) if told else said.packets
        return replace(said, packets=packets, events=events), DelegatingState(state.clock, agent, words)


def _concerns(event: Told) -> bool:
    """Whether a desk has to know of an event of these types."""
    return not isinstance(event, Decision) or any(gate.name == REPERTOIRE for gate in event.gates)


def _sourced(request: DelegationRequested, words: Sequence[Word]) -> DelegationRequested:
    match request.act:
        case "cancel":
            source = spoke_last([word for word in words if word.source != AGENT_SPEECH], request.at_s)
        case "amend":
            source = changed_by(request.ask, words, request.at_s)
        case _:
            source = source_of(request.ask, words, request.at_s)
    return replace(request, source=source)


def _came_in(heard: MicroTurn, clock: ClockSpec) -> list[Word]:
    """The words that were typed, and those of the background."""
    at_s, end_s = clock.seconds(max(0, heard.tick)), clock.seconds(max(0, heard.tick) + 1)
    typed = [Word(TYPED, word, at_s, end_s) for word in spoken_words(heard.text(USER_TEXT))]
    return typed + [Word(BACKGROUND, word, at_s, end_s) for note in notes_of(heard) for word in spoken_words(note.text)[:NOTE_WORDS]]


def words_of(events: Sequence[Event]) -> list[Word]:
    """The words among some events of an agent, each with whose it was."""
    deltas = [event for event in events if isinstance(event, TranscriptDelta)]
    return [Word(_SOURCES.get(e.side, OTHER_SPEECH), word, e.start_s, e.end_s) for e in deltas for word in spoken_words(e.word)]


def told_text(events: Sequence[Told]) -> str:
    """The text of a packet on `agent.tasks`."""
    return "\n".join(json.dumps(to_json(event), ensure_ascii=False) for event in events)


def told_of(turn: MicroTurn) -> tuple[Told, ...]:
    """What an agent told its desk in a micro-turn; lines that are no such events are left out."""
    found: list[Told] = []
    for body in bodies(turn.text(AGENT_TASKS)):
        try:
            event = from_json(body)
        except TraceError:
            continue
        if isinstance(event, TOLD):
            found.append(event)
    return tuple(found)
