"""Sweeps the knobs of the turn-based pipeline, one after the other, on scenarios and voices that no comparison uses.

    python benchmarks/sweep_pipeline.py --vad silero --out docs/pipeline_sweep.json
    python benchmarks/sweep_pipeline.py --vad energy --out docs/pipeline_sweep.json

Voices are those that training may hear, espeak-ng's of the training set and festival's American voice, which the recogniser understands
better; seeds are far from those of `microturn evaluate`. So what is shown there was not tuned on. Every knob takes each of its values
while the others stay; the value with the most right (meaning and time window both, mean over families) is kept, of equals the one with the
sooner reply, and of equals in that the one that was there. The file holds a row for every setting with how many of how many were right,
and what recognising took here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from workbench.adapters.pipeline import Ear, Knobs, Pipeline, measured_compute, world_ear
from workbench.evaluate import evaluate
from workbench.packets import Audio
from workbench.scoring.score import Outcome

SEED = 7_000_000
VOICES = ("train", "festival")
START = Knobs(hang_s=0.4, margin_db=9.0, onset_s=0.06, barge_in_s=0.6, resume=True)
BAR: Mapping[str, tuple[str, tuple[float, ...]]] = {"silero": ("voice_p", (0.3, 0.7, 0.85)), "energy": ("margin_db", (6.0, 12.0, 15.0))}
FAMILIES = "answer,think_pause,self_correction,invitation,stop,backchannel,new_question,redirect,other_directed,timer"


MEASURED = 20  # utterances on which recognising is timed


@dataclass
class Remembering:
    """A recogniser that hears no sound twice, as many settings cut the same utterances. `heard`: some of the sounds."""

    ear: Ear
    known: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    heard: list[Audio] = field(default_factory=list)

    def hear(self, samples: Audio) -> tuple[str, ...]:
        key = samples.tobytes()
        if key not in self.known:
            self.known[key] = self.ear.hear(samples)
            self.heard += [samples] if len(self.heard) < MEASURED else []
        return self.known[key]


@dataclass(frozen=True)
class Ground:
    """What every setting is played on: families, and how many episodes of each in every voice set of `VOICES`."""

    families: tuple[str, ...]
    count: int
    ear: Remembering

    def row(self, knobs: Knobs, changed: Mapping[str, Any]) -> dict[str, Any]:
        """How a setting did: right of all, the mean over families in %, each family, and the median reply (s)."""
        found: dict[str, list[Outcome]] = {name: [] for name in self.families}
        for voices in VOICES:
            report = evaluate(Pipeline(knobs, lambda: self.ear), self.families, voices, self.count, SEED)
            for episode in report.episodes:
                found[episode.family] += episode.outcomes
        flat = [outcome for outcomes in found.values() for outcome in outcomes]
        shares = {name: fmean(outcome.both for outcome in outcomes) for name, outcomes in found.items()}
        replies = [outcome.latency_s for outcome in flat if outcome.what == "reply" and outcome.latency_s is not None]
        return {
            **changed,
            "mean_both_percent": round(100 * fmean(shares.values()), 1),
            "right": sum(outcome.both for outcome in flat),
            "of": len(flat),
            "reply_s": round(median(replies), 2) if replies else None,
            "families_percent": {name: round(100 * share) for name, share in shares.items()},
        }


def values_of(vad: str) -> dict[str, tuple[Any, ...]]:
    """The knobs that are swept, in order, each with its values besides the one it starts with."""
    bar, values = BAR[vad]
    return {
        "hang_s": (0.2, 0.3, 0.5, 0.7),
        bar: values,
        "barge_in_s": (0.2, 0.4, 0.8, 1.0, 1.4),
        "resume": (False,),
    }


def sweep(vad: str, ground: Ground) -> dict[str, Any]:
    """The rows of a detector, the first its start, and its best setting; each row is printed when it is there."""
    best, knobs = ground.row(replace(START, vad=vad), {"setting": "start"}), replace(START, vad=vad)
    rows = [best]
    print(json.dumps(best), flush=True)
    for name, values in values_of(vad).items():
        here = knobs
        for value in values:
            tried = replace(here, **{name: value})
            row = ground.row(tried, {"setting": f"{name}={value}"})
            print(json.dumps(row), flush=True)
            rows.append(row)
            if _better(row, best):
                best, knobs = row, tried
    chosen = {name: getattr(knobs, name) for name in values_of(vad)}
    return {"start": {name: getattr(START, name) for name in values_of(vad)}, "rows": rows, "best": chosen, "best_row": best["setting"]}


def _better(row: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    one, other = ((found["mean_both_percent"], -(found["reply_s"] or 0.0)) for found in (row, best))
    return one > other


def write(path: Path, vad: str, found: Mapping[str, Any], ground: Ground) -> None:
    """Put a detector's sweep into the file, beside what is there of the other."""
    whole = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    base, slope = measured_compute(ground.ear.ear, ground.ear.heard)
    whole[vad] = {
        "command": f"python benchmarks/sweep_pipeline.py --vad {vad} --count {ground.count} --families {','.join(ground.families)}",
        "voices": list(VOICES),
        "families": list(ground.families),
        "episodes": ground.count * len(VOICES) * len(ground.families),
        "first_seed": SEED,
        "recognising_s": {"per_utterance": round(base, 3), "per_second_of_sound": round(slope, 3), "utterances": len(ground.ear.heard)},
        **found,
    }
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("--vad", choices=list(BAR), default="silero")
    options.add_argument("--count", type=int, default=3, help="episodes of each family in each of the two voice sets at every setting")
    options.add_argument("--families", default=FAMILIES)
    options.add_argument("--out", type=Path, default=None, help="a JSON file for the table")
    asked = options.parse_args()
    ground = Ground(tuple(asked.families.split(",")), asked.count, Remembering(world_ear()))
    found = sweep(asked.vad, ground)
    print("best:", json.dumps(found["best"]))
    if asked.out is not None:
        write(asked.out, asked.vad, found, ground)


if __name__ == "__main__":
    main()
