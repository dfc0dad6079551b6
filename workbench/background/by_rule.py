"""Delegation by rule, for an agent whose model has not learned to ask: what the user says with a cue in it is slow work to be done.

    agent = Delegating(ByRule(Pipeline()))

It goes by the words that the agent reports to have heard, and takes a request up once the user has said nothing more for a while, so it
comes as late as every turn-based agent does. Results, questions and problems that it is handed it says with a voice of its own, when the
agent is silent or when they are to interrupt; the agent is not heard meanwhile, and the user's voice cuts it off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.agents import Mouth, MouthState
from workbench.background.notes import Note, notes_of
from workbench.background.words import spoken_words
from workbench.clock import ClockSpec, Tick
from workbench.events import Event, ModelSpeechStopped, TranscriptDelta, UserSpeechStarted
from workbench.events_background import DelegationRequested
from workbench.packets import BACKGROUND_TEXT, MicroTurn, only
from workbench.rules import found_in, phrase_words
from workbench.session import Said
from workbench.voiced import Voice, joined, parted
from workbench.wrapped import Wrapped, WrappedState

CUES = tuple("calculate,look up,search for,find out,plot,draw,chart,convert,remind me,what time,total,average,how many".split(","))
AMENDS = tuple("no,make it,actually,i mean,instead,only,without,sort it,call it".split(","))
CANCELS = ("cancel", "never mind", "forget it")
SETTLE_S = 0.6  # a request is taken up once nothing was added to it for so long
PROBLEM = "that did not work"


@dataclass(frozen=True)
class ByRuleState(WrappedState):
    """The agent's state, the user's words that were not taken up yet, and what is still to be said of the background's."""

    mouth: MouthState
    words: tuple[TranscriptDelta, ...] = ()
    asked: bool = False  # something was asked for, so that it may be amended
    waiting: tuple[Note, ...] = ()
    talks: bool = False  # the agent's own voice, heard or not
    silenced: bool = False


@dataclass(frozen=True)
class ByRule(Wrapped):
    """An agent that asks for slow work when one of `cues` is in what it hears."""

    cues: tuple[str, ...] = CUES
    mouth: Mouth = field(default_factory=Mouth, compare=False)

    @property
    def hears(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.agent.hears, BACKGROUND_TEXT)))

    def spec(self) -> Mapping[str, Any]:
        return {**super().spec(), "cues": list(self.cues)}

    def start(self, clock: ClockSpec, seed: int) -> ByRuleState:
        return ByRuleState(clock, self.agent.start(clock, seed), self.mouth.start(seed))

    def step(self, state: ByRuleState, tick: Tick, heard: MicroTurn) -> tuple[Said, ByRuleState]:
        said, agent = self.agent.step(state.agent, tick, only(heard, self.agent.hears))
        voice, rest = parted(said, tick, state.talks)
        state = replace(state, agent=agent, talks=voice.audible and not voice.ends)
        notes = tuple(note for note in notes_of(heard) if note.schedule != "silent")
        state = replace(state, waiting=(*state.waiting, *notes), words=(*state.words, *_words(said)))
        requests, state = self._taken_up(state, tick)
        out, state = self._said(state, tick, voice, rest)
        return joined(replace(rest, events=(*rest.events, *requests)), out), state

    def _taken_up(self, state: ByRuleState, tick: Tick) -> tuple[tuple[Event, ...], ByRuleState]:
        """The request in what the user has said, once that is over."""
        now_s = state.clock.seconds(tick)
        if not state.words or now_s - state.words[-1].end_s < SETTLE_S - 1e-9:
            return (), state
        ask = " ".join(word.word for word in state.words)
        act = self._act(ask, state.asked)
        state = replace(state, words=(), asked=state.asked or act == "open")
        return ((DelegationRequested(act=act, ask=ask, at_s=now_s),) if act else ()), state

    def _act(self, ask: str, asked: bool) -> str:
        """What an utterance wants of slow work: open, amend, cancel or nothing."""
        words = phrase_words(ask)
        if asked and found_in(CANCELS, words):
            return "cancel"
        if asked and any(words[: len(first)] == first for first in map(phrase_words, AMENDS)):
            return "amend"
        return "open" if found_in(self.cues, words) else ""

    def _said(self, state: ByRuleState, tick: Tick, voice: Voice, rest: Said) -> tuple[Voice, ByRuleState]:
        """What is heard in this tick: the agent, or what it was handed."""
        sounds = state.talks or voice.audible
        due = [note for note in state.waiting if note.schedule == "interrupt" or not sounds]
        broken_in = state.mouth.talking and any(isinstance(event, UserSpeechStarted) for event in rest.events)
        if not due and not state.mouth.talking:
            silenced = state.silenced and sounds
            return (Voice(tick) if state.silenced else voice), replace(state, silenced=silenced)
        words = [] if broken_in else [word for note in due for word in _spoken(note)]
        packets, events, mouth = self.mouth.act(state.mouth, state.clock, tick, words, broken_in, reason="the user began to speak")
        ended = (ModelSpeechStopped(at_s=state.clock.seconds(tick)),) if voice.audible and not voice.begins and not state.silenced else ()
        waiting = tuple(note for note in state.waiting if note not in due)
        return Voice(tick, packets, (*ended, *events)), replace(state, mouth=mouth, waiting=waiting, silenced=state.talks)


def _words(said: Said) -> tuple[TranscriptDelta, ...]:
    return tuple(event for event in said.events if isinstance(event, TranscriptDelta) and event.side == "user")


def _spoken(note: Note) -> tuple[str, ...]:
    about = ("about", *spoken_words(note.about)) if note.about and note.what == "result" else ()
    return (*about, *spoken_words(PROBLEM if note.what == "problem" else note.text))
