"""The sound of a session for a browser: both sides on one clock, the user on the left, the agent on the right."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
import soundfile

from workbench.packets import AGENT_AUDIO, USER_AUDIO
from workbench.trace import Trace


def stereo(trace: Trace) -> npt.NDArray[np.float32]:
    """float32 (samples, 2) within -1 to 1: the user's microphone left, the agent's loudspeaker right."""
    both = np.stack([trace.audio(USER_AUDIO), trace.audio(AGENT_AUDIO)], axis=1)
    return np.clip(both, -1.0, 1.0).astype(np.float32)


def flac(trace: Trace) -> bytes:
    """The stereo sound as a 16-bit FLAC file, about half the size of a WAV and lossless at that width."""
    out = io.BytesIO()
    soundfile.write(out, stereo(trace), trace.header.clock.sample_rate, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def mp3(trace: Trace) -> bytes:
    """The stereo sound as a small MP3 of varying rate, 2 to 4 kB a second, for pages that carry many sessions."""
    out = io.BytesIO()
    how = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE", "compression_level": 0.9}
    soundfile.write(out, stereo(trace), trace.header.clock.sample_rate, **how)
    return out.getvalue()


def small_data_url(trace: Trace) -> str:
    """The small MP3 as a `data:` address."""
    return "data:audio/mpeg;base64," + base64.b64encode(mp3(trace)).decode("ascii")


def data_url(trace: Trace) -> str:
    """The stereo sound as a `data:` address that a page can carry inside itself."""
    return "data:audio/flac;base64," + base64.b64encode(flac(trace)).decode("ascii")
