"""Recipes: one file says everything a run needs, nothing else is understood, and what was resolved can be read again."""

from __future__ import annotations

import functools
import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from model.recipe import RECIPES, PoolConfig, Recipe, read_recipe
from model.settings import from_table, read_settings, to_toml


@dataclass(frozen=True, kw_only=True)
class Inner:
    pair: tuple[float, float]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outer:
    size: int
    rate: float
    on: bool
    device: Literal["auto", "cpu"]
    shares: dict[str, float]
    inner: Inner


TABLE = {"size": 3, "rate": 1, "on": True, "device": "auto", "shares": {"a": 1}, "inner": {"pair": [0.5, 2], "names": ["x", "y"]}}


def test_a_table_becomes_settings_and_the_settings_a_table_again(tmp_path: Path) -> None:
    settings = from_table(Outer, TABLE, "here")
    wanted = Outer(size=3, rate=1.0, on=True, device="auto", shares={"a": 1.0}, inner=Inner(pair=(0.5, 2.0), names=("x", "y")))
    assert settings == wanted
    path = tmp_path / "settings.toml"
    path.write_text(to_toml(settings))
    assert read_settings(Outer, path) == settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sise": 1}, r"here: there is no setting 'sise'; the settings here are size, rate, on, device, shares, inner"),
        ({"size": None}, r"here: setting 'size' is missing; a recipe says everything, so add it"),
        ({"size": 1.5}, r"here: size is 1.5; it must be a whole number"),
        ({"size": True}, r"here: size is True; it must be a whole number"),
        ({"rate": "fast"}, r"here: rate is 'fast'; it must be a number"),
        ({"on": 1}, r"here: on is 1; it must be true or false"),
        ({"device": "gpu"}, r"here: device is 'gpu'; it must be one of 'auto', 'cpu'"),
        ({"shares": {"a": "half"}}, r"here: shares.a is 'half'; it must be a number"),
        ({"inner": {"pair": [1.0]}}, r"here: inner: pair is \[1.0\]; it must be a list of 2: a number, a number"),
        ({"inner": {"pair": [1, 2], "names": [3]}}, r"here: inner: names\[0\] is 3; it must be a text in quotes"),
        ({"inner": 5}, r"here: inner is 5; it must be a table of settings"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place_and_rule(change: dict[str, object], message: str) -> None:
    table = {key: value for key, value in {**TABLE, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        from_table(Outer, table, "here")


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_recipe_that_comes_along_is_complete_and_survives_being_written(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(recipe))
    assert read_settings(Recipe, path) == recipe
    assert recipe.preset == name.split("_")[0]


def test_shares_that_say_nothing_are_refused() -> None:
    pool = read_recipe("nano").pool
    assert isinstance(pool, PoolConfig)
    for sources in ({}, {"espeak": 0.0}, {"espeak": 1.0, "recorded": -0.1}):
        with pytest.raises(ValueError, match=r"sources = .* must give at least one of them a positive share and none a negative one"):
            replace(pool, sources=sources)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("train.log_every", 0, r"train: log_every = 0 must be at least 1; give the steps between two lines of the log, e.g. 20"),
        ("train.steps", -1, r"train: steps = -1 must be at least 0; 0 leaves it to the other of the two"),
        ("train.seed", -1, r"train: seed = -1 must be at least 0; a seed is a whole number from 0 on"),
        ("train.warmup_steps", -1, r"train: warmup_steps = -1 must be at least 0; 0 does without"),
        ("train.rehearse_every", -1, r"train: rehearse_every = -1 must be at least 0; 0 does without"),
        ("train.save_every_minutes", math.nan, r"train: save_every_minutes = nan must be at least 0; give the minutes between two"),
        ("train.learning_rate", 0.0, r"train: learning_rate = 0 must be greater than 0; at 0 nothing is learned"),
        ("train.clip", -1.0, r"train: clip = -1 must be greater than 0; at 0 nothing is learned"),
        ("train.decay_share", 1.5, r"train: decay_share = 1.5 must lie between 0 and 1; 0 does without, 1 is all of the run"),
        ("train.loss.heard", -0.1, r"train: loss: heard = -0.1 must be at least 0; 0 leaves it out of the loss"),
        ("batch.rows", 0, r"batch: rows = 0 must be at least 1; a batch has at least one row of one cell"),
        ("batch.max_counter", 0, r"batch: max_counter = 0 must be at least 1; 1 counts the cells of every window from 0"),
        ("batch.lose_heard", 3.0, r"batch: lose_heard = 3 must lie between 0 and 1; it is a chance"),
        ("batch.augment.mask_width", -1, r"batch: augment: mask_width = -1 must be at least 0; 0 does without"),
        ("batch.augment.gain", (0.6, -0.9), r"batch: augment: gain = \[0.6, -0.9\] is no range; give its lower end first"),
        ("batch.augment.warp", (0.0, 1.0), r"batch: augment: warp = \[0, 1\] must be greater than 0; 1 leaves a voice as it is"),
        ("pool.workers", 0, r"pool: workers = 0 must be at least 1; somebody has to make some"),
        ("pool.helpers", -1, r"pool: helpers = -1 must be at least 0; 0 does without"),
        ("rehearsal.begin", -0.5, r"rehearsal: begin = -0.5 must lie between 0 and 1; 1 is never"),
        ("judge.count", 0, r"judge: count = 0 must be at least 1; give the episodes of each family that an evaluation plays, e.g. 4"),
        ("changes.experts", 1, r"changes: experts = 1 must be at least 2, of which two are chosen; 0 leaves the layers as they are"),
    ],
)
def test_a_number_that_no_run_can_have_is_refused_when_the_recipe_is_read(
    setting: str, value: object, message: str, tmp_path: Path
) -> None:
    table = tomllib.loads(to_toml(read_recipe("nano")))
    *sections, name = setting.split(".")
    inner = functools.reduce(lambda section, key: section[key], sections, table)
    inner[name] = list(value) if isinstance(value, tuple) else value
    with pytest.raises(ValueError, match=f"mine.toml: {message}"):
        from_table(Recipe, table, "mine.toml")


def test_a_recipe_that_is_not_there_is_told_from_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no recipe '.*none.toml'; give a TOML file, or one of micro, nano, nano_gpu"):
        read_recipe(tmp_path / "none.toml")
