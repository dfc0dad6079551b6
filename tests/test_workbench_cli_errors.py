"""Every mistake on the command line ends in one line that names value, rule and fix, with exit code 2 and no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save_file

from tests.workbench_fakes import chat
from workbench.adapters import usage
from workbench.cli import main
from workbench.commands_score import _page
from workbench.store import save_trace
from workbench.trace import record

ROOT = Path(__file__).resolve().parent.parent


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command line that must be refused; its message."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("error: ").strip()


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    session = chat()
    trace = record(session)
    session.run(5)
    return save_trace(trace, tmp_path / "t.sqlite")


def test_a_missing_recording_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "run", "--user", tmp_path / "no.wav", "--agent", "silent", "--out", tmp_path / "o")
    assert message == f"there is no sound file '{tmp_path}/no.wav'; check the path"
    assert not (tmp_path / "o").exists()


def test_a_recording_that_is_no_sound_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.wav").write_text("this is no sound")
    message = refused(capsys, "run", "--user", tmp_path / "text.wav", "--agent", "silent", "--out", tmp_path / "o")
    assert "text.wav' cannot be read as sound" in message
    assert "convert it to WAV or FLAC" in message


def test_an_empty_recording_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    assert "holds no sound" in refused(capsys, "run", "--user", tmp_path / "empty.wav", "--agent", "silent", "--out", tmp_path / "o")


def test_an_unknown_family_is_answered_with_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "run", "--scenario", "juggling", "--agent", "silent", "--out", tmp_path / "o")
    assert message.startswith("no scenario family 'juggling'; there are answer, think_pause,")
    assert "no scenario family 'x'" in refused(capsys, "evaluate", "--agent", "silent", "--families", "answer,x", "--count", 1)


def test_a_checkpoint_of_another_layout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"w": np.zeros(1, np.float32)}, tmp_path / "old.safetensors", metadata={"layout": "0-ancient"})
    arguments = ("run", "--scenario", "answer", "--checkpoint", tmp_path / "old.safetensors", "--out", tmp_path / "o")
    message = refused(capsys, *arguments)
    assert "old.safetensors was trained on cell layout '0-ancient', this code lays out" in message
    assert "train again" in message


def test_a_missing_or_damaged_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", "--scenario", "answer", "--out", tmp_path / "o", "--checkpoint")
    assert "no checkpoint at" in refused(capsys, *arguments, tmp_path / "no.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense" * 20)
    assert "cannot be read as a checkpoint" in refused(capsys, *arguments, tmp_path / "bad.safetensors")


READING = {
    "inspect": (),
    "replay": (),
    "score": (),
    "fork": ("--at", "1s", "--mute-user", "1s"),
    "export": ("--to", "textgrid"),
    "erase": ("--stream", "user.audio", "--who", "me", "--why", "asked"),
}


@pytest.mark.parametrize("command", READING)
def test_a_damaged_or_missing_trace_is_refused(trace_file: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    more = (*READING[command], *(("--out", trace_file.parent / "out") if command in ("fork", "export") else ()))
    assert "is not a file; give the path of a trace" in refused(capsys, command, trace_file.parent / "no.sqlite", *more)
    (trace_file.parent / "text.sqlite").write_text("no database at all" * 100)
    assert "is not a readable trace" in refused(capsys, command, trace_file.parent / "text.sqlite", *more)
    data = bytearray(trace_file.read_bytes())
    data[len(data) // 4 : len(data) // 2] = b"\xa5" * (len(data) // 2 - len(data) // 4)
    trace_file.write_bytes(bytes(data))
    assert "damaged" in refused(capsys, command, trace_file, *more)
    assert not (trace_file.parent / "out").exists()


def test_choices_that_are_not_there_are_answered_with_those_that_are(
    trace_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "o")
    message = refused(capsys, "run", "--scenario", "answer", "--agent", "parrot", *out)
    assert message == f"no agent called 'parrot'; there are nano, silent, always-talking, oracle, echo, {', '.join(usage())}"
    assert "needs its settings; write recorded:FOLDER" in refused(capsys, "run", "--scenario", "answer", "--agent", "recorded", *out)
    assert "has no checkpoint and no threshold" in refused(
        capsys, "run", "--scenario", "answer", "--agent", "silent", "--threshold", 0.4, *out
    )
    assert "give either --user FILE or --scenario FAMILY" in refused(capsys, "run", "--agent", "silent", *out)
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    assert "follows the orders of a scenario" in refused(capsys, "run", "--user", tmp_path / "a.wav", "--agent", "oracle", *out)
    wrong_keep = refused(capsys, "run", "--scenario", "answer", "--agent", "silent", "--keep", "user.audio=some", *out)
    assert wrong_keep == "--keep 'user.audio=some' is neither STREAM=none|features|full nor features-only; e.g. --keep user.audio=features"
    assert "no export called 'mp3'; there are fdb, textgrid, vtt, rttm, chrome-trace, turnbench, mcap, parquet, otel" in refused(
        capsys, "export", trace_file, "--to", "mp3", *out
    )
    assert "no suite called 'other'" in refused(capsys, "score", trace_file, "--suite", "other")
    assert "there is no rule 'loud'; there are speak-over" in refused(capsys, "evaluate", "--agent", "silent", "--policy", "loud")
    assert "no executor 'ray'; there are pool, dask" in refused(capsys, "evaluate", "--agent", "silent", "--executor", "ray")
    assert "--out" in refused(capsys, "run", "--scenario", "answer", "--agent", "silent", "--out", trace_file)


def test_typed_lines_that_cannot_be_typed_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    run = ("run", "--agent", "silent", "--out", tmp_path / "o")
    alone, beside = (*run, "--lasts", "5s"), (*run, "--user", tmp_path / "a.wav")
    for no_line in ("count to five", "2s:", "2s:  "):
        assert refused(capsys, *alone, "--type", no_line) == f"--type {no_line!r} is not TIME:TEXT; e.g. --type '2.0s:count to eight'"
    assert "--type 'soon' is no time; give seconds, e.g. 12.4 or 12.4s" in refused(capsys, *alone, "--type", "soon:stop")
    assert "--type '-1s' lies before the session; give seconds from 0 on" in refused(capsys, *alone, "--type=-1s:stop")
    too_late = refused(capsys, *alone, "--type", "5s:stop")
    assert too_late == "'stop' is typed at 5 s, and the session is over at 5 s; type it before that, or let the session last longer"
    assert "'stop' is typed at 9 s, and the session is over at 4 s" in refused(capsys, *beside, "--type", "9s:stop")
    assert "does not say when the session is over; give --lasts too, e.g. --lasts 12s" in refused(capsys, *run, "--type", "1s:stop")
    assert "--lasts 'long' is no time" in refused(capsys, *run, "--type", "1s:stop", "--lasts", "long")
    assert "--lasts 5s is for lines that are typed alone" in refused(capsys, *beside, "--type", "1s:stop", "--lasts", "5s")
    assert "--lasts 5s is for lines that are typed alone" in refused(capsys, *run, "--scenario", "answer", "--lasts", "5s")
    in_scenario = refused(capsys, *run, "--scenario", "answer", "--type", "1s:stop")
    assert in_scenario == "--type '1s:stop' is for a session without a scenario; give --condition typed:100 beside --scenario"
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("difficulty", ["1.5", "-0.1", "nan"])
def test_a_difficulty_outside_its_dial_is_refused(difficulty: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = f"difficulty {difficulty} is outside 0 to 1; give a number from 0 to 1, 0.5 is the usual one"
    asked = (f"--difficulty={difficulty}", "--agent", "silent")
    assert refused(capsys, "run", "--scenario", "answer", *asked, "--out", tmp_path / "o") == told
    assert refused(capsys, "evaluate", "--families", "answer", *asked) == told


def test_a_difficulty_without_a_scenario_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    message = refused(capsys, "run", "--user", tmp_path / "a.wav", "--difficulty", 0.7, "--agent", "silent", "--out", tmp_path / "o")
    assert message == "--difficulty 0.7 is that of a scenario; give --scenario FAMILY, or leave it out"


def test_times_that_are_none_are_refused(trace_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--why 'soon' is no time; give seconds" in refused(capsys, "inspect", trace_file, "--why", "soon")
    assert "99 s is outside this session" in refused(capsys, "inspect", trace_file, "--why", "99s")
    fork = ("fork", trace_file, "--out", tmp_path / "f")
    assert "a fork without an edit is a replay" in refused(capsys, *fork, "--at", "1s")
    assert "--at '-3' lies before the session" in refused(capsys, *fork, "--at=-3", "--threshold", 0.4)
    erase = ("erase", trace_file, "--stream", "user.audio", "--who", "Ada", "--why", "x")
    assert "are no range" in refused(capsys, *erase, "--from", "0.8s", "--to", "0.2s")


def test_traces_without_ground_truth_cannot_be_scored(trace_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "none of the 1 traces holds an expectation" in refused(capsys, "score", trace_file)
    (tmp_path / "empty").mkdir()
    assert "holds no trace" in refused(capsys, "score", tmp_path / "empty")


def test_a_training_without_time_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "minutes 0 is no time to train" in refused(capsys, "train", "--minutes", 0, "--out", tmp_path)


def test_a_recipe_that_cannot_be_carried_out_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def with_line(old: str, new: str) -> Path:
        text = (ROOT / "model" / "recipes" / "nano.toml").read_text()
        assert old in text
        path = tmp_path / "mine.toml"
        path.write_text(text.replace(old, new))
        return path

    def said(path: object) -> str:
        return refused(capsys, "train", "--recipe", path, "--out", tmp_path / "run")

    assert "no recipe 'giant'; give a TOML file, or one of micro, nano" in said("giant")
    assert "no preset 'giant' to train; there are tiny, nano, micro" in said(with_line('preset = "nano"', 'preset = "giant"'))
    assert "no source 'radio' of conversations; there are espeak" in said(with_line("festival = 0.05", "radio = 0.05"))
    assert "mine.toml: pool.families: no scenario family 'chess'; there are" in said(with_line("along = 0.8", "chess = 0.8"))
    assert "mine.toml: train: there is no setting 'minuets'; the settings here are seed, minutes" in said(with_line("minutes", "minuets"))
    assert "mine.toml: batch: rows is 'many'; it must be a whole number" in said(with_line("rows = 16", 'rows = "many"'))
    assert "mine.toml: train: log_every = 0 must be at least 1" in said(with_line("log_every = 20", "log_every = 0"))
    assert "mine.toml: judge: voices = 'nobody': there is no voice set 'nobody'; choose one of train" in said(
        with_line('voices = "train"', 'voices = "nobody"')
    )
    experts = with_line('preset = "nano"', 'preset = "micro"')
    experts.write_text(f"{experts.read_text()}\n[changes]\nexperts = 4\n")
    assert "mine.toml: changes: experts = 4 takes the place of dense layers, and this preset has experts" in said(experts)
    few = refused(capsys, "train", "--workers", 0, "--out", tmp_path / "run")
    assert few == "workers = 0 must be at least 1; somebody has to make some"
    assert "mine.toml is not TOML" in said(with_line("[judge]", "[judge"))
    assert not (tmp_path / "run").exists()


def test_a_page_is_made_from_the_run_log(tmp_path: Path) -> None:
    assert _page(tmp_path) == []
    rows = [{"step": n, "minutes": n / 10, "loss": {"word": 1 / n}, "rate": 0.1, "cells_per_s": 9.0} for n in (1, 2, 3)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert _page(tmp_path) == [tmp_path / "run.html"]


def test_the_process_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    code = "from workbench.cli import main; main()"
    arguments = [sys.executable, "-c", code, "inspect", str(tmp_path / "no.sqlite")]
    ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("error: ")


def test_the_command_line_starts_without_torch(tmp_path: Path) -> None:
    code = "import sys, workbench.cli; print([m for m in ('torch', 'plotly', 'widgets', 'model') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
