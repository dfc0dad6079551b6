"""The command train: a recipe in, and out come its log, its page, its samples and a checkpoint that can be talked to and grown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import load_checkpoint
from model.recipe import Recipe, read_recipe
from model.saved import kind_of, write_saved
from model.settings import to_toml
from tests.model_fakes import tiny_config
from tests.test_model_train import assert_same_bits
from workbench.cli import main
from workbench.errors import CheckpointError, InputError
from workbench.neural import CHECKPOINT, load_agent, load_recipe, sized, train_recipe, vocabulary
from workbench.neural.recipe import PRESETS
from workbench.store import read_trace

CHANGES = {
    "steps = 0": "steps = 2",
    "rehearse_every = 50": "rehearse_every = 1",
    "log_every = 20": "log_every = 1",
    "cells = 150": "cells = 30",
    "rows = 16": "rows = 4",
    "conversations = 24000": "conversations = 16",
    "first = 320": "first = 16",
    "accents = 0.26": "accents = 0.0",
    "recorded = 0.17": "recorded = 0.0",
    "festival = 0.05": "festival = 0.0",
    "rhvoice = 0.16": "rhvoice = 0.0",
    "conversations = 16\nbegin = 0.25": "conversations = 1\nbegin = 0.5",
    "keep = 16\nshare = 0.12": "keep = 1\nshare = 0.5",
    "count = 4": "count = 1",
}


def small(folder: Path) -> Path:
    """The recipe of nano, two steps long, in a world of one family."""
    text = to_toml(read_recipe("nano"))
    for old, new in CHANGES.items():
        assert old in text, old
        text = text.replace(old, new)
    families = text[text.index("[pool.families]") : text.index("[curriculum]")]
    path = folder / "small.toml"
    path.write_text(text.replace(families, "[pool.families]\nanswer = 1.0\n\n"))
    return path


@pytest.fixture(scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Conversations of this module alone, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MICROTURN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def microturn(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("_cache")
def test_a_recipe_becomes_a_checkpoint_a_log_and_a_page(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert microturn("train", "--recipe", small(tmp_path), "--seed", 3, "--out", out) == 0
    told = read_recipe(out / "recipe.toml")
    assert (told.train.seed, told.train.steps, list(told.pool.families)) == (3, 2, ["answer"])
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 2]
    assert all(set(row["family_loss"]) == {"answer"} for row in rows[:2])
    assert set(rows[2]["family_scores"]) == {"answer"}
    facts = load_checkpoint(out / "nano.safetensors").facts
    assert facts["recipe"]["train"]["seed"] == 3
    assert facts["progress"]["step"] == 2
    assert load_agent(out / "nano.safetensors").families == ("answer",)
    assert [path.name for path in (out / "rehearsals").iterdir()] == ["00000001-0000.npz"]
    assert read_trace(out / "samples" / "answer.sqlite").header.labels["family"] == "answer"
    assert "sample-answer" in (out / "run.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("_cache")
def test_a_recipe_broken_off_and_resumed_gives_the_same_weights_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", tiny_config)
    recipe = replace(load_recipe(small(tmp_path)), preset="tiny")
    recipe = replace(recipe, train=replace(recipe.train, steps=6, save_every_minutes=0.0, rehearse_every=3))

    def run(out: Path, until: int, **how: bool) -> dict[str, Any] | None:
        """A run in which the power fails in this step; what it had saved, before that step and no evaluation."""

        def power_fails(row: dict[str, Any]) -> None:
            if row.get("step") == until:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_recipe(recipe, out, report=power_fails, **how)
        saved: dict[str, Any] | None = torch.load(out / "training.pt") if (out / "training.pt").exists() else None
        assert (saved["progress"]["step"] if saved else 0) == until - 1
        return saved

    whole = run(tmp_path / "whole", 6)
    run(tmp_path / "parts", 5)
    parts = run(tmp_path / "parts", 6, resume=True)
    assert [path.name for path in (tmp_path / "parts" / "rehearsals").iterdir()] == ["00000003-0000.npz"]
    assert whole
    assert parts
    assert_same_bits((whole["model"], whole["optimisers"]), (parts["model"], parts["optimisers"]))
    assert run(tmp_path / "parts", 1, overwrite=True) is None, "nothing of a run that is replaced is left to resume"
    assert not (tmp_path / "parts" / "tiny.safetensors").exists()
    run(tmp_path / "parts", 2, resume=True)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("training.pt", "training.pt exists; give another --out, --resume to go on from it, or --overwrite to replace what is there"),
        ("nano.safetensors", "nano.safetensors exists, and no training.pt to resume from; give another --out, or --overwrite"),
    ],
)
def test_a_training_is_not_lost_unasked(there: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out := tmp_path / "run").mkdir()
    for name in (there, "log.jsonl", "recipe.toml"):
        (out / name).write_text("mine")
    written = contents(out)
    again = ("train", "--recipe", "nano", "--out", out)
    assert microturn(*again) == 2
    assert said in capsys.readouterr().err
    assert microturn(*again, "--resume", "--overwrite") == 2
    assert "--resume goes on from the training in --out and --overwrite replaces it; give one of the two" in capsys.readouterr().err
    if there != "training.pt":
        assert microturn(*again, "--resume") == 2
        assert said in capsys.readouterr().err
    assert microturn(*again, "--part", "voice", "--minutes", 0.001, "--resume", "--overwrite") == 2
    assert contents(out) == written


def test_a_checkpoint_is_not_replaced_by_its_copy_with_another_voice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine := tmp_path / "mine.safetensors").write_bytes(b"mine")
    training = ("train", "--part", "voice", "--minutes", 0.001, "--from", mine, "--out")
    assert microturn(*training, tmp_path) == 2
    assert f"{mine} is read here and would be written over" in capsys.readouterr().err
    (out := tmp_path / "run").mkdir()
    (out / mine.name).write_bytes(b"another")
    assert microturn(*training, out) == 2
    assert f"{out / mine.name} exists; give another --out, or --overwrite to replace what is there" in capsys.readouterr().err
    assert [path.read_bytes() for path in (mine, out / mine.name)] == [b"mine", b"another"]


def test_a_checkpoint_is_not_replaced_by_what_begins_from_it(tmp_path: Path) -> None:
    (mine := tmp_path / "nano.safetensors").write_bytes(CHECKPOINT.read_bytes())
    with pytest.raises(InputError, match=r"nano.safetensors would be replaced by what begins from it; give another --out"):
        train_recipe(replace(load_recipe("nano"), begin_from=str(mine)), tmp_path, overwrite=True)
    assert list(contents(tmp_path)) == ["nano.safetensors"]


def test_a_recipe_without_a_source_on_this_machine_is_refused_before_anything_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.neural.recipe.available", lambda source: source == "espeak")
    for name in ("training.pt", "nano.safetensors", "log.jsonl", "recipe.toml"):
        (tmp_path / name).write_text("mine")
    written = contents(tmp_path)
    nano = load_recipe("nano")
    away = replace(nano, pool=replace(nano.pool, sources={"espeak": 0.0, "festival": 0.5, "rhvoice": 0.5}))
    needs = (
        r"festival needs the Debian packages festival and festvox-kdlpc16k; rhvoice needs the Debian packages rhvoice and rhvoice-english"
    )
    with pytest.raises(InputError, match=rf"none of the recipe's sources is on this machine: {needs}; install one, or give espeak"):
        train_recipe(away, tmp_path, overwrite=True)
    assert contents(tmp_path) == written


@pytest.mark.parametrize("part", ["model", "voice"])
def test_a_checkpoint_to_begin_from_is_read_before_any_training(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(*arguments: object, **how: object) -> Path:
        raise AssertionError("the time of a training is spent")

    monkeypatch.setattr("workbench.neural.train_voice", trained)
    monkeypatch.setattr("workbench.neural.recipe.train", trained)
    training = ("train", "--part", part, "--minutes", 0.001, "--out", tmp_path / "run", "--from")
    assert microturn(*training, tmp_path / "none.safetensors") == 2
    assert f"no checkpoint at {tmp_path / 'none.safetensors'}; give --from FILE, or train one with" in capsys.readouterr().err
    (bad := tmp_path / "bad.safetensors").write_bytes(b"not a checkpoint")
    assert microturn(*training, bad) == 2
    assert f"{bad} cannot be read as a checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_training_of_another_model_or_cut_short_is_not_resumed_and_nothing_is_written(tmp_path: Path) -> None:
    nano = load_recipe("nano")
    write_saved(tmp_path / "training.pt", kind_of(sized(nano), vocabulary()), {})
    (tmp_path / "recipe.toml").write_text("mine")
    written = contents(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"training.pt is of another model \(config.trunk.width is 256 there and 128 here; .*--from FILE"
    ):
        train_recipe(load_recipe("tiny"), tmp_path, resume=True)
    assert contents(tmp_path) == written
    (tmp_path / "training.pt").write_bytes(written["training.pt"][:400])
    with pytest.raises(CheckpointError, match=r"training.pt cannot be read .*give another --out, .*--from FILE"):
        train_recipe(nano, tmp_path, resume=True)
    assert (tmp_path / "recipe.toml").read_text() == "mine"


def test_minutes_of_the_command_take_the_place_of_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Recipe] = []

    def note(recipe: Recipe, out: Path, **how: object) -> Path:
        asked.append(recipe)
        return out / "tiny.safetensors"

    monkeypatch.setattr("workbench.neural.train_recipe", note)
    assert microturn("train", "--recipe", "tiny", "--out", tmp_path) == 0
    assert "step 0 of 1200, 0.0 minutes" in " ".join(capsys.readouterr().out.split())
    assert microturn("train", "--recipe", "tiny", "--minutes", 0.5, "--out", tmp_path) == 0
    assert "step 0, 0.0 of 0.5 minutes" in " ".join(capsys.readouterr().out.split())
    assert [(recipe.train.steps, recipe.train.minutes) for recipe in asked] == [(1200, 0.0), (0, 0.5)]
