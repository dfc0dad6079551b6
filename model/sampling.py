"""From logits to what is said in a cell: the threshold, the tokens, and every rule that changed the outcome."""

# B rows, V vocabulary

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.interaction import InteractionModel, ModelState
from model.layout import BLANK, END, NO_TOKEN, SILENCE, YIELD


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How probabilities become acts: speak once p(not silent) reaches `threshold`; the likeliest tokens, at most `max_outputs` a cell.

    `unspoken` are words of requests, which follow one of the tokens `opens` in the same cell and cannot come otherwise.
    """

    threshold: float = 0.5
    max_outputs: int = 3
    top: int = 5
    opens: tuple[int, ...] = ()
    unspoken: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold={self.threshold} must lie between 0 and 1; 0.5 speaks when speaking is likelier than silence")
        if self.max_outputs < 1:
            raise ValueError(f"max_outputs={self.max_outputs} must be at least 1, or the model can never speak")


@dataclass
class Choice:
    """What one row does in one cell, and the numbers behind it; `wanted` is the likeliest first output before any rule."""

    tokens: list[int]
    wanted: int
    p_speak: float
    p_yield: float
    top: list[tuple[int, float]]
    probabilities: Tensor = field(repr=False)

    @property
    def overruled(self) -> bool:
        """Whether the threshold changed the outcome: it silenced the likeliest token, or spoke although silence was likeliest."""
        return (self.wanted == SILENCE) != (not self.tokens)


def first_probabilities(logits_BV: Tensor, unspoken: Sequence[Sequence[int]] = ()) -> Tensor:
    """(B, V): the probabilities of the first output of a cell, which is never the end of one nor one of its row's unspoken words."""
    return _allowed(logits_BV, (END, BLANK), unspoken).softmax(-1)


def decide(model: InteractionModel, state: ModelState, first_BV: Tensor, configs: list[SamplingConfig]) -> tuple[list[Choice], ModelState]:
    """Choose the outputs of one cell for every row, feeding each token said back into the state."""
    unspoken = [config.unspoken for config in configs]
    p_BV = first_probabilities(first_BV, unspoken)
    choices = [_first(p_BV[row], config) for row, config in enumerate(configs)]
    speaking = torch.tensor([c.tokens[-1] if c.tokens else NO_TOKEN for c in choices])
    while bool((speaking != NO_TOKEN).any()):
        logits_BV, state = model.say(state, speaking)
        as_spoken = _allowed(logits_BV, (SILENCE, BLANK), unspoken).argmax(-1)
        as_asked = _allowed(logits_BV, (SILENCE, BLANK)).argmax(-1)
        for row, choice in enumerate(choices):
            following = as_spoken if set(configs[row].opens).isdisjoint(choice.tokens) else as_asked
            full = len(choice.tokens) >= configs[row].max_outputs
            ends = speaking[row] == NO_TOKEN or following[row] == END or full
            if not ends:
                choice.tokens.append(int(following[row]))
            speaking[row] = NO_TOKEN if ends else following[row]
    return choices, state


def _first(p_V: Tensor, config: SamplingConfig) -> Choice:
    p_speak = 1.0 - float(p_V[SILENCE])
    spoken = p_V.clone()
    spoken[SILENCE] = 0.0
    values, ids = p_V.topk(min(config.top, len(p_V)))
    speaks = p_speak >= config.threshold and p_speak > 0.0
    return Choice(
        tokens=[int(spoken.argmax())] if speaks else [],
        wanted=int(p_V.argmax()),
        p_speak=p_speak,
        p_yield=float(p_V[YIELD]),
        top=[(int(i), float(p)) for i, p in zip(ids, values, strict=True)],
        probabilities=p_V,
    )


def _allowed(logits_BV: Tensor, never: tuple[int, ...], unspoken: Sequence[Sequence[int]] = ()) -> Tensor:
    out = logits_BV.float().clone()
    out[:, list(never)] = float("-inf")
    for row, words in enumerate(unspoken):
        out[row, list(words)] = float("-inf")
    return out
