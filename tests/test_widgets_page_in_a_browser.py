"""The page that stands alone: its text, and what a browser makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.sample_session import stopped_count
from widgets import write_timeline
from workbench.clock import Tick
from workbench.events import Decision
from workbench.packets import MicroTurn

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trace = stopped_count()
    decision = Decision(floor="idle", said=EVIL, p_speak=0.9, p_yield=0.0, p_backchannel=0.0, threshold=0.5)
    trace.turns[35] = MicroTurn(Tick(35), trace.turns[35].packets, (decision,))
    return write_timeline(trace, tmp_path_factory.mktemp("page") / "new" / "timeline.html")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, page_path: Path) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.problems = []
    opened.on("console", lambda message: opened.problems.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.on("request", lambda request: opened.problems.append(request.url) if request.url.startswith("http") else None)
    opened.goto(page_path.as_uri())
    opened.wait_for_selector("#timeline .main-svg")
    opened.wait_for_function("document.getElementById('sound').readyState >= 1")
    yield opened
    opened.close()


def test_the_page_escapes_what_came_from_the_session(page_path: Path) -> None:
    text = page_path.read_text(encoding="utf-8")
    assert EVIL not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


@pytest.mark.browser
def test_the_page_opens_without_an_error_or_a_request(page: Any) -> None:
    titles = page.locator("g.annotation").all_text_contents()
    for lane in ("User", "Floor", "p(speak)", "p(yield)", "Agent", "Cost of 200 ms"):
        assert any(lane in title for title in titles)
    assert page.locator("tbody tr").count() == 9
    assert page.problems == []


@pytest.mark.browser
def test_a_row_of_the_table_moves_sound_and_cursor_to_its_tick(page: Any) -> None:
    page.evaluate("HTMLMediaElement.prototype.play = () => Promise.resolve()")
    page.locator("tbody tr", has_text="<yield>").click()
    assert page.evaluate("document.getElementById('sound').currentTime") == pytest.approx(5.0, abs=0.01)
    expected = page.evaluate(
        "(() => { const x = document.getElementById('timeline')._fullLayout.xaxis; return x._offset + x.d2p(5) - 1; })()"
    )
    page.wait_for_function("document.querySelector('tr.now td:nth-child(4)').textContent === '<yield>'")
    assert page.evaluate("parseFloat(document.getElementById('cursor').style.left)") == pytest.approx(expected, abs=1.0)
    assert page.problems == []


@pytest.mark.browser
def test_a_click_on_the_timeline_moves_the_sound_there(page: Any) -> None:
    box = page.locator("#timeline").bounding_box()
    px = page.evaluate("(() => { const x = document.getElementById('timeline')._fullLayout.xaxis; return x._offset + x.d2p(3.3); })()")
    page.mouse.click(box["x"] + px, box["y"] + 60)
    assert page.evaluate("document.getElementById('sound').currentTime") == pytest.approx(3.3, abs=0.03)


@pytest.mark.browser
def test_a_sound_that_is_paused_before_it_began_is_no_error(page: Any) -> None:
    page.locator("tbody tr", has_text="<yield>").evaluate("(row) => { row.click(); document.getElementById('sound').pause(); }")
    page.wait_for_timeout(300)
    assert page.evaluate("document.getElementById('sound').currentTime") == pytest.approx(5.0, abs=0.01)
    assert page.problems == []
