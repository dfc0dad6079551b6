"""Rules that are set while an agent talks: each acts from the tick in which its dial is moved, and a replay moves it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from tests.test_workbench_guard import Hears
from tests.test_workbench_policies import Talker
from workbench.agents import ScriptedAgent
from workbench.background.wiring import asking
from workbench.clock import ClockSpec
from workbench.dials import DIALS, dial_of, dials_told, moved
from workbench.errors import InputError
from workbench.events import Decision, ModelSpeechStarted, ModelSpeechStopped, ModelYielded, SettingChanged, TranscriptDelta
from workbench.outside import by_the_clock, rules_of, step_under
from workbench.packets import AGENT_AUDIO, MicroTurn
from workbench.policies import Governed, Hold, QuietHours, QuietTimes, SpeakOver
from workbench.policy_text import governed_by
from workbench.replay import replay
from workbench.rules import POLICIES, BargeIn, MaxOverlap, SpeechBudget
from workbench.session import Said, Session
from workbench.trace import Trace, record
from workbench.users import SilentUser

TICKS, EVERY = 60, 10
NUMBERS = ("one", "two", "three", "four", "five", "six")
COUNT = ScriptedAgent(tuple((2 + EVERY * i, (word,)) for i, word in enumerate(NUMBERS)))
BARE = Governed(COUNT)


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
            agent = moved(BARE, name, value, 4.0)
            rules = [policy.name for policy in agent.policies] + ["patience"] * (agent.hold != Hold())
            assert rules == ([] if value == dial.off else [name])
            assert all(type(policy).__name__ in POLICIES for policy in agent.policies)
            assert dial.told_of(agent, 4.0)["value"] == value
        assert len(dial.choices) in (0, dial.high - dial.low + 1)


def test_rules_stand_in_one_order_and_others_are_left_alone() -> None:
    mine = MaxOverlap(2.0, name="mine")
    agent = moved(moved(replace(BARE, policies=(mine,)), "budget", 10.0, 0.0), "barge-in", 0.0, 0.0)
    assert agent.policies == (BargeIn("at_once"), SpeechBudget(10.0), mine)
    assert moved(agent, "budget", 120.0, 0.0).policies == (BargeIn("at_once"), mine)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("speak over", 0.5, "give a whole number from 0 to 2"),
        ("barge-in", 3.0, "give a whole number from 0 to 2"),
        ("max overlap", 0.1, "give a number from 0.2 to 5"),
        ("confidence", -0.1, "give a number from 0 to 1"),
        ("budget", 121.0, "give a number from 0 to 120"),
        ("patience", 3.5, "give a number from 0 to 3"),
        ("quiet hours", 61.0, "give a number from 0 to 60"),
        ("speak over", 3.0, "give a whole number from 0 to 2"),
    ],
)
def test_a_value_beyond_a_dial_is_refused(name: str, value: float, rule: str) -> None:
    with pytest.raises(InputError, match=f"{name} cannot be {value:g}; {rule}"):
        talked({0: (name, value)})


def told(*texts: str, now_s: float = 0.0) -> dict[str, tuple[float, str]]:
    """What a page is told of each dial of an agent under these rules, its value and how it is given in words."""
    return {dial["name"]: (dial["value"], dial["given"]) for dial in dials_told(rules_of(governed_by(COUNT, texts)), now_s)}


def test_dials_start_where_the_rules_of_the_agent_stand() -> None:
    bare = told()
    assert bare == {name: (dial.off, "") for name, dial in DIALS.items()}
    some = told("barge-in=finish_word", "max-overlap=1", "speak-over=never", "patience=0.4", "confidence=0.6", "budget=30")
    numbers = {
        "speak over": 0.0,
        "barge-in": 1.0,
        "max overlap": 1.0,
        "patience": 0.4,
        "confidence": 0.6,
        "budget": 30.0,
        "quiet hours": 0.0,
    }
    assert some == {name: (value, "") for name, value in numbers.items()}
    beyond = told("max-overlap=10", "budget=300", "patience=5")
    assert [beyond[name] for name in ("max overlap", "budget", "patience")] == [(5.0, "10 s"), (120.0, "300 s"), (3.0, "5 s")]
    assert [told("quiet=60-210", now_s=at_s)["quiet hours"] for at_s in (0.0, 60.0, 100.0, 210.0)] == [
        (0.0, "60 to 210 s"), (3.0, ""), (2.0, ""), (0.0, ""),
    ]  # fmt: skip
    assert told("quiet=22:00-07:30")["quiet hours"] == (0.0, "22:00 to 07:30")


def test_words_that_may_be_said_over_the_user_are_a_choice_that_can_be_turned_back_to() -> None:
    agent = rules_of(governed_by(COUNT, ["speak-over=watch+stop"]))
    dial = dial_of("speak over", agent)
    assert dial.choices == ("never", "with a back-channel", "always", "with watch, stop")
    assert dial.told_of(agent, 0.0)["value"] == 3.0
    dial.check(3.0)
    always = moved(agent, "speak over", 2.0, 0.0)
    assert always.policies == (SpeakOver("always", ("watch", "stop")),)
    assert moved(moved(always, "speak over", 0.0, 0.0), "speak over", 3.0, 0.0) == agent


def test_quiet_that_is_set_begins_now_and_ends_by_itself_or_by_hand() -> None:
    assert words(talked({20: ("quiet hours", 1.0)})) == ["one", "two"]
    assert words(talked({20: ("quiet hours", 1.0), 40: ("quiet hours", 0.0)})) == ["one", "two", "five", "six"]
    agent = moved(BARE, "quiet hours", 1.0, 4.0)
    assert agent.policies == (QuietHours(4.0, 64.0),)


def test_patience_that_is_set_and_taken_back_while_something_is_held_loses_no_word() -> None:
    """The user is silent from tick 8 on; "one" of tick 9 is held until that is long enough, or until nobody is patient any more."""
    one = Governed(Hears(ScriptedAgent(((9, ("one",)), (20, ("two",)))), {1: "well", 8: "then"}))

    def starts(changes: Mapping[int, float]) -> list[int]:
        session = Session.start([one])
        trace = record(session)
        for tick in range(30):
            step_under(session, [SettingChanged(name="patience", value=changes[tick])] if tick in changes else ())
        assert words_of_agent(trace) == ["one", "two"]
        stops, begins = [tick for tick, _ in trace.events(ModelSpeechStopped)], [tick for tick, _ in trace.events(ModelSpeechStarted)]
        assert [stop - begin for stop, begin in zip(stops, begins, strict=True)] == [1, 1]
        return begins

    assert starts({}) == [9, 20]
    assert starts({2: 1.0}) == [13, 20]
    assert starts({2: 1.0, 11: 0.0}) == [11, 20]
    assert starts({10: 1.0}) == [9, 20]  # what sounds already goes on


def words_of_agent(trace: Trace) -> list[str]:
    return [event.word for _, event in trace.events(TranscriptDelta) if event.side == "model"]


def test_a_budget_counts_from_when_it_is_set() -> None:
    under = Session.start([SilentUser(), Governed(COUNT)])
    trace = record(under)
    for tick in range(TICKS):
        step_under(under, [SettingChanged(name="budget", value=0.5)] if tick == 20 else ())
    assert words(trace) == ["one", "two", "three", "four"]


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


def test_a_dial_that_is_moved_in_a_word_lets_it_end_with_rules_before_and_without() -> None:
    @dataclass(frozen=True)
    class Perceives(Talker):
        """Tells in its decisions too whether the user speaks."""

        def step(self, state: None, tick: int, heard: MicroTurn) -> tuple[Said, None]:
            said, state = super().step(state, tick, heard)
            p = 0.9 if self.user[0] <= tick < self.user[1] else 0.1
            return replace(said, events=tuple(replace(e, p_user_speaking=p) if isinstance(e, Decision) else e for e in said.events)), state

    talker = Perceives((2,), user=(3, 12), length=4)  # its first word sounds in ticks 2 and 3
    for agent in (talker, Governed(talker, (BargeIn("hold"),))):
        session = Session.start([agent], clock=ClockSpec(tick_ms=200, sample_rate=1000))
        trace = record(session)
        for tick in range(12):
            step_under(session, [SettingChanged(name="barge-in", value=1.0)] if tick == 3 else ())
        assert [tick for tick, _ in trace.events(ModelYielded)] == [4]
        assert [turn.tick for turn in trace.turns if float(turn.audio(AGENT_AUDIO, 200).mean()) > 0.4] == [2, 3]


def test_quiet_times_go_by_the_clock_of_the_session_that_they_are_in() -> None:
    agent = asking(COUNT, ["quiet=22:00-07:30", "budget=3"], background=True)
    begun = by_the_clock(agent, 80_000.0)
    assert rules_of(begun).policies == (QuietTimes(79_200.0, 27_000.0, began_s=80_000.0), SpeechBudget(3.0))
    assert begun.name == "agent"
    bare = asking(COUNT, ["budget=3"], background=True)
    assert by_the_clock(bare, 80_000.0) is bare
    assert by_the_clock(COUNT, 80_000.0) is COUNT
