"""The figure being drawn: its lanes, and how many bars are put into one. A long session is drawn from the same tables in fewer bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from widgets.theme import Theme
from widgets.views import LONG_S, SessionView


@dataclass(frozen=True)
class Lane:
    """One strip of the figure; `joined` strips sit close under the one above and share its title."""

    key: str
    height_px: int
    title: str = ""
    note: str = ""
    joined: bool = False


@dataclass(frozen=True)
class Canvas:
    """The figure being drawn, and where each lane's axis is."""

    figure: go.Figure
    axes: Mapping[str, str]
    view: SessionView
    theme: Theme
    labels: list[dict[str, Any]] = field(default_factory=list)

    @property
    def long(self) -> bool:
        """Whether this session is too long to carry the whole record of every tick; then numbers are float32 and colours are numbered."""
        return self.view.duration_s > LONG_S

    def numbers(self, values: Sequence[float] | npt.NDArray[np.float64]) -> Any:
        """Values as plotly is given them."""
        return np.asarray(values, np.float32) if self.long else list(values)

    def colours(self, fill: Sequence[str]) -> dict[str, Any]:
        """The colour of each bar, as properties of a marker."""
        if not self.long:
            return {"color": list(fill)}
        names = sorted(set(fill))
        place = {name: number for number, name in enumerate(names)}
        scale = [[number / max(1, len(names) - 1), name] for number, name in enumerate(names)]
        number_of = np.array([place[name] for name in fill], np.uint8)
        return {
            "color": number_of,
            "cmin": 0,
            "cmax": max(1, len(names) - 1),
            "colorscale": [*scale, [1.0, names[-1]]][: max(2, len(names))],
        }

    def add(self, lane: str, trace: Any) -> None:
        """Put a plotly trace into a lane."""
        trace.update(xaxis="x", yaxis=self.axes[lane], showlegend=False)
        self.figure.add_trace(trace)


def bars(canvas: Canvas, x: list[float], y: list[float], fill: list[str], name: str) -> go.Bar:
    """A bar a tick, of these colours; what it is, another bar tells."""
    marker = {**canvas.colours(fill), "line": {"width": 0}}
    x, y, width = canvas.numbers(x), canvas.numbers(y), canvas.view.tick_s * 0.86
    return go.Bar(x=x, y=y, width=width, marker=marker, hoverinfo="skip", name=name)


def hover_cells(x: list[float], text: list[str], tick_s: float, name: str, top: float = 1.0) -> go.Bar:
    """Transparent bars as high as the lane, so that the record of a tick shows wherever its cell is pointed at."""
    clear = {"color": "rgba(0,0,0,0)", "line": {"width": 0}}
    return go.Bar(x=x, y=[top] * len(x), width=tick_s, marker=clear, hovertext=text, hovertemplate="%{hovertext}<extra></extra>", name=name)
