"""The trunk: whole equals a slow plain form, streamed equals whole, rows do not touch each other, cost stays flat."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.blocks import RMSNorm, ShortConv
from model.config import DenseConfig, MoEConfig, TrunkConfig, from_dict, inkling_small, micro, nano, to_dict
from model.trunk import Layer, Trunk, TrunkState

SMALL = TrunkConfig(
    width=24,
    num_layers=4,
    num_heads=4,
    num_kv_heads=2,
    head_dim=6,
    ffn=DenseConfig(hidden=40),
    layer_kinds=("sliding", "global"),
    d_rel=4,
    sliding_window=9,
    rel_extent=20,
    global_window=21,
    num_sinks=3,
)
UNBOUNDED = replace(SMALL, global_window=None, num_sinks=0)
EXPERTS = replace(SMALL, ffn=MoEConfig(hidden=16, num_experts=5, top_k=2, num_shared=1, route_scale=1.0))
KINDS = {"bounded": SMALL, "unbounded": UNBOUNDED, "experts": EXPERTS}


def build(config: TrunkConfig) -> Trunk:
    """A trunk with every weight random, norms too."""
    trunk = Trunk(config)
    noise = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for weight in trunk.parameters():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=noise) + (weight.ndim == 1))
    return trunk.eval()


TRUNKS = {name: build(config) for name, config in KINDS.items()}


def inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, SMALL.width, generator=torch.Generator().manual_seed(seed))


def stream(trunk: Trunk, x_BPD: Tensor, sizes: list[int]) -> tuple[Tensor, TrunkState]:
    state, outputs = trunk.start(x_BPD.shape[0]), []
    for piece in x_BPD.split(sizes, dim=1):
        y, after = trunk(piece, state)
        assert after is not None
        state = after
        outputs.append(y)
    return torch.cat(outputs, 1), state


def plain_conv(conv: ShortConv, x_BTC: Tensor) -> Tensor:
    weight = conv.weight_CJ
    padded = F.pad(x_BTC.transpose(1, 2), (weight.shape[1] - 1, 0))
    return x_BTC + F.conv1d(padded, weight[:, None], groups=weight.shape[0]).transpose(1, 2)


def plain_norm(norm: RMSNorm, x: Tensor) -> Tensor:
    return norm.weight * x * (x.square().mean(-1, keepdim=True) + norm.eps).rsqrt()


def plain_attention(layer: Layer, x_BTD: Tensor) -> Tensor:
    """Every score of every pair of positions, masked afterwards: slow and easy to check by eye."""
    attention, shape = layer.attention, layer.attention.shape
    q, kv, r = attention.project(x_BTD).split(attention.sizes, -1)
    k, v = plain_conv(attention.kv_conv, kv).unflatten(-1, (2, shape.num_kv_heads, shape.head_dim)).unbind(2)
    groups = shape.num_heads // shape.num_kv_heads
    q = plain_norm(attention.query_norm, q.unflatten(-1, (shape.num_heads, shape.head_dim))).transpose(1, 2)
    k = plain_norm(attention.key_norm, k).transpose(1, 2).repeat_interleave(groups, 1)
    v = v.transpose(1, 2).repeat_interleave(groups, 1)
    bias = (r.unflatten(-1, (shape.num_heads, shape.d_rel)) @ attention.profiles_RE).transpose(1, 2)
    position = torch.arange(x_BTD.shape[1])
    distance = position[:, None] - position
    near = distance.clamp(0, shape.rel_extent - 1).expand(*bias.shape[:2], -1, -1)
    scores = q @ k.transpose(-1, -2) / shape.head_dim + bias.gather(-1, near).masked_fill(distance >= shape.rel_extent, 0.0)
    seen = distance >= 0
    if shape.window is not None:
        seen &= (distance < shape.window) | (position < shape.num_sinks)
    return attention.out((scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v).transpose(1, 2).flatten(2))


def plain_trunk(trunk: Trunk, x_BTD: Tensor) -> Tensor:
    for layer in trunk.layers:
        assert isinstance(layer, Layer)
        x_BTD = x_BTD + plain_conv(layer.attention_conv, plain_attention(layer, plain_norm(layer.attention_norm, x_BTD)))
        x_BTD = x_BTD + plain_conv(layer.feed_forward_conv, layer.feed_forward(plain_norm(layer.feed_forward_norm, x_BTD)))
    return plain_norm(trunk.norm, x_BTD)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("length", [1, 2, 8, 63, 64, 65, 200])
def test_whole_equals_the_slow_plain_form_and_so_do_its_gradients(name: str, length: int) -> None:
    trunk, direction = TRUNKS[name], inputs(2, length, seed=9)
    results = []
    for run in (lambda x: trunk(x)[0], lambda x: plain_trunk(trunk, x)):
        x = inputs(2, length).requires_grad_()
        trunk.zero_grad()
        y = run(x)
        (y * direction).sum().backward()
        results.append((y.detach(), x.grad, *(p.grad for p in trunk.parameters() if p.grad is not None)))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-5)
    for ours, plain in zip(results[0][1:], results[1][1:], strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-4 * max(1.0, float(plain.abs().max())))


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12), name=st.sampled_from(list(KINDS)))
@settings(max_examples=15)
def test_streamed_equals_whole_in_any_pieces(sizes: list[int], name: str) -> None:
    x = inputs(2, sum(sizes))
    with torch.no_grad():
        whole, _ = TRUNKS[name](x)
    streamed, state = stream(TRUNKS[name], x, sizes)
    torch.testing.assert_close(streamed, whole, rtol=0, atol=1e-5)
    assert state.count_B.tolist() == [sum(sizes)] * 2


@given(lengths=st.lists(st.lists(st.integers(0, 20), min_size=3, max_size=3), min_size=1, max_size=6), name=st.sampled_from(list(KINDS)))
@settings(max_examples=10)
def test_rows_that_append_different_numbers_of_positions_equal_rows_alone(lengths: list[list[int]], name: str) -> None:
    trunk = TRUNKS[name]
    state, outputs = trunk.start(3), [[] for _ in range(3)]
    rows = [inputs(sum(column) + 1, seed=row) for row, column in enumerate(zip(*lengths, strict=True))]
    used = [0, 0, 0]
    for chunk in lengths:
        padded = torch.full((3, max(chunk) + 1, SMALL.width), 1e3)
        for row, count in enumerate(chunk):
            padded[row, :count] = rows[row][used[row] : used[row] + count]
            used[row] += count
        y, state = trunk(padded, state, torch.tensor(chunk))
        for row, count in enumerate(chunk):
            outputs[row].append(y[row, :count])
    for row in range(3):
        with torch.no_grad():
            alone, _ = trunk(rows[row][None])
        torch.testing.assert_close(torch.cat(outputs[row]), alone[0, : used[row]], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_session_does_not_change_with_what_else_is_in_its_batch(name: str) -> None:
    x = inputs(5, 60)
    alone, _ = stream(TRUNKS[name], x[2:3], [20, 3, 37])
    others = x.clone()
    others[[0, 1, 3, 4]] *= 50.0
    for batch in (x, others):
        together, _ = stream(TRUNKS[name], batch, [20, 3, 37])
        torch.testing.assert_close(together[2:3], alone, rtol=0, atol=1e-5)
    first, _ = stream(TRUNKS[name], x, [20, 3, 37])
    second, _ = stream(TRUNKS[name], others, [20, 3, 37])
    torch.testing.assert_close(first[2], second[2], rtol=0, atol=1e-5)  # other rows change how many share an expert, so how sums round


@pytest.mark.parametrize("name", KINDS)
def test_longer_input_never_changes_earlier_output(name: str) -> None:
    x = inputs(2, 120)
    with torch.no_grad():
        whole, _ = TRUNKS[name](x)
        for length in (1, 63, 64, 90):
            torch.testing.assert_close(TRUNKS[name](x[:, :length])[0], whole[:, :length], rtol=0, atol=1e-5)


def test_an_hour_streamed_equals_whole_and_holds_and_attends_no_more_than_a_minute() -> None:
    trunk = build(replace(SMALL, num_layers=2))
    x = inputs(1, 18_000)
    early, early_state = stream(trunk, x[:, :1_000], [17] * 58 + [14])
    sizes = {name: tensor.shape for name, tensor in early_state.to_dict().items()}
    attended = visible(trunk, early_state)
    late, state = x[:, 1_000:], early_state
    outputs = []
    for piece in late.split(17, dim=1):
        y, state = trunk(piece, state)
        outputs.append(y)
    assert {name: tensor.shape for name, tensor in state.to_dict().items()} == sizes
    assert visible(trunk, state) == attended == {"sliding": 9, "global": 24}
    with torch.no_grad():
        whole, _ = trunk(x)
    torch.testing.assert_close(torch.cat([early, *outputs], 1), whole, rtol=0, atol=1e-5)


def visible(trunk: Trunk, state: TrunkState) -> dict[str, int]:
    """How many positions, itself included, the newest position of a state has seen."""
    found = {}
    for kind, held in state.positions.items():
        shape = trunk.config.attention(kind)
        newest = int(state.count_B[0]) - 1
        assert shape.window is not None
        near = (held[0] > newest - shape.window) & (held[0] >= 0)
        found[kind] = int((near | ((held[0] >= 0) & (held[0] < shape.num_sinks))).sum())
    return found


@pytest.mark.parametrize("name", KINDS)
def test_a_forked_saved_selected_or_stacked_state_goes_on_as_the_original_would(name: str) -> None:
    trunk, x, more = TRUNKS[name], inputs(3, 50), inputs(3, 4, seed=1)
    _, state = stream(trunk, x, [50])
    saved = {key: tensor.clone() for key, tensor in state.clone().to_dict().items()}
    parts = [state.rows([0]), state.rows(torch.tensor([1, 2]))]
    swapped = state.rows([2, 2, 0])
    fork = state.clone()
    expected, _ = trunk(more, state)
    torch.testing.assert_close(trunk(more, fork)[0], expected, rtol=0, atol=0)
    torch.testing.assert_close(trunk(more, TrunkState.from_dict(saved))[0], expected, rtol=0, atol=0)
    torch.testing.assert_close(trunk(more, TrunkState.stack(parts))[0], expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(trunk(more[[2, 2, 0]], swapped)[0], expected[[2, 2, 0]], rtol=0, atol=1e-6)


def test_unbounded_states_of_different_lengths_can_be_stacked() -> None:
    trunk = TRUNKS["unbounded"]
    xs = [inputs(1, 30, seed=2), inputs(1, 200, seed=3)]
    states = [stream(trunk, x, [x.shape[1]])[1] for x in xs]
    more = inputs(2, 3, seed=4)
    together, _ = trunk(more, TrunkState.stack(states))
    for row, x in enumerate(xs):
        alone, _ = stream(trunk, torch.cat([x, more[row : row + 1]], 1), [x.shape[1], 3])
        torch.testing.assert_close(together[row], alone[0, -3:], rtol=0, atol=1e-5)


def test_a_spent_state_is_refused() -> None:
    trunk = TRUNKS["bounded"]
    state = trunk.start(1)
    trunk(inputs(1, 2), state)
    with pytest.raises(ValueError, match=r"clone\(\) it before appending"):
        trunk(inputs(1, 2), state)
    with pytest.raises(ValueError, match=r"clone\(\) it before appending"):
        state.clone()


def test_a_chunk_of_another_batch_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the chunk has 2 rows and the state 3"):
        TRUNKS["bounded"](inputs(2, 1), TRUNKS["bounded"].start(3))


def test_bfloat16_autocast_stays_near_float32_and_gives_gradients() -> None:
    trunk = Trunk(nano().trunk)
    x = torch.randn(2, 150, 256, generator=torch.Generator().manual_seed(5))
    exact, _ = trunk(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = trunk(x)
    assert float((rough - exact).detach().abs().mean()) < 0.01
    rough.float().square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in trunk.parameters())


def test_balancing_evens_out_the_load_of_a_lopsided_router() -> None:
    config = replace(EXPERTS, num_layers=1, ffn=MoEConfig(hidden=8, num_experts=6, top_k=2, num_shared=1, bias_step=0.02))
    trunk = build(config).train()
    x = inputs(4, 50) + 2.0
    trunk(x)
    before = trunk.balance()[0]
    for _ in range(60):
        trunk(x)
        after = trunk.balance()[0]
    assert before.worst_ratio > 1.5
    assert before.worst_ratio > after.worst_ratio < 1.3
    assert after.idle == 0
    assert float(after.share_E.sum()) == pytest.approx(1.0)


def test_routing_biases_choose_experts_but_do_not_weigh_them() -> None:
    moe = build(replace(EXPERTS, num_layers=1)).layers[0].feed_forward
    x = inputs(7)
    free = moe.route(x)
    moe.bias_E[:] = torch.tensor([9.0, 8.0, 0.0, 0.0, 0.0])
    biased = moe.route(x)
    assert {tuple(sorted(row)) for row in biased.expert_NK.tolist()} == {(0, 1)}
    total = torch.cat([biased.weight_NK, biased.shared_weight_NX], 1).sum(1)
    torch.testing.assert_close(total, torch.cat([free.weight_NK, free.shared_weight_NX], 1).sum(1))


@pytest.mark.parametrize("preset", [nano, micro, inkling_small])
def test_presets_survive_a_round_trip_through_plain_values(preset: object) -> None:
    config = preset()  # type: ignore[operator]
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_kv_heads": 3}, "num_heads=4 must be a multiple of num_kv_heads=3"),
        ({"rel_extent": 22}, "rel_extent=22 must not exceed the window of 21"),
        ({"layer_kinds": ("local",)}, "layer kind 'local' must be 'sliding' or 'global'"),
        ({"num_sinks": 22}, "num_sinks=22 must not exceed global_window=21"),
        ({"num_dense_layers": 1}, "num_dense_layers=1 needs `dense`"),
        ({"num_layers": 0}, "num_layers=0 must be positive"),
    ],
)
def test_settings_that_cannot_work_name_the_value_and_the_rule(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_expert_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="top_k=9 must lie between 1 and num_experts=4"):
        MoEConfig(hidden=8, num_experts=4, top_k=9)


def test_every_weight_receives_a_gradient() -> None:
    trunk: nn.Module = build(EXPERTS).train()
    trunk(inputs(3, 80))[0].square().sum().backward()
    assert [name for name, p in trunk.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_trunk_used_in_inference_mode_first_can_be_trained_afterwards() -> None:
    trunk = build(replace(SMALL, sliding_window=12, rel_extent=13, global_window=14))  # sizes for which nothing is cached yet
    with torch.inference_mode():
        trunk(inputs(1, 70))
        trunk(inputs(1, 3), trunk.start(1))
    trunk(inputs(1, 70))[0].sum().backward()
    assert all(p.grad is not None for p in trunk.parameters())
