"""The scoreboard of an evaluation as a page that stands alone: families with their intervals, the worst first, each with an example.

A figure is drawn when it comes into sight. Figures and plotly itself are carried packed (gzip), so the page stays small; colours are those
of the light theme, exchanged for the dark ones in the browser of a reader who prefers them.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, TypeAlias

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from widgets import player
from widgets.charts import timeline
from widgets.page import HERE, framed
from widgets.sweeps import restraint_figure, robustness_figure, threshold_figure
from widgets.theme import DARK, LIGHT, Theme
from widgets.views import session_view
from workbench.evaluate import Report
from workbench.scenarios import FAMILIES
from workbench.scoring.delegation import PER_SOLVED
from workbench.scoring.interaction import explain, outcomes
from workbench.scoring.score import Outcome
from workbench.sweeps import Sweep
from workbench.trace import Trace

POOR = 0.8  # a family or rate under this is marked
Row: TypeAlias = Mapping[str, Any]
NO_EXAMPLES: Mapping[str, Trace] = MappingProxyType({})
NO_SWEEPS: Mapping[str, Sequence[Row]] = MappingProxyType({})


@dataclass(frozen=True)
class Packed:
    """A text that a page carries compressed, under the name by which its script finds it."""

    name: str
    text: str

    def __str__(self) -> str:
        inner = base64.b64encode(gzip.compress(self.text.encode("utf-8"), mtime=0)).decode("ascii")
        return f'<script type="text/plain" id="{self.name}">{inner}</script>'


def write_scoreboard(report: Report, path: str | Path, *, robustness: Sweep | None = None, thresholds: Sweep | None = None) -> Path:
    """Write the page to `path` (its folder is made) and return the path. It needs no network and no other file."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(scoreboard_html(report, robustness=robustness, thresholds=thresholds), encoding="utf-8")
    return target


def scoreboard_html(report: Report, *, robustness: Sweep | None = None, thresholds: Sweep | None = None) -> str:
    """The page as text. Everything that came from a session is escaped."""
    sweeps = {"robustness": robustness, "thresholds": thresholds}
    return board_html(report.to_json(), report.examples, {name: s.to_json()["points"] for name, s in sweeps.items() if s is not None})


def board_html(whole: Row, examples: Mapping[str, Trace] = NO_EXAMPLES, sweeps: Mapping[str, Sequence[Row]] = NO_SWEEPS) -> str:
    """The page of an evaluation as its file holds it (`Report.to_json`), with the points of its sweeps by their names."""
    low, high = whole["mean_ci95"]
    title = board_title(whole)
    names = sorted(whole["families"], key=lambda name: (whole["families"][name]["both"], name))
    figures = {f"example-{name}": example_figure(examples[name]) for name in names if name in examples}
    curves, more = _curves(sweeps)
    figures |= more
    body = Template((HERE / "board.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        facts=escape(facts(whole)),
        mean=f"{100 * whole['mean_both']:.1f}<small> %</small>",
        interval=f"{_percent(low)} to {_percent(high)}",
        poor=f"{100 * POOR:.0f}&nbsp;%",
        families=f"{len(names)} families" if len(names) != 1 else "one family",
        inside="see and hear an episode, a failed one where there is one" if examples else "read what it asks for",
        family_rows="\n".join(_family(name, whole["families"][name], examples.get(name)) for name in names),
        rate_rows=_rate_rows(whole),
        latency_rows="".join(map(_latency, whole["latency_s"].items())),
        false_start_rows="".join(_false_starts(whole)),
        costs=_costs(whole.get("suites", {}).get("background", ())),
        curves=curves,
        config=escape(json.dumps({"seed": whole["seed"], **whole["config"]}, indent=1)),
    )
    packed = [Packed(name, str(figure.to_json())) for name, figure in figures.items()]
    carried = "\n".join(map(str, [*packed, Packed("plotly", get_plotlyjs())] if packed else []))
    colours = f'<script type="application/json" id="colours">{json.dumps(dict(exchanged(LIGHT, DARK)))}</script>'
    style, script = ((HERE / f"board.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return framed(f"{title} · Microturn scoreboard", f"{body}{colours}\n{carried}", style, script, (LIGHT, DARK))


def board_title(whole: Row) -> str:
    """Which agent was judged on which voices."""
    return f"{_agent_name(whole)} on {whole['voices']} voices"


def example_figure(trace: Trace) -> go.Figure:
    """The timeline without what each tick cost: the sessions of an evaluation share their steps."""
    figure = timeline(replace(session_view(trace), costs=()))
    figure.update_layout(title=None, margin={"t": 12})
    return figure.update_layout(height=figure.layout.height - 42)


def exchanged(one: Theme, other: Theme) -> Iterator[tuple[str, str]]:
    """Colours of one theme with those of the other in their place, as `#RRGGBB` and as the beginning of `rgba(...)`."""
    pairs: dict[str, str] = {}
    for name in (field.name for field in fields(one)):
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, str) and mine.startswith("#"):
            pairs.setdefault(mine, theirs)
        elif isinstance(mine, Mapping):
            for key, colour in mine.items():
                pairs.setdefault(colour, theirs[key])
    yield from pairs.items()
    yield from ((_beginning(mine), _beginning(theirs)) for mine, theirs in pairs.items())


def _beginning(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},"


# Rows -------------------------------------------------------------------------------------------------------------------------


def _agent_name(whole: Row) -> str:
    """The name under which it was judged; of an agent that was judged in memory its kind."""
    spec = whole["config"].get("agent", {})
    return str(spec.get("kind") or spec.get("class") or "agent") if whole["agent"] == "agent" else str(whole["agent"])


def facts(whole: Row) -> str:
    """How an evaluation was made, in a line."""
    config = whole["config"]
    spec = config.get("agent", {})
    told = [
        f"{whole['episodes']} episodes in closed loop",
        f"{config['count']} a family",
        f"seeds from {whole['seed']}",
        f"difficulty {config['difficulty']:g}",
        f"condition {config['condition'] or 'as drawn'}",
        f"threshold {spec['threshold']:g}" if "threshold" in spec else "",
        str(spec.get("checkpoint") or ""),
    ]
    return " · ".join(fact for fact in told if fact)


def _family(name: str, row: Row, shown: Trace | None) -> str:
    cells = (
        f'<span class="name">{escape(_spaced(name))}</span>{_strip(row["both"], row["ci95"])}{_value(row["both"], row["ci95"])}'
        + "".join(f'<span class="small" data-label="{key}">{_percent(row[key])}</span>' for key in ("meaning", "timing"))
        + f'<span class="small" data-label="n">{row["n"]}</span>'
    )
    inside = _summary_of(name) + _tags(row.get("tags", {})) + ("" if shown is None else example(name, shown, f"example-{name}"))
    return f'<details class="family"><summary class="row{_poor(row["both"])}">{cells}</summary><div class="inside">{inside}</div></details>'


def _summary_of(name: str) -> str:
    return f"<p>{escape(FAMILIES[name].summary)}</p>" if name in FAMILIES else ""


def _tags(tags: Mapping[str, Row]) -> str:
    if len(tags) < 2:
        return ""
    rows = (_rate(_spaced(tag), row["both"], row["ci95"], row["n"]) for tag, row in sorted(tags.items(), key=lambda item: item[1]["both"]))
    return f'<div class="tags">{"".join(rows)}</div>'


def example(name: str, trace: Trace, figure_name: str) -> str:
    """A session to be seen and heard: what was expected and came of it, the sound of both, and a place for its figure."""
    judged = outcomes(trace)
    failed = sum(not o.both for o in judged)
    verdict = f"{failed} of {len(judged)} expectations missed" if failed else "nothing went wrong here"
    head = f"Example of {trace.duration_s:.1f} s, voice {trace.header.labels.get('voice', 'unknown')}: {verdict}"
    said = "".join(_outcome(o, trace) for o in judged)
    sound = f'<audio controls preload="metadata" src="{player.small_data_url(trace)}"></audio>'
    hint = '<p class="hint">User on the left ear, agent on the right. Click a sentence or the timeline to hear that moment.</p>'
    figure = f'<div class="figure waiting" data-figure="{escape(figure_name)}" data-end-s="{trace.duration_s:g}">drawing …</div>'
    title = f"<p><b>{escape(head)}</b><br><code>{escape(_command(name, trace))}</code></p>"
    stage = f'<div class="scroll"><div class="stage">{figure}<div class="cursor"></div></div></div>'
    return f'{title}<ul class="outcomes">{said}</ul><div class="player">{sound}{hint}</div>{stage}'


def _command(name: str, trace: Trace) -> str:
    """The command that plays the example again, for the agent and threshold that are the default."""
    header = trace.header
    condition = f" --condition {header.labels['condition']}" if "condition" in header.labels else ""
    voices = header.labels.get("voices", "unseen")
    return f"microturn run --scenario {name} --seed {header.seed} --voice {voices}{condition} --out runs/{name}-{header.seed}"


def _outcome(outcome: Outcome, trace: Trace) -> str:
    at_s = trace.header.clock.seconds(outcome.evidence[0]) if outcome.evidence else 0.0
    mark = '<span class="yes">✓</span>' if outcome.both else '<span class="no">✗</span>'
    cells = f'{mark}<span class="small">{at_s:.1f} s</span><span>{escape(explain(outcome))}</span>'
    return f'<li><button type="button" data-at="{at_s:.3f}">{cells}</button></li>'


def _rate_rows(whole: Row) -> str:
    rows = [_rate(name, rate["value"], rate["ci95"], rate["n"]) for name, rate in whole["rates"].items()]
    restraint = whole["restraint"]
    rows.append(_rate("episodes without a false start", restraint["value"], restraint["ci95"], restraint["n"]))
    return f'<div class="rates">{"".join(rows)}</div>'


def _rate(name: str, value: float, ci95: Sequence[float], n: int) -> str:
    cells = f'<span class="name">{escape(name)}</span>{_strip(value, ci95)}{_value(value, ci95)}'
    return f'<div class="row{_poor(value)}">{cells}<span class="small" data-label="n">{n}</span></div>'


def _latency(item: tuple[str, Row]) -> str:
    name, row = item
    words = "".join(f"<td>{escape(text)}</td>" for text in (_spaced(name), row["from"], row["to"]))
    return f'<tr>{words}<td class="r">{row["median"]:.2f} s</td><td class="r">{row["p95"]:.2f} s</td><td class="r">{row["n"]}</td></tr>'


def _false_starts(whole: Row) -> Iterator[str]:
    heard = whole["heard_words"]
    if heard["word_error_rate"] is not None:
        yield _line("word error rate of what it heard", f"{_percent(heard['word_error_rate'])}, {heard['words']} words")
    for kind, number in whole["false_starts"].items():
        yield _line(f"false starts {kind}", f"{number} words in {whole['episodes']} episodes")


def _line(name: str, value: str) -> str:
    return f'<tr><td>{escape(name)}</td><td class="r">{escape(value)}</td></tr>'


def _costs(scores: Sequence[Row]) -> str:
    """The section of what a solved task took, of the scores of the background suite; nothing where that was not asked for."""
    rows = [one for one in scores if one["name"].startswith(PER_SOLVED) and one["value"] is not None]
    if not rows:
        return ""
    head = "".join(f'<th class="r">{name}</th>' for name in ("per solved task", "95 % interval", "solved", "sessions"))
    text = "All that the sessions took in which a result was wanted, by the results that were said rightly and in time."
    lines = "".join(map(_cost, rows))
    table = f'<div class="scroll"><table><thead><tr><th>what</th>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
    return f'<h2>Cost per solved task</h2><p class="hint">{text}</p>{table}'


def _cost(row: Row) -> str:
    interval = f"{row['interval'][0]:,.2f} to {row['interval'][1]:,.2f}" if row["interval"] else ""
    numbers = (f"{row['value']:,.2f} {row['unit']}".rstrip(), interval, str(row["n"]), str(row["sessions"]))
    cells = "".join(f'<td class="r">{escape(number)}</td>' for number in numbers)
    return f"<tr><td>{escape(row['name'].removeprefix(PER_SOLVED))}</td>{cells}</tr>"


def _curves(sweeps: Mapping[str, Sequence[Row]]) -> tuple[str, dict[str, go.Figure]]:
    """The sections of the sweeps that there are, and their figures."""
    parts, figures = [], dict[str, go.Figure]()
    if rows := sweeps.get("thresholds"):
        figures |= {"restraint": restraint_figure(rows), "threshold": threshold_figure(rows)}
        text = f"In closed loop at each threshold for speaking, {_each(rows)}: what a lower bar wins in latency and loses in restraint."
        pair = "".join(f'<div class="figure waiting" data-figure="{name}">drawing …</div>' for name in ("restraint", "threshold"))
        parts.append(f'<h2>Restraint against latency</h2><p class="hint">{escape(text)}</p><div class="pair">{pair}</div>')
    if rows := sweeps.get("robustness"):
        figures["robustness"] = robustness_figure(rows)
        text = f"The same episodes under other conditions, {_each(rows)}. Bold: mean over families; faint: one family; dashed: as drawn."
        figure = '<div class="scroll"><div class="figure wide waiting" data-figure="robustness">drawing …</div></div>'
        parts.append(f'<h2>Robustness</h2><p class="hint">{escape(text)}</p>{figure}{_robustness_rows(rows)}')
    return "\n".join(parts), figures


def _each(rows: Sequence[Row]) -> str:
    count = rows[0]["config"]["count"]
    return f"{count} {'episode' if count == 1 else 'episodes'} a family"


def _robustness_rows(rows: Sequence[Row]) -> str:
    names = (row["curve"] if row["curve"] == row["label"] else f"{row['curve']}: {row['label']}" for row in rows)
    lines = (_rate(name, row["mean_both"], row["mean_ci95"], row["episodes"]) for name, row in zip(names, rows, strict=True))
    return f'<div class="board rates">{"".join(lines)}</div>'


def _strip(value: float, ci95: Sequence[float]) -> str:
    low, high = ci95
    inner = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i><b style="left:{100 * value:.1f}%"></b>'
    return f'<span class="strip" title="{_percent(value)}, 95 % interval {_percent(low)} to {_percent(high)}">{inner}</span>'


def _value(value: float, ci95: Sequence[float]) -> str:
    return f'<span class="value">{_percent(value)}</span><span class="ci">{100 * ci95[0]:.0f} to {100 * ci95[1]:.0f}</span>'


def _poor(value: float) -> str:
    return " poor" if value < POOR else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _spaced(name: str) -> str:
    return name.replace("_", " ")
