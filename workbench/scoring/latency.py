"""Latencies that say what they are: each names its start and its end event, what lies between, and how people do where that is known.

Two numbers called "response latency" differ by hundreds of milliseconds if one starts at the last sample of the user's voice and the other
where a detector, after its hang-over, said that the user had stopped. So a latency without its two events is not reported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from workbench.events import DeadlineMissed
from workbench.packets import rng_for
from workbench.scoring.interaction import judged
from workbench.scoring.measured import TICKS, Case, Measured, Moment, drawn_how, mean
from workbench.scoring.people import (
    ANSWER,
    ANSWER_MEDIAN,
    FLOOR_TRANSFER,
    FLOOR_TRANSFER_OF_CALLS,
    OVERLAP,
    OVERLAPPED,
    OVERLAPPED_ELSEWHERE,
    Band,
    told,
)
from workbench.scoring.reading import Reading, read, words_from
from workbench.scoring.resample import DRAWS, Interval, drawn_quantiles, percentiles, times_drawn
from workbench.scoring.score import Outcome, quantile
from workbench.trace import Trace
from workbench.version import VERSION

OURS = {"benchmark": "latency report", "revision": f"microturn {VERSION}", "source": words_from()}
SHARES = (0.5, 0.95)
TURN_GAP_S = 0.2  # of people's reference: words further apart are two turns
TRANSFER = "floor transfer"
Span: TypeAlias = tuple[float, float]

SIMULATED = ("the rest of the micro-turn in which the start falls", "the agent's decision in micro-turns", "the pause inside its own voice")
NOT_TIMED = ("network", "sound card and loudspeaker", "computing, beyond what the session's pace lets through")


@dataclass(frozen=True, kw_only=True)
class LatencySpec:
    """One latency: its name, the two events, what it includes and excludes, and people's band.

    `spans` finds it in what was read of a trace and in how its expectations were met.
    """

    name: str
    start: str
    end: str
    spans: Callable[[Reading, Sequence[Outcome]], list[Span]]
    includes: tuple[str, ...] = SIMULATED
    excludes: tuple[str, ...] = NOT_TIMED
    people: tuple[Band, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LatencyReport:
    """One latency over many sessions: median and 95th percentile, each with its interval and its moments, and the words around it."""

    spec: LatencySpec
    median: Measured
    p95: Measured
    early: int  # how many are below zero: the agent began before the start event
    late_ticks: int  # micro-turns that missed their deadline in these sessions: with any, wall time was longer than what is reported

    def sentence(self) -> str:
        """The report in a line that can be quoted."""
        spec, middle, late = self.spec, self.median.interval, self.p95.interval
        if middle is None or late is None:
            return f"{spec.name}: no case of {spec.start} followed by {spec.end}"
        people = f"; people: {'; '.join(band.text() for band in spec.people)}" if spec.people else ""
        return (
            f"{spec.name}: median {self.median.value:.2f} s (95 % interval {middle[0]:.2f} to {middle[1]:.2f}), 95th percentile "
            f"{self.p95.value:.2f} s ({late[0]:.2f} to {late[1]:.2f}), {self.median.n} cases in {self.median.sessions} sessions, "
            f"from {spec.start} to {spec.end}; includes "
            f"{', '.join(spec.includes)}; not {', '.join(spec.excludes)}{people}"
        )


def _judged(counts: Callable[[Outcome], bool]) -> Callable[[Reading, Sequence[Outcome]], list[Span]]:
    def spans(reading: Reading, outcomes: Sequence[Outcome]) -> list[Span]:
        anchors = reading.anchors_s
        return [(anchors[o.id], anchors[o.id] + o.latency_s) for o in outcomes if o.latency_s is not None and counts(o)]

    return spans


def _overlaps(reading: Reading, outcomes: Sequence[Outcome]) -> list[Span]:
    """From the start of the word that is to stop the agent to the end of its last sound."""
    anchors = reading.anchors_s
    found = [(anchors[o.id], o.latency_s, o.onset_latency_s) for o in outcomes if o.what == "yield"]
    return [(end + late - onset, end + late) for end, late, onset in found if late is not None and onset is not None]


def _transfers(reading: Reading, _: Sequence[Outcome]) -> list[Span]:
    """From the end of the user's last true word before a turn of the agent to the start of that turn, its first sound.

    A turn of the agent begins with a sound that starts over TURN_GAP_S after its last; one that begins inside a word of the user gives a
    negative offset to the end of that word. Each end of the user counts once.
    """
    ends: dict[float, float] = {}
    user = [(w.start_s, w.end_s) for w in reading.truth if w.speaker == "user"]
    quiet_from_s = -np.inf
    for start_s, end_s in reading.sounds:
        before = [end for begin, end in user if begin <= start_s]
        if start_s - quiet_from_s > TURN_GAP_S and before and max(before) > quiet_from_s:
            ends.setdefault(max(before), start_s)
        quiet_from_s = end_s
    return sorted(ends.items())


LATENCY_SPECS: tuple[LatencySpec, ...] = (
    LatencySpec(
        name=TRANSFER,
        start="end of the user's last word (truth)",
        end="first sound of the agent's turn",
        spans=_transfers,
        people=(FLOOR_TRANSFER, FLOOR_TRANSFER_OF_CALLS),
    ),
    LatencySpec(
        name="reply",
        start="end of the question (truth)",
        end="start of the agent's first word",
        spans=_judged(lambda o: o.what == "reply"),
        people=(ANSWER_MEDIAN, ANSWER),
    ),
    LatencySpec(
        name="right reply",
        start="end of the question (truth)",
        end="start of the agent's first word, where it is right",
        spans=_judged(lambda o: o.what == "reply" and o.meaning),
    ),
    LatencySpec(
        name="yield",
        start="end of the word that stops it (truth)",
        end="end of the agent's last sound",
        spans=_judged(lambda o: o.what == "yield"),
        includes=("recognising the word after its end", "the agent's decision in micro-turns", "the sound already on its way"),
    ),
    LatencySpec(
        name="overlap at a yield",
        start="start of the word that stops it (truth)",
        end="end of the agent's last sound",
        spans=_overlaps,
        includes=("the word that stops it", "recognising it", "the agent's decision in micro-turns", "the sound already on its way"),
        people=(OVERLAP,),
    ),
)


@dataclass(frozen=True)
class Measurings:
    """What one session adds to a latency report: the spans of every latency by its name, and the ticks that missed their deadline."""

    spans: Mapping[str, tuple[Span, ...]]
    late_ticks: int


def measure(trace: Trace, specs: Sequence[LatencySpec] = LATENCY_SPECS) -> Measurings:
    """Every latency of one trace."""
    reading = read(trace)
    outcomes = judged(reading)
    late = sum(1 for _ in trace.events(DeadlineMissed))
    return Measurings({spec.name: tuple(spec.spans(reading, outcomes)) for spec in specs}, late)


def latency_report(sessions: Mapping[str, Measurings], specs: Sequence[LatencySpec] = LATENCY_SPECS, seed: int = 0) -> list[LatencyReport]:
    """One report a latency, over sessions by name; a latency without a case is reported as such, with NaN."""
    late = sum(found.late_ticks for found in sessions.values())
    return [_report(spec, {name: found.spans[spec.name] for name, found in sessions.items()}, late, seed) for spec in specs]


def _report(spec: LatencySpec, found: Mapping[str, Sequence[Span]], late: int, seed: int) -> LatencyReport:
    median, p95 = (_quantile(spec, found, share, seed) for share in SHARES)
    early = sum(end_s < start_s for spans in found.values() for start_s, end_s in spans)
    return LatencyReport(spec=spec, median=median, p95=p95, early=early, late_ticks=late)


def _quantile(spec: LatencySpec, found: Mapping[str, Sequence[Span]], share: float, seed: int) -> Measured:
    by_session = [[end_s - start_s for start_s, end_s in spans] for spans in found.values()]
    values = [value for session in by_session for value in session]
    value = quantile(values, share)
    moments = tuple(Moment(session=name, start_s=min(span), end_s=max(span)) for name, spans in found.items() for span in spans)
    return Measured(
        name=f"{spec.name}, {share:.0%} quantile",
        value=float("nan") if value is None else value,
        explanation=f"from {spec.start} to {spec.end}",
        evidence=tuple(TICKS.tick_at(moment.start_s) for moment in moments),
        n=len(values),
        interval=quantile_interval(by_session, share, seed),
        sessions=len(found),
        unit="s",
        moments=moments,
        setup={
            **OURS,
            "includes": spec.includes,
            "excludes": spec.excludes,
            "people": told(spec.people if share == SHARES[0] else ()),
            "bootstrap": drawn_how(seed),
        },
    )


def overlap_share(sessions: Mapping[str, Measurings], seed: int = 0) -> Measured:
    """The share of floor transfers that the agent begins before the user's last word has ended; its moments are those that it does."""
    cases = [
        Case(session=name, value=float(end_s < start_s), moment=(end_s, start_s) if end_s < start_s else None)
        for name, found in sessions.items()
        for start_s, end_s in found.spans.get(TRANSFER, ())
    ]
    setup = {**OURS, "of": "floor transfers, as the latency of that name", "people": told((OVERLAPPED, OVERLAPPED_ELSEWHERE))}
    says = "turns of the agent that begin before the user's last word has ended"
    return mean(f"{TRANSFER}, in overlap", cases, list(sessions), says=says, kind="share", setup=setup, seed=seed)


def quantile_interval(sessions: Sequence[Sequence[float]], share: float, seed: int = 0, draws: int = DRAWS) -> Interval | None:
    """The 95 % percentile interval of a quantile of pooled values, whole sessions drawn with replacement; None without values."""
    if not any(sessions):
        return None
    drawn = drawn_quantiles(sessions, times_drawn(rng_for(seed, 0, "bootstrap"), len(sessions), draws), share)
    return percentiles(drawn) if np.isfinite(drawn).any() else None
