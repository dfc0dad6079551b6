"""What waits to be sent to one listener. Putting something in never waits; a listener who is slow loses the oldest ticks, and is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

from workbench.live.protocol import FromRuntime, Problem, TickDone


class Outbox:
    """The messages for one listener, at most `places` ticks of them; `lost` counts the ticks that were thrown away.

    `notify` is called after something was put in, from the thread that did; it must not wait (a carrier on an event loop gives
    `loop.call_soon_threadsafe` a wake-up). Messages other than ticks are never thrown away.
    """

    def __init__(self, places: int = 25, notify: Callable[[], None] | None = None) -> None:
        self.places = places
        self.lost = 0
        self.closed = False
        self._notify = notify
        self._told = 0
        self._waiting: list[FromRuntime] = []
        self._changed = threading.Condition()

    def put(self, message: FromRuntime) -> None:
        """Hand a message over; nothing happens once the outbox is closed."""
        with self._changed:
            if self.closed:
                return
            ticks = [place for place, waiting in enumerate(self._waiting) if isinstance(waiting, TickDone)]
            if isinstance(message, TickDone) and len(ticks) >= self.places:
                del self._waiting[ticks[0]]
                self.lost += 1
            self._waiting.append(message)
            self._changed.notify_all()
        if self._notify is not None:
            self._notify()

    def take(self) -> list[FromRuntime]:
        """All that waits, in order; before it a problem "slow" when ticks were lost since the last time."""
        with self._changed:
            lost, self._told = self.lost - self._told, self.lost
            taken, self._waiting = self._waiting, []
        if not lost:
            return taken
        text = f"{lost} ticks were thrown away because this page took them too slowly; close other tabs, or use a faster connection"
        return [Problem(code="slow", text=text), *taken]

    def wait(self, timeout_s: float) -> bool:
        """Wait until something is there to take; whether it is. For carriers with a thread of their own."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._waiting) or self.closed, timeout_s) and bool(self._waiting)

    def close(self) -> None:
        """Nothing more comes; what waits can still be taken."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        if self._notify is not None:
            self._notify()
