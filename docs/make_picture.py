"""Draw docs/timeline.png from a trace file, as a browser shows it. Needs a Chromium.

.venv/bin/microturn run --scenario stop --seed 8 --voice unseen --out runs/picture
.venv/bin/python docs/make_picture.py runs/picture/trace.sqlite
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from widgets import write_timeline
from workbench.store import read_trace

TARGET = Path(__file__).with_name("timeline.png")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def main(trace_path: str) -> None:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        sys.exit("no Chromium found; install one to draw the picture")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        page_path = write_timeline(read_trace(trace_path), Path(folder) / "timeline.html")
        browser = play.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
        page.goto(page_path.as_uri())
        page.wait_for_selector("#timeline .main-svg")
        page.wait_for_timeout(500)
        page.locator("#timeline").screenshot(path=TARGET)
        browser.close()
    print(f"{TARGET} ({TARGET.stat().st_size // 1024} KB)")


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
