"""What a judgement is made of: a score with its evidence, and the outcome of one expectation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Score:
    """A value, what it says in words, the ticks that show it, its name, and how many cases it rests on."""

    name: str
    value: float
    explanation: str
    evidence: tuple[int, ...] = ()
    n: int = 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one expectation of a trace was met.

    `meaning`: the right words (or silence). `timing`: inside the published window. `acted`: anything at all was said (for a reply:
    inside the window). `carried` (count): the right words without a gap, whenever it began. `latency_s` runs from the anchor to the act
    (reply, count: first word; yield: last sound; time: the word "now"); `error_s` is the distance from the moment that was asked for.
    `evidence` are the ticks to look at. `said` is what the agent said.
    """

    id: str
    what: str
    tags: tuple[str, ...]
    meaning: bool
    timing: bool
    acted: bool = True
    carried: bool | None = None
    latency_s: float | None = None
    onset_latency_s: float | None = None
    error_s: float | None = None
    evidence: tuple[int, ...] = ()
    wanted: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    said_start_s: tuple[float, ...] = ()

    @property
    def both(self) -> bool:
        """Credit: the meaning is right and it came in time."""
        return self.meaning and self.timing


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson, 1927); (0, 1) when there are no cases."""
    if n == 0:
        return 0.0, 1.0
    rate = hits / n
    centre = rate + z * z / (2 * n)
    spread = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def mean_interval(rates: Sequence[tuple[float, tuple[float, float]]]) -> tuple[float, float]:
    """The 95 % interval of the mean of independent rates, each given with its own; (0, 1) without any.

    From the distances of the single intervals (MOVER; Zou and Donner, 2008), so that rates of 0 and 1 do not pretend to be certain.
    """
    if not rates:
        return 0.0, 1.0
    mean = sum(rate for rate, _ in rates) / len(rates)
    below = math.sqrt(sum((rate - low) ** 2 for rate, (low, _) in rates)) / len(rates)
    above = math.sqrt(sum((high - rate) ** 2 for rate, (_, high) in rates)) / len(rates)
    return max(0.0, mean - below), min(1.0, mean + above)


def quantile(values: list[float], share: float) -> float | None:
    """The value below which `share` of the values lie, linearly interpolated; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
