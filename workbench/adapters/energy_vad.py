"""Voice activity by energy: a frame is voice if it is louder than the noise floor by a margin; the floor falls at once and rises slowly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import InputError
from workbench.packets import Audio
from workbench.utterance import RATE

FRAME_S = 0.01
FRAME = round(FRAME_S * RATE)
QUIETEST_DB = -55.0  # below this nothing is voice, however quiet the room
RISE_DB_S = 1.5


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
    """The floor, how long voice or silence has gone on (s), whether an utterance is open, and where it begins and its voice ends (s)."""

    floor_db: float = 0.0
    voiced_s: float = 0.0
    silent_s: float = 0.0
    open: bool = False
    begins_s: float = 0.0
    voice_ends_s: float = 0.0


def hear(spec: VadSpec, state: VadState, samples: Audio, from_s: float) -> tuple[VadState, tuple[float, float] | None]:
    """The state after these samples, which begin at `from_s`, and begin and end (s) of the voice of an utterance that was over in them."""
    ended: tuple[float, float] | None = None
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    levels = 10 * np.log10(np.mean(whole.astype(np.float64) ** 2, axis=1) + 1e-12)
    for number, level in enumerate(levels.tolist()):
        at_s = from_s + number * FRAME_S
        floor_db = min(state.floor_db + RISE_DB_S * FRAME_S, level)
        voiced = level > max(floor_db + spec.margin_db, QUIETEST_DB)
        state = replace(state, floor_db=floor_db)
        if voiced:
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
