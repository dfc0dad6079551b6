"""Back-channel: while the agent counts, the user murmurs "mhm", "yeah", "right"; the agent keeps counting.

One to four back-channels fall between the second number and the last but one. Nothing is asked by them, so a perfect agent changes
nothing. At difficulty 0 only the first of them is said; beyond the middle, one after the other gets two words ("mhm yeah"), at 1 all.

    time   0    1    2    3    4    5    6    7
    user   ..count to ten............mhm.......yeah..................
    agent  ................one two three four five ... nine ten......
                        in order, gaps of at most 1.4 s, to the end
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.dial import USUAL
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
    murmurs, said = list[tuple[int, int, float]](), 0
    for _ in range(wanted):
        nth = int(rng.integers(2 if said == 0 else SPACING_WORDS, 5))
        if said + nth > upto - 2:
            break
        said += nth
        murmurs.append((nth, int(rng.integers(len(BACKCHANNELS))), float(rng.uniform(0.2, 0.7))))
    murmurs = murmurs[: 1 + round((len(murmurs) - 1) * min(1.0, difficulty / USUAL))]
    long = round(len(murmurs) * max(0.0, difficulty / USUAL - 1.0))
    beats = [
        Beat((_murmur(word, place < long),), AfterAgentWord(nth, delay_s, timeout_s=3.0 + 0.8 * nth))
        for place, (nth, word, delay_s) in enumerate(murmurs)
    ]
    return Piece((ask, *beats), agent_last=True, wait_s=lasts_s(upto - sum(nth for nth, _, _ in murmurs)))


def _murmur(word: int, long: bool) -> str:
    """A back-channel of one word, or of two."""
    return " ".join(BACKCHANNELS[(word + more) % len(BACKCHANNELS)] for more in range(2 if long else 1))


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such count."""
    return [piece(lead, rng, difficulty)]
