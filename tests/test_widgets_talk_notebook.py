"""`Talk` in a real JupyterLab: spoken to over the widget's comm, and closed when its cell is run again or its kernel restarts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS, ROOT
from tests.talk_fakes import FAKE_MICROPHONE, until

pytestmark = pytest.mark.browser

CELL = """from tests.talk_fakes import FakeRuntime
from widgets import Talk
before = globals().get("runtime")
print("before:", before and before.heard and (before.closed.wait(10), before.heard[-1][0]["t"]))
runtime = FakeRuntime()
Talk(runtime, websocket=False, probe=False)"""
RUN = "window.jupyterapp.commands.execute('notebook:run-all-cells')"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab whose only notebook holds the cell."""
    root = tmp_path_factory.mktemp("lab")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)], metadata=kernel), root / "talk.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = "--allow-root --no-browser --ServerApp.token= --ServerApp.password= --LabApp.expose_app_in_browser=True".split()
    command = [sys.executable, "-m", "jupyterlab", *flags, f"--port={port}", f"--ServerApp.root_dir={root}"]
    paths = {"JUPYTER_CONFIG_DIR": str(root / "config"), "JUPYTER_DATA_DIR": str(root / "data"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env={**os.environ, **paths}, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://localhost:{port}"
        for _ in range(120):
            try:
                with urlopen(f"{address}/api", timeout=2):
                    break
            except (URLError, OSError):
                time.sleep(0.5)
        yield address
        server.terminate()


@pytest.fixture(scope="module")
def notebook(chromium: str, lab: str) -> Iterator[Any]:
    """The notebook in a browser that remembers every track of a microphone it opened, in `opened`."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, *FAKE_MICROPHONE])
        page = browser.new_context(permissions=["microphone"], viewport={"width": 1300, "height": 1000}).new_page()
        page.set_default_timeout(60_000)
        page.add_init_script("""window.opened = [];
          const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = async (what) => {
            const stream = await real(what);
            window.opened.push(...stream.getTracks());
            return stream;
          };""")
        page.goto(f"{lab}/lab/workspaces/talk/tree/talk.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel")
        page.wait_for_function("window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
        yield page
        browser.close()


def talk(page: Any) -> None:
    """Run the cell, start, agree, and wait for two seconds of ticks."""
    page.evaluate(RUN)
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="Agree").click()
    until(lambda: int(page.locator(".mt-over").get_attribute("aria-valuemax")) > 9, page, within_s=60)


def tracks(page: Any) -> list[str]:
    return page.evaluate("window.opened.map((track) => track.readyState)")


def test_a_cell_run_again_closes_its_microphone_and_its_session(notebook: Any) -> None:
    talk(notebook)
    assert notebook.locator(".mt-route").inner_text() == "widget comm: asked for"
    assert tracks(notebook) == ["live"]
    notebook.evaluate(RUN)
    notebook.get_by_text("before: (True, 'stop')").wait_for()
    until(lambda: notebook.locator(".mt-recording").all_inner_texts() == ["not recording"], notebook)
    assert tracks(notebook) == ["ended"]


def test_a_kernel_that_restarts_closes_the_microphone(notebook: Any) -> None:
    talk(notebook)
    opened = len(tracks(notebook))
    assert tracks(notebook)[-1] == "live"
    notebook.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    until(lambda: tracks(notebook) == ["ended"] * opened, notebook, within_s=45)
