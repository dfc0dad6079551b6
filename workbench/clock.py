"""The one clock: ticks, and the only place where ticks become samples, seconds or wall time."""

from __future__ import annotations

import gc
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NewType

from workbench.errors import InputError, TooSlow

Tick = NewType("Tick", int)
TURN_S = 0.001  # how long a thread that computes may run on while a paced session waits for its turn


@dataclass(frozen=True, kw_only=True)
class ClockSpec:
    """Length of a micro-turn and the audio rate inside it.

    The published interaction model uses 200 ms micro-turns (TML, May 2026); its dMel front end runs at 16 kHz (Inkling).
    """

    tick_ms: int = 200
    sample_rate: int = 16_000

    def __post_init__(self) -> None:
        if self.tick_ms <= 0 or self.sample_rate <= 0:
            raise InputError(f"tick_ms={self.tick_ms}, sample_rate={self.sample_rate}: both must be positive integers, e.g. 200 and 16000")
        if (self.tick_ms * self.sample_rate) % 1000:
            raise InputError(
                f"a tick of {self.tick_ms} ms at {self.sample_rate} Hz is not a whole number of samples; "
                "choose tick_ms * sample_rate divisible by 1000"
            )

    @property
    def samples_per_tick(self) -> int:
        return self.tick_ms * self.sample_rate // 1000

    @property
    def tick_s(self) -> float:
        return self.tick_ms / 1000

    def seconds(self, tick: int) -> float:
        """Time at which micro-turn `tick` begins, in seconds."""
        return tick * self.tick_ms / 1000

    def samples(self, seconds: float) -> int:
        """Nearest sample index to a time in seconds."""
        return round(seconds * self.sample_rate)

    def tick_at(self, seconds: float) -> Tick:
        """The micro-turn that contains a time in seconds."""
        return Tick(math.floor(seconds * 1000 / self.tick_ms + 1e-9))

    def first_tick_from(self, seconds: float) -> Tick:
        """The first micro-turn that begins at or after a time in seconds."""
        return Tick(math.ceil(seconds * 1000 / self.tick_ms - 1e-9))

    def ticks_in(self, seconds: float) -> int:
        """Whole micro-turns needed to cover a duration in seconds."""
        return math.ceil(seconds * 1000 / self.tick_ms - 1e-9)


@dataclass
class StopWatch:
    """Milliseconds since the last lap; wall time enters the rest of the workbench only as such laps."""

    now: Callable[[], float] = time.perf_counter
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.now()

    def lap_ms(self) -> float:
        """Milliseconds since the previous lap (or creation)."""
        at = self.now()
        lap, self._last = at - self._last, at
        return lap * 1000


@dataclass
class _Frozen:
    """How many paced sessions have the garbage collector look at their own objects only, and how long a thread ran before them."""

    sessions: int = 0
    turn_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


_FROZEN = _Frozen()


@contextmanager
def few_pauses(*, collect: bool = True) -> Iterator[None]:
    """Keep the garbage collector and busy threads from stopping a paced session.

    What exists at the start is set aside from the collector until the end; without it one tick in a hundred of the nano model waits 10 to
    50 ms while everything that was ever imported is looked through. And a thread that computes, such as a cell of a notebook, gives way
    after 1 ms instead of 5: a message through a server takes several turns. Both are the whole process's: of sessions that overlap, in
    whichever threads, the first changes them and the last changes them back. `collect` first, unless what follows is over soon.
    """
    with _FROZEN.lock:
        _FROZEN.sessions += 1
        if _FROZEN.sessions == 1:
            if collect:
                gc.collect()
            gc.freeze()
            _FROZEN.turn_s = sys.getswitchinterval()
            sys.setswitchinterval(min(_FROZEN.turn_s, TURN_S))
    try:
        yield
    finally:
        with _FROZEN.lock:
            _FROZEN.sessions -= 1
            if _FROZEN.sessions == 0:
                gc.unfreeze()
                sys.setswitchinterval(_FROZEN.turn_s)


def pause(seconds: float) -> None:
    """Let background work go on for a while."""
    time.sleep(seconds)


def utc_now() -> str:
    """The wall-clock date and time in UTC, ISO 8601, to the second; for headers and erasure records only."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def time_of_day_s() -> float:
    """Seconds since midnight by the clock on the wall, in this machine's time zone; for rules that go by it."""
    now = time.localtime()
    return now.tm_hour * 3600.0 + now.tm_min * 60.0 + min(now.tm_sec, 59)


@dataclass
class RealTime:
    """Paces a session against a wall clock: `wait(tick)` returns when micro-turn `tick` is due.

    A tick begun later than `late_ms` after it was due is counted in `missed`; with `strict` it raises `TooSlow` instead.
    `now` and `sleep` are arguments so that tests run on a fake clock and finish at once.
    """

    clock: ClockSpec
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    strict: bool = False
    late_ms: float = 200.0
    missed: int = 0
    _origin: float | None = None

    def due_s(self, tick: int) -> float:
        """When `tick` is due on the clock of `now`; before the first `wait`, as if that tick were due at once."""
        return (self.now() - self.clock.seconds(tick) if self._origin is None else self._origin) + self.clock.seconds(tick)

    def forgive(self, tick: int) -> None:
        """Give up the time by which `tick` is late but for one micro-turn, which the next tick catches up with."""
        self._origin = self.now() - self.clock.seconds(tick + 1)

    def wait(self, tick: int) -> float:
        """Sleep until `tick` is due; the lateness in milliseconds (0 when on time)."""
        if self._origin is None:
            self._origin = self.now() - self.clock.seconds(tick)
        ahead = self.due_s(tick) - self.now()
        if ahead > 0:
            self.sleep(ahead)
            return 0.0
        behind_ms = -ahead * 1000
        if behind_ms > self.late_ms:
            if self.strict:
                raise TooSlow(
                    f"tick {tick} began {behind_ms:.0f} ms late; the pace allows {self.late_ms:.0f} ms. "
                    "Use a smaller model, a faster machine, or strict=False to record missed deadlines instead"
                )
            self.missed += 1
        return behind_ms
