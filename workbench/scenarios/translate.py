"""Translate: numbers, colours and short phrases from English to Spanish, while the user goes on speaking.

The user says three to six of them with pauses in between; in "red house" the order of the words turns round. "that is all" ends it.
A perfect agent begins with the first tick that starts 0.28 s or more after the end of what it translates, and says a second word
0.4 s after the first. Every Spanish word counts for itself, in its window; a word too many takes away the credit of the nearest.
Pauses get shorter with difficulty.

    time   0    1    2    3    4    5    6
    user   ..translate into spanish....three....red house......that is all..
    agent  .................................tres..........casa roja.........
                                        |<-->| window 0 to 1.2 s after "three"
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.script import REPLY_DELAY_S, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.talk import Talk
from workbench.scenarios.world import ENOUGH, TRANSLATIONS

WINDOW_S = (0.0, 1.2)  # of the first Spanish word, after the end of the English ones
EVERY_TICKS = 2  # from one Spanish word to the next, which moves the window along
EVERY_S = 0.4
UNITS = (3, 6)
PAUSE_S = (0.4, 1.0)

FORMS = ("translate into spanish", "please translate", "translate please", "say it in spanish", "please say it in spanish")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One list to translate."""
    talk, orders, expects = Talk(), list[Order](), list[Expect]()
    talk.say(FORMS[int(rng.integers(len(FORMS)))])
    talk.pause(float(rng.uniform(0.6, 1.2)))
    for _ in range(int(rng.integers(UNITS[0], UNITS[1] + 1))):
        english, spanish = TRANSLATIONS[int(rng.integers(len(TRANSLATIONS)))]
        end, words = talk.say(english), tuple(spanish.split())
        orders.append(Order("say", REPLY_DELAY_S, words, EVERY_TICKS, anchor=end))
        for place, word in enumerate(words):
            from_s, to_s = (edge + place * EVERY_S for edge in WINDOW_S)
            tags = ("translate", "word" if len(words) == 1 else "phrase")
            expects.append(Expect("moment", "end of the English words", from_s, to_s, words=(word,), anchor=end, tags=tags))
        low, high = PAUSE_S
        talk.pause(float(rng.uniform(low, high - (high - low) * 0.7 * difficulty)) + (len(words) - 1) * EVERY_S)
    talk.say(ENOUGH)
    return Piece((Beat(tuple(talk.parts), lead, tuple(orders), tuple(expects)),), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such list."""
    return [piece(lead, rng, difficulty)]
