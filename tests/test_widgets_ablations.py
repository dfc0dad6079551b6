"""The study of one change at a time: its variants change one thing, and its figures show what it found."""

from __future__ import annotations

import importlib
import json
import platform
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from widgets.ablations import of_question, read_study, silence_figure, study_figure, study_table
from workbench.errors import InputError
from workbench.neural.recipe import load_recipe, sized

STUDY = Path(__file__).resolve().parents[1] / "benchmarks"
STORED = STUDY.parent / "docs" / "what_matters.json"


def row(name: str, question: str, both: float, restraint: float = 0.8, late_s: float = 0.4) -> dict:
    rate = {"value": restraint, "n": 40, "ci95": [restraint - 0.1, restraint + 0.1]}
    return {
        "name": name,
        "question": question,
        "says": f"what {name} is",
        "cpu_s_per_step": 2.0 if name == "base" else 3.0,
        "computer": "mine",
        "parameters": 800_000,
        "mean_both": both,
        "mean_ci95": [both - 0.05, both + 0.05],
        "families": {"stop": {"both": both, "n": 40, "ci95": [0, 1]}, "timer": {"both": both / 2, "n": 40, "ci95": [0, 1]}},
        "latency_s": {"yield": {"median": late_s}, "cue": {"median": late_s + 0.2}},
        "restraint": rate,
        "word_error_rate": 0.25,
    }


ROWS = [row("base", "base", 0.6), row("no counter", "counter", 0.4), row("silence 1", "silence", 0.5, 0.95, 0.8)]


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(STUDY)
    return importlib.import_module("ablations")


def test_every_variant_changes_one_thing_and_trains_on_as_much_talk(study):
    base = load_recipe("tiny")
    first = study.VARIANTS["base"].of(base, 100)
    changed = set()
    for name, variant in study.VARIANTS.items():
        recipe = variant.of(base, 100)
        assert recipe.train.steps == (100 if variant.question != "equal time" else 65)
        assert recipe.batch.cells * recipe.changes.tick_ms == 30_000
        sized(recipe)
        other = replace(recipe, batch=first.batch)
        different = {key for key, value in asdict(other).items() if value != asdict(first)[key]}
        allowed = {"train", "rehearsal"} if name == "teacher's past" else {"train", "changes"}
        assert different <= allowed
        changes = 2 if variant.question in ("own outputs", "equal time") else 1
        assert len(different) == (0 if name in ("base", "base, again", "folded") else changes)
        changed.add(json.dumps(asdict(recipe)))
    assert len(changed) == len(study.VARIANTS) - 2, "but for those in which the base is trained again"


def test_the_figure_compares_with_the_first_row():
    figure = study_figure(of_question(ROWS, "counter"))
    means = figure.data[-1]
    assert list(means.x) == [0.6, 0.4]
    assert list(means.y) == ["base", "no counter"]
    assert list(means.error_x.array) == pytest.approx([0.05, 0.05])
    assert list(figure.data[1].x) == [0.3, 0.2]  # timer
    assert figure.layout.shapes[1].x0 == 0.6


def test_the_weight_of_silence_is_a_curve_of_restraint_against_latency():
    curve = silence_figure([ROWS[0], ROWS[2]]).data[0]
    assert list(curve.x) == pytest.approx([0.5, 0.9])
    assert list(curve.y) == [0.8, 0.95]


def test_the_table_says_what_a_step_costs():
    table = study_table(ROWS)
    assert [line["a step costs"] for line in table] == ["1.00", "1.50", "1.50"]
    assert table[1]["both right"] == "40 % (35 to 45)"


def test_a_step_is_compared_only_with_a_base_timed_on_the_same_computer():
    elsewhere = [{**row, "computer": "yours", "cpu_s_per_step": seconds} for row, seconds in zip(ROWS[1:], (1.0, 1.2), strict=True)]
    base_there = {**ROWS[0], "name": "base, again", "question": "seed", "computer": "yours", "cpu_s_per_step": 0.8}
    nowhere = [{**ROWS[1], "computer": None}, {key: value for key, value in ROWS[1].items() if key != "computer"}]
    lines = study_table([ROWS[0], *elsewhere, *nowhere])
    assert [(line["a step costs"], line["timed on"]) for line in lines] == [
        ("1.00", "mine"),
        ("", "yours"),
        ("", "yours"),
        ("", ""),
        ("", ""),
    ]
    assert [line["a step costs"] for line in study_table([ROWS[0], *elsewhere, base_there])] == ["1.00", "1.25", "1.50", "1.00"]


def test_the_stored_study_says_on_which_computer_each_row_was_timed():
    rows = read_study(STORED)
    assert all("computer" in row for row in rows)
    costs = {line["variant"]: line["a step costs"] for line in study_table(rows)}
    assert {name: costs[name] for name in ("base", "no counter", "base, again")} == {
        "base": "1.00",
        "no counter": "1.05",
        "base, again": "1.00",
    }
    assert 1.4 < float(costs["experts, as long"]) < 1.8
    assert [costs[name] for name in ("experts", "log mel", "80 ms")] == ["", "", ""], "no base was timed where these were"


def test_a_new_row_names_its_processor_and_not_whose_computer_it_is(study):
    assert study.this_computer()
    assert not platform.node() or platform.node() not in study.this_computer()


def test_a_question_nobody_asked_and_a_file_without_a_study_are_named(tmp_path):
    with pytest.raises(InputError, match="no variant answers 'colour'; the questions are base, counter, silence"):
        of_question(ROWS, "colour")
    with pytest.raises(InputError, match="holds no study"):
        read_study(tmp_path / "none.json")
    with pytest.raises(InputError, match="nothing to compare"):
        study_figure([])
