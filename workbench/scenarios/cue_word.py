"""Cue word: "whenever I say red, say one": the agent speaks at every cue while the user goes on talking.

The user then talks for a while in short sentences; the cue falls two to four times, anywhere in a sentence, at least 0.9 s of pause
apart. "that is all" ends it. A perfect agent speaks with the first tick that starts 0.28 s or more after the cue. Every cue counts for
itself; a word too many takes away the credit of the cue nearest to it. Pauses get shorter with difficulty.

    time   0    1    2    3    4    5    6    7    8
    user   ..whenever i say red say one....anna has a red car....a blue house....that is all..
    agent  .............................................one............................
                                                       |<->| window 0 to 1.0 s after the cue
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.script import REPLY_DELAY_S, Anchor, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.talk import Talk
from workbench.scenarios.world import COLOURS, ENOUGH, NAMES, THINGS

WINDOW_S = (0.0, 1.0)
CUES = (2, 4)
AFTER_CUE_S = (0.9, 1.6)
AFTER_OTHER_S = (0.3, 1.0)
ANSWERS = ("now", "yes", "okay", "one", "two", "three")

FORMS = (
    "whenever i say {cue} say {word}",
    "say {word} whenever i say {cue}",
    "say {word} when i say {cue}",
    "every time i say {cue} say {word}",
)
SENTENCES = (
    "{name} has a {colour} {thing}",
    "the {thing} is {colour}",
    "a {colour} {thing}",
    "a {thing} and a {colour} {other}",
    "{name} and the {colour} {thing}",
    "so the {colour} {thing} is {more}",
)


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One agreement and the talk that follows."""
    cue = str(rng.choice((*COLOURS, *THINGS)))
    word = ANSWERS[int(rng.integers(len(ANSWERS)))]
    talk, orders, expects = Talk(), list[Order](), list[Expect]()
    talk.say(FORMS[int(rng.integers(len(FORMS)))].format(cue=cue, word=word))
    talk.pause(float(rng.uniform(0.6, 1.2)))
    left = int(rng.integers(CUES[0], CUES[1] + 1))
    while left:
        carries = bool(rng.random() < 0.6)
        text = _sentence(rng, cue, carries)
        place = talk.words + text.split().index(cue) if carries else 0
        talk.say(text)
        if carries:
            end = Anchor(place)
            orders.append(Order("say", REPLY_DELAY_S, (word,), anchor=end))
            expects.append(Expect("moment", "end of the cue", *WINDOW_S, words=(word,), anchor=end, tags=("cue_word",)))
            left -= 1
        low, high = AFTER_CUE_S if carries else AFTER_OTHER_S
        talk.pause(float(rng.uniform(low, high - (high - low) * 0.7 * difficulty)))
    talk.say(ENOUGH)
    return Piece((Beat(tuple(talk.parts), lead, tuple(orders), tuple(expects)),), agent_last=False)


def _sentence(rng: np.random.Generator, cue: str, carries: bool) -> str:
    """A sentence that holds the cue once, or not at all."""
    colours = [word for word in COLOURS if word != cue]
    things = [word for word in THINGS if word != cue]
    template = SENTENCES[int(rng.integers(len(SENTENCES)))]
    slots = {"name": str(rng.choice(NAMES)), "colour": str(rng.choice(colours)), "more": str(rng.choice(colours))}
    slots |= dict(zip(("thing", "other"), map(str, rng.permutation(things)), strict=False))
    if carries:
        slots["colour" if cue in COLOURS else "thing"] = cue
    return template.format(**slots)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such talk."""
    return [piece(lead, rng, difficulty)]
