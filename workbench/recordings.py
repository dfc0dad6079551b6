"""People's recorded voices: single digits, command words, read sentences and meetings from the folder in MICROTURN_SPEECH.

Sentences, meetings and command words are split by a fixed hash of the file's name: four fifths for training, the rest held back.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from workbench.audio_io import read_audio
from workbench.errors import InputError, SpeechError
from workbench.packets import Audio
from workbench.utterance import FRAME_S, RATE, Utterance, Word, audible_span, frame_rms, levelled, quantised, trim

SPEECH_VARIABLE = "MICROTURN_SPEECH"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_BRIDGE_S = 0.15
_CUT_CLOSE_S = 0.8
Split: TypeAlias = Literal["train", "held_back", "all"]


def speech_folder() -> Path:
    """The folder in MICROTURN_SPEECH, else `../shared/data/speech` beside the repository."""
    given = os.environ.get(SPEECH_VARIABLE)
    return Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data" / "speech"


def recordings_available() -> bool:
    """Whether the folder of recordings is there."""
    return speech_folder().is_dir()


def held_back(file_name: str) -> bool:
    """Whether a recording is kept out of training: a fixed fifth of all file names."""
    return zlib.crc32(file_name.encode()) % 5 == 0


def speakers() -> tuple[str, ...]:
    """The people of the digit recordings, sorted."""
    return tuple(sorted(path.name for path in _folder("digits").iterdir() if path.is_dir()))


def vocabulary() -> tuple[str, ...]:
    """The words of the command recordings, sorted."""
    return tuple(sorted(path.name for path in _folder("words").iterdir() if path.is_dir()))


def words_of(split: Split) -> tuple[str, ...]:
    """The words of which there is a recording in a split, sorted."""
    return tuple(text for text in vocabulary() if any(_files(f"words/{text}", "*.flac", split)))


def digit(speaker: str, word: str, rng: np.random.Generator) -> Utterance:
    """One take of a digit word (zero to nine) by one person, drawn by `rng`."""
    if word not in DIGITS:
        raise InputError(f"{word!r} is not a digit word; recorded people say {', '.join(DIGITS)}")
    if speaker not in speakers():
        raise InputError(f"nobody called {speaker!r} recorded digits; there are {', '.join(speakers())}")
    return _single(_draw(f"digits/{speaker}", f"{DIGITS.index(word)}_*.flac", "all", rng), word)


def word(text: str, rng: np.random.Generator, split: Split = "train") -> Utterance:
    """One recording of a command word by a person drawn by `rng`."""
    if text not in vocabulary():
        raise InputError(f"there is no recording of {text!r}; there are {', '.join(vocabulary())}")
    return _single(_draw(f"words/{text}", "*.flac", split, rng), text)


def sentence(rng: np.random.Generator, split: Split = "train") -> Utterance:
    """One read English sentence; what is said in it is not known word by word, so it has no words."""
    return _passage(_draw("read_sentences", "*.flac", split, rng))


def meeting(rng: np.random.Generator, split: Split = "train") -> Utterance:
    """30 s of a real meeting at the level of other speech; without words, like a sentence."""
    return _passage(_draw("meetings", "*.flac", split, rng))


def _folder(name: str) -> Path:
    folder = speech_folder() / name
    if not folder.is_dir():
        raise SpeechError(f"there are no recordings in {folder}; set {SPEECH_VARIABLE} to the folder that holds {name!r}")
    return folder


def _draw(folder: str, pattern: str, split: Split, rng: np.random.Generator) -> Path:
    if split not in ("train", "held_back", "all"):
        raise InputError(f"split={split!r}: choose 'train', 'held_back' or 'all'")
    found, files = _files(folder, pattern, "all"), _files(folder, pattern, split)
    if not files:
        raise SpeechError(
            f"none of the {len(found)} recordings {folder}/{pattern} in {speech_folder()} is in the split {split!r}; "
            f"use split='all', or set {SPEECH_VARIABLE} to a folder with more of them"
        )
    return files[int(rng.integers(len(files)))]


def _files(folder: str, pattern: str, split: Split) -> list[Path]:
    found = sorted(_folder(folder).glob(pattern))
    return [path for path in found if split == "all" or held_back(path.name) == (split == "held_back")]


def _label(path: Path) -> str:
    return f"recorded:{path.relative_to(speech_folder()).with_suffix('').as_posix()}"


@lru_cache(maxsize=1024)
def _single(path: Path, text: str) -> Utterance:
    """A recording of one word, cut to where it stands out from the noise of its room."""
    samples = read_audio(path)
    first, last = word_span(samples)
    cut = trim(Utterance(samples, (Word(text, first / RATE, last / RATE),), _label(path)))
    return quantised(replace(cut, samples=levelled(cut.samples)))


def word_span(samples: Audio) -> tuple[int, int]:
    """First and one past the last sample of the one word in a recording.

    Around the loudest moment, frames above both the room's noise (8 dB over its quiet frames) and 30 dB under the peak; gaps up to
    0.15 s (the closure of a stop consonant) belong to the word. A recording shorter than 0.8 s is already cut close, with too little
    of the room left to measure: there every audible frame counts.
    """
    if len(samples) < _CUT_CLOSE_S * RATE:
        return audible_span(samples, RATE)
    levels = np.convolve(frame_rms(samples, RATE), np.full(3, 1 / 3), mode="same")
    peak = float(levels.max(initial=0.0))
    if peak <= 1e-5:
        return 0, len(samples)
    noise = float(np.quantile(levels, 0.1))
    floor = max(peak * 10 ** (-30 / 20), min(noise * 10 ** (8 / 20), peak * 10 ** (-12 / 20)))
    loud = np.flatnonzero(levels >= floor)
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > _BRIDGE_S / FRAME_S) + 1)
    word_run = next(run for run in runs if run[0] <= int(levels.argmax()) <= run[-1])
    size = round(FRAME_S * RATE)
    return int(word_run[0]) * size, min(int(word_run[-1] + 1) * size, len(samples))


@lru_cache(maxsize=32)
def _passage(path: Path) -> Utterance:
    return quantised(trim(Utterance(levelled(read_audio(path)), (), _label(path))))
