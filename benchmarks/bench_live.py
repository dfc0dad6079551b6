"""How long a live session takes to hear and to be heard, through each page and carrier, idle and with a busy cell; four sessions at once.

    python benchmarks/bench_live.py [clicks of each row] [seconds of four sessions]

A click is played into the page's microphone, and an agent answers it with a burst of sound in the tick in which it hears it. Three moments
are noted on the computer's one monotonic clock: the click is given to the microphone, the agent's step begins, the burst leaves the
loudspeaker (by the browser's own account, its output latency included). A click waits for the end of the tick in which it falls (100 ms in
the mean), and an agent hears at tick t what was said at t-1 (200 ms): so 300 ms of the first figure are the design's, the rest is transport
and jitter buffer. "Busy" is a thread, in a notebook a cell, that computes in pure Python in the process of the session.

Then four sessions of the shipped model at once in one process, each with a scripted user in real time: deadlines missed.
"""

from __future__ import annotations

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
from playwright.sync_api import TimeoutError as NotYet
from playwright.sync_api import sync_playwright
from surfaces import HEARD, LIMITS, lab, served

from workbench.clock import ClockSpec, RealTime, few_pauses
from workbench.events import AgentHeld, DeadlineMissed, TickCost, TranscriptDelta
from workbench.live.admission import Admission
from workbench.live.host import Host
from workbench.live.stand_in import StandIn
from workbench.scenarios import medley
from workbench.store import read_trace
from workbench.trace import Trace
from workbench.users import ScriptedUser

CLICKS, FOUR_S, SESSIONS = 20, 90.0, 4
PATIENCE_MS, MOST_UNHEARD = 3000, 4
START_MS = 120_000
COMPUTING = 2  # the cell that does
CLOCK = ClockSpec()
FLAGS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream"]
# A microphone into which clicks are played, and an ear at the loudspeaker of the panel.
INSTRUMENT = """
window.bench = { heard: null };
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext({ sampleRate: 16000 }), out = context.createMediaStreamDestination();
  await context.resume();
  bench.click = () => {
    const buffer = context.createBuffer(1, 480, 16000);
    buffer.copyToChannel(Float32Array.from({ length: 480 }, (_, i) => 0.5 * Math.sin(i * 0.4 + 1)), 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(out);
    const at = performance.now();
    source.start();
    return at;
  };
  return out.stream;
};
const TAP = `registerProcessor("bench-tap", class extends AudioWorkletProcessor {
  quiet = 0;
  process([[input]]) {
    if (!input) return true;
    const first = input.findIndex((value) => Math.abs(value) > 0.1);
    if (first >= 0 && this.quiet > 20) this.port.postMessage(currentFrame + first);
    this.quiet = first >= 0 ? 0 : this.quiet + 1;
    return true;
  }
})`;
const Node_ = window.AudioWorkletNode;
window.AudioWorkletNode = class extends Node_ {
  constructor(context, name, options) {
    super(context, name, options);
    if (name !== "microturn-playback") return;
    context.audioWorklet.addModule(URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }))).then(() => {
      const tap = new Node_(context, "bench-tap", { numberOfOutputs: 0 });
      this.connect(tap);
      tap.port.onmessage = ({ data: frame }) => {
        const { contextTime, performanceTime } = context.getOutputTimestamp();
        bench.heard?.(performanceTime + (frame / context.sampleRate - contextTime) * 1000);
      };
    });
  }
};"""
# [when it was clicked, when the answer was played or null] for each click, in ms of performance.now(); phases spread over a tick
CLICKING = """async ([clicks, patience, most]) => {
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms)), found = [];
  for (let i = 0; i < clicks && found.filter(([, played]) => played === null).length < most; i++) {
    await sleep(700 + (i * 123.6) % 200);
    const answer = new Promise((done) => { bench.heard = done; }), at = bench.click();
    found.push([at, await Promise.race([answer, sleep(patience).then(() => null)])]);
    bench.heard = null;
  }
  return found;
}"""


def main() -> None:
    clicks = int(sys.argv[1]) if len(sys.argv) > 1 else CLICKS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else FOUR_S
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(
        f"{cores} cores for this, load {load:.1f}; ms as median / p95; mic: click to the step that hears it; loud: that step to the speaker"
    )
    chromium = os.environ.get("MICROTURN_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium found: the carriers are left out; install one, or name it in MICROTURN_CHROMIUM")
    else:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
            carriers(browser, clicks)
            browser.close()
    four_sessions(seconds)


def carriers(browser: Any, clicks: int) -> None:
    for name, title in (("gradio", "shared page, WebSocket"), ("panel", "dashboard, Panel message")):
        for busy in (False, True):
            with folder() as into, served(name, into, busy=busy) as address, opened(browser, f"{address}/#live") as page:
                row(title, busy, page, into, clicks)
    for cell, title in ((0, "notebook, WebSocket"), (1, "notebook, widget comm")):
        with folder() as into, lab(into) as address, opened(browser, address) as page:
            page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
            run_cell(page, cell)
            row(title, False, page, into, clicks)
            row(title, True, page, into, clicks, COMPUTING)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        yield Path(made)


@contextmanager
def opened(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(permissions=["microphone"], viewport={"width": 1300, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(START_MS)
    page.add_init_script(INSTRUMENT)
    page.goto(address)
    try:
        yield page
    finally:
        context.close()


def run_cell(page: Any, number: int) -> None:
    page.evaluate(
        """async (number) => {
          window.jupyterapp.shell.currentWidget.content.activeCellIndex = number;
          window.jupyterapp.commands.execute("notebook:run-cell");
        }""",
        number,
    )


def row(title: str, busy: bool, page: Any, into: Path, clicks: int, computing: int | None = None) -> None:
    """Begin a session, have the kernel compute in this cell if there is one, click, and print what was found."""
    title = f"{title:>26}, {'busy' if busy else 'idle'}"
    try:
        start(page)
        if computing is not None:
            run_cell(page, computing)
            page.wait_for_timeout(1000)
        print(f"{title}: {found(page, into, clicks)}", flush=True)
    except NotYet as error:
        print(f"{title}: not measured, no session began or ended ({str(error).splitlines()[0]})", flush=True)


def start(page: Any) -> None:
    """Begin a session, and let it run for a moment."""
    page.get_by_role("button", name="Start", exact=True).click()
    tone = page.get_by_label("first check with a short tone")
    tone.wait_for()
    tone.uncheck()
    page.get_by_role("button", name="Agree").click()
    page.wait_for_selector("[data-state='talking']")
    page.wait_for_timeout(2000)


def found(page: Any, into: Path, clicks: int) -> str:
    """Click, and stop the session: what the clicks took."""
    offset_s = clock_offset(page)
    clicked = page.evaluate(CLICKING, [clicks, PATIENCE_MS, MOST_UNHEARD])
    page.get_by_role("button", name="Stop", exact=True).click()
    notes = into / HEARD
    heard = np.array([float(line) for line in notes.read_text().split()] if notes.exists() else [])
    mic, loud, reached = [], [], 0
    for at_ms, played in clicked:
        at_s = at_ms / 1000 + offset_s
        steps = heard[(heard > at_s) & (heard < at_s + PATIENCE_MS / 1000)]
        reached += len(steps) > 0
        if len(steps) and played is not None:
            mic.append((steps[0] - at_s) * 1000)
            loud.append((played / 1000 + offset_s - steps[0]) * 1000)
    missing = len(clicked) - len(mic)
    unheard = f"; {missing} of {len(clicked)} unanswered in {PATIENCE_MS / 1000:g} s, {reached} heard" if missing else ""
    late = deadlines(max(into.glob("live-*.sqlite")))
    return f"mic {spread(mic)}, loud {spread(loud)}, both {spread(np.add(mic, loud))}{unheard}; {late}"


def clock_offset(page: Any) -> float:
    """Seconds to add to performance.now() for the monotonic clock, from the quickest of many questions."""
    asked = []
    for _ in range(30):
        before_s = time.monotonic()
        now_ms: float = page.evaluate("performance.now()")
        after_s = time.monotonic()
        asked.append((after_s - before_s, (before_s + after_s) / 2 - now_ms / 1000))
    return min(asked)[1]


def spread(values: Any) -> str:
    return f"{np.median(values):4.0f} / {np.percentile(values, 95):4.0f}" if len(values) else "   – /    –"


def deadlines(path: Path) -> str:
    trace = read_trace(path, streams=(), kinds=(DeadlineMissed.kind,))
    missed = sum(1 for _ in trace.events(DeadlineMissed))
    return f"{missed} of {len(trace)} ticks late"


def four_sessions(seconds: float) -> None:
    """Sessions of the shipped model in this process, each with its own medley of requests, as `microturn talk` would hold them."""
    import torch

    from workbench.neural import load_agent

    torch.set_num_threads(1)
    agent = load_agent()
    users = [ScriptedUser(medley(seed, "train", seconds)).prepare() for seed in range(SESSIONS)]
    with folder() as into, few_pauses():
        host = Host(lambda: agent, into, Admission(LIMITS, RealTime(ClockSpec()).now))
        talking = [StandIn(host.open(f"visitor {number}"), user).begin() for number, user in enumerate(users)]
        late_s = time.monotonic() + seconds + 5
        for each in talking:
            each.wait(max(0.0, late_s - time.monotonic()))
            each.close()
        traces = [read_trace(path) for path in sorted(into.glob("*.sqlite"))]
    ticks, missed, held = sum(map(len, traces)), count(traces, DeadlineMissed), count(traces, AgentHeld)
    cost = [sum(event.stages_ms.values()) for trace in traces for _, event in trace.events(TickCost)]
    said = sum(word.side == "model" for trace in traces for _, word in trace.events(TranscriptDelta))
    each_s, met = ticks * CLOCK.tick_s / len(traces), "MISSED" if missed else "met"
    print(f"{len(traces)} sessions of nano at once, {each_s:.0f} s each, {said} words said: a tick costs {spread(cost)} ms")
    print(f"   deadline.missed {missed} of {ticks}, at most 0: {met}; agent.held {held}; load {os.getloadavg()[0]:.1f}")


def count(traces: list[Trace], kind: type[Any]) -> int:
    return sum(1 for trace in traces for _ in trace.events(kind))


if __name__ == "__main__":
    main()
