"""What a judgement is made of: a score with its evidence, and the outcome of one expectation."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.959964  # of a normal distribution, 95 % lie within this many standard deviations


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


def wilson(hits: float, n: float, z: float = Z95) -> tuple[float, float]:
    """The 95 % interval of a rate of independent cases, of which there may be parts (Wilson, 1927); (0, 1) when there are no cases."""
    if n == 0:
        return 0.0, 1.0
    rate = hits / n
    centre = rate + z * z / (2 * n)
    spread = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def quantile(values: list[float], share: float) -> float | None:
    """The value below which `share` of the values lie, linearly interpolated; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
