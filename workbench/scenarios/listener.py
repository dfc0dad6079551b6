"""Listener: the user tells a story, and the agent murmurs "mhm" whenever a part of it has come to its end.

The story has three to five parts with pauses of 0.9 to 1.8 s between them, and shorter halts of up to 0.3 s inside a part, which are left
alone. "that is all" ends it and asks for nothing. A perfect agent begins with the first tick that starts 0.4 s or more after a part has
ended. Pauses between the parts get shorter with difficulty, halts inside them longer.

    time   0    1    2    3    4    5    6    7    8    9
    user   ..let me tell you a story so anna went home.......but the shop was closed......
    agent  ..............................................mhm..........................mhm.
                                                    |<->| window 0.1 to 1.0 s after a part
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.script import AfterOwn, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.talk import Talk
from workbench.scenarios.world import ENOUGH, NAMES, spoken_number

WINDOW_S = (0.1, 1.0)
MURMUR_DELAY_S = 0.4  # longer than any halt
PARTS = (3, 5)
PAUSE_S = (0.9, 1.8)
HALT_S = (0.1, 0.3)
HALTS = 0.4  # of the parts have one

OPENINGS = ("let me tell you a story", "listen to a story", "so let me tell you a story", "listen i tell you a story")
CLAUSES = (
    ("{name} went to the {place}", "on a cold day"),
    ("but the {place} was closed", "because of the rain"),
    ("and there was nobody", "at the {place}"),
    ("then {name} found a bag", "with {n} apples in it"),
    ("so they took the bus", "to the {place}"),
    ("after that we met {name}", "and had some tea"),
    ("my sister was very tired", "and wanted to sleep"),
    ("the old man waited", "for {n} hours"),
    ("and {name} began to laugh", "about the whole thing"),
    ("in the end we found the key", "under the table"),
)
PLACES = ("shop", "station", "office", "library", "market", "harbour")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One story."""
    talk, orders, expects = Talk(), list[Order](), list[Expect]()
    talk.say(OPENINGS[int(rng.integers(len(OPENINGS)))])
    talk.pause(0.2)
    for number in rng.permutation(len(CLAUSES))[: int(rng.integers(PARTS[0], PARTS[1] + 1))]:
        slots = {"name": str(rng.choice(NAMES)), "place": str(rng.choice(PLACES)), "n": spoken_number(int(rng.integers(2, 13)))}
        first, second = (half.format(**slots) for half in CLAUSES[int(number)])
        if rng.random() < HALTS:
            talk.say(first)
            talk.pause(float(rng.uniform(HALT_S[0], HALT_S[0] + (HALT_S[1] - HALT_S[0]) * difficulty)))
            end = talk.say(second)
        else:
            end = talk.say(f"{first} {second}")
        orders.append(Order("say", MURMUR_DELAY_S, ("mhm",), anchor=end))
        expects.append(Expect("moment", "end of a part of the story", *WINDOW_S, words=("mhm",), anchor=end, tags=("listener",)))
        talk.pause(float(rng.uniform(PAUSE_S[0], PAUSE_S[1] - (PAUSE_S[1] - PAUSE_S[0]) * 0.6 * difficulty)))
    story = Beat(tuple(talk.parts[:-1]), lead, tuple(orders), tuple(expects))
    return Piece((story, Beat((ENOUGH,), AfterOwn(float(talk.parts[-1])))), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One story."""
    return [piece(lead, rng, difficulty)]
