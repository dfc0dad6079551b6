"""The scoreboard of several agents as a page that stands alone: agents beside each other, and behind every cell the sessions it rests on.

A cell is a number with its interval. Opened, it lists the moments that it counts, failures first. The first failed session of every agent
and family is in the page, to be seen and heard; of the others the page gives the trace file, relative to itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from widgets.board import Packed, example, example_figure, exchanged, facts
from widgets.page import HERE, framed
from widgets.sweeps import compared_restraint_figure
from widgets.theme import DARK, LIGHT
from workbench.evaluate import Episode, Report
from workbench.scoring.measured import Measured
from workbench.scoring.score import Outcome
from workbench.scoring.summary import LATENCIES, RATES
from workbench.suites import SUITES
from workbench.sweeps import Sweep

SHOWN = 24  # moments in an opened cell; how many there are is said
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One agent: what was found, where its traces lie seen from the page (empty where none were kept), and its sweep over thresholds."""

    report: Report
    traces: str = ""
    thresholds: Sweep | None = None

    @property
    def name(self) -> str:
        return self.report.agent


@dataclass(frozen=True)
class At:
    """One thing that a cell counts: its session and second, whether it was as it should be (None where nothing should), and a word."""

    family: str
    seed: int
    at_s: float
    good: bool | None
    text: str = ""


@dataclass(frozen=True)
class Number:
    """What stands in a cell, and behind it."""

    text: str
    interval: str
    about: str
    moments: tuple[At, ...]
    share: float | None = None  # of 1, where it is a share


Line: TypeAlias = tuple[str, Sequence[Number | None]]  # the name of a row, and a cell for each column


def write_compared(columns: Sequence[Column], path: str | Path) -> Path:
    """Write the page to `path` (its folder is made) and return the path. It needs no network; traces are opened from beside it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(compared_html(columns), encoding="utf-8")
    return target


def compared_html(columns: Sequence[Column]) -> str:
    """The page as text. Everything that came from a session is escaped."""
    wholes = [column.report.to_json() for column in columns]
    sections = [
        ("Families: meaning and timing both right", "", _families(columns, wholes)),
        ("Rates", "", _rates(columns, wholes)),
        ("Latencies, median", "", _latencies(columns, wholes)),
        *(
            (f"Suite {name}", SUITES[name].about, _suite(columns, name))
            for name in dict.fromkeys(name for c in columns for name in c.report.suites)
        ),
    ]
    cells: dict[str, Row] = {}
    tables = "\n".join(_section(title, about, lines, columns, cells) for title, about, lines in sections if lines)
    figures = {f"example-{place}-{family}": example_figure(t) for place, c in enumerate(columns) for family, t in c.report.examples.items()}
    figures["restraint"] = _restraint(columns, wholes)
    body = Template((HERE / "compared.html").read_text(encoding="utf-8")).substitute(
        title=escape(", ".join(column.name for column in columns)),
        facts=escape(facts({**wholes[0], "config": {**wholes[0]["config"], "agent": {}}})),
        tables=tables,
        sessions="\n".join(_sessions(columns)),
    )
    told = {"cells": cells, "columns": [{"name": c.name, "traces": c.traces} for c in columns]}
    carried = [Packed(name, str(figure.to_json())) for name, figure in figures.items()]
    carried += [Packed("plotly", get_plotlyjs()), Packed("told", json.dumps(told))]
    colours = f'<script type="application/json" id="colours">{json.dumps(dict(exchanged(LIGHT, DARK)))}</script>'
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in ("board.css", "compared.css"))
    script = "".join((HERE / name).read_text(encoding="utf-8") for name in ("board.js", "compared.js"))
    return framed("Microturn scoreboard", f"{body}{colours}\n" + "\n".join(map(str, carried)), style, script, (LIGHT, DARK))


# Lines -----------------------------------------------------------------------------------------------------------------------


def _families(columns: Sequence[Column], wholes: Sequence[Row]) -> list[Line]:
    """The mean, then the families: first those in which the agents do worst."""
    names = list(dict.fromkeys(name for whole in wholes for name in whole["families"]))

    def mean_of(name: str) -> float:
        found = [float(whole["families"][name]["both"]) for whole in wholes if name in whole["families"]]
        return sum(found) / len(found)

    lines: list[Line] = [
        ("mean of the families", [_share(whole["mean_both"], whole["mean_ci95"], "mean over families", ()) for whole in wholes])
    ]
    for name in sorted(names, key=lambda name: (mean_of(name), name)):
        numbers: list[Number | None] = []
        for column, whole in zip(columns, wholes, strict=True):
            row = whole["families"].get(name)
            moments = [at for e in column.report.episodes if e.family == name for at in _outcomes(column, e, e.outcomes)]
            numbers.append(None if row is None else _share(row["both"], row["ci95"], f"{row['n']} expectations", _failures_first(moments)))
        lines.append((name.replace("_", " "), numbers))
    return lines


def _rates(columns: Sequence[Column], wholes: Sequence[Row]) -> list[Line]:
    lines: list[Line] = []
    for rate in RATES:
        numbers: list[Number | None] = []
        for column, whole in zip(columns, wholes, strict=True):
            row = whole["rates"].get(rate.name)
            counted = [(e, o) for e in column.report.episodes for o in e.outcomes if rate.counts(o)]
            moments = [_at(column, e, o, rate.hits(o)) for e, o in counted]
            numbers.append(None if row is None else _share(row["value"], row["ci95"], f"{row['n']} cases", _failures_first(moments)))
        if any(numbers):
            lines.append((rate.name, numbers))
    restraint = [
        _share(w["restraint"]["value"], w["restraint"]["ci95"], f"{w['restraint']['n']} episodes", _starts(c))
        for c, w in zip(columns, wholes, strict=True)
    ]
    return [*lines, ("episodes without a false start", restraint)]


def _latencies(columns: Sequence[Column], wholes: Sequence[Row]) -> list[Line]:
    """The median; behind it the cases, the slowest first."""
    lines: list[Line] = []
    for latency in LATENCIES:
        numbers: list[Number | None] = []
        for column, whole in zip(columns, wholes, strict=True):
            row = whole["latency_s"].get(latency.name)
            cases = [(value, e, o) for e in column.report.episodes for o in e.outcomes if (value := latency.value(o)) is not None]
            slowest = sorted(cases, key=lambda case: -case[0])
            moments = tuple(At(e.family, e.seed, _evidence_s(column, o), None, f"{value:.2f} s") for value, e, o in slowest)
            about = "" if row is None else f"{row['n']} cases, from {row['from']} to {row['to']}"
            numbers.append(None if row is None else Number(f"{row['median']:.2f} s", f"95 % within {row['p95']:.2f} s", about, moments))
        if any(numbers):
            lines.append((latency.name.replace("_", " "), numbers))
    return lines


def _suite(columns: Sequence[Column], suite: str) -> list[Line]:
    scores = [{one.name: one for one in column.report.suites.get(suite, ())} for column in columns]
    names = dict.fromkeys(name for found in scores for name in found)
    return [(name, _row([found.get(name) for found in scores])) for name in names]


def _row(scores: Sequence[Measured | None]) -> list[Number | None]:
    """One score of every agent, with as many decimals for all: three, or one where any is large and no seconds (percents, ms)."""
    decimals = 1 if any(one is not None and one.unit != "s" and abs(one.value) >= 10 for one in scores) else 3
    return [_measured(one, decimals) for one in scores]


def _measured(one: Measured | None, decimals: int) -> Number | None:
    if one is None or not math.isfinite(one.value):
        return None
    interval = " to ".join(f"{end:.{decimals}f}" for end in one.interval) if one.interval else ""
    moments = []
    for moment in one.moments:
        family, _, seed = moment.session.rpartition("-")
        moments.append(At(family, int(seed), moment.start_s, None, f"to {moment.end_s:.1f} s"))
    about = f"{one.explanation}; {one.n} cases in {one.sessions} sessions"
    return Number(f"{one.value:.{decimals}f}{one.unit and ' ' + one.unit}", interval, about, tuple(moments))


def _share(value: float, ci95: Sequence[float], about: str, moments: Sequence[At]) -> Number:
    return Number(f"{100 * value:.1f} %", f"{100 * ci95[0]:.0f} to {100 * ci95[1]:.0f}", about, tuple(moments), value)


def _outcomes(column: Column, episode: Episode, outcomes: Sequence[Outcome]) -> Iterator[At]:
    return (_at(column, episode, outcome, outcome.both) for outcome in outcomes)


def _at(column: Column, episode: Episode, outcome: Outcome, good: bool) -> At:
    said = " ".join(outcome.said) or "nothing"
    text = f"{outcome.what}: wanted {' '.join(outcome.wanted) or 'silence'}, got {said}"
    return At(episode.family, episode.seed, _evidence_s(column, outcome), good, text)


def _starts(column: Column) -> tuple[At, ...]:
    """Episodes with words that nobody asked for, and then those without."""
    found = [(sum(e.false_starts.values()), e) for e in column.report.episodes]
    return _failures_first([At(e.family, e.seed, 0.0, not number, f"{number} words that nobody asked for") for number, e in found])


def _evidence_s(column: Column, outcome: Outcome) -> float:
    clock = next((trace.header.clock for trace in column.report.examples.values()), None)
    return clock.seconds(outcome.evidence[0]) if clock and outcome.evidence else 0.0


def _failures_first(moments: Sequence[At]) -> tuple[At, ...]:
    return tuple(sorted(moments, key=lambda at: bool(at.good)))


# HTML ------------------------------------------------------------------------------------------------------------------------


def _section(title: str, about: str, lines: Sequence[Line], columns: Sequence[Column], cells: dict[str, Row]) -> str:
    """A table; what its cells open is added to `cells` under the name that each carries."""
    head = "".join(f"<th>{escape(column.name)}</th>" for column in columns)
    rows = []
    for name, numbers in lines:
        inner = []
        for place, number in enumerate(numbers):
            key = f"{len(cells)}"
            if number is not None:
                moments = [asdict(at) for at in number.moments[:SHOWN]]
                cells[key] = {"title": name, "column": place, "about": number.about, "all": len(number.moments), "moments": moments}
            inner.append(_cell(key, number))
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(inner)}</tr>')
    hint = f'<p class="hint">{escape(about)}</p>' if about else ""
    return (
        f'<h2>{escape(title)}</h2>{hint}<div class="scroll"><table class="compared"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(key: str, number: Number | None) -> str:
    if number is None:
        return '<td class="none">no case</td>'
    bar = "" if number.share is None else f'<i class="bar" style="width:{100 * number.share:.1f}%"></i>'
    inner = f"<b>{escape(number.text)}</b><small>{escape(number.interval)}</small>{bar}"
    return f'<td><button type="button" data-cell="{key}" aria-expanded="false">{inner}</button></td>'


def _sessions(columns: Sequence[Column]) -> Iterator[str]:
    """The sessions that are in the page, each as a template that a cell takes a copy of."""
    for place, column in enumerate(columns):
        for family, trace in column.report.examples.items():
            inner = example(family, trace, f"example-{place}-{family}")
            yield f'<template data-session="{place}/{escape(family)}-{trace.header.seed}">{inner}</template>'


def _restraint(columns: Sequence[Column], wholes: Sequence[Row]) -> go.Figure:
    """Every agent a point, and a curve where it was swept over thresholds."""
    curves = {}
    for column, whole in zip(columns, wholes, strict=True):
        swept = [] if column.thresholds is None else column.thresholds.to_json()["points"]
        curves[column.name] = swept or [{**whole, "label": "as it is"}]
    return compared_restraint_figure(curves)
