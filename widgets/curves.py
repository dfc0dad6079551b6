"""The run log of a training as a figure: losses, closed-loop scores and the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from widgets.theme import BLUE, GREEN, GREY, LIGHT, ORANGE, PURPLE, SKY, VERMILION, Theme
from workbench.errors import InputError

CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
DASHES = ("solid", "dot", "dash")


PANELS = (  # group of a row, title, whether on a log scale
    ("loss", "loss per kind of token", True),
    ("family_loss", "loss per family", True),
    ("scores", "closed-loop score", False),
    ("family_scores", "closed-loop score per family", False),
    ("rate", "learning rate", True),
)


def training_curves(rows: Sequence[Mapping[str, Any]], theme: Theme = LIGHT) -> go.Figure:
    """Losses per kind and per family (log scale), closed-loop scores (0 to 1) and the rate, as far as they are there, over minutes.

    A row is `{"step", "minutes", "loss": {kind: value}, "family_loss": {family: value}, "scores": {name: value}, "family_scores": {family:
    value}, "rate", "cells_per_s"}`; all but the first two may be missing. Raises InputError when no row has a loss.
    """
    found = [(group, title, log, _series(rows, group)) for group, title, log in PANELS]
    panels = [panel for panel in found if panel[3]]
    if not any(group == "loss" for group, *_ in panels):
        raise InputError(f"none of the {len(rows)} rows of the run log has a 'loss'; give the rows that training wrote")
    titles = [title for _, title, _, _ in panels]
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.2 / (len(panels) + 1), subplot_titles=titles)
    for row, (group, _, log, series) in enumerate(panels, 1):
        mode = "lines+markers" if group.endswith("scores") else "lines"
        for place, (name, (minutes, values)) in enumerate(series.items()):
            line = {"color": CYCLE[place % len(CYCLE)], "width": 2, "dash": DASHES[place // len(CYCLE) % len(DASHES)]}
            hover = f"{name} %{{y:.3g}} at %{{x:.1f}} min<extra></extra>"
            legend = {"legend": "legend" if row == 1 else f"legend{row}", "name": name, "hovertemplate": hover}
            figure.add_trace(go.Scatter(x=minutes, y=values, mode=mode, line=line, **legend), row=row, col=1)
        figure.update_yaxes(**({"type": "log"} if log else {"range": [-0.02, 1.02]}), row=row, col=1)
    _layout(figure, len(panels), theme)
    return figure


def _series(rows: Sequence[Mapping[str, Any]], group: str) -> dict[str, tuple[list[float], list[float]]]:
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        found = row.get(group) or {}
        for name, value in (found if isinstance(found, Mapping) else {group: found}).items():
            minutes, values = series.setdefault(name, ([], []))
            minutes.append(float(row["minutes"]))
            values.append(float(value))
    return series


def _layout(figure: go.Figure, panels: int, theme: Theme) -> None:
    legend = {"x": 1.01, "xanchor": "left", "yanchor": "top", "tracegroupgap": 0}
    numbers = ["" if row == 1 else str(row) for row in range(1, panels + 1)]
    tops = {f"legend{number}": {**legend, "y": figure.layout[f"yaxis{number}"].domain[1]} for number in numbers}
    figure.update_layout(
        height=300 * panels + 60,
        margin={"l": 60, "r": 190, "t": 50, "b": 50},
        paper_bgcolor=theme.page,
        plot_bgcolor=theme.lane,
        font={"family": theme.font, "size": 12, "color": theme.ink},
        **tops,
    )
    figure.update_xaxes(gridcolor=theme.grid, zeroline=False)
    figure.update_xaxes(title="minutes of training", row=panels, col=1)
    figure.update_yaxes(gridcolor=theme.grid, zeroline=False)
