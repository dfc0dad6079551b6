"""The teacher of the agent's own voice: single words as sound, with the phones they are made of and where each one ends.

flite's `slt`, a woman whom no simulated user ever sounds like. flite is not on every machine; where it is missing, this says so.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from workbench import flite
from workbench.errors import SpeechError
from workbench.packets import Audio
from workbench.utterance import RATE, levelled, resample

TEACHER = "slt"
RELEASE_S = 0.025  # what is kept of the sound after the last phone
_PLACEHOLDER = "wado"

_SPELLINGS = """
mhm: m hh ah1 m
uhuh: ah1 hh ah1
uno: uw1 n ow0
dos: d ow1 s
tres: t r ey1 s
cuatro: k w aa1 t r ow0
cinco: s iy1 ng k ow0
seis: s ey1 s
siete: s y ey1 t ey0
ocho: ow1 ch ow0
nueve: n w ey1 v ey0
diez: d y eh1 s
rojo: r ow1 hh ow0
roja: r ow1 hh aa0
azul: aa0 s uw1 l
verde: v eh1 r d ey0
amarillo: aa0 m aa0 r iy1 y ow0
blanco: b l aa1 ng k ow0
blanca: b l aa1 ng k aa0
negro: n ey1 g r ow0
casa: k aa1 s aa0
coche: k ow1 ch ey0
gato: g aa1 t ow0
perro: p eh1 r ow0
perros: p eh1 r ow0 s
gracias: g r aa1 s y aa0 s
buenos: b w ey1 n ow0 s
buenas: b w ey1 n aa0 s
días: d iy1 aa0 s
noches: n ow1 ch ey0 s
"""
SPELLED: dict[str, str] = dict(line.split(": ") for line in _SPELLINGS.split("\n") if line)
"""Words that the teacher would not read as a person says them, in its own phones (1: stressed); Spanish with an English mouth."""


@dataclass(frozen=True, eq=False)
class Taught:
    """A word as the teacher says it, from its first phone: sound at 16 kHz with the release after it, and (phone, seconds at its end)."""

    word: str
    samples: Audio
    phones: tuple[tuple[str, float], ...]

    @property
    def spoken_s(self) -> float:
        """Seconds from the first phone's beginning to the last one's end; the release comes after it."""
        return self.phones[-1][1]


def teach(word: str, stretch: float = 1.0, phones: str = "") -> Taught:
    """`word` spoken on its own, its durations times `stretch`; `phones` spells it where given, else the teacher reads it.

    Raises SpeechError when flite is missing or reads no phones.
    """
    spelling = phones or SPELLED.get(word, "")
    with tempfile.TemporaryDirectory() as folder:
        addenda, path = Path(folder) / "words.txt", Path(folder) / "word.wav"
        addenda.write_text(f'"{_PLACEHOLDER}" nil : {spelling}\n' if spelling else "")
        settings = ("-add_lex", str(addenda), "--setf", f"duration_stretch={stretch:.4f}")
        timed = flite.phones(TEACHER, _PLACEHOLDER if spelling else word.replace("-", " "), str(path), settings)
        samples, rate = soundfile.read(path, dtype="float32")
    sounding = [(phone, begin, end) for phone, begin, end in timed if phone != flite.SILENCE]
    if not sounding:
        raise SpeechError(f"flite reads no phones in {word!r}; spell it in SPELLED, or take another word")
    begin_s, end_s = sounding[0][1], sounding[-1][2]
    whole = resample(np.asarray(samples, np.float32), rate)
    cut = levelled(whole[round(begin_s * RATE) : round((end_s + RELEASE_S) * RATE)])
    return Taught(word, cut, tuple((phone, round(end - begin_s, 6)) for phone, _, end in sounding))


def taught_within(word: str, longest_s: float, stretch: float = 1.0, phones: str = "") -> Taught:
    """The same, spoken faster where it would last longer than `longest_s` without its release."""
    taught = teach(word, stretch, phones)
    while taught.spoken_s > longest_s:
        stretch *= 0.98 * longest_s / taught.spoken_s
        taught = teach(word, stretch, phones)
    return taught
