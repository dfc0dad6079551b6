"""A session with a person in it, paced by the wall clock in a thread of its own.

The loop waits for the clock and for nothing else: not for a browser, the disk or a background worker. Each tick it takes what has arrived,
steps the session, hands the micro-turn to the trace's writer thread and to the outboxes of those who listen.

What holds when time runs short. A tick that begins more than one micro-turn late, or is done more than one micro-turn after it was due, is
a recorded `deadline.missed`. In a tick that begins so late the agent is passed over (`agent.held`): nothing new is said on stale hearing.
The session never stalls, and it never catches up by more than one tick: time lost beyond that is given up, and the microphone samples of
that time are skipped. Both events stand in the trace, so the session replays to the same decisions.

While any session ticks, the garbage collector passes over what existed before it (`workbench.clock.few_pauses`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from workbench.clock import RealTime, few_pauses, time_of_day_s, utc_now
from workbench.costs import Allowed, Meter, bytes_of, in_words, model_flops_of
from workbench.dials import DIALS, dials_told, moved
from workbench.digests import content_key
from workbench.errors import InputError, PeerError, TraceError
from workbench.events import AgentHeld, AudioDropped, DeadlineMissed, Event, LinkLost, LinkResumed, ModelYielded, SettingChanged
from workbench.given import streams_there
from workbench.live.ear import Ear, LiveUser
from workbench.live.elsewhere import sent_elsewhere
from workbench.live.outbox import Outbox
from workbench.live.protocol import (
    RATE,
    Audio,
    Click,
    Consent,
    Drop,
    End,
    Frame,
    FromClient,
    FromRuntime,
    Hello,
    Played,
    Problem,
    Set,
    Stop,
    Text,
    Welcome,
)
from workbench.live.questions import DIGITS, Questions
from workbench.live.telling import tick_message
from workbench.outside import Order, by_the_clock, check_change, rules_of, step_under
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, USER_TEXT, MicroTurn
from workbench.policy_text import agent_spec
from workbench.session import Participant, Session
from workbench.store import Keep, TraceWriter
from workbench.trace import Header

Going: TypeAlias = Literal["asking", "talking", "away", "ended"]

KEPT = (USER_AUDIO, USER_TEXT, USER_CAMERA, AGENT_AUDIO, AGENT_TEXT)
HEARD = "transcript"  # the words that the agent heard: events, which no retention leaves out
LANES = ("user", "camera", "floor", "decision", "agent", "background", "deadline")
CONSENT_POLL_S = 0.05
QUIET_PAGE_S = 3.0  # a page that has sent sound or played some, and then neither for so long, counts as gone


@dataclass(frozen=True, kw_only=True)
class LiveSpec:
    """How long and how much: `minutes` and received `bytes` of a session, seconds it waits for consent and for a lost page to come back.

    `keep` says how each stream is kept in the trace (in full where it does not), `allowed` what it may cost besides.
    """

    minutes: float = 10.0
    bytes: int = 100_000_000
    consent_s: float = 120.0
    resume_s: float = 30.0
    seed: int = 0
    keep: Mapping[str, Keep] = field(default_factory=dict)
    allowed: Allowed = field(default_factory=Allowed)

    def __post_init__(self) -> None:
        if min(self.minutes, self.bytes, self.consent_s, self.resume_s) <= 0:
            raise InputError(f"{self}: minutes, bytes, consent_s and resume_s must be above 0")

    @property
    def kept(self) -> Mapping[str, str]:
        """Stream to retention, as a visitor is told before giving consent; HEARD is kept whatever becomes of the sound."""
        return {stream: self.keep.get(stream, Keep()).retention for stream in (*KEPT, *self.keep)} | {HEARD: "full"}


class LiveSession:
    """One person talking with one agent. `start` runs it in a thread, `run` in the caller's.

    Of the methods any thread may call `connect`, `receive`, `disconnect`, `watch` and `stop`; none of them waits for a tick. Before consent
    no tick passes and no sample is taken. The trace is written to `path`; `name` is what its listeners are told of it. `user_of` gives the
    user at an ear, `beside` who else takes part, and `labels` what else its trace is marked with. Raises InputError where the spec says how
    a stream is kept that there is not.
    """

    def __init__(
        self,
        agent: Participant,
        path: Path,
        pace: RealTime,
        *,
        name: str,
        token: str,
        spec: LiveSpec = LiveSpec(),
        user_of: Callable[[Ear], Participant] = LiveUser,
        beside: Sequence[Participant] = (),
        labels: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.token, self.path, self.pace, self.spec = name, token, path, pace, spec
        self.ear = Ear(pace.clock, pace.now)
        agent = by_the_clock(agent, time_of_day_s())
        self.session = Session.start([user_of(self.ear), agent, *beside], clock=pace.clock, seed=spec.seed)
        streams_there(spec.keep, self.session.participants)
        self.end: End | None = None
        self.bytes = 0
        self._agent, self._others = agent, (agent, *beside)
        flops = model_flops_of(agent)
        self._labels: dict[str, Any] = {"live": True, **flops.label, **(labels or {})}
        self._speaker: Outbox | None = None
        self._watchers: list[Outbox] = []
        self._lock = threading.Lock()
        self._consented = threading.Event()
        self._agreed_to = ""
        self._questions = Questions()
        self._stopping = ""
        self._away_since_s: float | None = pace.now()
        self._heartbeat_s: float | None = None
        self._changes: dict[str, SettingChanged] = {}
        self._news: list[Event] = []
        self._written = False
        self._meter = Meter(pace.clock, spec.allowed, flops)
        self._thread: threading.Thread | None = None
        self._then: Callable[[], None] = lambda: None

    # --- the listeners' side: any thread ---

    def connect(self, hello: Hello, outbox: Outbox) -> None:
        """Let the page with this outbox speak, for the first time or after it was gone, and welcome it. A page before it is let go of.

        Raises InputError when it captures at another rate or does not know the token of a session that has begun.
        """
        if hello.rate != RATE:
            raise InputError(f"the microphone runs at {hello.rate} Hz; this session hears {RATE} Hz: open the audio context at that rate")
        if (hello.resume is not None or self._speaker is not None) and hello.resume != self.token:
            raise InputError("this session cannot be resumed with that token; begin a new one")
        outbox.put(self._welcome())
        with self._lock:
            before, self._speaker = self._speaker, outbox
            if before is None:
                self._away_since_s = None
                self._labels |= {"client": hello.client, "settings": dict(hello.settings)}
            else:
                self._gone(self._heartbeat_s or self.pace.now())
                self._back()
            self._heartbeat_s = None
            over = self.end
            for question in self._questions.at(self._at_s()):
                outbox.put(question)
        self.ear.anew()
        if before is not None:
            before.close()
        if over is not None:
            outbox.put(over)
            outbox.close()

    def watch(self, outbox: Outbox) -> None:
        """Let the owner of this outbox look on."""
        outbox.put(replace(self._welcome(), token=""))
        with self._lock:
            self._watchers.append(outbox)
            over = self.end
        if over is not None:
            outbox.put(over)
            outbox.close()

    def disconnect(self, outbox: Outbox) -> None:
        """This page is gone. The session goes on in silence until it is resumed or `resume_s` are over."""
        outbox.close()
        with self._lock:
            self._watchers = [w for w in self._watchers if w is not outbox]
            if outbox is self._speaker:
                self._gone(self.pace.now())

    def receive(self, outbox: Outbox, message: FromClient) -> None:
        """Take a message of the page whose outbox this is; what is wrong with it is put there as a problem."""
        problem = self._problem_with(outbox, message)
        if problem is not None:
            outbox.put(problem)
            return
        with self._lock:
            self.bytes += _size(message)
            self._back()
            if isinstance(message, Audio | Played):
                self._heartbeat_s = self.pace.now()
        match message:
            case Audio() | Frame() | Text() | Played():
                try:
                    self.ear.hear(message)
                except InputError as error:
                    outbox.put(Problem(code="full", text=str(error)))
            case Consent():
                if message.given:
                    self._agreed_to = message.text
                    self._consented.set()
                else:
                    self.stop("no consent was given; nothing was recorded")
            case Click():
                try:
                    with self._lock:
                        self._questions, click = self._questions.clicked(message)
                    self.ear.clicked(click)
                except InputError as error:
                    outbox.put(Problem(code="question", text=str(error)))
            case Set():
                with self._lock:
                    self._changes[message.name] = SettingChanged(name=message.name, value=message.value)
            case Stop():
                self.stop("stopped by the person who talked")
            case Hello():
                pass

    @property
    def state(self) -> Going:
        """Whether consent is waited for, someone talks, a page that is gone is waited for, or it is over."""
        with self._lock:
            if self.end is not None:
                return "ended"
            if not self._consented.is_set():
                return "asking"
            return "talking" if self._away_since_s is None else "away"

    def stop(self, text: str = "stopped") -> None:
        """End the session before its next tick."""
        self._stopping = text

    def _problem_with(self, outbox: Outbox, message: FromClient) -> Problem | None:
        if self.end is not None:
            return Problem(code="gone", text="this session is over; begin a new one")
        if outbox is not self._speaker:
            return Problem(
                code="gone", text="another page speaks in this session now, or this one only looks on; begin a new session to speak"
            )
        if isinstance(message, Hello):
            return Problem(code="busy", text="this page has said hello already; say it again over a new connection only")
        if isinstance(message, Audio | Frame | Text) and not self._consented.is_set():
            return Problem(code="no-consent", text=f"{message.t} came before consent and was thrown away; send consent first")
        if isinstance(message, Consent) and not message.given and self._consented.is_set():
            return Problem(code="busy", text="consent was given before; send stop to end the session")
        if isinstance(message, Set):
            try:
                check_change(self._agent, SettingChanged(name=message.name, value=message.value))
            except InputError as error:
                return Problem(code="setting", text=str(error))
        return None

    @property
    def agent_kind(self) -> str:
        """What the agent is, in a word; the rules that it is put under do not change that."""
        spec = agent_spec(self._agent)
        return str(spec.get("kind") or spec.get("class") or self._agent.name)

    def _welcome(self) -> Welcome:
        clock = self.session.clock
        return Welcome(
            session=self.name,
            token=self.token,
            tick_ms=clock.tick_ms,
            rate=clock.sample_rate,
            kept=self.spec.kept,
            lanes=tuple(lane for lane in LANES if lane != "camera" or any(USER_CAMERA in one.hears for one in self._others)),
            agent=self.agent_kind,
            sent=sent_elsewhere(self.session.specs()),
            dials=self._dials(),
        )

    def _dials(self) -> tuple[dict[str, Any], ...]:
        """All dials as they stand, with what has been set and holds from the next tick on."""
        with self._lock:
            changes = list(self._changes.values())
        now_s = self._at_s()
        rules = rules_of(next(one for one in self.session.participants if one.name == self._agent.name))
        for change in changes:
            rules = moved(rules, change.name, change.value, now_s) if change.name in DIALS else rules
        return dials_told(rules, now_s)

    def _gone(self, since_s: float) -> None:
        """Note that the page is gone, unless it was; under the lock."""
        if self._away_since_s is None:
            self._away_since_s = since_s
            if self.session.tick:
                self._news.append(LinkLost(at_s=self._at_s()))
            self.ear.anew()

    def _back(self) -> None:
        """Note that the page is there, if it was gone; under the lock."""
        if self._away_since_s is not None:
            if self.session.tick:
                self._news.append(LinkResumed(at_s=self._at_s(), away_s=round(self.pace.now() - self._away_since_s, 3)))
            self._away_since_s = None

    def _at_s(self) -> float:
        return self.session.clock.seconds(self.session.tick)

    # --- the loop's side: one thread ---

    def start(self, then: Callable[[], None] = lambda: None) -> LiveSession:
        """Run in a thread of its own; the session itself. When it is over this is done, `then`, before anybody is told of the end."""
        self._then = then
        self._thread = threading.Thread(target=self.run, name=f"live {self.name}", daemon=True)
        self._thread.start()
        return self

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the session that `start` began is over; whether it is."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self.end is not None

    def run(self) -> End:
        """The whole session, from waiting for consent to the closed trace; how it ended."""
        over = ("error", "the session broke off; what was said until then is in its trace")
        try:
            over = self._wait_for_consent() or self._run_ticks()
        finally:
            self.session.let_go()
            try:
                self._then()
            finally:
                self._finish(*over)
        assert self.end is not None
        return self.end

    def _wait_for_consent(self) -> tuple[str, str] | None:
        began_s = self.pace.now()
        while not self._consented.is_set():
            over = self._over()
            if over is not None:
                return over
            if self.pace.now() - began_s > self.spec.consent_s:
                return "left", f"no consent came within {self.spec.consent_s:g} s; nothing was recorded"
            self.pace.sleep(CONSENT_POLL_S)
        return None

    def _run_ticks(self) -> tuple[str, str]:
        text = self._agreed_to
        consent = {"given": True, "when": utc_now(), "retention": self.spec.kept}
        consent |= {"text": text, "version": content_key({"text": text})[:DIGITS]} if text else {}
        self.session.participants = tuple(by_the_clock(one, time_of_day_s()) for one in self.session.participants)
        header = Header.of(self.session, consent=consent, labels=self._labels)
        try:
            with few_pauses(), TraceWriter(self.path, header, keep=self.spec.keep, when_full="raise") as writer:
                self._written = True
                while True:
                    late_ms = self.pace.wait(self.session.tick)
                    over = self._over()
                    if over is not None:
                        return over
                    self._tick(writer, late_ms)
        except (PeerError, TraceError) as error:
            return "error", str(error)

    def _over(self) -> tuple[str, str] | None:
        """Why and how the session is over, if it is."""
        spec, now_s, away_since_s = self.spec, self.pace.now(), self._away_since_s
        if self._stopping or self.session.done:
            return "stopped", self._stopping or "the agent ended the session"
        if self._at_s() >= spec.minutes * 60:
            return "limit", f"a session lasts {spec.minutes:g} minutes at most; begin a new one to go on"
        if self._meter.reached is not None:
            return "limit", in_words(self._meter.reached)
        if self.bytes > spec.bytes:
            return "limit", f"a session takes {spec.bytes / 1e6:g} MB at most; begin a new one to go on"
        if away_since_s is not None and now_s - away_since_s > spec.resume_s:
            return "left", f"the page was gone for {spec.resume_s:g} s"
        return None

    def _tick(self, writer: TraceWriter, late_ms: float) -> None:
        tick, pace = self.session.tick, self.pace
        began_s = pace.now()
        with self._lock:
            if self._heartbeat_s is not None and began_s - self._heartbeat_s > QUIET_PAGE_S:
                self._gone(self._heartbeat_s)
            changes = dict(self._changes)
            orders: list[Order] = [*changes.values()]
            events, self._news = self._news, []
        late = late_ms > pace.late_ms
        if late:
            events.append(DeadlineMissed(late_ms=round(late_ms, 2)))
            orders.append(AgentHeld(reason="deadline"))
            pace.forgive(tick)
        turn = step_under(self.session, orders)
        with self._lock:  # a change is pending until the agent has it, so that a page that comes meanwhile is told of it
            self._changes = {name: change for name, change in self._changes.items() if changes.get(name) is not change}
        done_s = pace.now()
        after_ms = (done_s - pace.due_s(tick + 1)) * 1000
        if after_ms > 0 and not late:
            events.append(DeadlineMissed(late_ms=round(after_ms, 2), stage="end"))
        drop = self._drop(turn)
        if drop is not None:
            events.append(drop)
            self._tell(Drop(from_position=drop.position))
        turn = replace(turn, events=(*turn.events, *events, *self._meter.after(turn, lambda: bytes_of(self.path))))
        writer.append(turn)
        with self._lock:
            self._questions, told = self._questions.after(turn.events, self.session.clock.seconds(tick))
        for message in told:
            self._tell(message)
        cost_ms = (done_s - began_s) * 1000
        self._tell(tick_message(turn, self.session.clock, cost_ms=cost_ms, late_ms=late_ms, lost=self.ear.pulled.lost))

    def _drop(self, turn: MicroTurn) -> AudioDropped | None:
        """What of the agent's stream before this tick is never played, because the agent yields in it."""
        if not any(isinstance(event, ModelYielded) for event in turn.events):
            return None
        clock = self.session.clock
        sent = turn.tick * clock.samples_per_tick
        position = self.ear.played(sent)
        return AudioDropped(at_s=clock.seconds(turn.tick), position=position, samples=sent - position) if position < sent else None

    def _tell(self, message: FromRuntime) -> None:
        with self._lock:
            listeners = [*([] if self._speaker is None else [self._speaker]), *self._watchers]
        for outbox in listeners:
            outbox.put(message)

    def _finish(self, reason: str, text: str) -> None:
        with self._lock:
            self.end = End(reason=reason, text=text, trace=self.path.name if self._written else None)
            listeners = [*([] if self._speaker is None else [self._speaker]), *self._watchers]
        for outbox in listeners:
            outbox.put(self.end)
            outbox.close()


def _size(message: FromClient) -> int:
    """Bytes that a message carried, without its wrapping."""
    match message:
        case Audio():
            return message.samples.nbytes
        case Frame():
            return message.frames.nbytes
        case Text():
            return len(message.text.encode())
        case _:
            return 0
