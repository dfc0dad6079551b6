"""An evaluation as tables for a terminal."""

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
        low, high = row["mean_ci95"]
        replies, reply = row["rates"].get("replies within 1.0 s"), row["latency_s"].get("reply")
        table.add_row(
            row["curve"],
            row["label"],
            f"{row['mean_both']:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{replies['value']:.3f}" if replies else "",
            f"{reply['median']:.2f}" if reply else "",
            f"{row['restraint']['value']:.3f}",
        )
    return table


def suite_table(name: str, found: Sequence[Measured]) -> Table:
    """The scores of one suite: value, interval, cases and sessions, and the rule."""
    table = Table(title=name, title_justify="left")
    for column in ("score", "value", "95 % interval", "n", "sessions", "what it counts"):
        table.add_column(column, justify="left" if column in ("score", "what it counts") else "right", overflow="fold")
    for one in found:
        value = f"{one.value:.3f}{one.unit and ' ' + one.unit}" if math.isfinite(one.value) else ""
        interval = f"{one.interval[0]:.3f} to {one.interval[1]:.3f}" if one.interval else ""
        table.add_row(one.name, value, interval, str(one.n), str(one.sessions), one.explanation.split(": ")[0].replace("[", r"\["))
    return table


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
    """One agent's numbers by the name of their row; a rate or family with its 95 % interval in brackets."""

    def with_interval(value: float, interval: Sequence[float] | None) -> str:
        return f"{value:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")

    found = {"all families, both": with_interval(whole["mean_both"], whole["mean_ci95"])}
    found |= {f"{name}, both": with_interval(row["both"], row["ci95"]) for name, row in whole["families"].items()}
    found |= {name: with_interval(row["value"], row["ci95"]) for name, row in whole["rates"].items()}
    found |= {f"{name}, median s": f"{row['median']:.2f}" for name, row in whole["latency_s"].items()}
    for name, scores in whole["suites"].items():
        for one in scores:
            value = "" if one["value"] is None else with_interval(one["value"], one["interval"])
            found[f"{name}: {one['name']}{one['unit'] and ', ' + one['unit']}"] = value
    return found


def families_table(whole: Mapping[str, Any], title: str | None = None) -> Table:
    """Families by group, with the mean of each group, of `workbench.scoring.summary.summarise`."""
    table = Table(title=title)
    for name in ("group", "family", "n", "meaning", "timing", "both", "95 % interval"):
        table.add_column(name, justify="left" if name in ("group", "family") else "right")
    for group, found in whole["groups"].items():
        for place, (name, row) in enumerate((name, row) for name, row in whole["families"].items() if row["group"] == group):
            low, high = row["ci95"]
            shares = (f"{row[key]:.3f}" for key in ("meaning", "timing", "both"))
            table.add_row("" if place else group.replace("_", " "), name, str(row["n"]), *shares, f"{low:.3f} to {high:.3f}")
        table.add_row("", "mean", "", "", "", f"{found['mean_both']:.3f}", "", style="dim", end_section=True)
    low, high = whole["mean_ci95"]
    table.add_row("all", "mean", "", "", "", f"{whole['mean_both']:.3f}", f"{low:.3f} to {high:.3f}")
    return table


def _rates_table(whole: Mapping[str, Any]) -> Table:
    table = Table()
    for name in ("rate", "n", "value", "95 % interval"):
        table.add_column(name, justify="left" if name == "rate" else "right")
    for name, row in whole["rates"].items():
        low, high = row["ci95"]
        table.add_row(name, str(row["n"]), f"{row['value']:.3f}", f"{low:.3f} to {high:.3f}")
    heard = whole["heard_words"]
    if heard["word_error_rate"] is not None:
        table.add_row("word error rate of heard words", str(heard["words"]), f"{heard['word_error_rate']:.3f}", "")
    for kind, number in whole["false_starts"].items():
        table.add_row(f"false starts: words {kind}", str(number), "", "")
    return table


def _latency_table(whole: Mapping[str, Any]) -> Table:
    table = Table()
    for name in ("latency, s", "from", "to", "n", "median", "95th percentile"):
        table.add_column(name, justify="right" if name in ("n", "median", "95th percentile") else "left")
    for name, row in whole["latency_s"].items():
        table.add_row(name, row["from"], row["to"], str(row["n"]), f"{row['median']:.2f}", f"{row['p95']:.2f}")
    return table
