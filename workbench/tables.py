"""An evaluation as tables for a terminal: every number with its 95 % interval.

Two kinds of numbers are written in two ways. A share is one of 0 to 1, with three decimals (`share_text`, which refuses all else). A score
of a suite may be a share, a count, a ratio or a time: it stands as it is, with its unit (`score_text`), and is never made a percentage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from workbench.scoring.measured import Measured


def evaluation_tables(whole: Mapping[str, Any]) -> Group:
    """Families, rates and latencies of `workbench.evaluate.Report.to_json()`, one table each."""
    title = f"{whole['agent']} on {whole['voices']} voices, {whole['episodes']} episodes"
    return Group(families_table(whole, title), _rates_table(whole), _latency_table(whole))


def sweep_table(swept: Mapping[str, Any]) -> Table:
    """One line a setting of `workbench.sweeps.Sweep.to_json()`."""
    table = Table(title=f"{swept['sweep']}: {swept['points'][0]['config']['count']} episodes a family each")
    for name in ("", "setting", "both, mean", "95 % interval", "replies within 1.0 s", "reply median, s", "no false start"):
        table.add_column(name, justify="left" if name in ("", "setting") else "right")
    for row in swept["points"]:
        replies, reply = row["rates"].get("replies within 1.0 s"), row["latency_s"].get("reply")
        table.add_row(
            row["curve"],
            row["label"],
            share_text(row["mean_both"]),
            interval_text(row["mean_ci95"]),
            share_text(replies["value"]) if replies else "",
            f"{reply['median']:.2f}" if reply else "",
            share_text(row["restraint"]["value"]),
        )
    return table


def suite_table(name: str, found: Sequence[Measured]) -> Table:
    """The scores of one suite: value, interval, cases and sessions, and the rule."""
    table = Table(title=name, title_justify="left")
    for column in ("score", "value", "95 % interval", "n", "sessions", "what it counts"):
        table.add_column(column, justify="left" if column in ("score", "what it counts") else "right", overflow="fold")
    for one in found:
        says = one.explanation.split(": ")[0].replace("[", r"\[")
        table.add_row(one.name, score_text(one.value, one.unit), interval_text(one.interval), str(one.n), str(one.sessions), says)
    _add_people(table, {one.name: one.setup for one in found})
    return table


def _add_people(table: Table, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Below a table how people do, of setups of scores or rows of latencies by name; of several that know the same once."""
    known: dict[str, list[str]] = {}
    for name, one in told.items():
        for band in one.get("people") or ():
            known.setdefault(band["short"], []).append(name)
    if known:
        table.caption = "\n".join(f"people, beside {names[0]}: {short}" for short, names in known.items())
        table.caption_justify = "left"


def share_text(share: float) -> str:
    """A share of 0 to 1 with three decimals. Raises ValueError for a count or a ratio, which is no share."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{share:g} is no share of 0 to 1; write a count, a ratio or a time with score_text")
    return f"{share:.3f}"


def score_text(value: float | None, unit: str = "") -> str:
    """A score as it is, with three decimals and its unit; empty where it has no case. Sixty micro-turns a task are 60.000."""
    return "" if value is None or not math.isfinite(value) else f"{value:.3f}{unit and ' ' + unit}"


def interval_text(interval: Sequence[float] | None, decimals: int = 3) -> str:
    """The ends of an interval, as they are; empty where there is none."""
    return "" if interval is None else " to ".join(f"{end:.{decimals}f}" for end in interval)


def comparison_table(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Several agents side by side, one column each, of `workbench.evaluate.Report.to_json()`: families, rates, latencies, then suites."""
    columns = [_column(whole) for whole in reports.values()]
    table = Table(title="same scenarios, seeds and voices", title_justify="left")
    table.add_column("")
    for name in reports:
        table.add_column(name, justify="right")
    for row in dict.fromkeys(row for column in columns for row in column):
        table.add_row(row, *(column.get(row, "") for column in columns))
    return table


def _column(whole: Mapping[str, Any]) -> dict[str, str]:
    """One agent's numbers by the name of their row, each with its 95 % interval in brackets."""

    def bracketed(text: str, interval: Sequence[float] | None, decimals: int = 3) -> str:
        return text + (f" ({interval_text(interval, decimals).replace(' to ', '-')})" if text and interval else "")

    found = {"all families, both": bracketed(share_text(whole["mean_both"]), whole["mean_ci95"])}
    found |= {f"{name}, both": bracketed(share_text(row["both"]), row["ci95"]) for name, row in whole["families"].items()}
    found |= {name: bracketed(share_text(row["value"]), row["ci95"]) for name, row in whole["rates"].items()}
    found |= {f"{name}, median s": bracketed(f"{row['median']:.2f}", row["ci95"], 2) for name, row in whole["latency_s"].items()}
    for name, scores in whole["suites"].items():
        for one in scores:
            text = bracketed(score_text(one["value"]), one["interval"])
            found[f"{name}: {one['name']}{one['unit'] and ', ' + one['unit']}"] = text
    return found


def families_table(whole: Mapping[str, Any], title: str | None = None) -> Table:
    """Families by group, with the mean of each group, of `workbench.scoring.summary.summarise`."""
    table = Table(title=title)
    for name in ("group", "family", "n", "sessions", "meaning", "timing", "both", "95 % interval"):
        table.add_column(name, justify="left" if name in ("group", "family") else "right")
    for group, found in whole["groups"].items():
        for place, (name, row) in enumerate((name, row) for name, row in whole["families"].items() if row["group"] == group):
            shares = (share_text(row[key]) for key in ("meaning", "timing", "both"))
            numbers = (str(row["n"]), str(row["sessions"]), *shares, interval_text(row["ci95"]))
            table.add_row("" if place else group.replace("_", " "), name, *numbers)
        mean = (share_text(found["mean_both"]), interval_text(found["ci95"]))
        table.add_row("", "mean", "", "", "", "", *mean, style="dim", end_section=True)
    table.add_row("all", "mean", "", "", "", "", share_text(whole["mean_both"]), interval_text(whole["mean_ci95"]))
    return table


def _rates_table(whole: Mapping[str, Any]) -> Table:
    table = Table()
    for name in ("rate", "n", "sessions", "value", "95 % interval"):
        table.add_column(name, justify="left" if name == "rate" else "right")
    rows = {**whole["rates"], "episodes without a false start": whole["restraint"]}
    for name, row in rows.items():
        table.add_row(name, str(row["n"]), str(row["sessions"]), share_text(row["value"]), interval_text(row["ci95"]))
    heard = whole["heard_words"]
    if heard["word_error_rate"] is not None:
        numbers = (str(heard["words"]), str(heard["sessions"]), score_text(heard["word_error_rate"]), interval_text(heard["ci95"]))
        table.add_row("word error rate of heard words", *numbers)
    for kind, number in whole["false_starts"].items():
        interval = interval_text(whole["false_starts_ci95"][kind], 0)
        table.add_row(f"false starts: words {kind}", "", str(whole["episodes"]), str(number), interval)
    return table


def _latency_table(whole: Mapping[str, Any]) -> Table:
    table = Table()
    for name in ("latency, s", "from", "to", "n", "median", "95 % interval", "95th percentile", "95 % interval"):
        table.add_column(name, justify="left" if name in ("latency, s", "from", "to") else "right")
    for name, row in whole["latency_s"].items():
        median, p95 = f"{row['median']:.2f}", f"{row['p95']:.2f}"
        ends = interval_text(row["ci95"], 2), interval_text(row.get("p95_ci95"), 2)
        table.add_row(name, row["from"], row["to"], str(row["n"]), median, ends[0], p95, ends[1])
    _add_people(table, whole["latency_s"])
    return table
