"""Rehearsals: the model in training talks to simulated users, and what it did becomes rows to learn from.

Each cell holds what the model really said, heard and sounded like, and is taught what a perfect agent would have said there
(`workbench.shadow`). Training on a past of one's own making is the DAgger of Ross et al. (2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model.checkpoint import Checkpoint
from model.recipe import Recipe
from model.train import Progress
from workbench.cast import Cast
from workbench.conversations import someone
from workbench.neural.agent import NeuralAgent
from workbench.neural.cells import cells_of, packed, vocabulary
from workbench.pool import Arrays, read_shard, write_shard
from workbench.session import Session, advance
from workbench.shadow import wanted_in
from workbench.trace import Trace, record

FIRST_NUMBER = 50_000_000  # users of rehearsals are none that training conversations have
KEPT_LONGER = 4  # files stay this many times as long as they are drawn from: a resumed run goes back to where it was saved


@dataclass
class Rehearsals:
    """The newest rehearsals of a run, in files of one conversation each; to draw from as from a pool.

    With helpers, which take their time, a rehearsal is drawn from when the next one begins.
    """

    folder: Path
    recipe: Recipe
    rows: list[Arrays] = field(default_factory=list)
    _looked_at: int = -1

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def hold(self, checkpoint: Checkpoint, progress: Progress, part: Sequence[int]) -> None:
        """Rehearse once: `part` names the conversations of this rehearsal to hold here, counted from 0."""
        if progress.share < self.recipe.rehearsal.begin:
            return
        first = FIRST_NUMBER + progress.step * self.recipe.rehearsal.conversations
        traces = talks(checkpoint, [first + i for i in part], self.recipe)
        for i, trace in zip(part, traces, strict=True):
            cells = cells_of(trace, vocabulary(), checkpoint.model.dmel, families=tuple(self.recipe.pool.families), wanted=wanted_in(trace))
            write_shard(self.folder / f"{progress.step:08d}-{i:04d}.npz", [packed(cells)])

    def look(self, step: int) -> None:
        """Read the newest rehearsals up to this step, and clear away those that are long past, or of a future that was given up."""
        every = self.recipe.train.rehearse_every
        if not every or step // every == self._looked_at:
            return
        self._looked_at = step // every
        by_step: dict[int, list[Path]] = {}
        for path in sorted(self.folder.glob("*.npz")):
            by_step.setdefault(int(path.stem.split("-")[0]), []).append(path)
        keep = self.recipe.rehearsal.keep
        newest = step - every if self.recipe.pool.helpers else step
        past = [number for number in by_step if number <= newest]
        coming = {number for number in by_step if newest < number <= step}
        for number in set(by_step) - coming - set(past[-KEPT_LONGER * keep :]):
            for path in by_step[number]:
                path.unlink(missing_ok=True)
        self.rows = [row for number in past[-keep:] for path in by_step[number] for row in read_shard(path)]


def talks(checkpoint: Checkpoint, numbers: Sequence[int], recipe: Recipe) -> list[Trace]:
    """The sessions of the model with the users of these numbers, all in lockstep."""
    agent = NeuralAgent(checkpoint)
    cast = Cast(agent)
    sessions, traces = [], []
    for number in numbers:
        user = someone(number, "espeak", weights=recipe.pool.families)
        sessions.append(Session.start(cast.of(user), clock=agent.clock, seed=number))
        traces.append(record(sessions[-1], labels=dict(user.script.labels)))
    while running := [session for session in sessions if not session.done]:
        advance(running)
    return traces
