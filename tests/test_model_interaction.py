"""The whole model: streamed equals whole, sessions do not touch each other, and a state can be forked, undone and saved."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.checkpoint import fresh_model
from model.config import DenseConfig, ModelConfig, MoEConfig, TrunkConfig, VisionConfig
from model.interaction import CellBatch, InteractionModel, ModelState, Snapshot, each_word_once
from model.layout import NO_TARGET, NO_TOKEN, Counts, Kind, plan
from model.trunk import TrunkState

TRUNK = TrunkConfig(
    width=32,
    num_layers=3,
    num_heads=2,
    num_kv_heads=1,
    head_dim=16,
    ffn=DenseConfig(hidden=48),
    layer_kinds=("sliding", "global"),
    sliding_window=12,
    rel_extent=24,
    global_window=24,
    num_sinks=2,
)
EXPERTS = MoEConfig(hidden=32, num_experts=4, top_k=2, num_shared=1)
CELLS = 40


def tiny(fold: int = 4, ffn: DenseConfig | MoEConfig = TRUNK.ffn) -> InteractionModel:
    trunk = replace(TRUNK, ffn=ffn)
    config = ModelConfig(trunk=trunk, audio_fold=fold, audio_width=8, fold_hidden=16, vocab_size=9, hear_vocab_size=7, vision=None)
    return fresh_model(config, 3).eval()


class Conversation:
    """A random conversation: samples of both sides, own-voice cells, outputs, and no pictures."""

    def __init__(self, seed: int, cells: int = CELLS) -> None:
        rng = np.random.default_rng(seed)
        self.user = torch.from_numpy(rng.normal(0, 0.1, (cells, 3200)).astype(np.float32))
        self.own_present = torch.from_numpy(rng.random(cells) < 0.3)
        self.own = torch.from_numpy(rng.normal(0, 0.1, (cells, 3200)).astype(np.float32)) * self.own_present[:, None]
        self.out = np.full((cells, 2), NO_TOKEN)
        for t in np.flatnonzero(rng.random(cells) < 0.3):
            self.out[t, : rng.integers(1, 3)] = rng.integers(4, 9)
        self.seen = np.zeros(cells, bool)
        self.pictures = torch.zeros((cells, 2, 8, 8, 3), dtype=torch.uint8)


def stream(model: InteractionModel, talks: list[Conversation], state: ModelState | None = None, first: int = 0, last: int = CELLS):
    """Logits of every prediction, cell by cell, per row; heard logits; and the final state."""
    state = state or model.start(len(talks))
    text: list[list[torch.Tensor]] = [[] for _ in talks]
    heard = []
    for t in range(first, last):
        user = torch.stack([talk.user[t] for talk in talks])
        own = torch.stack([talk.own[t] for talk in talks])
        user_levels, own_levels, state = model.levels_of(state, user, own)
        pictures = [talk.pictures[t] if talk.seen[t] else None for talk in talks]
        present = torch.stack([talk.own_present[t] for talk in talks])
        out, state = model.listen(state, user_levels, own_levels, present, pictures=pictures)
        heard.append(out.heard_BTHV[:, 0])
        for row, logits in enumerate(out.text_NV):
            text[row].append(logits)
        for k in range(2):
            token = torch.tensor([int(talk.out[t, k]) for talk in talks])
            if bool((token != NO_TOKEN).any()):
                logits_BV, state = model.say(state, token)
                for row in torch.nonzero(token != NO_TOKEN)[:, 0].tolist():
                    text[row].append(logits_BV[row])
    return [torch.stack(rows) for rows in text], torch.stack(heard, 1), state


def whole(model: InteractionModel, talk: Conversation, heard: torch.Tensor, cells: int = CELLS, state: TrunkState | None = None):
    """The same conversation in one forward pass, with the heard words of the streamed run fed back."""
    out = talk.out[None, :cells]
    present = talk.own_present[None, :cells].numpy()
    levels = [model.dmel.levels(model.dmel.log_mel(x[:cells].flatten())).unflatten(0, (1, cells, 4)) for x in (talk.user, talk.own)]
    named = heard[:, :cells].argmax(-1)
    words = each_word_once(named.flatten(1), torch.zeros_like(named[:, 0, 0])).view_as(named)
    counts = replace(Counts.audio_only(present), patches=talk.seen[None, :cells].astype(np.int64))
    batch = CellBatch(
        plan=plan(counts, out, model.config.audio_positions),
        user_BTAM=levels[0],
        user_before_BAM=torch.zeros_like(levels[0][:, 0]),
        own_BTAM=levels[1],
        own_before_BAM=torch.zeros_like(levels[1][:, 0]),
        heard_before_BTH=torch.cat([torch.zeros_like(words[:, :1]), words[:, :-1]], 1),
        counter_BT=torch.arange(cells)[None],
        out_BTK=torch.from_numpy(out),
        patches_NFYXC=talk.pictures[:cells][talk.seen[:cells]] if talk.seen.any() else None,
    )
    outputs, _ = model(batch, state)
    assert len(outputs.text_NV) == int((batch.plan.target_BP != NO_TARGET).sum())
    return outputs


@pytest.mark.parametrize("ffn", [TRUNK.ffn, EXPERTS], ids=["dense", "moe"])
@pytest.mark.parametrize("fold", [1, 4])
@torch.inference_mode()
def test_streamed_equals_whole_beyond_the_window(fold, ffn):
    model, talk = tiny(fold, ffn), Conversation(0)
    text, heard, _ = stream(model, [talk])
    outputs = whole(model, talk, heard)
    torch.testing.assert_close(outputs.text_NV, text[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(outputs.heard_BTHV[0], heard[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("ffn", [TRUNK.ffn, EXPERTS], ids=["dense", "moe"])
@torch.inference_mode()
def test_a_session_does_not_change_with_its_batch(ffn):
    model = tiny(ffn=ffn)
    talks = [Conversation(seed) for seed in range(3)]
    together, heard, _ = stream(model, talks)
    for row, talk in enumerate(talks):
        alone, heard_alone, _ = stream(model, [talk])
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(heard[row], heard_alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("ffn", [TRUNK.ffn, EXPERTS], ids=["dense", "moe"])
@torch.inference_mode()
def test_longer_input_never_changes_earlier_output(ffn):
    model, talk = tiny(ffn=ffn), Conversation(1)
    _, heard, _ = stream(model, [talk])
    short, long = whole(model, talk, heard, 25), whole(model, talk, heard)
    torch.testing.assert_close(long.text_NV[: len(short.text_NV)], short.text_NV, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_state_is_forked_undone_and_saved_without_a_trace():
    model, talk, other = tiny(), Conversation(2), Conversation(9)
    straight, _, _ = stream(model, [talk])
    _, _, state = stream(model, [talk], last=20)
    undo = Snapshot.of(state)
    fork = state.clone()
    saved = ModelState.from_dict({name: value.clone() for name, value in state.to_dict().items()})
    stream(model, [other], state, first=20)
    for again in (fork, saved, undo.rollback()):
        rest, _, _ = stream(model, [talk], again, first=20)
        torch.testing.assert_close(rest[0], straight[0][-len(rest[0]) :], rtol=0, atol=1e-6)
    undo.commit(stream(model, [talk], undo.rollback(), first=20, last=30)[2])
    rest, _, _ = stream(model, [talk], undo.rollback(), first=30)
    torch.testing.assert_close(rest[0], straight[0][-len(rest[0]) :], rtol=0, atol=1e-6)


@torch.inference_mode()
def test_rows_of_a_batched_state_go_on_alone():
    model = tiny()
    talks = [Conversation(4), Conversation(5)]
    straight, _, _ = stream(model, talks)
    _, _, state = stream(model, talks, last=15)
    row = state.rows(torch.tensor([1]))
    both = ModelState.stack([row, row])
    rest, _, _ = stream(model, [talks[1], talks[1]], both, first=15)
    torch.testing.assert_close(rest[1], straight[1][-len(rest[1]) :], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_the_counter_reaches_the_output_after_the_window_has_moved_on():
    model, talk = tiny(), Conversation(6)
    _, _, state = stream(model, [talk], last=30)
    later = replace(state.clone(), counter_B=state.counter_B + 7)
    as_it_was, _, _ = stream(model, [talk], state, first=30)
    moved, _, _ = stream(model, [talk], later, first=30)
    assert (as_it_was[0] - moved[0]).abs().max() > 1e-4


def _with(model: InteractionModel, talk: Conversation, *, typed: int, patches: int, background: int = 0) -> CellBatch:
    """Four cells; the third also carries the given number of typed words, image patches and background words."""
    cells, vision = 4, model.config.vision
    there = np.zeros((1, cells), np.int64)
    there[0, 2] = 1
    levels = model.dmel.levels(model.dmel.log_mel(talk.user[:cells].flatten())).unflatten(0, (1, cells, 4))
    out = np.full((1, cells, 1), NO_TOKEN)
    size = vision.patch if vision else 1
    pixels = torch.randint(0, 256, (patches, 2, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return CellBatch(
        plan=plan(Counts(0 * there, patches * there, typed * there, background * there), out, model.config.audio_positions),
        user_BTAM=levels,
        user_before_BAM=torch.zeros_like(levels[:, 0]),
        own_BTAM=torch.zeros_like(levels),
        own_before_BAM=torch.zeros_like(levels[:, 0]),
        heard_before_BTH=torch.zeros((1, cells, 2), dtype=torch.long),
        counter_BT=torch.arange(cells)[None],
        out_BTK=torch.from_numpy(out),
        typed_BTK=torch.tensor([4, 5]).expand(1, cells, 2),
        background_BTK=torch.tensor([7]).expand(1, cells, 1),
        patches_NFYXC=pixels if patches else None,
    )


@torch.inference_mode()
def test_typed_words_pictures_and_background_reach_the_output_of_their_cell_and_none_before():
    config = replace(tiny().config, vision=VisionConfig(patch=8, num_layers=2))
    model, talk = fresh_model(config, 3).eval(), Conversation(7)
    plain, _ = model(_with(model, talk, typed=0, patches=0))
    for more in ({"typed": 2, "patches": 0}, {"typed": 0, "patches": 3}, {"typed": 0, "patches": 0, "background": 1}):
        cells = _with(model, talk, **more)
        kinds = [Kind(k) for k in cells.plan.kind_BP[0][cells.plan.cell_BP[0] == 2]]
        assert kinds[0] == Kind.MARK
        assert len(kinds) == 1 + sum(more.values())
        changed, _ = model(cells)
        torch.testing.assert_close(changed.text_NV[:2], plain.text_NV[:2], rtol=0, atol=1e-6)
        assert (changed.text_NV[2:] - plain.text_NV[2:]).abs().amax(-1).min() > 1e-4
        torch.testing.assert_close(changed.heard_BTHV[:, :3], plain.heard_BTHV[:, :3], rtol=0, atol=1e-6)


@pytest.mark.parametrize("fold", [1, 4])
@torch.inference_mode()
def test_streamed_equals_whole_with_pictures_now_and_then(fold):
    model = fresh_model(replace(tiny(fold).config, vision=VisionConfig(patch=8, num_layers=2)), 3).eval()
    rng = np.random.default_rng(0)
    talks = [Conversation(seed) for seed in (0, 1)]
    for talk in talks:
        talk.seen = rng.random(CELLS) < 0.4
        talk.pictures = torch.from_numpy(rng.integers(0, 256, (CELLS, 2, 8, 8, 3), np.uint8))
    text, heard, _ = stream(model, talks)
    blind, _, _ = stream(model, [Conversation(0)])
    assert (text[0] - blind[0]).abs().max() > 1e-2, "pictures matter"
    for row, talk in enumerate(talks):
        outputs = whole(model, talk, heard[row : row + 1])
        torch.testing.assert_close(outputs.text_NV, text[row], rtol=0, atol=1e-5)
        torch.testing.assert_close(outputs.heard_BTHV[0], heard[row], rtol=0, atol=1e-5)


def test_a_picture_of_another_size_is_refused():
    model = fresh_model(replace(tiny().config, vision=VisionConfig(patch=8, num_layers=2)), 3)
    cells = _with(model, Conversation(7), typed=0, patches=1)
    cells.patches_NFYXC = cells.patches_NFYXC[:, :1]
    with pytest.raises(ValueError, match=r"pictures of \(1, 8, 8, 3\) .* for a model that takes \(2, 8, 8, 3\); fit them first"):
        model(cells)


def test_a_model_without_eyes_refuses_pictures():
    model = tiny()
    cells = _with(model, Conversation(7), typed=0, patches=1)
    with pytest.raises(ValueError, match="built without vision"):
        model(cells)
