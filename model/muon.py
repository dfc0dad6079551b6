"""Muon (Jordan et al. 2024), as `torch.optim.Muon`, but in the precision that the processor multiplies fast.

The optimiser of PyTorch always orthogonalises in bfloat16; where the processor must emulate that, a step takes a minute.
"""

# N matrices of one shape, R rows, C columns with R <= C

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from model.tensors import gathered, spread

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are orthogonalised; the rate means the same as AdamW's (Liu et al. 2025: update RMS 0.2).

    `dtype` is that of the orthogonalisation. Matrices of one shape are taken together, and whole where
    they are spread over processes. Raises ValueError for other than matrices.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, *, weight_decay: float, momentum: float = 0.95, dtype: torch.dtype
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype
        shapes = [tuple(p.shape) for group in self.param_groups for p in group["params"] if p.ndim != 2]
        if shapes:
            raise ValueError(f"parameters of shapes {shapes} are no matrices; Muon takes matrices, give the others to AdamW")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every matrix that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for params in _by_shape(p for p in group["params"] if p.grad is not None):
                momenta = [gathered(self._momentum(p, group["momentum"])) for p in params]
                updates = orthogonal(torch.stack(momenta).to(self.dtype))
                for p, update in zip(params, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(spread(update, p), alpha=-group["lr"] * 0.2 * math.sqrt(max(p.shape)))
        return loss

    def _momentum(self, p: nn.Parameter, momentum: float) -> Tensor:
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(p)
        state["momentum_buffer"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(state["momentum_buffer"], momentum)


def orthogonal(x_NRC: Tensor) -> Tensor:
    """Matrices with the singular vectors of the given ones and singular values near 1 (0.7 to 1.2), by five Newton-Schulz steps."""
    if x_NRC.shape[1] > x_NRC.shape[2]:
        return orthogonal(x_NRC.mT).mT
    a, b, c = COEFFICIENTS
    x_NRC = x_NRC / x_NRC.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram_NRR = x_NRC @ x_NRC.mT
        x_NRC = torch.baddbmm(x_NRC, torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c), x_NRC, beta=a)
    return x_NRC


def _by_shape(params: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    found: dict[torch.Size, list[nn.Parameter]] = {}
    for p in params:
        found.setdefault(p.shape, []).append(p)
    return list(found.values())
