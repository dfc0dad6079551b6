"""Sound as it travels, and as the session has it: PCM16 at 16 kHz on this side; PCM16 at 16 or 24 kHz or G.711 on the other.

Streams keep their place: pieces of any length go in, and over a stream as many samples come out as its rate says, a constant millisecond
or two later. G.711 (ITU-T G.711) is coded to the nearest level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.live.protocol import RATE, Pcm

PCM, ULAW, ALAW = "audio/pcm", "audio/pcmu", "audio/pcma"
RATES = {PCM: (16_000, 24_000), ULAW: (8_000,), ALAW: (8_000,)}
TAPS = 48  # input samples that one output sample is made of
PASSED = 0.92  # of the narrower band
KAISER_BETA = 8.0
FULL_SCALE = 32_767


@dataclass(frozen=True)
class Format:
    """How sound travels: the encoding and the rate in Hz."""

    kind: str = PCM
    rate: int = 24_000

    def __post_init__(self) -> None:
        if self.rate not in RATES.get(self.kind, ()):
            known = "; ".join(f"{kind} at {' or '.join(map(str, rates))} Hz" for kind, rates in RATES.items())
            raise InputError(f"{self.kind!r} at {self.rate} Hz is not carried; there is {known}")


class Decoder:
    """Bytes in a format to samples of the session."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self._rates = Resampler(form.rate, RATE)

    def take(self, data: bytes) -> Pcm:
        """The samples of the next piece. Raises InputError for half a sample."""
        if self.form.kind == PCM and len(data) % 2:
            raise InputError(f"the audio has {len(data)} bytes; PCM16 has two a sample, so a piece has an even number of them")
        if self.form.kind == PCM:
            return self._rates.take(np.frombuffer(data, "<i2").astype(np.int16))
        return self._rates.take(levels(self.form.kind)[np.frombuffer(data, np.uint8)])


class Encoder:
    """Samples of the session to bytes in a format."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self._rates = Resampler(RATE, form.rate)

    def take(self, samples: Pcm) -> bytes:
        """The bytes of the next piece."""
        out = self._rates.take(samples)
        return out.astype("<i2").tobytes() if self.form.kind == PCM else _coded(self.form.kind, out).tobytes()


@dataclass
class Resampler:
    """A stream at another rate, through a polyphase filter (windowed sinc). `take` gives what is there once a piece has come."""

    rate: int
    to_rate: int
    _kept: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(TAPS - 1, np.float32))
    _phase: int = 0  # of the next output sample, in steps of 1 / up of an input sample

    def take(self, samples: Pcm) -> Pcm:
        """The next samples at the other rate."""
        if self.rate == self.to_rate:
            return samples
        up, down = _ratio(self.rate, self.to_rate)
        known = np.concatenate([self._kept, samples.astype(np.float32)])
        count = max(0, -(-(len(samples) * up - self._phase) // down))
        steps = self._phase + down * np.arange(count)
        windows = np.lib.stride_tricks.sliding_window_view(known, TAPS) if len(known) >= TAPS else np.zeros((0, TAPS), np.float32)
        out = np.einsum("nk,nk->n", windows[steps // up], _filter(up, down)[steps % up])
        self._phase += down * count - up * len(samples)
        self._kept = known[len(known) - TAPS + 1 :]
        return np.asarray(np.clip(np.rint(out), -FULL_SCALE - 1, FULL_SCALE), np.int16)


def _ratio(rate: int, to_rate: int) -> tuple[int, int]:
    common = gcd(rate, to_rate)
    return to_rate // common, rate // common


@lru_cache(maxsize=8)
def _filter(up: int, down: int) -> npt.NDArray[np.float32]:
    """(up, TAPS): the taps of every phase, for inputs from the oldest to the newest."""
    length = up * TAPS
    at = np.arange(length) - (length - 1) / 2
    cutoff = PASSED / max(up, down)
    taps = np.sinc(at * cutoff) * np.kaiser(length, KAISER_BETA)
    phases = taps.reshape(TAPS, up).T
    phases = phases / phases.sum(axis=1, keepdims=True)
    return np.ascontiguousarray(phases[:, ::-1]).astype(np.float32)


@lru_cache(maxsize=2)
def levels(kind: str) -> Pcm:
    """(256,): the sample that each byte of G.711 stands for, at 16 bits."""
    code = np.arange(256)
    if kind == ULAW:
        code = ~code & 0xFF
        size = (((code & 0xF) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
        return np.where(code & 0x80, -size, size).astype(np.int16)
    code = code ^ 0x55
    mantissa, exponent = (code & 0xF) << 4, code >> 4 & 7
    size = np.where(exponent == 0, mantissa + 8, mantissa + 0x108 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


@lru_cache(maxsize=2)
def _nearest(kind: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """The borders between neighbouring levels, and the codes in order of their levels."""
    order = np.argsort(levels(kind), kind="stable")
    sorted_levels = levels(kind)[order].astype(np.float32)
    return ((sorted_levels[1:] + sorted_levels[:-1]) / 2).astype(np.float32), order.astype(np.uint8)


def _coded(kind: str, samples: Pcm) -> npt.NDArray[np.uint8]:
    borders, codes = _nearest(kind)
    return np.asarray(codes[np.searchsorted(borders, samples)], np.uint8)
