"""The live timeline and the panel around it, in a real browser: pixels of a scripted session, and what a person can do with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from tests.talk_fakes import TICK_SAMPLES, FakeRuntime, Pages, decision, outline, until, visit

pytestmark = pytest.mark.browser

# The colours of a canvas pixel: user, heard words and agent of the light theme, and what lies between the lanes.
AGENT, HEARD, GATE, LANE = (213, 94, 0), (0, 158, 115), (230, 159, 0), (247, 249, 251)
PIXEL = """([lane, tick, high]) => {
  const box = talk.timeline.box(lane), canvas = document.querySelector(".mt-base");
  const at = [box.x(tick) + Math.floor(box.column * (tick % 1 ? 0 : 0.4)), Math.round(box.y + box.height * (1 - high))];
  return Array.from(canvas.getContext("2d").getImageData(at[0], at[1], 1, 1).data.slice(0, 3));
}"""


def script(tick: int) -> Mapping[str, Any]:
    """A gate without a decision at tick 2; heard "count" at 0.4 s; a gate at tick 4; speaking "one" from tick 5 on."""
    if tick == 2:
        return {"events": [["gates.acted", 0.4, "budget gate: wanted one, did <silence> (5.0 s have been spoken)"]]}
    if tick == 3:
        return {"words": [["user", "count", 0.4, 0.8, 0.9]]}
    if tick == 4:
        return {"decision": decision(0.8, "one", floor="wait", gates=[["patience", "one", "", "the user still speaks"]])}
    if tick >= 5:
        words = [["model", "one", 1.0, 1.4, 0.9]] if tick == 5 else []
        return {"decision": decision(0.9, "one", floor="speak"), "said": "one", "words": words, "events": [["model.spoke", 1.0, "one"]]}
    return {}


@pytest.fixture(scope="module")
def talking(browser: Any, pages: Pages) -> Iterator[Any]:
    """One scripted session, past its tick 12; `page.runtime` speaks it."""
    runtime = FakeRuntime(script)
    with visit(browser, pages, runtime, viewport={"width": 1100, "height": 900}, color_scheme="light") as page:
        page.runtime = runtime
        until(lambda: page.evaluate("talk.timeline.record.last") >= 12, page)
        page.wait_for_timeout(300)
        yield page


@pytest.fixture
def page(talking: Any) -> Iterator[Any]:
    """The scripted session, following and with nothing chosen."""
    yield talking
    talking.mouse.move(0, 0)
    talking.locator(".mt-over").press("Escape")
    talking.locator(".mt-over").press("End")


@pytest.fixture
def still(page: Any) -> Any:
    """The same, paused at its beginning."""
    page.get_by_role("button", name="Pause").click()
    page.locator(".mt-over").press("Home")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page


def near(colour: list[int], expected: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(colour, expected, strict=True)) < 12


def point(page: Any, tick: float) -> tuple[float, float]:
    """Where a tick is on the screen, in the lane of p(speak)."""
    box = page.locator(".mt-over").bounding_box()
    x, y = page.evaluate("(tick) => { const b = talk.timeline.box('speak'); return [b.x(tick) + b.column / 2, b.y + b.height / 2]; }", tick)
    return box["x"] + x, box["y"] + y


def test_the_canvas_shows_the_bars_the_words_and_the_gate_of_the_session(still: Any) -> None:
    def pixel(lane: str, tick: float, high: float) -> list[int]:
        return still.evaluate(PIXEL, [lane, tick, high])

    assert near(pixel("speak", 8, 0.7), AGENT)
    assert not near(pixel("speak", 8, 0.96), AGENT)
    assert near(pixel("speak", 1, 0.8), LANE)
    assert near(pixel("words", 2, 0.06), HEARD)  # 0.4 to 0.8 s
    assert near(pixel("words", 3, 0.06), HEARD)
    assert not near(pixel("words", 5, 0.06), HEARD)
    assert near(pixel("said", 5, 0.06), AGENT)
    assert near(pixel("speak", 4, 0.93), GATE)
    assert not near(pixel("speak", 5, 0.96), GATE)
    assert near(pixel("speak", 2, 0.93), GATE)


def test_what_was_said_stands_beside_the_canvas_as_text(page: Any) -> None:
    lines = page.locator("[role=log] li").all_inner_texts()
    assert ["count" in lines[0], "as heard" in lines[0], "one" in lines[1], "agent" in lines[1]] == [True] * 4


def test_pointing_at_a_tick_names_its_numbers(still: Any) -> None:
    still.mouse.move(*point(still, 4))
    tip = still.locator(".mt-tip").inner_text()
    assert "tick 4 · 0.8 s · wait" in tip
    assert "p(speak) 0.80, threshold 0.50, p(yield) 0.10" in tip
    assert "patience: the user still speaks" in tip


def test_a_click_on_a_tick_opens_its_decision_record(still: Any) -> None:
    still.mouse.click(*point(still, 4))
    record = still.get_by_label("Inspector", exact=True)
    text = record.inner_text()
    for part in ("Tick 4 · 0.8 s", "0.80 against 0.50", "patience: one → silence, the user still speaks", "24.0 ms of 200"):
        assert part in text
    record.get_by_role("button", name="Tick after").click()
    assert "model.spoke: one" in record.inner_text()
    record.get_by_role("button", name="Close").click()
    assert record.is_hidden()


def test_a_paused_timeline_stays_while_the_session_goes_on(page: Any) -> None:
    for _ in range(3):
        page.get_by_role("button", name="Show less time").click()
    until(lambda: page.evaluate("talk.timeline.record.last") > 24, page)
    page.get_by_role("button", name="Pause").click()
    # All but the last second, whose sound is on its way to the loudspeaker, and on a busy machine more than that.
    until(lambda: page.evaluate("talk.timeline.record.tickOf(talk.timeline.record.played) >= talk.timeline.view.right - 6"), page)
    picture = """new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
      const canvas = document.querySelector(".mt-base"), { column, height } = talk.timeline.box("axis");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width - 6 * column, canvas.height - height);
      done([data.reduce((sum, value, i) => (sum * 31 + value + i) % 1000003, 7), talk.timeline.record.last, talk.timeline.view.right]);
    })))"""
    before = page.evaluate(picture)
    until(lambda: page.evaluate("talk.timeline.record.last") >= before[1] + 3, page)
    after = page.evaluate(picture)
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] > before[1]
    page.get_by_role("button", name="Live").click()
    assert page.evaluate(picture)[2] > before[2]
    for _ in range(3):
        page.get_by_role("button", name="Show more time").click()


def test_dragging_and_keys_scroll_back_and_return(page: Any) -> None:
    for _ in range(3):
        page.get_by_role("button", name="Show less time").click()
    until(lambda: page.evaluate("talk.timeline.record.last") > 24, page)
    box = page.locator(".mt-over").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2  # wherever ticks are: those that came last may not be painted yet
    page.mouse.move(x, y)
    page.mouse.down()
    before = page.evaluate("talk.timeline.view.right")
    page.mouse.move(x + 150, y, steps=4)
    page.mouse.up()
    moved = page.evaluate("talk.timeline.view")
    assert moved["right"] < before
    assert moved["follow"] is False
    over = page.locator(".mt-over")
    over.press("Home")
    assert page.evaluate("talk.timeline.view.right") == page.evaluate("talk.timeline.view.inView")
    over.press("ArrowLeft")
    assert "p(speak)" in over.get_attribute("aria-valuetext")
    over.press("End")
    assert page.evaluate("talk.timeline.view.follow")
    for _ in range(3):
        page.get_by_role("button", name="Show more time").click()


def test_only_the_lanes_that_the_runtime_has_are_shown(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime(script)
    runtime.lanes = ["user", "agent", "of.a.newer.runtime"]
    with visit(browser, pages, runtime) as page:
        until(lambda: page.evaluate("talk.timeline.record.last") >= 6, page)
        assert page.locator(".mt-label b").all_inner_texts() == ["User", "Agent"]
        assert page.get_by_role("button", name="Camera").count() == 0  # it has no eyes
        page.mouse.move(*page.evaluate(
            """() => { const b = talk.timeline.box("said"), o = document.querySelector(".mt-over").getBoundingClientRect();
            return [o.x + b.x(5) + 2, o.y + b.y + 2]; }"""))  # fmt: skip
        assert "tick 5" in page.locator(".mt-tip").inner_text()


def test_a_moved_picture_equals_one_painted_anew(browser: Any, pages: Pages) -> None:
    rng = np.random.default_rng(3)
    ticks = []
    for tick in range(90):
        wave = rng.normal(0, 6000, TICK_SAMPLES).clip(-32768, 32767).astype(np.int16)
        words = [["user", f"word{tick}", tick * 0.2 - 0.5, tick * 0.2 - 0.1, 1]] if tick % 3 == 2 else []
        ticks.append({
            "t": "tick", "tick": tick, "at_s": tick * 0.2, "said": "", "words": words, "events": [], "cost_ms": 20 + tick, "late_ms": 0,
            "decision": decision(float(rng.random()), floor=["listen", "speak", "wait"][tick // 7 % 3]), "lost": 0,
            "user": outline(wave), "agent": outline(wave), "position": tick * TICK_SAMPLES,
        })  # fmt: skip
    page = browser.new_page(viewport={"width": 900, "height": 800}, device_scale_factor=1.5)
    page.goto(pages.address)
    page.wait_for_function("window.ready")
    different = page.evaluate(
        """async (ticks) => {
      const { createTimeline } = await import("./timeline.js");
      root.classList.add("microturn");
      const line = createTimeline(root), frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      await frame();
      for (const [i, tick] of ticks.entries()) { line.tick(tick, 3200); line.played(tick.position - 4000); if (i % 2) await frame(); }
      line.drop(ticks.at(-2).position + 800);
      await frame();
      const base = root.querySelector(".mt-base"), read = () => base.getContext("2d").getImageData(0, 0, base.width, base.height).data;
      const moved = read();
      root.style.width = "700px"; await frame(); root.style.width = ""; await frame(); // a change of size paints all
      const anew = read();
      let different = 0;
      for (let i = 0; i < moved.length; i++) if (Math.abs(moved[i] - anew[i]) > 24) different++;
      return [different, moved.length];
    }""",
        ticks,
    )
    page.close()
    assert different[0] / different[1] < 0.001


def test_an_hour_of_ticks_is_kept_and_no_more(browser: Any, pages: Pages) -> None:
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.goto(pages.address)
    page.wait_for_function("window.ready")
    found = page.evaluate(
        """async (decision) => {
      const { createTimeline } = await import("./timeline.js");
      root.classList.add("microturn");
      const line = createTimeline(root), wave = Array.from({ length: 20 }, (_, i) => (i % 2 ? 90 : -90));
      const add = (tick) => line.tick({ t: "tick", tick, at_s: tick / 5, said: "", decision, events: [], cost_ms: 20, late_ms: 0, lost: 0,
        words: tick % 2 ? [] : [["user", "word", tick / 5, tick / 5 + 0.3, 1]], user: wave, agent: wave, position: tick * 3200 }, 3200);
      for (let tick = 0; tick < 20000; tick++) add(tick);
      const { first, last } = line.record;
      return { first, last, words: line.record.words.length };
    }""",
        decision(0.7, "one", floor="speak"),
    )
    page.close()
    assert (found["first"], found["last"]) == (2000, 19_999)
    assert found["words"] <= 6000
