"""How difficulty turns what a family draws: the draws are the same at every difficulty, only what comes of them moves.

So a family at the usual difficulty is what it always was, and whatever is drawn after it is too, at every difficulty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Ends: TypeAlias = tuple[float, float]  # both belong to it

USUAL = 0.5  # the difficulty of every published result


def moved(drawn: float, usual: Ends, now: Ends) -> float:
    """As far up in the span `now` as `drawn` lies in the span `usual`."""
    if usual == now:
        return drawn
    (low, high), (now_low, now_high) = usual, now
    return now_low if low == high else now_low + (now_high - now_low) * (drawn - low) / (high - low)


@dataclass(frozen=True)
class Span:
    """From where something is drawn: `usual` at the usual difficulty, `easy` at 0, `hard` at 1, and in between from between them."""

    usual: Ends
    easy: Ends
    hard: Ends

    def draw(self, rng: np.random.Generator, difficulty: float) -> float:
        """A number of the span of this difficulty."""
        return moved(float(rng.uniform(*self.usual)), self.usual, self.at(difficulty))

    def whole(self, rng: np.random.Generator, difficulty: float) -> int:
        """A whole number of the span of this difficulty."""
        low, high = self.usual
        return round(moved(int(rng.integers(int(low), int(high) + 1)), self.usual, self.at(difficulty)))

    def at(self, difficulty: float) -> Ends:
        """The span of this difficulty."""
        if difficulty == USUAL:
            return self.usual
        share, end = abs(difficulty - USUAL) / USUAL, self.hard if difficulty > USUAL else self.easy
        (low, high), (end_low, end_high) = self.usual, end
        return low + (end_low - low) * share, high + (end_high - high) * share
