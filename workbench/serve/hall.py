"""The sessions of one server: who may begin one, what stands beside the agent in it, and the seat from which a connection takes part."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from workbench.background.backends import Backend
from workbench.background.by_rule import CUES, ByRule
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.local.agent import LocalAgent
from workbench.background.parts import Answer, BackgroundAgent
from workbench.background.telling import Delegating
from workbench.background.threads import Threads
from workbench.clock import ClockSpec, RealTime, utc_now
from workbench.errors import InputError
from workbench.given import streams_there
from workbench.live.admission import MINUTE_S, Admission, Ticket
from workbench.live.ear import Ear
from workbench.live.outbox import Outbox
from workbench.live.protocol import LONGEST_AUDIO, RATE, SHORTEST_AUDIO, Audio, Consent, Hello, Pcm, Played, Problem, Stop, Text
from workbench.live.runtime import LiveSession, LiveSpec
from workbench.packets import BACKGROUND_TEXT
from workbench.policy_text import governed_by
from workbench.retention import PERSON, person_of
from workbench.serve.context import Appended, ClientUser, ClientWork, Context
from workbench.serve.noted import Noted
from workbench.serve.wire import Refused
from workbench.session import Participant

CLIENT, LOCAL = "client", "local"  # who does what is delegated: the application at the other end, or somebody here
AHEAD_S = 0.2  # sound may come so much before its time; what comes earlier is not read yet
WAIT_S = 0.05
WORK_S = 120.0  # that a delegation may take
PLACES = 50  # ticks that a slow client may be behind


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a connection asks of its session: who does delegated work, whether the trace is kept, and what it calls itself."""

    delegation: str = CLIENT
    store: bool = False
    client: str = "a client"
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Hall:
    """Begins sessions with an agent of `make_agent`, known to clients as `model`. Safe to use from many threads.

    Traces of sessions that are to be stored go to `folder`; of others none is left. `asks_at` are the words or phrases at which an agent
    that has not learned to ask has something done elsewhere, `make_worker` makes who does it here, and `policies` are the rules that
    the agent is put under. Raises InputError where the spec says how a stream is kept that none of them speaks on.
    """

    make_agent: Callable[[], Participant]
    model: str
    folder: Path
    admission: Admission
    spec: LiveSpec = field(default_factory=LiveSpec)
    asks_at: tuple[str, ...] = CUES
    make_worker: Callable[[], BackgroundAgent] = lambda: LocalAgent(None, utc_now())
    policies: tuple[str, ...] = ()
    make_pace: Callable[[], RealTime] = lambda: RealTime(ClockSpec())
    _seats: dict[str, Seat] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.spec.keep:  # before a client comes, which could do nothing about it
            user = ClientUser(Ear(ClockSpec(), RealTime(ClockSpec()).now), Context())
            streams_there(self.spec.keep, (user, *self._cast("none", None, ClientWork())))

    @property
    def seats(self) -> list[Seat]:
        """Those whose sessions are going on, oldest first."""
        with self._lock:
            return [seat for seat in self._seats.values() if seat.session.end is None]

    def seat(self, visitor: str, wanted: Wanted) -> Seat:
        """A session that has begun. Raises Refused when there is no place for it."""
        ticket = self.admission.ask(visitor)
        if isinstance(ticket, Problem):
            raise Refused("too_many_sessions", ticket.text, kind="rate_limit_error")
        try:
            return self._begun(ticket, wanted)
        except BaseException:
            self.admission.leave(ticket)
            raise

    def close(self, timeout_s: float = 10.0) -> None:
        """End all sessions."""
        for seat in (running := self.seats):
            seat.session.stop("the server was stopped")
        for seat in running:
            seat.session.join(timeout_s)

    def _cast(self, name: str, worker: object, backend: Backend) -> tuple[Participant, Participant]:
        """The agent of a session and the desk for the slow work of `worker`, which `backend` has done."""
        model = self.make_agent()
        asking = model if BACKGROUND_TEXT in model.hears else ByRule(model, self.asks_at)
        return Delegating(Noted(governed_by(asking, self.policies))), Desk(
            backend, DeskSpec(session=name, run_s=WORK_S).patient_with(worker)
        )

    def _begun(self, ticket: Ticket, wanted: Wanted) -> Seat:
        name = f"serve-{utc_now().replace(':', '')}-{secrets.token_hex(4)}"
        minutes, count = (ticket.ends_s - ticket.began_s) / MINUTE_S, min(ticket.bytes, self.spec.bytes)
        spec = replace(self.spec, minutes=min(minutes, self.spec.minutes), bytes=count)
        context, work = Context(), ClientWork()
        worker = None if wanted.delegation == CLIENT else self.make_worker()
        agent, desk = self._cast(name, worker, work if worker is None else Threads(worker))
        passing = None if wanted.store else tempfile.TemporaryDirectory(prefix="microturn-", ignore_cleanup_errors=True)
        path = Path(passing.name if passing else self.folder) / f"{name}.sqlite"
        session = LiveSession(
            agent,
            path,
            self.make_pace(),
            name=name,
            token=secrets.token_urlsafe(16),
            spec=spec,
            user_of=lambda ear: ClientUser(ear, context),
            beside=(desk,),
            labels={PERSON: person_of(ticket.visitor)},
        )
        seat = Seat(session, Outbox(PLACES), context, work)
        session.connect(Hello(rate=RATE, client=wanted.client, settings=dict(wanted.settings)), seat.outbox)
        session.receive(seat.outbox, Consent(given=True))

        def over() -> None:
            self.admission.leave(ticket, session.bytes)
            with self._lock:
                self._seats.pop(name, None)
            if passing is not None:
                passing.cleanup()

        with self._lock:
            self._seats[name] = seat
        session.start(over)
        return seat


@dataclass
class Seat:
    """One session as its connection sees it. `outbox` has what the session says; what goes in may come from one thread only."""

    session: LiveSession
    outbox: Outbox
    context: Context
    work: ClientWork
    heard: int = 0  # samples taken from the connection so far, those in `_rest` included
    _began_s: float | None = None
    _rest: Pcm = field(default_factory=lambda: np.zeros(0, np.int16))

    @property
    def at_ms(self) -> int:
        """Where the session is on its timeline."""
        return round(1000 * self.session.session.clock.seconds(self.session.session.tick))

    def hear(self, samples: Pcm) -> None:
        """Take the next samples of the user's sound, to be fed to the session."""
        self.heard += len(samples)
        self._rest = np.concatenate([self._rest, samples])

    def feed(self) -> None:
        """Hand the session the sound that was heard, none of it before its time: whoever sends too fast has to wait here."""
        pace = self.session.pace
        while len(self._rest) >= SHORTEST_AUDIO:
            piece, number = self._rest[:LONGEST_AUDIO], self.heard - len(self._rest)
            self._began_s = pace.now() if self._began_s is None else self._began_s
            while self.session.end is None and (early_s := number / RATE - (pace.now() - self._began_s) - AHEAD_S) > 0:
                pace.sleep(min(early_s, WAIT_S))
            self.session.receive(self.outbox, Audio(n=number, at=1000 * number / RATE, samples=piece))
            self._rest = self._rest[len(piece) :]

    def type(self, line: str) -> None:
        """A typed line of the user."""
        self.session.receive(self.outbox, Text(text=line))

    def played(self, position: int) -> None:
        """So many samples of the agent's stream have left for the other end."""
        self.session.receive(self.outbox, Played(position=position, queued=0, at=0.0))

    def append(self, entry: Appended) -> int:
        """A text for the timeline; its number. Raises Refused when too many wait."""
        try:
            return self.context.append(entry)
        except InputError as error:
            raise Refused("too_many_appends", str(error), kind="rate_limit_error") from None

    def answer(self, task: str, text: str) -> None:
        """The answer of the application to what was delegated to it."""
        self.work.answer(task, Answer(text=text, foreign=True))

    def stop(self) -> None:
        """End the session before its next tick."""
        self.session.receive(self.outbox, Stop())

    def leave(self) -> None:
        """The connection is gone, and with it the session: there is no way back into it."""
        self.session.disconnect(self.outbox)
        self.session.stop("the connection was lost")
