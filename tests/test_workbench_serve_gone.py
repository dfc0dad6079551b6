"""Clients that leave or do not read: the session ends with its connection, and the server can be stopped."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

from tests.serve_fakes import Reacts, served
from workbench.clock import ClockSpec, Tick, pause
from workbench.packets import AGENT_AUDIO, USER_AUDIO, MicroTurn, Packet
from workbench.serve import server
from workbench.serve.server import REALTIME, Served
from workbench.session import Said

SECONDS, SOON_S = 60.0, 15.0
WIDE, SMALL = {"type": "audio/pcm", "rate": 16_000}, {"type": "audio/pcmu", "rate": 8_000}  # no resampling; little to send
UPGRADE = (
    "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


@dataclass(frozen=True)
class Talks:
    """Makes a sound in every tick."""

    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO,)
    hears: tuple[str, ...] = (USER_AUDIO,)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Talks"}

    def start(self, clock: ClockSpec, seed: int) -> ClockSpec:
        return clock

    def step(self, state: ClockSpec, tick: Tick, heard: MicroTurn) -> tuple[Said, ClockSpec]:
        return Said((Packet(AGENT_AUDIO, tick, np.full(state.samples_per_tick, 0.1, np.float32)),)), state


@contextmanager
def deaf(running: Served) -> Iterator[None]:
    """A client of the Realtime protocol that never reads, with room for next to nothing on both sides of its connection."""
    running._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        line.connect(("127.0.0.1", running.port))
        line.sendall(f"GET {REALTIME} HTTP/1.1\r\n{UPGRADE}".encode())
        yield


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something holds, now or before long."""
    for _ in range(round(SOON_S / 0.05)):
        if holds():
            return True
        pause(0.05)
    return False


@pytest.mark.parametrize(
    ("agent", "form", "piece_s"),
    [(Reacts(), WIDE, SECONDS), (Reacts(), SMALL, 3.0), (Talks(), SMALL, 3.0)],
    ids=["in one frame", "in many", "in many to an agent that talks"],
)
def test_a_session_ends_with_its_connection_however_much_sound_was_sent_ahead(
    tmp_path: Path, agent: Any, form: dict[str, Any], piece_s: float
) -> None:
    start = {"model": "nano", "audio": {"format": form}}
    silence = base64.b64encode(b"\xff" * round(form["rate"] * piece_s) * (2 if form is WIDE else 1)).decode()
    with served(tmp_path, keys={}, agent=agent) as running:
        with connect(f"ws://127.0.0.1:{running.port}/v1/live/sessions", close_timeout=0.2) as connection:
            connection.send(json.dumps({"type": "session.start", "session": start}))
            assert json.loads(connection.recv(20))["type"] == "session.started"
            for _ in range(round(SECONDS / piece_s)):
                connection.send(json.dumps({"type": "session.input_audio.append", "audio": silence}))
            assert len(running.hall.seats) == 1
        assert soon(lambda: not running.hall.seats)


def test_the_server_can_be_stopped_while_a_client_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SEND_S", 1, raising=False)
    with ExitStack() as stack:
        running = stack.enter_context(served(tmp_path, keys={}, agent=Talks()))  # type: ignore[arg-type]
        leaving = threading.Thread(target=stack.pop_all().close, daemon=True)
        with deaf(running):
            assert soon(lambda: len(running.hall.seats) == 1)
            outbox = running.hall.seats[0].outbox
            assert soon(lambda: outbox.closed or len(outbox._waiting) > 2), "a send waits, or has done so for too long"
            leaving.start()
            leaving.join(SOON_S)
            assert not leaving.is_alive()
        leaving.join()
