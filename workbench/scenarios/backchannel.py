"""Back-channel: while the agent counts, the user murmurs "mhm", "yeah", "right"; the agent keeps counting.

One to four back-channels fall between the second number and the last but one. Nothing is asked by them, so a perfect agent changes
nothing.

    time   0    1    2    3    4    5    6    7
    user   ..count to ten............mhm.......yeah..................
    agent  ................one two three four five ... nine ten......
                        in order, gaps of at most 1.4 s, to the end
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.long_count import lasts_s, request
from workbench.scenarios.script import AfterAgentWord, Beat, Piece, Trigger
from workbench.scenarios.world import BACKCHANNELS

UPTO = (8, 15)
HOW_MANY = (1, 4)
SPACING_WORDS = 3  # agent words from one back-channel to the next, at least


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One count with back-channels."""
    ask, upto = request(rng, lead, *UPTO, "backchannel")
    wanted = int(rng.integers(HOW_MANY[0], HOW_MANY[1] + 1))
    beats, said = [ask], 0
    for _ in range(wanted):
        nth = int(rng.integers(2 if said == 0 else SPACING_WORDS, 5))
        if said + nth > upto - 2:
            break
        said += nth
        text = BACKCHANNELS[int(rng.integers(len(BACKCHANNELS)))]
        beats.append(Beat((text,), AfterAgentWord(nth, float(rng.uniform(0.2, 0.7)), timeout_s=3.0 + 0.8 * nth)))
    return Piece(tuple(beats), agent_last=True, wait_s=lasts_s(upto - said))


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such count."""
    return [piece(lead, rng, difficulty)]
