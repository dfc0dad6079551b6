"""A wall clock that moves only when slept on, and a page that does things at given times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.clock import ClockSpec, RealTime, Tick
from workbench.live.outbox import Outbox
from workbench.live.protocol import RATE, Audio, Consent, FromClient, FromRuntime, Hello, Pcm, Played, TickDone
from workbench.live.runtime import LiveSession, LiveSpec
from workbench.packets import MicroTurn
from workbench.session import Participant, Said

PIECE = 640  # 40 ms
USUAL = LiveSpec()
HELLO = Hello(rate=RATE, client="test 1", settings={"echoCancellation": True}, resume=None)


@dataclass
class Wall:
    """Seconds that pass while someone sleeps; what was planned `at` a time happens when it is reached."""

    at_s: float = 1000.0
    _plans: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def now(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        until_s = self.at_s + seconds
        while self._plans and self._plans[0][0] <= until_s:
            due_s, _, act = self._plans.pop(0)
            self.at_s = max(self.at_s, due_s)
            act()
        self.at_s = max(self.at_s, until_s)

    def at(self, after_s: float, act: Callable[[], None]) -> None:
        """Plan something, so many seconds after now."""
        self._plans.append((self.at_s + after_s, len(self._plans), act))
        self._plans.sort(key=lambda plan: plan[:2])


@dataclass(frozen=True)
class Slow:
    """An agent whose steps take so many seconds of the wall in the ticks of `costs_s`."""

    agent: Participant
    wall: Wall
    costs_s: Mapping[int, float]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.agent, name)

    def step(self, state: Any, tick: Tick, heard: MicroTurn) -> tuple[Said, Any]:
        self.wall.sleep(self.costs_s.get(tick, 0.0))
        return self.agent.step(state, tick, heard)


@dataclass
class Page:
    """A browser page in small: hands in messages, and keeps what it is told and plays what it is sent."""

    session: LiveSession
    wall: Wall
    outbox: Outbox
    told: list[FromRuntime] = field(default_factory=list)

    def send(self, message: FromClient) -> None:
        self.session.receive(self.outbox, message)

    def say(self, sound: Pcm, from_s: float = 0.0, piece: int = PIECE) -> None:
        """Plan to send a sound as it is captured, its first sample being captured `from_s` after now."""
        for n in range(0, len(sound) - piece + 1, piece):
            message = Audio(n=n, at=1000.0 * n / RATE, samples=sound[n : n + piece])
            self.wall.at(from_s + (n + piece) / RATE, lambda message=message: self.send(message))  # type: ignore[misc]

    def play(self, position: int, queued: int = 0) -> None:
        self.send(Played(position=position, queued=queued, at=0.0))

    def take(self) -> list[FromRuntime]:
        taken = self.outbox.take()
        self.told += taken
        return taken

    def of(self, kind: type[Any]) -> list[Any]:
        self.take()
        return [message for message in self.told if isinstance(message, kind)]


def opened(
    agent: Participant,
    path: Path,
    wall: Wall,
    *,
    spec: LiveSpec = USUAL,
    consents: bool = True,
    places: int = 10_000,
    beside: Sequence[Participant] = (),
) -> tuple[LiveSession, Page]:
    """A session that a page has connected to, and given consent in unless told otherwise."""
    pace = RealTime(ClockSpec(), now=wall.now, sleep=wall.sleep)
    session = LiveSession(agent, path, pace, name="one", token="token-of-one", spec=spec, beside=beside)
    page = Page(session, wall, Outbox(places))
    session.connect(HELLO, page.outbox)
    if consents:
        page.send(Consent(given=True))
    return session, page


def again(page: Page, token: str = "token-of-one") -> Page:
    """The page, reloaded."""
    reloaded = Page(page.session, page.wall, Outbox(10_000))
    page.session.connect(replace(HELLO, resume=token), reloaded.outbox)
    return reloaded


def ramp(seconds: float) -> Pcm:
    """A sound whose every sample tells its number, never 0."""
    return (np.arange(round(seconds * RATE)) % 30_000 + 1).astype(np.int16)


def sound_told(page: Page) -> Pcm:
    """All the sound that the page was sent."""
    return np.concatenate([tick.samples for tick in page.of(TickDone)])
