"""What a simulated user will do: beats of speech, what starts each, what a perfect agent does about it, and how that is scored.

A script is plain data. `workbench.users.ScriptedUser` performs it, `workbench.agents.OracleAgent` carries out its orders, and
`workbench.scoring` reads the expectations it leaves in the trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from workbench.acoustics import Acoustics
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.speech import Voice, Word

Edge: TypeAlias = Literal["start", "end"]
Act: TypeAlias = Literal["say", "count", "yield", "clear"]
What: TypeAlias = Literal["reply", "silent", "count", "time", "yield"]

REPLY_DELAY_S = 0.4  # an answer begins with the first tick this long after the end of the question
YIELD_DELAY_S = 0.2  # the agent gives up the floor with the first tick this long after the end of "stop"
COUNT_EVERY_TICKS = 3  # one number every 0.6 s


@dataclass(frozen=True)
class At:
    """Begin at a time on the session clock, in seconds."""

    at_s: float


@dataclass(frozen=True)
class AfterOwn:
    """Begin `gap_s` after the beat before has ended, whatever the agent does."""

    gap_s: float


@dataclass(frozen=True)
class AfterAgentStarts:
    """Begin `delay_s` after the first agent sound since the beat before has ended; after `timeout_s` without one, begin anyway."""

    delay_s: float
    timeout_s: float = 5.0


@dataclass(frozen=True)
class AfterAgentWord:
    """Begin `delay_s` after the `nth` agent word (1 is the first) since the beat before began; after `timeout_s`, anyway."""

    nth: int
    delay_s: float
    timeout_s: float


@dataclass(frozen=True)
class AfterAgentDone:
    """Begin once the agent, having made a sound since the beat before ended, has been quiet for `silence_s`; or at the time-out.

    All time-outs count from the end of the beat before, so a silent agent never hangs a script.
    """

    silence_s: float
    timeout_s: float


Trigger: TypeAlias = At | AfterOwn | AfterAgentStarts | AfterAgentWord | AfterAgentDone


@dataclass(frozen=True)
class Anchor:
    """A moment of a beat: the start or end of its word number `word` (negative counts from the back), plus `plus_s`."""

    word: int = -1
    edge: Edge = "end"
    plus_s: float = 0.0

    def at(self, words: Sequence[Word], begins_s: float) -> float:
        """The moment in seconds on the session clock, for a beat that begins at `begins_s`."""
        try:
            word = words[self.word]
        except IndexError:
            raise InputError(f"anchor on word {self.word} of {[w.word for w in words]}; use a word the beat has") from None
        return begins_s + (word.end_s if self.edge == "end" else word.start_s) + self.plus_s


END = Anchor()
BEGIN = Anchor(0, "start")


@dataclass(frozen=True)
class Order:
    """What a perfect agent does about a beat: `act` at the first tick that begins `delay_s` or more after `anchor`."""

    act: Act
    delay_s: float
    words: tuple[str, ...] = ()
    every_ticks: int = 0
    anchor: Anchor = END


@dataclass(frozen=True)
class Command:
    """An order with its moment fixed; what travels on the truth stream."""

    act: Act
    at_s: float
    words: tuple[str, ...] = ()
    every_ticks: int = 0

    def tick(self, clock: ClockSpec) -> Tick:
        """The tick in which it is carried out."""
        return clock.first_tick_from(self.at_s)


@dataclass(frozen=True)
class Expect:
    """One thing to be scored. The window runs from `from_s` to `to_s` after the anchor, or to the moment `until` when given."""

    what: What
    label: str
    from_s: float
    to_s: float = 0.0
    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    anchor: Anchor = END
    until: Anchor | None = None


@dataclass(frozen=True)
class Passage:
    """A stretch of recorded speech of real people whose words are not known: from a read sentence or a meeting, `length_s` long at most."""

    kind: Literal["sentence", "meeting"]
    split: Literal["train", "held_back"]
    seed: int
    length_s: float


@dataclass(frozen=True)
class Beat:
    """One stretch of speech by one person: phrases and, as numbers, pauses in seconds; or, when `passage` is given, that recording.

    `withdraws` says that it takes back what was expected before: from the moment of that anchor on, the earlier act is not wanted any
    more.
    """

    parts: tuple[str | float, ...]
    trigger: Trigger
    orders: tuple[Order, ...] = ()
    expects: tuple[Expect, ...] = ()
    speaker: str = "user"
    level_db: float = 0.0
    withdraws: Anchor | None = None
    passage: Passage | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the beat in order."""
        return tuple(word for part in self.parts if isinstance(part, str) for word in part.split())


@dataclass(frozen=True)
class Piece:
    """Beats of one family, and how a following beat knows that this piece is over."""

    beats: tuple[Beat, ...]
    agent_last: bool  # True when the agent has the last word, False when it ends in silence
    wait_s: float = 6.0  # how long to wait for the agent's last word at most

    def after(self, gap_s: float) -> Trigger:
        """The trigger of whatever follows `gap_s` after this piece."""
        return AfterAgentDone(gap_s, self.wait_s + gap_s) if self.agent_last else AfterOwn(gap_s)


@dataclass(frozen=True)
class Script:
    """A whole scenario: who speaks, in which voices and surroundings, which beats, and when it is over."""

    family: str
    seed: int
    beats: tuple[Beat, ...]
    voices: Mapping[str, Voice]
    ending: Trigger
    acoustics: Acoustics
    max_ticks: int
    labels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for beat in self.beats:
            if beat.speaker not in self.voices:
                raise InputError(f"beat {beat.parts!r} is spoken by {beat.speaker!r}, who has no voice; voices: {sorted(self.voices)}")
