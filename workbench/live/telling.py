"""One micro-turn as the message that a timeline draws it from."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from workbench.clock import ClockSpec
from workbench.events import Decision, Event, TickCost, TranscriptDelta, kind_of
from workbench.live.ear import to_pcm
from workbench.live.protocol import OUTLINE_PAIRS, TickDone
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, Audio, MicroTurn

LOUDEST = 127


def tick_message(turn: MicroTurn, clock: ClockSpec, *, cost_ms: float, late_ms: float, lost: int) -> TickDone:
    """What a listener is told of a finished micro-turn, with the agent's sound in it."""
    size, at_s = clock.samples_per_tick, clock.seconds(turn.tick)
    user, agent = turn.audio(USER_AUDIO, size), turn.audio(AGENT_AUDIO, size)
    words = [e for e in turn.events if isinstance(e, TranscriptDelta)]
    decision = next((e for e in turn.events if isinstance(e, Decision)), None)
    return TickDone(
        tick=turn.tick,
        at_s=at_s,
        said=turn.text(AGENT_TEXT),
        words=tuple((w.side, w.word, w.start_s, w.end_s, w.probability) for w in words),
        decision=None if decision is None else _decision(decision),
        events=tuple(_event(e, at_s) for e in turn.events if not isinstance(e, Decision | TickCost | TranscriptDelta)),
        cost_ms=round(cost_ms, 2),
        late_ms=round(late_ms, 2),
        lost=lost,
        user=outline(user),
        agent=outline(agent),
        position=turn.tick * size,
        samples=to_pcm(agent),
    )


def outline(samples: Audio) -> tuple[int, ...]:
    """Lowest and highest value of each of ten equal stretches, in -127 to 127."""
    edges = np.arange(OUTLINE_PAIRS) * len(samples) // OUTLINE_PAIRS
    low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    pairs = np.clip(np.rint(np.stack([low, high], axis=1) * LOUDEST), -LOUDEST, LOUDEST)
    return tuple(int(value) for value in pairs.ravel())


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
