"""The cost planner agrees with the parameters of built models and with the operations torch counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from model import cost
from model.attention import Slots
from model.causal import StackConfig
from model.config import ModelConfig, TrunkConfig, inkling_small, micro, nano, tiny
from model.flow import FlowConfig, HeadConfig, RegressionConfig
from model.interaction import InteractionModel
from model.speech import SpeechConfig, SpeechHead
from model.trunk import Trunk
from model.vocoder import Vocoder, VocoderConfig

PRESETS = {"tiny": tiny, "nano": nano, "micro": micro, "inkling_small": inkling_small}


@pytest.mark.parametrize("name", PRESETS)
def test_trunk_parameters_equal_those_of_the_built_trunk(name: str) -> None:
    config = PRESETS[name]().trunk
    with torch.device("meta"):
        trunk = Trunk(config)
    assert cost.trunk_parameters(config).total == sum(p.numel() for p in trunk.parameters())


@pytest.mark.parametrize("fold", [1, 4])
def test_model_parameters_equal_those_of_the_built_model(fold: int) -> None:
    config = replace(nano(), audio_fold=fold, vision=None)
    model = InteractionModel(config)
    kinds = model.kinds.weight.numel()
    assert sum(cost.model_parameters(config).values()) + kinds == sum(p.numel() for p in model.parameters())


def test_inkling_small_has_the_published_totals_within_one_per_cent() -> None:
    config = inkling_small()
    trunk, table = cost.trunk_parameters(config.trunk), config.vocab_size * config.trunk.width
    assert trunk.total + 2 * table == pytest.approx(276e9, rel=0.01)
    assert trunk.active + table == pytest.approx(12e9, rel=0.01)


def counted(model: Trunk, *inputs: object) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*inputs)
    return counter.get_total_flops()


def all_slots(config: TrunkConfig) -> int:
    """Operations of one streamed position over every slot of the rings, without the convolutions (which torch does not count)."""
    total = 0
    for i in range(config.num_layers):
        slots = Slots.of(config.attention(config.kind(i))).total
        layer = cost.layer_flops(config, i, slots)
        extent = config.attention(config.kind(i)).rel_extent
        bias = 2 * config.num_heads * config.d_rel * extent
        total += layer.projections + bias + layer.attention + layer.feed_forward
    return total


@pytest.mark.parametrize("positions", [1, 3])
def test_streamed_operations_equal_what_torch_counts(positions: int) -> None:
    config = nano().trunk
    trunk = Trunk(config)
    assert counted(trunk, torch.zeros(2, positions, config.width), trunk.start(2)) == 2 * positions * all_slots(config)


def test_the_floor_of_a_streamed_position_is_within_a_tenth_of_what_torch_counts() -> None:
    config = nano().trunk
    floor = cost.trunk_flops(config, 10_000)
    assert floor < 1.02 * all_slots(config) < 1.12 * floor


@pytest.mark.parametrize("length", [100, 350, 1200])
def test_the_floor_of_a_whole_sequence_is_below_what_torch_counts_and_not_far(length: int) -> None:
    config = nano().trunk
    measured = counted(Trunk(config), torch.zeros(1, length, config.width))
    assert 0.95 * cost.sequence_flops(config, length) < measured < 1.35 * cost.sequence_flops(config, length)


def test_a_sequence_costs_as_much_as_its_positions_one_by_one() -> None:
    config = nano().trunk
    assert cost.sequence_flops(config, 700) == sum(cost.trunk_flops(config, position) for position in range(700))


def test_a_tick_after_an_hour_costs_what_it_cost_after_five_minutes() -> None:
    assert cost.tick_cost(nano(), 18_000) == cost.tick_cost(nano(), 1_000)
    assert cost.tick_cost(nano(), 18_000).trunk_flops > cost.tick_cost(nano(), 10).trunk_flops


@pytest.mark.parametrize("fold", [1, 4])
@pytest.mark.parametrize("own_voice", [False, True])
def test_the_floor_of_a_cell_is_what_torch_counts_in_either_layout_silent_or_not(fold: int, own_voice: bool) -> None:
    config = replace(nano(), audio_fold=fold, vision=None)
    model, sound = InteractionModel(config).eval(), 0.1 * torch.randn(1, 3200)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        user, own, state = model.levels_of(model.start(), sound, sound)
        model.listen(state, user, own, torch.tensor([own_voice]))
    floor = cost.tick_cost(config, 10_000, own_voice=own_voice)  # torch counts every slot of the rings, and no transforms or convolutions
    assert floor.flops == pytest.approx(counter.get_total_flops(), rel=0.05)
    assert floor.trunk_flops == (1 + config.audio_positions + own_voice) * cost.trunk_flops(config.trunk, 10_000)


@pytest.mark.parametrize("config", [nano().trunk, replace(nano().trunk, global_window=None, num_sinks=0), micro().trunk])
def test_a_position_costs_the_same_by_what_it_sees(config: TrunkConfig) -> None:
    each = cost.position_cost(config)
    for position in (0, 1, 127, 128, 500, 515, 516, 3000):
        seen = sum(flops * min(position + 1, most or position + 1) for most, flops in each.seen)
        assert each.fixed + seen == cost.trunk_flops(config, position)


def test_an_unbounded_trunk_grows_with_the_session_and_nano_does_not() -> None:
    unbounded = replace(nano().trunk, global_window=None, num_sinks=0)
    hour = 18_000 * 3
    assert cost.state_bytes(unbounded, hour) > 20 * cost.state_bytes(nano().trunk, hour)
    assert cost.state_bytes(nano().trunk, hour) == cost.state_bytes(nano().trunk, hour // 10)


def test_only_chosen_experts_are_active_and_at_most_those_touched_are_read() -> None:
    config: ModelConfig = micro()
    trunk = cost.trunk_parameters(config.trunk)
    assert trunk.active < trunk.total / 3
    assert trunk.active < cost.touched_parameters(config.trunk, 3) < trunk.total
    assert cost.touched_parameters(config.trunk, 1_000) == trunk.total


@pytest.mark.parametrize("head", [RegressionConfig(), FlowConfig(steps=1), FlowConfig(steps=4)], ids=["regression", "flow-1", "flow-4"])
@pytest.mark.parametrize("cell_width", [0, 256])
def test_a_cell_of_speech_costs_the_operations_torch_counts(head: HeadConfig, cell_width: int) -> None:
    frames, config = 16, SpeechConfig(num_phones=40, head=head, cell_width=cell_width)
    model = SpeechHead(config)
    told = torch.zeros(1, frames, 5, dtype=torch.long), torch.zeros(1, frames, 6)
    cell = torch.zeros(1, cell_width) if cell_width else None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*told, torch.zeros(1, frames, 80), model.start(), cell)
    passes = head.steps if isinstance(head, FlowConfig) else 1
    assert counter.get_total_flops() == cost.speech_flops(config, frames) - frames * (taps(config.stack) + passes * taps(head.stack))


def test_a_cell_of_the_vocoder_costs_the_operations_torch_counts() -> None:
    frames, config = 16, VocoderConfig()
    model = Vocoder(config)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, frames, 80), model.start())
    transforms = 3 * int(2.5 * 1024 * 10)
    assert counter.get_total_flops() == cost.vocoder_flops(config, frames) - frames * (taps(config.stack) + transforms)


def taps(stack: StackConfig) -> int:
    """Operations of the depthwise convolutions, which torch does not count."""
    return stack.num_blocks * 2 * stack.kernel * stack.width
