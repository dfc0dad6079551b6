"""From mel frames to sound: a small causal source-filter vocoder, 12.5 ms at a time, for one fixed voice.

    mel -> causal stack -> pitch, harmonic bands, noise bands -> pulse train and noise through minimum-phase filters -> sound

The filters begin as the mel envelope itself and the stack learns what to add, so the untrained vocoder already speaks, hoarsely. A pulse
train whose phase is carried on cannot click where frames or cells meet. Harmonic plus noise synthesis after Engel et al. (2020, DDSP);
minimum-phase filters by the cepstrum (Oppenheim and Schafer 1975), here one matrix because bands to log response is linear. Ours: sizes,
the envelope as the beginning, and mel frames that look two hops ahead. The speech head predicts its frames, so that costs no delay:
sound of frame f is samples f * hop to (f + 1) * hop.

Axes: B rows, F frames, M mel bands, K frequency bins, S samples, H samples of a hop, X the two excitations (pulses, noise).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.causal import CausalStack, StackConfig
from model.dmel import DMel, slaney_filters

_NOISE_SAMPLES = 16_384
_AHEAD_FRAMES = 2


@dataclass(frozen=True, kw_only=True)
class VocoderConfig:
    """Sizes of the vocoder and the mel frames it reads.

    A frame holds `num_mel` log10 magnitudes of a 50 ms window, floored, then centred and scaled to about -2..2.
    """

    stack: StackConfig = field(default_factory=lambda: StackConfig(width=128, hidden=256, num_blocks=3))
    sample_rate: int = 16_000
    hop_samples: int = 200
    num_mel: int = 80
    mel_window: int = 800
    n_fft: int = 1024
    floor_log10: float = -4.0
    centre_log10: float = -2.5
    scale_log10: float = 0.8
    pitch_hz: tuple[float, float] = (80.0, 400.0)

    def __post_init__(self) -> None:
        if self.n_fft < 2 * self.hop_samples or self.mel_window < 2 * self.hop_samples:
            raise ValueError(
                f"n_fft={self.n_fft} and mel_window={self.mel_window} must be at least two hops of {self.hop_samples}; shorten the hop"
            )
        low, high = self.pitch_hz
        if not 0 < low < high < self.sample_rate / 4:
            raise ValueError(f"pitch_hz={self.pitch_hz} must be a rising range above 0 and below {self.sample_rate // 4}; correct it")

    @property
    def silence(self) -> float:
        """What every band of a silent frame holds."""
        return (self.floor_log10 - self.centre_log10) / self.scale_log10

    @property
    def mel(self) -> DMel:
        """The front end that measures the frames."""
        return DMel(sample_rate=self.sample_rate, num_mel=self.num_mel, hop_samples=self.hop_samples, n_fft=self.mel_window)


def mel_frames(config: VocoderConfig, audio_S: Tensor) -> Tensor:
    """The frames [..., F, M] that stand for this sound, one per hop; frame f is centred where its hop ends."""
    ahead = F.pad(audio_S, (0, _AHEAD_FRAMES * config.hop_samples))
    log_FM = config.mel.log_mel(ahead)[..., _AHEAD_FRAMES:, :].clamp_min(config.floor_log10)
    return (log_FM - config.centre_log10) / config.scale_log10


@dataclass
class Source:
    """What the stack decides for each frame: pitch [B, F] in Hz, and natural-log gains [B, F, X, M] of the bands of pulses and noise."""

    pitch_BF: Tensor
    bands_BFXM: Tensor


@dataclass(frozen=True)
class VocoderState:
    """What sound still to come needs of the past, one row per session. A value: stepping makes a new one."""

    tails_BNJC: Tensor
    phase_B: Tensor  # of the pulse train, in turns, float64
    frame_B: Tensor  # frames so far; addresses the noise
    hop_BXH: Tensor  # the last hop of both excitations
    overlap_BS: Tensor  # filtered sound that reaches into the next frames


class Vocoder(nn.Module):
    """Mel frames to sound, whole or in pieces."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = config
        width, bands = config.stack.width, config.num_mel
        self.lift = nn.Linear(bands, width)
        self.stack = CausalStack(config.stack)
        self.pitch_head = nn.Linear(width, 1)
        self.band_head = nn.Linear(width, 2 * bands)
        nn.init.zeros_(self.band_head.weight)
        with torch.no_grad():
            self.band_head.bias.copy_(torch.cat([torch.zeros(bands), torch.full((bands,), -1.5)]))
        envelope, basis = _envelope(config), _minimum_phase_basis(config)
        self.register_buffer("envelope_M", torch.from_numpy(envelope), persistent=False)
        self.register_buffer("real_MK", torch.from_numpy(basis.real.copy()), persistent=False)
        self.register_buffer("turn_MK", torch.from_numpy(basis.imag.copy()), persistent=False)
        self.register_buffer("window_S", torch.hann_window(2 * config.hop_samples), persistent=False)
        noise = np.random.default_rng(0).standard_normal(_NOISE_SAMPLES // config.hop_samples * config.hop_samples)
        self.register_buffer("noise_FH", torch.from_numpy(noise).float().view(-1, config.hop_samples), persistent=False)

    def start(self, rows: int = 1) -> VocoderState:
        """The state before the first frame."""
        hop = self.config.hop_samples
        return VocoderState(
            tails_BNJC=self.stack.start(rows),
            phase_B=torch.zeros(rows, dtype=torch.float64),
            frame_B=torch.zeros(rows, dtype=torch.long),
            hop_BXH=torch.zeros(rows, 2, hop),
            overlap_BS=torch.zeros(rows, self.config.n_fft - hop),
        )

    def forward(self, mel_BFM: Tensor, state: VocoderState) -> tuple[Tensor, VocoderState]:
        """The sound of the frames, [B, F * hop], and the state after them; in pieces the same as whole.

        Raises ValueError when the frames have another number of bands.
        """
        if mel_BFM.shape[-1] != self.config.num_mel:
            raise ValueError(f"frames of {mel_BFM.shape[-1]} bands do not fit a vocoder of {self.config.num_mel}; use its own mel_frames")
        source, tails = self.analyse(mel_BFM, state.tails_BNJC)
        return self.synthesise(source, VocoderState(tails, state.phase_B, state.frame_B, state.hop_BXH, state.overlap_BS))

    def analyse(self, mel_BFM: Tensor, tails_BNJC: Tensor) -> tuple[Source, Tensor]:
        """Pitch and band gains of every frame, and the tails of the stack after them."""
        hidden, tails = self.stack(self.lift(mel_BFM), tails_BNJC)
        low, high = (math.log(hz) for hz in self.config.pitch_hz)
        pitch = torch.exp(low + (high - low) * self.pitch_head(hidden)[..., 0].sigmoid())
        log_mel = mel_BFM * self.config.scale_log10 + self.config.centre_log10
        envelope = math.log(10) * log_mel - self.envelope_M
        bands = self.band_head(hidden).unflatten(-1, (2, -1)) + envelope[:, :, None]
        return Source(pitch, bands), tails

    def synthesise(self, source: Source, state: VocoderState) -> tuple[Tensor, VocoderState]:
        """The sound of these sources; the tails of the state pass through untouched."""
        excitation_BFXH, phase_B = self._excite(source.pitch_BF, state)
        before_BFXH = torch.cat([state.hop_BXH[:, None], excitation_BFXH[:, :-1]], 1)
        segments = torch.cat([before_BFXH, excitation_BFXH], -1) * self.window_S
        spectra = torch.fft.rfft(segments, self.config.n_fft)
        gain, turn = (source.bands_BFXM @ self.real_MK).clamp_max(6.0).exp(), source.bands_BFXM @ self.turn_MK
        sounds_BFS = torch.fft.irfft((spectra * torch.polar(gain, turn)).sum(2), self.config.n_fft)
        audio_BS, overlap_BS = self._overlap_add(sounds_BFS, state.overlap_BS)
        frames = source.pitch_BF.shape[1]
        return audio_BS, VocoderState(state.tails_BNJC, phase_B, state.frame_B + frames, excitation_BFXH[:, -1], overlap_BS)

    def _excite(self, pitch_BF: Tensor, state: VocoderState) -> tuple[Tensor, Tensor]:
        """One hop of band-limited pulses and of noise for every frame, both of unit power, and the phase after them."""
        hop, rate = self.config.hop_samples, self.config.sample_rate
        step_BF = pitch_BF.detach().double() / rate
        ends_BF = state.phase_B[:, None] + hop * step_BF.cumsum(1)
        at_BFH = (ends_BF - hop * step_BF)[..., None] + step_BF[..., None] * torch.arange(1, hop + 1)
        half = torch.pi * (at_BFH % 1.0)
        partials = torch.floor(0.5 / step_BF)[..., None]
        low = half.sin()
        summed = torch.where(low.abs() < 1e-5, partials, 0.5 * (((2 * partials + 1) * half).sin() / low.clamp_min(1e-9) - 1))
        pulses_BFH = (summed * (2 / partials).sqrt()).to(pitch_BF.dtype)
        numbers_BF = state.frame_B[:, None] + torch.arange(pitch_BF.shape[1])
        noise_BFH = self.noise_FH[numbers_BF % len(self.noise_FH)]
        return torch.stack([pulses_BFH, noise_BFH], 2), ends_BF[:, -1] % 1.0

    def _overlap_add(self, sounds_BFS: Tensor, overlap_BS: Tensor) -> tuple[Tensor, Tensor]:
        hop, frames = self.config.hop_samples, sounds_BFS.shape[1]
        total = (frames - 1) * hop + self.config.n_fft
        summed = F.fold(sounds_BFS.transpose(1, 2), (1, total), (1, self.config.n_fft), stride=(1, hop))[:, 0, 0]
        summed = summed + F.pad(overlap_BS, (0, total - overlap_BS.shape[1]))
        return summed[:, : frames * hop], summed[:, frames * hop :]


def _envelope(config: VocoderConfig) -> np.ndarray:
    """Natural log of the mel value that white noise of unit power gives, float32 [M]."""
    filters = slaney_filters(config.num_mel, config.mel_window, config.sample_rate)
    window_power = 0.375 * config.mel_window
    return np.log(filters.sum(0) * math.sqrt(window_power)).astype(np.float32)


def _minimum_phase_basis(config: VocoderConfig) -> np.ndarray:
    """Complex [M, K]: the log response of the minimum-phase filter is the band gains times this matrix.

    Gains are interpolated linearly over frequency between the centres of the bands; the phase is the cepstrum's causal part.
    """
    filters = slaney_filters(config.num_mel, config.n_fft, config.sample_rate)
    bins = np.arange(config.n_fft // 2 + 1)
    centres = (filters * bins[:, None]).sum(0) / filters.sum(0)
    gains_MK = np.stack([np.interp(bins, centres, row) for row in np.eye(config.num_mel)])
    cepstrum = np.fft.irfft(gains_MK, config.n_fft)
    fold = np.zeros(config.n_fft)
    fold[0] = fold[config.n_fft // 2] = 1.0
    fold[1 : config.n_fft // 2] = 2.0
    return np.fft.rfft(cepstrum * fold).astype(np.complex64)
