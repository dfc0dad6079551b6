"""A trace is a value: a header and micro-turns. Charts, scores and widgets read this and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from workbench.clock import ClockSpec
from workbench.events import Event
from workbench.packets import Audio, MicroTurn
from workbench.session import Session

E = TypeVar("E")


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a run was made of: enough to rebuild it.

    `consent` and `labels` are free mappings: consent says what was agreed to be kept, labels hold e.g. scenario family and voice.
    """

    clock: ClockSpec
    seed: int
    participants: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str] = field(default_factory=dict)
    consent: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""

    @classmethod
    def of(cls, session: Session, **more: Any) -> Header:
        """The header of a session that has not run yet."""
        return cls(clock=session.clock, seed=session.seed, participants=session.specs(), **more)


@dataclass
class Trace:
    """Header and micro-turns in memory; also the sink that a session writes into.

    `not_kept`: of a trace that was read from a file, the streams whose payloads that file was not to keep, each with its retention.
    """

    header: Header
    turns: list[MicroTurn] = field(default_factory=list)
    not_kept: Mapping[str, str] = field(default_factory=dict)

    def append(self, turn: MicroTurn) -> None:
        self.turns.append(turn)

    def __len__(self) -> int:
        return len(self.turns)

    @property
    def duration_s(self) -> float:
        return self.header.clock.seconds(len(self.turns))

    def events(self, *kinds: type[E]) -> Iterator[tuple[int, E]]:
        """Every (tick, event) of the given classes, in order."""
        for turn in self.turns:
            for event in turn.events:
                if isinstance(event, kinds):
                    yield turn.tick, event

    def all_events(self) -> Iterator[tuple[int, Event]]:
        """Every (tick, event), in order."""
        for turn in self.turns:
            for event in turn.events:
                yield turn.tick, event

    def audio(self, stream: str) -> Audio:
        """The whole of one audio stream, float32 (ticks * samples_per_tick,); silence where it carried nothing."""
        if not self.turns:
            return np.zeros(0, np.float32)
        silence = np.zeros(self.header.clock.samples_per_tick, np.float32)
        payloads = (turn.get(stream) for turn in self.turns)
        ticks = [payload if isinstance(payload, np.ndarray) else silence for payload in payloads]
        return np.concatenate(ticks, dtype=np.float32)


def record(session: Session, **more: Any) -> Trace:
    """Attach an in-memory trace to a session that has not begun, and return it."""
    trace = Trace(Header.of(session, **more))
    session.sinks = (*session.sinks, trace)
    return trace
