"""Sums, exactly: numerals or spoken numbers, read by a small parser of its own and worked out in fractions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from workbench.background.local.reading import Value, is_word, like_a_number, values, why_unread
from workbench.errors import InputError

MOST_TOKENS, MOST_BITS, MOST_EXPONENT = 200, 4096, 1000
_SIGNS = {
    "raised to the power of": "^",
    "to the power of": "^",
    "raised to": "^",
    "multiplied by": "*",
    "times": "*",
    "x": "*",
    "divided by": "/",
    "over": "/",
    "modulo": "mod",
    "mod": "mod",
    "plus": "+",
    "and": "+",
    "minus": "-",
    "less": "-",
    "the square root of": "√",
    "square root of": "√",
    "percent of": "% *",
    "per cent of": "% *",
    "% of": "% *",
    "percent": "%",
    "per cent": "%",
    "**": "^",
    "the": "",
    "squared": "squared",
    "cubed": "cubed",
}
_OPERATORS: Mapping[tuple[Value, ...], tuple[str, ...]] = {tuple(said.split()): tuple(signs.split()) for said, signs in _SIGNS.items()}
_LONGEST = max(map(len, _OPERATORS))
_VOCABULARY = frozenset("point hundred thousand million billion trillion".split()) | {word for said in _OPERATORS for word in said}
_POWERS = {"squared": 2, "cubed": 3}
_BEFORE = frozenset(
    (
        "what what's is are calculate compute work out how much does make equal equals please the sum of tell me can could you "
        "so okay well um , :"
    ).split()
)
_AFTER = frozenset("please thanks is equal equals make makes = ? . ,".split())


def calculate(sum: str) -> str:
    """Work out a sum exactly, such as "two plus three", "17 * (4 - 1.5)", "15 percent of 80" or "the square root of 16".

    Args:
        sum: the sum, in numerals or in words
    """
    return as_text(value_of(sum))


def value_of(text: str) -> Fraction:
    """The exact value of a sum. Raises InputError when it is none, divides by zero, or has no exact or no reasonably small value."""
    parts = _parts(text)
    if len(parts) > MOST_TOKENS:
        raise InputError(f"the sum has {len(parts)} parts; {MOST_TOKENS} are worked out")
    reader = _Reader(parts)
    value = reader.sum()
    if reader.at < len(parts):
        raise InputError(f"{text[:100]!r} is no sum: {_shown(parts[reader.at])} does not belong there")
    return value


def is_sum(text: str) -> bool:
    """Whether a text asks for a sum, if perhaps for one that cannot be worked out: numbers, and no word that has no place in a sum."""
    core = _core(text)
    return any(map(like_a_number, core)) and all(value in _VOCABULARY for value in core if is_word(value))


def as_text(value: Fraction) -> str:
    """A number in full where it ends, else as a fraction: 5, 2.5, 1/3."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest, count = rest // prime, count + 1
        places = max(places, count)
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _core(text: str) -> list[Value]:
    """All of a text but the words of politeness around it."""
    core = values(text)
    first, last = 0, len(core)
    while first < last and core[first] in _BEFORE:
        first += 1
    while first < last and core[last - 1] in _AFTER:
        last -= 1
    return core[first:last]


def _parts(text: str) -> list[Value]:
    """Numbers, operators and brackets, and whatever else stands among them as it is."""
    core = _core(text)
    if not any(map(like_a_number, core)):
        raise InputError(f"{text[:100]!r} holds no number; a sum is e.g. two plus three")
    if why := why_unread(core):
        raise InputError(why)
    parts: list[Value] = []
    place = 0
    while place < len(core):
        said = next((said for length in range(_LONGEST, 0, -1) if (said := tuple(core[place : place + length])) in _OPERATORS), None)
        parts += [core[place]] if said is None else _OPERATORS[said]
        place += 1 if said is None else len(said)
    return parts


def _shown(part: Value) -> str:
    return repr(as_text(part) if isinstance(part, Fraction) else part)


@dataclass
class _Reader:
    """Reads a sum from left to right: sums of products of powers."""

    tokens: list[Value]
    at: int = 0
    depth: int = 0

    def sum(self) -> Fraction:
        value, share = self.term()
        while (sign := self.take("+", "-")) is not None:
            other, other_share = self.term()
            if other_share and not share:
                share_text = as_text(100 * other)
                raise InputError(f"it is not clear of what {share_text}% are meant; say e.g. 100 plus {share_text}% of 100")
            value = _small(value + other if sign == "+" else value - other)
        return value

    def term(self) -> tuple[Fraction, bool]:
        """A product, and whether it is a percentage and nothing more."""
        first = self.at
        value = self.product()
        return value, self.at == first + 2 and self.tokens[first + 1] == "%"

    def product(self) -> Fraction:
        value = self.power()
        while (sign := self.take("*", "/", "mod")) is not None:
            other = self.power()
            if sign != "*" and other == 0:
                raise InputError("a number cannot be divided by zero")
            value = _small(value * other if sign == "*" else value / other if sign == "/" else value % other)
        return value

    def power(self) -> Fraction:
        sign = -1 if self.take("-") else 1
        value = self.one()
        while True:
            if self.take("%"):
                value = _small(value / 100)
            elif (word := self.take(*_POWERS)) is not None:
                value = _raised(value, Fraction(_POWERS[word]))
            elif self.take("^"):
                return sign * _raised(value, self.power())
            else:
                return sign * value

    def one(self) -> Fraction:
        if self.take("√"):
            return _root(self.one())
        if self.take("("):
            self.depth += 1
            if self.depth > 50:
                raise InputError("the sum has more than 50 brackets inside each other")
            value = self.sum()
            self.depth -= 1
            if not self.take(")"):
                raise InputError("a bracket is opened and not closed")
            return value
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if not isinstance(token, Fraction):
            raise InputError("the sum ends where a number is missing" if token is None else f"{_shown(token)} stands where a number should")
        self.at += 1
        return token

    def take(self, *signs: str) -> str | None:
        """The next token if it is one of these."""
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if isinstance(token, str) and token in signs:
            self.at += 1
            return token
        return None


def _raised(value: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise InputError(f"{as_text(exponent)} is no whole number; only whole powers are exact")
    if value == 0 and exponent < 0:
        raise InputError("a number cannot be divided by zero")
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if abs(exponent) > MOST_EXPONENT or bits * abs(exponent) > 2 * MOST_BITS:
        raise InputError(f"{as_text(value)} to the power of {as_text(exponent)} is too large to be said")
    return _small(value ** int(exponent))


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise InputError(f"{as_text(value)} has no square root")
    root = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    if root * root != value:
        raise InputError(f"the square root of {as_text(value)} has no exact value")
    return root


def _small(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise InputError(f"the result has more than {MOST_BITS} bits")
    return value
