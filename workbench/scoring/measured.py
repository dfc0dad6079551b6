"""A score over many sessions: with its interval, the moments that show it, and what it depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from workbench.clock import ClockSpec
from workbench.packets import rng_for
from workbench.scoring.resample import DRAWS, Interval, Part, count_interval, percentiles, share_interval
from workbench.scoring.score import Score

TICKS = ClockSpec()
MeanKind: TypeAlias = Literal["share", "percentage", "count"]  # what a mean is: of 0 to 1, of 0 to 100, or events by cases
FLOORS: Mapping[MeanKind, str] = {  # under the width of an interval
    "share": "Wilson's over sessions",
    "percentage": "Wilson's over sessions",
    "count": "a Poisson count's, by its score",
}


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


def bootstrap(strata: Sequence[Sequence[Part]], seed: int = 0, draws: int = DRAWS, *, kind: MeanKind | None = None) -> Interval | None:
    """The 95 % percentile interval of `mean_of(strata)`, sessions drawn with replacement within each group (Efron, 1979).

    Whole sessions are drawn because cases of one session are not independent. Draws without a case in some group are left out; None if
    all are. The same seed gives the same interval. Percentiles have no width where all sessions are alike, as at 0 and 100 %. So a share
    and a percentage are never narrower than `share_interval` allows, of several groups over as many sessions as if each had no more than
    the smallest, and a count by cases never narrower than `count_interval`. A mean of another kind, as a time, has no floor: read it
    together with `sessions`.
    """
    means = np.mean([_drawn(parts, seed, at, draws) for at, parts in enumerate(strata)], axis=0)
    if not np.isfinite(means).any():
        return None
    value = mean_of(strata)
    match kind:
        case None:
            return percentiles(means)
        case "count":
            cases = sum(n for parts in strata for _, n in parts) / len(strata)
            low, high = count_interval(value * cases, means[np.isfinite(means)] * cases)
            return low / cases, high / cases
        case "share" | "percentage":
            best = 1.0 if kind == "share" else 100.0
            sessions = len(strata) * min(sum(n > 0 for _, n in parts) for parts in strata)
            low, high = share_interval(value / best, means / best, sessions)
            return best * low, best * high


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
    name: str,
    cases: Sequence[Case],
    sessions: Sequence[str],
    *,
    says: str,
    unit: str = "",
    kind: MeanKind | None = None,
    setup: Mapping[str, object],
    seed: int = 0,
) -> Measured:
    """The mean of cases pooled over sessions. `sessions` names every session looked at, those without a case too; `says` is the rule.

    `kind` is for its interval (`bootstrap`). `evidence` holds the tick (of 200 ms) in which each moment begins. Raises KeyError for a case
    of an unnamed session.
    """
    parts = dict.fromkeys(sessions, (0.0, 0.0))
    for case in cases:
        total, count = parts[case.session]
        parts[case.session] = (total + case.value, count + case.weight)
    strata = [list(parts.values())]
    value, interval = mean_of(strata), bootstrap(strata, seed, kind=kind)
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
        setup={**setup, "bootstrap": drawn_how(seed, kind)},
    )


def drawn_how(seed: int, kind: MeanKind | None = None, over: str = "sessions") -> Mapping[str, object]:
    """How the interval of a mean of this kind was drawn, for the setup of a score."""
    return {"draws": DRAWS, "seed": seed, "over": over, **({} if kind is None else {"floor": FLOORS[kind]})}


def _shown(interval: Interval) -> str:
    return f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}"
