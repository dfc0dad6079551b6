"""The recipe of the shipped checkpoint: conversations made in the background, batches drawn from them, training and its judge."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.checkpoint import Checkpoint, fresh_model, save_checkpoint
from model.config import ModelConfig, micro, nano
from model.data import Batch, DataConfig, collate
from model.dmel import DMel
from model.interaction import InteractionModel, num_parameters
from model.layout import LAYOUT_VERSION, Cells
from model.train import Progress, TrainConfig, train
from workbench.bank import cache_folder
from workbench.clock import StopWatch, pause
from workbench.conversations import Source, available, converse
from workbench.errors import InputError
from workbench.evaluate import evaluate
from workbench.neural.agent import NeuralAgent, load_agent
from workbench.neural.cells import cells_of, vocabulary
from workbench.pool import SHARD, Pool
from workbench.scenarios import FAMILIES
from workbench.version import VERSION


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the shipped checkpoint is trained: where conversations come from, and for how long."""

    preset: str = "nano"
    begin_from: str = ""
    """A checkpoint of the same sizes whose weights training begins from; empty: random ones."""
    minutes: float = 100.0
    learning_rate: float = 2e-3
    seed: int = 0
    conversations: int = 24_000
    first: int = 640  # conversations to have before the first step
    workers: int = 1
    shares: tuple[tuple[Source, float], ...] = (("espeak", 0.8), ("recorded", 0.14), ("festival", 0.06))
    speakers: tuple[str, ...] = ("jackson", "nicolas", "theo")  # of recorded digits; the fourth is for testing
    families: tuple[str, ...] = tuple(FAMILIES)
    evaluate_count: int = 6
    rows: int = 16


def conversation(
    number: int, source: Source = "espeak", speakers: tuple[str, ...] = (), families: tuple[str, ...] = tuple(FAMILIES)
) -> dict[str, np.ndarray[Any, Any]]:
    """Training conversation `number` of a source as the arrays of `Cells`; made in worker processes."""
    torch.set_num_threads(1)
    return dict(vars(cells_of(converse(number, source, speakers, families=families), vocabulary())))


def conversations_folder(families: tuple[str, ...] = tuple(FAMILIES)) -> Path:
    """Where training conversations are kept: one folder per cell layout, vocabulary and families, so that stale ones are never drawn."""
    words = zlib.crc32(repr((vocabulary(), families)).encode())
    return cache_folder() / f"conversations-{LAYOUT_VERSION}-{words:08x}"


def train_nano(recipe: Recipe, out: Path, *, resume: bool = False, report: Callable[[dict[str, Any]], None] = print) -> Path:
    """Train a model, from nothing or from a checkpoint, on two cores or fewer; the path of the checkpoint.

    Conversations are made in the background while training goes on. `out` receives the log, what is needed to resume, and the checkpoint.
    """
    config = _sized(recipe.preset)
    model = _beginning(config, recipe)
    pools = _pools(recipe)
    checkpoint = out / f"{recipe.preset}.safetensors"
    train_config = TrainConfig(minutes=recipe.minutes, seed=recipe.seed, learning_rate=recipe.learning_rate)
    facts = {"recipe": asdict(recipe), "families": recipe.families, "parameters": num_parameters(model), "made_with": VERSION}

    def export(model: InteractionModel, progress: Progress) -> None:
        save_checkpoint(checkpoint, model, vocabulary(), {**facts, "progress": asdict(progress)})

    def judge(model: InteractionModel) -> dict[str, Any]:
        agent = NeuralAgent(Checkpoint(model, vocabulary(), {"families": recipe.families}))
        return evaluate(agent, voices="train", count=recipe.evaluate_count, seed=900_000).summary()

    try:
        _wait_for(pools, recipe.first, report)
        batches = _batches(pools, recipe, config)
        train(model, batches, train_config, out, now=StopWatch().now, evaluate=judge, export=export, report=report, resume=resume)
    finally:
        for pool, _ in pools:
            pool.stop()
    return checkpoint


def _beginning(config: ModelConfig, recipe: Recipe) -> InteractionModel:
    """The model that training begins with. Raises CheckpointError or InputError when `begin_from` cannot serve."""
    if not recipe.begin_from:
        return fresh_model(config, recipe.seed)
    earlier = load_agent(recipe.begin_from)
    if earlier.model.config != config or earlier.words != vocabulary():
        raise InputError(f"{recipe.begin_from} has other sizes or words than a {recipe.preset} of this world; train that one from nothing")
    return earlier.model


def _sized(preset: str) -> ModelConfig:
    presets = {"nano": nano, "micro": micro}
    if preset not in presets:
        raise InputError(f"no preset {preset!r} to train; there are {', '.join(presets)}")
    words = vocabulary()
    return replace(presets[preset](), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard), vision=None)


def _pools(recipe: Recipe) -> list[tuple[Pool, float]]:
    """The pools to draw from with the share of each; a source that is not on this machine leaves its share to the first."""
    pools: list[tuple[Pool, float]] = []
    for source, share in recipe.shares:
        if available(source):
            name = "-".join((source, *recipe.speakers)) if source == "recorded" else source
            make = partial(conversation, source=source, speakers=recipe.speakers, families=recipe.families)
            most = max(SHARD, round(recipe.conversations * share))
            pool = Pool(conversations_folder(recipe.families) / name, make, most, recipe.workers if not pools else 1)
            pools.append((pool.start(), share))
    return pools


def _wait_for(pools: list[tuple[Pool, float]], first: int, report: Callable[[dict[str, Any]], None]) -> None:
    wanted = min(first, pools[0][0].most // SHARD * SHARD)
    while (have := pools[0][0].refresh()) < wanted or any(pool.refresh() == 0 for pool, _ in pools):
        report({"conversations": have, "wanted": wanted})
        pause(2.0)


def _batches(pools: list[tuple[Pool, float]], recipe: Recipe, config: ModelConfig) -> Iterator[Batch]:
    data = DataConfig(rows=recipe.rows)
    generator = torch.Generator().manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    dmel = DMel()
    for number in itertools.count():
        if number % 50 == 0:
            for pool, _ in pools:
                pool.refresh()
        extra = [int(rng.binomial(recipe.rows, share)) for _, share in pools[1:]]
        counts = [recipe.rows - sum(extra), *extra]
        rows = [Cells(**row) for (pool, _), count in zip(pools, counts, strict=True) for row in pool.draw(count, rng)]
        yield collate(rows, data, dmel, generator, config)
