"""Redirect: a correction in the middle of a count changes the rest of it: by twos, backwards, or only to another number.

"Count to twenty" ... "no by twos": from the last number said the agent goes on in steps of two up to the same end; "no backwards": it
turns round and counts down to one; "no only to nine": it ends there. A perfect agent changes over with the first tick that starts 0.2 s
or more after the correction, without losing its pace; a number that begins within 1.0 s of the correction may still be of the old kind.
With difficulty the correction comes later in the count, where the numbers are less at hand: after three or four words at 0, five to
eight at 1.

    time   0    1    2    3    4    5    6    7    8
    user   ..count to twelve.....no by twos...................
    agent  ..................one two three four six eight ten twelve.
                                         |<--->| changes over within 1.0 s; gaps of at most 1.4 s
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.dial import Span, moved
from workbench.scenarios.long_count import lasts_s, request
from workbench.scenarios.script import COUNT_EVERY_TICKS, END, YIELD_DELAY_S, AfterAgentWord, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import counting, spoken_number

WINDOW_S = (0.0, 1.0)  # after the end of the correction a number of the old kind may still begin
UPTO = (14, 26)
AFTER_WORDS = Span((3, 6), easy=(3, 4), hard=(5, 8))
LEFT = 4  # numbers that are left at least when the end is moved nearer

BY_TWOS = ("no by twos", "by twos please", "sorry by twos", "no i mean by twos")
BACKWARDS = ("no backwards", "backwards please", "now backwards", "no i mean backwards")
ONLY_TO = ("no only to {n}", "only to {n}", "sorry only to {n}", "no wait only to {n}")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One count that is changed on the way."""
    ask, upto = request(rng, lead, *UPTO, "redirected")
    usual = int(rng.integers(int(AFTER_WORDS.usual[0]), int(AFTER_WORDS.usual[1]) + 1))
    nth = round(moved(usual, AFTER_WORDS.usual, AFTER_WORDS.at(difficulty)))
    text, end, step, kind = _change(rng, upto, usual, nth)
    line = counting(end)
    change = Beat(
        (text,),
        AfterAgentWord(nth, float(rng.uniform(0.1, 0.6)), timeout_s=3.0 + 0.8 * nth),
        (Order("amend", YIELD_DELAY_S, line, COUNT_EVERY_TICKS, step=step),),
        (Expect("amend", "end of the correction", *WINDOW_S, words=line, tags=("redirect", kind), step=step),),
        withdraws=END,
    )
    return Piece((ask, change), agent_last=True, wait_s=lasts_s(upto))


def _change(rng: np.random.Generator, upto: int, usual: int, nth: int) -> tuple[str, int, int, str]:
    """The words of the correction, the new end of the line, its step, and its tag; `usual` is the `nth` of the usual difficulty."""
    match int(rng.integers(3)):
        case 0:
            return BY_TWOS[int(rng.integers(len(BY_TWOS)))], upto, 2, "by_twos"
        case 1:
            return BACKWARDS[int(rng.integers(len(BACKWARDS)))], upto, -1, "backwards"
        case _:
            drawn = int(rng.integers(usual + LEFT, upto))
            end = round(moved(drawn, (usual + LEFT, upto - 1), (nth + LEFT, upto - 1)))
            return ONLY_TO[int(rng.integers(len(ONLY_TO)))].format(n=spoken_number(end)), end, 1, "only_to"


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such count."""
    return [piece(lead, rng, difficulty)]
