"""Lines that somebody types into a session reach the agent whole, at their times, beside a recording or in silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from workbench.cli import main
from workbench.compare import first_difference
from workbench.events import TranscriptDelta
from workbench.packets import USER_AUDIO, USER_TEXT
from workbench.replay import replay
from workbench.scenarios.world import counting
from workbench.store import read_trace
from workbench.trace import Trace


def microturn(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def typed_in(trace: Trace) -> list[tuple[int, str]]:
    return [(turn.tick, turn.text(USER_TEXT)) for turn in trace.turns if turn.text(USER_TEXT)]


def said_in(trace: Trace) -> list[str]:
    return [event.word for _, event in trace.events(TranscriptDelta) if event.side == "model"]


def run(tmp_path: Path, *arguments: object) -> Trace:
    assert microturn("run", *arguments, "--out", tmp_path / "run") == 0
    return read_trace(tmp_path / "run" / "trace.sqlite")


def test_lines_reach_the_agent_in_their_ticks_and_the_session_lasts_as_long_as_was_said(tmp_path: Path) -> None:
    lines = ("--type", "2.5s:three plus  four", "--type", "0.5:hello", "--type", "2.45s:what is", "--lasts", "4s")
    trace = run(tmp_path, "--agent", "silent", *lines)
    assert typed_in(trace) == [(2, "hello"), (12, "what is three plus four")]
    assert len(trace) == 20
    assert not np.any(trace.audio(USER_AUDIO))
    assert "hello" not in json.dumps(trace.header.participants["user"]), "what can be erased stands nowhere else"


def test_lines_are_typed_beside_a_recording(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", 0.3 * np.ones(16_000), 16_000)
    trace = run(tmp_path, "--agent", "silent", "--user", tmp_path / "tone.wav", "--type", "1.2s:stop now")
    assert typed_in(trace) == [(6, "stop now")]
    assert len(trace) == 20, "one second and three of silence"
    assert np.abs(trace.audio(USER_AUDIO)[:16_000]).min() > 0.2


def test_a_typed_request_is_counted_aloud_by_the_shipped_model_and_replays(checkpoint: Path, tmp_path: Path) -> None:
    trace = run(tmp_path, "--checkpoint", checkpoint, "--type", "2.0s:count to eight", "--lasts", "9s")
    assert said_in(trace) == list(counting(8))
    first = min(event.start_s for _, event in trace.events(TranscriptDelta) if event.side == "model")
    assert 2.0 < first < 3.2
    again = replay(trace)
    assert again.difference is None
    assert first_difference(trace, again.trace) is None


def test_a_typed_count_to_five_ends_at_five(checkpoint: Path, tmp_path: Path) -> None:
    assert said_in(run(tmp_path, "--checkpoint", checkpoint, "--type", "2.0s:count to five", "--lasts", "9s")) == list(counting(5))


def test_a_typed_stop_ends_a_count_that_was_typed_for(checkpoint: Path, tmp_path: Path) -> None:
    lines = ("--type", "1s:count to twenty", "--type", "4s:stop", "--lasts", "9s")
    said = said_in(run(tmp_path, "--checkpoint", checkpoint, *lines))
    assert said == list(counting(len(said)))
    assert 3 <= len(said) <= 7


def test_difficulty_reaches_the_scenario_of_a_run_and_of_an_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lasts = {}
    for difficulty in ("0", "1"):
        asked = ("--scenario", "long_count", "--agent", "oracle", "--difficulty", difficulty, "--overwrite")
        trace = run(tmp_path, *asked)
        assert trace.header.labels["difficulty"] == float(difficulty)
        lasts[difficulty] = len(said_in(trace))
        assert replay(trace).difference is None
    assert lasts["0"] <= 12 < 24 <= lasts["1"]
    capsys.readouterr()
    asked = ("evaluate", "--agent", "oracle", "--families", "long_count", "--count", 2, "--out", tmp_path / "eval")
    played = []
    for more in ((), ("--difficulty", 0.5), ("--difficulty", 1), ("--difficulty", 1)):
        assert microturn(*asked, *more) == 0
        played.append(next(line for line in capsys.readouterr().err.splitlines() if "sessions played" in line).split()[0])
    assert played == ["2", "0", "2", "0"], "what was played at another difficulty is not taken for this one"
    assert json.loads((tmp_path / "eval" / "evaluation.json").read_text())["config"]["difficulty"] == 1.0
