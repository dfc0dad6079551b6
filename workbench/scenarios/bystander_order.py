"""Bystander's order: somebody else asks the agent for a sum or a count, or says "stop"; only the user is obeyed.

The user asks something first and is answered, so the agent knows whose voice it serves. The bystander is another voice, 4 to 14 dB
further down, the louder the greater the difficulty. In the quiet a perfect agent says nothing to the bystander; during a count it keeps
counting.

    time   0    1    2    3    4    5    6    7    8
    quiet  ..what is two plus two..........(count to nine)........
    agent  .........................four..........................
                                           |<---- silent ---->|
    count  ..count to eight.........(stop)....................
    agent  .................one two three four five six seven eight.
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import FORMS, operands, question
from workbench.scenarios.long_count import FORMS as COUNTS
from workbench.scenarios.long_count import lasts_s, request
from workbench.scenarios.other_directed import BYSTANDER_DB
from workbench.scenarios.script import BEGIN, END, AfterAgentWord, Beat, Expect, Piece, Trigger
from workbench.scenarios.stop import FORMS as STOPS
from workbench.scenarios.world import COUNT_RANGE, spoken_number

TAIL_S = 1.5  # silence is also wanted this long after the order
UPTO = (7, 14)


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """Either an order into the quiet, or "stop" into a count, with equal chance."""
    return quiet(lead, rng, difficulty) if rng.random() < 0.5 else during_count(lead, rng, difficulty)


def quiet(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """A question of the user, and then the order of a bystander."""
    ask = question(rng, lead, "of_the_user")
    waits = Piece((ask,), agent_last=True).after(float(rng.uniform(0.8, 2.0)))
    hold = Expect("silent", "start of the order", 0.0, TAIL_S, anchor=BEGIN, until=END, tags=("bystander_order", "by_bystander"))
    order = Beat((_order(rng),), waits, (), (hold,), "bystander", _level(rng, difficulty))
    return Piece((ask, order), agent_last=False)


def during_count(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """A count of the user that a bystander wants to stop."""
    ask, upto = request(rng, lead, *UPTO, "bystander_order", "during_count")
    nth = int(rng.integers(2, upto - 3))
    halt = STOPS[int(rng.integers(len(STOPS)))]
    trigger = AfterAgentWord(nth, float(rng.uniform(0.2, 0.7)), timeout_s=3.0 + 0.8 * nth)
    return Piece((ask, Beat((halt,), trigger, (), (), "bystander", _level(rng, difficulty))), agent_last=True, wait_s=lasts_s(upto - nth))


def _order(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return COUNTS[int(rng.integers(len(COUNTS)))].format(n=spoken_number(int(rng.integers(COUNT_RANGE[0], COUNT_RANGE[1] + 1))))
    a, b = operands(rng)
    return FORMS[int(rng.integers(len(FORMS)))].format(a=spoken_number(a), b=spoken_number(b))


def _level(rng: np.random.Generator, difficulty: float) -> float:
    low, high = BYSTANDER_DB
    return float(rng.uniform(low, low + (high - low) * (0.4 + 0.6 * difficulty)))


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """An order into the quiet, then one into a count."""
    first = quiet(lead, rng, difficulty)
    return [first, during_count(first.after(float(rng.uniform(1.8, 3.0))), rng, difficulty)]
