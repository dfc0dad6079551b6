"""Evaluations at many settings as figures: a robustness curve over conditions, and restraint against latency over thresholds.

A row is one point of `workbench.sweeps.Sweep.to_json()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import plotly.graph_objects as go

from widgets.theme import LIGHT, Theme, faded
from workbench.errors import InputError
from workbench.sweeps import AS_DRAWN

Row: TypeAlias = Mapping[str, Any]

LABEL_PLACES = ("top left", "bottom left", "bottom right", "top right")  # neighbours on the curve do not write over each other


def robustness_figure(rows: Sequence[Row], theme: Theme = LIGHT) -> go.Figure:
    """Meaning and timing both right (mean over families, with its 95 % interval) under each condition, one curve per kind of condition.

    Faint lines are single families; the dashed line and its band are the surroundings as drawn. Raises InputError without that first row.
    """
    if not rows or rows[0]["curve"] != AS_DRAWN:
        raise InputError(f"a robustness curve begins with its {AS_DRAWN!r} row; give the points that workbench.sweeps.robustness made")
    figure = go.Figure()
    base, *others = rows
    for _, curve in groupby(others, key=lambda row: row["curve"]):
        points = list(curve)
        x = [[row["curve"] for row in points], [row["label"] for row in points]]
        for name in base["families"]:
            y = [row["families"][name]["both"] for row in points]
            hover = f"{_spaced(name)}: %{{y:.2f}}<br>%{{x}}<extra></extra>"
            line = {"color": faded(theme.other, 0.55), "width": 1}
            figure.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", marker={"size": 3}, line=line, hovertemplate=hover))
        figure.add_trace(_mean_line(x, points, theme))
    low, high = base["mean_ci95"]
    figure.add_hrect(y0=low, y1=high, fillcolor=faded(theme.user, 0.12), line_width=0, layer="below")
    figure.add_hline(y=base["mean_both"], line={"color": theme.user, "width": 1.5, "dash": "dash"})
    _dress(figure, theme, 420)
    figure.update_yaxes(title="meaning and timing both right", range=[-0.02, 1.04])
    figure.update_xaxes(showdividers=True, dividercolor=theme.grid, showgrid=False)
    return figure


def restraint_figure(rows: Sequence[Row], theme: Theme = LIGHT) -> go.Figure:
    """Restraint (share of episodes without a false start, with its 95 % interval) against the median reply latency, a point a threshold.

    Thresholds that give the same point share it; those at which no reply came are left out.
    """
    found = _places(rows)
    x = [latency_s for latency_s, _ in found]
    rates = [same[0]["restraint"] for same in found.values()]
    p95 = ["<br>".join(map(_late, same)) for same in found.values()]
    figure = go.Figure(
        go.Scatter(
            x=x,
            y=[rate["value"] for rate in rates],
            error_y=_bars(rates, theme.agent),
            mode="lines+markers+text",
            text=[", ".join(row["label"] for row in same) for same in found.values()],
            textposition=[LABEL_PLACES[sorted(x).index(latency_s) % len(LABEL_PLACES)] for latency_s in x],
            hovertext=p95,
            hovertemplate="restraint %{y:.2f}, median reply %{x:.2f} s, at threshold<br>%{hovertext}<extra></extra>",
            line={"color": theme.agent, "width": 2},
            marker={"size": 8},
        )
    )
    _dress(figure, theme, 340)
    figure.update_xaxes(title="median reply latency, s", gridcolor=theme.grid_minor)
    figure.update_yaxes(title="episodes without a false start")
    if found:
        lowest = min(rate["ci95"][0] for rate in rates)
        figure.update_xaxes(range=[max(0.0, min(x) - 0.1), max(x) + 0.2])
        figure.update_yaxes(range=[max(-0.02, lowest - 0.05), 1.06])
    return figure


def compared_restraint_figure(curves: Mapping[str, Sequence[Row]], theme: Theme = LIGHT) -> go.Figure:
    """Restraint against the median reply latency of several agents, each a point or, over its thresholds, a line.

    Rows are those of `restraint_figure`, by the agent's name; agents that never reply are left out.
    """
    colours = (theme.agent, theme.user, theme.heard, theme.gate, theme.other, theme.muted)
    figure = go.Figure()
    lowest, latest = 1.0, 0.0
    for place, (name, rows) in enumerate(curves.items()):
        found = _places(rows)
        if not found:
            continue
        rates, x = [same[0]["restraint"] for same in found.values()], [latency_s for latency_s, _ in found]
        lowest, latest = min([lowest, *(rate["ci95"][0] for rate in rates)]), max([latest, *x])
        colour = colours[place % len(colours)]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=[rate["value"] for rate in rates],
                error_y=_bars(rates, colour),
                mode="lines+markers+text",
                name=name,
                text=[", ".join(row["label"] for row in same) for same in found.values()] if len(rows) > 1 else [name],
                textposition="bottom right",
                hovertemplate=f"{name}: restraint %{{y:.2f}}, median reply %{{x:.2f}} s<extra></extra>",
                line={"color": colour, "width": 2},
                marker={"size": 9},
            )
        )
    _dress(figure, theme, 380)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(title="median reply latency, s", gridcolor=theme.grid_minor, range=[0, max(1.0, latest * 1.15)])
    figure.update_yaxes(title="episodes without a false start", range=[max(-0.02, lowest - 0.05), 1.06])
    return figure


def _places(rows: Sequence[Row]) -> dict[tuple[float, float], list[Row]]:
    """The rows at which replies came, by median reply latency and restraint; what gives the same point shares it."""
    found: dict[tuple[float, float], list[Row]] = {}
    for row in rows:
        if "reply" in row["latency_s"]:
            found.setdefault((round(row["latency_s"]["reply"]["median"], 3), row["restraint"]["value"]), []).append(row)
    return found


def threshold_figure(rows: Sequence[Row], theme: Theme = LIGHT) -> go.Figure:
    """What a threshold gives and takes: both right, replies in time and restraint, each with its 95 % interval."""
    figure = go.Figure()
    series = (
        ("both right, mean", "mean_both", theme.user),
        ("replies in time", "reply", theme.heard),
        ("restraint", "restraint", theme.agent),
    )
    for name, key, colour in series:
        found = [(row["label"], rate) for row in rows if (rate := _rate(row, key)) is not None]
        hover = f"{name} %{{y:.2f}} at threshold %{{x}}<extra></extra>"
        figure.add_trace(
            go.Scatter(
                x=[float(label) for label, _ in found],
                y=[rate["value"] for _, rate in found],
                error_y=_bars([rate for _, rate in found], colour),
                mode="lines+markers",
                name=name,
                line={"color": colour, "width": 2},
                hovertemplate=hover,
            )
        )
    _dress(figure, theme, 340)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(title="threshold of p(speak)", dtick=0.1, gridcolor=theme.grid_minor)
    figure.update_yaxes(range=[-0.02, 1.04])
    return figure


def _late(row: Row) -> str:
    return f"{row['label']}: 95th percentile {row['latency_s']['reply']['p95']:.2f} s"


def _rate(row: Row, key: str) -> Row | None:
    match key:
        case "mean_both":
            return {"value": row["mean_both"], "ci95": row["mean_ci95"]}
        case "reply":
            found: Row | None = row["rates"].get("replies within 1.0 s")
            return found
        case _:
            other: Row = row[key]
            return other


def _mean_line(x: list[list[str]], points: Sequence[Row], theme: Theme) -> go.Scatter:
    rates = [{"value": row["mean_both"], "ci95": row["mean_ci95"]} for row in points]
    return go.Scatter(
        x=x,
        y=[rate["value"] for rate in rates],
        error_y=_bars(rates, theme.agent),
        mode="lines+markers",
        line={"color": theme.agent, "width": 2.5},
        marker={"size": 8},
        hovertemplate="<b>mean over families %{y:.2f}</b><br>%{x}<extra></extra>",
    )


def _bars(rates: Sequence[Row], colour: str) -> dict[str, Any]:
    above = [rate["ci95"][1] - rate["value"] for rate in rates]
    below = [rate["value"] - rate["ci95"][0] for rate in rates]
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "thickness": 1.3,
        "width": 3,
        "color": faded(colour, 0.7),
    }


def _dress(figure: go.Figure, theme: Theme, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 56, "r": 20, "t": 24, "b": 50},
        paper_bgcolor=theme.page,
        plot_bgcolor=theme.lane,
        font={"family": theme.font, "size": 12, "color": theme.ink},
        hoverlabel={"bgcolor": theme.page, "bordercolor": theme.grid, "font": {"color": theme.ink, "size": 12}, "align": "left"},
        showlegend=False,
        dragmode=False,
    )
    figure.update_xaxes(zeroline=False, linecolor=theme.grid)
    figure.update_yaxes(zeroline=False, gridcolor=theme.grid)


def _spaced(name: str) -> str:
    return name.replace("_", " ")
