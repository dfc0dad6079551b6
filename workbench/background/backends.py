"""Where the work of a background agent is done: in simulated time, or as a trace remembers it. `threads.py` does it beside a live session.

A backend begins one run per session. `submit`, `cancel` and `collect` of a run never wait: what is not there yet comes in a later tick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from workbench.background.parts import LAST, BackgroundAgent, Envelope, Failure, Part, Stop, Stopped, checked, part_of
from workbench.background.sizes import in_short
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events_background import BackgroundArrived
from workbench.packets import rng_for
from workbench.trace import Trace

CHAT = "chat:"  # how a setting names a language model that a server has
LANGUAGE = "language "  # how a task begins that is no desk's but an agent's own question to its language model


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run of an agent may send: so many parts, of so many characters (as JSON) each and together."""

    parts: int = 200
    part_chars: int = 50_000
    chars: int = 200_000

    def __post_init__(self) -> None:
        if min(self.parts, self.part_chars, self.chars) < 1:
            raise InputError(f"{self}: parts, part_chars and chars must be at least 1")


@dataclass(frozen=True)
class Arrival:
    """One part that is there now, and of which run of which task it is."""

    task: str
    run: int
    part: Part


class Run(Protocol):
    """The work of one session."""

    def submit(self, tick: Tick, envelope: Envelope) -> None: ...
    def cancel(self, tick: Tick, task: str, run: int) -> None: ...
    def collect(self, tick: Tick, most: int) -> list[Arrival]: ...
    def clone(self) -> Run: ...


class Backend(Protocol):
    """Begins runs. One that has an agent do the work has it as `agent`, of which the desk asks what it wants of the recent past."""

    def spec(self) -> Mapping[str, Any]: ...
    def start(self, clock: ClockSpec, seed: int) -> Run: ...


def bounded(agent: BackgroundAgent, envelope: Envelope, limits: Limits, stop: Stop) -> Iterator[Part]:
    """The parts that an agent gives, of which the last is always an end: what it does wrong becomes a Failure with its cause.

    An agent that raises has crashed; one that sends what is no part sends garbage; one that sends more than the limits floods; one that
    ends without an answer broke off. Once it is stopped nothing but Stopped comes.
    """
    count = chars = 0
    try:
        for given in agent.work(envelope, stop):
            if stop():
                yield Stopped()
                return
            part = checked(given, limits.part_chars)
            count, chars = count + 1, chars + len(repr(part))
            if count > limits.parts or chars > limits.chars:
                yield Failure(cause=f"flood: the agent sent more than {limits.parts} parts or {limits.chars} characters")
                return
            yield part
            if isinstance(part, LAST):
                return
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever foreign code raises is the end of its task, and of nothing else)
        yield Failure(cause=f"crashed: {in_short(error)}")
        return
    yield Stopped() if stop() else Failure(cause="broke off: the agent ended without an answer")


# --- simulated time ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Simulated:
    """Work that takes simulated time: `after_s` of every part, and a latency drawn from `latency_s` before the first one.

    The agent is asked when the task is submitted and must answer without waiting; what it says appears when it is due. So a session runs
    as fast as it can, replays bit for bit and forks.
    """

    agent: BackgroundAgent
    latency_s: tuple[float, float] = (0.4, 1.2)
    limits: Limits = field(default_factory=Limits)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Simulated", "agent": dict(self.agent.spec()), "latency_s": list(self.latency_s)}

    def start(self, clock: ClockSpec, seed: int) -> SimulatedRun:
        return SimulatedRun(self, clock, seed)


@dataclass
class SimulatedRun:
    """Parts that are not due yet, each with the second from which it is."""

    of: Simulated
    clock: ClockSpec
    seed: int
    pending: list[tuple[float, Arrival]] = field(default_factory=list)

    def submit(self, tick: Tick, envelope: Envelope) -> None:
        low, high = self.of.latency_s
        at_s = self.clock.seconds(tick) + float(rng_for(self.seed, tick, f"background {envelope.task}").uniform(low, high))
        for part in bounded(self.of.agent, envelope, self.of.limits, _never):
            at_s += part.after_s
            self.pending.append((at_s, Arrival(envelope.task, envelope.run, part)))

    def cancel(self, tick: Tick, task: str, run: int) -> None:
        self.pending = [item for item in self.pending if (item[1].task, item[1].run) != (task, run)]
        self.pending.append((self.clock.seconds(tick + 1), Arrival(task, run, Stopped())))

    def collect(self, tick: Tick, most: int) -> list[Arrival]:
        now_s = self.clock.seconds(tick) + 1e-9
        self.pending.sort(key=lambda item: item[0])  # a stable order: parts of one task stay as they were given
        count = min(most, sum(at_s <= now_s for at_s, _ in self.pending))
        due, self.pending = self.pending[:count], self.pending[count:]
        return [arrival for _, arrival in due]

    def clone(self) -> SimulatedRun:
        return replace(self, pending=list(self.pending))


def _never() -> bool:
    return False


# --- as it was --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """What a trace says arrived, in the ticks in which it did: the background of a live session, for its replay. `of` is what it was."""

    arrivals: Mapping[int, tuple[Arrival, ...]]
    of: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_trace(cls, trace: Trace, *, language: bool = False) -> Recorded:
        """The background of a trace, or what its agent's own language model answered.

        Raises InputError when it holds a part that this version does not know.
        """
        arrivals: dict[int, tuple[Arrival, ...]] = {}
        for tick, event in trace.events(BackgroundArrived):
            if event.task.startswith(LANGUAGE) != language:
                continue
            arrivals[tick] = (*arrivals.get(tick, ()), Arrival(event.task, event.run, part_of(event.part)))
        return cls(arrivals, dict(trace.header.participants.get("background", {}).get("backend", {})))

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Recorded", "of": dict(self.of)}

    def start(self, clock: ClockSpec, seed: int) -> RecordedRun:
        return RecordedRun(self)


@dataclass(frozen=True)
class RecordedRun:
    """Nothing changes in it: the tick says what arrives."""

    of: Recorded

    def submit(self, tick: Tick, envelope: Envelope) -> None:
        """Its answer is known already."""

    def cancel(self, tick: Tick, task: str, run: int) -> None:
        """So is the end of it."""

    def collect(self, tick: Tick, most: int) -> list[Arrival]:
        return list(self.of.arrivals.get(tick, ()))

    def clone(self) -> RecordedRun:
        return self
