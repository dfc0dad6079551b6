"""Causal convolution blocks over frames: the body of the voice, shared by the speech head and the vocoder.

A block is a ConvNeXt block (Liu et al. 2022) that looks back only: depthwise convolution, norm, two layers, residual. Streaming is the same
forward given the tails of the frames before.

Axes: B rows, F frames, N blocks, J frames of a tail, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """`num_blocks` blocks of `width` channels that each see `kernel` frames and pass through `hidden` channels."""

    width: int
    hidden: int
    num_blocks: int
    kernel: int = 7

    def __post_init__(self) -> None:
        for name in ("width", "hidden", "num_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1; give the size of the stack")
        if self.kernel < 2:
            raise ValueError(f"kernel={self.kernel} must be at least 2 frames, or the stack sees nothing of the past")


class _Block(nn.Module):
    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.taps_JC = nn.Parameter(torch.randn(config.kernel, config.width) * config.kernel**-0.5)
        self.norm = nn.LayerNorm(config.width)
        self.wide = nn.Linear(config.width, config.hidden)
        self.narrow = nn.Linear(config.hidden, config.width)
        self.scale = nn.Parameter(torch.full((config.width,), 0.1))

    def forward(self, x_BFC: Tensor, tail_BJC: Tensor, film_BFC: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        joined = torch.cat([tail_BJC, x_BFC], 1)
        frames = x_BFC.shape[1]
        mixed = sum(joined[:, j : j + frames] * tap_C for j, tap_C in enumerate(self.taps_JC))
        hidden = self.norm(mixed)
        if film_BFC is not None:
            hidden = hidden * (1 + film_BFC[0]) + film_BFC[1]
        out = x_BFC + self.scale * self.narrow(F.gelu(self.wide(hidden)))
        return out, joined[:, frames:]


class CausalStack(nn.Module):
    """Blocks in a row, then a norm; the output for a frame depends on that frame and those before it."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(config.width)

    def start(self, rows: int) -> Tensor:
        """The tails before the first frame, zeros [B, N, J, C]."""
        return torch.zeros(rows, self.config.num_blocks, self.config.kernel - 1, self.config.width)

    def forward(self, x_BFC: Tensor, tails_BNJC: Tensor, film_NBFC: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The frames after all blocks, [B, F, C], and the tails to go on from.

        `film` scales and shifts what every block reads, [N, B, F or 1, C] each.
        """
        tails = []
        for number, block in enumerate(self.blocks):
            film = None if film_NBFC is None else (film_NBFC[0][number], film_NBFC[1][number])
            x_BFC, tail = block(x_BFC, tails_BNJC[:, number], film)
            tails.append(tail)
        return self.norm(x_BFC), torch.stack(tails, 1)
