"""The embedded background agent: it finds out which of its skills an ask means, and calls that one through the gate of every tool."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.background.local.calculator import calculate, is_sum
from workbench.background.local.charts import DRAWING, Chart, amended, drawn
from workbench.background.local.clock_times import at_another_time, is_time_question, reminder, time_text
from workbench.background.local.documents import Library, best_sentence
from workbench.background.local.table_files import Table, Tables, load_tables
from workbench.background.local.table_questions import LOOK_UP, entry, find
from workbench.background.local.table_words import names_operation
from workbench.background.local.tables import Question, answer, used_rows, whole
from workbench.background.local.things import columns_of, passage_shown, rows_shown
from workbench.background.local.units import convert, is_quantity
from workbench.background.parts import Answer, Envelope, Failure, NeedsConsent, Part, Stop
from workbench.background.toolbox import Calls, Toolbox
from workbench.background.tools import Tool, tool
from workbench.errors import InputError

_DRAW = re.compile(r"\b(plot|chart|draw|graph)\b", re.IGNORECASE)
_ONLY_DRAW = re.compile(r"(?:please )?(?:draw|plot|show)(?: me)? (?:a|the) (?:chart|graph|plot)(?: please)?", re.IGNORECASE)
_REMIND = re.compile(r"\b(remind|timer|alarm)\b", re.IGNORECASE)
_MIDST = re.compile(r"^(?:no|actually|i mean|rather|not that|the other one)\b[\s,]*", re.IGNORECASE)


@dataclass(frozen=True)
class LocalAgent:
    """Sums, units, the time, reminders, and of a folder its documents, tables and charts of them.

    `folder` holds documents (.txt, .md, .rst) and tables (.csv, .parquet); `epoch` is when the session began, as ISO 8601. It answers
    without a network and always the same. Nothing is guessed: what fits no skill, or is in no document, is a failure that says so. With
    an answer from the folder the rows or the passage that it rests on are shown (`things.py`).
    """

    folder: Path | None = None
    epoch: str | None = None
    name: str = "local"

    def spec(self) -> Mapping[str, Any]:
        return {"class": "LocalAgent", "folder": None if self.folder is None else str(self.folder), "epoch": self.epoch}

    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Part]:
        calls = Calls(self._toolbox(envelope), envelope.trusted(), stop)
        try:
            name, arguments = self._route(envelope)
        except InputError as error:
            yield Failure(cause=str(error))
            return
        outcome = calls.call(name, arguments)
        yield from calls.told()
        if isinstance(outcome, NeedsConsent):
            yield outcome
        elif not outcome.ok:
            yield Failure(cause=outcome.cause)
        else:
            value = outcome.value
            said: dict[str, Any] = {"text": value} if isinstance(value, str) else {**value, "sources": tuple(value.get("sources", ()))}
            yield Answer(foreign=calls.foreign, **said)

    # --- which skill ---

    def _route(self, envelope: Envelope) -> tuple[str, dict[str, Any]]:
        """The skill and what it is given. Raises InputError when none fits."""
        if _DRAW.search(envelope.ask) and self.folder is not None:
            return "draw_chart", {"ask": envelope.ask, "changes": list(envelope.amendments)}
        ask = _corrected(envelope)
        if _REMIND.search(ask):
            return "remind", {"ask": ask}
        if is_time_question(ask):
            return "tell_time", {"ask": ask}
        if is_quantity(ask):
            return "convert", {"quantity": ask}
        if is_sum(ask):
            return "calculate", {"sum": ask}
        if self.folder is None:
            raise InputError(
                f"nothing of mine fits {ask!r}: I know sums, units, the time and reminders, and no folder of documents was given"
            )
        looked = ask if LOOK_UP.match(ask) or not LOOK_UP.match(envelope.ask) else f"look up {ask}"
        if LOOK_UP.match(looked) and entry(self._tables.read, looked) is not None:
            return "look_up", {"ask": looked}
        if self._is_of_a_table(ask):
            return "ask_table", {"ask": ask}
        return "search_documents", {"ask": looked}

    def _is_of_a_table(self, ask: str) -> bool:
        try:
            return find(self._tables.read, ask) is not None
        except InputError:
            return True  # it names a table or a column, and something that is not understood; `ask_table` says what

    # --- the skills ---

    def _toolbox(self, envelope: Envelope) -> Toolbox:
        def tell_time(ask: str) -> str:
            """Tell the time of day or the date."""
            return time_text(self.epoch, envelope.origin_s, ask)

        def remind(ask: str) -> dict[str, Any]:
            """Remind the user of something after some time."""
            after_s, text = reminder(ask)
            return {"text": text, "due_s": round(envelope.origin_s + after_s, 6)}

        def search_documents(ask: str) -> dict[str, Any]:
            """Search the user's documents; the answer is a sentence of one of them."""
            return self._search(ask)

        def look_up(ask: str) -> dict[str, Any]:
            """Look up what stands beside a name in the user's tables."""
            found = entry(self._tables.read, ask)
            assert found is not None
            text = f"{found.name}: {found.column} {found.value}"
            shown = rows_shown(found.table, [found.row], [found.column], text)
            return {"text": text, "say": found.value, "sources": [found.source], "shown": shown}

        def ask_table(ask: str) -> dict[str, Any]:
            """Count or add up in the user's tables."""
            return self._ask_table(ask)

        def draw_chart(ask: str, changes: list[str]) -> dict[str, Any]:
            """Draw a chart of one of the user's tables, and change it as told."""
            return self._draw(ask, changes)

        own = (_inline(calculate), _inline(convert), _inline(tell_time), _inline(remind))
        foreign = tuple(replace(_inline(skill), foreign=True) for skill in (search_documents, look_up, ask_table, draw_chart))
        return Toolbox((*own, *foreign) if self.folder is not None else own)

    @cached_property
    def _library(self) -> Library:
        assert self.folder is not None
        return Library(self.folder)

    @cached_property
    def _tables(self) -> Tables:
        assert self.folder is not None
        return load_tables(self.folder)

    def _search(self, ask: str) -> dict[str, Any]:
        found = self._library.search(ask)
        if not found:
            of_tables = names_operation(ask) or LOOK_UP.match(ask) is not None
            left_out = "".join(f"{problem}; " for problem in self._tables.problems) if of_tables else ""
            raise InputError(f"{left_out}no document holds a word of {ask!r}")
        text = "\n".join(f"{passage.source}: {passage.text}" for passage in found)
        sources = [passage.source for passage in found]
        say = best_sentence(found[0], ask)
        return {"text": text, "say": say, "sources": sources, "shown": passage_shown(found[0], say)}

    def _ask_table(self, ask: str) -> dict[str, Any]:
        table, question = self._meant(ask)
        text, sources = answer(table, question)
        shown = rows_shown(table, used_rows(table, question), columns_of(question), text)
        return {"text": text, "sources": list(sources), "shown": shown}

    def _draw(self, ask: str, changes: list[str]) -> dict[str, Any]:
        unnamed = whole(self._tables.read) if _ONLY_DRAW.fullmatch(ask.strip()) else None
        table, question = unnamed or self._meant(ask, default="sum", also=DRAWING)
        if not question.by:
            raise InputError(f"{ask!r} does not say by what; there are {', '.join(table.columns)}")
        chart: Chart = drawn(table, question, ask)
        for change in changes:
            chart = amended(chart, change)
        _, sources = answer(table, question)
        shown = {"kind": "figure", "figure": chart.figure()}
        text = f"{chart.title}: " + ", ".join(f"{n} {v:g}" for n, v in zip(chart.names, chart.values, strict=True))
        return {"text": text, "say": "here is the chart" if not changes else "done", "sources": list(sources), "shown": shown}

    def _meant(self, ask: str, *, default: str = "", also: frozenset[str] = frozenset()) -> tuple[Table, Question]:
        """The table and the question. Raises InputError, with the files that were left out, where none is understood."""
        tables = self._tables
        try:
            found = find(tables.read, ask, default, also)
        except InputError as error:
            raise InputError(f"{error}{tables.left_out()}") from error
        if found is None:
            known = "; ".join(f"{table.file}: {', '.join(table.columns)}" for table in tables.read)
            raise InputError(f"no table has what {ask!r} asks for; there are {known or 'no tables'}{tables.left_out()}")
        return found


def _inline(function: Callable[..., Any]) -> Tool:
    return tool(most_chars=40_000, isolation="inline")(function)


def _corrected(envelope: Envelope) -> str:
    """The ask, or what it was corrected to: "no, three plus four" takes its place, "make it an hour" only that of a reminder's time."""
    ask = envelope.ask
    for amendment in envelope.amendments:
        change = _MIDST.sub("", _MIDST.sub("", amendment))
        ask = (at_another_time(ask, change) if _REMIND.search(ask) else None) or change
    return ask
