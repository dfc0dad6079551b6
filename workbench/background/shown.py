"""What an agent shows beside its words, reduced to plain data that a page can draw: text, a table, a chart, a picture.

What came from a server or a document is not trusted: of a plotly figure only names, numbers, titles and plain colours are left, of a
picture only the bytes of a pixel format. There is no markup, script or address in what these functions give.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from workbench.background.notes import bodies
from workbench.background.sizes import in_short, within
from workbench.errors import InputError
from workbench.packets import BACKGROUND_SHOWN, MicroTurn

MOST_CHARS, MOST_CAPTION, MOST_COLUMNS, MOST_ROWS, MOST_POINTS, MOST_SERIES = 5_000, 500, 30, 200, 500, 8
MOST_PICTURE = 50_000  # characters of base64
MOST_SHOWN = 40_000  # characters of JSON that a tool may show: with its words they fit into one part of an answer (`backends.Limits`)
RULES: Mapping[str, str] = {
    "text": 'give "text" as a string',
    "table": 'give "columns" as a list and "rows" as a list of lists',
    "figure": 'give "figure" as plotly\'s JSON of bars, lines, points or a pie, with lists of names and numbers',
    "image": 'give "data" as a PNG, JPEG, GIF or WebP, either its bytes or a data:image/png;base64,... of them',
}
_FORMAT = re.compile(rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF.{4}WEBP)", re.DOTALL)
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}|[a-z]{3,20}")
_LOOKS = {"bar": "bar", "pie": "pie", "scatter": "points"}

Thing = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Show:
    """What a tool (`tools.py`) may return to show something besides its result.

        return Show(say=total, shown={"kind": "table", "caption": "bookings", "columns": ["name"], "rows": [["Ann"], ["Bob"]]})

    Attributes:
        say: the result for who called it, as if it were returned alone.
        shown: text, a table (perhaps with a "caption"), a figure or an image (perhaps with an "alt"), as RULES say.

    A page draws no more of it than the limits above. Raises InputError when `shown` is none of these, or larger than MOST_SHOWN.
    """

    say: Any
    shown: Mapping[str, Any]

    def __post_init__(self) -> None:
        showable(self.shown)


def parted(result: Any) -> tuple[Any, Thing | None]:
    """What a function has returned: the result for who called it, and what is to be shown. Raises InputError as Show does."""
    return (result.say, showable(result.shown)) if isinstance(result, Show) else (result, None)


def showable(shown: Any) -> Thing:
    """A thing as JSON, the bytes of a picture as a data URI. Raises InputError, with rule and fix, for what cannot be shown."""
    kind = shown.get("kind") if isinstance(shown, Mapping) else None
    if not isinstance(kind, str) or kind not in RULES:
        given = f"kind {kind[:40]!r}" if isinstance(kind, str) else f"a {type(shown).__name__} without a kind"
        raise InputError(f'{given} cannot be shown; give an object whose "kind" is one of {", ".join(RULES)}')
    try:
        text = json.dumps(_addressed(shown), allow_nan=False) if within(dict(shown), MOST_SHOWN) else ""
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"this {kind} is no JSON ({in_short(error)[:60]}); show plain texts, numbers and lists of them") from error
    if not 0 < len(text) <= MOST_SHOWN:
        raise InputError(f"this {kind} has more than the {MOST_SHOWN} characters of JSON that can be shown; show less of it")
    thing: Thing = json.loads(text)
    if _reduced(kind, thing) is None:
        raise InputError(f"this {kind} cannot be shown; {RULES[kind]}")
    return thing


def chars_of(shown: Mapping[str, Any] | None) -> int:
    """How many characters of JSON a thing has; 0 where there is none."""
    return 0 if shown is None else len(json.dumps(shown, ensure_ascii=False))


def _addressed(shown: Mapping[str, Any]) -> Thing:
    """A thing with the bytes of its picture as a data URI, which is "" where they have no format that is shown."""
    picture = shown.get("data")
    if not isinstance(picture, bytes):
        return dict(shown)
    found = _FORMAT.match(picture)
    data = f"data:image/{found.lastgroup};base64,{base64.b64encode(picture).decode()}" if found else ""
    return {**shown, "data": data}


def things_of(turn: MicroTurn) -> tuple[Thing, ...]:
    """What is shown from this micro-turn on, each with its `task`, which takes the place of what that task has shown before."""
    return tuple({"task": str(body.get("task", ""))[:40], **plain(body.get("shown"))} for body in bodies(turn.text(BACKGROUND_SHOWN)))


def plain(shown: Any) -> Thing:
    """One thing as plain data; what is none, or not of its kind, is a text that says so."""
    kind = shown.get("kind") if isinstance(shown, Mapping) else None
    found = _reduced(kind, shown)
    if found is None:
        return {"kind": "text", "text": f"(this cannot be shown: it is no {kind if kind in ('table', 'figure', 'image') else 'text'})"}
    return {"kind": str(kind), **found}


def _reduced(kind: Any, shown: Any) -> Thing | None:
    """What is left of a thing of this kind; None when it is none."""
    if kind == "text" and isinstance(shown.get("text"), str):
        return {"text": shown["text"][:MOST_CHARS]}
    if kind == "table":
        return _table(shown)
    if kind == "figure" and isinstance(shown.get("figure"), Mapping):
        return _chart(shown["figure"])
    return _picture(shown) if kind == "image" else None


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
    named = [_cell(name) for name in columns[:MOST_COLUMNS]]
    return {"caption": _text(shown.get("caption"), MOST_CAPTION), "columns": named, "rows": cells, "more": max(0, len(rows) - MOST_ROWS)}


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
