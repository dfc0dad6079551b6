"""Front ends and trunk equal the open Inkling release of `transformers` on random weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.inkling import modeling_inkling as published

from model.config import DenseConfig, MoEConfig, TrunkConfig, VisionConfig
from model.embed import AudioEmbedding, PatchEmbedding, TokenEmbedding, plan_patch_layers
from model.trunk import Trunk

TINY = TrunkConfig(
    width=32,
    num_layers=6,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    sliding_heads=6,
    sliding_kv_heads=3,
    sliding_head_dim=12,
    ffn=DenseConfig(hidden=56),
    layer_kinds=("sliding", "sliding", "global"),
    d_rel=5,
    rel_extent=11,
    sliding_window=7,
    norm_eps=1e-5,
)
MIXED = replace(
    TINY,
    ffn=MoEConfig(hidden=20, num_experts=6, top_k=2, num_shared=2, route_scale=2.5),
    num_dense_layers=2,
    dense=DenseConfig(hidden=56),
)


def published_trunk(config: TrunkConfig) -> Any:
    """The published text model of the same sizes, every weight random (norms and scales too)."""
    moe = config.ffn if isinstance(config.ffn, MoEConfig) else MoEConfig(hidden=8, num_experts=2, top_k=1)
    dense = config.dense or config.ffn
    assert isinstance(dense, DenseConfig)
    kinds = [config.kind(i) for i in range(config.num_layers)]
    settings = published.InklingTextConfig(
        vocab_size=50,
        hidden_size=config.width,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        swa_num_attention_heads=config.sliding_heads,
        swa_num_key_value_heads=config.sliding_kv_heads,
        swa_head_dim=config.sliding_head_dim,
        sliding_window_size=config.sliding_window,
        d_rel=config.d_rel,
        rel_extent=config.rel_extent,
        layer_types=["hybrid" if kind == "global" else "hybrid_sliding" for kind in kinds],
        mlp_layer_types=["dense" if isinstance(config.feed_forward(i), DenseConfig) else "sparse" for i in range(config.num_layers)],
        intermediate_size=dense.hidden,
        moe_intermediate_size=moe.hidden,
        n_routed_experts=moe.num_experts,
        num_experts_per_tok=moe.top_k,
        n_shared_experts=moe.num_shared,
        route_scale=moe.route_scale,
        conv_kernel_size=config.conv_kernel,
        rms_norm_eps=config.norm_eps,
        log_scaling_n_floor=config.log_scale_floor,
        log_scaling_alpha=config.log_scale_alpha,
        logits_mup_width_multiplier=3.0,
        attn_implementation="eager",
    )
    model = published.InklingForCausalLM(settings).eval()
    randomise(model)
    return model


@torch.no_grad()
def randomise(module: nn.Module) -> None:
    noise = torch.Generator().manual_seed(7)
    for tensor in [*module.parameters(), *(b for name, b in module.named_buffers() if "correction_bias" in name)]:
        centre = 1.0 if tensor.ndim == 1 else 0.0
        tensor.copy_(centre + 0.3 * torch.randn(tensor.shape, generator=noise))


def copied(theirs: dict[str, Tensor], config: TrunkConfig) -> dict[str, Tensor]:
    """Our names for the published trunk's weights."""
    ours = {"norm.weight": theirs["norm.weight"]}
    for i in range(config.num_layers):
        layer = {name.removeprefix(f"layers.{i}."): tensor for name, tensor in theirs.items() if name.startswith(f"layers.{i}.")}
        ours |= {f"layers.{i}.{name}": tensor for name, tensor in copied_layer(layer).items()}
    return ours


def copied_layer(layer: dict[str, Tensor]) -> dict[str, Tensor]:
    attention = {name.removeprefix("self_attn."): tensor for name, tensor in layer.items()}
    ours = {
        "attention_norm.weight": layer["input_layernorm.weight"],
        "feed_forward_norm.weight": layer["post_attention_layernorm.weight"],
        "attention_conv.weight_CJ": layer["attn_sconv.conv1d.weight"][:, 0],
        "feed_forward_conv.weight_CJ": layer["mlp_sconv.conv1d.weight"][:, 0],
        "attention.project.weight": torch.cat([attention[f"{part}_proj.weight"] for part in "qkvr"]),
        "attention.kv_conv.weight_CJ": torch.cat([attention[f"{part}_sconv.conv1d.weight"][:, 0] for part in "kv"]),
        "attention.query_norm.weight": attention["q_norm.weight"],
        "attention.key_norm.weight": attention["k_norm.weight"],
        "attention.profiles_RE": attention["rel_logits_proj.proj"],
        "attention.out.weight": attention["o_proj.weight"],
    }
    mlp = {name.removeprefix("mlp."): tensor for name, tensor in layer.items() if name.startswith("mlp.")}
    renamed = copied_experts(mlp) if "gate.weight" in mlp else copied_dense(mlp)
    return ours | {f"feed_forward.{name}": tensor for name, tensor in renamed.items()}


def copied_dense(mlp: dict[str, Tensor]) -> dict[str, Tensor]:
    gate_up = torch.cat([mlp["gate_proj.weight"], mlp["up_proj.weight"]])
    return {"gate_up.weight": gate_up, "down.weight": mlp["down_proj.weight"], "scale": mlp["global_scale"]}


def copied_experts(mlp: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "router_weight": mlp["gate.weight"],
        "router_scale": mlp["gate.global_scale"],
        "bias_E": mlp["gate.e_score_correction_bias"],
        "gate_up_EUD": mlp["experts.gate_up_proj"],
        "down_EDU": mlp["experts.down_proj"],
        "shared_gate_up.weight": torch.cat([mlp["shared_experts.gate_proj"].flatten(0, 1), mlp["shared_experts.up_proj"].flatten(0, 1)]),
        "shared_down.weight": mlp["shared_experts.down_proj"].transpose(0, 1).flatten(1),
    }


def pair(config: TrunkConfig) -> tuple[Any, TokenEmbedding, Trunk]:
    theirs = published_trunk(config)
    state = theirs.model.state_dict()
    embedding = TokenEmbedding(50, config.width, config.norm_eps)
    embedding.load_state_dict({"table.weight": state["embed_tokens.weight"], "norm.weight": state["embed_tokens.embed_norm.weight"]})
    trunk = Trunk(config)
    trunk.load_state_dict(copied(state, config))
    return theirs, embedding, trunk.eval()


VARIANTS = {
    "dense": TINY,
    "mixture of experts": MIXED,
    "logarithmic score scaling": replace(TINY, log_scale_floor=5, log_scale_alpha=0.4),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("length", [1, 6, 40, 150])
def test_trunk_logits_equal_the_published_model(name: str, length: int) -> None:
    theirs, embedding, trunk = pair(VARIANTS[name])
    tokens = torch.randint(0, 50, (2, length), generator=torch.Generator().manual_seed(length))
    with torch.no_grad():
        expected = theirs(tokens, use_cache=False).logits
        hidden, _ = trunk(embedding(tokens))
    torch.testing.assert_close(hidden / 3.0 @ theirs.lm_head.weight.T, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_streamed_trunk_logits_equal_the_published_model(name: str) -> None:
    theirs, embedding, trunk = pair(VARIANTS[name])
    tokens = torch.randint(0, 50, (2, 90), generator=torch.Generator().manual_seed(3))
    pieces, state = [], trunk.start(2)
    with torch.no_grad():
        for piece in embedding(tokens).split([1, 2, 30, 3, 54], dim=1):
            hidden, state = trunk(piece, state)
            pieces.append(hidden)
        expected = theirs(tokens, use_cache=False).logits
    torch.testing.assert_close(torch.cat(pieces, 1) / 3.0 @ theirs.lm_head.weight.T, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_equal_those_of_the_published_model(name: str) -> None:
    theirs, embedding, trunk = pair(VARIANTS[name])
    theirs.train()
    trunk.train()
    tokens = torch.randint(0, 50, (2, 70), generator=torch.Generator().manual_seed(4))
    weight = torch.randn(2, 70, VARIANTS[name].width, generator=torch.Generator().manual_seed(5))
    (theirs.model(tokens, use_cache=False).last_hidden_state * weight).sum().backward()
    (trunk(embedding(tokens))[0] * weight).sum().backward()
    expected = copied({n: p.grad for n, p in theirs.model.named_parameters()} | unused_buffers(trunk), VARIANTS[name])
    for parameter, tensor in trunk.named_parameters():
        reference = expected[parameter]
        torch.testing.assert_close(tensor.grad, reference, rtol=0, atol=2e-4 * max(1.0, float(reference.abs().max())), msg=parameter)


def unused_buffers(trunk: Trunk) -> dict[str, Tensor]:
    """Routing biases have no gradient; something must stand at their names for `copied`."""
    return {f"layers.{i}.mlp.gate.e_score_correction_bias": torch.zeros(1) for i in range(len(trunk.layers))}


def test_audio_embedding_equals_the_published_one_in_training_and_in_use() -> None:
    settings = published.InklingAudioConfig(n_mel_bins=80, mel_vocab_size=16, text_hidden_size=48)
    theirs = published.InklingAudioModel(settings)
    randomise(theirs)
    ours = AudioEmbedding(80, 16, 48)
    state = theirs.state_dict()
    ours.load_state_dict({"table.weight": state["embed_audio_tokens.embed_audio_tokens.weight"], "norm.weight": state["norm.weight"]})
    levels = torch.randint(0, 16, (9, 80), dtype=torch.uint8)
    expected = theirs(levels.long()).last_hidden_state
    torch.testing.assert_close(ours(levels), expected, rtol=0, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(ours(levels), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("patch", "frames", "layers"), [(40, 2, 4), (12, 2, 3), (6, 2, 7), (8, 2, 2), (10, 3, 3)])
def test_vision_patches_equal_the_published_ones(patch: int, frames: int, layers: int) -> None:
    settings = published.InklingVisionConfig(
        text_hidden_size=48, patch_size=patch, temporal_patch_size=frames, num_channels=3, num_hidden_layers=layers
    )
    theirs = published.InklingVisionModel(settings)
    config = VisionConfig(patch=patch, frames=frames, channels=3, num_layers=layers)
    assert plan_patch_layers(config) == [(t, h, c) for t, h, _, c in theirs.scales.tolist()]
    noise = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for tensor in theirs.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=noise) * tensor.shape[-1] ** -0.5 + (tensor.ndim == 1))
    ours = PatchEmbedding(config, 48)
    names = {"projection": "linear", "layer_norm": "norm", "encoder_layers": "layers", "final_norm": "norm"}
    ours.load_state_dict({".".join(names.get(part, part) for part in name.split(".")): t for name, t in theirs.state_dict().items()})
    pixels = torch.randn(3, frames, patch, patch, 3, generator=noise)
    with torch.no_grad():
        torch.testing.assert_close(ours(pixels), theirs(pixels).last_hidden_state[:, 0], rtol=0, atol=1e-5)
