"""What an ask means of a table. Every word of it has to be accounted for, since one that is left out may change the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from workbench.background.local.calculator import as_text
from workbench.background.local.reading import why_unread
from workbench.background.local.table_files import Table, phrase
from workbench.background.local.table_words import Mark, marked
from workbench.background.local.tables import Question
from workbench.errors import InputError

LOOK_UP = re.compile(r"^((?:please |can |could |would |you )*)(?:look up|find|search(?: for)?)\b", re.IGNORECASE)
_EQUALS = frozenset("is are was were = equals".split())
_BEFORE_CELL = _EQUALS | frozenset("of the a an".split())
_BEFORE_LIMIT = frozenset("is are was were be of with a value values that".split())


def find(tables: Sequence[Table], ask: str, default: str = "", also: frozenset[str] = frozenset()) -> tuple[Table, Question] | None:
    """The table and the question that an ask means, or None: it must name an operation (else `default`), and a column or the table.

    The words of `also` may stand in the ask and say nothing of the question. Raises InputError for an ask that names a column or a table
    and holds something that is not understood, or that fits several tables equally well.
    """
    understood: list[tuple[int, Table, Question]] = []
    refused: list[tuple[int, InputError]] = []
    for table in tables:
        reading = _Reading(table, marked(table, LOOK_UP.sub(r"\1", ask), also), also)
        named = {(mark.kind, mark.name) for mark in reading.marks}
        score = sum({"column": 2, "table": 2, "cell": 1}.get(kind, 0) for kind, _ in named)
        operations = [name for kind, name in sorted(named) if kind == "operation"] or [default]
        if operations == [""] or not score:
            continue
        try:
            understood.append((score, table, reading.question(operations)))
        except InputError as error:
            refused.append((score, error))
    most = max((score for score, _, _ in understood), default=0)
    best = [(table, question) for score, table, question in understood if score == most]
    if len(best) > 1:
        raise InputError(f"{ask[:100]!r} may be asked of {' and of '.join(table.file for table, _ in best)}; name the table")
    if best:
        return best[0]
    if refused and (worst := max(refused, key=lambda one: one[0]))[0] > 1:
        raise worst[1]
    return None


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
        return f"{self.table.file} rows {self.table.numbered[self.row]} column {self.column}"


def entry(tables: Sequence[Table], ask: str) -> Entry | None:
    """The cell that an ask such as "look up anna" means: in the one row that an ask names, the column it names, else the first of numbers,
    else the only other one.

    None when no cell of text is named or several are, when it stands in several rows, or when the ask holds words besides.
    """
    for table in tables:
        marks = [mark for mark in marked(table, LOOK_UP.sub(r"\1", ask)) if mark.kind != "nothing"]
        cells = {mark.words for mark in marks if mark.kind == "cell"}
        columns = list(dict.fromkeys(mark.name for mark in marks if mark.kind == "column"))
        if len(cells) != 1 or len(columns) > 1 or any(mark.kind not in ("cell", "column", "table") for mark in marks):
            continue
        where = table.phrases[cells.pop()]
        others = [column for column in table.columns if column and column not in dict(where)]
        wanted = columns or [column for column in others if table.numbers(column)] or (others if len(others) == 1 else [])
        named = [(row, cell) for column, cell in where for row, one in enumerate(table.cells(column)) if one == cell]
        if wanted and len({row for row, _ in named}) == 1:
            return Entry(table, *named[0], wanted[0])
    return None


@dataclass
class _Reading:
    """The marks of an ask, and what was made of them so far."""

    table: Table
    marks: list[Mark]
    also: frozenset[str]  # words that may say how, and not what
    where: list[tuple[Mark, str, str]] = field(default_factory=list)  # what said it, the column, the cell
    bounds: list[tuple[str, str, Fraction]] = field(default_factory=list)
    supposed: list[tuple[str, str]] = field(
        default_factory=list
    )  # a column that holds a number, of which nothing else says that it is meant
    placed: set[Mark] = field(default_factory=set)  # the names of columns that have their part in the question

    def question(self, operations: Sequence[str]) -> Question:
        """The question. Raises InputError for whatever is left over or may be read in two ways."""
        self._check(operations)
        for mark in self.marks:
            if mark.kind == "cell":
                self._filter(mark)
            elif mark.kind == "number":
                self._number(mark)
        self._check_alternatives()
        by, of = self._by(), self._of()
        operation = operations[0]
        column = self._column(operation, of)
        of = "" if of == column else of
        if of and operation not in ("max", "min"):
            raise InputError(f"which {of} can be told of the highest and the lowest only; ask e.g. by {of}")
        if of and by:
            raise InputError(f"by {by} and which {of} cannot be asked at once; leave one out")
        if doubtful := next((number for name, number in self.supposed if name == column), None):
            raise InputError(f"{doubtful} is in column {column} only; say e.g. {column} is {doubtful}, or {column} above {doubtful}")
        return Question(operation, column, tuple((name, cell) for _, name, cell in self.where), tuple(self.bounds), by, of)

    def _check(self, operations: Sequence[str]) -> None:
        file = self.table.file
        unknown = [mark.name for mark in self.marks if mark.kind == "unknown"]
        if why := why_unread(unknown):
            raise InputError(why)
        if unknown:
            known = ", ".join(filter(None, self.table.columns))
            raise InputError(f"{file} has nothing that {' and '.join(map(repr, unknown))} may mean; its columns are {known}")
        refused = next((mark.name for mark in self.marks if mark.kind == "not"), None)
        if refused is not None:
            raise InputError(f"{refused!r} is not understood of {file}; say which rows are wanted, not which are not")
        for mark, after in zip(self.marks, [*self.marks[1:], None], strict=True):
            if mark.kind == "comparison" and (after is None or after.kind != "number"):
                raise InputError(f"{mark.name!r} has to stand before a number, as in {mark.name} 20")
        if len(operations) > 1:
            raise InputError(f"{' and '.join(operations)} are asked for at once of {file}; ask for one")
        for mark in self.marks:
            operation = mark.kind == "operation" and mark.words in self.table.phrases
            if operation or (mark.kind == "cell" and mark.name in self.also):
                said, column = " ".join(map(str, mark.words)), self.table.phrases[mark.words][0][0]
                raise InputError(f"{said!r} also stands in {file} as {column}, and may be meant otherwise; use another word")

    # --- which rows ---

    def _filter(self, mark: Mark) -> None:
        """The rows that have a cell of text; where several columns have it, one of them must be named beside it."""
        cells = self.table.phrases[mark.words]
        beside = [near for near in (self._before(mark, _BEFORE_CELL), self._after(mark)) if near and near.name in dict(cells)]
        columns = {near.name for near in beside} or {column for column, _ in cells}
        if len(columns) > 1:
            raise InputError(f"{mark.name!r} stands in {self.table.file} as {' and as '.join(sorted(columns))}; say which, before it")
        self.placed.update(beside)
        self.where += [(mark, column, cell) for column, cell in cells if column in columns]

    def _number(self, mark: Mark) -> None:
        place = self.marks.index(mark)
        comparison = self.marks[place - 1] if place and self.marks[place - 1].kind == "comparison" else None
        before, after = (self.marks[at].name if 0 <= at < len(self.marks) else "" for at in (place - 1, place + 1))
        if before == "to" or (before, after) == ("from", "on"):
            raise InputError(f"from where to where {mark.name} reaches is not understood; say e.g. year at least 2020")
        if comparison is not None:
            self._bound(comparison, mark)
        else:
            self._equal(mark)

    def _bound(self, comparison: Mark, number: Mark) -> None:
        sides = [near for near in (self._before(comparison, _BEFORE_LIMIT), self._after(number)) if near]
        columns = {near.name for near in sides}
        said = f"{comparison.name} {number.name}"
        if len(columns) != 1:
            raise InputError(
                f"of which column is {said!r} meant? say it right before, as in {' or '.join(sorted(columns)) or 'amount'} {said}"
            )
        column = columns.pop()
        if not self.table.numbers(column):
            raise InputError(f"{said!r} cannot be asked, since {self.table.why_no_numbers(column)}")
        self.placed.add(sides[0])
        self.bounds.append((column, comparison.name, _size(number)))

    def _equal(self, number: Mark) -> None:
        """The rows that have a number in the one column that holds it, or in that of which it is said."""
        size, table = _size(number), self.table
        near = self._before(number, _EQUALS)
        said = near is not None and near.end < number.start
        held = [
            (column, cell)
            for column in table.columns
            if table.numbers(column)
            for cell in dict.fromkeys(table.cells(column))
            if cell and table.number(cell) == size
        ]
        held += table.phrases.get((size,), ())
        if near is not None and said and table.numbers(near.name):
            held = [(column, cell) for column, cell in held if column == near.name] or [(near.name, as_text(size))]
        columns = {column for column, _ in held}
        if len(columns) != 1:
            among = f"stands in columns {' and '.join(sorted(columns))}" if columns else "stands in no column"
            raise InputError(f"{number.name} {among} of {table.file}; say e.g. year is {number.name}")
        if near is not None and near.name in columns:
            self.placed.add(near)
        if not said:
            self.supposed.append((held[0][0], number.name))
        self.where += [(number, column, cell) for column, cell in held]

    def _check_alternatives(self) -> None:
        """Raises InputError for an "or" that does not stand between two values of one column."""
        for each in (mark for mark in self.marks if mark.kind == "or"):
            left = [column for mark, column, _ in self.where if mark.end <= each.start]
            right = [column for mark, column, _ in self.where if mark.start >= each.end]
            if not left or not right or left[-1] != right[0] or self.bounds:
                raise InputError(f"'or' is understood between two values of one column of {self.table.file}; ask one after the other")

    # --- of what ---

    def _by(self) -> str:
        """The column whose values are the groups."""
        found: list[str] = []
        for mark in (mark for mark in self.marks if mark.kind == "each"):
            column = self._after(mark, frozenset(["the"]))
            if column is None:
                raise InputError(f"{mark.name!r} has to stand before a column of {self.table.file}: {', '.join(self.table.columns)}")
            self.placed.add(column)
            found.append(column.name)
        if len(found) > 1:
            raise InputError(f"{self.table.file} is told by one column at a time, not by {' and '.join(found)}")
        return "".join(found)

    def _of(self) -> str:
        """The column after "which"."""
        for mark in self.marks:
            column = self._after(mark) if mark.name in ("which", "what") else None
            if column is not None:
                self.placed.add(column)
                return column.name
        return ""

    def _column(self, operation: str, of: str) -> str:
        """The column that is worked out; "" where rows are counted. Raises InputError unless there is one, and no other left over."""
        table = self.table
        left = list(dict.fromkeys(mark.name for mark in self.marks if mark.kind == "column" and mark not in self.placed))
        table_name = [column for column in left if phrase(column) == phrase(Path(table.file).stem)]
        if table_name and (len(left) > 1 or operation == "count"):
            left.remove(table_name[0])
        if operation == "count":
            if left:
                raise InputError(f"of {table.file} rows are counted; say e.g. how many rows, and not only {left[0]}")
            return ""
        limited = {column for column, _, _ in self.bounds}
        left = left or ([of] if of and table.numbers(of) else []) or (list(limited) if len(limited) == 1 else [])
        if not left:
            numeric = ", ".join(filter(table.numbers, table.columns)) or "none"
            raise InputError(f"it is not said of which column of {table.file}; those of numbers: {numeric}")
        text = [column for column in left if not table.numbers(column)]
        if text and len(left) == 1:
            raise InputError(f"no {operation} can be told, since {table.why_no_numbers(text[0])}")
        if len(left) > 1:
            raise InputError(f"{' and '.join(left)} are named at once of {table.file}; ask for one, e.g. {left[0]} by {left[1]}")
        return left[0]

    # --- what stands beside what ---

    def _before(self, mark: Mark, skipped: frozenset[str]) -> Mark | None:
        """The column before a mark, with nothing but these words between."""
        place = self.marks.index(mark) - 1
        while place >= 0 and self.marks[place].kind == "nothing" and self.marks[place].name in skipped:
            place -= 1
        return self.marks[place] if place >= 0 and self.marks[place].kind == "column" else None

    def _after(self, mark: Mark, skipped: frozenset[str] = frozenset()) -> Mark | None:
        place = self.marks.index(mark) + 1
        while place < len(self.marks) and self.marks[place].kind == "nothing" and self.marks[place].name in skipped:
            place += 1
        return self.marks[place] if place < len(self.marks) and self.marks[place].kind == "column" else None


def _size(number: Mark) -> Fraction:
    size = number.words[0]
    assert isinstance(size, Fraction)
    return size
