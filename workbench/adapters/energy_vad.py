"""Voice activity by energy: a frame is voice if it is louder than the noise floor by a margin.

The floor is a low quantile of the levels of the last seconds, so it lies in the gaps between words while somebody speaks, and within the
noise while nobody does; it follows a room that grows louder within those seconds. Levels are smoothed over three frames of 10 ms.

`follow` makes utterances of levels of any kind: those of `silero_vad.py` are probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from workbench.errors import InputError
from workbench.packets import Audio
from workbench.utterance import RATE

FRAME_S = 0.01
FRAME = round(FRAME_S * RATE)
QUIETEST_DB = -50.0  # below this nothing is voice, however quiet the room
SMOOTH = 3  # frames
MEMORY_FRAMES, FLOOR_SHARE = 400, 0.2


@dataclass(frozen=True, kw_only=True)
class VadSpec:
    """`margin_db` over the floor is voice; `onset_s` of it begin an utterance, `hang_s` of silence end it."""

    margin_db: float = 9.0
    onset_s: float = 0.06
    hang_s: float = 0.6

    def __post_init__(self) -> None:
        if min(self.margin_db, self.onset_s, self.hang_s) <= 0:
            raise InputError(f"{self} has a value that is not positive; the defaults are a margin of 9 dB, 0.06 s and 0.6 s")


@dataclass(frozen=True)
class Utterances:
    """How long voice or silence has gone on (s), whether an utterance is open, and where it and its voice end."""

    voiced_s: float = 0.0
    silent_s: float = 0.0
    open: bool = False
    begins_s: float = 0.0
    voice_ends_s: float = 0.0


@dataclass(frozen=True)
class VadState(Utterances):
    """Levels of the last seconds, and the power of the last frames (`tail`), for smoothing."""

    levels_db: tuple[float, ...] = ()
    tail: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bars:
    """What counts: a frame above `high` is voice, one above `low` goes on with it; `onset_s` of voice begin, `hang_s` of silence end."""

    high: float
    low: float
    onset_s: float
    hang_s: float


Kept = TypeVar("Kept", bound=Utterances)


def follow(state: Kept, bars: Bars, levels: Iterable[float], from_s: float, frame_s: float) -> tuple[Kept, tuple[float, float] | None]:
    """The state after frames of these levels from `from_s` on, and begin and end (s) of the voice of an utterance that was over in them."""
    voiced_s, silent_s, is_open = state.voiced_s, state.silent_s, state.open
    begins_s, ends_s = state.begins_s, state.voice_ends_s
    ended: tuple[float, float] | None = None
    for number, level in enumerate(levels):
        if level > (bars.low if is_open else bars.high):
            voiced_s = frame_s if silent_s > bars.onset_s else voiced_s + frame_s
            silent_s, ends_s = 0.0, from_s + number * frame_s + frame_s
            if not is_open and voiced_s >= bars.onset_s - 1e-9:
                is_open, begins_s = True, ends_s - voiced_s
        else:
            silent_s += frame_s
            if silent_s > bars.onset_s and not is_open:
                voiced_s = 0.0
            if is_open and silent_s >= bars.hang_s - 1e-9:
                ended, is_open, voiced_s = (begins_s, ends_s), False, 0.0
    kept = replace(state, voiced_s=voiced_s, silent_s=silent_s, open=is_open, begins_s=begins_s, voice_ends_s=ends_s)
    return kept, ended


def hear(spec: VadSpec, state: VadState, samples: Audio, from_s: float) -> tuple[VadState, tuple[float, float] | None]:
    """The state after these samples, which begin at `from_s`, and begin and end (s) of the voice of an utterance that was over in them."""
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.concatenate([state.tail, np.mean(whole.astype(np.float64) ** 2, axis=1)])
    counted = np.minimum(np.arange(1, len(power) + 1), SMOOTH)
    smooth = np.convolve(power, np.ones(SMOOTH))[: len(power)] / counted
    levels = (10 * np.log10(smooth[len(state.tail) :] + 1e-12)).tolist()
    recent = (*state.levels_db, *levels)[-MEMORY_FRAMES:]
    threshold_db = max(float(np.quantile(recent, FLOOR_SHARE)) + spec.margin_db, QUIETEST_DB) if recent else QUIETEST_DB
    state = replace(state, levels_db=recent, tail=tuple(power[-(SMOOTH - 1) :].tolist()))
    bars = Bars(high=threshold_db, low=threshold_db, onset_s=spec.onset_s, hang_s=spec.hang_s)
    return follow(state, bars, levels, from_s, FRAME_S)
