"""Growing: a model of a larger world begins with what a smaller one knew."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.checkpoint import Checkpoint, fresh_model, load_checkpoint
from model.config import DenseConfig, MoEConfig, VisionConfig
from model.data import collate
from model.dmel import DMel
from model.grow import grow
from model.interaction import InteractionModel
from model.layout import Vocabulary
from tests.model_fakes import answering, data_config, tiny_config
from workbench.neural import vocabulary

SMALL = Vocabulary(("low", "high", "third", "fourth"), ("low", "high", "third", "fourth"))
LARGE = Vocabulary(("low", "high", "new", "third", "fourth", "newer"), ("fresh", "low", "high", "third", "fourth"))


def earlier() -> Checkpoint:
    return Checkpoint(fresh_model(tiny_config(), 0).eval(), SMALL, {})


def larger(**changes: object):
    sizes = {"vocab_size": len(LARGE.tokens), "hear_vocab_size": len(LARGE.heard), **changes}
    return replace(tiny_config(), **sizes)  # type: ignore[arg-type]


@torch.no_grad()
def outputs(model: InteractionModel, words: Vocabulary):
    """What a model makes of one conversation, its words numbered by a vocabulary."""
    cells = answering(3)
    spoken = torch.tensor([words.tokens.index(word) for word in SMALL.tokens])
    heard = torch.tensor([words.heard.index(word) for word in SMALL.heard])
    batch = collate([cells], data_config(blank_output=0, cells=40), DMel(), torch.Generator().manual_seed(0), tiny_config()).cells
    batch.out_BTK = torch.where(batch.out_BTK < 0, batch.out_BTK, spoken[batch.out_BTK.clamp(min=0)])
    batch.heard_before_BTH = heard[batch.heard_before_BTH]
    out, _ = model(batch)
    return out.text_NV[:, spoken], out.heard_BTHV[..., heard], out.active_BT


def test_what_is_said_of_words_that_were_known_does_not_change() -> None:
    before = earlier()
    after = grow(before, larger(vision=VisionConfig(patch=8, frames=1, num_layers=2)), LARGE, seed=1).eval()
    for mine, its in zip(outputs(after, LARGE), outputs(before.model, SMALL), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-5)
    assert after.patches is not None


def test_the_new_is_random_by_the_seed() -> None:
    one, again, other = (grow(earlier(), larger(), LARGE, seed).state_dict() for seed in (1, 1, 2))
    new = LARGE.tokens.index("new")
    assert torch.equal(one["tokens.weight"][new], again["tokens.weight"][new])
    assert not torch.equal(one["tokens.weight"][new], other["tokens.weight"][new])
    assert torch.equal(one["trunk.norm.weight"], other["trunk.norm.weight"])


def test_what_would_be_lost_is_refused() -> None:
    fewer = Vocabulary(SMALL.agent_words[1:], SMALL.user_words)
    with pytest.raises(ValueError, match="the new vocabulary of the agent lacks 'low'; grow only adds"):
        grow(earlier(), tiny_config(), fewer, 0)
    seeing = Checkpoint(fresh_model(replace(tiny_config(), vision=VisionConfig(patch=8, frames=1, num_layers=2)), 0), SMALL, {})
    with pytest.raises(ValueError, match="the new sizes have no 'patches"):
        grow(seeing, larger(), LARGE, 0)


def with_trunk(**changes: object):
    return replace(larger(), trunk=replace(tiny_config().trunk, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (larger(audio_width=24), "audio_width is 16 and would be 24; grow adds words and inputs only, so keep it"),
        (larger(hop_ms=40), "hop_ms is 50 and would be 40"),
        (larger(frames_per_cell=5, audio_fold=5), "audio_fold is 4 and would be 5"),
        (larger(audio_input="log_mel"), "audio_input is 'dmel' and would be 'log_mel'"),
        (larger(hears_itself=False), "hears_itself is True and would be False"),
        (larger(num_mel=40, num_audio_levels=32), "num_mel is 80 and would be 40"),
        (larger(counter_pairs=12), "counter_pairs is 14 and would be 12"),
        (larger(logits_divisor=2.0), "logits_divisor is 1.0 and would be 2.0"),
        (with_trunk(num_layers=3), "trunk.num_layers is 2 and would be 3"),
        (with_trunk(log_scale_floor=16), "trunk.log_scale_floor is None and would be 16"),
        (with_trunk(ffn=DenseConfig(hidden=64)), "trunk.ffn.hidden is 48 and would be 64"),
    ],
    ids=lambda given: given.partition(" ")[0] if isinstance(given, str) else "",
)
def test_a_setting_that_gives_the_weights_another_meaning_is_refused_by_name(later, message) -> None:
    with pytest.raises(ValueError, match=message):
        grow(earlier(), later, LARGE, 0)


def test_experts_must_be_chosen_as_before() -> None:
    few, more = (MoEConfig(hidden=16, num_experts=4, top_k=k, num_shared=1) for k in (1, 2))
    before = Checkpoint(fresh_model(tiny_config(few), 0), SMALL, {})
    with pytest.raises(ValueError, match=r"trunk.ffn.top_k is 1 and would be 2"):
        grow(before, with_trunk(ffn=more), LARGE, 0)
    grow(before, with_trunk(ffn=replace(few, bias_step=0.01)), LARGE, 0)


def test_a_larger_model_may_look_further_back_and_count_its_cells() -> None:
    grow(earlier(), with_trunk(global_window=64, num_sinks=4), LARGE, 0)
    uncounted = Checkpoint(fresh_model(replace(tiny_config(), counter_pairs=0), 0), SMALL, {})
    assert grow(uncounted, larger(), LARGE, 0).counter is not None


@pytest.mark.checkpoint
def test_the_shipped_model_can_be_grown_into_the_world_of_today(checkpoint) -> None:
    shipped = load_checkpoint(checkpoint)
    words = vocabulary()
    sizes = replace(shipped.model.config, vocab_size=len(words.tokens) + 1, hear_vocab_size=len(words.heard) + 1)
    more = Vocabulary((*words.agent_words, "umbrella"), (*words.user_words, "umbrella"), words.asks)
    grown = grow(shipped, sizes, more, 0)
    assert len(grown.tokens.weight) == len(shipped.model.tokens.weight) + len(words.tokens) + 1 - len(shipped.vocabulary.tokens)
