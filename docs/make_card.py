"""Write the tables of model/checkpoints/nano.md, and their rows in README.md, from two evaluations; the words around them stay as they are.

suites="--suite interaction --suite background --suite time-speak --suite cue-speak"
.venv/bin/microturn evaluate --voices unseen --count 100 $suites --out runs/unseen
.venv/bin/microturn evaluate --voices flite --count 100 $suites --out runs/flite
eight="--families answer,think_pause,self_correction,stop,backchannel,other_directed,timer,long_count"
.venv/bin/microturn evaluate $eight --robustness 12 --count 1 --out runs/robustness
.venv/bin/python docs/make_card.py runs/unseen/evaluation.json runs/flite/evaluation.json runs/robustness/robustness.json

What the tables say is kept beside the card, with the weights it was measured of; without arguments they are written from that again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CARD, SCORES = (ROOT / "model" / "checkpoints" / name for name in ("nano.md", "nano.scores.json"))
README = ROOT / "README.md"
BEGIN, END = "<!-- tables: docs/make_card.py -->", "<!-- end of tables -->"
SETS = ("unseen", "flite")
SUITES = ("background", "time-speak", "cue-speak")
WORDS = "word error rate of heard words"
RESTRAINT = "episodes without a false start"

Scores = Mapping[str, Any]  # by set of voices


def main(evaluations: Sequence[str]) -> None:
    if len(evaluations) not in (0, 3):
        sys.exit("give the evaluation.json of unseen and of flite voices and a robustness.json; or nothing, for tables of what is kept")
    if evaluations:
        *results, swept = (json.loads(Path(path).read_text(encoding="utf-8")) for path in evaluations)
        measured = {name: kept(result, name) for name, result in zip(SETS, results, strict=True)}
        measured["robustness"] = kept_points(swept, measured[SETS[0]]["weights"])
        SCORES.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    scores = json.loads(SCORES.read_text(encoding="utf-8"))
    for path, written in ((CARD, with_tables), (README, with_rows)):
        path.write_text(written(path.read_text(encoding="utf-8"), scores), encoding="utf-8")
    print(f"{CARD}, {README}: tables of {SCORES.name}")


def with_tables(card: str, scores: Scores) -> str:
    """The card with its tables made of these scores."""
    head, found, rest = card.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not (found and closed):
        sys.exit(f"the card has no place for tables; it wants a line {BEGIN} and a line {END}")
    tables = "\n".join([*families(scores), "", *rates(scores), "", *background(scores), "", *latencies(scores), "", *robustness(scores)])
    return f"{head}{BEGIN}\n\n{tables}\n\n{END}{tail}"


def with_rows(readme: str, scores: Scores) -> str:
    """The README with the rows of its table that are made of these scores."""
    lines = readme.split("\n")
    for row in headlines(scores):
        label = row[: row.index(" | ") + 3]
        found = [at for at, line in enumerate(lines) if line.startswith(label)]
        if len(found) != 1:
            sys.exit(f"the README has {len(found)} rows {label!r}; it wants one")
        lines[found[0]] = row
    return "\n".join(lines)


def headlines(scores: Scores) -> Iterator[str]:
    """What a reader sees first, of the same numbers."""

    def per_cent(name: str, digits: int = 0) -> list[str]:
        return [f"{100 * of['rates'][name]['value']:.{digits}f}" for of in _sets(scores)]

    def both(one: str, other: str, digits: int = 0) -> Iterator[str]:
        return (f"{a} / {b} %" for a, b in zip(per_cent(one, digits), per_cent(other, digits), strict=True))

    def took(name: str) -> list[str]:
        return [f"{of['latency_s'][name]['median']:.2f}" for of in _sets(scores)]

    work = [{score["name"]: score for score in of["suites"]["background"]} for of in _sets(scores)]
    over = [of["results over the user"] for of in work]
    beside = [of["small talk while work runs, ratio of median latencies"]["value"] for of in work]
    count, yielded = len(scores[SETS[0]]["families"]), [of["latency_s"]["yield"] for of in _sets(scores)]
    means = (f"{100 * of['mean_both']:.1f} %" for of in _sets(scores))
    yield _row(f"meaning and timing both right, mean of {count} families", means)
    yield _row("reply, from the end of the question, median", (f"{s} s" for s in took("reply")))
    yield _row("keeps silent through a thinking pause", (f"{p} %" for p in per_cent("silent through thinking pauses")))
    yield _row("sum right, plain / after self-correction", both("sum right, plain", "sum right, after self-correction", 1))
    yield _row('silent after "stop", median and 95th percentile', (f"{of['median']:.2f}, {of['p95']:.2f} s" for of in yielded))
    through = ("keeps counting through back-channels", "keeps counting through other-directed speech")
    yield _row('keeps counting through "mhm" / through speech to others', both(*through))
    translated = zip(per_cent("translated words right", 1), took("translation"), strict=True)
    yield _row("words translated while the user speaks, lag", (f"{p} %, {s} s" for p, s in translated))
    yield _row("repetitions of a figure counted within one", (f"{per_cent('repetitions counted within one')[0]} %", "(pictures)"))
    said = both("asks the background rightly", "says the result")
    yield _row("asks the background for the right thing / says the result, in time", said)
    yield _row("results begun while the user spoke", (f"{round(score['value'] * score['n'])} of {score['n']}" for score in over))
    sums = zip(per_cent("sum right, while work runs"), beside, strict=True)
    yield _row("sums asked while work runs: right, time against those without work", (f"{p} %, {ratio:.2f}" for p, ratio in sums))
    yield _row("answers to a cue word it was given", (f"{p} %" for p in per_cent("speaks at a cue", 1)))
    yield _row("word error rate of what it heard", (f"{100 * of['heard_words']['word_error_rate']:.1f} %" for of in _sets(scores)))


def kept(result: Mapping[str, Any], voices: str) -> dict[str, Any]:
    """What of an evaluation the card rests on. Exits where it is not of these voices."""
    if result["voices"] != voices:
        sys.exit(f"this evaluation is of {result['voices']} voices; give one of {voices}")
    only = {"mean_both", "mean_ci95", "heard_words", "restraint", "seed", "episodes"}
    return {
        "weights": result["config"]["agent"]["weights"],
        "count": result["config"]["count"],
        **{name: result[name] for name in sorted(only)},
        "families": {name: {key: row[key] for key in ("group", "n", "both", "ci95")} for name, row in result["families"].items()},
        "rates": {name: {key: row[key] for key in ("value", "n", "ci95")} for name, row in result["rates"].items()},
        "latency_s": {name: {k: row[k] for k in ("median", "ci95", "p95", "n", "from", "to")} for name, row in result["latency_s"].items()},
        "suites": {suite: [_score(score) for score in result["suites"][suite]] for suite in SUITES},
    }


def _score(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: score[key] for key in ("name", "value", "n", "interval", "unit")}


def kept_points(swept: Mapping[str, Any], weights: str) -> list[dict[str, Any]]:
    """What of a sweep over conditions the card and its figure rest on. Exits where it is not of these weights."""
    if {point["config"]["agent"]["weights"] for point in swept["points"]} != {weights}:
        sys.exit("the sweep over conditions is of other weights than the evaluation; run it again")
    rows = []
    for point in swept["points"]:
        each = {name: {key: row[key] for key in ("n", "both", "ci95")} for name, row in point["families"].items()}
        rows.append({**{key: point[key] for key in ("curve", "label", "setting", "episodes", "mean_both", "mean_ci95")}, "families": each})
    return rows


def families(scores: Scores) -> Iterator[str]:
    """Meaning and timing of every family, group by group."""
    yield from ("| family | unseen espeak-ng voices | flite voices (awb, rms, kal16) |", "|---|---|---|")
    first = scores[SETS[0]]["families"]
    for group in dict.fromkeys(row["group"] for row in first.values()):
        yield f"| *{group}* | | |"
        for name in (name for name, row in first.items() if row["group"] == group):
            yield _row(name, (share(of["families"][name], "both") for of in _sets(scores)))
    means = (f"{100 * of['mean_both']:.1f} % ({of['mean_ci95'][0] * 100:.1f} to {of['mean_ci95'][1] * 100:.1f})" for of in _sets(scores))
    yield _row(f"**mean of the {len(first)} families**", means)


def rates(scores: Scores) -> Iterator[str]:
    """How often it does what, its errors of hearing, and its restraint."""
    yield from ("| | unseen | flite |", "|---|---|---|")
    for name in scores[SETS[0]]["rates"]:
        yield _row(name, (share(of["rates"][name], "value") for of in _sets(scores)))
    heard = [of["heard_words"] for of in _sets(scores)]
    yield _row(WORDS, (f"{100 * of['word_error_rate']:.1f} % of {of['words']} words {_tenths(of['ci95'])}" for of in heard))
    yield _row(RESTRAINT, (share(of["restraint"], "value") for of in _sets(scores)))


def background(scores: Scores) -> Iterator[str]:
    """What became of the work that it asked for."""
    yield from ("`--suite background`:", "", "| | unseen | flite |", "|---|---|---|")
    each = [{score["name"]: score for score in of["suites"]["background"]} for of in _sets(scores)]
    for name in each[0]:
        yield _row(name, (_measured(of[name]) for of in each))


def latencies(scores: Scores) -> Iterator[str]:
    """From when to when, in seconds."""
    yield from ("| median and 95th percentile | unseen | flite |", "|---|---|---|")
    for name, row in scores[SETS[0]]["latency_s"].items():
        cells = (
            f"{of['median']:.2f} ({of['ci95'][0]:.2f} to {of['ci95'][1]:.2f}), {of['p95']:.2f} s (n {of['n']})"
            for of in (every["latency_s"][name] for every in _sets(scores))
        )
        yield _row(f"{name.replace('_', ' ')}: {row['from']} to {row['to']}", cells)


def robustness(scores: Scores) -> Iterator[str]:
    """What is left of eight families in noise, behind faulty channels and in rooms."""
    first, *_ = points = scores["robustness"]
    played = f"{first['episodes']} sessions a condition, unseen voices"
    yield f"`--robustness`: both right in the mean of {len(first['families'])} families, {played}:"
    yield from ("", "| condition | |", "|---|---|")
    for point in points:
        low, high = point["mean_ci95"]
        name = point["curve"] if point["label"] == point["curve"] else f"{point['curve']}: {point['label']}"
        yield _row(name, (f"{100 * point['mean_both']:.1f} % ({100 * low:.0f} to {100 * high:.0f})",))


def share(row: Mapping[str, Any], value: str) -> str:
    """A share with its count and its interval, in per cent."""
    low, high = row.get("ci95") or row["interval"]
    return f"{100 * row[value]:.1f} % of {row['n']} ({100 * low:.0f} to {100 * high:.0f})"


def _measured(score: Mapping[str, Any]) -> str:
    if score["value"] is None:
        return ""
    if not score["name"].startswith("cost per solved task") and "ratio" not in score["name"]:
        return share(score, "value")
    digits = 2 if "ratio" in score["name"] or score["unit"] else 1
    value, low, high = (f"{number:.{digits}f}" for number in (score["value"], *score["interval"]))
    return f"{value}{score['unit'] and ' '}{score['unit']} ({low} to {high}), n {score['n']}"


def _tenths(interval: Sequence[float]) -> str:
    return f"({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _sets(scores: Scores) -> list[Mapping[str, Any]]:
    return [scores[name] for name in SETS]


def _row(label: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join((label, *cells))} |"


if __name__ == "__main__":
    main(sys.argv[1:])
