"""New question: the agent counts, the user asks something else; the agent drops the count and answers that.

The question comes after two to six of the agent's words and begins with two words that nobody says to anyone else here ("what is",
"tell me"). A perfect agent gives up the floor with the first tick that starts 0.2 s or more after the second of them, says nothing more
of the count, and answers 0.28 to 0.48 s after the question has ended. With difficulty the question comes
earlier (after four to eight words at 0, one to three at 1) and its numbers are higher.

    time   0    1    2    3    4    5    6
    user   ..count to twenty......what is two plus two.........
    agent  ..................one two three fo..........four....
                                         |<->| quiet within 0.8 s of the second word
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import operands, reply, say
from workbench.scenarios.dial import Span
from workbench.scenarios.long_count import request
from workbench.scenarios.script import YIELD_DELAY_S, AfterAgentWord, Anchor, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import number_word, spoken_number

WINDOW_S = (0.0, 0.8)  # from the end of the question's second word to the last agent sound
UPTO = (12, 30)
AFTER_WORDS = Span((2, 6), easy=(4, 8), hard=(1, 3))

FORMS = ("what is {a} plus {b}", "how much is {a} plus {b}", "tell me {a} plus {b}", "what is the sum of {a} and {b}")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One count with a question in it."""
    ask, _ = request(rng, lead, *UPTO, "new_question")
    a, b = operands(rng, difficulty)
    text = FORMS[int(rng.integers(len(FORMS)))].format(a=spoken_number(a), b=spoken_number(b))
    nth = AFTER_WORDS.whole(rng, difficulty)
    plain = Anchor(1)
    total = number_word(a + b)
    question = Beat(
        (text,),
        AfterAgentWord(nth, float(rng.uniform(0.1, 0.6)), timeout_s=3.0 + 0.8 * nth),
        (Order("yield", YIELD_DELAY_S, anchor=plain), say(total)),
        (
            Expect("yield", "end of the second word of the question", *WINDOW_S, anchor=plain, tags=("new_question",)),
            reply(total, "new_question"),
        ),
        withdraws=plain,
    )
    return Piece((ask, question), agent_last=True)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such count."""
    return [piece(lead, rng, difficulty)]
