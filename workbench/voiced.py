"""What an agent says in one tick as far as it can be heard, parted from all else that it does, silenced, or cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.events import Decision, Event, Gate, GatesActed, ModelSpeechStarted, ModelSpeechStopped, ModelYielded, TranscriptDelta
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, MicroTurn, Packet
from workbench.session import Said

FADE_S = 0.01


@dataclass(frozen=True)
class Voice:
    """What an agent says in one tick, as far as it can be heard; `begins` tells whether an utterance begins with it.

    `p_speak` is that of the decision to say it, 1 where there is none. `p_yield` is that of the tick in which it is heard, 0 where there is
    no decision: what a rule ends, the agent did not.
    """

    tick: Tick
    packets: tuple[Packet, ...] = ()
    events: tuple[Event, ...] = ()
    begins: bool = False
    p_speak: float = 1.0
    p_yield: float = 0.0

    @property
    def audible(self) -> bool:
        return bool(self.packets)

    @property
    def ends(self) -> bool:
        return any(isinstance(event, ModelSpeechStopped | ModelYielded) for event in self.events)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it begins to say."""
        return tuple(" ".join(str(p.payload) for p in self.packets if p.stream == AGENT_TEXT).lower().split())

    def at(self, tick: Tick, clock: ClockSpec) -> Voice:
        """The same, said in another tick."""
        if tick == self.tick:
            return self
        later_s = clock.seconds(tick - self.tick)
        packets = tuple(replace(packet, tick=tick) for packet in self.packets)
        return replace(self, tick=tick, packets=packets, events=tuple(_shifted(event, later_s) for event in self.events))


def parted(said: Said, tick: Tick, talks: bool) -> tuple[Voice, Said]:
    """What can be heard of what an agent says in a tick, and everything else."""
    packets = tuple(packet for packet in said.packets if packet.stream in (AGENT_AUDIO, AGENT_TEXT))
    p_speak, p_yield = next(((event.p_speak, event.p_yield) for event in said.events if isinstance(event, Decision)), (1.0, 0.0))
    voice = Voice(tick, packets, tuple(filter(_is_voice, said.events)), bool(packets) and not talks, p_speak, p_yield)
    rest = tuple(packet for packet in said.packets if packet not in packets) if len(packets) < len(said.packets) else ()
    return voice, replace(said, packets=rest, events=tuple(event for event in said.events if not _is_voice(event)))


def joined(rest: Said, out: Voice, gates: Sequence[Gate] = ()) -> Said:
    """What an agent says in all, with these gates in its decision; where it left none, they are recorded on their own."""
    events = tuple(_gated(event, gates) if isinstance(event, Decision) and gates else event for event in rest.events)
    undecided = not any(isinstance(event, Decision) for event in events)
    alone = (GatesActed(gates=tuple(gates)),) if gates and undecided else ()
    return replace(rest, packets=(*rest.packets, *out.packets), events=(*events, *alone, *out.events))


def cut(voice: Voice, clock: ClockSpec, reason: str, unsaid: str, p_yield: float) -> Voice:
    """The last of an utterance that ends here: its sound fades out, and a yield says why."""
    at_s = clock.seconds(voice.tick)
    end = (ModelYielded(at_s=at_s, p_yield=p_yield, reason=reason, unsaid=unsaid), ModelSpeechStopped(at_s=at_s + FADE_S))
    return Voice(voice.tick, tuple(_faded(packet, clock) for packet in voice.packets if packet.stream == AGENT_AUDIO), end)


def _is_voice(event: Event) -> bool:
    own = isinstance(event, TranscriptDelta) and event.side == "model"
    return own or isinstance(event, ModelSpeechStarted | ModelSpeechStopped | ModelYielded)


def _gated(decision: Decision, gates: Sequence[Gate]) -> Decision:
    return replace(decision, said="", gates=(*decision.gates, *gates))


def _shifted(event: Event, later_s: float) -> Event:
    match event:
        case TranscriptDelta():
            return replace(event, start_s=round(event.start_s + later_s, 6), end_s=round(event.end_s + later_s, 6))
        case ModelSpeechStarted() | ModelSpeechStopped() | ModelYielded():
            return replace(event, at_s=round(event.at_s + later_s, 6))
        case _:
            return event


def _faded(packet: Packet, clock: ClockSpec) -> Packet:
    audio = MicroTurn(packet.tick, (packet,)).audio(packet.stream, clock.samples_per_tick)
    ramp = np.clip(1 - np.arange(len(audio)) / clock.samples(FADE_S), 0, 1).astype(np.float32)
    return replace(packet, payload=(audio * ramp).astype(np.float32))
