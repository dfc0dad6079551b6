"""Invitation: the user works out a sum aloud and then asks "right?"; only then does the agent say yes or no.

The statement alone asks for nothing, so a perfect agent says nothing until it is invited, and nothing at all when it is not. In half of
the statements the sum is wrong. The pause before the invitation grows with difficulty, up to 2 s, and the numbers with it. The
answer begins in the first tick that starts 0.28 s or more after the invitation.

    time   0    1    2    3    4    5    6
    user   ..three plus four is seven.......right.......
    agent  ........................................yes..
                                     |<silent>|  |<->| reply window 0 to 1.0 s
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import operands, reply, say
from workbench.scenarios.script import BEGIN, END, Anchor, Beat, Expect, Piece, Trigger
from workbench.scenarios.world import MAX_OPERAND, spoken_number

SILENT_S = 1.2  # silence is also wanted this long after a statement without an invitation
PAUSE_S = (0.1, 2.0)
UNINVITED = 0.2  # of the statements, no invitation follows

FORMS = ("{a} plus {b} is {c}", "so {a} plus {b} is {c}", "the sum of {a} and {b} is {c}")
INVITATIONS = ("right", "right", "correct", "is that right", "is that correct", "yeah")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One statement, with or without an invitation after it."""
    a, b = operands(rng, difficulty)
    told = a + b if rng.random() < 0.5 else other_than(rng, a + b)
    statement = FORMS[int(rng.integers(len(FORMS)))].format(a=spoken_number(a), b=spoken_number(b), c=spoken_number(told))
    if rng.random() < UNINVITED:
        hold = Expect("silent", "start of the statement", 0.0, SILENT_S, anchor=BEGIN, until=END, tags=("uninvited",))
        return Piece((Beat((statement,), lead, (), (hold,)),), agent_last=False)
    low, high = PAUSE_S
    pause_s = float(rng.uniform(low, low + (high - low) * (0.4 + 0.6 * difficulty)))
    invitation = INVITATIONS[int(rng.integers(len(INVITATIONS)))]
    resumes = Anchor(len(statement.split()), "start")
    hold = Expect("silent", "start of the statement", 0.0, anchor=BEGIN, until=resumes, tags=("before_invitation",))
    word = "yes" if told == a + b else "no"
    return Piece((Beat((statement, pause_s, invitation), lead, (say(word),), (hold, reply(word, "invited"))),), agent_last=True)


def other_than(rng: np.random.Generator, total: int) -> int:
    """A sum that is one to three off, and still a sum of two numbers of this world."""
    off = int(rng.integers(1, 4)) * (1 if rng.random() < 0.5 else -1)
    return total - off if not 0 <= total + off <= 2 * MAX_OPERAND else total + off


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """Two such statements."""
    first = piece(lead, rng, difficulty)
    return [first, piece(first.after(float(rng.uniform(1.4, 2.5))), rng, difficulty)]
