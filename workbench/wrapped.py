"""An agent around another one: it is named, speaks and hears as that one does, until it says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from workbench.clock import ClockSpec
from workbench.session import Participant, State, clone_state


@dataclass(frozen=True)
class WrappedState:
    """The clock of the session and the state of the agent inside; a fork copies that, and shares the rest, which does not change."""

    clock: ClockSpec
    agent: State

    def clone(self) -> Self:
        return replace(self, agent=clone_state(self.agent))


@dataclass(frozen=True)
class Wrapped:
    """What all agents around another one have in common; `start` and `step` are their own.

    Its spec names the class and the agent inside, from which a replay builds both again; a class with settings adds them.
    """

    agent: Participant

    @property
    def name(self) -> str:
        return self.agent.name

    @property
    def speaks(self) -> tuple[str, ...]:
        return self.agent.speaks

    @property
    def hears(self) -> tuple[str, ...]:
        return self.agent.hears

    def spec(self) -> Mapping[str, Any]:
        return {"class": type(self).__name__, "agent": dict(self.agent.spec())}

    @property
    def with_threshold(self) -> Callable[[float], Self] | None:
        """Gives the same with another bar for speaking; None for an agent that has none."""
        inner = getattr(self.agent, "with_threshold", None)
        return (lambda threshold: replace(self, agent=inner(threshold))) if callable(inner) else None
