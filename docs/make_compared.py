"""Write the tables of docs/compared.md from the results of one evaluation; the words around them are left as they are.

.venv/bin/microturn evaluate --agent nano --agent pipeline ... --out runs/compared
.venv/bin/python docs/make_compared.py runs/compared/comparison.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("compared.md")
BEGIN, END = "<!-- tables: docs/make_compared.py -->", "<!-- end of tables -->"
LEFT_OUT = ", round "  # of a suite's scores: the same by rounds

Agents = Mapping[str, Mapping[str, Any]]


def main(results: str) -> None:
    agents: Agents = json.loads(Path(results).read_text(encoding="utf-8"))["agents"]
    head, found, rest = TARGET.read_text(encoding="utf-8").partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not (found and closed):
        sys.exit(f"{TARGET} has no place for tables; it wants a line {BEGIN} and a line {END}")
    tables = "\n".join([*families(agents), "", *latencies(agents), "", *suites(agents)])
    TARGET.write_text(f"{head}{BEGIN}\n\n{tables}\n\n{END}{tail}", encoding="utf-8")
    print(f"{TARGET}: {len(agents)} agents")


def families(agents: Agents) -> Iterator[str]:
    yield "## Meaning and time window both right, %\n"
    yield from _header("family", agents)
    yield _row("**mean of all families**", agents, lambda a: f"{100 * a['mean_both']:.1f} ({_ends(a['mean_ci95'], 100, 1)})")
    first = next(iter(agents.values()))["families"]
    for group in dict.fromkeys(family["group"] for family in first.values()):
        yield _row(f"*{group}*", agents, lambda _: "")
        for name in (name for name, family in first.items() if family["group"] == group):
            yield _row(name, agents, lambda a, name=name: _family(a["families"][name]))


def latencies(agents: Agents) -> Iterator[str]:
    yield "## Latencies, median and 95th percentile in seconds\n"
    yield from _header("from, to", agents)
    names = dict.fromkeys(name for agent in agents.values() for name in agent["latency_s"])
    for name in names:
        known = next(agent["latency_s"][name] for agent in agents.values() if name in agent["latency_s"])
        label = f"{name.replace('_', ' ')}: {known['from']} to {known['to']}"
        yield _row(label, agents, lambda a, name=name: _latency(a["latency_s"].get(name)))


def suites(agents: Agents) -> Iterator[str]:
    yield "## The field's suites\n"
    yield from _header("score", agents)
    first = next(iter(agents.values()))["suites"]
    for suite, scores in first.items():
        for score in scores:
            cells = {agent: _found(results["suites"].get(suite, ()), score["name"]) for agent, results in agents.items()}
            if LEFT_OUT in score["name"] or all(cell is None or not cell["n"] for cell in cells.values()):
                continue
            unit = f", {score['unit']}" if score["unit"] else ""
            yield f"| {suite}: {score['name']}{unit} | " + " | ".join(_score(cell) for cell in cells.values()) + " |"


def _header(first: str, agents: Agents) -> Iterator[str]:
    yield f"| {first} | " + " | ".join(agents) + " |"
    yield "|---" * (len(agents) + 1) + "|"


def _row(label: str, agents: Agents, cell: Callable[[Mapping[str, Any]], str]) -> str:
    return f"| {label} | " + " | ".join(cell(agent) for agent in agents.values()) + " |"


def _family(family: Mapping[str, Any]) -> str:
    return f"{100 * family['both']:.1f} ({_ends(family['ci95'], 100, 0)}), n {family['n']}" if family["n"] else ""


def _latency(latency: Mapping[str, Any] | None) -> str:
    if not latency or not latency["n"]:
        return ""
    median, late = _ends(latency["ci95"], 1, 2), _ends(latency["p95_ci95"], 1, 2)
    return f"{latency['median']:.2f} ({median}), {latency['p95']:.2f} ({late}), n {latency['n']}"


def _found(scores: Any, name: str) -> Mapping[str, Any] | None:
    return next((score for score in scores if score["name"] == name), None)


def _score(score: Mapping[str, Any] | None) -> str:
    if score is None or score["value"] is None or not score["n"]:
        return ""
    ends = " ({} to {})".format(*map(_number, score["interval"])) if score["interval"] else ""
    return f"{_number(score['value'])}{ends}, n {score['n']}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ends(ends: Any, times: float, digits: int) -> str:
    return f"{times * ends[0]:.{digits}f} to {times * ends[1]:.{digits}f}"


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
