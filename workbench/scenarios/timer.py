"""In N seconds: the user asks to be told when N seconds are over; the agent says "now" at that moment.

N is two to nine and grows with difficulty: two to four at 0, six to twelve at 1. A perfect agent says "now" with the first tick that starts
N seconds or more after the end of the request, so at most 0.2 s late. Credit is given on the published curve: within 0.25, 0.5 and 1.0 s;
`timing` in the table is the middle one.

    time   0    1    2    3    4    5    6    7
    user   ..tell me in five seconds........................
    agent  ........................................now......
                                    |<- 5 s after the end ->|
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.dial import Span
from workbench.scenarios.script import Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import TIMER_RANGE_S, spoken_number

CURVE_S = (0.25, 0.5, 1.0)
TIMING_S = 0.5
SECONDS = Span(TIMER_RANGE_S, easy=(2, 4), hard=(6, 12))

FORMS = (
    "tell me in {n} seconds",
    "in {n} seconds say now",
    "say now in {n} seconds",
    "remind me in {n} seconds",
    "please tell me in {n} seconds",
    "tell me in {n} seconds please",
    "wait {n} seconds then say now",
)


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One timer."""
    seconds = SECONDS.whole(rng, difficulty)
    text = FORMS[int(rng.integers(len(FORMS)))].format(n=spoken_number(seconds))
    expect = Expect("time", "end of the request", seconds - TIMING_S, seconds + TIMING_S, words=("now",), tags=("timer", f"{seconds}s"))
    return Piece((Beat((text,), lead, (Order("say", float(seconds), ("now",)),), (expect,)),), agent_last=True, wait_s=seconds + 3.0)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One timer."""
    return [piece(lead, rng, difficulty)]
