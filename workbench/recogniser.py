"""An independent recogniser: pocketsphinx with its own model of American English, told which words there are and how they sound.

It has never heard anything made here, so it can judge speech made here. It knows words by their phones and takes any to follow any.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.packets import Audio
from workbench.utterance import RATE, to_int16

_ALIKE = {"ax": "ah", "axr": "er", "ix": "ih", "hv": "hh", "dx": "d", "el": "l", "en": "n", "em": "m"}
_PHONES = frozenset("aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh".upper().split())
_SILENCES = frozenset({"<s>", "</s>", "<sil>"})
LANGUAGE_WEIGHT = 6.5
AUDIBLE = 1e-3
MARGIN_S = 0.15  # of silence before and after what is to be heard


def arpabet(phones: Iterable[str]) -> str:
    """Phones as a pronouncing dictionary writes them: capitals, without stress, neighbours of its own 39 mapped to them."""
    plain = (re.sub(r"\d", "", phone.lower()) for phone in phones)
    return " ".join(_ALIKE.get(phone, phone).upper() for phone in plain)


@dataclass(eq=False)
class Recogniser:
    """Hears the words of `pronunciations` (phones of each word) and no others; words that sound alike count as the first of them.

    Raises InputError when pocketsphinx is missing or a phone is not one of its own.
    """

    pronunciations: Mapping[str, Sequence[str]]
    _decoder: Any = field(init=False)
    _same: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise InputError("pocketsphinx is not installed; install it with `pip install pocketsphinx`") from None
        first: dict[str, str] = {}
        said = {word: arpabet(phones) for word, phones in self.pronunciations.items()}
        for word, sound in said.items():
            if unknown := sorted(set(sound.split()) - _PHONES):
                raise InputError(f"{word!r} is spelled with {', '.join(unknown)}; spell it with the 39 phones of CMUdict")
        self._same = {word: first.setdefault(sound, word) for word, sound in said.items()}
        with tempfile.TemporaryDirectory() as folder:
            dictionary, grammar = Path(folder) / "words.dict", Path(folder) / "words.lm"
            dictionary.write_text("".join(f"{word} {sound}\n" for sound, word in first.items()), encoding="utf-8")
            grammar.write_text(_unigrams(list(first.values())), encoding="utf-8")
            self._decoder = Decoder(dict=str(dictionary), lm=str(grammar), lw=LANGUAGE_WEIGHT, samprate=float(RATE), loglevel="FATAL")

    def alike(self, words: Iterable[str]) -> list[str]:
        """The words as this recogniser tells them apart. Raises InputError for a word it was not told of."""
        found = list(words)
        if unknown := sorted(set(found) - set(self._same)):
            raise InputError(f"the recogniser was not told how to hear {', '.join(unknown)}; add them to its pronunciations")
        return [self._same[word] for word in found]

    def hear(self, samples: Audio) -> tuple[str, ...]:
        """The words in a sound at 16 kHz, in order; none where nothing sounds (a recogniser must always choose, also in silence)."""
        if np.abs(samples).max(initial=0.0) < AUDIBLE:
            return ()
        margin = np.zeros(round(MARGIN_S * RATE), np.float32)
        self._decoder.start_utt()
        self._decoder.process_raw(to_int16(np.concatenate([margin, samples, margin])).tobytes(), full_utt=True)
        self._decoder.end_utt()
        heard = (re.sub(r"\(\d+\)$", "", piece.word) for piece in self._decoder.seg())
        return tuple(word for word in heard if word not in _SILENCES and not word.startswith("["))


def _unigrams(words: Sequence[str]) -> str:
    """A language model in the ARPA format in which every word is as likely as any other."""
    chance = -np.log10(len(words) + 1)
    lines = [f"{chance:.4f} {word} 0.0" for word in ("</s>", *words)]
    return "\n".join(["\\data\\", f"ngram 1={len(words) + 2}", "", "\\1-grams:", "-99 <s> 0.0", *lines, "", "\\end\\", ""])
