"""The work of a background agent beside the tick loop of a live session: one thread per run, one queue drained once per tick.

What the loop does here is to start a thread, to set a flag, and to take what lies in the queue; none of it waits for a lock that a worker
may hold. A run that never comes back keeps its thread until the process ends; when all threads are taken, further work fails with that
cause. Code that may hang for ever belongs in a tool, which is killed (`tools.py`).
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from workbench.background.backends import Arrival, Limits, bounded
from workbench.background.parts import LAST, BackgroundAgent, Envelope, Failure
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError

Key: TypeAlias = tuple[str, int]  # task and run


@dataclass(frozen=True)
class Threads:
    """Does the work of an agent in up to `workers` threads per session, those included that do not come back."""

    agent: BackgroundAgent
    workers: int = 8
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"workers={self.workers}: at least one thread has to do the work")

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Threads", "agent": dict(self.agent.spec()), "workers": self.workers}

    def start(self, clock: ClockSpec, seed: int) -> ThreadsRun:
        return ThreadsRun(self)


class ThreadsRun:
    """The threads of one session. A fork of the session does not take them along: their tasks fail in it.

    When the session is over, and with it this, all work is called off, as if each of its tasks had been cancelled.
    """

    def __init__(self, of: Threads) -> None:
        self.of = of
        self._queue: deque[Arrival] = deque()
        self._stops: dict[Key, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        weakref.finalize(self, _call_off, self._stops)

    def submit(self, tick: Tick, envelope: Envelope) -> None:
        key = (envelope.task, envelope.run)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= self.of.workers:
            cause = f"all {self.of.workers} threads are taken by work that does not come back"
            self._queue.append(Arrival(*key, Failure(cause=cause)))
            return
        stop = self._stops[key] = threading.Event()
        given = (self.of, envelope, stop, self._queue)
        thread = threading.Thread(target=_work, args=given, name=f"background {key}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def cancel(self, tick: Tick, task: str, run: int) -> None:
        stop = self._stops.pop((task, run), None)
        if stop is not None:
            stop.set()

    def collect(self, tick: Tick, most: int) -> list[Arrival]:
        count = min(most, len(self._queue))  # only this side takes out, so there are as many still
        arrivals = [self._queue.popleft() for _ in range(count)]
        for arrival in arrivals:
            if isinstance(arrival.part, LAST):
                self._stops.pop((arrival.task, arrival.run), None)
        return arrivals

    def clone(self) -> ThreadsRun:
        other = ThreadsRun(self.of)
        waiting = list(self._queue)
        ended = {(arrival.task, arrival.run) for arrival in waiting if isinstance(arrival.part, LAST)}
        lost = [Arrival(*key, Failure(cause="its work went on in the session that this one was forked from")) for key in self._stops]
        other._queue.extend([*waiting, *(arrival for arrival in lost if (arrival.task, arrival.run) not in ended)])
        return other


def _work(of: Threads, envelope: Envelope, stop: threading.Event, queue: deque[Arrival]) -> None:
    """A thread's work. It does not hold the run that it is of, which could not end before it."""
    for part in bounded(of.agent, envelope, of.limits, stop.is_set):
        queue.append(Arrival(envelope.task, envelope.run, part))


def _call_off(stops: dict[Key, threading.Event]) -> None:
    for stop in stops.values():
        stop.set()
