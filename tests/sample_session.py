"""A small hand-written session: the user asks for a count, the agent counts, the user says stop, the agent yields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.events import (
    Decision,
    Event,
    Gate,
    GatesActed,
    ModelYielded,
    TickCost,
    TranscriptDelta,
    TruthExpect,
    TruthWithdrawn,
    TruthWord,
)
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, Audio, MicroTurn, Packet
from workbench.trace import Header, Trace

CLOCK = ClockSpec()
REQUEST = (("count", 0.62, 0.95), ("to", 0.97, 1.08), ("twenty", 1.10, 1.55))
STOP = ("stop", 4.30, 4.62)
COUNTED = ("one", "two", "three", "four", "five")
COUNT_TICKS = (10, 13, 16, 19, 22)
YIELD_TICK = 25
TICKS = 40
GATE_TICK = 31


def without_decisions(trace: Trace) -> Trace:
    """The session of an agent that left no decisions: what rules did to it is recorded on its own, in the same ticks."""
    return replace(trace, turns=[replace(turn, events=tuple(_undecided(turn.events))) for turn in trace.turns])


def _undecided(events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if not isinstance(event, Decision):
            yield event
        elif event.gates:
            yield GatesActed(gates=event.gates)


def stopped_count() -> Trace:
    """An eight-second trace with every table filled: words of both sides, decisions, a gate, a yield, windows and costs."""
    trace = Trace(Header(clock=CLOCK, seed=7, participants={}, labels={"family": "stop", "voice": "test"}))
    user = _tones([(start, end) for _, start, end in (*REQUEST, STOP)], 220.0)
    agent = _tones([(_count_s(tick), min(_count_s(tick) + 0.4, YIELD_TICK * 0.2)) for tick in COUNT_TICKS], 330.0)
    size = CLOCK.samples_per_tick
    for tick in range(TICKS):
        part = slice(tick * size, (tick + 1) * size)
        packets = [Packet(USER_AUDIO, Tick(tick), user[part]), Packet(AGENT_AUDIO, Tick(tick), agent[part])]
        if tick in COUNT_TICKS:
            packets.append(Packet(AGENT_TEXT, Tick(tick), COUNTED[COUNT_TICKS.index(tick)]))
        trace.append(MicroTurn(Tick(tick), tuple(packets), tuple(_events(tick))))
    return trace


def _count_s(tick: int) -> float:
    return tick * CLOCK.tick_s


def _tones(spans: list[tuple[float, float]], hertz: float) -> Audio:
    time_s = np.arange(TICKS * CLOCK.samples_per_tick) / CLOCK.sample_rate
    wave = np.zeros(len(time_s), np.float32)
    for start, end in spans:
        inside = (time_s >= start) & (time_s < end)
        swell = np.sin(np.pi * (time_s[inside] - start) / (end - start))
        wave[inside] += (0.5 * swell * np.sin(2 * np.pi * hertz * time_s[inside])).astype(np.float32)
    return wave


def _events(tick: int) -> list[Event]:
    events: list[Event] = [_decision(tick), TickCost(stages_ms={"front end": 2.0, "trunk": 8.0 + tick % 3})]
    if tick == 3:
        events += [TruthWord(word=w, start_s=a, end_s=b) for w, a, b in REQUEST]
        events.append(
            TruthExpect(
                id="a",
                what="count",
                anchor="end of the request",
                anchor_s=1.55,
                from_s=0.0,
                to_s=14.0,
                words=("one", "two", "three", "four"),
            )
        )
    if tick == 21:
        word, start_s, end_s = STOP
        events.append(TruthWord(word=word, start_s=start_s, end_s=end_s))
        events.append(TruthExpect(id="b", what="yield", anchor="end of the word stop", anchor_s=end_s, from_s=0.0, to_s=1.0))
        events.append(TruthWithdrawn(id="a", at_s=end_s))
    heard = {5: REQUEST[0], 6: REQUEST[1], 9: REQUEST[2], 24: STOP}
    if tick in heard:
        word, start_s, end_s = heard[tick]
        events.append(TranscriptDelta(side="user", word=word, start_s=start_s + 0.05, end_s=end_s + 0.05, probability=0.9))
    if tick in COUNT_TICKS:
        said = COUNTED[COUNT_TICKS.index(tick)]
        start_s = _count_s(tick)
        events.append(TranscriptDelta(side="model", word=said, start_s=start_s, end_s=min(start_s + 0.4, 5.0)))
    if tick == YIELD_TICK:
        events.append(ModelYielded(at_s=5.0, p_yield=0.97, reason="the user said stop", unsaid="six"))
    return events


def _decision(tick: int) -> Decision:
    speaking = COUNT_TICKS[0] <= tick < YIELD_TICK
    user = any(start <= tick * 0.2 < end + 0.2 for _, start, end in (*REQUEST, STOP))
    floor = "dual" if speaking and user else "speak" if speaking else "listen" if user else "idle"
    said = COUNTED[COUNT_TICKS.index(tick)] if tick in COUNT_TICKS else "<yield>" if tick == YIELD_TICK else ""
    if tick == GATE_TICK:
        gate = Gate("threshold", "six", "<silence>", "p(speak) 0.42 < threshold 0.50")
        return Decision(
            floor="idle", said="", p_speak=0.42, p_yield=0.01, p_backchannel=0.0, threshold=0.5, gates=(gate,), top=(("six", 0.4),)
        )
    top = ((said, 0.9), ("<silence>", 0.05)) if said else (("<silence>", 0.97), ("mhm", 0.01))
    p_yield = 0.97 if tick == YIELD_TICK else 0.35 if tick == YIELD_TICK - 1 else 0.01
    return Decision(
        floor=floor,
        said=said,
        p_speak=0.95 if said else 0.03,
        p_yield=p_yield,
        p_backchannel=0.01,
        threshold=0.5,
        p_user_speaking=0.9 if user else 0.05,
        top=top,
    )
