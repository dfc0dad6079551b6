"""Sweeps the knobs of the turn-based pipeline on scenarios that no comparison uses, and names the best setting of all.

    python benchmarks/sweep_pipeline.py --count 4 --families answer,think_pause,stop,backchannel

Voices are those of training and seeds are far from those of `microturn evaluate`, so that what is shown there was not tuned on. The best
setting has the most episodes right in meaning and timing, mean over families; of equals the first.
"""

from __future__ import annotations

import argparse
import itertools
import json

from workbench.adapters.pipeline import Knobs, Pipeline
from workbench.evaluate import evaluate

SEED = 7_000_000
GRID = {"hang_s": (0.3, 0.5, 0.8), "barge_in_s": (0.3, 0.6), "margin_db": (6.0, 12.0)}
FAMILIES = "answer,think_pause,self_correction,stop,new_question,backchannel,other_directed,timer"


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("--count", type=int, default=4, help="episodes of each family at every setting")
    options.add_argument("--families", default=FAMILIES)
    asked = options.parse_args()
    found = []
    for values in itertools.product(*GRID.values()):
        knobs = Knobs(**dict(zip(GRID, values, strict=True)))
        whole = evaluate(Pipeline(knobs), asked.families.split(","), "train", asked.count, SEED).to_json()
        reply = whole["latency_s"].get("reply", {}).get("median")
        row = {**dict(zip(GRID, values, strict=True)), "both": round(whole["mean_both"], 3), "reply_s": reply and round(reply, 2)}
        row |= {name: round(family["both"], 2) for name, family in whole["families"].items()}
        print(json.dumps(row), flush=True)
        found.append(row)
    print("best:", json.dumps(max(found, key=lambda row: row["both"])))


if __name__ == "__main__":
    main()
