"""Small hand-written participants for the tests of the kernel and of the trace file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.events import Decision, Event, Gate, TickCost, TranscriptDelta
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_TEXT, Audio, MicroTurn, Packet, rng_for
from workbench.session import Said, Session
from workbench.store import Keep, TraceWriter
from workbench.trace import Header

SMALL = ClockSpec(tick_ms=200, sample_rate=1000)  # 200 samples a tick keep the tests quick
BIT_EXACT = Keep(codec="f32")


@dataclass
class Memory:
    """A state that is changed in place, as careless participants do; fork() has to copy it."""

    clock: ClockSpec
    seed: int
    heard_sum: float = 0.0
    words: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chatter:
    """Says noise addressed by (seed, tick, stream), shifted by all it has heard so far, and the count of words it has heard."""

    name: str
    audio: str
    text: str
    hears: tuple[str, ...]
    marker: str = ""

    @property
    def speaks(self) -> tuple[str, ...]:
        return (self.audio, self.text)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Chatter", "audio": self.audio}

    def start(self, clock: ClockSpec, seed: int) -> Memory:
        return Memory(clock, seed)

    def step(self, state: Memory, tick: Tick, heard: MicroTurn) -> tuple[Said, Memory]:
        for packet in heard.packets:
            if isinstance(packet.payload, np.ndarray):
                state.heard_sum += float(packet.payload.sum())
            elif isinstance(packet.payload, str):
                state.words.append(packet.payload)
        noise = rng_for(state.seed, tick, self.audio).uniform(-0.5, 0.5, state.clock.samples_per_tick)
        samples = (noise + 0.25 * np.sin(state.heard_sum)).astype(np.float32)
        word = f"{self.marker}{tick}-{len(state.words)}"
        packets = (Packet(self.audio, tick, samples), Packet(self.text, tick, word))
        return Said(packets, self._events(state, tick, word)), state

    def _events(self, state: Memory, tick: Tick, word: str) -> tuple[Event, ...]:
        side = "user" if self.audio == USER_AUDIO else "model"
        at_s = state.clock.seconds(tick)
        delta = TranscriptDelta(side=side, word=word, start_s=at_s, end_s=at_s + 0.1)
        if side == "user":
            return (delta,)
        gate = Gate("threshold", "four", "<silence>", "p(speak) 0.40 < threshold 0.50")
        decision = Decision(
            floor="speak", said=word, p_speak=0.4, p_yield=0.1, p_backchannel=0.0, threshold=0.5, top=(("four", 0.4),), gates=(gate,)
        )
        return delta, decision, TickCost(stages_ms={"trunk": 1.5})


def user(marker: str = "") -> Chatter:
    return Chatter("user", USER_AUDIO, USER_TEXT, (AGENT_AUDIO, AGENT_TEXT), marker)


def agent(marker: str = "") -> Chatter:
    return Chatter("agent", AGENT_AUDIO, AGENT_TEXT, (USER_AUDIO, USER_TEXT), marker)


def chat(seed: int = 0, clock: ClockSpec = SMALL, marker: str = "") -> Session:
    """A user and an agent who each react to the other."""
    return Session.start([user(marker), agent(marker)], clock=clock, seed=seed)


def noise_packet(tick: int, seed: int = 99, samples: int = SMALL.samples_per_tick) -> Audio:
    """Audio that nobody in `chat` would say."""
    return rng_for(seed, tick, "edit").uniform(-1, 1, samples).astype(np.float32)


def assert_same_turn(one: MicroTurn, two: MicroTurn) -> None:
    """Equal bit for bit: streams, ticks, payload bytes and events."""
    assert one.tick == two.tick
    assert [(p.stream, p.tick) for p in one.packets] == [(p.stream, p.tick) for p in two.packets]
    for mine, other in zip(one.packets, two.packets, strict=True):
        if isinstance(mine.payload, np.ndarray):
            assert isinstance(other.payload, np.ndarray)
            assert mine.payload.dtype == other.payload.dtype
            assert mine.payload.tobytes() == other.payload.tobytes()
        else:
            assert mine.payload == other.payload
    assert one.events == two.events


def write_for_ever(path: str) -> None:
    """Run a chat into a trace file until killed, printing after each tick which one is acknowledged."""
    session = chat(seed=5)
    writer = TraceWriter(path, Header.of(session), default=BIT_EXACT, room=16)
    session = replace(session, sinks=(writer,))
    while True:
        session.step()
        print(writer.acknowledged, flush=True)  # noqa: T201
