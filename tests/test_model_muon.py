"""Our Muon does what PyTorch's does, in any precision."""

import pytest
import torch
from torch import nn

from model.muon import Muon, orthogonal

SHAPES = ((32, 64), (64, 32), (32, 64), (48, 48))


def matrices(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def after(optimiser, params, steps=4):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator)
        optimiser.step()
    return [p.detach() for p in params]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_its_steps_are_those_of_pytorch(dtype):
    ours, theirs = matrices(), matrices()
    start = [p.detach().clone() for p in ours]
    found = after(Muon(ours, 0.02, weight_decay=0.1, dtype=dtype), ours)
    expected = after(torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"), theirs)
    for a, b, before in zip(found, expected, start, strict=True):
        assert float((a - b).norm() / (b - before).norm()) < 0.03  # bfloat16 has three digits, and five steps of them


def test_singular_values_come_near_one_and_the_vectors_stay():
    x = torch.randn((3, 24, 40), generator=torch.Generator().manual_seed(2))
    y = orthogonal(x)
    values = torch.linalg.svdvals(y)
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    inner = u.mT @ y @ v.mT
    assert float((inner - torch.diag_embed(torch.diagonal(inner, dim1=1, dim2=2))).abs().max()) < 1e-3
    torch.testing.assert_close(orthogonal(x.mT), y.mT)


def test_only_matrices_are_taken():
    with pytest.raises(ValueError, match=r"\(5,\).*AdamW"):
        Muon([nn.Parameter(torch.zeros(5))], 0.1, weight_decay=0.0, dtype=torch.float32)
