"""Charts of tables as plotly figure specs (plain dicts), and instructions that amend them one after the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.background.local.tables import Question, Table, grouped
from workbench.errors import InputError

_COLOURS = "red green blue orange purple black grey gray pink brown teal gold".split()
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
    """The chart of a grouped question. Raises InputError when no row fits."""
    groups = grouped(table, question)
    y = question.column or "rows"
    words = ask.lower().split()
    kind = next((_KINDS[word] for word in words if word in _KINDS), "bar")
    names, values = tuple(groups), tuple(float(value) for value in groups.values())
    return Chart(names, values, question.by, y, kind, f"{question.operation} of {y} by {question.by}")


def amended(chart: Chart, instruction: str) -> Chart:
    """The chart after an instruction. Raises InputError when nothing of it is understood."""
    text = instruction.lower()
    words = re.findall(r"[a-z]+", text)
    title = re.search(r"\b(?:call it|title(?: it)?(?: to be)?|titled)\s+(.+)$", instruction, re.IGNORECASE)
    if title:
        return replace(chart, title=title[1].strip())
    changes: dict[str, Any] = {}
    for word in words:
        if word in _COLOURS:
            changes["colour"] = word
        if word in _KINDS:
            changes["kind"] = _KINDS[word]
    if "log" in words or "logarithmic" in words:
        changes["log"] = True
    if "linear" in words:
        changes["log"] = False
    other = _filtered(_sorted(chart, words), words)
    if not changes and other is chart:
        raise InputError(
            f"{instruction!r} is not understood of a chart; say a colour, a kind, only or without a name, sort, log or call it ..."
        )
    return replace(other, **changes)


def _sorted(chart: Chart, words: Sequence[str]) -> Chart:
    if not {"sort", "sorted", "order", "descending", "ascending"} & set(words):
        return chart
    up = "ascending" in words or "smallest" in words or "rising" in words
    pairs = sorted(zip(chart.names, chart.values, strict=True), key=lambda pair: pair[1] if up else -pair[1])
    return replace(chart, names=tuple(n for n, _ in pairs), values=tuple(v for _, v in pairs))


def _filtered(chart: Chart, words: Sequence[str]) -> Chart:
    named = {name for name in chart.names if set(name.lower().split()) <= set(words)}
    if not named or not {"only", "just", "without", "drop", "remove"} & set(words):
        return chart
    keep = named if {"only", "just"} & set(words) else set(chart.names) - named
    pairs = [(n, v) for n, v in zip(chart.names, chart.values, strict=True) if n in keep]
    if not pairs:
        raise InputError("nothing would be left in the chart")
    return replace(chart, names=tuple(n for n, _ in pairs), values=tuple(v for _, v in pairs))
