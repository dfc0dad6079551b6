"""What is given to the commands is checked before anything is done, the same by all of them; and help names what there is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
import typer

from tests.conftest import ROOT
from tests.live_fakes import Wall, opened
from tests.test_workbench_cli_errors import refused
from workbench.agents import EchoAgent, SilentAgent
from workbench.cells import Cell
from workbench.cli import app, main
from workbench.conditions import MOST_VALUES
from workbench.errors import InputError
from workbench.exports import EXPORTS, about, export
from workbench.given import keeps_of
from workbench.live.admission import Admission, Limits
from workbench.live.host import Host
from workbench.live.runtime import LiveSpec
from workbench.packets import AGENT_AUDIO, USER_AUDIO, USER_CONTEXT, USER_TEXT
from workbench.playing import Plan
from workbench.serve.hall import Hall
from workbench.store import Keep, read_trace
from workbench.voices import VOICE_SETS

COMMANDS: dict[str, click.Command] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def takers(option: str) -> list[str]:
    """The commands that take an option."""
    return [name for name, command in COMMANDS.items() if any(option in parameter.opts for parameter in command.params)]


def help_of(command: str, option: str) -> str:
    return next(str(parameter.help) for parameter in COMMANDS[command].params if option in parameter.opts)


@pytest.mark.parametrize("command", takers("--seed"))
@pytest.mark.parametrize("seed", [-1, 2**62])
def test_a_seed_that_is_none_is_refused_by_every_command(command: str, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, command, "--seed", seed)
    assert message == f"--seed {seed} is no seed; give a whole number from 0 to 4611686018427387903"


@pytest.mark.parametrize("command", takers("--port"))
@pytest.mark.parametrize("port", [-2, 99_999])
def test_a_port_that_is_none_is_refused_by_every_command(command: str, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, command, "--port", port)
    assert message == f"--port {port} is no port; give a number from 1 to 65535, or 0 for one that is free"


@pytest.mark.parametrize("command", takers("--out"))
def test_a_file_in_the_place_of_a_folder_is_refused_by_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "file").write_text("mine")
    assert refused(capsys, command, "--out", file) == f"--out {file} is a file; give a folder, it is made if absent"
    message = refused(capsys, command, "--out", file / "below")
    assert message == f"--out {file}/below cannot be made, because {file} is a file; give a folder, it is made if absent"
    assert file.read_text() == "mine"


@pytest.mark.parametrize("command", takers("--out"))
def test_a_folder_in_which_nothing_may_be_written_is_refused_by_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.given.os.access", lambda path, mode: path != tmp_path or not mode & os.W_OK)
    for out in (tmp_path, tmp_path / "a" / "b"):
        told = f"--out {out}: nothing may be written in {tmp_path}; give another folder, or change its permissions"
        assert refused(capsys, command, "--out", out) == told


def test_a_file_that_cannot_be_written_is_told_and_a_mistake_of_ours_is_seen_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "trace.sqlite"))

    monkeypatch.setattr("workbench.commands_run.fresh_folder", full)
    message = refused(capsys, "run", "--scenario", "stop", "--agent", "silent", "--out", tmp_path)
    assert message == f"{tmp_path}/trace.sqlite: No space left on device; check the path, its permissions and the room that is left"
    monkeypatch.setattr("workbench.commands_run.fresh_folder", lambda *_: (_ for _ in ()).throw(OSError("of no file")))
    with pytest.raises(OSError, match="of no file"):
        main(["run", "--scenario", "stop", "--agent", "silent", "--out", str(tmp_path)])


def test_every_command_that_writes_seeds_or_serves_is_among_those_checked() -> None:
    assert set(takers("--seed")) == {"run", "evaluate", "train"}
    assert set(takers("--port")) == {"talk", "serve", "dashboard"}
    assert set(takers("--out")) >= {"run", "replay", "fork", "evaluate", "train", "export", "talk", "serve"}


def test_a_library_that_is_given_a_file_for_a_folder_says_so(tmp_path: Path) -> None:
    (file := tmp_path / "file").write_text("mine")
    plan = Plan(families=("answer",), voices="unseen", count=1, seed=0)
    with pytest.raises(InputError, match="file is a file; give a folder"):
        Cell(name="silent", make=SilentAgent, plan=plan, folder=file)
    session, page = opened(SilentAgent(), tmp_path / "a.sqlite", Wall())
    page.wall.at(0.5, lambda: session.stop("enough"))
    session.run()
    with pytest.raises(InputError, match="file is a file; give a folder"):
        export(read_trace(tmp_path / "a.sqlite"), "vtt", file)


@pytest.mark.parametrize("stream", ["user_audio", "nosuch", "truth"])
def test_to_keep_nothing_of_a_stream_that_there_is_not_is_refused(stream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ("run", "--scenario", "answer", "--agent", "silent", "--out", tmp_path / "o", "--keep", "user.audio=none")
    message = refused(capsys, *run, "--keep", f"{stream}=none")
    there = "user.audio, user.text, user.camera, agent.audio, agent.text"
    assert message == f"no stream {stream!r} to keep in this session; there are {there}"
    assert not (tmp_path / "o").exists()


def test_a_live_session_does_not_begin_with_a_stream_to_keep_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no stream 'user_audio' to keep in this session; there are user\.audio, user\.text"):
        opened(SilentAgent(), tmp_path / "a.sqlite", Wall(), spec=LiveSpec(keep={"user_audio": Keep("none")}))
    opened(SilentAgent(), tmp_path / "a.sqlite", Wall(), spec=LiveSpec(keep={USER_AUDIO: Keep("none")}))


@pytest.mark.parametrize("command", ["run", "talk", "serve"])
def test_a_checkpoint_that_is_missing_is_named_at_once(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, command, "--checkpoint", tmp_path / "nix")
    assert message == f"no checkpoint at {tmp_path}/nix; give --checkpoint FILE, or train one with `make train`"


def test_a_port_that_is_taken_is_told_before_pages_and_model_are_loaded(tmp_path: Path) -> None:
    code = """
import sys
from workbench.cli import main
for command in (["talk"], ["serve"], ["dashboard", sys.argv[2], "--host", "127.0.0.1"]):
    try:
        main([*command, "--port", sys.argv[1]])
    except SystemExit as ended:
        assert ended.code == 2
print([name for name in ("gradio", "panel", "torch") if name in sys.modules])
"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = [sys.executable, "-c", code, str(port), str(tmp_path)]
        ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
    assert ended.stderr.count(f"port {port} of 127.0.0.1 cannot be listened on (Address already in use)") == 3


# What help and errors name -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "evaluate"])
def test_help_names_every_voice_set_and_condition(command: str) -> None:
    assert [name for name in VOICE_SETS if name not in help_of(command, "--voices")] == []
    assert [name for name in MOST_VALUES if f"{name}:" not in help_of(command, "--condition")] == []


def test_help_names_every_recipe_and_every_export_with_what_it_writes() -> None:
    recipes = [path.stem for path in (ROOT / "model" / "recipes").glob("*.toml")]
    assert len(recipes) >= 4
    assert [name for name in recipes if name not in help_of("train", "--recipe")] == []
    assert [name for name in EXPORTS if f"{name}: {about(name)}" not in help_of("export", "--to")] == []
    assert [name for name in EXPORTS if not about(name)] == []


def test_a_condition_that_is_none_is_answered_with_every_kind_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "run", "--scenario", "answer", "--agent", "silent", "--out", tmp_path / "o", "--condition", "wind:3")
    assert message.startswith("condition 'wind:3' is none; give snr:10, ")
    assert [name for name in MOST_VALUES if f" {name}:" not in message] == []


def test_a_recording_is_answered_with_what_can_be_done_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder := tmp_path / "mine").mkdir()
    for name in ("input.wav", "output.wav"):
        soundfile.write(folder / name, np.zeros(1600), 16_000)
    for given in (folder, tmp_path):
        message = refused(capsys, "score", given)
        assert message.startswith(f"{folder} holds a recording, and no truth to judge it by; give --suite tau-voice or --suite vap")
        assert message.endswith(f"microturn run --agent recorded:{folder} --out DIR")


def test_features_only_stands_for_every_stream_of_sound_and_the_last_word_holds() -> None:
    assert keeps_of(["features-only"]) == {USER_AUDIO: Keep("features"), AGENT_AUDIO: Keep("features")}
    assert keeps_of(["features-only", "agent.audio=full:f32"]) == {USER_AUDIO: Keep("features"), AGENT_AUDIO: Keep("full", "f32")}
    assert keeps_of(["user.text=none"], "f32") == {USER_TEXT: Keep("none", "f32")}
    for text in ("features", "features_only", "user.audio", "=none", "user.audio=some", "user.audio=full:mp3"):
        with pytest.raises(InputError, match=r"is neither STREAM=none\|features\|full nor features-only"):
            keeps_of([text])


@pytest.mark.parametrize("command", ["talk", "serve"])
def test_what_is_to_be_kept_is_read_before_the_model_is_loaded(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, command, "--keep", "user.audio=some", "--out", tmp_path / "o")
    assert message.startswith("--keep 'user.audio=some' is neither STREAM=none|features|full nor features-only")
    assert not (tmp_path / "o").exists()


def test_who_lets_people_talk_is_told_of_a_stream_to_keep_that_there_is_not_before_anybody_comes(tmp_path: Path) -> None:
    admission, keep = Admission(Limits(), lambda: 0.0), {"user.adio": Keep("none")}
    with pytest.raises(InputError, match=r"no stream 'user.adio' to keep in this session; there are user\.audio, .*, agent\.text$"):
        Host(EchoAgent, tmp_path, admission, LiveSpec(keep=keep))
    with pytest.raises(InputError, match=r"no stream 'user.adio' to keep .*user\.context, agent\.audio, .*, background\.text"):
        Hall(EchoAgent, "echo", tmp_path, admission, LiveSpec(keep=keep))
    Hall(EchoAgent, "echo", tmp_path, admission, LiveSpec(keep={USER_CONTEXT: Keep("none")}))
