"""Events of what watches over an agent: a guard that stepped in, and what the user seems to be asking for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from workbench.events_base import EventBase


@dataclass(frozen=True, kw_only=True)
class GuardActed(EventBase):
    """A guard found `phrase` in what came in ("in") or was about to be heard ("out"), and what it did: cut, withheld, refused."""

    kind: ClassVar[str] = "guard.acted"
    at_s: float
    direction: str
    phrase: str
    did: str


@dataclass(frozen=True, kw_only=True)
class IntentEstimated(EventBase):
    """What the user seems to be asking for, by the `words` so far: the likeliest intents with their probabilities, the first the most."""

    kind: ClassVar[str] = "intent.estimated"
    at_s: float
    words: str
    top: tuple[tuple[str, float], ...]


RulesEvent: TypeAlias = GuardActed | IntentEstimated
