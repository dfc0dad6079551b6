"""The seeing families: what is drawn and what is asked for are one thing, and only a call at its moment gets credit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.scenario_fakes import one_voice, play, play_family, script_of
from workbench.agents import ScriptedAgent
from workbench.events import TruthExpect
from workbench.frames import Exercise, Table
from workbench.packets import USER_CAMERA
from workbench.scenarios import FAMILIES, SEEING_WEIGHTS, build, medley
from workbench.scenarios.repetitions import FASTEST_S, HOW_MANY
from workbench.scenarios.script import Anchor, At, Beat, Expect
from workbench.scenarios.world import counting
from workbench.scoring.false_starts import false_starts
from workbench.scoring.interaction import outcomes
from workbench.scoring.score import Outcome
from workbench.scoring.summary import rates
from workbench.trace import Trace

SEEING = ("repetitions", "tell_when", "what_changed")
SEEDS = range(30)


def moments(trace: Trace) -> list[TruthExpect]:
    return [e for _, e in trace.events(TruthExpect) if e.what == "moment"]


@pytest.mark.parametrize("family", SEEING)
def test_the_camera_is_on_at_every_moment_that_is_to_be_called(family: str) -> None:
    for seed in range(8):
        trace = play_family(family, seed)
        shown = {turn.tick for turn in trace.turns if turn.get(USER_CAMERA) is not None}
        for expect in moments(trace):
            assert trace.header.clock.tick_at(expect.anchor_s) in shown
            assert trace.header.clock.tick_at(expect.anchor_s + expect.to_s) in shown, "it can be looked at for the whole window"


@pytest.mark.parametrize("family", ["tell_when", "what_changed"])
def test_the_picture_changes_at_the_moment_that_is_to_be_called(family: str) -> None:
    for seed in range(8):
        for beat in build(family, seed, pick=one_voice).beats:
            for expect in beat.expects:
                if expect.what == "moment":
                    assert beat.view is not None
                    at_s = expect.anchor.plus_s
                    before, after = (beat.view.scene.draw(at_s + by_s) for by_s in (-0.7, 0.7))
                    assert np.abs(after - before).mean() > 0.01


def test_repetitions_are_called_where_the_figure_stands_again() -> None:
    counts = set()
    for seed in SEEDS:
        (beat,) = build("repetitions", seed, difficulty=seed / 29, pick=one_voice).beats
        assert beat.view is not None
        figure = beat.view.scene
        assert isinstance(figure, Exercise)
        called = [(e.anchor.plus_s, e.words) for e in beat.expects if e.what == "moment"]
        words = counting(len(figure.repetitions))
        assert called == [(last, (word,)) for (_, last), word in zip(figure.repetitions, words, strict=True)]
        assert all(last - first >= FASTEST_S - 1e-6 for first, last in figure.repetitions)
        counts.add(len(figure.repetitions))
    assert (min(counts), max(counts)) == HOW_MANY


def test_the_thing_that_changed_is_the_one_that_differs() -> None:
    ways = set()
    for seed in SEEDS:
        for beat in build("what_changed", seed, pick=one_voice).beats:
            if beat.view is None:
                continue
            table = beat.view.scene
            assert isinstance(table, Table)
            differing = {thing.kind for thing in set(table.before) ^ set(table.after)}
            assert len(differing) == 1
            kinds = [expect for expect in beat.expects if expect.what == "moment"]
            ways |= {expect.tags[-1] for expect in kinds}
            assert all(expect.words == tuple(differing) for expect in kinds)
    assert ways == {"colour", "gone", "new", "moved"}


def test_a_blind_agent_cannot_tell_the_answer_from_the_words() -> None:
    asked = {}
    for seed in range(60):
        for beat in build("what_changed", seed, pick=one_voice).beats:
            for expect in beat.expects:
                if expect.what in ("moment", "reply"):
                    asked.setdefault(beat.words, set()).add(expect.words)
    assert min(len(answers) for words, answers in asked.items() if words == ("what", "changed")) == 4


WATCH = Beat(
    ("tell me",),
    At(0.0),
    (),
    (
        Expect("moment", "one", 0.0, 1.0, words=("one",), anchor=Anchor(plus_s=2.0), tags=("repetition",)),
        Expect("moment", "two", 0.0, 1.0, words=("two",), anchor=Anchor(plus_s=4.0), tags=("repetition",)),
        Expect("tally", "all", 0.0, 5.0, words=("one", "two")),
    ),
    holds_s=6.0,
)  # the words end at 0.65 s: moments at 2.65 and 4.65 s, windows of a second


def judged(*plan: tuple[int, str]) -> list[Outcome]:
    agent = ScriptedAgent(tuple((tick, (word,)) for tick, word in plan))
    return outcomes(play(script_of(WATCH), agent))


@pytest.mark.parametrize(
    ("plan", "both"),
    [
        ([(15, "one"), (25, "two")], [True, True, True]),
        ([(15, "one")], [True, False, True]),  # one too few
        ([], [False, False, False]),
        ([(15, "one"), (22, "two")], [True, False, True]),  # the second too early
        ([(15, "one"), (29, "two")], [True, False, False]),  # and too late
        ([(15, "one"), (25, "three")], [True, False, False]),
        ([(15, "one"), (18, "one"), (25, "two")], [False, True, False]),  # a word too many
        ([(15, "one"), (25, "two"), (28, "three")], [True, False, True]),
        ([(tick, "two") for tick in range(4, 32, 3)], [False, False, False]),
    ],
)
def test_only_the_right_word_alone_and_in_its_window_gets_credit(plan: list[tuple[int, str]], both: list[bool]) -> None:
    assert [outcome.both for outcome in judged(*plan)] == both


def test_the_tally_forgives_one_but_says_whether_it_was_exact() -> None:
    exact, more, less = judged((15, "one"), (25, "two"))[2], judged((15, "one"), (20, "two"), (25, "three"))[2], judged((15, "one"))[2]
    assert [(o.meaning, o.carried) for o in (exact, more, less)] == [(True, True), (True, False), (True, False)]
    assert not judged((15, "one"), (17, "two"), (20, "three"), (25, "four"))[2].meaning
    found = {score.name: score.value for score in rates({"tell_when": [judged((15, "one"), (25, "two"))]})}
    assert found["repetitions called within 1.0 s"] == found["repetitions counted exactly"] == 1.0


def test_a_false_alarm_is_told_apart() -> None:
    watching = Expect("silent", "end", 0.1, 1.9, tags=("watching",))
    beat = Beat(("tell me",), At(0.0), (), (watching, WATCH.expects[0]), holds_s=4.0)
    trace = play(script_of(beat), ScriptedAgent(((6, ("red",)),)))
    assert {kind: n for kind, n in false_starts(trace).items() if n} == {"before it happened": 1}


def test_a_seeing_medley_turns_the_camera_on_and_off_and_the_others_leave_it_off() -> None:
    assert set(SEEING) == set(SEEING_WEIGHTS) == {name for name, family in FAMILIES.items() if family.group == "seeing"}
    weights = {**SEEING_WEIGHTS, "answer": 1.0}
    shares = []
    for seed in range(6):
        trace = play(medley(seed, weights=weights, pick=one_voice))
        shares.append(np.mean([turn.get(USER_CAMERA) is not None for turn in trace.turns]))
        over = [o for o in outcomes(trace) if o.evidence[-1] < len(trace) - 20 and o.what != "tally"]
        assert all(o.both for o in over)
    assert 0.3 < np.mean(shares) < 0.95
    plain = play(medley(1, pick=one_voice))
    assert all(turn.get(USER_CAMERA) is None for turn in plain.turns)
