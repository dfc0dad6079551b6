"""Speaking along: "count with me": the user counts at a steady pace, and from "three" on the agent says each number together with the user.

The pace is 0.8, 1.0 or 1.2 s a number, the end between 6 and 14. The first two numbers are the user's alone; they give the pace. A
perfect agent begins each number within 0.1 s of the user: it cannot wait to hear it. Every number counts for itself. With
difficulty the count gets longer and faster: up to 8 at 1.0 or 1.2 s a number at 0, to 16 at 0.8 or 1.0 s at 1.

    time   0    1    2    3    4    5    6    7
    user   ..count with me to six.....one...two..three..four..five..six....
    agent  ...................................... three..four..five..six....
                              |<- silent ->|  |<->| window ±0.4 s around the user's number
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.dial import Span
from workbench.scenarios.script import BEGIN, TICKS_PER_S, AfterBegin, AfterOwn, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import counting, spoken_number

TIMING_S = 0.4
AHEAD_S = 0.1  # half a tick: then the first tick from there on is the one nearest to the user's number
PACE_TICKS = Span((4, 6), easy=(5, 6), hard=(4, 5))
UPTO = Span((6, 14), easy=(4, 8), hard=(10, 16))
ALONE = 2  # numbers that are the user's alone

FORMS = ("count with me to {n}", "count together with me to {n}", "please count with me to {n}", "let me count together with you to {n}")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One count together."""
    upto = UPTO.whole(rng, difficulty)
    ticks = PACE_TICKS.whole(rng, difficulty)
    pace_s = ticks / TICKS_PER_S
    request = Beat((FORMS[int(rng.integers(len(FORMS)))].format(n=spoken_number(upto)),), lead)
    words = counting(upto)[ALONE:]
    order = Order("say", ALONE * pace_s - AHEAD_S, words, ticks, anchor=BEGIN)
    hold = Expect("silent", "start of the first number", 0.0, ALONE * pace_s - TIMING_S, anchor=BEGIN, tags=("before_joining",))
    moments = (
        Expect("moment", "start of the first number", at_s - TIMING_S, at_s + TIMING_S, words=(word,), anchor=BEGIN, tags=("along",))
        for word, at_s in zip(words, (pace_s * n for n in range(ALONE, upto)), strict=True)
    )
    first = Beat((spoken_number(1),), AfterOwn(float(rng.uniform(0.9, 1.6))), (order,), (hold, *moments))
    others = (Beat((spoken_number(n),), AfterBegin(pace_s)) for n in range(2, upto + 1))
    return Piece((request, first, *others), agent_last=True, wait_s=3.0)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such count."""
    return [piece(lead, rng, difficulty)]
