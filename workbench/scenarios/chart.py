"""Chart: the agent has a chart drawn, counts aloud, and has the chart changed on the way without losing its pace.

"Draw a chart": a perfect agent says "okay" and hands it on; the chart is shown, not spoken of. "Count to twelve": it counts. "Make it red",
while it counts: it hands that on and says nothing else. With difficulty the count is asked for while the chart is
still being drawn, and the change comes earlier in the count.

    time   0    1    2    3    4    5    6    7    8    9
    user   ..draw a chart......count to twelve.....make it red.......
    agent  .................okay................one two three four five six ...
    tasks                    [ draw a chart ]                [ make it red ]
                                                  in order, gaps of at most 1.4 s, to the end
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import reply
from workbench.scenarios.dial import Span
from workbench.scenarios.long_count import lasts_s, request
from workbench.scenarios.look_up import asked, delegating
from workbench.scenarios.script import AfterAgentWord, AfterOwn, Beat, Piece, Trigger
from workbench.scenarios.world import COLOURS

UPTO = (8, 14)
GAP_S = Span((2.0, 3.5), easy=(3.0, 4.5), hard=(1.3, 2.0))  # after the request for the chart
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
    second, upto = request(rng, AfterOwn(GAP_S.draw(rng, difficulty)), *UPTO, "chart")
    nth = Span((2, upto - 4), easy=(3, upto - 4), hard=(1, 3)).whole(rng, difficulty)
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
