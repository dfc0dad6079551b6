"""A checkpoint is one safetensors file: weights in half precision, and in its header all that is needed to run them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from model.config import ModelConfig, from_dict, to_dict
from model.interaction import InteractionModel
from model.layout import LAYOUT_VERSION, Vocabulary


class LayoutMismatchError(ValueError):
    """The checkpoint was trained on another cell layout than this code lays out."""


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to run, its vocabulary, and what its training recorded about itself."""

    model: InteractionModel
    vocabulary: Vocabulary
    facts: dict[str, Any]


def save_checkpoint(path: Path, model: InteractionModel, vocabulary: Vocabulary, facts: dict[str, Any]) -> None:
    """Write the weights as float16 with settings, vocabulary and facts (JSON values) in the header."""
    header = {
        "layout": LAYOUT_VERSION,
        "config": json.dumps(to_dict(model.config)),
        "vocabulary": json.dumps(asdict(vocabulary)),
        "facts": json.dumps(facts),
    }
    weights = {name: value.detach().to(torch.float16).contiguous() for name, value in model.state_dict().items()}
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
    model = InteractionModel(from_dict(json.loads(header["config"])))
    model.load_state_dict(weights)
    words = json.loads(header["vocabulary"])
    vocabulary = Vocabulary(tuple(words["agent_words"]), tuple(words["user_words"]))
    return Checkpoint(model.eval(), vocabulary, json.loads(header["facts"]))


def fresh_model(config: ModelConfig, seed: int) -> InteractionModel:
    """A model with random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return InteractionModel(config)
