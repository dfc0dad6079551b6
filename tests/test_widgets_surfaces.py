"""Each page that one talks through, as it ships, in a real browser: `nano` hears "count to twenty" and "stop", counts aloud, and stops.

What goes wrong costs no trace. Where a cell computes meanwhile, an agent listens that needs no fast machine (`tests.dashboard_fakes`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS, artifact
from tests.surface_fakes import COMPUTES, ENOUGH, Surface, surface
from tests.talk_fakes import AGENT, FAKE_MICROPHONE, HEARD, INKED, USER
from workbench.events import DeadlineMissed, LinkLost, LinkResumed, ModelYielded, PlaybackPosition, TranscriptDelta
from workbench.index import scan
from workbench.store import read_trace, verify
from workbench.trace import Trace

pytestmark = [pytest.mark.browser, pytest.mark.checkpoint]

PATIENCE_S = 120.0
PULLED_S = 5.0
FROZEN_S = 4.0
STOPS_S, QUIET_S = 2.0, 1.0  # so soon after "stop" it gives way, and so long it then says no number; the next request comes later
BUSY = 0.05  # of the ticks late: a model that misses so much of what is said cannot be held to what it heard


@pytest.fixture(scope="module")
def browser(chromium: str, microphone: Path) -> Iterator[Any]:
    fake = (*FAKE_MICROPHONE, f"--use-file-for-fake-audio-capture={microphone}", "--autoplay-policy=no-user-gesture-required")
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, *fake])
        yield opened
        opened.close()


@pytest.fixture(scope="module", params=["gradio", "dashboard", "notebook"])
def at(request: pytest.FixtureRequest, browser: Any, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surface]:
    with surface(request.param, tmp_path_factory.mktemp(request.param)) as served:
        yield served


def until(condition: Callable[[], bool], shown: Callable[[], str] = lambda: "it never came true") -> None:
    late_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < late_s, shown()
        time.sleep(0.05)


def talk(page: Any) -> None:
    """Start, agree, and talk."""
    page.get_by_role("button", name="Start", exact=True).click()
    until(lambda: page.locator("[data-state='asking']").count() == 1, page.locator(".mt-panel").inner_text)
    page.get_by_label("first check with a short tone").uncheck()
    page.get_by_role("button", name="Agree").click()
    page.wait_for_selector("[data-state='talking']")


def said(page: Any, side: str) -> list[str]:
    return [word for line in page.locator(f".mt-log li[data-side='{side}'] span").all_inner_texts() for word in line.split()]


def ticks(page: Any) -> int:
    return int(page.locator(".mt-over").get_attribute("aria-valuemax"))


def newest(at: Surface) -> Path:
    return max(at.folder.glob("live-*.sqlite"))


def closed(at: Surface) -> Trace:
    """The trace of the newest session, once it was closed; every link of it holds."""
    path = newest(at)
    until(lambda: scan(at.folder, {})[path.name].state == "whole")
    assert verify(path).ok
    return read_trace(path)


def stopped(trace: Trace) -> bool:
    """Whether it gave way upon a "stop" that it heard, and was quiet then."""
    words = [event for _, event in trace.events(TranscriptDelta)]
    told = [word.start_s for word in words if (word.side, word.word) == ("user", "stop")]
    counted = [word.start_s for word in words if word.side == "model"]
    yields = [event.at_s for _, event in trace.events(ModelYielded) if any(0 <= event.at_s - at_s <= STOPS_S for at_s in told)]
    return any(trace.duration_s >= at_s + QUIET_S and not any(0 < said_s - at_s < QUIET_S for said_s in counted) for at_s in yields)


def too_busy(trace: Trace) -> str:
    """Why nothing can be asked of a live model here; empty when it kept its pace."""
    late = sum(1 for _ in trace.events(DeadlineMissed)) / max(1, len(trace))
    return f"this machine is too busy for a live model: {late:.0%} of its ticks were late" if late > BUSY else ""


def test_a_spoken_count_is_heard_answered_aloud_and_stopped(browser: Any, at: Surface) -> None:
    def counted_and_stopped() -> bool:
        heard = {"count", "stop"} <= set(said(page, "user")) and {"one", "two"} <= set(said(page, "model"))
        return heard and stopped(read_trace(newest(at), streams=(), kinds=(ModelYielded.kind, TranscriptDelta.kind)))

    with at.opened(browser) as page:
        talk(page)
        try:
            until(counted_and_stopped)  # over and over, as the microphone does
        except AssertionError:
            if why := too_busy(read_trace(newest(at), streams=())):
                pytest.skip(why)
            raise
        inked = page.locator(".mt-base").evaluate(INKED, [USER, HEARD, AGENT])
        page.screenshot(path=artifact(f"surface-{at.name}.png"))
        page.get_by_role("button", name="Stop", exact=True).click()
        page.wait_for_selector("[data-state='ended']")
        shown = {side: Counter(said(page, side)) for side in ("user", "model")}
        trace = closed(at)
    assert trace.header.participants["agent"]["kind"] == "nano"
    for side, words in shown.items():
        assert words <= Counter(e.word for _, e in trace.events(TranscriptDelta) if e.side == side)
    heard_s = max(e.heard_s for _, e in trace.events(PlaybackPosition))
    first_s = min(e.start_s for _, e in trace.events(TranscriptDelta) if e.side == "model")
    assert heard_s > first_s, "the page counted no played sample of the agent's voice"
    assert min(inked) > 0, f"the timeline lacks the user's wave, the words heard or the agent: {inked} pixels"


@pytest.mark.parametrize("at", ["notebook"], indirect=True)
def test_a_session_goes_on_while_a_cell_computes(browser: Any, at: Surface) -> None:
    """Run All: the panel's cell, and one that computes until it is told that it is enough."""
    with at.opened(browser, "busy") as page:
        talk(page)
        until(lambda: {"count", "stop"} <= set(said(page, "user")) and "two" in said(page, "model"))
        assert (at.folder / COMPUTES).exists()
        page.get_by_role("button", name="Stop", exact=True).click()
        page.wait_for_selector("[data-state='ended']")
        (at.folder / ENOUGH).touch()
        trace = closed(at)
    assert len(trace) > 10
    assert any(event.word == "two" for _, event in trace.events(TranscriptDelta) if event.side == "model")


def test_a_pulled_network_and_a_frozen_tab_are_resumed_and_a_closed_tab_ends_the_session(browser: Any, at: Surface) -> None:
    with at.opened(browser) as page:
        talk(page)
        until(lambda: ticks(page) > 5)
        at.wire.cut()
        time.sleep(PULLED_S)
        until(lambda: any(read_trace(newest(at), streams=(), kinds=(LinkLost.kind,)).events(LinkLost)))
        at.wire.mend()
        before = ticks(page)
        page.wait_for_selector("[data-state='talking']")
        until(lambda: ticks(page) > before + 5 + PULLED_S * 5)
        cdp = page.context.new_cdp_session(page)
        cdp.send("Page.setWebLifecycleState", {"state": "frozen"})
        time.sleep(FROZEN_S)
        cdp.send("Page.setWebLifecycleState", {"state": "active"})
        before = ticks(page)
        page.wait_for_selector("[data-state='talking']")
        until(lambda: ticks(page) > before + 5)
        page.close()
    trace = closed(at)
    links = [type(event) for _, event in trace.events(LinkLost, LinkResumed)]
    assert links[:2] == [LinkLost, LinkResumed]
    assert [turn.tick for turn in trace.turns] == list(range(len(trace)))


def test_a_killed_kernel_leaves_a_trace_that_opens_and_a_page_that_says_so(browser: Any, at: Surface) -> None:
    with at.opened(browser) as page:
        talk(page)
        until(lambda: ticks(page) > 8)
        at.kill()
        page.wait_for_selector("[data-state='waiting'], [data-state='ended']")
        assert page.get_by_role("alert").filter(has_text="server").or_(page.get_by_role("alert").filter(has_text="kernel")).count() > 0
        before = ticks(page)
    path = newest(at)
    assert verify(path).ok
    assert len(read_trace(path)) >= before - 5  # but for what the writer had not handed to the disk
