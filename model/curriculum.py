"""Which families of situations a training sees how often: as planned over the run, evened out, and more of what it does badly.

All pure. Weights are relative; a weight of 1 leaves a family as often as its conversations were made.

Axes: N conversations, F families (number 0: cells of no family).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """How conversations are chosen by their families.

    Attributes
        balance: 0 draws conversations as they were made, 1 gives cells of every family the same weight in all, between lies between
        boost: a family that scores 0 is drawn up to this many times as often as one that scores 1; 1 for no difference
        weights: a family's weight at the beginning and at the end of the run, falling or rising evenly between; 1 if not named
    """

    balance: float
    boost: float
    weights: dict[str, tuple[float, float]]

    def __post_init__(self) -> None:
        if not 0.0 <= self.balance <= 1.0:
            raise ValueError(f"balance = {self.balance:g} must lie between 0 (as made) and 1 (all families alike)")
        if self.boost < 1.0:
            raise ValueError(f"boost = {self.boost:g} must be at least 1, which draws good and bad families alike")
        for name, pair in self.weights.items():
            if min(pair) < 0:
                raise ValueError(f"weights.{name} = {list(pair)} must not be negative; 0 leaves the family out")


def family_weights(config: CurriculumConfig, families: Sequence[str], share: float, scores: Mapping[str, float]) -> Floats:
    """The weight of each family (F = 1 + number of families) once `share` of the run is done and the newest scores are `scores`."""
    weights = [1.0]
    for name in families:
        first, last = config.weights.get(name, (1.0, 1.0))
        weights.append((first + (last - first) * min(max(share, 0.0), 1.0)) * boosted(scores.get(name, 1.0), config.boost))
    return np.array(weights)


def boosted(score: float, most: float) -> float:
    """How much more often to draw a family with this score from 0 to 1: `most` at 0, 1 at 1, by equal ratios between."""
    return float(most ** (1.0 - min(max(score, 0.0), 1.0)))


def evened(counts_NF: npt.NDArray[np.int64], balance: float) -> Floats:
    """The factor on each family that evens out its number of cells, `balance` of the way to all alike; 1 where there are none."""
    total_F = counts_NF[:, 1:].sum(0).astype(np.float64)
    present = total_F > 0
    factors_F = np.ones(len(total_F))
    factors_F[present] = (total_F[present].mean() / total_F[present]) ** balance
    return np.concatenate([[1.0], factors_F])


def conversation_chances(counts_NF: npt.NDArray[np.int64], weights_F: Floats) -> Floats:
    """The chance of each conversation, (N,): proportional to the mean weight of its cells.

    Raises ValueError when no conversation has any weight.
    """
    mean_N = counts_NF @ weights_F / counts_NF.sum(1)
    if mean_N.sum() <= 0:
        raise ValueError("all weights of the families at hand are zero; give one of them a positive weight in the curriculum")
    return np.asarray(mean_N / mean_N.sum())
