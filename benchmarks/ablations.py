"""What matters: one small model after another, each with one thing changed, the same talk to learn from, the same test.

    python benchmarks/ablations.py --out runs/ablations [--steps 1200] [--count 40] [--only NAME ...]

Each variant trains by `model/recipes/tiny.toml` on one thread, the same number of steps of the same hours of talk, and is then tested in
closed loop on unseen espeak-ng voices; what a step costs is counted in seconds of a core, so other work beside it matters little, and
compared on one computer only: each row names its own. A variant whose result is there is not run again, so a broken study goes on where it
stopped. Writes `results.json`, which `widgets.read_study` reads and `widgets.study_figure` draws.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from model.recipe import Changes, Recipe
from model.train import multiplies_bfloat16
from workbench.evaluate import evaluate
from workbench.neural.agent import load_agent
from workbench.neural.recipe import load_recipe, train_recipe

TEST_SEED = 7_000_000
AS_LONG = 0.65  # of the base's steps take the experts as long: a step costs 1.5 times as much of a core


@dataclass(frozen=True)
class Variant:
    """One thing changed: in the model, in the weights of the loss, or in what is trained on."""

    question: str
    says: str
    model: Changes = field(default_factory=Changes)
    train: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, float] = field(default_factory=dict)
    rehearsed: bool = True
    share: float = 1.0  # of the study's steps, where a step is dearer and the time is to be the same

    def of(self, base: Recipe, steps: int) -> Recipe:
        """The base recipe with this changed; a row lasts 30 s on any clock."""
        loss = replace(base.train.loss, **self.loss)
        train = replace(base.train, steps=round(steps * self.share), loss=loss, **self.train)
        batch = replace(base.batch, cells=base.batch.cells * 200 // self.model.tick_ms)
        rehearsal = base.rehearsal if self.rehearsed else replace(base.rehearsal, share=0.0)
        return replace(base, changes=self.model, train=train, batch=batch, rehearsal=rehearsal)


VARIANTS = {
    "base": Variant("base", "200 ms, dMel every 50 ms, dense, counter, hears itself, rehearses, silence 0.1"),
    "80 ms": Variant("tick", "cells of 80 ms, dMel every 40 ms", Changes(tick_ms=80, hop_ms=40)),
    "200 ms": Variant("tick", "cells of 200 ms, dMel every 40 ms", Changes(tick_ms=200, hop_ms=40)),
    "400 ms": Variant("tick", "cells of 400 ms, dMel every 40 ms", Changes(tick_ms=400, hop_ms=40)),
    "no counter": Variant("counter", "no cell counter", Changes(counter=False)),
    "deaf to itself": Variant("own voice", "no sound of its own voice", Changes(hears_itself=False)),
    "teacher's past": Variant(
        "own outputs", "no rehearsals, and always the true heard words", train={"own_heard": 0.0, "rehearse_every": 0}, rehearsed=False
    ),
    "experts": Variant("experts", "one shared and the best two of eight experts, a third of the width each", Changes(experts=8)),
    "sharp": Variant("sharpness", "gains of queries and keys learn eight times as fast", train={"sharpen": 8.0}),
    "log mel": Variant("sound", "log mel magnitudes instead of dMel levels", Changes(audio="log_mel")),
    "silence 0.02": Variant("silence", "sure silence weighs 0.02", loss={"silence": 0.02}),
    "silence 0.3": Variant("silence", "sure silence weighs 0.3", loss={"silence": 0.3}),
    "silence 1": Variant("silence", "sure silence weighs 1", loss={"silence": 1.0}),
    "base, again": Variant("seed", "the base once more, on the talk and the computer of the rows below it"),
    "base, 2": Variant("seed", "the base, trained with seed 1: other weights to begin with, another order of the talk", train={"seed": 1}),
    "base, 3": Variant("seed", "the base, trained with seed 2", train={"seed": 2}),
    "folded": Variant("fold", "the base once more, on the talk and the computer of the row below it"),
    "not folded": Variant("fold", "a position for each frame, as published; windows as long in seconds", Changes(fold=False)),
    "experts, as long": Variant("equal time", "experts for as many seconds of a core as the base", Changes(experts=8), share=AS_LONG),
    "experts, as long, 2": Variant("equal time", "the same, trained with seed 1", Changes(experts=8), train={"seed": 1}, share=AS_LONG),
    "experts, as long, 3": Variant("equal time", "the same, trained with seed 2", Changes(experts=8), train={"seed": 2}, share=AS_LONG),
}


def this_computer() -> str:
    """Its processor: rows of the same one are timed alike."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def result(name: str, steps: int, count: int, out: Path) -> dict[str, Any]:
    """Train and test one variant; its row of the table."""
    variant = VARIANTS[name]
    recipe = variant.of(load_recipe("tiny"), steps)
    folder = out / name.replace(" ", "-").replace("'", "")
    begun_s = time.process_time()
    checkpoint = train_recipe(recipe, folder, overwrite=True, report=lambda row: print(name, json.dumps(row), flush=True))
    spent_s = time.process_time() - begun_s
    last = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines() if "loss" in line][-1]
    agent = load_agent(checkpoint)
    report = evaluate(agent, agent.families, "unseen", count, TEST_SEED).to_json()
    progress = agent.facts["progress"]
    return {
        "name": name,
        "question": variant.question,
        "says": variant.says,
        "steps": progress["step"],
        "cpu_s_per_step": round(spent_s / progress["step"], 3),
        "computer": this_computer(),
        "hours_heard": round(progress["cells"] * recipe.changes.tick_ms / 3_600_000, 1),
        "parameters": agent.facts["parameters"],
        "last_loss": last["loss"],
        "mean_both": report["mean_both"],
        "mean_ci95": report["mean_ci95"],
        "families": {name: {key: row[key] for key in ("n", "both", "ci95")} for name, row in report["families"].items()},
        "rates": report["rates"],
        "latency_s": report["latency_s"],
        "false_starts": report["false_starts"],
        "restraint": report["restraint"],
        "word_error_rate": report["heard_words"]["word_error_rate"],
        "count": count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=VARIANTS)
    asked = parser.parse_args()
    every = load_recipe("tiny").train.log_every
    if asked.steps < every:
        parser.error(f"--steps {asked.steps} ends before the first line of the log; give {every} or more")
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "results.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    machine = "one core, " + ("bfloat16 products" if multiplies_bfloat16(torch.device("cpu")) else "float32")
    for name in asked.only:
        if name not in {row["name"] for row in rows}:
            rows.append(result(name, asked.steps, asked.count, asked.out))
            path.write_text(json.dumps({"machine": machine, "voices": "unseen", "seed": TEST_SEED, "rows": rows}, indent=1) + "\n")
            print(f"{name}: mean {rows[-1]['mean_both']:.2f}, {rows[-1]['steps']} steps", flush=True)


if __name__ == "__main__":
    main()
