"""Impatient: the user cannot wait for the answer and asks again, or says "hello"; one answer is wanted, after the last word.

The second utterance begins 0.1 to 0.27 s after the question, before a perfect agent would have begun to answer. The agent does not talk
over it, and answers the question once, 0.28 to 0.48 s after it. With difficulty it begins later (up to 0.17 s after it at 0, from 0.2 s on
at 1), and the user asks a third time.

    time   0    1    2    3    4    5
    user   ..what is three plus four...hello.........
    agent  ....................................seven.
                                     |silent|<->| reply window 0 to 1.0 s
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import FORMS, operands, reply, say
from workbench.scenarios.dial import Span
from workbench.scenarios.script import BEGIN, END, AfterOwn, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import number_word, spoken_number

GAP_S = Span((0.1, 0.27), easy=(0.1, 0.17), hard=(0.2, 0.27))  # below REPLY_DELAY_S: nobody has begun to answer
URGES = ("hello", "come on", "answer me", "tell me", "{sum}", "{question}", "{question}")
THIRD = 0.5  # at difficulty 1 this share asks a third time


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One question, asked twice or three times."""
    a, b = operands(rng)
    spoken = {"a": spoken_number(a), "b": spoken_number(b)}
    question = FORMS[int(rng.integers(len(FORMS)))].format(**spoken)
    total = number_word(a + b)
    repeats = 2 if rng.random() < THIRD * difficulty else 1
    beats = [Beat((question,), lead, (say(total),))]
    for left in reversed(range(repeats)):
        urge = URGES[int(rng.integers(len(URGES)))].format(question=question, sum="{a} plus {b}".format(**spoken))
        hold = Expect("silent", "start of the repetition", 0.0, anchor=BEGIN, until=END, tags=("impatient",))
        expects = (hold,) if left else (hold, reply(total, "impatient"))
        beats.append(Beat((urge,), AfterOwn(GAP_S.draw(rng, difficulty)), (Order("clear", 0.0, anchor=BEGIN), say(total)), expects))
    return Piece(tuple(beats), agent_last=True)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such question."""
    return [piece(lead, rng, difficulty)]
