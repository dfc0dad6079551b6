"""A mixture of experts routed by sigmoid scores, with shared experts and a bias that balances the load (Inkling's).

Every position goes to `top_k` experts: those with the highest score plus bias. The bias decides who is chosen, never how much:
weights are the chosen and the shared experts' sigmoid scores, normalised to sum to one and scaled.

Axes: N positions flattened, D width, E experts, X shared experts, U hidden size of an expert, K chosen experts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.blocks import gated_product
from model.config import MoEConfig


@dataclass(frozen=True)
class LoadReport:
    """How evenly the experts of one layer were used since the last report."""

    share_E: Tensor
    """Share of all choices that fell on each expert; sums to one (zeros when nothing was routed)."""

    @property
    def worst_ratio(self) -> float:
        """Busiest expert's share over the even share; 1.0 is perfect balance."""
        return float(self.share_E.max() * self.share_E.numel())

    @property
    def idle(self) -> int:
        """How many experts were never chosen."""
        return int((self.share_E == 0).sum())


@dataclass(frozen=True)
class Routing:
    """Who is chosen for every position and how much each counts."""

    expert_NK: Tensor
    weight_NK: Tensor
    shared_weight_NX: Tensor


class MoE(nn.Module):
    """Routed experts plus shared experts; replaces the dense feed-forward layer."""

    load_E: Tensor
    bias_E: Tensor

    def __init__(self, width: int, config: MoEConfig) -> None:
        super().__init__()
        self.config = config
        self.router_weight = nn.Parameter(torch.empty(config.num_experts + config.num_shared, width))
        self.router_scale = nn.Parameter(torch.ones(1))
        self.gate_up_EUD = nn.Parameter(torch.empty(config.num_experts, 2 * config.hidden, width))
        self.down_EDU = nn.Parameter(torch.empty(config.num_experts, width, config.hidden))
        self.shared_gate_up = nn.Linear(width, 2 * config.hidden * config.num_shared, bias=False)
        self.shared_down = nn.Linear(config.hidden * config.num_shared, width, bias=False)
        self.register_buffer("bias_E", torch.zeros(config.num_experts))
        self.register_buffer("load_E", torch.zeros(config.num_experts), persistent=False)

    def route(self, x_ND: Tensor) -> Routing:
        """The routing of every position; scores are float32 even under autocast, so that ties do not decide."""
        config = self.config
        with torch.autocast(x_ND.device.type, enabled=False):
            logits = F.linear(x_ND.float(), self.router_weight.float())
            routed, shared = logits.split([config.num_experts, config.num_shared], dim=-1)
            expert_NK = torch.topk(routed.detach().sigmoid() + self.bias_E, config.top_k, dim=-1, sorted=False).indices
            chosen = torch.cat([routed.gather(-1, expert_NK), shared], dim=-1)
            weights = F.logsigmoid(chosen).softmax(dim=-1) * (config.route_scale * self.router_scale)
        weight_NK, shared_NX = weights.to(x_ND.dtype).split([config.top_k, config.num_shared], dim=-1)
        return Routing(expert_NK, weight_NK, shared_NX)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """What the layer adds, [B, T, D]; in training the choices are counted for `report`."""
        x_ND = x_BTD.reshape(-1, x_BTD.shape[-1])
        routing = self.route(x_ND)
        if self.training:
            with torch.no_grad():
                self.load_E += torch.bincount(routing.expert_NK.flatten(), minlength=self.config.num_experts)
        return (self._routed(x_ND, routing) + self._shared(x_ND, routing)).view(x_BTD.shape)

    def _routed(self, x_ND: Tensor, routing: Routing) -> Tensor:
        """Each expert sees its positions in one piece: choices are sorted by expert, computed, and added back."""
        order = routing.expert_NK.flatten().argsort(stable=True)
        position = order // self.config.top_k
        counts = torch.bincount(routing.expert_NK.flatten(), minlength=self.config.num_experts).tolist()
        pieces = x_ND[position].split(counts)
        outputs = [
            F.linear(gated_product(F.linear(piece, self.gate_up_EUD[e])), self.down_EDU[e]) for e, piece in enumerate(pieces) if counts[e]
        ]
        weighted = torch.cat(outputs) * routing.weight_NK.flatten()[order, None]
        return torch.zeros_like(x_ND).index_add(0, position, weighted.to(x_ND.dtype))

    def _shared(self, x_ND: Tensor, routing: Routing) -> Tensor:
        config = self.config
        hidden = gated_product(self.shared_gate_up(x_ND)).view(-1, config.num_shared, config.hidden)
        weighted = (hidden * routing.shared_weight_NX[..., None]).flatten(1)
        return self.shared_down(weighted)

    def report(self) -> LoadReport:
        """How the experts were used since the last `update_bias`."""
        return LoadReport(self.load_E / self.load_E.sum().clamp_min(1.0))

    @torch.no_grad()
    def update_bias(self, load_E: Tensor | None = None) -> None:
        """Raise the bias of experts used less than the mean and lower the others by one step; the counts start anew.

        `load_E` defaults to the choices counted since the last call. Load balancing without an auxiliary loss (Wang et al., 2024).
        """
        load = self.load_E if load_E is None else load_E.to(self.bias_E)
        self.bias_E += self.config.bias_step * torch.sign(load.mean() - load)
        self.load_E.zero_()
