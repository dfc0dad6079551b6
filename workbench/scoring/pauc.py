"""PAUC of ProactiveVideoQA (arXiv 2507.09313): how much of what was to be told is known, integrated over the time in which to tell it.

One turn has a span [t0, t1] in which a reply is due, and replies with a score of 0 to 2 (of all that was said so far). With omega, the
later part of the span counts less: a reply at t stands at x = (t - t0) (1 - omega) on an axis of length t1 - t0, so that even a reply at
the very end leaves omega of the axis to its credit. The score is a step function from 0.5 on (knowing nothing), the last value held to
the end; PAUC is its area by that of the best. Saying nothing gives 0.25.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.errors import InputError
from workbench.scoring.measured import Case, Measured, mean
from workbench.scoring.reading import read, words_from
from workbench.trace import Trace

REVISION = "arXiv 2507.09313, as VLMEvalKit computes it"
OMEGA = 0.5
UNTOLD, BEST = 0.5, 2.0


@dataclass(frozen=True)
class Turn:
    """One thing to be told: the span in which, and the replies as (time in seconds, score 0 to 2)."""

    start_s: float
    end_s: float
    replies: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not self.end_s > self.start_s:
            raise InputError(f"a reply span from {self.start_s} to {self.end_s} s has no length; its end must come after its start")
        if wrong := [score for _, score in self.replies if not 0 <= score <= BEST]:
            raise InputError(f"a reply has the score {wrong[0]}; the judge's 1 to 3 is stored as 0 to 2")


def turn_area(turn: Turn, omega: float = OMEGA) -> float:
    """PAUC of one turn, 0 to 1. Replies outside the span do not count. Raises InputError unless 0 <= omega <= 1."""
    if not 0 <= omega <= 1:
        raise InputError(f"omega {omega} is outside 0 to 1; 0.5 is the published one")
    longest = turn.end_s - turn.start_s
    x, score, area = 0.0, UNTOLD, 0.0
    for at_s, new in sorted(reply for reply in turn.replies if turn.start_s <= reply[0] <= turn.end_s):
        here = (at_s - turn.start_s) * (1 - omega)
        area, x, score = area + (here - x) * score, here, new
    return (area + (longest - x) * score) / (longest * BEST)


def turns_of(trace: Trace) -> tuple[Turn, ...]:
    """Every moment in which something seen is to be told, as a turn; the words are known, so a reply scores 2 if it is right, else 0.

    A right reply stays known; without a judge there is no score between.
    """
    reading = read(trace)
    found = []
    for opened in reading.opened:
        expect = opened.expect
        if expect.what == "moment" and {"seen", "repetition"} & set(expect.tags):
            start_s, end_s = expect.anchor_s + expect.from_s, expect.anchor_s + expect.to_s
            replies, known = list[tuple[float, float]](), 0.0
            for word in reading.words_in(start_s, end_s):
                known = BEST if (word.word,) == expect.words else known
                replies.append((word.start_s, known))
            found.append(Turn(start_s, end_s, tuple(replies)))
    return tuple(found)


def pauc(sessions: Mapping[str, Sequence[Turn]], omega: float = OMEGA, seed: int = 0) -> list[Measured]:
    """100 times the mean PAUC over turns; who keeps silent gets 25."""
    cases = [
        Case(session=key, value=100 * turn_area(turn, omega), moment=(turn.start_s, turn.end_s))
        for key, found in sessions.items()
        for turn in found
    ]
    setup = {"benchmark": "ProactiveVideoQA", "revision": REVISION, "source": words_from(), "omega": omega, "judge": "exact words"}
    says = "area under what is known, by the best (silence: 25)"
    return [mean("PAUC", cases, list(sessions), says=says, kind="percentage", setup=setup, seed=seed)]
