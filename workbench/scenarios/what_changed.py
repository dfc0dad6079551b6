"""What changed: one of the things on a table gets another colour, goes, comes or moves; the agent names it, at once or when asked later.

Two or three things (ball, box, cone, ring) lie on four places. Told beforehand ("tell me what changes"), a perfect agent names the thing
with the first tick that starts 0.4 s or more after the change. Asked afterwards ("what changed"), it answers as it answers any question;
the change is 1 to 4 s old by then (up to 6 with difficulty) and has to be remembered.

    time   0    1    2    3    4    5    6    7    8    9
    user   ..tell me what changes............................
    camera ..|ball, box, cone......|ball, cone...............
    agent  ..............................box.................
                     |<- silent ->|<-->| 0 to 1.0 s after the change
    user   ..look at the table.............what changed......
    agent  ...............................................box
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.frames import LIGHTS, THINGS, Table, Thing, sample_setting
from workbench.scenarios.answer import reply, say
from workbench.scenarios.repetitions import CALL_DELAY_S, CALL_WINDOW_S
from workbench.scenarios.script import AfterOwn, Anchor, Beat, Expect, Order, Piece, Trigger, View

CHANGES_S = (1.2, 5.0)  # after the end of the request
ASKED_S = (1.0, 4.0)  # after the change
ASKED_LONG_S = 2.0  # more, at difficulty 1
PLACES = 4
KINDS = ("colour", "gone", "new", "moved")

FORMS = (
    "tell me what changes",
    "please tell me what changes",
    "tell me when something changes",
    "look at the table and tell me what changes",
)
LOOK_FORMS = ("look at the table", "look at the table please", "watch the table", "please watch the table")
ASK_FORMS = ("what changed", "what changed", "tell me what changed", "okay what changed", "what changed please")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One change, told at once or asked for later, with equal chance."""
    changes_s = round(float(rng.uniform(*CHANGES_S)), 3)
    table, word, kind = _table(rng, changes_s, difficulty)
    if rng.random() < 0.5:
        return _at_once(lead, rng, table, word, kind)
    return _later(lead, rng, table, word, kind, difficulty)


def _at_once(lead: Trigger, rng: np.random.Generator, table: Table, word: str, kind: str) -> Piece:
    moment = Anchor(plus_s=table.change_s)
    expects = (
        Expect("silent", "end of the request", 0.1, table.change_s, tags=("watching", "table")),
        Expect("moment", "the moment of the change", *CALL_WINDOW_S, words=(word,), tags=("seen", "table", kind), anchor=moment),
    )
    over_s = table.change_s + CALL_WINDOW_S[1] + 0.5
    order = Order("say", CALL_DELAY_S, (word,), anchor=moment)
    text = FORMS[int(rng.integers(len(FORMS)))]
    return Piece((Beat((text,), lead, (order,), expects, view=View(table, over_s), holds_s=over_s),), agent_last=False)


def _later(lead: Trigger, rng: np.random.Generator, table: Table, word: str, kind: str, difficulty: float) -> Piece:
    low, high = ASKED_S
    asked_s = table.change_s + float(rng.uniform(low, high + ASKED_LONG_S * difficulty))
    quiet = Expect("silent", "end of the request", 0.1, asked_s - 0.1, tags=("watching", "table"))
    text, question = LOOK_FORMS[int(rng.integers(len(LOOK_FORMS)))], ASK_FORMS[int(rng.integers(len(ASK_FORMS)))]
    look = Beat((text,), lead, (), (quiet,), view=View(table, asked_s + 2.5))
    ask = Beat((question,), AfterOwn(asked_s), (say(word),), (reply(word, "seen_before", "table", kind),))
    return Piece((look, ask), agent_last=True)


def _table(rng: np.random.Generator, changes_s: float, difficulty: float) -> tuple[Table, str, str]:
    """A table, the name of the thing that changes, and how it changes."""
    kinds, places = rng.permutation(list(THINGS)), rng.permutation(PLACES)
    colours = [str(name) for name in rng.permutation(list(LIGHTS))]
    things = tuple(Thing(str(kinds[i]), colours[i], int(places[i])) for i in range(int(rng.integers(2, 4))))  # type: ignore[arg-type]
    changed, how = things[0], KINDS[int(rng.integers(len(KINDS)))]
    rest = things[1:]
    before, after = {
        "colour": (things, (replace(changed, colour=colours[-1]), *rest)),
        "gone": (things, rest),
        "new": (rest, things),
        "moved": (things, (replace(changed, place=int(places[-1])), *rest)),
    }[how]
    table = Table(before=before, after=after, change_s=changes_s, setting=sample_setting(rng, difficulty))
    return table, changed.kind, how


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """Two changes, one told at once or later as the draw has it, and one more."""
    first = piece(lead, rng, difficulty)
    return [first, piece(first.after(float(rng.uniform(0.8, 2.0))), rng, difficulty)]
