"""The shadow oracle: what a perfect agent would say in each tick of a session in which another agent really spoke.

The oracle of `workbench.agents` carries out a script's orders and assumes that all it has said was right. A shadow hears the same orders,
is told what the agent really said, and goes on from there. Where the agent did what the oracle would have done, the two agree in every
tick. Where it did not, the shadow holds to these rules (ours):

- late: what is due and unsaid stays wanted, an answer for 1 s and the next number of a count for 3 s; then it is not wanted any more
- early: up to two ticks before its moment a right word is taken as said; a word that comes before that is a false start and changes nothing
- a wrong word in the place of an answer was the answer: nothing more is wanted
- a count goes on from what was really said: after a number left out with the one that follows, after a number said twice or out of
  place with the one that was due, in the same rhythm; changed on its way, it goes on from the last number said
- the moments of a series ("every three seconds") do not move because one of them was missed
- told to give way and still sounding: to give way stays wanted until the next order
- what was said without having been asked for asks for nothing
- a request to the background takes the place of no spoken word; what the background hands over is wanted from that tick on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.agents import YIELD, due_orders
from workbench.asking import is_request, results_in, written
from workbench.clock import ClockSpec, Tick
from workbench.events import ModelSpeechStarted, ModelSpeechStopped
from workbench.events_background import DelegationRequested
from workbench.packets import AGENT_TEXT, TRUTH, MicroTurn
from workbench.scenarios.script import TOLD, Command, onward
from workbench.trace import Trace

EARLY_TICKS = 2
ANSWER_PATIENCE_TICKS = 5
COUNT_PATIENCE_TICKS = 15


@dataclass(frozen=True, slots=True)
class Series:
    """Words still to be said: the first of them from tick `due` on, the next `every` ticks later (0: all together)."""

    counts: bool
    words: tuple[str, ...]
    due: int
    every: int

    def wanted(self, tick: int) -> tuple[str, ...]:
        """The words that belong into this tick."""
        if tick < self.due:
            return ()
        return self.words[:1] if self.every else self.words

    def after(self, word: str, tick: int) -> Series:
        """What is left once `word` was said in `tick`."""
        if self.counts:
            if word in self.words:
                return replace(self, words=self.words[self.words.index(word) + 1 :], due=tick + self.every)
            return replace(self, due=max(self.due, tick + self.every))
        if tick < self.due - EARLY_TICKS:
            return self
        return self._next() if self.every else replace(self, words=self.words[self.words.index(word) + 1 :] if word in self.words else ())

    def still_wanted(self, tick: int) -> Series:
        """The series without what it is too late for."""
        if self.counts:
            return self if tick - self.due < COUNT_PATIENCE_TICKS else replace(self, words=())
        left = self
        while left.words and tick - left.due >= ANSWER_PATIENCE_TICKS:
            left = left._next()
        return left

    def _next(self) -> Series:
        return replace(self, words=self.words[1:] if self.every else (), due=self.due + self.every)


@dataclass(frozen=True, slots=True)
class ShadowState:
    """Orders not yet due, words still wanted, the last word said, whether the agent sounds, and whether it was told to give way."""

    clock: ClockSpec
    pending: tuple[Command, ...] = ()
    series: tuple[Series, ...] = ()
    last: str = ""
    talking: bool = False
    halted: bool = False


def shadow(state: ShadowState, tick: Tick, before: MicroTurn) -> tuple[tuple[str, ...], ShadowState]:
    """What is wanted in `tick`, "<yield>" first if the floor is to be given up, once `before` was said in the tick before."""
    told = before.get(TRUTH)
    commands = [c for c in told if isinstance(c, Command) and c.act not in TOLD] if isinstance(told, tuple) else []
    pending, series, last = (*state.pending, *commands), state.series, state.last
    for last in before.text(AGENT_TEXT).split():
        pending, series = _said(last, tick - 1, state.clock, pending, series)
    for event in before.events:
        if isinstance(event, DelegationRequested):
            pending, series = _said(written(event), tick - 1, state.clock, pending, series)
    results = results_in(before)
    series = (*series, *([Series(False, tuple(results), tick, 0)] if results else []))
    talking = _talking(state.talking, before)
    due, pending = due_orders(pending, state.clock, tick)
    unsaid, halted, gives_way = bool(series), state.halted, state.halted and talking
    for command in due:
        series = _ordered(command, tick, last, series)
        halted = command.act == "yield"
        gives_way = gives_way or (halted and (unsaid or talking))
    series = tuple(left for s in series if (left := s.still_wanted(tick)).words)
    wanted = tuple(sorted((word for s in series for word in s.wanted(tick)), key=is_request))  # a request ends what a tick says
    return ((YIELD, *wanted) if gives_way else wanted), ShadowState(state.clock, pending, series, last, talking, halted)


def _ordered(command: Command, tick: int, last: str, series: tuple[Series, ...]) -> tuple[Series, ...]:
    """The series once an order is carried out."""
    match command.act:
        case "say" | "count":
            return (*series, _series(command, tick))
        case "amend":
            words = onward(command.words, last, command.step)
            return (Series(True, words, series[0].due if series else tick, command.every_ticks),)
        case _:
            return ()


def _series(command: Command, due: int) -> Series:
    return Series(command.act == "count", command.words, due, command.every_ticks)


def wanted_in(trace: Trace) -> list[tuple[str, ...]]:
    """What a perfect agent would have said in every tick of a session, given what was really said before it."""
    state = ShadowState(trace.header.clock)
    before, found = MicroTurn(Tick(-1)), []
    for turn in trace.turns:
        wanted, state = shadow(state, turn.tick, before)
        found.append(wanted)
        before = turn
    return found


def _said(
    word: str, tick: int, clock: ClockSpec, pending: tuple[Command, ...], series: tuple[Series, ...]
) -> tuple[tuple[Command, ...], tuple[Series, ...]]:
    """Orders and series once a word was said: the first series it belongs to goes on from there, else the first order it is early for."""
    same_kind = [
        tuple(w for w in s.words if not is_request(word) or is_request(w)) for s in series
    ]  # a request takes no spoken word's place
    for place in _first_with(word, same_kind):
        if (left := series[place].after(word, tick)) != series[place]:
            return pending, (*series[:place], left, *series[place + 1 :])
    for place in _first_with(word, [c.words for c in pending]):
        command = pending[place]
        if command.act in ("say", "count") and command.tick(clock) - EARLY_TICKS <= tick:
            early = _series(command, command.tick(clock)).after(word, tick)
            return (*pending[:place], *pending[place + 1 :]), (*series, early)
    return pending, series


def _first_with(word: str, each: Sequence[tuple[str, ...]]) -> list[int]:
    """The places of those that hold words, those that hold this one first."""
    return sorted((place for place, words in enumerate(each) if words), key=lambda place: word not in each[place])


def _talking(talking: bool, turn: MicroTurn) -> bool:
    for event in turn.events:
        if isinstance(event, ModelSpeechStarted | ModelSpeechStopped):
            talking = isinstance(event, ModelSpeechStarted)
    return talking
