"""Conversations as arrays -> batches: crop, augment, quantise, lay out, and blur what the model may not lean on."""

# B rows, T cells, A frames per cell (4), M mel bands, H heard-words slots per cell, K outputs per cell

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from model.augment import AugmentConfig, augment
from model.config import ModelConfig
from model.dmel import DMel
from model.interaction import CellBatch
from model.layout import BLANK, HALVES, NO_TOKEN, NOTHING_HEARD, Cells, Counts, plan
from model.settings import at_least, shares
from model.tensors import sent


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How conversations become batches; chances are per cell or per token.

    Attributes
        cells: length of a row, 200 ms each
        rows: conversations a batch
        blank_output: a past output token is hidden, so that the model must get by with the sound of its voice
        lose_heard, wrong_heard: a heard word of the cell before is hidden or replaced by another: the head's own mistakes
        begin_session: share of windows that are the beginning of a session
        max_counter: before the other windows the session may have lasted this many cells
    """

    cells: int
    rows: int
    blank_output: float
    lose_heard: float
    wrong_heard: float
    begin_session: float
    max_counter: int
    augment: AugmentConfig

    def __post_init__(self) -> None:
        at_least(self, 1, "a batch has at least one row of one cell", "cells", "rows")
        at_least(self, 1, "1 counts the cells of every window from 0", "max_counter")
        shares(self, "it is a chance", "blank_output", "lose_heard", "wrong_heard", "begin_session")


@dataclass
class Batch:
    """A laid-out batch and what is to be learned from it."""

    cells: CellBatch
    target_BP: Tensor
    heard_BTH: Tensor
    active_BT: Tensor
    real_BT: Tensor
    family_BT: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(**{name: part.to(device) if isinstance(part, CellBatch) else sent(part, device) for name, part in vars(self).items()})


def addressed(*address: int) -> torch.Generator:
    """A generator for an address such as (seed, step, part): the same draws for the same address, whatever was drawn before."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(address).generate_state(1, np.uint64)[0] >> 1))


def collate(rows: Sequence[Cells], config: DataConfig, dmel: DMel, generator: torch.Generator, sizes: ModelConfig) -> Batch:
    """The batch of these conversations, each cropped to `config.cells` cells at a random place."""
    crops = [_crop(cells, config.cells, generator) for cells in rows]
    lengths = np.array([len(crop) for crop, _ in crops])
    width = int(lengths.max())
    mel = torch.from_numpy(_stack([c.user_mel for c, _ in crops], width, -7.0)).float()
    before = torch.from_numpy(np.stack([b for _, b in crops])).float()
    frames = torch.cat([before[:, None], mel], 1).flatten(1, 2)
    frames = augment(frames, config.augment, generator)
    heard_as = dmel.levels if sizes.audio_input == "dmel" else dmel.scaled
    levels = heard_as(frames).unflatten(1, (width + 1, -1))
    own = torch.from_numpy(_stack([c.own_level for c, _ in crops], width, 0))
    present = _stack([c.own_present for c, _ in crops], width, False) & sizes.hears_itself
    out = _stack([c.out for c, _ in crops], width, NO_TOKEN).astype(np.int64)
    heard = torch.from_numpy(_stack([c.heard for c, _ in crops], width, NOTHING_HEARD)).long()
    wanted = _stack([c.wanted for c, _ in crops], width, NO_TOKEN).astype(np.int64)
    shown = np.zeros(present.shape, np.int64)
    for row, (crop, _) in enumerate(crops):
        shown[row, crop.picture_cell] = 1
    pictures = [crop.pictures for crop, _ in crops if len(crop.pictures)]
    typed = _stack([c.typed for c, _ in crops], width, NO_TOKEN).astype(np.int64)
    background = _stack([c.background for c, _ in crops], width, NO_TOKEN).astype(np.int64)
    handed = (background != NO_TOKEN).sum(-1)
    counts = replace(Counts.audio_only(present), patches=shown, typed=(typed != NO_TOKEN).sum(-1), background=handed)
    laid = plan(counts, out, sizes.audio_positions, lengths, wanted)
    start = torch.randint(0, config.max_counter, (len(rows), 1), generator=generator)
    start = torch.where(torch.rand(start.shape, generator=generator) < config.begin_session, 0, start)
    cells = CellBatch(
        plan=laid,
        user_BTAM=levels[:, 1:],
        user_before_BAM=levels[:, 0],
        own_BTAM=own,
        own_before_BAM=torch.zeros_like(own[:, 0]),
        heard_before_BTH=_lead_in(_blur_heard(heard, config, generator, sizes.hear_vocab_size)),
        counter_BT=start + torch.arange(width)[None],
        out_BTK=_blank(torch.from_numpy(out), config.blank_output, generator),
        patches_NFYXC=torch.from_numpy(np.concatenate(pictures)) if pictures else None,
        typed_BTK=torch.from_numpy(typed),
        background_BTK=torch.from_numpy(background),
    )
    active = torch.from_numpy(_stack([c.active for c, _ in crops], width, False))
    real = torch.arange(width)[None] < torch.from_numpy(lengths)[:, None]
    family = torch.from_numpy(_stack([c.family for c, _ in crops], width, 0)).long()
    return Batch(cells, torch.from_numpy(laid.target_BP), heard, active, real, family)


def _crop(cells: Cells, width: int, generator: torch.Generator) -> tuple[Cells, np.ndarray]:
    spare = len(cells) - width
    first = int(torch.randint(0, spare + 1, (1,), generator=generator)) if spare > 0 else 0
    crop = cells.part(first, width)
    before = cells.user_mel[first - 1] if first else np.full_like(cells.user_mel[0], -7.0)
    return crop, before


def _stack(arrays: Sequence[np.ndarray], width: int, fill: float | bool) -> np.ndarray:
    depth = max(a.shape[1] for a in arrays) if arrays[0].ndim == 2 else None
    shape = arrays[0].shape[1:] if depth is None else (depth,)
    out = np.full((len(arrays), width, *shape), fill, arrays[0].dtype)
    for row, array in enumerate(arrays):
        out[(row, slice(len(array)), *(slice(n) for n in array.shape[1:]))] = array
    return out


def _blank(out_BTK: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    hide = (torch.rand(out_BTK.shape, generator=generator) < chance) & (out_BTK != NO_TOKEN)
    return torch.where(hide, torch.full_like(out_BTK, BLANK), out_BTK)


def _blur_heard(heard_BTH: Tensor, config: DataConfig, generator: torch.Generator, num_heard: int) -> Tensor:
    draw = torch.rand(heard_BTH.shape, generator=generator)
    other = torch.randint(1, num_heard, heard_BTH.shape, generator=generator)
    word = heard_BTH != NOTHING_HEARD
    wrong = word & (draw < config.wrong_heard) | ~word & (draw < config.wrong_heard / 20)
    lost = word & (draw > 1 - config.lose_heard)
    return torch.where(wrong, other, torch.where(lost, torch.zeros_like(heard_BTH), heard_BTH))


def _lead_in(heard_BTH: Tensor) -> Tensor:
    first = torch.zeros((len(heard_BTH), 1, HALVES), dtype=heard_BTH.dtype)
    return torch.cat([first, heard_BTH[:, :-1]], 1)
