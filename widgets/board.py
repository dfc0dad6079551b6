"""The scoreboard of an evaluation as a page: one agent, or several beside each other, and behind every number the sessions it rests on.

A number that is opened lists the worst of its sessions. Some are in the page, to be seen and heard; others have a small page each beside it
(`with_pages`). A figure is drawn when it comes into sight. Figures and plotly itself are carried packed (gzip), so the page stays small;
colours are those of the light theme, exchanged for the dark ones in the browser of a reader who prefers them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, TypeAlias

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from widgets.episode import Packed, Pages, colours_inside, session_block, session_figure, write_sessions
from widgets.page import HERE, framed
from widgets.scores import (
    AS_IT_IS,
    Column,
    Key,
    Line,
    Number,
    Table,
    listed,
    opened,
    robustness_table,
    sweep_tables,
    tables,
    thresholds_table,
)
from widgets.sweeps import restraint_figure, robustness_figure, threshold_figure
from widgets.theme import DARK, LIGHT
from workbench.evaluate import Progress
from workbench.trace import Trace

POOR = 0.8  # a share under this is marked
EMBEDDED = 40  # sessions in the page itself; the others have pages of their own
SESSIONS = "sessions"  # the folder of those
NOWHERE: Mapping[Key, Path] = MappingProxyType({})
RESTRAINT = (
    "Up is restraint: the share of episodes in which nothing was said that nobody asked for. Left is quick: the median time from the end "
    "of a question to the first word. Who never replies is left out."
)
Row: TypeAlias = Mapping[str, Any]
Told: TypeAlias = dict[str, Any]


def write_scoreboard(columns: Sequence[Column], path: str | Path) -> Path:
    """Write the page to `path` (its folder is made) and return the path. It needs no network; pages of sessions lie beside it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(board_html(columns), encoding="utf-8")
    return target


def with_pages(
    column: Column,
    board: Path,
    traces: Path,
    progress: Progress | None = None,
    *,
    at: str = SESSIONS,
    swept: Mapping[Key, Path] = NOWHERE,
) -> Column:
    """The column with a page for every session that a number lists and whose trace lies in `traces`; those of points where `swept` says.

    `board` is where the scoreboard will be; pages are written into the folder `at` beside it, those of a point into one in that.
    `progress(done, all)` is called after each.
    """
    numbers, folder = [*tables([column]), *sweep_tables([column])], board.parent / at
    places = {key: f"{at}/{_slug(' '.join(key))}" for key in column.points}
    parts = [Pages(listed(numbers), traces, folder)]
    for number, (key, place) in enumerate(places.items(), 1):
        parts.append(Pages(listed(numbers, number) if key in swept else (), swept.get(key, traces), board.parent / place))
    pages, *others = write_sessions(parts, folder, board, progress)
    found = zip(column.points.items(), others, strict=True)
    points = {key: replace(point, pages=names, pages_at=places[key]) for (key, point), names in found}
    return replace(column, pages=pages, pages_at=at, points=points)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")


def board_html(columns: Sequence[Column], room: int = EMBEDDED) -> str:
    """The page as text, with `room` for that many sessions in it. Everything that came from a session is escaped."""
    found, told = tables(columns), list[Told]()
    shown = _embedded(columns, room)
    numbers = "\n".join(_table(table, told) for table in found)
    restraint, robustness = _restraint(columns, told), _robustness(columns, told)
    figures = restraint[1] | robustness[1] | {_figure_name(place, family): session_figure(trace) for place, family, trace in shown}
    text = Template((HERE / "board.html").read_text(encoding="utf-8")).substitute(
        title=escape(board_title(columns)),
        facts=escape(_facts(columns)),
        poor=f"{100 * POOR:.0f}&nbsp;%",
        opens=_opens(columns),
        tables=numbers,
        curves=restraint[0] + robustness[0],
        sessions="\n".join(_session(place, family, trace) for place, family, trace in shown),
        config=escape(json.dumps({c.name: {"seed": c.whole["seed"], **c.whole["config"]} for c in columns}, indent=1)),
    )
    packed = [Packed(name, str(figure.to_json())) for name, figure in figures.items()]
    packed += [Packed("plotly", get_plotlyjs())] if figures else []
    packed.append(Packed("told", json.dumps({"cells": told, "columns": [_column(column) for column in opened(columns)]})))
    style, script = (_file("board", kind) + _file("scores", kind) for kind in ("css", "js"))
    carried = "\n".join(map(str, packed))
    return framed(f"{board_title(columns)} · Microturn scoreboard", f"{text}{colours_inside()}\n{carried}", style, script, (LIGHT, DARK))


def board_title(columns: Sequence[Column]) -> str:
    """Which agents were judged on which voices."""
    return f"{', '.join(column.name for column in columns)} on {columns[0].whole['voices']} voices"


def _facts(columns: Sequence[Column]) -> str:
    """How an evaluation was made, in a line; of several agents what they share."""
    whole = columns[0].whole
    config = whole["config"]
    spec = config.get("agent", {}) if len(columns) == 1 else {}
    told = [
        f"{whole['episodes']} episodes in closed loop",
        f"{config['count']} a family",
        f"seeds from {whole['seed']}",
        f"difficulty {config['difficulty']:g}",
        f"condition {config['condition'] or 'as drawn'}" if len({c.whole["config"]["condition"] for c in columns}) == 1 else "",
        f"threshold {spec['threshold']:g}" if "threshold" in spec else "",
        str(spec.get("checkpoint") or ""),
    ]
    return " · ".join(fact for fact in told if fact)


def _opens(columns: Sequence[Column]) -> str:
    if any(column.episodes for column in columns):
        return "An underlined number opens the sessions that it rests on, failures and worst values first, each to be seen and heard."
    return "The names of families open what they ask for."


def _file(name: str, kind: str) -> str:
    return (HERE / f"{name}.{kind}").read_text(encoding="utf-8")


# Tables ----------------------------------------------------------------------------------------------------------------------


def _table(table: Table, told: list[Told]) -> str:
    """A table; what its numbers open is added to `told`, in which each finds it by its place."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.heads)
    rows = "".join(_line(line, table.heads, told) for line in table.lines)
    hint = f'<p class="hint">{escape(table.about)}</p>' if table.about else ""
    return (
        f"<section><h2>{escape(table.title)}</h2>{hint}"
        f'<div class="scroll"><table class="scores" style="--heads:{len(table.heads)}">'
        f'<thead><tr><th scope="col"></th>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _line(line: Line, heads: Sequence[str], told: list[Told]) -> str:
    """A row, and hidden below it what its name unfolds."""
    name, note = escape(line.name), f"<small>{escape(line.note)}</small>" if line.note else ""
    title = f'<button type="button" data-more aria-expanded="false">{name}</button>' if line.about or line.parts else name
    rows = [f'<tr class="line"><th scope="row">{title}{note}</th>{_cells(line, line.name, heads, told)}</tr>']
    if line.about:
        rows.append(f'<tr class="more" hidden><td colspan="{len(heads) + 1}">{escape(line.about)}</td></tr>')
    for part in line.parts:
        cells = _cells(part, f"{line.name}, {part.name}", heads, told)
        rows.append(f'<tr class="line more" hidden><th scope="row">{escape(part.name)}</th>{cells}</tr>')
    return "".join(rows)


def _cells(line: Line, title: str, heads: Sequence[str], told: list[Told]) -> str:
    """The cells of a row; those that it has no numbers for at its end are empty."""
    made = []
    for number, head in zip(line.cells, heads, strict=False):
        key = None
        if number is not None and number.listed:
            key = len(told)
            told.append(_behind(number, f"{title} · {head}"))
        label = f' data-head="{escape(head)}"' if len(heads) > 1 else ""
        made.append('<td class="none"' + label + ">no case</td>" if number is None else f"<td{label}>{_cell(number, key)}</td>")
    return "".join(made) + "<td></td>" * (len(heads) - len(made))


def _behind(number: Number, title: str) -> Told:
    """What a number opens, for the script of the page."""
    moments = [[at.family, at.seed, at.at_s, at.good, at.text] for at in number.listed]
    return {"title": title, "column": number.column, "about": number.about, "all": number.sessions, "listed": moments}


def _cell(number: Number, key: int | None) -> str:
    """A number; a button where it opens something."""
    inner = f"<b>{escape(number.text)}</b><small>{escape(number.small)}</small>{_strip(number)}"
    kind = f"cell{' poor' if number.share is not None and number.share < POOR else ''}"
    if key is None:
        return f'<div class="{kind}">{inner}</div>'
    point = f' data-point="{escape(number.point)}"' if number.point else ""
    return f'<button type="button" class="{kind}" data-cell="{key}"{point} aria-expanded="false">{inner}</button>'


def _strip(number: Number) -> str:
    """A share on a scale from 0 to 1, over its interval."""
    if number.share is None:
        return ""
    low, high = number.ci95 or (number.share, number.share)
    interval = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    return f'<span class="strip">{interval}<i class="at" style="left:{100 * number.share:.1f}%"></i></span>'


# Sessions --------------------------------------------------------------------------------------------------------------------


def _column(column: Column) -> Told:
    """What the script of the page is told about an agent."""
    return {"name": column.name, "pages": sorted(column.pages), "at": column.pages_at, "absent": column.absent}


def _embedded(columns: Sequence[Column], room: int) -> list[tuple[int, str, Trace]]:
    """The sessions that are in the page: examples by column and family, the worst families first, as many as there is room for.

    Those without a page of their own are all there.
    """
    found = [(place, family, trace) for place, column in enumerate(columns) for family, trace in column.examples.items()]
    worst = sorted(found, key=lambda each: columns[each[0]].whole["families"][each[1]]["both"])
    return [each for at, each in enumerate(worst) if at < room or f"{each[1]}-{each[2].header.seed}" not in columns[each[0]].pages]


def _session(place: int, family: str, trace: Trace) -> str:
    """A session as a template that an opened number takes a copy of."""
    inner = session_block(trace, _figure_name(place, family))
    return f'<template data-session="{place}/{escape(family)}-{trace.header.seed}">{inner}</template>'


def _figure_name(place: int, family: str) -> str:
    return f"example-{place}-{family}"


# Curves ----------------------------------------------------------------------------------------------------------------------


Section: TypeAlias = tuple[str, dict[str, go.Figure]]  # a part of the page, and its figures by the names of their places


def _restraint(columns: Sequence[Column], told: list[Told]) -> Section:
    """Restraint against latency: every agent of several a point, and a line where it was swept over thresholds."""
    swept = {f"threshold-{place}": column for place, column in enumerate(columns) if column.thresholds}
    if not swept and len(columns) == 1:
        return "", {}
    curves = {column.name: column.thresholds or [{**column.whole, "label": AS_IT_IS}] for column in columns}
    figures = {"restraint": restraint_figure(curves)} | {
        name: threshold_figure(column.thresholds, agent=column.name) for name, column in swept.items()
    }
    text = RESTRAINT
    if swept:
        count = _each(next(iter(swept.values())).thresholds)
        text += f" A line runs over thresholds for speaking, {count}: what a lower bar wins in latency and loses in restraint."
    places = [_place("restraint"), *(_place(name, column.name if len(columns) > 1 else "") for name, column in swept.items())]
    text += _points(columns)
    numbers = "".join(_table(thresholds_table(columns, place), told) for place, column in enumerate(columns) if column.thresholds)
    shown = f'<p class="hint">{escape(text)}</p><div class="pair">{"".join(places)}</div>{numbers}'
    return f"<h2>Restraint against latency</h2>{shown}", figures


def _robustness(columns: Sequence[Column], told: list[Told]) -> Section:
    """The same episodes under other conditions: a line an agent, and the numbers below."""
    swept = {column.name: column.robustness for column in columns if column.robustness}
    if not swept:
        return "", {}
    lines = "Bold: mean over families; faint: one family; dashed: as drawn." if len(columns) == 1 else "Dashed: as drawn."
    text = (
        f"The same episodes under other conditions, {_each(next(iter(swept.values())))}, the mean over families. {lines}{_points(columns)}"
    )
    figure = f'<div class="scroll">{_place("robustness", wide=True)}</div>'
    table = _table(robustness_table(columns), told)
    return f'<h2>Robustness</h2><p class="hint">{escape(text)}</p>{figure}{table}', {"robustness": robustness_figure(swept)}


def _points(columns: Sequence[Column]) -> str:
    """What a click on a figure does, where it does something."""
    known = any(point.episodes for column in columns for point in column.points.values())
    return " A point that is clicked opens the sessions behind it, in the table below." if known else ""


def _place(name: str, title: str = "", *, wide: bool = False) -> str:
    head = f"<h3>{escape(title)}</h3>" if title else ""
    return f'<div>{head}<div class="figure{" wide" if wide else ""} waiting" data-figure="{name}">drawing …</div></div>'


def _each(rows: Sequence[Row]) -> str:
    count = rows[0]["config"]["count"]
    return f"{count} {'episode' if count == 1 else 'episodes'} a family"
