"""A conversation with a service elsewhere, beside the tick loop: one thread sends, one receives, and the loop waits for neither.

A `Wire` knows one protocol and one connection of it. A `Link` keeps a wire alive: it opens another when one is lost, holds what is said
within bounds, and closes once nobody uses it any more. What comes is `News`, which the loop takes once per tick.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

from workbench.errors import InputError, PeerError
from workbench.packets import Audio

POLL_S = 0.1
MOST_NUMBER = 1e12  # that a service may mean
KEY = "(key)"  # in the place of a key that a service repeats
USED_EVERY = 25  # sayings between two counts of the seconds sent, for services that do not count


@dataclass(frozen=True, eq=False)
class Sound:
    """The next samples of the agent's voice, float32 at 16 kHz, to be played after those before."""

    samples: Audio


@dataclass(frozen=True)
class Words:
    """A piece of transcript: `side` is user or model. `start_s` and `end_s` are since the wire was opened, where known."""

    side: str
    text: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Voice:
    """The user's voice began or ended, as the service heard it; `at_s` is seconds since the wire was opened, where it says."""

    began: bool
    at_s: float | None = None


@dataclass(frozen=True)
class Interrupted:
    """The service gave way: what of its voice has not been played is not to be."""

    reason: str


@dataclass(frozen=True)
class Used:
    """What the service has counted since the wire was opened."""

    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(self.seconds + other.seconds, self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


@dataclass(frozen=True)
class Asked:
    """The service wants something done elsewhere. `ask` is what, where it says so; `call` is its name for it."""

    call: str
    ask: str = ""


@dataclass(frozen=True)
class Told:
    """An error or a notice of the service."""

    code: str
    text: str


@dataclass(frozen=True)
class Lost:
    """The wire is lost, and another is being opened."""

    cause: str


@dataclass(frozen=True)
class Resumed:
    """There is a wire again, after `away_s`; the service remembers nothing of what was said before."""

    away_s: float


@dataclass(frozen=True)
class GaveUp:
    """There will be no wire any more."""

    cause: str


News: TypeAlias = Sound | Words | Voice | Interrupted | Used | Asked | Told | Lost | Resumed | GaveUp


@dataclass(frozen=True)
class Saying:
    """What is said to the service in one tick: the user's sound, typed text, and answers to what it had asked for, as (call, text)."""

    samples: Audio
    typed: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    cut_samples: int | None = None  # at an interruption: how much of the voice since it began has been played


def hidden(text: str, key: str) -> str:
    """The text without the key, where a service or a library repeats it; as it is where there is no key."""
    return text.replace(key, KEY) if key else text


def without(item: News, key: str) -> News:
    """The news with the key taken out of all of its texts."""
    texts = {f.name: text for f in fields(item) if isinstance(text := getattr(item, f.name), str)}
    told: dict[str, Any] = {name: hidden(text, key) for name, text in texts.items()}
    return item if told == texts else replace(item, **told)


def text_of(value: object) -> str:
    """A text that a service sent, as a trace can keep it. Raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in the place of a text")
    return value.encode("utf-8", "replace").decode()


def number_of(value: object) -> float:
    """A number that a service sent. Raises TypeError for anything else, also for one that is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MOST_NUMBER:
        raise TypeError(f"{type(value).__name__} in the place of a number")
    return float(value)


class Wire(Protocol):
    """One connection of one protocol. `receive` is called from one thread, `open`, `send` and `close` from others."""

    def open(self) -> None:
        """Connect and wait until the service listens. Raises PeerError, or whatever the client library raises."""

    def send(self, saying: Saying) -> None:
        """Say this. May wait; raises when the connection is gone."""

    def receive(self) -> Iterable[News]:
        """Wait for something to come, and give it. Raises when the connection is gone."""

    def close(self) -> None:
        """Let go of the connection; whoever waits on it is woken."""


@dataclass(frozen=True, kw_only=True)
class LinkSpec:
    """Patience of a link: how often a lost wire is replaced, waiting `retry_s` before the first time and twice as long before each next.

    `waiting` is how many ticks may wait to be sent; `idle_s` is how long nothing may be said before it is closed.
    """

    retries: int = 4
    retry_s: float = 0.5
    most_retry_s: float = 8.0
    waiting: int = 50
    idle_s: float = 20.0

    def __post_init__(self) -> None:
        if self.retries < 0 or min(self.retry_s, self.most_retry_s, self.idle_s) <= 0 or self.waiting < 1:
            raise InputError(f"{self}: retries are 0 or more, times above 0, and at least one tick may wait")


@dataclass
class Link:
    """A wire that is kept. `open` raises PeerError when there is no first wire; `say`, `take` and `close` never wait."""

    make: Callable[[], Wire]
    now: Callable[[], float]
    spec: LinkSpec = field(default_factory=LinkSpec)
    opened_s: float = 0.0
    skipped: int = 0  # samples that were thrown away because the service took them too slowly; reset by whoever reads it
    _wire: Wire | None = None
    _out: queue.Queue[Saying] = field(init=False)
    _news: deque[News] = field(default_factory=deque)
    _closed: threading.Event = field(default_factory=threading.Event)
    _ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._out = queue.Queue(self.spec.waiting)

    def open(self) -> Link:
        """Open the first wire and begin to use it; itself. `opened_s` is then when it was open, on the clock of `now`."""
        self._wire = self._fresh()
        self._ready.set()
        threading.Thread(target=self._receive, name="link in", daemon=True).start()
        threading.Thread(target=self._send, name="link out", daemon=True).start()
        return self

    def say(self, saying: Saying) -> None:
        """Have this sent. Of what waits too long the oldest is thrown away."""
        while True:
            try:
                self._out.put_nowait(saying)
                return
            except queue.Full:
                try:
                    self.skipped += len(self._out.get_nowait().samples)
                except queue.Empty:
                    continue

    def take(self) -> list[News]:
        """What has come since the last time."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def close(self) -> None:
        """Let go of the wire, for good."""
        self._closed.set()
        self._ready.set()
        wire = self._wire
        if wire is not None:
            threading.Thread(target=_quietly, args=(wire.close,), name="link close", daemon=True).start()

    def _fresh(self) -> Wire:
        wire = self.make()
        try:
            wire.open()
        except PeerError:
            raise
        except Exception as error:
            _quietly(wire.close)
            raise PeerError(f"{type(error).__name__}: {str(error)[:300]}") from error
        self.opened_s = self.now()
        return wire

    def _receive(self) -> None:
        while not self._closed.is_set():
            wire = self._wire
            assert wire is not None
            try:
                while True:
                    self._news.extend(wire.receive())
            except Exception as error:  # noqa: BLE001 (client libraries raise their own)
                if self._closed.is_set() or not self._again(wire, f"{type(error).__name__}: {str(error)[:200]}"):
                    return

    def _again(self, lost: Wire, cause: str) -> bool:
        """Replace a wire that is lost; whether there is one again."""
        self._ready.clear()
        lost_s = self.now()
        self._news.append(Lost(cause))
        _quietly(lost.close)
        for attempt in range(self.spec.retries):
            if self._closed.wait(min(self.spec.retry_s * 2**attempt, self.spec.most_retry_s)):
                return False
            try:
                self._wire = self._fresh()
            except PeerError as error:
                cause = str(error)
                continue
            self._news.append(Resumed(self.now() - lost_s))
            self._ready.set()
            return True
        self._news.append(GaveUp(cause))
        self.close()
        return False

    def _send(self) -> None:
        while not self._closed.is_set():
            try:
                saying = self._out.get(timeout=self.spec.idle_s)
            except queue.Empty:
                self.close()
                return
            while not self._ready.wait(POLL_S):
                pass
            wire = self._wire
            if wire is None or self._closed.is_set():
                return
            _quietly(partial(wire.send, saying))  # a wire that is lost is noticed where it is read


def _quietly(act: Callable[[], object]) -> None:
    """Do something to a wire that may be gone already."""
    try:
        act()
    except Exception:  # noqa: BLE001 (whatever is wrong with it, it is let go of)
        return
