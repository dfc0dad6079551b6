"""What the dashboard shows, as plain JSON-ready values: lines of a list, one session, two sessions, a tick explained, a scoreboard.

Every text that came from a session is escaped where the value is HTML (`table`, `why`, `page`), and plain where it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, TypeAlias

from widgets import player
from widgets.board import board_html, board_title
from widgets.charts import timeline
from widgets.page import decisions_table, session_facts
from widgets.pair import choices_table, pair, pair_figure
from widgets.scores import Column
from widgets.views import notable, session_view
from workbench.desk import Running
from workbench.errors import WorkbenchError
from workbench.explain import why
from workbench.index import BROKEN, Entry, Evaluation
from workbench.trace import Trace

Json: TypeAlias = dict[str, Any]
WORDS_SHOWN = 14
UNSEEDED = ("live", "recording")  # a seed says nothing of what happened in these
STATES = {"asking": "waits for consent", "talking": "talking", "away": "page gone, waiting for it", "ended": "over"}
HINT = "User on the left ear, agent on the right. Click the timeline or a row to go there and to see why; drag to pan, scroll to zoom."


def session_rows(entries: Iterable[Entry], running: Iterable[Running] = ()) -> list[Json]:
    """A line for each entry; one that is being written by a live session here says what goes on in it."""
    live = {f"{row.name}.sqlite": STATES[row.state] for row in running}
    return [_session_row(entry, live.get(entry.name, "")) for entry in entries]


def _session_row(entry: Entry, live: str) -> Json:
    met, expected = entry.outcome or (0, 0)
    return {
        "name": entry.name,
        "state": "live" if live else entry.state,
        "problem": live or entry.problem,
        "when": entry.created.replace("T", " ").removesuffix("Z")[:16],
        "agent": entry.agent,
        "setting": entry.setting,
        "family": entry.family.replace("_", " "),
        "seed": "" if entry.seed is None or entry.family in UNSEEDED else str(entry.seed),
        "voice": entry.voice.split(" ")[0],
        "manner": entry.voice,
        "length": "" if entry.state == "damaged" else f"{entry.duration_s:.1f} s",
        "ticks": entry.ticks,
        "score": f"{met}/{expected}" if entry.outcome else "",
        "passed": met == expected,
        "words": " ".join(entry.words[:WORDS_SHOWN]) + (" …" if len(entry.words) > WORDS_SHOWN else ""),
    }


def running_rows(running: Iterable[Running]) -> list[Json]:
    """A line for each live session that goes on."""
    return [{"name": row.name, "agent": row.agent, "state": STATES[row.state], "seconds": f"{row.seconds:.0f} s"} for row in running]


def shown_session(name: str, trace: Trace) -> Json:
    """One session: its timeline, its sound, the ticks worth reading."""
    view = session_view(trace)
    figure = timeline(view)
    figure.update_layout(title=None, margin={"t": 16}, height=figure.layout.height - 38)
    return {
        "names": [name],
        "title": view.title,
        "facts": session_facts(view, trace),
        "verdict": "",
        "figure": figure.to_json(),
        "end_s": max(view.duration_s, view.tick_s),
        "sounds": [{"label": "the session", "url": player.small_data_url(trace)}],
        "heading": "Ticks worth reading",
        "hint": HINT,
        "table": decisions_table(notable(view), view.gates),
    }


def shown_pair(names: Sequence[str], labels: Sequence[str], traces: Sequence[Trace]) -> Json:
    """Two sessions on one clock, called by their labels: both timelines, where they part, what was decided otherwise."""
    both = pair((labels[0], labels[1]), traces[0], traces[1])
    return {
        "names": list(names),
        "title": _title(both.views[0].title, both.views[1].title),
        "facts": "",
        "verdict": both.verdict(),
        "figure": pair_figure(both).to_json(),
        "end_s": max(view.duration_s for view in both.views),
        "sounds": [{"label": label, "url": player.small_data_url(trace)} for label, trace in zip(labels, traces, strict=True)],
        "heading": "Decided otherwise",
        "hint": HINT,
        "table": choices_table(both),
    }


def _title(one: str, other: str) -> str:
    return f"{one}, twice on one clock" if one == other else f"{one} and {other} on one clock"


def labels_of(entries: Sequence[Entry]) -> list[str]:
    """What tells these sessions apart, as short as may be: agent and setting, else the file's name too."""
    short = [" ".join(part for part in (entry.agent, entry.setting) if part) for entry in entries]
    return short if len(set(short)) == len(short) else [f"{entry.name} ({label})" for entry, label in zip(entries, short, strict=True)]


def explained(labels: Sequence[str], traces: Sequence[Trace], at_s: float) -> str:
    """Why each agent did what it did at that time, as HTML."""
    parts = []
    for label, trace in zip(labels, traces, strict=True):
        name = f"<h4>{escape(label)}</h4>" if len(traces) > 1 else ""
        try:
            told = why(trace, at_s)
            reasons = "".join(f"<li>{escape(reason)}</li>" for reason in told.reasons)
            parts.append(f"<div>{name}<p><b>{escape(told.headline)}</b></p><ul>{reasons}</ul></div>")
        except WorkbenchError as error:
            parts.append(f"<div>{name}<p>{escape(str(error))}</p></div>")
    return "".join(parts)


def board_rows(found: Iterable[Evaluation]) -> list[Json]:
    """A line for each evaluation; one that cannot be read says why."""
    return [_board_row(each) for each in found]


def _board_row(found: Evaluation) -> Json:
    if found.problem:
        return {"name": found.name, "problem": found.problem}
    try:
        whole = found.whole
        low, high = whole["mean_ci95"]
        mean = f"{100 * whole['mean_both']:.1f} %"
        interval = f"{100 * low:.0f} to {100 * high:.0f}"
        row = {"name": found.name, "problem": "", "title": board_title([Column(whole=whole)]), "episodes": str(whole["episodes"])}
        return {**row, "families": len(whole["families"]), "mean": mean, "interval": interval, "share": 100 * float(whole["mean_both"])}
    except BROKEN as error:
        return {"name": found.name, "problem": f"it does not fit: {type(error).__name__} {error}"}


def board_page(found: Evaluation) -> str:
    """The scoreboard of an evaluation as a page, or a page that says why there is none."""
    try:
        robustness, thresholds = (found.sweeps.get(name, ()) for name in ("robustness", "thresholds"))
        absent = "it is in the list of sessions"
        return board_html([Column(whole=found.whole, absent=absent, robustness=robustness, thresholds=thresholds)])
    except BROKEN as error:
        return f"<!doctype html><p>{escape(found.name)} cannot be shown: {escape(f'{type(error).__name__} {error}')}</p>"
