"""Evaluations at many settings as figures: a robustness curve over conditions, and restraint against latency over thresholds.

A row is one point of `workbench.sweeps.Sweep.to_json()`. The points of a figure carry their names (`widgets.scores.point_name`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import cycle, groupby
from typing import Any, TypeAlias

import plotly.graph_objects as go

from widgets.scores import point_name
from widgets.theme import LIGHT, Theme, faded
from workbench.errors import InputError
from workbench.sweeps import AS_DRAWN

Row: TypeAlias = Mapping[str, Any]

Curves: TypeAlias = Mapping[str, Sequence[Row]]  # the rows of every agent, by its name

LABEL_PLACES = ("top left", "bottom left", "bottom right", "top right")  # neighbours on the curve do not write over each other


def robustness_figure(curves: Curves, theme: Theme = LIGHT) -> go.Figure:
    """Meaning and timing both right (mean over families, with its 95 % interval) under each condition.

    A line for an agent and a kind of condition; dashed is the agent in the surroundings as drawn. Of one agent alone faint lines are
    single families, and a band is the interval of the dashed line. Raises InputError for rows that do not begin with the surroundings
    as drawn.
    """
    if not curves or any(not rows or rows[0]["curve"] != AS_DRAWN for rows in curves.values()):
        raise InputError(f"a robustness curve begins with its {AS_DRAWN!r} row; give the points that workbench.sweeps.robustness made")
    figure, alone = go.Figure(), len(curves) == 1
    for (name, (base, *others)), colour in zip(curves.items(), _colours(theme), strict=False):
        for place, (_, curve) in enumerate(groupby(others, key=lambda row: str(row["curve"]))):
            points = list(curve)
            for family in base["families"] if alone else ():
                figure.add_trace(_family_line(points, name, family, theme))
            figure.add_trace(_mean_line(points, name, colour, named=not place))
        figure.add_hline(y=base["mean_both"], line={"color": theme.user if alone else colour, "width": 1.5, "dash": "dash"})
        if alone:
            low, high = base["mean_ci95"]
            figure.add_hrect(y0=low, y1=high, fillcolor=faded(theme.user, 0.12), line_width=0, layer="below")
    _dress(figure, theme, 420)
    _name(figure, curves)
    figure.update_yaxes(title="meaning and timing both right", range=[-0.02, 1.04])
    figure.update_xaxes(showdividers=True, dividercolor=theme.grid, showgrid=False)
    return figure


def restraint_figure(curves: Curves, theme: Theme = LIGHT) -> go.Figure:
    """Restraint (share of episodes without a false start, with its 95 % interval) against the median reply latency.

    An agent is a line over its thresholds, or a point where it has but one row. Thresholds that give the same point share it; those at
    which no reply came, and agents that never reply, are left out.
    """
    figure = go.Figure()
    found = {name: places for name, rows in curves.items() if (places := _places(rows))}
    colours = dict(zip(curves, _colours(theme), strict=False))
    for name, places in found.items():
        figure.add_trace(_restraint_line(name, places, colours[name]))
    _dress(figure, theme, 380)
    _name(figure, curves)
    figure.update_xaxes(title="median reply latency, s", gridcolor=theme.grid_minor)
    figure.update_yaxes(title="episodes without a false start")
    if found:
        x = [latency_s for places in found.values() for latency_s, _ in places]
        lowest = min(row["restraint"]["ci95"][0] for places in found.values() for same in places.values() for row in same)
        figure.update_xaxes(range=[max(0.0, min(x) - 0.1) if len(found) == 1 else 0.0, max(x) + 0.2])
        figure.update_yaxes(range=[max(-0.02, lowest - 0.05), 1.06])
    return figure


def _restraint_line(name: str, places: Mapping[tuple[float, float], Sequence[Row]], colour: str) -> go.Scatter:
    x = [latency_s for latency_s, _ in places]
    rates = [same[0]["restraint"] for same in places.values()]
    swept = sum(map(len, places.values())) > 1
    return go.Scatter(
        x=x,
        y=[rate["value"] for rate in rates],
        error_y=_bars(rates, colour),
        mode="lines+markers+text",
        name=escape(name),
        text=[_labels(same) if swept else escape(name) for same in places.values()],
        textposition=[LABEL_PLACES[sorted(x).index(s) % len(LABEL_PLACES)] for s in x] if swept else "bottom right",
        customdata=[point_name(name, same[0], "restraint") for same in places.values()],
        hovertext=["<br>".join(map(_late, same)) for same in places.values()],
        hovertemplate=f"{escape(name)}: restraint %{{y:.2f}}, median reply %{{x:.2f}} s<br>%{{hovertext}}<extra></extra>",
        line={"color": colour, "width": 2},
        marker={"size": 8},
    )


def _places(rows: Sequence[Row]) -> dict[tuple[float, float], list[Row]]:
    """The rows at which replies came, by median reply latency and restraint; what gives the same point shares it."""
    found: dict[tuple[float, float], list[Row]] = {}
    for row in rows:
        if "reply" in row["latency_s"]:
            found.setdefault((round(row["latency_s"]["reply"]["median"], 3), row["restraint"]["value"]), []).append(row)
    return found


def _colours(theme: Theme) -> Iterator[str]:
    """A colour for every agent, over and over."""
    return cycle((theme.agent, theme.user, theme.heard, theme.gate, theme.yielded, theme.muted))


def _name(figure: go.Figure, curves: Curves) -> None:
    """A legend above, where there are several agents."""
    if len(curves) > 1:
        legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
        figure.update_layout(showlegend=True, legend=legend, height=figure.layout.height + 30, margin={"t": 54})


def threshold_figure(rows: Sequence[Row], theme: Theme = LIGHT, agent: str = "") -> go.Figure:
    """What a threshold gives and takes: both right, replies in time and restraint, each with its 95 % interval."""
    figure = go.Figure()
    series = (
        ("both right, mean", "both", theme.user),
        ("replies in time", "in time", theme.heard),
        ("restraint", "restraint", theme.agent),
    )
    for name, key, colour in series:
        found = [(row, rate) for row in rows if (rate := _rate(row, key)) is not None]
        hover = f"{name} %{{y:.2f}} at threshold %{{x}}<extra></extra>"
        figure.add_trace(
            go.Scatter(
                x=[float(row["label"]) for row, _ in found],
                y=[rate["value"] for _, rate in found],
                customdata=[point_name(agent, row, key) for row, _ in found],
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


def _labels(rows: Sequence[Row]) -> str:
    """The labels of rows at one point; of many the first and the last, which fit beside it."""
    labels = [str(row["label"]) for row in rows]
    return ", ".join(labels) if len(labels) < 3 else f"{labels[0]} … {labels[-1]}"


def _late(row: Row) -> str:
    return f"{row['label']}: 95th percentile {row['latency_s']['reply']['p95']:.2f} s"


def _rate(row: Row, key: str) -> Row | None:
    match key:
        case "both":
            return {"value": row["mean_both"], "ci95": row["mean_ci95"]}
        case "in time":
            found: Row | None = row["rates"].get("replies within 1.0 s")
            return found
        case _:
            other: Row = row[key]
            return other


def _mean_line(points: Sequence[Row], name: str, colour: str, *, named: bool) -> go.Scatter:
    """The mean of one agent over one kind of condition; one of its lines is `named` in the legend for all."""
    rates = [{"value": row["mean_both"], "ci95": row["mean_ci95"]} for row in points]
    return go.Scatter(
        x=_under(points),
        y=[rate["value"] for rate in rates],
        customdata=[point_name(name, row) for row in points],
        error_y=_bars(rates, colour),
        mode="lines+markers",
        name=escape(name),
        legendgroup=name,
        showlegend=named,
        line={"color": colour, "width": 2.5},
        marker={"size": 6},  # no larger: of points that coincide plotly takes the smaller, or the last
        hovertemplate=f"<b>{escape(name)}, mean over families %{{y:.2f}}</b><br>%{{x}}<extra></extra>",
    )


def _family_line(points: Sequence[Row], agent: str, family: str, theme: Theme) -> go.Scatter:
    return go.Scatter(
        x=_under(points),
        y=[row["families"][family]["both"] for row in points],
        customdata=[point_name(agent, row, family) for row in points],
        mode="lines+markers",
        showlegend=False,
        marker={"size": 3},
        line={"color": faded(theme.other, 0.55), "width": 1},
        hovertemplate=f"{escape(_spaced(family))}: %{{y:.2f}}<br>%{{x}}<extra></extra>",
    )


def _under(points: Sequence[Row]) -> list[list[str]]:
    """Places on an axis of two levels: the kind of condition, and how much of it."""
    return [[row["curve"] for row in points], [row["label"] for row in points]]


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
