"""Events of slow work: delegations and their states, what came back, tools that were called, consent that was asked for and given.

Names follow the crosswalk of OpenAI Live (`session.delegation.created`), Gemini Live (`scheduling`, `will_continue`) and Pipecat's jobs.
Times are seconds on the session clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from workbench.events_base import EventBase


@dataclass(frozen=True, kw_only=True)
class DelegationRequested(EventBase):
    """The agent wants slow work begun, changed or ended.

    `act` is open, amend or cancel. `task` names which (empty: the newest that lives; for cancel, "*": all). `at_s` is when the agent began
    to say so: evidence that came later does not count. `source` says whose words the ask repeats; it is set by whoever listens along, never
    by the agent itself (`workbench.background.authority`); user.misheard is a change that only the user can have wished for, though nobody
    was heard to say it. `schedule` is silent, when_idle or interrupt, `urgency` low, normal or high;
    `expires_s` is how long the answer is of use. `barred` are phrases of a guard that a change may complete: where it does so in the work
    that it changes, that work ends.
    """

    kind: ClassVar[str] = "delegation.requested"
    act: str
    at_s: float
    ask: str = ""
    task: str = ""
    source: str = ""
    schedule: str = "when_idle"
    urgency: str = "normal"
    expires_s: float = 60.0
    barred: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DelegationRefused(EventBase):
    """A request that was not carried out, and why."""

    kind: ClassVar[str] = "delegation.refused"
    act: str
    ask: str
    cause: str


@dataclass(frozen=True, kw_only=True)
class DelegationCreated(EventBase):
    """A task exists from now on. What was said up to `origin_tick` is its evidence: `words` of them went along, and `earlier` results."""

    kind: ClassVar[str] = "delegation.created"
    task: str
    session: str
    ask: str
    origin_tick: int
    source: str
    schedule: str
    urgency: str
    expires_at_s: float
    words: int = 0
    earlier: int = 0


@dataclass(frozen=True, kw_only=True)
class DelegationMerged(EventBase):
    """The same was asked while `task` was still under way; there is one answer to both."""

    kind: ClassVar[str] = "delegation.merged"
    task: str
    ask: str


@dataclass(frozen=True, kw_only=True)
class DelegationChanged(EventBase):
    """A task went from one state to another, and why. `run` counts how often its work was begun."""

    kind: ClassVar[str] = "delegation.state"
    task: str
    before: str
    after: str
    cause: str
    run: int = 0


@dataclass(frozen=True, kw_only=True)
class DelegationNote(EventBase):
    """The agent was handed something that is no result: `what` is partial, ask or problem."""

    kind: ClassVar[str] = "delegation.note"
    task: str
    what: str
    text: str
    schedule: str


@dataclass(frozen=True, kw_only=True)
class DelegationResult(EventBase):
    """The agent was handed the result, `waited_s` after it was asked for.

    `about` repeats the ask when the result comes so late that it needs an introduction. It is delivered only when it has been heard.
    """

    kind: ClassVar[str] = "delegation.result"
    task: str
    text: str
    schedule: str
    waited_s: float
    about: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BackgroundArrived(EventBase):
    """What the background sent for a task was taken up in this tick; a replay takes it up in the same one."""

    kind: ClassVar[str] = "background.arrived"
    task: str
    run: int
    part: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class BackgroundDropped(EventBase):
    """What came of a task was thrown away, and why: the task is over or was begun anew, or it failed and nobody wants to know any more."""

    kind: ClassVar[str] = "background.dropped"
    task: str
    run: int
    cause: str


@dataclass(frozen=True, kw_only=True)
class ToolUsed(EventBase):
    """A tool was wanted for a task: `done` is ran, failed, asked or refused, with the reason; `chars` came back."""

    kind: ClassVar[str] = "tool.used"
    task: str
    tool: str
    arguments: Mapping[str, Any]
    permission: str
    done: str
    reason: str
    chars: int = 0


@dataclass(frozen=True, kw_only=True)
class ConsentAsked(EventBase):
    """The user is asked whether a tool may be called with these arguments; `how` is voice or click, `call` names that very call.

    `question` names this asking of it, `reason` is what the user wanted in the first place, and after `until_s` no answer counts any more.
    """

    kind: ClassVar[str] = "consent.asked"
    task: str
    call: str
    tool: str
    arguments: Mapping[str, Any]
    how: str
    text: str
    question: str = ""
    reason: str = ""
    until_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ConsentClicked(EventBase):
    """On a page that showed a question from `shown_s` on, the person pressed a button.

    `text` is the question as it was shown, `version` the digest of all that was shown with it (`workbench.live.questions`).
    """

    kind: ClassVar[str] = "consent.clicked"
    volatile: ClassVar[bool] = True  # what counts is the packet of the same tick, which is compared
    question: str
    given: bool
    text: str
    version: str
    shown_s: float


@dataclass(frozen=True, kw_only=True)
class ConsentGiven(EventBase):
    """The user's answer, or its absence: `given` with the words, the click or the silence that say so."""

    kind: ClassVar[str] = "consent.given"
    task: str
    call: str
    given: bool
    how: str
    words: tuple[str, ...] = field(default=())
    question: str = ""


@dataclass(frozen=True, kw_only=True)
class ConsentWithdrawn(EventBase):
    """A question is not open any more, though nobody answered it: its task was changed, called off, or is of no use any more."""

    kind: ClassVar[str] = "consent.withdrawn"
    task: str
    question: str
    cause: str


@dataclass(frozen=True, kw_only=True)
class ConsentUncounted(EventBase):
    """The user said or typed an answer to an open question that is not answered so: `words`, how they came, and why they do not count."""

    kind: ClassVar[str] = "consent.uncounted"
    task: str
    question: str
    words: tuple[str, ...]
    source: str
    cause: str


BackgroundEvent: TypeAlias = (
    DelegationRequested
    | DelegationRefused
    | DelegationCreated
    | DelegationMerged
    | DelegationChanged
    | DelegationNote
    | DelegationResult
    | BackgroundArrived
    | BackgroundDropped
    | ToolUsed
    | ConsentAsked
    | ConsentClicked
    | ConsentGiven
    | ConsentWithdrawn
    | ConsentUncounted
)
