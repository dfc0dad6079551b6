"""The command train: a recipe in, and out come its log, its page, its samples and a checkpoint that can be talked to and grown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.checkpoint import load_checkpoint
from model.recipe import read_recipe
from model.settings import to_toml
from workbench.cli import main
from workbench.neural import load_agent
from workbench.store import read_trace

CHANGES = {
    "steps = 0": "steps = 2",
    "rehearse_every = 50": "rehearse_every = 1",
    "log_every = 20": "log_every = 1",
    "cells = 150": "cells = 30",
    "rows = 16": "rows = 4",
    "conversations = 24000": "conversations = 16",
    "first = 320": "first = 16",
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


def test_a_recipe_becomes_a_checkpoint_a_log_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROTURN_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["train", "--recipe", str(small(tmp_path)), "--seed", "3", "--out", str(out)])
    assert not ended.value.code
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
