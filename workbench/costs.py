"""What a session has cost so far, counted tick by tick from its micro-turns alone, live or afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.events import Event, TickCost
from workbench.events_background import BackgroundArrived, DelegationChanged, DelegationCreated, ToolUsed
from workbench.events_rules import LimitReached, SessionCost
from workbench.packets import MicroTurn
from workbench.policy_text import agent_spec
from workbench.session import Participant, Sink
from workbench.trace import Trace

COST_EVERY_S = 5.0
MODEL_FLOPS = "model_flops"  # the label of a trace that tells what its agent's model takes, as `ModelFlops.label` gives it
TICK_FLOPS = "tick_flops"  # that of older traces: a number for each micro-turn, however many positions it had


@dataclass(frozen=True, kw_only=True)
class ModelFlops:
    """Floating-point operations that an agent's model needs at the least: of each micro-turn, and of each position of its sequence.

    A position needs `per_position`, and what `per_seen` tells for every position that it sees, itself included: pairs of how many at most
    (None: all), and the operations for each. `workbench.neural.model_flops` says what is counted.
    """

    per_tick: float = 0.0
    per_position: float = 0.0
    per_seen: tuple[tuple[int | None, float], ...] = ()

    def of(self, ticks: int, positions: int) -> float:
        """The operations of a session of so many micro-turns and positions."""
        seen = sum(each * _seen(positions, most) for most, each in self.per_seen)
        return ticks * self.per_tick + positions * self.per_position + seen

    @property
    def label(self) -> dict[str, Any]:
        """As the labels of a trace tell it; none for no model."""
        return {} if self == NO_MODEL else {MODEL_FLOPS: {**asdict(self), "per_seen": [list(pair) for pair in self.per_seen]}}

    @classmethod
    def told(cls, labels: Mapping[str, Any]) -> ModelFlops:
        """What the labels of a trace tell; NO_MODEL where they do not."""
        if MODEL_FLOPS not in labels:
            return cls(per_tick=float(labels.get(TICK_FLOPS, 0.0)))
        told = labels[MODEL_FLOPS]
        return cls(**{**told, "per_seen": tuple((most, each) for most, each in told["per_seen"])})


def _seen(positions: int, most: int | None) -> int:
    """How many positions that many see in all, the first itself alone and none more than `most`."""
    growing = positions if most is None else min(positions, most)
    return growing * (growing + 1) // 2 + (positions - growing) * growing


NO_MODEL = ModelFlops()


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Ticks, positions of the model's sequence, its computing, and the slow work: tasks, seconds they ran, tokens, calls of tools."""

    ticks: int = 0
    positions: int = 0
    computed_ms: float = 0.0
    tasks: int = 0
    background_s: float = 0.0
    background_tokens: int = 0
    tool_calls: int = 0
    running: frozenset[str] = frozenset()

    def after(self, turn: MicroTurn, clock: ClockSpec) -> Spent:
        """The same with one more micro-turn."""
        spent = self
        for event in turn.events:
            spent = spent._with(event)
        return replace(spent, ticks=spent.ticks + 1, background_s=spent.background_s + len(spent.running) * clock.tick_s)

    def _with(self, event: Event) -> Spent:
        match event:
            case TickCost(stages_ms=stages, positions=positions):
                return replace(self, positions=max(self.positions, positions), computed_ms=self.computed_ms + sum(stages.values()))
            case DelegationCreated():
                return replace(self, tasks=self.tasks + 1)
            case DelegationChanged(task=task, after=after):
                return replace(self, running=self.running | {task} if after == "running" else self.running - {task})
            case BackgroundArrived(part=part):
                tokens = part.get("tokens", 0)
                return replace(self, background_tokens=self.background_tokens + (tokens if isinstance(tokens, int) else 0))
            case ToolUsed(done="ran" | "failed"):
                return replace(self, tool_calls=self.tool_calls + 1)
            case _:
                return self

    def told(self, at_s: float, *, flops: ModelFlops = NO_MODEL, kept_bytes: int = 0) -> SessionCost:
        """As an event; `flops` is what the model takes."""
        return SessionCost(
            at_s=at_s,
            positions=self.positions,
            flops=flops.of(self.ticks, self.positions),
            computed_ms=round(self.computed_ms, 1),
            tasks=self.tasks,
            background_s=round(self.background_s, 3),
            background_tokens=self.background_tokens,
            tool_calls=self.tool_calls,
            kept_bytes=kept_bytes,
        )


def spent_in(trace: Trace) -> Spent:
    """What a whole session has cost."""
    return spent_by(trace.turns, trace.header.clock)


def flops_in(trace: Trace) -> float:
    """The operations of the model in a whole session, at the least; NaN where its trace does not tell what they are."""
    flops, spent = ModelFlops.told(trace.header.labels), spent_in(trace)
    return math.nan if flops == NO_MODEL else flops.of(spent.ticks, spent.positions)


def spent_by(turns: Iterable[MicroTurn], clock: ClockSpec) -> Spent:
    """What these micro-turns, the first of a session, have cost."""
    spent = Spent()
    for turn in turns:
        spent = spent.after(turn, clock)
    return spent


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """How much slow work a session may have done, and how many bytes it may leave; what is over ends it politely."""

    background_s: float = 600.0
    background_tokens: float = 100_000
    tool_calls: float = 500
    kept_bytes: float = 1_000_000_000

    def __post_init__(self) -> None:
        if not all(most > 0 for most in (self.background_s, self.background_tokens, self.tool_calls, self.kept_bytes)):
            raise InputError(f"{self}: every limit must be above 0")

    @property
    def limited(self) -> dict[str, float]:
        """The limits that there are, by the names of a command line."""
        return {name: most for name, (field, _) in LIMITS.items() if (most := getattr(self, field)) < math.inf}

    def over(self, cost: SessionCost) -> LimitReached | None:
        """The first limit that has been reached; None while none is."""
        for name, most in self.limited.items():
            used = getattr(cost, LIMITS[name][0])
            if used >= most:
                return LimitReached(at_s=cost.at_s, limit=name, used=used, most=most)
        return None


LIMITS: Mapping[str, tuple[str, str]] = {
    "background-seconds": ("background_s", "seconds of background work"),
    "background-tokens": ("background_tokens", "tokens of background work"),
    "tool-calls": ("tool_calls", "calls of tools"),
    "trace-bytes": ("kept_bytes", "bytes of trace"),
}
LIMIT_HELP = f"How much a session may use before it ends politely: NAME=NUMBER, of {', '.join(LIMITS)}; repeat for more."
UNLIMITED = Allowed(background_s=math.inf, background_tokens=math.inf, tool_calls=math.inf, kept_bytes=math.inf)


def allowed_by(texts: Sequence[str], usual: Allowed = UNLIMITED) -> Allowed:
    """`usual` with the limits of a command line, such as "tool-calls=5". Raises InputError for an unknown one, or no number above 0."""
    given: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in LIMITS:
            raise InputError(f"--limit {text!r}: there is no limit {name!r}; {LIMIT_HELP}")
        try:
            given[LIMITS[name][0]] = float(value)
        except ValueError:
            raise InputError(f"--limit {text!r} has no number; give {name}=NUMBER") from None
    return replace(usual, **given)


def in_words(reached: LimitReached) -> str:
    """For the person who talks."""
    return f"this session has used its {reached.most:g} {LIMITS[reached.limit][1]}; begin a new one to go on"


@dataclass
class Meter:
    """What a session has cost so far, and whether it may go on: `reached` is the limit at which it is to end."""

    clock: ClockSpec
    allowed: Allowed = UNLIMITED
    flops: ModelFlops = NO_MODEL
    spent: Spent = Spent()
    reached: LimitReached | None = None
    kept_bytes: int = 0

    def after(self, turn: MicroTurn, kept: Callable[[], int]) -> list[Event]:
        """The events to be added to a micro-turn: the cost every COST_EVERY_S, and where a limit ends the session that limit with the cost.

        A session that ends otherwise tells no last cost: its trace has all that it is counted from. `kept` counts the bytes of its trace;
        it is asked every COST_EVERY_S only.
        """
        self.spent = self.spent.after(turn, self.clock)
        due = turn.tick % self.clock.ticks_in(COST_EVERY_S) == 0
        if due:
            self.kept_bytes = kept()
        cost = self.spent.told(self.clock.seconds(turn.tick + 1), flops=self.flops, kept_bytes=self.kept_bytes)
        self.reached = self.allowed.over(cost)
        if self.reached is not None:
            return [cost, self.reached]
        return [cost] if due else []


@dataclass
class Metered:
    """A sink that adds to each micro-turn what its meter says, and hands it on to others."""

    meter: Meter
    sinks: Sequence[Sink]
    kept: Callable[[], int] = lambda: 0

    def append(self, turn: MicroTurn) -> None:
        turn = replace(turn, events=(*turn.events, *self.meter.after(turn, self.kept)))
        for sink in self.sinks:
            sink.append(turn)


def model_flops_of(agent: Participant) -> ModelFlops:
    """What an agent's model takes, whatever rules the agent is under; NO_MODEL for none of ours."""
    if agent_spec(agent).get("kind") != "nano":
        return NO_MODEL
    from workbench.neural import NeuralAgent, model_flops

    inner: Any = agent
    while not isinstance(inner, NeuralAgent):
        inner = inner.agent
    return model_flops(inner)


def bytes_of(path: Path) -> int:
    """The bytes of a trace so far, with what its database keeps beside it."""
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
