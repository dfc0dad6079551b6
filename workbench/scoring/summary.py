"""Many outcomes as the tables people read: rates with intervals, latencies with the events they run between, and false starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.scenarios.timer import CURVE_S
from workbench.scoring.score import Outcome, Score, mean_interval, quantile, wilson


@dataclass(frozen=True)
class Rate:
    """A named share of outcomes: which count, and which of them hit."""

    name: str
    counts: Callable[[Outcome], bool]
    hits: Callable[[Outcome], bool]

    def of(self, outcomes: Iterable[Outcome]) -> Score | None:
        """The rate with its interval in the explanation; None when nothing counts."""
        counted = [o for o in outcomes if self.counts(o)]
        if not counted:
            return None
        hits = sum(self.hits(o) for o in counted)
        low, high = wilson(hits, len(counted))
        text = f"{hits} of {len(counted)}, 95 % interval {low:.3f} to {high:.3f}"
        return Score(name=self.name, value=hits / len(counted), explanation=text, n=len(counted))


@dataclass(frozen=True)
class Latency:
    """A named time between two events, in seconds."""

    name: str
    start: str
    end: str
    value: Callable[[Outcome], float | None]

    def of(self, outcomes: Iterable[Outcome]) -> dict[str, Any] | None:
        """Median, 95th percentile and number, with the events it runs from and to; None without values."""
        values = [v for o in outcomes if (v := self.value(o)) is not None]
        if not values:
            return None
        return {"median": quantile(values, 0.5), "p95": quantile(values, 0.95), "n": len(values), "from": self.start, "to": self.end}


def _is(what: str, *tags: str) -> Callable[[Outcome], bool]:
    return lambda o: o.what == what and all(tag in o.tags for tag in tags)


def _right(o: Outcome) -> bool:
    return o.meaning


def _carried(o: Outcome) -> bool:
    return bool(o.carried)


def _within(limit_s: float) -> Callable[[Outcome], bool]:
    return lambda o: o.meaning and o.error_s is not None and abs(o.error_s) <= limit_s + 1e-6


RATES: tuple[Rate, ...] = (
    Rate("replies within 1.0 s", _is("reply"), lambda o: o.acted),
    Rate("silent through thinking pauses", _is("silent", "pause"), _right),
    Rate("sum right, plain", _is("reply", "plain"), _right),
    Rate("sum right, after a thinking pause", _is("reply", "after_pause"), _right),
    Rate("sum right, after self-correction", _is("reply", "corrected"), _right),
    Rate("sum right, corrected at once", _is("reply", "corrected", "fast"), _right),
    Rate("sum right, corrected late", _is("reply", "corrected", "late"), _right),
    Rate("quiet within 1.0 s of stop", _is("yield"), lambda o: o.both),
    Rate("keeps counting through back-channels", _is("count", "backchannel"), _carried),
    Rate("keeps counting through other-directed speech", _is("count", "other_directed"), _carried),
    Rate("silent on other-directed speech", _is("silent", "other_directed"), _right),
    Rate("counts alone to the end", _is("count", "undisturbed"), _carried),
    *(Rate(f"timer within {limit_s} s", _is("time", "timer"), _within(limit_s)) for limit_s in CURVE_S),
    *(Rate(f"every N seconds, moments within {limit_s} s", _is("moment", "every_n"), _within(limit_s)) for limit_s in CURVE_S),
)

LATENCIES: tuple[Latency, ...] = (
    Latency("reply", "end of the question", "start of the first word", lambda o: o.latency_s if o.what == "reply" else None),
    Latency("count", "end of the request", "start of the first word", lambda o: o.latency_s if o.what == "count" else None),
    Latency("yield", "end of the word stop", "last agent sound", lambda o: o.latency_s if o.what == "yield" else None),
    Latency("yield_from_onset", "start of the word stop", "last agent sound", lambda o: o.onset_latency_s if o.what == "yield" else None),
    Latency(
        "timer_error",
        "the moment asked for",
        "start of the first word, early or late",
        lambda o: abs(o.error_s) if o.what == "time" and o.error_s is not None else None,
    ),
)


def rates(outcomes: Sequence[Outcome]) -> list[Score]:
    """Every rate that has cases, in the order of RATES."""
    return [score for rate in RATES if (score := rate.of(outcomes)) is not None]


def latencies(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Every latency that has values, by name."""
    return {latency.name: found for latency in LATENCIES if (found := latency.of(outcomes)) is not None}


def table(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts and shares of one family: n, meaning, timing, both, and the 95 % interval of both; `tags` the same per tag."""
    tags = sorted({tag for o in outcomes for tag in o.tags})
    return {**_shares(outcomes), "tags": {tag: _shares([o for o in outcomes if tag in o.tags]) for tag in tags}}


def summarise(by_family: Mapping[str, Sequence[Outcome]]) -> dict[str, Any]:
    """The families table, rates and latencies of outcomes grouped by family, ready for JSON."""
    everything = [o for found in by_family.values() for o in found]
    families = {name: table(found) for name, found in by_family.items()}
    both = [(row["both"], (row["ci95"][0], row["ci95"][1])) for row in families.values() if row["n"]]
    named = {r.name: {"value": r.value, "n": r.n, "ci95": list(wilson(round(r.value * r.n), r.n))} for r in rates(everything)}
    return {
        "families": families,
        "mean_both": sum(rate for rate, _ in both) / len(both) if both else 0.0,
        "mean_ci95": list(mean_interval(both)),
        "rates": named,
        "latency_s": latencies(everything),
    }


def _shares(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    n = len(outcomes)
    both = sum(o.both for o in outcomes)
    return {
        "n": n,
        "meaning": sum(o.meaning for o in outcomes) / n if n else 0.0,
        "timing": sum(o.timing for o in outcomes) / n if n else 0.0,
        "both": both / n if n else 0.0,
        "ci95": list(wilson(both, n)),
    }
