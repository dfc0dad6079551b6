"""Units, exactly: the factors are those that the units are defined by."""

from __future__ import annotations

import re
from fractions import Fraction

from workbench.background.local.calculator import as_text
from workbench.background.words import read_number
from workbench.errors import InputError

_TABLE: dict[str, tuple[str, str]] = {}  # unit: (dimension, factor to the base unit)


def _add(dimension: str, **units: str) -> None:
    for names, factor in units.items():
        for name in names.split("__"):
            _TABLE[name.replace("_", " ")] = (dimension, factor)


_add(
    "length", m__meter__metre="1", km__kilometer__kilometre="1000", cm__centimeter__centimetre="1/100", mm__millimeter__millimetre="1/1000"
)
_add("length", inch__inches="0.0254", foot__feet__ft="0.3048", yard="0.9144", mile="1609.344", nautical_mile="1852")
_add("mass", kg__kilogram__kilo="1", g__gram="1/1000", mg__milligram="1/1000000", tonne="1000", pound__lb="0.45359237")
_add("mass", ounce__oz="0.028349523125", stone="6.35029318")
_add("time", s__second__sec="1", minute__min="60", hour__h="3600", day="86400", week="604800", millisecond__ms="1/1000")
_add("volume", l__liter__litre="1", ml__milliliter__millilitre="1/1000", cubic_meter="1000", gallon="3.785411784", pint="0.473176473")
_add("speed", kilometers_per_hour__kilometres_per_hour__kmh="5/18", meters_per_second__metres_per_second="1", miles_per_hour__mph="0.44704")
_add("speed", knot="463/900")
_add(
    "data", byte="1", kilobyte__kb="1000", megabyte__mb="1000000", gigabyte__gb="1000000000", bit="1/8", kibibyte="1024", mebibyte="1048576"
)

_DEGREES = {
    "celsius": (Fraction(1), Fraction("273.15")),
    "fahrenheit": (Fraction(5, 9), Fraction("459.67") * 5 / 9),
    "kelvin": (Fraction(1), Fraction(0)),
}
_WORD = re.compile(r"\d[\d,]*(?:\.\d+)?|-|[a-z]+")
_INTO = frozenset("in to into as".split())


def convert(quantity: str) -> str:
    """Convert a quantity into another unit, such as "5 miles to kilometers", "how many feet are in 2 meters" or "20 celsius in fahrenheit".

    Args:
        quantity: the quantity and the unit it is wanted in
    """
    number, unit, into = _read(quantity)
    return f"{as_text(converted(number, unit, into))} {into}"


def converted(number: Fraction, unit: str, into: str) -> Fraction:
    """A quantity in another unit. Raises InputError for units that measure different things."""
    if unit in _DEGREES and into in _DEGREES:
        (scale, zero), (other, other_zero) = _DEGREES[unit], _DEGREES[into]
        return (number * scale + zero - other_zero) / other
    one, two = _TABLE.get(_singular(unit)), _TABLE.get(_singular(into))
    if one is None or two is None or one[0] != two[0]:
        raise InputError(f"{unit} cannot be converted into {into}")
    return number * Fraction(one[1]) / Fraction(two[1])


def is_quantity(text: str) -> bool:
    """Whether a text asks for a quantity in another unit."""
    try:
        _read(text)
    except InputError:
        return False
    return True


def _read(text: str) -> tuple[Fraction, str, str]:
    words = [word for word in _WORD.findall(text.lower()) if word not in ("degrees", "degree")]
    for place in range(len(words)):
        number = read_number(words[place:])
        unit = _unit_at(words, place + number[1]) if number else None
        if number is None or unit is None:
            continue
        sign = -1 if place and words[place - 1] in ("-", "minus") else 1
        after = words[place + number[1] + len(unit.split()) :]
        into = _unit_at(after, 1) if after and after[0] in _INTO else _asked(words[:place])
        if into is not None:
            return sign * number[0], unit, into
    raise InputError(f"{text!r} names no quantity and unit to convert; say e.g. 5 miles to kilometers")


def _asked(words: list[str]) -> str | None:
    """The unit after "how many"."""
    return _unit_at(words, words.index("many") + 1) if "many" in words else None


def _unit_at(words: list[str], place: int) -> str | None:
    for length in (3, 2, 1):
        name = " ".join(words[place : place + length])
        if name in _DEGREES or _singular(name) in _TABLE:
            return name
    return None


def _singular(name: str) -> str:
    return name if name in _TABLE else name.removesuffix("s")
