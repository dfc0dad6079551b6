"""Long counting: the agent counts alone to a number from 15 to 30, evenly, and ends exactly there.

A perfect agent begins 0.28 to 0.48 s after the request and says one number every three ticks (0.6 s). The number grows with difficulty:
2 to 4 at 0, 24 to 30 at 1.

    time   0    1    2    3    4   ...   12   13   14
    user   ..count to twenty................................
    agent  ..................one two three ... twenty.......
                          gaps of at most 1.4 s; nothing after the last number
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.dial import Span
from workbench.scenarios.script import COUNT_EVERY_TICKS, REPLY_DELAY_S, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import MAX_NUMBER, counting, spoken_number

START_WINDOW_S = (0.0, 1.0)  # of "one", after the end of the request
GAP_S = 1.4  # longest time from the start of one number to the start of the next
UPTO = Span((15, MAX_NUMBER), easy=(2, 4), hard=(24, MAX_NUMBER))

FORMS = (
    "count to {n}",
    "count to {n}",
    "please count to {n}",
    "count to {n} please",
    "can you count to {n}",
    "could you count to {n} please",
    "count from one to {n}",
    "okay count to {n}",
)


def request(rng: np.random.Generator, trigger: Trigger, low: int, high: int, *tags: str) -> tuple[Beat, int]:
    """A request to count to a number from `low` to `high`, and that number."""
    upto = int(rng.integers(low, high + 1))
    return request_to(rng, trigger, upto, *tags), upto


def request_to(rng: np.random.Generator, trigger: Trigger, upto: int, *tags: str) -> Beat:
    """A request to count to this number."""
    words = counting(upto)
    order = Order("count", REPLY_DELAY_S, words, COUNT_EVERY_TICKS)
    expect = Expect("count", "end of the request", *START_WINDOW_S, words=words, tags=tags)
    text = FORMS[int(rng.integers(len(FORMS)))].format(n=spoken_number(upto))
    return Beat((text,), trigger, (order,), (expect,))


def lasts_s(upto: int) -> float:
    """A generous bound on how long counting takes, for time-outs."""
    return 3.0 + 0.8 * upto


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One undisturbed count."""
    upto = UPTO.whole(rng, difficulty)
    return Piece((request_to(rng, lead, upto, "undisturbed"),), agent_last=True, wait_s=lasts_s(upto))


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such count."""
    return [piece(lead, rng, difficulty)]
