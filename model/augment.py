"""Makes one recorded voice sound like many, on log-mel frames: cheap enough to be drawn anew for every batch.

Ours, unpublished. Vocal-tract warp of the mel axis follows VTLP (Jaitly and Hinton 2013), masks follow SpecAugment (Park et al. 2019).
"""

# B rows, F frames, M mel bands

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FLOOR = -7.0  # lowest dMel level, log10


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Ranges of the draws; every range holds for one row of a batch, so for one conversation.

    `equaliser`, `gain` and `noise_floor` are in log10 units; `untouched` is the share of rows left as they are.
    """

    warp: tuple[float, float]
    equaliser: float
    gain: tuple[float, float]
    noise_floor: tuple[float, float]
    noise_chance: float
    blur_chance: float
    band_cut_chance: float
    masks: int
    mask_width: int
    untouched: float


def augment(mel_BFM: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Log-mel frames of new voices and channels, same shape; the words and their times stay."""
    keep = _uniform(mel_BFM, (0.0, 1.0), generator) < config.untouched
    out = warp_bands(mel_BFM, _uniform(mel_BFM, config.warp, generator))
    blurred = torch.nn.functional.avg_pool1d(out, 3, stride=1, padding=1, count_include_pad=False)
    out = torch.where(_uniform(out, (0, 1), generator) < config.blur_chance, blurred, out)
    out = out + _equaliser(out, config.equaliser, generator) + _uniform(out, config.gain, generator)
    out = _band_cut(out, config.band_cut_chance, generator)
    out = _add_noise(out, config, generator)
    out = _mask_bands(out, config, generator)
    return torch.where(keep, mel_BFM, out)


def warp_bands(mel_BFM: Tensor, factor_B11: Tensor) -> Tensor:
    """Frames whose band m is the input's band m * factor, linearly interpolated: a longer or shorter vocal tract."""
    bands = mel_BFM.shape[-1]
    source = (torch.arange(bands) * factor_B11[:, 0]).clamp(max=bands - 1)  # (B, M)
    low = source.floor()
    weight_hi = source - low
    index = torch.arange(bands)[None, :, None]
    matrix = torch.where(index == low[:, None], 1 - weight_hi[:, None], 0.0)
    matrix = matrix + torch.where(index == (low + 1).clamp(max=bands - 1)[:, None], weight_hi[:, None], 0.0)
    return mel_BFM @ matrix.to(mel_BFM.dtype)


def _uniform(like: Tensor, bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    low, high = bounds
    return torch.rand((len(like), 1, 1), generator=generator) * (high - low) + low


def _equaliser(mel_BFM: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    rows, _, bands = mel_BFM.shape
    axis = torch.linspace(0, math.pi, bands)
    waves = torch.stack([torch.cos(axis * k) for k in (1, 2, 3, 5)])  # (4, M)
    weight = torch.randn((rows, 4), generator=generator) * amount / 2
    return (weight @ waves)[:, None]


def _band_cut(mel_BFM: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    rows, _, bands = mel_BFM.shape
    top = torch.randint(bands * 6 // 10, bands, (rows, 1, 1), generator=generator)  # about 2.5 kHz and up
    bottom = torch.randint(0, 6, (rows, 1, 1), generator=generator)
    chosen = torch.rand((rows, 1, 1), generator=generator) < chance
    band = torch.arange(bands)[None, None]
    outside = chosen & ((band > top) | (band < bottom))
    return torch.where(outside, mel_BFM - 3.0, mel_BFM)


def _add_noise(mel_BFM: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    rows, frames, bands = mel_BFM.shape
    level = _uniform(mel_BFM, config.noise_floor, generator)
    tilt = _uniform(mel_BFM, (-1.2, 0.3), generator) * torch.linspace(0, 1, bands)
    flutter = torch.randn((rows, frames, bands), generator=generator) * 0.15
    noise = level + tilt + flutter
    noisy = 0.5 * torch.log10(10 ** (2 * mel_BFM) + 10 ** (2 * noise))
    return torch.where(_uniform(mel_BFM, (0, 1), generator) < config.noise_chance, noisy, mel_BFM)


def _mask_bands(mel_BFM: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    rows, _, bands = mel_BFM.shape
    band = torch.arange(bands)[None, None]
    for _ in range(config.masks):
        width = torch.randint(0, config.mask_width + 1, (rows, 1, 1), generator=generator)
        start = torch.randint(0, bands, (rows, 1, 1), generator=generator)
        mel_BFM = torch.where((band >= start) & (band < start + width), torch.full_like(mel_BFM, FLOOR), mel_BFM)
    return mel_BFM
