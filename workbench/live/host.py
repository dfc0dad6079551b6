"""The live sessions of one process: who says hello gets a session or is told why not, and who was gone finds the old one again.

A carrier opens one `Connection` for each page, feeds it every message that comes, and sends what it is called back with.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from workbench.clock import ClockSpec, RealTime, pause, utc_now
from workbench.errors import InputError, WorkbenchError
from workbench.given import streams_there
from workbench.live.admission import MINUTE_S, Admission, Ticket
from workbench.live.ear import Ear, LiveUser
from workbench.live.outbox import Outbox
from workbench.live.protocol import Buffers, Hello, Json, Problem, decode_from_client, encode
from workbench.live.runtime import LiveSession, LiveSpec
from workbench.retention import PERSON, person_of
from workbench.session import Participant

REMEMBERED = 32  # sessions that are over and whose pages may still come back to hear of it
CLOSE_S = 5.0  # seconds that a session has to close its trace
POLL_S = 0.2

Callback: TypeAlias = Callable[[Json, Sequence[bytes]], None]


@dataclass
class Host:
    """Begins sessions with an agent of `make_agent`, writes their traces into `folder`, and finds them again by their tokens.

    `make_agent` is called once a session, and `make_beside` for who else takes part, on the thread of a carrier; load what is slow to load
    before. Safe to use from many threads. Raises InputError where the spec says how a stream is kept that none of them speaks on.
    """

    make_agent: Callable[[], Participant]
    folder: Path
    admission: Admission
    spec: LiveSpec = field(default_factory=LiveSpec)
    make_pace: Callable[[], RealTime] = lambda: RealTime(ClockSpec())
    make_beside: Callable[[], Sequence[Participant]] = tuple
    _sessions: dict[str, LiveSession] = field(default_factory=dict)
    _tickets: dict[str, Ticket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.spec.keep:  # before anybody comes, who could do nothing about it
            user = LiveUser(Ear(ClockSpec(), RealTime(ClockSpec()).now))
            streams_there(self.spec.keep, (user, self.make_agent(), *self.make_beside()))

    @property
    def sessions(self) -> list[LiveSession]:
        """Those that are going on, oldest first."""
        with self._lock:
            return [session for session in self._sessions.values() if session.end is None]

    def open(self, visitor: str) -> Connection:
        """A connection for one page; `visitor` is who is counted for it, e.g. a login or an address."""
        return Connection(self, visitor)

    def find(self, token: str) -> LiveSession | None:
        """The session with this token, going on or among the last that are over; None for any other."""
        with self._lock:
            return self._sessions.get(token)

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

    def retire(self, session: LiveSession) -> None:
        """End a session whose page begins another one. Its place is free at once; its last tick and its trace are its own thread's."""
        session.stop("the page began a new session")
        with self._lock:
            ticket = self._tickets.get(session.token)
        if ticket is not None:
            self.admission.leave(ticket, session.bytes)

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
        path, agent, beside = self.folder / f"{name}.sqlite", self.make_agent(), self.make_beside()
        labels = {PERSON: person_of(ticket.visitor)}
        session = LiveSession(agent, path, self.make_pace(), name=name, token=token, spec=spec, beside=beside, labels=labels)
        session.connect(hello, outbox)
        with self._lock:
            over = [key for key, known in self._sessions.items() if known.end is not None]
            for key in over[:-REMEMBERED]:
                del self._sessions[key], self._tickets[key]
            self._sessions[token], self._tickets[token] = session, ticket
        return session.start(lambda: self.admission.leave(ticket, session.bytes))

    def _resumed(self, hello: Hello, outbox: Outbox) -> LiveSession | Problem:
        session = self.find(hello.resume or "")
        if session is None:
            return Problem(code="gone", text="that session is over and forgotten, or was another server's; begin a new one")
        session.connect(hello, outbox)
        return session


class Connection:
    """One visitor as a carrier sees it. Messages come and go as JSON and buffers; every method may be called from any thread.

    Nothing that a page sends raises an error here: the page is told of it as a problem. A hello begins a session, or goes on with the one
    whose token it has; one without a token ends what this visitor had here before. Of several who subscribe the newest is told everything.
    """

    def __init__(self, host: Host, visitor: str) -> None:
        self.host, self.visitor = host, visitor
        self.session: LiveSession | None = None
        self.outbox = Outbox()
        self._lock = threading.Lock()
        self._subscriber: _Subscriber | None = None
        self._taking = threading.Lock()

    def feed(self, message: Json, buffers: Buffers = ()) -> None:
        """Take a message of the page. Returns at once; a session that a hello replaces ends by itself."""
        try:
            told = decode_from_client(message, buffers)
        except InputError as error:
            self.outbox.put(Problem(code="message", text=str(error)))
            return
        if isinstance(told, Hello):
            with self._lock:
                self._greet(told)
        elif self.session is None:
            self.outbox.put(Problem(code="message", text=f"{told.t!r} came before hello; say hello first"))
        else:
            self.session.receive(self.outbox, told)

    def subscribe(self, callback: Callback, replaced: Callable[[], object] = lambda: None) -> Callable[[], None]:
        """Call back with every message for the page, from a thread of its own, until the function that is returned is called.

        A callback that is slow delays no session; it loses ticks. Who subscribes later takes over: nothing more is called back here, and
        `replaced` is called, in the thread of the other.
        """
        subscriber = _Subscriber(callback, replaced)
        with self._taking:
            before, self._subscriber = self._subscriber, subscriber
        if before is not None:
            before.replaced()
        threading.Thread(target=self._send, args=(subscriber,), name=f"to {self.visitor}", daemon=True).start()
        return lambda: self._leave(subscriber)

    def away(self) -> None:
        """The page is gone, and may come back with its token."""
        if self.session is not None:
            self.session.disconnect(self.outbox)

    def close(self) -> None:
        """End the session, if it has not ended, and wait a moment for its trace."""
        if self.session is not None:
            self.session.stop("the page was closed")
            self.session.join(CLOSE_S)

    def _greet(self, hello: Hello) -> None:
        if hello.resume is None and self.session is not None:
            self.host.retire(self.session)
        before, self.outbox = self.outbox, Outbox()
        before.close()
        seated = self.host.seat(self.visitor, hello, self.outbox)
        if isinstance(seated, Problem):
            self.outbox.put(seated)
        else:
            self.session = seated

    def _leave(self, subscriber: _Subscriber) -> None:
        with self._taking:
            if self._subscriber is subscriber:
                self._subscriber = None

    def _send(self, subscriber: _Subscriber) -> None:
        while True:
            with self._taking:
                if self._subscriber is not subscriber:
                    return
                outbox = self.outbox
                messages = outbox.take()
            for message in messages:
                if outbox is not self.outbox:
                    break  # a hello came meanwhile: the rest is of the session before
                subscriber.callback(*encode(message))
            if outbox.closed and outbox is self.outbox:
                pause(POLL_S)
            else:
                outbox.wait(POLL_S)


@dataclass(frozen=True, eq=False)
class _Subscriber:
    callback: Callback
    replaced: Callable[[], object]
