"""Praat TextGrid: one interval tier per speaker, one for what the agent heard, one for its floor state, and point tiers for events.

Format: long text format of Praat; every interval tier covers 0 to the end without gaps or overlaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workbench.events import Decision, ModelYielded, TruthExpect, TruthWithdrawn
from workbench.spoken import AGENT, Spoken, agent_words, heard_words, spoken_words
from workbench.trace import Trace

FILES = ("session.TextGrid",)
SHORTEST_S = 1e-4
HEARD, FLOOR, YIELDS, EXPECTED, WITHDRAWN = "heard by agent", "floor", "yields", "expected", "withdrawn"
OWN_TIERS = frozenset((AGENT, HEARD, FLOOR, YIELDS, EXPECTED, WITHDRAWN))


@dataclass(frozen=True)
class Mark:
    """An interval (start_s < end_s) or, in a point tier, a moment (start_s)."""

    start_s: float
    end_s: float
    text: str


def write_textgrid(trace: Trace, folder: Path) -> list[Path]:
    """One file, session.TextGrid."""
    words = [word for word in spoken_words(trace) if word.speaker != AGENT]
    speakers: dict[str, list[Spoken]] = {_tier_of(word.speaker): [] for word in words} or {"user": []}
    for word in words:
        speakers[_tier_of(word.speaker)].append(word)
    speakers[AGENT] = agent_words(trace)
    spans = {name: [_mark(w) for w in said] for name, said in speakers.items()}
    spans[HEARD] = [_mark(w) for w in heard_words(trace)]
    spans[FLOOR] = _floor(trace)
    points = {
        YIELDS: [Mark(e.at_s, e.at_s, f"yield: {e.reason}") for _, e in trace.events(ModelYielded)],
        EXPECTED: [
            Mark(e.anchor_s, e.anchor_s, f"{e.what} {' '.join(e.words)} in {e.from_s:g} to {e.to_s:g} s".replace("  ", " "))
            for _, e in trace.events(TruthExpect)
        ],
        WITHDRAWN: [Mark(e.at_s, e.at_s, e.id) for _, e in trace.events(TruthWithdrawn)],
    }
    end_s = max([trace.duration_s, *(m.end_s for marks in (*spans.values(), *points.values()) for m in marks)])
    path = folder / FILES[0]
    path.write_text(_grid(spans, points, end_s), encoding="utf-8")
    return [path]


def tiled(marks: Iterable[Mark], end_s: float) -> list[Mark]:
    """Intervals that cover 0 to `end_s` without gap or overlap: an overlapped mark ends where the next begins, gaps are empty."""
    cut: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (m.start_s, m.end_s)):
        start_s = max(mark.start_s, 0.0)
        if cut and start_s < cut[-1].end_s:
            last = cut.pop()
            if start_s - last.start_s < SHORTEST_S:
                mark = Mark(last.start_s, max(last.end_s, mark.end_s), f"{last.text} {mark.text}")
                start_s = last.start_s
            else:
                cut.append(Mark(last.start_s, start_s, last.text))
        if mark.end_s - start_s >= SHORTEST_S:
            cut.append(Mark(start_s, mark.end_s, mark.text))
    whole: list[Mark] = []
    at_s = 0.0
    for mark in cut:
        if mark.start_s - at_s >= SHORTEST_S:
            whole.append(Mark(at_s, mark.start_s, ""))
            at_s = mark.start_s
        whole.append(Mark(at_s, mark.end_s, mark.text))
        at_s = mark.end_s
    if end_s - at_s >= SHORTEST_S or not whole:
        whole.append(Mark(at_s, end_s, ""))
    return whole


def _tier_of(speaker: str) -> str:
    """The tier of a person: names of tiers are told apart, so one who is called like a tier of ours gets a longer name."""
    name = _line(speaker) or "unknown"
    return f"speaker {name}" if name in OWN_TIERS else name


def _mark(word: Spoken) -> Mark:
    return Mark(word.start_s, word.end_s, word.text)


def _floor(trace: Trace) -> list[Mark]:
    clock = trace.header.clock
    marks: list[Mark] = []
    for tick, decision in trace.events(Decision):
        start_s, end_s = clock.seconds(tick), clock.seconds(tick + 1)
        if marks and marks[-1].text == decision.floor and start_s - marks[-1].end_s < SHORTEST_S:
            marks[-1] = Mark(marks[-1].start_s, end_s, decision.floor)
        else:
            marks.append(Mark(start_s, end_s, decision.floor))
    return marks


def _grid(spans: dict[str, list[Mark]], points: dict[str, list[Mark]], end_s: float) -> str:
    tiers = [_interval_tier(name, tiled(marks, end_s), end_s) for name, marks in spans.items()]
    tiers += [_point_tier(name, marks, end_s) for name, marks in points.items() if marks]
    head = (
        f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {_number(end_s)}\ntiers? <exists>\nsize = {len(tiers)}\n'
    )
    body = "".join(f"    item [{i}]:\n{tier}" for i, tier in enumerate(tiers, 1))
    return f"{head}item []:\n{body}"


def _interval_tier(name: str, marks: list[Mark], end_s: float) -> str:
    lines = _tier_head("IntervalTier", name, end_s, "intervals", len(marks))
    for i, mark in enumerate(marks, 1):
        lines += [f"        intervals [{i}]:", f"            xmin = {_number(mark.start_s)}", f"            xmax = {_number(mark.end_s)}"]
        lines += [f"            text = {_quoted(mark.text)}"]
    return "\n".join(lines) + "\n"


def _point_tier(name: str, marks: list[Mark], end_s: float) -> str:
    by_time: dict[str, list[str]] = {}
    for mark in sorted(marks, key=lambda m: m.start_s):
        by_time.setdefault(_number(mark.start_s), []).append(mark.text)
    lines = _tier_head("TextTier", name, end_s, "points", len(by_time))
    for i, (at, texts) in enumerate(by_time.items(), 1):
        lines += [f"        points [{i}]:", f"            number = {at}", f"            mark = {_quoted(' | '.join(texts))}"]
    return "\n".join(lines) + "\n"


def _tier_head(kind: str, name: str, end_s: float, what: str, count: int) -> list[str]:
    fields = [f'class = "{kind}"', f"name = {_quoted(name)}", "xmin = 0", f"xmax = {_number(end_s)}", f"{what}: size = {count}"]
    return [f"        {field}" for field in fields]


def _number(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + _line(text).replace('"', '""') + '"'


def _line(text: str) -> str:
    """The text on one line, without blanks around it: readers cut those off."""
    return " ".join(text.split())
