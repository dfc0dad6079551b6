"""What every process of a run with torchrun does in `test_model_parallel.py`: the same run with copies, with shards, and resumed."""

from __future__ import annotations

import faulthandler
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from model.checkpoint import fresh_model
from model.config import MoEConfig
from model.parallel import Group, join, leave
from model.train import Hooks, TrainConfig, train
from tests.model_fakes import tiny_config, train_config
from tests.test_model_train import PLAIN, SETTINGS, Clock, batches, broken_off

CONFIG = tiny_config(MoEConfig(hidden=32, num_experts=4, top_k=2, num_shared=1))
DRAWN = batches(CONFIG, replace(PLAIN, rows=2))
LIMIT_S = 600  # seconds on a machine that is busy with other things; 10 on one that is not


def plan(**changes: object) -> TrainConfig:
    settings = {**SETTINGS, "save_every_minutes": 0.0, "log_every": 1, "steps": 4, "parts": 2, "own_heard": 0.5, "rehearse_every": 2}
    return train_config(**{**settings, **changes})


def run(out: Path, group: Group, *, at: int | None = None, resume: bool = False, **changes: object) -> None:
    drawn = DRAWN if at is None else broken_off(DRAWN, at)
    (out / "rehearsed").mkdir(parents=True, exist_ok=True)
    hooks = Hooks(rehearse=lambda model, progress: (out / "rehearsed" / f"{progress.step}-{group.rank}").touch())
    families = ("early", "late")
    train(fresh_model(CONFIG, 0), drawn, plan(**changes), out, now=Clock(), group=group, families=families, hooks=hooks, resume=resume)


def main(out: Path) -> None:
    faulthandler.dump_traceback_later(LIMIT_S - 60)  # a process that waits for ever says where
    group = join("cpu")
    run(out / "copies", group, shard=False)
    run(out / "shards", group, shard=True)
    with suppress(KeyboardInterrupt):
        run(out / "resumed", group, shard=True, at=2)
    run(out / "resumed", group, shard=True, resume=True)
    leave(group)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
