"""Sums, exactly: numerals or spoken numbers, read by a small parser of its own and worked out in fractions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from workbench.background.words import read_number
from workbench.errors import InputError

MOST_TOKENS, MOST_BITS, MOST_EXPONENT = 200, 4096, 1000
_TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?|\*\*|[a-z]+(?:'[a-z]+)?|[-+*/^%()×÷√]")
_PHRASES = (
    ("multiplied by", "*"),
    ("divided by", "/"),
    ("to the power of", "^"),
    ("raised to", "^"),
    ("square root of", "√"),
    ("percent of", "% *"),
    ("per cent of", "% *"),
    ("modulo", "mod"),
)
_WORDS = {
    "plus": "+",
    "and": "+",
    "minus": "-",
    "less": "-",
    "times": "*",
    "x": "*",
    "over": "/",
    "percent": "%",
    "×": "*",
    "÷": "/",
    "**": "^",
}
_POWERS = {"squared": 2, "cubed": 3}
_POLITE = frozenset(
    "what what's is are calculate compute work out how much does make equal equals please the sum of tell me can you".split()
)


def calculate(sum: str) -> str:
    """Work out a sum exactly, such as "two plus three", "17 * (4 - 1.5)", "15 percent of 80" or "the square root of 16".

    Args:
        sum: the sum, in numerals or in words
    """
    return as_text(value_of(sum))


def value_of(text: str) -> Fraction:
    """The exact value of a sum. Raises InputError when it is none, divides by zero, or has no exact or no reasonably small value."""
    tokens = _tokens(text)
    if len(tokens) > MOST_TOKENS:
        raise InputError(f"the sum has {len(tokens)} parts; {MOST_TOKENS} are worked out")
    reader = _Reader(tokens)
    value = reader.sum()
    if reader.at < len(tokens):
        raise InputError(f"{text!r} is no sum: {str(tokens[reader.at])!r} does not belong there")
    return value


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


def _tokens(text: str) -> list[str | Fraction]:
    """Numbers, operators and brackets; words of politeness around them are left out."""
    lower = text.lower()
    for phrase, sign in _PHRASES:
        lower = lower.replace(phrase, f" {sign} ")
    words = _TOKEN.findall(lower)
    while words and words[0] in _POLITE:
        words.pop(0)
    while words and words[-1] in _POLITE:
        words.pop()
    tokens: list[str | Fraction] = []
    while words:
        number = read_number(words)
        if number is not None:
            tokens.append(number[0])
            words = words[number[1] :]
            continue
        word = words.pop(0)
        if word == "the":
            continue
        tokens.append(_WORDS.get(word, word))
    if not any(isinstance(token, Fraction) for token in tokens):
        raise InputError(f"{text!r} holds no number; a sum is e.g. two plus three")
    return tokens


@dataclass
class _Reader:
    """Reads a sum from left to right: sums of products of powers."""

    tokens: list[str | Fraction]
    at: int = 0
    depth: int = 0

    def sum(self) -> Fraction:
        value = self.product()
        while (sign := self.take("+", "-")) is not None:
            other = self.product()
            value = value + other if sign == "+" else value - other
        return value

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
                value = value / 100
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
            raise InputError("the sum ends where a number is missing" if token is None else f"{token!r} stands where a number should")
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
