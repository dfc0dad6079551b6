"""The model's own voice in one piece: words in, 200 ms of sound out, everything carried in a value.

    say(word) -> queue of planned frames -> SpeechHead -> mel frames -> Vocoder -> sound

Nothing is computed while nothing is said: silence is zeros, and an utterance begins from the state before its first frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.causal import StackConfig
from model.flow import FlowConfig, RegressionConfig
from model.plan import RELEASE_FRAMES, Lexicon, PlanFrames, Pronunciation, joined, release
from model.speech import SpeechConfig, SpeechHead, SpeechState
from model.vocoder import Vocoder, VocoderConfig, VocoderState


@dataclass(frozen=True, kw_only=True)
class VoiceConfig:
    """Sizes of a speech head and a vocoder that fit each other."""

    speech: SpeechConfig
    vocoder: VocoderConfig = field(default_factory=VocoderConfig)

    def __post_init__(self) -> None:
        if self.speech.num_mel != self.vocoder.num_mel:
            raise ValueError(
                f"a speech head of {self.speech.num_mel} mel bands cannot feed a vocoder of {self.vocoder.num_mel}; give both the same"
            )


@dataclass(frozen=True)
class Queued:
    """A word of which frames are still to be spoken."""

    word: str
    plan: PlanFrames
    spoken: int = 0


@dataclass(frozen=True)
class Running:
    """An utterance in progress: the states of head and vocoder, and the frames of release it has still to ring out."""

    speech: SpeechState
    vocoder: VocoderState
    release_left: int = RELEASE_FRAMES


@dataclass(frozen=True)
class VoiceState:
    """What is left to be said and what the sound so far has left behind. A value: keep it to go back to it."""

    queue: tuple[Queued, ...] = ()
    running: Running | None = None
    cut: bool = False
    frame: int = 0  # frames since the session began; addresses the noise

    @property
    def sounding(self) -> bool:
        """Whether any sound is still to come."""
        return bool(self.queue) or self.running is not None

    @property
    def frames_left(self) -> int:
        """Frames of sound still to come."""
        fading, queue = (1, self.queue[1:]) if self.cut else (0, self.queue)
        if queue:
            return fading + sum(len(item.plan) - item.spoken for item in queue) + RELEASE_FRAMES
        return fading or (self.running.release_left if self.running else 0)


@dataclass(frozen=True)
class Began:
    """A word that began to sound: at which sample of the stretch, and for how many samples it will."""

    word: str
    at_sample: int
    num_samples: int


class Voice(nn.Module):
    """One fixed voice: a lexicon, a speech head and a vocoder."""

    def __init__(self, config: VoiceConfig, lexicon: Lexicon) -> None:
        super().__init__()
        if config.speech.num_phones != len(lexicon.phones):
            raise ValueError(
                f"a head of {config.speech.num_phones} phones does not fit a lexicon of {len(lexicon.phones)}; count the lexicon's"
            )
        self.config = config
        self.lexicon = lexicon
        self.speech = SpeechHead(config.speech)
        self.vocoder = Vocoder(config.vocoder)

    def say(self, state: VoiceState, word: str) -> VoiceState:
        """The state with `word` queued: it sounds from the next frame, or when the words before it are done.

        Raises ValueError for a word that is not in the lexicon.
        """
        return replace(state, queue=(*state.queue, Queued(word, self.lexicon.frames(self.lexicon[word]))))

    def stop(self, state: VoiceState) -> VoiceState:
        """The state with everything dropped; what is sounding fades out within the next frame, 12.5 ms."""
        if state.running is None:
            return replace(state, queue=())
        sounding = tuple(item for item in state.queue[:1] if item.spoken)
        plan = sounding[0].plan[sounding[0].spoken :] if sounding else release()[-state.running.release_left :]
        return replace(state, queue=(Queued("", plan[:1], 1),), cut=True)

    @torch.inference_mode()
    def speak(
        self, state: VoiceState, frames: int, seed: int = 0, cell_D: Tensor | None = None
    ) -> tuple[Tensor, tuple[Began, ...], VoiceState]:
        """The sound of the next frames [S], zeros where nothing is said, the words that began in it, and the state after it."""
        hop = self.config.vocoder.hop_samples
        audio_S = torch.zeros(frames * hop)
        at = 0
        if state.cut:
            audio_S[:hop], state = self._fade(state, seed, cell_D)
            at = 1
        parts, began, queue, release_left = _due(state, frames - at)
        if parts:
            plan = joined(parts)
            sound_S, running = self._render(plan, state, seed, cell_D)
            audio_S[at * hop : (at + len(plan)) * hop] = sound_S
            left = replace(running, release_left=release_left) if queue or release_left else None
            state = replace(state, queue=queue, running=left)
        starts = tuple(Began(word, (at + first) * hop, length * hop) for word, first, length in began)
        return audio_S, starts, replace(state, frame=state.frame + frames - at)

    def _fade(self, state: VoiceState, seed: int, cell_D: Tensor | None) -> tuple[Tensor, VoiceState]:
        """The last frame of a cut word, faded out, and the silent state after it with the words that came after the cut."""
        sound_S, _ = self._render(state.queue[0].plan, state, seed, cell_D)
        ramp = torch.linspace(1, 0, len(sound_S) + 1)[:-1]
        return sound_S * ramp, VoiceState(state.queue[1:], frame=state.frame + 1)

    def _render(self, plan: PlanFrames, state: VoiceState, seed: int, cell_D: Tensor | None) -> tuple[Tensor, Running]:
        running = state.running or Running(self.speech.start(), self.vocoder.start())
        noise_FM = noise(seed, state.frame, len(plan), self.config.speech.num_mel)
        cell_BD = None if cell_D is None else cell_D[None]
        mel, speech = self.speech(plan.identities_FI[None], plan.places_FP[None], noise_FM[None], running.speech, cell_BD)
        sound, vocoder = self.vocoder(mel.clamp_min(self.config.vocoder.silence), running.vocoder)
        return sound[0].clamp(-1.0, 1.0), Running(speech, vocoder)


def _due(state: VoiceState, frames: int) -> tuple[list[PlanFrames], list[tuple[str, int, int]], tuple[Queued, ...], int]:
    """What of the queue falls into the next frames: plans, words that begin (word, frame, length), the queue after them, release left."""
    parts: list[PlanFrames] = []
    began: list[tuple[str, int, int]] = []
    queue, at = list(state.queue), 0
    release_left = RELEASE_FRAMES if queue else state.running.release_left if state.running else 0
    while queue and at < frames:
        item = queue[0]
        if not item.spoken:
            began.append((item.word, at, len(item.plan)))
        part = item.plan[item.spoken : item.spoken + frames - at]
        parts.append(part)
        at += len(part)
        queue[0] = replace(item, spoken=item.spoken + len(part))
        if queue[0].spoken == len(item.plan):
            queue.pop(0)
    if not queue and release_left and at < frames:
        part = release()[RELEASE_FRAMES - release_left :][: frames - at]
        parts.append(part)
        release_left -= len(part)
    return parts, began, tuple(queue), release_left


def noise(seed: int, first: int, frames: int, num_mel: int) -> Tensor:
    """Unit noise of the frames of a session from number `first` on, [F, M]: each frame's depends on seed and number alone."""
    rows = [np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), first + at])).standard_normal(num_mel) for at in range(frames)]
    return torch.from_numpy(np.stack(rows)).float()


def to_dict(voice: Voice) -> dict[str, Any]:
    """Settings and lexicon as plain JSON values; `from_dict` reads them back."""
    words = {word: [list(said.phones), list(said.frames)] for word, said in voice.lexicon.words.items()}
    return {"config": asdict(voice.config), "phones": list(voice.lexicon.phones), "words": words}


def from_dict(values: dict[str, Any]) -> Voice:
    """The voice of these settings, with random weights."""
    words = {word: Pronunciation(tuple(phones), tuple(frames)) for word, (phones, frames) in values["words"].items()}
    speech, vocoder = values["config"]["speech"], values["config"]["vocoder"]
    flows = "steps" in speech["head"]
    body = {**speech["head"], "stack": StackConfig(**speech["head"]["stack"])}
    head = FlowConfig(**body) if flows else RegressionConfig(**body)
    config = VoiceConfig(
        speech=SpeechConfig(**{**speech, "stack": StackConfig(**speech["stack"]), "head": head}),
        vocoder=VocoderConfig(**{**vocoder, "stack": StackConfig(**vocoder["stack"]), "pitch_hz": tuple(vocoder["pitch_hz"])}),
    )
    return Voice(config, Lexicon(tuple(values["phones"]), words))


def missing_words(voice: Voice, words: Sequence[str]) -> list[str]:
    """The words that this voice cannot say."""
    return [word for word in words if word not in voice.lexicon.words]
