"""How people do: published numbers, each with its source, what it is of, and where its definition departs from ours.

A number stands here only where its start and its end are those of a measure of ours, or near enough that the difference can be told.
There is none for how soon a listener murmurs, nor for how soon somebody stops who is told to: what is published is the length of overlaps
where the floor passes, and that is said. The numbers of Stivers, of Heldner and Edlund and of Levinson and Torreira are those that several
others cite with page or section, not read in the papers themselves; those of Switchboard stand in the tables of their authors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

SWITCHBOARD = "Huang, swbd-statistics at 9b12bb4 (also in TurnBench, analysis/swbd), README, table of results: 2,438 Switchboard calls"
LEVINSON = "Levinson and Torreira (2015), Frontiers in Psychology 6:731, section 5.2.2: 348 NXT-Switchboard calls, 38 h"
STIVERS = "Stivers et al. (2009), PNAS 106(26), p. 10588, distribution of turn transitions, ten languages"


@dataclass(frozen=True, kw_only=True)
class Band:
    """A value of people, its unit (none: a share), of what, from where, and in what it departs from the measure that it stands beside."""

    value: float
    unit: str = "s"
    of: str
    source: str
    by: str  # the source in a word or two
    departs: str

    def text(self) -> str:
        """The value with what it is of and its source, in a line."""
        return f"{self._value()} {self.of} ({self.source})"

    def short(self) -> str:
        """The value, what it is of and who says so."""
        return f"{self._value()} {self.of} ({self.by})"

    def _value(self) -> str:
        return f"{self.value:g} {self.unit}" if self.unit else f"{100 * self.value:g} %"


FLOOR_TRANSFER = Band(
    value=0.1,
    of="median offset of 1,011 floor transfers",
    source="12 Switchboard conversations, words joined over gaps of 0.2 s",
    by="12 Switchboard calls",
    departs="people on the telephone, either side; ours are an agent's turns after a user's words",
)
FLOOR_TRANSFER_OF_CALLS = Band(
    value=0.127,
    of="mean over calls of their median offset of floor transfers",
    source=SWITCHBOARD,
    by="2,438 Switchboard calls",
    departs="words joined over gaps of 0.2 s as here, but without back-channels, through which a turn goes on",
)
ANSWER = Band(
    value=0.208,
    of="mean offset of answers to yes-no questions, 7 to 469 ms by language",
    source=STIVERS,
    by="Stivers et al. 2009",
    departs="from the end of the question's turn to the start of the answer's, people filmed in talk; ours ask for sums of a machine",
)
ANSWER_MEDIAN = Band(
    value=0.1,
    of="median offset of answers to yes-no questions, 0 to 300 ms by language",
    source=STIVERS,
    by="Stivers et al. 2009",
    departs=ANSWER.departs,
)
OVERLAPPED = Band(
    value=0.301,
    unit="",
    of="of floor transfers begin before the other has ended",
    source=LEVINSON,
    by="Levinson and Torreira 2015",
    departs="people on the telephone, either side; ours is an agent after a user's words",
)
OVERLAPPED_ELSEWHERE = Band(
    value=0.4,
    unit="",
    of="of the intervals between two speakers are overlaps, about",
    source="Heldner and Edlund (2010), J. Phonetics 38(4), Dutch, Swedish and Scottish English talk, as cited by Chowdhury et al. (2016)",
    by="Heldner and Edlund 2010",
    departs="intervals between people's voices, either side; about 40 % as most cite it, 40 to 45 % as some do",
)
OVERLAP = Band(
    value=0.374,
    of="under which 75 % of overlaps at floor transfers last; 96 ms the most frequent",
    source=LEVINSON,
    by="Levinson and Torreira 2015",
    departs="overlaps where the floor passes; nobody was told to stop there, as ours is in the middle of a count",
)
MURMURS = Band(
    value=3.9,
    unit="1/min",
    of="back-channels of both sides of a call together",
    source=SWITCHBOARD,
    by="2,438 Switchboard calls",
    departs="both sides together, as Ekstedt and Skantze (2022) list them; ours are short stretches of one side with silence around them",
)


def told(bands: Sequence[Band]) -> list[dict[str, Any]]:
    """The bands of a measure, for its setup and for JSON."""
    return [{**asdict(band), "short": band.short()} for band in bands]
