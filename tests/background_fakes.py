"""An agent that says what it is told, and background agents that answer as written down, for the tests of slow work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.background.backends import Simulated
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.notes import Note, notes_of
from workbench.background.parts import Answer, BackgroundAgent, Envelope, Part, Stop
from workbench.background.telling import Delegating
from workbench.background.words import spoken_words
from workbench.clock import ClockSpec, Tick
from workbench.events import Event, ModelSpeechStarted, ModelSpeechStopped, ModelYielded, TranscriptDelta
from workbench.events_background import DelegationChanged, DelegationRequested
from workbench.packets import AGENT_TEXT, BACKGROUND_TEXT, USER_TEXT, MicroTurn, Packet
from workbench.session import Said, Session
from workbench.trace import Trace, record

CLOCK = ClockSpec(tick_ms=200, sample_rate=1000)


def heard(*phrases: tuple[int, str], side: str = "user") -> dict[int, tuple[Event, ...]]:
    """Words as an agent hears them, each phrase in its tick."""
    found: dict[int, tuple[Event, ...]] = {}
    for tick, phrase in phrases:
        at_s, words = CLOCK.seconds(tick), phrase.split()
        step_s = CLOCK.tick_s / len(words)
        deltas = [
            TranscriptDelta(side=side, word=w, start_s=at_s + i * step_s, end_s=at_s + (i + 0.9) * step_s) for i, w in enumerate(words)
        ]
        found[tick] = (*found.get(tick, ()), *deltas)
    return found


def asks(tick: int, ask: str, act: str = "open", **more: Any) -> dict[int, tuple[Event, ...]]:
    """The request of an agent in a tick."""
    return {tick: (DelegationRequested(act=act, ask=ask, at_s=CLOCK.seconds(tick), **more),)}


def together(*plans: Mapping[int, tuple[Event, ...]]) -> dict[int, tuple[Event, ...]]:
    """Several plans as one; in a tick the events of the first come first."""
    return {tick: tuple(e for plan in plans for e in plan.get(tick, ())) for tick in sorted({t for plan in plans for t in plan})}


def asked(tick: int, ask: str, **more: Any) -> dict[int, tuple[Event, ...]]:
    """The user says something, and the agent requests just that in the next tick."""
    return together(heard((tick, ask)), asks(tick + 1, ask, **more))


@dataclass(frozen=True)
class Mouthful:
    """Words still to be said, and whether the voice sounds."""

    words: tuple[str, ...] = ()
    talking: bool = False


@dataclass(frozen=True)
class PlannedAgent:
    """Has the events of its plan, and says every result and question it is handed, two words a tick; a yield ends that."""

    plan: Mapping[int, tuple[Event, ...]]
    says_notes: bool = True
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_TEXT,)
    hears: tuple[str, ...] = (USER_TEXT, BACKGROUND_TEXT)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "PlannedAgent"}

    def start(self, clock: ClockSpec, seed: int) -> Mouthful:
        return Mouthful()

    def step(self, state: Mouthful, tick: Tick, heard: MicroTurn) -> tuple[Said, Mouthful]:
        events = list(self.plan.get(tick, ()))
        if any(isinstance(event, ModelYielded) for event in events):
            return Said(events=(*events, ModelSpeechStopped(at_s=CLOCK.seconds(tick)))), Mouthful()
        notes = [note for note in notes_of(heard) if note.what in ("result", "ask") and note.schedule != "silent"]
        new = [word for note in notes for word in spoken_words(note.text)] if self.says_notes else []
        words, at_s = (*state.words, *new), CLOCK.seconds(tick)
        if words and not state.talking:
            events.append(ModelSpeechStarted(at_s=at_s))
        events += [
            TranscriptDelta(side="model", word=w, start_s=at_s + i * 0.1, end_s=at_s + i * 0.1 + 0.09) for i, w in enumerate(words[:2])
        ]
        if not words and state.talking:
            events.append(ModelSpeechStopped(at_s=at_s))
        packets = (Packet(AGENT_TEXT, tick, " ".join(words[:2])),) if words else ()
        return Said(packets, tuple(events)), Mouthful(words[2:], bool(words))


@dataclass(frozen=True)
class Typist:
    """A user who says nothing but what stands in the plan, on any stream."""

    plan: Mapping[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    speaks: tuple[str, ...] = (USER_TEXT,)
    name: str = "user"
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Typist"}

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        return Said(tuple(Packet(stream, tick, text) for stream, text in self.plan.get(tick, ()))), None


@dataclass(frozen=True)
class Knows:
    """Gives the parts that stand beside the ask; with amendments, those of the last amendment."""

    parts: Mapping[str, tuple[Part, ...]]
    name: str = "knows"

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Knows"}

    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Part]:
        key = envelope.amendments[-1] if envelope.amendments else envelope.ask
        return self.parts.get(key, (Answer(text=f"answer to {key}"),))


def conversation(
    plan: Mapping[int, tuple[Event, ...]],
    agent: BackgroundAgent | None = None,
    *,
    user: Typist | None = None,
    latency_s: float = 1.0,
    seed: int = 0,
    says_notes: bool = True,
    **settings: Any,
) -> Session:
    """A session of the planned agent and a desk, in simulated time, with every answer `latency_s` after it is begun."""
    desk = Desk(Simulated(agent or Knows({}), (latency_s, latency_s)), DeskSpec(**settings))
    return Session.start([user or Typist(), Delegating(PlannedAgent(plan, says_notes)), desk], clock=CLOCK, seed=seed)


def played(session: Session, ticks: int) -> Trace:
    """The session run for so many ticks, as a trace."""
    trace = record(session)
    session.run(ticks)
    return trace


def states(trace: Trace, task: str = "1") -> list[str]:
    """The states a task went through, after queued."""
    return [event.after for _, event in trace.events(DelegationChanged) if event.task == task]


def causes(trace: Trace, task: str = "1") -> list[str]:
    """Why it did."""
    return [event.cause for _, event in trace.events(DelegationChanged) if event.task == task]


def handed(trace: Trace, what: str = "result") -> list[tuple[int, Note]]:
    """What the agent was handed, with the tick."""
    return [(turn.tick, note) for turn in trace.turns for note in notes_of(turn) if note.what == what]
