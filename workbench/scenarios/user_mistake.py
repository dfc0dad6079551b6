"""User's mistake: the user counts aloud and skips or repeats a number; the agent says the right one at once.

The mistake is the third to seventh number; the user may have gone on by one number when the agent speaks, then takes the correction up
and counts on. In one of five counts there is no mistake, and the agent says nothing. A perfect agent speaks with the first tick that
starts 0.28 s or more after the wrong number. The counting gets faster with difficulty.

    time   0    1    2    3    4    5    6    7
    user   ..correct me.....one....two....four.........three..four..that is all
    agent  ....................................three................
                             |<- silent ->|  |<->| window 0 to 1.0 s
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.script import REPLY_DELAY_S, AfterAgentWord, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.talk import Talk
from workbench.scenarios.world import ENOUGH, number_word, spoken_number

WINDOW_S = (0.0, 1.0)
RIGHT = (2, 6)  # numbers before the mistake
BEGIN_AT = (1, 8)
PAUSE_S = (0.2, 0.8)
FAULTLESS = 0.2

CORRECT_ME = (
    "correct me if i make a mistake",
    "tell me if i make a mistake",
    "listen and correct me",
    "please correct me",
)
FORMS = (*CORRECT_ME, "correct me when i count")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One count by the user."""
    talk = Talk()
    talk.say(FORMS[int(rng.integers(len(FORMS)))])
    talk.pause(float(rng.uniform(0.5, 1.0)))
    low, high = PAUSE_S
    pause_s = float(rng.uniform(low, high - (high - low) * 0.7 * difficulty))
    begins, first = talk.next_word, int(rng.integers(BEGIN_AT[0], BEGIN_AT[1] + 1))
    last = first + int(rng.integers(RIGHT[0], RIGHT[1] + 1)) - 1
    _count(talk, range(first, last + 1), pause_s)
    if rng.random() < FAULTLESS:
        hold = Expect("silent", "start of the count", 0.0, 1.0, anchor=begins, until=talk.say(ENOUGH), tags=("no_mistake",))
        return Piece((Beat(tuple(talk.parts), lead, (), (hold,)),), agent_last=False)
    wrong = last if rng.random() < 0.4 else last + 2
    hold = Expect("silent", "start of the count", 0.0, anchor=begins, until=talk.next_word, tags=("before_mistake",))
    end = talk.say(spoken_number(wrong))
    if rng.random() < 0.5:
        talk.pause(pause_s)
        talk.say(spoken_number(wrong + 1))
    right, kind = (number_word(last + 1),), "repeated" if wrong == last else "skipped"
    corrects = Expect("moment", "end of the wrong number", *WINDOW_S, words=right, anchor=end, tags=("user_mistake", kind))
    count = Beat(tuple(talk.parts), lead, (Order("say", REPLY_DELAY_S, right, anchor=end),), (hold, corrects))
    again = Talk()
    _count(again, range(last + 1, last + 1 + int(rng.integers(1, 4))), pause_s)
    again.say(ENOUGH)
    goes_on = AfterAgentWord(1, float(rng.uniform(0.6, 1.0)), timeout_s=2.0)
    return Piece((count, Beat(tuple(again.parts), goes_on)), agent_last=False)


def _count(talk: Talk, numbers: range, pause_s: float) -> None:
    """Add numbers, each with a pause after it."""
    for number in numbers:
        talk.say(spoken_number(number))
        talk.pause(pause_s)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such count."""
    return [piece(lead, rng, difficulty)]
