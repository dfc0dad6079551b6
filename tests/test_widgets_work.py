"""Slow work stands on the timeline: every state of every task at its time, in as few rows as fit, and where results were told."""

from __future__ import annotations

import itertools
from dataclasses import replace

from tests.scenario_fakes import play_family
from widgets.charts import timeline
from widgets.views import session_view
from widgets.work import handed_over, task_rows, task_spans
from workbench.events_background import DelegationChanged, DelegationCreated, DelegationResult
from workbench.trace import Trace


def test_the_states_of_a_task_follow_each_other_without_a_gap_from_its_making_to_its_end() -> None:
    trace = play_family("look_up", 4)
    spans = task_spans(trace)
    tasks = {event.task for _, event in trace.events(DelegationCreated)}
    assert {span.task for span in spans} == tasks
    for task in tasks:
        states = [span for span in spans if span.task == task]
        assert [span.state for span in states] == ["queued", "running", "completed", "delivering", "delivered"]
        assert all(a.end_s == b.start_s for a, b in itertools.pairwise(states))
        changes = [trace.header.clock.seconds(tick) for tick, e in trace.events(DelegationChanged) if e.task == task]
        assert [span.start_s for span in states[1:]] == changes


def test_tasks_that_do_not_overlap_share_a_row_and_others_do_not() -> None:
    trace = play_family("look_up", 4)
    assert task_rows(task_spans(trace)) == 1
    second = next(tick for tick, event in trace.events(DelegationCreated) if event.task == "2")
    beside = [
        replace(turn, events=tuple(replace(e, task="9") if getattr(e, "task", "") == "2" else e for e in turn.events))
        for turn in trace.turns
    ]
    opened = [e for e in beside[second].events if isinstance(e, DelegationCreated)]
    turns = list(beside)
    turns[second] = replace(turns[second], events=tuple(e for e in turns[second].events if e not in opened))
    first = next(tick for tick, event in trace.events(DelegationCreated))
    turns[first] = replace(turns[first], events=(*turns[first].events, *opened))
    assert task_rows(task_spans(Trace(trace.header, turns))) == 2


def test_results_stand_where_the_agent_was_told_them() -> None:
    trace = play_family("meanwhile", 4)
    told = [(trace.header.clock.seconds(tick), event.text) for tick, event in trace.events(DelegationResult)]
    assert [(mark.at_s, mark.text) for mark in handed_over(trace)] == told
    figure = timeline(trace)
    boxes = next(drawn for drawn in figure.data if drawn.name == "tasks")
    assert len(boxes.base) == len(session_view(trace).tasks)
    assert any("look up" in text for text in boxes.text)
    assert list(next(drawn for drawn in figure.data if drawn.name == "results").x) == [at_s for at_s, _ in told]


def test_a_session_without_slow_work_has_no_lane_for_it() -> None:
    assert not any(drawn.name == "tasks" for drawn in timeline(play_family("answer", 1)).data)
