"""What training asks for: the right output, the right words heard, and whether someone is speaking."""

# B rows, P positions, T cells, H heard-words slots, V vocabulary

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.data import Batch
from model.interaction import Outputs
from model.layout import END, NO_TARGET, NOTHING_HEARD, SILENCE, YIELD


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


def losses(out: Outputs, batch: Batch, config: LossConfig) -> tuple[Tensor, dict[str, float]]:
    """The training loss, and its mean per kind of token for the log."""
    each, target = _output_loss(out, batch)
    weight, share = _weights(each, target, config)
    text = (each * weight).sum() / share.sum().clamp(min=1)
    heard_each, heard_target = _heard_loss(out, batch)
    heard_weight = torch.where(heard_target == NOTHING_HEARD, config.nothing_heard, 1.0)
    heard = (heard_each * heard_weight).sum() / heard_weight.sum().clamp(min=1)
    active_each = F.binary_cross_entropy_with_logits(out.active_BT.float(), batch.active_BT.float(), reduction="none")
    active = active_each[batch.real_BT].mean()
    total = text + config.heard * heard + config.active * active
    with torch.no_grad():
        kinds = {
            "silence": each[target == SILENCE],
            "word": each[(target != SILENCE) & (target != END) & (target != YIELD)],
            "yield": each[target == YIELD],
            "heard": heard_each[heard_target != NOTHING_HEARD],
            "nothing_heard": heard_each[heard_target == NOTHING_HEARD],
            "active": active_each[batch.real_BT],
        }
        row = {name: float(values.mean()) for name, values in kinds.items() if values.numel()}
        row["total"] = float(total)
    return total, row


@torch.no_grad()
def family_losses(out: Outputs, batch: Batch, config: LossConfig) -> dict[int, float]:
    """The loss of the outputs, weighted as in `losses`, by the family of their cell."""
    each, target = _output_loss(out, batch)
    weight, share = _weights(each, target, config)
    cell_BP = torch.from_numpy(batch.cells.plan.cell_BP).to(batch.family_BT.device)
    family = batch.family_BT.gather(1, cell_BP)[batch.target_BP != NO_TARGET]
    many = int(family.max()) + 1
    total = each.new_zeros(many).index_add(0, family, each * weight)
    counted = each.new_zeros(many).index_add(0, family, share)
    present = torch.unique(family)
    return dict(zip(present.tolist(), (total[present] / counted[present]).tolist(), strict=True))


def _weights(each: Tensor, target: Tensor, config: LossConfig) -> tuple[Tensor, Tensor]:
    """What each output counts, and what it counts in the mean: doubted silences count more without making the others count less."""
    doubt = 1 - torch.exp(-each.detach())
    weight = torch.where(target == SILENCE, config.silence + config.doubted_silence * doubt, 1.0)
    return weight, torch.where(target == SILENCE, config.silence, 1.0)


def _output_loss(out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
    target = batch.target_BP[batch.target_BP != NO_TARGET]
    return F.cross_entropy(out.text_NV.float(), target, reduction="none"), target


def _heard_loss(out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
    target = batch.heard_BTH[batch.real_BT].flatten()
    logits = out.heard_BTHV[batch.real_BT].flatten(0, 1).float()
    return F.cross_entropy(logits, target, reduction="none"), target
