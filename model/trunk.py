"""The decoder: layers of attention and feed-forward with short convolutions, for whole sequences and for streams.

The layer is that of the open Inkling release, shown equal to it by `tests/test_model_inkling.py`. The streaming state and its
bounds are ours. `Trunk.forward` without a state takes a whole sequence; with one it appends a chunk.

Axes: B batch, T positions of a sequence, P positions of a chunk, L tail and chunk joined, D width, C channels, J taps,
H query heads, G key/value heads, R relative size, S slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from model.attention import Lookup, Slots, attend_slots, attend_whole, plan_chunk
from model.blocks import DenseFFN, RMSNorm, ShortConv, apply_linear
from model.config import LayerKind, MoEConfig, TrunkConfig
from model.hooks import Tap
from model.moe import LoadReport, MoE


@dataclass
class LayerState:
    """What one layer keeps: keys and values in slots, and the last inputs of its convolutions."""

    key_BGSD: Tensor
    value_BGSD: Tensor
    kv_tail_BJC: Tensor
    attention_tail_BJD: Tensor
    feed_forward_tail_BJD: Tensor


@dataclass
class TrunkState:
    """Everything a stream keeps between chunks; every tensor starts with the batch axis.

    Appending to a state reuses its buffers and marks it as spent; `clone()` first to keep it (a fork, a commit to return to).
    """

    count_B: Tensor
    """Positions appended so far, int64."""
    positions: dict[LayerKind, Tensor]
    """Which position each slot holds, per kind of layer, int64 [B, S]; -1 for none."""
    layers: list[LayerState]
    spent: bool = False

    @property
    def batch_size(self) -> int:
        """How many rows (streams) the state holds."""
        return self.count_B.shape[0]

    def map(self, change: Callable[[Tensor], Tensor]) -> TrunkState:
        """A state whose tensors are `change` of these."""
        self._require_fresh()
        layers = [LayerState(*(change(getattr(layer, f.name)) for f in fields(layer))) for layer in self.layers]
        return TrunkState(change(self.count_B), {kind: change(p) for kind, p in self.positions.items()}, layers)

    def clone(self) -> TrunkState:
        """An independent copy."""
        return self.map(torch.clone)

    def rows(self, index: Tensor | Sequence[int]) -> TrunkState:
        """A new state of the rows named by `index`, in that order; a row may be taken more than once."""
        chosen = torch.as_tensor(index, dtype=torch.int64, device=self.count_B.device)
        return self.map(lambda tensor: tensor.index_select(0, chosen))

    @staticmethod
    def stack(states: Sequence[TrunkState]) -> TrunkState:
        """One state holding the rows of all `states`, in order."""
        if not states:
            raise ValueError("0 states cannot be stacked; give at least one")
        for state in states:
            state._require_fresh()
        named = [state.to_dict() for state in states]
        sizes = {name: max(part[name].shape[2 if name.endswith(("key", "value")) else 1] for part in named) for name in _slotted(named[0])}
        return TrunkState.from_dict({name: torch.cat([_widen(name, part[name], sizes.get(name)) for part in named]) for name in named[0]})

    def to_dict(self) -> dict[str, Tensor]:
        """All tensors by name, contiguous, ready to be saved; `from_dict` reads them back."""
        self._require_fresh()
        named = {"count": self.count_B.contiguous()}
        named |= {f"positions.{kind}": held.contiguous() for kind, held in self.positions.items()}
        for i, layer in enumerate(self.layers):
            named |= {f"layer.{i}.{name}": getattr(layer, field).contiguous() for name, field in _LAYER_NAMES.items()}
        return named

    @staticmethod
    def from_dict(named: dict[str, Tensor]) -> TrunkState:
        """The state written by `to_dict`; the tensors are used as they are, not copied."""
        kinds: tuple[LayerKind, ...] = ("sliding", "global")
        positions = {kind: named[f"positions.{kind}"] for kind in kinds if f"positions.{kind}" in named}
        count = len({name.split(".")[1] for name in named if name.startswith("layer.")})
        layers = [LayerState(*(named[f"layer.{i}.{name}"] for name in _LAYER_NAMES)) for i in range(count)]
        return TrunkState(named["count"], positions, layers)

    def _require_fresh(self) -> None:
        if self.spent:
            raise ValueError("this state was already appended to and its buffers moved on; clone() it before appending to use it twice")


_LAYER_NAMES = {
    "key": "key_BGSD",
    "value": "value_BGSD",
    "kv_tail": "kv_tail_BJC",
    "attention_tail": "attention_tail_BJD",
    "feed_forward_tail": "feed_forward_tail_BJD",
}


def _slotted(named: dict[str, Tensor]) -> list[str]:
    return [name for name in named if name.startswith("positions.") or name.endswith((".key", ".value"))]


def _widen(name: str, tensor: Tensor, slots: int | None) -> Tensor:
    """The tensor with room for `slots` slots (None: as it is); the last slot takes what is not kept and stays last."""
    axis = 1 if name.startswith("positions.") else 2
    if slots is None or tensor.shape[axis] == slots:
        return tensor
    fill = -1 if name.startswith("positions.") else 0
    shape = list(tensor.shape)
    shape[axis] = slots
    wider = tensor.new_full(shape, fill)
    kept = tensor.shape[axis] - 1
    wider.narrow(axis, 0, kept).copy_(tensor.narrow(axis, 0, kept))
    return wider


@dataclass(frozen=True)
class _Chunk:
    """What all layers of one kind need to know about the chunk being appended."""

    lookup: Lookup
    tail_index_BJ1: Tensor | None
    temperature_BP: Tensor | None


class Attention(nn.Module):
    """Grouped-query attention with normed queries and keys, a bias per distance and convolved keys and values."""

    def __init__(self, config: TrunkConfig, kind: LayerKind) -> None:
        super().__init__()
        self.shape = shape = config.attention(kind)
        self.log_scale = (config.log_scale_floor, config.log_scale_alpha) if kind == "global" and config.log_scale_floor else None
        keys = shape.num_kv_heads * shape.head_dim
        self.sizes = [shape.num_heads * shape.head_dim, 2 * keys, shape.num_heads * shape.d_rel]
        self.project = nn.Linear(config.width, sum(self.sizes), bias=False)
        self.kv_conv = ShortConv(2 * keys, config.conv_kernel)
        self.query_norm = RMSNorm(shape.head_dim, config.norm_eps)
        self.key_norm = RMSNorm(shape.head_dim, config.norm_eps)
        self.profiles_RE = nn.Parameter(torch.empty(shape.d_rel, shape.rel_extent))
        self.out = nn.Linear(shape.num_heads * shape.head_dim, config.width, bias=False)
        self.attend = attend_whole  # an attribute, so that a compiled layer may call it as it is (`Group.place`)

    def temperature(self, position: Tensor) -> Tensor | None:
        """Factor on the scores of each position (Inkling's logarithmic scaling), or None where it does not apply."""
        if self.log_scale is None:
            return None
        floor, alpha = self.log_scale
        return 1.0 + alpha * torch.log(((position + 1).float() / floor).clamp_min(1.0))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """What the layer reads at every position of a whole sequence, [B, T, D]."""
        q, kv, r = self.project(x_BTD).split(self.sizes, dim=-1)
        kv = self.kv_conv(kv).to(q.dtype)
        q, k, v, r = self._heads(q, kv, r)
        temperature = self.temperature(torch.arange(x_BTD.shape[1], device=x_BTD.device))
        if temperature is not None:
            q, r = q * temperature[:, None, None].to(q.dtype), r * temperature[:, None, None].to(r.dtype)
        read = self.attend(q, k, v, r, self.profiles_RE, self.shape)
        return self.out(read.flatten(2))

    def append(self, x_BPD: Tensor, state: LayerState, chunk: _Chunk) -> Tensor:
        """What the layer reads at every position of a chunk, [B, P, D]; `state` is written in place."""
        q, kv, r = apply_linear(x_BPD, self.project.weight).split(self.sizes, dim=-1)
        kv, joined = self.kv_conv.append(kv, state.kv_tail_BJC)
        state.kv_tail_BJC = _new_tail(joined, state.kv_tail_BJC, chunk)
        q, k, v, r = self._heads(q, kv, r)
        if chunk.temperature_BP is not None:
            q, r = q * chunk.temperature_BP[..., None, None], r * chunk.temperature_BP[..., None, None]
        slots = chunk.lookup.slot_B1P1.expand(-1, self.shape.num_kv_heads, -1, self.shape.head_dim)
        state.key_BGSD.scatter_(2, slots, k.transpose(1, 2))
        state.value_BGSD.scatter_(2, slots, v.transpose(1, 2))
        read_BHPD = attend_slots(q.transpose(1, 2), state.key_BGSD, state.value_BGSD, r.transpose(1, 2), self.profiles_RE, chunk.lookup)
        return apply_linear(read_BHPD.transpose(1, 2).flatten(2), self.out.weight)

    def _heads(self, q: Tensor, kv: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Split into heads; queries come normed and divided by the head size, keys normed: [B, T, heads, size] each."""
        shape = self.shape
        k, v = kv.unflatten(-1, (2, shape.num_kv_heads, shape.head_dim)).unbind(2)
        q = self.query_norm(q.unflatten(-1, (shape.num_heads, shape.head_dim)), scale=1.0 / shape.head_dim)
        return q, self.key_norm(k), v, r.unflatten(-1, (shape.num_heads, shape.d_rel))


def _new_tail(joined_BLC: Tensor, tail_BJC: Tensor, chunk: _Chunk) -> Tensor:
    if chunk.tail_index_BJ1 is None:
        return joined_BLC[:, joined_BLC.shape[1] - tail_BJC.shape[1] :]
    return joined_BLC.gather(1, chunk.tail_index_BJ1.expand(-1, -1, joined_BLC.shape[2]))


class Layer(nn.Module):
    """Attention, then feed-forward; each reads a normed input and adds its convolved output to the residual stream."""

    def __init__(self, config: TrunkConfig, index: int) -> None:
        super().__init__()
        self.name = f"layer.{index}"
        self.kind = config.kind(index)
        feed_forward = config.feed_forward(index)
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = Attention(config, self.kind)
        self.attention_conv = ShortConv(config.width, config.conv_kernel)
        self.feed_forward_norm = RMSNorm(config.width, config.norm_eps)
        self.feed_forward: nn.Module
        if isinstance(feed_forward, MoEConfig):
            self.feed_forward = MoE(config.width, feed_forward)
        else:
            self.feed_forward = DenseFFN(config.width, feed_forward)
        self.feed_forward_conv = ShortConv(config.width, config.conv_kernel)

    def forward(self, x_BTD: Tensor, tap: Tap | None = None) -> Tensor:
        """The residual stream after this layer, [B, T, D]."""
        read = self.attention(self.attention_norm(x_BTD))
        if tap is None:
            x_BTD = self.attention_conv(read, x_BTD)
            return self.feed_forward_conv(self.feed_forward(self.feed_forward_norm(x_BTD)), x_BTD)
        x_BTD = x_BTD + tap(f"{self.name}.attention", self.attention_conv(read))
        x_BTD = x_BTD + tap(f"{self.name}.ffn", self.feed_forward_conv(self.feed_forward(self.feed_forward_norm(x_BTD))))
        return tap(f"{self.name}.residual", x_BTD)

    def append(self, x_BPD: Tensor, state: LayerState, chunk: _Chunk, tap: Tap | None = None) -> Tensor:
        """The residual stream of a chunk after this layer; `state` is written in place."""
        read = self.attention.append(self.attention_norm(x_BPD), state, chunk)
        mixed, joined = self.attention_conv.append(read, state.attention_tail_BJD)
        state.attention_tail_BJD = _new_tail(joined, state.attention_tail_BJD, chunk)
        x_BPD = x_BPD + (mixed if tap is None else tap(f"{self.name}.attention", mixed))
        mixed, joined = self.feed_forward_conv.append(self.feed_forward(self.feed_forward_norm(x_BPD)), state.feed_forward_tail_BJD)
        state.feed_forward_tail_BJD = _new_tail(joined, state.feed_forward_tail_BJD, chunk)
        if tap is None:
            return x_BPD + mixed
        return tap(f"{self.name}.residual", x_BPD + tap(f"{self.name}.ffn", mixed))


class Trunk(nn.Module):
    """The decoder over one sequence of positions; weights only, what a stream keeps is a `TrunkState`."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Normal with `init_std`; what is added to the residual stream starts smaller, by the root of twice the layers (ours)."""
        std = self.config.init_std
        for name, weight in self.named_parameters():
            if weight.ndim >= 2:
                last = name.endswith(("out.weight", "down.weight", "down_EDU"))
                nn.init.normal_(weight, std=std * (2 * self.config.num_layers) ** -0.5 if last else std)

    def forward(
        self, x_BPD: Tensor, state: TrunkState | None = None, length_B: Tensor | None = None, tap: Tap | None = None
    ) -> tuple[Tensor, TrunkState | None]:
        """Normed hidden states [B, P, D] and the next state.

        Without a state `x` is a whole sequence from the beginning, padded on the right where rows are shorter. With a state it is
        appended, without gradients; of row `b` only the first `length_B[b]` positions (all, if None) are kept, and what comes out
        beyond them means nothing. The old state is spent. `tap` is shown what stands at the hook points of the layers.
        """
        if state is None:
            for layer in self.layers:
                x_BPD = layer(x_BPD, tap)
            return self.norm(x_BPD), None
        state._require_fresh()
        if state.batch_size != x_BPD.shape[0]:
            raise ValueError(f"the chunk has {x_BPD.shape[0]} rows and the state {state.batch_size}; use state.rows() to match them")
        with torch.no_grad():
            return self._append(x_BPD, state, length_B, tap)

    def start(self, batch_size: int) -> TrunkState:
        """The state of `batch_size` streams before their first position."""
        weight = self.norm.weight
        layers, positions = [], {}
        taps = self.config.conv_kernel - 1
        for layer in self.layers:
            assert isinstance(layer, Layer)
            shape = layer.attention.shape
            slots = Slots.of(shape).total
            positions[layer.kind] = torch.full((batch_size, slots), -1, dtype=torch.int64, device=weight.device)
            held = (batch_size, shape.num_kv_heads, slots, shape.head_dim)
            channels = (2 * shape.num_kv_heads * shape.head_dim, self.config.width, self.config.width)
            tails = (weight.new_zeros(batch_size, taps, size) for size in channels)
            layers.append(LayerState(weight.new_zeros(held), weight.new_zeros(held), *tails))
        return TrunkState(torch.zeros(batch_size, dtype=torch.int64, device=weight.device), positions, layers)

    def balance(self) -> list[LoadReport]:
        """One load-balancing step of every mixture of experts; how evenly each was used since the last step."""
        reports = []
        for module in self.modules():
            if isinstance(module, MoE):
                reports.append(module.report())
                module.update_bias()
        return reports

    def _append(self, x_BPD: Tensor, state: TrunkState, length_B: Tensor | None, tap: Tap | None) -> tuple[Tensor, TrunkState]:
        state.spent = True
        state = TrunkState(state.count_B, state.positions, state.layers)
        slots = {kind: self._slots(state, kind, x_BPD.shape[1]) for kind in state.positions}
        most = min(s.longest_chunk for s in slots.values())
        outputs = []
        for first in range(0, x_BPD.shape[1], most):
            piece = x_BPD[:, first : first + most]
            length = None if length_B is None else (length_B - first).clamp(0, piece.shape[1])
            outputs.append(self._append_piece(piece, state, length, slots, tap))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), state

    def _slots(self, state: TrunkState, kind: LayerKind, chunk: int) -> Slots:
        """The slots of a kind of layer; without a window they are made more when the chunk would not fit."""
        shape = self.config.attention(kind)
        held = state.positions[kind].shape[1] - 1
        if shape.window is None and int(state.count_B.max()) + chunk > held:
            held = 2 * (int(state.count_B.max()) + chunk)
            state.positions[kind] = _widen("positions.", state.positions[kind], held + 1)
            for layer, kept in zip(self.layers, state.layers, strict=True):
                if layer.kind == kind:
                    kept.key_BGSD, kept.value_BGSD = (_widen("", t, held + 1) for t in (kept.key_BGSD, kept.value_BGSD))
        return Slots.of(shape, capacity=held)

    def _append_piece(
        self, x_BPD: Tensor, state: TrunkState, length_B: Tensor | None, slots: dict[LayerKind, Slots], tap: Tap | None
    ) -> Tensor:
        step_P = torch.arange(x_BPD.shape[1], device=x_BPD.device)
        position_BP = state.count_B[:, None] + step_P
        valid_BP = tail_index = None
        if length_B is not None:
            valid_BP = step_P < length_B[:, None]
            tail_index = (length_B[:, None] + torch.arange(self.config.conv_kernel - 1, device=x_BPD.device))[..., None]
        lookups = {kind: plan_chunk(slots[kind], held, position_BP, valid_BP) for kind, held in state.positions.items()}
        for layer, kept in zip(self.layers, state.layers, strict=True):
            chunk = _Chunk(lookups[layer.kind], tail_index, layer.attention.temperature(position_BP))
            x_BPD = layer.append(x_BPD, kept, chunk, tap)
        state.count_B = state.count_B + (x_BPD.shape[1] if length_B is None else length_B)
        return self.norm(x_BPD)
