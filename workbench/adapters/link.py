"""A conversation with a service elsewhere, beside the tick loop: one thread sends, one receives, and the loop waits for neither.

A `Wire` knows one protocol and one connection of it. A `Link` keeps a wire alive: it opens another when one is lost, holds what is said
within bounds, and closes once nobody uses it any more. What comes is `News`, which the loop takes once per tick. A wire that is lost may
hold its threads for long (a library that waits for the network holds its own locks); they have no part in the next one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, TypeAlias

from workbench.errors import InputError, PeerError
from workbench.packets import Audio

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
    """One connection of one protocol. `receive` is called from one thread, `open`, `send` and `close` from others.

    Every one is closed once: also one that did not open, and while something is being sent.
    """

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

    `waiting` is how many ticks may wait to be sent, and `send_s` how long one may take before its wire counts as lost. Once something has
    been said, `idle_s` is how long nothing more may be said before the link gives up.
    """

    retries: int = 4
    retry_s: float = 0.5
    most_retry_s: float = 8.0
    waiting: int = 50
    send_s: float = 15.0
    idle_s: float = 20.0

    def __post_init__(self) -> None:
        if self.retries < 0 or min(self.retry_s, self.most_retry_s, self.send_s, self.idle_s) <= 0 or self.waiting < 1:
            raise InputError(f"{self}: retries are 0 or more, times above 0, and at least one tick may wait")


@dataclass
class Link:
    """A wire that is kept. `open` raises PeerError when there is no first wire; `say`, `take` and `close` never wait."""

    make: Callable[[], Wire]
    now: Callable[[], float]
    spec: LinkSpec = field(default_factory=LinkSpec)
    opened_s: float = 0.0
    skipped: int = 0  # samples that were thrown away because the service took them too slowly; reset by whoever reads it
    _wire: Wire | None = None  # none while another is being opened, and once it is closed
    _out: deque[Saying] = field(default_factory=deque)
    _news: deque[News] = field(default_factory=deque)
    _said: bool = False  # anything at all
    _sending_s: float | None = None  # since when the wire has been sending one saying
    _closed: threading.Event = field(default_factory=threading.Event)
    _change: threading.Condition = field(default_factory=threading.Condition)  # held to change any of these; whoever waits is told

    def open(self) -> Link:
        """Open the first wire and begin to use it; itself. `opened_s` is then when it was open, on the clock of `now`."""
        self._use(self._fresh())
        return self

    def say(self, saying: Saying) -> None:
        """Have this sent. Of what waits too long the oldest is thrown away; a wire that takes too long over one tick is replaced."""
        with self._change:
            if len(self._out) == self.spec.waiting:
                self.skipped += len(self._out.popleft().samples)
            self._out.append(saying)
            self._said = True
            self._change.notify_all()
            if self._wire is not None and self._sending_s is not None and self.now() - self._sending_s > self.spec.send_s:
                self._lose(self._wire, f"a tick could not be sent within {self.spec.send_s:g} s")

    def take(self) -> list[News]:
        """What has come since the last time."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def close(self) -> None:
        """Let go of the wire, for good; of one that is being opened as soon as it is open."""
        with self._change:
            self._closed.set()
            wire, self._wire = self._wire, None
            self._change.notify_all()
        if wire is not None:
            _let_go(wire)

    def _fresh(self) -> Wire:
        """Another wire, open. Raises PeerError."""
        wire = self.make()
        try:
            wire.open()
        except PeerError:
            _let_go(wire)
            raise
        except Exception as error:
            _let_go(wire)
            raise PeerError(f"{type(error).__name__}: {str(error)[:300]}") from error
        self.opened_s = self.now()
        return wire

    def _use(self, wire: Wire, *news: News) -> None:
        """Make this the link's wire, with threads of its own, and tell this news; it is let go of where the link was closed meanwhile."""
        with self._change:
            if self._closed.is_set():
                _let_go(wire)
                return
            self._wire, self._sending_s = wire, None
            self._news.extend(news)
        _beside("link in", self._receive, wire)
        _beside("link out", self._send, wire)

    def _lose(self, wire: Wire, cause: str) -> None:
        """Let go of a wire that is lost, and have another one opened; nothing where it is not the link's any more."""
        with self._change:
            if self._wire is not wire:
                return
            self._wire = None
            self._news.append(Lost(cause))
            self._change.notify_all()
        _let_go(wire)
        _beside("link again", self._again, cause)

    def _again(self, cause: str) -> None:
        """Open another wire, or give up."""
        lost_s = self.now()
        for attempt in range(self.spec.retries):
            if self._closed.wait(min(self.spec.retry_s * 2**attempt, self.spec.most_retry_s)):
                return
            try:
                wire = self._fresh()
            except PeerError as error:
                cause = str(error)
                continue
            self._use(wire, Resumed(self.now() - lost_s))
            return
        self._give_up(cause)

    def _give_up(self, cause: str) -> None:
        self._news.append(GaveUp(cause))
        self.close()

    def _receive(self, wire: Wire) -> None:
        """Take what comes over a wire for as long as it is the link's."""
        try:
            while self._wire is wire:
                came = list(wire.receive())
                with self._change:
                    if self._wire is wire:
                        self._news.extend(came)
        except Exception as error:  # noqa: BLE001 (client libraries raise their own)
            self._lose(wire, f"{type(error).__name__}: {str(error)[:200]}")

    def _send(self, wire: Wire) -> None:
        """Send what is said over a wire for as long as it is the link's."""
        while (saying := self._next(wire)) is not None:
            _quietly(wire.send, saying)  # a wire that is lost is noticed where it is read, or by how long this takes

    def _next(self, wire: Wire) -> Saying | None:
        """What is to be sent over this wire next; none once it is not the link's any more, or nobody says anything."""
        with self._change:
            if self._wire is wire:
                self._sending_s = None
            patience_s = self.spec.idle_s if self._said else None
            came = self._change.wait_for(lambda: self._wire is not wire or bool(self._out), patience_s)
            if self._wire is not wire:
                return None
            if came:
                self._sending_s = self.now()
                return self._out.popleft()
            self._give_up(f"nothing was said for {self.spec.idle_s:g} s")
            return None


def _beside(name: str, act: Callable[..., object], *given: object) -> None:
    """Do this in a thread of its own."""
    threading.Thread(target=act, args=given, name=name, daemon=True).start()


def _let_go(wire: Wire) -> None:
    """Close a wire without waiting for it."""
    _beside("link close", _quietly, wire.close)


def _quietly(act: Callable[..., object], *given: object) -> None:
    """Do something to a wire that may be gone already."""
    try:
        act(*given)
    except Exception:  # noqa: BLE001 (whatever is wrong with it, it is let go of)
        return
