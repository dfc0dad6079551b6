"""A larger model that begins where a smaller one ended: more words, more inputs, the same settings otherwise."""

from __future__ import annotations

import torch
from torch import Tensor

from model.checkpoint import Checkpoint, fresh_model
from model.config import ModelConfig, to_dict
from model.interaction import InteractionModel
from model.layout import HALVES, Vocabulary
from model.saved import flat

SPOKEN = ("tokens.weight", "text_head.weight", "text_head.bias")
HEARD = (*(f"heard.{half}.weight" for half in range(HALVES)), "hear_head.weight", "hear_head.bias")
OPEN_ENDED = ("kinds.weight",)  # rows may be added at the end
WORDS = ("vocab_size", "hear_vocab_size")
REACH = ("trunk.global_window", "trunk.num_sinks")  # how far back it looks
TRAINING = ("trunk.init_std", "trunk.ffn.bias_step")  # nothing of what trained weights do


def grow(earlier: Checkpoint, config: ModelConfig, vocabulary: Vocabulary, seed: int) -> InteractionModel:
    """A model of `config` with the weights of an earlier one; what the earlier one did not have is random, by `seed`.

    Rows of embeddings and heads move with their words, so the vocabulary may be larger or in another order: about the same inputs the
    model says the same of the words it knew. Parts that only the new sizes have (an image front end) are added. Raises ValueError when
    a word or a part would be lost, or a setting differs by which the earlier weights would be of another size or read other inputs; it may
    look further back.
    """
    _same_settings(earlier.model.config, config)
    spoken = _places(earlier.vocabulary.tokens, vocabulary.tokens, "agent")
    heard = _places(earlier.vocabulary.heard, vocabulary.heard, "user")
    model = fresh_model(config, seed)
    weights = model.state_dict()
    for name, value in earlier.model.state_dict().items():
        if name not in weights:
            raise ValueError(f"the new sizes have no {name!r}; grow only adds, so keep the parts the earlier model has")
        weights[name] = _grown(name, value, weights[name], spoken, heard)
    model.load_state_dict(weights)
    return model


def _same_settings(earlier: ModelConfig, later: ModelConfig) -> None:
    """That nothing is changed but what may be; a difference need not show in a shape, as that of hop_ms does not."""
    before, after = (dict(flat(to_dict(config))) for config in (earlier, later))
    free = {*WORDS, *REACH, *TRAINING}
    if earlier.counter_pairs == 0:
        free.add("counter_pairs")
    if earlier.vision is None or later.vision is None:  # a part added, or one that is missed below
        free |= {name for name in (*before, *after) if name.partition(".")[0] == "vision"}
    for name in (name for name in {**before, **after} if name not in free):
        if before.get(name) != after.get(name):
            raise ValueError(
                f"{name} is {before.get(name)!r} and would be {after.get(name)!r}; grow adds words and inputs only, so keep it"
            )


def _places(before: tuple[str, ...], after: tuple[str, ...], side: str) -> Tensor:
    """Where each word that was known stands now."""
    lost = [word for word in before if word not in after]
    if lost:
        raise ValueError(f"the new vocabulary of the {side} lacks {', '.join(map(repr, lost))}; grow only adds, so keep every word")
    return torch.tensor([after.index(word) for word in before])


def _grown(name: str, value: Tensor, fresh: Tensor, spoken: Tensor, heard: Tensor) -> Tensor:
    if name in SPOKEN:
        return fresh.index_copy(0, spoken, value)
    if name in HEARD:
        halves = HALVES if name.startswith("hear_head") else 1
        split = fresh.unflatten(0, (halves, -1))
        return split.index_copy(1, heard, value.unflatten(0, (halves, -1))).flatten(0, 1)
    if name in OPEN_ENDED and len(fresh) > len(value):
        return torch.cat([value, fresh[len(value) :]])
    if fresh.shape != value.shape:
        raise ValueError(f"{name!r} is {tuple(value.shape)} and would be {tuple(fresh.shape)}; grow adds words and inputs only")
    return value
