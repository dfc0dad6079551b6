"""The server: WebSockets that speak OpenAI's events at /v1/live/sessions and /v1/realtime, each with a session of its own.

Two threads for each connection: one reads client events, the other passes on what the session says. Whoever does not read is not waited
for by the session, and after a while the connection is closed; whoever sends too fast is read more slowly. A frame that is wrong is
answered with an error event, and the connection stays open. With keys, a request without one of them as "Authorization: Bearer KEY" is
answered 401; without keys only this machine is served. Pages of a browser come in only from this machine, or from the origins that are
named.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Protocol, Self
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.sync.server import Server, ServerConnection, serve

from workbench.clock import pause, utc_now
from workbench.errors import InputError
from workbench.live.protocol import FromRuntime, TickDone
from workbench.serve.hall import Hall, Seat, Wanted
from workbench.serve.live import LiveEvents
from workbench.serve.realtime import RealtimeEvents
from workbench.serve.wire import LARGEST_FRAME, Json, Refused, event_id_of, frame_of, read_frame

LIVE, REALTIME, MODELS = "/v1/live/sessions", "/v1/realtime", "/v1/models"
MOST_CONNECTIONS = 64
START_S = 30.0  # that a connection may be open without a session
SEND_S = 10  # that a client may take nothing of what it is sent
QUIET_POLL_S = 0.2
TRY_AGAIN = 1013  # the code a connection is closed with when there is no place for its session
ANYBODY = "anybody"


class Events(Protocol):
    """What a connection speaks: events in and out of one session. `seat` is None before it has one."""

    seat: Seat | None

    def opened(self) -> list[Json]: ...
    def heard(self, body: Json) -> list[Json]: ...
    def told(self, message: FromRuntime) -> list[Json]: ...
    def error(
        self, code: str, text: str, *, param: str | None = None, kind: str = "invalid_request_error", client_event_id: str | None = None
    ) -> Json: ...


@dataclass(frozen=True, kw_only=True)
class Door:
    """Who may come in: `keys` are names to bearer keys (none: anybody on this machine), `origins` pages that may, as "https://host"."""

    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    origins: tuple[str, ...] = ()

    def who(self, headers: Mapping[str, str], peer: str) -> str | None:
        """The name of who asks; None for a key that is missing or wrong."""
        if not self.keys:
            return peer or ANYBODY
        given = _digest(headers.get("Authorization", "").removeprefix("Bearer ").strip())
        found = [name for name, key in self.keys.items() if hmac.compare_digest(given, _digest(key))]
        return found[0] if found else None

    def admits(self, origin: str | None) -> bool:
        """Whether a page of this origin may connect; programs have none."""
        return origin is None or origin in self.origins or only_here(urlsplit(origin).hostname or "")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def only_here(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Served:
    """A hall behind a port, from `__enter__` to `__exit__`. Raises InputError where the port cannot be listened on.

    An address that others can reach needs keys.
    """

    def __init__(self, hall: Hall, door: Door, host: str = "127.0.0.1", port: int = 0) -> None:
        if not door.keys and not only_here(host):
            raise InputError(f"--host {host} lets others in, and nobody needs a key; give --key NAME:KEY (or a file of them) as well")
        self.hall, self.door = hall, door
        self._open = 0
        self._lock = threading.Lock()
        try:
            self._server: Server = serve(
                self._connected,
                host,
                port,
                process_request=self._asked,
                max_size=LARGEST_FRAME,
                compression=None,
                server_header="microturn",
            )
        except OSError as error:
            raise InputError(f"port {port} of {host} cannot be listened on ({error.strerror}); give another --port or --host") from error
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="microturn-serve", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hall.close()
        pause(QUIET_POLL_S)  # for the last events to leave
        self._server.shutdown()

    # --- the door ---

    def _asked(self, connection: ServerConnection, request: Request) -> Response | None:
        """None to go on with a WebSocket, or the answer of a request that is none or may not come in."""
        path = urlsplit(request.path).path.rstrip("/")
        if not self.door.admits(request.headers.get("Origin")):
            return _refusal(HTTPStatus.FORBIDDEN, "origin_not_allowed", "pages of this origin may not connect; name it with --origin")
        if self._who(connection, request) is None:
            return _refusal(HTTPStatus.UNAUTHORIZED, "invalid_api_key", "the API key is missing or wrong; send 'Authorization: Bearer KEY'")
        if path == MODELS:
            model = {"id": self.hall.model, "object": "model", "created": 0, "owned_by": "microturn"}
            return _answer(HTTPStatus.OK, {"object": "list", "data": [model]})
        if path not in (LIVE, REALTIME):
            return _refusal(
                HTTPStatus.NOT_FOUND, "not_found", f"there is nothing at {path[:80]!r}; there is {LIVE}, {REALTIME} and {MODELS}"
            )
        if self._open >= MOST_CONNECTIONS:
            return _refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, "too_many_connections", f"{MOST_CONNECTIONS} connections are open; try again soon"
            )
        return None

    def _who(self, connection: ServerConnection, request: Request) -> str | None:
        address = connection.remote_address
        headers = {"Authorization": ", ".join(request.headers.get_all("Authorization"))}
        return self.door.who(headers, str(address[0]) if isinstance(address, tuple) else "")

    # --- one connection ---

    def _connected(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        _limit_sends(connection.socket)
        with self._lock:
            self._open += 1
        try:
            visitor = self._who(connection, connection.request) or ANYBODY
            Line(connection, self._events(connection.request, visitor)).run()
        finally:
            with self._lock:
                self._open -= 1

    def _events(self, request: Request, visitor: str) -> Events:
        def begin(wanted: Wanted) -> Seat:
            return self.hall.seat(visitor, wanted)

        parts = urlsplit(request.path)
        if parts.path.rstrip("/") == LIVE:
            return LiveEvents(self.hall.model, begin, self._expires_at)
        asked = parse_qs(parts.query).get("model", [""])[0]
        return RealtimeEvents(self.hall.model, asked, begin, self._expires_at)

    def _expires_at(self) -> int:
        now_s = datetime.fromisoformat(utc_now()).astimezone(UTC).timestamp()
        return int(now_s + 60 * min(self.hall.spec.minutes, self.hall.admission.limits.minutes))


class Line:
    """One connection and its session, from its first event to its last."""

    def __init__(self, connection: ServerConnection, events: Events) -> None:
        self.connection, self.events = connection, events
        self._lock = threading.Lock()  # events are made and sent by one thread at a time, so they leave in order
        self._writer: threading.Thread | None = None

    def run(self) -> None:
        """Read until the connection is closed; the session ends with it."""
        try:
            if self._made(self.events.opened, None):
                while True:
                    data = self.connection.recv(START_S if self.events.seat is None else None)
                    if not self._made(partial(self._heard, data), data):
                        break
                    if self.events.seat is not None:
                        self.events.seat.feed()
        except TimeoutError:
            self._say([self.events.error("session_not_started", f"no session was started within {START_S:g} s; connect again")])
            self.connection.close()
        except ConnectionClosed:
            pass
        finally:
            if self.events.seat is not None:
                self.events.seat.leave()
            if self._writer is not None:
                self._writer.join()

    def _heard(self, data: str | bytes) -> list[Json]:
        return self.events.heard(read_frame(data))

    def _made(self, make: Callable[[], list[Json]], data: str | bytes | None) -> bool:
        """Send what comes of a client event, an error where it is wrong; False once there is no going on."""
        try:
            with self._lock:
                self._send(make())
                if self.events.seat is not None and self._writer is None:
                    self._writer = threading.Thread(target=self._pass_on, args=(self.events.seat,), name="microturn-line", daemon=True)
                    self._writer.start()
        except Refused as error:
            its_id = None if data is None else event_id_of(data)
            self._say([self.events.error(error.code, str(error), param=error.param, kind=error.kind, client_event_id=its_id)])
            if data is None or error.code == "too_many_sessions":
                self.connection.close(TRY_AGAIN, "no place for a session")
                return False
        return True

    def _pass_on(self, seat: Seat) -> None:
        """Send what the session says until it is over, and close the connection then. A session whose connection is gone ends."""
        try:
            over = False
            while not over:
                if self._gone():
                    seat.leave()
                over = seat.outbox.closed  # nothing more comes then
                for message in seat.outbox.take():
                    with self._lock:
                        self._send(self.events.told(message))
                    if isinstance(message, TickDone):
                        seat.played(message.position + len(message.samples))
                if not over:
                    seat.outbox.wait(QUIET_POLL_S)
            self.connection.close()
        except ConnectionClosed:
            seat.leave()

    def _gone(self) -> bool:
        """Whether the other end is gone; where much that it sent waits to be read, its farewell has not been read either."""
        if self.connection.protocol.state is not State.OPEN:
            return True
        if sys.platform != "linux":
            return False
        poller = select.poll()
        try:
            poller.register(self.connection.socket, select.POLLRDHUP)
            return bool(poller.poll(0))
        except ValueError:  # the socket was closed just now
            return True

    def _say(self, events: Iterable[Json]) -> None:
        with self._lock:
            self._send(events)

    def _send(self, events: Iterable[Json]) -> None:
        for event in events:
            self.connection.send(frame_of(event))


def _limit_sends(connected: socket.socket) -> None:
    """Have a send fail where it waits for SEND_S; without a limit it waits for ever, and nobody else can close its connection."""
    if sys.platform != "win32":  # whose sockets are told otherwise
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_S, 0))


def _refusal(status: HTTPStatus, code: str, text: str) -> Response:
    return _answer(status, {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": code}})


def _answer(status: HTTPStatus, body: Json) -> Response:
    data = json.dumps(body).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(data)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, data)
