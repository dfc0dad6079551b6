"""The shadow oracle: where the agent was perfect it says the same, and where it was not it says how to go on."""

from __future__ import annotations

import pytest

from tests.scenario_fakes import one_voice, play, script_of
from workbench.agents import YIELD, OracleAgent, ScriptedAgent
from workbench.asking import written
from workbench.conversations import converse
from workbench.events import ModelYielded
from workbench.events_background import DelegationRequested
from workbench.packets import AGENT_TEXT
from workbench.scenarios import FAMILIES, build
from workbench.scenarios.script import AfterOwn, At, Beat, Order, Script
from workbench.shadow import wanted_in
from workbench.trace import Trace

COUNT = Beat(("count to six",), At(0.5), (Order("count", 0.4, ("one", "two", "three", "four", "five", "six"), 3),))
SUM = Beat(("two plus two",), At(0.5), (Order("say", 0.4, ("four",)),))


def said_in(trace: Trace) -> list[tuple[str, ...]]:
    """What the agent said in each tick, giving way included."""
    yields = [any(isinstance(event, ModelYielded) for event in turn.events) for turn in trace.turns]
    requests = [tuple(written(event) for event in turn.events if isinstance(event, DelegationRequested)) for turn in trace.turns]
    rows = zip(trace.turns, yields, requests, strict=True)
    return [((YIELD,) * gave_way + tuple(turn.text(AGENT_TEXT).split()) + asked) for turn, gave_way, asked in rows]


def first_word(script: Script) -> int:
    """The tick in which the oracle says its first word."""
    return next(tick for tick, words in enumerate(said_in(play(script))) if words)


def wanted_when(script: Script, *plan: tuple[int, str]) -> dict[int, str]:
    """Where the shadow wants something, when the agent says these words so many ticks after the oracle's first."""
    start = first_word(script)
    agent = ScriptedAgent(tuple((start + after, (word,)) for after, word in plan))
    wanted = wanted_in(play(script, agent))
    return {tick - start: " ".join(words) for tick, words in enumerate(wanted) if words}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_perfect_run_is_wanted_as_it_was(name: str, seed: int) -> None:
    trace = play(build(name, seed, pick=one_voice), OracleAgent())
    assert wanted_in(trace) == said_in(trace)


def test_a_perfect_medley_is_wanted_as_it_was() -> None:
    trace = converse(3)
    assert wanted_in(trace) == said_in(trace)
    assert any(words for words in wanted_in(trace))


def test_an_answer_stays_wanted_for_a_second_and_not_once_one_was_given() -> None:
    script = script_of(SUM, ending=AfterOwn(5.0))
    assert wanted_when(script) == dict.fromkeys(range(5), "four")
    assert wanted_when(script, (3, "four")) == dict.fromkeys(range(4), "four")
    assert wanted_when(script, (0, "five")) == {0: "four"}  # wrong, and it was the answer
    assert wanted_when(script, (-1, "four")) == {}  # right, and a little early
    assert wanted_when(script, (-6, "three")) == dict.fromkeys(range(5), "four")  # a false start
    assert wanted_when(script, (0, "four"), (9, "nine")) == {0: "four"}  # what nobody asked for asks for nothing


def test_a_count_goes_on_from_what_was_really_said() -> None:
    script = script_of(COUNT, ending=AfterOwn(8.0))
    rest = {9: "four", 12: "five", 15: "six"}
    right = tuple((3 * i, word) for i, word in enumerate(("one", "two", "three", "four", "five", "six")))
    assert wanted_when(script, *right) == {0: "one", 3: "two", 6: "three", **rest}
    late = tuple((after + 2 * (after > 0), word) for after, word in right)
    assert wanted_when(script, *late) == {0: "one", 3: "two", 4: "two", 5: "two", 8: "three", 11: "four", 14: "five", 17: "six"}
    left_out = (right[0], right[1], (6, "four"), (9, "five"), (12, "six"))
    assert wanted_when(script, *left_out) == {0: "one", 3: "two", 6: "three", 9: "five", 12: "six"}
    twice = (right[0], right[1], (6, "two"), (9, "three"), (12, "four"), (15, "five"), (18, "six"))
    assert wanted_when(script, *twice) == {0: "one", 3: "two", 6: "three", 9: "three", 12: "four", 15: "five", 18: "six"}
    beyond = (*right, (18, "seven"))
    assert 18 not in wanted_when(script, *beyond)
    stuck = wanted_when(script, right[0])
    assert stuck == {0: "one", **dict.fromkeys(range(3, 18), "two")}


def test_giving_way_stays_wanted_while_the_agent_sounds() -> None:
    stop = Beat(("stop",), AfterOwn(1.5), (Order("yield", 0.2),))
    script = script_of(COUNT, stop, ending=AfterOwn(4.0))
    start = first_word(script)
    moment = next(tick for tick, words in enumerate(said_in(play(script))) if YIELD in words) - start
    through = tuple((3 * i, word) for i, word in enumerate(("one", "two", "three", "four", "five", "six")))
    wanted = wanted_when(script, *through)
    gives_way = sorted(tick for tick, words in wanted.items() if words == YIELD)
    assert gives_way[0] == moment
    assert len(gives_way) > 2
    assert not any(words.replace(YIELD, "") for tick, words in wanted.items() if tick >= moment)
    obeyed = tuple(item for item in through if item[0] < moment)
    after = wanted_when(script, *obeyed, (moment, YIELD))
    assert [tick for tick, words in after.items() if tick >= moment] == [moment]


def test_moments_of_a_series_do_not_move_because_one_was_missed() -> None:
    series = Beat(("every second",), At(0.5), (Order("say", 0.4, ("now", "now", "now"), 8),))
    script = script_of(series, ending=AfterOwn(6.0))
    assert wanted_when(script, (1, "now"), (17, "now")) == {
        **dict.fromkeys((0, 1), "now"),
        **dict.fromkeys(range(8, 13), "now"),
        **dict.fromkeys((16, 17), "now"),
    }


def test_a_count_that_is_changed_on_its_way_goes_on_from_the_last_number_said() -> None:
    line = ("one", "two", "three", "four", "five", "six")
    change = Beat(("no backwards",), AfterOwn(1.0), (Order("amend", 0.2, line, 3, step=-1),))
    script = script_of(COUNT, change, ending=AfterOwn(8.0))
    perfect = said_in(play(script))
    assert wanted_in(play(script)) == perfect
    slow = wanted_when(script, (0, "one"), (4, "two"), (9, "one"))
    last = [words for tick, words in slow.items() if tick >= 9]
    assert last == ["one"]
