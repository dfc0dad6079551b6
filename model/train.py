"""One flat training loop: evaluate, save, step, log. It takes batches from anywhere and knows nothing of where they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.data import Batch
from model.interaction import InteractionModel, each_word_once
from model.losses import LossConfig, losses
from model.muon import Muon

Scores = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The recipe. Learning rates are Adam-sized for both optimisers; time is wall time spent training, evaluation included."""

    minutes: float = 100.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_steps: int = 100
    decay_share: float = 0.5  # the last part of the time, over which the rate falls to a fiftieth
    clip: float = 1.0
    log_every: int = 20
    save_every_minutes: float = 5.0
    evaluate_every_minutes: float = 15.0
    own_heard: float = 0.5  # share of steps that feed the model's own heard words back, not the true ones
    seed: int = 0
    bfloat16: bool | None = None  # None: where the processor multiplies bfloat16 itself; elsewhere it is many times slower than float32
    loss: LossConfig = field(default_factory=LossConfig)


@dataclass
class Progress:
    """How far a training has come; what a resumed one goes on from."""

    step: int = 0
    seconds: float = 0.0
    cells: int = 0
    next_save_s: float = 0.0
    next_evaluation_s: float = 0.0


def train(
    model: InteractionModel,
    batches: Iterator[Batch],
    config: TrainConfig,
    out: Path,
    *,
    now: Callable[[], float],
    evaluate: Callable[[InteractionModel], Scores] | None = None,
    export: Callable[[InteractionModel, Progress], None] | None = None,
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    resume: bool = False,
) -> Progress:
    """Train until the minutes are used up; the progress made.

    Writes `log.jsonl` (loss per kind of token, rate, closed-loop scores) and `training.pt` (to resume from) in `out`; calls `export`
    whenever it saves.
    """
    out.mkdir(parents=True, exist_ok=True)
    optimisers = build_optimisers(model, config)
    progress = _resume(out, model, optimisers) if resume else _fresh(out, config)
    generator = torch.Generator().manual_seed(config.seed + progress.step)
    last = now()
    window = _Window(last, progress.cells)
    model.train()
    while progress.seconds < config.minutes * 60:
        if evaluate and progress.seconds >= progress.next_evaluation_s:
            _log(out, report, {"step": progress.step, "minutes": progress.seconds / 60, "scores": evaluate(model.eval())})
            model.train()
            progress.next_evaluation_s = progress.seconds + config.evaluate_every_minutes * 60
            window = _Window(now(), progress.cells)
        if progress.seconds >= progress.next_save_s:
            progress.next_save_s = progress.seconds + config.save_every_minutes * 60
            _save(out, model, optimisers, progress)
            if export:
                export(model, progress)
        batch = next(batches)
        rate = learning_rate(config, progress)
        row = step(model, batch, optimisers, rate, config, generator)
        progress.step += 1
        progress.cells += int(batch.real_BT.sum())
        progress.seconds += now() - last
        last = now()
        window.add(row)
        if progress.step % config.log_every == 0:
            line = {"step": progress.step, "minutes": progress.seconds / 60, "rate": rate}
            _log(out, report, {**line, "cells_per_s": window.speed(last, progress.cells), "loss": window.means()})
            window = _Window(last, progress.cells)
    _save(out, model, optimisers, progress)
    if evaluate:
        _log(out, report, {"step": progress.step, "minutes": progress.seconds / 60, "scores": evaluate(model.eval())})
    if export:
        export(model.eval(), progress)
    return progress


def step(
    model: InteractionModel,
    batch: Batch,
    optimisers: list[torch.optim.Optimizer],
    rate: float,
    config: TrainConfig,
    generator: torch.Generator,
) -> dict[str, float]:
    """One update; the loss per kind of token."""
    with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bfloat16(config)):
        if float(torch.rand((), generator=generator)) < config.own_heard:
            batch.cells.heard_before_BTH = own_heard(model, batch)
        outputs, _ = model(batch.cells)
        total, row = losses(outputs, batch, config.loss)
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    total.backward()
    row["gradient"] = float(nn.utils.clip_grad_norm_(model.parameters(), config.clip))
    if not math.isfinite(row["gradient"]):
        raise FloatingPointError(
            f"the gradient is {row['gradient']} at a loss of {row['total']}; lower learning_rate or resume from the last save"
        )
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
    model.trunk.balance()
    return row


def computes_in_bfloat16(config: TrainConfig) -> bool:
    """Whether matrices are multiplied in bfloat16: as the configuration says, or where the processor has instructions for it."""
    if config.bfloat16 is not None:
        return config.bfloat16
    can = torch.cpu.get_capabilities()
    return any(can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@torch.no_grad()
def own_heard(model: InteractionModel, batch: Batch) -> Tensor:
    """The words the model itself hears in each cell before, (B, T, H): its own mistakes, which it must live with in a session."""
    outputs, _ = model(batch.cells)
    named = outputs.heard_BTHV.argmax(-1)
    words = each_word_once(named.flatten(1), torch.zeros_like(named[:, 0, 0])).view_as(named)
    return torch.cat([torch.zeros_like(words[:, :1]), words[:, :-1]], 1)


def build_optimisers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the trunk, AdamW for all else, as Inkling was trained (Muon + Adam)."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if name.startswith("trunk.") and p.ndim == 2 and min(p.shape) >= 32]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    decayed = [p for p in rest if p.ndim >= 2]
    plain = [p for p in rest if p.ndim < 2]
    precision = torch.bfloat16 if computes_in_bfloat16(config) else torch.float32
    muon = Muon(matrices, lr=config.learning_rate, weight_decay=config.weight_decay, dtype=precision)
    adam = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    return [muon, adam]


def learning_rate(config: TrainConfig, progress: Progress) -> float:
    """Warm up by steps, hold, then fall linearly over the last part of the time (to a fiftieth)."""
    warm = min(1.0, (progress.step + 1) / config.warmup_steps)
    left = max(0.0, 1.0 - progress.seconds / (config.minutes * 60))
    return config.learning_rate * warm * max(0.02, min(1.0, left / config.decay_share))


class _Window:
    """Means over the steps since the last line of the log."""

    def __init__(self, since: float, cells: int) -> None:
        self.since = since
        self.cells = cells
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, row: dict[str, float]) -> None:
        for name, value in row.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        return {name: round(total / self.counts[name], 5) for name, total in self.sums.items()}

    def speed(self, at: float, cells: int) -> float:
        return round((cells - self.cells) / max(at - self.since, 1e-9), 1)


def _fresh(out: Path, config: TrainConfig) -> Progress:
    """Nothing trained yet, and nothing worth an evaluation: an untrained model only babbles."""
    (out / "log.jsonl").write_text("")
    return Progress(next_evaluation_s=config.evaluate_every_minutes * 60)


def _log(out: Path, report: Callable[[dict[str, Any]], None], row: dict[str, Any]) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    report(row)


def _save(out: Path, model: nn.Module, optimisers: list[torch.optim.Optimizer], progress: Progress) -> None:
    partial = out / "training.partial"
    torch.save({"model": model.state_dict(), "optimisers": [o.state_dict() for o in optimisers], "progress": asdict(progress)}, partial)
    partial.replace(out / "training.pt")


def _resume(out: Path, model: nn.Module, optimisers: list[torch.optim.Optimizer]) -> Progress:
    path = out / "training.pt"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist, so there is nothing to resume; start without --resume")
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    return Progress(**saved["progress"])
