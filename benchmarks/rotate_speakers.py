"""Whoever is left out: sums in the digits of each recorded person, by a model that never heard that person.

    python benchmarks/rotate_speakers.py --out runs/rotation [--minutes 45] [--branch-minutes 10] [--processes 2] [--count 60]

One model of the first eight families learns from random weights without the digits of the four people who are asked; from it, one branch
for each of them goes on with the digits of the three others. Each branch is then asked sums by the person it never heard, in closed loop.
The folder in MICROTURN_SPEECH holds the recordings; digits of further people in it (see `gather_recordings.py`) are in all of these
trainings. A training that has finished (the file `finished` in its folder tells) is not done again, and
one that was broken off goes on from its last save, so a broken rotation goes on where it stopped. Writes `results.json`; how it went is
in LOG.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.recipe import Recipe
from model.settings import to_toml
from workbench.evaluate import evaluate
from workbench.neural.agent import load_agent
from workbench.neural.recipe import load_recipe
from workbench.recordings import speakers
from workbench.voices import DIGIT_SPEAKERS

TEST_SEED = 1_000_000
ASKED = ("answer", "think_pause", "self_correction", "stop", "long_count")
FAMILIES = {
    "answer": 6.0,
    "self_correction": 2.0,
    "think_pause": 1.5,
    "stop": 0.5,
    "backchannel": 0.5,
    "other_directed": 0.5,
    "timer": 0.4,
    "long_count": 0.6,
}
SOURCES = {"espeak": 0.11, "accents": 0.37, "rhvoice": 0.1, "festival": 0.04, "recorded": 0.38}
WITH_PEOPLE = {"espeak": 0.06, "accents": 0.24, "rhvoice": 0.06, "festival": 0.02, "recorded": 0.62}


def of_eight_families(minutes: float, others: Sequence[str] = ()) -> Recipe:
    """The recipe of the model that all branches begin from, which hears the digits of `others` and the collection of single words."""
    nano = load_recipe("nano")
    pool = replace(nano.pool, conversations=8000, first=1600, speakers=tuple(others), sources=SOURCES, families=FAMILIES)
    train = replace(nano.train, minutes=minutes, parts=2, decay_share=0.05, compile="off", evaluate_every_minutes=1000.0, rehearse_every=0)
    curriculum = replace(nano.curriculum, balance=0.0, boost=1.0, weights={"long_count": (1.5, 1.5)})
    return replace(nano, pool=pool, train=train, curriculum=curriculum, batch=replace(nano.batch, rows=12))


def without(person: str, base: Recipe, checkpoint: Path, minutes: float) -> Recipe:
    """The recipe of a branch: on from the base with the digits of all but one, at a rate that falls from full height to nearly nothing."""
    people = (*base.pool.speakers, *(other for other in DIGIT_SPEAKERS if other != person))
    pool = replace(base.pool, conversations=3000, first=320, speakers=people, sources=WITH_PEOPLE)
    train = replace(base.train, minutes=minutes, warmup_steps=20, decay_share=1.0)
    return replace(base, begin_from=str(checkpoint.resolve()), pool=pool, train=train)


def trained(recipe: Recipe, out: Path, processes: int, run: Callable[..., object] = subprocess.run) -> Path:
    """The checkpoint of a recipe, trained in that many processes unless that was done; a training that was broken off goes on.

    A checkpoint alone does not tell: one is written at every save.
    """
    finished = out / "finished"
    if not finished.exists():
        out.mkdir(parents=True, exist_ok=True)
        asked = out / "asked.toml"
        asked.write_text(to_toml(recipe), encoding="utf-8")
        torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "--no-python")
        microturn = (Path(sys.executable).with_name("microturn"), "train", "--recipe", asked, "--out", out, "--resume")
        run((*torchrun, *microturn), check=True)
        finished.touch()
    return out / f"{recipe.preset}.safetensors"


def asked_by(person: str, checkpoint: Path, count: int) -> dict[str, Any]:
    """What a model does when a recorded person asks it sums, stops it, and has it count."""
    report = evaluate(load_agent(checkpoint), ASKED, f"recorded:{person}", count, TEST_SEED).to_json()
    families = {name: {key: row[key] for key in ("n", "both", "ci95")} for name, row in report["families"].items()}
    return {"person": person, "count": count, "families": families, "rates": report["rates"], "heard_words": report["heard_words"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/rotation"))
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--branch-minutes", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--count", type=int, default=60)
    asked = parser.parse_args()
    recipe = of_eight_families(asked.minutes, [person for person in speakers() if person not in DIGIT_SPEAKERS])
    base = trained(recipe, asked.out / "base", asked.processes)
    rows = []
    for person in DIGIT_SPEAKERS:
        branch = without(person, recipe, base, asked.branch_minutes)
        rows.append(asked_by(person, trained(branch, asked.out / f"without_{person}", asked.processes), asked.count))
        plain = rows[-1]["rates"]["sum right, plain"]
        print(f"{person}: {plain['value']:.1%} of {plain['n']} plain sums right", flush=True)
        (asked.out / "results.json").write_text(json.dumps({"seed": TEST_SEED, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
