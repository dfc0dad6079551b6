"""Micro-turns as the messages that a timeline draws them from: one as it happens, or all of a finished session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np

from workbench.background.shown import things_of
from workbench.clock import ClockSpec
from workbench.events import (
    KINDS,
    AudioDropped,
    AudioLost,
    DeadlineMissed,
    Decision,
    Event,
    GatesActed,
    PlaybackPosition,
    TickCost,
    TranscriptDelta,
    Unknown,
    kind_of,
    to_json,
)
from workbench.explain import told as because
from workbench.live.ear import to_pcm
from workbench.live.protocol import OUTLINE_PAIRS, Drop, Pcm, TickDone
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, USER_TEXT, Audio, MicroTurn
from workbench.store_read import Reading
from workbench.trace import Trace

LOUDEST = 127
BLOCK = 100  # ticks whose waves are outlined together: few enough that their sound stays in reach of the cache
DELEGATION = "delegation."
TROUBLE = (DeadlineMissed, AudioLost, AudioDropped)
SAYS = {
    kind: tuple(f.name for f in fields(kind) if f.name not in ("extra", "at_s")) for kind in (*KINDS.values(), Unknown)
}  # beside its time


def tick_message(turn: MicroTurn, clock: ClockSpec, *, cost_ms: float, late_ms: float, lost: int) -> TickDone:
    """What a listener is told of a micro-turn that has just passed, with the agent's sound in it."""
    agent = turn.audio(AGENT_AUDIO, clock.samples_per_tick)
    passed = _Passed(cost_ms=cost_ms, late_ms=late_ms, lost=lost, heard=_played(turn, clock))
    return _tick(turn, clock, passed, outlines(_waves([turn], clock)), to_pcm(agent))


def told(trace: Trace | Reading, *, sound: bool = True) -> Iterator[TickDone | Drop]:
    """All that a page would have been told of a finished session while it ran, in order; without the agent's sound it is faster.

    Where no loudspeaker reported, as in a simulation, what the agent says counts as heard in the tick in which it is said. An open file is
    read as it is told: an hour of sound is never in memory at once.
    """
    clock = trace.header.clock
    if isinstance(trace, Trace):
        turns, played = iter(trace.turns), next(trace.events(PlaybackPosition), None) is not None
    else:
        turns, played = trace.turns(), trace.has(PlaybackPosition.kind)
    while block := list(islice(turns, BLOCK)):
        yield from _told(block, clock, sound=sound, played=played)


def told_of(turn: MicroTurn, clock: ClockSpec) -> Iterator[TickDone | Drop]:
    """What is told of one micro-turn of a simulation, without its sound."""
    return _told([turn], clock, sound=False, played=False)


def outlines(samples: Audio) -> list[list[tuple[int, ...]]]:
    """Of waves (ticks, sides, samples): lowest and highest value of each of ten equal stretches, in -127 to 127, one after the other."""
    ticks, sides, size = samples.shape
    edges = np.arange(OUTLINE_PAIRS) * size // OUTLINE_PAIRS
    low, high = (extreme.reduceat(samples, edges, axis=-1) for extreme in (np.minimum, np.maximum))
    pairs = np.clip(np.rint(np.stack([low, high], axis=-1) * LOUDEST), -LOUDEST, LOUDEST)
    return [[tuple(side) for side in tick] for tick in pairs.astype(int).reshape(ticks, sides, 2 * OUTLINE_PAIRS).tolist()]


@dataclass(frozen=True, kw_only=True)
class _Passed:
    """How a tick passed, beside what was said in it."""

    cost_ms: float
    late_ms: float
    lost: int
    heard: int | None


def _told(turns: Sequence[MicroTurn], clock: ClockSpec, *, sound: bool, played: bool) -> Iterator[TickDone | Drop]:
    size, nothing = clock.samples_per_tick, np.zeros(0, np.int16)
    for turn, waves in zip(turns, outlines(_waves(turns, clock)), strict=True):
        cost_ms, late_ms, lost = 0.0, 0.0, 0
        for event in turn.events:
            if isinstance(event, TickCost):
                cost_ms += sum(event.stages_ms.values())
            elif isinstance(event, TROUBLE):
                match event:
                    case DeadlineMissed(stage="begin"):
                        late_ms = event.late_ms
                    case AudioLost():
                        lost += event.samples
                    case AudioDropped():
                        yield Drop(from_position=event.position)
        heard = _played(turn, clock) if played else (turn.tick + 1) * size
        passed = _Passed(cost_ms=cost_ms, late_ms=late_ms, lost=lost, heard=heard)
        yield _tick(turn, clock, passed, [waves], to_pcm(turn.audio(AGENT_AUDIO, size)) if sound else nothing)


def _waves(turns: Sequence[MicroTurn], clock: ClockSpec) -> Audio:
    """(ticks, 2, samples): the user's and the agent's sound in each tick."""
    waves = np.empty((len(turns), 2, clock.samples_per_tick), np.float32)
    for both, turn in zip(waves, turns, strict=True):
        both[0], both[1] = (turn.audio(stream, clock.samples_per_tick) for stream in (USER_AUDIO, AGENT_AUDIO))
    return waves


def _tick(turn: MicroTurn, clock: ClockSpec, passed: _Passed, waves: list[list[tuple[int, ...]]], samples: Pcm) -> TickDone:
    [[user, agent]] = waves
    at_s = clock.seconds(turn.tick)
    words: list[tuple[Any, ...]] = []
    listed: list[tuple[str, float, str]] = []
    tasks: list[tuple[str, str, str]] = []
    decision: dict[str, Any] | None = None
    for event in turn.events:  # once: a finished hour has a hundred thousand of them
        if isinstance(event, TranscriptDelta):
            words.append((event.side, event.word, event.start_s, event.end_s, event.probability))
        elif isinstance(event, Decision):
            decision = decision or _decision(event)
        elif not isinstance(event, TickCost):
            kind = kind_of(event)
            listed.append((kind, float(getattr(event, "at_s", at_s)), _says(event)))
            if kind.startswith(DELEGATION) and (task := _task(event, kind)) is not None:
                tasks.append(task)
    frames = turn.frames(USER_CAMERA)
    return TickDone(
        tick=turn.tick,
        at_s=at_s,
        said=turn.text(AGENT_TEXT),
        words=tuple(words),
        decision=decision,
        events=tuple(listed),
        cost_ms=round(passed.cost_ms, 2),
        late_ms=round(passed.late_ms, 2),
        lost=passed.lost,
        user=user,
        agent=agent,
        position=turn.tick * clock.samples_per_tick,
        heard=passed.heard,
        typed=turn.text(USER_TEXT),
        tasks=tuple(tasks),
        shown=things_of(turn),
        samples=samples,
        seen=None if frames is None else frames[-1],
    )


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "floor": decision.floor,
        "p_speak": decision.p_speak,
        "p_yield": decision.p_yield,
        "threshold": decision.threshold,
        "p_user": decision.p_user_speaking,
        "top": [[word, p] for word, p in decision.top],
        "gates": [[g.name, g.wanted, g.done, g.reason] for g in decision.gates],
    }


def _says(event: Event) -> str:
    if isinstance(event, GatesActed):
        return because(event.gates)
    return ", ".join([f"{name} {getattr(event, name)}" for name in SAYS[type(event)]])


def _played(turn: MicroTurn, clock: ClockSpec) -> int | None:
    reports = [clock.samples(e.heard_s) for e in turn.events if isinstance(e, PlaybackPosition)]
    return reports[-1] if reports else None


def _task(event: Event, kind: str) -> tuple[str, str, str] | None:
    """Of an event about a background task: which, the state it is in now or what happened to it, and in which words."""
    body = event.body if isinstance(event, Unknown) else to_json(event)
    if not body.get("task"):
        return None
    text = body.get("ask") or body.get("text") or body.get("cause") or ""
    return str(body["task"]), str(body.get("after", kind.removeprefix(DELEGATION))), str(text)
