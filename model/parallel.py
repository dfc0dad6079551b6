"""One process or many behind the same few calls: where a model lives, who does which part, and how results come together.

Many processes are started by `torchrun`. Weights are spread by FSDP2 (`fully_shard`): over all processes, or, for plain data parallelism,
over a mesh whose every process holds all of them.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from model.attention import attend_whole
from model.checkpoint import fresh_model
from model.interaction import InteractionModel
from model.moe import MoE
from model.tensors import spread, whole

PATIENCE = timedelta(hours=2)  # the first process evaluates while the others wait


@dataclass(frozen=True)
class Group:
    """The processes of a run, seen from number `rank` of `size`."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def place(self, model: InteractionModel, *, sharded: bool, compiled: bool) -> None:
        """Move the model to the device, and with many processes spread its weights: over all of them, or a copy on each."""
        model.to(self.device)
        if compiled:
            as_it_is = torch.compiler.disable(attend_whole)  # it writes into views of what it makes, which AOTAutograd refuses
            for layer in model.trunk.layers:
                layer.attention.attend = as_it_is
                layer.compile()
        if self.size > 1:
            shape, names = ((self.size,), ("shard",)) if sharded else ((self.size, 1), ("replicate", "shard"))
            mesh = init_device_mesh(self.device.type, shape, mesh_dim_names=names)
            for layer in model.trunk.layers:
                fully_shard(layer, mesh=mesh)
            fully_shard(model, mesh=mesh)

    def share(self, count: int) -> range:
        """Which of `count` pieces of work are this process's."""
        return range(self.rank, count, self.size)

    def summed(self, *values: float) -> tuple[float, ...]:
        """Each value summed over all processes."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return tuple(total.tolist())

    def gathered(self, thing: Any) -> list[Any]:
        """What every process has, in the order of their ranks; also a point at which all wait for all."""
        if self.size == 1:
            return [thing]
        things: list[Any] = [None] * self.size
        dist.all_gather_object(things, thing)
        return things

    def balance(self, model: InteractionModel) -> None:
        """One load-balancing step of every mixture of experts, by the load on all processes."""
        if self.size > 1:
            for module in model.modules():
                if isinstance(module, MoE):
                    dist.all_reduce(module.load_E)
        model.trunk.balance()


def join(device: str) -> Group:
    """The group of this process: alone, or with those that torchrun started beside it. `device` is "auto", "cpu" or "cuda".

    A GPU multiplies float32 in TF32 from then on.
    """
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if kind == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
    size = int(os.environ.get("WORLD_SIZE", "1"))
    at = torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)
    if size == 1:
        return Group(device=at)
    if kind == "cuda":
        torch.cuda.set_device(at)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
    return Group(dist.get_rank(), size, at)


def leave(group: Group) -> None:
    """Part from the others; the counterpart of `join`.

    Placed models that nobody holds any more go first, and with them the threads of their groups: one that is still at work while the
    interpreter ends aborts the process (PyTorch 2.13 with gloo: 6 of 89 runs that had done everything).
    """
    if group.size > 1:
        gc.collect()  # they are held in cycles
        dist.destroy_process_group()


def load_model(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a placed model whole weights."""
    model.load_state_dict({name: spread(weights[name], value) for name, value in model.state_dict().items()})


def load_optimiser(optimiser: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Give the optimiser of a placed model the whole state saved of it."""
    params = [p for group in optimiser.param_groups for p in group["params"]]
    state = {
        number: {name: spread(v, params[number]) if v.shape == params[number].shape else v for name, v in values.items()}
        for number, values in saved["state"].items()
    }
    optimiser.load_state_dict({**saved, "state": state})


def at_work(model: InteractionModel) -> InteractionModel:
    """A copy in evaluation mode on the CPU, to talk with or to save. All processes must ask together."""
    copy = fresh_model(model.config, 0)
    copy.load_state_dict(whole(model.state_dict()))
    return copy.eval()
