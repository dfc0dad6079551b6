"""Tables in CSV and Parquet files. A file that cannot be read in one way only is left out, and why is kept for who needs it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any

from workbench.background.local.reading import MOST_DIGITS, Value, is_word, like_a_number, pieces
from workbench.errors import InputError

MOST_BYTES, MOST_ROWS = 5_000_000, 100_000
KINDS = (".csv", ".parquet")
_NUMBER = re.compile(r"-?(?P<money>[$€£]?)(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?|-?\.[0-9]+")
_EITHER = re.compile(r"-?[$€£]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+")  # a thousand or so, or a number and a fraction
_SEPARATORS = (",", ";", "\t", "|")
Phrase = tuple[Value, ...]


@dataclass(frozen=True)
class Table:
    """A file's columns, and its rows as text. `numbered` has the number of each row in the file, where a header line is row 1.

    `thousands` tells that a comma in a numeral parts thousands; in a file whose cells are parted by something else it may be a decimal
    point, and a point may part thousands, so neither is read there.
    """

    file: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbered: tuple[int, ...]
    thousands: bool = True

    def numbers(self, column: str) -> bool:
        """Whether a column holds numbers (and perhaps gaps) only, all of them money of one kind or none of them."""
        return column in self._numeric

    def cells(self, column: str) -> list[str]:
        """The cells of a column, from the top."""
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def number(self, cell: str) -> Fraction:
        """The number in a cell of a column of numbers: 1200 for $1,200."""
        return Fraction(re.sub("[$€£,]", "", cell))

    def why_no_numbers(self, column: str) -> str:
        """Which cells keep a column from being one of numbers."""
        kinds: dict[str | None, str] = {}
        for cell in filter(None, self.cells(column)):
            kinds.setdefault(self._kind(cell), repr(cell[:40]))
        if None in kinds:
            return f"column {column} of {self.file} holds {kinds[None]}, which is no number"
        if not kinds:
            return f"column {column} of {self.file} is empty"
        return f"column {column} of {self.file} holds {' and '.join(kinds.values())}, which may not be money of one kind"

    @cached_property
    def phrases(self) -> Mapping[Phrase, tuple[tuple[str, str], ...]]:
        """Of the words of each cell in a column of text, in which columns it stands, and how it is written there."""
        found: dict[Phrase, dict[tuple[str, str], None]] = {}
        for column in self.columns:
            if not self.numbers(column):
                for cell in dict.fromkeys(self.cells(column)):
                    found.setdefault(phrase(cell), {})[column, cell] = None
        return {words: tuple(where) for words, where in found.items() if words}

    @cached_property
    def _numeric(self) -> frozenset[str]:
        kinds = {column: {self._kind(cell) for cell in self.cells(column) if cell} for column in self.columns}
        return frozenset(column for column, found in kinds.items() if len(found) == 1 and None not in found)

    def _kind(self, cell: str) -> str | None:
        """The sign of money before a number, "" before a plain one, None for a cell that is no number."""
        sure = self.thousands or ("," not in cell and not _EITHER.fullmatch(cell))
        match = _NUMBER.fullmatch(cell) if len(cell) <= MOST_DIGITS and sure else None
        return None if match is None else match["money"] or ""


def phrase(text: str) -> Phrase:
    """The words and numbers of a text, without its signs."""
    return tuple(token.value for token in pieces(text) if is_word(token.value) or like_a_number(token.value))


@dataclass(frozen=True)
class Tables:
    """The tables of a folder, and of each file that could not be read why not."""

    read: tuple[Table, ...] = ()
    problems: tuple[str, ...] = ()

    def left_out(self) -> str:
        """What is to be added where a table was looked for in vain; "" when all files were read."""
        return f"; left out: {'; '.join(self.problems)}" if self.problems else ""


def load_tables(folder: Path) -> Tables:
    """The CSV and Parquet files of a folder."""
    read: list[Table] = []
    problems: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS and path.is_file()):
        try:
            read.append(_loaded(path, path.relative_to(folder).as_posix()))
        except InputError as error:
            problems.append(str(error))
    return Tables(tuple(read), tuple(problems))


def _loaded(path: Path, name: str) -> Table:
    """One table. Raises InputError, beginning with the name of the file, for one that is too large or cannot be read."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{name} has {size} bytes; {MOST_BYTES} are read")
        table = _of_csv(path, name) if path.suffix.lower() == ".csv" else _of_parquet(path, name)
    except OSError as error:
        raise InputError(f"{name} cannot be opened: {error.strerror or type(error).__name__}") from error
    _check_columns(table.columns, name)
    return table


def _check_columns(columns: Sequence[str], name: str) -> None:
    """Raises InputError when a question could not tell two columns apart."""
    named = Counter(filter(None, map(phrase, columns)))
    twice = next((column for column in columns if named[phrase(column)] > 1), None)
    if twice is not None:
        raise InputError(f"{name} has more than one column {twice!r}; give each a name of its own")


def _of_csv(path: Path, name: str) -> Table:
    try:
        separator, (header, *rows) = _parted(path.read_bytes().decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not written in UTF-8 (byte {error.start}); save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{name} is no CSV file that can be read: {error}") from error
    wrong = next((number for number, row in enumerate(rows, 2) if row and len(row) != len(header)), None)
    if wrong is not None:
        raise InputError(f"{name}: row {wrong} does not have the {len(header)} cells of the header")
    if len(rows) > MOST_ROWS:
        raise InputError(f"{name} has {len(rows)} rows; {MOST_ROWS} are read")
    kept = [(number, tuple(cell.strip() for cell in row)) for number, row in enumerate(rows, 2) if row]
    columns = tuple(cell.strip() for cell in header)
    return Table(name, columns, tuple(row for _, row in kept), tuple(number for number, _ in kept), thousands=separator == ",")


def _parted(text: str, name: str) -> tuple[str, list[list[str]]]:
    """What parts the cells, and the rows: that which gives every row as many cells as the header, and more than one.

    When nothing does, that which gives the header most cells. Raises InputError for an empty file, and where two signs may be meant.
    """
    heads = {sign: next(csv.reader(StringIO(text, newline=""), delimiter=sign), []) for sign in _SEPARATORS}
    if not any(heads.values()):
        raise InputError(f"{name} has no header in its first row")
    several = [sign for sign in _SEPARATORS if len(heads[sign]) > 1] or [","]
    rows = {sign: list(csv.reader(StringIO(text, newline=""), delimiter=sign)) for sign in several}
    even = [sign for sign in several if _even(rows[sign])]
    if len(even) > 1:
        raise InputError(f"{name} may be parted by {' or by '.join(map(repr, even))}; put cells that hold such a sign into quotes")
    sign = even[0] if even else max(several, key=lambda sign: len(heads[sign]))
    return sign, rows[sign]


def _even(rows: Iterable[list[str]]) -> bool:
    return len({len(row) for row in rows if row}) == 1


def _of_parquet(path: Path, name: str) -> Table:
    """A Parquet file; what its footer says of its size is looked at before anything is unpacked."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError(f"{name} is a Parquet file, and pyarrow is not installed; install it with `pip install pyarrow`") from None
    try:
        with ParquetFile(path) as file:
            footer = file.metadata
            unpacked = sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups))
            if footer.num_rows > MOST_ROWS or unpacked > 10 * MOST_BYTES:
                raise InputError(
                    f"{name} has {footer.num_rows} rows and {unpacked} bytes; {MOST_ROWS} rows and {10 * MOST_BYTES} bytes are read"
                )
            _check_columns(file.schema_arrow.names, name)
            columns = {column: values for column, values in file.read().to_pydict().items() if all(map(_plain_value, values))}
    except (ArrowException, OSError) as error:
        raise InputError(f"{name} is no Parquet file that can be read: {str(error)[:100]}") from error
    if not columns:
        raise InputError(f"{name} has no column of numbers, text or times; nothing can be asked of it")
    rows = tuple(zip(*(map(_cell, values) for values in columns.values()), strict=True))
    return Table(name, tuple(columns), rows, tuple(range(1, len(rows) + 1)))


def _plain_value(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | Decimal | date | time)  # a bool is an int, a datetime a date


def _cell(value: Any) -> str:
    """A value as a CSV file would have it: decimals as they are written, nothing for a gap."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    if isinstance(value, float | Decimal):
        return format(Decimal(repr(value)) if isinstance(value, float) else value, "f")
    return (value.isoformat() if isinstance(value, date | time) else str(value)).strip()
