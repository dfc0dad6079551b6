"""A score over many sessions: with its interval, the moments that show it, and what it depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from workbench.clock import ClockSpec
from workbench.packets import rng_for
from workbench.scoring.score import Score

DRAWS = 2000
TICKS = ClockSpec()
Part: TypeAlias = tuple[float, float]  # what one session adds to the numerator and to the denominator of a mean
Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where to look: a session by its name, from when to when, in seconds of that session."""

    session: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Measured(Score):
    """A score with its 95 % interval, its moments and its setup: every setting, detector and rule that another choice of would move it.

    `n` counts cases (samples, turns, overlaps), `sessions` the sessions they come from. `value` is NaN and `interval` None without cases.
    """

    interval: Interval | None
    sessions: int
    unit: str = ""
    moments: tuple[Moment, ...] = ()
    setup: Mapping[str, object] = field(default_factory=dict)

    def rounded(self, decimals: int) -> Measured:
        """The same with its value rounded, as a benchmark prints it; the interval stays."""
        return replace(self, value=round(self.value, decimals))

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON-ready object; a value of no cases is null."""
        return {**asdict(self), "value": self.value if math.isfinite(self.value) else None}


def ratio(parts: Sequence[Part]) -> float:
    """Sum of numerators over sum of denominators: a mean of cases that are pooled over sessions; NaN without cases."""
    cases = sum(part[1] for part in parts)
    return sum(part[0] for part in parts) / cases if cases else float("nan")


def mean_of(strata: Sequence[Sequence[Part]]) -> float:
    """The unweighted mean of the ratios of several groups of sessions; NaN unless every group has cases."""
    return sum(ratio(parts) for parts in strata) / len(strata)


def bootstrap(strata: Sequence[Sequence[Part]], seed: int = 0, draws: int = DRAWS) -> Interval | None:
    """The 95 % percentile interval of `mean_of(strata)`, sessions drawn with replacement within each group (Efron, 1979).

    Whole sessions are drawn because cases of one session are not independent. Draws without a case in some group are left out; None if
    all are. The same seed gives the same interval. With rates of 0 or 1 it has no width: read it together with `n`.
    """
    means = np.mean([_drawn(parts, seed, at, draws) for at, parts in enumerate(strata)], axis=0)
    kept = means[np.isfinite(means)]
    if not len(kept):
        return None
    low, high = np.percentile(kept, (2.5, 97.5))
    return float(low), float(high)


def _drawn(parts: Sequence[Part], seed: int, group: int, draws: int) -> NDArray[np.float64]:
    """The ratio of `draws` drawn groups of sessions, (draws,)."""
    if not parts:
        return np.full(draws, np.nan)
    values = np.asarray(parts, np.float64)
    picked = rng_for(seed, group, "bootstrap").integers(len(values), size=(draws, len(values)))
    sums = values[picked].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], np.nan)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that was measured: in which session, its value, and where to look; no moment where nothing happened.

    `weight` is what it adds to the number of cases: 0 for what is counted by another thing, such as interruptions by turns.
    """

    session: str
    value: float
    moment: tuple[float, float] | None = None
    weight: int = 1


def mean(
    name: str, cases: Sequence[Case], sessions: Sequence[str], *, says: str, unit: str = "", setup: Mapping[str, object], seed: int = 0
) -> Measured:
    """The mean of cases pooled over sessions. `sessions` names every session looked at, those without a case too; `says` is the rule.

    `evidence` holds the tick (of 200 ms) in which each moment begins. Raises KeyError for a case of an unnamed session.
    """
    parts = dict.fromkeys(sessions, (0.0, 0.0))
    for case in cases:
        total, count = parts[case.session]
        parts[case.session] = (total + case.value, count + case.weight)
    strata = [list(parts.values())]
    value, interval = mean_of(strata), bootstrap(strata, seed)
    moments = tuple(Moment(session=c.session, start_s=c.moment[0], end_s=c.moment[1]) for c in cases if c.moment)
    n = sum(case.weight for case in cases)
    shown = "no cases" if interval is None else f"{value:.3f}{unit and ' ' + unit} over {n}, {_shown(interval)}"
    return Measured(
        name=name,
        value=value,
        explanation=f"{says}: {shown}",
        evidence=tuple(TICKS.tick_at(moment.start_s) for moment in moments),
        n=n,
        interval=interval,
        sessions=len(parts),
        unit=unit,
        moments=moments,
        setup={**setup, "bootstrap": {"draws": DRAWS, "seed": seed, "over": "sessions"}},
    )


def _shown(interval: Interval) -> str:
    return f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}"
