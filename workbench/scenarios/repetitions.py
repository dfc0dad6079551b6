"""Repetitions: the user asks to have squats or jumping jacks counted; the agent says each number as the movement is complete.

Three to eight repetitions of 1.2 to 2.4 s (down to 1.1 s with difficulty), unevenly paced, sometimes with a rest of up to 1.5 s between two
of them. A perfect agent says the number with the first tick that starts 0.4 s or more after the figure stands again, and nothing after the
last. Each number is a moment with a window of its own; the tally asks how many were counted in the end, within one.

    time   0    1    2    3    4    5    6    7    8
    user   ..count my squats..................................
    camera ..|standing|down,up|down,up|..rest..|down,up|......
    agent  ........................one.....two..............three....
                                |<-->| 0 to 1.0 s after each repetition
"""

from __future__ import annotations

import numpy as np

from workbench.frames import CLOTHES, MOVEMENTS, SKINS, Exercise, Movement, sample_setting
from workbench.scenarios.script import Anchor, Beat, Expect, Order, Piece, Trigger, View
from workbench.scenarios.world import counting

CALL_DELAY_S = 0.4  # what is seen is called out with the first tick this long after it has happened
CALL_WINDOW_S = (0.0, 1.0)
HOW_MANY = (3, 8)
PERIOD_S = (1.2, 2.4)
FASTEST_S = 1.1
UNEVEN = 0.12  # share by which one repetition is longer or shorter than another
BEGINS_S = (0.8, 2.0)
REST_S = (0.4, 1.5)
REST_CHANCE = 0.2  # between two repetitions
QUIET_S = 1.5  # nothing more is to be said for so long after the last window

_ASK = ("count {m}", "please count {m}", "can you count {m}", "count {m} please")
FORMS: dict[Movement, tuple[str, ...]] = {
    "squats": tuple(form.format(m="my squats") for form in _ASK),
    "jacks": tuple(form.format(m="my jumping jacks") for form in _ASK),
}


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One set of repetitions."""
    movement = MOVEMENTS[int(rng.integers(len(MOVEMENTS)))]
    text = FORMS[movement][int(rng.integers(len(FORMS[movement])))]
    repetitions = _paced(rng, int(rng.integers(HOW_MANY[0], HOW_MANY[1] + 1)), difficulty)
    words = counting(len(repetitions))
    done = [Anchor(plus_s=last) for _, last in repetitions]
    over_s = repetitions[-1][1] + CALL_WINDOW_S[1]
    figure = Exercise(
        movement=movement,
        repetitions=repetitions,
        skin=SKINS[int(rng.integers(len(SKINS)))],
        clothes=CLOTHES[int(rng.integers(len(CLOTHES)))],
        setting=sample_setting(rng, difficulty),
    )
    expects = (
        Expect("silent", "end of the request", 0.1, repetitions[0][1], tags=("watching", "repetition")),
        *(
            Expect("moment", "end of the repetition", *CALL_WINDOW_S, words=(word,), tags=("repetition", movement), anchor=moment)
            for word, moment in zip(words, done, strict=True)
        ),
        Expect("tally", "end of the request", 0.0, over_s, words=words, tags=("repetition", movement)),
        Expect("silent", "end of the last window", 0.0, QUIET_S, tags=("watching", "repetition"), anchor=Anchor(plus_s=over_s)),
    )
    orders = tuple(Order("say", CALL_DELAY_S, (word,), anchor=moment) for word, moment in zip(words, done, strict=True))
    beat = Beat((text,), lead, orders, expects, view=View(figure, over_s + QUIET_S), holds_s=over_s + QUIET_S)
    return Piece((beat,), agent_last=False)


def _paced(rng: np.random.Generator, count: int, difficulty: float) -> tuple[tuple[float, float], ...]:
    """Beginning and end of every repetition, in seconds after the end of the request."""
    low, high = PERIOD_S
    period_s = float(rng.uniform(low + 0.3 * (1 - difficulty), high))
    at_s, found = float(rng.uniform(*BEGINS_S)), []
    for number in range(count):
        if number and rng.random() < REST_CHANCE:
            at_s += float(rng.uniform(*REST_S))
        lasts_s = max(FASTEST_S, period_s * float(rng.uniform(1 - UNEVEN, 1 + UNEVEN)))
        found.append((round(at_s, 3), round(at_s + lasts_s, 3)))
        at_s += lasts_s
    return tuple(found)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One set."""
    return [piece(lead, rng, difficulty)]
