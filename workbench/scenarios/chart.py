"""Chart: the agent has a chart drawn, counts aloud, and has the chart changed on the way without losing its pace.

"Draw a chart": a perfect agent says "okay" and hands it on; the chart is shown, not spoken of. "Count to twelve": it counts. "Make it red",
while it counts: it hands that on and says nothing else. Difficulty changes nothing but the surroundings.

    time   0    1    2    3    4    5    6    7    8    9
    user   ..draw a chart......count to twelve.....make it red.......
    agent  .................okay................one two three four five six ...
    tasks                    [ draw a chart ]                [ make it red ]
                                                  in order, gaps of at most 1.4 s, to the end
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import reply
from workbench.scenarios.long_count import lasts_s, request
from workbench.scenarios.look_up import asked, delegating
from workbench.scenarios.script import AfterAgentWord, AfterOwn, Beat, Piece, Trigger
from workbench.scenarios.world import COLOURS

UPTO = (8, 14)
GAP_S = (2.0, 3.5)  # after the request for the chart
FORMS = ("draw a chart", "draw a chart please", "please draw a chart", "can you draw a chart")
CHANGES = ("make it {c}", "make it {c} please", "please make it {c}")


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """One chart, one count, one change."""
    first = Beat(
        (FORMS[int(rng.integers(len(FORMS)))],),
        lead,
        (delegating("<show>", "draw a chart"),),
        (reply("okay", "acknowledged"), asked("<show>", "draw a chart", "chart")),
    )
    second, upto = request(rng, AfterOwn(float(rng.uniform(*GAP_S))), *UPTO, "chart")
    nth = int(rng.integers(2, upto - 3))
    colour = COLOURS[int(rng.integers(len(COLOURS)))]
    third = Beat(
        (CHANGES[int(rng.integers(len(CHANGES)))].format(c=colour),),
        AfterAgentWord(nth, float(rng.uniform(0.2, 0.7)), timeout_s=3.0 + 0.8 * nth),
        (delegating("<amend>", f"make it {colour}", ack=""),),
        (asked("<amend>", f"make it {colour}", "chart", "corrected"),),
    )
    return Piece((first, second, third), agent_last=True, wait_s=lasts_s(upto - nth))


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """One such piece."""
    return [piece(lead, rng, difficulty)]
