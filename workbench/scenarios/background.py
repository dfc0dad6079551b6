"""Background: noise, the babble of many people, or a voice from a television; none of it is for the agent.

A burst of noise lasts 0.8 to 4 s, a voice two or three sentences; both get louder with difficulty. While nobody else is busy a perfect
agent says nothing; during a count it keeps counting. In an evaluation with `--recorded-bystanders`
half of the voices are recordings of people; in most of the training's conversations two thirds are.

    time   0    1    2    3    4    5    6
    idle   ..(babble).................(a voice: the shop closes at nine).....
    agent  ..........................................................
             |<------------------- silent ------------------->|
    count  ..count to nine.......(noise).....................
    agent  .................one two three four five six seven eight nine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.acoustics import NOISE_KINDS
from workbench.scenarios.long_count import lasts_s, request
from workbench.scenarios.other_directed import ANYTIME, IDLE_ONLY, sentence
from workbench.scenarios.script import BEGIN, END, AfterAgentWord, Beat, Burst, Expect, Piece, Trigger

TAIL_S = 1.2  # silence is also wanted this long after the sound
UPTO = (8, 14)
BURST_S = (0.8, 4.0)
BURST_DB = (-18.0, 0.0)  # level against the user; the louder end is reached at difficulty 1
VOICE_DB = (-24.0, -8.0)
BABBLE = 0.4  # of the bursts


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """A sound into the quiet (two of three), or into a count."""
    return idle(lead, rng, difficulty) if rng.random() < 2 / 3 else during_count(lead, rng, difficulty)


def idle(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One sound while nobody is busy."""
    beat, tag = _sound(lead, rng, difficulty, IDLE_ONLY + ANYTIME)
    hold = Expect("silent", "start of the sound", 0.0, TAIL_S, anchor=BEGIN, until=END, tags=("background", "idle", tag))
    return Piece((replace(beat, expects=(hold,)),), agent_last=False)


def during_count(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One sound that falls into a count."""
    ask, upto = request(rng, lead, *UPTO, "background", "during_count")
    nth = int(rng.integers(2, upto - 4))
    sound, _ = _sound(AfterAgentWord(nth, float(rng.uniform(0.2, 0.7)), timeout_s=3.0 + 0.8 * nth), rng, difficulty, ANYTIME)
    return Piece((ask, sound), agent_last=True, wait_s=lasts_s(upto - nth))


def _sound(trigger: Trigger, rng: np.random.Generator, difficulty: float, templates: tuple[str, ...]) -> tuple[Beat, str]:
    """A burst of noise or a voice, and its tag."""
    if rng.random() < 0.5:
        kind = "babble" if rng.random() < BABBLE else NOISE_KINDS[int(rng.integers(len(NOISE_KINDS)))]
        burst = Burst(kind, int(rng.integers(2**31)), float(rng.uniform(*BURST_S)))
        tag = "babble" if kind == "babble" else "noise"
        return Beat((), trigger, speaker="bystander", level_db=_level(rng, BURST_DB, difficulty), sound=burst), tag
    parts: list[str | float] = [sentence(rng, templates)]
    for _ in range(int(rng.integers(1, 3))):
        parts += [float(rng.uniform(0.1, 0.6)), sentence(rng, templates)]
    return Beat(tuple(parts), trigger, speaker="bystander", level_db=_level(rng, VOICE_DB, difficulty), any_talk=True), "voice"


def _level(rng: np.random.Generator, span_db: tuple[float, float], difficulty: float) -> float:
    low, high = span_db
    return float(rng.uniform(low, low + (high - low) * (0.4 + 0.6 * difficulty)))


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """Two sounds into the quiet, then one into a count."""
    first = idle(lead, rng, difficulty)
    second = idle(first.after(float(rng.uniform(1.5, 2.5))), rng, difficulty)
    return [first, second, during_count(second.after(float(rng.uniform(1.5, 2.5))), rng, difficulty)]
