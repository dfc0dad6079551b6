"""Long silence: the user falls silent in the middle of a question; after five seconds the agent asks with "hello".

A thinking pause lasts up to three seconds and is left alone; this one does not end by itself. A perfect agent speaks up with the first
tick that starts 5 s or more after the user's last word, keeps what it has heard, and answers when the question is whole. With
difficulty the numbers are higher, and the user goes on while "hello" still sounds.

    time   0    1    2    ...    6    7    8    9    10
    user   ..what is three plus...................four.........
    agent  ............................hello...........seven...
                          |<--- 5 s --->|  window ±1.0 s
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import operands, reply, say
from workbench.scenarios.dial import Span
from workbench.scenarios.script import AfterAgentStarts, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import number_word, spoken_number

PATIENCE_S = 5.0
TIMING_S = 1.0
GOES_ON_S = Span((0.7, 1.4), easy=(1.2, 2.0), hard=(0.3, 0.7))  # after the agent's word has begun

OPENINGS = ("what is {a} plus", "how much is {a} plus", "tell me {a} plus", "{a} plus", "please add {a} and")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One question that is finished only when the agent has asked."""
    a, b = operands(rng, difficulty)
    opening = OPENINGS[int(rng.integers(len(OPENINGS)))].format(a=spoken_number(a))
    asks = Expect(
        "time",
        "end of the last word",
        PATIENCE_S - TIMING_S,
        PATIENCE_S + TIMING_S,
        words=("hello",),
        tags=("long_silence",),
    )
    hold = Expect("silent", "end of the last word", 0.1, PATIENCE_S - TIMING_S, tags=("before_asking",))
    begun = Beat((opening,), lead, (Order("say", PATIENCE_S, ("hello",)),), (hold, asks))
    total = number_word(a + b)
    goes_on = AfterAgentStarts(GOES_ON_S.draw(rng, difficulty), timeout_s=PATIENCE_S + TIMING_S + 1.5)
    finished = Beat((spoken_number(b),), goes_on, (say(total),), (reply(total, "after_silence"),))
    return Piece((begun, finished), agent_last=True)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such question."""
    return [piece(lead, rng, difficulty)]
