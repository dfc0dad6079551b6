"""A checkpoint is one safetensors file: weights in half precision, and in its header all that is needed to run them.

The model's own voice is a part of the file (weights named `voice.…`, a header entry `voice`) or a file of its own with only that part.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model.config import ModelConfig, from_dict, to_dict
from model.interaction import InteractionModel
from model.layout import LAYOUT_VERSION, Vocabulary
from model.voice import Voice
from model.voice import from_dict as voice_from_dict
from model.voice import to_dict as voice_to_dict

_VOICE = "voice."


class LayoutMismatchError(ValueError):
    """The checkpoint was trained on another cell layout than this code lays out."""


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to run, its vocabulary, what its training recorded about itself, and its own voice if it has one."""

    model: InteractionModel
    vocabulary: Vocabulary
    facts: dict[str, Any]
    voice: Voice | None = None


def save_checkpoint(path: Path, model: InteractionModel, vocabulary: Vocabulary, facts: dict[str, Any], voice: Voice | None = None) -> None:
    """Write the weights as float16 with settings, vocabulary and facts (JSON values) in the header; the voice with them if there is one."""
    header = {
        "layout": LAYOUT_VERSION,
        "config": json.dumps(to_dict(model.config)),
        "vocabulary": json.dumps(asdict(vocabulary)),
        "facts": json.dumps(facts),
    }
    weights = _halves(model)
    if voice is not None:
        header["voice"] = json.dumps(voice_to_dict(voice))
        weights |= _halves(voice, _VOICE)
    _write(path, weights, header)


def save_voice(path: Path, voice: Voice, facts: dict[str, Any]) -> None:
    """Write a voice alone, as float16 with settings, lexicon and facts in the header."""
    _write(path, _halves(voice, _VOICE), {"voice": json.dumps(voice_to_dict(voice)), "facts": json.dumps(facts)})


def _halves(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name: value.detach().to(torch.float16).contiguous() for name, value in module.state_dict().items()}


def _write(path: Path, weights: dict[str, Tensor], header: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(weights, partial, metadata=header)
    partial.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """The model of a checkpoint, float32, in evaluation mode.

    Raises FileNotFoundError, or LayoutMismatchError when the file was made for another cell layout.
    """
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        if header.get("layout") != LAYOUT_VERSION:
            raise LayoutMismatchError(
                f"{path} was trained on cell layout {header.get('layout')!r}, this code lays out {LAYOUT_VERSION!r}; "
                "train again (make train) or use the version of the code that made it"
            )
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a mapping
    voice = _voice(header, weights)
    model = InteractionModel(from_dict(json.loads(header["config"])))
    model.load_state_dict({name: value for name, value in weights.items() if not name.startswith(_VOICE)})
    words = json.loads(header["vocabulary"])
    vocabulary = Vocabulary(**{name: tuple(those) for name, those in words.items()})
    return Checkpoint(model.eval(), vocabulary, json.loads(header["facts"]), voice)


def load_voice(path: Path) -> Voice:
    """The voice in a file, float32, in evaluation mode. Raises FileNotFoundError, or ValueError when the file holds none."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        weights = {name: file.get_tensor(name).float() for name in file.keys() if name.startswith(_VOICE)}  # noqa: SIM118 - not a mapping
    voice = _voice(header, weights)
    if voice is None:
        raise ValueError(f"{path} holds no voice; make one with `microturn train --part voice`")
    return voice


def _voice(header: dict[str, str], weights: dict[str, Tensor]) -> Voice | None:
    if "voice" not in header:
        return None
    voice = voice_from_dict(json.loads(header["voice"]))
    voice.load_state_dict({name.removeprefix(_VOICE): value for name, value in weights.items() if name.startswith(_VOICE)})
    return voice.eval()


def fresh_model(config: ModelConfig, seed: int) -> InteractionModel:
    """A model with random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return InteractionModel(config)
