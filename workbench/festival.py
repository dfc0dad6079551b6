"""festival's voice of a man reading diphones (`festvox-kdlpc16k`), where it is installed: one more voice for training.

The voice of `festvox-kallpc16k` is never used: it is the same person as flite's kal16, which is kept for tests.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from workbench.errors import InputError, SpeechError
from workbench.espeak import Spoken, word_starts

VOICES = {"ked_diphone": "voice_ked_diphone"}
_VOICE_FOLDERS = (Path("/usr/share/festival/voices"), Path("/usr/local/share/festival/voices"))
_TIMEOUT_S = 300
_SETTINGS = """({select})
(Parameter.set 'Duration_Stretch {stretch:.4f})
(set! int_lr_params '((target_f0_mean {pitch_hz:.2f}) (target_f0_std {range_hz:.2f}) (model_f0_mean 170) (model_f0_std 34)))
"""
_PHRASE = """(set! utt (utt.synth (Utterance Text "{text}")))
(utt.save.wave utt "{wave}" 'riff)
(format t "@ {index}\\n")
(mapcar (lambda (w) (format t "%s %f\\n" (item.name w) (item.feat w "word_start"))) (utt.relation.items utt 'Word))
"""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How to speak: durations times `stretch`, and the mean and spread of the pitch in Hz."""

    stretch: float = 1.0
    pitch_hz: float = 105.0
    range_hz: float = 14.0


@cache
def festival_available() -> bool:
    """Whether the program `festival` and its voice `ked_diphone` are installed."""
    return shutil.which("festival") is not None and any(list(folder.glob("*/ked_diphone")) for folder in _VOICE_FOLDERS)


def speak(name: str, texts: Sequence[str], manner: Manner) -> list[Spoken]:
    """Each text spoken, all in one run of the program (starting it costs more than a phrase does).

    Raises SpeechError when the program or the voice is missing, InputError for text that is not plain words.
    """
    if name not in VOICES:
        raise InputError(f"festival voice {name!r} is not known; there is {', '.join(VOICES)}")
    if not festival_available():
        raise SpeechError(
            f"voice {name!r} needs festival, which is not installed; install the Debian packages festival and festvox-kdlpc16k"
        )
    for text in texts:
        if '"' in text or "\\" in text or not text.split():
            raise InputError(f"festival cannot say {text!r}; give words without quotation marks and backslashes")
    with tempfile.TemporaryDirectory() as folder:
        waves = [Path(folder) / f"{index}.wav" for index in range(len(texts))]
        script = _SETTINGS.format(select=VOICES[name], stretch=manner.stretch, pitch_hz=manner.pitch_hz, range_hz=manner.range_hz)
        for index, (text, wave) in enumerate(zip(texts, waves, strict=True)):
            script += _PHRASE.format(text=text, wave=wave, index=index)
        printed = _run(script, Path(folder) / "phrases.scm")
        blocks = printed.split("@ ")[1:]
        if len(blocks) != len(texts):
            raise SpeechError(f"festival spoke {len(blocks)} of {len(texts)} phrases; the first that failed is {texts[len(blocks)]!r}")
        return [_spoken(text, wave, block) for text, wave, block in zip(texts, waves, blocks, strict=True)]


def _run(script: str, path: Path) -> str:
    path.write_text(script, encoding="utf-8")
    done = subprocess.run(["festival", "-b", str(path)], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        raise SpeechError(f"festival failed: {done.stderr.strip()[-300:] or 'no message'}; try `festival -b` with a small script")
    return done.stdout


def _spoken(text: str, wave: Path, block: str) -> Spoken:
    """The sound in a file and the words' starts; in proportion to letters where festival made other words of the text."""
    samples, rate = soundfile.read(wave, dtype="float32")
    sound = np.asarray(samples, np.float32)
    heard = [line.split() for line in block.splitlines()[1:] if len(line.split()) == 2]
    words = text.split()
    if len(heard) != len(words):
        return Spoken(sound, int(rate), word_starts(text, [], len(sound)))
    starts = np.maximum.accumulate([min(len(sound), round(float(begin) * rate)) for _, begin in heard])
    return Spoken(sound, int(rate), tuple(int(start) for start in starts))
