"""Charts of tables as plotly figure specs (plain dicts), and instructions that amend them one after the other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.background.local.reading import Value, values
from workbench.background.local.table_files import Table
from workbench.background.local.tables import Question, grouped
from workbench.errors import InputError

_COLOURS = "red green blue orange purple black grey gray pink brown teal gold".split()
_SCALES = {"log": True, "logarithmic": True, "linear": False}
_KINDS = {
    "bar": "bar",
    "bars": "bar",
    "column": "bar",
    "columns": "bar",
    "line": "line",
    "lines": "line",
    "pie": "pie",
    "points": "scatter",
}
_KINDS |= {"scatter": "scatter", "dots": "scatter"}
_NOT = frozenset("not no never without remove drop off".split())
_ANEW = frozenset("but and instead make use ,".split())  # a "not" that does not stand right before these says nothing of what follows
# words of an ask to draw that say how, or nothing, and not what
DRAWING = frozenset("draw plot chart graph show picture figure as scale axis in colour color".split()) | {*_COLOURS, *_KINDS, *_SCALES}
_TITLE = re.compile(
    r"\b(?:call it|titled|title it(?: as)?|title (?:to be|should be|must be|to|as|is))\s+(.+)$|^(?:please )?title\s*:?\s+(.+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Chart:
    """What is drawn: groups and their values, and how."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    x: str
    y: str
    kind: str = "bar"
    title: str = ""
    colour: str = ""
    log: bool = False

    def figure(self) -> dict[str, Any]:
        """A plotly figure: {"data": [...], "layout": {...}}."""
        marker = {"marker": {"color": self.colour}} if self.colour and self.kind != "pie" else {}
        if self.kind == "pie":
            data: dict[str, Any] = {"type": "pie", "labels": list(self.names), "values": list(self.values)}
            return {"data": [data], "layout": {"title": {"text": self.title}}}
        kind = {"type": "bar"} if self.kind == "bar" else {"type": "scatter", "mode": "lines" if self.kind == "line" else "markers"}
        axis = {"title": {"text": self.y}, **({"type": "log"} if self.log else {})}
        data = {**kind, "x": list(self.names), "y": list(self.values), "name": self.y, **marker}
        return {"data": [data], "layout": {"title": {"text": self.title}, "xaxis": {"title": {"text": self.x}}, "yaxis": axis}}


def drawn(table: Table, question: Question, ask: str) -> Chart:
    """The chart of a grouped question, in the kind, colour and scale that the ask says. Raises InputError when no row fits."""
    groups = grouped(table, question)
    y = question.column or "rows"
    names, heights = tuple(groups), tuple(float(value) for value in groups.values())
    chart = Chart(names, heights, question.by, y, title=f"{question.operation} of {y} by {question.by}")
    return replace(chart, **_looks(values(ask)))


def amended(chart: Chart, instruction: str) -> Chart:
    """The chart after an instruction. Raises InputError when nothing of it is understood."""
    title = _TITLE.search(instruction.strip())
    if title:
        return replace(chart, title=(title[1] or title[2]).strip())
    words = values(instruction)
    changes = _looks(words)
    said = [str(word) for word in words]
    other = _filtered(_sorted(chart, said), instruction, said)
    if not changes and other is chart:
        raise InputError(
            f"{instruction!r} is not understood of a chart; say a colour, a kind, only or without a name, sort, log or call it ..."
        )
    return replace(other, **changes)


def _looks(words: Sequence[Value]) -> Mapping[str, Any]:
    """What words say of the looks of a chart. Raises InputError when they only say which colour or kind it is not to have."""
    changes: dict[str, Any] = {}
    refused: list[str] = []
    denied = False
    for place, word in enumerate(words):
        after = [str(value) for value in words[place + 1 : place + 3]]
        if _denies([word]):
            # "no, red bars" corrects what was said before; "no log scale" does not
            denied = word != "no" or place > 0 or after[:1] in (["log"], ["logarithmic"])
        elif word in _ANEW and not _denies(words[place - 1 : place]):
            denied = False
        if word in _SCALES:
            off = after[:1] == ["off"] or after == ["scale", "off"]
            changes["log"] = _SCALES[str(word)] != (denied or off)
        elif (word in _COLOURS or word in _KINDS) and denied:
            refused.append(str(word))
        elif word in _COLOURS:
            changes["colour"] = word
        elif word in _KINDS:
            changes["kind"] = _KINDS[str(word)]
    if refused and not changes:
        raise InputError(f"it is said that the chart is not to be {' or '.join(refused)}; say what it is to be instead")
    return changes


def _denies(words: Sequence[Value]) -> bool:
    return any(word in _NOT or str(word).endswith("n't") for word in words)


def _sorted(chart: Chart, words: Sequence[str]) -> Chart:
    if not {"sort", "sorted", "order", "descending", "ascending"} & set(words):
        return chart
    up = "ascending" in words or "smallest" in words or "rising" in words
    pairs = sorted(zip(chart.names, chart.values, strict=True), key=lambda pair: pair[1] if up else -pair[1])
    return replace(chart, names=tuple(n for n, _ in pairs), values=tuple(v for _, v in pairs))


def _filtered(chart: Chart, instruction: str, words: Sequence[str]) -> Chart:
    said = set(re.findall(r"\w+", instruction.lower()))
    named = {name for name in chart.names if name and set(re.findall(r"\w+", name.lower())) <= said}
    if not named or not {"only", "just", "without", "drop", "remove"} & set(words):
        return chart
    keep = named if {"only", "just"} & set(words) else set(chart.names) - named
    pairs = [(n, v) for n, v in zip(chart.names, chart.values, strict=True) if n in keep]
    if not pairs:
        raise InputError("nothing would be left in the chart")
    return replace(chart, names=tuple(n for n, _ in pairs), values=tuple(v for _, v in pairs))
