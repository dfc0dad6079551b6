"""Self-correction: the user takes back the second number, at once or after the agent has answered.

Fast: "what is three plus four, no sorry, five", with gaps of 0.05 to 0.3 s. One reply is wanted, the corrected one. Late: the
correction begins 0.9 to 1.8 s after the question, while or after the agent answers. The first reply is right when it is given; the
correction asks for a second one. With difficulty the numbers are higher, the gaps of the fast correction longer (up to 0.15 s at 0, from
0.2 s on at 1), and the late one comes sooner, while the agent answers (1.4 to 2.2 s after the question at 0, 0.6 to 1.0 s at 1).

    time   0    1    2    3    4    5    6
    fast   ..what is three plus four no sorry five..........
    agent  .......................................eight.....
    late   ..what is three plus four...........i mean five......
    agent  ............................seven...............eight
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import operands, reply, say
from workbench.scenarios.dial import Span
from workbench.scenarios.script import BEGIN, AfterOwn, Beat, Piece, Trigger
from workbench.scenarios.world import MAX_OPERAND, number_word, spoken_number

FAST_GAP_S = Span((0.05, 0.3), easy=(0.05, 0.15), hard=(0.2, 0.3))
LATE_GAP_S = Span((0.9, 1.8), easy=(1.4, 2.2), hard=(0.6, 1.0))

OPENINGS = ("what is", "how much is", "tell me", "")
MARKS = ("no sorry", "i mean", "no i mean", "sorry", "no", "no wait")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One corrected sum, fast or late with equal chance."""
    return fast(lead, rng, difficulty) if rng.random() < 0.5 else late(lead, rng, difficulty)


def fast(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """Corrected within the same breath."""
    asked, mark, a, new, _ = _draw(rng, difficulty)
    total = number_word(a + new)
    parts = (asked, FAST_GAP_S.draw(rng, difficulty), mark, FAST_GAP_S.draw(rng, difficulty), spoken_number(new))
    beat = Beat(parts, lead, (say(total),), (reply(total, "corrected", "fast"),))
    return Piece((beat,), agent_last=True)


def late(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """Corrected when the agent has answered or is answering."""
    asked, mark, a, new, old = _draw(rng, difficulty)
    first, second = number_word(a + old), number_word(a + new)
    question = Beat((asked,), lead, (say(first),), (reply(first, "plain", "before_correction"),))
    parts = (mark, FAST_GAP_S.draw(rng, difficulty), spoken_number(new))
    correction = Beat(
        parts, AfterOwn(LATE_GAP_S.draw(rng, difficulty)), (say(second),), (reply(second, "corrected", "late"),), withdraws=BEGIN
    )
    return Piece((question, correction), agent_last=True)


def _draw(rng: np.random.Generator, difficulty: float) -> tuple[str, str, int, int, int]:
    """The question as first asked, the mark of correction, the first number, the new second number, the old one."""
    a, old = operands(rng, difficulty)
    new = (old + int(rng.integers(1, MAX_OPERAND + 1))) % (MAX_OPERAND + 1)
    opening = OPENINGS[int(rng.integers(len(OPENINGS)))]
    asked = f"{opening} {spoken_number(a)} plus {spoken_number(old)}".strip()
    return asked, MARKS[int(rng.integers(len(MARKS)))], a, new, old


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such sum."""
    return [piece(lead, rng, difficulty)]
