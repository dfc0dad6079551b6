"""The lanes of a decision: what the agent would have done and against which bar, the record of each tick, and the gates that acted."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from widgets.canvas import Canvas, bars, hover_cells
from widgets.theme import Theme, faded
from widgets.views import DecisionRow
from workbench.events import Decision

YIELD = "<yield>"
CANDIDATES, FEW = 5, 2  # that a record names, and in a session so long that its figure would grow too large


def probabilities(canvas: Canvas) -> None:
    """p(speak) against its threshold and p(yield), a bar a tick, with the record of each."""
    view, theme = canvas.view, canvas.theme
    rows = view.decisions
    if not rows:
        return
    centre = [row.at_s + view.tick_s / 2 for row in rows]
    fill = [_act_colour(row, theme) for row in rows]
    canvas.add("p_speak", bars(canvas, centre, [row.decision.p_speak for row in rows], fill, "p_speak"))
    steps = [
        row for row, before in zip(rows, [None, *rows], strict=False) if not before or before.decision.threshold != row.decision.threshold
    ]
    edge = [*(row.at_s for row in steps), rows[-1].at_s + view.tick_s]
    bar = [*(row.decision.threshold for row in steps), rows[-1].decision.threshold]
    line = {"color": theme.threshold, "width": 1.6, "dash": "dash", "shape": "hv"}
    canvas.add("p_speak", go.Scatter(x=edge, y=bar, mode="lines", line=line, hoverinfo="skip", name="threshold"))
    yielding = [faded(theme.yielded, 0.95 if row.decision.p_yield >= 0.5 else 0.5) for row in rows]
    canvas.add("p_yield", bars(canvas, centre, [row.decision.p_yield for row in rows], yielding, "p_yield"))
    if canvas.long:
        canvas.add("p_speak", _short_records(canvas, rows))
    else:
        record = [decision_hover(row) for row in rows]
        for lane in ("p_speak", "p_yield"):
            canvas.add(lane, hover_cells(centre, record, view.tick_s, f"{lane}_record"))


def _short_records(canvas: Canvas, rows: Sequence[DecisionRow]) -> go.Bar:
    """The numbers of every tick, and what was said and why where the agent acted or a gate did."""
    decisions = [row.decision for row in rows]
    numbers = [[r.tick, r.at_s, d.p_speak, d.threshold, d.p_yield, d.p_user_speaking] for r, d in zip(rows, decisions, strict=True)]
    text = ["<br>".join(_acts(d, FEW)) if d.said or d.gates else f"floor {escape(d.floor)}" for d in decisions]
    cells = hover_cells(canvas.numbers([row.at_s + canvas.view.tick_s / 2 for row in rows]), text, canvas.view.tick_s, "p_speak_record")
    return cells.update(
        y=np.ones(len(rows), np.uint8),
        customdata=np.asarray(numbers, np.float32),
        hovertemplate="<b>tick %{customdata[0]:.0f}</b> · %{customdata[1]:.1f} s<br>p(speak) %{customdata[2]:.3f} · "
        "threshold %{customdata[3]:.2f} · p(yield) %{customdata[4]:.3f}<br>p(user speaking) %{customdata[5]:.2f}<br>"
        "%{hovertext}<extra></extra>",
    )


def _act_colour(row: DecisionRow, theme: Theme) -> str:
    """Strong where the agent did something: its own colour for words, that of yielding for giving up the floor."""
    if not row.decision.said:
        return faded(theme.agent, 0.35)
    return faded(theme.yielded if row.decision.said == YIELD else theme.agent, 0.95)


def decision_hover(row: DecisionRow) -> str:
    """The decision record of one tick as a few lines of plotly text."""
    d = row.decision
    said, *others = _acts(d)
    lines = [
        f"<b>tick {row.tick}</b> · {row.at_s:.1f} s · floor <b>{escape(d.floor)}</b>",
        said,
        f"p(speak) {d.p_speak:.3f} · threshold {d.threshold:.2f} · p(yield) {d.p_yield:.3f}",
        f"p(back-channel) {d.p_backchannel:.3f} · p(user speaking) {d.p_user_speaking:.2f}",
        *others,
    ]
    return "<br>".join(lines)


def _acts(d: Decision, most: int = CANDIDATES) -> list[str]:
    """What was said in a tick, the best candidates for it, and the gates that acted."""
    top = ["top: " + ", ".join(f"{escape(word) or 'silence'} {p:.2f}" for word, p in d.top[:most])] if d.top else []
    gates = [f"gate <b>{escape(g.name)}</b>: {escape(g.wanted)} → {escape(g.done)}, {escape(g.reason)}" for g in d.gates]
    return [f"said <b>{escape(d.said)}</b>" if d.said else "said nothing", *top, *gates]


def gate_marks(canvas: Canvas) -> None:
    """The gates that acted: over p(speak), or in a lane of their own where the agent left no decisions."""
    marks = canvas.view.gates
    if not marks:
        return
    text = [
        f"<b>{escape(m.gate.name)}</b> · {m.at_s:.1f} s<br>{escape(m.gate.wanted)} → {escape(m.gate.done)}<br>{escape(m.gate.reason)}"
        for m in marks
    ]
    marker = {"symbol": "diamond", "size": 9, "color": canvas.theme.gate, "line": {"color": canvas.theme.page, "width": 1}}
    x = [m.at_s + canvas.view.tick_s / 2 for m in marks]
    hover = {"hovertext": text, "hovertemplate": "%{hovertext}<extra></extra>"}
    lane, height = ("p_speak", 1.08) if "p_speak" in canvas.axes else ("gates", 0.5)
    canvas.add(lane, go.Scatter(x=x, y=[height] * len(x), mode="markers", marker=marker, name="gates", **hover))
