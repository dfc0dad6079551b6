"""`microturn serve`: on this machine only unless there are keys; what it cannot do it says; the shipped model at the official client."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.conftest import ROOT
from tests.serve_fakes import client, served
from tests.test_workbench_cli_errors import refused
from workbench.live.runtime import LiveSpec
from workbench.packets import USER_AUDIO
from workbench.serve import server
from workbench.store import read_features, read_trace, verify

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")  # of the official client's own call


def test_others_are_let_in_only_with_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "serve", "--host", "0.0.0.0", "--out", tmp_path / "o")
    assert message == "--host 0.0.0.0 lets others in, and nobody needs a key; give --key NAME:KEY (or a file of them) as well"
    (tmp_path / "keys").write_text("ann:secret\n\nbob:\n")
    assert "a line without a name or without a key" in refused(capsys, "serve", "--key", tmp_path / "keys")
    message = refused(capsys, "serve", "--key", "sk-only-a-key")
    assert "neither NAME:KEY nor a file" in message
    assert "sk-only-a-key" not in message
    assert "is no folder" in refused(capsys, "serve", "--background", f"local:{tmp_path / 'none'}")
    assert "--fetch example.org is for a chat model" in refused(capsys, "serve", "--fetch", "example.org")
    assert "there is no limit 'calls'" in refused(capsys, "serve", "--limit", "calls=5")
    assert not (tmp_path / "o").exists()


def test_pages_of_elsewhere_other_paths_and_too_many_connections_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path, keys={}) as running:
        there = f"127.0.0.1:{running.port}"
        assert httpx.get(f"http://{there}/v1/models").json()["data"][0]["id"] == "nano"
        assert httpx.get(f"http://{there}/v1/nothing").status_code == 404
        with pytest.raises(InvalidStatus) as refusal, connect(f"ws://{there}/v1/live/sessions", origin="https://evil.example"):  # type: ignore[arg-type]
            pass
        assert refusal.value.response.status_code == 403
        with connect(f"ws://{there}/v1/live/sessions", origin="http://localhost:3000"):  # type: ignore[arg-type]
            monkeypatch.setattr(server, "MOST_CONNECTIONS", 1)
            with pytest.raises(InvalidStatus) as refusal, connect(f"ws://{there}/v1/realtime"):
                pass
            assert refusal.value.response.status_code == 503


def test_a_model_that_there_is_not_and_a_connection_without_a_session_are_told_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "START_S", 0.3)
    with served(tmp_path) as running:
        with client(running).realtime.connect(model="gpt-realtime") as connection:
            assert connection.recv().error.code == "model_not_found"  # type: ignore[union-attr]
            with pytest.raises(ConnectionClosed):
                connection.recv()
        with client(running).live.connect() as live:
            assert live.recv().error.code == "session_not_started"  # type: ignore[union-attr]
            with pytest.raises(ConnectionClosed):
                live.recv()


def test_a_session_that_lasts_too_long_or_whose_server_ends_is_closed_with_the_reason(tmp_path: Path) -> None:
    with served(tmp_path, spec=LiveSpec(minutes=0.8 / 60)) as running, client(running).live.connect() as connection:
        connection.session.start(session={"model": "nano"})
        told = [event for event in connection]  # noqa: C416 (until it is closed)
        assert (told[-1].type, told[-1].reason) == ("session.closed", "expired")  # type: ignore[union-attr]
    with served(tmp_path) as running:
        manager = client(running).live.connect()
        connection = manager.enter()
        connection.session.start(session={"model": "nano"})
        assert connection.recv().type == "session.started"
    told = list(connection)
    assert (told[-1].type, told[-1].reason) == ("session.closed", "remote_hangup")  # type: ignore[union-attr]
    assert running.hall.seats == []


def test_a_client_that_is_gone_ends_its_session_and_leaves_its_place(tmp_path: Path) -> None:
    with served(tmp_path, sessions=1) as running:
        connection = client(running).live.connect().enter()
        connection.session.start(session={"model": "nano"})
        assert connection.recv().type == "session.started"
        [seat] = running.hall.seats
        connection._connection.socket.close()
        assert seat.session.join(30)
        assert running.hall.seats == []


@pytest.mark.checkpoint
def test_the_official_client_talks_with_the_shipped_model(checkpoint: Path, tmp_path: Path) -> None:
    code = "from workbench.cli import main; main()"
    command = [sys.executable, "-u", "-c", code, "serve", "--port", "0", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "s")]
    command += ["--keep", "features-only"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("serving ").strip()
        with OpenAI(base_url=address, api_key="none").live.connect() as connection:
            connection.session.start(session={"model": "nano", "store": True})
            started = connection.recv()
            assert started.type == "session.started"
            connection.session.input_audio.append(audio=base64.b64encode(np.zeros(24_000, "<i2").tobytes()).decode())
            while connection.recv().type != "session.usage.updated":
                pass
            process.send_signal(signal.SIGINT)
            closed = list(connection)[-1]
        assert process.wait(60) == 0
    assert (closed.type, closed.reason) == ("session.closed", "remote_hangup")  # type: ignore[union-attr]
    path = tmp_path / "s" / f"{started.session.id}.sqlite"
    assert verify(path).ok
    assert not read_trace(path).audio(USER_AUDIO).any()
    assert read_features(path, USER_AUDIO)
