"""Attention over a bounded past with a learned bias per distance (Inkling's), for whole sequences and for streams.

A query scores each key it may see by `q . k / head_dim + bias(distance)`; the bias is a bank of profiles over distance
(`profiles_RE`) mixed by a small vector that every position derives from its own hidden state. There are no absolute positions.

Whole sequences run in blocks of queries. A block's scores are one matrix product over the keys of its window; the allowed
keys of row `a` then form a diagonal band, which a strided view addresses in place, so adding the bias costs no gather.
Streams keep the keys of the window in rings of slots; `SlotMap` says which position lives where.

Axes: B batch, T positions, P positions of a chunk, H query heads, G key/value heads, D head size, R relative size, E distances,
S slots of a ring, C rows of a block, K columns of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.config import AttentionShape

_HIDDEN = -1e30
"""Score of a key that may not be seen: finite, so that a row without keys stays free of NaN."""
_SLACK = 16
"""Slots beyond the window, so that a chunk may be written before its first position has looked back."""
_BLOCK_ROWS = 64


@dataclass(frozen=True)
class _Block:
    """One block of queries: rows `first` to `first + rows - 1`, whose windows hold at most `reach` keys each."""

    first: int
    rows: int
    reach: int
    sinks: int

    @property
    def columns(self) -> int:
        return self.sinks + self.reach + self.rows

    def band(self, scores: Tensor, extent: int) -> Tensor:
        """The last `extent` allowed keys of every row as a strided view [..., C, extent] of scores [N, C, columns]."""
        width = min(self.reach, extent)
        offset = 1 + self.sinks + self.reach - width
        size = (scores.shape[0], self.rows, width)
        return scores.as_strided(size, (self.rows * self.columns, self.columns + 1, 1), scores.storage_offset() + offset)


@lru_cache(maxsize=64)
def _blocks(positions: int, rows: int, window: int | None, sinks: int) -> tuple[_Block, ...]:
    blocks = []
    for first in range(0, positions, rows):
        reach = first + rows if window is None else min(window, first + rows)
        beyond = window is not None and first + rows > window
        blocks.append(_Block(first, rows, reach, sinks if beyond else 0))
    return tuple(blocks)


@lru_cache(maxsize=256)
def _hidden_keys(block: _Block, device: torch.device, dtype: torch.dtype) -> Tensor:
    """0 where a row may see a column of the block, a very low score where it may not: [C, K]."""
    row_C1 = torch.arange(block.rows)[:, None]
    column_1K = torch.arange(block.reach + block.rows)[None, :]
    key_1K = column_1K + block.first - block.reach
    seen_CK = (column_1K > row_C1) & (column_1K <= row_C1 + block.reach) & (key_1K >= 0)
    sink_1S = torch.arange(block.sinks)[None, :]
    sink_seen_CS = row_C1 + block.first - sink_1S >= block.reach
    hidden_CK = torch.zeros(block.rows, block.columns).masked_fill_(~torch.cat([sink_seen_CS, seen_CK], dim=1), _HIDDEN)
    return hidden_CK.to(device=device, dtype=dtype)


def _keys_of(block: _Block, padded_NTD: Tensor) -> Tensor:
    """The columns of a block, [N, K, D], out of keys that carry `rows` zeros in front."""
    start = block.rows + block.first - block.reach
    near_NKD = padded_NTD[:, start : start + block.reach + block.rows]
    if block.sinks == 0:
        return near_NKD
    return torch.cat([padded_NTD[:, block.rows : block.rows + block.sinks], near_NKD], dim=1)


def _add_keys(block: _Block, padded_NTD: Tensor, update_NKD: Tensor) -> None:
    start = block.rows + block.first - block.reach
    padded_NTD[:, start : start + block.reach + block.rows] += update_NKD[:, block.sinks :]
    if block.sinks:
        padded_NTD[:, block.rows : block.rows + block.sinks] += update_NKD[:, : block.sinks]


def _pack_queries(x_BTHD: Tensor, rows: int, groups: int) -> Tensor:
    """[B, T, H, D] into [blocks, B*G, H/G*C, D], the last block filled with zeros."""
    batch, positions, heads, size = x_BTHD.shape
    missing = -positions % rows
    if missing:
        x_BTHD = F.pad(x_BTHD, (0, 0, 0, 0, 0, missing))
    blocks = (positions + missing) // rows
    x = x_BTHD.reshape(batch, blocks, rows, groups, heads // groups, size).permute(1, 0, 3, 4, 2, 5)
    return x.reshape(blocks, batch * groups, heads // groups * rows, size)


def _unpack_queries(x: Tensor, batch: int, positions: int, rows: int, heads: int) -> Tensor:
    """The inverse of `_pack_queries`: [B, T, H, D], contiguous."""
    blocks, groups, size = x.shape[0], x.shape[1] // batch, x.shape[-1]
    x = x.view(blocks, batch, groups, heads // groups, rows, size).permute(1, 0, 4, 2, 3, 5)
    return x.reshape(batch, blocks * rows, heads, size)[:, :positions]


def _pack_keys(x_BTGD: Tensor, rows: int) -> Tensor:
    """[B, T, G, D] into [B*G, rows + T rounded up, D] with zeros around."""
    batch, positions, groups, size = x_BTGD.shape
    packed = x_BTGD.new_zeros(batch, groups, rows + positions + (-positions % rows), size)
    packed[:, :, rows : rows + positions] = x_BTGD.transpose(1, 2)
    return packed.view(batch * groups, -1, size)


def _unpack_keys(x_NTD: Tensor, batch: int, positions: int, rows: int) -> Tensor:
    return x_NTD.view(batch, x_NTD.shape[0] // batch, -1, x_NTD.shape[-1])[:, :, rows : rows + positions].transpose(1, 2)


class _BandAttention(torch.autograd.Function):
    """Attention of a whole sequence in blocks of queries; see the top of the file."""

    @staticmethod
    def forward(
        ctx: Any, q_BTHD: Tensor, k_BTGD: Tensor, v_BTGD: Tensor, r_BTHR: Tensor, profiles_RE: Tensor, shape: AttentionShape
    ) -> Tensor:
        batch, positions, heads, _ = q_BTHD.shape
        groups = k_BTGD.shape[2]
        rows = min(_BLOCK_ROWS, positions)
        with torch.autocast(q_BTHD.device.type, enabled=False):
            q, r = _pack_queries(q_BTHD, rows, groups), _pack_queries(r_BTHR, rows, groups)
            k, v = _pack_keys(k_BTGD, rows), _pack_keys(v_BTGD, rows)
            flipped_RE = profiles_RE.to(r.dtype).flip(-1).contiguous()
            blocks = _blocks(positions, rows, shape.window, shape.num_sinks)
            out = torch.empty_like(q)
            weights = []
            for i, block in enumerate(blocks):
                weights.append(_block_weights(block, q[i], _keys_of(block, k), r[i], flipped_RE))
                torch.bmm(weights[i], _keys_of(block, v), out=out[i])
        ctx.save_for_backward(q, k, v, r, flipped_RE, *weights)
        ctx.sizes = (batch, positions, rows, heads)
        ctx.blocks = blocks
        ctx.profile_dtype = profiles_RE.dtype
        return _unpack_queries(out, batch, positions, rows, heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTHD: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, r, flipped_RE, *weights = ctx.saved_tensors
        batch, positions, rows, heads = ctx.sizes
        groups = k.shape[0] // batch
        with torch.autocast(q.device.type, enabled=False):
            grad = _pack_queries(grad_BTHD.to(q.dtype), rows, groups)
            dq, dr = torch.empty_like(q), torch.empty_like(r)
            dk, dv = torch.zeros_like(k), torch.zeros_like(v)
            d_flipped = torch.zeros(flipped_RE.shape, dtype=torch.float32, device=q.device)
            for i, block in enumerate(ctx.blocks):
                w = weights[i]
                _add_keys(block, dv, torch.bmm(w.transpose(1, 2), grad[i]))
                dw = torch.bmm(grad[i], _keys_of(block, v).transpose(1, 2))
                ds = torch._softmax_backward_data(dw, w, -1, w.dtype)
                torch.bmm(ds, _keys_of(block, k), out=dq[i])
                _add_keys(block, dk, torch.bmm(ds.transpose(1, 2), q[i]))
                band = block.band(ds.view(-1, rows, block.columns), flipped_RE.shape[1])
                flat = band.reshape(-1, band.shape[-1])
                near_RE = flipped_RE[:, flipped_RE.shape[1] - band.shape[-1] :]
                torch.mm(flat, near_RE.t(), out=dr[i].view(-1, r.shape[-1]))
                d_flipped[:, flipped_RE.shape[1] - band.shape[-1] :] += r[i].view(-1, r.shape[-1]).t() @ flat
        return (
            _unpack_queries(dq, batch, positions, rows, heads),
            _unpack_keys(dk, batch, positions, rows),
            _unpack_keys(dv, batch, positions, rows),
            _unpack_queries(dr, batch, positions, rows, heads),
            d_flipped.flip(-1).to(ctx.profile_dtype),
            None,
        )


def _block_weights(block: _Block, q: Tensor, k_NKD: Tensor, r: Tensor, flipped_RE: Tensor) -> Tensor:
    """Attention weights of one block, [B*G, H/G*C, K]; columns outside a row's window are exactly 0."""
    per_group = q.shape[1] // block.rows
    hidden = _hidden_keys(block, q.device, q.dtype).repeat(per_group, 1)
    scores = torch.baddbmm(hidden, q, k_NKD.transpose(1, 2))
    band = block.band(scores.view(-1, block.rows, block.columns), flipped_RE.shape[1])
    near_RE = flipped_RE[:, flipped_RE.shape[1] - band.shape[-1] :]
    band += (r.view(-1, r.shape[-1]) @ near_RE).view(band.shape)
    return torch.softmax(scores, dim=-1)


def attend_whole(q_BTHD: Tensor, k_BTGD: Tensor, v_BTGD: Tensor, r_BTHR: Tensor, profiles_RE: Tensor, shape: AttentionShape) -> Tensor:
    """What every position of a whole sequence reads, [B, T, H, D]; `q` comes already divided by the head size."""
    out: Tensor = _BandAttention.apply(q_BTHD, k_BTGD, v_BTGD, r_BTHR, profiles_RE, shape)
    return out


@dataclass(frozen=True)
class Slots:
    """How many slots a ring has for one kind of layer, and where a position goes.

    The first `num_sinks` positions have slots of their own, then comes the ring, then one slot that takes what is not to be kept.
    """

    num_sinks: int
    ring: int
    window: int | None
    rel_extent: int

    @classmethod
    def of(cls, shape: AttentionShape, capacity: int = 64) -> Slots:
        """The slots of a layer; without a window the ring has `capacity` slots and is replaced by a larger one when full."""
        ring = capacity if shape.window is None else shape.window + _SLACK
        return cls(shape.num_sinks, ring, shape.window, shape.rel_extent)

    @property
    def total(self) -> int:
        """Slots in all, the one for discarded positions included."""
        return self.num_sinks + self.ring + 1

    @property
    def longest_chunk(self) -> int:
        """How many positions may be appended at once."""
        return self.ring if self.window is None else self.ring - self.window + 1

    def slot(self, position: Tensor) -> Tensor:
        """Slot of each position (same shape, int64)."""
        ring = (position - self.num_sinks) % self.ring + self.num_sinks
        return ring if self.num_sinks == 0 else torch.where(position < self.num_sinks, position, ring)


@dataclass(frozen=True)
class Lookup:
    """Where a chunk is written and what it may read; the same for all layers of one kind."""

    slot_B1P1: Tensor
    bias_index_B1PS: Tensor
    """Distance of each slot's position, `rel_extent` where there is no bias, `rel_extent + 1` where it may not be seen."""


def plan_chunk(slots: Slots, positions_BS: Tensor, position_BP: Tensor, valid_BP: Tensor | None) -> Lookup:
    """Write the chunk's positions into `positions_BS` and say what each of them may read."""
    slot_BP = slots.slot(position_BP)
    kept_BP = position_BP
    if valid_BP is not None:
        slot_BP = torch.where(valid_BP, slot_BP, slots.total - 1)
        kept_BP = torch.where(valid_BP, position_BP, -1)
    positions_BS.scatter_(1, slot_BP, kept_BP)
    held_B1S = positions_BS[:, None, :]
    distance_BPS = position_BP[:, :, None] - held_B1S
    seen = distance_BPS >= 0
    if slots.window is not None:
        near = distance_BPS < slots.window
        seen &= near if slots.num_sinks == 0 else near | (held_B1S < slots.num_sinks)
    seen &= held_B1S >= 0
    index = torch.where(seen, distance_BPS.clamp_max(slots.rel_extent), slots.rel_extent + 1)
    return Lookup(slot_BP[:, None, :, None], index[:, None])


def attend_slots(q_BHPD: Tensor, k_BGSD: Tensor, v_BGSD: Tensor, r_BHPR: Tensor, profiles_RE: Tensor, lookup: Lookup) -> Tensor:
    """What each position of a chunk reads from the slots, [B, H, P, D]; `q` comes already divided by the head size."""
    batch, heads, chunk, size = q_BHPD.shape
    groups, slots = k_BGSD.shape[1:3]
    bias_BHPE = F.pad(r_BHPR @ profiles_RE, (0, 2))
    bias_BHPE[..., -1] = _HIDDEN
    bias_BHPS = bias_BHPE.gather(-1, lookup.bias_index_B1PS.expand(-1, heads, -1, -1))
    folded = (batch * groups, heads // groups * chunk, -1)
    scores = torch.baddbmm(bias_BHPS.view(folded), q_BHPD.reshape(folded), k_BGSD.view(-1, slots, size).transpose(1, 2))
    out = torch.bmm(torch.softmax(scores, dim=-1), v_BGSD.view(-1, slots, size))
    return out.view(batch, heads, chunk, size)
