"""A live session carried over a WebSocket at a loopback port, from a thread of its own: a busy cell does not delay it."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from workbench.errors import InputError
from workbench.live.protocol import pack, unpack

LOOPBACK = ("localhost", "127.0.0.1", "::1")
REPLACED = 4001  # the code a connection is closed with when another one took its session over
WAITING = 256  # messages a slow browser may be behind before its connection is given up: about 50 s
LARGEST = 1 << 20  # bytes of one message


class Runtime(Protocol):
    """A live session, as a carrier sees it. Messages are those of `workbench.live.protocol`; every method may be called from any thread."""

    def feed(self, message: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """Take a message of the client; returns at once."""

    def subscribe(
        self, callback: Callable[[Mapping[str, Any], Sequence[bytes]], None], replaced: Callable[[], object] = ...
    ) -> Callable[[], None]:
        """Call back with every message for the client, until the function that is returned is called or, after another has subscribed,
        `replaced` was."""

    def away(self) -> None:
        """The page is gone, and may come back with its token."""

    def close(self) -> None:
        """End the session, if it has not ended."""


class SocketCarrier:
    """Serves one runtime at `address`, which carries its secret. The newest connection has the session; it may come back within `grace_s`,
    unless another carrier has taken the runtime over.

    Raises OSError where no loopback port can be had. Connections are refused (403) without the secret, and from pages of other origins than
    loopback hosts and those named in `origins` (as "https://host").
    """

    def __init__(self, runtime: Runtime, *, origins: Collection[str] = (), grace_s: float = 30.0) -> None:
        self.runtime, self.origins, self.grace_s = runtime, frozenset(origins), grace_s
        self.token = secrets.token_urlsafe(24)
        self.port = 0
        self._current: ServerConnection | None = None
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._unsubscribe: Callable[[], None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._failure: OSError | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="microturn-socket", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    @property
    def address(self) -> str:
        """Where the client connects, secret included."""
        return f"ws://127.0.0.1:{self.port}/?token={self.token}"

    def close(self) -> None:
        """Stop serving. The runtime is not closed."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=5)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with serve(self._talk, LOOPBACK[1], 0, process_request=self._admit, max_size=LARGEST, compression=None) as server:
                self.port = next(iter(server.sockets)).getsockname()[1]
                self._ready.set()
                await self._stop.wait()
                self._leave()
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """None to go on, or the answer that refuses."""
        given = parse_qs(urlsplit(request.path).query).get("token", [""])[0]
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return connection.respond(HTTPStatus.FORBIDDEN, "The secret of the session is missing or wrong; open it from its own page.\n")
        origin = request.headers.get("Origin", "")
        if urlsplit(origin).hostname not in LOOPBACK and origin not in self.origins:
            return connection.respond(
                HTTPStatus.FORBIDDEN, f"Pages of {origin or 'no origin'} may not connect; name it in `origins`, or use localhost.\n"
            )
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        if "probe=1" in urlsplit(connection.request.path if connection.request else "").query:
            return
        before, self._current, self._outbox = self._current, connection, asyncio.Queue(WAITING)
        self._keep_waiting()
        if before:
            self._dismiss(before)
        if self._unsubscribe is None:
            self._unsubscribe = self.runtime.subscribe(self._say, partial(self._loop.call_soon_threadsafe, self._replaced))
        writer = asyncio.create_task(self._write(connection, self._outbox))
        try:
            async for data in connection:
                if self._current is connection:
                    self._hear(data)
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            if self._current is connection:
                self._current = None
                self.runtime.away()
                self._grace = self._loop.call_later(self.grace_s, self._abandon)

    def _leave(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _keep_waiting(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _replaced(self) -> None:
        """Another carrier has the runtime now: this one's page is told, and its absence ends nothing."""
        self._unsubscribe = None
        self._keep_waiting()
        if self._current is not None:
            self._dismiss(self._current)
            self._current = None

    def _dismiss(self, connection: ServerConnection) -> None:
        """Tell a page that its session goes on elsewhere; nobody waits for its answer."""
        goodbye = asyncio.create_task(connection.close(REPLACED, "opened elsewhere"))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    def _hear(self, data: bytes | str) -> None:
        try:
            message, buffers = unpack(data.encode() if isinstance(data, str) else data)
        except InputError as error:
            self._offer(pack({"t": "problem", "code": "message", "text": str(error)}))
        else:
            self.runtime.feed(message, buffers)

    def _say(self, message: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """Called by the runtime, in its own thread."""
        if self._current is not None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._offer, pack(message, buffers))

    def _offer(self, data: bytes) -> None:
        try:
            self._outbox.put_nowait(data)
        except asyncio.QueueFull:
            if self._current is not None:
                self._current.transport.abort()

    @staticmethod
    async def _write(connection: ServerConnection, outbox: asyncio.Queue[bytes]) -> None:
        try:
            while True:
                await connection.send(await outbox.get())
        except ConnectionClosed:
            pass

    def _abandon(self) -> None:
        self._loop.run_in_executor(None, self.runtime.close)
