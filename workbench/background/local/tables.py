"""Questions about a table, counted and added up exactly; every answer names its rows and its column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import ge, gt, le, lt
from statistics import median

from workbench.background.local.calculator import as_text
from workbench.background.local.table_files import Table
from workbench.errors import InputError

MOST_GROUPS = 50
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


COMPARISONS: Mapping[str, Callable[[Fraction, Fraction], bool]] = {"above": gt, "below": lt, "at least": ge, "at most": le}


@dataclass(frozen=True)
class Question:
    """What is wanted of a table: an operation on a column, over some of its rows, perhaps for each value of a column.

    Attributes:
        operation, column: what is worked out of what; nothing of a column where rows are counted.
        where: columns and the cells they are to have; cells of one column are alternatives.
        bounds: columns of numbers, comparisons of COMPARISONS and their limits, all of which are to hold.
        by: the column whose values are the groups.
        of: the column of which the highest or lowest is to be named.
    """

    operation: str
    column: str
    where: tuple[tuple[str, str], ...] = ()
    bounds: tuple[tuple[str, str, Fraction], ...] = ()
    by: str = ""
    of: str = ""


def whole(tables: Sequence[Table]) -> tuple[Table, Question] | None:
    """What there is to draw where nothing was named: of the first table with texts and numbers, the first numbers by the first texts."""
    for table in tables:
        numeric = [column for column in table.columns if column and table.numbers(column)]
        labels = [column for column in table.columns if column and column not in numeric]
        if numeric and labels:
            return table, Question("sum", numeric[0], by=labels[0])
    return None


def rows_of(table: Table, question: Question) -> list[int]:
    """The rows that a question is about, by their place in `rows`; gaps are within no bounds."""
    wanted: dict[int, set[str]] = {}
    for column, cell in question.where:
        wanted.setdefault(table.columns.index(column), set()).add(cell)
    bounds = [(table.columns.index(column), COMPARISONS[comparison], limit) for column, comparison, limit in question.bounds]

    def fits(row: tuple[str, ...]) -> bool:
        held = all(row[place] in cells for place, cells in wanted.items())
        return held and all(bool(row[place]) and holds(table.number(row[place]), limit) for place, holds, limit in bounds)

    return [place for place, row in enumerate(table.rows) if fits(row)]


def answer(table: Table, question: Question) -> tuple[str, tuple[str, ...]]:
    """The answer in words, and the rows it rests on. Raises InputError when no row fits."""
    groups = grouped(table, question)
    name = {"count": "rows"}.get(question.operation, f"{question.operation} of {question.column}")
    said = ", ".join(f"{key}: {as_text(value)}" if key else as_text(value) for key, value in groups.items())
    rows = _ranges([table.numbered[row] for row in used_rows(table, question)])
    source = f"{table.file} rows {rows}" + (f" column {question.column}" if question.column else "")
    holders = f", {question.of} {' and '.join(_holders(table, question, groups['']))}" if question.of else ""
    return f"{name}{_where(question)}: {said}{holders}", (source,)


def used_rows(table: Table, question: Question) -> list[int]:
    """The rows that an answer rests on, by their place in `rows`: those it is about, without gaps in the column that is worked out."""
    cells = table.cells(question.column) if question.column else []
    return [row for row in rows_of(table, question) if not cells or cells[row]]


def grouped(table: Table, question: Question) -> dict[str, Fraction]:
    """The value of each group, in order of the file; one group without a name when nothing divides them."""
    groups: dict[str, list[Fraction]] = {}
    cells = table.cells(question.column) if question.column else ["1"] * len(table.rows)
    names = table.cells(question.by) if question.by else [""] * len(table.rows)
    for row in rows_of(table, question):
        if cells[row]:
            groups.setdefault(names[row], []).append(table.number(cells[row]))
    if not groups and question.operation == "count" and not question.by:
        return {"": Fraction(0)}
    if not groups:
        raise InputError(f"{table.file} has no row with {question.column or question.by}{_where(question)}")
    if len(groups) > MOST_GROUPS:
        raise InputError(f"{table.file} has {len(groups)} different {question.by}{_where(question)}; up to {MOST_GROUPS} can be told")
    return {name: OPERATIONS[question.operation][1](values) for name, values in groups.items()}


def _where(question: Question) -> str:
    """Which rows are meant, in words; "" for all."""
    limits = [f"{column} {comparison} {as_text(limit)}" for column, comparison, limit in question.bounds]
    said = " and ".join([*(f"{column} {cell}" for column, cell in question.where), *limits])
    return f" where {said}" if said else ""


def _holders(table: Table, question: Question, value: Fraction) -> list[str]:
    """Whose the highest or lowest value is. Raises InputError where somebody has several rows: their highest, or their total?"""
    cells, names = table.cells(question.column), table.cells(question.of)
    rows = [row for row in rows_of(table, question) if cells[row]]
    often, count = Counter(names[row] for row in rows).most_common(1)[0]
    if count > 1 or not often:
        raise InputError(
            f"{question.of} {often or 'without a name'} has {count} rows of {table.file}; "
            f"ask for the {question.operation} of {question.column} by {question.of}, or for the total"
        )
    return [names[row] for row in rows if table.number(cells[row]) == value]


def _ranges(numbers: list[int]) -> str:
    """Row numbers, runs of them joined: 2-4, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{a}-{b}" if a < b else str(a) for a, b in runs) or "none"
