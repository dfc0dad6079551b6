"""What an agent shows, in a real browser: charts, tables and pictures are drawn, and what a stranger put in them does not act."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.sample_session import stopped_count
from tests.talk_fakes import FakeRuntime, Pages, until, visit
from tests.test_workbench_shown import EVIL
from widgets import write_timeline
from workbench.background.shown import plain
from workbench.packets import BACKGROUND_SHOWN, MicroTurn, Packet

pytestmark = pytest.mark.browser

DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCRIPT = "</script><script>window.hacked = true</script>"
SERIES = {"look": "bar", "name": EVIL, "names": [EVIL, "Rome"], "values": [2, 3], "colour": 'red"/><script>window.hacked=1</script>'}
HOSTILE: list[dict[str, Any]] = [
    {"task": "1", "kind": "text", "text": EVIL + SCRIPT},
    {"task": "2", "kind": "table", "caption": EVIL, "columns": [EVIL], "rows": [[SCRIPT]], "more": 3},
    {"task": "3", "kind": "figure", "title": EVIL, "x": EVIL, "y": SCRIPT, "series": [SERIES]},
    {"task": "4", "kind": "image", "data": "javascript:window.hacked=1", "alt": EVIL},
]
AGAIN = {"task": "4", "kind": "image", "data": DOT, "alt": "a dot"}


def script(tick: int) -> Mapping[str, Any]:
    return {"shown": HOSTILE} if tick == 2 else {"shown": [AGAIN]} if tick == 6 else {}


def test_hostile_things_are_shown_as_text_in_the_panel_and_do_nothing(browser: Any, pages: Pages) -> None:
    with visit(browser, pages, FakeRuntime(script)) as page:
        until(lambda: page.locator(".mt-thing").count() == 4, page)
        things = page.locator(".mt-thing")
        assert things.nth(0).inner_text() == EVIL + SCRIPT
        assert things.nth(1).locator("th").inner_text() == EVIL
        assert things.nth(1).locator("caption").inner_text() == f"{EVIL}; and 3 more rows"
        assert things.nth(2).locator("rect").count() == 2
        assert things.nth(2).locator("rect").first.get_attribute("fill") == "#0072B2"  # what was no colour is not used
        assert page.locator(".mt-things script, .mt-things a, .mt-things img[onerror]").count() == 0
        until(lambda: page.locator(".mt-thing img").count() == 1, page)  # task 4 showed a picture in place of what was none
        assert page.locator(".mt-thing").count() == 4
        page.wait_for_function("document.querySelector('.mt-thing img').naturalWidth === 1")
        assert page.evaluate("window.hacked") is None


def test_the_page_of_a_session_shows_what_was_shown(browser: Any, tmp_path: Path) -> None:
    trace = stopped_count()
    turn = trace.turns[10]
    figure = {"data": [{"type": "bar", "x": [SCRIPT, "Rome"], "y": [2, 3]}], "layout": {"title": EVIL}}
    lines = [{"task": "1", "shown": {"kind": "figure", "figure": figure}}, {"task": "2", "shown": {"kind": "text", "text": SCRIPT}}]
    shown = Packet(BACKGROUND_SHOWN, turn.tick, "\n".join(map(json.dumps, lines)))
    trace.turns[10] = MicroTurn(turn.tick, (*turn.packets, shown), turn.events)
    path = write_timeline(trace, tmp_path / "timeline.html")
    assert SCRIPT not in path.read_text(encoding="utf-8")
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(path.as_uri(), wait_until="commit", timeout=90_000)
    page.wait_for_selector("#things .mt-thing svg rect", timeout=90_000)
    assert page.locator("#things .mt-thing").count() == 2
    assert page.locator("#things b").inner_text() == EVIL
    assert page.evaluate("window.hacked") is None
    assert problems == []
    page.close()
    assert plain(lines[0]["shown"])["title"] == EVIL
