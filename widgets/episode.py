"""One session of an evaluation, to be seen and heard: as a part of the scoreboard, or as a small page beside it.

Pages share one file with plotly in it, so that each is some tens of kilobytes. A page that is newer than its trace and than the code that
draws it is left as it is.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from widgets import player
from widgets.charts import timeline
from widgets.page import HERE, decisions_table, framed, session_facts
from widgets.theme import DARK, LIGHT, exchanged
from widgets.views import notable, session_view
from workbench.evaluate import Progress
from workbench.own_families import asked_as
from workbench.playing import Job
from workbench.scoring.interaction import explain, outcomes
from workbench.scoring.score import Outcome
from workbench.store import read_trace
from workbench.trace import Trace

PLOTLY = "plotly.js"  # what the pages of a folder share


@dataclass(frozen=True)
class Packed:
    """A text that a page carries compressed, under the name by which its script finds it."""

    name: str
    text: str

    @property
    def inner(self) -> str:
        return base64.b64encode(gzip.compress(self.text.encode("utf-8"), mtime=0)).decode("ascii")

    def __str__(self) -> str:
        return f'<script type="text/plain" id="{escape(self.name)}">{self.inner}</script>'


# Block -----------------------------------------------------------------------------------------------------------------------


def session_block(trace: Trace, figure_name: str) -> str:
    """What was expected of a session and came of it, the sound of both sides, and a place for its figure."""
    family, judged = str(trace.header.labels.get("family", "")), outcomes(trace)
    failed = sum(not o.both for o in judged)
    verdict = f"{failed} of {len(judged)} expectations missed" if failed else "nothing went wrong here"
    voice = trace.header.labels.get("voice", "unknown")
    head = f"{_spaced(family)}, seed {trace.header.seed}, {trace.duration_s:.1f} s, voice {voice}: {verdict}"
    said = "".join(_outcome(o, trace) for o in judged)
    sound = f'<audio controls preload="metadata" src="{player.small_data_url(trace)}"></audio>'
    hint = '<p class="hint">User on the left ear, agent on the right. Click a sentence or the timeline to hear that moment.</p>'
    figure = f'<div class="figure waiting" data-figure="{escape(figure_name)}" data-end-s="{trace.duration_s:g}">drawing …</div>'
    title = f"<p><b>{escape(head)}</b><br><code>{escape(_command(family, trace))}</code></p>"
    stage = f'<div class="scroll"><div class="stage">{figure}<div class="cursor"></div></div></div>'
    return f'{title}<ul class="outcomes">{said}</ul><div class="player">{sound}{hint}</div>{stage}'


def session_figure(trace: Trace) -> go.Figure:
    """The timeline without what each tick cost: the sessions of an evaluation share their steps."""
    figure = timeline(replace(session_view(trace), costs=()))
    figure.update_layout(title=None, margin={"t": 12})
    return figure.update_layout(height=figure.layout.height - 42)


def _command(family: str, trace: Trace) -> str:
    """The command that plays the session again, for the agent and threshold that are the default."""
    header = trace.header
    condition = f" --condition {header.labels['condition']}" if "condition" in header.labels else ""
    voices = header.labels.get("voices", "unseen")
    return f"microturn run --scenario {asked_as(family)} --seed {header.seed} --voice {voices}{condition} --out runs/{family}-{header.seed}"


def _outcome(outcome: Outcome, trace: Trace) -> str:
    at_s = trace.header.clock.seconds(outcome.evidence[0]) if outcome.evidence else 0.0
    mark = '<span class="yes">✓</span>' if outcome.both else '<span class="no">✗</span>'
    cells = f'{mark}<span class="small">{at_s:.1f} s</span><span>{escape(explain(outcome))}</span>'
    return f'<li><button type="button" data-at="{at_s:.3f}">{cells}</button></li>'


# Page ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pages:
    """Sessions whose traces lie in `traces`, and the folder for a page of each."""

    jobs: Iterable[Job]
    traces: Path
    folder: Path

    def there(self) -> list[str]:
        """The names of the sessions that have a trace."""
        names = sorted({f"{family}-{seed}" for family, seed in self.jobs})
        return [name for name in names if (self.traces / f"{name}.sqlite").exists()]


def write_sessions(parts: Sequence[Pages], shared: Path, board: Path, progress: Progress | None = None) -> list[frozenset[str]]:
    """Write a page for every session of which there is a trace; for each of `parts` the names of those that there are.

    Each leads back to the scoreboard at `board`; all use one plotly in the folder `shared`. `progress(done, all)` is called after each.
    """
    names = [part.there() for part in parts]
    pages = [(part, name) for part, found in zip(parts, names, strict=True) for name in found]
    if pages:
        shared.mkdir(parents=True, exist_ok=True)
        (shared / PLOTLY).write_text(f"window.packed = {{ plotly: '{Packed('plotly', get_plotlyjs()).inner}' }};\n", encoding="utf-8")
    for done, (part, name) in enumerate(pages, 1):
        source, page = part.traces / f"{name}.sqlite", part.folder / f"{name}.html"
        if not _is_newer(page, source):
            part.folder.mkdir(parents=True, exist_ok=True)
            seen = (Path(os.path.relpath(path, part.folder)).as_posix() for path in (source, board, shared / PLOTLY))
            page.write_text(session_html(read_trace(source), *seen), encoding="utf-8")
        if progress is not None:
            progress(done, len(pages))
    return [frozenset(found) for found in names]


def session_html(trace: Trace, lies: str, back: str, plotly: str = PLOTLY) -> str:
    """The page of a session, which says where its trace file `lies`, leads `back` to a scoreboard, and loads `plotly`.

    All three are as seen from the page. Everything that came from the session is escaped.
    """
    view = session_view(trace)
    file = f'Its trace: <a href="{escape(lies)}" download>{escape(lies)}</a>'
    body = (
        f'<p class="hint"><a href="{escape(back)}">Scoreboard</a></p><h1>{escape(view.title)}</h1>'
        f'<p class="facts">{escape(session_facts(view, trace))}</p>'
        f'<div class="inside">{session_block(trace, "session")}'
        f'<h2>Ticks worth reading</h2><div class="scroll">{decisions_table(notable(view), view.gates)}</div></div>'
        f'<p class="hint">{file}</p>'
    )
    carried = f'{Packed("session", str(session_figure(trace).to_json()))}<script src="{escape(plotly)}"></script>'
    style, script = ((HERE / f"board.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return framed(f"{view.title} · Microturn session", f"{body}{colours_inside()}\n{carried}", style, script, (LIGHT, DARK))


def _is_newer(page: Path, source: Path) -> bool:
    return page.exists() and page.stat().st_mtime > max(source.stat().st_mtime, _drawn_since())


@cache
def _drawn_since() -> float:
    """When what draws a page was last changed."""
    return max(path.stat().st_mtime for kind in ("py", "js", "css", "html") for path in HERE.glob(f"*.{kind}"))


def colours_inside() -> str:
    """The colours that the script of a page exchanges for a reader who prefers the dark."""
    return f'<script type="application/json" id="colours">{json.dumps(dict(exchanged(LIGHT, DARK)))}</script>'


def _spaced(name: str) -> str:
    return name.replace("_", " ")
