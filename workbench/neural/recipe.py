"""A recipe carried out: conversations made in the background, batches drawn from them, training and its judge."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from model.checkpoint import Checkpoint, fresh_model, save_checkpoint
from model.config import ModelConfig, micro, nano, tiny
from model.dmel import DMel
from model.grow import grow
from model.interaction import InteractionModel, num_parameters
from model.layout import LAYOUT_VERSION, Cells
from model.parallel import Group, join, leave
from model.recipe import Recipe, read_recipe
from model.saved import SAVED, ResumeError, kind_of, read_saved
from model.settings import to_toml
from model.train import Hooks, Progress, Verdict, train
from model.voice import missing_words
from workbench.agents import Mouth
from workbench.bank import cache_folder
from workbench.clock import ClockSpec, StopWatch, pause
from workbench.conversations import SOURCES, Source, available, converse
from workbench.digests import conversing_code
from workbench.errors import CheckpointError, InputError
from workbench.evaluate import evaluate
from workbench.neural.agent import NeuralAgent, read_checkpoint
from workbench.neural.ahead import Helpers
from workbench.neural.batches import Batches, Stock
from workbench.neural.cells import cells_of, packed, vocabulary
from workbench.neural.kept import goes_on
from workbench.neural.own_voice import OwnVoice, voice_file, voice_of
from workbench.neural.rehearsal import Rehearsals
from workbench.pool import SHARD, Pool
from workbench.recordings import speakers as speakers_there
from workbench.scenarios import FAMILIES, family
from workbench.scenarios.facts import RESULT_WORDS
from workbench.store import save_trace
from workbench.version import VERSION
from workbench.voices import pick_voice

Frames: TypeAlias = tuple[int, int]
NEEDS = {  # of the sources that are not on every machine
    "recorded": "people's recordings, the folder named by MICROTURN_SPEECH",
    "festival": "the Debian packages festival and festvox-kdlpc16k",
    "rhvoice": "the Debian packages rhvoice and rhvoice-english",
}
FRAMES: Frames = (4, 50)  # in a cell, and milliseconds from one to the next
LOOK_STEPS = 50  # steps between two looks for new conversations
LOOK_SHARDS = 32  # that are read at one look: a quarter of a second, so that no batch waits long
PRESETS = {"tiny": tiny, "nano": nano, "micro": micro}


def load_recipe(name: str | Path) -> Recipe:
    """The recipe of a TOML file, or one that comes along, by name. Raises InputError that says what is wrong with it."""
    try:
        recipe = read_recipe(name)
    except (FileNotFoundError, ValueError) as error:
        raise InputError(str(error)) from None
    if recipe.preset not in PRESETS:
        raise InputError(f"no preset {recipe.preset!r} to train; there are {', '.join(PRESETS)}")
    for source in recipe.pool.sources:
        if source not in SOURCES:
            raise InputError(f"no source {source!r} of conversations; there are {', '.join(SOURCES)}")
    for section, names in (("pool.families", recipe.pool.families), ("curriculum.weights", recipe.curriculum.weights)):
        for one in names:
            if one not in FAMILIES:
                raise InputError(f"{name}: {section}: no scenario family {one!r}; there are {', '.join(FAMILIES)}")
    try:
        pick_voice(recipe.judge.voices, recipe.judge.seed)
    except InputError as error:
        raise InputError(f"{name}: judge: voices = {recipe.judge.voices!r}: {error}") from None
    try:
        recipe.changes.on(PRESETS[recipe.preset]())
    except ValueError as error:
        raise InputError(f"{name}: changes: {error}") from None
    return recipe


def conversation(
    number: int, source: Source, speakers: tuple[str, ...], families: dict[str, float], voice: str = "", frames: Frames = FRAMES
) -> dict[str, np.ndarray[Any, Any]]:
    """Training conversation `number` of a source as the arrays of `Cells`, the agent speaking with a voice; made in worker processes.

    `frames` is how many there are in a cell, and the milliseconds from one to the next.
    """
    torch.set_num_threads(1)
    own = voice_of(voice)
    mouth = Mouth() if own is None else Mouth(OwnVoice(own))
    many, hop_ms = frames
    hop = DMel.sample_rate * hop_ms // 1000
    trace = converse(number, source, speakers, weights=families, mouth=mouth, clock=ClockSpec(tick_ms=many * hop_ms))
    return packed(cells_of(trace, vocabulary(), DMel(hop_samples=hop, n_fft=2 * hop), families=tuple(families)))


def conversations_folder(families: dict[str, float], voice: str = "", frames: Frames = FRAMES) -> Path:
    """Where training conversations are kept: a folder of its own for every version of scenarios, layout, families, voice, and cell."""
    spoken = (zlib.crc32(voice_file(voice).read_bytes()),) if voice else ()
    cell = (vocabulary(), [f.name for f in fields(Cells)], *(frames if frames != FRAMES else ()))
    made_of = repr((conversing_code(), list(families.items()), *spoken, *cell))
    return cache_folder() / f"conversations-{LAYOUT_VERSION}-{zlib.crc32(made_of.encode()):08x}"


def train_recipe(
    recipe: Recipe, out: Path, *, resume: bool = False, overwrite: bool = False, report: Callable[[dict[str, Any]], None] = print
) -> Path:
    """Train a model as the recipe says, together with the other processes if torchrun started several; the path of the checkpoint.

    Conversations are made in the background while training goes on. `out` receives the recipe, the log, what is needed to resume, one
    session of each family from the newest evaluation, and the checkpoint.

    With `resume` it goes on from the last save in `out`, if there is one: bit for bit as if it had never been broken off where the recipe
    counts steps, the pool is full, no evaluation falls within the run (or the curriculum's `boost` is 1) and `helpers` is 0; else as a run
    like it. With `overwrite` it replaces what is there.

    Raises InputError when a training in `out` would be lost, and CheckpointError when what it kept cannot be read or is of another model;
    nothing has been written then.
    """
    going_on = goes_on([out / SAVED], _checkpoint(recipe, out), resume=resume, overwrite=overwrite)
    group = join(recipe.train.device)
    try:
        return _train(recipe, out, group, going_on, report)
    finally:
        leave(group)


def _checkpoint(recipe: Recipe, out: Path) -> Path:
    return out / f"{recipe.preset}.safetensors"


def _train(recipe: Recipe, out: Path, group: Group, going_on: bool, report: Callable[[dict[str, Any]], None]) -> Path:
    families = tuple(recipe.pool.families)
    begun = replace(_beginning(recipe), facts={"families": families, "results": RESULT_WORDS})
    checkpoint = _checkpoint(recipe, out)
    if going_on:
        _check_saved(out, begun)
    elif recipe.begin_from and Path(recipe.begin_from).resolve() == checkpoint.resolve():
        raise InputError(f"{recipe.begin_from} would be replaced by what begins from it; give another --out")
    facts = {**begun.facts, "recipe": asdict(recipe), "parameters": num_parameters(begun.model), "made_with": VERSION}

    def export(model: InteractionModel, progress: Progress) -> None:
        save_checkpoint(checkpoint, model, begun.vocabulary, {**facts, "progress": asdict(progress)}, begun.voice)

    def judge(model: InteractionModel) -> Verdict:
        agent = NeuralAgent(replace(begun, model=model))
        asked = recipe.judge
        found = evaluate(agent, families, asked.voices, asked.count, asked.seed)
        (out / "samples").mkdir(exist_ok=True)
        for name, trace in found.examples.items():
            (out / "samples" / f"{name}.sqlite").unlink(missing_ok=True)
            save_trace(trace, out / "samples" / f"{name}.sqlite")
        return Verdict(found.summary(), {name: row["both"] for name, row in found.to_json()["families"].items() if row["n"]})

    stocks, pools = _stocks(recipe, filled_here=group.first)
    rehearsals = Rehearsals(out / "rehearsals", recipe)

    def rehearse(model: InteractionModel, progress: Progress) -> None:
        share = group.share(recipe.rehearsal.conversations)
        if helpers:
            helpers.rehearse(rehearsals, replace(begun, model=model), progress, share)
        else:
            rehearsals.hold(replace(begun, model=model), progress, share)

    looked = 0

    def look(step: int) -> None:
        nonlocal looked
        rehearsals.look(step)
        if step - looked >= LOOK_STEPS:  # of a helper, who sees some of the steps
            looked = step
            for pool in pools:
                pool.refresh(LOOK_SHARDS)

    def tell(row: dict[str, Any]) -> None:
        for pool in pools:
            pool.check()
        report(row)

    hooks = Hooks(evaluate=judge, rehearse=rehearse, export=export, report=tell)
    batches = Batches([*stocks, Stock(rehearsals, recipe.rehearsal.share, len(families))], recipe, begun.model.config, look)
    helpers = None
    try:
        if group.first:
            _begin_writing(recipe, out, going_on)
        _wait_for(pools, recipe.pool.first, report)
        if recipe.pool.helpers:
            helpers = Helpers(recipe.pool.helpers, batches, group.share(recipe.train.parts))
        source, now = helpers or batches, StopWatch().now
        words = begun.vocabulary
        train(
            begun.model, source, recipe.train, out, now=now, group=group, families=families, vocabulary=words, hooks=hooks, resume=going_on
        )
    finally:
        if helpers:
            helpers.close()
        for pool in pools:
            pool.stop()
    return checkpoint


def _check_saved(out: Path, begun: Checkpoint) -> None:
    """Raises CheckpointError unless what was saved there is of this model: before anything is written, or conversations are waited for."""
    try:
        read_saved(out / SAVED, kind_of(begun.model.config, begun.vocabulary))
    except ResumeError as error:
        raise CheckpointError(f"{error} (and --from FILE to begin from a checkpoint made on the way)") from error


def _begin_writing(recipe: Recipe, out: Path, going_on: bool) -> None:
    """Write the recipe, and clear away what a training before left unless this one goes on from it."""
    out.mkdir(parents=True, exist_ok=True)
    if not going_on:
        for path in (out / SAVED, _checkpoint(recipe, out), *(out / "samples").glob("*.sqlite")):
            path.unlink(missing_ok=True)
    (out / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")


def _beginning(recipe: Recipe) -> Checkpoint:
    """What training begins with, and the voice that the recipe names; without one an earlier model's goes along if it can say all words.

    Raises CheckpointError or InputError when `begin_from` cannot serve.
    """
    config, words = sized(recipe), vocabulary()
    if not recipe.begin_from:
        return Checkpoint(fresh_model(config, recipe.train.seed), words, {}, voice_of(recipe.voice))
    earlier = read_checkpoint(Path(recipe.begin_from), "--from")
    try:
        model = grow(earlier, config, words, recipe.train.seed)
    except ValueError as error:
        raise InputError(f"{recipe.begin_from} cannot be grown into a {recipe.preset} of this world: {error}") from None
    inherited = earlier.voice if earlier.voice and not missing_words(earlier.voice, words.agent_words) else None
    return Checkpoint(model, words, {}, voice_of(recipe.voice) or inherited)


def sized(recipe: Recipe) -> ModelConfig:
    """The sizes of the recipe's model for the words of this world; it has eyes if one of its families needs them."""
    words = vocabulary()
    config = recipe.changes.on(PRESETS[recipe.preset]())
    config = replace(config, vocab_size=len(words.tokens), hear_vocab_size=len(words.heard))
    sees = any(family(name).group == "seeing" and weight > 0 for name, weight in recipe.pool.families.items())
    return config if sees else replace(config, vision=None)


def _stocks(recipe: Recipe, *, filled_here: bool) -> tuple[list[Stock], list[Pool]]:
    """Where to draw from, and the pools behind it, which one process of a run fills.

    A source that is not on this machine leaves its share to the first. Raises InputError when none of them is, and has begun nothing then.
    """
    stocks: list[Stock] = []
    pools: list[Pool] = []
    frames = (recipe.changes.tick_ms // recipe.changes.hop_ms, recipe.changes.hop_ms)
    asked = recipe.pool
    for source in _sources(asked.sources):
        share = asked.sources[source]
        speakers = _at_hand(asked.speakers) if source == "recorded" else ()
        name = "-".join((source, *speakers))
        make = partial(conversation, source=source, speakers=speakers, families=asked.families, voice=recipe.voice, frames=frames)
        most = max(SHARD, round(asked.conversations * share))
        pool = Pool(conversations_folder(asked.families, recipe.voice, frames) / name, make, most, 1 if pools else asked.workers)
        pools.append(pool.start() if filled_here else pool)
        stocks.append(Stock(pools[-1], share, len(asked.families)))
    return stocks, pools


def _sources(shares: Mapping[str, float]) -> list[Source]:
    """Those of the sources with a share that are on this machine. Raises InputError when none is."""
    asked = [source for source in SOURCES if shares.get(source, 0.0) > 0]
    there = [source for source in asked if available(source)]
    if not there:
        needs = "; ".join(f"{source} needs {NEEDS[source]}" for source in asked)
        raise InputError(f"none of the recipe's sources is on this machine: {needs}; install one, or give espeak a share in [pool.sources]")
    return there


def _at_hand(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the people asked for whose digits are on this machine. Raises InputError when none are."""
    there = speakers_there()
    found = tuple(name for name in asked if name in there)
    if asked and not found:
        raise InputError(f"the recipe's speakers {', '.join(asked)} are not among the recordings; there are {', '.join(there) or 'none'}")
    return found


def _wait_for(pools: list[Pool], first: int, report: Callable[[dict[str, Any]], None]) -> None:
    wanted = min(first, pools[0].most // SHARD * SHARD)
    while (have := pools[0].refresh()) < wanted or any(pool.refresh() == 0 for pool in pools):
        report({"conversations": have, "wanted": wanted})
        pause(2.0)
