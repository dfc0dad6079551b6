"""The Trace Event format of Chrome and Perfetto: lanes of what was said, decided and computed, on one time axis in microseconds.

Open the file in ui.perfetto.dev or chrome://tracing. Words, floor states and the windows of what was expected are complete events ("X"),
yields and gates are instants ("i"), probabilities are counters ("C"), and the stages of every tick are laid one after the other from its
beginning. Complete events of one lane must lie beside or inside each other (Perfetto drops one that ends inside another), so what overlaps
otherwise stands in a further lane of the same name: "expected", "expected 2". Times are whole microseconds, and letters stand as they are:
Perfetto shows "\\u00ef" as these six characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from workbench.events import Decision, ModelYielded, TickCost, TruthExpect, gates_in
from workbench.spoken import AGENT, heard_words, spoken_words
from workbench.trace import Trace

Row: TypeAlias = dict[str, Any]
FILES = ("session.trace.json",)
PROCESS = 1
HEARD, FLOOR, COST, EXPECTED = "heard by agent", "floor", "computing", "expected"


def write_chrome_trace(trace: Trace, folder: Path) -> list[Path]:
    """One file, session.trace.json."""
    lanes: dict[str, int] = {}
    rows = [{"pid": PROCESS, "tid": lanes.setdefault(lane, len(lanes) + 1), **row} for lane, row in _laned(_rows(trace))]
    header = trace.header
    names = [_named("process_name", f"microturn {header.labels.get('family', 'session')}")]
    names += [_named("thread_name", lane, number) for lane, number in lanes.items()]
    told = {"seed": header.seed, "labels": dict(header.labels), "tick_ms": header.clock.tick_ms, "versions": dict(header.versions)}
    path = folder / FILES[0]
    body = {"traceEvents": [*names, *rows], "displayTimeUnit": "ms", "otherData": told}
    path.write_text(json.dumps(body, default=str, ensure_ascii=False) + "\n", encoding="utf-8")
    return [path]


def _laned(rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    """Rows in order of time, the longer of two first, each with a lane in which it cuts no other in two."""
    busy: dict[str, list[int]] = {}  # ends of the events that are open in a lane, the innermost last
    for lane, row in sorted(rows, key=lambda found: (found[1]["ts"], -found[1].get("dur", 0))):
        if row["ph"] == "X":
            lane = _free(lane, row["ts"], row["ts"] + row["dur"], busy)
        yield lane, row


def _free(lane: str, start_us: int, end_us: int, busy: dict[str, list[int]]) -> str:
    """The lane, or the first of its further ones, in which an event fits beside or into what is open there; it is then open too."""
    number = 1
    while True:
        name = lane if number == 1 else f"{lane} {number}"
        open_ = [end for end in busy.get(name, ()) if end > start_us]
        if not open_ or open_[-1] >= end_us:
            busy[name] = [*open_, end_us]
            return name
        number += 1


def _named(what: str, name: str, lane: int = 0) -> Row:
    return {"ph": "M", "name": what, "pid": PROCESS, "tid": lane, "args": {"name": name}, "ts": 0}


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
    for turn in trace.turns:
        for gate in gates_in(turn.events):
            yield FLOOR, _instant(f"gate {gate.name}", clock.seconds(turn.tick), wanted=gate.wanted, done=gate.done, reason=gate.reason)
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
    return {"ph": "X", "name": name, "ts": _us(start_s), "dur": max(0, _us(end_s) - _us(start_s)), "args": told}


def _instant(name: str, at_s: float, **told: object) -> Row:
    return {"ph": "i", "name": name, "ts": _us(at_s), "s": "t", "args": told}


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
