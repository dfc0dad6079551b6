"""Makes one recorded voice sound like many, on log-mel frames: cheap enough to be drawn anew for every batch.

Ours, unpublished. Vocal-tract warp of the mel axis follows VTLP (Jaitly and Hinton 2013), masks follow SpecAugment (Park et al. 2019).
"""

# B rows, F frames, M mel bands

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from model.settings import at_least, shares

FLOOR = -7.0  # lowest dMel level, log10
TALKERS = 4  # in a babble


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Ranges of the draws; every range holds for one row of a batch, so for one conversation.

    `equaliser`, `gain` and `noise_floor` are in log10 units, `babble_db` is how far a babble of other rows' voices lies below the row;
    `untouched` is the share of rows left as they are.
    """

    warp: tuple[float, float]
    equaliser: float
    gain: tuple[float, float]
    noise_floor: tuple[float, float]
    noise_chance: float
    babble_db: tuple[float, float]
    babble_chance: float
    blur_chance: float
    band_cut_chance: float
    masks: int
    mask_width: int
    untouched: float

    def __post_init__(self) -> None:
        for name in ("warp", "gain", "noise_floor", "babble_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} = [{low:g}, {high:g}] is no range; give its lower end first")
        if not self.warp[0] > 0:
            raise ValueError(f"warp = [{self.warp[0]:g}, {self.warp[1]:g}] must be greater than 0; 1 leaves a voice as it is")
        at_least(self, 0, "0 does without", "equaliser", "masks", "mask_width")
        shares(self, "it is a chance", "noise_chance", "babble_chance", "blur_chance", "band_cut_chance", "untouched")


def augment(mel_BFM: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Log-mel frames of new voices and channels, same shape; the words and their times stay."""
    touched = _drawn(mel_BFM, 1 - config.untouched, generator)
    out = warp_bands(mel_BFM[touched], _uniform(mel_BFM, config.warp, generator)[touched])
    blurred = _drawn(out, config.blur_chance, generator)
    out[blurred] = _blurred(out[blurred])
    out += _equaliser(out, config.equaliser, generator) + _uniform(out, config.gain, generator)
    _band_cut(out, config.band_cut_chance, generator)
    noisy = _drawn(out, config.noise_chance, generator)
    out[noisy] = _with_noise(out[noisy], config, generator)
    if len(mel_BFM) > 1:
        crowded = _drawn(out, config.babble_chance, generator)
        out[crowded] = _with_babble(out[crowded], touched[crowded], mel_BFM, config, generator)
    _mask_bands(out, config, generator)
    return mel_BFM.index_copy(0, touched, out)


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


def _drawn(like: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Numbers of the rows that a chance falls on."""
    return (torch.rand(len(like), generator=generator) < chance).nonzero()[:, 0]


def _blurred(mel_BFM: Tensor) -> Tensor:
    """Every band as the mean of itself and its neighbours."""
    total, count = mel_BFM.clone(), torch.full((mel_BFM.shape[-1],), 3.0)
    total[..., 1:] += mel_BFM[..., :-1]
    total[..., :-1] += mel_BFM[..., 1:]
    count[0] = count[-1] = 2.0
    return total / count


def _equaliser(mel_BFM: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    rows, _, bands = mel_BFM.shape
    axis = torch.linspace(0, math.pi, bands)
    waves = torch.stack([torch.cos(axis * k) for k in (1, 2, 3, 5)])  # (4, M)
    weight = torch.randn((rows, 4), generator=generator) * amount / 2
    return (weight @ waves)[:, None]


def _band_cut(mel_BFM: Tensor, chance: float, generator: torch.Generator) -> None:
    """Weaken, in place, what lies outside a band in some rows."""
    rows, _, bands = mel_BFM.shape
    top = torch.randint(bands * 6 // 10, bands, (rows, 1, 1), generator=generator)  # about 2.5 kHz and up
    bottom = torch.randint(0, 6, (rows, 1, 1), generator=generator)
    chosen = torch.rand((rows, 1, 1), generator=generator) < chance
    band = torch.arange(bands)[None, None]
    mel_BFM -= torch.where(chosen & ((band > top) | (band < bottom)), 3.0, 0.0)


def _with_noise(mel_BFM: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """The sum of the powers of frames and of a tilted, fluttering noise, as log10 magnitudes."""
    level = _uniform(mel_BFM, config.noise_floor, generator)
    tilt = _uniform(mel_BFM, (-1.2, 0.3), generator) * torch.linspace(0, 1, mel_BFM.shape[-1])
    flutter = torch.randn(mel_BFM.shape, generator=generator) * 0.15
    above = flutter.add_(level + tilt).sub_(mel_BFM)
    return mel_BFM + torch.nn.functional.softplus(above, beta=2 * math.log(10))  # log10(sqrt(a^2 + b^2)) of log10 a, log10 b


def _with_babble(mel_BFM: Tensor, own_B: Tensor, all_OFM: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """The sum of the powers of frames and of some other rows heard at once, each from a time of its own, as log10 magnitudes.

    `own_B` are the places of the rows among all of them.
    """
    rows, frames, _ = mel_BFM.shape
    drawn_BO = torch.rand((rows, len(all_OFM)), generator=generator)
    drawn_BO[torch.arange(rows), own_B] = -1  # nobody is heard through their own voice
    who = drawn_BO.topk(min(TALKERS, len(all_OFM) - 1)).indices[..., None]
    when = (torch.arange(frames) + torch.randint(frames, who.shape, generator=generator)) % frames
    babble = (10 ** (2 * all_OFM[who, when])).sum(1)
    power = 10 ** (2 * mel_BFM)
    below = 10 ** (-_uniform(mel_BFM, config.babble_db, generator) / 10)
    loudness = power.mean((1, 2), keepdim=True) / babble.mean((1, 2), keepdim=True)
    return (power + babble * loudness * below).log10() / 2


def _mask_bands(mel_BFM: Tensor, config: AugmentConfig, generator: torch.Generator) -> None:
    """Silence, in place, some stretches of bands of every row."""
    rows, _, bands = mel_BFM.shape
    band = torch.arange(bands)[None, None]
    masked = torch.zeros((rows, 1, bands), dtype=torch.bool)
    for _ in range(config.masks):
        width = torch.randint(0, config.mask_width + 1, (rows, 1, 1), generator=generator)
        start = torch.randint(0, bands, (rows, 1, 1), generator=generator)
        masked |= (band >= start) & (band < start + width)
    mel_BFM.masked_fill_(masked, FLOOR)
