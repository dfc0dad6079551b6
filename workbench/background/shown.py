"""What an agent shows beside its words, reduced to plain data that a page can draw: text, a table, a chart, a picture.

What came from a server or a document is not trusted: of a plotly figure only names, numbers, titles and plain colours are left, of a
picture only the bytes of a pixel format. There is no markup, script or address in what these functions give.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from workbench.background.notes import bodies
from workbench.packets import BACKGROUND_SHOWN, MicroTurn

MOST_CHARS, MOST_COLUMNS, MOST_ROWS, MOST_POINTS, MOST_SERIES = 5_000, 30, 200, 500, 8
MOST_PICTURE = 50_000  # characters of base64
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}|[a-z]{3,20}")
_LOOKS = {"bar": "bar", "pie": "pie", "scatter": "points"}

Thing = dict[str, Any]


def things_of(turn: MicroTurn) -> tuple[Thing, ...]:
    """What is shown from this micro-turn on, each with its `task`, which takes the place of what that task has shown before."""
    return tuple({"task": str(body.get("task", ""))[:40], **plain(body.get("shown"))} for body in bodies(turn.text(BACKGROUND_SHOWN)))


def plain(shown: Any) -> Thing:
    """One thing as plain data; what is none, or not of its kind, is a text that says so."""
    kind = shown.get("kind") if isinstance(shown, Mapping) else None
    found: Thing | None = None
    if kind == "text" and isinstance(shown.get("text"), str):
        found = {"text": shown["text"][:MOST_CHARS]}
    elif kind == "table":
        found = _table(shown)
    elif kind == "figure" and isinstance(shown.get("figure"), Mapping):
        found = _chart(shown["figure"])
    elif kind == "image":
        found = _picture(shown)
    if found is None:
        return {"kind": "text", "text": f"(this cannot be shown: it is no {kind if kind in ('table', 'figure', 'image') else 'text'})"}
    return {"kind": str(kind), **found}


def _text(value: Any, most: int = 100) -> str:
    """A title: plotly writes it as text, or as an object with it."""
    if isinstance(value, Mapping):
        value = value.get("text")
    return value[:most] if isinstance(value, str) else ""


def _cell(value: Any) -> str:
    return (f"{value:g}" if isinstance(value, float) else "" if value is None else str(value))[:200]


def _table(shown: Mapping[str, Any]) -> Thing | None:
    columns, rows = shown.get("columns"), shown.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return None
    cells = [[_cell(value) for value in row[:MOST_COLUMNS]] for row in rows[:MOST_ROWS]]
    return {"columns": [_cell(name) for name in columns[:MOST_COLUMNS]], "rows": cells, "more": max(0, len(rows) - MOST_ROWS)}


def _picture(shown: Mapping[str, Any]) -> Thing | None:
    data = shown.get("data")
    if not isinstance(data, str) or len(data) > MOST_PICTURE or not _PICTURE.fullmatch(data):
        return None
    return {"data": data, "alt": _text(shown.get("alt"), 200)}


def _chart(figure: Mapping[str, Any]) -> Thing | None:
    """Title, axes and series of a plotly figure; None where it has none that is known."""
    data, layout = figure.get("data"), figure.get("layout")
    layout = layout if isinstance(layout, Mapping) else {}
    traces = [trace for trace in data if isinstance(trace, Mapping)][:MOST_SERIES] if isinstance(data, list) else []
    series = [found for trace in traces if (found := _series(trace)) is not None]
    axes = {name: _axis(layout.get(f"{name}axis")) for name in ("x", "y")}
    return {"title": _text(layout.get("title")), **axes, "series": series} if series else None


def _axis(axis: Any) -> str:
    return _text(axis.get("title")) if isinstance(axis, Mapping) else ""


def _series(trace: Mapping[str, Any]) -> Thing | None:
    look = _LOOKS.get(str(trace.get("type", "scatter")))
    if look == "points" and "lines" in str(trace.get("mode", "lines")):
        look = "line"
    names, values = (trace.get("labels"), trace.get("values")) if look == "pie" else (trace.get("x"), trace.get("y"))
    if look is None or not isinstance(names, list) or not isinstance(values, list):
        return None
    pairs = [(_cell(name), float(value)) for name, value in zip(names, values, strict=False) if _number(value)][:MOST_POINTS]
    marker = trace.get("marker")
    colour = marker.get("color") if isinstance(marker, Mapping) else None
    kept = colour if isinstance(colour, str) and _COLOUR.fullmatch(colour) else ""
    return {"look": look, "name": _text(trace.get("name")), "names": [n for n, _ in pairs], "values": [v for _, v in pairs], "colour": kept}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def latest(things: Sequence[Thing]) -> list[Thing]:
    """What is still shown of a session: of each task the last thing, in the order in which the tasks first showed something."""
    last: dict[str, Thing] = {}
    for thing in things:
        last[thing["task"]] = thing
    return list(last.values())
