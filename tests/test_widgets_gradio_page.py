"""The shared page in a real browser: tried, agreed to, heard, answered, stopped, taken home; and what it says when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.shared_fakes import Counter, Site, hello, site
from workbench.agents import EchoAgent
from workbench.clock import ClockSpec
from workbench.events import ModelYielded, PlaybackPosition, TranscriptDelta
from workbench.live.admission import Limits
from workbench.live.protocol import Welcome
from workbench.packets import AGENT_AUDIO, USER_AUDIO
from workbench.store import read_trace, verify
from workbench.trace import Trace

pytestmark = pytest.mark.browser

PATIENCE_MS = 120_000
# A silent microphone, how often it was opened, and a list of the ticks that the page is told of.
PREPARED = """() => {
  const context = new AudioContext({ sampleRate: 16000 }), out = context.createMediaStreamDestination();
  window.opened = 0;
  navigator.mediaDevices.getUserMedia = async () => { window.opened++; await context.resume(); return out.stream; };
  window.told = [];
  talk.on("tick", (message) => window.told.push(message));
}"""
HUMMING = """(hz) => {
  const context = new AudioContext({ sampleRate: 16000 }), out = context.createMediaStreamDestination(), tone = context.createOscillator();
  tone.frequency.value = hz;
  tone.connect(out);
  tone.start();
  navigator.mediaDevices.getUserMedia = async () => { await context.resume(); return out.stream; };
}"""
COLOURS = """() => {
  const base = document.querySelector(".mt-base"), { data } = base.getContext("2d").getImageData(0, 0, base.width, base.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, "--autoplay-policy=no-user-gesture-required"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Opens the page of a site, without saying hello yet; no page may raise an error or ask anything of another server."""
    contexts, wrong = [], list[str]()

    def open_page(at: Site, **context: Any) -> Any:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith((at.address, "data:", "blob:")) else wrong.append(request.url))
        page.goto(at.address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def ready(page: Any) -> None:
    page.get_by_role("button", name="Start", exact=True).wait_for()
    page.evaluate(PREPARED)


def until(page: Any, condition: str) -> None:
    page.wait_for_function(condition, timeout=PATIENCE_MS)


def loudness(samples: np.ndarray, hz: float) -> float:
    """The power that lies within 20 Hz of a frequency."""
    power = np.abs(np.fft.rfft(samples)) ** 2 / max(1, len(samples))
    return float(power[np.abs(np.fft.rfftfreq(len(samples), 1 / ClockSpec().sample_rate) - hz) < 20].sum())


def taken_home(page: Any, folder: Path) -> Trace:
    """The session stopped, downloaded and read; every word that the page was told stands in it."""
    page.get_by_role("button", name="Stop", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    assert verify(path).ok
    trace = read_trace(path)
    kept = {(word.side, word.word, word.start_s) for _, word in trace.events(TranscriptDelta)}
    shown = {
        (side, word, start_s) for side, word, start_s in page.evaluate("told.flatMap((tick) => tick.words.map((word) => word.slice(0, 3)))")
    }
    assert shown <= kept
    return trace


def test_what_is_tried_is_answered_and_stopped_and_the_session_taken_home(visit: Any, tmp_path: Path) -> None:
    with site(Counter(), tmp_path) as served:
        page = visit(served)
        ready(page)
        count, stop = page.get_by_role("button", name="type it").all()
        assert count.is_disabled()
        page.get_by_role("button", name="Start", exact=True).click()
        question = page.get_by_role("alertdialog")
        question.wait_for()
        assert "Nothing is captured until you agree" in question.inner_text()
        kept = "kept in full: your voice, what you type, your pictures, the agent's voice, its words, the words it hears"
        assert page.locator(".mt-kept").inner_text() == kept
        assert f"Of this session, {kept}." in question.inner_text()
        assert (page.evaluate("opened"), list(tmp_path.glob("*.sqlite"))) == (0, [])
        page.get_by_label("first check with a short tone").uncheck()
        page.get_by_role("button", name="Agree").click()
        until(page, "talk.state === 'talking'")
        count.click()
        until(page, "told.some((tick) => tick.words.some(([, word]) => word === 'three'))")
        stop.click()
        table = page.get_by_role("group", name="Recent decisions")
        table.get_by_text("yields").wait_for()
        table.get_by_text("◆ threshold: wanted one, did <silence> (p(speak) 0.40 < threshold 0.50)").first.wait_for()
        page.get_by_label("Threshold of p(speak)").fill("0.7")
        table.get_by_text("p(speak) 0.40 < threshold 0.70").first.wait_for()
        assert page.evaluate(COLOURS) > 20
        until(page, "talk.timeline.record.played > 0")
        for scheme, width in (("light", 1280), ("dark", 390)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 844})
            page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
            until(page, "document.documentElement.scrollWidth <= innerWidth")
            colour = "getComputedStyle(document.querySelector('.mt-client')).backgroundColor"
            assert (page.evaluate(colour) == "rgb(255, 255, 255)") == (scheme == "light")
        trace = taken_home(page, tmp_path)
        assert [event.side for _, event in trace.events(TranscriptDelta)][:3] == ["model"] * 3
        assert len(list(trace.events(ModelYielded))) == 1
        assert max(event.heard_s for _, event in trace.events(PlaybackPosition)) > 0


def test_two_visitors_at_once_hear_each_their_own_voice_and_the_fifth_of_four_is_told_to_wait(visit: Any, tmp_path: Path) -> None:
    with site(EchoAgent(), tmp_path, limits=Limits(sessions=4, visitor_minutes=600.0)) as served:
        pages = {hz: visit(served) for hz in (440, 1_250)}
        for hz, page in pages.items():
            ready(page)
            page.evaluate(HUMMING, hz)
            page.get_by_role("button", name="Start", exact=True).click()
            page.get_by_label("first check with a short tone").uncheck()
            page.get_by_role("button", name="Agree").click()
        for page in pages.values():
            until(page, "talk.state === 'talking' && told.length > 15 && talk.timeline.record.played > 0")
        with served.connect() as third, served.connect() as fourth:
            assert all(isinstance(hello(other), Welcome) for other in (third, fourth))
            fifth = visit(served)
            ready(fifth)
            fifth.get_by_role("button", name="Start", exact=True).click()
            fifth.get_by_role("alert").get_by_text("full: 4 conversations of 4 going on; try again in").wait_for()
        traces = {hz: taken_home(page, tmp_path) for hz, page in pages.items()}
    for hz, other_hz in ((440, 1_250), (1_250, 440)):
        for stream in (USER_AUDIO, AGENT_AUDIO):
            own, others = (loudness(traces[hz].audio(stream), at) for at in (hz, other_hz))
            assert own > 100 * max(others, 1e-6), f"{stream} of who hums at {hz} Hz: {own} there, {others} at {other_hz} Hz"


def test_a_visitor_who_finds_it_full_is_told_when_to_come_back_and_can_start_again(visit: Any, tmp_path: Path) -> None:
    with site(EchoAgent(), tmp_path, limits=Limits(sessions=1)) as served, served.connect() as other:
        assert isinstance(hello(other), Welcome)
        page = visit(served)
        ready(page)
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_role("alert").get_by_text("full: 1 conversation of 1 going on; try again in 10 minutes").wait_for()
        assert page.locator(".mt-recording").inner_text() == "ended, not recording"
        page.get_by_role("button", name="Start", exact=True).wait_for()


def test_the_page_is_behind_its_login_and_one_that_was_logged_out_says_so(visit: Any, tmp_path: Path) -> None:
    with site(EchoAgent(), tmp_path, logins={"ann": "secret"}) as served:
        page = visit(served)
        page.get_by_label("username").fill("ann")
        assert page.locator(".mt-shared").count() == 0
        page.get_by_label("password").fill("secret")
        page.get_by_role("button", name="Login").click()
        ready(page)
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_role("alertdialog").wait_for()
        page.get_by_role("button", name="No", exact=True).click()
        with page.context.new_page() as other:
            other.goto(served.address)
            other.get_by_role("link", name="Log out").click()
            other.get_by_label("username").wait_for()
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_role("alert").get_by_text("not logged in any more; load the page again and log in").wait_for()
