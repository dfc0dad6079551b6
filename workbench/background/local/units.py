"""Units, exactly: the factors are those that the units are defined by."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from workbench.background.local.calculator import as_text
from workbench.background.local.reading import Value, is_word, like_a_number, quantities, values, why_unread
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
_add(
    "speed",
    kilometers_per_hour__kilometres_per_hour__kmh__kph="5/18",
    meters_per_second__metres_per_second="1",
    miles_per_hour__mph="0.44704",
)
_add("speed", knot="463/900")
_add(
    "data", byte="1", kilobyte__kb="1000", megabyte__mb="1000000", gigabyte__gb="1000000000", bit="1/8", kibibyte="1024", mebibyte="1048576"
)

_DEGREES = {
    "celsius": (Fraction(1), Fraction("273.15")),
    "fahrenheit": (Fraction(5, 9), Fraction("459.67") * 5 / 9),
    "kelvin": (Fraction(1), Fraction(0)),
}
_WRITTEN = {"c": "celsius", "f": "fahrenheit", "km / h": "kilometers per hour", "m / s": "meters per second"}  # of as many words each
_INTO = frozenset("in to into as".split())
_BEFORE = frozenset(
    "convert express what what's is are the how much far long can could you tell me please calculate so okay well um , :".split()
)
_BETWEEN = frozenset("are is there do does have in make".split())
_AFTER = frozenset("please thanks make makes ? . ,".split())


def convert(quantity: str) -> str:
    """Convert a quantity into another unit, such as "5 miles to kilometers", "how many feet are in 2 meters" or "20 celsius in fahrenheit".

    Args:
        quantity: the quantity and the unit it is wanted in
    """
    parts, into = _read(quantity)
    if len(parts) > 1 and any(unit in _DEGREES for _, unit in parts):
        raise InputError(f"{quantity[:100]!r} adds up degrees; one temperature is converted at a time")
    return f"{as_text(sum((converted(number, unit, into) for number, unit in parts), Fraction(0)))} {into}"


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
    """Whether a text asks for a quantity in another unit, if perhaps for one that cannot be converted: two units, and no other words."""
    core, place, named = _core(text), 0, 0
    amounts = [value for value in core if like_a_number(value) or value in ("a", "an", "half")]
    while place < len(core):
        unit, value = _unit_at(core, place), core[place]
        if unit is None and is_word(value) and value not in _INTO | _BETWEEN | _AFTER | set("how many minus and a an half".split()):
            return False
        named += unit is not None
        place += len(unit.split()) if unit else 1
    return bool(amounts) and named > 1 and any(value == "many" or value in _INTO for value in core)


def _core(text: str) -> list[Value]:
    """All of a text but the words of politeness around it, and degrees, which say nothing."""
    core = [value for value in values(text) if value not in ("degree", "degrees", "°")]
    first, last = 0, len(core)
    while first < last and core[first] in _BEFORE and core[first : first + 2] != ["how", "many"]:
        first += 1
    while first < last and core[last - 1] in _AFTER:
        last -= 1
    return core[first:last]


def _read(text: str) -> tuple[list[tuple[Fraction, str]], str]:
    """The amounts that add up to the quantity, each with its unit, and the unit it is wanted in. Raises InputError for anything else."""
    core = _core(text)
    if why := why_unread(core):
        raise InputError(why)
    asked = _unit_at(core, 2) if core[:2] == ["how", "many"] else None
    place = 2 + len(asked.split()) if asked else 0
    while asked and place < len(core) and core[place] in _BETWEEN:
        place += 1
    minus = core[place : place + 1] in (["-"], ["minus"])
    parts, end = quantities(core, place + minus, _unit_at)
    into = asked
    if asked is None and end < len(core) and core[end] in _INTO:
        into = _unit_at(core, end + 1)
        end += 1 + len((into or "").split())
    if not parts or into is None or end < len(core) or (minus and len(parts) > 1):
        raise InputError(f"{text[:100]!r} names no quantity and one unit to convert it into; say e.g. 5 miles to kilometers")
    return [(-number if minus else number, unit) for number, unit in parts], into


def _unit_at(core: Sequence[Value], place: int) -> str | None:
    for length in (3, 2, 1):
        written = " ".join(map(str, core[place : place + length]))
        name = _WRITTEN.get(written, written)
        if name in _DEGREES or _singular(name) in _TABLE:
            return name
    return None


def _singular(name: str) -> str:
    return name if name in _TABLE else name.removesuffix("s")
