"""Speech with word times from any voice: phrases and pauses in, one utterance at 16 kHz out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import numpy as np

from workbench import espeak, festival, flite, recordings, rhvoice
from workbench.bank import Bank
from workbench.errors import InputError
from workbench.packets import rng_for
from workbench.utterance import RATE, Utterance, Word, clean_words, join, levelled, quantised, resample, sounding_spans, trim
from workbench.voices import AGENT_VOICE, Voice, pick_voice

__all__ = ["AGENT_VOICE", "Bank", "Speaker", "Utterance", "Voice", "Word", "pick_voice", "prepare", "speaker"]

_PITCH_STEPS_PER_OCTAVE = 73.0  # of espeak-ng, measured on en-us from formant 0.84 to 1.2
_SPLICE_GAP_S = 0.03


@dataclass(frozen=True)
class Speaker:
    """Speaks with one voice; phrases are kept in memory, and in `bank` where one is given."""

    voice: Voice
    bank: Bank | None = None

    def say(self, parts: Sequence[str | float]) -> Utterance:
        """Phrases (spoken in one go) and pauses (seconds) joined into one utterance, silence trimmed from each phrase.

        Words come out lower-case without punctuation, with the seconds between which they sound.
        Raises SpeechError when the voice's engine or recordings are missing.
        """
        pieces: list[Utterance | float] = []
        for part in parts:
            pieces.append(self.phrase(part) if isinstance(part, str) else float(part))
        return join(pieces, self.voice.label)

    def phrase(self, text: str) -> Utterance:
        """One phrase without pauses; the same object for the same text while it is in memory."""
        spoken = " ".join(piece for piece in text.split() if clean_words(piece))
        if not spoken:
            raise InputError(f"the phrase {text!r} has no words to say; give at least one word")
        return _phrase(self.voice, spoken, self.bank)


def speaker(voice: Voice, bank: Bank | None = None) -> Speaker:
    """A speaker with this voice; `bank` keeps its phrases on disk."""
    return Speaker(voice, bank)


def prepare(voice: Voice, texts: Sequence[str], bank: Bank) -> None:
    """Put a festival voice's phrases in the bank, all in one run of the program (one at a time they cost half a second each)."""
    if voice.engine != "festival":
        raise InputError(f"voice {voice.label!r} needs no preparation; only festival voices do")
    missing = sorted({text for text in texts if bank.get(voice.label, text) is None})
    if missing:
        for text, spoken in zip(missing, festival.speak(voice.name, missing, _festival_manner(voice)), strict=True):
            bank.put(voice.label, text, quantised(_timed(voice, text, spoken)))


def _phrase(voice: Voice, text: str, bank: Bank | None) -> Utterance:
    if voice.engine == "recorded":  # what is in the folder of recordings may change, so nothing made of it is kept
        return _recorded(voice, text, bank)
    return _synthesised(voice, text, bank)


@lru_cache(maxsize=512)
def _synthesised(voice: Voice, text: str, bank: Bank | None) -> Utterance:
    stored = bank.get(voice.label, text) if bank is not None else None
    if stored is not None:
        return stored
    made = quantised(replace(_render(voice, text), voice=voice.label))
    if bank is not None:
        bank.put(voice.label, text, made)
    return made


def _render(voice: Voice, text: str) -> Utterance:
    match voice.engine:
        case "espeak":
            return _spliced(voice, text) if voice.splice and " " in text else _espeak(voice, text)
        case "flite":
            return _timed(voice, text, flite.speak(voice.name, text))
        case "festival":
            return _timed(voice, text, festival.speak(voice.name, [text], _festival_manner(voice))[0])
        case "rhvoice":
            return _timed(voice, text, rhvoice.speak(voice.name, text, _rhvoice_manner(voice)))
        case "recorded":
            raise AssertionError("recorded voices are put together, not synthesised")


def _espeak(voice: Voice, text: str) -> Utterance:
    """A phrase by espeak-ng, its resonances scaled by `voice.formant`.

    Playing a sound faster raises formants, pitch and tempo alike; the phrase is therefore synthesised slower and lower first.
    """
    low, high = espeak.RATE_WPM
    manner = espeak.Manner(
        rate_wpm=min(high, max(low, round(voice.rate_wpm / voice.formant))),
        pitch=min(99, max(0, round(voice.pitch - _PITCH_STEPS_PER_OCTAVE * math.log2(voice.formant)))),
        pitch_range=voice.pitch_range,
        word_gap=voice.word_gap,
    )
    return _timed(voice, text, espeak.speak(voice.name, text, manner))


def _timed(voice: Voice, text: str, spoken: espeak.Spoken) -> Utterance:
    """Raw speech played at the voice's formant factor, at 16 kHz, levelled and trimmed, with the words' sounding spans."""
    rate = spoken.rate * voice.formant
    samples = resample(spoken.samples, rate)
    starts = [min(len(samples), round(start * RATE / rate)) for start in spoken.starts]
    spans = sounding_spans(samples, RATE, starts)
    words = tuple(Word(word, first / RATE, last / RATE) for word, (first, last) in zip(clean_words(text), spans, strict=True))
    return trim(Utterance(levelled(samples), words, voice.label))


def _spliced(voice: Voice, text: str) -> Utterance:
    """Every word spoken on its own, joined with short gaps: how recorded words in a carrier sound."""
    pieces: list[Utterance | float] = []
    for word in text.split():
        pieces += [_SPLICE_GAP_S, _espeak(replace(voice, splice=False), word)]
    return join(pieces[1:], voice.label)


def _festival_manner(voice: Voice) -> festival.Manner:
    """festival's settings for a voice; 175 words a minute and pitch 50 leave its own tempo and pitch."""
    octaves = (voice.pitch - 50) / _PITCH_STEPS_PER_OCTAVE
    return festival.Manner(
        stretch=175 / voice.rate_wpm * voice.formant,
        pitch_hz=festival.Manner.pitch_hz * 2**octaves / voice.formant,
        range_hz=festival.Manner.range_hz * voice.pitch_range / 50,
    )


def _rhvoice_manner(voice: Voice) -> rhvoice.Manner:
    """RHVoice's settings for a voice; 175 words a minute and pitch 50 leave its own tempo and pitch."""
    octaves = (voice.pitch - 50) / _PITCH_STEPS_PER_OCTAVE
    return rhvoice.Manner(rate=voice.rate_wpm / 175 / voice.formant, pitch=2**octaves / voice.formant)


def _recorded(voice: Voice, text: str, bank: Bank | None) -> Utterance:
    """Recorded words where the voice has them, the words between them by a synthetic carrier voice, joined with short gaps."""
    carrier = replace(pick_voice("train", voice.seed), splice=False)
    known = _recorded_words(voice)
    pieces: list[Utterance | float] = []
    place = 0
    for is_recorded, group in groupby(text.split(), key=lambda piece: clean_words(piece)[0] in known):
        run = list(group)
        if is_recorded:
            draws = [rng_for(voice.seed, place + index, f"take:{text}") for index in range(len(run))]
            takes = [_take(voice, clean_words(piece)[0], rng) for piece, rng in zip(run, draws, strict=True)]
        else:
            takes = [_synthesised(carrier, " ".join(run), bank)]
        place += len(run)
        for take in takes:
            pieces += [_SPLICE_GAP_S, take]
    return join(pieces[1:], voice.label)


def _take(voice: Voice, word: str, rng: np.random.Generator) -> Utterance:
    if voice.digits_from == "digits":
        return recordings.digit(voice.name, word, rng)
    return recordings.word(word, rng, split="held_back" if voice.digits_from == "held-back" else "train")


def _recorded_words(voice: Voice) -> frozenset[str]:
    if voice.digits_from == "digits":
        return frozenset(recordings.DIGITS)
    return frozenset(recordings.words_of("held_back" if voice.digits_from == "held-back" else "train"))
