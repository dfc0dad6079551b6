"""A user who types: lines that reach the agent at given times, beside a recording or in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.packets import USER_AUDIO, USER_TEXT, MicroTurn, Packet
from workbench.session import Said
from workbench.users import RecordedUser


@dataclass(frozen=True)
class Line:
    """One line, and when it is sent, in seconds on the session clock."""

    at_s: float
    text: str


@dataclass(frozen=True)
class TypingUser:
    """Sends each line whole in its tick, on `user.text`; what sounds meanwhile is that of `beside`."""

    lines: tuple[Line, ...]
    beside: RecordedUser
    name: str = "user"
    speaks: tuple[str, ...] = (USER_AUDIO, USER_TEXT)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        """How many lines, and what sounds; not the lines themselves, which can be erased from a trace."""
        return {"class": "TypingUser", "lines": len(self.lines), "beside": dict(self.beside.spec())}

    def start(self, clock: ClockSpec, seed: int) -> ClockSpec:
        return self.beside.start(clock, seed)

    def step(self, state: ClockSpec, tick: Tick, heard: MicroTurn) -> tuple[Said, ClockSpec]:
        said, state = self.beside.step(state, tick, heard)
        now = [line.text for line in self.lines if state.tick_at(line.at_s) == tick]
        return (Said((*said.packets, Packet(USER_TEXT, tick, " ".join(now))), said.events, said.done) if now else said), state


def typing(lines: Sequence[Line], beside: RecordedUser) -> TypingUser:
    """A user who types these lines. Raises InputError for a line that comes when the session is over."""
    clock = ClockSpec()
    over_s = len(beside.samples) / clock.sample_rate + beside.tail_s
    for line in lines:
        if line.at_s >= over_s:
            when = f"{line.text!r} is typed at {line.at_s:g} s, and the session is over at {over_s:g} s"
            raise InputError(f"{when}; type it before that, or let the session last longer")
    return TypingUser(tuple(sorted(lines, key=lambda line: line.at_s)), beside)


def silence(lasts_s: float) -> RecordedUser:
    """A user who says nothing for so long."""
    return RecordedUser(np.zeros(ClockSpec().samples(lasts_s), np.float32), label="silence", tail_s=0.0)
