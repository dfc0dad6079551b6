"""One flat training loop: evaluate, save, rehearse, step, log. It takes batches from anywhere and knows nothing of where they come from.

A step is addressed: what is drawn in step n depends on the seed, n and the progress made. So a run broken off and resumed is, bit for bit,
the run that went on, where all else of it depends on steps alone: it counts `steps`, its batches come from a pool that is full, and no
evaluation, which come by wall time, changes what is drawn. Otherwise it is a run like it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from model.data import Batch, addressed
from model.interaction import InteractionModel, each_word_once
from model.layout import Vocabulary
from model.losses import LossConfig, losses
from model.muon import Muon
from model.parallel import Group, at_work, load_model, load_optimiser
from model.saved import SAVED, kind_of, read_saved, write_saved
from model.settings import at_least, positive, shares
from model.tensors import gathered, whole

OWN_HEARD = 1  # last part of the address of the draw that decides whose heard words a step feeds back


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train, given by a recipe. Learning rates are Adam-sized for both optimisers; time is wall time, evaluation included.

    Attributes
        steps: length of the run; 0 leaves it to `minutes`
        parts: batches a step, whose gradients are averaged
        sharpen: how many times the rate the gains of queries and keys learn with. Scores are divided by the head size, not its root, so
            these gains alone make attention sharp, and at the common rate they take thousands of steps
        warmup_steps: over which the rate rises to its full height; 0 begins there
        decay_share: the last part of the run, over which the rate falls to a fiftieth; 0 leaves it at its full height
        own_heard: share of steps that feed the model's own heard words back, not the true ones
        device: "auto" is a GPU where there is one
        precision: of matrix products; "auto" is bfloat16 on a GPU and where the processor has instructions for it
        compile: whether layers are compiled; "auto" is on a GPU
        shard: with many processes, whether each keeps a part of the weights (FSDP2) or all of them
        rehearse_every: steps between two rehearsals (the model at work, to learn from what it did); 0 for none
    """

    seed: int
    minutes: float
    steps: int
    parts: int
    learning_rate: float
    sharpen: float
    weight_decay: float
    warmup_steps: int
    decay_share: float
    clip: float
    log_every: int
    save_every_minutes: float
    evaluate_every_minutes: float
    rehearse_every: int
    own_heard: float
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "bfloat16", "float32"]
    compile: Literal["auto", "on", "off"]
    shard: bool
    loss: LossConfig

    def __post_init__(self) -> None:
        if self.minutes <= 0 and self.steps <= 0:
            raise ValueError(f"minutes {self.minutes:g} and steps {self.steps} are no time to train; give one of them a positive number")
        if self.parts < 1:
            raise ValueError(f"parts = {self.parts} leaves a step without a batch; give at least 1")
        at_least(self, 1, "give the steps between two lines of the log, e.g. 20", "log_every")
        at_least(self, 0, "a seed is a whole number from 0 on", "seed")
        at_least(self, 0, "0 leaves it to the other of the two", "steps", "minutes")
        at_least(self, 0, "0 does without", "weight_decay", "warmup_steps", "rehearse_every")
        at_least(self, 0, "give the minutes between two", "save_every_minutes", "evaluate_every_minutes")
        positive(self, "at 0 nothing is learned", "learning_rate", "sharpen", "clip")
        shares(self, "0 does without, 1 is all of the run", "decay_share", "own_heard")


@dataclass(frozen=True)
class Verdict:
    """What an evaluation found, 0 to 1 or in the unit its name tells: scores of all kinds, and one score for each family."""

    scores: Mapping[str, float]
    families: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Progress:
    """How far a training has come; what a resumed one goes on from. `share` runs from 0 to 1; `families` are the newest scores."""

    step: int = 0
    seconds: float = 0.0
    share: float = 0.0
    cells: int = 0
    next_save_s: float = 0.0
    next_evaluation_s: float = 0.0
    families: dict[str, float] = field(default_factory=dict)


Batches = Callable[[Progress, int], Batch]
"""The batch of a step (`progress.step`) and one of its parts; the same arguments give the same batch."""


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What a run does beside training. All are given a copy of the model that is ready to work; `export` is called at every save."""

    evaluate: Callable[[InteractionModel], Verdict] | None = None
    rehearse: Callable[[InteractionModel, Progress], None] | None = None
    export: Callable[[InteractionModel, Progress], None] | None = None
    report: Callable[[dict[str, Any]], None] = lambda row: None


def train(
    model: InteractionModel,
    batches: Batches,
    config: TrainConfig,
    out: Path,
    *,
    now: Callable[[], float],
    group: Group | None = None,
    families: Sequence[str] = (),
    vocabulary: Vocabulary | None = None,
    hooks: Hooks | None = None,
    resume: bool = False,
) -> Progress:
    """Train until the steps or the minutes are used up; the progress made. `families` names the numbers in `Batch.family_BT`, from 1;
    `vocabulary` the words behind the numbers of tokens, which a resumed run must share.

    With a `group` of many processes each works on its share of the parts of every step; the first one writes.

    Writes `log.jsonl` (loss per kind of token and per family, rate, closed-loop scores) and `training.pt` (to resume from) in `out`, in
    place of those of an earlier training unless it resumes that. Raises FileNotFoundError or ResumeError, and has written nothing then,
    when there is nothing to resume, or what there is cannot be read or is of another model.
    """
    hooks, group = hooks or Hooks(), group or Group()
    if config.parts % group.size:
        raise ValueError(f"parts = {config.parts} cannot be shared evenly by {group.size} processes; give a multiple")
    group.place(model, sharded=config.shard, compiled=compiles(config, group.device))
    optimisers = build_optimisers(model, config, group.device)
    kind = kind_of(model.config, vocabulary)
    progress = _resume(out, kind, model, optimisers, group) if resume else _fresh(out, config, group)
    progress.share = share_done(config, progress)
    last = now()
    window = _Window(last, progress.cells)
    model.train()
    while progress.share < 1.0:
        if hooks.evaluate and progress.seconds >= progress.next_evaluation_s:
            progress.next_evaluation_s = progress.seconds + config.evaluate_every_minutes * 60
            _evaluate(out, model, progress, hooks, group)
            window = _Window(now(), progress.cells)
        if progress.step and progress.seconds >= progress.next_save_s:
            progress.next_save_s = progress.seconds + config.save_every_minutes * 60
            _save(out, kind, model, optimisers, progress, hooks, group)
        if hooks.rehearse and config.rehearse_every and progress.step % config.rehearse_every == 0:
            hooks.rehearse(at_work(model), progress)
            group.gathered(None)  # all have written before any reads
        parts = [batches(progress, part) for part in group.share(config.parts)]
        cells = sum(int(batch.real_BT.sum()) for batch in parts)
        rate = learning_rate(config, progress)
        rows = step(model, [batch.to(group.device) for batch in parts], optimisers, rate, config, progress.step, group)
        passed_s, cells = group.summed((now() - last) * group.first, cells)
        progress.step += 1
        progress.cells += int(cells)
        progress.seconds += passed_s
        progress.share = share_done(config, progress)
        last = now()
        window.add(rows)
        if progress.step % config.log_every == 0:
            line = {"step": progress.step, "minutes": progress.seconds / 60, "rate": rate}
            loss, family_loss = window.means(families, group)
            _log(out, hooks, group, {**line, "cells_per_s": window.speed(last, progress.cells), "loss": loss, "family_loss": family_loss})
            window = _Window(last, progress.cells)
    _save(out, kind, model, optimisers, progress, hooks, group)
    if hooks.evaluate:
        _evaluate(out, model, progress, hooks, group)
    return progress


def step(
    model: InteractionModel,
    parts: Sequence[Batch],
    optimisers: list[torch.optim.Optimizer],
    rate: float,
    config: TrainConfig,
    number: int,
    group: Group,
) -> list[tuple[dict[str, float], dict[int, float]]]:
    """One update on the mean gradient of the parts, here and elsewhere; for each part here the loss per kind of token and per family."""
    tallies = []
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    feeds_back = float(torch.rand((), generator=addressed(config.seed, number, OWN_HEARD))) < config.own_heard
    for batch in parts:
        with torch.autocast(group.device.type, torch.bfloat16, enabled=computes_in_bfloat16(config, group.device)):
            if feeds_back:
                batch.cells.heard_before_BTH = own_heard(model, batch)
            outputs, _ = model(batch.cells)
            total, tally = losses(outputs, batch, config.loss)
        (total / len(parts)).backward()
        tallies.append(tally)
    norm = gathered(nn.utils.clip_grad_norm_(model.parameters(), config.clip))
    for optimiser in optimisers:
        for settings in optimiser.param_groups:
            settings["lr"] = rate * settings.get("faster", 1.0)
        optimiser.step()
    group.balance(model)
    rows = [tally.read() for tally in tallies]  # after all work is given out: reading waits for the device
    gradient = float(norm)  # where it is no number the weights are none by now either, and the run ends before it saves any
    if not math.isfinite(gradient):
        raise FloatingPointError(
            f"the gradient is {gradient} at a loss of {rows[-1][0]['total']}; lower learning_rate or resume from the last save"
        )
    return [({**row, "gradient": gradient}, by_family) for row, by_family in rows]


def compiles(config: TrainConfig, device: torch.device) -> bool:
    """Whether layers are compiled: as the recipe says, or on a GPU."""
    return config.compile == "on" or (config.compile == "auto" and device.type == "cuda")


def computes_in_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """Whether matrices are multiplied in bfloat16: as the recipe says, or where that is faster than float32."""
    return multiplies_bfloat16(device) if config.precision == "auto" else config.precision == "bfloat16"


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether this is a GPU or a processor with instructions for it; elsewhere products are emulated, many times slower than float32."""
    if device.type == "cuda":
        return True
    can = torch.cpu.get_capabilities()
    return any(can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@torch.no_grad()
def own_heard(model: InteractionModel, batch: Batch) -> Tensor:
    """The words the model itself hears in each cell before, (B, T, H): its own mistakes, which it must live with in a session."""
    outputs, _ = model(batch.cells)
    named = outputs.heard_BTHV.argmax(-1)
    words = each_word_once(named.flatten(1), torch.zeros_like(named[:, 0, 0])).view_as(named)
    return torch.cat([torch.zeros_like(words[:, :1]), words[:, :-1]], 1)


def build_optimisers(model: nn.Module, config: TrainConfig, device: torch.device) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the trunk, AdamW for all else, as Inkling was trained (Muon + Adam)."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if name.startswith("trunk.") and p.ndim == 2 and min(p.shape) >= 32]
    chosen = {id(p) for p in matrices}
    gains = [p for name, p in named if name.endswith(("query_norm.weight", "key_norm.weight"))]
    chosen |= {id(p) for p in gains}
    rest = [p for _, p in named if id(p) not in chosen]
    decayed = [p for p in rest if p.ndim >= 2]
    plain = [p for p in rest if p.ndim < 2]
    precision = torch.bfloat16 if computes_in_bfloat16(config, device) else torch.float32
    muon = Muon(matrices, lr=config.learning_rate, weight_decay=config.weight_decay, dtype=precision)
    adam = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
            {"params": gains, "weight_decay": 0.0, "faster": config.sharpen},
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    return [muon, adam]


def share_done(config: TrainConfig, progress: Progress) -> float:
    """How much of the run lies behind, by its steps if it has a number of them, else by its minutes."""
    return progress.step / config.steps if config.steps else progress.seconds / (config.minutes * 60)


def learning_rate(config: TrainConfig, progress: Progress) -> float:
    """Warm up by steps, hold, then fall linearly over the last part of the run (to a fiftieth); without a last part it holds."""
    warm = min(1.0, (progress.step + 1) / max(1, config.warmup_steps))
    left = max(0.0, 1.0 - share_done(config, progress))
    fall = max(0.02, min(1.0, left / config.decay_share)) if config.decay_share else 1.0
    return config.learning_rate * warm * fall


class _Window:
    """Means over the parts of steps since the last line of the log."""

    def __init__(self, since: float, cells: int) -> None:
        self.since = since
        self.cells = cells
        self.values: dict[str | int, list[float]] = {}

    def add(self, rows: Sequence[tuple[Mapping[str, float], Mapping[int, float]]]) -> None:
        for kinds, by_family in rows:
            for name, value in (*kinds.items(), *by_family.items()):
                self.values.setdefault(name, []).append(value)

    def means(self, families: Sequence[str], group: Group) -> tuple[dict[str, float], dict[str, float]]:
        """The mean loss per kind of token, and per family by its name, over all processes."""
        everywhere = group.gathered(self.values)
        names = dict.fromkeys(name for found in everywhere for name in found)
        values = {name: [value for found in everywhere for value in found.get(name, ())] for name in names}
        mean = {name: round(sum(each) / len(each), 5) for name, each in values.items()}
        kinds = {name: value for name, value in mean.items() if isinstance(name, str)}
        return kinds, {name: mean[number] for number, name in enumerate(families, 1) if number in mean}

    def speed(self, at: float, cells: int) -> float:
        return round((cells - self.cells) / max(at - self.since, 1e-9), 1)


def _fresh(out: Path, config: TrainConfig, group: Group) -> Progress:
    """Nothing trained yet, and nothing worth an evaluation or a save: an untrained model only babbles."""
    out.mkdir(parents=True, exist_ok=True)
    if group.first:
        (out / SAVED).unlink(missing_ok=True)  # it is of the training before, as the log was
        (out / "log.jsonl").write_text("")
    return Progress(next_save_s=config.save_every_minutes * 60, next_evaluation_s=config.evaluate_every_minutes * 60)


def _log(out: Path, hooks: Hooks, group: Group, row: dict[str, Any]) -> None:
    if group.first:
        with (out / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        hooks.report(row)


def _evaluate(out: Path, model: InteractionModel, progress: Progress, hooks: Hooks, group: Group) -> None:
    assert hooks.evaluate
    copy = at_work(model)
    found: Verdict = group.gathered(hooks.evaluate(copy) if group.first else None)[0]
    progress.families = dict(found.families)
    line = {"step": progress.step, "minutes": progress.seconds / 60}
    _log(out, hooks, group, {**line, "scores": dict(found.scores), "family_scores": dict(found.families)})


def _save(
    out: Path,
    kind: Mapping[str, Any],
    model: InteractionModel,
    optimisers: list[torch.optim.Optimizer],
    progress: Progress,
    hooks: Hooks,
    group: Group,
) -> None:
    state = {"model": whole(model.state_dict()), "optimisers": [whole(o.state_dict()) for o in optimisers], "progress": asdict(progress)}
    copy = at_work(model) if hooks.export else None
    if group.first:
        write_saved(out / SAVED, kind, state)
        if hooks.export and copy:
            hooks.export(copy, progress)


def _resume(out: Path, kind: Mapping[str, Any], model: InteractionModel, optimisers: list[torch.optim.Optimizer], group: Group) -> Progress:
    """The state of the last save; the log forgets what came after it."""
    saved = read_saved(out / SAVED, kind)
    load_model(model, saved["model"])
    for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
        load_optimiser(optimiser, state)
    progress = Progress(**saved["progress"])
    if group.first:
        log = out / "log.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        whole_lines = (line for line in lines if line.endswith("\n"))  # the last one may have been cut as the power failed
        log.write_text("".join(line for line in whole_lines if json.loads(line)["step"] <= progress.step))
    return progress
