"""A shared page served on a loopback port, a visitor without a browser, and an agent that counts when it is told to by typed text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.sync.client import ClientConnection, connect

from tests.live_fakes import HELLO, PIECE
from widgets.shared import Door, Served, SharedPage
from workbench.agents import YIELD, Mouth, MouthState
from workbench.clock import ClockSpec, RealTime, Tick
from workbench.events import Decision, Gate
from workbench.given import listen
from workbench.live.admission import Admission, Limits
from workbench.live.host import Host
from workbench.live.protocol import Audio, Consent, End, FromClient, Message, TickDone, Welcome, decode, encode, pack, unpack
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_TEXT, MicroTurn
from workbench.session import Participant, Said

NUMBERS = "one two three four five six seven eight nine ten".split() * 30  # until it is stopped, however late that comes
EVERY_TICKS = 3
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Counting:
    clock: ClockSpec
    mouth: MouthState
    said: int = len(NUMBERS)

    def clone(self) -> Counting:
        return self


@dataclass(frozen=True)
class Counter:
    """Counts to ten, over and over, when "count" is typed, gives way when "stop" is; every other tick it notes a gate that held it back."""

    threshold: float = 0.5
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO, USER_TEXT)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Counter"}

    def with_threshold(self, threshold: float) -> Counter:
        return replace(self, threshold=threshold)

    def start(self, clock: ClockSpec, seed: int) -> Counting:
        return Counting(clock, Mouth().start(seed))

    def step(self, state: Counting, tick: Tick, heard: MicroTurn) -> tuple[Said, Counting]:
        told = heard.text(USER_TEXT)
        said = 0 if told.startswith("count") else len(NUMBERS) if told == "stop" else state.said
        due = NUMBERS[said : said + 1] if tick % EVERY_TICKS == 0 else []
        packets, events, mouth = Mouth().act(state.mouth, state.clock, tick, due, told == "stop")
        gates = () if due or tick % 2 else (Gate("threshold", "one", "<silence>", f"p(speak) 0.40 < threshold {self.threshold:.2f}"),)
        decision = Decision(
            floor="speak" if mouth.talking else "listen", said=" ".join([YIELD] * (told == "stop") + due), p_speak=0.9 if due else 0.4,
            p_yield=0.9 if told == "stop" else 0.1, p_backchannel=0.0, threshold=self.threshold, gates=gates,
        )  # fmt: skip
        return Said(packets, (*events, decision)), replace(state, mouth=mouth, said=said + len(due))


@dataclass(frozen=True)
class Site:
    """A shared page that is being served."""

    host: Host
    page: SharedPage
    port: int

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    def connect(self, *, origin: str | None = "", **more: Any) -> ClientConnection:
        """A socket to it, as its own page opens one unless told otherwise."""
        asked = self.address if origin == "" else origin
        return connect(f"ws://localhost:{self.port}/microturn/talk", origin=asked, open_timeout=PATIENCE_S, **more)  # type: ignore[arg-type]

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.address + path, timeout=PATIENCE_S, **more)


@contextmanager
def site(agent: Participant, folder: Path, *, limits: Limits | None = None, **door: Any) -> Iterator[Site]:
    """The page of a host with this agent, on a free port; by default one visitor may fill it."""
    host = Host(lambda: agent, folder, Admission(limits or Limits(visitor_minutes=600.0), RealTime(ClockSpec()).now))
    page = SharedPage(host, Door(**door))
    with Served(page.app, listen("localhost", 0)) as served:
        try:
            yield Site(host, page, served.port)
        finally:
            host.close(PATIENCE_S)


def say(socket: ClientConnection, message: FromClient) -> None:
    socket.send(pack(*encode(message)))


def told(socket: ClientConnection) -> Message:
    data = socket.recv(timeout=PATIENCE_S)
    assert isinstance(data, bytes)
    return decode(*unpack(data))


def hello(socket: ClientConnection, token: str | None = None) -> Message:
    """The first answer to a hello: a welcome, or a problem."""
    say(socket, replace(HELLO, resume=token))
    return told(socket)


def talking(socket: ClientConnection) -> Welcome:
    """A session begun and agreed to."""
    welcome = hello(socket)
    assert isinstance(welcome, Welcome), welcome
    say(socket, Consent(given=True))
    return welcome


def echoed(socket: ClientConnection, level: int) -> set[int]:
    """Send sound of this level with every tick that comes, until it comes back; every level that came."""
    n, levels = 0, set[int]()
    while level not in levels:
        message = told(socket)
        if isinstance(message, TickDone):
            levels |= set(message.samples.tolist())
            for begin in range(n, n + 5 * PIECE, PIECE):
                say(socket, Audio(n=begin, at=0.0, samples=np.full(PIECE, level, np.int16)))
            n += 5 * PIECE
    return levels


def ended(socket: ClientConnection) -> End:
    while not isinstance(message := told(socket), End):
        pass
    return message
