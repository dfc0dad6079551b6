"""What training asks for: the right output, the right words heard, and whether someone is speaking."""

# B rows, P positions, T cells, H heard-words slots, V vocabulary

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.data import Batch
from model.interaction import Outputs
from model.layout import END, NO_TARGET, NOTHING_HEARD, SILENCE, YIELD
from model.settings import at_least
from model.tensors import sent

NUMBERS = 256  # of families, as many as a conversation's arrays can hold


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights. Silence is by far the most frequent output and learned first, so it counts less: `silence` where the model is sure of it,
    up to `doubted_silence` more where it would rather speak (a focal weight, Lin et al. 2017): the end of a count, a thinking pause.
    """

    silence: float
    doubted_silence: float
    heard: float
    nothing_heard: float
    active: float

    def __post_init__(self) -> None:
        at_least(self, 0, "0 leaves it out of the loss", "silence", "doubted_silence", "heard", "nothing_heard", "active")


@dataclass(frozen=True)
class Tally:
    """What one batch lost, still on its device: sums and counts per kind of token, and per family the weighted sum and what it counts.

    Reading it waits for the device, so a step reads it when all its work is given out.
    """

    kinds: tuple[str, ...]
    kind_K2: Tensor
    family_F2: Tensor
    total: Tensor

    def read(self) -> tuple[dict[str, float], dict[int, float]]:
        """The mean per kind of token that the batch had (and the "total"), and the loss of the outputs by the family of their cell."""
        found = torch.cat([self.kind_K2.flatten(), self.family_F2.flatten(), self.total.reshape(1)]).tolist()
        many, end = 2 * len(self.kinds), len(found) - 1
        kinds = {name: found[2 * k] / found[2 * k + 1] for k, name in enumerate(self.kinds) if found[2 * k + 1]}
        families = {f: found[at] / found[at + 1] for f, at in enumerate(range(many, end, 2)) if found[at + 1]}
        return {**kinds, "total": found[-1]}, families


def losses(out: Outputs, batch: Batch, config: LossConfig) -> tuple[Tensor, Tally]:
    """The training loss, and what it is made of, for the log."""
    each, target, family = _output_loss(out, batch)
    weight, share = _weights(each, target, config)
    text = (each * weight).sum() / share.sum().clamp(min=1)
    real, named = batch.real_BT, batch.heard_BTH != NOTHING_HEARD
    heard_each = F.cross_entropy(out.heard_BTHV.flatten(0, 2).float(), batch.heard_BTH.flatten(), reduction="none").view_as(batch.heard_BTH)
    heard_weight = torch.where(named, 1.0, config.nothing_heard) * real[..., None]
    heard = (heard_each * heard_weight).sum() / heard_weight.sum().clamp(min=1)
    active_each = F.binary_cross_entropy_with_logits(out.active_BT.float(), batch.active_BT.float(), reduction="none")
    active = (active_each * real).sum() / real.sum()
    total = text + config.heard * heard + config.active * active
    with torch.no_grad():
        kinds = {
            "silence": (each, target == SILENCE),
            "word": (each, (target != SILENCE) & (target != END) & (target != YIELD)),
            "yield": (each, target == YIELD),
            "heard": (heard_each, real[..., None] & named),
            "nothing_heard": (heard_each, real[..., None] & ~named),
            "active": (active_each, real),
        }
        summed = [torch.stack([(values * chosen).sum(), chosen.sum().to(values.dtype)]) for values, chosen in kinds.values()]
        by_family = each.new_zeros(NUMBERS, 2).index_add(0, family, torch.stack([each * weight, share], -1))
    return total, Tally(tuple(kinds), torch.stack(summed), by_family, total.detach())


def _weights(each: Tensor, target: Tensor, config: LossConfig) -> tuple[Tensor, Tensor]:
    """What each output counts, and what it counts in the mean: doubted silences count more without making the others count less."""
    doubt = 1 - torch.exp(-each.detach())
    weight = torch.where(target == SILENCE, config.silence + config.doubted_silence * doubt, 1.0)
    return weight, torch.where(target == SILENCE, config.silence, 1.0)


def _output_loss(out: Outputs, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Of every prediction its loss, what was to be said, and the family of its cell; what is asked for is known here, before the device."""
    laid, device = batch.cells.plan, batch.family_BT.device
    row, place = np.nonzero(laid.target_BP != NO_TARGET)
    asked = sent(row * laid.shape[1] + place, device)
    cell = sent(row * batch.family_BT.shape[1] + laid.cell_BP[row, place], device)
    target = batch.target_BP.flatten()[asked]
    return F.cross_entropy(out.text_NV.float(), target, reduction="none"), target, batch.family_BT.flatten()[cell]
