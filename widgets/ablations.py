"""A study of one change at a time as figures: who gains and loses by how much, and what silence weighs.

A row is one variant of `benchmarks/ablations.py`, read by `read_study`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import plotly.graph_objects as go

from widgets.theme import LIGHT, Theme, faded
from workbench.errors import InputError

Row: TypeAlias = Mapping[str, Any]

BASE = "base"
OF_THE_BASE = ("base", "seed")  # questions whose rows are the base itself, trained once more
FOLDED = "folded"  # a row that is the base too, beside one that folds nothing
ROW_PX = 58


def read_study(path: Path) -> list[Row]:
    """The rows of a study. Raises InputError when the file holds none."""
    try:
        rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no study ({error}); make one with `python benchmarks/ablations.py`") from None
    return rows


def of_question(rows: Sequence[Row], question: str, *, base: bool = True) -> list[Row]:
    """The variants that answer a question, with the base before them unless told otherwise. Raises InputError when there are none."""
    found = [row for row in rows if row["question"] == question]
    if not found:
        raise InputError(f"no variant answers {question!r}; the questions are {', '.join(dict.fromkeys(row['question'] for row in rows))}")
    return [*(row for row in rows if base and row["name"] == BASE), *found]


def study_figure(rows: Sequence[Row], theme: Theme = LIGHT) -> go.Figure:
    """Meaning and timing both right of each variant: the mean over families with its 95 % interval, and the families as faint marks.

    The first row is what the others are compared with: a line, and its interval a band.
    """
    if not rows:
        raise InputError("there is nothing to compare; give rows of a study")
    figure = go.Figure()
    first, names = rows[0], [row["name"] for row in rows]
    low, high = first["mean_ci95"]
    figure.add_vrect(x0=low, x1=high, fillcolor=faded(theme.user, 0.12), line_width=0, layer="below")
    figure.add_vline(x=first["mean_both"], line={"color": theme.user, "width": 1.5, "dash": "dash"})
    for family in first["families"]:
        figure.add_trace(
            go.Scatter(
                x=[row["families"][family]["both"] for row in rows],
                y=names,
                mode="markers",
                marker={"size": 7, "color": faded(theme.other, 0.7), "symbol": "line-ns-open"},
                hovertemplate=f"{family.replace('_', ' ')}: %{{x:.2f}}<br>%{{y}}<extra></extra>",
            )
        )
    ends = [row["mean_ci95"] for row in rows]
    means = [row["mean_both"] for row in rows]
    figure.add_trace(
        go.Scatter(
            x=means,
            y=names,
            mode="markers",
            error_x={
                "type": "data",
                "array": [high - mean for (_, high), mean in zip(ends, means, strict=True)],
                "arrayminus": [mean - low for (low, _), mean in zip(ends, means, strict=True)],
                "color": theme.agent,
                "thickness": 1.5,
                "width": 5,
            },
            marker={"size": 11, "color": theme.agent},
            customdata=[row["says"] for row in rows],
            hovertemplate="<b>%{y}: %{x:.2f}</b><br>%{customdata}<extra></extra>",
        )
    )
    _dress(figure, theme, 90 + ROW_PX * len(rows))
    figure.update_xaxes(title="meaning and timing both right", range=[-0.02, 1.02], gridcolor=theme.grid_minor)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def silence_figure(rows: Sequence[Row], theme: Theme = LIGHT) -> go.Figure:
    """Restraint (share of episodes without a false start) against how quick it is (medians of `LATENCIES`), a point a weight of silence."""
    figure = go.Figure()
    rates = [row["restraint"] for row in rows]
    figure.add_trace(
        go.Scatter(
            x=[_median_s(row) for row in rows],
            y=[rate["value"] for rate in rates],
            error_y={
                "type": "data",
                "array": [rate["ci95"][1] - rate["value"] for rate in rates],
                "arrayminus": [rate["value"] - rate["ci95"][0] for rate in rates],
                "color": theme.agent,
                "thickness": 1.2,
                "width": 4,
            },
            mode="lines+markers+text",
            text=[row["name"] for row in rows],
            textposition="top center",
            line={"color": theme.agent, "width": 2},
            marker={"size": 9},
            customdata=[row["mean_both"] for row in rows],
            hovertemplate="%{text}: restraint %{y:.2f}, median %{x:.2f} s, both right %{customdata:.2f}<extra></extra>",
        )
    )
    _dress(figure, theme, 360)
    figure.update_xaxes(title="median latency, s: " + ", ".join(LATENCIES), gridcolor=theme.grid_minor)
    figure.update_yaxes(title="episodes without a false start")
    return figure


LATENCIES = ("yield", "cue")
"""Whose medians, averaged, stand for how quick a variant is: from the end of "stop" to quiet, from the end of a cue to the word."""


def _median_s(row: Row) -> float | None:
    found = [row["latency_s"][name]["median"] for name in LATENCIES if name in row["latency_s"]]
    return sum(found) / len(found) if found else None


def study_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The study as rows of text: variant, both right with interval, cost of a step, size, word error rate, restraint, what is changed.

    A step's cost is against that of the first base among the rows that was timed on the same computer; empty where none was.
    """
    return [
        {
            "variant": row["name"],
            "both right": f"{100 * row['mean_both']:.0f} % ({100 * row['mean_ci95'][0]:.0f} to {100 * row['mean_ci95'][1]:.0f})",
            "a step costs": _cost(row, rows),
            "timed on": row.get("computer") or "",
            "numbers": f"{row['parameters'] / 1e6:.2f} M",
            "words misheard": f"{100 * row['word_error_rate']:.0f} %",
            "restraint": f"{100 * row['restraint']['value']:.0f} %",
            "changed": row["says"],
        }
        for row in rows
    ]


def _cost(row: Row, rows: Sequence[Row]) -> str:
    computer = row.get("computer")
    same = [one for one in rows if one["question"] in OF_THE_BASE or one["name"] == FOLDED]
    bases = [one["cpu_s_per_step"] for one in same if one.get("computer") == computer]
    return f"{row['cpu_s_per_step'] / bases[0]:.2f}" if computer and bases else ""


def _dress(figure: go.Figure, theme: Theme, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 130, "r": 30, "t": 24, "b": 50},
        paper_bgcolor=theme.page,
        plot_bgcolor=theme.lane,
        font={"family": theme.font, "size": 12, "color": theme.ink},
        showlegend=False,
    )
    figure.update_xaxes(zeroline=False, gridcolor=theme.grid)
    figure.update_yaxes(zeroline=False, gridcolor=theme.grid)
