"""Two sessions on one clock: their timelines one under the other over a shared axis, where they part, and what they chose otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import plotly.graph_objects as go

from widgets.charts import LEFT_PX, WINDOW_S, timeline
from widgets.theme import LIGHT, Theme, faded
from widgets.views import SessionView, session_view
from workbench.compare import Choice, Difference, differing_choices, first_difference
from workbench.events import Decision
from workbench.trace import Trace

TITLE_PX, BETWEEN_PX, BOTTOM_PX = 34, 26, 30
COLUMNS = ("time", "tick", "{left}", "p(speak)", "{right}", "p(speak)")


@dataclass(frozen=True)
class Pair:
    """Two sessions by their names, with what tells them apart."""

    names: tuple[str, str]
    views: tuple[SessionView, SessionView]
    first: Difference | None
    choices: tuple[Choice, ...]

    @property
    def tick_s(self) -> float:
        return self.views[0].tick_s

    def verdict(self) -> str:
        """Where they part, in one sentence."""
        if self.first is None:
            return "They are the same in every tick."
        other = len(self.choices)
        chosen = "no tick was decided otherwise" if not other else f"{other} {'tick was' if other == 1 else 'ticks were'} decided otherwise"
        return f"They differ from {self.first.tick * self.tick_s:.1f} s on, at {self.first}; {chosen}."


def pair(names: tuple[str, str], left: Trace, right: Trace) -> Pair:
    """Two sessions side by side."""
    views = (session_view(left), session_view(right))
    return Pair(names, views, first_difference(left, right), tuple(differing_choices(left, right)))


def pair_figure(both: Pair, theme: Theme = LIGHT) -> go.Figure:
    """Both timelines as one figure with one time axis; a dotted line where they begin to differ, a tint where they chose otherwise."""
    end_s = max(view.duration_s for view in both.views)
    parts = [timeline(replace(view, duration_s=end_s, costs=()), theme) for view in both.views]
    heights = [_inner_px(part) for part in parts]
    whole_px = sum(heights) + 2 * TITLE_PX + BETWEEN_PX
    figure = go.Figure()
    marks = _marks(both, theme)
    top_px = float(whole_px)
    for number, (part, height_px) in enumerate(zip(parts, heights, strict=True)):
        below = _Place((top_px - TITLE_PX - height_px) / whole_px, (top_px - TITLE_PX) / whole_px, 100 * number)
        _move(figure, part, below)
        figure.add_annotation(**_heading(both.names[number], top_px / whole_px, theme))
        top_px -= TITLE_PX + height_px + BETWEEN_PX
    lowest = parts[1].layout.xaxis.to_plotly_json() | {"anchor": _Place(0, 1, 100).axis(parts[1].layout.xaxis.anchor)}
    figure.update_layout(
        {
            name: parts[0].layout[name]
            for name in ("paper_bgcolor", "plot_bgcolor", "font", "hoverlabel", "barmode", "dragmode", "hovermode")
        }
    )
    figure.update_layout(
        height=whole_px + BOTTOM_PX,
        margin={"l": LEFT_PX, "r": 24, "t": 8, "b": BOTTOM_PX},
        xaxis=lowest | {"range": [0, min(end_s, WINDOW_S)]},
        shapes=[*figure.layout.shapes, *marks],
        showlegend=False,
    )
    return figure


@dataclass(frozen=True)
class _Place:
    """Where a figure goes in another: a share of its height, and how far its axes are numbered on."""

    low: float
    high: float
    offset: int

    def share(self, y: float) -> float:
        return self.low + y * (self.high - self.low)

    def axis(self, name: str) -> str:
        """`y3` in the other figure."""
        return f"y{(int(name[1:]) if len(name) > 1 else 1) + self.offset}"


def _inner_px(figure: go.Figure) -> int:
    return int(figure.layout.height - figure.layout.margin.t - figure.layout.margin.b)


def _move(figure: go.Figure, part: go.Figure, place: _Place) -> None:
    """Everything of a timeline at its place in the figure of both."""
    for trace in part.data:
        trace.update(yaxis=place.axis(trace.yaxis or "y"))
        figure.add_trace(trace)
    for name, axis in part.layout.to_plotly_json().items():
        if name.startswith("yaxis"):
            low, high = axis["domain"]
            moved = {**axis, "domain": (place.share(low), place.share(high))}
            figure.update_layout({f"yaxis{place.axis('y' + name[5:])[1:]}": moved})
    for shape in part.layout.shapes:
        figure.add_shape(**_placed(shape.to_plotly_json(), ("y0", "y1"), place))
    for note in part.layout.annotations:
        figure.add_annotation(**_placed(note.to_plotly_json(), ("y",), place))
    for image in part.layout.images:
        figure.add_layout_image(**_placed(image.to_plotly_json(), ("y",), place))


def _placed(item: Mapping[str, Any], keys: Sequence[str], place: _Place) -> dict[str, Any]:
    if item.get("yref") == "paper":
        return {**item, **{key: place.share(item[key]) for key in keys}}
    return {**item, "yref": place.axis(item["yref"])}


def _heading(name: str, y: float, theme: Theme) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": y, "xanchor": "left", "yanchor": "top", "xshift": -LEFT_PX + 12}
    return {**place, "text": f"<b>{escape(name)}</b>", "showarrow": False, "font": {"size": 15, "color": theme.ink}, "name": "session"}


def _marks(both: Pair, theme: Theme) -> Iterator[dict[str, Any]]:
    whole = {"xref": "x", "yref": "paper", "y0": 0, "y1": 1}
    if both.first is not None:
        at_s = both.first.tick * both.tick_s
        line = {"color": theme.gate, "width": 2, "dash": "dot"}
        yield {**whole, "type": "line", "x0": at_s, "x1": at_s, "line": line, "name": "first difference"}
    for start, end in _runs([choice.tick for choice in both.choices]):
        times = {"x0": start * both.tick_s, "x1": end * both.tick_s}
        yield {
            **whole,
            **times,
            "type": "rect",
            "fillcolor": faded(theme.gate, 0.10),
            "line": {"width": 0},
            "layer": "below",
            "name": "chose",
        }


def _runs(ticks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ticks that follow each other as (first, one past the last)."""
    begun = last = None
    for tick in ticks:
        if begun is None or last is None or tick != last + 1:
            if begun is not None and last is not None:
                yield begun, last + 1
            begun = tick
        last = tick
    if begun is not None and last is not None:
        yield begun, last + 1


def choices_table(both: Pair) -> str:
    """What was decided otherwise, as an HTML table whose rows carry their time in `data-at`; everything from a session is escaped."""
    if not both.choices:
        return "<p class='empty'>No tick was decided otherwise.</p>"
    left, right = (escape(name) for name in both.names)
    head = "".join(f"<th>{column.format(left=left, right=right)}</th>" for column in COLUMNS)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(_row(choice, both.tick_s) for choice in both.choices)}</tbody></table>"


def _row(choice: Choice, tick_s: float) -> str:
    at_s = choice.tick * tick_s
    cells = (f"{at_s:.1f} s", str(choice.tick), *_cells(choice.left), *_cells(choice.right))
    inner = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    kind = "other" if _said(choice.left) != _said(choice.right) else ""
    return f'<tr class="{kind}" data-at="{at_s:.3f}" tabindex="0">{inner}</tr>'


def _said(decision: Decision | None) -> str:
    return decision.said if decision else ""


def _cells(decision: Decision | None) -> tuple[str, str]:
    if decision is None:
        return "no record", ""
    return f"{decision.floor}: {decision.said or 'silence'}", f"{decision.p_speak:.2f} of {decision.threshold:.2f}"
