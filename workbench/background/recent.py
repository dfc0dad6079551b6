"""What of the recent past goes along with slow work: the last seconds of the user's microphone, and the last picture of the camera.

A background agent that wants any says so in an attribute `senses`, which is optional, and finds it in `envelope.recent`:

    class Looks:
        name = "looks"
        senses = Senses(frame_s=2.0)  # the newest picture, if it is no older than 2 s when the agent begins to ask
        ...

Only then does the desk hear `user.audio` or `user.camera`, and it keeps no more of them than a request may still ask for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.packets import USER_AUDIO, USER_CAMERA, Audio, Frames, MicroTurn

MOST_S = 30.0  # that may be wished for: half a minute of sound at 16 kHz is 1.9 MB as float32
LATE_S = 2.0  # a request that names a moment so long ago still gets all that was wished for
AUDIO_S, FRAME_S = 8.0, 2.0  # where a wish in words gives no seconds
_WISHES = "give frame, audio or both, with seconds where 2 and 8 do not fit, e.g. frame+audio:10"

Kept = TypeVar("Kept", Audio, Frames)
Entries: TypeAlias = tuple[tuple[Tick, Kept], ...]  # each with the micro-turn that carried it, oldest first


@dataclass(frozen=True, kw_only=True)
class Senses:
    """What a background agent wants of the recent past: the sound of the last `audio_s` seconds, and the newest frame of `frame_s`.

    0 is nothing. Raises InputError for a time below 0 or above MOST_S.
    """

    audio_s: float = 0.0
    frame_s: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.audio_s <= MOST_S and 0 <= self.frame_s <= MOST_S):
            raise InputError(f"audio_s={self.audio_s:g}, frame_s={self.frame_s:g}: give seconds from 0 (nothing) to {MOST_S:g}")

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that have to be heard for it."""
        return (*((USER_AUDIO,) if self.audio_s else ()), *((USER_CAMERA,) if self.frame_s else ()))


NOTHING = Senses()


def senses_of(agent: object) -> Senses:
    """What a background agent wants; nothing where it does not say. Raises InputError when it says so with anything but Senses."""
    wished = getattr(agent, "senses", NOTHING)
    if not isinstance(wished, Senses):
        raise InputError(f"senses of {type(agent).__name__} is {wished!r}; give e.g. Senses(audio_s=8.0, frame_s=2.0), or leave it out")
    return wished


def senses_named(text: str) -> Senses:
    """A wish in words, such as frame, audio or frame+audio:10 (seconds). Raises InputError for anything else."""
    senses = NOTHING
    for wish in text.split("+"):
        name, colon, number = wish.partition(":")
        if name not in ("audio", "frame"):
            raise InputError(f"senses={text}: {name!r} is none; {_WISHES}")
        try:
            seconds = float(number) if colon else AUDIO_S if name == "audio" else FRAME_S
        except ValueError:
            raise InputError(f"senses={text}: {number!r} is no time in seconds; {_WISHES}") from None
        senses = replace(senses, audio_s=seconds) if name == "audio" else replace(senses, frame_s=seconds)
    return senses


@dataclass(frozen=True, kw_only=True, eq=False)
class Recent:
    """What was heard and seen shortly before a cut-off. The arrays are read-only copies, and two are equal when all in them is.

    Attributes:
        samples: the user's microphone with whoever else it picked up, float32 (n,); none where none was wished for or there is none.
        rate, from_s: samples per second, and where the first one lies on the session clock.
        frame, frame_s: the newest picture, uint8 (height, width, 3), and when it was taken; None where there is none.
    """

    samples: Audio = field(repr=False)
    rate: int
    from_s: float
    frame: Frames | None = field(default=None, repr=False)
    frame_s: float = 0.0

    @property
    def to_s(self) -> float:
        """Where the sound ends."""
        return round(self.from_s + len(self.samples) / self.rate, 6)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recent):
            return NotImplemented
        mine, theirs = ((r.rate, r.from_s, r.frame is None, r.frame_s) for r in (self, other))
        pictured = self.frame is None or other.frame is None or np.array_equal(self.frame, other.frame)
        return mine == theirs and pictured and np.array_equal(self.samples, other.samples)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Past:
    """What may still be asked for of the recent past: packets as they came, none copied. A value, which forks share."""

    senses: Senses
    clock: ClockSpec
    sounds: Entries[Audio] = ()
    shots: Entries[Frames] = ()

    def with_turn(self, turn: MicroTurn) -> Past:
        """With what a micro-turn carried, and without what no request reaches any more."""
        senses = self.senses
        if not (senses.audio_s or senses.frame_s):
            return self
        cut_s, sounds, shots = self.clock.seconds(turn.tick) - LATE_S, self.sounds, self.shots
        sound, shot = turn.get(USER_AUDIO) if senses.audio_s else None, turn.get(USER_CAMERA) if senses.frame_s else None
        if isinstance(sound, np.ndarray):
            sounds = (*sounds, (turn.tick, sound.astype(np.float32, copy=False)))
        if isinstance(shot, np.ndarray) and len(shot):
            shots = (*shots, (turn.tick, shot.astype(np.uint8, copy=False)))
        while len(shots) > 1 and self.clock.seconds(shots[1][0]) < cut_s:
            shots = shots[1:]
        return Past(senses, self.clock, self._since(cut_s - senses.audio_s, sounds), self._since(cut_s - senses.frame_s, shots))

    def _since(self, from_s: float, entries: Entries[Kept]) -> Entries[Kept]:
        """The entries that last beyond `from_s`."""
        while entries and self.clock.seconds(entries[0][0] + 1) <= from_s:
            entries = entries[1:]
        return entries

    def until(self, at_s: float) -> Recent | None:
        """What was wished for as it was at `at_s`, and nothing from that moment on; None where there is nothing."""
        samples, first = self._sound(at_s)
        frame, frame_s = self._frame(at_s)
        if not len(samples) and frame is None:
            return None
        rate = self.clock.sample_rate
        return Recent(samples=samples, rate=rate, from_s=round(first / rate, 6), frame=frame, frame_s=frame_s)

    def _sound(self, at_s: float) -> tuple[Audio, int]:
        """The sound up to a moment and the number of its first sample; silence where the stream carried nothing in between."""
        if not self.sounds:
            return _fixed(np.zeros(0, np.float32)), 0
        size = self.clock.samples_per_tick
        first = max(self.clock.samples(at_s - self.senses.audio_s), self.sounds[0][0] * size)
        last = min(self.clock.samples(at_s), (self.sounds[-1][0] + 1) * size)
        if last <= first:
            return _fixed(np.zeros(0, np.float32)), 0
        whole = np.zeros(last - first, np.float32)
        for tick, samples in self.sounds:
            at = tick * size - first
            low, high = max(0, at), min(len(whole), at + min(size, len(samples)))
            if low < high:
                whole[low:high] = samples[low - at : high - at]
        return _fixed(whole), first

    def _frame(self, at_s: float) -> tuple[Frames | None, float]:
        """The last frame taken before a moment, and when; None where that is longer ago than was wished for.

        The frames of a micro-turn are spread evenly over it, the first at its beginning (`packets.py`).
        """
        for tick, shot in reversed(self.shots):
            for number in reversed(range(len(shot))):
                taken_s = round(self.clock.seconds(tick) + number * self.clock.tick_s / len(shot), 6)
                if taken_s < at_s - 1e-6:
                    return (_fixed(shot[number].copy()), taken_s) if taken_s >= at_s - self.senses.frame_s - 1e-6 else (None, 0.0)
        return None, 0.0


def _fixed(array: Kept) -> Kept:
    array.setflags(write=False)
    return array
