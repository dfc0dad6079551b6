"""Wrong sum: the user works out sums aloud and gets one of them wrong; the agent, asked to correct mistakes, says the right sum at once.

One to three sums are right before it; the user says them without asking for anything, so a perfect agent says nothing about those, as
after any statement. After the correction the user does one more sum rightly. In one of five talks there is no mistake, and the agent says
nothing. A perfect agent speaks with the first tick that starts 0.28 s or more after the wrong number. With difficulty the numbers get
higher and the pauses between the sums shorter.

    time   0    1    2    3    4    5    6    7    8    9    10   11
    user   ..correct me....two plus three is five....six plus one is eight.......one plus one is two..that is all
    agent  ...............................................................seven..........................
                            |<-------- silent --------------------->|  |<-->| window 0 to 1.0 s
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import operands
from workbench.scenarios.dial import Span
from workbench.scenarios.invitation import other_than
from workbench.scenarios.script import REPLY_DELAY_S, AfterAgentWord, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.talk import Talk
from workbench.scenarios.user_mistake import CORRECT_ME
from workbench.scenarios.world import ENOUGH, number_word, spoken_number

WINDOW_S = (0.0, 1.0)
RIGHT = (1, 3)  # sums before the mistake
PAUSE_S = Span((0.8, 1.6), easy=(1.2, 2.0), hard=(0.5, 0.9))  # between two sums
FAULTLESS = 0.2

SUMS = ("{a} plus {b} is", "{a} and {b} is", "so {a} plus {b} is", "the sum of {a} and {b} is")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One such talk."""
    talk = Talk()
    talk.say(CORRECT_ME[int(rng.integers(len(CORRECT_ME)))])
    talk.pause(float(rng.uniform(0.6, 1.2)))
    begins = talk.next_word
    for _ in range(int(rng.integers(RIGHT[0], RIGHT[1] + 1))):
        _right(talk, rng, difficulty)
        talk.pause(PAUSE_S.draw(rng, difficulty))
    if rng.random() < FAULTLESS:
        hold = Expect("silent", "start of the sums", 0.0, 1.0, anchor=begins, until=talk.say(ENOUGH), tags=("no_wrong_sum",))
        return Piece((Beat(tuple(talk.parts), lead, (), (hold,)),), agent_last=False)
    a, b = operands(rng, difficulty)
    talk.say(_statement(rng, a, b))
    hold = Expect("silent", "start of the sums", 0.0, anchor=begins, until=talk.next_word, tags=("before_wrong_sum",))
    end, right = talk.say(spoken_number(other_than(rng, a + b))), (number_word(a + b),)
    corrects = Expect("moment", "end of the wrong sum", *WINDOW_S, words=right, anchor=end, tags=("wrong_sum",))
    wrong = Beat(tuple(talk.parts), lead, (Order("say", REPLY_DELAY_S, right, anchor=end),), (hold, corrects))
    again = Talk()
    _right(again, rng, difficulty)
    again.pause(PAUSE_S.draw(rng, difficulty))
    again.say(ENOUGH)
    goes_on = AfterAgentWord(1, float(rng.uniform(0.8, 1.4)), timeout_s=2.5)
    return Piece((wrong, Beat(tuple(again.parts), goes_on)), agent_last=False)


def _statement(rng: np.random.Generator, a: int, b: int) -> str:
    """What is said before the sum."""
    return SUMS[int(rng.integers(len(SUMS)))].format(a=spoken_number(a), b=spoken_number(b))


def _right(talk: Talk, rng: np.random.Generator, difficulty: float) -> None:
    """Add a sum that is right."""
    a, b = operands(rng, difficulty)
    talk.say(f"{_statement(rng, a, b)} {spoken_number(a + b)}")


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such talk."""
    return [piece(lead, rng, difficulty)]
