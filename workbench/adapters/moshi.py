"""Moshi and what speaks its protocol (PersonaPlex), as an agent: one byte that says what a message is, then its payload.

    0 handshake   1 sound: one Ogg stream of Opus, mono, 24 kHz   2 text of the agent   3 control   4 metadata, JSON   5 error   6 ping

The model has no turns and tells of none: it sends sound all the time, silence included, in frames of 80 ms, and the pieces of its words. It
does not say what it heard, and counts nothing: the cost is of the seconds of sound that it was sent.

Source: the protocol's description in the repository of the model (kyutai-labs/moshi, rust/protocol.md).

A key, where a server wants one, is read from the environment when the connection is opened, and stands in no spec, event or message.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Any

from websockets.sync.client import ClientConnection, connect

from workbench.adapters.link import USED_EVERY, LinkSpec, News, Saying, Sound, Told, Used, Words
from workbench.adapters.ogg_opus import OpusReader, OpusWriter
from workbench.adapters.openai_live import LARGEST_FRAME, settings_of
from workbench.adapters.remote import Price, RemoteAgent
from workbench.errors import InputError, PeerError
from workbench.given import service_url
from workbench.live.ear import to_float, to_pcm
from workbench.sound_formats import Resampler
from workbench.utterance import RATE

HANDSHAKE, SOUND, TEXT, CONTROL, METADATA, ERROR, PING = range(7)
MOSHI_RATE = 24_000


@dataclass(frozen=True, kw_only=True)
class MoshiSettings:
    """Where the server is, and how long it may take to listen (`open_s`) and between two messages (`stall_s`)."""

    url: str = "ws://localhost:8998/api/chat"
    key_env: str = "MOSHI_API_KEY"
    open_s: float = 30.0
    stall_s: float = 10.0
    retries: int = 4
    usd_per_minute: float = 0.0

    def __post_init__(self) -> None:
        service_url(self.url, ("ws", "wss"), "ws(s)://HOST:8998/api/chat")
        if min(self.open_s, self.stall_s) <= 0 or self.usd_per_minute < 0:
            raise InputError(f"{self}: open_s and stall_s must be above 0, the price 0 or more")

    def about(self) -> dict[str, Any]:
        """The spec of the agent, without its key."""
        return {"service": "moshi", **{f.name: getattr(self, f.name) for f in fields(self)}}


class MoshiWire:
    """One session over one WebSocket."""

    def __init__(self, settings: MoshiSettings) -> None:
        self.settings = settings
        self._writer, self._reader = OpusWriter(MOSHI_RATE), OpusReader(MOSHI_RATE)
        self._up, self._down = Resampler(RATE, MOSHI_RATE), Resampler(MOSHI_RATE, RATE)
        self._socket: ClientConnection | None = None
        self._open = ExitStack()  # closes the socket
        self._typed_told = False
        self._said = self._told = 0  # sayings sent, and those of them that were counted last
        self._sent = 0  # samples
        self._ready: list[News] = []

    def open(self) -> None:
        key = os.environ.get(self.settings.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else None
        patience = self.settings.open_s
        opening = connect(self.settings.url, additional_headers=headers, open_timeout=patience, max_size=LARGEST_FRAME, compression=None)
        self._socket = self._open.enter_context(opening)
        kind, payload = self._message(self.settings.open_s)
        while kind != HANDSHAKE:
            if kind == ERROR:
                raise PeerError(payload.decode("utf-8", "replace"))
            kind, payload = self._message(self.settings.open_s)

    def send(self, saying: Saying) -> None:
        assert self._socket is not None, "opened before anything is said"
        self._said, self._sent = self._said + 1, self._sent + len(saying.samples)
        pages = self._writer.take(to_float(self._up.take(to_pcm(saying.samples))))
        if pages:
            self._socket.send(bytes([SOUND]) + pages)
        if (saying.typed or saying.answers) and not self._typed_told:
            self._typed_told = True
            self._ready.append(Told("text_not_sent", "the protocol carries sound only; typed text and results do not reach the model"))

    def receive(self) -> Iterable[News]:
        kind, payload = self._message(self.settings.stall_s)
        ready, self._ready = self._ready, []
        found = [*ready, *self._news(kind, payload)]
        if self._said >= self._told + USED_EVERY:
            self._told = self._said
            found.append(Used(self._sent / RATE))
        return found

    def close(self) -> None:
        self._open.close()

    def _message(self, patience_s: float) -> tuple[int, bytes]:
        """The next message. Raises TimeoutError when none comes, and whatever the library raises when the connection is gone."""
        assert self._socket is not None, "opened before anything is received"
        message = self._socket.recv(timeout=patience_s)
        data = message.encode() if isinstance(message, str) else message
        return (data[0], data[1:]) if data else (PING, b"")

    def _news(self, kind: int, payload: bytes) -> list[News]:
        match kind:
            case 1:
                samples = self._reader.take(payload)
                return [Sound(to_float(self._down.take(to_pcm(samples))))] if len(samples) else []
            case 2:
                return [Words("model", payload.decode("utf-8", "replace"))]
            case 4:
                return [Told("metadata", payload.decode("utf-8", "replace")[:500])]
            case 5:
                return [Told("error", payload.decode("utf-8", "replace")[:500])]
            case _:
                return []


def moshi(text: str = "") -> RemoteAgent:
    """A Moshi server as an agent, with settings from text. Raises InputError for a setting that there is not."""
    settings = settings_of(MoshiSettings, text)
    price = Price(usd_per_minute=settings.usd_per_minute)
    return RemoteAgent(lambda: MoshiWire(settings), settings.about(), price, LinkSpec(retries=settings.retries))
