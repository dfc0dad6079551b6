"""What ablations change: the length of a cell, its counter, one position or five, the own voice, dMel or magnitudes, dense or experts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint, fresh_model
from model.config import ModelConfig, MoEConfig, from_dict, micro, tiny, to_dict
from model.dmel import DMel
from model.interaction import InteractionModel
from model.layout import Vocabulary
from model.recipe import Changes
from workbench.agents import SilentAgent
from workbench.clock import ClockSpec
from workbench.conversations import converse
from workbench.errors import InputError
from workbench.evaluate import evaluate
from workbench.neural.agent import NeuralAgent
from workbench.neural.cells import cells_of, vocabulary
from workbench.session import Session

WORDS = Vocabulary(("one", "two"), ("one", "two", "stop"))


def sized(changes: Changes, words: Vocabulary = WORDS) -> ModelConfig:
    config = replace(changes.on(tiny()), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard), vision=None)
    return replace(config, trunk=replace(config.trunk, num_layers=2))


def model_of(changes: Changes, words: Vocabulary = WORDS) -> InteractionModel:
    return fresh_model(sized(changes, words), 5).eval()


def told(model: InteractionModel, user: torch.Tensor, own: torch.Tensor, sounded: bool = True, begin: int = 0) -> torch.Tensor:
    """Logits of the first output of every cell of a conversation."""
    state = model.start()
    state.counter_B += begin
    rows = []
    with torch.inference_mode():
        for mine, theirs in zip(user, own, strict=True):
            heard, said, state = model.levels_of(state, mine[None], theirs[None])
            out, state = model.listen(state, heard, said, torch.tensor([sounded and model.config.hears_itself]))
            rows.append(out.text_NV[0])
    return torch.stack(rows)


def sound(model: InteractionModel, seed: int, cells: int = 6) -> torch.Tensor:
    samples = ClockSpec(tick_ms=model.config.tick_ms).samples_per_tick
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.1, (cells, samples)).astype(np.float32))


def test_changes_leave_a_preset_alone_until_they_change_it():
    assert Changes().on(tiny()) == tiny()
    short = Changes(tick_ms=80, hop_ms=40).on(tiny())
    assert (short.frames_per_cell, short.audio_fold, short.tick_ms, short.audio_positions) == (2, 2, 80, 0)
    assert Changes(tick_ms=400).on(micro()).audio_positions == 8
    changed = Changes(counter=False, hears_itself=False, audio="log_mel", experts=8).on(tiny())
    assert (changed.counter_pairs, changed.hears_itself, changed.audio_input) == (0, False, "log_mel")
    assert changed.trunk.ffn == MoEConfig(hidden=117, num_experts=8, top_k=2, num_shared=1)
    assert from_dict(to_dict(changed)) == changed
    unfolded = Changes(fold=False).on(tiny())
    assert (unfolded.audio_fold, unfolded.audio_positions) == (1, 4)
    windows = [(of.trunk.sliding_window, of.trunk.rel_extent, of.trunk.global_window) for of in (tiny(), unfolded)]
    assert [5 * each for each in windows[0]] == list(windows[1]), "as long in seconds"
    assert Changes(fold=False).on(micro()) == micro(), "which folds nothing"


def test_changes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="tick_ms = 80 must be a multiple of hop_ms = 50"):
        Changes(tick_ms=80)
    with pytest.raises(ValueError, match="this preset has experts"):
        Changes(experts=8).on(micro())


def test_magnitudes_are_the_levels_not_rounded():
    dmel = DMel()
    log_mel = dmel.log_mel(torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)))
    assert (dmel.scaled(log_mel) * 15 - dmel.levels(log_mel)).abs().max() <= 0.5 + 1e-4
    model = model_of(Changes(audio="log_mel"))
    levels = torch.arange(16, dtype=torch.uint8).repeat(5)
    assert torch.allclose(model.audio(levels), model.audio(levels / 15), atol=1e-5)
    user, own = sound(model, 1), sound(model, 2)
    shifted = user * 1.01  # less than a level
    assert not torch.equal(told(model, user, own), told(model, shifted, own))


def test_without_a_counter_it_is_always_the_same_time():
    for counted in (True, False):
        model = model_of(Changes(counter=counted))
        user, own = sound(model, 1), sound(model, 2)
        assert torch.equal(told(model, user, own), told(model, user, own, begin=700)) is not counted


def test_a_model_that_does_not_hear_itself_does_not_hear_itself():
    for hears in (True, False):
        model = model_of(Changes(hears_itself=hears))
        user = sound(model, 1)
        assert torch.equal(told(model, user, sound(model, 2)), told(model, user, sound(model, 3))) is not hears


LIVED = (Changes(tick_ms=80, hop_ms=40), Changes(tick_ms=400), Changes(audio="log_mel"), Changes(experts=4), Changes(fold=False))


@pytest.mark.parametrize("changes", LIVED)
def test_a_changed_model_lives_through_a_session(changes: Changes):
    agent = NeuralAgent(_checkpoint(changes))
    report = evaluate(agent, ["stop"], "train", count=1, seed=4)
    known = evaluate(SilentAgent(), ["stop"], "train", count=1, seed=4)
    assert agent.clock.tick_ms == changes.tick_ms
    assert abs(report.episodes[0].ticks * changes.tick_ms - known.episodes[0].ticks * 200) < 12_000
    if changes.tick_ms != 200:
        with pytest.raises(InputError, match=f"use tick_ms={changes.tick_ms}"):
            Session.start([agent])


@pytest.mark.parametrize(("tick_ms", "hop_ms"), [(80, 40), (400, 50)])
def test_conversations_last_as_long_on_any_clock(tick_ms: int, hop_ms: int):
    weights = {"stop": 1.0}
    usual, other = (converse(3, weights=weights, clock=clock) for clock in (None, ClockSpec(tick_ms=tick_ms)))
    assert abs(len(usual) * 0.2 - len(other) * tick_ms / 1000) < 0.5
    hop = hop_ms * 16
    cells = cells_of(other, vocabulary(), DMel(hop_samples=hop, n_fft=2 * hop), families=("stop",))
    assert cells.user_mel.shape == (len(other), tick_ms // hop_ms, 80)
    heard = [int((found.heard > 0).sum()) for found in (cells, cells_of(usual, vocabulary(), families=("stop",)))]
    assert min(heard) > 10  # not the same number: the talk goes differently when turns are taken at other moments


def _checkpoint(changes: Changes) -> Checkpoint:
    return Checkpoint(model_of(changes, vocabulary()), vocabulary(), {"families": ("stop",)})
