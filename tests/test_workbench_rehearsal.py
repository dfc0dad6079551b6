"""Rehearsals and batches: the model learns from what it did itself, and every batch has an address."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint, fresh_model
from model.layout import NO_TOKEN
from model.recipe import Recipe, read_recipe
from model.train import Progress
from tests.model_fakes import answering, tiny_config
from workbench.asking import parted
from workbench.errors import InputError
from workbench.neural import packed, unpacked, vocabulary
from workbench.neural.ahead import Helpers, dealt
from workbench.neural.batches import Batches, Stock
from workbench.neural.rehearsal import Rehearsals, talks
from workbench.packets import AGENT_TEXT
from workbench.pool import Arrays
from workbench.shadow import wanted_in


def recipe(**rehearsal: float) -> Recipe:
    nano = read_recipe("nano")
    changed = replace(nano.rehearsal, **{"conversations": 2, "begin": 0.0, "keep": 2, **rehearsal})
    return replace(nano, rehearsal=changed, train=replace(nano.train, rehearse_every=10), batch=replace(nano.batch, rows=8, cells=40))


@pytest.mark.parametrize(("silence", "holds"), [(2.0, "out"), (50.0, "wanted")], ids=["talkative", "silent"])
def test_a_rehearsal_holds_what_the_model_said_and_what_would_have_been_right(tmp_path: Path, silence: float, holds: str) -> None:
    words = vocabulary()
    config = replace(tiny_config(), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard))
    model = fresh_model(config, 0).eval()
    with torch.no_grad():
        model.text_head.bias[0] = silence
    checkpoint = Checkpoint(model, words, {})
    rehearsals = Rehearsals(tmp_path, recipe(begin=0.5))
    rehearsals.hold(checkpoint, Progress(step=0, share=0.4), range(1))
    assert not list(tmp_path.iterdir())  # too early: it would only babble
    rehearsals.hold(checkpoint, Progress(step=20, share=0.5), range(1, 2))
    rehearsals.look(20)
    assert len(rehearsals.rows) == 1
    traces = talks(checkpoint, [50_000_041], rehearsals.recipe)
    for row, trace in zip(rehearsals.rows, traces, strict=True):
        cells = unpacked(row)
        spoken = [parted([words.tokens[t] for t in said if t >= 4])[0] for said in cells.out]
        assert spoken == [turn.text(AGENT_TEXT).split() for turn in trace.turns]
        wanted = [[word for item in items for word in item.split()] for items in wanted_in(trace)]
        assert [[words.tokens[t] for t in right if t != NO_TOKEN] for right in cells.wanted] == wanted
        assert cells.family.any()
    assert all((row[holds] != NO_TOKEN).any() for row in rehearsals.rows)


def test_the_newest_rehearsals_are_drawn_from_and_the_future_is_forgotten(tmp_path: Path) -> None:
    for step in (0, 10, 20, 30, 990):
        (tmp_path / f"{step:08d}-0000.npz").write_bytes(b"")
        np.savez(tmp_path / f"{step:08d}-0000.npz", **{"0.step": np.array([step])})
    rehearsals = Rehearsals(tmp_path, recipe())
    rehearsals.look(29)
    assert [int(row["step"][0]) for row in rehearsals.rows] == [10, 20]
    assert [path.stem for path in sorted(tmp_path.iterdir())] == ["00000000-0000", "00000010-0000", "00000020-0000"]
    before = rehearsals.rows
    rehearsals.look(28)
    assert rehearsals.rows is before


class Shelf:
    def __init__(self, *seeds: int, family: int = 0) -> None:
        self.rows: list[Arrays] = [packed(answering(seed)) for seed in seeds]
        for row in self.rows:
            row["family"][:] = family or row["family"]


def test_a_batch_depends_on_seed_step_and_part_alone() -> None:
    families = len(recipe().pool.families)
    shelves = [(Shelf(*range(20)), 0.8), (Shelf(*range(100, 110)), 0.2), (Shelf(), 0.5)]
    stocks = [Stock(shelf, share, families) for shelf, share in shelves]
    looked: list[int] = []
    batches = Batches(stocks, recipe(), tiny_config(), looked.append)
    later = Batches(stocks, recipe(), tiny_config(), looked.append)
    first = batches(Progress(step=3), 1)
    for step, part in ((0, 0), (3, 0), (2, 1)):
        assert not torch.equal(later(Progress(step=step), part).cells.user_BTAM, first.cells.user_BTAM)
    again = later(Progress(step=3), 1)
    assert torch.equal(again.cells.user_BTAM, first.cells.user_BTAM)
    assert torch.equal(again.cells.counter_BT, first.cells.counter_BT)
    assert torch.equal(again.target_BP, first.target_BP)
    assert looked == [3, 0, 3, 2, 3]


def test_helpers_make_the_same_batches_and_none_beyond_the_next_rehearsal(tmp_path: Path) -> None:
    plan = recipe()
    plan = replace(plan, train=replace(plan.train, steps=40), pool=replace(plan.pool, helpers=2))
    rehearsals = Rehearsals(tmp_path, plan)
    families = len(plan.pool.families)
    stocks = [Stock(Shelf(*range(20)), 0.5, families), Stock(rehearsals, 0.5, families)]
    alone = Batches(stocks, plan, tiny_config(), rehearsals.look)
    helpers = Helpers(2, alone, (0, 1))
    try:
        for step in (8, 9, 10, 11, 12):
            if step == 10:  # what is held at 0 is there from 10 on, for all who ask
                np.savez(tmp_path / "00000000-0000.npz", **{f"0.{name}": array for name, array in packed(answering(7)).items()})
            for part in (0, 1):
                progress = Progress(step=step, share=step / 40)
                ahead, here = helpers(progress, part), alone(progress, part)
                assert torch.equal(ahead.cells.user_BTAM, here.cells.user_BTAM)
                assert torch.equal(ahead.target_BP, here.target_BP)
    finally:
        helpers.close()


def test_a_rehearsal_by_helpers_is_whole_before_the_next_one_begins(tmp_path: Path) -> None:
    words = vocabulary()
    config = replace(tiny_config(), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard))
    checkpoint = Checkpoint(fresh_model(config, 0).eval(), words, {})
    plan = recipe()
    plan = replace(plan, pool=replace(plan.pool, helpers=2))
    rehearsals = Rehearsals(tmp_path, plan)
    helpers = Helpers(2, Batches([Stock(Shelf(1), 1.0, len(plan.pool.families))], plan, config, lambda step: None), (0,))
    try:
        helpers.rehearse(rehearsals, checkpoint, Progress(step=10, share=0.5), range(2))
        rehearsals.look(10)
        assert rehearsals.rows == []  # not yet drawn from, though it may be there
        helpers.rehearse(rehearsals, checkpoint, Progress(step=20, share=0.6), range(0))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["00000010-0000.npz", "00000010-0001.npz"]
        rehearsals.look(20)
        assert len(rehearsals.rows) == 2
    finally:
        helpers.close()


def test_a_helper_that_died_is_named() -> None:
    batches = Batches([Stock(Shelf(1), 1.0, len(recipe().pool.families))], recipe(), tiny_config(), lambda step: os._exit(9))
    helpers = Helpers(1, batches, (0,))
    with pytest.raises(InputError, match=r"a helper died .* resume with fewer"):
        helpers(Progress(), 0)
    helpers.close()


def test_shares_and_weights_decide_what_is_drawn() -> None:
    plan = recipe()
    plan = replace(plan, curriculum=replace(plan.curriculum, weights={"answer": (0.0, 0.0)}))
    families = len(plan.pool.families)
    stocks = [Stock(Shelf(1, 2, family=1), 0.5, families), Stock(Shelf(3, family=2), 0.25, families), Stock(Shelf(), 0.25, families)]
    stocks[0].shelf.rows.append({**stocks[1].shelf.rows[0], "out": np.zeros((40, 1), np.int16)})
    rows = Batches(stocks, plan, tiny_config(), lambda step: None).draw(4000, Progress(), np.random.default_rng(0))
    assert {int(row["family"][0]) for row in rows} == {2}  # conversations of the family with no weight are left out
    from_first = sum(bool((row["out"] == 0).all()) for row in rows) / len(rows)
    assert 0.72 < from_first < 0.78  # an empty stock leaves its share to the first


def test_a_conversation_is_counted_once_however_often_others_join_it() -> None:
    class Once(dict[str, np.ndarray]):
        asked = 0

        def __getitem__(self, name: str) -> np.ndarray:
            self.asked += 1
            return super().__getitem__(name)

    rows = [Once(family=np.full(3, number)) for number in (1, 2, 1)]
    shelf = Shelf()
    stock = Stock(shelf, 1.0, 2)
    for now in ([0], [1, 0], [0, 1, 2]):
        shelf.rows = [rows[i] for i in now]
        np.testing.assert_array_equal(stock.family_counts(), [[0, 0, 3] if i == 1 else [0, 3, 0] for i in now])
    assert [row.asked for row in rows] == [1, 1, 1]


@pytest.mark.parametrize(
    ("helpers", "held"),
    [(1, [[5, 6, 7, 8, 9]]), (2, [[5, 6, 7, 8, 9]]), (6, [[5, 7, 9], [6, 8]]), (99, [[5], [6], [7], [8], [9]])],
)
def test_a_third_of_the_helpers_hold_a_rehearsal(helpers: int, held: list[list[int]]) -> None:
    assert [list(some) for some in dealt(range(5, 10), helpers)] == held
