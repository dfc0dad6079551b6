"""Speech with word times, and the few operations every synthesiser and recording needs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import soxr

from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.packets import Audio

RATE = ClockSpec().sample_rate  # samples per second of every utterance
SPEECH_RMS = 0.07  # level of every phrase where it sounds, about -23 dBFS; acoustics move it from there
AUDIBLE_DB = -36.0  # a frame sounds when it is within this of the loudest frame
FRAME_S = 0.005
KEEP_S = 0.010  # silence left at both ends by `trim`
FADE_S = 0.005


@dataclass(frozen=True)
class Word:
    """One spoken word and the seconds between which it sounds, from the start of its utterance."""

    word: str
    start_s: float
    end_s: float

    def shifted(self, by_s: float) -> Word:
        """The same word, `by_s` seconds later."""
        return Word(self.word, self.start_s + by_s, self.end_s + by_s)


@dataclass(frozen=True, eq=False)
class Utterance:
    """Sound at 16 kHz (float32, read-only), the words in it, and the label of the voice that spoke."""

    samples: Audio
    words: tuple[Word, ...]
    voice: str

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE

    @property
    def text(self) -> str:
        return " ".join(word.word for word in self.words)


def clean_words(text: str) -> list[str]:
    """The words of a phrase, lower-case, without punctuation around them."""
    words = (piece.strip('.,;:!?"()').lower() for piece in text.split())
    return [word for word in words if word]


def frame_rms(samples: Audio, rate: float) -> Audio:
    """Root mean square of each 5 ms frame (the last one zero-padded)."""
    size = max(1, round(FRAME_S * rate))
    padded = np.zeros(-(-len(samples) // size) * size, np.float32)
    padded[: len(samples)] = samples
    frames = padded.reshape(-1, size)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", frames, frames) / size), np.float32)


def audible_span(samples: Audio, rate: float, audible: float | None = None) -> tuple[int, int]:
    """First sample and one past the last sample that sound; (0, 0) for silence.

    `audible` is the smallest frame RMS that counts as sound; by default 36 dB under the loudest frame.
    """
    levels = frame_rms(samples, rate)
    if not len(levels) or levels.max() <= 1e-5:
        return 0, 0
    floor = audible if audible is not None else float(levels.max()) * 10 ** (AUDIBLE_DB / 20)
    loud = np.flatnonzero(levels >= floor)
    if not len(loud):
        return 0, 0
    size = max(1, round(FRAME_S * rate))
    return int(loud[0]) * size, min(int(loud[-1] + 1) * size, len(samples))


def sounding_spans(samples: Audio, rate: float, starts: Sequence[int]) -> list[tuple[int, int]]:
    """Where each word sounds (samples), given where each begins to be synthesised.

    The stretch from one start to the next is narrowed to its first and last audible frame, so closures before a stop
    consonant and pauses after a word do not count as the word.
    """
    levels = frame_rms(samples, rate)
    floor = float(levels.max(initial=0.0)) * 10 ** (AUDIBLE_DB / 20)
    spans = []
    for start, stop in zip(starts, [*starts[1:], len(samples)], strict=True):
        first, last = audible_span(samples[start:stop], rate, floor)
        spans.append((start + first, start + last) if last else (start, max(stop, start + 1)))
    return spans


def resample(samples: Audio, rate: float, to_rate: float = RATE) -> Audio:
    """The same sound at another rate, float32."""
    if rate == to_rate:
        return samples.astype(np.float32, copy=False)
    return np.asarray(soxr.resample(samples.astype(np.float32, copy=False), rate, to_rate, quality="MQ"), np.float32)


def levelled(samples: Audio, rms: float = SPEECH_RMS) -> Audio:
    """The sound scaled so that its audible frames have this RMS; never past full scale."""
    levels = frame_rms(samples, RATE)
    loud = levels[levels >= levels.max(initial=0.0) * 10 ** (AUDIBLE_DB / 20)]
    if not len(loud) or levels.max() <= 1e-5:
        return samples
    gain = rms / float(np.sqrt(np.mean(loud**2)))
    return (samples * min(gain, 0.99 / float(np.abs(samples).max()))).astype(np.float32)


def trim(utterance: Utterance) -> Utterance:
    """The utterance from 10 ms before its first word to 10 ms after its last; without words, between its first and last sound.

    Word times move with it.
    """
    first, last = audible_span(utterance.samples, RATE)
    if utterance.words:
        first, last = round(utterance.words[0].start_s * RATE), round(utterance.words[-1].end_s * RATE)
    keep = round(KEEP_S * RATE)
    begin, end = max(0, first - keep), min(len(utterance.samples), last + keep)
    length_s = (end - begin) / RATE
    moved = [word.shifted(-begin / RATE) for word in utterance.words]
    words = tuple(Word(w.word, min(max(0.0, w.start_s), length_s), min(max(0.0, w.end_s), length_s)) for w in moved)
    return replace(utterance, samples=utterance.samples[begin:end], words=words)


def faded(samples: Audio, fade_s: float = FADE_S) -> Audio:
    """A copy with a linear fade at both ends, so that joining it to anything does not click."""
    out = samples.astype(np.float32, copy=True)
    size = min(round(fade_s * RATE), len(out) // 2)
    if size:
        ramp = np.linspace(0, 1, size, endpoint=False, dtype=np.float32)
        out[:size] *= ramp
        out[-size:] *= ramp[::-1]
    return out


def quantised(utterance: Utterance) -> Utterance:
    """The utterance rounded to 16-bit steps and made read-only: what a stored copy gives back, bit for bit."""
    steps = to_int16(utterance.samples)
    return replace(utterance, samples=from_int16(steps))


def to_int16(samples: Audio) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Float sound in -1 to 1 as 16-bit steps; what is outside is clipped."""
    return np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)


def from_int16(steps: np.ndarray[tuple[int], np.dtype[np.int16]]) -> Audio:
    """16-bit steps as read-only float32."""
    samples = steps.astype(np.float32) / np.float32(32767)
    samples.setflags(write=False)
    return samples


def join(pieces: Sequence[Utterance | float], voice: str) -> Utterance:
    """One utterance from phrases (faded at both ends) and pauses in seconds, in order."""
    sounds: list[Audio] = []
    words: list[Word] = []
    at = 0
    for piece in pieces:
        if isinstance(piece, Utterance):
            sounds.append(faded(piece.samples))
            words += [word.shifted(at / RATE) for word in piece.words]
        else:
            if piece < 0:
                raise InputError(f"a pause of {piece} s is negative; give 0 or more seconds")
            sounds.append(np.zeros(round(piece * RATE), np.float32))
        at += len(sounds[-1])
    samples = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
    samples.setflags(write=False)
    return Utterance(samples, tuple(words), voice)
