"""A tiny voice with random weights that says the given words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from model.causal import StackConfig
from model.flow import FlowConfig, HeadConfig, RegressionConfig
from model.plan import Lexicon, Pronunciation
from model.speech import SpeechConfig
from model.vocoder import VocoderConfig
from model.voice import Voice, VoiceConfig

TINY = StackConfig(width=16, hidden=24, num_blocks=2, kernel=3)
TINY_FLOW = FlowConfig(stack=TINY, steps=2)
PHONES = ("aa", "m", "n", "s")


def tiny_voice(words: Sequence[str], head: HeadConfig | None = None, cell_width: int = 0, frames: tuple[int, ...] = (9, 11, 9)) -> Voice:
    """Every word lasts the sum of `frames` (29: 0.36 s), its phones drawn from its letters; the sound is loud noise and hum."""
    torch.manual_seed(0)
    said = {word: Pronunciation(tuple(PHONES[(len(word) + ord(word[0]) + i) % 4] for i in range(len(frames))), frames) for word in words}
    speech = SpeechConfig(num_phones=4, phone_width=4, stack=TINY, head=head or RegressionConfig(stack=TINY), cell_width=cell_width)
    return Voice(VoiceConfig(speech=speech, vocoder=VocoderConfig(stack=TINY)), Lexicon(PHONES, said)).eval()


def with_steps(voice: Voice, steps: int) -> Voice:
    """The same weights, sampled in another number of Euler steps."""
    head = voice.config.speech.head
    assert isinstance(head, FlowConfig)
    config = replace(voice.config, speech=replace(voice.config.speech, head=replace(head, steps=steps)))
    other = Voice(config, voice.lexicon).eval()
    other.load_state_dict(voice.state_dict())
    return other
