"""Why whoever answers rightly here takes no turn by Full-Duplex-Bench v1: its rule calls an answer of one short word a back-channel.

The rule (v1, turn_duration_threshold = 1 s, turn_num_words_threshold = 3): no turn without words, and none if the words span less than 1 s
and are at most three. Right answers of our scenarios are one number word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.scenario_fakes import play_family
from workbench.agents import SilentAgent
from workbench.scoring.fdb_sample import MODES, Mode, Sample, Word, heard_from
from workbench.scoring.fdb_scenarios import v1_samples
from workbench.scoring.fdb_v1 import TURN_S, TURN_WORDS, turn_taking, user_interruption
from workbench.scoring.interaction import outcomes
from workbench.scoring.measured import Measured
from workbench.suites import suite

TASKS = {"turn_taking": ("answer", turn_taking, 0), "user_interruption": ("new_question", user_interruption, 1)}
SEEDS = range(3, 7)


def answers(task: str) -> list[Sample]:
    """What the oracle says to the user's question in a few sessions, without what it said before the question ended."""
    family, _, end = TASKS[task]
    samples = [v1_samples(play_family(family, seed), f"{seed}")[task] for seed in SEEDS]
    return [replace(s, words=heard_from(s.words, s.mark()[end])) for s in samples]


def longer(sample: Sample, words: int, seconds: float) -> Sample:
    """The same answer from the same moment on, of so many words over so many seconds."""
    start_s, each_s = sample.words[0].start_s, seconds / words
    said = tuple(Word(text="seven", start_s=start_s + n * each_s, end_s=start_s + (n + 1) * each_s) for n in range(words))
    return replace(sample, words=said)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("mode", MODES)
def test_a_right_answer_of_one_short_word_is_no_turn_and_the_same_answer_longer_is_one(task: str, mode: Mode) -> None:
    score: Callable[[Sequence[Sample], Mode], list[Measured]] = TASKS[task][1]
    right = answers(task)
    assert all(len(s.words) == 1 and s.words[0].until_s - s.words[0].start_s < TURN_S for s in right)
    rate, late = score(right, mode)
    assert (rate.value, rate.n, late.n) == (0.0, len(right), 0), "a rate of 0, and no latency: the official script divides by zero"
    for words, seconds, taken in ((TURN_WORDS, 0.9, 0.0), (TURN_WORDS + 1, 0.9, 1.0), (1, TURN_S, 1.0)):
        rate, late = score([longer(s, words, seconds + 1e-6 * (seconds == TURN_S)) for s in right], mode)
        assert rate.value == taken
        if taken:
            assert 0.2 < late.value < 0.6, "the latency that the short answers had all along"


@pytest.mark.parametrize("family", ["answer", "new_question"])
def test_the_take_over_rate_tells_no_right_answer_from_silence_here(family: str) -> None:
    one = suite("fdb-v1")
    traces = [play_family(family, 3), play_family(family, 3, agent=SilentAgent())]
    spoke, kept_still = ({m.name: m.value for m in one.score({"1": one.gather(trace, "1")}) if "take-over" in m.name} for trace in traces)
    assert spoke == kept_still
    assert set(spoke.values()) == {0.0}
    assert [all(o.both for o in outcomes(trace)) for trace in traces] == [True, False], "by meaning and time the one is right"
