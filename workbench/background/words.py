"""Words as they are spoken, and numbers as words: so that "42", "forty-two" and "Forty two." are the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = (("trillion", 10**12), ("billion", 10**9), ("million", 10**6), ("thousand", 1000), ("hundred", 100))
_VALUE = {word: n for n, word in enumerate(_UNITS)} | {word: 10 * n for n, word in enumerate(_TENS) if word}
_SCALE = dict(_SCALES)
_TOKEN = re.compile(r"-?\d[\d,]*(?:\.\d+)?|[^\W\d_]+(?:'[^\W\d_]+)?")
_NUMERAL = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_TURNING = frozenset(  # words without which a sentence says something else
    "not no never none nothing nobody nor neither without except unless cannot hardly".split()
    + "minus point half quarter third percent dozen than least most almost nearly under over or".split()
    + "count say tell speak repeat read add wait stop remind translate look call set forget ignore".split()  # which order something
)
_TAKING_BACK = frozenset("no not wait sorry actually rather correction wrong".split())  # that begin a sentence about the one before
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")
MOST_SPOKEN = 10**15  # larger numbers are spoken digit by digit


def spoken_words(text: str) -> tuple[str, ...]:
    """The words of a text as they are spoken: lower-case, without punctuation, numerals as words."""
    words: list[str] = []
    for token in _TOKEN.findall(text.replace("’", "'")):
        words += number_words(token) if _NUMERAL.fullmatch(token) else [token.lower()]
    return tuple(words)


def turns_what_is_left(word: str) -> bool:
    """Whether a sentence from which this spoken word is left out says something else: a negation, an order, a bound, part of a number."""
    return word in _TURNING or word.endswith("n't") or bool({*word.split("-")} & ({*_VALUE} | {*_SCALE}))


def answer_and_rest(text: str) -> tuple[str, str]:
    """The first sentence of a result, which is the answer, and what else stands there, which was asked for by nobody.

    All of it is the answer where the next sentence takes the first one back ("twelve. no, thirteen.").
    """
    answer, *rest = _SENTENCE_ENDS.split(text.strip(), maxsplit=1)
    if rest and spoken_words(rest[0])[:1] and spoken_words(rest[0])[0] in _TAKING_BACK:
        return text, ""
    return answer, "".join(rest)


def number_words(numeral: str) -> list[str]:
    """A numeral such as "-1,234.5" as words: minus one thousand two hundred thirty four point five."""
    text = numeral.replace(",", "")
    minus = ["minus"] if text.startswith("-") else []
    whole, _, decimals = text.lstrip("-").partition(".")
    after = ["point", *(_UNITS[int(digit)] for digit in decimals)] if decimals else []
    if len(whole) > len(str(MOST_SPOKEN)) or int(whole) >= MOST_SPOKEN:
        return [*minus, *(_UNITS[int(digit)] for digit in whole), *after]
    return [*minus, *_whole(int(whole)), *after]


def _whole(number: int) -> list[str]:
    if number < 20:
        return [_UNITS[number]]
    if number < 100:
        return [_TENS[number // 10], *([_UNITS[number % 10]] if number % 10 else [])]
    for name, size in _SCALES:
        if number >= size:
            rest = number % size
            return [*_whole(number // size), name, *(_whole(rest) if rest else [])]
    raise AssertionError(number)


def read_number(words: Sequence[str]) -> tuple[Fraction, int] | None:
    """The number at the front of these words, in numerals or spelled out, and how many words it takes; None when there is none.

    "three point five", "two hundred and six" and "4.25" are read; "a hundred" too. "minus" is left to who reads the sum.
    """
    if words and _NUMERAL.fullmatch(words[0]):
        return Fraction(words[0].replace(",", "")), 1
    total, group, taken, seen = 0, 0, 0, False
    for place, word in enumerate(words):
        follows = words[place + 1] if place + 1 < len(words) else ""
        if word in _VALUE and _fits(group, _VALUE[word]):
            group, seen = group + _VALUE[word], True
        elif word in ("a", "an") and not seen and follows in _SCALE:
            group, seen = 1, True
        elif word in _SCALE and seen and _scales(total, group, _SCALE[word]):
            if _SCALE[word] == 100:
                group *= 100
            else:
                total, group = total + group * _SCALE[word], 0
        elif not (word == "and" and seen and follows in _VALUE and words[place - 1] in _SCALE):
            break
        taken = place + 1
    if not seen:
        return None
    return _with_decimals(Fraction(total + group), words, taken)


def _fits(group: int, value: int) -> bool:
    """Whether a small number may follow what was read so far: "twenty one" and "hundred five" may, "one two" may not."""
    return group == 0 or (group % 100 == 0 and value < 100) or (group % 10 == 0 and group % 100 >= 20 and 0 < value < 10)


def _scales(total: int, group: int, scale: int) -> bool:
    """Whether a scale may follow: each is smaller than the one before, so in "five hundred and five hundred" the last one is left."""
    return 0 < group < 100 if scale == 100 else group > 0 and total % (1000 * scale) == 0


def _with_decimals(whole: Fraction, words: Sequence[str], taken: int) -> tuple[Fraction, int]:
    if taken >= len(words) or words[taken] != "point":
        return whole, taken
    digits = ""
    for word in words[taken + 1 :]:
        if _VALUE.get(word, 10) >= 10:
            break
        digits += str(_VALUE[word])
    return (whole + Fraction(int(digits), 10 ** len(digits)), taken + 1 + len(digits)) if digits else (whole, taken)
