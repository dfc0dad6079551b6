"""Who may come in and begin a live session: so many tries to log in, so many sessions at once, so many minutes and bytes a visitor.

Who may not is told when to try again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.errors import InputError
from workbench.live.protocol import Problem

MINUTE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`sessions` at once of `minutes` each; a visitor has `visitor_minutes` and may send `visitor_bytes` every `window_minutes`."""

    sessions: int = 4
    minutes: float = 10.0
    visitor_minutes: float = 30.0
    visitor_bytes: int = 200_000_000
    window_minutes: float = 60.0

    def __post_init__(self) -> None:
        if min(self.sessions, self.minutes, self.visitor_minutes, self.visitor_bytes, self.window_minutes) <= 0:
            raise InputError(f"{self}: every limit must be above 0")


@dataclass(frozen=True)
class Ticket:
    """A place for one session: whose it is, since when, until when at most, and how many bytes its visitor may still send."""

    number: int
    visitor: str
    began_s: float
    ends_s: float
    bytes: int


@dataclass
class _Visitor:
    """What a visitor has used up since `since_s`."""

    since_s: float
    seconds: float = 0.0
    bytes: int = 0


@dataclass
class Admission:
    """The desk at the door. Safe to use from many threads; `now` gives seconds that never go back.

    A place is held from `ask` until `leave`; one that is overdue by a minute counts as left.
    """

    limits: Limits
    now: Callable[[], float]
    _running: dict[int, Ticket] = field(default_factory=dict)
    _visitors: dict[str, _Visitor] = field(default_factory=dict)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, visitor: str) -> Ticket | Problem:
        """A ticket, or the problem to show."""
        with self._lock:
            now_s = self.now()
            self._tidy(now_s)
            known = self._visitors.setdefault(visitor, _Visitor(now_s))
            running = [t for t in self._running.values() if t.visitor == visitor]
            seconds = self.limits.visitor_minutes * MINUTE_S - known.seconds - sum(t.ends_s - t.began_s for t in running)
            count = self.limits.visitor_bytes - known.bytes
            if seconds < 1 or count <= 0:
                what = f"{self.limits.visitor_minutes:g} minutes" if seconds < 1 else f"{self.limits.visitor_bytes / 1e6:g} MB"
                over_s = known.since_s + self.limits.window_minutes * MINUTE_S - now_s
                return Problem(
                    code="full",
                    text=f"you have used your {what} for now, so that others can have a turn; try again in {_minutes(over_s)}",
                )
            if len(self._running) >= self.limits.sessions:
                soonest_s = min(t.ends_s for t in self._running.values()) - now_s
                return Problem(
                    code="full",
                    text=f"full: {_counted(len(self._running), 'conversation')} of {self.limits.sessions} going on; "
                    f"try again in {_minutes(soonest_s)}",
                )
            self._count += 1
            ends_s = now_s + min(self.limits.minutes * MINUTE_S, seconds)
            ticket = self._running[self._count] = Ticket(self._count, visitor, now_s, ends_s, count)
            return ticket

    def leave(self, ticket: Ticket, used_bytes: int = 0) -> None:
        """The session is over; its visitor sent so many bytes. Doing it again does nothing."""
        with self._lock:
            self._left(ticket, min(self.now(), ticket.ends_s), used_bytes)

    def _left(self, ticket: Ticket, at_s: float, used_bytes: int) -> None:
        if self._running.pop(ticket.number, None) is None:
            return
        known = self._visitors.setdefault(ticket.visitor, _Visitor(ticket.began_s))
        known.seconds += at_s - ticket.began_s
        known.bytes += used_bytes

    def _tidy(self, now_s: float) -> None:
        """Forget windows that are over and places that were never given back."""
        for ticket in [t for t in self._running.values() if now_s > t.ends_s + MINUTE_S]:
            self._left(ticket, ticket.ends_s, 0)
        window_s = self.limits.window_minutes * MINUTE_S
        self._visitors = {name: v for name, v in self._visitors.items() if now_s < v.since_s + window_s}


@dataclass
class Attempts:
    """How often a visitor may try to log in: `most` times within `window_s`, until one was right. Safe to use from many threads."""

    now: Callable[[], float]
    most: int = 10
    window_s: float = 5 * MINUTE_S
    _tries: dict[str, list[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, visitor: str) -> float:
        """Count a try, and 0; or the seconds until the next one may be made."""
        with self._lock:
            now_s = self.now()
            recent = {name: [s for s in tries if now_s < s + self.window_s] for name, tries in self._tries.items()}
            self._tries = {name: tries for name, tries in recent.items() if tries}
            tries = self._tries.setdefault(visitor, [])
            if len(tries) >= self.most:
                return tries[0] + self.window_s - now_s
            tries.append(now_s)
            return 0.0

    def right(self, visitor: str) -> None:
        """The last try was right: the ones before are forgotten."""
        with self._lock:
            self._tries.pop(visitor, None)


def _minutes(seconds: float) -> str:
    return _counted(max(1, math.ceil(seconds / MINUTE_S)), "minute")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
