"""From tokens, sound and pictures to positions: embeddings that go straight into the trunk, trained with it.

Tokens and audio are those of the open Inkling release: a normed token table; 80 embeddings a dMel frame, one per mel band and
level, summed and normed; image patches folded step by step through small normed layers (hMLP).

Axes: B batch, F dMel frames, M mel bands, D width, N patches, T frames of a patch, X/Y pixels, C channels.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.blocks import RMSNorm
from model.config import VisionConfig

_CHANNEL_MULTIPLE = 64
_PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP, which Inkling's image processor uses
_PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)


class TokenEmbedding(nn.Module):
    """A table of token vectors, normed."""

    def __init__(self, vocab_size: int, width: int, eps: float = 1e-6, std: float = 0.02) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, width)
        self.norm = RMSNorm(width, eps)
        nn.init.normal_(self.table.weight, std=std)

    def forward(self, token: Tensor) -> Tensor:
        """[..., D] of integer tokens [...]."""
        return self.norm(self.table(token))


class AudioEmbedding(nn.Module):
    """One vector per dMel frame: the sum of one embedding per mel band (chosen by its level), normed."""

    def __init__(self, num_mel: int, num_levels: int, width: int, eps: float = 1e-6, std: float = 0.1) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.table = nn.Embedding(num_mel * num_levels, width)
        self.norm = RMSNorm(width, eps)
        nn.init.normal_(self.table.weight, std=std)

    def forward(self, levels_FM: Tensor) -> Tensor:
        """[..., F, D] of levels [..., F, M] (uint8)."""
        return self.norm(self._sum(levels_FM))

    def _sum(self, levels_FM: Tensor) -> Tensor:
        """In training one product with the one-hot levels, whose backward pass is fast; otherwise a lookup."""
        bands = levels_FM.shape[-1]
        if torch.is_grad_enabled():
            kind = levels_FM.device.type
            dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.table.weight.dtype
            one_hot_LL = torch.eye(self.num_levels, dtype=dtype, device=levels_FM.device)
            one_hot = one_hot_LL.index_select(0, levels_FM.flatten().int()).view(*levels_FM.shape[:-1], bands * self.num_levels)
            return one_hot @ self.table.weight
        offset_M = torch.arange(bands, device=levels_FM.device) * self.num_levels
        rows = levels_FM.reshape(-1, bands).long() + offset_M
        return F.embedding_bag(rows, self.table.weight, mode="sum").view(*levels_FM.shape[:-1], -1)


class MelEmbedding(nn.Module):
    """One vector per frame from its log mel magnitudes themselves, scaled to 0..1: a linear layer, normed. For comparison with dMel."""

    def __init__(self, num_mel: int, num_levels: int, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.linear = nn.Linear(num_mel, width)
        self.norm = RMSNorm(width, eps)

    def forward(self, scaled_FM: Tensor) -> Tensor:
        """[..., F, D] of magnitudes [..., F, M]; levels (uint8) are taken as the magnitudes that they stand for."""
        if scaled_FM.dtype == torch.uint8:
            scaled_FM = scaled_FM.to(self.linear.weight.dtype) / (self.num_levels - 1)
        return self.norm(self.linear(4 * scaled_FM - 2))


def _prime_factors(number: int) -> list[int]:
    """Largest first."""
    factors, divisor = [], 2
    while number > 1:
        if number % divisor:
            divisor += 1
        else:
            factors.append(divisor)
            number //= divisor
    return factors[::-1]


def _fold_steps(config: VisionConfig) -> list[tuple[int, int, int]]:
    """Every way station (frames, side, channels) folded so far, from a pixel to a whole patch: side first, then time.

    Stations folded in time carry many channels as published; the last layer ends there, with the trunk's width instead.
    """
    stations = [(1, 1, config.channels)]
    side = frames = 1
    for factor in _prime_factors(config.patch):
        side *= factor
        stations.append((1, side, math.ceil(side * side * config.channels / _CHANNEL_MULTIPLE) * _CHANNEL_MULTIPLE))
    for factor in _prime_factors(config.frames):
        frames *= factor
        stations.append((frames, side, side * side * config.channels * frames * _CHANNEL_MULTIPLE))
    return stations


def plan_patch_layers(config: VisionConfig) -> list[tuple[int, int, int]]:
    """Where each of the layers starts and the last one ends: `num_layers + 1` stations of (frames, side, channels).

    Layers aim at equal ratios of folding. With fewer layers than stations each station is used at most once (the assignment of least
    total distance, by dynamic programming); with more, some layers fold nothing.
    """
    stations = _fold_steps(config)
    total = math.log(config.patch * config.patch * config.frames * config.channels)
    ideal = [total * i / config.num_layers for i in range(config.num_layers + 1)]
    reached = [math.log(frames * side * side) for frames, side, _ in stations]
    distance = [[abs(i - r) for r in reached] for i in ideal]
    if config.num_layers >= len(stations):
        chosen = [min(range(len(stations)), key=row.__getitem__) for row in distance]
    else:
        chosen = _rising_assignment(distance)
    chosen[0], chosen[-1] = 0, len(stations) - 1
    return [stations[i] for i in chosen]


def _rising_assignment(distance: list[list[float]]) -> list[int]:
    """A strictly rising column for every row with the least total distance."""
    columns = len(distance[0])
    best: list[tuple[float, list[int]]] = [(0.0, [])] * (columns + 1)
    for row, costs in enumerate(distance):
        following: list[tuple[float, list[int]]] = [(math.inf, [])] * (columns + 1)
        for column in range(row, columns):
            total = best[column][0] + costs[column]
            following[column + 1] = min(following[column], (total, [*best[column][1], column]), key=lambda option: option[0])
        best = following
    return best[columns][1]


class _PatchLayer(nn.Module):
    """Fold neighbours in time and space into channels, then a linear layer; all but the last layer norm and bend."""

    def __init__(self, inputs: int, outputs: int, frames: int, side: int, last: bool) -> None:
        super().__init__()
        self.frames, self.side = frames, side
        self.linear = nn.Linear(inputs * frames * side * side, outputs, bias=False)
        self.norm = None if last else RMSNorm(outputs)

    def forward(self, x_NTYXC: Tensor) -> Tensor:
        n, t, y, x, c = x_NTYXC.shape
        f, s = self.frames, self.side
        parts = x_NTYXC.reshape(n, t // f, f, y // s, s, x // s, s, c).permute(0, 1, 3, 5, 2, 4, 6, 7)
        out = self.linear(parts.reshape(n, t // f, y // s, x // s, f * s * s * c))
        return out if self.norm is None else F.gelu(self.norm(out))


class PatchEmbedding(nn.Module):
    """One vector per image patch: a pyramid of small layers folding pixels into channels (hMLP), normed."""

    def __init__(self, config: VisionConfig, width: int, std: float = 0.02) -> None:
        super().__init__()
        plan = plan_patch_layers(config)
        layers = []
        for i, ((t0, s0, c0), (t1, s1, c1)) in enumerate(itertools.pairwise(plan)):
            last = i == config.num_layers - 1
            layers.append(_PatchLayer(c0, width if last else c1, t1 // t0, s1 // s0, last))
            nn.init.normal_(layers[-1].linear.weight, std=std)
        self.layers = nn.Sequential(*layers)
        self.norm = RMSNorm(width)

    def forward(self, pixels_NTYXC: Tensor) -> Tensor:
        """[N, D] of patches [N, frames, patch, patch, channels]."""
        return self.norm(self.layers(pixels_NTYXC).flatten(1))


def normed_pixels(pixels: Tensor) -> Tensor:
    """Pixels 0 to 255 (uint8 [..., 3]) as float32 of about unit variance, as Inkling's image processor has them."""
    return (pixels.float() / 255 - pixels.new_tensor(_PIXEL_MEAN, dtype=torch.float32)) / pixels.new_tensor(_PIXEL_STD, dtype=torch.float32)
