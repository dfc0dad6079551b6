"""Commentary of an application as a note of the background, handed to the agent in a pause: it has one way to be told what to say."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.background.notes import Note, lines
from workbench.clock import ClockSpec, Tick
from workbench.events import ModelSpeechStarted, ModelSpeechStopped, UserSpeechStarted, UserSpeechStopped
from workbench.packets import BACKGROUND_TEXT, USER_CONTEXT, MicroTurn, Packet, only
from workbench.serve.context import COMMENTARY, appended
from workbench.session import FIRST_TICK, Said
from workbench.wrapped import Wrapped, WrappedState

PAUSE_S = 0.6  # of silence of both: an agent that answers has begun by then


@dataclass(frozen=True)
class NotedState(WrappedState):
    """The agent's state, the commentary that waits for a pause, and who speaks."""

    waiting: tuple[str, ...] = ()
    user_talks: bool = False
    agent_talks: bool = False
    quiet_since: Tick = FIRST_TICK


@dataclass(frozen=True)
class Noted(Wrapped):
    """Wraps an agent that hears `background.text`. What an application may have said to the user comes to it there, one text in a pause."""

    @property
    def hears(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.agent.hears, BACKGROUND_TEXT, USER_CONTEXT)))

    def start(self, clock: ClockSpec, seed: int) -> NotedState:
        return NotedState(clock, self.agent.start(clock, seed))

    def step(self, state: NotedState, tick: Tick, heard: MicroTurn) -> tuple[Said, NotedState]:
        waiting = (*state.waiting, *(entry.text for entry in appended(heard) if entry.what == COMMENTARY))
        talks = state.user_talks or state.agent_talks
        quiet_s = 0.0 if talks else state.clock.seconds(tick - state.quiet_since)
        due = waiting[:1] if quiet_s >= PAUSE_S and not heard.text(BACKGROUND_TEXT) else ()
        said, agent = self.agent.step(state.agent, tick, only(_with(heard, due), self.agent.hears))
        user_talks, agent_talks = state.user_talks, state.agent_talks
        for event in said.events:
            match event:
                case UserSpeechStarted() | UserSpeechStopped():
                    user_talks = isinstance(event, UserSpeechStarted)
                case ModelSpeechStarted() | ModelSpeechStopped():
                    agent_talks = isinstance(event, ModelSpeechStarted)
                case _:
                    pass
        quiet_since = Tick(tick + 1) if user_talks or agent_talks or due or talks else state.quiet_since
        return said, NotedState(state.clock, agent, waiting[len(due) :], user_talks, agent_talks, quiet_since)


def _with(heard: MicroTurn, texts: tuple[str, ...]) -> MicroTurn:
    """What was heard, with these texts among the notes of the background."""
    if not texts:
        return heard
    notes = lines(Note(task="", what="result", text=text) for text in texts)
    return MicroTurn(heard.tick, (*heard.packets, Packet(BACKGROUND_TEXT, Tick(max(0, heard.tick)), notes)))
