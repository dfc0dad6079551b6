"""flite as a function from text to sound and word starts, through its program (Debian package `flite`)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from workbench.errors import SpeechError
from workbench.espeak import Spoken

_TIMEOUT_S = 60
SILENCE = "pau"
"""What the program calls a phone without sound."""


def flite_available() -> bool:
    """Whether the program `flite` is installed."""
    return shutil.which("flite") is not None


def speak(name: str, text: str) -> Spoken:
    """`text` spoken by a flite voice such as "awb"; one start for each space-separated word, taken from the phones' times.

    Raises SpeechError when the program is missing or does not know the voice.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phrase.wav"
        timed = phones(name, text, str(path))
        if not path.is_file():
            raise SpeechError(f"flite wrote no sound for {text!r}; try another phrase")
        samples, rate = soundfile.read(path, dtype="float32")
    sounding = [(phone, begin) for phone, begin, _ in timed if phone != SILENCE]
    words = text.split()
    groups = [[phone for phone in _word_phones(name, word) if phone != SILENCE] for word in words]
    firsts = first_phones([phone for phone, _ in sounding], groups)
    begins = [*(begin for _, begin in sounding), len(samples) / rate]
    starts = np.maximum.accumulate([round(begins[index] * rate) for index in firsts])
    return Spoken(np.asarray(samples, np.float32), int(rate), tuple(int(min(start, len(samples))) for start in starts))


def first_phones(phrase: Sequence[str], words: Sequence[Sequence[str]]) -> list[int]:
    """The index in `phrase` of each word's first phone, by the cheapest edit of the words' phones into the phrase's.

    Phones change between a word on its own and in a phrase (reduced vowels), so an exact match is not asked for.
    """
    phones = [phone for word in words for phone in word]
    cost = np.zeros((len(phones) + 1, len(phrase) + 1), np.int64)
    cost[:, 0], cost[0, :] = np.arange(len(phones) + 1), np.arange(len(phrase) + 1)
    for row, phone in enumerate(phones, start=1):
        for column, heard in enumerate(phrase, start=1):
            swap = cost[row - 1, column - 1] + (phone != heard)
            cost[row, column] = min(swap, cost[row - 1, column] + 1, cost[row, column - 1] + 1)
    match = [0] * len(phones) + [len(phrase)]
    row, column = len(phones), len(phrase)
    while row > 0:
        swap = cost[row - 1, column - 1] + (phones[row - 1] != phrase[column - 1]) if column else -1
        if column and cost[row, column] == swap:
            row, column = row - 1, column - 1
            match[row] = column
        elif cost[row, column] == cost[row - 1, column] + 1:
            row -= 1
            match[row] = column
        else:
            column -= 1
    offsets = np.cumsum([0, *(len(word) for word in words)])[:-1]
    return [match[int(offset)] for offset in offsets]


@lru_cache(maxsize=512)
def _word_phones(name: str, word: str) -> tuple[str, ...]:
    return tuple(phone for phone, _, _ in phones(name, word, "none"))


def phones(name: str, text: str, target: str, settings: Sequence[str] = ()) -> list[tuple[str, float, float]]:
    """(phone, seconds at which it begins, seconds at which it ends) of a text, silences included.

    The sound goes to the file `target` ("none": nowhere); `settings` are further options of the program.
    """
    pairs = [item.rsplit(":", 1) for item in _run(name, text, target, settings).split() if ":" in item]
    ends = [float(end) for _, end in pairs]
    return [(phone, begin, end) for (phone, _), begin, end in zip(pairs, [0.0, *ends[:-1]], ends, strict=True)]


def _run(name: str, text: str, target: str, settings: Sequence[str]) -> str:
    program = shutil.which("flite")
    if program is None:
        raise SpeechError(f"voice {name!r} needs the program flite, which is not installed; install the Debian package `flite`")
    command = [program, "-voice", name, *settings, "-psdur", "-t", text, "-o", target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode or ":" not in done.stdout:
        raise SpeechError(f"flite failed on {text!r} with voice {name!r}: {done.stderr.strip() or 'no phones printed'}; see `flite -lv`")
    return done.stdout
