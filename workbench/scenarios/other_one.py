"""The other one: while a number is looked up, the user means somebody else; the work goes on from there, and only that number is said.

"Look up anna" ... "no ben". A perfect agent says "okay" again and hands the correction on with the first tick that starts 0.28 s or more
after it. With difficulty the correction comes later, nearer to the result that is not wanted: 0.9 to 1.0 s after the request at 0,
up to 1.7 s at 1.

    time   0    1    2    3    4    5    6    7
    user   ..look up anna.....no ben..................
    agent  .................okay......okay........seven
    tasks                    [ look up anna ][ ben ]
                                                |<-------->| result window: from when it is known to 3.0 s later
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import reply
from workbench.scenarios.dial import Span
from workbench.scenarios.facts import Facts
from workbench.scenarios.look_up import RESULT_S, TAKES_S, asked, before_told, delegating, known, look_up, result
from workbench.scenarios.script import AfterOwn, Beat, Piece, Trigger

LEAST_S = 2.0
GAP_S = Span((0.9, 1.4), easy=(0.9, 1.0), hard=(1.3, 1.7))
FORMS = ("no {n}", "sorry {n}", "i mean {n}", "no i mean {n}", "sorry i mean {n}")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One request and its correction."""
    facts = Facts.of(rng)
    slow, listed = known(facts, LEAST_S), known(facts)
    name = slow[int(rng.integers(len(slow)))]
    others = [other for other in listed if facts.number(other) != facts.number(name)] or listed
    other = others[int(rng.integers(len(others)))]
    ask = f"look up {name}"
    first = Beat(
        (look_up(rng, name),), lead, (delegating("<open>", ask),), (reply("okay", "acknowledged"), asked("<open>", ask, "other_one"))
    )
    works_s = facts.works_s(f"{ask} {other}")
    second = Beat(
        (FORMS[int(rng.integers(len(FORMS)))].format(n=other),),
        AfterOwn(before_told(GAP_S, rng, difficulty, facts.works_s(ask))),
        (delegating("<amend>", other),),
        (
            reply("okay", "acknowledged"),
            asked("<amend>", other, "other_one", "corrected"),
            result(facts.number(other) or "sorry", works_s, works_s + RESULT_S, "corrected"),
        ),
        holds_s=works_s + TAKES_S,
    )
    return Piece((first, second), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such piece."""
    return [piece(lead, rng, difficulty)]
