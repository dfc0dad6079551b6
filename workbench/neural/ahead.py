"""Helpers of a training: processes that prepare the batches of the next steps and hold rehearsals while the first one trains.

What they make is what would have been made in the loop: a batch depends on its address, and a rehearsal held at one step is drawn from
once all of it is there, at the step at which the next one is held.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace

import torch

from model.checkpoint import Checkpoint
from model.data import Batch
from model.train import Progress
from workbench.errors import InputError
from workbench.neural.batches import Batches
from workbench.neural.rehearsal import Rehearsals

BATCHES_EACH = 2  # batches that every helper is ahead by
NICE = 3  # lower in priority than the process that trains, and higher than those that make conversations
REHEARSING = 1 / 3  # of the helpers hold a rehearsal, so that the others go on preparing batches

_BORN_WITH: list[Batches] = []  # of a helper; of the process that trains, empty


@dataclass
class Helpers:
    """Some processes born with the batches of a run. Call it as the batches themselves; `close` ends them.

    `parts` are the parts of a step whose batches are wanted here. They prepare none beyond the next rehearsal, whose rows may be among
    them. Of a run by minutes they guess how much of it will be done by then from its speed so far. Raises InputError when one dies.
    """

    count: int
    batches: Batches
    parts: Sequence[int]
    _coming: dict[tuple[int, int], Future[Batch]] = field(default_factory=dict)
    _rehearsing: list[Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if "fork" not in multiprocessing.get_all_start_methods():
            raise InputError(f"helpers = {self.count} need a system with fork, on which they share the conversations; set it to 0")
        context = multiprocessing.get_context("fork")
        self._executor = ProcessPoolExecutor(self.count, context, initializer=_born, initargs=(self.batches,))
        for ready in [self._executor.submit(_ready) for _ in range(self.count)]:
            ready.result()

    def __call__(self, progress: Progress, part: int) -> Batch:
        try:
            self._order(progress)
            return self._coming.pop((progress.step, part)).result()
        except BrokenProcessPool as error:
            raise InputError(f"a helper died ({error}); if memory ran out, resume with fewer of them") from None

    def rehearse(self, rehearsals: Rehearsals, checkpoint: Checkpoint, progress: Progress, share: Sequence[int]) -> None:
        """Wait for the rehearsal before this one, then begin this one; `share` names its conversations to be held here."""
        for held in self._rehearsing:
            held.result()
        told = pickle.dumps(checkpoint)  # as bytes: by itself every weight would take a file handle in every helper
        self._rehearsing = [self._executor.submit(_hold, rehearsals, told, progress, some) for some in dealt(share, self.count)]

    def close(self) -> None:
        """End the processes; what they had begun is dropped."""
        self._executor.shutdown(cancel_futures=True)

    def _order(self, progress: Progress) -> None:
        recipe = self.batches.recipe.train
        last = progress.step + 1 + BATCHES_EACH * self.count // len(self.parts)
        if recipe.rehearse_every:
            last = min(last, (progress.step // recipe.rehearse_every + 1) * recipe.rehearse_every)
        for step in range(progress.step, last):
            share = step / recipe.steps if recipe.steps else progress.share * step / max(progress.step, 1)
            then = replace(progress, step=step, share=min(share, 1.0))
            for part in self.parts:
                if (step, part) not in self._coming:
                    self._coming[step, part] = self._executor.submit(_made, then, part)


def dealt(share: Sequence[int], helpers: int) -> list[Sequence[int]]:
    """What each of those helpers is to hold that rehearse: a third of them, at least one, and none without any."""
    many = max(1, round(helpers * REHEARSING))
    return [share[first::many] for first in range(min(many, len(share)))]


def _born(batches: Batches) -> None:
    os.nice(NICE)
    torch.set_num_threads(1)
    _BORN_WITH.append(batches)


def _ready() -> None:
    """Nothing: whoever answers is born."""


def _made(progress: Progress, part: int) -> Batch:
    return _BORN_WITH[0](progress, part)


def _hold(rehearsals: Rehearsals, told: bytes, progress: Progress, share: Sequence[int]) -> None:
    rehearsals.hold(pickle.loads(told), progress, share)
