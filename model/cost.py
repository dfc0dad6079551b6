"""What a model costs, from its settings alone: parameters, floating-point operations and bytes per tick. No model is built.

Operations are those of matrix products (two per multiply-add) plus the front end's transforms; norms and activations, under one per
cent, are left out. Figures are floors: what the mathematics needs, not what an implementation spends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from model.causal import StackConfig
from model.config import DenseConfig, LayerKind, ModelConfig, MoEConfig, TrunkConfig
from model.dmel import DMel
from model.flow import TIME_PAIRS, FlowConfig
from model.plan import NUM_IDENTITIES, NUM_PLACES
from model.speech import SpeechConfig
from model.vocoder import VocoderConfig

HEARD_HALVES = 2
"""Half cells for which the heard-words head names a word."""


@dataclass(frozen=True)
class Count:
    """Parameters of a part: all of them, and those that work on any one position."""

    total: int
    active: int

    def __add__(self, other: Count) -> Count:
        return Count(self.total + other.total, self.active + other.active)


def _all(parameters: int) -> Count:
    return Count(parameters, parameters)


def feed_forward_parameters(width: int, config: DenseConfig | MoEConfig) -> Count:
    """Parameters of one feed-forward layer; of its experts only the chosen and the shared ones are active."""
    if isinstance(config, DenseConfig):
        return _all(3 * width * config.hidden + 1)
    expert = 3 * width * config.hidden
    router = width * (config.num_experts + config.num_shared) + 1
    shared = router + config.num_shared * expert
    return Count(shared + config.num_experts * expert, shared + config.top_k * expert)


def attention_parameters(config: TrunkConfig, kind: LayerKind) -> int:
    """Parameters of one attention layer with its convolutions of keys and values."""
    shape = config.attention(kind)
    queries, keys = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
    project = config.width * (queries + 2 * keys + shape.num_heads * shape.d_rel)
    return project + queries * config.width + 2 * keys * config.conv_kernel + 2 * shape.head_dim + shape.d_rel * shape.rel_extent


def layer_parameters(config: TrunkConfig, layer: int) -> Count:
    """Parameters of layer number `layer` with its norms and convolutions."""
    around = 2 * config.width * (1 + config.conv_kernel)
    attention = _all(attention_parameters(config, config.kind(layer)))
    return attention + feed_forward_parameters(config.width, config.feed_forward(layer)) + _all(around)


def trunk_parameters(config: TrunkConfig) -> Count:
    """Parameters of all layers and the last norm."""
    return sum((layer_parameters(config, layer) for layer in range(config.num_layers)), _all(config.width))


def model_parameters(config: ModelConfig) -> dict[str, int]:
    """Parameters by part: `trunk`, `audio`, `fold`, `text`, `heard` and `other`; image patches are counted apart."""
    width = config.trunk.width
    inputs = config.num_mel * config.num_audio_levels if config.audio_input == "dmel" else config.num_mel + 1
    audio = (inputs + 1) * config.audio_width
    fold = 2 * config.frames_per_cell * config.audio_width * config.fold_hidden + config.fold_hidden * (width + 1) + width
    unfolded = config.audio_width * width if config.audio_fold == 1 else 0
    heard_in = HEARD_HALVES * config.hear_vocab_size * width
    return {
        "trunk": trunk_parameters(config.trunk).total,
        "audio": audio,
        "fold": fold + unfolded,
        "text": 2 * config.vocab_size * width + config.vocab_size,
        "heard": heard_in + HEARD_HALVES * config.hear_vocab_size * (width + 1),
        "other": 2 * config.counter_pairs * width + width + width + 1,
    }


def attended_positions(config: TrunkConfig, kind: LayerKind, position: int) -> int:
    """How many positions, itself included, position number `position` (from 0) sees in a layer of this kind."""
    shape = config.attention(kind)
    before = position + 1
    return before if shape.window is None else min(before, shape.window + shape.num_sinks)


@dataclass(frozen=True)
class LayerCost:
    """Operations of one position in one layer."""

    projections: int
    relative_bias: int
    attention: int
    convolutions: int
    feed_forward: int

    @property
    def total(self) -> int:
        return self.projections + self.relative_bias + self.attention + self.convolutions + self.feed_forward


def layer_flops(config: TrunkConfig, layer: int, attended: int) -> LayerCost:
    """Operations of one position that sees `attended` positions in layer number `layer`."""
    shape = config.attention(config.kind(layer))
    queries, keys = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
    project = config.width * (queries + 2 * keys + shape.num_heads * shape.d_rel) + queries * config.width
    feed_forward = config.feed_forward(layer)
    if isinstance(feed_forward, DenseConfig):
        multiplied = 3 * config.width * feed_forward.hidden
    else:
        experts = feed_forward.top_k + feed_forward.num_shared
        routed = config.width * (feed_forward.num_experts + feed_forward.num_shared)
        multiplied = 3 * config.width * feed_forward.hidden * experts + routed
    return LayerCost(
        projections=2 * project,
        relative_bias=2 * shape.num_heads * shape.d_rel * min(attended, shape.rel_extent),
        attention=4 * queries * attended,
        convolutions=2 * config.conv_kernel * (2 * keys + 2 * config.width),
        feed_forward=2 * multiplied,
    )


def trunk_flops(config: TrunkConfig, position: int) -> int:
    """Operations of position number `position` (from 0) through all layers."""
    return sum(layer_flops(config, i, attended_positions(config, config.kind(i), position)).total for i in range(config.num_layers))


def sequence_flops(config: TrunkConfig, positions: int) -> int:
    """Operations of a whole sequence, forwards; training takes three times as many."""
    total = 0
    for kind in set(config.layer_kinds):
        shape = config.attention(kind)
        longest = positions if shape.window is None else min(positions, shape.window + shape.num_sinks)
        counts = [*range(1, longest), *([longest] * (positions - longest + 1))]
        for layer in (i for i in range(config.num_layers) if config.kind(i) == kind):
            fixed, per_position = layer_flops(config, layer, 0).total, layer_flops(config, layer, 1).attention
            bias = sum(layer_flops(config, layer, attended).relative_bias for attended in counts)
            total += positions * fixed + per_position * sum(counts) + bias
    return total


@dataclass(frozen=True)
class PositionCost:
    """What a position needs of the trunk: `fixed`, and for every position that it sees, itself included, what `seen` tells.

    `seen` holds pairs: of how many positions at most (None: of all), and the operations for each.
    """

    fixed: int
    seen: tuple[tuple[int | None, int], ...]


def position_cost(config: TrunkConfig) -> PositionCost:
    """The cost of a position through all layers, apart from where it stands: `sequence_flops` without the positions."""
    fixed, seen = 0, dict[int | None, int]()
    for layer in range(config.num_layers):
        shape = config.attention(config.kind(layer))
        far = None if shape.window is None else shape.window + shape.num_sinks
        extent = shape.rel_extent if far is None else min(far, shape.rel_extent)
        each = layer_flops(config, layer, 1)
        fixed += layer_flops(config, layer, 0).total
        seen[far] = seen.get(far, 0) + each.attention
        seen[extent] = seen.get(extent, 0) + each.relative_bias
    return PositionCost(fixed, tuple(seen.items()))


def _frames_flops(config: ModelConfig, dmel: DMel | None) -> int:
    """Operations that turn the 200 ms of one voice into the vectors of its frames: transform, mel bands, embedding sum."""
    dmel = dmel or DMel(num_mel=config.num_mel)
    transform = int(2.5 * dmel.n_fft * math.log2(dmel.n_fft)) + dmel.n_fft
    bands = 2 * (dmel.n_fft // 2 + 1) * config.num_mel
    return config.frames_per_cell * (transform + bands + config.num_mel * config.audio_width)


def _fold_flops(config: ModelConfig) -> int:
    return 2 * config.fold_hidden * (2 * config.frames_per_cell * config.audio_width + config.trunk.width)


def front_end_flops(config: ModelConfig, dmel: DMel | None = None) -> int:
    """Operations that turn the 200 ms of the user into what the trunk takes: frames, folded onto the mark or each a position."""
    unfolded = 2 * config.audio_positions * config.audio_width * config.trunk.width
    return _frames_flops(config, dmel) + (unfolded or _fold_flops(config))


def own_voice_flops(config: ModelConfig, dmel: DMel | None = None) -> int:
    """The same for the 200 ms of the agent's own voice, which are folded in either layout; a cell in which it was silent has none."""
    return _frames_flops(config, dmel) + _fold_flops(config)


def head_flops(config: ModelConfig) -> int:
    """Operations of the text head for one output plus the heard-words and activity heads of one cell."""
    return 2 * config.trunk.width * (config.vocab_size + HEARD_HALVES * config.hear_vocab_size + 1)


@dataclass(frozen=True)
class TickCost:
    """What one tick of one session needs at the least."""

    front_end_flops: int
    trunk_flops: int
    head_flops: int
    weight_bytes: int
    """Weights read once."""
    state_bytes: int
    """Keys and values read."""

    @property
    def flops(self) -> int:
        return self.front_end_flops + self.trunk_flops + self.head_flops

    @property
    def bytes(self) -> int:
        return self.weight_bytes + self.state_bytes


def tick_cost(
    config: ModelConfig, tick: int, positions_per_tick: int | None = None, bytes_per_number: int = 4, *, own_voice: bool = True
) -> TickCost:
    """The cost of tick number `tick` of a session whose cells have `positions_per_tick` positions.

    By default a cell is its mark, the user's audio and, with `own_voice`, the position in which the agent hears itself; without, it was
    silent. Of the heads one output is counted. Experts' weights are counted as if every position chose others, up to all of them.
    """
    here = positions_per_tick or 1 + config.audio_positions + own_voice
    trunk, first = config.trunk, tick * here
    parts = model_parameters(config)
    weights = touched_parameters(trunk, here) + parts["fold"] + config.vocab_size * trunk.width
    weights += HEARD_HALVES * config.hear_vocab_size * trunk.width + 2 * config.frames_per_cell * config.num_mel * config.audio_width
    held = 0
    for layer in range(trunk.num_layers):
        shape = trunk.attention(trunk.kind(layer))
        held += 2 * shape.num_kv_heads * shape.head_dim * attended_positions(trunk, trunk.kind(layer), first + here - 1)
    return TickCost(
        front_end_flops=front_end_flops(config) + (own_voice_flops(config) if own_voice else 0),
        trunk_flops=sum(trunk_flops(trunk, first + i) for i in range(here)),
        head_flops=head_flops(config),
        weight_bytes=weights * bytes_per_number,
        state_bytes=held * bytes_per_number,
    )


def touched_parameters(config: TrunkConfig, positions: int) -> int:
    """Parameters of the trunk that at most are read for this many positions."""
    total = trunk_parameters(config).total
    for layer in range(config.num_layers):
        feed_forward = config.feed_forward(layer)
        if isinstance(feed_forward, MoEConfig):
            idle = max(0, feed_forward.num_experts - positions * feed_forward.top_k)
            total -= idle * 3 * config.width * feed_forward.hidden
    return total


def state_bytes(config: TrunkConfig, positions: int, bytes_per_number: int = 4) -> int:
    """Bytes of keys and values that one session holds after this many positions."""
    numbers = 0
    for layer in range(config.num_layers):
        shape = config.attention(config.kind(layer))
        held = attended_positions(config, config.kind(layer), positions - 1) if positions else 0
        numbers += 2 * shape.num_kv_heads * shape.head_dim * held
    return numbers * bytes_per_number


def stack_flops(config: StackConfig) -> int:
    """Operations of one frame through the blocks of the voice's causal stack, its depthwise convolutions included."""
    return config.num_blocks * config.width * (4 * config.hidden + 2 * config.kernel)


def speech_flops(config: SpeechConfig, frames: int) -> int:
    """Operations of the speech head for so many frames; a flow-matching head passes its body once for every Euler step."""
    width, body = config.stack.width, config.head.stack
    told = 2 * width * (NUM_IDENTITIES * config.phone_width + 2 * NUM_PLACES)
    once = told + stack_flops(config.stack) + 2 * width * body.width
    passed = stack_flops(body) + 2 * body.width * config.num_mel
    per_cell = 2 * config.cell_width * width
    if not isinstance(config.head, FlowConfig):
        return frames * (once + passed) + per_cell
    film = 2 * config.head.film_hidden * (2 * TIME_PAIRS + 2 * body.num_blocks * body.width)
    return frames * once + config.head.steps * (frames * (passed + 2 * config.num_mel * body.width) + film) + per_cell


def vocoder_flops(config: VocoderConfig, frames: int) -> int:
    """Operations of the vocoder for so many frames: stack, filter responses from bands, and three transforms a frame."""
    width, bands = config.stack.width, config.num_mel
    heads = 2 * width * (bands + 1 + 2 * bands)
    responses = 2 * 2 * 2 * bands * (config.n_fft // 2 + 1)
    transforms = 3 * int(2.5 * config.n_fft * math.log2(config.n_fft))
    return frames * (stack_flops(config.stack) + heads + responses + transforms)
