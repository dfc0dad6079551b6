"""What watching costs: the same ticks of the nano model, unwatched and with every hook point captured, in turn in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_hooks.py

Predicted before it was measured: a silent tick passes 23 points, 20 of them as views of 1 to 2 positions, about 4 us each for the call,
the places and the buffer, and about 20 us to say what the positions are: 0.1 ms in a tick of 5 ms, a ratio of 1.02. Target: under 1.10.
"""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch
from bench_model import Cell, after_an_hour

from model.config import nano
from model.hooks import Capture, Intervention, Watcher, add, hook_points, watching
from model.interaction import InteractionModel
from workbench.clock import few_pauses

TICKS = 150
WARM_UP = 20


def ticks_ms(runs: dict[str, tuple[Cell, tuple[Watcher, ...]]]) -> dict[str, list[float]]:
    """CPU milliseconds of every tick of every run, a tick of each in turn so that all meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(WARM_UP + TICKS):
        for name, (tick, watchers) in runs.items():
            start = time.process_time_ns()
            with watching(tick.model, *watchers) if watchers else nullcontext():
                tick()
            times[name].append((time.process_time_ns() - start) / 1e6)
    return {name: sorted(spent[WARM_UP:]) for name, spent in times.items()}


def main() -> None:
    torch.manual_seed(0)
    model = InteractionModel(nano()).eval()
    state = after_an_hour(model, 2)
    points = list(hook_points(model.config))
    steer = Intervention(add(torch.randn(model.config.trunk.width)), ["layer.3.residual"])
    for tokens, said in ((0, "silent"), (2, "says two words")):
        watched: dict[str, tuple[Watcher, ...]] = {
            "unwatched": (),
            "unwatched again": (),
            "one point captured": (Capture(["layer.3.residual"]),),
            f"all {len(points)} points captured": (Capture(points),),
            "one point changed": (steer,),
        }
        times = ticks_ms({name: (Cell(model, state.clone(), tokens), watchers) for name, watchers in watched.items()})
        print(f"\none tick, {said}, {torch.get_num_threads()} thread(s), CPU time; target: every point captured at a ratio under 1.10")
        print(f"{'':24s}{'p10':>10s}{'ratio':>8s}{'p50':>10s}{'ratio':>8s}")
        plain = sorted(times["unwatched"] + times["unwatched again"])
        unwatched = [plain[int(len(plain) * at)] for at in (0.1, 0.5)]
        for name, spent in times.items():
            low, middle = (spent[int(len(spent) * at)] for at in (0.1, 0.5))
            ratios = [ms / alone for ms, alone in zip((low, middle), unwatched, strict=True)]
            print(f"{name:24s}{low:7.2f} ms{ratios[0]:8.3f}{middle:7.2f} ms{ratios[1]:8.3f}")


if __name__ == "__main__":
    with torch.inference_mode(), few_pauses():
        main()
