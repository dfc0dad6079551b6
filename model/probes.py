"""Linear probes: what a straight line can read out of activations, fitted in closed form."""

# N cells, D width, K numbers or classes to read

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 1e-3


@dataclass(frozen=True)
class Probe:
    """A linear readout of standardised activations: (N, D) in, (N, K) out."""

    mean_D: Tensor
    scale_D: Tensor
    weight_DK: Tensor
    offset_K: Tensor

    def __call__(self, x_ND: Tensor) -> Tensor:
        return ((x_ND.double() - self.mean_D) / self.scale_D) @ self.weight_DK + self.offset_K


def fit_probe(x_ND: Tensor, y_NK: Tensor, ridge: float = RIDGE) -> Probe:
    """The ridge regression of `y` on `x`; one column of 0 and 1 per class makes it a least-squares classifier, read by its argmax.

    `ridge` is the penalty per cell on weights of standardised activations. Solved in float64. Raises ValueError for fewer than two cells.
    """
    if len(x_ND) < 2:
        raise ValueError(f"a probe cannot be fitted on {len(x_ND)} cells; give more conversations, or another target")
    x, y = x_ND.double(), y_NK.double()
    mean, scale, offset = x.mean(0), x.std(0).clamp_min(1e-6), y.mean(0)
    z = (x - mean) / scale
    gram = z.T @ z + ridge * len(z) * torch.eye(z.shape[1], dtype=torch.float64)
    return Probe(mean, scale, torch.linalg.solve(gram, z.T @ (y - offset)), offset)


def accuracy(scores_NK: Tensor, class_N: Tensor) -> float:
    """Share of cells whose highest score is that of their class; a class of -1 was never seen in training and is always missed."""
    return float((scores_NK.argmax(-1) == class_N).double().mean())


def r2(guess_N: Tensor, truth_N: Tensor) -> float:
    """Share of the variance explained: 1 is perfect, 0 as good as the mean, below 0 worse."""
    truth = truth_N.double()
    return float(1 - (guess_N.double() - truth).square().sum() / (truth - truth.mean()).square().sum().clamp_min(1e-12))
