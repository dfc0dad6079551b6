"""Training: it learns, it says what it does, and it can be broken off and taken up again."""

import itertools
import json

import numpy as np
import pytest
import torch

from model.augment import AugmentConfig, augment, warp_bands
from model.checkpoint import LayoutMismatchError, fresh_model, load_checkpoint, save_checkpoint
from model.config import MoEConfig
from model.data import DataConfig, collate
from model.dmel import DMel
from model.layout import BLANK, END, NO_TARGET, NO_TOKEN, SILENCE, Vocabulary
from model.losses import LossConfig, losses
from model.sampling import SamplingConfig, decide
from model.train import Progress, TrainConfig, learning_rate, train
from tests.model_fakes import NUM_HEARD, answering, tiny_config, yielding

PLAIN = DataConfig(cells=40, rows=8, augment=AugmentConfig(untouched=1.1), blank_output=0, lose_heard=0, wrong_heard=0)
WORDS = Vocabulary(("low", "high", "third", "fourth"), ("low", "high", "third", "fourth"))


def batches(config, data=PLAIN, first=0):
    generator = torch.Generator().manual_seed(first)
    for number in itertools.count(first):
        rows = [answering(number * data.rows + i) for i in range(data.rows)]
        yield collate(rows, data, DMel(), generator, config)


class Clock:
    """Every look at it is one second later."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        self.now_s += 1.0
        return self.now_s


def minutes(steps):
    """A time budget that holds `steps` steps on the fake clock (one look a step)."""
    return (steps - 0.5) / 60


SETTINGS = {"learning_rate": 1e-2, "warmup_steps": 5, "log_every": 10, "save_every_minutes": 100.0, "bfloat16": False}


@pytest.mark.parametrize("ffn", [None, MoEConfig(hidden=32, num_experts=4, top_k=2, num_shared=1)], ids=["dense", "moe"])
def test_a_tiny_model_learns_to_name_what_it_hears(tmp_path, ffn):
    config = tiny_config(ffn)
    model = fresh_model(config, 0)
    rows = []
    train(model, batches(config), TrainConfig(minutes=minutes(150), **SETTINGS), tmp_path, now=Clock(), report=rows.append)
    last = rows[-1]["loss"]
    assert last["word"] < 0.1, last
    assert last["heard"] < 0.1, last
    assert last["silence"] < 0.05, last
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == rows


@torch.inference_mode()
def _closed_loop(model, cells):
    state = model.start(1)
    said = []
    silence = torch.zeros((1, 4, 80), dtype=torch.uint8)
    for mel in cells.user_mel:
        levels = model.dmel.levels(torch.from_numpy(mel).float())[None]
        out, state = model.listen(state, levels, silence, torch.tensor([False]))
        choices, state = decide(model, state, out.text_NV, [SamplingConfig()])
        said.append(choices[0].tokens)
    return said


def test_a_trained_model_answers_in_closed_loop_and_its_checkpoint_does_the_same(tmp_path):
    config = tiny_config()
    model = fresh_model(config, 0)
    train(model, batches(config), TrainConfig(minutes=minutes(150), **SETTINGS), tmp_path, now=Clock())
    unseen = answering(10_000)
    wanted = [[int(t) for t in row if t != NO_TOKEN] for row in unseen.out]
    assert _closed_loop(model.eval(), unseen) == wanted
    save_checkpoint(tmp_path / "tiny.safetensors", model, WORDS, {"steps": 150})
    loaded = load_checkpoint(tmp_path / "tiny.safetensors")
    assert _closed_loop(loaded.model, unseen) == wanted
    assert loaded.vocabulary == WORDS
    assert loaded.facts == {"steps": 150}


def test_a_resumed_training_goes_on_where_it_was(tmp_path):
    config = tiny_config()
    first = fresh_model(config, 0)
    progress = train(first, batches(config), TrainConfig(minutes=minutes(20), **SETTINGS), tmp_path, now=Clock())
    assert progress.step == 20
    second = fresh_model(config, 1)
    seen = []
    more = TrainConfig(minutes=minutes(30), **SETTINGS)
    after = train(second, batches(config, first=20), more, tmp_path, now=Clock(), resume=True, report=seen.append)
    assert after.step == 30
    assert [row["step"] for row in seen] == [30]
    lines = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [10, 20, 30]


def test_scores_come_at_intervals_and_at_the_end_but_not_from_an_untrained_model(tmp_path):
    model = fresh_model(tiny_config(), 0)
    rows = []
    config = TrainConfig(minutes=minutes(25), evaluate_every_minutes=10 / 60, **SETTINGS)
    train(model, batches(tiny_config()), config, tmp_path, now=Clock(), evaluate=lambda m: {"training": m.training}, report=rows.append)
    scored = [row["step"] for row in rows if "scores" in row]
    assert scored == [10, 19, 23]  # an evaluation takes time too: one look at the clock
    assert all(row["scores"] == {"training": False} for row in rows if "scores" in row)


def test_nothing_to_resume_is_said(tmp_path):
    model = fresh_model(tiny_config(), 0)
    with pytest.raises(FileNotFoundError, match="start without --resume"):
        train(model, batches(tiny_config()), TrainConfig(minutes=1, **SETTINGS), tmp_path / "none", now=Clock(), resume=True)


def test_a_checkpoint_of_another_layout_is_refused(tmp_path, monkeypatch):
    model = fresh_model(tiny_config(), 0)
    monkeypatch.setattr("model.checkpoint.LAYOUT_VERSION", "cells-0")
    save_checkpoint(tmp_path / "old.safetensors", model, WORDS, {})
    monkeypatch.undo()
    with pytest.raises(LayoutMismatchError, match=r"cells-0.*train again"):
        load_checkpoint(tmp_path / "old.safetensors")


def test_the_rate_warms_up_holds_and_falls():
    config = TrainConfig(minutes=10, learning_rate=1.0, warmup_steps=10, decay_share=0.5)
    rates = [learning_rate(config, Progress(step=s, seconds=t)) for s, t in [(0, 0), (9, 10), (99, 290), (999, 450), (9999, 600)]]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.02])


def test_losses_are_reported_per_kind_and_silence_counts_less():
    config = tiny_config()
    model = fresh_model(config, 0)
    batch = collate([yielding(1), yielding(2)], PLAIN, DMel(), torch.Generator().manual_seed(0), config)
    with torch.no_grad():
        out, _ = model(batch.cells)
        heavy, row = losses(out, batch, LossConfig(silence=1.0, doubted_silence=0.0, heard=0.0, active=0.0))
        doubted, _ = losses(out, batch, LossConfig(silence=1.0, doubted_silence=1.0, heard=0.0, active=0.0))
        light, _ = losses(out, batch, LossConfig(silence=0.0, doubted_silence=0.0, heard=0.0, active=0.0))
    assert set(row) == {"silence", "word", "yield", "heard", "nothing_heard", "active", "total"}
    target = batch.target_BP[batch.target_BP != NO_TARGET]
    each = torch.nn.functional.cross_entropy(out.text_NV, target, reduction="none")
    assert doubted.item() > heavy.item()
    assert heavy.item() == pytest.approx(each.mean().item(), rel=1e-5)
    assert light.item() == pytest.approx(each[target != SILENCE].mean().item(), rel=1e-5)
    assert int((target == END).sum()) == int((batch.cells.out_BTK != NO_TOKEN).any(-1).sum())


def test_a_batch_hides_and_confuses_at_the_asked_rates_but_teaches_the_truth():
    config = tiny_config()
    data = DataConfig(cells=40, rows=40, blank_output=0.5, lose_heard=0.3, wrong_heard=0.3)
    rows = [answering(i) for i in range(40)]
    batch = collate(rows, data, DMel(), torch.Generator().manual_seed(0), config)
    said = batch.cells.out_BTK[batch.cells.out_BTK != NO_TOKEN]
    assert 0.4 < float((said == BLANK).float().mean()) < 0.6
    assert BLANK not in batch.target_BP
    fed = batch.cells.heard_before_BTH[:, 1:][batch.heard_BTH[:, :-1] > 0]
    true = batch.heard_BTH[:, :-1][batch.heard_BTH[:, :-1] > 0]
    assert 0.2 < float((fed == 0).float().mean()) < 0.4
    assert 0.15 < float(((fed != true) & (fed != 0)).float().mean()) < 0.35
    assert int(fed.max()) < NUM_HEARD
    assert not batch.cells.heard_before_BTH[:, 0].any()


def test_crops_keep_sound_and_labels_together():
    config = tiny_config()
    data = DataConfig(cells=20, rows=1, augment=AugmentConfig(untouched=1.1), blank_output=0, lose_heard=0, wrong_heard=0)
    generator = torch.Generator().manual_seed(5)
    for seed in range(10):
        batch = collate([answering(seed)], data, DMel(), generator, config)
        loud = batch.cells.user_BTAM[0].float().amax((1, 2)) > 10
        assert torch.equal(loud, batch.heard_BTH[0].any(-1))
        assert torch.equal(loud, batch.active_BT[0])


def test_augmentation_changes_the_voice_and_keeps_the_times():
    mel = torch.full((6, 100, 80), -5.0)
    mel[:, 40:60, 20:40] = 1.0
    generator = torch.Generator().manual_seed(0)
    out = augment(mel, AugmentConfig(untouched=0.0), generator)
    assert out.shape == mel.shape
    assert not torch.isnan(out).any()
    loudness = out.amax(-1)
    assert (loudness[:, 42:58].mean(1) > loudness[:, :38].mean(1) + 1.0).all()
    assert not torch.allclose(out[0], out[1])
    again = augment(mel, AugmentConfig(untouched=0.0), torch.Generator().manual_seed(0))
    assert torch.equal(out, again)


def test_warping_moves_a_peak_by_the_factor():
    mel = torch.zeros((2, 1, 80))
    mel[:, 0, 40] = 1.0
    warped = warp_bands(mel, torch.tensor([1.25, 0.8])[:, None, None])
    assert warped[:, 0].argmax(-1).tolist() == [32, 50]
    assert np.allclose(warp_bands(mel, torch.ones(2, 1, 1)), mel)
