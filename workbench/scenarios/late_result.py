"""Late result: while something is looked up, the user asks for a long count; the result waits for its end, and says then what it answers.

By then more than ten seconds have passed since it was asked for, so that a bare number would be a riddle: the background hands it over
with the words of the request, and a perfect agent says these before it, in the tick after it was told, which is once nobody has spoken
for 0.8 s. With difficulty the count gets longer, and the result later: to 15 or 16 at 0, to 19 to 26 at 1.

    time   0    1    2    3    4    5       12   13   14   15
    user   ..look up anna.....count to fifteen................
    agent  .................okay...............one two ... fifteen....look up anna twelve
                                                              |<----------->| result window: from the end of the count to 4.0 s later
    tasks                    [ look up anna, waiting ...           ]
"""

from __future__ import annotations

import numpy as np

from workbench.clock import ClockSpec
from workbench.scenarios import long_count
from workbench.scenarios.answer import reply
from workbench.scenarios.dial import Span
from workbench.scenarios.facts import Facts
from workbench.scenarios.look_up import asked, delegating, known, look_up
from workbench.scenarios.script import COUNT_EVERY_TICKS, AfterOwn, Beat, Expect, Piece, Trigger

GAP_S = (0.9, 1.4)
UPTO = Span((15, 19), easy=(15, 16), hard=(19, 26))  # lasts nine seconds and more, so that the result is late
WINDOW_S = (0.3, 4.0)  # after the time that the count takes
HOLDS_S = 4.0


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One request and one count."""
    facts = Facts.of(rng)
    listed = known(facts)
    name = listed[int(rng.integers(len(listed)))]
    ask = f"look up {name}"
    first = Beat(
        (look_up(rng, name),), lead, (delegating("<open>", ask),), (reply("okay", "acknowledged"), asked("<open>", ask, "late_result"))
    )
    waits = AfterOwn(float(rng.uniform(*GAP_S)))
    upto = UPTO.whole(rng, difficulty)
    counted = long_count.request_to(rng, waits, upto, "late_result")
    counts_s = upto * COUNT_EVERY_TICKS * ClockSpec().tick_s
    words = (*ask.split(), facts.number(name) or "sorry")
    early_s, late_s = WINDOW_S
    told = Expect("result", "end of the request", counts_s + early_s, counts_s + late_s, words=words, tags=("late_result",))
    second = Beat(counted.parts, counted.trigger, counted.orders, (*counted.expects, told), holds_s=counts_s + HOLDS_S)
    return Piece((first, second), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such piece."""
    return [piece(lead, rng, difficulty)]
