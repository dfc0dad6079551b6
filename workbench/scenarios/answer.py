"""Answer: one to three sums, each answered with one word soon after its question has ended.

The user asks for a sum of two numbers from zero to nine and waits; at difficulty 0 they go to four, at 1 from five on, and the next
question follows the answer sooner. A perfect agent begins its one word with the first tick that starts
0.28 s or more after the end of the question, so 0.28 to 0.48 s after it: as early as every word of it can have been
named in an earlier cell, but for one case in ten.

    time   0    1    2    3    4    5
    user   ..what is three plus four..........nine plus two......
    agent  ...........................seven...............eleven
                                  |<-->| reply window 0 to 1.0 s after the end of the question
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.dial import USUAL, Span
from workbench.scenarios.script import REPLY_DELAY_S, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import MAX_OPERAND, number_word, spoken_number

WINDOW_S = (0.0, 1.0)  # of the first reply word, after the end of the question
OPERANDS = Span((0, MAX_OPERAND), easy=(0, 4), hard=(5, MAX_OPERAND))
NEXT_S = Span((0.8, 2.0), easy=(1.4, 2.4), hard=(0.5, 1.0))  # from an answer to the next question

FORMS = (
    "what is {a} plus {b}",
    "what is {a} plus {b}",
    "{a} plus {b}",
    "how much is {a} plus {b}",
    "tell me {a} plus {b}",
    "what is {a} plus {b} please",
    "tell me {a} plus {b} please",
    "please add {a} and {b}",
    "add {a} and {b}",
    "okay what is {a} plus {b}",
    "can you tell me {a} plus {b}",
    "what is the sum of {a} and {b}",
)


def operands(rng: np.random.Generator, difficulty: float = USUAL) -> tuple[int, int]:
    """Two numbers from zero to nine, the higher the greater the difficulty."""
    return OPERANDS.whole(rng, difficulty), OPERANDS.whole(rng, difficulty)


def say(word: str) -> Order:
    """The order to answer with one word."""
    return Order("say", REPLY_DELAY_S, (word,))


def reply(word: str, *tags: str) -> Expect:
    """The expectation that `word` is said within the reply window."""
    return Expect("reply", "end of the question", *WINDOW_S, words=(word,), tags=tags)


def question(rng: np.random.Generator, trigger: Trigger, *tags: str, difficulty: float = USUAL) -> Beat:
    """One spoken sum with its order and its expectation."""
    a, b = operands(rng, difficulty)
    text = FORMS[int(rng.integers(len(FORMS)))].format(a=spoken_number(a), b=spoken_number(b))
    total = number_word(a + b)
    return Beat((text,), trigger, (say(total),), (reply(total, "plain", *tags),))


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One question."""
    return Piece((question(rng, lead, difficulty=difficulty),), agent_last=True)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One to three questions in a row."""
    first = piece(lead, rng, difficulty)
    pieces = [first]
    for _ in range(int(rng.integers(0, 3))):
        pieces.append(piece(pieces[-1].after(NEXT_S.draw(rng, difficulty)), rng, difficulty))
    return pieces
