"""Meanwhile: while something is looked up, the user asks for a sum; the sum is answered at once, the result when there is a pause.

The sum begins 0.9 to 1.4 s after the request, before the result can be there; where the result comes while the user speaks, it waits. A
perfect agent answers the sum as it answers any other, and says the result in the tick after it was told, which is once nobody
has spoken for 0.8 s. With difficulty the sum begins later, so that the result comes into it, and its numbers are higher.

    time   0    1    2    3    4    5    6
    user   ..look up anna.....what is two plus three......
    agent  .................okay......................five.....twelve
                                                  |<------------->| result window: 0.3 to 4.5 s after the sum
    tasks                    [ look up anna, waiting ... ]
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import question, reply
from workbench.scenarios.dial import Span
from workbench.scenarios.facts import Facts
from workbench.scenarios.look_up import asked, before_told, delegating, known, look_up, result
from workbench.scenarios.script import AfterOwn, Beat, Piece, Trigger

LEAST_S = 1.8  # the result takes at least so long, so that the sum has begun
GAP_S = Span((0.9, 1.4), easy=(0.9, 1.0), hard=(1.3, 1.6))
WINDOW_S = (0.3, 4.5)
HOLDS_S = 4.0


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One request and one sum."""
    facts = Facts.of(rng)
    names = known(facts, LEAST_S)
    name = names[int(rng.integers(len(names)))]
    ask = f"look up {name}"
    first = Beat(
        (look_up(rng, name),), lead, (delegating("<open>", ask),), (reply("okay", "acknowledged"), asked("<open>", ask, "meanwhile"))
    )
    waits = AfterOwn(before_told(GAP_S, rng, difficulty, facts.works_s(ask)))
    second = question(rng, waits, "meanwhile", difficulty=difficulty)
    told = result(facts.number(name) or "sorry", *WINDOW_S, "meanwhile")
    second = Beat(second.parts, second.trigger, second.orders, (*second.expects, told), holds_s=HOLDS_S)
    return Piece((first, second), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such piece."""
    return [piece(lead, rng, difficulty)]
