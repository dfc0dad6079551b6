"""Whatever a background agent does, its task ends in a final state with a cause, and the tick loop never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from time import process_time
from typing import Any

import pytest

from tests.background_fakes import CLOCK, PlannedAgent, Typist, asked, causes, conversation, played, states, together
from workbench.background.backends import Limits, Recorded
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.parts import Answer, Envelope, Failure, Partial, Stop
from workbench.background.tasks import FINAL
from workbench.background.telling import Delegating
from workbench.background.threads import Threads
from workbench.background.tools import run_tool, tool
from workbench.clock import RealTime, Tick, pause
from workbench.events import DeadlineMissed
from workbench.events_background import BackgroundArrived, DelegationChanged, DelegationCreated
from workbench.packets import MicroTurn, rng_for
from workbench.session import Said, Session
from workbench.trace import Trace, record

FAULTS = ("hang", "crash", "flood", "garbage", "slow stream", "disconnect", "too large", "silence", "leaves")
NEVER_S = 1e9
PER_SESSION = 10


@dataclass(frozen=True)
class Faulty:
    """Does what the ask names, wrongly, in a way drawn from seed and task."""

    seed: int
    name: str = "faulty"

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Faulty", "seed": self.seed}

    def work(self, envelope: Envelope, stop: Stop) -> Iterator[Any]:
        rng = rng_for(self.seed, int(envelope.task), "fault")
        for _ in range(int(rng.integers(0, 3))):
            yield Partial(text="so far so good", after_s=float(rng.uniform(0, 0.5)))
        match envelope.ask.split(" number")[0]:
            case "hang":
                yield Answer(text="at last", after_s=NEVER_S)
            case "crash":
                raise (ValueError, KeyError, RecursionError, MemoryError)[int(rng.integers(4))]("broken")
            case "flood":
                while True:
                    yield Partial(text="and " * int(rng.integers(1, 50)))
            case "garbage":
                yield _garbage(int(rng.integers(6)))
            case "slow stream":
                while True:
                    yield Partial(text="one more moment", after_s=2.0)
            case "disconnect":
                raise ConnectionError("the server hung up")
            case "too large":
                yield _too_large(int(rng.integers(4)))
            case "leaves":
                raise SystemExit(1)


def _too_large(which: int) -> Answer:
    return (
        Answer(text="x" * 10_000_000),
        Answer(text="x", shown={"rows": [[7] * 1_000_000]}),
        Answer(text="x", sources=("",) * 1_000_000),
        Answer(text="x", shown={str(i): None for i in range(100_000)}),
    )[which]


def _garbage(which: int) -> Any:
    looping: dict[str, Any] = {}
    looping["self"] = looping
    return (
        None,
        "an answer",
        {"part": "answer"},
        Answer(text=5),  # type: ignore[arg-type]
        Answer(text="x", shown={"figure": {1, 2}}),
        Answer(text="x", shown=looping),
    )[which]


def faults(session: int) -> list[str]:
    rng = rng_for(session, 0, "faults")
    return [FAULTS[int(rng.integers(len(FAULTS)))] for _ in range(PER_SESSION)]


def run(session: int) -> Trace:
    kinds = faults(session)
    plan = together(*(asked(2 + 6 * i, f"{kind} number {i}", expires_s=1000.0) for i, kind in enumerate(kinds)))
    return played(conversation(plan, Faulty(session), seed=session, run_s=8.0, latency_s=0.3), 2 + 6 * PER_SESSION + 160)


def test_a_thousand_faults_all_end_in_a_final_state_with_a_cause() -> None:
    ended: dict[str, set[str]] = {kind: set() for kind in FAULTS}
    count = 0
    for session in range(100):
        trace = run(session)
        last = {event.task: event for _, event in trace.events(DelegationChanged)}
        for _, created in trace.events(DelegationCreated):
            count += 1
            assert last[created.task].after in FINAL, created
            assert last[created.task].cause
            ended[created.ask.split(" number")[0]].add(last[created.task].cause.split(":")[0])
    assert count == 1000
    assert ended == {
        "hang": {"time-out"},
        "crash": {"crashed"},
        "flood": {"flood"},
        "garbage": {"garbage"},
        "slow stream": {"time-out"},
        "disconnect": {"crashed"},
        "too large": {"too large"},
        "silence": {"broke off"},
        "leaves": {"crashed"},
    }


def test_a_session_with_faults_replays() -> None:
    assert run(7).turns == run(7).turns


# --- real threads ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Blocked:
    """Waits for ever, unless it is let go; then it answers, whether it was stopped or not."""

    gate: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    name: str = "blocked"

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Blocked"}

    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Answer]:
        self.begun.release()
        self.gate.wait()
        yield Answer(text="at last")


@dataclass(frozen=True)
class Prompt:
    """Answers at once."""

    name: str = "prompt"

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Prompt"}

    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Answer]:
        return [Answer(text=f"answer to {envelope.ask}")]


@dataclass(frozen=True)
class Floods(Prompt):
    """Gives what is far too much, in the way that the ask names; the tool is one that only a notebook knows."""

    rows: list[int] = field(default_factory=lambda: [7] * 20_000_000)  # of before the session, so that nobody has to make it meanwhile

    def work(self, envelope: Envelope, stop: Stop) -> Iterator[Any]:
        @tool(isolation="thread")
        def many() -> object:
            """Return many numbers."""
            return self.rows

        match envelope.ask:
            case "show too much":
                yield Answer(text="x", shown={"kind": "table", "rows": self.rows})
            case "raise too much":
                raise ValueError(self.rows)
            case "call for too much":
                yield Failure(cause=run_tool(many, {}, stop).cause)
            case "flood":
                while True:
                    yield Partial(text="and")


@dataclass(frozen=True)
class Reckoner(Typist):
    """A user who notes how many seconds all threads of the process together have computed by each tick; other processes do not count."""

    name: str = "reckoner"
    speaks: tuple[str, ...] = ()
    computed_s: list[float] = field(default_factory=list)

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        self.computed_s.append(process_time())
        return Said(), None


def test_a_paced_session_keeps_its_ticks_while_its_background_floods_and_returns_millions() -> None:
    """A deadline counts as missed by the background where the process itself computed for longer than a tick; a busy machine does not."""
    ends = {
        "show too much": "too large: the agent's answer has more than the 50000 characters that are taken",
        "raise too much": "crashed: ValueError, with too much to say",
        "call for too much": "many returned more than the 10000 characters that are taken",
        "flood": "flood: the agent sent more than 200 parts or 200000 characters",
    }
    reckoner, plan = Reckoner(), together(*(asked(1 + 2 * i, ask) for i, ask in enumerate(ends)))
    desk = Desk(Threads(Floods()), DeskSpec(parts_per_tick=60))
    session = Session.start([Typist(), Delegating(PlannedAgent(plan)), desk, reckoner], clock=CLOCK)
    trace = record(session)
    session.run(14, RealTime(CLOCK))
    settled(session)
    computed_s = dict(enumerate((after - before for before, after in pairwise(reckoner.computed_s)), start=1))
    missed = [tick for tick, _ in trace.events(DeadlineMissed)]
    assert [tick for tick in missed if computed_s.get(tick, 0.0) > CLOCK.tick_s] == []
    session.run(20)
    assert [causes(trace, str(1 + i))[-1] for i in range(len(ends))] == list(ends.values())


def live(agent: Any, plan: Mapping[int, Any], workers: int = 8, **settings: Any) -> Session:
    desk = Desk(Threads(agent, workers), DeskSpec(**settings))
    return Session.start([Typist(), Delegating(PlannedAgent(plan)), desk], clock=CLOCK)


def settled(session: Session) -> None:
    """Wait until the threads of a session are done: what the wall clock would do between two ticks."""
    for thread in session.states[2].run._threads:
        thread.join()


def test_the_tick_loop_passes_a_thread_that_never_comes_back() -> None:
    blocked = Blocked()
    trace = played(live(blocked, asked(2, "hang"), run_s=3.0, cancel_s=1.0), 60)  # returns, though the agent does not
    assert states(trace) == ["running", "failed"]
    assert causes(trace)[-1] == "time-out: no answer within 3 s"
    blocked.gate.set()


def test_what_a_given_up_run_still_sends_is_dropped() -> None:
    blocked = Blocked()
    session = live(blocked, asked(2, "hang"), run_s=2.0)
    trace = played(session, 20)
    blocked.gate.set()
    settled(session)
    session.run(5)
    assert states(trace) == ["running", "failed"]
    assert [event.part["part"] for _, event in trace.events(BackgroundArrived)] == ["stopped"]


def test_work_fails_when_all_threads_are_taken() -> None:
    blocked = Blocked()
    plan = together(*(asked(2 + 2 * i, f"hang number {i}") for i in range(3)))
    trace = played(live(blocked, plan, workers=2, at_once=3, run_s=3.0), 40)
    assert causes(trace, "3")[-1] == "all 2 threads are taken by work that does not come back"
    blocked.gate.set()


def test_a_flood_of_a_thread_is_taken_up_bit_by_bit() -> None:
    @dataclass(frozen=True)
    class Flood(Prompt):
        def work(self, envelope: Envelope, stop: Stop) -> Iterator[Any]:
            while True:
                yield Partial(text="and")

    session = live(Flood(), asked(2, "flood"), parts_per_tick=7)
    trace = played(session, 5)
    settled(session)
    session.run(40)
    per_tick = [sum(isinstance(event, BackgroundArrived) for event in turn.events) for turn in trace.turns]
    assert max(per_tick) == 7
    assert sum(per_tick) == Limits().parts + 1
    assert causes(trace)[-1].startswith("flood:")


def test_a_live_session_replays_from_its_trace() -> None:
    plan = together(asked(2, "first"), asked(8, "second"))
    session = live(Prompt(), plan)
    trace = played(session, 5)
    settled(session)
    session.run(6)
    settled(session)
    session.run(30)
    assert states(trace, "1")[-1] == states(trace, "2")[-1] == "delivered"
    desk = Desk(Recorded.of_trace(trace))
    again = played(Session.start([*session.participants[:2], desk], clock=CLOCK), len(trace))
    assert again.turns == trace.turns


def test_a_fork_of_a_live_session_goes_on_without_its_threads() -> None:
    blocked = Blocked()
    session = live(blocked, asked(2, "hang"), run_s=3.0)
    session.run(8)
    fork = session.fork()
    trace = played(fork, 4)
    assert causes(trace) == ["its work went on in the session that this one was forked from"]
    blocked.gate.set()


def test_cancelled_work_that_does_not_stop_is_left_alone() -> None:
    blocked = Blocked()
    plan = together(asked(2, "hang"), asked(6, "never mind", act="cancel"))
    trace = played(live(blocked, plan, cancel_s=1.0), 30)
    assert states(trace) == ["running", "cancelling", "cancelled"]
    assert causes(trace)[-1] == "its work did not stop within 1 s and was left alone"
    blocked.gate.set()


@pytest.mark.parametrize("ends", ["let go", "forgotten"])
def test_work_is_called_off_when_its_session_is_over(ends: str) -> None:
    called_off = threading.Event()

    @dataclass(frozen=True)
    class Endless(Prompt):
        def work(self, envelope: Envelope, stop: Stop) -> Iterator[Any]:
            while not stop():
                pause(0.01)
            called_off.set()
            yield Answer(text="too late")

    session: Session | None = live(Endless(), asked(2, "look"))
    assert session is not None
    session.run(5)
    assert not called_off.wait(0.1)
    if ends == "let go":
        session.let_go()
    else:
        session = None
    assert called_off.wait(5)


@pytest.mark.parametrize("most", [1, 3])
def test_the_queue_gives_no_more_than_it_is_asked_for(most: int) -> None:
    run = Threads(Prompt()).start(CLOCK, 0)
    run._queue.extend([*run.collect(Tick(0), 9)] or [])
    for i in range(5):
        run.submit(Tick(0), Envelope(session="s", task=str(i), run=1, origin_tick=0, origin_s=0.0, ask="x"))
    for thread in run._threads:
        thread.join()
    assert len(run.collect(Tick(1), most)) == most
    assert len(run.collect(Tick(2), 9)) == 5 - most


def test_a_failure_that_an_agent_tells_itself_is_kept_as_it_is() -> None:
    @dataclass(frozen=True)
    class Honest(Prompt):
        def work(self, envelope: Envelope, stop: Stop) -> Iterable[Any]:
            return [Failure(cause="I cannot do that")]

    assert causes(played(conversation(asked(2, "x"), Honest()), 20))[-1] == "I cannot do that"
