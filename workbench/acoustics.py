"""Where the microphone stands: level, noise, room, band limit and distortion, drawn at random and applied with numpy alone.

Ours, unpublished. The voice part is applied once per utterance; the noise is a loop addressed by sample position, so a
streamed scenario adds it tick by tick without keeping state.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.packets import Audio, rng_for
from workbench.utterance import RATE, SPEECH_RMS

NoiseKind: TypeAlias = Literal["white", "pink", "brown", "hum", "babble"]
_Spectrum: TypeAlias = npt.NDArray[np.float64]
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)
LOOP_SAMPLES = 6 * RATE  # the noise repeats after 6 s
LOOP_VARIANTS = 16
FULL_SCALE = 0.99
SNR_DB = (-60.0, 120.0)  # from noise a thousand times as strong as the voice to noise that 24 bits could not hold
_RANGES: dict[str, tuple[float, float, str]] = {  # what a microphone and a room can be
    "level_db": (-120.0, 0.0, "a level of {} to {} dBFS"),
    "rt60_s": (0.0, 2.0, "an echo of {} to {} s"),
    "direct_db": (-60.0, 120.0, "a direct sound {} to {} dB above the echo"),
    "tilt_db": (-24.0, 24.0, "a slope of {} to {} dB per octave"),
    "drive": (0.0, 100.0, "a drive of {} to {}"),
}
_FILTER_SIZE = 1024
_BANDS: tuple[tuple[float, float], ...] = ((300.0, 3400.0), (80.0, 4000.0), (150.0, 6500.0))
_FAST_SIZES: list[int] = sorted(
    {2**a * 3**b * 5**c for a in range(5, 22) for b in range(3) for c in range(2) if 2**a * 3**b * 5**c < 2**22}
)


@dataclass(frozen=True, kw_only=True)
class Acoustics:
    """One microphone in one room.

    `level_db` is the RMS of sounding speech in dBFS. `noises` are (kind, signal-to-noise ratio in dB). `rt60_s` is the time in which
    the room's echo falls by 60 dB (0: no room), `direct_db` how much louder the direct sound is than all echo. `band_hz` limits the
    microphone, `tilt_db` is its slope per octave around 1 kHz. `drive` above 0 saturates loud samples. `seed` fixes echo and noise.
    """

    level_db: float = -23.0
    noises: tuple[tuple[NoiseKind, float], ...] = ()
    rt60_s: float = 0.0
    direct_db: float = 6.0
    band_hz: tuple[float, float] | None = None
    tilt_db: float = 0.0
    drive: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high, rule) in _RANGES.items():
            if not low <= getattr(self, name) <= high:  # which holds for no NaN
                give = rule.format(f"{low:g}", f"{high:g}")
                raise InputError(f"{name}={getattr(self, name)} is outside what a microphone or a room can be; give {give}")
        low, high = SNR_DB
        for kind, snr_db in self.noises:
            if kind not in NOISE_KINDS:
                raise InputError(f"there is no noise kind {kind!r}; choose one of {', '.join(NOISE_KINDS)}")
            if not low <= snr_db <= high:
                raise InputError(f"{kind} at a signal-to-noise ratio of {snr_db:g} dB cannot be mixed; give {low:g} to {high:g} dB")
        if self.band_hz is not None and not 0 <= self.band_hz[0] < self.band_hz[1] <= RATE / 2:
            raise InputError(f"band_hz={self.band_hz} must be (low, high) with 0 <= low < high <= {RATE // 2}")

    def apply_to_voice(self, samples: Audio) -> Audio:
        """The utterance as this microphone hears it, without noise; longer than the input by the echo's tail.

        The direct sound is not delayed, so word times stay true. `samples` are at the level every voice is made at.
        """
        gain = 10 ** (self.level_db / 20) / SPEECH_RMS
        heard = samples
        response = impulse(self)
        if response is not None and len(samples):
            heard = convolve(samples, response)
            energy_in, energy_out = float(np.dot(samples, samples)), float(np.dot(heard, heard))
            gain *= (energy_in / energy_out) ** 0.5 if energy_out > 0 else 1.0
        heard = heard * np.float32(gain)
        if self.drive:
            peak = float(np.abs(heard).max(initial=1e-9))
            heard = np.tanh(heard * np.float32(self.drive / peak)) * np.float32(peak / np.tanh(self.drive))
        return np.clip(heard, -FULL_SCALE, FULL_SCALE).astype(np.float32, copy=False)

    def noise(self, tick: int, samples: int) -> Audio:
        """The noise of micro-turn `tick`, `samples` long; the same whenever it is asked for."""
        return self.noise_span(tick * samples, samples)

    def noise_span(self, start: int, count: int) -> Audio:
        """The noise from sample `start`, `count` samples long; zeros when there is none."""
        if not self.noises:
            return np.zeros(count, np.float32)
        begin = start % LOOP_SAMPLES
        loop = _noise_loop(self)
        if begin + count <= LOOP_SAMPLES:
            return loop[begin : begin + count].copy()
        return np.take(loop, np.arange(begin, begin + count), mode="wrap")


def sample_acoustics(rng: np.random.Generator, difficulty: float) -> Acoustics:
    """Draw a microphone; difficulty 0 is a quiet, close one, 1 covers the whole range (SNR down to 5 dB, RT60 up to 0.6 s)."""
    if not 0 <= difficulty <= 1:
        raise InputError(f"difficulty={difficulty} must be 0 to 1")
    noises: list[tuple[NoiseKind, float]] = []
    lowest_snr = 40 - 35 * difficulty
    if rng.random() < 0.4 + 0.5 * difficulty:
        noises.append((_kind(rng), float(rng.uniform(lowest_snr, 40))))
    if rng.random() < 0.3 * difficulty:
        noises.append((_kind(rng), float(rng.uniform(max(lowest_snr, 10), 40))))
    in_room = rng.random() < 0.15 + 0.4 * difficulty
    limited = rng.random() < 0.1 + 0.3 * difficulty
    return Acoustics(
        level_db=float(rng.uniform(-24 - 6 * difficulty, -20 + 6 * difficulty)),
        noises=tuple(noises),
        rt60_s=float(rng.uniform(0.1, 0.2 + 0.4 * difficulty)) if in_room else 0.0,
        direct_db=float(rng.uniform(10 - 8 * difficulty, 14)),
        band_hz=_BANDS[int(rng.integers(len(_BANDS)))] if limited else None,
        tilt_db=float(np.clip(rng.normal(0, 1.5), -4, 4)) * difficulty,
        drive=float(rng.uniform(1, 4)) if rng.random() < 0.05 * difficulty else 0.0,
        seed=int(rng.integers(2**31)),
    )


def convolve(samples: Audio, response: Audio) -> Audio:
    """The full linear convolution (length `len(samples) + len(response) - 1`), by one FFT."""
    length = len(samples) + len(response) - 1
    size = _fast_size(length)
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[:length], np.float32)


@lru_cache(maxsize=64)
def impulse(acoustics: Acoustics) -> Audio | None:
    """Microphone and room as one impulse response whose first sample is the direct sound; None when neither changes anything."""
    colour = _colour_filter(acoustics.band_hz, acoustics.tilt_db)
    room = _room(acoustics.rt60_s, acoustics.direct_db, acoustics.seed) if acoustics.rt60_s else None
    if colour is None or room is None:
        return colour if room is None else room
    return convolve(room, colour)


@cache
def _frequencies(size: int) -> _Spectrum:
    return np.asarray(np.fft.rfftfreq(size, 1 / RATE), np.float64)


def _kind(rng: np.random.Generator) -> NoiseKind:
    return NOISE_KINDS[int(rng.integers(len(NOISE_KINDS)))]


def _fast_size(length: int) -> int:
    return _FAST_SIZES[bisect.bisect_left(_FAST_SIZES, length)]


def _colour_filter(band_hz: tuple[float, float] | None, tilt_db: float) -> Audio | None:
    """A minimum-phase filter of 512 taps: fourth-order slopes at the band's edges and a tilt around 1 kHz."""
    gain = _colour_gain(_frequencies(_FILTER_SIZE), band_hz, tilt_db)
    if gain is None:
        return None
    cepstrum = np.fft.irfft(np.log(np.maximum(gain, 1e-3)))
    half = _FILTER_SIZE // 2
    cepstrum[1:half] *= 2
    cepstrum[half + 1 :] = 0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[:half].astype(np.float32)


def _colour_gain(hz: _Spectrum, band_hz: tuple[float, float] | None, tilt_db: float) -> _Spectrum | None:
    if band_hz is None and not tilt_db:
        return None
    hz = np.maximum(hz, 20.0)
    gain: _Spectrum = 10 ** (tilt_db * np.log2(hz / 1000) / 20)
    if band_hz is not None:
        low, high = band_hz
        gain = gain / np.sqrt(1 + (low / hz) ** 8) / np.sqrt(1 + (hz / high) ** 16)
    return gain


def _room(rt60_s: float, direct_db: float, seed: int) -> Audio:
    """Direct sound, a few early reflections, and noise that decays by 60 dB in `rt60_s` (cut at 40 dB)."""
    rng = rng_for(seed, 0, "room")
    length = round(rt60_s * RATE * 40 / 60)
    decay = np.exp(-np.arange(length) * (np.log(1000) / (rt60_s * RATE)))
    echo = rng.standard_normal(length) * decay
    echo = echo + 0.7 * np.concatenate(([0.0], echo[:-1]))  # walls swallow high frequencies first
    echo[: round(rng.uniform(0.004, 0.012) * RATE)] = 0
    early = rng.integers(round(0.002 * RATE), max(round(0.03 * RATE), round(0.002 * RATE) + 1), size=4) % length
    echo[early] += rng.choice([-1, 1], size=4) * rng.uniform(2, 5, size=4)
    echo *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(echo**2))
    echo[0] = 1.0
    return np.asarray(echo, np.float32)


@lru_cache(maxsize=64)
def _noise_loop(acoustics: Acoustics) -> Audio:
    """All noises at their levels as one loop without a seam, through the microphone's band."""
    total = np.zeros(LOOP_SAMPLES, np.float32)
    for index, (kind, snr_db) in enumerate(acoustics.noises):
        rng = rng_for(acoustics.seed, index, "noise")
        loop = _unit_loop(kind, int(rng.integers(LOOP_VARIANTS)))
        level = 10 ** ((acoustics.level_db - snr_db) / 20)
        at = int(rng.integers(LOOP_SAMPLES))
        total[: LOOP_SAMPLES - at] += np.float32(level) * loop[at:]
        total[LOOP_SAMPLES - at :] += np.float32(level) * loop[:at]
    gain = _colour_gain(_frequencies(LOOP_SAMPLES), acoustics.band_hz, acoustics.tilt_db)
    if gain is not None:
        before = float(np.dot(total, total))
        total = np.fft.irfft(np.fft.rfft(total) * gain, LOOP_SAMPLES).astype(np.float32)
        total *= np.float32((before / max(float(np.dot(total, total)), 1e-12)) ** 0.5)
    total = np.clip(total, -FULL_SCALE, FULL_SCALE)
    total.setflags(write=False)
    return total


@lru_cache(maxsize=len(NOISE_KINDS) * LOOP_VARIANTS)
def _unit_loop(kind: NoiseKind, variant: int) -> Audio:
    """A loop of one noise kind with RMS 1; built in the frequency domain, so its end meets its beginning."""
    rng = rng_for(variant, 0, f"loop:{kind}")
    match kind:
        case "hum":
            loop = _hum(rng)
        case "babble":
            loop = _babble(rng)
        case "white" | "pink" | "brown":
            slope = {"white": 0.0, "pink": -0.5, "brown": -1.0}[kind]
            loop = _shaped(rng, lambda hz: np.maximum(hz, 30.0) ** slope)
    unit = np.asarray(loop / np.sqrt(np.mean(loop**2)), np.float32)
    unit.setflags(write=False)
    return unit


def _shaped(rng: np.random.Generator, gain: Callable[[_Spectrum], _Spectrum]) -> _Spectrum:
    """Noise whose amplitude spectrum follows `gain(hz)`; it repeats after LOOP_SAMPLES without a seam."""
    hz = _frequencies(LOOP_SAMPLES)
    spectrum = gain(hz) * (rng.standard_normal(len(hz)) + 1j * rng.standard_normal(len(hz)))
    spectrum[0] = 0
    return np.asarray(np.fft.irfft(spectrum, LOOP_SAMPLES))


def _hum(rng: np.random.Generator) -> _Spectrum:
    """Mains hum: 50 or 60 Hz and its harmonics, each weaker than the last."""
    base = float(rng.choice([50.0, 60.0]))
    harmonics = np.arange(1, 12)
    phases = rng.uniform(0, 2 * np.pi, len(harmonics))
    weights = rng.uniform(0.3, 1.0, len(harmonics)) / harmonics
    times = np.arange(LOOP_SAMPLES) / RATE
    waves = weights[:, None] * np.sin(2 * np.pi * base * harmonics[:, None] * times + phases[:, None])
    return np.asarray(waves.sum(axis=0))


def _speech_shape(hz: _Spectrum, centre: float) -> _Spectrum:
    return (hz > 90) / (1 + (hz / centre) ** 2)


def _babble(rng: np.random.Generator) -> _Spectrum:
    """Several talkers as speech-shaped noise, each in bursts at a syllable rate of 3 to 6 a second."""
    total = np.zeros(LOOP_SAMPLES)
    turns = np.arange(LOOP_SAMPLES) / LOOP_SAMPLES
    for _ in range(5):
        centre = rng.uniform(350, 800)
        voice = _shaped(rng, partial(_speech_shape, centre=centre))
        syllables = rng.integers(18, 36)  # whole periods in the loop
        drift = 2 * np.sin(2 * np.pi * (rng.integers(1, 4) * turns + rng.random()))
        envelope = 0.5 + 0.5 * np.sin(2 * np.pi * (syllables * turns + rng.random()) + drift)
        total += voice / np.std(voice) * envelope**2
    return total


def border_flux(samples: Audio, border_samples: int) -> tuple[Audio, Audio]:
    """How much the spectrum rises from each 10 ms to the next, 0 to 1, where both sound: across borders, and well inside.

    Borders lie every `border_samples`. Rises in magnitude only (spectral flux, Dixon 2006), over the sum of both spectra; a click at
    the border shows as a mean greater than inside.
    """
    size, step = 160, 40
    starts = np.arange(0, max(0, len(samples) - size + 1), step)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::step] if len(starts) else np.zeros((0, size), np.float32)
    spectra = np.abs(np.fft.rfft(frames * np.hanning(size)))
    apart = size // step
    before, after = spectra[:-apart], spectra[apart:]
    rise = np.sqrt(np.square(np.maximum(after - before, 0)).sum(1))
    whole = np.sqrt(np.square(before).sum(1)) + np.sqrt(np.square(after).sum(1))
    sounds = np.minimum(np.square(before).mean(1), np.square(after).mean(1)) > 0.02**2
    middle = starts[: len(before)] + size
    distance = np.abs((middle + border_samples // 2) % border_samples - border_samples // 2)
    flux = (rise / np.maximum(whole, 1e-9)).astype(np.float32)
    return flux[sounds & (distance <= step)], flux[sounds & (distance > size + step)]
