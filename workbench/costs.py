"""What a session has cost so far, counted tick by tick from its micro-turns alone, live or afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.events import Event, TickCost
from workbench.events_background import BackgroundArrived, DelegationChanged, DelegationCreated, ToolUsed
from workbench.events_rules import SessionCost
from workbench.packets import MicroTurn
from workbench.trace import Trace


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

    def told(self, at_s: float, *, tick_flops: float = 0.0, kept_bytes: int = 0) -> SessionCost:
        """As an event; `tick_flops` is what one tick of the model takes, as `workbench.neural.tick_flops` works it out."""
        return SessionCost(
            at_s=at_s,
            positions=self.positions,
            flops=self.ticks * tick_flops,
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
    background_tokens: int = 100_000
    tool_calls: int = 500
    kept_bytes: int = 1_000_000_000

    def __post_init__(self) -> None:
        if min(self.background_s, self.background_tokens, self.tool_calls, self.kept_bytes) <= 0:
            raise InputError(f"{self}: every limit must be above 0")

    def over(self, cost: SessionCost) -> str:
        """What has been used up, in words for the person who talks; empty while nothing is."""
        limits = (
            ("seconds of background work", cost.background_s, self.background_s),
            ("tokens of background work", cost.background_tokens, self.background_tokens),
            ("calls of tools", cost.tool_calls, self.tool_calls),
            ("bytes of trace", cost.kept_bytes, self.kept_bytes),
        )
        used_up = next(((what, most) for what, used, most in limits if used >= most), None)
        return "" if used_up is None else f"this session has used its {used_up[1]:g} {used_up[0]}; begin a new one to go on"
