"""The dashboard as a person uses it: `microturn dashboard` in a process of its own, and a real browser before it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS, ROOT
from tests.sample_session import YIELD_TICK, stopped_count
from tests.scenario_fakes import Tones, one_voice
from tests.talk_fakes import FAKE_MICROPHONE, Pages, until
from widgets.dashboard import PLOTLY_FOLDER, Opened, Page
from widgets.player import data_url, small_data_url
from workbench.agents import OracleAgent
from workbench.clock import Tick
from workbench.evaluate import evaluate
from workbench.events import Decision
from workbench.packets import MicroTurn
from workbench.store import read_trace, save_trace, verify
from workbench.trace import Trace

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
PATIENCE_MS = 180_000


def counted(threshold: float, said: str = "") -> Trace:
    """The stopped count by a neural agent at a threshold; with `said` it says that where it gave way."""
    trace = stopped_count()
    agent = {"agent": {"kind": "nano", "threshold": threshold}}
    trace.header = replace(trace.header, created="2026-05-04T10:00:00Z", participants=agent)
    if said:
        turn = trace.turns[YIELD_TICK]
        events = tuple(replace(e, said=said) if isinstance(e, Decision) else e for e in turn.events)
        trace.turns[YIELD_TICK] = MicroTurn(Tick(YIELD_TICK), turn.packets, events)
    return trace


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sessions")
    save_trace(counted(0.5), made / "one.sqlite")
    save_trace(counted(0.9, EVIL), made / "other.sqlite")
    (made / "cut.sqlite").write_bytes((made / "one.sqlite").read_bytes()[:40_000])
    evaluate(OracleAgent(), ("answer",), "train", 1, 5, pick=one_voice, speaker_of=Tones).write(made / "evaluation.json")
    return made


COMMAND = (sys.executable, "-c", "from workbench.cli import main; main()", "dashboard")


@contextmanager
def served(*command: str) -> Iterator[str]:
    """The address of the dashboard that this command serves, in a process that is stopped afterwards as by Ctrl-C."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if found := re.search(r" at (http://\S+)$", line.strip()):
                    yield found[1]
                    break
            else:
                pytest.fail("the dashboard did not start:\n" + "".join(lines))
        finally:
            process.send_signal(2)
            process.communicate(timeout=120)
    assert process.returncode == 0


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(sys.executable, "-m", "tests.dashboard_fakes", str(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    fake = (*FAKE_MICROPHONE, "--autoplay-policy=no-user-gesture-required")
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, *fake])
        yield opened
        opened.close()


@contextmanager
def visit(browser: Any, address: str, part: str = "", **context: Any) -> Iterator[Any]:
    """A page of the dashboard with its list; fails on an error in it, and on a request to anywhere else."""
    opened = browser.new_context(**context)
    page = opened.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((address, "data:", "blob:")) else problems.append(request.url))
    try:
        page.goto(f"{address}/{part}")
        page.wait_for_selector("tr[data-name]", state="attached")
        yield page
        assert problems == []
    finally:
        opened.close()


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".mtd-list tr[data-name]").evaluate_all("(rows) => rows.map((row) => row.dataset.name)")  # all at once
    return found


def drawn(page: Any, shown: str) -> Any:
    page.wait_for_selector(f"section[data-drawn='{shown}'] .main-svg")
    return page.locator("section[data-drawn]")


def test_sessions_are_listed_found_and_opened_and_a_damaged_one_says_so(browser: Any, address: str) -> None:
    with visit(browser, address) as page:
        until(lambda: names(page) == ["one.sqlite", "other.sqlite", "cut.sqlite"], page, 120)
        assert "damaged" in page.locator("tr[data-name='cut.sqlite'] .mtd-problem").inner_text()
        page.locator(".mtd-count", has_text="1 damaged").wait_for()  # it is told after the list
        assert "count to twenty one two" in page.locator("tr[data-name='one.sqlite']").inner_text()
        page.get_by_label("Search what was said").fill("seven")
        until(lambda: names(page) == [], page, 120)
        page.get_by_label("Search what was said").fill("twenty one.sq")
        until(lambda: names(page) == ["one.sqlite"], page, 120)
        page.locator("tr[data-name='one.sqlite'] .mtd-open").click()
        stage = drawn(page, "one.sqlite")
        assert any("p(speak)" in title for title in stage.locator("g.annotation").all_text_contents())
        stage.locator("audio").evaluate("(sound) => sound.readyState >= 1 || new Promise((done) => { sound.onloadedmetadata = done; })")
        stage.locator("tr[data-at]", has_text="<yield>").click()
        page.wait_for_selector(".mtd-why ul")
        assert "At 5.0 s the agent gave up the floor: p(yield) 0.97." in stage.locator(".mtd-why").inner_text()
        until(lambda: stage.locator("audio").evaluate("(sound) => sound.currentTime") == pytest.approx(5.0, abs=0.01), page, 120)
        assert stage.locator(".mtd-cursor").is_visible()
        place = stage.locator(".mtd-place")
        place.click(position={"x": place.bounding_box()["width"] - 40, "y": 60})
        page.wait_for_function("(why) => why.innerText.includes('stayed silent')", arg=stage.locator(".mtd-why").element_handle())


def test_two_sessions_on_one_clock_show_where_they_part(browser: Any, address: str) -> None:
    with visit(browser, address) as page:
        compare = page.locator(".mtd-compare")
        assert compare.is_disabled()
        for name in ("one.sqlite", "other.sqlite"):
            page.get_by_label(f"Choose {name} to compare").check()
        compare.click()
        stage = drawn(page, "one.sqlite other.sqlite")
        assert stage.locator(".mtd-verdict").inner_text().startswith("They differ from 5.0 s on, at tick 25, decision: ")
        headings = [text for text in stage.locator("g.annotation").all_text_contents() if "threshold" in text and "nano" in text]
        assert headings == ["nano threshold 0.5", "nano threshold 0.9"]
        assert stage.locator(".mtd-ticks tr[data-at]").count() == 1
        assert EVIL in stage.locator(".mtd-ticks").inner_text(), "what was said is text, and nothing else"
        stage.locator(".mtd-ticks tr[data-at]").click()
        page.wait_for_selector(".mtd-why ul")
        assert stage.locator(".mtd-why h4").all_inner_texts() == ["nano threshold 0.5", "nano threshold 0.9"]
        stage.get_by_role("button", name="nano threshold 0.9").click()
        assert stage.get_by_role("button", name="nano threshold 0.9").get_attribute("aria-pressed") == "true"


def test_what_was_chosen_stays_chosen_when_the_lists_are_told_again(browser: Any, address: str) -> None:
    """A page asks for its lists when it can listen, which is often after it has them: on a slow machine someone has chosen by then."""
    sent, ready, told, sockets = list[Any](), list[Any](), list[Any](), list[Any]()

    def between(page_side: Any) -> None:
        sockets.append(page_side.connect_to_server())

        def up(message: Any) -> None:
            sent.append(message)
            if '"ready"' in str(message):
                ready[:] = sent[-3:]
            sockets[-1].send(message)

        def down(message: Any) -> None:
            told.append(message)
            page_side.send(message)

        page_side.on_message(up)
        sockets[-1].on_message(down)

    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.route_web_socket("**/ws**", between)
    page.goto(address)
    page.wait_for_selector("tr[data-name='one.sqlite']")
    until(lambda: bool(ready), page, 120)
    page.wait_for_timeout(500)  # until the first asking has been answered
    chosen = page.get_by_label("Choose one.sqlite to compare")
    chosen.check()
    told.clear()
    for message in ready:
        sockets[-1].send(message)
    until(lambda: any('"OK"' in str(message) for message in told), page, 120)
    page.wait_for_timeout(300)
    assert chosen.is_checked()
    assert page.locator(".mtd-compare").inner_text() == "Compare two (1 chosen)"
    context.close()


def test_on_a_phone_in_the_dark_a_session_that_is_new_on_disk_appears_and_opens(browser: Any, address: str, folder: Path) -> None:
    with visit(browser, address, viewport={"width": 390, "height": 800}, color_scheme="dark") as page:
        save_trace(counted(0.3), folder / "new.sqlite")
        page.wait_for_selector("tr[data-name='new.sqlite']")
        page.locator("tr[data-name='new.sqlite'] .mtd-open").click()
        stage = drawn(page, "new.sqlite")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        strip = stage.locator(".mtd-strip")
        assert strip.evaluate("(strip) => strip.scrollWidth > strip.clientWidth"), "the timeline is moved by its own scrolling"
        ground = stage.locator(".main-svg").first.evaluate("(svg) => getComputedStyle(svg).backgroundColor")
        assert ground == "rgb(20, 24, 30)"
        (folder / "new.sqlite").unlink()
        page.wait_for_selector("tr[data-name='new.sqlite']", state="detached")
        stage.locator(".mtd-news").click()  # once it is there: it is told after the list
        page.wait_for_selector(".mtd-trouble:not([hidden])")
        assert "new.sqlite is not in the folder any more" in page.locator(".mtd-trouble").inner_text()


def test_a_scoreboard_is_shown_in_a_frame_of_its_own(browser: Any, address: str) -> None:
    with visit(browser, address, "#scoreboards") as page:
        line = page.locator("tr[data-name='evaluation.json']")
        assert "100.0 %" in line.inner_text()
        line.get_by_role("button").click()
        assert page.frame_locator("iframe").locator("h1").inner_text() == "OracleAgent on train voices"


def test_the_agent_that_was_chosen_is_talked_to_and_listed_while_it_runs_and_after(browser: Any, address: str, folder: Path) -> None:
    with visit(browser, address, "#live", permissions=["microphone"], viewport={"width": 1200, "height": 1000}) as page:
        page.get_by_label("Agent", exact=True).and_(page.locator("#part-live select")).select_option("listener")
        page.get_by_label("Threshold to begin with").evaluate(
            "(bar) => { bar.value = 0.6; bar.dispatchEvent(new Event('input')); bar.dispatchEvent(new Event('change')); }"
        )
        page.wait_for_function(
            "(note) => note.innerText.includes('listener is ready')", arg=page.locator("#part-live .mtd-facts").element_handle()
        )
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_label("first check with a short tone").uncheck()
        page.get_by_role("button", name="Agree").click()
        page.wait_for_selector("[data-state='talking']")
        assert "Panel message" in page.locator(".mt-route").inner_text()
        name = page.wait_for_selector("#part-live .mtd-table tr[data-name^='live-']").get_attribute("data-name")
        page.get_by_role("button", name="Stop", exact=True).click()
        page.wait_for_selector("[data-state='ended']")
        page.get_by_role("link", name="Sessions").click()
        page.wait_for_selector(f"tr[data-name='{name}.sqlite'][data-state='whole']")
    path = folder / f"{name}.sqlite"
    assert verify(path).ok
    assert dict(read_trace(path).header.participants["agent"]) == {"kind": "listener", "threshold": 0.6}


def test_with_a_password_nobody_gets_in_without_it(folder: Path) -> None:
    with (
        served(*COMMAND, str(folder), "--port", "0", "--auth", "ann:secret word") as address,
        httpx.Client(base_url=address, follow_redirects=True) as client,
    ):
        assert "Log in" in client.get("/").text
        assert "Invalid username or password" in client.post("/login", data={"username": "ann", "password": "secret"}).text
        assert "part-sessions" in client.post("/login", data={"username": "ann", "password": "secret word"}).text


def test_a_port_that_is_taken_is_named(address: str, folder: Path) -> None:
    port = address.rsplit(":", 1)[1]
    done = subprocess.run([*COMMAND, str(folder), "--port", port], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {port} of localhost cannot be listened on (Address already in use)")


STAGE = """([sound, otherSound]) => {  // a stage of its own, whose model is in the page
  Object.assign(window, { COLOURS: { "#none": "#none" }, WINDOW_S: 20 });
  const table = "<table><tr data-at='1.5'><td>here</td></tr></table>";
  const sounds = [{ label: "one", url: sound }, { label: "other", url: otherSound }];
  const figure = JSON.stringify({ data: [{ x: [0, 3], y: [0, 1] }], layout: { xaxis: { range: [0, 3] } } });
  const shown = { names: ["one"], title: "", facts: "", verdict: "", heading: "", hint: "", table, sounds, figure, end_s: 3 };
  window.model = { shown, busy: false, why: "", news: "", ears: {}, on(type, ear) { model.ears[type] = ear; }, send_msg() {} };
  return import("/stage.js").then((stage) => stage.default.render({ model, el: document.getElementById("root") }));
}"""


@pytest.fixture
def stage(browser: Any, pages: Pages) -> Iterator[Any]:
    page, trace, problems = browser.new_page(), stopped_count(), list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route("**/plotly/plotly.min.js", lambda route: route.fulfill(path=PLOTLY_FOLDER / "plotly.min.js"))
    page.goto(pages.address)
    page.evaluate(STAGE, [small_data_url(trace), data_url(trace)])
    page.wait_for_selector("[data-drawn] .main-svg")
    yield page
    page.close()
    assert problems == []


def test_a_sound_begins_where_the_other_one_was_or_where_one_went_before_it_was_there(stage: Any) -> None:
    def after(act: str) -> float:
        """Where the sound is once it is there."""
        stage.evaluate(f"""async () => {{
          const sound = document.querySelector("audio"), [one, other] = document.querySelectorAll(".mtd-choice button");
          const there = new Promise((done) => sound.addEventListener("canplay", done, {{ once: true }}));
          {act}
          await there;
        }}""")
        stage.wait_for_function("!document.querySelector('audio').seeking")
        at_s: float = stage.evaluate("document.querySelector('audio').currentTime")
        return at_s

    assert after("other.click(); document.querySelector('tr[data-at]').click();") == pytest.approx(1.5)
    assert after("one.click();") == pytest.approx(1.5)
    assert after("other.click(); one.click();") == pytest.approx(1.5)
    assert after("sound.play(); one.click(); other.click();") >= 1.5
    assert not stage.evaluate("document.querySelector('audio').paused")


def test_a_window_may_be_resized_when_a_session_cannot_be_shown_any_more(stage: Any) -> None:
    stage.evaluate("() => { model.shown = { problem: 'it is gone' }; model.ears.shown(); }")
    stage.set_viewport_size({"width": 900, "height": 700})
    stage.wait_for_timeout(500)  # a figure takes its time to follow
    assert stage.locator(".mtd-trouble").inner_text() == "it is gone"


def test_a_session_that_cannot_be_shown_while_another_is_drawn_says_why(stage: Any) -> None:
    stage.evaluate("() => { model.ears.shown(); model.shown = { problem: 'it is gone' }; model.ears.shown(); }")
    stage.wait_for_timeout(500)  # what was being drawn takes its time
    assert stage.locator(".mtd-trouble").inner_text() == "it is gone"


def test_an_explanation_that_comes_after_another_session_was_opened_is_not_shown() -> None:
    one, other = Opened(), Opened()
    page = SimpleNamespace(opened=one, stage=SimpleNamespace(why=""))
    Page._explain(page, (other, "of the other"))  # type: ignore[arg-type]
    assert page.stage.why == ""
    Page._explain(page, (one, "of this one"))  # type: ignore[arg-type]
    assert page.stage.why == "of this one"


def test_a_figure_that_another_takes_the_place_of_is_let_go_of(stage: Any) -> None:
    stage.evaluate("() => { window.before = document.querySelector('.js-plotly-plot'); model.ears.shown(); }")
    assert stage.evaluate("before._fullLayout === undefined"), "and with it what waits for the window to be resized"
    stage.wait_for_selector("[data-drawn] .main-svg")
    assert stage.evaluate("document.querySelectorAll('.js-plotly-plot').length") == 1


def test_a_timeline_that_cannot_be_drawn_says_so_and_is_not_being_drawn(stage: Any) -> None:
    stage.evaluate("() => { model.shown = { ...model.shown, figure: '{' }; model.ears.shown(); }")
    stage.wait_for_selector(".mtd-trouble:not([hidden])")
    assert stage.locator(".mtd-trouble").inner_text().startswith("The timeline cannot be drawn: ")
    assert not stage.locator(".mtd-empty", has_text="Drawing").is_visible()
