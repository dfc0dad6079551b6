"""Recipes: one file says everything a run needs, nothing else is understood, and what was resolved can be read again."""

from __future__ import annotations

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


def test_a_recipe_that_is_not_there_is_told_from_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no recipe '.*none.toml'; give a TOML file, or one of micro, nano, nano_gpu"):
        read_recipe(tmp_path / "none.toml")
