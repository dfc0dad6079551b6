"""Why slow work was asked for, changed and answered, and why a tool was called or not, with the ticks that show it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.background_fakes import Knows, asked, asks, conversation, heard, played, together
from workbench.background.local.agent import LocalAgent
from workbench.background.parts import Answer, Used
from workbench.events import Decision, Gate, ModelYielded
from workbench.events_rules import GuardActed
from workbench.explain import Explanation, why
from workbench.trace import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    """A sum that is asked for and then amended, and a request that nobody made."""
    plan = together(
        asked(5, "what is two plus three"),
        heard((9, "no four plus three")),
        asks(10, "no four plus three", "amend"),
        asks(40, "call the bank"),
    )
    return played(conversation(plan, LocalAgent(), latency_s=1.0), 60)


def at(trace: Trace, tick: int) -> Explanation:
    return why(trace, trace.header.clock.seconds(tick) + 0.1)


def first(trace: Trace, kind: str, **fields: object) -> int:
    found = ((turn.tick, e) for turn in trace.turns for e in turn.events if getattr(e, "kind", "") == kind)
    return next(tick for tick, e in found if all(getattr(e, name) == value for name, value in fields.items()))


def test_a_request_is_explained_by_the_words_that_it_repeats(trace: Trace) -> None:
    told = at(trace, 6)
    assert told.outcome == "asked for slow work"
    assert '"what is two plus three"' in told.headline
    assert "5 of its 5 words were heard before" in told.headline
    assert "it repeats user.speech" in told.headline
    assert {5, 6} <= set(told.evidence)


def test_a_call_of_a_tool_is_explained_by_its_permission_and_its_task(trace: Trace) -> None:
    tick = first(trace, "tool.used")
    told = at(trace, tick)
    assert told.outcome == "called a tool"
    assert "wanted calculate(sum='four plus three'): permission free, it ran" in told.headline
    assert any('task 1 is "what is two plus three"' in r and 'amended by "no four plus three"' in r for r in told.reasons)
    assert {6, tick} <= set(told.evidence)


def test_a_correction_is_a_change_of_course(trace: Trace) -> None:
    assert at(trace, 10).outcome == "changed course"
    told = at(trace, 11)
    assert told.outcome == "changed course"
    assert "task 1 went from running to queued after 0.8 s, run 2: amended: no four plus three" in told.headline


def test_a_correction_that_was_badly_heard_is_told_with_what_that_costs() -> None:
    plan = together(asked(5, "look up anna"), heard((9, "no")), asks(10, "ben", "amend"))
    trace = played(conversation(plan, latency_s=1.0), 30)
    told = at(trace, 10)
    assert told.outcome == "changed course"
    assert "0 of its 1 words were heard before; the user spoke last, and nobody else said any of it" in told.headline
    assert "amended: ben, in words that nobody was heard to say; without authority from now on" in at(trace, 11).headline


def test_words_of_a_result_are_traced_back_to_the_ask(trace: Trace) -> None:
    handed = first(trace, "delegation.result")
    told = at(trace, handed + 1)
    assert told.outcome == "spoke"
    assert any(
        f"its words are of the result of task 1, which it was handed at {handed * 0.2:.1f} s (tick {handed})" in r for r in told.reasons
    )
    assert {6, handed, handed + 1} <= set(told.evidence)


def test_who_has_no_authority_is_named(trace: Trace) -> None:
    assert "0 of its 3 words were heard before; nobody answers for it" in at(trace, 40).headline
    used = Used(tool="pay", arguments={"euros": 5}, permission="voice", done="refused", reason="the user did not agree")
    plan = asked(2, "pay five")
    told = played(conversation(plan, Knows({"pay five": (used, Answer(text="no"))}), latency_s=0.4), 20)
    refused = at(told, first(told, "tool.used"))
    assert refused.outcome == "was refused a tool"
    assert "because the user did not agree" in refused.headline


def test_a_yield_names_what_the_agent_turned_to_and_a_guard_its_phrase(trace: Trace) -> None:
    handed = first(trace, "delegation.result")
    turns = list(trace.turns)
    guard = GuardActed(at_s=0.0, direction="in", phrase="four plus three", did="cut")
    cut = ModelYielded(at_s=turns[handed].tick * 0.2, p_yield=0.9, reason="the user took the floor", unsaid="so")
    turns[handed] = replace(turns[handed], events=(*turns[handed].events, cut, guard))
    told = at(Trace(trace.header, turns), handed)
    assert told.outcome == "yielded"
    assert f'it turned to "seven" at {(handed + 1) * 0.2:.1f} s (tick {handed + 1})' in told.reasons
    assert 'a guard acted (cut) because of "four plus three" in what was asked' in told.reasons
    assert 9 in told.evidence


def test_a_rule_that_changed_the_outcome_is_told_where_slow_work_is_the_headline(trace: Trace) -> None:
    gate = Gate("quiet hours", "okay", "<silence>", "it is to be quiet from 0 to 10 s")
    decision = Decision(floor="idle", said="", p_speak=0.9, p_yield=0.0, p_backchannel=0.0, threshold=0.5, gates=(gate,))
    turns = [*trace.turns]
    turns[6] = replace(turns[6], packets=(), events=(decision, *turns[6].events))
    told = at(replace(trace, turns=turns), 6)
    assert told.outcome == "asked for slow work"
    assert "quiet hours gate: wanted okay, did <silence> (it is to be quiet from 0 to 10 s)" in str(told)
