"""Tensors on their way: to a device, and over processes (FSDP2): gathered to be whole, and spread again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def sent(thing: Tensor | npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """The same on a device. On the way to a GPU it goes through pinned memory, so that nobody waits for the work given out before."""
    tensor = thing if isinstance(thing, Tensor) else torch.from_numpy(thing)
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def gathered(value: Tensor) -> Tensor:
    """The whole of a tensor, on its device. All processes must ask together."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def whole(thing: Any) -> Any:
    """The same with every tensor in it whole and on the CPU: ready to be saved. All processes must ask together."""
    if isinstance(thing, Tensor):
        return gathered(thing).detach().cpu()
    if isinstance(thing, Mapping):
        return {key: whole(value) for key, value in thing.items()}
    return [whole(value) for value in thing] if isinstance(thing, list) else thing


def spread(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, which every process has, as `like` is kept: on its device, and spread as it is."""
    value = value.to(like.device, like.dtype)
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
