"""How fast a microphone's clock runs against the host's, from when its samples arrived.

What arrives is delayed, by little or by much but never by less than the way takes. So of every second only the quickest arrival counts,
and a line goes through these: the median of the slopes of all pairs (Theil 1950, Sen 1968), which a third of bad seconds cannot bend.
Drift over a tick is a fraction of a sample; it adds up, and once it makes STEP samples the next tick is made of so many more or fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from workbench.live.protocol import RATE

WINDOW_S = 60  # seconds that a fit looks back
SHORTEST_S = 20  # before so much has come nothing is corrected
STEP = 4  # samples that are corrected at once
MOST_PPM = 500.0  # clocks of sound cards differ by less than 200; what looks like more is not drift
LEAP_S = 0.5  # an arrival so much earlier or later than the line is a capture that began anew


@dataclass(frozen=True)
class ClockFit:
    """The line: sample `n` arrived at host time `offset_s + n / RATE * (1 - ppm / 1e6)` at the earliest.

    `ppm` above 0: the microphone's clock is fast, and gives more than RATE samples in a second of the host's.
    """

    ppm: float
    offset_s: float
    span_s: float

    def arrival_s(self, n: int) -> float:
        """When sample `n` arrives at the earliest, on the host's clock."""
        return self.offset_s + n / RATE * (1 - self.ppm / 1e6)


@dataclass(frozen=True)
class Drift:
    """The quickest arrival of each of the last seconds, as (sample number / RATE, arrival - that), and drift not yet corrected."""

    marks: tuple[tuple[float, float], ...] = ()
    second: int = 0
    fit: ClockFit | None = None
    owed: float = 0.0

    def seen(self, n: int, arrived_s: float) -> Drift:
        """With the arrival of the samples before number `n` at `arrived_s` on the host's clock."""
        mark = (n / RATE, arrived_s - n / RATE)
        if self.marks and abs(mark[1] - self.marks[-1][1]) > LEAP_S:
            return Drift().seen(n, arrived_s)
        second = math.floor(arrived_s)
        if self.marks and second == self.second:
            best = min(self.marks[-1], mark, key=lambda m: m[1])
            return replace(self, marks=(*self.marks[:-1], best))
        return replace(self, marks=(*self.marks, mark)[-WINDOW_S:], second=second, fit=fitted_line(self.marks))

    def due(self, samples: int) -> tuple[int, Drift]:
        """By how many captured samples the next tick of `samples` is to be corrected, and the drift after it."""
        if self.fit is None or self.fit.span_s < SHORTEST_S or abs(self.fit.ppm) > MOST_PPM:
            return 0, self
        owed = self.owed + samples * self.fit.ppm / 1e6
        whole = math.trunc(owed) if abs(owed) >= STEP else 0
        return whole, replace(self, owed=owed - whole)


def fitted_line(marks: tuple[tuple[float, float], ...]) -> ClockFit | None:
    """The line through the marks; None for fewer than three."""
    if len(marks) < 3:
        return None
    x, delay = np.array(marks).T
    one, two = np.triu_indices(len(marks), 1)
    apart = x[two] - x[one]
    slopes = (delay[two] - delay[one])[apart > 0] / apart[apart > 0]
    if not len(slopes):
        return None
    slope = float(np.median(slopes))
    return ClockFit(-slope * 1e6, float(np.median(delay - slope * x)), float(x[-1] - x[0]))
