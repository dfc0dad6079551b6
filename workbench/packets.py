"""What flows between participants: packets, and the micro-turn that gathers one tick of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from workbench.clock import Tick
from workbench.events import Event

USER_AUDIO = "user.audio"  # float32 (samples_per_tick,), what the microphone picked up
USER_TEXT = "user.text"  # str, typed
USER_CAMERA = "user.camera"  # uint8 (frames, height, width, 3), evenly spaced over the tick
AGENT_AUDIO = "agent.audio"  # float32 (samples_per_tick,), what the loudspeaker plays
AGENT_TEXT = "agent.text"  # str, words the agent began to say in this tick
USER_PLAYBACK = "user.playback"  # str, the second of the agent's stream to which the listener's loudspeaker has come
USER_CONSENT = "user.consent"  # str, one JSON object per line: {"question": name of a question of consent, "given": bool}, from a click
USER_CONTEXT = "user.context"  # str, one JSON object per line: what the application at the other end appends (workbench.serve.context)
AGENT_TASKS = "agent.tasks"  # str, one event per line as JSON: what the agent asks of slow work, and what that has to know of it
BACKGROUND_TEXT = "background.text"  # str, one note per line as JSON: results of slow work (workbench.background.notes)
BACKGROUND_SHOWN = "background.shown"  # str, one thing to show per line as JSON: text, table, figure or image
TRUTH = "truth"  # workbench.oracle orders; heard only by participants that ask for it
STREAMS = (  # all of the above; a participant may speak on others
    *(USER_AUDIO, USER_TEXT, USER_CAMERA, USER_PLAYBACK, USER_CONSENT, USER_CONTEXT),
    *(AGENT_AUDIO, AGENT_TEXT, AGENT_TASKS, BACKGROUND_TEXT, BACKGROUND_SHOWN, TRUTH),
)

Audio: TypeAlias = npt.NDArray[np.float32]
Frames: TypeAlias = npt.NDArray[np.uint8]
Payload: TypeAlias = "Audio | Frames | str | tuple[object, ...]"


@dataclass(frozen=True)
class Packet:
    """What one stream carried in one tick."""

    stream: str
    tick: Tick
    payload: Payload


@dataclass(frozen=True)
class MicroTurn:
    """All that everyone said in one tick; one row of a session."""

    tick: Tick
    packets: tuple[Packet, ...] = ()
    events: tuple[Event, ...] = ()

    def get(self, stream: str) -> Payload | None:
        """The payload of `stream` in this tick, or None when it carried nothing."""
        for packet in self.packets:
            if packet.stream == stream:
                return packet.payload
        return None

    def audio(self, stream: str, samples: int) -> Audio:
        """The audio of `stream` in this tick, `samples` long; silence when it carried nothing."""
        payload = self.get(stream)
        if isinstance(payload, np.ndarray):
            return payload.astype(np.float32, copy=False)
        return np.zeros(samples, np.float32)

    def frames(self, stream: str) -> Frames | None:
        """The frames of `stream` in this tick, or None when its camera was off."""
        payload = self.get(stream)
        return payload.astype(np.uint8, copy=False) if isinstance(payload, np.ndarray) else None

    def text(self, stream: str) -> str:
        """The text of `stream` in this tick; empty when it carried nothing."""
        payload = self.get(stream)
        return payload if isinstance(payload, str) else ""


def only(turn: MicroTurn, streams: Iterable[str]) -> MicroTurn:
    """The packets of `turn` on the given streams, without events: what a participant hears."""
    wanted = frozenset(streams)
    return MicroTurn(turn.tick, tuple(p for p in turn.packets if p.stream in wanted))


def is_audio(stream: str) -> bool:
    """Whether a stream carries sound; the last part of its name tells."""
    return stream.rpartition(".")[2] == "audio"


def misfit(stream: str, payload: object, samples: int) -> str:
    """What a payload is, and what its stream takes instead, where audio is `samples` a tick; "" when it fits.

    Streams are told by the last part of their name; one of any other name takes any payload.
    """
    kind = stream.rpartition(".")[2]
    array = payload if isinstance(payload, np.ndarray) else None
    if is_audio(stream):
        fits = array is not None and array.dtype == np.float32 and array.shape == (samples,)
        rule = f"audio is float32 of {samples} samples per tick: convert with .astype(np.float32) and pad to {samples}"
    elif kind == "text":
        fits, rule = isinstance(payload, str), "text is str: decode or join the words"
    elif kind == "camera":
        fits = array is not None and array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] == 3
        rule = "frames are uint8 (frames, height, width, 3): convert them"
    else:
        fits = isinstance(payload, np.ndarray | str | tuple)
        rule = "a payload is a float32 or uint8 array, a str or a tuple: convert it"
    if fits:
        return ""
    what = f"{type(payload).__name__} {payload!r:.40}" if array is None else f"{array.dtype} {array.shape}"
    return f"{what}; {rule}"


def rng_for(seed: int, tick: int, stream: str) -> np.random.Generator:
    """Randomness addressed by (seed, tick, stream): the same draw whatever ran before, so runs replay and fork."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, tick, zlib.crc32(stream.encode())])))
