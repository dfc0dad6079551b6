"""A situation of the user's own from the command line: a file is named, it is played and scored, and every mistake in it is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_workbench_cli import microturn
from workbench import own_families
from workbench.errors import InputError
from workbench.own_families import asked_as, files_of, known
from workbench.scenarios import FAMILIES
from workbench.store import read_trace

KETTLE = '''"""Kettle: the user says that the kettle is on; the agent says "okay" within a second.

    user   ..the water is on..............
    agent  .....................okay......
"""

from workbench.scenarios.script import Beat, Expect, Order, Piece

GROUP = "kitchen"
WORD = "okay"


def piece(lead, rng, difficulty):
    expect = Expect("reply", "end of the remark", 0.0, 1.0, words=(WORD,), tags=("kettle",))
    return Piece((Beat(("the water is on",), lead, (Order("say", 0.3, (WORD,)),), (expect,)),), agent_last=True)


def episode(lead, rng, difficulty):
    return [piece(lead, rng, difficulty)]
'''


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What a test makes known is unknown to the next."""
    before = dict(FAMILIES)
    yield
    for name in set(FAMILIES) - set(before):
        del FAMILIES[name]
    own_families._files.clear()
    own_families._asked.clear()


def written(folder: Path, text: str = KETTLE, name: str = "kettle.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_it_is_played_scored_and_drawn_with_the_others(tmp_path: Path) -> None:
    mine = written(tmp_path)
    assert microturn("run", "--scenario", f"own:{mine}", "--agent", "oracle", "--seed", 3, "--out", tmp_path / "run") == 0
    trace = read_trace(tmp_path / "run" / "trace.sqlite")
    assert trace.header.labels["family"] == "kettle"
    wanted = ("evaluate", "--agent", "oracle", "--families", f"own:{mine},stop", "--count", 2, "--out", tmp_path / "eval")
    assert microturn(*wanted) == 0
    report = json.loads((tmp_path / "eval" / "evaluation.json").read_text())
    assert report["families"]["kettle"] == {**report["families"]["kettle"], "group": "kitchen", "n": 2, "both": 1.0}
    assert set(report["groups"]) == {"interruption", "kitchen"}
    pages = [path.read_text() for path in (tmp_path / "eval" / "sessions").glob("kettle*.html")]
    assert pages
    assert all(f"microturn run --scenario own:{mine} " in page for page in pages)


def test_worker_processes_know_it_too_and_a_changed_file_is_played_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = written(tmp_path)
    wanted = ("evaluate", "--agent", "oracle", "--families", f"own:{mine}", "--count", 2, "--workers", 2, "--out", tmp_path / "eval")

    def again() -> str:
        command = [sys.executable, "-c", "import sys; from workbench.cli import main; sys.exit(main())", *map(str, wanted)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stderr

    assert "2 sessions played" in again()
    assert "2 sessions played" not in again()
    mine.write_text(KETTLE.replace('WORD = "okay"', 'WORD = "yes"'))
    assert "2 sessions played" in again()
    traces = [read_trace(path) for path in (tmp_path / "eval" / "traces").glob("kettle-*.sqlite")]
    assert len(traces) == 2
    assert {turn.text("agent.text") for trace in traces for turn in trace.turns} == {"", "yes"}


def test_it_is_replayed_and_forked_when_its_file_is_given_again(tmp_path: Path) -> None:
    mine, run = written(tmp_path), tmp_path / "run"

    def apart(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import sys; from workbench.cli import main; sys.exit(main())", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert apart("run", "--scenario", f"own:{mine}", "--agent", "oracle", "--out", run).returncode == 0
    lost = apart("replay", run)
    assert lost.returncode == 2
    assert "no scenario family 'kettle'" in lost.stderr
    assert "one of your own: own:FILE.py" in " ".join(lost.stderr.split())
    assert apart("replay", run, "--scenario", f"own:{mine}").returncode == 0
    assert apart("fork", run, "--at", "1s", "--mute-user", "1s", "--scenario", f"own:{mine}", "--out", tmp_path / "fork").returncode == 0
    assert (tmp_path / "fork" / "trace.sqlite").exists()


def test_names_and_files(tmp_path: Path) -> None:
    mine = written(tmp_path)
    assert known("stop") == "stop"
    assert known(f"own:{mine}") == known(f"own:{mine}") == "kettle"
    assert FAMILIES["kettle"].group == "kitchen"
    assert FAMILIES["kettle"].summary.startswith("Kettle: the user says that")
    assert files_of(["stop", "kettle"]) == {"kettle": mine}
    assert (asked_as("kettle"), asked_as("stop")) == (f"own:{mine}", "stop")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("kettle.py", None, r"kettle\.py: there is no such file; give a Python file with the functions piece and episode"),
        ("stop.py", KETTLE, r"stop\.py: there is a family 'stop' already, of the workbench; give the file another name"),
        ("my-kettle.py", KETTLE, r"'my-kettle' is no name; use letters, digits and _"),
        ("kettle.py", "def piece(lead, rng, difficulty):\n    pass\n", r"it has no episode; write the functions piece and episode"),
        ("kettle.py", "import nowhere_at_all\n", r"its line 1 raises ModuleNotFoundError"),
        ("kettle.py", KETTLE.replace("words=(WORD,)", "words=(WIRD,)"), r"its line 14 raises NameError.*a list of Piece"),
        ("kettle.py", KETTLE.replace("[piece(lead, rng, difficulty)]", "[1]"), r"raises AttributeError.*a list of Piece"),
        ("kettle.py", KETTLE.replace("[piece(lead, rng, difficulty)]", "[]"), r"nobody speaks in its episode"),
        ("kettle.py", KETTLE.replace('the water is on",', '!",'), r"kettle\.py: .*no words"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_before_anything_is_played(tmp_path: Path, name: str, text: str | None, says: str) -> None:
    path = tmp_path / name if text is None else written(tmp_path, text, name)
    with pytest.raises(InputError, match=f"own:.*{says}"):
        known(f"own:{path}")
    assert path.stem == "stop" or path.stem not in FAMILIES


def test_two_files_of_one_name_are_two_families_that_cannot_both_be(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = written(tmp_path), written(tmp_path / "other")
    known(f"own:{first}")
    with pytest.raises(InputError, match=f"a family 'kettle' already, of {re.escape(str(first))}"):
        known(f"own:{second}")
