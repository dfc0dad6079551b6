"""Other-directed speech: somebody talks, but not to the agent.

A bystander speaks, or the user turns to another person ("hey anna could you close the window"). While nobody else is busy a perfect
agent says nothing; during a count it keeps counting. The sentences hold numbers, names and even "stop by the shop", so single words do
not give the answer away. With difficulty the bystander is louder, and so is the user who turns away: 6 dB down at 0, 2 dB up at 1.

    time   0    1    2    3    4    5
    idle   ..hey anna could you close the window.............
    agent  ..................................................
             |<------------- silent --------------->|
    count  ..count to nine.........(bystander: we need six eggs).........
    agent  .................one two three four five six seven eight nine.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from string import Formatter

import numpy as np

from workbench.scenarios.dial import Span
from workbench.scenarios.long_count import lasts_s, request
from workbench.scenarios.script import BEGIN, END, AfterAgentWord, Beat, Expect, Piece, Trigger
from workbench.scenarios.world import NAMES, spoken_number

TAIL_S = 1.2  # silence is also wanted this long after the last word
UPTO = (7, 14)
BYSTANDER_DB = (-14.0, -4.0)  # level against the user; the louder end is reached at difficulty 1

ASIDE_DB = Span((0.0, 0.0), easy=(-6.0, -6.0), hard=(2.0, 2.0))  # of a user who talks to somebody else

SLOTS: dict[str, tuple[str, ...]] = {
    "name": NAMES,
    "n": tuple(spoken_number(n) for n in range(2, 13)),
    "thing": ("window", "door", "lamp", "kettle", "radio"),
    "food": ("eggs", "apples", "tomatoes", "onions", "lemons"),
    "place": ("shop", "station", "office", "library", "market"),
    "day": ("monday", "tuesday", "friday", "sunday"),
    "act": ("called", "wrote", "left", "was here", "is late"),
}

IDLE_ONLY = (
    "{name} can you stop by the {place}",
    "we could stop at the {place} on {day}",
    "hey {name} could you close the {thing}",
    "{name} please turn off the {thing}",
    "i told {name} to wait at the {place}",
)
ANYTIME = (
    "we need {n} {food} for the cake",
    "i think {name} {act} on {day}",
    "the {place} closes at {n} on {day}",
    "did you see {name} at the {place}",
    "my brother bought {n} {food} at the {place}",
    "the {thing} in the kitchen is broken again",
    "{name} has a meeting at {n}",
    "they moved the meeting from {day} to the week after",
    "it was cold at the {place} on {day}",
    "she said that the train leaves at {n}",
)


def every_sentence(templates: tuple[str, ...] = IDLE_ONLY + ANYTIME) -> Iterator[str]:
    """All sentences of the grammar, in order."""
    for template in templates:
        names = [name for _, name, _, _ in Formatter().parse(template) if name]
        for choice in itertools.product(*(SLOTS[name] for name in names)):
            yield template.format(**dict(zip(names, choice, strict=True)))


def sentence(rng: np.random.Generator, templates: tuple[str, ...]) -> str:
    """One sentence of the grammar."""
    template = templates[int(rng.integers(len(templates)))]
    return template.format(**{slot: words[int(rng.integers(len(words)))] for slot, words in SLOTS.items()})


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """Either speech into the quiet, or speech into a count, with equal chance."""
    return idle(lead, rng, difficulty) if rng.random() < 0.5 else during_count(lead, rng, difficulty)


def idle(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One or two sentences in one breath while nobody else speaks."""
    speaker, level_db, tag = _speaker(rng, difficulty)
    parts: list[str | float] = [sentence(rng, IDLE_ONLY + ANYTIME)]
    if rng.random() < 0.3:
        parts += [float(rng.uniform(0.2, 0.8)), sentence(rng, IDLE_ONLY + ANYTIME)]
    hold = Expect("silent", "start of the speech", 0.0, TAIL_S, anchor=BEGIN, until=END, tags=("other_directed", "idle", tag))
    return Piece((Beat(tuple(parts), lead, (), (hold,), speaker, level_db, any_talk=True),), agent_last=False)


def during_count(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """A sentence that falls into a count."""
    speaker, level_db, tag = _speaker(rng, difficulty)
    ask, upto = request(rng, lead, *UPTO, "other_directed", "during_count", tag)
    nth = int(rng.integers(2, upto - 4))
    aside = Beat(
        (sentence(rng, ANYTIME),),
        AfterAgentWord(nth, float(rng.uniform(0.2, 0.7)), timeout_s=3.0 + 0.8 * nth),
        speaker=speaker,
        level_db=level_db,
        any_talk=True,
    )
    return Piece((ask, aside), agent_last=True, wait_s=lasts_s(upto - nth))


def _speaker(rng: np.random.Generator, difficulty: float) -> tuple[str, float, str]:
    if rng.random() < 0.5:
        return "user", ASIDE_DB.at(difficulty)[0], "by_user"
    low, high = BYSTANDER_DB
    return "bystander", float(rng.uniform(low, low + (high - low) * (0.4 + 0.6 * difficulty))), "by_bystander"


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """Both: speech into the quiet, then speech into a count."""
    quiet = idle(lead, rng, difficulty)
    return [quiet, during_count(quiet.after(float(rng.uniform(1.8, 3.0))), rng, difficulty)]
