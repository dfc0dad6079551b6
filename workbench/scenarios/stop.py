"""Stop: the agent counts, the user says "stop", and it is quiet within a second; sometimes a question follows.

The user speaks up after two to eight of the agent's words, the earlier the greater the difficulty: after four to eight at 0, one to three
at 1. A perfect agent gives up the floor with the first tick that starts 0.2 s or
more after the end of the word "stop", and drops the rest of the count.

    time   0    1    2    3    4    5    6    7
    user   ..count to twenty..............stop..........what is two plus two.......
    agent  ...................one two three fo..............................four
                                           |<->| quiet within 1.0 s of the end of "stop"
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import question
from workbench.scenarios.dial import Span, moved
from workbench.scenarios.long_count import request
from workbench.scenarios.script import YIELD_DELAY_S, AfterAgentWord, AfterOwn, Anchor, Beat, Expect, Order, Piece, Trigger

WINDOW_S = (0.0, 1.0)  # from the end of "stop" to the last agent sound
UPTO = (12, 30)  # of episodes
UPTO_PIECE = (6, 30)  # of pieces: short counts are to be learned too
AFTER_WORDS = Span((2, 8), easy=(4, 8), hard=(1, 3))
LEFT = 3  # numbers that are left at least

FORMS = ("stop", "stop", "stop please", "okay stop", "please stop", "stop now", "stop it")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One count that is stopped."""
    return _stopped(lead, rng, UPTO_PIECE, difficulty)


def _stopped(lead: Trigger, rng: np.random.Generator, span: tuple[int, int], difficulty: float) -> Piece:
    ask, upto = request(rng, lead, *span, "stopped")
    first, last = AFTER_WORDS.usual
    usual = int(rng.integers(int(first), min(int(last), upto - LEFT) + 1))
    nth = min(round(moved(usual, AFTER_WORDS.usual, AFTER_WORDS.at(difficulty))), upto - LEFT)
    text = FORMS[int(rng.integers(len(FORMS)))]
    end = Anchor(text.split().index("stop"))
    halt = Beat(
        (text,),
        AfterAgentWord(nth, float(rng.uniform(0.2, 0.8)), timeout_s=3.0 + 0.8 * nth),
        (Order("yield", YIELD_DELAY_S, anchor=end),),
        (Expect("yield", "end of the word stop", *WINDOW_S, anchor=end, tags=("stop",)),),
        withdraws=end,
    )
    return Piece((ask, halt), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """A stopped count, followed by a question in two of five episodes."""
    pieces = [_stopped(lead, rng, UPTO, difficulty)]
    if rng.random() < 0.4:
        pieces.append(Piece((question(rng, AfterOwn(float(rng.uniform(2.0, 3.5))), "after_stop", difficulty=difficulty),), agent_last=True))
    return pieces
