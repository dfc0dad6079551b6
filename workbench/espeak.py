"""espeak-ng as a function from text to sound and word starts, through the library of the wheel `espeakng-loader`.

The library keeps hidden state between phrases (the phase of its pitch flutter, its random numbers), so the same phrase
would differ a little from call to call. It is therefore loaded afresh for every phrase, which costs about 5 ms and makes
the sound a pure function of its arguments.
"""

from __future__ import annotations

import _ctypes
import ctypes
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from workbench import accents
from workbench.errors import InputError, SpeechError
from workbench.packets import Audio

ENGLISH = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
RATE_WPM = (80, 450)  # what the engine accepts

# espeak-ng/speak_lib.h
_SYNCHRONOUS, _NO_EXIT, _WORD, _BY_CHARACTER, _UTF8 = 2, 0x8000, 1, 1, 1
_SET_RATE, _SET_VOLUME, _SET_PITCH, _SET_RANGE, _SET_GAP = 1, 2, 3, 4, 7
_VOLUME = 60  # of 0..200; leaves headroom, because some variants clip at the default of 100
_LOCK = threading.Lock()


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How to speak: words per minute (80 to 450), pitch and pitch range (0 to 99), extra gap between words (10 ms units)."""

    rate_wpm: int = 175
    pitch: int = 50
    pitch_range: int = 50
    word_gap: int = 0

    def __post_init__(self) -> None:
        low, high = RATE_WPM
        if not low <= self.rate_wpm <= high:
            raise InputError(f"rate_wpm={self.rate_wpm} is outside {low} to {high}; espeak-ng cannot speak at that rate")
        if not (0 <= self.pitch <= 99 and 0 <= self.pitch_range <= 99):
            raise InputError(f"pitch={self.pitch}, pitch_range={self.pitch_range}: both must be 0 to 99")
        if not 0 <= self.word_gap <= 100:
            raise InputError(f"word_gap={self.word_gap} must be 0 to 100 (steps of 10 ms)")


@dataclass(frozen=True, eq=False)
class Spoken:
    """Raw sound (float32, at `rate` samples a second) and the sample at which each word of the text begins."""

    samples: Audio
    rate: int
    starts: tuple[int, ...]


def speak(name: str, text: str, manner: Manner) -> Spoken:
    """`text` spoken by an espeak-ng voice such as "en-us" or "en-us+f3"; one start for each space-separated word.

    The voice may also have an accent that nobody has, "en-x-17+f3", or a learner's, "en-x-fr-17+f3" (see `accents`).

    Raises SpeechError when the voice does not exist, InputError when the text has no words.
    """
    if not text.split():
        raise InputError("there is nothing to say: the text has no words; give at least one")
    base, _, variant = name.partition("+")
    if variant and variant not in variants():
        raise SpeechError(f"espeak-ng has no variant {variant!r} (voice {name!r}); it has {', '.join(variants())}")
    chunks: list[Audio] = []
    marks: list[tuple[int, int]] = []

    def receive(wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if count > 0:
            chunks.append(np.ctypeslib.as_array(wave, (count,)).astype(np.float32) / np.float32(32768))
        index = 0
        while events[index].type:
            if events[index].type == _WORD:
                marks.append((events[index].position - 1, events[index].sample))
            index += 1
        return 0

    callback = _CALLBACK(receive)
    with _LOCK, _engine() as (library, rate):
        library.espeak_SetSynthCallback(callback)
        if _choose(library, name):
            raise SpeechError(f"espeak-ng has no voice {base!r}; the English ones are {', '.join(ENGLISH)}")
        _set_manner(library, manner)
        data = text.encode() + b"\0"
        library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, _BY_CHARACTER, 0, _UTF8, None, None)
    samples = np.concatenate(chunks) if chunks else np.zeros(1, np.float32)
    return Spoken(samples, rate, word_starts(text, marks, len(samples)))


def word_starts(text: str, marks: list[tuple[int, int]], total: int) -> tuple[int, ...]:
    """The start sample of each word from (character, sample) marks.

    A word without a mark of its own (the engine runs some function words together) is placed between its neighbours in
    proportion to its letters.
    """
    edges, position = [], 0
    for word in text.split():
        position = text.index(word, position)
        edges.append((position, position + len(word)))
        position += len(word)
    found: dict[int, int] = {}
    for character, sample in sorted(marks):
        for index, (begin, end) in enumerate(edges):
            if begin <= character < end:
                found.setdefault(index, min(sample, total))
    known = {-1: 0, **found, len(edges): total} if 0 not in found else {**found, len(edges): total}
    places = sorted(known)
    letters = np.cumsum([0, *(end - begin for begin, end in edges)])
    anchors_x = [float(letters[max(0, index)]) for index in places]
    starts = np.interp(letters[:-1], anchors_x, [known[index] for index in places])
    return tuple(int(start) for start in np.maximum.accumulate(starts))


@cache
def variants() -> tuple[str, ...]:
    """Names of the voice variants that come with the engine, sorted."""
    return tuple(sorted(path.name for path in (_data_path() / "voices" / "!v").iterdir()))


@contextmanager
def _engine() -> Iterator[tuple[ctypes.CDLL, int]]:
    """A newly loaded library and its sample rate; unloaded afterwards, which also forgets its hidden state."""
    library = ctypes.CDLL(str(_library_path()))
    try:
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(_data_path()).encode(), _NO_EXIT)
        if rate <= 0:
            raise SpeechError(f"espeak-ng did not start with its data in {_data_path()}; reinstall the package espeakng-loader")
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        yield library, rate
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


def _choose(library: ctypes.CDLL, name: str) -> int:
    """Makes the engine speak with this voice; its status, 0 where all is well."""
    base, plus, variant = name.partition("+")
    made = accents.voice_file(base)
    if made is None:
        return int(library.espeak_SetVoiceByName(name.encode()))
    with tempfile.TemporaryFile() as file:
        file.write(made.encode())
        file.seek(0)
        # By its number, as the engine keeps the path in 40 bytes and aborts the program where it is longer.
        return int(library.espeak_ng_SetVoiceByFile(f"/dev/fd/{file.fileno()}{plus}{variant}".encode()))


def _set_manner(library: ctypes.CDLL, manner: Manner) -> None:
    settings = {
        _SET_RATE: manner.rate_wpm,
        _SET_PITCH: manner.pitch,
        _SET_RANGE: manner.pitch_range,
        _SET_GAP: manner.word_gap,
        _SET_VOLUME: _VOLUME,
    }
    for setting, value in settings.items():
        library.espeak_SetParameter(setting, value, 0)


def _library_path() -> Path:
    return _loader_paths()[0]


def _data_path() -> Path:
    return _loader_paths()[1]


@cache
def _loader_paths() -> tuple[Path, Path]:
    try:
        import espeakng_loader
    except ImportError as error:
        raise SpeechError("the synthesiser espeak-ng is not installed; install the package espeakng-loader") from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
