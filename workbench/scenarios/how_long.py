"""How long: the user talks, is silent, and then asks how long the talking or the silence lasted; the agent says it in whole seconds.

The talk is one to three sentences without a longer halt, the silence before a question about it 1.6 to 7 s long. Which of the two is
asked for is known only at the end, so both have to be kept. A number within 0.75 s of the true length is right. Silences get longer with
difficulty, and so does the time that the length of the talk has to be kept.

    time   0    1    2    3    4    5    6    7    8
    user   ..the shop closes at nine on friday.............how long was i silent......
    agent  .........................................................................three
             |<------- speech ------->|<- silence ->|                     |<-->| reply window 0 to 1.0 s
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import WINDOW_S
from workbench.scenarios.dial import Span
from workbench.scenarios.other_directed import ANYTIME, sentence
from workbench.scenarios.script import BEGIN, REPLY_DELAY_S, Beat, Expect, Lasting, Order, Piece, Trigger
from workbench.scenarios.talk import Talk

SENTENCES = (1, 3)
HALT_S = (0.05, 0.2)
SILENT_S = (1.6, 7.0)
BEFORE_ASKING_S = Span((0.8, 1.5), easy=(0.6, 0.8), hard=(1.6, 3.0))  # when the talk is asked for

SPOKEN = ("how long did i speak", "tell me how long i did speak", "please tell me how long i did speak")
SILENT = ("how long was i silent", "tell me how long i was silent", "please tell me how long i was silent")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One such question."""
    talk = Talk()
    for place in range(int(rng.integers(SENTENCES[0], SENTENCES[1] + 1))):
        if place:
            talk.pause(float(rng.uniform(*HALT_S)))
        end = talk.say(sentence(rng, ANYTIME))
    resumes = talk.next_word
    if rng.random() < 0.5:
        stretch, forms, tag = Lasting(BEGIN, end), SPOKEN, "spoken"
        talk.pause(BEFORE_ASKING_S.draw(rng, difficulty))
    else:
        stretch, forms, tag = Lasting(end, resumes), SILENT, "silent"
        low, high = SILENT_S
        talk.pause(float(rng.uniform(low, low + (high - low) * (0.4 + 0.6 * difficulty))))
    talk.say(forms[int(rng.integers(len(forms)))])
    hold = Expect("silent", "start of the talk", 0.0, anchor=BEGIN, until=resumes, tags=("before_asking",))
    answer = Expect("reply", "end of the question", *WINDOW_S, tags=("how_long", tag), lasting=stretch)
    order = Order("say", REPLY_DELAY_S, lasting=stretch)
    return Piece((Beat(tuple(talk.parts), lead, (order,), (hold, answer)),), agent_last=True)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such question."""
    return [piece(lead, rng, difficulty)]
