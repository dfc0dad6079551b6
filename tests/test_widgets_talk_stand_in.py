"""A user stands in for the person at the panel: it begins by itself, opens no microphone, and shows and plays what goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.talk_fakes import FakeRuntime, Pages, until
from tests.test_workbench_live_stand_in import Caller
from widgets import Talk
from widgets.sockets import SocketCarrier
from workbench.agents import EchoAgent
from workbench.clock import ClockSpec, RealTime
from workbench.errors import InputError
from workbench.live.admission import Admission, Limits
from workbench.live.host import Host
from workbench.live.stand_in import StandIn
from workbench.packets import AGENT_AUDIO, USER_AUDIO
from workbench.store import read_features, read_trace, verify
from workbench.typist import Line, silence, typing


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(EchoAgent, tmp_path, Admission(Limits(), RealTime(ClockSpec()).now))
    yield made
    made.close()


def test_a_panel_with_a_user_talks_without_a_page_and_names_its_trace(host: Host) -> None:
    talk = Talk(host.open("notebook"), user=Caller())
    assert talk.stand_in == "The user (user)"
    assert talk.wait(60) == "stopped by the person who talked"
    assert talk.trace is not None
    assert verify(talk.trace).ok
    talk.close()


def test_a_panel_that_is_closed_ends_the_session_of_its_user(host: Host) -> None:
    talk = Talk(host.open("notebook"), user=Caller(times=10_000))
    with pytest.raises(InputError, match=r"still goes on after 0.5 s; wait longer, or press Stop"):
        talk.wait(0.5)
    talk.close()
    assert talk.wait(60) == "the page was closed"
    assert host.sessions == []


@pytest.mark.checkpoint
def test_a_panel_of_its_own_keeps_no_sound_where_it_was_told_so(checkpoint: Path, tmp_path: Path) -> None:
    user = typing([Line(0.4, "count to eight")], silence(3.0))
    talk = Talk.with_nano(user, folder=tmp_path, checkpoint=checkpoint, keep=["features-only"], websocket=False)
    talk.wait(60)
    assert talk.trace is not None
    assert {packet.stream for turn in read_trace(talk.trace).turns for packet in turn.packets}.isdisjoint({USER_AUDIO, AGENT_AUDIO})
    assert read_features(talk.trace, USER_AUDIO)
    assert read_trace(talk.trace).header.labels["model_flops"]["per_position"] > 0
    talk.close()
    with pytest.raises(InputError, match="--keep 'sound=some' is neither STREAM="):
        Talk.with_nano(folder=tmp_path, checkpoint=checkpoint, keep="sound=some")


def test_who_is_no_user_is_refused_before_anything_begins(host: Host) -> None:
    with pytest.raises(InputError, match="neither a scenario family nor a sound file"):
        Talk(host.open("notebook"), user="stopp")
    assert host.sessions == []
    own = Talk(FakeRuntime())
    with pytest.raises(InputError, match="nobody talks in your place"):
        own.wait(1)
    own.close()


@pytest.fixture
def caller(host: Host) -> Iterator[StandIn]:
    """One who goes on talking in a person's place."""
    stand_in = StandIn(host.open("notebook"), Caller(times=10_000)).begin()
    yield stand_in
    stand_in.close()


@pytest.fixture
def listening(caller: StandIn, chromium: str, pages: Pages) -> Iterator[Any]:
    """A page on which the caller talks, past its third tick; it counts in `window.opened` how often a microphone is asked for."""
    carrier = SocketCarrier(caller)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page: Any = browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto(pages.address)
        page.wait_for_function("window.ready")
        page.evaluate(
            f"""() => {{
              window.opened = 0;
              navigator.mediaDevices.getUserMedia = async () => {{ window.opened++; throw new Error("none"); }};
              const carrier = () => client.socketCarrier("{carrier.address}", "a test");
              window.talk = client.mount(root, {{ standIn: "the caller", carrier }});
            }}"""
        )
        until(lambda: page.evaluate("talk.timeline.record.last") >= 3, page, within_s=60)
        yield page
        browser.close()
    carrier.close()


@pytest.mark.browser
def test_a_page_shows_and_plays_what_a_user_says_and_opens_no_microphone(caller: StandIn, listening: Any) -> None:
    page = listening
    assert page.locator(".mt-recording").inner_text() == "the caller talks"
    assert page.get_by_role("alertdialog").count() == 0
    if page.get_by_role("button", name="Hear it").count():
        page.get_by_role("button", name="Hear it").click()
    until(lambda: page.evaluate("talk.sound?.context.state") == "running", page, within_s=60)
    assert page.get_by_label("Microphone level").count() == 0
    page.get_by_role("button", name="Stop").click()
    until(lambda: caller.end is not None, page, within_s=60)
    page.wait_for_function("talk.state === 'ended'")
    assert page.get_by_role("button", name="Pause").count() == 0  # there is nothing to follow
    last = caller.end
    page.get_by_role("button", name="Start").click()
    until(lambda: page.evaluate("talk.state") == "talking" and caller.end is None, page, within_s=60)
    assert page.evaluate("window.opened") == 0
    caller.close()
    assert caller.wait(60) != last


SILENT = """addEventListener("load", async () => {  // a script, not a click, so that the browser keeps it silent
  const { openLoudspeaker } = await import("./sound.js");
  const sound = await openLoudspeaker({ leadMs: 40 });
  window.was = sound.context.state;
  sound.close();
})"""


@pytest.mark.browser
def test_a_loudspeaker_that_was_never_let_sound_is_closed_without_an_error(chromium: str, pages: Pages) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page, problems = browser.new_page(), list[str]()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.add_init_script(SILENT)
        page.goto(pages.address)
        page.wait_for_function("window.was")
        page.wait_for_timeout(300)
        assert (page.evaluate("window.was"), problems) == ("suspended", [])
        browser.close()


@pytest.mark.browser
def test_a_session_that_ends_while_its_sound_is_let_in_is_no_error(listening: Any) -> None:
    page, problems = listening, list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    until(lambda: page.evaluate("talk.sound?.context.state") is not None, page, within_s=60)
    page.evaluate("talk.sound.context.suspend()")
    page.get_by_text("Hear it").evaluate("(loud) => { loud.click(); talk.stop(); }")
    page.wait_for_timeout(300)
    assert problems == []


@pytest.mark.browser
def test_the_transcript_follows_its_last_line_in_a_narrower_window_too_until_someone_scrolls_away(listening: Any) -> None:
    page = listening
    page.evaluate(
        """() => {
          window.log = document.querySelector(".mt-log");
          window.below = () => log.scrollHeight - log.scrollTop - log.clientHeight;
        }"""
    )

    def type_lines(count: int) -> None:
        before = page.locator(".mt-log li").count()
        for number in range(count):
            page.evaluate(f"talk.type('line {number} of some that are too long to stand in one line of a narrow place')")
        until(lambda: page.locator(".mt-log li").count() >= before + count, page, within_s=60)

    type_lines(12)
    assert page.evaluate("log.scrollHeight > log.clientHeight + 60")
    assert page.evaluate("below()") < 30
    page.set_viewport_size({"width": 420, "height": 900})
    until(lambda: page.evaluate("below()") < 30, page, within_s=60)
    # A frame tells of scrolling before it tells of sizes: a scroll still to be told finds the narrower place's longer lines.
    page.evaluate("log.style.width = '200px'; log.dispatchEvent(new Event('scroll')); below()")
    until(lambda: page.evaluate("below()") < 30, page, within_s=60)
    type_lines(2)
    assert page.evaluate("below()") < 30
    page.evaluate("log.scrollTop = 0")
    until(lambda: page.evaluate("below()") > 60, page, within_s=60)
    type_lines(2)
    assert page.evaluate("log.scrollTop") == 0, "who reads what was said before is left there"
