"""A training run as one page: its curves, its newest scores, the sessions in which its families went wrong, and its recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.io

from widgets.charts import timeline
from widgets.curves import training_curves
from widgets.page import framed
from widgets.theme import LIGHT, Theme
from workbench.store import read_trace
from workbench.trace import Trace

SAMPLES = 6
STYLE = """
pre { background: var(--lane); padding: 12px 14px; overflow-x: auto; font-size: 12px; }
table { width: auto; min-width: 340px; }
td:last-child { text-align: right; }
"""


def write_run(folder: Path, theme: Theme = LIGHT) -> Path:
    """Write `run.html` into the folder of a run, from its `log.jsonl`, `recipe.toml` and `samples/`; its path.

    Shown are the sessions of the families that score worst, six at most. Raises InputError while the log has no losses yet.
    """
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {path.stem: path for path in sorted((folder / "samples").glob("*.sqlite"))}
    scores = _newest(rows, "family_scores")
    worst = sorted(found, key=lambda name: scores.get(name, 1.0))[:SAMPLES]
    recipe = folder / "recipe.toml"
    text = recipe.read_text(encoding="utf-8") if recipe.exists() else ""
    path = folder / "run.html"
    path.write_text(run_html(rows, {name: read_trace(found[name]) for name in worst}, text, folder.name, theme), encoding="utf-8")
    return path


def run_html(rows: Sequence[Mapping[str, Any]], samples: Mapping[str, Trace], recipe: str, title: str, theme: Theme = LIGHT) -> str:
    """The page as text; `rows` are those of the run log, `samples` one session for each family to be shown."""
    curves = plotly.io.to_html(training_curves(rows, theme), include_plotlyjs=True, full_html=False, div_id="curves")
    scores = {**_newest(rows, "scores"), **{f"family: {name}": value for name, value in _newest(rows, "family_scores").items()}}
    last = rows[-1]
    body = [f"<h1>{escape(title)}</h1>", f"<p class='facts'>{last['step']} steps in {last['minutes']:.1f} minutes</p>", curves]
    if scores:
        body.append(f"<h2>Newest scores</h2>{_table(scores)}")
    for family, trace in samples.items():
        plot = plotly.io.to_html(timeline(trace, theme), include_plotlyjs=False, full_html=False, div_id=f"sample-{family}")
        body.append(f"<h2>{escape(family)}</h2><div class='scroll'>{plot}</div>")
    body.append(f"<h2>Recipe</h2><pre>{escape(recipe)}</pre>")
    return framed(f"{title} · Microturn training", "\n".join(body), STYLE, "", (theme,))


def _newest(rows: Sequence[Mapping[str, Any]], group: str) -> Mapping[str, float]:
    return next((row[group] for row in reversed(rows) if row.get(group)), {})


def _table(values: Mapping[str, float]) -> str:
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{value:.3f}</td></tr>" for name, value in values.items())
    return f"<table><tbody>{lines}</tbody></table>"
