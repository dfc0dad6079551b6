"""What the timeline costs: a finished hour until it is drawn, a tick in the kernel, ten minutes of ticks in a browser, the static figure.

    python benchmarks/bench_timeline.py [ticks of the finished session] [ticks of the live one]

CPU time stands beside wall time: on a busy computer only the former says what the code costs. The browser's longest task is that of its
main thread, in CPU time from Chromium's own trace and in wall time as the page's PerformanceObserver saw it; without a Chromium those
rows are left out, and said to be.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from widgets import timeline
from widgets.client import SOURCES, WATCH, joined, style_sheet
from widgets.watch import CHUNK, Timeline, chunks_of
from workbench.clock import ClockSpec, StopWatch, Tick
from workbench.events import Decision, PlaybackPosition, TickCost, TranscriptDelta
from workbench.live.protocol import encode
from workbench.live.telling import tick_message
from workbench.packets import AGENT_AUDIO, USER_AUDIO, MicroTurn, Packet
from workbench.store import read_trace, save_trace
from workbench.trace import Header, Trace

HOUR, TEN_MINUTES = 18_000, 3_000
OPENS_S, TICK_MS, TASK_MS, FIGURE_MB = 2.0, 1.0, 50.0, 5.0
CLOCK = ClockSpec()
SPEED = 10  # times as fast as a session goes
CANDIDATES = tuple((word, 0.1234567) for word in ("one", "two", "three", "four", ""))
PAGE = '<!doctype html><meta charset="utf-8"><div id="root" style="width: 1100px"></div>'
ADDRESS = "http://localhost:1/"  # never asked for: the page is given to the browser, which takes it as secure


def session_of(ticks: int) -> Trace:
    """Both sides talk in turns of three seconds, a word every 0.6 s, a decision record with five candidates in every tick."""
    rng, trace = np.random.default_rng(0), Trace(Header(clock=CLOCK, seed=0, participants={}))
    waves = [rng.normal(0, 0.1, CLOCK.samples_per_tick).astype(np.float32) for _ in range(20)]
    for number in range(ticks):
        floor, side = ("speak", "model") if number // 15 % 2 else ("listen", "user")
        chances: dict[str, Any] = {"p_speak": float(rng.random()), "p_yield": float(rng.random()), "p_backchannel": 0.0, "threshold": 0.5}
        events: list[Any] = [
            Decision(floor=floor, said="one", top=CANDIDATES, **chances),
            TickCost(stages_ms={"trunk": 20.0}),
            PlaybackPosition(heard_s=CLOCK.seconds(number)),
        ]
        if number % 3 == 0:
            at_s = CLOCK.seconds(number)
            events.append(TranscriptDelta(side=side, word=f"word{number % 50}", start_s=at_s, end_s=at_s + 0.4))
        tick = Tick(number)
        sounds = (Packet(USER_AUDIO, tick, waves[number % 20]), Packet(AGENT_AUDIO, tick, waves[(number + 7) % 20]))
        trace.append(MicroTurn(tick, sounds, tuple(events)))
    return trace


@contextmanager
def measured(name: str, most: float | None = None, unit: str = "s", scale: float = 1e-3) -> Iterator[None]:
    """Print what the block took, in wall and in CPU time, against a target of CPU time."""
    wall, cpu = StopWatch(), StopWatch(now=time.process_time)
    yield
    report(name, cpu.lap_ms() * scale, most, unit, f" CPU, {wall.lap_ms() * scale:.3g} wall")


def report(name: str, value: float, most: float | None, unit: str, more: str = "") -> None:
    target = "" if most is None else f"; at most {most:g}: {'met' if value <= most else 'MISSED'}"
    print(f"{name:>48}: {value:8.3g} {unit}{more}{target}")


def main() -> None:
    hour, live = (int(sys.argv[place]) if len(sys.argv) > place else usual for place, usual in ((1, HOUR), (2, TEN_MINUTES)))
    trace = session_of(hour)
    print(f"a finished session of {hour} micro-turns, {trace.duration_s / 60:.0f} minutes")
    with tempfile.TemporaryDirectory() as folder:
        save_trace(trace, Path(folder) / "trace.sqlite")
        with measured("its file is read whole"):
            read_trace(Path(folder) / "trace.sqlite")
        list(chunks_of(session_of(CHUNK)))
        with measured("told in chunks from memory"):
            list(chunks_of(trace))
        cpu = StopWatch(now=time.process_time)
        line = Timeline(Path(folder) / "trace.sqlite")
        told_s = cpu.lap_ms() / 1000
        chunks = line.chunks
        report("the widget, from its file", told_s, None, "s", f" CPU, {sum(map(len, chunks)) / 1e6:.2f} MB")
    figure_mb = len(timeline(trace).to_json()) / 1e6
    report("its static figure", figure_mb, FIGURE_MB, "MB")
    turns = session_of(live).turns
    with measured("a live tick in the kernel", TICK_MS, "ms", 1 / len(turns)):
        for turn in turns:
            encode(tick_message(turn, CLOCK, cost_ms=20.0, late_ms=0.0, lost=0))
    chromium = os.environ.get("MICROTURN_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium found: what a browser takes is left out; install one, or name it in MICROTURN_CHROMIUM")
        return
    in_a_browser(chromium, chunks, told_s, turns)


def in_a_browser(chromium: str, chunks: list[bytes], told_s: float, turns: list[MicroTurn]) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tasks = watched(browser, WATCH, OPEN_HOUR, [base64.b64encode(chunk).decode() for chunk in chunks])
        report("drawn by a browser", tasks["cpu_s"], None, "s", f" CPU, {tasks['value'] / 1000:.3g} wall")
        report("opened from its file, kernel and browser", told_s + tasks["cpu_s"], OPENS_S, "s", " CPU")
        report("the longest task meanwhile", tasks["longest_ms"], TASK_MS, "ms", f" CPU, {tasks['seen_ms']:.3g} wall")
        bodies = [encode(tick_message(turn, CLOCK, cost_ms=20.0, late_ms=0.0, lost=0))[0] for turn in turns]
        tasks = watched(browser, SOURCES, LIVE, [bodies, CLOCK.tick_ms / SPEED])
        report(f"the longest task of {len(turns)} live ticks", tasks["longest_ms"], TASK_MS, "ms", f" CPU, {tasks['seen_ms']:.3g} wall")
        report("a live tick in the browser", tasks["cpu_s"] * 1000 / len(turns), None, "ms", " CPU")
        browser.close()


OPEN_HOUR = """async (chunks) => {
  const line = client.watch(root), begun = performance.now();
  line.begin({ tick_ms: 200, ticks: 18000, text: "" }, true);
  for (const chunk of chunks) line.add(chunk);
  await line.over(true);
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begun;
}"""
LIVE = """async ([bodies, everyMs]) => {
  let hear = null;
  const carrier = { name: "websocket", reason: "", again: null, open({ up, message }) { hear = message; up(); }, send() {}, close() {} };
  const talk = client.mount(root, { carrier: () => carrier, standIn: "a benchmark", graceMs: 1e9, silenceMs: 1e9 });
  while (!hear) await new Promise((done) => setTimeout(done, 10));
  hear({ t: "welcome", session: "s", token: "", tick_ms: 200, rate: 16000, kept: {}, lanes: [], agent: "a" }, []);
  const begun = performance.now(), pcm = new Uint8Array(6400);
  for (const [i, body] of bodies.entries()) {
    await new Promise((done) => setTimeout(done, Math.max(0, begun + i * everyMs - performance.now())));
    hear(body, [pcm.slice()]);
  }
  return performance.now() - begun;
}"""


def watched(browser: Any, sources: tuple[str, ...], code: str, argument: Any) -> dict[str, float]:
    """Run `code` in a fresh page: what it returned, the CPU time of the main thread's tasks, the longest of them, and the longest seen."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.route(ADDRESS, lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(ADDRESS)
    page.add_style_tag(content=style_sheet())
    page.evaluate(
        """async (code) => {
          window.client = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
          window.seen = 0;
          const look = (list) => { for (const { duration } of list.getEntries()) seen = Math.max(seen, duration); };
          new PerformanceObserver(look).observe({ type: "longtask" });
        }""",
        joined(*sources),
    )
    page.evaluate(
        """(parts) => {
          const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          window.argument = parts.map((part) => (typeof part === "string" ? bytes(part) : part)); // as a comm would have brought it
        }""",
        argument,
    )
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"])
    value = page.evaluate(f"({code})(window.argument)")
    events = json.loads(browser.stop_tracing())["traceEvents"]
    seen_ms = page.evaluate("window.seen")
    page.close()
    mains = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"].get("name") == "CrRendererMain"}
    tasks = [e for e in events if e.get("ph") == "X" and e["name"].endswith("RunTask") and (e["pid"], e["tid"]) in mains]
    spans = [task.get("tdur", 0) / 1000 for task in tasks]
    return {"value": value, "cpu_s": sum(spans) / 1000, "longest_ms": max(spans, default=0.0), "seen_ms": seen_ms}


if __name__ == "__main__":
    main()
