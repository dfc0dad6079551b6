"""Every N seconds: the agent says "now" every N seconds until the user says "stop".

N is two to five; "stop" comes between two of the moments, after two to four of them. A perfect agent speaks with the first tick that
starts N, 2N, 3N ... seconds or more after the end of the request. Every moment counts for itself, on the published curve: within 0.25,
0.5 and 1.0 s; `timing` is the middle one. A word too many takes away the credit of the moment nearest to it. N grows with
difficulty: two or three at 0, four to eight at 1.

    time   0    1    2    3    4    5    6    7    8    9    10   11
    user   ..say now every three seconds......................stop....
    agent  ..............................now............now.........
                                |<--- 3 s --->|<---- 3 s ---->|  silent
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.dial import Span
from workbench.scenarios.script import TICKS_PER_S, YIELD_DELAY_S, AfterOwn, Anchor, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.timer import TIMING_S
from workbench.scenarios.world import spoken_number

EVERY_S = Span((2, 5), easy=(2, 3), hard=(4, 8))
TIMES = (2, 4)
STOP_FROM_S, STOP_BEFORE_S = 0.4, 1.2  # "stop" begins this long after a moment at least, and this long before the next
SILENT_FROM_S = 0.4  # after "stop", until the next moment would have been over

FORMS = (
    "say now every {n} seconds",
    "tell me every {n} seconds",
    "remind me every {n} seconds",
    "please tell me every {n} seconds",
    "every {n} seconds say now",
    "say now every {n} seconds until i say stop",
)
STOPS = ("stop", "stop", "stop please", "stop now")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One such request, and its end."""
    every_s = EVERY_S.whole(rng, difficulty)
    times = int(rng.integers(TIMES[0], TIMES[1] + 1))
    text = FORMS[int(rng.integers(len(FORMS)))].format(n=spoken_number(every_s))
    moments = tuple(
        Expect(
            "moment", "end of the request", n * every_s - TIMING_S, n * every_s + TIMING_S, words=("now",), tags=("every_n", f"{every_s}s")
        )
        for n in range(1, times + 1)
    )
    series = Order("say", float(every_s), ("now",) * (times + 2), every_s * TICKS_PER_S)
    request = Beat((text,), lead, (series,), moments)
    halt = STOPS[int(rng.integers(len(STOPS)))]
    end = Anchor(halt.split().index("stop"))
    quiet = Expect("silent", "end of the word stop", SILENT_FROM_S, every_s + TIMING_S, anchor=end, tags=("after_series",))
    waits = AfterOwn(every_s * times + float(rng.uniform(STOP_FROM_S, every_s - STOP_BEFORE_S)))
    return Piece((request, Beat((halt,), waits, (Order("clear", YIELD_DELAY_S, anchor=end),), (quiet,))), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such request."""
    return [piece(lead, rng, difficulty)]
