"""Questions about tables in CSV and Parquet files, counted and added up exactly; every answer names its rows and its column."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from workbench.background.local.calculator import as_text
from workbench.errors import InputError

MOST_BYTES, MOST_ROWS, MOST_GROUPS = 5_000_000, 100_000, 50
KINDS = (".csv", ".parquet")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
Numbers = Sequence[Fraction]


def _sum(values: Numbers) -> Fraction:
    return sum(values, Fraction(0))


OPERATIONS: Mapping[str, tuple[tuple[str, ...], Callable[[Numbers], Fraction]]] = {
    "median": (("median",), lambda values: Fraction(median(values))),
    "mean": (("average", "mean"), lambda values: _sum(values) / len(values)),
    "sum": (("sum", "total", "altogether"), _sum),
    "max": (("highest", "largest", "most", "max", "maximum", "biggest"), max),
    "min": (("lowest", "smallest", "least", "min", "minimum"), min),
    "count": (("how many", "count", "number of"), lambda values: Fraction(len(values))),
}


@dataclass(frozen=True)
class Table:
    """A file's columns, and its rows as text. `first` is the number of `rows[0]` in the file: 2 under a header line, else 1."""

    file: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first: int = 2

    def numbers(self, column: str) -> bool:
        """Whether a column holds numbers (and perhaps gaps) only."""
        cells = [cell for cell in self.cells(column) if cell]
        return bool(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)

    def cells(self, column: str) -> list[str]:
        """The cells of a column, from the top."""
        place = self.columns.index(column)
        return [row[place] for row in self.rows]


@dataclass(frozen=True)
class Question:
    """What is wanted of a table: an operation on a column, over the rows where these columns have these values, perhaps for each value."""

    operation: str
    column: str
    where: tuple[tuple[str, str], ...] = ()
    by: str = ""


def load_tables(folder: Path) -> list[Table]:
    """The CSV and Parquet files of a folder. Raises InputError for one that is too large or cannot be read."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS and path.is_file())
    return [_loaded(path, path.relative_to(folder).as_posix()) for path in paths]


def _loaded(path: Path, name: str) -> Table:
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{name} has {path.stat().st_size} bytes; {MOST_BYTES} are read")
    return _of_csv(path, name) if path.suffix.lower() == ".csv" else _of_parquet(path, name)


def _of_csv(path: Path, name: str) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    wrong = next((number for number, row in enumerate(rows, 2) if row and len(row) != len(header)), None)
    if wrong is not None or not header or len(rows) > MOST_ROWS:
        raise InputError(f"{name}: row {wrong or 1} does not have the {len(header)} cells of the header, or more than {MOST_ROWS} rows")
    return Table(name, tuple(cell.strip() for cell in header), tuple(tuple(c.strip() for c in row) for row in rows if row))


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
            columns = {column: values for column, values in file.read().to_pydict().items() if all(map(_plain_value, values))}
    except (ArrowException, OSError) as error:
        raise InputError(f"{name} is no Parquet file that can be read: {str(error)[:100]}") from error
    if not columns:
        raise InputError(f"{name} has no column of numbers, text or times; nothing can be asked of it")
    return Table(name, tuple(columns), tuple(zip(*(map(_cell, values) for values in columns.values()), strict=True)), first=1)


def _plain_value(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | Decimal | date | time)  # a bool is an int, a datetime a date


def _cell(value: Any) -> str:
    """A value as a CSV file would have it: decimals as they are written, nothing for a gap."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    if isinstance(value, float | Decimal):
        return format(Decimal(repr(value)) if isinstance(value, float) else value, "f")
    return (value.isoformat() if isinstance(value, date | time) else str(value)).strip()


def find(tables: Sequence[Table], ask: str) -> tuple[Table, Question] | None:
    """The table and the question that an ask means, or None: it must name an operation, and a column or the table."""
    text = _plain(ask)
    operation = next((name for name, (words, _) in OPERATIONS.items() if any(_holds(text, word) for word in words)), None)
    if operation is None:
        return None
    best: tuple[int, Table, Question] | None = None
    for table in tables:
        question, score = _question(table, text, operation)
        if score and question is not None and (best is None or score > best[0]):
            best = (score, table, question)
    return None if best is None else best[1:]


@dataclass(frozen=True)
class Entry:
    """One cell of a table: in which row (by its place in `rows`), of whom or what, and in which column."""

    table: Table
    row: int
    name: str
    column: str

    @property
    def value(self) -> str:
        return self.table.cells(self.column)[self.row]

    @property
    def source(self) -> str:
        """Where it stands."""
        return f"{self.table.file} rows {self.row + self.table.first} column {self.column}"


def entry(tables: Sequence[Table], ask: str) -> Entry | None:
    """The cell that an ask such as "look up anna" means: in the one row that an ask names, the column it names, else the first of numbers.

    None when no row, or more than one of a table, has the longest text that the ask holds.
    """
    text = _plain(ask)
    for table in tables:
        labels = [column for column in table.columns if not table.numbers(column)]
        named = [(row, cell) for column in labels for row, cell in enumerate(table.cells(column)) if cell and _holds(text, _plain(cell))]
        longest = max((len(cell) for _, cell in named), default=0)  # "anna lee" is not "anna"
        named = [(row, cell) for row, cell in named if len(cell) == longest]
        wanted = [column for column in table.columns if _holds(text, _plain(column))] or [c for c in table.columns if table.numbers(c)]
        if len({row for row, _ in named}) == 1 and wanted:
            return Entry(table, named[0][0], named[0][1], wanted[0])
    return None


def whole(tables: Sequence[Table]) -> tuple[Table, Question] | None:
    """What there is to draw where nothing was named: of the first table with texts and numbers, the first numbers by the first texts."""
    for table in tables:
        numeric = [column for column in table.columns if table.numbers(column)]
        labels = [column for column in table.columns if column not in numeric]
        if numeric and labels:
            return table, Question("sum", numeric[0], by=labels[0])
    return None


def _question(table: Table, text: str, operation: str) -> tuple[Question | None, int]:
    named = [column for column in table.columns if _holds(text, _plain(column))]
    by = next((c for c in named if re.search(rf"\b(?:by|per|each|every)\s+{re.escape(_plain(c))}\b", text)), "")
    numeric = [column for column in named if table.numbers(column) and column != by]
    where = tuple(
        (column, cell)
        for column in table.columns
        if not table.numbers(column)
        for cell in dict.fromkeys(table.cells(column))
        if cell and _holds(text, _plain(cell))
    )
    stem = _plain(Path(table.file).stem)
    score = 2 * len(named) + len(where) + 2 * _holds(text, stem)
    if operation == "count":
        return Question(operation, "", where, by), score
    return (Question(operation, numeric[0], where, by), score) if numeric else (None, 0)


def rows_of(table: Table, question: Question) -> list[int]:
    """The rows that a question is about, by their place in `rows`; values of one column are alternatives."""
    wanted: dict[int, set[str]] = {}
    for column, cell in question.where:
        wanted.setdefault(table.columns.index(column), set()).add(cell)
    return [i for i, row in enumerate(table.rows) if all(row[place] in cells for place, cells in wanted.items())]


def answer(table: Table, question: Question) -> tuple[str, tuple[str, ...]]:
    """The answer in words, and the rows it rests on. Raises InputError when no row fits."""
    groups = grouped(table, question)
    name = {"count": "rows"}.get(question.operation, f"{question.operation} of {question.column}")
    where = " and ".join(f"{column} {cell}" for column, cell in question.where)
    said = ", ".join(f"{key}: {as_text(value)}" if key else as_text(value) for key, value in groups.items())
    used = [row for row in rows_of(table, question) if not question.column or table.cells(question.column)[row]]
    source = f"{table.file} rows {_ranges([row + table.first for row in used])}" + (f" column {question.column}" if question.column else "")
    return f"{name}{f' where {where}' if where else ''}: {said}", (source,)


def grouped(table: Table, question: Question) -> dict[str, Fraction]:
    """The value of each group, in order of the file; one group without a name when nothing divides them."""
    groups: dict[str, list[Fraction]] = {}
    cells = table.cells(question.column) if question.column else ["1"] * len(table.rows)
    names = table.cells(question.by) if question.by else [""] * len(table.rows)
    for row in rows_of(table, question):
        if cells[row]:
            groups.setdefault(names[row], []).append(Fraction(cells[row]))
    if not groups and question.operation == "count" and not question.by:
        return {"": Fraction(0)}
    if not groups or len(groups) > MOST_GROUPS:
        raise InputError(f"{table.file} has {len(groups)} groups of rows that fit {question}; from 1 to {MOST_GROUPS} can be told")
    return {name: OPERATIONS[question.operation][1](values) for name, values in groups.items()}


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _holds(text: str, words: str) -> bool:
    return bool(words) and re.search(rf"\b{re.escape(words)}\b", text) is not None


def _ranges(numbers: list[int]) -> str:
    """Row numbers, runs of them joined: 2-4, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{a}-{b}" if a < b else str(a) for a, b in runs) or "none"
