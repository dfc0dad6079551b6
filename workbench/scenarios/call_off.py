"""Call off: while a number is looked up, the user does not want it any more; the work ends, and nothing more is said of it.

"Look up anna" ... "never mind". A perfect agent says "okay" and cancels with the first tick that starts 0.28 s or more after that.
The later it comes, the nearer is the result: 0.9 to 1.0 s after the request at difficulty 0, up to 1.9 s at 1.

    time   0    1    2    3    4    5    6    7
    user   ..look up anna.....never mind..............
    agent  .................okay........okay..........
    tasks                    [ look up anna ]
                                             |<-------->| silent from 1.4 to 4.5 s after it
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import reply
from workbench.scenarios.dial import Span
from workbench.scenarios.facts import Facts
from workbench.scenarios.look_up import asked, before_told, delegating, known, look_up
from workbench.scenarios.script import END, AfterOwn, Beat, Expect, Piece, Trigger

LEAST_S = 2.4
GAP_S = Span((0.9, 1.3), easy=(0.9, 1.0), hard=(1.4, 1.9))
SILENT_S = (1.4, 4.5)
FORMS = ("never mind", "forget it", "no never mind", "okay forget it")
ASKS = ("never mind", "forget it")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One request that is called off."""
    facts = Facts.of(rng)
    names = known(facts, LEAST_S)
    name = names[int(rng.integers(len(names)))]
    ask = f"look up {name}"
    first = Beat(
        (look_up(rng, name),), lead, (delegating("<open>", ask),), (reply("okay", "acknowledged"), asked("<open>", ask, "call_off"))
    )
    text = FORMS[int(rng.integers(len(FORMS)))]
    end = next(said for said in ASKS if text.endswith(said))
    quiet = Expect("silent", "end of the request", *SILENT_S, tags=("called_off",), anchor=END)
    second = Beat(
        (text,),
        AfterOwn(before_told(GAP_S, rng, difficulty, facts.works_s(ask))),
        (delegating("<cancel>", end),),
        (reply("okay", "acknowledged"), asked("<cancel>", end, "called_off"), quiet),
        holds_s=SILENT_S[1],
    )
    return Piece((first, second), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such piece."""
    return [piece(lead, rng, difficulty)]
