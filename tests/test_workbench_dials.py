"""Rules that are set while an agent talks: each acts from the tick in which its dial is moved, and a replay moves it again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from workbench.agents import ScriptedAgent
from workbench.dials import DIALS, moved
from workbench.errors import InputError
from workbench.events import ModelYielded, SettingChanged, TranscriptDelta
from workbench.outside import step_under
from workbench.packets import AGENT_AUDIO
from workbench.policies import Governed
from workbench.replay import replay
from workbench.rules import POLICIES, BargeIn, MaxOverlap, SpeechBudget
from workbench.session import Session
from workbench.trace import Trace, record
from workbench.users import SilentUser

TICKS, EVERY = 60, 10
NUMBERS = ("one", "two", "three", "four", "five", "six")
COUNT = ScriptedAgent(tuple((2 + EVERY * i, (word,)) for i, word in enumerate(NUMBERS)))


def talked(changes: Mapping[int, tuple[str, float]]) -> Trace:
    """Twelve seconds of an agent that says a number every two seconds, its dials moved in these ticks."""
    session = Session.start([SilentUser(), COUNT])
    trace = record(session)
    for tick in range(TICKS):
        step_under(session, [SettingChanged(name=name, value=value) for name, value in [changes[tick]]] if tick in changes else ())
    return trace


def loud_ticks(trace: Trace) -> list[int]:
    return [turn.tick for turn in trace.turns if turn.audio(AGENT_AUDIO, 1600).any()]


def words(trace: Trace) -> list[str]:
    return [event.word for _, event in trace.events(TranscriptDelta)]


def test_each_dial_sets_its_rule_over_all_of_its_range_and_none_where_it_is_off() -> None:
    for name, dial in DIALS.items():
        for value in (dial.low, dial.high):
            dial.check(value)
            policies = moved((), name, value)
            assert [policy.name for policy in policies] == ([] if value == dial.off else [name])
            assert all(type(policy).__name__ in POLICIES for policy in policies)
        assert len(dial.choices) in (0, dial.high - dial.low + 1)


def test_rules_stand_in_one_order_and_others_are_left_alone() -> None:
    mine = MaxOverlap(2.0, name="mine")
    policies = moved(moved((mine,), "budget", 10.0), "barge-in", 0.0)
    assert policies == (BargeIn("at_once"), SpeechBudget(10.0), mine)
    assert moved(policies, "budget", 120.0) == (BargeIn("at_once"), mine)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("speak over", 0.5, "give a whole number from 0 to 2"),
        ("barge-in", 3.0, "give a whole number from 0 to 2"),
        ("max overlap", 0.1, "give a number from 0.2 to 5"),
        ("confidence", -0.1, "give a number from 0 to 1"),
        ("budget", 121.0, "give a number from 0 to 120"),
    ],
)
def test_a_value_beyond_a_dial_is_refused(name: str, value: float, rule: str) -> None:
    with pytest.raises(InputError, match=f"{name} cannot be {value:g}; {rule}"):
        talked({0: (name, value)})


def test_a_budget_that_is_set_while_it_talks_silences_the_next_utterance_and_is_taken_back() -> None:
    held = talked({20: ("budget", 0.0), 40: ("budget", 120.0)})
    assert words(held) == ["one", "two", "five", "six"]
    assert not [tick for tick in loud_ticks(held) if 20 <= tick < 40]
    assert loud_ticks(held) == [tick for tick in loud_ticks(talked({})) if not 20 <= tick < 40]


def test_a_change_stands_in_the_trace_and_a_replay_makes_it_again() -> None:
    trace = talked({20: ("budget", 0.0), 30: ("max overlap", 1.0), 40: ("budget", 120.0)})
    assert [(tick, event.name, event.value) for tick, event in trace.events(SettingChanged)] == [
        (20, "budget", 0.0), (30, "max overlap", 1.0), (40, "budget", 120.0),
    ]  # fmt: skip
    assert trace.header.participants["agent"]["class"] == "ScriptedAgent"
    again = replay(trace)
    assert again.difference is None
    assert (words(again.trace), loud_ticks(again.trace)) == (words(trace), loud_ticks(trace))


def test_an_agent_that_is_put_under_rules_in_a_word_has_begun_it() -> None:
    session = Session.start([SilentUser(), ScriptedAgent(((2, ("seventeen",)),))])
    trace = record(session)
    for tick in range(10):
        step_under(session, (SettingChanged(name="budget", value=0.0),) if tick == 3 else ())
    alone = Session.start([SilentUser(), ScriptedAgent(((2, ("seventeen",)),))])
    unruled = record(alone)
    alone.run(10)
    assert loud_ticks(trace) == loud_ticks(unruled)
    assert not list(trace.events(ModelYielded))
    assert isinstance(session.participants[1], Governed)
    assert session.fork().states[1] is not session.states[1]
