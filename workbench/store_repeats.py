"""What repeats a stretch of a stream, wherever in a session: a word is noted after it sounded, and slow work tells of it for long.

A recognised or true word belongs to the stretch in which it sounded. What else repeats words has no times of its own, so it is told by what
it was made from: a request by the words that it repeats, all that is told of a task by its request, an estimate by what was heard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from workbench.background.authority import EVIDENCE_S
from workbench.background.notes import bodies
from workbench.background.words import spoken_words
from workbench.clock import ClockSpec
from workbench.errors import TraceError
from workbench.events import TranscriptDelta, TruthWord
from workbench.events_background import ConsentGiven, ConsentUncounted, DelegationCreated, DelegationRequested, ToolUsed
from workbench.events_rules import GuardActed, IntentEstimated
from workbench.packets import (
    AGENT_AUDIO,
    AGENT_TASKS,
    AGENT_TEXT,
    BACKGROUND_SHOWN,
    BACKGROUND_TEXT,
    USER_AUDIO,
    USER_CAMERA,
    USER_CONTEXT,
    USER_TEXT,
)
from workbench.redact import KINDS as TEXTED
from workbench.redact import redacted

USER, MODEL, SEEN, WORK = "user", "model", "seen", "work"  # whose words a stream carries; what is seen or appended has none of its own
REPEATED_ON = (AGENT_TASKS, BACKGROUND_TEXT, BACKGROUND_SHOWN)  # streams that repeat what was said to those who do slow work
CARRIES = {
    **dict.fromkeys((USER_AUDIO, USER_TEXT), USER),
    **dict.fromkeys((AGENT_AUDIO, AGENT_TEXT), MODEL),
    **dict.fromkeys((USER_CAMERA, USER_CONTEXT), SEEN),
    **dict.fromkeys(REPEATED_ON, WORK),
}
TEXTS = (USER_TEXT, AGENT_TEXT, *REPEATED_ON)  # streams whose payloads have to be read
WORDS = (TranscriptDelta.kind, TruthWord.kind)
TOLD = (TranscriptDelta.kind, DelegationRequested.kind, GuardActed.kind, *TEXTED)  # what `agent.tasks` repeats
OF_WORK = ("delegation.", "background.", "consent.", ToolUsed.kind)  # how the kinds of events begin that tell of slow work
REPEATING = (
    f"kind IN {(*WORDS, *TEXTED, IntentEstimated.kind, GuardActed.kind, ToolUsed.kind)} OR kind GLOB 'delegation.*' "
    "OR kind GLOB 'background.*' OR kind GLOB 'consent.*'"
)

NEAR_S = 5.0  # how long after a stretch a request is taken to be made of it whose words nobody was heard to say
SAME_S = 0.5  # two notes of a word that lie no farther apart may be of the same word
TAKEN_UP = 3  # micro-turns within which a request is taken up


class Row(NamedTuple):
    """An event or payload: a number to find it by, its kind or stream, and its JSON or text ("" where it is no text)."""

    key: int
    label: str
    text: str


class Redacted(NamedTuple):
    """What is to stand in place of the event `key`."""

    key: int
    tick: int
    kind: str
    body: bytes


class Gone(NamedTuple):
    """The keys of the events and payloads that go, and what stands in place of others."""

    events: tuple[int, ...] = ()
    payloads: tuple[int, ...] = ()
    told_less: tuple[Redacted, ...] = ()


@dataclass(frozen=True)
class _Read:
    """An event that may repeat something."""

    key: int
    kind: str
    body: dict[str, Any]


@dataclass
class Repeats:
    """Finds what belongs to a stretch of `stream`, micro-turn by micro-turn, in their order; it remembers what it has seen so far.

    Without `words` only the payloads themselves belong to it.
    """

    clock: ClockSpec
    stream: str
    first: int
    last: int
    words: bool = True
    _heard: dict[str, tuple[float, bool]] = field(default_factory=dict)  # word -> when it was said last, and whether in the stretch
    _asks: list[tuple[int, int, str]] = field(default_factory=list)  # requests that were made of it: tick, tick of origin, words
    _tasks: set[str] = field(default_factory=set)  # tasks that were
    _guess: str = ""  # the words of the last estimate that held some of it
    _until: int = -1  # up to this tick decisions may quote it

    def __post_init__(self) -> None:
        self._until = self.last + self._near

    @property
    def begin(self) -> int:
        """The first micro-turn to look at: with words the evidence before the stretch counts too."""
        return max(0, self.first - self.clock.ticks_in(EVIDENCE_S)) if self._side else self.first

    @property
    def end(self) -> int | None:
        """The last micro-turn to look at; None where there is no last one."""
        return None if self._side else self.last

    def of_tick(self, tick: int, events: Sequence[Row], payloads: Sequence[Row]) -> Gone:
        """What goes of a micro-turn. Raises TraceError for an event that cannot be read."""
        inside = self.first <= tick <= self.last
        gone = [row.key for row in payloads if row.label == self.stream and inside]
        if not self._side:
            return Gone(payloads=tuple(gone))
        read = list(self._read(tick, events))
        heard = self._hear(tick, inside, read, payloads)
        if tick < self.first and not heard:
            return Gone()
        for event in read:
            if event.kind == DelegationRequested.kind and tick >= self.first:
                with _readable(event.kind, tick):
                    self._look_at_request(tick, inside, event.body)
        going, told_less = self._going(tick, inside, read, heard)
        changed = {event.kind for event in read if event.key in going} | {one.kind for one in told_less}
        said = inside or self._noted(read, heard)
        gone += [row.key for row in payloads if row.label != self.stream and self._repeated_in(row, inside, said, changed)]
        return Gone(tuple(going), tuple(gone), tuple(told_less))

    # --- what was said ---

    @property
    def _side(self) -> str:
        return CARRIES.get(self.stream, "") if self.words else ""

    @property
    def _near(self) -> int:
        return self.clock.ticks_in(NEAR_S)

    def _read(self, tick: int, events: Sequence[Row]) -> Iterator[_Read]:
        for row in events:
            if row.label in (*WORDS, *TEXTED, IntentEstimated.kind, GuardActed.kind) or row.label.startswith(OF_WORK):
                with _readable(row.label, tick):
                    yield _Read(row.key, row.label, dict(json.loads(row.text)))

    def _hear(self, tick: int, inside: bool, read: Sequence[_Read], payloads: Sequence[Row]) -> set[int]:
        """Take up the words of a micro-turn; the keys of those that sounded in the stretch."""
        found = set()
        for event in read:
            if event.kind not in WORDS:
                continue
            with _readable(event.kind, tick):
                side = MODEL if event.body.get("side") == MODEL else USER
                start_s, end_s = float(event.body["start_s"]), float(event.body["end_s"])
                of_it = side == self._side and self._overlaps(start_s, end_s)
                self._take_up(side, event.body["word"], start_s, of_it)
                if of_it:
                    found.add(event.key)
        for row in payloads:
            side = {USER_TEXT: USER, AGENT_TEXT: MODEL}.get(row.label, "")
            if side:
                self._take_up(side, row.text, self.clock.seconds(tick), inside and side == self._side)
        return found

    def _take_up(self, side: str, text: str, at_s: float, of_it: bool) -> None:
        if side == MODEL and self._side == USER:
            return  # an agent that repeats what it was told makes that no less the user's
        for word in spoken_words(text):
            before_s, was_of_it = self._heard.get(word, (at_s, False))
            if of_it or not was_of_it or at_s > before_s + SAME_S:
                self._heard[word] = max(at_s, before_s), of_it

    def _overlaps(self, start_s: float, end_s: float) -> bool:
        from_s, to_s = self.clock.seconds(self.first), self.clock.seconds(self.last + 1)
        return start_s < to_s - 1e-9 and max(end_s, start_s + 1e-6) > from_s + 1e-9

    def _made_of_it(self, text: str, at_s: float) -> bool:
        """Whether a text of that time was made of words of the stretch; so it is, shortly after it, if nobody was heard to say them."""
        soon = at_s <= self.clock.seconds(self.last + 1) + NEAR_S
        if self._side in (SEEN, WORK):
            return soon and self._side == SEEN  # no word tells whether it is about something that was shown
        for word in spoken_words(text):
            said_s, of_it = self._heard.get(word, (-EVIDENCE_S - 1, False))
            old = said_s < at_s - EVIDENCE_S
            if (of_it and not old) or (old and soon and self._side == USER):
                return True
        return False

    @staticmethod
    def _noted(read: Sequence[_Read], heard: set[int]) -> bool:
        """Whether a word of the stretch was noted in a micro-turn; a true word only tells what there was to be heard."""
        return any(event.key in heard and event.kind == TranscriptDelta.kind for event in read)

    # --- what was made of it ---

    def _look_at_request(self, tick: int, inside: bool, body: dict[str, Any]) -> None:
        at_s = float(body["at_s"])
        if inside or self._made_of_it(body.get("ask", ""), at_s):
            self._asks.append((tick, self.clock.tick_at(at_s), body.get("ask", "")))

    def _going(self, tick: int, inside: bool, read: Sequence[_Read], heard: set[int]) -> tuple[set[int], list[Redacted]]:
        going, told_less = set(heard), []
        words_came = self._noted(read, heard)
        for event in read:
            with _readable(event.kind, tick):
                if event.kind not in (*WORDS, *TEXTED) and self._goes(tick, inside, event, words_came):
                    going.add(event.key)
        if going:
            self._until = max(self._until, tick + self._near)
        for event in read:
            if event.kind not in TEXTED:
                continue
            if self._side == MODEL and (inside or words_came):
                going.add(event.key)
            elif tick <= self._until and (tick >= self.first or words_came):
                with _readable(event.kind, tick):
                    left = redacted(event.body)
                    if left != event.body:
                        told_less.append(Redacted(event.key, tick, event.kind, json.dumps(left, separators=(",", ":")).encode()))
        return going, told_less

    def _goes(self, tick: int, inside: bool, event: _Read, words_came: bool) -> bool:
        body = event.body
        match event.kind:
            case IntentEstimated.kind:
                return self._side == USER and self._estimated(inside, body["words"], words_came)
            case _ if tick < self.first:  # a word sounds on into the stretch
                return False
            case GuardActed.kind:
                return self._guarded(inside, body)
            case DelegationRequested.kind:
                return any(asked == tick and ask == body.get("ask", "") for asked, _, ask in self._asks)
            case _:
                return self._worked(tick, inside, event)

    def _estimated(self, inside: bool, words: str, words_came: bool) -> bool:
        """An estimate repeats its whole utterance, and the next one begins as this one does."""
        holds = words_came or (bool(self._guess) and words.startswith(f"{self._guess} "))
        self._guess = words if holds else ""
        return holds or inside

    def _guarded(self, inside: bool, body: dict[str, Any]) -> bool:
        at_s = float(body["at_s"])
        asked = body["direction"] == "in"
        if self._side == USER:
            return inside or (asked and self._overlaps(float(body.get("since_s", 0.0)), at_s))
        return self._side == MODEL and not asked and (inside or self._made_of_it(body["phrase"], at_s))

    def _worked(self, tick: int, inside: bool, event: _Read) -> bool:
        """Whether what is told of slow work goes; a task that was made of the stretch goes from then on, with all that is told of it."""
        body, asks = event.body, [one for one in self._asks if tick - one[0] <= TAKEN_UP]
        task = str(body.get("task") or str(body.get("question", "")).partition(".")[0])
        made = any(ask and (ask == body.get("ask") or ask in str(body.get("cause", ""))) for _, _, ask in asks)
        if event.kind == DelegationCreated.kind:
            origin = int(body["origin_tick"])
            made = made or any(origin == began for _, began, _ in self._asks) or self._made_of_it(body["ask"], self.clock.seconds(origin))
        if made and task:
            self._tasks.add(task)
        if inside or made or task in self._tasks:
            return True
        at_s = self.clock.seconds(tick)
        if event.kind in (ConsentGiven.kind, ConsentUncounted.kind):
            return self._made_of_it(" ".join(body.get("words", ())), at_s)
        return not task and self._made_of_it(body.get("ask", ""), at_s)

    def _repeated_in(self, row: Row, inside: bool, said: bool, changed: set[str]) -> bool:
        """Whether the payload of another stream repeats what goes; `said`: of this micro-turn there is what sounds in the stretch."""
        if row.label == AGENT_TEXT:
            return said and self.stream == AGENT_AUDIO
        if row.label not in REPEATED_ON:
            return False
        if row.label == AGENT_TASKS:
            return inside or not changed.isdisjoint(TOLD)
        return inside or any(str(body.get("task")) in self._tasks for body in bodies(row.text))


@contextmanager
def _readable(kind: str, tick: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise TraceError(
            f"event {kind!r} in tick {tick} is not readable ({error!r}); the file is damaged: restore it from a copy"
        ) from error
