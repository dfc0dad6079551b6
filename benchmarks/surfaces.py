"""The three pages that one can talk through, each served by a process of its own as for a person, with an agent that answers clicks.

    python benchmarks/surfaces.py gradio|panel FOLDER [busy]

A notebook is served by JupyterLab; its kernel takes the agent from here. `busy` has a thread of the process compute in pure Python all the
time, as another visitor's page or a cell would.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from widgets import Talk
from workbench.clock import ClockSpec, RealTime, Tick, few_pauses
from workbench.desk import Desk, Models
from workbench.given import listen
from workbench.live.admission import Admission, Limits
from workbench.live.host import Host
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, MicroTurn, Packet
from workbench.session import Participant, Said

LOUD, BURST, REST_TICKS = 0.15, 800, 3
HEARD = "heard.txt"  # in the folder of the traces: when each click reached the agent, seconds of CLOCK_MONOTONIC, one a line
PATIENCE_S = 120.0
LIMITS = Limits(minutes=60.0, visitor_minutes=math.inf, visitor_bytes=1 << 40)
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Beacon:
    """Answers a click with a burst of sound in the tick in which it hears it, and notes when that tick began."""

    folder: Path
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO,)

    def spec(self) -> Mapping[str, Any]:
        return {"kind": "beacon"}

    def start(self, clock: ClockSpec, seed: int) -> int:
        return -REST_TICKS

    def step(self, state: int, tick: Tick, heard: MicroTurn) -> tuple[Said, int]:
        began_s = time.monotonic()
        sound = heard.get(USER_AUDIO)
        if not isinstance(sound, np.ndarray) or tick - state < REST_TICKS or np.abs(sound).max() < LOUD:
            return Said(), state
        with (self.folder / HEARD).open("a") as notes:
            notes.write(f"{began_s:.6f}\n")
        samples = np.zeros(len(sound), np.float32)
        samples[:BURST] = 0.5 * np.sin(np.arange(BURST) * 0.4 + 1.0)
        return Said((Packet(AGENT_AUDIO, tick, samples),)), tick


def compute() -> None:
    while True:
        sum(range(10_000))


# In a process of its own -----------------------------------------------------------------------------------------------------


def gradio(folder: Path) -> None:
    from widgets.shared import Door, Served, SharedPage

    host = Host(lambda: Beacon(folder), folder, Admission(LIMITS, RealTime(ClockSpec()).now))
    with few_pauses(), Served(SharedPage(host, Door()).app, listen("localhost", 0)) as served:
        print(f"page at http://localhost:{served.port}", flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()
        host.close()


def panel(folder: Path) -> None:
    from widgets.dashboard import serve

    def make(name: str, threshold: float) -> Participant:
        return Beacon(folder)

    serve(Desk(folder, Models(names=("beacon",), make=make), LIMITS), port=0)


def cell(folder: Path, websocket: bool) -> Talk:
    """What the cell of the notebook shows."""
    host = Host(lambda: Beacon(folder), folder, Admission(LIMITS, RealTime(ClockSpec()).now))
    return Talk(host.open("notebook"), websocket=websocket, probe=False)


# From outside ----------------------------------------------------------------------------------------------------------------


@contextmanager
def served(name: str, folder: Path, *, busy: bool) -> Iterator[str]:
    """The address of the page `gradio` or `panel`, until the block is left."""
    command = [sys.executable, __file__, name, str(folder), *(["busy"] if busy else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(found[1] for line in process.stdout if (found := re.search(r" at (http://\S+)$", line.strip())))
        finally:
            process.send_signal(2)
            process.communicate(timeout=PATIENCE_S)


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """The address of a notebook in JupyterLab; its cells are the panel over the WebSocket, over the comm, and one that computes."""
    panels = [f"from surfaces import *\ncell(Path({str(folder)!r}), websocket={websocket})" for websocket in (True, False)]
    every: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**every, "source": code, "id": f"c{i}"} for i, code in enumerate([*panels, "compute()"])]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (folder / "live.ipynb").write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = "--allow-root --no-browser --ServerApp.token= --ServerApp.password= --LabApp.expose_app_in_browser=True".split()
    command = [sys.executable, "-m", "jupyterlab", *flags, f"--port={port}", f"--ServerApp.root_dir={folder}"]
    paths = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "data")}
    environment = {**os.environ, **paths, "PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            late_s = time.monotonic() + PATIENCE_S
            while not _answers(f"http://localhost:{port}/api"):
                assert time.monotonic() < late_s, "JupyterLab did not start"
                time.sleep(0.5)
            yield f"http://localhost:{port}/lab/workspaces/live/tree/live.ipynb?reset"
        finally:
            server.terminate()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=2):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    if sys.argv[3:] == ["busy"]:
        threading.Thread(target=compute, daemon=True).start()
    {"gradio": gradio, "panel": panel}[sys.argv[1]](Path(sys.argv[2]))
