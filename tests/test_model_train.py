"""Training: it learns, it says what it does, and it can be broken off and taken up again."""

import functools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from functorch.compile import make_boxed_func
from torch import nn
from torch._dynamo.backends.common import aot_autograd

from model.augment import augment, warp_bands
from model.checkpoint import LayoutMismatchError, fresh_model, load_checkpoint, save_checkpoint
from model.config import MoEConfig, VisionConfig
from model.data import addressed, collate
from model.dmel import DMel
from model.layout import BLANK, END, NO_TARGET, NO_TOKEN, NOTHING_HEARD, SILENCE, Kind, Vocabulary
from model.losses import losses
from model.moe import MoE
from model.sampling import SamplingConfig, decide
from model.saved import ResumeError
from model.train import Hooks, Progress, Verdict, compiles, computes_in_bfloat16, learning_rate, multiplies_bfloat16, train
from model.trunk import Layer
from tests.model_fakes import (
    NUM_HEARD,
    SEEN_SIDE,
    answering,
    augment_config,
    data_config,
    loss_config,
    signalling,
    tiny_config,
    train_config,
    yielding,
)

PLAIN = data_config(cells=40, rows=8, augment=augment_config(untouched=1.0), blank_output=0, lose_heard=0, wrong_heard=0)
WORDS = Vocabulary(("low", "high", "third", "fourth"), ("low", "high", "third", "fourth"))


def batches(config, data=PLAIN, make=answering):
    def batch(progress, part):
        first = (progress.step * 1000 + part) * data.rows
        return collate([make(first + i) for i in range(data.rows)], data, DMel(), addressed(7, progress.step, part), config)

    return batch


def broken_off(batches, at):
    """The same batches until step `at`, in which the power fails."""

    def batch(progress, part):
        if progress.step == at:
            raise KeyboardInterrupt
        return batches(progress, part)

    return batch


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


SETTINGS = {"learning_rate": 1e-2, "warmup_steps": 5, "log_every": 10, "save_every_minutes": 100.0, "precision": "float32"}


@pytest.mark.parametrize("ffn", [None, MoEConfig(hidden=32, num_experts=4, top_k=2, num_shared=1)], ids=["dense", "moe"])
def test_a_tiny_model_learns_to_name_what_it_hears(tmp_path, ffn):
    config = tiny_config(ffn)
    model = fresh_model(config, 0)
    rows = []
    train(
        model,
        batches(config),
        train_config(minutes=minutes(150), **SETTINGS),
        tmp_path,
        now=Clock(),
        families=("early", "late"),
        hooks=Hooks(report=rows.append),
    )
    experts = [layer for layer in model.modules() if isinstance(layer, MoE)]
    assert len(experts) == (0 if ffn is None else config.trunk.num_layers - config.trunk.num_dense_layers)
    assert all(layer.bias_E.any() and not layer.load_E.any() for layer in experts), "the load is balanced after every step"
    last = rows[-1]["loss"]
    assert last["word"] < 0.1, last
    assert last["heard"] < 0.1, last
    assert last["silence"] < 0.05, last
    assert rows[0]["family_loss"]["early"] > 10 * max(rows[-1]["family_loss"].values())
    assert set(rows[-1]["family_loss"]) == {"early", "late"}
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == rows


@torch.inference_mode()
def _closed_loop(model, cells):
    state = model.start(1)
    said = []
    silence = torch.zeros((1, 4, 80), dtype=torch.uint8)
    shown = dict(zip(cells.picture_cell.tolist(), torch.from_numpy(cells.pictures), strict=True))
    for cell, mel in enumerate(cells.user_mel):
        levels = model.dmel.levels(torch.from_numpy(mel).float())[None]
        out, state = model.listen(state, levels, silence, torch.tensor([False]), pictures=[shown.get(cell)])
        choices, state = decide(model, state, out.text_NV, [SamplingConfig()])
        said.append(choices[0].tokens)
    return said


def test_a_trained_model_answers_in_closed_loop_and_its_checkpoint_does_the_same(tmp_path):
    config = tiny_config()
    model = fresh_model(config, 0)
    train(model, batches(config), train_config(minutes=minutes(150), **SETTINGS), tmp_path, now=Clock())
    unseen = answering(10_000)
    wanted = [[int(t) for t in row if t != NO_TOKEN] for row in unseen.out]
    assert _closed_loop(model.eval(), unseen) == wanted
    save_checkpoint(tmp_path / "tiny.safetensors", model, WORDS, {"steps": 150})
    loaded = load_checkpoint(tmp_path / "tiny.safetensors")
    assert _closed_loop(loaded.model, unseen) == wanted
    assert loaded.vocabulary == WORDS
    assert loaded.facts == {"steps": 150}


@pytest.mark.parametrize("ffn", [None, MoEConfig(hidden=32, num_experts=4, top_k=2, num_shared=1)], ids=["dense", "moe"])
def test_a_run_broken_off_and_resumed_is_bit_for_bit_the_run_that_went_on(tmp_path, ffn):
    config = tiny_config(ffn)
    data = replace(PLAIN, rows=2, blank_output=0.1, augment=augment_config(untouched=0.0))
    training = train_config(**{**SETTINGS, "save_every_minutes": 0.0, "log_every": 1}, steps=6, parts=2, own_heard=0.5)
    drawn = batches(config, data)
    train(fresh_model(config, 0), drawn, training, tmp_path / "whole", now=Clock())
    with pytest.raises(KeyboardInterrupt):
        train(fresh_model(config, 0), broken_off(drawn, 3), training, tmp_path / "parts", now=Clock())
    with (tmp_path / "parts" / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 4, "after": "the last save"}) + "\n")
    after = train(fresh_model(config, 1), drawn, training, tmp_path / "parts", now=Clock(), resume=True)
    assert after.step == 6
    whole, parts = (torch.load(tmp_path / name / "training.pt") for name in ("whole", "parts"))
    assert_same_bits(whole, parts)
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "parts")]
    assert [json.loads(line)["loss"] for line in logs[0]] == [json.loads(line)["loss"] for line in logs[1]]


def assert_same_bits(one, other):
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_bits(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, its in zip(one, other, strict=True):
            assert_same_bits(mine, its)
    else:
        assert one == other


def test_a_tiny_model_learns_to_tell_a_red_lamp_from_a_green_one(tmp_path):
    config = replace(tiny_config(), vision=VisionConfig(patch=SEEN_SIDE, num_layers=2))
    rows = []
    settings = train_config(**SETTINGS, minutes=1e9, steps=80)
    model = fresh_model(config, 0)
    drawn = functools.cache(signalling)
    lamps = batches(config, make=lambda number: drawn(number % 40))
    train(model, lamps, settings, tmp_path, now=Clock(), hooks=Hooks(report=rows.append))
    assert rows[-1]["loss"]["word"] < 0.1, [row["loss"]["word"] for row in rows]
    unseen = signalling(10_000)
    wanted = [[int(t) for t in row if t != NO_TOKEN] for row in unseen.out]
    assert _closed_loop(model.eval(), unseen) == wanted


def test_a_crop_keeps_pictures_and_their_cells_together():
    whole = signalling(1)
    for first in (0, 2, 10):
        part = whole.part(first, 15)
        assert len(part) == 15
        for cell, picture in zip(part.picture_cell, part.pictures, strict=True):
            place = int(np.flatnonzero(whole.picture_cell == first + cell)[0])
            assert np.array_equal(picture, whole.pictures[place])
        assert len(part.pictures) == sum(first <= cell < first + 15 for cell in whole.picture_cell)
    with pytest.raises(ValueError, match=r"37 pictures for the cells .* name one cell per picture, in rising order"):
        replace(whole, picture_cell=whole.picture_cell[::-1])


def test_a_batch_lays_one_position_for_every_picture():
    config = replace(tiny_config(), vision=VisionConfig(patch=SEEN_SIDE, num_layers=2))
    rows = [signalling(0), answering(1), signalling(2)]
    batch = collate(rows, PLAIN, DMel(), torch.Generator().manual_seed(0), config)
    seen = batch.cells.plan.kind_BP == Kind.PATCH
    assert seen.sum(1).tolist() == [37, 0, 37]
    assert np.array_equal(batch.cells.plan.cell_BP[2][seen[2]], rows[2].picture_cell)
    assert np.array_equal(batch.cells.patches_NFYXC[37:].numpy(), rows[2].pictures)
    assert collate([answering(1)], PLAIN, DMel(), torch.Generator().manual_seed(0), config).cells.patches_NFYXC is None


def test_parts_of_a_step_are_averaged(tmp_path):
    config = tiny_config()
    training = train_config(**SETTINGS, steps=2, own_heard=0.0)
    twice, once = fresh_model(config, 0), fresh_model(config, 0)
    drawn = batches(config, replace(PLAIN, rows=2))
    train(twice, lambda progress, part: drawn(progress, 0), replace(training, parts=2), tmp_path / "twice", now=Clock())
    train(once, drawn, training, tmp_path / "once", now=Clock())
    for name, value in once.state_dict().items():
        torch.testing.assert_close(twice.state_dict()[name], value, rtol=0, atol=1e-6)


def test_scores_come_at_intervals_and_at_the_end_but_not_from_an_untrained_model(tmp_path):
    model = fresh_model(tiny_config(), 0)
    rows, rehearsed = [], []
    config = train_config(minutes=minutes(25), evaluate_every_minutes=10 / 60, rehearse_every=8, **SETTINGS)
    hooks = Hooks(
        evaluate=lambda m: Verdict({"training": float(m.training)}, {"answer": 0.5}),
        rehearse=lambda m, progress: rehearsed.append((progress.step, m.training, dict(progress.families))),
        report=rows.append,
    )
    train(model, batches(tiny_config()), config, tmp_path, now=Clock(), hooks=hooks)
    scored = [row["step"] for row in rows if "scores" in row]
    assert scored == [10, 19, 23]  # an evaluation takes time too: one look at the clock
    assert all(row["scores"] == {"training": False} for row in rows if "scores" in row)
    assert all(row["family_scores"] == {"answer": 0.5} for row in rows if "scores" in row)
    assert rehearsed == [(0, False, {}), (8, False, {}), (16, False, {"answer": 0.5})]


def test_gains_of_queries_and_keys_learn_faster_and_nothing_else_does(tmp_path):
    config, moved = tiny_config(), {}
    for sharpen in (1.0, 8.0):
        model, before = fresh_model(config, 0), dict(fresh_model(config, 0).named_parameters())
        asked = train_config(minutes=minutes(1), **{**SETTINGS, "warmup_steps": 1, "log_every": 1, "sharpen": sharpen})
        train(model, batches(config), asked, tmp_path / f"{sharpen}", now=Clock())
        moved[sharpen] = {name: float((p - before[name]).detach().abs().mean()) for name, p in model.named_parameters()}
    for name, distance in moved[1.0].items():
        times = 8.0 if name.endswith(("query_norm.weight", "key_norm.weight")) else 1.0
        assert moved[8.0][name] == pytest.approx(times * distance, rel=1e-3), name


def test_nothing_to_resume_is_said(tmp_path):
    model = fresh_model(tiny_config(), 0)
    with pytest.raises(FileNotFoundError, match="start without --resume"):
        train(model, batches(tiny_config()), train_config(minutes=1, **SETTINGS), tmp_path / "none", now=Clock(), resume=True)


def test_an_untrained_model_is_neither_saved_nor_exported(tmp_path):
    exported = []
    config = train_config(**{**SETTINGS, "save_every_minutes": 0.0}, steps=3)
    hooks = Hooks(export=lambda model, progress: exported.append(progress.step))
    with pytest.raises(KeyboardInterrupt):
        train(fresh_model(tiny_config(), 0), broken_off(batches(tiny_config()), 0), config, tmp_path, now=Clock(), hooks=hooks)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
    train(fresh_model(tiny_config(), 0), batches(tiny_config()), config, tmp_path, now=Clock(), hooks=hooks)
    assert exported == [1, 2, 3]


def test_a_run_that_takes_the_place_of_another_cannot_be_resumed_as_that_one(tmp_path):
    begin = functools.partial(train, fresh_model(tiny_config(), 0), config=train_config(**SETTINGS, steps=1), out=tmp_path, now=Clock())
    begin(batches=batches(tiny_config()))
    with pytest.raises(KeyboardInterrupt):
        begin(batches=broken_off(batches(tiny_config()), 0))
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        begin(batches=batches(tiny_config()), resume=True)


def saved_run(out):
    """A run of one step in a folder; what was written there."""
    config = train_config(**{**SETTINGS, "log_every": 1}, steps=1)
    train(fresh_model(tiny_config(), 0), batches(tiny_config()), config, out, now=Clock(), vocabulary=WORDS)
    return contents(out)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def resumed(out, config, vocabulary=WORDS):
    settings = train_config(**{**SETTINGS, "log_every": 1}, steps=2)
    return train(fresh_model(config, 0), batches(config), settings, out, now=Clock(), vocabulary=vocabulary, resume=True)


def test_only_a_run_of_the_same_model_is_resumed_and_another_changes_nothing(tmp_path):
    written = saved_run(tmp_path)
    wider = replace(tiny_config(), audio_width=24, fold_hidden=48)
    with pytest.raises(
        ResumeError, match=r"config.audio_width is 16 there and 24 here; config.fold_hidden is 32 there and 48 here\); .*--out"
    ):
        resumed(tmp_path, wider)
    with pytest.raises(ResumeError, match=r"config.vision.patch is None there and 16 here"):
        resumed(tmp_path, replace(tiny_config(), vision=VisionConfig(patch=SEEN_SIDE, num_layers=2)))
    with pytest.raises(ResumeError, match=r"vocabulary.user_words is \['low', .* there and \['high', 'low', 'third', 'fourth'\] here"):
        resumed(tmp_path, tiny_config(), replace(WORDS, user_words=("high", "low", "third", "fourth")))
    assert contents(tmp_path) == written
    assert resumed(tmp_path, tiny_config()).step == 2


def test_long_lists_of_words_are_told_by_what_they_differ_in(tmp_path):
    ten = tuple("abcdefghij")
    config = replace(tiny_config(), vision=None)
    words = replace(WORDS, user_words=ten)
    train(fresh_model(config, 0), batches(config), train_config(**SETTINGS, steps=1), tmp_path, now=Clock(), vocabulary=words)
    with pytest.raises(ResumeError, match=r"vocabulary.user_words: only there 'a', only here 'k' 'l' 'm' 'n' and 1 more\)"):
        resumed(tmp_path, config, replace(words, user_words=(*ten[1:], *"klmno")))
    with pytest.raises(ResumeError, match=r"vocabulary.user_words: in another order\)"):
        resumed(tmp_path, config, replace(words, user_words=ten[::-1]))


def test_a_save_that_is_cut_or_of_an_earlier_version_is_refused_and_nothing_changes(tmp_path):
    saved_run(tmp_path)
    path = tmp_path / "training.pt"
    whole = torch.load(path)
    torch.save({name: value for name, value in whole.items() if name != "kind"}, path)
    written = contents(tmp_path)
    with pytest.raises(ResumeError, match=r"training.pt does not say what model it is of, as files of earlier versions; .*another --out"):
        resumed(tmp_path, tiny_config())
    assert contents(tmp_path) == written
    for cut in (b"", written["training.pt"][:20_000]):
        path.write_bytes(cut)
        with pytest.raises(ResumeError, match=r"training.pt cannot be read \(.*\), so it cannot be resumed from; give another --out"):
            resumed(tmp_path, tiny_config())
        assert contents(tmp_path) == {**written, "training.pt": cut}


def test_a_log_that_was_cut_or_lost_does_not_keep_a_run_from_going_on(tmp_path):
    saved_run(tmp_path)
    log = tmp_path / "log.jsonl"
    before = log.read_text()
    log.write_text(before + '{"step": 2, "mi')
    resumed(tmp_path, tiny_config())
    assert log.read_text().startswith(before)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2]
    log.unlink()
    assert resumed(tmp_path, tiny_config()).step == 2
    assert log.read_text() == ""


def test_a_checkpoint_of_another_layout_is_refused(tmp_path, monkeypatch):
    model = fresh_model(tiny_config(), 0)
    monkeypatch.setattr("model.checkpoint.LAYOUT_VERSION", "cells-0")
    save_checkpoint(tmp_path / "old.safetensors", model, WORDS, {})
    monkeypatch.undo()
    with pytest.raises(LayoutMismatchError, match=r"cells-0.*train again"):
        load_checkpoint(tmp_path / "old.safetensors")


def test_the_rate_warms_up_holds_and_falls():
    config = train_config(minutes=10, learning_rate=1.0, warmup_steps=10, decay_share=0.5)
    rates = [learning_rate(config, Progress(step=s, seconds=t)) for s, t in [(0, 0), (9, 10), (99, 290), (999, 450), (9999, 600)]]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.02])
    by_steps = replace(config, steps=1000)
    assert [learning_rate(by_steps, Progress(step=s, seconds=1e9)) for s in (99, 750, 999)] == pytest.approx([1.0, 0.5, 0.02])


def test_without_a_warm_up_and_a_last_part_the_rate_is_the_same_throughout():
    config = train_config(steps=10, learning_rate=1.0, warmup_steps=0, decay_share=0.0)
    assert [learning_rate(config, Progress(step=s)) for s in (0, 5, 9, 10)] == [1.0, 1.0, 1.0, 1.0]


def test_losses_are_reported_per_kind_and_silence_counts_less():
    config = tiny_config()
    model = fresh_model(config, 0)
    batch = collate([yielding(1), yielding(2)], PLAIN, DMel(), torch.Generator().manual_seed(0), config)
    with torch.no_grad():
        out, _ = model(batch.cells)
        heavy, tally = losses(out, batch, loss_config(silence=1.0, doubted_silence=0.0, heard=0.0, active=0.0))
        doubted, _ = losses(out, batch, loss_config(silence=1.0, doubted_silence=1.0, heard=0.0, active=0.0))
        light, _ = losses(out, batch, loss_config(silence=0.0, doubted_silence=0.0, heard=0.0, active=0.0))
    row, _ = tally.read()
    assert set(row) == {"silence", "word", "yield", "heard", "nothing_heard", "active", "total"}
    assert row["total"] == pytest.approx(heavy.item())
    target = batch.target_BP[batch.target_BP != NO_TARGET]
    each = torch.nn.functional.cross_entropy(out.text_NV, target, reduction="none")
    assert doubted.item() > heavy.item()
    assert heavy.item() == pytest.approx(each.mean().item(), rel=1e-5)
    assert row["silence"] == pytest.approx(each[target == SILENCE].mean().item(), rel=1e-5)
    spoken = batch.heard_BTH[batch.real_BT].flatten()
    heard = torch.nn.functional.cross_entropy(out.heard_BTHV[batch.real_BT].flatten(0, 1), spoken, reduction="none")
    named = spoken != NOTHING_HEARD
    assert row["heard"] == pytest.approx(heard[named].mean().item(), rel=1e-5)
    assert row["nothing_heard"] == pytest.approx(heard[~named].mean().item(), rel=1e-5)
    assert light.item() == pytest.approx(each[target != SILENCE].mean().item(), rel=1e-5)
    assert int((target == END).sum()) == int((batch.cells.out_BTK != NO_TOKEN).any(-1).sum())


def test_the_loss_of_a_family_is_that_of_its_cells_alone():
    config = tiny_config()
    model = fresh_model(config, 0)
    batch = collate([yielding(1), yielding(2)], PLAIN, DMel(), torch.Generator().manual_seed(0), config)
    weights = loss_config(heard=0.0, active=0.0)
    with torch.no_grad():
        out, _ = model(batch.cells)
        whole, tally = losses(out, batch, weights)
        _, by_family = tally.read()
        batch.family_BT.fill_(3)
        _, alone = losses(out, batch, weights)[1].read()
    assert set(by_family) == {1, 2}
    assert min(by_family.values()) < whole.item() < max(by_family.values())
    assert alone == {3: pytest.approx(whole.item(), rel=1e-5)}


def test_a_batch_hides_and_confuses_at_the_asked_rates_but_teaches_the_truth():
    config = tiny_config()
    data = data_config(cells=40, rows=40, blank_output=0.5, lose_heard=0.3, wrong_heard=0.3)
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
    data = data_config(cells=20, rows=1, augment=augment_config(untouched=1.0), blank_output=0, lose_heard=0, wrong_heard=0)
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
    out = augment(mel, augment_config(untouched=0.0), generator)
    assert out.shape == mel.shape
    assert not torch.isnan(out).any()
    loudness = out.amax(-1)
    assert (loudness[:, 42:58].mean(1) > loudness[:, :38].mean(1) + 1.0).all()
    assert not torch.allclose(out[0], out[1])
    again = augment(mel, augment_config(untouched=0.0), torch.Generator().manual_seed(0))
    assert torch.equal(out, again)


def test_noise_adds_its_power_and_nothing_where_it_is_far_below():
    quiet = {"warp": (1.0, 1.0), "equaliser": 0.0, "gain": (0.0, 0.0), "blur_chance": 0.0, "band_cut_chance": 0.0, "masks": 0}
    config = augment_config(**quiet, untouched=0.0, noise_chance=1.0, noise_floor=(-2.0, -2.0), babble_chance=0.0)
    generator = torch.Generator().manual_seed(0)
    noise = augment(torch.full((4, 400, 80), -20.0), config, generator)[..., 0]
    assert abs(float(noise.mean()) + 2.0) < 0.1
    loud = augment(torch.full((4, 400, 80), 1.0), config, generator)
    assert float((loud - 1.0).abs().max()) < 0.01
    alike = augment(torch.full((4, 400, 80), -2.0), config, generator)[..., 0]
    assert abs(float(alike.mean()) + 2.0 - math.log10(2) / 2) < 0.1, "twice the power, as a magnitude"


CLEAN = {
    "warp": (1.0, 1.0),
    "equaliser": 0.0,
    "gain": (0.0, 0.0),
    "noise_chance": 0.0,
    "blur_chance": 0.0,
    "band_cut_chance": 0.0,
    "masks": 0,
}


def test_a_babble_is_made_of_the_other_rows_as_far_below_as_asked():
    config = augment_config(**CLEAN, untouched=0.0, babble_chance=1.0, babble_db=(10.0, 10.0))
    generator = torch.Generator().manual_seed(0)
    mel = torch.full((12, 400, 80), -7.0)
    mel[0, :200] = 0.0  # who speaks half of the time
    mel[1:, :, 30:50] = -1.0  # the others, all the time, in some bands
    out = augment(mel, config, generator)
    power, was = 10 ** (2 * out), 10 ** (2 * mel)
    assert torch.allclose((power - was).mean((1, 2)) / was.mean((1, 2)), torch.full((12,), 0.1), rtol=1e-3), (
        "a tenth of the row's own power"
    )
    assert out[0, 200:, 30:50].mean() > out[0, 200:, :30].mean() + 1.0, "in the pauses the bands of the others sound"
    assert torch.equal(out, augment(mel, config, torch.Generator().manual_seed(0)))


def test_nobody_is_heard_through_a_babble_of_their_own_voice():
    config = augment_config(**CLEAN, untouched=0.0, babble_chance=1.0, babble_db=(10.0, 10.0))
    mel = torch.full((5, 400, 80), -7.0)
    for row in range(5):
        mel[row, :, 16 * row : 16 * row + 16] = 0.0  # each in bands of its own
    for seed in range(20):
        more = augment(mel, config, torch.Generator().manual_seed(seed)) - mel
        for row in range(5):
            own = more[row, :, 16 * row : 16 * row + 16]
            others = torch.cat([more[row, :, : 16 * row], more[row, :, 16 * row + 16 :]], -1)
            assert float(own.abs().max()) < 1e-4
            assert float(others.min()) > 1.0, "all of the four others are heard"
    alone = mel[:1]
    assert torch.equal(augment(alone, config, torch.Generator().manual_seed(0)), alone), "there is nobody else"


def test_warping_moves_a_peak_by_the_factor():
    mel = torch.zeros((2, 1, 80))
    mel[:, 0, 40] = 1.0
    warped = warp_bands(mel, torch.tensor([1.25, 0.8])[:, None, None])
    assert warped[:, 0].argmax(-1).tolist() == [32, 50]
    assert np.allclose(warp_bands(mel, torch.ones(2, 1, 1)), mel)


def test_a_gpu_trains_compiled_and_in_bfloat16_unless_the_recipe_says_otherwise() -> None:
    left_open = train_config(precision="auto", compile="auto")
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert compiles(left_open, gpu)
    assert not compiles(left_open, cpu)
    assert computes_in_bfloat16(left_open, gpu)
    assert computes_in_bfloat16(left_open, cpu) == multiplies_bfloat16(cpu)
    for device in (gpu, cpu):
        assert compiles(replace(left_open, compile="on"), device)
        assert not compiles(replace(left_open, compile="off"), device)
        assert computes_in_bfloat16(replace(left_open, precision="bfloat16"), device)
        assert not computes_in_bfloat16(replace(left_open, precision="float32"), device)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # the compiler warns itself of what it looks at
@pytest.mark.parametrize(
    ("ffn", "precision"),
    [(None, "float32"), (MoEConfig(hidden=32, num_experts=4, top_k=2, num_shared=1), "bfloat16")],
    ids=["dense", "moe in bfloat16"],
)
def test_compiled_layers_learn_what_plain_ones_do(tmp_path, monkeypatch, ffn, precision):
    graphs = []

    def taken(graph, inputs):
        graphs.append({str(node.target) for node in graph.graph.nodes})
        return make_boxed_func(graph)

    # All of a compiler but the writing of code, for which not every machine has a compiler of C++.
    traced = aot_autograd(fw_compiler=taken, bw_compiler=taken, keep_inference_input_mutations=True)
    torch._dynamo.reset()
    monkeypatch.setattr(Layer, "compile", lambda layer: nn.Module.compile(layer, backend=traced))
    config = tiny_config(ffn)
    drawn = [batches(config, replace(PLAIN, cells=cells, rows=rows)) for cells, rows in ((40, 4), (31, 3))]
    lost = {}
    for compiled in ("off", "on"):
        rows = []
        settings = train_config(**{**SETTINGS, "log_every": 1, "precision": precision, "compile": compiled}, steps=3, own_heard=0.5)
        model = fresh_model(config, 0)
        hooks = Hooks(report=rows.append)
        train(
            model, lambda progress, part: drawn[progress.step % 2](progress, part), settings, tmp_path / compiled, now=Clock(), hooks=hooks
        )
        lost[compiled] = torch.tensor([list(row["loss"].values()) for row in rows])
        assert bool(graphs) == (compiled == "on")
    assert len(lost["on"]) == 3
    assert "aten.mm.default" in set().union(*graphs)
    assert "aten.baddbmm.default" not in set().union(*graphs), "attention writes into views, for which Inductor has no code"
    torch.testing.assert_close(lost["on"], lost["off"], rtol=1e-4 if precision == "float32" else 2e-2, atol=1e-4)
