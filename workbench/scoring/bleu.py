"""BLEU of a corpus, as sacreBLEU gives it by default: nrefs:1, case:mixed, eff:no, tok:13a, smooth:exp (Post, 2018).

Papineni et al. (2002) with the tokens of mteval-v13a and its smoothing: the k-th order without a match counts as 1 / (2^k * n-grams). Below
four tokens in the longest translation there are no n-grams of order four, and BLEU is 0 by definition, however right it is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.packets import rng_for
from workbench.scoring.resample import DRAWS, Interval

ORDER = 4
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_APART: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"([ -&(-+/:-@\[-`{-~])"), r" \1 "),  # all marks but apostrophe, comma, hyphen and full stop
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


@dataclass(frozen=True)
class Matches:
    """What BLEU is made of: per order the n-grams that match and those there are, and the lengths of translation and reference."""

    matched: tuple[int, ...] = (0,) * ORDER
    there: tuple[int, ...] = (0,) * ORDER
    said: int = 0
    wanted: int = 0

    def __add__(self, other: Matches) -> Matches:
        matched, there = (tuple(map(sum, zip(a, b, strict=True))) for a, b in ((self.matched, other.matched), (self.there, other.there)))
        return Matches(matched, there, self.said + other.said, self.wanted + other.wanted)


def tokens(text: str) -> list[str]:
    """The tokens of mteval-v13a."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, mark in _ENTITIES:
        text = text.replace(entity, mark)
    text = f" {text} "
    for pattern, apart in _APART:
        text = pattern.sub(apart, text)
    return text.split()


def matches(said: str, wanted: str) -> Matches:
    """The n-grams of a translation against its reference, each matched at most as often as the reference has it."""
    ours, theirs = tokens(said), tokens(wanted)
    counts = [(_ngrams(ours, n), _ngrams(theirs, n)) for n in range(1, ORDER + 1)]
    return Matches(
        tuple((mine & other).total() for mine, other in counts), tuple(mine.total() for mine, _ in counts), len(ours), len(theirs)
    )


def bleu(found: Matches) -> float:
    """0 to 100."""
    if not any(found.matched) or 0 in found.there:
        return 0.0
    logs, unmatched = 0.0, 0
    for matched, there in zip(found.matched, found.there, strict=True):
        unmatched += matched == 0
        logs += math.log(matched / there if matched else 1 / (2**unmatched * there))
    brevity = min(0.0, 1 - found.wanted / found.said)
    return 100 * math.exp(brevity + logs / ORDER)


def bleu_interval(sessions: Sequence[Matches], seed: int = 0) -> Interval | None:
    """The 95 % percentile interval of the corpus BLEU, sessions drawn with replacement; None without sessions."""
    if not sessions:
        return None
    numbers = np.array([[*one.matched, *one.there, one.said, one.wanted] for one in sessions])
    drawn = rng_for(seed, 0, "bootstrap").integers(len(sessions), size=(DRAWS, len(sessions)))
    values = [bleu(_of(row)) for row in numbers[drawn].sum(axis=1)]
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _of(row: Iterable[int]) -> Matches:
    *counts, said, wanted = map(int, row)
    return Matches(tuple(counts[:ORDER]), tuple(counts[ORDER:]), said, wanted)


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
