"""The browser client's sound, in a real browser with a fake microphone: what is captured, what is played, what is dropped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.talk_fakes import FAKE_MICROPHONE, TICK_SAMPLES, FakeRuntime, Pages, until, visit

pytestmark = pytest.mark.browser

RECORD = """async () => {
  const { context, player } = talk.sound;
  const code = `registerProcessor("tap", class extends AudioWorkletProcessor {
    process([input]) { if (input[0]) this.port.postMessage([currentFrame, input[0].slice()]); return true; } })`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const tap = new AudioWorkletNode(context, "tap", { numberOfOutputs: 0 });
  window.tapped = [];
  tap.port.onmessage = ({ data: [frame, samples] }) => {
    window.tappedFrom ??= frame; // what comes after it is counted on the clock of the sound, whenever this page hears of it
    window.tapped.push(...samples);
  };
  player.connect(tap);
}"""

BUSY = """([nth, ms]) => {  // for so long when it hears the nth frame of the microphone
  const { get, set } = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
  let frames = 0;
  const slow = (ear) => (event) => {
    const until = performance.now() + (event.data.samples && ++frames === nth ? ms : 0);
    while (performance.now() < until);
    ear(event);
  };
  Object.defineProperty(MessagePort.prototype, "onmessage", { get, set(ear) { set.call(this, slow(ear)); } });
}"""


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A 48 kHz file for the fake microphone, and the same at 16 kHz: low noise in bursts, which aligns in one place only."""
    rng = np.random.default_rng(4)
    bursts = np.repeat(rng.uniform(0, 1, 60), 800)
    noise = np.convolve(rng.normal(size=len(bursts)), np.hanning(24) / 12, "same")  # under 1.5 kHz: half a sample beside is still the same
    wave = soxr.resample((0.5 * bursts * noise).clip(-0.9, 0.9), 16_000, 48_000)
    path = tmp_path_factory.mktemp("microphone") / "bursts.wav"
    soundfile.write(path, wave, 48_000, subtype="PCM_16")
    return path, soxr.resample(wave, 48_000, 16_000)


@pytest.fixture(scope="module")
def browser(chromium: str, spoken: tuple[Path, np.ndarray]) -> Iterator[Any]:
    fake = [
        *FAKE_MICROPHONE,
        f"--use-file-for-fake-audio-capture={spoken[0]}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, *fake])
        yield opened
        opened.close()


def test_the_microphone_arrives_whole_at_16_khz(browser: Any, pages: Pages, spoken: tuple[Path, np.ndarray]) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime) as page:
        until(lambda: len(runtime.captured()) > 4.5 * 16_000, page)
        frames = runtime.of("audio")
        assert [frame["n"] for frame in frames] == [640 * i for i in range(len(frames))]
        assert runtime.of("hello")[0]["rate"] == 16_000
        heard, sent = runtime.captured()[16_000:64_000] / 32_768, spoken[1]
        cycle = np.resize(sent, len(sent) * 3)  # the fake device plays its file over and over
        found = []  # each block by itself: a busy machine stretches what the fake device gives by silence, and that alone
        for at in range(0, 16_000 * 2, 4000):
            block = heard[at : at + 4000]
            start = int(np.correlate(cycle, block, "valid").argmax())
            found.append((at, start, np.corrcoef(block, cycle[start : start + 4000])[0, 1]))
        whole = [(at, start) for at, start, likeness in found if likeness > 0.9]
        assert len(whole) >= 5, found
        steps = [((later - start) % len(sent), after - at) for (at, start), (after, later) in pairwise(whole)]
        assert all(moved <= passed + 8 for moved, passed in steps), "nothing is lost between two of them"


def test_every_sample_that_was_sent_is_played_once_and_counted(browser: Any, pages: Pages) -> None:
    recorded, first = threading.Event(), list[int]()

    def voice(tick: int) -> np.ndarray:
        if recorded.is_set() and not first:
            first.append(tick)
        ramp = 1000 + (np.arange(TICK_SAMPLES) + tick * TICK_SAMPLES) % 20_000
        return ramp if first and tick < first[0] + 10 else np.zeros(TICK_SAMPLES)

    runtime = FakeRuntime(voice=voice)
    with visit(browser, pages, runtime) as page:
        page.evaluate(RECORD)
        recorded.set()
        until(lambda: bool(first) and any(p["position"] >= (first[0] + 15) * TICK_SAMPLES for p in runtime.of("played")), page)
        page.get_by_role("button", name="Stop").click()
        tapped = np.rint(np.array(page.evaluate("window.tapped")) * 32_768).astype(int)
        sent = np.concatenate([voice(tick) for tick in range(first[0], first[0] + 10)])
        assert np.array_equal(tapped[tapped > 0], sent)
        reports = runtime.of("played")
        assert all(a["position"] <= b["position"] for a, b in pairwise(reports))
        assert all(0 <= report["queued"] < 5 * TICK_SAMPLES for report in reports)


def test_a_drop_silences_the_loudspeaker_within_milliseconds(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime(voice=lambda tick: np.full(TICK_SAMPLES, 8000 if tick < 30 else 0))
    with visit(browser, pages, runtime) as page:
        page.evaluate(RECORD)
        until(lambda: len(runtime.of("played")) >= 5, page)
        page.evaluate("""() => {
          window.atDrop = new Promise((done) => {
            talk.link.on("drop", () => done(Math.round(talk.sound.context.currentTime * 16000) - window.tappedFrom));
          });
        }""")
        played = runtime.of("played")[-1]["position"]

        def dropped(tick: int) -> np.ndarray:
            """Said in the thread of the ticks: none with sound is on its way behind the drop."""
            if runtime.voice is dropped:
                runtime.voice = lambda tick: np.zeros(TICK_SAMPLES)
                runtime.say({"t": "drop", "from": played})
            return np.zeros(TICK_SAMPLES)

        runtime.voice = dropped
        at = page.evaluate("window.atDrop")
        page.wait_for_function("(length) => window.tapped.length >= length", arg=at + 6400)
        tapped = np.rint(np.array(page.evaluate("window.tapped")) * 32_768).astype(int)
        after = tapped[at:]
        last = int(np.flatnonzero(after)[-1]) if after.any() else 0
        assert last <= 0.06 * 16_000, f"sound went on for {last / 16:.0f} ms"  # what was on its way between two threads, and the fade
        edge = tapped[: at + last + 1][-66:]
        assert np.abs(np.diff(edge)).max() <= 8000 // 64 + 1  # no click
        until(lambda: runtime.of("played")[-1]["position"] > played, page)


def test_the_probe_tone_is_not_heard_by_a_microphone_that_is_elsewhere(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, options="probe: true,") as page:
        page.wait_for_function("document.querySelector('.mt-finding').textContent.startsWith('Probe tone')")
        until(lambda: len(runtime.of("audio")) > 3, page)
        assert [frame["n"] for frame in runtime.of("audio")][:3] == [0, 640, 1280]


def test_the_probe_tone_sounds_as_long_on_a_page_that_is_busy(browser: Any, pages: Pages) -> None:
    """The page is busy when the tone is to begin, and hears of the next half second at once."""
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, options="probe: true,", agree=False) as page:
        page.evaluate(BUSY, [10, 500])
        page.evaluate("""() => {
          const { start, stop } = OscillatorNode.prototype;
          window.tone = [];
          OscillatorNode.prototype.start = function (at = this.context.currentTime) { window.tone.push(at); start.call(this, at); };
          OscillatorNode.prototype.stop = function (at = this.context.currentTime) { window.tone.push(at); stop.call(this, at); };
        }""")
        page.get_by_role("button", name="Agree").click()
        page.wait_for_function("document.querySelector('.mt-finding').textContent.startsWith('Probe tone')")
        begun, ended = page.evaluate("window.tone")
        assert ended - begun == pytest.approx(0.45)


def test_what_the_probe_still_hears_when_it_is_over_is_not_sent(browser: Any, pages: Pages) -> None:
    """The page is busy while the last frames of the probe come."""
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, options="probe: true,", agree=False) as page:
        page.evaluate(BUSY, [30, 400])
        page.get_by_role("button", name="Agree").click()
        until(lambda: len(runtime.of("audio")) >= 20, page)
        assert [frame["n"] for frame in runtime.of("audio")][:20] == [640 * i for i in range(20)]


@pytest.mark.parametrize(("gain", "leaks"), [(0.0, False), (0.0005, False), (0.05, True), (1.0, True)])
def test_the_leakage_of_a_tone_is_measured_in_decibels(browser: Any, pages: Pages, gain: float, leaks: bool) -> None:
    page = browser.new_page()
    page.goto(pages.address)
    found = page.evaluate(
        """async (gain) => {
      const { leakage } = await import("./sound.js");
      const noise = () => Int16Array.from({ length: 640 }, () => (Math.random() - 0.5) * 40);
      const tone = () => noise().map((value, i) => value + gain * 3276.8 * Math.sin(2 * Math.PI * i / 16));
      return leakage(Array.from({ length: 10 }, noise), [...Array.from({ length: 5 }, noise), ...Array.from({ length: 10 }, tone)]);
    }""",
        gain,
    )
    page.close()
    assert found["leaks"] is leaks
    if gain >= 0.05:
        assert found["db"] == pytest.approx(20 * np.log10(gain), abs=1)
    assert ("headphones" in found["text"]) is leaks


@pytest.mark.parametrize(("gain", "expected"), [(0.0, "too loud to tell"), (1.0, "hears the loudspeaker at")])
def test_a_voice_during_the_tone_is_not_taken_for_it(browser: Any, pages: Pages, gain: float, expected: str) -> None:
    page = browser.new_page()
    page.goto(pages.address)
    found = page.evaluate(
        """async (gain) => {
      const { leakage } = await import("./sound.js");
      const hz = (i) => 110 + 40 * Math.sin(i / 4000), harmonics = Array.from({ length: 20 }, (_, k) => k + 1); // a voice that glides
      let angle = 0;
      const turns = Array.from({ length: 12800 }, (_, i) => (angle += 2 * Math.PI * hz(i) / 16000));
      const voice = turns.map((turn) => 3000 * harmonics.map((k) => Math.sin(k * turn) / k).reduce((a, b) => a + b));
      const heard = voice.map((value, i) => value + (i >= 3200 && i < 9600 ? gain * 3276.8 * Math.sin(2 * Math.PI * i / 16) : 0));
      const frames = (sound) => Array.from({ length: sound.length / 640 }, (_, i) => Int16Array.from(sound.slice(640 * i, 640 * (i + 1))));
      return leakage(frames(Array(6400).fill(0)), frames(heard));
    }""",
        gain,
    )
    page.close()
    assert expected in found["text"]
    assert found["leaks"] is (gain > 0)
    if gain:
        assert found["db"] == pytest.approx(0, abs=3)
