"""What a desk remembers of a session, and every rule by which a task goes from one state to another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.asking import CANCEL, REPERTOIRE, SHOW, WANTED_CHARS
from workbench.background.backends import Arrival, Run
from workbench.background.meant import meant, newest, same
from workbench.background.notes import Note
from workbench.background.parts import (
    AGENT_SPEECH,
    MISHEARD,
    NOBODY,
    USER_SPEECH,
    Answer,
    Earlier,
    Envelope,
    Failure,
    NeedsConsent,
    Partial,
    Used,
    Word,
    part_json,
)
from workbench.background.recent import Past
from workbench.background.tasks import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    DELIVERED,
    DELIVERING,
    FAILED,
    QUEUED,
    RUNNING,
    SCHEDULES,
    STALE,
    URGENCIES,
    Saying,
    Task,
    moved,
)
from workbench.background.words import spoken_words
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import Event, Gate
from workbench.events_background import (
    BackgroundArrived,
    BackgroundDropped,
    ConsentAsked,
    ConsentWithdrawn,
    DelegationCreated,
    DelegationMerged,
    DelegationRefused,
    DelegationRequested,
    ToolUsed,
)
from workbench.events_rules import GuardActed
from workbench.rules import NOT_TO_BE_ASKED, found_in
from workbench.session import FIRST_TICK


@dataclass(frozen=True, kw_only=True)
class DeskSpec:
    """The limits and patience of a desk, times in seconds of the session.

    Attributes:
        session: the name of the session in every envelope.
        at_once, queue: tasks that run at the same time, and that may live at all.
        run_s, cancel_s: how long a run may take, and how long it may take to stop, before it is given up.
        quiet_s: how long nobody must have spoken before something is handed over `when_idle`.
        say_s: how long the agent may be silent about a result it was handed.
        offers: how often a result is handed over before it counts as failed.
        said_share: share of a result's words that must have been heard, in order.
        soften_s: a result later than this comes with its ask.
        consent_s, click_s: how long a question of consent stays open: one by voice once it was put, one by click once it is shown.
        parts_per_tick: how much is taken from the background in one tick; the rest comes in the next.
        words, earlier: how many words and results go along with a task.
        sources: whose words have authority.
        use_s: how long a result is of use at least, whatever its request says.
    """

    session: str = "session"
    at_once: int = 4
    queue: int = 16
    run_s: float = 30.0
    cancel_s: float = 2.0
    quiet_s: float = 0.4
    say_s: float = 6.0
    offers: int = 3
    said_share: float = 1.0
    soften_s: float = 10.0
    consent_s: float = 15.0
    click_s: float = 30.0
    parts_per_tick: int = 16
    words: int = 400
    earlier: int = 8
    sources: tuple[str, ...] = (USER_SPEECH,)
    use_s: float = 0.0

    def __post_init__(self) -> None:
        least = min(self.at_once, self.queue, self.offers, self.parts_per_tick, self.words, self.earlier)
        times = min(self.run_s, self.cancel_s, self.say_s, self.consent_s, self.click_s)
        if least < 1 or times <= 0 or self.use_s < 0 or not 0 < self.said_share <= 1:
            raise InputError(f"{self}: counts must be at least 1, times above 0 (use_s may be 0), said_share above 0 and up to 1")

    def patient_with(self, agent: object) -> DeskSpec:
        """The same, but with time for the longest run of an agent that tells it as `longest_s`, and for its result to be handed over."""
        longest_s: float = getattr(agent, "longest_s", 0.0)
        if longest_s <= DeskSpec.run_s:
            return self
        return replace(self, run_s=max(self.run_s, longest_s), use_s=max(self.use_s, longest_s + DeskSpec.run_s))


@dataclass
class Ledger:
    """Tasks, words, the recent past and the floor of one session. `events`, `notes` and `shown` are what this tick brought forth so far."""

    spec: DeskSpec
    clock: ClockSpec
    run: Run
    past: Past
    tick: Tick = FIRST_TICK
    tasks: dict[str, Task] = field(default_factory=dict)
    words: list[Word] = field(default_factory=list)
    user_talks: bool = False
    agent_talks: bool = False
    quiet_since_s: float = 0.0
    reported_s: float | None = None  # to where the loudspeaker has come, by its own report
    count: int = 0
    problems: list[Note] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)

    def clone(self) -> Ledger:
        copies = {name: list(getattr(self, name)) for name in ("words", "problems", "events", "notes", "shown")}
        return replace(self, run=self.run.clone(), tasks=dict(self.tasks), **copies)  # type: ignore[arg-type]

    @property
    def now_s(self) -> float:
        return self.clock.seconds(self.tick)

    @property
    def heard_s(self) -> float:
        """How much of the agent's stream has been heard: what the loudspeaker reported, or all that has sounded where none reports."""
        return self.now_s if self.reported_s is None else self.reported_s

    @property
    def live(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.live]

    @property
    def untold(self) -> list[Task]:
        """The tasks that failed, and of which the agent has not been told so."""
        told_of = {note.task for note in self.problems}
        return [task for task in self.tasks.values() if task.id in told_of and task.state == FAILED]

    def in_state(self, *states: str) -> list[Task]:
        """The tasks in these states, the urgent first, then the older."""
        found = [task for task in self.tasks.values() if task.state in states]
        return sorted(found, key=lambda task: -URGENCIES.index(task.envelope.urgency))

    def for_s(self, task: Task) -> float:
        """How long a task has been in its state."""
        return self.clock.seconds(self.tick - task.since)

    def move(self, task: Task, to: str, cause: str, *, tell: bool = True) -> Task:
        """The task in its new state, which is noted; a task that fails leaves word for the agent, unless that knows (`tell`)."""
        if task.consent is not None and to in (CANCELLED, STALE):
            self._withdraw(task, cause)
        if task.envelope.recent is not None and to not in (QUEUED, RUNNING):
            task = replace(task, envelope=replace(task.envelope, recent=None))  # its work is over, so nobody needs it any more
        task, event = moved(task, to, cause, self.tick)
        self.tasks[task.id] = task
        self.events.append(event)
        if to == FAILED and tell:
            self._leave_word(task, cause, "silent" if event.before == DELIVERING else task.envelope.schedule)
        return task

    def _leave_word(self, task: Task, cause: str, schedule: str) -> None:
        """Have the agent told that something came to nothing, and why."""
        self.problems.append(Note(task=task.id, what="problem", text=cause, schedule=schedule, about=task.envelope.ask))

    def _fail(self, task: Task, cause: str) -> None:
        """End work that came to nothing. If it was to change what waits for its hour, that stays as it was."""
        before = task.before
        if before is None or before.answer is None or before.state != COMPLETED or not before.answer.due_s:
            self.move(task, FAILED, cause)
            return
        self._leave_word(task, cause, task.envelope.schedule)
        as_it_was = replace(before, state=task.state, envelope=replace(before.envelope, run=task.envelope.run))
        self.move(as_it_was, COMPLETED, f"as it was before: {cause}")

    # --- what the agent asks ---

    def request(self, request: DelegationRequested) -> None:
        """Open, amend or cancel, or refuse with a cause."""
        authority = request.source in self.spec.sources
        misheard = request.act == "amend" and request.source == MISHEARD and USER_SPEECH in self.spec.sources
        if request.act not in ("open", "amend", "cancel"):
            self._refuse(request, f"act {request.act!r} is not known; ask to open, amend or cancel")
        elif request.schedule not in SCHEDULES or request.urgency not in URGENCIES or not request.expires_s > 0:
            cause = f"schedule is one of {', '.join(SCHEDULES)}, urgency of {', '.join(URGENCIES)}, expires_s above 0"
            self._refuse(request, f"{request.schedule!r}, {request.urgency!r}, {request.expires_s:g}: {cause}")
        elif request.act != "cancel" and not spoken_words(request.ask):
            self._refuse(request, "it asks nothing; give the words of the request")
        elif request.act == "open":
            self._open(request, authority)
        elif not authority and not misheard:
            self._refuse(request, f"{request.source or 'nobody'} has no authority to {request.act}; only the user's own speech has")
        elif request.act == "amend":
            self._amend(request, authority)
        else:
            self._cancel(request)

    def _refuse(self, request: DelegationRequested, cause: str) -> None:
        self.events.append(DelegationRefused(act=request.act, ask=request.ask, cause=cause))

    def _open(self, request: DelegationRequested, authority: bool) -> None:
        task = same(request.ask, authority, self.live, self.now_s)
        if task is None:
            self._create(request, request.ask, (), authority)
        else:
            self.tasks[task.id] = replace(task, asked_s=request.at_s)
            self.events.append(DelegationMerged(task=task.id, ask=request.ask))

    def _create(
        self, request: DelegationRequested, ask: str, amendments: tuple[str, ...], authority: bool, before: Task | None = None
    ) -> None:
        if len(self.live) >= self.spec.queue:
            self._refuse(request, f"{self.spec.queue} tasks are under way already; wait for one, or cancel one")
            return
        self.count += 1
        envelope = Envelope(
            session=self.spec.session,
            task=str(self.count),
            run=1,
            origin_tick=self.clock.tick_at(request.at_s),
            origin_s=request.at_s,
            ask=ask,
            amendments=amendments,
            source=request.source,
            authority=authority,
            schedule=request.schedule,
            urgency=request.urgency,
            expires_at_s=round(request.at_s + max(request.expires_s, self.spec.use_s), 6),
        )
        envelope = self._with_evidence(envelope, request.at_s)
        self.tasks[envelope.task] = Task(envelope=envelope, asked_s=request.at_s, since=self.tick, began=self.tick, before=before)
        self.events.append(
            DelegationCreated(
                task=envelope.task,
                session=envelope.session,
                ask=ask,
                origin_tick=envelope.origin_tick,
                source=envelope.source,
                schedule=envelope.schedule,
                urgency=envelope.urgency,
                expires_at_s=envelope.expires_at_s,
                words=len(envelope.transcript),
                earlier=len(envelope.earlier),
            )
        )

    def _with_evidence(self, envelope: Envelope, at_s: float) -> Envelope:
        """The envelope with what was said, answered, heard and seen up to a moment, and no later."""
        transcript = tuple(word for word in self.words if word.start_s < at_s)
        answered = [t for t in self.tasks.values() if t.answer is not None and t.state in (DELIVERED, DELIVERING, COMPLETED)]
        earlier = [
            Earlier(t.id, " ".join((t.envelope.ask, *t.envelope.amendments)), t.answer.text, t.answer.foreign, t.answer.shown)
            for t in answered
            if t.answer is not None and t.id != envelope.task
        ]
        recent, heard_s = self.past.until(at_s), min(self.heard_s, at_s)
        return replace(envelope, transcript=transcript, heard_s=heard_s, earlier=tuple(earlier[-self.spec.earlier :]), recent=recent)

    def _target(self, request: DelegationRequested) -> Task | None:
        if request.task:
            return next((task for task in (*self.live, *self.untold) if task.id == request.task), None)
        return meant(request.ask, (*self.live, *self.untold), self.tasks.values(), self.now_s)

    def _amend(self, request: DelegationRequested, authority: bool) -> None:
        task = self._target(request)
        cause = f"amended: {request.ask}" + ("" if authority else ", in words that nobody was heard to say; without authority from now on")
        if task is None or task.state == FAILED:
            done = [t for t in self.tasks.values() if t.state in (DELIVERED, FAILED) and request.task in ("", t.id)]
            if not done:
                self._refuse(request, f"there is no task {request.task or 'left'} to amend")
                return
            task = task or newest(done)
            assert task is not None
            last = task.envelope if task.base is None else task.base.envelope
            amendments = (*last.amendments, request.ask) if task.base is not None else (request.ask,)
            if self._barred(request, task, (last.ask, *amendments)):
                return
            self._leave_untold(task, cause)
            ask = replace(request, schedule=last.schedule, source=request.source if authority else NOBODY)
            self._create(ask, last.ask, amendments, last.authority and authority, task.base)
        elif task.state == CANCELLING:
            self._refuse(request, f"task {task.id} is being cancelled")
        elif not self._barred(request, task, (task.envelope.ask, *task.envelope.amendments, request.ask)):
            lost: dict[str, Any] = {} if authority else {"authority": False, "source": NOBODY}
            self._begin_anew(replace(task, asked_s=request.at_s), cause, request.at_s, request.ask, **lost)

    def _barred(self, request: DelegationRequested, task: Task, words: tuple[str, ...]) -> bool:
        """Whether a change completes in these words what may not be asked; then it is refused, and the work that it changes ends."""
        phrase = found_in(request.barred, words)
        if phrase:
            self._refuse(request, NOT_TO_BE_ASKED)
            since_s = task.envelope.origin_s
            self.events.append(GuardActed(at_s=self.now_s, direction="in", phrase=phrase, did="refused", since_s=since_s))
            self._end(task, NOT_TO_BE_ASKED)
        return bool(phrase)

    def _leave_untold(self, task: Task, cause: str) -> None:
        """Tell the agent nothing of what a task has failed in and it has not been told of yet."""
        if any(note.task == task.id for note in self.problems):
            self.problems = [note for note in self.problems if note.task != task.id]
            self.events.append(
                BackgroundDropped(task=task.id, run=task.envelope.run, cause=f"{cause}; that it failed is not told any more")
            )

    def _begin_anew(self, task: Task, cause: str, at_s: float, amendment: str = "", **changes: Any) -> None:
        """Back to the queue with another run, on the evidence up to `at_s`; what the run before still sends is dropped."""
        if task.state == RUNNING:
            self.run.cancel(self.tick, task.id, task.envelope.run)
        if amendment:
            self._leave_untold(task, cause)
        if amendment and task.consent is not None:
            self._withdraw(task, cause)
        amendments = (*task.envelope.amendments, *([amendment] if amendment else []))
        envelope = replace(task.envelope, run=task.envelope.run + 1, amendments=amendments, **changes)
        left = max(0.0, task.envelope.expires_at_s - task.envelope.origin_s)
        if amendment:
            envelope = replace(envelope, expires_at_s=round(at_s + left, 6), consents=(), refusals=(), resume={})
            envelope = self._with_evidence(envelope, at_s)
        before = task.base if amendment else task.before
        task = replace(task, envelope=envelope, parts=0, partials=(), answer=None, saying=None, consent=None, offers=0, before=before)
        if task.state == QUEUED:
            self.tasks[task.id] = task
        else:
            self.move(task, QUEUED, cause)

    def _cancel(self, request: DelegationRequested) -> None:
        target = self._target(request) if request.task != "*" else None
        every = [task for task in (*self.live, *self.untold) if task.state != CANCELLING]
        tasks = every if request.task == "*" else [target] if target else []
        if not tasks:
            self._refuse(request, f"there is no task {request.task.strip('*') or 'left'} to cancel")
        for task in tasks:
            self._end(task, f"the user said: {request.ask}")

    def guarded(self, acted: GuardActed) -> None:
        """End what was asked for or changed since the user began to ask what may not be asked, whoever answers for it."""
        for task in (*self.live, *self.untold):
            if acted.direction == "in" and task.asked_s >= acted.since_s - 1e-9:
                self._end(task, NOT_TO_BE_ASKED)

    def _end(self, task: Task, cause: str) -> None:
        """Stop work that is not wanted any more, and say nothing more of it."""
        self._leave_untold(task, cause)
        if task.state == RUNNING:
            self.run.cancel(self.tick, task.id, task.envelope.run)
            self.move(task, CANCELLING, cause)
        elif task.live and task.state != CANCELLING:
            self.move(task, CANCELLED, cause)

    # --- what the background sends ---

    def arrive(self, arrival: Arrival) -> None:
        """Take up one part; one of a task that is over or was begun anew is dropped."""
        self.events.append(BackgroundArrived(task=arrival.task, run=arrival.run, part=part_json(arrival.part)))
        task = self.tasks.get(arrival.task)
        if task is None or task.envelope.run != arrival.run or task.state not in (RUNNING, CANCELLING):
            state = "is not known" if task is None else f"is {task.state}, run {task.envelope.run}"
            self.events.append(BackgroundDropped(task=arrival.task, run=arrival.run, cause=f"it came too late: the task {state}"))
        elif task.state == CANCELLING:
            if not isinstance(arrival.part, Partial | Used):
                self.move(task, CANCELLED, "its work has ended")
        else:
            self._take(replace(task, parts=task.parts + 1), arrival)

    def _take(self, task: Task, arrival: Arrival) -> None:
        self.tasks[task.id] = task
        match arrival.part:
            case Partial(text=text):
                self.tasks[task.id] = replace(task, partials=(*task.partials, text))
            case Used() as used:
                body = {key: value for key, value in part_json(used).items() if key not in ("part", "after_s")}
                self.events.append(ToolUsed(task=task.id, **body))
            case Answer() as answer:
                self._completed(task, answer)
            case NeedsConsent() as asked:
                self._ask(task, asked)
                self.move(replace(task, consent=asked, saying=None), QUEUED, f"asks for consent to {asked.tool}")
            case Failure(cause=cause):
                self._fail(task, cause)
            case _:
                self._fail(task, "its work was stopped from outside")

    def _ask(self, task: Task, asked: NeedsConsent) -> None:
        """Tell of a question. By voice it is open from when it was put, and by click from now on, as it is shown at once."""
        envelope = task.envelope
        until_s = min(envelope.expires_at_s, self.now_s + self.spec.click_s) if asked.how == "click" else envelope.expires_at_s
        body = {name: getattr(asked, name) for name in ("call", "tool", "arguments", "how", "text")}
        reason = ", ".join((envelope.ask, *envelope.amendments))
        self.events.append(ConsentAsked(task=task.id, question=task.question, reason=reason, until_s=round(until_s, 6), **body))

    def _withdraw(self, task: Task, cause: str) -> None:
        self.events.append(ConsentWithdrawn(task=task.id, question=task.question, cause=cause))

    def _completed(self, task: Task, answer: Answer) -> None:
        lasts_s = task.envelope.expires_at_s - task.envelope.origin_s
        if answer.continues and task.partials:
            answer = replace(answer, say=" ".join((*task.partials, answer.say or answer.text)))
        expires_at_s = max(task.envelope.expires_at_s, answer.due_s + lasts_s if answer.due_s else 0.0)
        task = replace(task, envelope=replace(task.envelope, expires_at_s=expires_at_s), answer=answer)
        self.move(task, COMPLETED, f"answered with {task.parts} parts")

    # --- what time brings ---

    def grow_old(self) -> None:
        """End what takes too long or is of no use any more."""
        for task in self.live:
            late = self.now_s > task.envelope.expires_at_s
            if task.state == RUNNING and (late or self.for_s(task) > self.spec.run_s):
                self.run.cancel(self.tick, task.id, task.envelope.run)
            if late and task.state in (QUEUED, RUNNING, COMPLETED):
                self.move(task, STALE, f"it was of use until {task.envelope.expires_at_s:g} s")
            elif task.state == RUNNING and self.for_s(task) > self.spec.run_s:
                self._fail(task, f"time-out: no answer within {self.spec.run_s:g} s")
            elif task.state == CANCELLING and self.for_s(task) > self.spec.cancel_s:
                self.move(task, CANCELLED, f"its work did not stop within {self.spec.cancel_s:g} s and was left alone")

    def begin_work(self) -> None:
        """Run what is queued, as many at once as there may be."""
        waiting = [task for task in self.in_state(QUEUED) if task.consent is None]
        free = self.spec.at_once - len(self.in_state(RUNNING, CANCELLING))
        for task in waiting[: max(0, free)]:
            self.move(task, RUNNING, "its turn")
            self.run.submit(self.tick, task.envelope)

    def answered(self, task: Task, consent: NeedsConsent, given: bool) -> None:
        """Go on after the user has agreed to a call, or has not."""
        calls = (*(task.envelope.consents if given else task.envelope.refusals), consent.call)
        changes: dict[str, Any] = {"consents" if given else "refusals": calls, "resume": consent.resume}
        self._begin_anew(task, "", self.now_s, **changes)

    # --- who speaks ---

    def hear(self, words: Iterable[Word]) -> None:
        """Take up words of everyone; the agent's count for what it is about to deliver."""
        new = tuple(words)
        self.words = [*self.words, *new][-self.spec.words :]
        mine = tuple(word for word in new if word.source == AGENT_SPEECH)
        for task in self.live:
            if mine and task.saying is not None:
                self.tasks[task.id] = replace(task, saying=task.saying.with_words(mine))

    def unsaid(self, gate: Gate) -> None:
        """The agent cannot say what it was handed, or only a part of it: the task ends, or that part is what has to be heard."""
        handed = [task for task in self.in_state(DELIVERING, QUEUED) if task.saying is not None]
        for task in handed if gate.name == REPERTOIRE else []:
            if task.to_say[:WANTED_CHARS] != gate.wanted:
                continue
            if task.consent is not None:
                self._withdraw(task, f"the agent cannot ask it: {gate.reason}")
                self.answered(task, task.consent, False)
            elif gate.done == CANCEL:
                self.move(task, FAILED, f"the agent cannot say it: {gate.reason}", tell=False)
            elif gate.done == SHOW:
                self.move(task, DELIVERED, f"shown, and not spoken: {gate.reason}")
            else:
                self.tasks[task.id] = replace(task, saying=task.saying and task.saying.only(spoken_words(gate.done)))

    def cut(self, at_s: float) -> None:
        """The agent gave way: what had not sounded by then was not said."""
        for task in self.live:
            if task.saying is not None:
                task = self.tasks[task.id] = replace(task, saying=task.saying.cut(at_s))
            if task.state == DELIVERING and task.saying is not None and task.saying.unheard(at_s):
                self.back(task, f"cut off before: {' '.join(task.saying.unheard(at_s))}")

    def back(self, task: Task, cause: str) -> None:
        """A result that was not heard waits to be handed over again, unless that was tried often enough."""
        if task.offers >= self.spec.offers:
            self.move(task, FAILED, f"handed over {task.offers} times and never heard to its end; {cause}")
        else:
            self.move(replace(task, saying=None), COMPLETED, cause)

    def forget(self) -> None:
        """Let go of tasks that ended long ago."""
        over = [task.id for task in self.tasks.values() if not task.live]
        for old in over[: -2 * self.spec.earlier]:
            del self.tasks[old]


def deliver(ledger: Ledger, task: Task) -> Task:
    """Hand a result over: it is being delivered from now on."""
    assert task.answer is not None
    words = spoken_words(task.answer.say or task.answer.text)
    saying = Saying(words, ledger.now_s)
    return ledger.move(replace(task, offers=task.offers + 1, saying=saying), DELIVERING, f"handed over, offer {task.offers + 1}")
