"""An evaluation as it might have come out: its sessions drawn anew, DRAWS times, and the 95 % intervals of its numbers that follow.

Whole sessions are drawn with replacement (Efron, 1979) within each family, as expectations of one session are not independent and every
family plays as many sessions as it was asked for. Draws are addressed by the family's name, and what is counted is put in order before it
meets them: an interval depends neither on the order of the sessions nor on that of the families, nor on what else is evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from workbench.packets import rng_for
from workbench.scoring.score import Z95, wilson

DRAWS = 2000
ALIKE = 1e-9  # shares of draws closer than this are one
CELLS = 2_000_000  # draws times values that are held at once
Part: TypeAlias = tuple[float, float]  # what one session adds to the numerator and to the denominator of a mean
Interval: TypeAlias = tuple[float, float]
Parts: TypeAlias = Mapping[str, Sequence[Part]]  # by family, one part a session
Values: TypeAlias = Mapping[str, Sequence[Sequence[float]]]  # by family, those of each session
Drawn: TypeAlias = NDArray[np.float64]  # (draws,), NaN where a draw has no case


@dataclass(frozen=True)
class Share:
    """A share of cases: its value, how many cases of how many sessions (those that have one), and its value in every draw."""

    value: float
    n: int
    sessions: int
    drawn: Drawn

    @property
    def interval(self) -> Interval:
        """The 95 % interval; 0 to 1 without a case."""
        return share_interval(self.value, self.drawn, self.sessions) if self.n else (0.0, 1.0)


class Resample:
    """Draws of sessions by family; `sizes` says how many sessions each family has. The same seed gives the same draws."""

    def __init__(self, sizes: Mapping[str, int], seed: int = 0, draws: int = DRAWS) -> None:
        self._times = {name: times_drawn(rng_for(seed, 0, f"bootstrap {name}"), size, draws) for name, size in sizes.items() if size}
        self._draws = draws

    def share(self, parts: Parts) -> Share:
        """The share of cases pooled over families: numerators over denominators. 0 without a case."""
        held = {name: np.asarray(sorted(some), np.float32) for name, some in parts.items() if any(n for _, n in some)}
        hits, cases = (sum(float(some[:, column].sum()) for some in held.values()) for column in (0, 1))
        sums = sum((self._times[name] @ some for name, some in held.items()), start=np.zeros((self._draws, 2), np.float32))
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = sums[:, 0].astype(np.float64) / sums[:, 1]
        sessions = sum(int((some[:, 1] > 0).sum()) for some in held.values())
        return Share(hits / cases if cases else 0.0, int(cases), sessions, drawn)

    def total(self, numbers: Mapping[str, Sequence[float]]) -> Drawn:
        """The sum of one number a session over all families, in every draw."""
        sums = [self._times[name] @ np.asarray(sorted(some), np.float32) for name, some in numbers.items() if some]
        return np.sum(sums, axis=0, dtype=np.float64) if sums else np.zeros(self._draws)

    def quantile_interval(self, values: Values, share: float) -> Interval | None:
        """The 95 % percentile interval of a quantile of values pooled over families; None without values."""
        kept = {name: sorted(map(sorted, some)) for name, some in values.items() if any(some)}
        if not kept:
            return None
        times = np.concatenate([self._times[name] for name in kept], axis=1)
        return percentiles(drawn_quantiles([session for some in kept.values() for session in some], times, share))


def mean_share(shares: Sequence[Share]) -> tuple[float, Interval]:
    """The unweighted mean of the shares of several families that were drawn together, and its 95 % interval; 0 and (0, 1) without any.

    Where no draw differs, it rests on as many sessions as if every family had no more than the smallest.
    """
    if not shares:
        return 0.0, (0.0, 1.0)
    mean = sum(share.value for share in shares) / len(shares)
    drawn = np.mean([share.drawn for share in shares], axis=0)
    return mean, share_interval(mean, drawn, len(shares) * min(share.sessions for share in shares))


def share_interval(value: float, drawn: Drawn, sessions: int) -> Interval:
    """The 95 % interval of a share of 0 to 1, from its values in every draw: percentiles, with a floor under their width.

    It is never narrower than Wilson's interval (1927) of as many independent cases as would spread as the draws do (after Korn and
    Graubard, 1998): near 0 and 1 few sessions decide, and percentiles alone would miss the truth in 15 of 100 evaluations of 100 sessions.
    Draws that do not differ at all, as at 0 and 1, tell nothing. There as many sessions may be otherwise, all right or all wrong, as
    Wilson's upper bound for none of `sessions` allows: at 0 and 1 that is Wilson's interval over sessions. Above 1 there is no floor.
    """
    low, high = percentiles(drawn)
    if value > 1:  # errors by words can be
        return low, high
    if float(np.nanmax(drawn) - np.nanmin(drawn)) < ALIKE:
        unseen = wilson(0, sessions)[1]
        return value * (1 - unseen), value + (1 - value) * unseen
    cases = value * (1 - value) / float(np.nanvar(drawn))
    least, most = wilson(value * cases, cases)
    return min(low, least), max(high, most)


def count_interval(total: float, drawn: Drawn) -> Interval:
    """The 95 % interval of a number of events in as many sessions: percentiles, and never narrower than a Poisson count's by its score.

    Events come in heaps; how large these are is told by the spread of the draws against that of single events. Without events: 0 to 3.8.
    """
    heap = float(np.var(drawn)) / total if total else 1.0
    middle, half = total + heap * Z95**2 / 2, Z95 * math.sqrt(heap * total + (heap * Z95 / 2) ** 2)
    low, high = percentiles(drawn)
    return min(low, max(0.0, middle - half)), max(high, middle + half)


def percentiles(drawn: Drawn) -> Interval:
    """The 2.5 and the 97.5 percentile of the draws that have a case."""
    low, high = np.percentile(drawn[np.isfinite(drawn)], (2.5, 97.5))
    return float(low), float(high)


def times_drawn(rng: np.random.Generator, sessions: int, draws: int) -> NDArray[np.float32]:
    """How often each of `sessions` is drawn when as many are drawn with replacement, (draws, sessions)."""
    picked = rng.integers(sessions, size=(draws, sessions)) + sessions * np.arange(draws)[:, None]
    return np.bincount(picked.ravel(), minlength=draws * sessions).reshape(draws, sessions).astype(np.float32)


def drawn_quantiles(sessions: Sequence[Sequence[float]], times: NDArray[np.float32], share: float) -> Drawn:
    """A quantile of the pooled values of sessions in every draw, as `np.quantile` gives it; NaN where a draw has no value, (draws,).

    `times` is how often each session is drawn, (draws, sessions).
    """
    values = np.concatenate([np.asarray(session, np.float64) for session in sessions])
    owner = np.repeat(np.arange(len(sessions)), [len(session) for session in sessions])
    order = np.argsort(values, kind="stable")
    rows = max(1, CELLS // max(1, len(values)))
    return np.concatenate([_quantiles(values[order], times[at : at + rows, owner[order]], share) for at in range(0, len(times), rows)])


def _quantiles(values: NDArray[np.float64], times: NDArray[np.float32], share: float) -> Drawn:
    """The quantile of ascending values, of which each row has each as often as `times` says, (rows, values)."""
    upto = times.cumsum(axis=1)  # how many of the row's values are this one or one before it
    cases = upto[:, -1].astype(np.float64) if len(values) else np.zeros(len(times))
    found = np.full(len(times), np.nan)
    if not (some := cases > 0).any():
        return found
    place = share * (cases[some] - 1)
    low = np.floor(place)
    below, above = (values[np.argmax(upto[some] > at[:, None], axis=1)] for at in (low, np.minimum(low + 1, cases[some] - 1)))
    part = place - low
    found[some] = np.where(part < 0.5, below + (above - below) * part, above - (above - below) * (1 - part))
    return found
