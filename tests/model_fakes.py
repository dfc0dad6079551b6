"""Tiny models and conversations for tests of the model and its training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from model.augment import AugmentConfig
from model.config import DenseConfig, FFNConfig, ModelConfig, TrunkConfig
from model.data import DataConfig
from model.layout import NO_TOKEN, NOTHING_HEARD, YIELD, Cells
from model.losses import LossConfig
from model.recipe import read_recipe
from model.train import TrainConfig
from workbench.frames import Lamp, film, fitted, sample_lens, sample_setting

NUM_TOKENS = 8
NUM_HEARD = 6
SEEN_SIDE = 16  # pixels of the pictures of `signalling`


def train_config(**other: Any) -> TrainConfig:
    """The training of nano with other values."""
    return replace(read_recipe("nano").train, **other)


def loss_config(**other: Any) -> LossConfig:
    """The losses of nano with other weights."""
    return replace(read_recipe("nano").train.loss, **other)


def data_config(**other: Any) -> DataConfig:
    """The batches of nano with other values."""
    return replace(read_recipe("nano").batch, **other)


def augment_config(**other: Any) -> AugmentConfig:
    """The augmentation of nano with other values."""
    return replace(read_recipe("nano").batch.augment, **other)


def tiny_config(ffn: FFNConfig | None = None, fold: int = 4) -> ModelConfig:
    """A model of a few thousand numbers with both kinds of layer."""
    trunk = TrunkConfig(
        width=32,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=16,
        ffn=ffn or DenseConfig(hidden=48),
        layer_kinds=("sliding", "global"),
        sliding_window=16,
        rel_extent=32,
        global_window=32,
        num_sinks=2,
    )
    return ModelConfig(
        trunk=trunk, audio_fold=fold, audio_width=16, fold_hidden=32, vocab_size=NUM_TOKENS, hear_vocab_size=NUM_HEARD, vision=None
    )


def answering(seed: int, cells: int = 40) -> Cells:
    """A conversation in which one of two sounds (a low or a high band) is named two cells later by token 4 or 5."""
    rng = np.random.default_rng(seed)
    mel = np.full((cells, 4, 80), -6.0, np.float16)
    out = np.full((cells, 1), NO_TOKEN, np.int16)
    heard = np.full((cells, 2), NOTHING_HEARD, np.int16)
    active = np.zeros(cells, np.bool_)
    for at in range(2, cells - 4, 6):
        high = int(rng.integers(2))
        mel[at, :, 50 * high : 50 * high + 30] = 1.0
        heard[at, 1] = 2 + high
        active[at] = True
        out[at + 2, 0] = 4 + high
    own = np.zeros((cells, 4, 80), np.uint8)
    family = np.repeat(np.array([1, 2], np.uint8), [cells // 2, cells - cells // 2])
    typed = np.full((cells, 1), NO_TOKEN, np.int16)
    return Cells(mel, own, np.zeros(cells, np.bool_), out, heard, active, out, family, typed, typed)


def yielding(seed: int, cells: int = 40) -> Cells:
    """The same with a yield token in the last cell, so that every kind of target occurs."""
    base = answering(seed, cells)
    base.out[-1, 0] = YIELD
    return base


def signalling(seed: int, cells: int = 40) -> Cells:
    """A conversation in which a lamp turns red or green now and then and back to blue; token 4 or 5 names the colour two cells later."""
    rng = np.random.default_rng(seed)
    base = answering(seed, cells)
    nothing = np.full_like(base.out, NO_TOKEN)
    quiet = replace(
        base, user_mel=np.full_like(base.user_mel, -6.0), out=nothing, wanted=nothing, heard=0 * base.heard, active=base.active & False
    )
    setting, lens = sample_setting(rng, 0.3), sample_lens(rng, 0.3)
    lights, first = [(-1.0, "blue")], 3
    for at in range(first + 2, cells - 4, 6):
        green = int(rng.integers(2))
        lights += [((at - 1) * 0.2, ("red", "green")[green]), ((at + 2) * 0.2, "blue")]
        quiet.out[at + 2, 0] = 4 + green
    lamp = Lamp(lights=tuple(lights), setting=setting)
    seen = range(first, cells)
    pictures = [fitted(lens.take(film(lamp, (cell - 1) * 0.2, 0.2), cell), 2, SEEN_SIDE) for cell in seen]
    return replace(quiet, pictures=np.stack(pictures), picture_cell=np.array(seen, np.int32))
