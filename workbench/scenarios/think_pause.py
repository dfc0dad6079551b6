"""Think-pause: the user stops in the middle of a question, perhaps with an "um", and goes on; the agent must hold back until the end.

The pause is 0.6 to 3 s long (longer with difficulty) and lies where the question is plainly unfinished: after "what is", after the
first number or after "plus". A perfect agent makes no sound in it and answers when the question is whole.

    time   0    1    2    3    4    5
    user   ..what is three plus....um.......four............
    agent  .........................................seven...
                               |<-- silent -->|  |<->| reply
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import operands, reply, say
from workbench.scenarios.script import Anchor, Beat, Expect, Piece, Trigger
from workbench.scenarios.world import FILLERS, number_word, spoken_number

SILENT_FROM_S = 0.1  # after the last word before the pause; the window ends when the question goes on
PAUSE_S = (0.6, 3.0)

OPENINGS = ("what is", "how much is", "tell me", "can you tell me", "okay what is")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One question with one pause in it."""
    a, b = operands(rng)
    opening = OPENINGS[int(rng.integers(len(OPENINGS)))]
    first, second = spoken_number(a), spoken_number(b)
    before, after = (
        (f"{opening} {first} plus", second),
        (f"{opening} {first} plus", second),
        (f"{first} plus", second),
        (opening, f"{first} plus {second}"),
        (f"{opening} {first}", f"plus {second}"),
    )[int(rng.integers(5))]
    low, high = PAUSE_S
    length_s = float(rng.uniform(low, low + (high - low) * (0.4 + 0.6 * difficulty)))
    last = len(before.split()) - 1
    middle, resumes, tags = _pause(rng, length_s, last)
    hold = Expect(
        "silent", "end of the last word before the pause", SILENT_FROM_S, tags=tags, anchor=Anchor(last), until=Anchor(resumes, "start")
    )
    total = number_word(a + b)
    beat = Beat((before, *middle, after), lead, (say(total),), (hold, reply(total, "after_pause", *tags)))
    return Piece((beat,), agent_last=True)


def _pause(rng: np.random.Generator, length_s: float, last: int) -> tuple[tuple[str | float, ...], int, tuple[str, ...]]:
    """The parts of the pause, the number of the word that ends it, and its tags."""
    if length_s < 1.0 or rng.random() < 0.5:
        return (length_s,), last + 1, ("pause",)
    filler = FILLERS[int(rng.integers(len(FILLERS)))]
    before_s = float(rng.uniform(0.15, 0.5))
    return (before_s, filler, max(length_s - before_s - 0.25, 0.4)), last + 2, ("pause", "filler")


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such question."""
    return [piece(lead, rng, difficulty)]
