"""What the application at the other end adds to a session beside sound: text on its timeline, and the answers to what was delegated to it.

Both come from any thread and wait until a tick takes them, so the trace knows in which tick each was there, and a replay has it again.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from workbench.background.backends import Arrival
from workbench.background.notes import bodies
from workbench.background.parts import Answer, Envelope, Failure, Part
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.live.ear import Ear, LiveUser
from workbench.packets import USER_CONTEXT, MicroTurn, Packet
from workbench.session import Said

MOST_WAITING = 64
COMMENTARY, THINKING, INSTRUCTIONS = "commentary", "thinking", "instructions"


@dataclass(frozen=True, kw_only=True)
class Appended:
    """A text for the timeline: `what` is commentary (may be spoken), thinking or instructions (may not). `task` names a delegation."""

    what: str
    text: str
    task: str = ""


@dataclass
class Context:
    """Texts on their way into a session. `append` gives a number; `placed` tells the numbers of those that ticks have taken since."""

    _waiting: deque[tuple[int, Appended]] = field(default_factory=deque)
    _placed: deque[tuple[int, Tick]] = field(default_factory=deque)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def append(self, entry: Appended) -> int:
        """Have it enter in the next tick. Raises InputError when too many wait."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise InputError(f"{MOST_WAITING} texts wait already, all of which the next tick takes; append fewer at a time")
            self._count += 1
            self._waiting.append((self._count, entry))
            return self._count

    def take(self, tick: Tick) -> list[Appended]:
        """All that has come, for the tick that it enters in."""
        with self._lock:
            entries = list(self._waiting)
            self._waiting.clear()
            self._placed.extend((number, tick) for number, _ in entries)
        return [entry for _, entry in entries]

    def placed(self, tick: Tick) -> list[tuple[int, Tick]]:
        """Numbers and ticks of what was taken up to this tick; each is told once."""
        with self._lock:
            found = [pair for pair in self._placed if pair[1] <= tick]
            self._placed = deque(pair for pair in self._placed if pair[1] > tick)
        return found


def appended(turn: MicroTurn) -> tuple[Appended, ...]:
    """What an application appended in a micro-turn."""
    return tuple(Appended(**body) for body in bodies(turn.text(USER_CONTEXT)))


@dataclass(frozen=True)
class ClientUser:
    """A person at the other end of a connection, and the application that carries it."""

    ear: Ear
    context: Context
    name: str = "user"
    speaks: tuple[str, ...] = (*LiveUser.speaks, USER_CONTEXT)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "LiveUser", "over": "a connection of an application"}

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        said, entries = self.ear.take(tick), self.context.take(tick)
        if not entries:
            return said, None
        text = "\n".join(json.dumps(asdict(entry), ensure_ascii=False) for entry in entries)
        return Said((*said.packets, Packet(USER_CONTEXT, tick, text)), said.events), None


@dataclass
class ClientWork:
    """A backend whose work the application does: it learns of a task from the session's events and sends the answer when it has it.

    An answer to a task that is not running yet waits until it is.
    """

    _answers: deque[tuple[str, Part]] = field(default_factory=deque)

    def answer(self, task: str, part: Answer | Failure) -> None:
        """What came of a task, from any thread."""
        self._answers.append((task, part))

    def spec(self) -> Mapping[str, Any]:
        return {"class": "ClientWork"}

    def start(self, clock: ClockSpec, seed: int) -> ClientRun:
        return ClientRun(self._answers)


@dataclass
class ClientRun:
    """The tasks of a session that its application was told of, each with the number of its run."""

    answers: deque[tuple[str, Part]]
    running: dict[str, int] = field(default_factory=dict)

    def submit(self, tick: Tick, envelope: Envelope) -> None:
        self.running[envelope.task] = envelope.run

    def cancel(self, tick: Tick, task: str, run: int) -> None:
        self.running.pop(task, None)

    def collect(self, tick: Tick, most: int) -> list[Arrival]:
        arrivals, later = [], []
        for _ in range(min(most, len(self.answers))):
            task, part = self.answers.popleft()
            if task in self.running:
                arrivals.append(Arrival(task, self.running.pop(task), part))
            else:
                later.append((task, part))
        self.answers.extend(later)
        return arrivals

    def clone(self) -> ClientRun:
        """A copy that waits for answers of its own: the application goes on with the session that this one was forked from."""
        return ClientRun(deque(), dict(self.running))
