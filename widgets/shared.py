"""The shared demo served: a Gradio page, and beside it the socket that each visitor's live session comes over."""

from __future__ import annotations

import asyncio
import math
import secrets
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import gradio
import httpx
import uvicorn
from fastapi import FastAPI
from gradio.networking import setup_tunnel
from gradio.route_utils import API_PREFIX
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from widgets.gradio_page import ASSETS, LOOK, asset, page
from widgets.sockets import LARGEST, LOOPBACK
from workbench.clock import ClockSpec, RealTime
from workbench.errors import InputError
from workbench.live.admission import Attempts
from workbench.live.host import Connection, Host
from workbench.live.protocol import pack, unpack

REFUSED = 4003  # the code a socket is closed with when its page may not come in
MOST_SOCKETS = 64  # pages that are open at once, talking or not
WELCOME = (
    "Talk with an interaction model: log in with the name that you were given. "
    "Whoever gives ten wrong passwords in a row can try again after five minutes."
)
TOKEN_HEADER = "x-microturn-token"
TRACE_S = 5.0  # seconds a download waits for a session that was just ended
STARTED_S = 60.0
PLAIN: dict[str, Any] = {  # of all that Gradio serves, the page and its login are enough
    "max_file_size": 1,
    "footer_links": [],
    "run_history": False,
    "mcp_server": False,
    "ssr_mode": False,
    "enable_monitoring": False,
    "show_error": False,
}


@dataclass(frozen=True, kw_only=True)
class Door:
    """Who may come in. With `logins` (name to password) only those who log in; else only pages of this machine.

    `origins` are further pages that may connect, as "https://host". `visitor_header` is the request header in which a proxy that is
    trusted names the visitor's address; its last entry counts.
    """

    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    origins: tuple[str, ...] = ()
    visitor_header: str = ""

    def why_not(self, origin: str, host: str) -> str:
        """Why a page of `origin` may not connect to a server that it calls `host`; empty when it may.

        Without logins a name that is not this machine's own is refused even where both agree: it may have been made to point here.
        """
        named = urlsplit(origin)
        here = bool(origin) and named.netloc == host and (bool(self.logins) or named.hostname in LOOPBACK)
        return "" if here or origin in self.origins else f"pages of {origin or 'no origin'} may not connect to {host}"

    def address(self, connection: HTTPConnection) -> str:
        """Where a visitor comes from: their address, or what the proxy says that it is."""
        told = ",".join(connection.headers.getlist(self.visitor_header)) if self.visitor_header else ""
        return told.rsplit(",", 1)[-1].strip() or (connection.client.host if connection.client else "unknown")


class Doorkeeper:
    """An application before which nobody can guess passwords for long: of an address that did, no login is looked at for a while (429)."""

    def __init__(self, app: ASGIApp, attempts: Attempts, door: Door) -> None:
        self.app, self.attempts, self.door = app, attempts, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].rstrip("/") != "/login":
            await self.app(scope, receive, send)
            return
        address = self.door.address(HTTPConnection(scope))
        wait_s = math.ceil(self.attempts.ask(address))
        if wait_s:
            text = f"too many wrong passwords from {address}; try again in {wait_s} s\n"
            await PlainTextResponse(text, 429, {"retry-after": str(wait_s)})(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                self.attempts.right(address)
            await send(message)

        await self.app(scope, receive, answer)


class SharedPage:
    """The page of a host as a web application, at `app`.

    `families` are those of which something is offered to try (None: all), of slow work only where somebody does it
    (`slow`).
    """

    def __init__(self, host: Host, door: Door, families: Sequence[str] | None = None, *, slow: bool = False) -> None:
        self.host, self.door = host, door
        self._open = 0
        routes = [
            WebSocketRoute("/microturn/talk", self._talk),
            Route("/microturn/trace", self._trace),
            *(Route(f"/microturn/{name}", self._asset) for name in ASSETS),
        ]
        empty = FastAPI(routes=routes, openapi_url=None)
        only = {"auth": list(door.logins.items()) or None, "auth_message": WELCOME, "blocked_paths": [str(host.folder.resolve())]}
        blocks = page(families, slow=slow, logins=bool(door.logins))
        self.app: FastAPI = gradio.mount_gradio_app(empty, blocks, "/", **only, **PLAIN, **LOOK)
        self.app.add_middleware(Doorkeeper, attempts=Attempts(RealTime(ClockSpec()).now), door=door)

    async def visitor(self, connection: HTTPConnection) -> str | None:
        """Who this is: the name they logged in with, or their address; None when they should have logged in."""
        if self.door.logins:
            return await self._login(connection.headers.get("cookie", ""))
        return self.door.address(connection)

    async def _login(self, cookie: str) -> str | None:
        """The login that a cookie belongs to, as Gradio itself says."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://localhost") as client:
            answer = await client.get(f"{API_PREFIX}/user", headers={"cookie": cookie})
        name = answer.json() if answer.status_code == 200 else None
        return name if isinstance(name, str) else None

    async def _refusal(self, page: WebSocket) -> tuple[str, str]:
        """The visitor, and why they may not come in; one of the two is empty."""
        why = self.door.why_not(page.headers.get("origin", ""), page.headers.get("host", ""))
        if why:
            return "", why
        if self._open >= MOST_SOCKETS:
            return "", f"{MOST_SOCKETS} pages are open already; try again in a minute"
        visitor = await self.visitor(page)
        return (visitor, "") if visitor else ("", "you are not logged in any more; load the page again and log in")

    async def _talk(self, page: WebSocket) -> None:
        """One page, from its first message to its last."""
        await page.accept()
        visitor, why = await self._refusal(page)
        if why:
            await page.close(REFUSED, why[:120])
            return
        loop, connection = asyncio.get_running_loop(), self.host.open(visitor)

        def say(message: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
            """Called from the connection's thread, which waits until the page has taken the message."""
            sent = asyncio.run_coroutine_threadsafe(page.send_bytes(pack(message, buffers)), loop)
            with suppress(WebSocketDisconnect, RuntimeError, CancelledError):  # it is gone: the loop below sees that too
                sent.result()

        leave = connection.subscribe(say)
        self._open += 1
        try:
            with suppress(WebSocketDisconnect):
                while True:
                    await _hear(page, connection)
        finally:
            self._open -= 1
            leave()
            connection.away()

    async def _trace(self, request: Request) -> Response:
        """The trace of a session that is over, for whoever has its token."""
        if await self.visitor(request) is None:
            return PlainTextResponse("you are not logged in any more; load the page again and log in\n", 401)
        session = self.host.find(request.headers.get(TOKEN_HEADER, ""))
        if session is None:
            return PlainTextResponse("no session here has that token; the server forgets a session after others were held\n", 404)
        if not await asyncio.to_thread(session.join, TRACE_S) or session.end is None:
            return PlainTextResponse("this session still goes on; end it, or wait half a minute after its page was closed\n", 409)
        if session.end.trace is None:
            return PlainTextResponse("nothing of this session was recorded\n", 404)
        return FileResponse(
            session.path, media_type="application/vnd.sqlite3", filename=session.path.name, headers={"cache-control": "no-store"}
        )

    async def _asset(self, request: Request) -> Response:
        kind, text = asset(request.url.path.rsplit("/", 1)[-1])
        return Response(text, media_type=kind, headers={"cache-control": "no-cache"})


async def _hear(page: WebSocket, connection: Connection) -> None:
    """Take one message of a page. Raises WebSocketDisconnect when it is gone."""
    event = await page.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", 1006))
    try:
        message, buffers = unpack(event.get("bytes") or (event.get("text") or "").encode())
    except InputError as error:
        await page.send_bytes(pack({"t": "problem", "code": "message", "text": str(error)}))
    else:
        await asyncio.to_thread(connection.feed, message, buffers)


class Served:
    """An application that is served from a thread of its own, until it is closed or the `with` block is left."""

    def __init__(self, app: FastAPI, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app, log_level="warning", proxy_headers=False, server_header=False, ws_max_size=LARGEST, timeout_graceful_shutdown=3
        )
        self.port: int = listening.getsockname()[1]
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="microturn-page", daemon=True)
        self._thread.start()
        late_s = time.monotonic() + STARTED_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > late_s:
                raise RuntimeError(f"the page could not be served at port {self.port}; what went wrong stands above")
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; open pages are cut off."""
        self._server.should_exit = True
        self._thread.join(10)


def share(listening: socket.socket) -> str:
    """A public https address, for a while, through Gradio's tunnel. Raises InputError where there is none."""
    name, port = listening.getsockname()[:2]
    local = LOOPBACK[1] if name in ("0.0.0.0", "::") else name
    try:
        return str(setup_tunnel(local, port, secrets.token_urlsafe(32), None, None))
    except Exception as error:  # every part of the tunnel raises errors of its own; all mean the same to a user
        raise InputError(f"--share: no public address could be had ({error}); check the network, or leave --share out") from error
