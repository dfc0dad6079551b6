"""Evaluations side by side: nothing is played twice, whatever broke the run off, and who does the work does not matter."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from tests.scenario_fakes import Tones, one_voice
from workbench import cells as cells_module
from workbench.agents import AlwaysTalkingAgent, OracleAgent, SilentAgent
from workbench.cells import Cell, Ran, run_cells, trace_path
from workbench.clock import pause
from workbench.compare import first_difference
from workbench.conditions import parse_condition
from workbench.costs import Allowed
from workbench.errors import InputError
from workbench.evaluate import evaluate
from workbench.farm import farm
from workbench.playing import Plan
from workbench.session import Participant
from workbench.store import read_trace
from workbench.suites import INTERACTION, SUITES

SOME = ("answer", "stop", "think_pause")
EVERY_SUITE = ("answer", "stop", "timer", "cue_word", "repetitions", "translate")


def cell(make: Callable[[], Participant], folder: Path | None = None, **more: Any) -> Cell:
    plan = Plan(families=more.pop("families", SOME), voices="train", count=more.pop("count", 2), seed=5, **more.pop("plan", {}))
    return Cell(name="it", make=make, plan=plan, folder=folder, pick=one_voice, speaker_of=Tones, **more)


def run(*cells: Cell, kind: str = "pool", workers: int = 1, **more: Any) -> Ran:
    with farm(kind, workers) as plot:
        return run_cells(cells, plot, **more)


def counts(ran: Ran) -> tuple[int, int, int]:
    return ran.played, ran.judged, ran.found


def test_a_cell_says_what_an_evaluation_in_memory_says_and_keeps_a_trace_a_session(tmp_path: Path) -> None:
    suites = (INTERACTION, "tau-voice")
    ran = run(cell(OracleAgent, tmp_path, suites=suites))
    alone = evaluate(OracleAgent(), SOME, "train", 2, 5, pick=one_voice, speaker_of=Tones, suites=suites)
    assert ran.reports[0].episodes == alone.episodes
    assert json.dumps(ran.reports[0].to_json()["suites"]) == json.dumps(alone.to_json()["suites"])
    kept = sorted(path.name for path in (tmp_path / "traces").iterdir())
    assert kept == sorted(f"{family}-{seed}.sqlite" for family in SOME for seed in (5, 6))
    assert {name: trace.header.seed for name, trace in ran.reports[0].examples.items()} == dict.fromkeys(SOME, 5)


def test_what_is_there_is_not_played_again_in_any_suite(tmp_path: Path) -> None:
    whole = cell(OracleAgent, tmp_path, families=EVERY_SUITE, count=1, suites=(INTERACTION, *SUITES))
    sessions = len(whole.plan.jobs())
    first, second = run(whole), run(whole)
    assert (counts(first), counts(second)) == ((sessions, 0, 0), (0, 0, sessions))
    assert json.dumps(first.reports[0].to_json()) == json.dumps(second.reports[0].to_json())


@pytest.mark.parametrize(
    ("other", "again"),
    [
        (lambda one: replace(one, make=SilentAgent), 2),
        (lambda one: replace(one, make=partial(AlwaysTalkingAgent, ("six",))), 2),
        (lambda one: replace(one, plan=replace(one.plan, condition=parse_condition("loss:5"))), 2),
        (lambda one: replace(one, plan=replace(one.plan, difficulty=0.2)), 2),
        (lambda one: replace(one, plan=replace(one.plan, allowed=Allowed(tool_calls=5))), 2),
        (lambda one: replace(one, plan=replace(one.plan, count=3)), 1),
        (lambda one: replace(one, plan=replace(one.plan, seed=6)), 1),
        (lambda one: replace(one, batch=1), 0),
    ],
    ids=["agent", "setting of the agent", "condition", "difficulty", "limits", "more", "other seeds", "batch"],
)
def test_whatever_a_session_rests_on_decides_whether_it_is_played_again(other: Callable[[Cell], Cell], again: int, tmp_path: Path) -> None:
    one = cell(AlwaysTalkingAgent, tmp_path, families=("answer",))
    run(one)
    assert run(other(one)).played == again
    assert run(one).played == (2 if again == 2 else 0), "the folder holds what was played last"


def test_other_scorers_judge_again_without_playing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = cell(OracleAgent, tmp_path)
    before = run(one)
    monkeypatch.setattr(cells_module, "judging_code", lambda: "another")
    after = run(one)
    assert (counts(after), after.reports[0].episodes) == ((0, 6, 0), before.reports[0].episodes)
    assert counts(run(replace(one, suites=(INTERACTION, "vap")))) == (0, 6, 0)
    trace_path(one, ("stop", 5)).unlink()
    assert counts(run(one)) == (1, 5, 0), "what cannot be judged again is played again"


def signed(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() + body


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", *(signed(pickle.dumps(what)) for what in (("a", "b"), os.getcwd, Path("x")))])
def test_a_damaged_or_foreign_judgement_is_made_again_and_runs_nothing(rubbish: bytes, tmp_path: Path) -> None:
    one = cell(OracleAgent, tmp_path)
    run(one)
    (tmp_path / "judgements" / "stop-6.pickle").write_bytes(rubbish)
    assert counts(run(one)) == (1, 0, 5)


def test_a_pool_and_a_dask_cluster_give_bit_for_bit_what_one_process_gives(tmp_path: Path) -> None:
    ways = {"here": ("pool", 1), "pool": ("pool", 2), "dask": ("dask", 2)}
    found = {}
    for name, (kind, workers) in ways.items():
        cells = [
            cell(make, tmp_path / name / make.__name__, suites=(INTERACTION, "tau-voice")) for make in (OracleAgent, AlwaysTalkingAgent)
        ]
        found[name] = run(*cells, kind=kind, workers=workers)
    for name in ("pool", "dask"):
        for mine, other in zip(found["here"].reports, found[name].reports, strict=True):
            assert mine.episodes == other.episodes
            assert json.dumps(mine.to_json()) == json.dumps(other.to_json())
        for path in sorted((tmp_path / "here").rglob("*.sqlite")):
            other_path = tmp_path / name / path.relative_to(tmp_path / "here")
            assert first_difference(read_trace(path), read_trace(other_path), exact=True) is None


def test_a_cluster_that_runs_already_is_used_by_its_address(tmp_path: Path) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        ran = run(cell(OracleAgent, tmp_path, families=("answer",)), kind=f"dask:{cluster.scheduler_address}")
        elsewhere = cell(OracleAgent, Path("/proc/nowhere"), families=("answer",))
        with pytest.raises(OSError, match="nowhere"):
            run(elsewhere, kind=f"dask:{cluster.scheduler_address}")
    assert counts(ran) == (2, 0, 0)
    assert ran.reports[0].episodes == run(cell(OracleAgent, families=("answer",))).reports[0].episodes


BROKEN_OFF = """
import sys
from pathlib import Path
from tests.test_workbench_cells import cell, run
from workbench.agents import OracleAgent
if __name__ == "__main__":
    run(cell(OracleAgent, Path(sys.argv[1]), families=("answer",), count=40), workers=2)
"""


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    script = tmp_path / "broken_off.py"
    script.write_text(BROKEN_OFF)
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "kept")], cwd=Path(__file__).parents[1])
    judgements = tmp_path / "kept" / "judgements"
    while process.poll() is None and len(list(judgements.glob("*.pickle"))) < 8:
        pause(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _settled(judgements)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*-*.*") if path.suffix in (".sqlite", ".pickle")}
    finished = len(list(judgements.glob("*.pickle")))
    assert 8 <= finished < 40, "it was killed half way"
    whole = cell(OracleAgent, tmp_path / "kept", families=("answer",), count=40)
    told: list[tuple[int, int]] = []
    ran = run(whole, progress=lambda *at: told.append(at))
    assert counts(ran) == (40 - finished, 0, finished)
    assert (told[0], told[-1]) == ((finished, 40), (40, 40))
    rewritten = [path for path, stamp in before.items() if path.suffix == ".pickle" and path.stat().st_mtime_ns != stamp]
    assert rewritten == []
    assert ran.reports[0].episodes == run(cell(OracleAgent, families=("answer",), count=40)).reports[0].episodes


def _settled(folder: Path) -> None:
    """Wait until nobody writes there any more: the workers end once they see that they are alone."""
    seen = -1
    while seen != (now := len(list(folder.iterdir()))):
        seen = now
        pause(1.0)


def test_a_farm_that_cannot_be_is_refused() -> None:
    for kind, workers, message in (
        ("ray", 1, "no executor 'ray'; there are pool, dask and dask:ADDRESS"),
        ("pool:x", 1, "no executor 'pool:x'"),
        ("pool", 0, "0 workers do nothing; give at least 1"),
        ("dask:nowhere", 1, "no Dask scheduler answers at 'nowhere'"),
    ):
        with pytest.raises(InputError, match=message), farm(kind, workers):
            pass
    with pytest.raises(InputError, match="batch 0 must be at least 1 session"):
        cell(OracleAgent, batch=0)
