"""The three pages that one talks through, as they ship: each with `nano`, served by a process of its own behind a wire that can be cut.

In JupyterLab there is one more notebook, `busy`: a cell of it computes, and its agent (`tests.dashboard_fakes.Listener`) understands at any
speed.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import nbformat

from tests.conftest import ROOT
from tests.dashboard_fakes import Listener
from widgets import Talk
from workbench.clock import ClockSpec, RealTime
from workbench.live.admission import Admission, Limits
from workbench.live.host import Host

START_S = 120.0
ENOUGH, COMPUTES = "enough", "computes"
KERNEL = "kernel.pid"
MICROTURN = (sys.executable, "-u", "-c", "from workbench.cli import main; main()")
SHIPPED = """import os
from pathlib import Path
from widgets import Talk
Path({folder!r}, {kernel!r}).write_text(str(os.getpid()))
Talk.with_nano(folder={folder!r}, websocket=False)"""
BUSY = """from tests.surface_fakes import computes, listener
listener({folder!r})"""
COMPUTING = "computes({folder!r})"
RUN = "() => void window.jupyterapp.commands.execute('notebook:run-all-cells')"  # its promise holds once every cell is done


class Wire:
    """A loopback port that leads to another one. While it is cut nothing passes, and what was sent comes once it is mended."""

    def __init__(self) -> None:
        self.target = 0
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._join, "127.0.0.1", 0), self._loop).result(START_S)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.set)

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()
            for task in self._carrying:
                task.cancel()
            await asyncio.gather(*self._carrying, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(stop(), self._loop)
        self._thread.join(10)
        self._loop.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        for one, other in ((reader, there[1]), (there[0], writer)):
            task = self._loop.create_task(self._carry(one, other))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(1 << 16):
                    await self._whole.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()


@dataclass
class Surface:
    """A page to talk through, at `address` behind `wire`; the traces of its sessions are in `folder`."""

    name: str
    folder: Path
    wire: Wire
    process: subprocess.Popen[str]

    def address(self, notebook: str = "talk") -> str:
        place = {"gradio": "", "dashboard": "#live", "notebook": f"lab/workspaces/{notebook}/tree/{notebook}.ipynb?reset"}[self.name]
        return f"http://localhost:{self.wire.port}/{place}"

    @contextmanager
    def opened(self, browser: Any, notebook: str = "talk") -> Iterator[Any]:
        """The page with its panel, before Start; no page of ours may raise an error, JupyterLab's own does when its kernel is gone."""
        context = browser.new_context(permissions=["microphone"], viewport={"width": 1250, "height": 1000}, color_scheme="light")
        page, problems = context.new_page(), list[str]()
        page.set_default_timeout(START_S * 1000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        try:
            page.goto(self.address(notebook))
            if self.name == "notebook":
                page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
                page.evaluate(RUN)
            yield page
            assert problems == [] or self.name == "notebook"
        finally:
            context.close()

    def kill(self) -> None:
        """End the process of the sessions at once, as a power cut would."""
        if self.name == "notebook":
            os.kill(int((self.folder / KERNEL).read_text()), signal.SIGKILL)
        else:
            self.process.kill()


@contextmanager
def surface(name: str, folder: Path) -> Iterator[Surface]:
    wire = Wire()
    start = {"gradio": _page, "dashboard": _page, "notebook": _lab}[name]
    try:
        with start(name, folder, wire) as process:
            yield Surface(name, folder, wire, process)
    finally:
        wire.close()


@contextmanager
def _page(name: str, folder: Path, wire: Wire) -> Iterator[subprocess.Popen[str]]:
    command = {
        "gradio": ["talk", "--port", "0", "--out", str(folder)],
        "dashboard": ["dashboard", str(folder), "--port", "0", "--origin", f"localhost:{wire.port}"],
    }
    with subprocess.Popen([*MICROTURN, *command[name]], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        wire.target = next(int(found[1]) for line in process.stdout if (found := re.search(r" at http://\S+:(\d+)$", line.strip())))
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=START_S)


@contextmanager
def _lab(name: str, folder: Path, wire: Wire) -> Iterator[subprocess.Popen[str]]:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for file, cells in {"talk": [SHIPPED], "busy": [BUSY, COMPUTING]}.items():
        codes = [nbformat.v4.new_code_cell(cell.format(folder=str(folder), kernel=KERNEL)) for cell in cells]
        nbformat.write(nbformat.v4.new_notebook(cells=codes, metadata=kernel), folder / f"{file}.ipynb")
    wire.target = _free_port()
    flags = "--allow-root --no-browser --ServerApp.token= --ServerApp.password= --LabApp.expose_app_in_browser=True".split()
    command = [sys.executable, "-m", "jupyterlab", *flags, f"--port={wire.target}", f"--ServerApp.root_dir={folder}"]
    paths = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env={**os.environ, **paths}, cwd=folder, stdout=quiet, stderr=quiet, text=True) as process:
        late_s = time.monotonic() + START_S
        while not _answers(f"http://localhost:{wire.target}/api"):
            assert time.monotonic() < late_s, "JupyterLab did not start"
            time.sleep(0.3)
        try:
            yield process
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=2):
            return True
    except OSError:
        return False


def computes(folder: str) -> None:
    """What a busy cell does until there is the file `ENOUGH`; the file `COMPUTES` is there meanwhile."""
    late_s = time.monotonic() + 3 * START_S
    (Path(folder) / COMPUTES).touch()
    while time.monotonic() < late_s and not (Path(folder) / ENOUGH).exists():
        sum(range(100_000))
    (Path(folder) / COMPUTES).unlink()


def listener(folder: str) -> Talk:
    """A panel over a WebSocket of the kernel, to talk to an agent that understands at any speed."""
    host = Host(Listener, Path(folder), Admission(Limits(), RealTime(ClockSpec()).now))
    return Talk(host.open("notebook"))
