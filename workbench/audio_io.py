"""Sound files in and out: anything libsndfile reads becomes 16 kHz mono; what is written is 16-bit PCM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from workbench.errors import InputError
from workbench.packets import Audio
from workbench.utterance import RATE, resample


def read_audio(path: str | Path) -> Audio:
    """The sound of a file as float32 mono at 16 kHz: channels are averaged, other rates are resampled.

    Raises InputError when the file is missing, not a sound file libsndfile can read, empty, or holds values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no sound file {str(path)!r}; check the path")
    try:
        frames, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{str(path)!r} cannot be read as sound ({error.error_string}); convert it to WAV or FLAC") from error
    except TypeError as error:  # of a name that ends in .raw, whatever is in it
        raise InputError(
            f"{str(path)!r} cannot be read as sound (a .raw file does not tell its rate); convert it to WAV or FLAC"
        ) from error
    if not len(frames):
        raise InputError(f"{str(path)!r} holds no sound (0 samples); record it again")
    if not np.isfinite(frames).all():
        raise InputError(f"{str(path)!r} holds samples that are not finite numbers; convert it to 16-bit PCM")
    mono = frames.mean(axis=1, dtype=np.float32)
    return resample(np.ascontiguousarray(mono), rate)


def write_wav(path: str | Path, samples: Audio, rate: int = RATE) -> None:
    """Write mono 16-bit PCM; samples outside -1 to 1 are clipped, values that are not finite are an InputError."""
    sound = np.asarray(samples, np.float32)
    if sound.ndim != 1:
        raise InputError(f"samples have shape {sound.shape}; give one channel, shape (samples,)")
    if not np.isfinite(sound).all():
        raise InputError("samples hold values that are not finite; there is a fault in what made them")
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"the folder {str(path.parent)!r} does not exist; make it first")
    soundfile.write(path, np.clip(sound, -1, 1), rate, subtype="PCM_16", format="WAV")
