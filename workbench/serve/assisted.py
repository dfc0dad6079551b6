"""An agent with somebody to ask: by rule, not learned, it has things done elsewhere and says what comes of them.

A model that requests slow work by itself may; what comes of it is said here all the same, as it may hold words that the model cannot
say. The rules are open to see in the trace: what was asked is a `delegation.requested` with the words that were heard, and what is said for
the other side is a `transcript.delta` like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from workbench.agents import Mouth, MouthState
from workbench.background.notes import notes_of
from workbench.background.words import spoken_words
from workbench.clock import ClockSpec, Tick
from workbench.events import Event, TranscriptDelta, UserSpeechStarted, UserSpeechStopped
from workbench.events_background import DelegationRequested
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, BACKGROUND_TEXT, USER_CONTEXT, USER_TEXT, Audio, MicroTurn, Packet, only
from workbench.serve.context import COMMENTARY, appended
from workbench.session import Participant, Said, State, clone_state

SETTLED_S = 0.8  # an utterance is over once no word was added to it for so long
PAUSE_S = 0.6  # of silence of both, before anything is said for the other side: an agent that answers has begun by then
USE_S = 120.0  # how long an answer is of use
MOST_WORDS = 400  # that wait to be said; of more the rest is not said


@dataclass(frozen=True)
class AssistedState:
    """The agent's state, the utterance that is heard, the words still to be said for the other side, and the mouth that says them."""

    clock: ClockSpec
    agent: State
    mouth: MouthState
    heard: tuple[str, ...] = ()
    heard_s: float = 0.0
    user_talks: bool = False
    quiet: int = 0  # ticks in which neither user nor agent spoke
    saying: tuple[str, ...] = ()

    def clone(self) -> AssistedState:
        return replace(self, agent=clone_state(self.agent))


@dataclass(frozen=True)
class Assisted:
    """Wraps an agent. An utterance in which it heard one of `asks_at` is delegated, word for word, once it is over.

    Results that the desk hands over, and commentary that an application appends, are spoken in the pauses of user and agent, through
    `mouth`. The user's voice cuts that off; the desk then hands a result over again, commentary is not repeated.
    """

    agent: Participant
    asks_at: tuple[str, ...] = ()
    mouth: Mouth = field(default_factory=Mouth)

    @property
    def name(self) -> str:
        return self.agent.name

    @property
    def speaks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.agent.speaks, AGENT_TEXT, AGENT_AUDIO)))

    @property
    def hears(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.agent.hears, USER_TEXT, USER_CONTEXT, BACKGROUND_TEXT)))

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Assisted", "agent": dict(self.agent.spec()), "asks_at": list(self.asks_at)}

    @property
    def with_threshold(self) -> Callable[[float], Assisted] | None:
        """Gives the same with another bar for speaking; None for an agent that has none."""
        inner = getattr(self.agent, "with_threshold", None)
        return (lambda threshold: replace(self, agent=inner(threshold))) if callable(inner) else None

    def start(self, clock: ClockSpec, seed: int) -> AssistedState:
        return AssistedState(clock, self.agent.start(clock, seed), self.mouth.start(seed))

    def step(self, state: AssistedState, tick: Tick, heard: MicroTurn) -> tuple[Said, AssistedState]:
        theirs = tuple(stream for stream in self.agent.hears if stream != BACKGROUND_TEXT)
        said, agent = self.agent.step(state.agent, tick, only(heard, theirs))
        began = any(isinstance(event, UserSpeechStarted) for event in said.events)
        ended = any(isinstance(event, UserSpeechStopped) for event in said.events)
        state = replace(state, agent=agent, user_talks=(state.user_talks or began) and not ended)
        state, requests = self._asked(state, tick, heard, said.events)
        new = [note.text for note in notes_of(heard) if note.what in ("result", "partial", "ask") and note.schedule != "silent"]
        new += [entry.text for entry in appended(heard) if entry.what == COMMENTARY]
        waiting = (*state.saying, *(word for text in new for word in spoken_words(text)))[:MOST_WORDS]
        return self._told(replace(state, saying=waiting), tick, replace(said, events=(*said.events, *requests)), began)

    def _asked(
        self, state: AssistedState, tick: Tick, heard: MicroTurn, events: Sequence[Event]
    ) -> tuple[AssistedState, tuple[DelegationRequested, ...]]:
        """The utterance with what was heard in this tick; the request, once it is over and asks for something."""
        now_s = state.clock.seconds(tick)
        words = [e.word for e in events if isinstance(e, TranscriptDelta) and e.side == "user"] + list(spoken_words(heard.text(USER_TEXT)))
        if words:
            return replace(state, heard=(*state.heard, *words)[-MOST_WORDS:], heard_s=now_s), ()
        if not state.heard or now_s - state.heard_s < SETTLED_S:
            return state, ()
        over = replace(state, heard=())
        if not set(state.heard) & set(self.asks_at):
            return over, ()
        return over, (DelegationRequested(act="open", ask=" ".join(state.heard), at_s=now_s, expires_s=USE_S),)

    def _told(self, state: AssistedState, tick: Tick, said: Said, began: bool) -> tuple[Said, AssistedState]:
        """What the agent says in this tick, with what is said for the other side."""
        clock, speaking = state.clock, state.mouth.speech.speaking
        inner = next((p.payload for p in said.packets if p.stream == AGENT_AUDIO), None)
        quiet = 0 if isinstance(inner, np.ndarray) or state.user_talks else state.quiet + 1
        yields = began and speaking
        may = bool(quiet) and (speaking or quiet * clock.tick_s > PAUSE_S)
        due = state.saying[:1] if not yields and may and state.mouth.speech.pending_s < clock.tick_s else ()
        rest = () if yields else state.saying[len(due) :]
        reason, planned = "the user began to speak", state.saying if yields else ()
        packets, events, mouth = self.mouth.act(state.mouth, clock, tick, due, yields, reason=reason, planned=planned)
        merged = _together(said.packets, packets, tick)
        return Said(merged, (*said.events, *events), said.done), replace(state, mouth=mouth, quiet=quiet, saying=rest)


def _together(one: Sequence[Packet], other: Sequence[Packet], tick: Tick) -> tuple[Packet, ...]:
    """The packets of two mouths: sound is added, text joined, all else is as the first has it."""
    merged = {packet.stream: packet.payload for packet in one}
    for packet in other:
        before = merged.get(packet.stream)
        if before is None:
            merged[packet.stream] = packet.payload
        elif isinstance(before, np.ndarray) and isinstance(packet.payload, np.ndarray):
            merged[packet.stream] = _mixed(before.astype(np.float32), packet.payload.astype(np.float32))
        else:
            merged[packet.stream] = f"{before} {packet.payload}"
    return tuple(Packet(stream, tick, payload) for stream, payload in merged.items())


def _mixed(one: Audio, other: Audio) -> Audio:
    return np.asarray(np.clip(one + other, -1.0, 1.0), np.float32)
