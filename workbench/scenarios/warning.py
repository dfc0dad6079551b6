"""Warning: the user reads rising numbers aloud; the agent says "warning" once, when one of them passes the limit.

The limit lies between 5 and 15; a number equal to it has not passed it. In one of five readings the limit is never passed, and the agent
says nothing. A perfect agent speaks with the first tick that starts 0.28 s or more after the number. Readings follow each other faster
with difficulty.

    time   0    1    2    3    4    5    6    7    8
    user   ..warn me when it passes ten....six...nine...eleven......twelve..that is all
    agent  ......................................................warning..........
                                    |<--- silent --->|        |<->| window 0 to 1.0 s
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.script import REPLY_DELAY_S, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.talk import Talk
from workbench.scenarios.world import ENOUGH, spoken_number

WINDOW_S = (0.0, 1.0)
LIMIT = (5, 15)
BELOW = (2, 5)  # readings before the limit is passed
AFTER = (0, 2)
PAUSE_S = (0.3, 1.1)
HARMLESS = 0.2

FORMS = ("warn me when it passes {n}", "warn me if it goes over {n}", "tell me when it passes {n}", "tell me if it goes over {n}")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One series of readings."""
    limit = int(rng.integers(LIMIT[0], LIMIT[1] + 1))
    below = np.sort(rng.choice(np.arange(max(0, limit - 9), limit + 1), int(rng.integers(BELOW[0], BELOW[1] + 1)), replace=False))
    above = limit + np.cumsum(rng.integers(1, 3, 1 + int(rng.integers(AFTER[0], AFTER[1] + 1))))
    talk = Talk()
    talk.say(FORMS[int(rng.integers(len(FORMS)))].format(n=spoken_number(limit)))
    talk.pause(float(rng.uniform(0.6, 1.2)))
    low, high = PAUSE_S
    pause_s = float(rng.uniform(low, high - (high - low) * 0.7 * difficulty))
    begins = talk.next_word
    for reading in below:
        talk.say(spoken_number(int(reading)))
        talk.pause(pause_s)
    if rng.random() < HARMLESS:
        hold = Expect("silent", "start of the readings", 0.0, 1.0, anchor=begins, until=talk.say(ENOUGH), tags=("harmless",))
        return Piece((Beat(tuple(talk.parts), lead, (), (hold,)),), agent_last=False)
    hold = Expect("silent", "start of the readings", 0.0, anchor=begins, until=talk.next_word, tags=("before_warning",))
    passes = talk.say(spoken_number(int(above[0])))
    talk.pause(max(pause_s, 0.5))
    for reading in above[1:]:
        talk.say(spoken_number(int(reading)))
        talk.pause(pause_s)
    talk.say(ENOUGH)
    warns = Expect("moment", "end of the number that passes", *WINDOW_S, words=("warning",), anchor=passes, tags=("warning",))
    order = Order("say", REPLY_DELAY_S, ("warning",), anchor=passes)
    return Piece((Beat(tuple(talk.parts), lead, (order,), (hold, warns)),), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such series."""
    return [piece(lead, rng, difficulty)]
