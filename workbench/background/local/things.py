"""What is shown beside an answer: the rows or the passage that it rests on, of bounded size, in the shapes of `shown.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.background.local.documents import Passage
from workbench.background.local.table_files import Table
from workbench.background.local.tables import Question

MOST_ROWS, MOST_COLUMNS, MOST_CELL, MOST_PASSAGE = 12, 8, 60, 1_000  # the last two in characters


def rows_shown(table: Table, rows: Sequence[int], named: Sequence[str], answer: str) -> dict[str, Any] | None:
    """These rows (by their place in `rows` of the table) as a table, under the name of the file and the answer; None for no row.

    Of many columns the `named` ones are there in any case, those without a name never. What is left out of the rows is said; a cell that
    is cut ends in "…".
    """
    if not rows:
        return None
    others = [column for column in table.columns if column and column not in named][: max(0, MOST_COLUMNS - len(set(named)))]
    places = [place for place, column in enumerate(table.columns) if column in named or column in others]
    of = f", {MOST_ROWS} of {len(rows)} rows" if len(rows) > MOST_ROWS else ""
    return {
        "kind": "table",
        "caption": f"{table.file}{of}: {answer}",
        "columns": [_cut(table.columns[place], MOST_CELL) for place in places],
        "rows": [[_cut(table.rows[row][place], MOST_CELL) for place in places] for row in rows[:MOST_ROWS]],
    }


def columns_of(question: Question) -> list[str]:
    """The columns that a question names."""
    named = [question.column, *(column for column, _ in question.where), *(column for column, _, _ in question.bounds)]
    return list(dict.fromkeys(filter(None, [*named, question.by, question.of])))


def passage_shown(passage: Passage, said: str) -> dict[str, Any]:
    """A passage as text, after where it stands; of a long one what stands around the sentence that is said of it, between "…"."""
    text = passage.text
    if len(text) > MOST_PASSAGE:
        whole = " ".join(text.split())  # as the sentence is given
        start = max(0, min(whole.find(said) - MOST_PASSAGE // 4, len(whole) - MOST_PASSAGE))
        text = ("…" if start else "") + _cut(whole[start:], MOST_PASSAGE)
    return {"kind": "text", "text": f"{passage.source}: {text}"}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
