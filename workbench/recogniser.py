"""An independent recogniser: pocketsphinx with its own model of American English, told which words there are and how they sound.

It has never heard anything made here, so it can judge speech made here. It knows words by their phones and takes any to follow any, unless
it is given sentences: then it knows which words follow which, and can tell "to" from "two".
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.packets import Audio
from workbench.utterance import RATE, to_int16

_ALIKE = {"ax": "ah", "axr": "er", "ix": "ih", "hv": "hh", "dx": "d", "el": "l", "en": "n", "em": "m"}
_PHONES = frozenset("aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh".upper().split())
_SILENCES = frozenset({"<s>", "</s>", "<sil>"})
LANGUAGE_WEIGHT = 6.5
DISCOUNT, UNSEEN = 0.5, 0.5  # of a count of word pairs; the count of a word that no sentence has
AUDIBLE = 1e-3
MARGIN_S = 0.15  # of silence before and after what is to be heard


def arpabet(phones: Iterable[str]) -> str:
    """Phones as a pronouncing dictionary writes them: capitals, without stress, neighbours of its own 39 mapped to them."""
    plain = (re.sub(r"\d", "", phone.lower()) for phone in phones)
    return " ".join(_ALIKE.get(phone, phone).upper() for phone in plain)


@dataclass(eq=False)
class Recogniser:
    """Hears the words of `pronunciations` (phones of each word) and no others.

    Without `sentences`, words that sound alike count as the first of them. With them, each sound is also heard for itself, whatever was
    heard before it: its level is normalised over the sound instead of from one sound to the next.

    Raises InputError when pocketsphinx is missing or a phone is not one of its own.
    """

    pronunciations: Mapping[str, Sequence[str]]
    sentences: Sequence[Sequence[str]] = ()
    _decoder: Any = field(init=False)
    _same: dict[str, str] = field(init=False)
    _one_at_a_time: Lock = field(init=False, default_factory=Lock)

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
        self._same = {word: word if self.sentences else first.setdefault(sound, word) for word, sound in said.items()}
        kept = {word: sound for word, sound in said.items() if self._same[word] == word}
        with tempfile.TemporaryDirectory() as folder:
            dictionary, grammar = Path(folder) / "words.dict", Path(folder) / "words.lm"
            dictionary.write_text("".join(f"{word} {sound}\n" for word, sound in kept.items()), encoding="utf-8")
            grammar.write_text(_bigrams(list(kept), self.sentences) if self.sentences else _unigrams(list(kept)), encoding="utf-8")
            self._decoder = Decoder(
                dict=str(dictionary),
                lm=str(grammar),
                lw=LANGUAGE_WEIGHT,
                cmn="batch" if self.sentences else "live",
                samprate=float(RATE),
                loglevel="FATAL",
            )

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
        with self._one_at_a_time:
            self._decoder.start_utt()
            self._decoder.process_raw(to_int16(np.concatenate([margin, samples, margin])).tobytes(), full_utt=True)
            self._decoder.end_utt()
            heard = [re.sub(r"\(\d+\)$", "", piece.word) for piece in self._decoder.seg()]
        return tuple(word for word in heard if word not in _SILENCES and not word.startswith("["))


def dictionary_phones(words: Iterable[str], more: Mapping[str, Sequence[str]] | None = None) -> dict[str, tuple[str, ...]]:
    """The phones of words: those of `more`, else as the pronouncing dictionary of pocketsphinx has them.

    Raises InputError for a word that neither has, or when pocketsphinx is missing.
    """
    try:
        from pocketsphinx import get_model_path
    except ImportError:
        raise InputError("pocketsphinx is not installed; install it with `pip install pocketsphinx`") from None
    found = {word: tuple(phones) for word, phones in (more or {}).items()}
    for line in Path(get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        found.setdefault(word, tuple(phones))
    wanted = list(dict.fromkeys(words))
    if unknown := [word for word in wanted if word not in found]:
        raise InputError(f"the dictionary does not say how to pronounce {', '.join(unknown)}; give their phones")
    return {word: found[word] for word in wanted}


def _bigrams(words: Sequence[str], sentences: Sequence[Sequence[str]]) -> str:
    """A language model in the ARPA format of the word pairs in these sentences: absolute discounting, backing off to single words."""
    singles: dict[str, float] = dict.fromkeys((*words, "</s>"), UNSEEN)
    pairs: dict[str, Counter[str]] = {}
    for sentence in sentences:
        line = ["<s>", *(word for word in sentence if word in singles), "</s>"]
        for one, two in pairwise(line):
            singles[two] += 1
            pairs.setdefault(one, Counter())[two] += 1
    total = sum(singles.values())
    chance = {word: count / total for word, count in singles.items()}
    ones, twos = [], []
    for word in ("<s>", *singles):
        after = pairs.get(word) or Counter[str]()
        count = sum(after.values())
        left = DISCOUNT * len(after) / count if after else 1.0
        backoff = left / max(1e-6, 1 - sum(chance[two] for two in after))
        ones.append(f"{np.log10(chance[word]) if word in chance else -99:.4f} {word} {np.log10(backoff):.4f}")
        twos += [f"{np.log10((times - DISCOUNT) / count):.4f} {word} {two}" for two, times in sorted(after.items())]
    head = ["\\data\\", f"ngram 1={len(ones)}", f"ngram 2={len(twos)}", "", "\\1-grams:", *ones, "", "\\2-grams:", *twos]
    return "\n".join([*head, "", "\\end\\", ""])


def _unigrams(words: Sequence[str]) -> str:
    """A language model in the ARPA format in which every word is as likely as any other."""
    chance = -np.log10(len(words) + 1)
    lines = [f"{chance:.4f} {word} 0.0" for word in ("</s>", *words)]
    return "\n".join(["\\data\\", f"ngram 1={len(words) + 2}", "", "\\1-grams:", "-99 <s> 0.0", *lines, "", "\\end\\", ""])
