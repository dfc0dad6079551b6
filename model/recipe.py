"""A recipe: all that a training run needs to be told, in one TOML file. `model/recipes/` holds those that come along."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from model.config import DenseConfig, ModelConfig, MoEConfig
from model.curriculum import CurriculumConfig
from model.data import DataConfig
from model.settings import at_least, read_settings, shares
from model.train import TrainConfig

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """Where training conversations come from.

    Attributes
        conversations: how many there are in all, shared out among the sources
        first: how many to have before the first step
        workers: processes that make them
        helpers: processes that prepare batches and hold rehearsals beside the one that trains; 0 leaves both to it
        speakers: people whose recorded digits are trained on
        sources: share of the rows of a batch that each source has
        families: chance of each family in a medley, per piece
    """

    conversations: int
    first: int
    workers: int
    speakers: tuple[str, ...]
    sources: dict[str, float]
    families: dict[str, float]
    helpers: int = 0

    def __post_init__(self) -> None:
        for name in ("sources", "families"):
            weights = getattr(self, name)
            if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
                raise ValueError(f"{name} = {weights} must give at least one of them a positive share and none a negative one")
        at_least(self, 1, "somebody has to make some", "conversations", "workers")
        at_least(self, 0, "0 does without", "first", "helpers")


@dataclass(frozen=True, kw_only=True)
class RehearsalConfig:
    """How a model learns from what it does itself: in closed loop with users, each cell taught what would have been right.

    Attributes
        conversations: how many each rehearsal holds
        begin: share of the run after which rehearsals begin; before it a model only babbles
        keep: rehearsals that are drawn from, the newest ones
        share: of the rows of a batch, once there has been a rehearsal
    """

    conversations: int
    begin: float
    keep: int
    share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.share < 1.0:
            raise ValueError(f"share = {self.share:g} of rehearsed rows must lie between 0 and 1, and leave some to a perfect agent's")
        if self.conversations < 1 or self.keep < 1:
            raise ValueError(f"conversations = {self.conversations} and keep = {self.keep} must be at least 1")
        shares(self, "1 is never", "begin")


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """How a model in training is scored: closed loop, `count` episodes of each family in the voices of one set."""

    count: int
    voices: str
    seed: int

    def __post_init__(self) -> None:
        at_least(self, 1, "give the episodes of each family that an evaluation plays, e.g. 4", "count")
        at_least(self, 0, "a seed is a whole number from 0 on", "seed")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What an ablation changes in the model that its preset names.

    Attributes
        tick_ms: length of a cell, a multiple of hop_ms
        hop_ms: from one dMel frame to the next; its window is twice as long
        counter: whether a cell mark carries the number of its cell
        hears_itself: whether the model gets the sound of its own voice
        audio: dMel levels, or the log mel magnitudes themselves
        fold: whether the frames of a cell share one position, where the preset has it so; else each has its own, as published, and windows
            are so many positions longer that they are as long in seconds
        experts: of the feed-forward layers; 0 leaves them as the preset has them, else one shared and the best two of so many each do
            a third of the work
    """

    tick_ms: int = 200
    hop_ms: int = 50
    counter: bool = True
    hears_itself: bool = True
    audio: Literal["dmel", "log_mel"] = "dmel"
    fold: bool = True
    experts: int = 0

    def __post_init__(self) -> None:
        if self.hop_ms < 1 or self.tick_ms < self.hop_ms or self.tick_ms % self.hop_ms:
            raise ValueError(f"tick_ms = {self.tick_ms} must be a multiple of hop_ms = {self.hop_ms}; a cell holds whole frames")
        if self.experts < 0 or self.experts == 1:
            raise ValueError(f"experts = {self.experts} must be at least 2, of which two are chosen; 0 leaves the layers as they are")

    def on(self, config: ModelConfig) -> ModelConfig:
        """The sizes with the changes made."""
        trunk = config.trunk
        if self.experts:
            if not isinstance(trunk.ffn, DenseConfig):
                raise ValueError(
                    f"experts = {self.experts} takes the place of dense layers, and this preset has experts; choose another preset"
                )
            each = MoEConfig(hidden=max(1, trunk.ffn.hidden // 3), num_experts=self.experts, top_k=2, num_shared=1)
            trunk = replace(trunk, ffn=each)
        frames = self.tick_ms // self.hop_ms
        if config.audio_fold > 1 and not self.fold:
            far = trunk.global_window
            trunk = replace(
                trunk,
                sliding_window=(1 + frames) * trunk.sliding_window,
                rel_extent=(1 + frames) * trunk.rel_extent,
                global_window=None if far is None else (1 + frames) * far,
            )
        return replace(
            config,
            trunk=trunk,
            hop_ms=self.hop_ms,
            frames_per_cell=frames,
            audio_fold=frames if self.fold and config.audio_fold > 1 else 1,
            audio_input=self.audio,
            counter_pairs=config.counter_pairs if self.counter else 0,
            hears_itself=self.hears_itself,
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run: the model's size, what it begins from ("" for random weights), its data, its training and its judge.

    `voice` is the voice it speaks with, a file or the one that comes along ("voice"), which is also what its own-voice position hears in
    training; "" is the synthesiser. `changes` make an ablation of it.
    """

    preset: str
    begin_from: str
    train: TrainConfig
    batch: DataConfig
    pool: PoolConfig
    curriculum: CurriculumConfig
    rehearsal: RehearsalConfig
    judge: JudgeConfig
    voice: str = ""
    changes: Changes = Changes()


def read_recipe(name: str | Path) -> Recipe:
    """The recipe of a file, or one that comes along, by name ("nano").

    Raises FileNotFoundError, with the names there are, or ValueError for a key, type or value that does not fit.
    """
    shipped = RECIPES / f"{name}.toml"
    path = shipped if shipped.exists() else Path(name)
    if not path.exists():
        names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise FileNotFoundError(f"no recipe {str(name)!r}; give a TOML file, or one of {names}")
    return read_settings(Recipe, path)
