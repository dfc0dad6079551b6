"""`microturn talk`: on this machine only unless people log in; what it cannot do it says; Ctrl-C ends it with every trace closed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.conftest import ROOT
from tests.shared_fakes import PATIENCE_S, ended, talking, told
from tests.test_workbench_cli_errors import refused
from workbench.live.protocol import TickDone
from workbench.packets import AGENT_AUDIO, USER_AUDIO
from workbench.store import read_features, read_trace, verify


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [(["--host", "0.0.0.0"], "--host 0.0.0.0"), (["--host", "example.org"], "--host example.org"), (["--share"], "--share")],
)
def test_others_are_let_in_only_where_they_log_in(arguments: list[str], asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "talk", *arguments)
    assert message == f"{asked} lets others in, and nobody has to log in; give --auth USER:PASSWORD (or a file of them) as well"


def test_logins_that_are_none_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is neither USER:PASSWORD nor a file of such lines" in refused(capsys, "talk", "--auth", tmp_path / "none")
    (tmp_path / "users").write_text("ann:secret\n\nbob:\n")
    assert "a line without a name or without a password" in refused(capsys, "talk", "--auth", tmp_path / "users")
    assert "a line without a name or without a password" in refused(capsys, "talk", "--auth", ":secret")


def test_limits_and_folders_that_cannot_be_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "every limit must be above 0" in refused(capsys, "talk", "--sessions", 0)
    assert "every limit must be above 0" in refused(capsys, "talk", "--minutes", -1)
    (tmp_path / "file").write_text("")
    assert refused(capsys, "talk", "--out", tmp_path / "file") == f"--out {tmp_path}/file is a file; give a folder, it is made if absent"


def test_a_port_that_is_taken_and_a_checkpoint_that_is_missing_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(capsys, "talk", "--port", port, "--out", tmp_path / "o")
    assert message.startswith(f"port {port} of 127.0.0.1 cannot be listened on (Address already in use); give another --port")
    message = refused(capsys, "talk", "--port", 0, "--checkpoint", tmp_path / "none.safetensors", "--out", tmp_path / "o")
    assert message == f"no checkpoint at {tmp_path}/none.safetensors; give --checkpoint FILE, or train one with `make train`"
    assert not (tmp_path / "o").exists()


@pytest.mark.checkpoint
def test_it_serves_the_agent_until_it_is_interrupted_and_closes_traces_of_what_was_to_be_kept(checkpoint: Path, tmp_path: Path) -> None:
    code = "from workbench.cli import main; main()"
    command = [sys.executable, "-u", "-c", code, "talk", "--port", "0", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "talks")]
    command += ["--keep", "features-only"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("talk at ").strip()
        assert "Microturn" in httpx.get(address, timeout=PATIENCE_S).text
        with connect(f"ws{address.removeprefix('http')}/microturn/talk", origin=address, open_timeout=PATIENCE_S) as visitor:  # type: ignore[arg-type]
            welcome = talking(visitor)
            assert (welcome.agent, welcome.kept[USER_AUDIO], welcome.kept[AGENT_AUDIO]) == ("nano", "features", "features")
            assert isinstance(told(visitor), TickDone)
            process.send_signal(signal.SIGINT)
            end = ended(visitor)
        assert process.wait(PATIENCE_S) == 0
    assert (end.reason, end.text) == ("stopped", "the server was stopped")
    path = tmp_path / "talks" / str(end.trace)
    assert verify(path).ok
    assert {packet.stream for turn in read_trace(path).turns for packet in turn.packets}.isdisjoint({USER_AUDIO, AGENT_AUDIO})
    assert len(read_features(path, USER_AUDIO)) == len(read_trace(path))
