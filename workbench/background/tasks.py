"""A delegated task and the states it may go through; every change is an event with its cause.

    queued -> running -> completed -> delivering -> delivered
                 |                         |
                 +-> failed <--------------+          anything but delivering may turn stale
                 +-> cancelling -> cancelled          what does not run is cancelled at once

A task goes back from running to queued when the user amends it or is asked for consent, from delivering to completed when the user cut the
answer off, and from running to completed, as it was before, when what a reminder was to be changed to comes to nothing. It is delivered
only when its words have left the loudspeaker; one whose words the agent cannot say fails, unless it is to be seen. `failed`, `cancelled`,
`stale` and `delivered` are final. Names follow Realtime-Venus-Harness, which has no `stale`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from workbench.background.parts import Answer, Envelope, NeedsConsent, Word
from workbench.clock import Tick
from workbench.events_background import DelegationChanged
from workbench.session import FIRST_TICK

QUEUED, RUNNING, COMPLETED, DELIVERING, DELIVERED = "queued", "running", "completed", "delivering", "delivered"
FAILED, CANCELLING, CANCELLED, STALE = "failed", "cancelling", "cancelled", "stale"
FINAL = (DELIVERED, FAILED, CANCELLED, STALE)

NEXT: Mapping[str, tuple[str, ...]] = {
    QUEUED: (RUNNING, CANCELLED, STALE),
    RUNNING: (QUEUED, COMPLETED, FAILED, CANCELLING, STALE),
    COMPLETED: (DELIVERING, QUEUED, DELIVERED, CANCELLED, STALE),
    DELIVERING: (DELIVERED, COMPLETED, QUEUED, FAILED, CANCELLED),
    CANCELLING: (CANCELLED,),
    **dict.fromkeys(FINAL, ()),
}

SCHEDULES = ("silent", "when_idle", "interrupt")
URGENCIES = ("low", "normal", "high")


@dataclass(frozen=True)
class Saying:
    """Words that the user should hear, and what the agent has said since it was handed them; `without` what it cannot say."""

    words: tuple[str, ...]
    since_s: float
    said: tuple[Word, ...] = ()
    without: tuple[str, ...] = ()

    def with_words(self, new: tuple[Word, ...]) -> Saying:
        """With more of the agent's words, those that began to sound since it was handed the text."""
        return replace(self, said=(*self.said, *(word for word in new if word.start_s >= self.since_s)))

    def only(self, words: tuple[str, ...]) -> Saying:
        """With no more of the words to be heard than these, which are among them."""
        return replace(self, words=words, without=tuple(word for word in self.words if word not in words))

    def cut(self, at_s: float) -> Saying:
        """Without what had not sounded to its end when the agent gave way."""
        return replace(self, said=tuple(word for word in self.said if word.end_s <= at_s))

    def unheard(self, heard_s: float) -> tuple[str, ...]:
        """The words not said, in their order, by what the loudspeaker has played."""
        played = iter([word.word for word in self.said if word.end_s <= heard_s + 1e-9])
        left = list(self.words)
        for word in played:
            if left and word == left[0]:
                left.pop(0)
        return tuple(left)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One delegation: since when it is in its state, how many parts its run has sent, how often its answer was handed over.

    `asked_s` is when it was last asked for or changed. Answers in words that do not count have been told of up to `uncounted_s`. `before`
    is the task as it was last answered, where it was amended since: if that fails, what it was stands, or may be amended otherwise.
    """

    envelope: Envelope
    asked_s: float
    state: str = QUEUED
    since: Tick = FIRST_TICK
    began: Tick = FIRST_TICK
    parts: int = 0
    partials: tuple[str, ...] = ()
    answer: Answer | None = None
    saying: Saying | None = None
    consent: NeedsConsent | None = None
    offers: int = 0
    uncounted_s: float = 0.0
    before: Task | None = None

    @property
    def id(self) -> str:
        return self.envelope.task

    @property
    def question(self) -> str:
        """The name of the question of consent that this run may ask; every run is a new one."""
        return f"{self.id}.{self.envelope.run}"

    @property
    def to_say(self) -> str:
        """What is to be spoken of its answer, or its question of consent while that is open; "" where there is neither."""
        if self.consent is not None:
            return self.consent.text
        return "" if self.answer is None else self.answer.say or self.answer.text

    @property
    def live(self) -> bool:
        return self.state not in FINAL

    @property
    def base(self) -> Task | None:
        """The task as it was last answered: itself, or what an amendment that failed was made to; None if it never was."""
        return replace(self, before=None) if self.answer is not None else self.before

    def waits(self, now_s: float) -> bool:
        """Whether all is done but to wait for the hour at which its answer is due."""
        return self.state == COMPLETED and self.answer is not None and self.answer.due_s > now_s + 1e-9


def moved(task: Task, to: str, cause: str, tick: Tick) -> tuple[Task, DelegationChanged]:
    """The task in another state, and the event that says so. A step that NEXT does not allow is a mistake of ours."""
    assert to in NEXT[task.state], f"task {task.id} cannot go from {task.state} to {to} ({cause})"
    event = DelegationChanged(task=task.id, before=task.state, after=to, cause=cause, run=task.envelope.run)
    return replace(task, state=to, since=tick), event
