"""A live session over the notebook's socket: what is said comes back from an echo, over a cut connection, and stands in the trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from websockets.sync.client import ClientConnection, connect

from widgets.sockets import SocketCarrier
from workbench.agents import EchoAgent
from workbench.clock import ClockSpec, RealTime
from workbench.live.admission import Admission, Limits
from workbench.live.host import Host
from workbench.live.protocol import (
    RATE,
    Audio,
    Consent,
    End,
    FromClient,
    Hello,
    Message,
    Stop,
    TickDone,
    Welcome,
    decode,
    encode,
    pack,
    unpack,
)
from workbench.packets import USER_AUDIO
from workbench.store import read_trace, verify

PIECE = 640


def say(socket: ClientConnection, message: FromClient) -> None:
    socket.send(pack(*encode(message)))


def told(socket: ClientConnection) -> Message:
    data = socket.recv(timeout=30)
    assert isinstance(data, bytes)
    return decode(*unpack(data))


def hello(socket: ClientConnection, token: str | None = None) -> Welcome:
    say(socket, Hello(rate=RATE, client="test 1", settings={}, resume=token))
    while not isinstance(welcome := told(socket), Welcome):
        pass
    return welcome


def speak_until_echoed(socket: ClientConnection, level: int) -> None:
    """Send 200 ms of this level with every tick that comes, until the echo has it."""
    n, loudest = 0, 0
    while loudest < level:
        message = told(socket)
        if isinstance(message, TickDone):
            loudest = int(message.samples.max(initial=0))
            for begin in range(n, n + 5 * PIECE, PIECE):
                say(socket, Audio(n=begin, at=0.0, samples=np.full(PIECE, level, np.int16)))
            n += 5 * PIECE


def test_what_is_said_comes_back_over_a_cut_connection_and_stands_in_the_trace(tmp_path: Path) -> None:
    host = Host(EchoAgent, tmp_path, Admission(Limits(), RealTime(ClockSpec()).now))
    carrier = SocketCarrier(host.open("ann"))
    try:
        with connect(carrier.address, origin="http://localhost") as socket:  # type: ignore[arg-type]
            welcome = hello(socket)
            say(socket, Consent(given=True))
            speak_until_echoed(socket, 1000)
        with connect(carrier.address, origin="http://localhost") as socket:  # type: ignore[arg-type]
            assert hello(socket, welcome.token).session == welcome.session
            speak_until_echoed(socket, 2000)
            say(socket, Stop())
            while not isinstance(end := told(socket), End):
                pass
    finally:
        carrier.close()
        host.close()
    assert (end.reason, end.trace) == ("stopped", f"{welcome.session}.sqlite")
    path = tmp_path / str(end.trace)
    assert verify(path).ok
    heard = np.rint(read_trace(path).audio(USER_AUDIO) * 32768)
    assert {1000, 2000} <= set(heard.astype(int).tolist())
