"""The live sessions of one process: who says hello gets a session or is told why not, and who was gone finds the old one again.

A carrier opens one `Connection` for each page, hands it every message that comes, and sends what `take` gives whenever it is notified.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.clock import ClockSpec, RealTime, utc_now
from workbench.errors import InputError, WorkbenchError
from workbench.live.admission import MINUTE_S, Admission, Ticket
from workbench.live.outbox import Outbox
from workbench.live.protocol import Buffers, FromRuntime, Hello, Json, Problem, decode_from_client, unpack
from workbench.live.runtime import LiveSession, LiveSpec
from workbench.session import Participant

REMEMBERED = 32  # sessions that are over and whose pages may still come back to hear of it


@dataclass
class Host:
    """Begins sessions with an agent of `make_agent`, writes their traces into `folder`, and finds them again by their tokens.

    `make_agent` is called once a session, on the thread of a carrier; load what is slow to load before. Safe to use from many threads.
    """

    make_agent: Callable[[], Participant]
    folder: Path
    admission: Admission
    spec: LiveSpec = field(default_factory=LiveSpec)
    make_pace: Callable[[], RealTime] = lambda: RealTime(ClockSpec())
    _sessions: dict[str, LiveSession] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sessions(self) -> list[LiveSession]:
        """Those that are going on, oldest first."""
        with self._lock:
            return [session for session in self._sessions.values() if session.end is None]

    def open(self, visitor: str, notify: Callable[[], None] | None = None) -> Connection:
        """A connection for one page; `visitor` is who is counted for it, e.g. a login or an address. See `Outbox` for `notify`."""
        return Connection(self, visitor, Outbox(notify=notify))

    def seat(self, visitor: str, hello: Hello, outbox: Outbox) -> LiveSession | Problem:
        """The session that this page speaks in from now on, welcomed in its outbox; or the problem to show."""
        try:
            if hello.resume is not None:
                return self._resumed(hello, outbox)
            ticket = self.admission.ask(visitor)
            if isinstance(ticket, Problem):
                return ticket
            try:
                return self._begun(ticket, hello, outbox)
            except BaseException:
                self.admission.leave(ticket)
                raise
        except WorkbenchError as error:
            code = "rate" if isinstance(error, InputError) else "checkpoint"
            return Problem(code=code, text=str(error))

    def close(self, timeout_s: float = 10.0) -> None:
        """End all sessions, each with its trace."""
        for session in (running := self.sessions):
            session.stop("the server was stopped")
        for session in running:
            session.join(timeout_s)

    def _begun(self, ticket: Ticket, hello: Hello, outbox: Outbox) -> LiveSession:
        name, token = f"live-{utc_now().replace(':', '')}-{secrets.token_hex(3)}", secrets.token_urlsafe(16)
        minutes, count = (ticket.ends_s - ticket.began_s) / MINUTE_S, min(ticket.bytes, self.spec.bytes)
        spec = replace(self.spec, minutes=min(minutes, self.spec.minutes), bytes=count)
        session = LiveSession(self.make_agent(), self.folder / f"{name}.sqlite", self.make_pace(), name=name, token=token, spec=spec)
        session.connect(hello, outbox)
        with self._lock:
            over = [key for key, known in self._sessions.items() if known.end is not None]
            for key in over[:-REMEMBERED]:
                del self._sessions[key]
            self._sessions[token] = session
        return session.start(lambda: self.admission.leave(ticket, session.bytes))

    def _resumed(self, hello: Hello, outbox: Outbox) -> LiveSession | Problem:
        with self._lock:
            session = self._sessions.get(hello.resume or "")
        if session is None:
            return Problem(code="gone", text="that session is over and forgotten, or was another server's; begin a new one")
        session.connect(hello, outbox)
        return session


@dataclass
class Connection:
    """One page as a carrier sees it. Nothing that a page sends raises an error here: the page is told of it as a problem."""

    host: Host
    visitor: str
    outbox: Outbox
    session: LiveSession | None = None

    def receive(self, body: Json, buffers: Buffers = ()) -> None:
        """A message as JSON and buffers."""
        try:
            message = decode_from_client(body, buffers)
        except InputError as error:
            self.outbox.put(Problem(code="message", text=str(error)))
            return
        if self.session is not None:
            self.session.receive(self.outbox, message)
        elif isinstance(message, Hello):
            seated = self.host.seat(self.visitor, message, self.outbox)
            if isinstance(seated, Problem):
                self.outbox.put(seated)
            else:
                self.session = seated
        else:
            self.outbox.put(Problem(code="message", text=f"{message.t!r} came before hello; say hello first"))

    def receive_binary(self, data: bytes) -> None:
        """A message as one binary message."""
        try:
            body, buffers = unpack(data)
        except InputError as error:
            self.outbox.put(Problem(code="message", text=str(error)))
            return
        self.receive(body, buffers)

    def take(self) -> list[FromRuntime]:
        """What is to be sent to the page now; `encode`, and `pack` where the carrier has no buffers, make it ready."""
        return self.outbox.take()

    def close(self) -> None:
        """The page is gone."""
        if self.session is None:
            self.outbox.close()
        else:
            self.session.disconnect(self.outbox)
