"""Many processes train the model that one would: copies or shards, saved whole, resumed bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.checkpoint import fresh_model
from model.config import VisionConfig
from model.parallel import Group
from model.train import Progress, train
from tests.conftest import ROOT
from tests.test_model_train import Clock, assert_same_bits
from tests.train_together import CONFIG, DRAWN, LIMIT_S, plan, run


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of two processes, and beside them the same run of one."""
    out = tmp_path_factory.mktemp("together")
    torchrun(ROOT / "tests" / "train_together.py", out, logs=tmp_path_factory.mktemp("logs"))
    run(out / "alone", Group())
    return out


def torchrun(script: Path, *given: Path, logs: Path, limit_s: float = LIMIT_S) -> None:
    """Run a script in two processes of this machine. Where that fails, or takes too long, all that anybody wrote is in the message.

    torchrun has a free port given to it and keeps it, so none is taken between choice and use; the address is not looked up by name.
    """
    way = ("--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2", "--log-dir", str(logs), "--redirects", "3")
    command = [sys.executable, "-m", "torch.distributed.run", *way, str(script), *map(str, given)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (logs / "torchrun.log").open("w") as log:
        started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            how = f"ended with {started.wait(limit_s)}"
        except subprocess.TimeoutExpired:
            started.terminate()  # ends its processes too, which killing it would not
            started.wait()
            how = f"was not done after {limit_s:g} s"
    assert how == "ended with 0", f"torchrun {how}\n{_written(logs)}"


def _written(logs: Path) -> str:
    """What torchrun wrote, and each of its processes apart, as processes that fail together write into each other's lines."""
    return "\n".join(f"--- {path.relative_to(logs)}:\n{path.read_text(errors='replace')}" for path in sorted(logs.rglob("*.log")))


def test_a_run_that_fails_says_what_each_process_wrote(tmp_path: Path) -> None:
    script, logs = tmp_path / "fails.py", tmp_path / "logs"
    logs.mkdir()
    script.write_text("""
import os, sys
print(os.environ["RANK"], "is here", flush=True)
if os.environ["RANK"] == "1":
    sys.exit("1 broke")
""")
    with pytest.raises(AssertionError, match="torchrun ended with 1") as failed:
        torchrun(script, logs=logs)
    assert all(text in str(failed.value) for text in ("0 is here", "1 is here", "1 broke", "ChildFailedError", "exitcode  : 1"))


def losses(out: Path) -> torch.Tensor:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return torch.tensor([[*row["loss"].values(), *row["family_loss"].values()] for row in rows], dtype=torch.float64)


@pytest.mark.parametrize(("how", "near"), [("copies", 2e-5), ("shards", 1e-3)])
def test_two_processes_train_the_model_that_one_would(together: Path, how: str, near: float) -> None:
    torch.testing.assert_close(losses(together / how), losses(together / "alone"), rtol=near, atol=2e-5)
    ours, its = (torch.load(together / name / "training.pt") for name in (how, "alone"))
    assert ours["model"].keys() == its["model"].keys()
    for name, value in ours["model"].items():
        torch.testing.assert_close(value, its["model"][name], rtol=0, atol=10 * near, msg=lambda text, name=name: f"{name}: {text}")
    assert ours["progress"] == its["progress"]


def test_a_run_of_two_processes_resumes_bit_for_bit(together: Path) -> None:
    whole, resumed = (torch.load(together / name / "training.pt") for name in ("shards", "resumed"))
    assert_same_bits(whole, resumed)
    assert torch.equal(losses(together / "shards"), losses(together / "resumed"))


def test_one_process_goes_on_from_what_two_have_saved(together: Path) -> None:
    run(together / "shards", Group(), steps=5, resume=True)
    run(together / "alone", Group(), steps=5, resume=True)
    torch.testing.assert_close(losses(together / "shards")[-1], losses(together / "alone")[-1], rtol=1e-3, atol=1e-4)


def test_every_process_rehearses(together: Path) -> None:
    assert sorted(path.name for path in (together / "copies" / "rehearsed").iterdir()) == ["0-0", "0-1", "2-0", "2-1"]


def test_every_weight_has_a_gradient_whatever_a_batch_holds() -> None:
    model = fresh_model(replace(CONFIG, vision=VisionConfig(patch=8, frames=1, num_layers=2)), 0)
    assert model.patches is not None
    out, _ = model(DRAWN(Progress(), 0).cells)  # no pictures
    (out.text_NV.sum() + out.heard_BTHV.sum() + out.active_BT.sum()).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
    assert not any(weight.grad.any() for weight in model.patches.parameters() if weight.grad is not None)


def test_parts_that_cannot_be_shared_evenly_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="parts = 3 cannot be shared evenly by 2 processes; give a multiple"):
        train(fresh_model(CONFIG, 0), DRAWN, plan(parts=3), tmp_path, now=Clock(), group=Group(rank=0, size=2))
