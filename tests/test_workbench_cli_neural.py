"""A neural agent through the commands: what it did replays from its file bit for bit, and a fork goes on from its state."""

from __future__ import annotations

import hashlib
import json
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
from workbench.packets import AGENT_AUDIO
from workbench.replay import replay
from workbench.speech import pick_voice, speaker
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


def test_a_question_spoken_in_a_file_of_another_rate_is_answered_by_the_shipped_model(tmp_path: Path) -> None:
    said = speaker(pick_voice("train", 3)).say((0.6, "what is three plus four", 2.0)).samples
    at_44 = np.interp(np.arange(0, len(said), 160 / 441), np.arange(len(said)), said)
    soundfile.write(tmp_path / "question.wav", np.stack([at_44, 0.5 * at_44], axis=1), 44_100)
    assert microturn("run", "--user", tmp_path / "question.wav", "--out", tmp_path / "run") == 0
    told = json.loads((tmp_path / "run" / "output.json").read_text())
    assert [word["text"] for word in told["chunks"]] == ["seven"]
    assert read_trace(tmp_path / "run" / "trace.sqlite").audio(AGENT_AUDIO).any()


def test_the_neural_agent_keeps_the_rules_of_a_participant(checkpoint: Path) -> None:
    report = check_participant(load_agent(checkpoint), ticks=8)
    assert report.ok, str(report)


def test_another_agent_is_compared_by_what_it_chooses_under_the_rules_of_the_session(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, 8_000)
    soundfile.write(tmp_path / "noise.wav", noise, 16_000)
    (other := tmp_path / "other.safetensors").write_bytes(checkpoint.read_bytes())
    arguments = ("--user", tmp_path / "noise.wav", "--checkpoint", checkpoint, "--threshold", 0.05, "--policy", "hold=4")
    assert microturn("run", *arguments, "--out", tmp_path / "run") == 0
    trace = read_trace(tmp_path / "run" / "trace.sqlite")
    assert {gate.name for _, e in trace.events(Decision) for gate in e.gates} or any(e.said for _, e in trace.events(Decision))
    capsys.readouterr()
    for more in (("--checkpoint", other), ("--threshold", 0.051)):
        assert microturn("replay", tmp_path / "run", *more) == 0
        assert capsys.readouterr().out == f"the same choices in all {len(trace)} ticks\n"
    assert microturn("replay", tmp_path / "run", "--threshold", 1.0) == 1
    assert capsys.readouterr().out.startswith("chose otherwise from ")
    assert microturn("fork", tmp_path / "run", "--at", "2s", "--mute-user", "1s", "--checkpoint", other, "--out", tmp_path / "fork") == 0
    what_if = read_trace(tmp_path / "fork" / "trace.sqlite").header.participants["agent"]
    assert (what_if["hold"]["ticks"], what_if["agent"]["threshold"]) == (4, 0.05), "its rules and its threshold are those of the session"


def test_a_session_that_an_evaluation_kept_replays_to_the_same_choices(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert microturn("evaluate", "--families", "stop", "--count", 1, "--out", tmp_path) == 0
    [kept] = (tmp_path / "traces").glob("stop-*.sqlite")
    capsys.readouterr()
    assert microturn("replay", kept) == 0
    printed = capsys.readouterr()
    assert printed.err.endswith("sound was kept as PCM16 (agent.audio, user.audio), so the agent hears it rounded; choices are compared\n")
    assert printed.out.startswith("the same choices in all ")


def test_a_trace_says_which_weights_decided_and_a_replay_by_others_says_so(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(3_200), 16_000)
    assert microturn("run", "--user", tmp_path / "quiet.wav", "--checkpoint", checkpoint, "--out", tmp_path / "run") == 0
    trace = read_trace(tmp_path / "run" / "trace.sqlite")
    weights = trace.header.participants["agent"]["weights"]
    assert weights == hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:16]
    assert load_agent(checkpoint).with_threshold(0.9).spec()["weights"] == weights
    words = vocabulary()
    config = replace(nano(), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard), vision=None)
    save_checkpoint(tmp_path / "other.safetensors", fresh_model(config, 1), words, {})
    capsys.readouterr()
    microturn("replay", tmp_path / "run", "--checkpoint", tmp_path / "other.safetensors")
    now = hashlib.sha256((tmp_path / "other.safetensors").read_bytes()).hexdigest()[:16]
    assert capsys.readouterr().err == f"{tmp_path / 'run' / 'trace.sqlite'}: made with weights {weights}, these are {now}\n"
    older = {**trace.header.participants, "agent": {k: v for k, v in trace.header.participants["agent"].items() if k != "weights"}}
    assert replay(replace(trace, header=replace(trace.header, participants=older))).difference is None
