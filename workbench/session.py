"""The bus: at tick t each participant hears what the others said at t-1. There is one loop, and it is here."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from workbench.clock import ClockSpec, RealTime, Tick, few_pauses
from workbench.errors import InputError
from workbench.events import DeadlineMissed, Edited, Event
from workbench.packets import MicroTurn, Packet, misfit, only

FIRST_TICK = Tick(0)
State: TypeAlias = Any  # whatever a participant needs from one tick to the next; copied by fork()


@dataclass(frozen=True)
class Said:
    """What a participant says in one tick; `done` asks the session to end after it."""

    packets: tuple[Packet, ...] = ()
    events: tuple[Event, ...] = ()
    done: bool = False


Instead: TypeAlias = Said | Callable[[Said], Said]
"""What is said in place of what would have been: itself, or a function of the other."""


@runtime_checkable
class Participant(Protocol):
    """Anyone in a session: a simulated, recorded or live user, an agent, a background worker.

    `speaks` and `hears` name streams; a stream has one owner. All that changes lives in the state passed in and returned, so a session
    can be forked. `workbench.check.check_participant` tells whether your own class keeps these rules.
    """

    @property
    def name(self) -> str: ...
    @property
    def speaks(self) -> tuple[str, ...]: ...
    @property
    def hears(self) -> tuple[str, ...]: ...
    def spec(self) -> Mapping[str, Any]: ...
    def start(self, clock: ClockSpec, seed: int) -> State: ...
    def step(self, state: State, tick: Tick, heard: MicroTurn) -> tuple[Said, State]: ...


@runtime_checkable
class Together(Protocol):
    """A participant that can step many sessions at once (a batched model). Row i of the result belongs to row i of the input."""

    def step_many(self, states: Sequence[State], ticks: Sequence[Tick], heard: Sequence[MicroTurn]) -> list[tuple[Said, State]]: ...


class Sink(Protocol):
    """Takes each finished micro-turn: an in-memory trace, a file, a live view."""

    def append(self, turn: MicroTurn) -> None: ...


@dataclass
class Session:
    """A running conversation: participants, their states, and the micro-turn they will hear next."""

    participants: tuple[Participant, ...]
    clock: ClockSpec
    seed: int
    states: list[State]
    tick: Tick = FIRST_TICK
    last: MicroTurn = field(default_factory=lambda: MicroTurn(Tick(-1)))
    sinks: tuple[Sink, ...] = ()
    done: bool = False

    @classmethod
    def start(
        cls,
        participants: Sequence[Participant],
        *,
        clock: ClockSpec | None = None,
        seed: int = 0,
        sinks: Sequence[Sink] = (),
    ) -> Session:
        """A session before its first tick. Raises InputError when two participants claim one name or one stream."""
        clock = clock or ClockSpec()
        _check_owners(participants)
        states = [p.start(clock, seed) for p in participants]
        return cls(tuple(participants), clock, seed, states, sinks=tuple(sinks))

    def step(self, instead: Mapping[str, Instead] | None = None) -> MicroTurn:
        """One tick. `instead` replaces what the named participants say in it, or makes something else of it: the edit of a what-if."""
        return advance([self], [instead or {}])[0]

    def run(self, ticks: int, pace: RealTime | None = None) -> Session:
        """Up to `ticks` more micro-turns, ending early once a participant says it is done; paced by `pace` when given."""
        with few_pauses() if pace else nullcontext():
            for _ in range(ticks):
                if self.done:
                    break
                late_ms = pace.wait(self.tick) if pace else 0.0
                missed = (DeadlineMissed(late_ms=late_ms),) if pace and late_ms > pace.late_ms else ()
                advance([self], [{}], missed)
        return self

    def let_go(self) -> None:
        """End for good: no step follows. What participants have going on elsewhere ends with their states, unless a fork goes on."""
        self.done, self.states = True, []

    def fork(self, sinks: Sequence[Sink] = ()) -> Session:
        """A copy with the same past and its own future; writes to `sinks` only."""
        states = [clone_state(state) for state in self.states]
        return Session(self.participants, self.clock, self.seed, states, self.tick, self.last, tuple(sinks), self.done)

    def specs(self) -> dict[str, Mapping[str, Any]]:
        """Name and settings of every participant, from which a trace can rebuild the run."""
        return {p.name: p.spec() for p in self.participants}


def advance(
    sessions: Sequence[Session],
    instead: Sequence[Mapping[str, Instead]] | None = None,
    also: tuple[Event, ...] = (),
) -> list[MicroTurn]:
    """One tick of every session; sessions that share a batched participant are stepped through it together."""
    edits = instead if instead is not None else [{}] * len(sessions)
    said: list[list[Said]] = [[] for _ in sessions]
    for slot in range(max(len(s.participants) for s in sessions)):
        for group in _groups(sessions, slot):
            _step_group(sessions, group, slot, said)
    turns = []
    for session, spoken, edit in zip(sessions, said, edits, strict=True):
        spoken, edited = _apply(session, spoken, edit)
        turns.append(_close(session, spoken, (*also, *edited)))
    return turns


def _groups(sessions: Sequence[Session], slot: int) -> list[list[int]]:
    by_participant: dict[int, list[int]] = {}
    for row, session in enumerate(sessions):
        if slot < len(session.participants):
            by_participant.setdefault(id(session.participants[slot]), []).append(row)
    return list(by_participant.values())


def _step_group(sessions: Sequence[Session], rows: list[int], slot: int, said: list[list[Said]]) -> None:
    participant = sessions[rows[0]].participants[slot]
    heard = [only(sessions[row].last, participant.hears) for row in rows]
    if len(rows) > 1 and isinstance(participant, Together):
        states = [sessions[row].states[slot] for row in rows]
        results = participant.step_many(states, [sessions[row].tick for row in rows], heard)
    else:
        results = [participant.step(sessions[row].states[slot], sessions[row].tick, h) for row, h in zip(rows, heard, strict=True)]
    for row, (spoken, state) in zip(rows, results, strict=True):
        sessions[row].states[slot] = state
        said[row].append(spoken)


def _apply(session: Session, spoken: list[Said], edit: Mapping[str, Instead]) -> tuple[list[Said], tuple[Event, ...]]:
    if not edit:
        return spoken, ()
    names = [p.name for p in session.participants]
    for name in edit:
        if name not in names:
            raise InputError(f"no participant {name!r} to edit; this session has {', '.join(names)}")
    changed = []
    for name, own in zip(names, spoken, strict=True):
        other = edit.get(name, own)
        changed.append(other(own) if callable(other) else other)
    return changed, tuple(Edited(participant=name) for name in edit)


def _close(session: Session, spoken: list[Said], also: tuple[Event, ...]) -> MicroTurn:
    samples, carried = session.clock.samples_per_tick, set[str]()
    for participant, own in zip(session.participants, spoken, strict=True):
        for packet in own.packets:
            if packet.stream not in participant.speaks or packet.tick != session.tick:
                raise InputError(
                    f"{participant.name!r} put a packet on {packet.stream!r} for tick {packet.tick} during tick {session.tick}; "
                    f"it may speak {participant.speaks} for the current tick only"
                )
            if wrong := misfit(packet.stream, packet.payload, samples):
                raise InputError(f"{participant.name!r} put on {packet.stream!r} in tick {session.tick}: {wrong}")
            if packet.stream in carried:
                raise InputError(
                    f"{participant.name!r} put several packets on {packet.stream!r} in tick {session.tick}; "
                    "a stream carries one per tick: join them"
                )
            carried.add(packet.stream)
    turn = MicroTurn(
        session.tick,
        tuple(packet for own in spoken for packet in own.packets),
        tuple(event for own in spoken for event in own.events) + also,
    )
    for sink in session.sinks:
        sink.append(turn)
    session.last = turn
    session.tick = Tick(session.tick + 1)
    session.done = session.done or any(own.done for own in spoken)
    return turn


def _check_owners(participants: Sequence[Participant]) -> None:
    owners: dict[str, str] = {}
    names: set[str] = set()
    for participant in participants:
        if participant.name in names:
            raise InputError(f"two participants are called {participant.name!r}; give each its own name")
        names.add(participant.name)
        for stream in participant.speaks:
            if stream in owners:
                raise InputError(
                    f"stream {stream!r} is spoken by both {owners[stream]!r} and {participant.name!r}; give each stream one owner"
                )
            owners[stream] = participant.name


def clone_state(state: State) -> State:
    """A copy of a participant's state that goes its own way."""
    clone = getattr(state, "clone", None)
    return clone() if callable(clone) and not isinstance(state, type) else copy.deepcopy(state)
