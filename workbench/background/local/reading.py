"""What the skills read: a text taken apart without a remainder, so that what a skill cannot place is refused and never left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, takewhile
from typing import TypeAlias

from workbench.background.words import read_number

Value: TypeAlias = Fraction | str
"""A number, a word in lower case, a numeral that is none ("2,5"), or a sign."""

MOST_DIGITS, MOST_WORDS = 1000, 60  # of one numeral, of one number that is spelled out
HYPHEN = "‐"  # between a word and a numeral, where it is no minus: 20-minute
_ALIKE = str.maketrans({"’": "'", "−": "-", "–": "-", "‑": "-", "‐": "-", "×": "*", "÷": "/"})
_PIECE = re.compile(
    r"(?P<numeral>0[xbo][0-9]+|(?:(?<![^\W_])[.,])?[0-9](?:[0-9.,]*[0-9])?)|(?P<power>⁻?[⁰¹²³⁴-⁹]+)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)|(?P<sign>\*\*|[<>]=|\S)"
)
_NUMERAL = re.compile(r"(?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+)?(?:\.[0-9]+)?")
_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Token:
    """A value and the characters it was read from."""

    value: Value
    start: int
    end: int


def pieces(text: str) -> list[Token]:
    """All of a text but its spaces: numerals, words as they are, and signs; a superscript is "^" and a number."""
    found: list[Token] = []
    for match in _PIECE.finditer(text.translate(_ALIKE)):
        start, end = match.span()
        if match["power"]:
            digits = "".join(str(unicodedata.digit(sign)) for sign in match[0].lstrip("⁻"))
            values: list[Value] = ["^", *(["-"] if match[0].startswith("⁻") else []), _numeral(digits)]
        else:
            values = [_numeral(match[0]) if match["numeral"] else match[0].lower()]
        found += [Token(value, start, end) for value in values]
    return _without_hyphens(found)


def tokens(text: str) -> list[Token]:
    """The pieces of a text, with the numbers that are spelled out read as well."""
    found, read, place = pieces(text), [], 0
    while place < len(found):
        number = spelled([token.value for token in found[place : place + MOST_WORDS]])
        taken = number[1] if number else 1
        first, last = found[place], found[place + taken - 1]
        read.append(Token(number[0], first.start, last.end) if number else first)
        place += taken
    return read


def values(text: str) -> list[Value]:
    """The values of the tokens of a text."""
    return [token.value for token in tokens(text)]


def spelled(read: Sequence[Value]) -> tuple[Fraction, int] | None:
    """The number at the front that is spelled out, and how many values it takes; None when there is none."""
    return read_number([str(value) for value in islice(takewhile(is_word, read), MOST_WORDS)])


def is_word(value: Value) -> bool:
    """Whether this is a word, and neither a number, a numeral nor a sign."""
    return isinstance(value, str) and value[0].isalpha() and not like_a_number(value)


def like_a_number(value: Value) -> bool:
    """Whether this is a number, or looks like one and is none: 2,5 or ½."""
    return isinstance(value, Fraction) or any(sign.isnumeric() for sign in value)


def why_unread(read: Sequence[Value]) -> str:
    """Why a numeral among these cannot be read, and what to say instead; "" when all can."""
    wrong = next((value for value in read if isinstance(value, str) and like_a_number(value)), None)
    if wrong is None:
        return ""
    if len(wrong) > MOST_DIGITS:
        return f"a number of {len(wrong)} digits is too long; {MOST_DIGITS} digits are read"
    return f"{wrong!r} is no number that can be read in one way only; write numbers as 2.5, 0.75 or 1,200"


def amount(read: Sequence[Value], place: int) -> tuple[Fraction, int] | None:
    """How much is said at a place, and where that ends: "2.5", "a", "half an", "two and a half"; None when nothing is."""
    at = place
    if read[at : at + 2] in (["a", "half"], ["an", "half"]):
        at += 1
    if read[at : at + 1] == ["half"]:
        return _HALF, at + 1 + (read[at + 1 : at + 2] in (["a"], ["an"]))
    number = read[place] if place < len(read) else None
    if isinstance(number, Fraction):
        half = list(read[place + 1 : place + 4]) == ["and", "a", "half"]
        return (number + _HALF, place + 4) if half else (number, place + 1)
    return (Fraction(1), place + 1) if number in ("a", "an") else None


def quantities(
    read: Sequence[Value], place: int, unit_at: Callable[[Sequence[Value], int], str | None]
) -> tuple[list[tuple[Fraction, str]], int]:
    """The amounts and units that follow each other from a place, such as "six feet two inches", and where they end; none is []."""
    found: list[tuple[Fraction, str]] = []
    end = place
    while (said := amount(read, place)) is not None:
        number, at = said
        at += list(read[at : at + 1]) == [HYPHEN]
        unit = unit_at(read, at)
        if unit is None:
            break
        end = at + len(unit.split())
        half_more = list(read[end : end + 3]) == ["and", "a", "half"] and list(read[end + 3 : end + 4]) not in (["a"], ["an"])
        if half_more and unit_at(read, end + 3) is None:
            number, end = number + _HALF, end + 3
        found.append((number, unit))
        place = end + (end < len(read) and read[end] in ("and", ","))
    return found, end


def _numeral(text: str) -> Value:
    """The number, or the text as it is where a comma or a point may mean two things, or where it begins with a 0 as in a date."""
    if len(text) > MOST_DIGITS or not _NUMERAL.fullmatch(text):
        return text
    return Fraction(text.replace(",", ""))


def _without_hyphens(found: Sequence[Token]) -> list[Token]:
    """The hyphens inside words left out (twenty-one), those between a word and a numeral told apart from a minus."""
    kept: list[Token] = []
    for place, token in enumerate(found):
        if token.value != "-" or not 0 < place < len(found) - 1:
            kept.append(token)
            continue
        left, right = found[place - 1], found[place + 1]
        words = is_word(left.value) + is_word(right.value)
        numbers = like_a_number(left.value) + like_a_number(right.value)
        if left.end != token.start or right.start != token.end or words + numbers < 2 or not words:
            kept.append(token)
        elif numbers:
            kept.append(Token(HYPHEN, token.start, token.end))
    return kept
