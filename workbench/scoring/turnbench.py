"""TurnBench's events (Sesame, arXiv 2608.25218): ends of turn and interruptions, told when they are noticed, against what people marked.

Our code from their definitions. A positive is a moment with the window [t - 0.25 s, t + 3.0 s] (gold may name another), cut at the same
speaker's next later positive; predictions are given to positives one to one, each positive in order taking the earliest that nobody has
taken. A negative is a span; at most one false positive counts in [start - 0.25 s, end], and predictions inside the window of any positive
are exempt. Predictions inside an excluded span, where those who marked did not agree, count for nothing. Latency runs from the positive to
its prediction and may be negative.

Of a session of ours, what the agent does is what it has noticed: it commits to an end of turn where it begins to sound, and to an
interruption where it yields. Positives are ends of questions and requests, and the starts of what is to stop it; negatives the user's
thinking pauses, and back-channels and others' speech during a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np

from workbench.errors import InputError
from workbench.events import ModelYielded
from workbench.scoring.fdb_sample import joined
from workbench.scoring.latency import quantile_interval
from workbench.scoring.measured import TICKS, Case, Measured, Moment, drawn_how, mean
from workbench.scoring.reading import Reading, read, speech_runs, where_from
from workbench.trace import Trace

WINDOW = (0.25, 3.0)  # of a positive: how long before it and after it, in seconds; the published one
TURN_JOIN_S = 0.5  # sounds of the agent closer than this are one turn
REVISION = "0dda64e"  # of eval/score.py
BUDGET, SHARES = 0.1, (0.1, 0.5, 0.9)
Kind: TypeAlias = Literal["eot", "interruption"]
KINDS: tuple[Kind, ...] = ("eot", "interruption")
Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Marked:
    """What was marked of one speaker and kind: moments that are one, in order of time, spans that are none, and spans that are excluded.

    Two positives may be at one moment, as two overlapping interruptions may begin together.
    """

    positives: tuple[float, ...] = ()
    negatives: tuple[Span, ...] = ()
    excluded: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        if list(self.positives) != sorted(self.positives) or any(end < start for start, end in (*self.negatives, *self.excluded)):
            raise InputError(f"{self} has times that go back; positives must increase or be equal, and spans end after they start")


@dataclass(frozen=True)
class Matched:
    """How predictions met what was marked: (positive, prediction), positives that were missed, and negatives with and without an alarm."""

    taken: tuple[tuple[float, float], ...]
    missed: tuple[float, ...]
    alarms: tuple[Span, ...]
    quiet: tuple[Span, ...]


@dataclass(frozen=True)
class Noticed:
    """One session: what was marked and what was predicted, by kind, for each speaker; `source` says where either is from.

    `window` is that of its positives.
    """

    marked: Mapping[Kind, tuple[Marked, ...]] = field(default_factory=dict)
    predicted: Mapping[Kind, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    source: str = "unknown"
    window: Span = WINDOW


def match(marked: Marked, predictions: Sequence[float], window: Span = WINDOW) -> Matched:
    """The matching of one speaker and kind. Raises InputError unless predictions strictly increase."""
    if any(b <= a for a, b in pairwise(predictions)):
        raise InputError(f"predictions {list(predictions)[:8]} do not strictly increase; give each moment once, in order")
    counting = [p for p in predictions if not any(low <= p <= high for low, high in marked.excluded)]
    later = [next((t for t in marked.positives[at:] if t > positive), float("inf")) for at, positive in enumerate(marked.positives)]
    early_s, late_s = window
    windows = [(t - early_s, min(t + late_s, following)) for t, following in zip(marked.positives, later, strict=True)]
    left, taken, missed = list(counting), list[tuple[float, float]](), list[float]()
    for positive, (low, high) in zip(marked.positives, windows, strict=True):
        found = next((p for p in left if low <= p <= high), None)
        if found is None:
            missed.append(positive)
        else:
            left.remove(found)
            taken.append((positive, found))
    free = [p for p in counting if not any(low <= p <= high for low, high in windows)]
    alarms = tuple(span for span in marked.negatives if any(span[0] - early_s <= p <= span[1] for p in free))
    return Matched(tuple(taken), tuple(missed), alarms, tuple(span for span in marked.negatives if span not in alarms))


def noticed(trace: Trace) -> Noticed:
    """What a trace of ours marks and what its agent noticed, of the user as the only speaker."""
    reading = read(trace)
    sounds = joined(reading.sounds, TURN_JOIN_S)
    yields = sorted({e.at_s for _, e in trace.events(ModelYielded)})
    return Noticed(
        {"eot": (_turn_ends(reading),), "interruption": (_interruptions(reading),)},
        {"eot": (tuple(start for start, _ in sounds),), "interruption": (tuple(yields),)},
        f"marks: true words and expectations; predictions: yields, and {where_from('true words')}, its turns over {TURN_JOIN_S:g} s",
    )


def _turn_ends(reading: Reading) -> Marked:
    asks = sorted({o.expect.anchor_s for o in reading.opened if o.expect.what in ("reply", "count")})
    pauses = [o.expect for o in reading.opened if o.expect.what == "silent" and "pause" in o.expect.tags]
    return Marked(tuple(asks), tuple(sorted((e.anchor_s, e.anchor_s + e.to_s) for e in pauses)))


def _interruptions(reading: Reading) -> Marked:
    stops = sorted({o.begins_s for o in reading.opened if o.expect.what == "yield"})
    counts = [(o.expect.anchor_s, o.closes_s) for o in reading.opened if o.expect.what == "count"]
    begun = {o.begins_s for o in reading.opened}
    runs = [(run[0].start_s, run[-1].end_s) for run in speech_runs(reading.truth)]
    aside = [run for run in runs if run[0] not in begun and any(low <= run[0] < high for low, high in counts)]
    return Marked(tuple(stops), tuple(aside))


def turnbench(sessions: Mapping[str, Noticed], seed: int = 0) -> list[Measured]:
    """Recall, rate of false positives and latency (10th, 50th and 90th percentile, milliseconds) of either kind.

    The leaderboard ranks by recall those whose false positives stay within 10 % of the public part; earlier it ranked by median latency.
    Raises InputError for sessions of several windows.
    """
    windows = sorted({one.window for one in sessions.values()})
    if len(windows) > 1:
        told = " and ".join(f"{early_s:g} s before to {late_s:g} s after" for early_s, late_s in windows)
        raise InputError(f"positives have windows of {told} in one score; score conversations of one window at a time")
    early_s, late_s = windows[0] if windows else WINDOW
    setup = {
        "benchmark": "TurnBench",
        "revision": REVISION,
        "window_s": [-early_s, late_s],
        "budget of false positives": BUDGET,
        "source": sorted({one.source for one in sessions.values()}),
    }
    found: list[Measured] = []
    for kind in KINDS:
        matched = {
            key: [match(m, p, one.window) for m, p in zip(one.marked.get(kind, ()), one.predicted.get(kind, ()), strict=True)]
            for key, one in sessions.items()
        }
        found += _of_kind(kind, matched, late_s, setup, seed)
    return found


def _of_kind(kind: Kind, matched: Mapping[str, Sequence[Matched]], late_s: float, setup: Mapping[str, object], seed: int) -> list[Measured]:
    every = [(key, one) for key, ones in matched.items() for one in ones]
    hits = [Case(session=key, value=1.0, moment=pair) for key, one in every for pair in one.taken]
    hits += [Case(session=key, value=0.0, moment=(at, at + late_s)) for key, one in every for at in one.missed]
    alarms = [Case(session=key, value=1.0, moment=span) for key, one in every for span in one.alarms]
    alarms += [Case(session=key, value=0.0) for key, one in every for _ in one.quiet]
    return [
        mean(f"{kind}, recall", hits, list(matched), says="events noticed in their window", kind="share", setup=setup, seed=seed),
        mean(
            f"{kind}, false positives",
            alarms,
            list(matched),
            says="spans without an event in which one was told",
            kind="share",
            setup=setup,
            seed=seed,
        ),
        *(_latency(kind, matched, share, setup, seed) for share in SHARES),
    ]


def _latency(kind: Kind, matched: Mapping[str, Sequence[Matched]], share: float, setup: Mapping[str, object], seed: int) -> Measured:
    pairs = {key: [pair for one in ones for pair in one.taken] for key, ones in matched.items()}
    late_ms = [[1000 * (p - t) for t, p in found] for found in pairs.values()]
    values = [value for found in late_ms for value in found]
    moments = tuple(Moment(session=key, start_s=min(pair), end_s=max(pair)) for key, found in pairs.items() for pair in found)
    return Measured(
        name=f"{kind}, latency p{100 * share:.0f}",
        value=float(np.quantile(values, share)) if values else float("nan"),
        explanation="event to its prediction",
        evidence=tuple(TICKS.tick_at(max(0.0, m.start_s)) for m in moments),
        n=len(values),
        interval=quantile_interval(late_ms, share, seed),
        sessions=len(matched),
        unit="ms",
        moments=moments,
        setup={**setup, "bootstrap": drawn_how(seed)},
    )
