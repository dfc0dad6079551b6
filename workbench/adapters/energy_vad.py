"""Voice activity by energy: a frame is voice if it is louder than the noise floor by a margin.

The floor is a low quantile of the levels of the last seconds, so it lies in the gaps between words while somebody speaks, and within the
noise while nobody does; it follows a room that grows louder within those seconds. Levels are smoothed over three frames of 10 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
class VadState:
    """Levels of the last seconds, how long voice or silence has gone on (s), whether an utterance is open, and where it and its voice end.

    `tail` is the power of the last frames, for smoothing.
    """

    levels_db: tuple[float, ...] = ()
    tail: tuple[float, ...] = ()
    voiced_s: float = 0.0
    silent_s: float = 0.0
    open: bool = False
    begins_s: float = 0.0
    voice_ends_s: float = 0.0


def hear(spec: VadSpec, state: VadState, samples: Audio, from_s: float) -> tuple[VadState, tuple[float, float] | None]:
    """The state after these samples, which begin at `from_s`, and begin and end (s) of the voice of an utterance that was over in them."""
    ended: tuple[float, float] | None = None
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.concatenate([state.tail, np.mean(whole.astype(np.float64) ** 2, axis=1)])
    counted = np.minimum(np.arange(1, len(power) + 1), SMOOTH)
    smooth = np.convolve(power, np.ones(SMOOTH))[: len(power)] / counted
    levels = (10 * np.log10(smooth[len(state.tail) :] + 1e-12)).tolist()
    recent = (*state.levels_db, *levels)[-MEMORY_FRAMES:]
    threshold_db = max(float(np.quantile(recent, FLOOR_SHARE)) + spec.margin_db, QUIETEST_DB) if recent else QUIETEST_DB
    state = replace(state, levels_db=recent, tail=tuple(power[-(SMOOTH - 1) :].tolist()))
    for number, level in enumerate(levels):
        at_s = from_s + number * FRAME_S
        if level > threshold_db:
            voiced_s = FRAME_S if state.silent_s > spec.onset_s else state.voiced_s + FRAME_S
            state = replace(state, voiced_s=voiced_s, silent_s=0.0, voice_ends_s=at_s + FRAME_S)
            if not state.open and voiced_s >= spec.onset_s - 1e-9:
                state = replace(state, open=True, begins_s=at_s + FRAME_S - voiced_s)
        else:
            state = replace(state, silent_s=state.silent_s + FRAME_S)
            if state.silent_s > spec.onset_s and not state.open:
                state = replace(state, voiced_s=0.0)
            if state.open and state.silent_s >= spec.hang_s - 1e-9:
                ended = (state.begins_s, state.voice_ends_s)
                state = replace(state, open=False, voiced_s=0.0)
    return state, ended
