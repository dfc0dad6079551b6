"""Voice activity by Silero's network: every 32 ms a probability that somebody speaks.

The network comes in the wheel of `silero-vad` (MIT) as an ONNX file and is run by onnxruntime on one thread, so neither torch nor
torchaudio is imported. It takes 512 samples at 16 kHz after the 64 before them, and a state; both are carried from tick to tick as
values, and so is the rest of a tick that makes no whole window.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from workbench.adapters.energy_vad import Bars, Utterances, follow
from workbench.errors import InputError
from workbench.packets import Audio
from workbench.utterance import RATE

PACKAGES = {"silero-vad": "silero_vad", "onnxruntime": "onnxruntime"}
WINDOW, CONTEXT = 512, 64  # samples
WINDOW_S = WINDOW / RATE
STEP_DOWN = 0.15  # by which the bar is lower once an utterance is open, as in Silero's own examples
STATE_SHAPE = (2, 1, 128)
ONLY_ERRORS = 3  # of onnxruntime's levels of log


@lru_cache(maxsize=1)
def lacking() -> str:
    """What is not installed of what this detector needs, as text; empty where nothing is lacking."""
    return " and ".join(name for name, module in PACKAGES.items() if find_spec(module) is None)


def about() -> str:
    """The detector and its version."""
    return f"silero-vad {version('silero-vad')}"


@lru_cache(maxsize=1)
def network() -> Any:
    """The network, read once. Raises InputError where a package is missing."""
    if missing := lacking():
        raise InputError(f"{missing} not installed; install the extra `peers`, or take vad=energy")
    import onnxruntime

    found = find_spec("silero_vad")
    assert found is not None
    assert found.submodule_search_locations
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ONLY_ERRORS
    path = Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, kw_only=True)
class SileroSpec:
    """A probability above `voice_p` is voice; `onset_s` of it begin an utterance, `hang_s` of silence end it."""

    voice_p: float = 0.5
    onset_s: float = 0.06
    hang_s: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.voice_p < 1 or min(self.onset_s, self.hang_s) <= 0:
            raise InputError(f"{self}: voice_p must lie between 0 and 1, and the times must be above 0")


def _nothing() -> Audio:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class SileroState(Utterances):
    """What the network carries: its state, the samples before the next window, and those that make no window yet. No array is changed."""

    net: Audio = field(default_factory=lambda: np.zeros(STATE_SHAPE, np.float32), compare=False)
    context: Audio = field(default_factory=lambda: np.zeros(CONTEXT, np.float32), compare=False)
    rest: Audio = field(default_factory=_nothing, compare=False)


def hear(spec: SileroSpec, state: SileroState, samples: Audio, from_s: float) -> tuple[SileroState, tuple[float, float] | None]:
    """The state after these samples, which begin at `from_s`, and begin and end (s) of the voice of an utterance that was over in them."""
    begins_s = from_s - len(state.rest) / RATE
    state, levels = probabilities(state, samples)
    bars = Bars(high=spec.voice_p, low=max(spec.voice_p - STEP_DOWN, 0.01), onset_s=spec.onset_s, hang_s=spec.hang_s)
    return follow(state, bars, levels, begins_s, WINDOW_S)


def probabilities(state: SileroState, samples: Audio) -> tuple[SileroState, list[float]]:
    """The state after these samples, and the probability of voice in every window that they make whole."""
    sound, net, context, found = np.concatenate([state.rest, samples]), state.net, state.context, list[float]()
    rate = np.array(RATE, np.int64)
    whole = len(sound) // WINDOW * WINDOW
    for window in sound[:whole].reshape(-1, WINDOW):
        given = {"input": np.concatenate([context, window])[None].astype(np.float32), "state": net, "sr": rate}
        level, net = network().run(None, given)
        context = window[-CONTEXT:]
        found.append(float(level[0, 0]))
    return replace(state, net=net, context=context, rest=sound[whole:].copy()), found
