"""Pools of conversations to batches, each addressed by seed, step and part: with the same pools, the same batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from model.config import ModelConfig
from model.curriculum import conversation_chances, evened, family_weights
from model.data import Batch, addressed, collate
from model.dmel import DMel
from model.recipe import Recipe
from model.train import Progress
from workbench.neural.cells import through_a_lens, unpacked
from workbench.pool import Arrays

BATCH = 0  # last part of the address of a batch's draws


class Shelf(Protocol):
    """Conversations as arrays; a new list whenever there are others."""

    @property
    def rows(self) -> list[Arrays]: ...


@dataclass
class Stock:
    """A shelf of conversations, the share of a batch that is drawn from it, and how many cells of each family each conversation has."""

    shelf: Shelf
    share: float
    families: int
    _rows: list[Arrays] = field(default_factory=list)
    _counted: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)  # by the row's id, which nobody else has while it lives
    _counts_NF: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def family_counts(self) -> npt.NDArray[np.int64]:
        """Cells of each family (number 0: of none) in each conversation, (N, F)."""
        rows = self.shelf.rows
        if rows is not self._rows:
            known = self._counted
            self._counted = {id(row): known[id(row)] if id(row) in known else self._count(row) for row in rows}
            self._counts_NF = np.stack([self._counted[id(row)] for row in rows])
            self._rows = rows
        return self._counts_NF

    def _count(self, row: Arrays) -> npt.NDArray[np.int64]:
        return np.bincount(row["family"], minlength=self.families + 1)


class Batches:
    """The batches of a run. Call it with the progress made and a part of the step; it calls `look` with the step first.

    The first stock gets what the shares of the others leave of each batch; an empty stock leaves its share.
    """

    def __init__(self, stocks: Sequence[Stock], recipe: Recipe, sizes: ModelConfig, look: Callable[[int], None]) -> None:
        self.look = look
        self.stocks = stocks
        self.recipe = recipe
        self.sizes = sizes
        self.dmel = DMel()

    def __call__(self, progress: Progress, part: int) -> Batch:
        self.look(progress.step)
        seed, data = self.recipe.train.seed, self.recipe.batch
        rng = np.random.default_rng((seed, progress.step, part))
        rows = [through_a_lens(unpacked(row), rng) for row in self.draw(data.rows, progress, rng)]
        return collate(rows, data, self.dmel, addressed(seed, progress.step, part, BATCH), self.sizes)

    def draw(self, count: int, progress: Progress, rng: np.random.Generator) -> list[Arrays]:
        """`count` conversations of all stocks by their shares, each chosen by its families."""
        curriculum = self.recipe.curriculum
        weights_F = family_weights(curriculum, tuple(self.recipe.pool.families), progress.share, progress.families)
        shares = np.array([stock.share if stock.shelf.rows else 0.0 for stock in self.stocks])
        shares[0] = max(0.0, 1.0 - shares[1:].sum())
        rows: list[Arrays] = []
        for stock, number in zip(self.stocks, rng.multinomial(count, shares / shares.sum()), strict=True):
            if number:
                counts_NF = stock.family_counts()
                chances = conversation_chances(counts_NF, weights_F * evened(counts_NF, curriculum.balance))
                rows += [stock.shelf.rows[int(i)] for i in rng.choice(len(chances), int(number), p=chances)]
        return rows
