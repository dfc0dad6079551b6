"""What lies between a microphone and the agent: echo of the agent's own voice, packets that are lost, and packets that come late.

Ours, unpublished. Sound travels in packets of 20 ms. Losses come in bursts (Gilbert's two-state channel, 1960: none lost in the good
state, all in the bad one); lateness is exponential and first in, first out. The receiver plays `Jitter.buffer_ms` behind the sender and
conceals what has not come by then. Ground truth stays at the user's mouth, so latencies over a channel include its delay. Draws are
addressed by (seed, tick, stream) and what is carried from tick to tick is a value, so a session replays and forks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from workbench.acoustics import Acoustics, convolve, impulse
from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.packets import Audio, rng_for

Conceal: TypeAlias = Literal["repeat", "silence"]
_Flags: TypeAlias = npt.NDArray[np.bool_]

PACKETS_PER_S = 50
PACKET_MS = 1000 / PACKETS_PER_S
REPEAT_GAIN = 0.5  # each repetition of the last packet is 6 dB weaker than the one before
SPREAD_MEANS = 3.0  # an exponential variable stays within three times its mean in 95 of 100 cases


@dataclass(frozen=True, kw_only=True)
class Echo:
    """The loudspeaker as the microphone hears it.

    `level_db` compares it with what the loudspeaker plays. It comes `delay_ms` after the micro-turn in which the agent's sound reaches
    the user, which is one after the agent made it, and through a room that falls by 60 dB in `rt60_s`.
    """

    level_db: float
    delay_ms: float = 60.0
    rt60_s: float = 0.25

    def __post_init__(self) -> None:
        if not (self.level_db <= 0 and 0 <= self.delay_ms <= 1000 and 0 <= self.rt60_s <= 2):
            raise InputError(
                f"echo of {self.level_db:g} dB after {self.delay_ms:g} ms in a room of {self.rt60_s:g} s: "
                "give a level of at most 0 dB, a delay of 0 to 1000 ms and a room of 0 to 2 s"
            )


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Packets that never come: how many of a hundred in the long run, and how many in a row on average."""

    percent: float
    burst: float = 2.0

    def __post_init__(self) -> None:
        if not (0 <= self.percent <= 50 and self.burst >= 1):
            raise InputError(f"loss of {self.percent:g} % in bursts of {self.burst:g} packets: give 0 to 50 % and bursts of 1 or more")


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """Packets that come late, 95 of 100 by `spread_ms` at most before queueing; the receiver waits `buffer_ms` and drops later ones."""

    spread_ms: float
    buffer_ms: float

    def __post_init__(self) -> None:
        if not (self.spread_ms >= 0 and 0 <= self.buffer_ms <= 1000):
            raise InputError(
                f"jitter of {self.spread_ms:g} ms with a buffer of {self.buffer_ms:g} ms: give 0 or more, and a buffer of 0 to 1000 ms"
            )


@dataclass(frozen=True, kw_only=True)
class Channel:
    """Everything between microphone and agent; `conceal` says what is heard in place of a packet that did not come."""

    echo: Echo | None = None
    loss: Loss | None = None
    jitter: Jitter | None = None
    conceal: Conceal = "repeat"

    def __post_init__(self) -> None:
        if self.conceal not in get_args(Conceal):
            raise InputError(f"no way {self.conceal!r} to conceal a lost packet; there are {', '.join(get_args(Conceal))}")

    @property
    def clear(self) -> bool:
        """True when what is sent arrives unchanged."""
        return self.echo is None and self.loss is None and self.jitter is None


CLEAR = Channel()


@dataclass(frozen=True, slots=True)
class LineState:
    """What a line carries from tick to tick; its arrays are never written to, so a fork shares them."""

    played: Audio | None = None  # what the loudspeaker played and the room still rings of
    waiting: Audio | None = None  # received, but still in the playout buffer
    last: Audio | None = None  # the packet heard last
    losing: bool = False  # in the bad state
    late_ms: float = 0.0  # of the packet sent last


@dataclass(frozen=True)
class Line:
    """A channel in use: behind one microphone, on one clock, with one seed."""

    channel: Channel
    microphone: Acoustics
    clock: ClockSpec
    seed: int

    def carry(self, state: LineState, tick: int, near: Audio, far: Audio) -> tuple[Audio, LineState]:
        """What arrives in `tick` when the microphone picks up `near` while the loudspeaker plays `far`; all one tick of samples."""
        if self.channel.clear:
            return near, state
        sent, state = self._with_echo(state, near, far)
        if self.channel.loss is None and self.channel.jitter is None:
            return sent, state
        arrived, state = self._arrivals(state, tick)
        heard, state = self._concealed(state, sent, arrived)
        return self._buffered(state, heard)

    def _with_echo(self, state: LineState, near: Audio, far: Audio) -> tuple[Audio, LineState]:
        echo = self.channel.echo
        if echo is None:
            return near, state
        room = replace(self.microphone, rt60_s=echo.rt60_s)
        response = impulse(room)
        taps = np.ones(1, np.float32) if response is None else response
        reach = self.clock.samples(echo.delay_ms / 1000) + len(taps) - 1
        played = np.concatenate([np.zeros(reach, np.float32) if state.played is None else state.played, far])
        ringing = played[: len(near) + len(taps) - 1]
        state = replace(state, played=played[len(far) :])
        if not ringing.any():
            return near, state
        heard = convolve(ringing, taps)[len(taps) - 1 : len(taps) - 1 + len(near)]
        return np.clip(near + np.float32(10 ** (echo.level_db / 20)) * heard, -1.0, 1.0), state

    def _arrivals(self, state: LineState, tick: int) -> tuple[_Flags, LineState]:
        """Which packets of this tick come, and come in time."""
        count, loss, jitter = self._packets(), self.channel.loss, self.channel.jitter
        arrived = np.ones(count, np.bool_)
        losing, late_ms = state.losing, state.late_ms
        if loss is not None:
            begins, goes_on = loss.percent / (100 - loss.percent) / loss.burst, 1 - 1 / loss.burst
            for place, draw in enumerate(rng_for(self.seed, tick, "channel.loss").random(count)):
                losing = bool(draw < (goes_on if losing else begins))
                arrived[place] = not losing
        if jitter is not None:
            draws = rng_for(self.seed, tick, "channel.jitter").exponential(jitter.spread_ms / SPREAD_MEANS, count)
            for place, draw in enumerate(draws):
                late_ms = max(float(draw), late_ms - PACKET_MS)
                arrived[place] &= late_ms <= jitter.buffer_ms
        return arrived, replace(state, losing=losing, late_ms=late_ms)

    def _concealed(self, state: LineState, sent: Audio, arrived: _Flags) -> tuple[Audio, LineState]:
        heard = sent.reshape(len(arrived), -1).copy()
        last = np.zeros_like(heard[0]) if state.last is None else state.last
        gain = np.float32(REPEAT_GAIN if self.channel.conceal == "repeat" else 0.0)
        for place, came in enumerate(arrived):
            if not came:
                heard[place] = gain * last
            last = heard[place]
        return heard.reshape(-1), replace(state, last=last.copy())

    def _buffered(self, state: LineState, heard: Audio) -> tuple[Audio, LineState]:
        if self.channel.jitter is None:
            return heard, state
        held = self.clock.samples(self.channel.jitter.buffer_ms / 1000)
        waiting = np.concatenate([np.zeros(held, np.float32) if state.waiting is None else state.waiting, heard])
        return waiting[: len(heard)], replace(state, waiting=waiting[len(heard) :])

    def _packets(self) -> int:
        count, rest = divmod(self.clock.tick_ms, round(PACKET_MS))
        if rest or self.clock.sample_rate % PACKETS_PER_S:
            raise InputError(
                f"a tick of {self.clock.tick_ms} ms at {self.clock.sample_rate} Hz is not made of whole packets of {PACKET_MS:g} ms; "
                "use tick_ms=200 and sample_rate=16000, or a channel without loss and jitter"
            )
        return count


def sample_channel(rng: np.random.Generator, difficulty: float) -> Channel:
    """Draw a channel for training; at difficulty 0.5 about two of three are clear, at 0 nearly all.

    Lateness stays within 60 ms, so that a perfect agent's acts, which are timed by the user's mouth, still follow from what has arrived.
    """
    if not 0 <= difficulty <= 1:
        raise InputError(f"difficulty={difficulty} must be 0 to 1")
    echoes, loses, delays = rng.random(3) < 0.02 + np.array([0.24, 0.24, 0.16]) * difficulty
    echo = Echo(
        level_db=round(float(rng.uniform(-40, -28 + 14 * difficulty)), 1),
        delay_ms=round(float(rng.uniform(10, 160))),
        rt60_s=round(float(rng.uniform(0.05, 0.2 + 0.3 * difficulty)), 2),
    )
    loss = Loss(percent=round(float(rng.uniform(0.5, 2 + 10 * difficulty)), 1), burst=round(float(rng.uniform(1, 3)), 1))
    spread_ms = round(float(rng.uniform(10, 60)))
    return Channel(
        echo=echo if echoes else None,
        loss=loss if loses else None,
        jitter=Jitter(spread_ms=spread_ms, buffer_ms=spread_ms) if delays else None,
        conceal="repeat" if rng.random() < 0.5 else "silence",
    )
