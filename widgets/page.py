"""A page that stands alone: the timeline, the sound of both sides with a moving cursor, and the ticks worth reading with their reasons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import plotly.io

from widgets import player
from widgets.charts import WINDOW_S, timeline
from widgets.theme import LIGHT, Theme
from widgets.views import DecisionRow, GateMark, SessionView, notable, session_view
from workbench.background.shown import latest, things_of
from workbench.explain import told
from workbench.trace import Trace

HERE = Path(__file__).parent
COLUMNS = ("time", "tick", "floor", "said", "p(speak)", "threshold", "p(yield)", "top candidates", "why")


def write_timeline(trace: Trace, path: str | Path, theme: Theme = LIGHT) -> Path:
    """Write the page to `path` (its folder is made) and return the path. It needs no network and no other file."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(timeline_html(trace, theme), encoding="utf-8")
    return target


def timeline_html(trace: Trace, theme: Theme = LIGHT) -> str:
    """The page as text. Everything that came from a session is escaped."""
    view = session_view(trace)
    figure = timeline(view, theme)
    figure.update_layout(title=None, margin={"t": 16})
    figure.update_layout(height=figure.layout.height - 38)
    plot = plotly.io.to_html(
        figure,
        include_plotlyjs=True,
        full_html=False,
        div_id="timeline",
        config={
            "scrollZoom": True,
            "displaylogo": False,
            "responsive": True,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        },
    )
    body = Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(view.title),
        facts=escape(session_facts(view, trace)),
        audio=player.data_url(trace),
        plot=plot,
        table=decisions_table(notable(view), view.gates),
        window=f"{WINDOW_S:g}",
    )
    things = latest([thing for turn in trace.turns for thing in things_of(turn)])
    draw = (HERE / "things.js").read_text(encoding="utf-8").replace("export function", "function")
    script = f"const WINDOW_S = {WINDOW_S:g};\nconst THINGS = {_inline(things)};\n{draw}\n{(HERE / 'page.js').read_text(encoding='utf-8')}"
    return framed(f"{view.title} · Microturn timeline", body, (HERE / "page.css").read_text(encoding="utf-8"), script, (theme,))


def framed(title: str, body: str, style: str, script: str, themes: Sequence[Theme]) -> str:
    """A whole page around `body` (HTML), in the first theme, or in the second where a reader prefers a dark ground and it is given."""
    light, *dark = (_colours(theme) for theme in themes)
    colours = f":root {{ {light} }}" + "".join(f"\n@media (prefers-color-scheme: dark) {{ :root {{ {other} }} }}" for other in dark)
    return Template((HERE / "frame.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        colours=colours,
        style=(HERE / "frame.css").read_text(encoding="utf-8") + style,
        body=body,
        script=script,
    )


def _inline(value: Any) -> str:
    """A value as JSON that may stand in a script of a page: nothing in it ends the script."""
    return json.dumps(value).replace("<", "\\u003c")


def _colours(theme: Theme) -> str:
    """A theme as variables of a style sheet."""
    names = ("page", "lane", "ink", "muted", "grid", "user", "heard", "agent", "gate", "font")
    return f"color-scheme: {theme.name}; " + " ".join(f"--{name}: {getattr(theme, name)};" for name in names)


def session_facts(view: SessionView, trace: Trace) -> str:
    """A line about a session: how long, how much was said, heard how, made when."""
    labels, header = trace.header.labels, trace.header
    facts = [
        f"{view.duration_s:.1f} s in {len(trace)} micro-turns of {view.tick_s * 1000:.0f} ms",
        _count(len(view.agent_words), "word said by the agent", "words said by the agent"),
        _count(len(view.yields), "yield", "yields"),
        f"{sum(span.duration_s for span in view.overlaps):.1f} s of overlap",
        f"user's voice {labels['voice']}" if labels.get("voice") else "",
        f"heard under {labels['condition']}" if labels.get("condition") else "",
        ", ".join(f"{name} {value}" for name, value in header.versions.items()),
        header.created,
    ]
    return " · ".join(fact for fact in facts if fact)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def decisions_table(rows: Sequence[DecisionRow], gates: Sequence[GateMark]) -> str:
    """Decision records, and gates where the agent left none, as an HTML table whose rows carry their time in `data-at`."""
    decided = {row.tick for row in rows}
    lines = [(row.tick, _row(row)) for row in rows] + [(mark.tick, _alone(mark)) for mark in gates if mark.tick not in decided]
    if not lines:
        return "<p class='empty'>This session has no decision records: its agent does not report why it acts.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    body = "".join(line for _, line in sorted(lines, key=lambda found: found[0]))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(row: DecisionRow) -> str:
    d = row.decision
    top = ", ".join(f"{word or 'silence'} {p:.2f}" for word, p in d.top[:3])
    cells = (
        f"{row.at_s:.1f} s",
        str(row.tick),
        d.floor,
        d.said,
        f"{d.p_speak:.2f}",
        f"{d.threshold:.2f}",
        f"{d.p_yield:.2f}",
        top,
        row.reason,
    )
    return _line("gate" if d.gates else "said" if d.said else "", row.at_s, cells)


def _alone(mark: GateMark) -> str:
    """A gate without a decision: neither a floor state nor numbers belong to it."""
    return _line("gate", mark.at_s, (f"{mark.at_s:.1f} s", str(mark.tick), *[""] * (len(COLUMNS) - 3), told([mark.gate])))


def _line(kind: str, at_s: float, cells: Sequence[str]) -> str:
    inner = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="{kind}" data-at="{at_s:.3f}" tabindex="0">{inner}</tr>'
