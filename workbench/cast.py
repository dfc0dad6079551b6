"""Who takes part in a scenario: the user and the agent, and where the script has something to look up a desk beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.background.backends import Simulated
from workbench.background.desk import Desk
from workbench.background.directory import Directory
from workbench.background.ledger import DeskSpec
from workbench.background.parts import TYPED, USER_SPEECH
from workbench.background.telling import Delegating
from workbench.scenarios.facts import Facts
from workbench.session import Participant
from workbench.users import ScriptedUser

QUIET_S = 0.8  # what the background knows is told once nobody has spoken for so long; an agent answers a question within that time
PLANTED_SHARE = 0.15  # of a result with an instruction in it: what was asked for is said with its first word


class Cast:
    """Gives every scenario the same agent. `of` is the participants of a session with a user."""

    def __init__(self, agent: Participant) -> None:
        self.agent = agent
        self._delegating = agent if isinstance(agent, Delegating) else Delegating(agent)

    def of(self, user: ScriptedUser) -> list[Participant]:
        """User and agent; where the script has facts, the agent beside a desk whose background knows them."""
        if user.script.facts is None:
            return [user, self.agent]
        share = PLANTED_SHARE if user.script.facts.planted else 1.0
        settings = DeskSpec(session=user.script.family, quiet_s=QUIET_S, sources=(USER_SPEECH, TYPED), said_share=share)
        return [user, self._delegating, Desk(Simulated(Directory(user.script.facts), latency_s=(0.0, 0.0)), settings)]


def directory_of(spec: Mapping[str, Any]) -> Directory:
    """The background of a scenario from its spec, as a trace keeps it."""
    return Directory(Facts(int(spec["salt"]), bool(spec.get("planted", False))))
