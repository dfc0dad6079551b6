"""RHVoice's statistical voices of two people (`CLB`, `BDL`), where the library is installed: more natural voices for training.

They come from the CMU ARCTIC recordings of people whom neither the unseen set, nor flite's voices in it, nor the agent is made of.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InputError, SpeechError
from workbench.espeak import Spoken, word_starts
from workbench.packets import Audio

VOICES = ("CLB", "BDL")
_DATA_FOLDERS = (Path("/usr/share/RHVoice"), Path("/usr/local/share/RHVoice"))
_CONFIG_FOLDERS = (Path("/etc/RHVoice"), Path("/usr/local/etc/RHVoice"))
_MARK_LAG_S = 0.08  # sound is handed over in pieces of 0.1 s, so a word's mark comes that much before its sound, at most
_LOCK = threading.Lock()

# RHVoice.h
_SET_RATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_PLAY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_uint, ctypes.c_void_p)
_NAME = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_SPAN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p)
_DONE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Callbacks(ctypes.Structure):
    _fields_ = (
        ("set_sample_rate", _SET_RATE),
        ("play_speech", _PLAY),
        ("process_mark", _NAME),
        ("word_starts", _SPAN),
        ("word_ends", _SPAN),
        ("sentence_starts", _SPAN),
        ("sentence_ends", _SPAN),
        ("play_audio", _NAME),
        ("done", _DONE),
    )


class _Init(ctypes.Structure):
    _fields_ = (
        ("data_path", ctypes.c_char_p),
        ("config_path", ctypes.c_char_p),
        ("resource_paths", ctypes.c_void_p),
        ("callbacks", _Callbacks),
        ("options", ctypes.c_uint),
    )


class _Speech(ctypes.Structure):
    _fields_ = (
        ("voice_profile", ctypes.c_char_p),
        *((name, ctypes.c_double) for name in ("absolute_rate", "absolute_pitch", "absolute_volume")),
        *((name, ctypes.c_double) for name in ("relative_rate", "relative_pitch", "relative_volume")),
        ("punctuation_mode", ctypes.c_int),
        ("punctuation_list", ctypes.c_char_p),
        ("capitals_mode", ctypes.c_int),
        ("flags", ctypes.c_int),
    )


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How to speak: tempo and pitch as factors of the voice's own."""

    rate: float = 1.0
    pitch: float = 1.0


@dataclass(eq=False)
class _Engine:
    """The library with its callbacks, and what it has handed over of the phrase that it speaks."""

    library: ctypes.CDLL
    handle: ctypes.c_void_p = field(default_factory=ctypes.c_void_p)
    callbacks: _Callbacks = field(default_factory=_Callbacks)
    rate: int = 0
    pieces: list[Audio] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)

    def set_rate(self, rate: int, user: Any) -> int:
        self.rate = rate
        return 1

    def play(self, wave: ctypes._Pointer[ctypes.c_short], count: int, user: Any) -> int:
        self.pieces.append(np.ctypeslib.as_array(wave, (count,)).astype(np.float32) / np.float32(32768))
        return 1

    def word(self, position: int, length: int, user: Any) -> int:
        so_far = sum(map(len, self.pieces))
        self.marks.append((position, so_far + round(_MARK_LAG_S * self.rate) if so_far else 0))
        return 1


def rhvoice_available() -> bool:
    """Whether the library `libRHVoice` and the data of both voices are installed."""
    return ctypes.util.find_library("RHVoice") is not None and _data() is not None


def speak(name: str, text: str, manner: Manner) -> Spoken:
    """`text` spoken; one start for each space-separated word, true to about 50 ms.

    Raises SpeechError when library or voice is missing, InputError for a text without words or an unknown voice.
    """
    if name not in VOICES:
        raise InputError(f"RHVoice voice {name!r} is not used here; there are {', '.join(VOICES)}")
    if not text.split():
        raise InputError("there is nothing to say: the text has no words; give at least one")
    if not rhvoice_available():
        raise SpeechError(f"voice {name!r} needs RHVoice, which is not installed; install the Debian packages rhvoice and rhvoice-english")
    with _LOCK:
        engine = _engine()
        engine.pieces, engine.marks = [], []
        settings = _Speech(voice_profile=name.encode(), relative_rate=manner.rate, relative_pitch=manner.pitch, relative_volume=1.0)
        data = text.encode()
        message = engine.library.RHVoice_new_message(engine.handle, data, len(data), 0, ctypes.byref(settings), None)
        if not message:
            raise SpeechError(f"RHVoice cannot say {text!r} as {name}; give plain English words")
        spoken = engine.library.RHVoice_speak(message)
        engine.library.RHVoice_delete_message(message)
        if not spoken or not engine.pieces:
            raise SpeechError(f"RHVoice made no sound of {text!r}; give plain English words")
        samples = np.concatenate(engine.pieces)
        return Spoken(samples, engine.rate, word_starts(text, engine.marks, len(samples)))


def _data() -> Path | None:
    folders = (folder for folder in _DATA_FOLDERS if all((folder / "voices" / name.lower()).is_dir() for name in VOICES))
    return next(folders, None)


@cache
def _engine() -> _Engine:
    engine = _Engine(ctypes.CDLL(ctypes.util.find_library("RHVoice")))
    library = engine.library
    library.RHVoice_new_tts_engine.restype = library.RHVoice_new_message.restype = ctypes.c_void_p
    library.RHVoice_new_message.argtypes = (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.POINTER(_Speech),
        ctypes.c_void_p,
    )
    library.RHVoice_speak.argtypes = library.RHVoice_delete_message.argtypes = (ctypes.c_void_p,)
    engine.callbacks.set_sample_rate = _SET_RATE(engine.set_rate)
    engine.callbacks.play_speech = _PLAY(engine.play)
    engine.callbacks.word_starts = _SPAN(engine.word)
    config = next((folder for folder in _CONFIG_FOLDERS if folder.is_dir()), None)
    init = _Init(str(_data()).encode(), None if config is None else str(config).encode(), None, engine.callbacks, 0)
    handle = library.RHVoice_new_tts_engine(ctypes.byref(init))
    if not handle:
        raise SpeechError(f"RHVoice does not start with the data in {_data()}; reinstall rhvoice and rhvoice-english")
    engine.handle = ctypes.c_void_p(handle)
    return engine
