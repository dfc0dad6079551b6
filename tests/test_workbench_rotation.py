"""The rotation of speakers (`benchmarks/rotate_speakers.py`): what was broken off goes on, and what was finished is left alone."""

from __future__ import annotations

import importlib
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.neural.kept import goes_on
from workbench.neural.recipe import load_recipe
from workbench.voices import DIGIT_SPEAKERS

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def rotation(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("rotate_speakers")


def test_a_training_that_was_broken_off_goes_on_and_a_finished_one_is_not_done_again(rotation: Any, tmp_path: Path) -> None:
    out = tmp_path / "base"
    saved, checkpoint = out / "training.pt", out / "nano.safetensors"
    begun: list[bool] = []

    def run(command: tuple[object, ...], *, check: bool, breaks: bool) -> None:
        """What the command does: it saves on the way, with a checkpoint each time."""
        assert check
        assert command[command.index("--out") + 1] == out
        flags = {name: f"--{name}" in command for name in ("resume", "overwrite")}
        begun.append(goes_on([saved], checkpoint, **flags))
        for path in (saved, checkpoint):
            path.touch()
        if breaks:
            raise subprocess.CalledProcessError(1, "torchrun")

    def breaking(command: tuple[object, ...], *, check: bool) -> None:
        run(command, check=check, breaks=True)

    def whole(command: tuple[object, ...], *, check: bool) -> None:
        run(command, check=check, breaks=False)

    recipe = replace(load_recipe("nano"), begin_from="")
    with pytest.raises(subprocess.CalledProcessError):
        rotation.trained(recipe, out, 2, breaking)
    assert checkpoint.exists()
    for _ in range(2):
        assert rotation.trained(recipe, out, 2, whole) == checkpoint
    assert begun == [False, True], "begun, gone on from its save, and not done a third time"
    assert load_recipe(out / "asked.toml") == recipe


@pytest.mark.parametrize("person", DIGIT_SPEAKERS)
def test_a_branch_never_hears_the_person_it_is_asked_by(rotation: Any, tmp_path: Path, person: str) -> None:
    base = rotation.of_eight_families(45.0, ("george", "lucas"))
    branch = rotation.without(person, base, tmp_path / "nano.safetensors", 10.0)
    assert base.pool.speakers == ("george", "lucas"), "of the base: nobody who is asked"
    assert set(branch.pool.speakers) == {"george", "lucas", *DIGIT_SPEAKERS} - {person}
    assert branch.begin_from == str(tmp_path / "nano.safetensors")
    for recipe in (base, branch):
        assert sum(recipe.pool.sources.values()) == pytest.approx(1.0)
