"""What each word of an ask is for a table: the name of a column, a cell, a number, an operation, or none of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from workbench.background.local.reading import Value, is_word, like_a_number, pieces, spelled
from workbench.background.local.table_files import Phrase, Table, phrase
from workbench.background.local.tables import OPERATIONS

_OPERATIONS: Mapping[Phrase, str] = {tuple(said.split()): name for name, (ways, _) in OPERATIONS.items() for said in ways}
_WAYS = {
    "above": "above,over,more than,greater than,higher than,larger than,bigger than,>",
    "below": "below,under,less than,fewer than,lower than,smaller than,<",
    "at least": "at least,>=,≥",
    "at most": "at most,<=,≤",
}
_COMPARISONS: Mapping[Phrase, str] = {tuple(way.split()): name for name, ways in _WAYS.items() for way in ways.split(",")}
_NOTHING = frozenset(  # words and signs that say nothing of which rows are meant
    (
        "a an the of in for on at to from with and any all me my i we you it its they their there this these that those which what what's "
        "who where is are was were be been do does did have has had how much please tell show give can could would want know about only "
        "so okay well um overall row rows entry entries record records line lines table tables file data csv column columns "
        "value values equals . , ? : ; ' \" ( ) ="
    ).split()
)
_POINTING = ("which", "what", "this", "that")
_EACH = frozenset("by per each every".split())
_NOT = frozenset("not no never neither nor none except without excluding exclude but besides other minus".split())
_SPECIAL = _NOTHING | _EACH | _NOT | {"or"} | {word for words in (*_OPERATIONS, *_COMPARISONS) for word in words}
_MOST_WORDS = 12  # of a name that is looked for
_KINDS = ("column", "table", "comparison", "operation", "cell")  # of names equally long the first


@dataclass(frozen=True)
class Mark:
    """What some values of an ask are; they stand from `start` to before `end`.

    `kind` is column, table, comparison, operation, cell, number, each, not, or, nothing or unknown; `name` is of a column, an operation
    or a comparison its name, else what was said, and `words` are those by which the table knows a cell, or a number.
    """

    kind: str
    start: int
    end: int
    name: str
    words: Phrase = ()


def marked(table: Table, ask: str, also: frozenset[str] = frozenset()) -> list[Mark]:
    """What an ask is made of, for a table, in order and without a gap. The words of `also` are nothing."""
    said = [token.value for token in pieces(ask)]
    free = [True] * len(said)
    found: list[Mark] = []
    for mark in sorted(_names(table, said), key=lambda mark: (mark.start - mark.end, _KINDS.index(mark.kind), mark.start)):
        if all(free[mark.start : mark.end]):
            free[mark.start : mark.end] = [False] * (mark.end - mark.start)
            found.append(mark)
    place = 0
    while place < len(said):
        if free[place]:
            end = next((at for at in range(place, len(said)) if not free[at]), len(said))
            found.append(_other(said, place, end, also))
        place = next(mark.end for mark in reversed(found) if mark.start == place) if free[place] else place + 1
    return sorted(found, key=lambda mark: mark.start)


def names_operation(ask: str) -> bool:
    """Whether an ask says that something is to be counted or worked out."""
    said = phrase(ask)
    return any(said[place : place + len(words)] == words for words in _OPERATIONS for place in range(len(said)))


def _names(table: Table, said: list[Value]) -> Iterator[Mark]:
    """Every name that stands in an ask, those that overlap as well."""
    columns = {phrase(column): column for column in table.columns}
    stem = {phrase(Path(table.file).stem): table.file}
    solid = [place for place, value in enumerate(said) if is_word(value) or like_a_number(value)]
    for first in range(len(solid)):
        for last in range(first, min(first + _MOST_WORDS, len(solid))):
            words = tuple(said[place] for place in solid[first : last + 1])
            span = solid[first], solid[last] + 1
            for kind, names in (("column", columns), ("table", stem)):
                if (known := _known(words, names)) is not None:
                    yield Mark(kind, *span, names[known], known)
            for kind, ways in (("comparison", _COMPARISONS), ("operation", _OPERATIONS)):
                if words in ways and not any((word,) in columns for word in words):
                    yield Mark(kind, *span, ways[words], words)
            is_number = len(words) == 1 and isinstance(words[0], Fraction)
            cell = None if is_number or _SPECIAL.issuperset(words) else _known(words, table.phrases)
            if cell is not None:
                yield Mark("cell", *span, " ".join(map(str, words)), cell)
    for place, value in enumerate(said):
        if not is_word(value) and (value,) in _COMPARISONS:
            yield Mark("comparison", place, place + 1, _COMPARISONS[value,])


def _known(words: Phrase, names: Iterable[Phrase]) -> Phrase | None:
    """The name that words are, as they stand or in the singular."""
    last = words[-1]
    ways: list[Value] = [last]
    if isinstance(last, str) and is_word(last) and len(last) > 3 and last not in _SPECIAL:
        ways += [last.removesuffix(end) + new for end, new in (("'s", ""), ("s", ""), ("es", ""), ("ies", "y")) if last.endswith(end)]
    return next((known for way in ways if (known := (*words[:-1], way)) in names), None)


def _other(said: list[Value], place: int, end: int, also: frozenset[str]) -> Mark:
    """What stands at a place where no name does; the next name begins at `end`."""
    value = said[place]
    if value == "one" and place and said[place - 1] in _POINTING:
        return Mark("nothing", place, place + 1, "one")  # it stands for what is asked for
    minus = value in ("-", "minus") and place + 1 < end
    at = place + minus
    number = (said[at], 1) if isinstance(said[at], Fraction) else spelled(said[at:end])
    if number is not None and isinstance(number[0], Fraction):
        size = -number[0] if minus else number[0]
        return Mark("number", place, at + number[1], " ".join(map(str, said[place : at + number[1]])), (size,))
    kind = "unknown"
    if isinstance(value, str):
        if value in _NOTHING or value in also:
            kind = "nothing"
        elif value in _EACH:
            kind = "each"
        elif value in _NOT or value.endswith("n't"):
            kind = "not"
        elif value == "or":
            kind = "or"
    return Mark(kind, place, place + 1, str(value))
