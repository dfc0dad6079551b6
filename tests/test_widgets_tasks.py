"""The panel keeps up with half a minute of a session sent as fast as it can be, and what its main thread does can be measured.

How long a task lasts is a matter of the machine; `benchmarks/bench_timeline.py` measures that over ten minutes, against 50 ms.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.talk_fakes import TICK_S, TICK_SAMPLES, Pages, decision, outline

pytestmark = pytest.mark.browser

TICKS = 150
WARM = 25  # ticks in which code is compiled and the first picture is made
SESSION = """async ([bodies, everyMs]) => {
  const open = ({ up, message }) => { window.hear = message; up(); };
  const carrier = { name: "websocket", reason: "", again: null, open, send() {}, close() {} };
  window.talk ??= client.mount(root, { carrier: () => carrier, standIn: "a test", graceMs: 1e9, silenceMs: 1e9 });
  while (!window.hear) await new Promise((done) => setTimeout(done, 10));
  if (!talk.welcome) hear({ t: "welcome", session: "s", token: "", tick_ms: 200, rate: 16000, kept: {}, lanes: [], agent: "a" }, []);
  for (const body of bodies) {
    hear(body, [new Uint8Array(6400)]);
    await new Promise((done) => setTimeout(done, everyMs));
  }
}"""


def message(tick: int) -> dict[str, Any]:
    """Both talk in turns of three seconds, a word every 0.6 s, a gate that acts now and then."""
    speaks, wave = tick // 15 % 2 == 1, np.random.default_rng(tick).integers(-9000, 9000, TICK_SAMPLES)
    gates = [["patience", "one", "", "not yet"]] if tick % 7 == 0 else []
    words = [["model" if speaks else "user", f"word{tick}", tick * TICK_S, tick * TICK_S + 0.4, 0.9]] if tick % 3 == 0 else []
    return {
        "t": "tick", "tick": tick, "at_s": tick * TICK_S, "said": "one" if speaks else "", "words": words,
        "decision": decision(0.9 if speaks else 0.2, floor="speak" if speaks else "listen", gates=gates),
        "events": [["playback.position", tick * TICK_S, "heard_s 1"]], "cost_ms": 24.0, "late_ms": 0.0, "lost": 0,
        "position": tick * TICK_SAMPLES, "heard": max(0, tick - 1) * TICK_SAMPLES, "user": outline(wave), "agent": outline(wave),
    }  # fmt: skip


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, "--autoplay-policy=no-user-gesture-required"])
        yield opened
        opened.close()


def longest_task_ms(trace: bytes) -> float:
    """CPU time of the longest task of the page's main thread."""
    events = json.loads(trace)["traceEvents"]
    mains = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"].get("name") == "CrRendererMain"}
    tasks = [e for e in events if e.get("ph") == "X" and e["name"].endswith("RunTask") and (e["pid"], e["tid"]) in mains]
    assert len(tasks) > TICKS, "the trace does not hold the tasks of the page"
    return max(task.get("tdur", 0) for task in tasks) / 1000


def test_every_tick_of_a_fast_session_is_drawn_and_the_tasks_of_the_page_can_be_measured(browser: Any, pages: Pages) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(pages.address)
    page.wait_for_function("window.ready")
    bodies = [message(tick) for tick in range(WARM + TICKS)]
    page.evaluate(SESSION, [bodies[:WARM], 20])
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"])
    page.evaluate(SESSION, [bodies[WARM:], 20])
    longest_ms = longest_task_ms(browser.stop_tracing())
    assert page.evaluate("talk.timeline.record.last") == WARM + TICKS - 1
    page.close()
    assert longest_ms > 0
