"""Events of what watches over an agent: a guard that stepped in, what the user seems to be asking for, and what a session costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from workbench.events_base import EventBase


@dataclass(frozen=True, kw_only=True)
class GuardActed(EventBase):
    """A guard found `phrase` in what came in ("in") or was about to be heard ("out"), and what it did: cut, withheld, refused.

    Of what came in `since_s` tells when the user began to ask so: slow work that was asked for or changed since then ends. Otherwise it is
    `at_s`.
    """

    kind: ClassVar[str] = "guard.acted"
    at_s: float
    direction: str
    phrase: str
    did: str
    since_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class IntentEstimated(EventBase):
    """What the user seems to be asking for, by the `words` so far: the likeliest intents with their probabilities, the first the most."""

    kind: ClassVar[str] = "intent.estimated"
    at_s: float
    words: str
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class SessionCost(EventBase):
    """What the session has cost up to `at_s`: positions and operations of the model, what it took to compute, the slow work, bytes kept."""

    kind: ClassVar[str] = "session.cost"
    volatile: ClassVar[bool] = True
    at_s: float
    positions: int
    flops: float
    computed_ms: float
    tasks: int
    background_s: float
    background_tokens: int
    tool_calls: int
    kept_bytes: int


@dataclass(frozen=True, kw_only=True)
class LimitReached(EventBase):
    """The session ends after this tick, because as much of what `limit` names was `used` as it may use at most."""

    kind: ClassVar[str] = "session.limit"
    volatile: ClassVar[bool] = True
    at_s: float
    limit: str
    used: float
    most: float


RulesEvent: TypeAlias = GuardActed | IntentEstimated | SessionCost | LimitReached
