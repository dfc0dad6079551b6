"""`microturn dashboard` before it serves: what it refuses, with the fix, and which agents it offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.agents import EchoAgent
from workbench.cli import main
from workbench.commands_dashboard import _models
from workbench.errors import InputError


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["no-such-folder"], "no-such-folder is no folder; give one that holds traces, or make it: mkdir -p no-such-folder"),
        ([".", "--host", "lab.example.org"], "--host lab.example.org lets others in, who could read every session; give --auth"),
        ([".", "--host", "0.0.0.0", "--auth", "ann:word"], "give --origin HOST:PORT, e.g. lab.example.org:5006"),
        ([".", "--auth", "ann"], "--auth is not USER:PASSWORD; give both"),
        ([".", "--auth", ":word"], "--auth is not USER:PASSWORD; give both"),
        ([".", "--checkpoint", "no.safetensors"], "no checkpoint at no.safetensors; give a .safetensors file"),
        ([".", "--minutes", "0"], "every limit must be above 0"),
    ],
)
def test_what_cannot_be_served_is_named_with_its_fix(capsys: pytest.CaptureFixture[str], options: list[str], rule: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dashboard", *options])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert rule in printed.err


def test_the_checkpoints_that_were_given_are_offered_first_and_an_agent_is_loaded_once(tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.touch()
    models = _models([mine])
    assert models.names == (str(mine), "nano", "pipeline", "silent", "echo")
    assert isinstance(models.make("echo", 0.5), EchoAgent)
    assert models.make("echo", 0.5) is models.make("echo", 0.9)
    with pytest.raises(InputError, match="no agent called 'parrot'"):
        models.make("parrot", 0.5)
