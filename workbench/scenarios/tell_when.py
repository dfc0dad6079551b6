"""Tell when: the user asks to be told when the lamp turns red, the helmet comes off or someone enters; the agent says it as it happens.

It happens 2 to 8 s after the request. Before, something else may: the lamp turns another colour, a ball rolls in. A perfect agent keeps
silent until then and says "red", "helmet" or "someone" with the first tick that starts 0.4 s or more after the lamp has turned, the helmet
is half off, the person half in the picture. With difficulty something else happens before more often, a second lamp burns beside, and the
scene is smaller and more colourful.

    time   0    1    2    3    4    5    6    7
    user   ..tell me when it turns red.......................
    camera ..|green lamp..........|yellow....|red............
    agent  .........................................red......
                     |<------- silent ------>|<-->| 0 to 1.0 s after it has happened
"""

from __future__ import annotations

import numpy as np

from workbench.frames import CLOTHES, HELMETS, LIGHTS, SKINS, Doorway, Lamp, Scene, Worker, sample_setting
from workbench.scenarios.repetitions import CALL_DELAY_S, CALL_WINDOW_S
from workbench.scenarios.script import Anchor, Beat, Expect, Order, Piece, Trigger, View

HAPPENS_S = (2.0, 8.0)  # after the end of the request
SILENT_UNTIL_S = 0.3  # before it happens: what comes so shortly before is no false alarm but an early call
AFTER_S = 1.0  # the camera stays on for so long after the window

COLOUR_FORMS = (
    "tell me when it turns {c}",
    "tell me when the lamp turns {c}",
    "please tell me when it turns {c}",
    "say {c} when it turns {c}",
)
HELMET_FORMS = ("tell me when the helmet comes off", "please tell me when the helmet comes off", "tell me when the helmet is off")
PERSON_FORMS = ("tell me when someone enters", "please tell me when someone enters", "tell me when someone comes in")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One thing to be told."""
    happens_s = round(float(rng.uniform(*HAPPENS_S)), 3)
    make = (_lamp, _lamp, _helmet, _person)[int(rng.integers(4))]
    scene, forms, word, kind = make(rng, happens_s, difficulty)
    text = forms[int(rng.integers(len(forms)))].format(c=word)
    moment = Anchor(plus_s=happens_s)
    expects = (
        Expect("silent", "end of the request", 0.1, happens_s - SILENT_UNTIL_S, tags=("watching", kind)),
        Expect("moment", "the moment it happens", *CALL_WINDOW_S, words=(word,), tags=("seen", kind), anchor=moment),
    )
    over_s = happens_s + CALL_WINDOW_S[1] + AFTER_S
    order = Order("say", CALL_DELAY_S, (word,), anchor=moment)
    return Piece((Beat((text,), lead, (order,), expects, view=View(scene, over_s), holds_s=over_s),), agent_last=False)


def _lamp(rng: np.random.Generator, happens_s: float, difficulty: float) -> tuple[Scene, tuple[str, ...], str, str]:
    target, first, other, beside = (str(name) for name in rng.permutation(list(LIGHTS)))
    lights = [(-9.0, first), (happens_s, target)]
    if rng.random() < 0.2 + 0.6 * difficulty:
        lights.insert(1, (round(float(rng.uniform(0.3, 0.8)) * happens_s, 3), other))
    steady = beside if rng.random() < 0.5 * difficulty else None
    return Lamp(lights=tuple(lights), setting=sample_setting(rng, difficulty), beside=steady), COLOUR_FORMS, target, "lamp"


def _helmet(rng: np.random.Generator, happens_s: float, difficulty: float) -> tuple[Scene, tuple[str, ...], str, str]:
    worker = Worker(
        off_s=happens_s,
        helmet=HELMETS[int(rng.integers(len(HELMETS)))],
        skin=SKINS[int(rng.integers(len(SKINS)))],
        clothes=CLOTHES[int(rng.integers(len(CLOTHES)))],
        setting=sample_setting(rng, difficulty),
    )
    return worker, HELMET_FORMS, "helmet", "helmet"


def _person(rng: np.random.Generator, happens_s: float, difficulty: float) -> tuple[Scene, tuple[str, ...], str, str]:
    room = Doorway(
        enters_s=happens_s,
        from_left=bool(rng.random() < 0.5),
        ball_s=float(rng.uniform(0.2, 0.6)) * happens_s if rng.random() < 0.2 + 0.4 * difficulty else None,
        skin=SKINS[int(rng.integers(len(SKINS)))],
        clothes=CLOTHES[int(rng.integers(len(CLOTHES)))],
        setting=sample_setting(rng, difficulty),
    )
    return room, PERSON_FORMS, "someone", "person"


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One or two things, one after the other."""
    pieces = [piece(lead, rng, difficulty)]
    if rng.random() < 0.5:
        pieces.append(piece(pieces[0].after(float(rng.uniform(0.8, 2.0))), rng, difficulty))
    return pieces
