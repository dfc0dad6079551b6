"""Micro-turns as the messages that a timeline draws them from: one as it happens, or all of a finished session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from workbench.clock import ClockSpec
from workbench.events import (
    AudioDropped,
    AudioLost,
    DeadlineMissed,
    Decision,
    Event,
    PlaybackPosition,
    TickCost,
    TranscriptDelta,
    Unknown,
    kind_of,
    to_json,
)
from workbench.live.ear import to_pcm
from workbench.live.protocol import OUTLINE_PAIRS, Drop, TickDone
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, USER_TEXT, Audio, MicroTurn
from workbench.trace import Trace

LOUDEST = 127
DELEGATION = "delegation."
NOT_LISTED = Decision | TickCost | TranscriptDelta  # told in fields of their own


def tick_message(turn: MicroTurn, clock: ClockSpec, *, cost_ms: float, late_ms: float, lost: int, heard: int | None = None) -> TickDone:
    """What a listener is told of a finished micro-turn, with the agent's sound in it.

    `heard` counts samples of the agent's stream that have been played; without it, it is what the loudspeaker last reported in this tick.
    """
    size, at_s = clock.samples_per_tick, clock.seconds(turn.tick)
    user, agent = turn.audio(USER_AUDIO, size), turn.audio(AGENT_AUDIO, size)
    words = [e for e in turn.events if isinstance(e, TranscriptDelta)]
    decision = next((e for e in turn.events if isinstance(e, Decision)), None)
    frames = turn.frames(USER_CAMERA)
    return TickDone(
        tick=turn.tick,
        at_s=at_s,
        said=turn.text(AGENT_TEXT),
        words=tuple((w.side, w.word, w.start_s, w.end_s, w.probability) for w in words),
        decision=None if decision is None else _decision(decision),
        events=tuple(_event(e, at_s) for e in turn.events if not isinstance(e, NOT_LISTED)),
        cost_ms=round(cost_ms, 2),
        late_ms=round(late_ms, 2),
        lost=lost,
        user=outline(user),
        agent=outline(agent),
        position=turn.tick * size,
        heard=_played(turn, clock) if heard is None else heard,
        typed=turn.text(USER_TEXT),
        tasks=tuple(task for e in turn.events if (task := _task(e)) is not None),
        samples=to_pcm(agent),
        seen=None if frames is None else frames[-1],
    )


def told(trace: Trace) -> Iterator[TickDone | Drop]:
    """All that a page would have been told of a finished session while it ran, in order.

    Where no loudspeaker reported, as in a simulation, what the agent says counts as heard in the tick in which it is said.
    """
    clock = trace.header.clock
    played = next(trace.events(PlaybackPosition), None) is not None
    for turn in trace.turns:
        yield from told_of(turn, clock, heard=None if played else (turn.tick + 1) * clock.samples_per_tick)


def told_of(turn: MicroTurn, clock: ClockSpec, *, heard: int | None = None) -> Iterator[TickDone | Drop]:
    """What is told of one recorded micro-turn: that sound was dropped, if so, and the tick. `heard` is as in `tick_message`."""
    cost_ms, late_ms, lost = 0.0, 0.0, 0
    for event in turn.events:
        match event:
            case TickCost():
                cost_ms += sum(event.stages_ms.values())
            case DeadlineMissed(stage="begin"):
                late_ms = event.late_ms
            case AudioLost():
                lost += event.samples
            case AudioDropped():
                yield Drop(from_position=event.position)
            case _:
                pass
    yield tick_message(turn, clock, cost_ms=cost_ms, late_ms=late_ms, lost=lost, heard=heard)


def outline(samples: Audio) -> tuple[int, ...]:
    """Lowest and highest value of each of ten equal stretches, in -127 to 127."""
    if not samples.any():
        return (0,) * (2 * OUTLINE_PAIRS)
    edges = np.arange(OUTLINE_PAIRS) * len(samples) // OUTLINE_PAIRS
    low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    pairs = np.clip(np.rint(np.stack([low, high], axis=1) * LOUDEST), -LOUDEST, LOUDEST)
    return tuple(pairs.astype(int).ravel().tolist())


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


def _event(event: Event, at_s: float) -> tuple[str, float, str]:
    values = [f"{f.name} {getattr(event, f.name)}" for f in fields(event) if f.name not in ("extra", "at_s")]
    return kind_of(event), float(getattr(event, "at_s", at_s)), ", ".join(values)


def _played(turn: MicroTurn, clock: ClockSpec) -> int | None:
    reports = [clock.samples(e.heard_s) for e in turn.events if isinstance(e, PlaybackPosition)]
    return reports[-1] if reports else None


def _task(event: Event) -> tuple[str, str, str] | None:
    """Of an event about a background task: which, the state it is in now or what happened to it, and in which words."""
    kind = kind_of(event)
    if not kind.startswith(DELEGATION):
        return None
    body = event.body if isinstance(event, Unknown) else to_json(event)
    if not body.get("task"):
        return None
    text = body.get("ask") or body.get("text") or body.get("cause") or ""
    return str(body["task"]), str(body.get("after", kind.removeprefix(DELEGATION))), str(text)
