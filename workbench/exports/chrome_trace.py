"""The Trace Event format of Chrome and Perfetto: lanes of what was said, decided and computed, on one time axis in microseconds.

Open the file in ui.perfetto.dev or chrome://tracing. Words and floor states are complete events ("X"), yields, gates and what was expected
are instants ("i"), probabilities are counters ("C"), and the stages of every tick are laid one after the other from its beginning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from workbench.events import Decision, ModelYielded, TickCost, TruthExpect
from workbench.spoken import AGENT, heard_words, spoken_words
from workbench.trace import Trace

Row: TypeAlias = dict[str, Any]
PROCESS = 1
HEARD, FLOOR, COST, EXPECTED = "heard by agent", "floor", "computing", "expected"


def write_chrome_trace(trace: Trace, folder: Path) -> list[Path]:
    """One file, session.trace.json."""
    lanes: dict[str, int] = {}
    rows = [_placed(row, lane, lanes) for lane, row in sorted(_rows(trace), key=lambda found: float(found[1]["ts"]))]
    names = [
        {"ph": "M", "name": "thread_name", "pid": PROCESS, "tid": number, "args": {"name": lane}, "ts": 0} for lane, number in lanes.items()
    ]
    header = trace.header
    told = {"seed": header.seed, "labels": dict(header.labels), "tick_ms": header.clock.tick_ms, "versions": dict(header.versions)}
    path = folder / "session.trace.json"
    body = {"traceEvents": [*names, *rows], "displayTimeUnit": "ms", "otherData": told}
    path.write_text(json.dumps(body, default=str) + "\n", encoding="utf-8")
    return [path]


def _placed(row: Row, lane: str, lanes: dict[str, int]) -> Row:
    return {"pid": PROCESS, "tid": lanes.setdefault(lane, len(lanes) + 1), **row}


def _rows(trace: Trace) -> Iterator[tuple[str, Row]]:
    for word in spoken_words(trace):
        yield word.speaker, _span(word.text, word.start_s, word.end_s)
    for word in heard_words(trace):
        yield HEARD, _span(word.text, word.start_s, word.end_s)
    clock = trace.header.clock
    for tick, decision in trace.events(Decision):
        start_s = clock.seconds(tick)
        yield FLOOR, _span(decision.floor, start_s, start_s + clock.tick_s, said=decision.said)
        chances = {"speak": decision.p_speak, "yield": decision.p_yield, "threshold": decision.threshold}
        yield FLOOR, {"ph": "C", "name": "p", "ts": _us(start_s), "args": chances}
        for gate in decision.gates:
            yield FLOOR, _instant(f"gate {gate.name}", start_s, wanted=gate.wanted, done=gate.done, reason=gate.reason)
    for tick, cost in trace.events(TickCost):
        at_s = clock.seconds(tick)
        for stage, ms in cost.stages_ms.items():
            yield COST, _span(stage, at_s, at_s + ms / 1000)
            at_s += ms / 1000
    for _, given_up in trace.events(ModelYielded):
        yield AGENT, _instant("yield", given_up.at_s, reason=given_up.reason, unsaid=given_up.unsaid)
    for _, expect in trace.events(TruthExpect):
        from_s = expect.anchor_s + expect.from_s
        yield EXPECTED, _span(f"{expect.what} {' '.join(expect.words)}".strip(), from_s, expect.anchor_s + expect.to_s, id=expect.id)


def _span(name: str, start_s: float, end_s: float, **told: object) -> Row:
    return {"ph": "X", "name": name, "ts": _us(start_s), "dur": max(0.0, _us(end_s - start_s)), "args": told}


def _instant(name: str, at_s: float, **told: object) -> Row:
    return {"ph": "i", "name": name, "ts": _us(at_s), "s": "t", "args": told}


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 1)
