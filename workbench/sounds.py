"""Stretches of sound without known words, which bystanders' beats are made of: recorded people, and bursts of noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from workbench import recordings
from workbench.acoustics import Acoustics
from workbench.packets import Audio, rng_for
from workbench.scenarios.script import Burst, Passage
from workbench.utterance import RATE, SPEECH_RMS, Utterance, Word, faded, resample

UNKNOWN_WORDS = "(speech)"  # stands in the truth for a recorded passage whose words are not known
NOISE = "(noise)"  # stands in the truth for a burst of noise; nobody's word
NOISE_SNR_DB = 0.0  # a burst is as loud as speech, before the level of its beat
SECOND_DB = (-9.0, 0.0)  # level of the second of two who talk at once
FRAGMENT_S = (0.25, 1.3)
BREAK_S = (0.05, 0.5)  # between two fragments of a talk, where there is one
BREAKS = 0.6


def recorded_passage(passage: Passage) -> Utterance:
    """The recording as an utterance of one pseudo-word, UNKNOWN_WORDS. Raises SpeechError when the recordings are not there."""
    own = rng_for(passage.seed, 0, "passage.manner")
    match passage.manner:
        case "alone":
            samples, voice = _stretch(passage)
        case "two_at_once":
            samples, voice = _two_at_once(passage, own), f"recorded:{passage.manner}"
        case "fragments":
            samples, voice = _fragments(passage, own), f"recorded:{passage.manner}"
    return Utterance(samples, (Word(UNKNOWN_WORDS, 0.0, len(samples) / RATE),), voice)


def _stretch(passage: Passage) -> tuple[Audio, str]:
    """A stretch of one recording, drawn by the passage's seed, at its speed; and whose it is."""
    rng = rng_for(passage.seed, 0, "passage")
    whole = (recordings.sentence if passage.kind == "sentence" else recordings.meeting)(rng, passage.split)
    most = round(passage.length_s * passage.speed * RATE)
    first = int(rng.integers(0, max(1, len(whole.samples) - most + 1)))
    return faded(resample(whole.samples[first : first + most], round(passage.speed * RATE))), whole.voice


def _other(passage: Passage, rng: np.random.Generator, length_s: float) -> Audio:
    """A stretch of what somebody else said, faster or slower than it was said by as much as the passage is."""
    kind: Literal["sentence", "meeting"] = "sentence" if rng.random() < 0.5 else "meeting"
    speed = passage.speed if rng.random() < 0.5 else 1 / passage.speed
    return _stretch(replace(passage, kind=kind, seed=int(rng.integers(2**31)), length_s=length_s, speed=speed))[0]


def _two_at_once(passage: Passage, rng: np.random.Generator) -> Audio:
    """The passage, and over it somebody else."""
    first, second = _stretch(passage)[0], _other(passage, rng, passage.length_s)
    both = np.zeros(max(len(first), len(second)), np.float32)
    both[: len(first)] = first
    both[: len(second)] += second * np.float32(10 ** (float(rng.uniform(*SECOND_DB)) / 20))
    return both


def _fragments(passage: Passage, rng: np.random.Generator) -> Audio:
    """A talk: pieces of what several people said, one after the other, with and without a break between two of them."""
    pieces: list[Audio] = []
    left_s = passage.length_s
    while not pieces or left_s > FRAGMENT_S[0]:
        length_s = min(float(rng.uniform(*FRAGMENT_S)), left_s)
        pieces.append(_other(passage, rng, length_s))
        left_s -= length_s
        silent_s = float(rng.uniform(*BREAK_S)) if rng.random() < BREAKS else 0.0
        if left_s - silent_s > FRAGMENT_S[0]:
            pieces.append(np.zeros(round(silent_s * RATE), np.float32))
            left_s -= silent_s
    return np.concatenate(pieces)


def burst(sound: Burst) -> Utterance:
    """The burst as an utterance of one pseudo-word, NOISE, at the level of speech."""
    rng = rng_for(sound.seed, 0, "burst")
    source = Acoustics(level_db=20 * float(np.log10(SPEECH_RMS)), noises=((sound.kind, NOISE_SNR_DB),), seed=int(rng.integers(2**31)))
    samples = faded(source.noise_span(int(rng.integers(6 * RATE)), round(sound.length_s * RATE)))
    return Utterance(samples, (Word(NOISE, 0.0, len(samples) / RATE),), f"noise:{sound.kind}")
