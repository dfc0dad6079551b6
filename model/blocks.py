"""Normalisation, short convolutions and the gated feed-forward layer of the trunk.

They equal their plain formulas (see the docstrings). The backward passes are written out because on a CPU the composed forms
cost several times more.

Axes: B batch, T positions of a sequence, P positions of a chunk, L tail and chunk joined, C channels, J taps, D width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from model.config import DenseConfig

_FEW_ROWS = (2, 7)
"""From and to how many input rows the processor's matrix product is faster with the weight on the left."""


def apply_linear(x: Tensor, weight_OI: Tensor) -> Tensor:
    """`x @ weight^T` over the last axis; quicker than the plain call for the few positions of a streamed chunk."""
    rows = x.numel() // x.shape[-1]
    if torch.is_grad_enabled() or x.device.type != "cpu" or not _FEW_ROWS[0] <= rows <= _FEW_ROWS[1]:
        return F.linear(x, weight_OI)
    return (weight_OI @ x.reshape(rows, -1).contiguous().t()).t().contiguous().view(*x.shape[:-1], -1)


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    """`1 / sqrt(mean(x^2) + eps)` over the last axis, kept as an axis of one."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.addcmul(_constant(eps, x.device), norm, norm, value=1.0 / x.shape[-1]).rsqrt_()


@lru_cache(maxsize=16)
def _constant(value: float, device: torch.device) -> Tensor:
    return torch.tensor(value, device=device)


class _RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, out_dtype: torch.dtype) -> Tensor:
        x32 = x.float()
        inverse = _inverse_rms(x32, eps)
        ctx.save_for_backward(x, weight, inverse)
        return (x32 * inverse).mul_(weight).to(out_dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        size = x.shape[-1]
        unit = (x.float() * inverse).reshape(-1, size)
        product = grad.reshape(-1, size) * unit
        d_weight = product.sum(0)
        mean = torch.mv(product, weight.float()).div_(-size).unsqueeze(1)
        dx = torch.mul(grad.reshape(-1, size), weight, out=product).addcmul_(unit, mean).mul_(inverse.view(-1, 1))
        return dx.view(x.shape).to(x.dtype), d_weight.to(weight.dtype), None, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`weight * x / sqrt(mean(x^2) + eps)` over the last axis, computed in float32.

    The result has the input's type, or autocast's where that is on.
    """
    if not torch.is_grad_enabled():
        return (x.float() * _inverse_rms(x.float(), eps)).mul_(weight).to(x.dtype)
    kind = x.device.type
    out_dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    out: Tensor = _RMSNormFunction.apply(x, weight, eps, out_dtype)
    return out


class RMSNorm(nn.Module):
    """Root-mean-square normalisation over the last axis with a weight per channel."""

    def __init__(self, size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        """The normed tensor times `scale`, of the same shape; float32 inside, autocast's type outside."""
        return rms_norm(x, self.weight if scale == 1.0 else self.weight * scale, self.eps)


def _depthwise(x_BTC: Tensor, weight_CJ: Tensor) -> Tensor:
    """Each channel convolved with its own taps, [B, T + J - 1, C]: output `t` reads inputs `t - J + 1 .. t`, zeros outside."""
    taps = weight_CJ.shape[1]
    image_BC1T = x_BTC.transpose(1, 2).unsqueeze(2)
    return F.conv2d(image_BC1T, weight_CJ[:, None, None], groups=weight_CJ.shape[0], padding=(0, taps - 1)).squeeze(2).transpose(1, 2)


class _CausalMix(torch.autograd.Function):
    """`residual + x + sum_j weight[:, j] * x[t - (J - 1) + j]` over [B, T, C], in float32."""

    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, weight_CJ: Tensor, residual_BTC: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_BTC, weight_CJ)
        ctx.residual_dtype = None if residual_BTC is None else residual_BTC.dtype
        with torch.autocast(x_BTC.device.type, enabled=False):
            mixed = _depthwise(x_BTC.float(), _with_identity(weight_CJ))[:, : x_BTC.shape[1]]
        return mixed.contiguous() if residual_BTC is None else torch.add(residual_BTC, mixed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTC: Tensor) -> tuple[Tensor | None, ...]:
        x_BTC, weight_CJ = ctx.saved_tensors
        x, grad = x_BTC.float(), grad_BTC.float()
        taps, length = weight_CJ.shape[1], x.shape[1]
        with torch.autocast(x.device.type, enabled=False):
            dx = _depthwise(grad, _with_identity(weight_CJ).flip(1).contiguous())[:, taps - 1 :]
        dw = torch.zeros_like(weight_CJ)
        for back in range(min(taps, length)):
            dw[:, taps - 1 - back] = (grad[:, back:] * x[:, : length - back]).sum((0, 1))
        residual = None if ctx.residual_dtype is None else grad.to(ctx.residual_dtype)
        return dx.to(x_BTC.dtype), dw, residual


def _with_identity(weight_CJ: Tensor) -> Tensor:
    """The taps with one added to the last, so that the convolution also passes its input on."""
    weight = weight_CJ.float().clone()
    weight[:, -1] += 1.0
    return weight


class ShortConv(nn.Module):
    """A causal convolution over the last few positions of each channel, added to its input; always in float32."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        self.weight_CJ = nn.Parameter(torch.zeros(channels, taps))

    def forward(self, x_BTC: Tensor, residual_BTC: Tensor | None = None) -> Tensor:
        """`x` plus its convolution (plus `residual`), float32 [B, T, C], of a whole sequence."""
        out: Tensor = _CausalMix.apply(x_BTC, self.weight_CJ, residual_BTC)
        return out

    def append(self, x_BPC: Tensor, tail_BJC: Tensor) -> tuple[Tensor, Tensor]:
        """`x` plus its convolution, float32 [B, P, C], of a chunk that follows `tail`; and tail and chunk joined, [B, L, C]."""
        joined_BLC = torch.cat([tail_BJC, x_BPC.float()], dim=1)
        taps_BPJC = joined_BLC.unfold(1, self.weight_CJ.shape[1], 1).transpose(-1, -2)
        return (taps_BPJC * self.weight_CJ.t()).sum(-2).add_(x_BPC), joined_BLC


class _GatedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        d_gate_up = torch.empty_like(gate_up)
        d_gate, d_up = d_gate_up.chunk(2, dim=-1)
        torch.mul(F.silu(gate), grad, out=d_up)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=d_gate)
        return d_gate_up


def gated_product(gate_up: Tensor) -> Tensor:
    """`silu(gate) * up` of a tensor whose last axis holds gate then up; half as wide."""
    if not torch.is_grad_enabled():
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)
    out: Tensor = _GatedProduct.apply(gate_up)
    return out


class DenseFFN(nn.Module):
    """A gated feed-forward layer: `down(silu(gate(x)) * up(x)) * scale`."""

    def __init__(self, width: int, config: DenseConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, width, bias=False)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """What the layer adds, [B, T, D]."""
        hidden = gated_product(apply_linear(x_BTD, self.gate_up.weight))
        if torch.is_grad_enabled():
            return F.linear(hidden, self.down.weight * self.scale)
        return apply_linear(hidden, self.down.weight) * self.scale
