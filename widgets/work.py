"""Slow work on the timeline: a row for each task, a box for each of its states, and a mark where the desk handed a result over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from widgets.theme import Theme, faded
from workbench.background.tasks import CANCELLED, CANCELLING, COMPLETED, DELIVERED, DELIVERING, FAILED, FINAL, QUEUED, RUNNING, STALE
from workbench.events_background import DelegationChanged, DelegationCreated, DelegationResult
from workbench.trace import Trace

ROW_PX = 20


@dataclass(frozen=True)
class TaskSpan:
    """A task in one of its states, the cause of which is told; a final state lasts no time."""

    task: str
    ask: str
    state: str
    start_s: float
    end_s: float
    cause: str
    row: int


@dataclass(frozen=True)
class HandedOver:
    """The moment in which the agent was told a result."""

    task: str
    text: str
    at_s: float
    row: int


def task_spans(trace: Trace) -> tuple[TaskSpan, ...]:
    """Every task from the tick in which it was made, state after state, to its end or that of the trace; free rows are used again."""
    clock = trace.header.clock
    asks = {event.task: event.ask for _, event in trace.events(DelegationCreated)}
    changes: dict[str, list[tuple[float, str, str]]] = {
        event.task: [(clock.seconds(tick), QUEUED, "asked for")] for tick, event in trace.events(DelegationCreated)
    }
    for tick, event in trace.events(DelegationChanged):
        changes.setdefault(event.task, []).append((clock.seconds(tick), event.after, event.cause))
    free_s: list[float] = []
    found: list[TaskSpan] = []
    for task, states in sorted(changes.items(), key=lambda item: item[1][0][0]):
        over_s = states[-1][0] + clock.tick_s if states[-1][1] in FINAL else trace.duration_s
        row = next((row for row, until_s in enumerate(free_s) if until_s <= states[0][0]), len(free_s))
        free_s[row : row + 1] = [over_s]
        ends_s = [at_s for at_s, _, _ in states[1:]] + [over_s]
        found += [
            TaskSpan(task, asks.get(task, ""), state, at_s, end_s, cause, row)
            for (at_s, state, cause), end_s in zip(states, ends_s, strict=True)
        ]
    return tuple(found)


def handed_over(trace: Trace) -> tuple[HandedOver, ...]:
    """When each result was told to the agent."""
    rows = {span.task: span.row for span in task_spans(trace)}
    seconds = trace.header.clock.seconds
    return tuple(HandedOver(e.task, e.text, seconds(tick), rows.get(e.task, 0)) for tick, e in trace.events(DelegationResult))


def task_rows(spans: Sequence[TaskSpan]) -> int:
    """How many rows the tasks take."""
    return max((span.row for span in spans), default=-1) + 1


def task_boxes(spans: Sequence[TaskSpan], theme: Theme) -> go.Bar:
    """The states as boxes, the newest row lowest, in a lane from 0 to 1; the longest box of a task carries what was asked."""
    height = 1 / task_rows(spans)
    longest = {span.task: max((s for s in spans if s.task == span.task), key=lambda s: s.end_s - s.start_s) for span in spans}
    text = [f"{span.task}: {span.ask} · {span.state}" if longest[span.task] is span else "" for span in spans]
    inks = [_ink(span.state, theme) for span in spans]
    return go.Bar(
        orientation="h",
        base=[span.start_s for span in spans],
        x=[span.end_s - span.start_s for span in spans],
        y=[1 - (span.row + 0.5) * height for span in spans],
        width=height * 0.92,
        text=[escape(words) for words in text],
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
        constraintext="inside",
        textfont={"color": theme.ink, "size": 11},
        marker={"color": inks, "line": {"color": theme.lane, "width": 1}},
        hovertext=[
            f"<b>task {escape(s.task)}: {escape(s.ask)}</b><br>{s.state} from {s.start_s:.1f} to {s.end_s:.1f} s<br>{escape(s.cause)}"
            for s in spans
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        name="tasks",
    )


def result_marks(marks: Sequence[HandedOver], rows: int, theme: Theme) -> go.Scatter:
    """A mark where a result was told, with its words."""
    return go.Scatter(
        x=[mark.at_s for mark in marks],
        y=[1 - (mark.row + 0.5) / rows for mark in marks],
        mode="markers",
        marker={"symbol": "triangle-down", "size": 11, "color": theme.agent, "line": {"color": theme.page, "width": 1}},
        hovertext=[f"<b>told the agent</b> · {m.at_s:.1f} s<br>task {escape(m.task)}: {escape(m.text)}" for m in marks],
        hovertemplate="%{hovertext}<extra></extra>",
        name="results",
    )


def _ink(state: str, theme: Theme) -> str:
    """The colours that the live timeline has."""
    return {
        QUEUED: faded(theme.other, 0.35),
        RUNNING: faded(theme.user, 0.45),
        COMPLETED: faded(theme.agent, 0.3),
        DELIVERING: faded(theme.agent, 0.6),
        CANCELLING: faded(theme.gate, 0.35),
        DELIVERED: theme.agent,
        **dict.fromkeys((CANCELLED, FAILED, STALE), theme.gate),
    }.get(state, faded(theme.other, 0.35))
