"""Sound as dMel: 80 log10 mel magnitudes every 50 ms, each rounded to one of 16 levels.

The published front end of the open Inkling release: 16 kHz, 100 ms Hann window, 50 ms hop, causal (the window ends with
the frame), Slaney mel bands over magnitudes, levels evenly spaced over log10 from -7 to 2. Levels equal those of
`transformers`' Inkling feature extractor; `tests/test_model_dmel.py` shows it.

Axes: F frames, M mel bands, K frequency bins, S samples; leading axes are batch.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_POWER_FLOOR = 1e-10
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_HZ_PER_MEL = 200.0 / 3.0
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Slaney's auditory scale: linear below 1 kHz, logarithmic above."""
    linear = hz / _SLANEY_HZ_PER_MEL
    above = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL + np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    return np.where(hz >= _SLANEY_BREAK_HZ, above, linear)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    break_mel = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
    above = _SLANEY_BREAK_HZ * np.exp(_SLANEY_LOG_STEP * (np.maximum(mel, break_mel) - break_mel))
    return np.where(mel >= break_mel, above, mel * _SLANEY_HZ_PER_MEL)


def slaney_filters(num_mel: int, n_fft: int, sample_rate: int) -> np.ndarray:
    """Triangular filters of equal area, float32 [K, M], from 0 Hz to half the sample rate (Slaney, Auditory Toolbox 1998)."""
    nyquist = sample_rate / 2.0
    edges = _mel_to_hz(np.linspace(0.0, float(_hz_to_mel(np.array(nyquist))), num_mel + 2))
    bins = np.linspace(0.0, sample_rate // 2, n_fft // 2 + 1)
    rising = (bins[:, None] - edges[None, :-2]) / np.diff(edges)[None, :-1]
    falling = (edges[None, 2:] - bins[:, None]) / np.diff(edges)[None, 1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))).astype(np.float32)


def _level_thresholds(centres: np.ndarray) -> np.ndarray:
    """For each neighbouring pair of centres the smallest float32 that is strictly nearer to the upper one in float32.

    Counting thresholds below a value then equals the arg-min over all centres, ties going to the lower level.
    """
    thresholds = []
    for low, high in itertools.pairwise(centres):
        value = np.float32((low + high) / np.float32(2))
        while abs(value - high) < abs(value - low):
            value = np.nextafter(value, np.float32(-np.inf))
        while not abs(value - high) < abs(value - low):
            value = np.nextafter(value, np.float32(np.inf))
        thresholds.append(value)
    return np.array(thresholds, dtype=np.float32)


@dataclass(frozen=True)
class DMelState:
    """What the next frame still needs of the past: the last `n_fft - hop` samples, [..., S]."""

    tail_S: Tensor

    def clone(self) -> DMelState:
        """An independent copy."""
        return DMelState(self.tail_S.clone())


@dataclass(frozen=True, kw_only=True)
class DMel:
    """Settings of the front end; methods are pure and run on any leading batch axes."""

    sample_rate: int = 16_000
    num_mel: int = 80
    num_levels: int = 16
    hop_samples: int = 800
    n_fft: int = 1600
    low_log10: float = -7.0
    high_log10: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.hop_samples <= self.n_fft:
            raise ValueError(f"hop_samples={self.hop_samples} must lie between 1 and n_fft={self.n_fft}; shorten the hop")
        if self.num_levels < 2 or not self.low_log10 < self.high_log10:
            raise ValueError(f"{self.num_levels} levels over {self.low_log10}..{self.high_log10} must be 2 or more over a rising range")

    @property
    def tail_samples(self) -> int:
        """How many past samples a frame reaches back beyond its own hop."""
        return self.n_fft - self.hop_samples

    def log_mel(self, audio_S: Tensor) -> Tensor:
        """log10 mel magnitudes, float32 [..., F, M], of audio [..., S] in -1..1; the last hop is filled with zeros if short."""
        missing = -audio_S.shape[-1] % self.hop_samples
        return self._frames(F.pad(audio_S.to(torch.float32), (self.tail_samples, missing)))

    def levels(self, log_mel_FM: Tensor) -> Tensor:
        """Level 0..15 of each log10 magnitude, uint8 of the same shape: the nearest of 16 evenly spaced centres."""
        return torch.bucketize(log_mel_FM, _constants(self, log_mel_FM.device).thresholds, right=True, out_int32=True).to(torch.uint8)

    def scaled(self, log_mel_FM: Tensor) -> Tensor:
        """The magnitudes on a scale on which level k stands for k / 15, not rounded; 0 to 1."""
        return ((log_mel_FM - self.low_log10) / (self.high_log10 - self.low_log10)).clamp(0.0, 1.0)

    def centres(self) -> Tensor:
        """log10 magnitude that each level stands for, float32 [num_levels]."""
        return torch.linspace(self.low_log10, self.high_log10, self.num_levels, dtype=torch.float64).to(torch.float32)

    def start(self, *batch: int, device: torch.device | str = "cpu") -> DMelState:
        """The state before the first sample: silence, of shape [*batch, S]."""
        return DMelState(torch.zeros(*batch, self.tail_samples, device=device))

    def step(self, state: DMelState, samples_S: Tensor) -> tuple[Tensor, DMelState]:
        """log10 mel of the new samples, [..., F, M], and the next state; equal to `log_mel` of the whole, piece by piece."""
        if samples_S.shape[-1] % self.hop_samples:
            raise ValueError(f"{samples_S.shape[-1]} samples must be a multiple of the hop of {self.hop_samples}; send whole frames")
        joined_S = torch.cat([state.tail_S, samples_S.to(torch.float32)], dim=-1)
        tail_S = joined_S[..., joined_S.shape[-1] - self.tail_samples :].clone()
        return self._frames(joined_S), DMelState(tail_S)

    def _frames(self, padded_S: Tensor) -> Tensor:
        constants = _constants(self, padded_S.device)
        frames_FS = padded_S.unfold(-1, self.n_fft, self.hop_samples) * constants.window
        spectrum_FK2 = torch.view_as_real(torch.fft.rfft(frames_FS))
        magnitude_FK = spectrum_FK2.square().sum(-1).clamp_min_(_POWER_FLOOR).sqrt_()
        return (magnitude_FK @ constants.filters_KM).clamp_min_(_POWER_FLOOR).log10_()


@dataclass(frozen=True)
class _Constants:
    window: Tensor
    filters_KM: Tensor
    thresholds: Tensor


@lru_cache(maxsize=8)
def _constants(settings: DMel, device: torch.device) -> _Constants:
    filters = torch.from_numpy(slaney_filters(settings.num_mel, settings.n_fft, settings.sample_rate))
    thresholds = torch.from_numpy(_level_thresholds(settings.centres().numpy()))
    window = torch.hann_window(settings.n_fft, periodic=True, dtype=torch.float32)
    return _Constants(window.to(device), filters.to(device), thresholds.to(device))
