"""What a simulated user will do: beats of speech, what starts each, what a perfect agent does about it, and how that is scored.

A script is plain data. `workbench.users.ScriptedUser` performs it, `workbench.agents.OracleAgent` carries out its orders, and
`workbench.scoring` reads the expectations it leaves in the trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from workbench.acoustics import Acoustics, NoiseKind
from workbench.channel import CLEAR, Channel
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.frames import Lens, Scene
from workbench.scenarios.facts import Facts
from workbench.scenarios.world import MAX_NUMBER, number_word
from workbench.speech import Voice, Word

Edge: TypeAlias = Literal["start", "end"]
Manner: TypeAlias = Literal["alone", "two_at_once", "fragments"]
Act: TypeAlias = Literal["say", "count", "amend", "yield", "clear", "talks", "hear", "pauses"]
What: TypeAlias = Literal["reply", "silent", "count", "amend", "moment", "tally", "time", "yield", "delegate", "result", "only"]
TOLD: tuple[Act, ...] = ("talks", "hear", "pauses")  # of the user's speech: it begins, a word has been said, it ends

REPLY_DELAY_S = 0.28  # an answer begins with the first tick this long after the end of the question
YIELD_DELAY_S = 0.2  # the agent gives up the floor with the first tick this long after the end of "stop"
COUNT_EVERY_TICKS = 3  # one number every 0.6 s
TICKS_PER_S = 5
LISTENS_ON_S = 10.0  # a user who waits for the end of what the agent says waits so long beyond the time-out
NEAR_S = 0.75  # a number of seconds is right when it is this close to the length that was asked for


@dataclass(frozen=True)
class At:
    """Begin at a time on the session clock, in seconds."""

    at_s: float


@dataclass(frozen=True)
class AfterOwn:
    """Begin `gap_s` after the beat before has ended, whatever the agent does."""

    gap_s: float


@dataclass(frozen=True)
class AfterBegin:
    """Begin `gap_s` after the beat before has begun, but not before it has ended: how a steady rhythm is kept."""

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

    One that is heard is listened to for `LISTENS_ON_S` more. All time-outs count from the end of the beat before, so neither a silent agent
    nor one that never stops hangs a script.
    """

    silence_s: float
    timeout_s: float


Trigger: TypeAlias = At | AfterOwn | AfterBegin | AfterAgentStarts | AfterAgentWord | AfterAgentDone


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
class Lasting:
    """A stretch of a beat whose length is asked for; known only once the beat has a voice."""

    start: Anchor
    end: Anchor

    def seconds(self, words: Sequence[Word]) -> float:
        """How long the stretch lasts."""
        return self.end.at(words, 0.0) - self.start.at(words, 0.0)

    def word(self, words: Sequence[Word]) -> str:
        """The length in whole seconds, as the agent says it."""
        return number_word(round(self.seconds(words)))

    def accepted(self, words: Sequence[Word]) -> tuple[str, ...]:
        """Every number of seconds that is near enough."""
        length_s = self.seconds(words)
        return tuple(number_word(n) for n in range(MAX_NUMBER + 1) if abs(n - length_s) <= NEAR_S)


@dataclass(frozen=True)
class Order:
    """What a perfect agent does about a beat: `act` at the first tick that begins `delay_s` or more after `anchor`.

    say, count: `words`, one every `every_ticks` (0: all at once); with `lasting`, the length of that stretch instead. amend: what is left
    of a count becomes the rest of the line `words` from the last number said on, every `step`-th of it. clear: nothing that was ordered
    before this is done any more. yield: the same, and what sounds is cut. An item such as "<open> look up anna" is not spoken: it
    is a request to the background (`workbench.asking`).
    """

    act: Act
    delay_s: float
    words: tuple[str, ...] = ()
    every_ticks: int = 0
    anchor: Anchor = END
    step: int = 1
    lasting: Lasting | None = None

    def command(self, words: Sequence[Word], begins_s: float) -> Command:
        """The order with its moment and its words fixed, for a beat of these words that begins at `begins_s`."""
        said = (self.lasting.word(words),) if self.lasting else self.words
        return Command(self.act, self.anchor.at(words, begins_s) + self.delay_s, said, self.every_ticks, self.step)


@dataclass(frozen=True)
class Command:
    """An order with its moment fixed; what travels on the truth stream. Where there is a background, the user's speech does too (TOLD)."""

    act: Act
    at_s: float
    words: tuple[str, ...] = ()
    every_ticks: int = 0
    step: int = 1

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
    step: int = 1  # amend: every which number of the line `words`
    lasting: Lasting | None = None  # reply: the length of this stretch is the answer


@dataclass(frozen=True)
class Passage:
    """A stretch of sound without known words: recorded speech of real people (a read sentence, a meeting), at most `length_s` long.

    It is played `speed` times as fast as it was said, and sounds so much higher: as somebody else with a shorter or longer vocal tract.
    With the manner "two_at_once" a second recording lies over it; "fragments" are pieces of several, as in a talk.
    """

    kind: Literal["sentence", "meeting"]
    split: Literal["train", "held_back"]
    seed: int
    length_s: float
    speed: float = 1.0
    manner: Manner = "alone"


@dataclass(frozen=True)
class Burst:
    """A stretch of noise, `length_s` long: one of the kinds of `workbench.acoustics`, among them the babble of many people."""

    kind: NoiseKind
    seed: int
    length_s: float


@dataclass(frozen=True)
class View:
    """What the camera sees from the beginning of a beat until `lasts_s` after the anchor, which is zero on the scene's clock.

    The camera is off where no view lasts; a later view replaces an earlier one.
    """

    scene: Scene
    lasts_s: float
    anchor: Anchor = END


@dataclass(frozen=True)
class Beat:
    """One stretch of speech by one person: phrases and, as numbers, pauses in seconds; or, when `sound` is given, that instead.

    `withdraws` says that it takes back what was expected before: from the moment of that anchor on, the earlier act is not wanted any
    more. `any_talk` says that its words do not matter, so that a recorded passage may stand in for it. `typed` says that it is not spoken
    but comes as text, whole, at the moment at which it would have begun; all its words begin and end then. `holds_s` is how long after
    its last word the beat counts as going on: what follows a beat with a view follows the view.
    """

    parts: tuple[str | float, ...]
    trigger: Trigger
    orders: tuple[Order, ...] = ()
    expects: tuple[Expect, ...] = ()
    speaker: str = "user"
    level_db: float = 0.0
    withdraws: Anchor | None = None
    sound: Passage | Burst | None = None
    any_talk: bool = False
    typed: bool = False
    family: str = ""  # the situation it is part of
    view: View | None = None
    holds_s: float = 0.0

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the beat in order."""
        return tuple(word for part in self.parts if isinstance(part, str) for word in part.split())


def onward(line: Sequence[str], last: str, step: int) -> tuple[str, ...]:
    """What follows `last` when the line is gone along by `step` (negative: backwards); nothing when `last` is not in it."""
    if last not in line:
        return ()
    here = line.index(last)
    return tuple(line[here + step :: step]) if step > 0 else tuple(line[:here][::step])


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
    """A whole scenario: who speaks, in which voices and surroundings, over which channel and lens, which beats, and when it is over."""

    family: str
    seed: int
    beats: tuple[Beat, ...]
    voices: Mapping[str, Voice]
    ending: Trigger
    acoustics: Acoustics
    max_ticks: int
    labels: Mapping[str, Any] = field(default_factory=dict)
    channel: Channel = CLEAR
    lens: Lens = field(default_factory=Lens)
    facts: Facts | None = None  # what its background knows; None where it has none

    def longest(self, clock: ClockSpec) -> int:
        """The ticks of a clock after which it is over in any case: as long as `max_ticks` of 200 ms."""
        return clock.ticks_in(self.max_ticks * ClockSpec().tick_s)

    def __post_init__(self) -> None:
        for beat in self.beats:
            if beat.speaker not in self.voices:
                raise InputError(f"beat {beat.parts!r} is spoken by {beat.speaker!r}, who has no voice; voices: {sorted(self.voices)}")
