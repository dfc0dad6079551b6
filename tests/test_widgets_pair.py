"""Two sessions on one clock: where they part, what they chose otherwise, and one figure of both."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.sample_session import COUNT_TICKS, YIELD_TICK, stopped_count
from widgets.charts import timeline
from widgets.pair import choices_table, pair, pair_figure
from workbench.clock import Tick
from workbench.compare import differing_choices, first_difference
from workbench.events import Decision
from workbench.packets import MicroTurn
from workbench.trace import Trace

EVIL = "<img src=x>"


def otherwise(ticks: int = 40, said: str = EVIL) -> Trace:
    """The stopped count by an agent that says something else where it gave way, and one tick later."""
    trace = stopped_count()
    for tick in (YIELD_TICK, YIELD_TICK + 1):
        turn = trace.turns[tick]
        events = tuple(replace(e, said=said) if isinstance(e, Decision) else e for e in turn.events)
        trace.turns[tick] = MicroTurn(Tick(tick), turn.packets, events)
    return Trace(trace.header, trace.turns[:ticks])


def test_what_was_decided_otherwise_is_found_and_nothing_else() -> None:
    one, other = stopped_count(), otherwise()
    assert [choice.tick for choice in differing_choices(one, other)] == [YIELD_TICK, YIELD_TICK + 1]
    choice = differing_choices(one, other)[0]
    assert choice.left is not None
    assert choice.right is not None
    assert (choice.left.said, choice.right.said) == ("<yield>", EVIL)
    assert differing_choices(one, stopped_count()) == []


def test_numbers_that_change_nothing_are_no_other_choice() -> None:
    other = stopped_count()
    turn = other.turns[12]
    other.turns[12] = replace(turn, events=tuple(replace(e, p_speak=0.4) if isinstance(e, Decision) else e for e in turn.events))
    assert first_difference(stopped_count(), other) is not None
    assert differing_choices(stopped_count(), other) == []


def test_a_run_that_is_over_counts_as_silent() -> None:
    choices = differing_choices(stopped_count(), Trace(stopped_count().header, stopped_count().turns[: COUNT_TICKS[-1]]))
    assert [(choice.tick, choice.left and choice.left.said, choice.right) for choice in choices] == [
        (22, "five", None),
        (25, "<yield>", None),
    ]


def test_the_verdict_says_where_they_part() -> None:
    both = pair(("a", "b"), stopped_count(), otherwise())
    assert both.verdict().startswith("They differ from 5.0 s on, at tick 25, decision: ")
    assert both.verdict().endswith("2 ticks were decided otherwise.")
    assert pair(("a", "b"), stopped_count(), stopped_count()).verdict() == "They are the same in every tick."


def test_the_table_of_choices_escapes_what_was_said_and_names_both() -> None:
    table = choices_table(pair(("one <b>", "two"), stopped_count(), otherwise()))
    assert EVIL not in table
    assert "one &lt;b&gt;" in table
    assert table.count("data-at=") == 2
    assert 'data-at="5.000"' in table
    assert "speak: &lt;img src=x&gt;" in table or "idle: &lt;img src=x&gt;" in table
    assert "No tick was decided otherwise" in choices_table(pair(("a", "b"), stopped_count(), stopped_count()))


def test_one_figure_holds_both_timelines_over_one_axis() -> None:
    both = pair(("one", "two"), stopped_count(), otherwise(30))
    figure = pair_figure(both)
    single = timeline(replace(both.views[0], costs=()))
    assert len(figure.data) >= 2 * len(single.data) - 2
    assert {trace.xaxis for trace in figure.data} == {"x"}
    assert figure.layout.xaxis.maxallowed == 8.0
    named = {trace.yaxis for trace in figure.data}
    axes = {name: axis for name, axis in figure.layout.to_plotly_json().items() if name.startswith("yaxis")}
    assert {f"yaxis{name[1:]}" for name in named} <= set(axes)
    spans = sorted(axis["domain"] for axis in axes.values())
    assert all(below[1] <= above[0] + 1e-9 for below, above in pairwise(spans)), "lanes lie on each other"
    assert 0 <= spans[0][0] < spans[-1][1] <= 1
    assert figure.layout.xaxis.anchor in named
    assert [note.text for note in figure.layout.annotations if note.name == "session"] == ["<b>one</b>", "<b>two</b>"]


def test_the_figure_marks_where_they_part_and_what_they_chose_otherwise() -> None:
    shapes = pair_figure(pair(("one", "two"), stopped_count(), otherwise())).layout.shapes
    assert [shape.x0 for shape in shapes if shape.name == "first difference"] == [5.0]
    assert [(shape.x0, shape.x1) for shape in shapes if shape.name == "chose"] == [(5.0, pytest.approx(5.4))]
    same = pair_figure(pair(("one", "two"), stopped_count(), stopped_count())).layout.shapes
    assert {shape.name for shape in same} == {"overlap"}
