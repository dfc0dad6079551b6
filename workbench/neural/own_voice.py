"""The model's own voice in a session: what `model.voice` speaks, as a voice a mouth can use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from model.checkpoint import load_voice
from model.voice import Voice, VoiceState, missing_words
from workbench.errors import InputError
from workbench.packets import Audio
from workbench.utterance import RATE, Word
from workbench.voice_out import Pulled

SHIPPED = Path(__file__).resolve().parents[2] / "model" / "checkpoints"


def voice_file(name: str) -> Path:
    """The file of a voice: the one that comes along under that name ("voice"), or else the path itself."""
    shipped = SHIPPED / f"{name}.safetensors"
    return shipped if shipped.exists() else Path(name)


@cache
def voice_of(name: str) -> Voice | None:
    """The voice of that name or file, kept in memory; none for "". Raises InputError when the file is missing or holds no voice."""
    if not name:
        return None
    path = voice_file(name)
    try:
        return load_voice(path)
    except (OSError, ValueError) as error:
        raise InputError(f"no voice to be had from {path} ({error}); make one with `microturn train --part voice`") from None


def spoken(voice: Voice, words: Sequence[str], seed: int = 0) -> Audio:
    """Words without gaps, with the release of the last one, as sound."""
    state = VoiceState()
    for word in words:
        state = voice.say(state, word)
    return np.asarray(voice.speak(state, state.frames_left, seed)[0].numpy(), np.float32)


@dataclass(frozen=True)
class OwnSpeech:
    """What the own voice has still to sound, the seed of its noise, and the state of the cell it speaks from (None: it does not listen)."""

    voice: VoiceState = field(default_factory=VoiceState)
    seed: int = 0
    frame_s: float = 0.0125
    cell_D: Tensor | None = None

    @property
    def speaking(self) -> bool:
        """Whether any sound is still to come."""
        return self.voice.sounding

    @property
    def pending_s(self) -> float:
        """Seconds of sound still to come."""
        return self.voice.frames_left * self.frame_s

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are sounding or queued."""
        return tuple(item.word for item in self.voice.queue)


@dataclass(frozen=True)
class OwnVoice:
    """A trained voice as a `VoiceOut`; a cut fades out within 12.5 ms."""

    voice: Voice

    def __post_init__(self) -> None:
        rate = self.voice.config.vocoder.sample_rate
        if rate != RATE:
            raise InputError(f"this voice speaks at {rate} Hz and sessions run at {RATE}; train it at that rate")

    def for_words(self, words: Sequence[str]) -> OwnVoice:
        """This voice, if it can say all these words; raises InputError otherwise."""
        if missing := missing_words(self.voice, words):
            raise InputError(
                f"the voice of this checkpoint cannot say {', '.join(missing)}; train it again with `microturn train --part voice`"
            )
        return self

    def start(self, seed: int) -> OwnSpeech:
        config = self.voice.config.vocoder
        return OwnSpeech(seed=seed, frame_s=config.hop_samples / config.sample_rate)

    def at(self, state: OwnSpeech, position: int) -> OwnSpeech:
        return replace(state, voice=replace(state.voice, frame=position // self.voice.config.vocoder.hop_samples))

    def from_cell(self, state: Any, cell_D: Tensor) -> Any:
        """The state of the cell that the next pull speaks from, for a voice that listens to it."""
        return replace(state, cell_D=cell_D) if self.voice.config.speech.cell_width else state

    def say(self, state: OwnSpeech, word: str) -> OwnSpeech:
        return replace(state, voice=self.voice.say(state.voice, word))

    def cut(self, state: OwnSpeech) -> OwnSpeech:
        return replace(state, voice=self.voice.stop(state.voice))

    def pull(self, state: OwnSpeech, samples: int) -> Pulled[OwnSpeech]:
        hop = self.voice.config.vocoder.hop_samples
        if samples % hop:
            raise InputError(f"{samples} samples are not a whole number of frames of {hop}; pull whole ticks")
        begin = state.voice.frame * hop
        sound, began, voice = self.voice.speak(state.voice, samples // hop, state.seed, state.cell_D)
        words = [Word(b.word, (begin + b.at_sample) / RATE, (begin + b.at_sample + b.num_samples) / RATE) for b in began]
        return Pulled(np.asarray(sound.numpy(), np.float32), tuple(words), replace(state, voice=voice))
