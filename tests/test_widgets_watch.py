"""`Timeline`: a finished session opens in it whole, a running one is drawn as it goes on, by the same code as in the panel."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.live_fakes import Wall, opened
from tests.talk_fakes import Pages
from widgets import Timeline
from widgets.client import WATCH, joined
from widgets.watch import CHUNK, chunks_of
from workbench.agents import ScriptedAgent, SilentAgent
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError, TraceError
from workbench.events import AudioDropped, Decision, Event, Gate, PlaybackPosition, TranscriptDelta
from workbench.events_background import DelegationChanged, DelegationCreated
from workbench.live.protocol import Stop
from workbench.packets import AGENT_AUDIO, USER_AUDIO, USER_CAMERA, USER_TEXT, MicroTurn, Packet
from workbench.session import Session
from workbench.store import save_trace
from workbench.trace import Header, Trace
from workbench.users import SilentUser

CLOCK = ClockSpec()
SIZE = CLOCK.samples_per_tick
COUNTING = ScriptedAgent(((2, ("one", "two", "three")), (5, ("<yield>",))))


def scripted(ticks: int) -> Trace:
    """The user sounds in even seconds and the agent in odd ones, a word each; from tick 20 on a red picture, a task, a gate, a drop."""
    trace = Trace(Header(clock=CLOCK, seed=0, participants={}, labels={"family": "stop"}))
    wave = np.where(np.arange(SIZE) % 40 < 20, 0.5, -0.5).astype(np.float32)
    for tick in range(ticks):
        agent_speaks = tick // 5 % 2 == 1
        floor, p_speak, side = ("speak", 0.9, "model") if agent_speaks else ("listen", 0.1, "user")
        gates = (Gate("patience", "one", "", "not yet"),) if tick == 21 else ()
        events: list[Event] = [
            Decision(floor=floor, said="", p_speak=p_speak, p_yield=0.2, p_backchannel=0.0, threshold=0.5, gates=gates),
            PlaybackPosition(heard_s=max(0, tick - 1) * CLOCK.tick_s),
        ]
        if tick % 5 == 0:
            events.append(TranscriptDelta(side=side, word=f"w{tick}", start_s=tick / 5, end_s=tick / 5 + 0.4))
        if tick == 20:
            events.append(
                DelegationCreated(
                    task="t1",
                    session="s",
                    ask="look it up",
                    origin_tick=20,
                    source="user.speech",
                    schedule="when_idle",
                    urgency="normal",
                    expires_at_s=30.0,
                )
            )
        if tick == 24:
            events.append(DelegationChanged(task="t1", before="delivering", after="delivered", cause="heard"))
        if tick == 28:
            events.append(AudioDropped(at_s=5.6, position=27 * SIZE, samples=SIZE))
        packets = [Packet(AGENT_AUDIO if agent_speaks else USER_AUDIO, Tick(tick), wave)]
        if 20 <= tick < 30:
            packets.append(Packet(USER_CAMERA, Tick(tick), np.full((2, 32, 32, 3), (200, 0, 0), np.uint8)))
        if tick == 12:
            packets.append(Packet(USER_TEXT, Tick(tick), "stop"))
        trace.append(MicroTurn(Tick(tick), tuple(packets), tuple(events)))
    return trace


def read(chunk: bytes) -> tuple[dict[str, Any], list[bytes]]:
    return unpack_any(zlib.decompress(chunk))


def unpack_any(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """As `unpack`, for a message of any length: a chunk is read by a browser only."""
    length = int.from_bytes(data[:4], "little")
    body = json.loads(data[4 : 4 + length])
    at, buffers = 4 + length, []
    for size in body.pop("buffers", []):
        buffers.append(data[at : at + size])
        at += size
    return body, buffers


def test_a_finished_session_comes_with_the_widget_in_chunks_of_its_tick_messages(tmp_path: Path) -> None:
    trace = scripted(CHUNK + 20)
    save_trace(trace, tmp_path / "trace.sqlite")
    told = []
    for source in (trace, tmp_path / "trace.sqlite", str(tmp_path)):
        line = Timeline(source)
        assert line.finished
        bodies = [body for chunk in line.chunks for body in read(chunk)[0]["messages"]]
        assert [body["tick"] for body in bodies if body["t"] == "tick"] == list(range(CHUNK + 20))
        assert [(body["from"], body["before"]) for body in bodies if body["t"] == "drop"] == [(27 * SIZE, 28)]
        assert [len(read(chunk)[1]) for chunk in line.chunks] == [10, 0]
        assert "stop" in line.about["text"]
        told.append((list(line.chunks), line.about))
        line.close()
    assert told[1] == told[2]
    assert [read(chunk) for chunk in told[0][0]] == [read(chunk) for chunk in told[1][0]]


def test_what_is_no_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int has no timeline; give a trace, its file, a session or a live session"):
        Timeline(3)  # type: ignore[arg-type]
    with pytest.raises(TraceError):
        Timeline(tmp_path / "none.sqlite")


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "it never came true"
        time.sleep(0.02)


def listened(line: Timeline, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[str]]:
    """The ticks and the kinds of messages that the widget's page is sent from now on."""
    ticks: list[int] = []
    kinds: list[str] = []

    def send(content: dict[str, Any], buffers: Any = ()) -> None:
        kinds.append(content["t"])
        ticks.extend(body["tick"] for chunk in buffers for body in read(chunk)[0]["messages"] if body["t"] == "tick")

    monkeypatch.setattr(line, "send", send)
    return ticks, kinds


def test_a_session_is_drawn_as_it_goes_on_and_told_again_to_a_page_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session.start([SilentUser(), COUNTING])
    session.run(3)
    line = Timeline(session)
    ticks, kinds = listened(line, monkeypatch)
    session.run(40)
    until(lambda: len(ticks) == 40)
    assert ticks == list(range(3, 43))
    ticks.clear()
    line._handle_custom_msg({"t": "ready"}, [])
    assert ticks == list(range(3, 43))
    assert not line.finished
    line.close()
    until(lambda: kinds[-1] == "over")
    session.run(1)  # which nobody watches
    assert len(ticks) == 40


def test_a_live_session_is_drawn_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Wall()
    session, page = opened(SilentAgent(), tmp_path / "a.sqlite", wall)
    line = Timeline(session)
    ticks, kinds = listened(line, monkeypatch)
    wall.at(2.05, lambda: page.send(Stop()))
    session.run()
    until(lambda: bool(kinds) and kinds[-1] == "over")
    assert ticks == list(range(11))
    line.close()


# In a browser -----------------------------------------------------------------------------------------------------------------

AT = """([lane, tick, high]) => {
  const box = line.timeline.box(lane), canvas = document.querySelector(".mt-base");
  const x = box.x(tick) + Math.floor(box.column * 0.4), y = Math.round(box.y + box.height * (1 - high));
  return Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3));
}"""
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def blank(chromium: str) -> Iterator[Any]:
    """A page that has the module of the timeline as `client`, and an empty root."""
    with sync_playwright() as play, Pages() as pages:
        browser = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1000, "height": 900}, color_scheme="light")
        page.set_default_timeout(120_000)
        page.goto(pages.address)
        page.evaluate(
            """async (code) => { window.client = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
            window.bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)); }""",
            joined(*WATCH),
        )
        yield page
        browser.close()


def shown(page: Any, chunks: list[bytes], *, order: str = "", finish: bool = True) -> None:
    import base64

    page.evaluate(
        """async ([chunks, order, finish]) => {
          window.line?.destroy();
          window.line = client.watch(root);
          line.begin({ tick_ms: 200, ticks: 18000, text: "a session" }, finish);
          const all = chunks.map(bytes);
          if (order === "reversed") all.reverse();
          for (const chunk of all) line.add(chunk);
          if (finish) await line.over(true); else await line.add(all[0]);
        }""",
        [[base64.b64encode(chunk).decode() for chunk in chunks], order, finish],
    )
    page.evaluate(PAINTED)


@pytest.mark.browser
def test_a_finished_session_is_whole_in_the_picture(blank: Any) -> None:
    shown(blank, list(chunks_of(scripted(55))))
    found = blank.evaluate("({ first: line.timeline.record.first, last: line.timeline.record.last, played: line.timeline.record.played })")
    assert found == {"first": 0, "last": 54, "played": 53 * SIZE}
    assert blank.locator(".mt-label b").all_inner_texts() == [
        "User", "Camera", "Floor", "p(speak)", "p(yield)", "Agent", "Background", "Cost of a tick",
    ]  # fmt: skip
    assert "11.0 s in 55 micro-turns" in blank.locator(".mt-said").inner_text()
    assert blank.get_by_role("button", name="Pause").count() == 0
    red = blank.evaluate(AT, ["camera", 22, 0.5])
    assert red[0] > 180
    assert max(red[1:]) < 30
    assert blank.evaluate(AT, ["camera", 20, 0.5]) == red
    assert blank.evaluate(AT, ["camera", 19, 0.5]) != red  # not before it was seen
    assert blank.evaluate(AT, ["camera", 10, 0.5]) == blank.evaluate(AT, ["tasks", 10, 0.9])  # nothing there
    assert blank.evaluate(AT, ["tasks", 22, 0.9]) != blank.evaluate(AT, ["tasks", 10, 0.9])
    assert blank.evaluate("line.timeline.record.kept[27]") == 0  # said, dropped, never heard
    assert blank.evaluate("line.timeline.record.kept[35]") == 1  # said after the drop
    assert blank.evaluate("line.timeline.record.words.map((word) => word.text)") == [
        "w0", "w5", "w10", "stop", "w15", "w20", "w25", "w30", "w35", "w40", "w45", "w50",
    ]  # fmt: skip


@pytest.mark.browser
def test_a_tick_of_a_finished_session_opens_in_the_inspector(blank: Any) -> None:
    shown(blank, list(chunks_of(scripted(55))))
    x, y = blank.evaluate("(() => { const b = line.timeline.box('speak'); return [b.x(21) + b.column / 2, b.y + b.height / 2]; })()")
    box = blank.locator(".mt-over").bounding_box()
    blank.mouse.click(box["x"] + x, box["y"] + y)
    assert "patience: one → silence, not yet" in blank.get_by_label("Inspector", exact=True).inner_text()


@pytest.mark.browser
def test_what_comes_late_stands_in_its_place_and_nothing_stands_twice(blank: Any) -> None:
    chunks = list(chunks_of(scripted(2 * CHUNK)))
    shown(blank, chunks, finish=False)  # the first of them comes twice
    state = """(() => { const { record } = line.timeline;
      return [record.first, record.last, record.words.map((w) => [w.text, w.at]), Array.from(record.kept.slice(0, 40))]; })()"""
    in_order = blank.evaluate(state)
    shown(blank, chunks, order="reversed")
    assert blank.evaluate(state) == in_order


@pytest.mark.browser
def test_a_long_session_is_scrolled_with_the_slider_and_zoomed_around_its_middle(blank: Any) -> None:
    shown(blank, list(chunks_of(scripted(1000))))
    slider = blank.get_by_label("Scroll through the session")
    slider.fill("700")
    assert blank.evaluate("line.timeline.view.right") == 700
    middle = blank.evaluate("line.timeline.view.right - line.timeline.view.inView / 2")
    blank.get_by_role("button", name="Show less time").click()
    assert abs(blank.evaluate("line.timeline.view.right - line.timeline.view.inView / 2") - middle) <= 1
    blank.locator(".mt-over").press("End")
    assert blank.evaluate("line.timeline.view.right") == 1000
    blank.locator(".mt-over").press("Home")
    assert blank.evaluate("line.timeline.view.right - line.timeline.view.inView") == 0
