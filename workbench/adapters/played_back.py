"""An agent that ran elsewhere, as its trace has it: nobody is asked again, so what it would have answered otherwise is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.adapters.remote import TOLD
from workbench.clock import ClockSpec, Tick
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, MicroTurn
from workbench.session import Said
from workbench.trace import Trace


class PlayedBack:
    """Says what the remote agent of a trace said, tick by tick, whatever it hears; silent beyond the end."""

    def __init__(self, trace: Trace, name: str = "agent") -> None:
        self.name = name
        self.speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
        self.hears: tuple[str, ...] = ()
        self._spec = dict(trace.header.participants.get(name, {}))
        self._said = [_agent_side(turn) for turn in trace.turns]

    def spec(self) -> Mapping[str, Any]:
        return self._spec

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        return (self._said[tick] if tick < len(self._said) else Said()), None


def _agent_side(turn: MicroTurn) -> Said:
    packets = tuple(packet for packet in turn.packets if packet.stream in (AGENT_AUDIO, AGENT_TEXT))
    return Said(packets, tuple(event for event in turn.events if isinstance(event, TOLD)))
