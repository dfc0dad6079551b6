"""What a model is made of: frozen settings, one dataclass per component, presets as functions.

Defaults follow the open Inkling configuration (`transformers`, `models/inkling`). Bounds on how far a global
layer looks (`global_window`, `num_sinks`) are ours, unpublished: they keep the cost of a tick flat.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

LayerKind = Literal["sliding", "global"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """A gated (SwiGLU) feed-forward layer: three matrices between the width and `hidden`."""

    hidden: int

    def __post_init__(self) -> None:
        _require(self.hidden > 0, f"hidden={self.hidden} must be positive; give the size of the gated layer")


@dataclass(frozen=True, kw_only=True)
class MoEConfig:
    """A mixture of gated experts: `top_k` of `num_experts` chosen per position, `num_shared` always on."""

    hidden: int
    num_experts: int
    top_k: int
    num_shared: int = 2
    route_scale: float = 8.0
    bias_step: float = 1e-3
    """How far one call of `update_bias` moves a routing bias (ours; Inkling does not publish its rate)."""

    def __post_init__(self) -> None:
        _require(
            1 <= self.top_k <= self.num_experts,
            f"top_k={self.top_k} must lie between 1 and num_experts={self.num_experts}; choose fewer experts per position",
        )
        _require(self.num_shared >= 1, f"num_shared={self.num_shared} must be at least 1; the shared experts anchor the weights")
        _require(self.hidden > 0, f"hidden={self.hidden} must be positive; give the size of one expert")


FFNConfig = DenseConfig | MoEConfig


@dataclass(frozen=True, kw_only=True)
class AttentionShape:
    """The sizes of one attention layer, resolved from a `TrunkConfig` for one kind of layer."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    d_rel: int
    rel_extent: int
    window: int | None
    """How many positions, itself included, a position sees; None: all before it."""
    num_sinks: int
    """How many first positions stay visible beyond the window."""


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """The decoder: `num_layers` layers of attention and feed-forward over one sequence of positions.

    `layer_kinds` is a pattern repeated over the layers. `sliding_*` sizes are those of sliding layers where they
    differ from global ones (None: the same). The first `num_dense_layers` layers use `dense`, the others `ffn`.
    """

    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    ffn: FFNConfig
    layer_kinds: tuple[LayerKind, ...] = ("sliding",) * 5 + ("global",)
    d_rel: int = 16
    rel_extent: int = 1024
    sliding_window: int = 512
    global_window: int | None = None
    num_sinks: int = 0
    sliding_heads: int | None = None
    sliding_kv_heads: int | None = None
    sliding_head_dim: int | None = None
    conv_kernel: int = 4
    num_dense_layers: int = 0
    dense: DenseConfig | None = None
    norm_eps: float = 1e-6
    log_scale_floor: int | None = None
    """Position from which global attention scores grow logarithmically (Inkling's long-context rule); None: never."""
    log_scale_alpha: float = 0.1
    init_std: float = 0.02

    def __post_init__(self) -> None:
        _require(self.num_layers > 0, f"num_layers={self.num_layers} must be positive; a trunk needs a layer")
        _require(len(self.layer_kinds) > 0, "layer_kinds=() must name at least one kind; give 'sliding' or 'global'")
        for kind in self.layer_kinds:
            _require(kind in ("sliding", "global"), f"layer kind {kind!r} must be 'sliding' or 'global'; correct layer_kinds")
            shape = self.attention(kind)
            _require(
                shape.num_heads % shape.num_kv_heads == 0,
                f"num_heads={shape.num_heads} must be a multiple of num_kv_heads={shape.num_kv_heads}; change one of them",
            )
            _require(
                shape.window is None or shape.window >= shape.rel_extent,
                f"rel_extent={shape.rel_extent} must not exceed the window of {shape.window}; shorten it",
            )
        _require(self.num_sinks >= 0, f"num_sinks={self.num_sinks} must not be negative; use 0 for none")
        _require(
            self.global_window is None or self.num_sinks <= self.global_window,
            f"num_sinks={self.num_sinks} must not exceed global_window={self.global_window}; use fewer sinks",
        )
        _require(self.conv_kernel >= 2, f"conv_kernel={self.conv_kernel} must be at least 2; Inkling uses 4")
        _require(
            self.num_dense_layers == 0 or self.dense is not None,
            f"num_dense_layers={self.num_dense_layers} needs `dense`; give a DenseConfig",
        )

    def kind(self, layer: int) -> LayerKind:
        """Whether layer number `layer` is sliding or global."""
        return self.layer_kinds[layer % len(self.layer_kinds)]

    def feed_forward(self, layer: int) -> FFNConfig:
        """The feed-forward settings of layer number `layer`."""
        if layer < self.num_dense_layers:
            assert self.dense is not None
            return self.dense
        return self.ffn

    def attention(self, kind: LayerKind) -> AttentionShape:
        """The attention sizes of a kind of layer."""
        if kind == "global":
            return AttentionShape(
                num_heads=self.num_heads,
                num_kv_heads=self.num_kv_heads,
                head_dim=self.head_dim,
                d_rel=self.d_rel,
                rel_extent=self.rel_extent,
                window=self.global_window,
                num_sinks=self.num_sinks if self.global_window is not None else 0,
            )
        return AttentionShape(
            num_heads=self.sliding_heads or self.num_heads,
            num_kv_heads=self.sliding_kv_heads or self.num_kv_heads,
            head_dim=self.sliding_head_dim or self.head_dim,
            d_rel=self.d_rel,
            rel_extent=self.sliding_window,
            window=self.sliding_window,
            num_sinks=0,
        )


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """Image patches: `patch` x `patch` pixels of `channels`, `frames` of them, folded to one vector in `num_layers` steps."""

    patch: int = 40
    frames: int = 2
    channels: int = 3
    num_layers: int = 4


SMALL_VISION = VisionConfig(patch=32, num_layers=3)
"""The two frames of a 200 ms cell, 32 x 32 pixels each, as one patch: one position a cell, ten frames a second (ours, for small models)."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A whole model: trunk, front ends and vocabularies.

    `audio_fold` is how many 50 ms dMel frames share one position: 1 as published, 4 folds a whole 200 ms cell into one vector that the
    cell mark carries, so that a silent cell is one position (a stated deviation, for small models).

    The last four fields are for ablations: the length of a cell is `frames_per_cell` times `hop_ms`; `audio_input` "log_mel" gives the
    model the magnitudes themselves instead of their 16 levels; `counter_pairs` 0 leaves out the cell counter, `hears_itself` False the own
    voice.
    """

    trunk: TrunkConfig
    num_mel: int = 80
    num_audio_levels: int = 16
    audio_fold: int = 1
    frames_per_cell: int = 4
    audio_width: int = 128
    """Width of one frame's embedding when frames are folded (and of the own voice, which always is)."""
    fold_hidden: int = 512
    counter_pairs: int = 14
    """Sinusoids of the cell counter: periods of 2 to 2 ** counter_pairs cells; 0 for no counter."""
    vocab_size: int = 512
    hear_vocab_size: int = 512
    logits_divisor: float = 1.0
    """The final hidden states are divided by this before the text head (Inkling: 24 at width 6144)."""
    vision: VisionConfig | None = field(default_factory=VisionConfig)
    hop_ms: int = 50
    audio_input: Literal["dmel", "log_mel"] = "dmel"
    hears_itself: bool = True

    def __post_init__(self) -> None:
        _require(
            self.audio_fold in (1, self.frames_per_cell),
            f"audio_fold={self.audio_fold} must be 1 (as published) or {self.frames_per_cell} (the whole cell on its mark); choose one",
        )
        _require(self.vocab_size > 0, f"vocab_size={self.vocab_size} must be positive; count the tokens")
        _require(self.logits_divisor > 0, f"logits_divisor={self.logits_divisor} must be positive; use 1.0 for none")

    @property
    def audio_positions(self) -> int:
        """Positions that one cell of user audio takes beside the mark: none when it is folded."""
        return self.frames_per_cell if self.audio_fold == 1 else 0

    @property
    def tick_ms(self) -> int:
        """Length of a cell."""
        return self.frames_per_cell * self.hop_ms


def nano() -> ModelConfig:
    """The shipped size: width 256, 6 layers, windows of 128, every third layer global over 512 positions and 4 sinks.

    About 4.6 M parameters in the trunk; trains on two CPU cores and streams on one.
    """
    trunk = TrunkConfig(
        width=256,
        num_layers=6,
        num_heads=4,
        num_kv_heads=2,
        head_dim=64,
        ffn=DenseConfig(hidden=704),
        layer_kinds=("sliding", "sliding", "global"),
        sliding_window=128,
        rel_extent=512,
        global_window=512,
        num_sinks=4,
    )
    return ModelConfig(trunk=trunk, audio_fold=4, vision=SMALL_VISION)


def tiny() -> ModelConfig:
    """For ablations and lessons: about a seventh of nano."""
    trunk = TrunkConfig(
        width=128,
        num_layers=4,
        num_heads=2,
        num_kv_heads=1,
        head_dim=64,
        d_rel=8,
        ffn=DenseConfig(hidden=352),
        layer_kinds=("sliding", "global"),
        sliding_window=128,
        rel_extent=512,
        global_window=512,
        num_sinks=4,
    )
    return ModelConfig(trunk=trunk, audio_fold=4, audio_width=64, fold_hidden=256, vision=SMALL_VISION)


def micro() -> ModelConfig:
    """For one GPU: width 768, 18 layers, published audio positions, 16 small experts of which 2 are chosen."""
    trunk = TrunkConfig(
        width=768,
        num_layers=18,
        num_heads=12,
        num_kv_heads=4,
        head_dim=64,
        ffn=MoEConfig(hidden=768, num_experts=16, top_k=2, num_shared=1),
        num_dense_layers=1,
        dense=DenseConfig(hidden=2048),
        sliding_window=256,
        rel_extent=1024,
        global_window=2048,
        num_sinks=4,
    )
    return ModelConfig(trunk=trunk, vocab_size=4096, hear_vocab_size=4096, vision=SMALL_VISION)


def inkling_small() -> ModelConfig:
    """A 276B-total, 12B-active trunk for the meta device and the cost planner; TML publishes only these two totals.

    The sizes between them are our reading (ours, unpublished): Inkling's own layer recipe, scaled until both totals match within 1 %.
    """
    trunk = TrunkConfig(
        width=4096,
        num_layers=44,
        num_heads=32,
        num_kv_heads=8,
        head_dim=128,
        ffn=MoEConfig(hidden=2048, num_experts=256, top_k=6, num_shared=2),
        num_dense_layers=2,
        dense=DenseConfig(hidden=16384),
        sliding_kv_heads=16,
        sliding_window=512,
        rel_extent=1024,
    )
    return ModelConfig(trunk=trunk, vocab_size=201024, hear_vocab_size=201024, logits_divisor=16.0, vision=VisionConfig(num_layers=24))


def to_dict(config: ModelConfig) -> dict[str, Any]:
    """The settings as plain JSON values; `from_dict` reads them back."""
    return asdict(config)


def _feed_forward_from(values: dict[str, Any] | None) -> FFNConfig | None:
    if values is None:
        return None
    return MoEConfig(**values) if "num_experts" in values else DenseConfig(**values)


def trunk_from_dict(values: dict[str, Any]) -> TrunkConfig:
    """The trunk settings written by `to_dict`."""
    parts = {**values, "layer_kinds": tuple(values["layer_kinds"])}
    return TrunkConfig(**{**parts, "ffn": _feed_forward_from(parts["ffn"]), "dense": _feed_forward_from(parts["dense"])})


def from_dict(values: dict[str, Any]) -> ModelConfig:
    """The settings written by `to_dict`; an unknown name raises TypeError."""
    vision = values["vision"]
    parts = {**values, "trunk": trunk_from_dict(values["trunk"])}
    return ModelConfig(**{**parts, "vision": None if vision is None else VisionConfig(**vision)})
