"""A neural agent through the commands: what it did replays from its file bit for bit, and a fork goes on from its state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.checkpoint import fresh_model, save_checkpoint
from model.config import nano
from workbench.check import check_participant
from workbench.cli import main
from workbench.compare import first_difference
from workbench.events import Decision, Edited
from workbench.neural import load_agent, vocabulary
from workbench.replay import replay
from workbench.store import read_trace


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest preset with random weights."""
    words = vocabulary()
    config = replace(nano(), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard), vision=None)
    path = tmp_path_factory.mktemp("checkpoint") / "random.safetensors"
    save_checkpoint(path, fresh_model(config, 0), words, {})
    return path


def microturn(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_a_neural_session_replays_bit_for_bit_and_forks(checkpoint: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, 8_000)
    soundfile.write(tmp_path / "noise.wav", noise, 16_000)
    arguments = ("--user", tmp_path / "noise.wav", "--checkpoint", checkpoint, "--threshold", 1.0)
    assert microturn("run", *arguments, "--out", tmp_path / "run") == 0
    trace = read_trace(tmp_path / "run" / "trace.sqlite")
    assert len(list(trace.events(Decision))) == len(trace) == 18
    again = replay(trace)
    assert again.difference is None
    assert first_difference(trace, again.trace, exact=True) is None
    assert microturn("fork", tmp_path / "run", "--at", "1s", "--threshold", 0.01, "--out", tmp_path / "fork") == 0
    what_if = read_trace(tmp_path / "fork" / "trace.sqlite")
    assert [(tick, e.note) for tick, e in what_if.events(Edited)] == [(5, "threshold 0.01")]
    thresholds = [e.threshold for _, e in what_if.events(Decision)]
    assert thresholds[:5] == [1.0] * 5
    assert set(thresholds[5:]) == {0.01}
    difference = first_difference(trace, what_if)
    assert difference is not None
    assert difference.tick == 5


def test_the_neural_agent_keeps_the_rules_of_a_participant(checkpoint: Path) -> None:
    report = check_participant(load_agent(checkpoint), ticks=8)
    assert report.ok, str(report)
