"""The run log of a training as a figure: loss per kind of token, and closed-loop scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from widgets.theme import BLUE, GREEN, GREY, LIGHT, ORANGE, PURPLE, SKY, VERMILION, Theme
from workbench.errors import InputError

CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)


def training_curves(rows: Sequence[Mapping[str, Any]], theme: Theme = LIGHT) -> go.Figure:
    """Loss per kind (log scale) above, closed-loop scores (0 to 1) below, both over minutes of training.

    A row is `{"step", "minutes", "loss": {kind: value}, "scores": {name: value}, "cells_per_s"}`; `loss` and `scores` may be missing.
    Raises InputError when no row has a loss.
    """
    losses, scores = _series(rows, "loss"), _series(rows, "scores")
    if not losses:
        raise InputError(f"none of the {len(rows)} rows of the run log has a 'loss'; give the rows that training wrote")
    titles = ("loss per kind of token", "closed-loop score") if scores else ("loss per kind of token",)
    figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.12, subplot_titles=titles)
    for row, (series, mode) in enumerate(((losses, "lines"), (scores, "lines+markers")), 1):
        for place, (name, (minutes, values)) in enumerate(series.items()):
            line = {"color": CYCLE[place % len(CYCLE)], "width": 2, "dash": "solid" if place < len(CYCLE) else "dot"}
            hover = f"{name} %{{y:.3f}} at %{{x:.1f}} min<extra></extra>"
            group = {"legend": "legend" if row == 1 else "legend2", "name": name, "hovertemplate": hover}
            figure.add_trace(go.Scatter(x=minutes, y=values, mode=mode, line=line, **group), row=row, col=1)
    _layout(figure, len(titles), theme)
    return figure


def _series(rows: Sequence[Mapping[str, Any]], group: str) -> dict[str, tuple[list[float], list[float]]]:
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for name, value in (row.get(group) or {}).items():
            minutes, values = series.setdefault(name, ([], []))
            minutes.append(float(row["minutes"]))
            values.append(float(value))
    return series


def _layout(figure: go.Figure, panels: int, theme: Theme) -> None:
    legend = {"x": 1.01, "xanchor": "left", "yanchor": "top"}
    figure.update_layout(
        height=300 * panels + 60,
        margin={"l": 60, "r": 150, "t": 50, "b": 50},
        paper_bgcolor=theme.page,
        plot_bgcolor=theme.lane,
        font={"family": theme.font, "size": 12, "color": theme.ink},
        legend={**legend, "y": 1},
        legend2={**legend, "y": 0.44},
    )
    figure.update_xaxes(gridcolor=theme.grid, zeroline=False)
    figure.update_xaxes(title="minutes of training", row=panels, col=1)
    figure.update_yaxes(gridcolor=theme.grid, zeroline=False)
    figure.update_yaxes(type="log", row=1, col=1)
    if panels > 1:
        figure.update_yaxes(range=[-0.02, 1.02], row=2, col=1)
