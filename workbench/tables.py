"""An evaluation as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table


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
