"""The scoreboard of one agent: what it says, opens, and in which order; and in a browser on a desk, in the dark and on a phone."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.scenario_fakes import Tones, one_voice
from widgets.board import board_html, with_pages, write_scoreboard
from widgets.episode import session_html
from widgets.scores import LISTED, SWEPT, WELL, Column, Key, listed, robustness_table, tables
from widgets.scores import opened as opened_columns
from widgets.sweeps import restraint_figure, robustness_figure, threshold_figure
from widgets.theme import DARK, LIGHT, exchanged
from workbench.agents import OracleAgent, SilentAgent
from workbench.conditions import parse_condition
from workbench.errors import InputError
from workbench.evaluate import Report, evaluate
from workbench.session import Participant
from workbench.sweeps import Setting, Sweep

EVIL = "<img src=x onerror=alert(1)>"
CONDITIONS = (
    Setting("as drawn", "as drawn", ""),
    Setting("packets lost", "5 %", "loss:5"),
    Setting("packets lost", "10 %", "loss:10"),
    Setting("jitter", "120 ms", "jitter:120"),
)
BARS = (Setting("threshold", "0.4", "0.4"), Setting("threshold", "0.6", "0.6"))


def judged(agent: Participant, families: tuple[str, ...] = ("answer", "stop", "think_pause"), **more: Any) -> Report:
    return evaluate(agent, families, "train", 2, 5, pick=one_voice, speaker_of=Tones, **more)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> dict[Key, Path]:
    """Where the traces of every point lie; of the jitter no traces were kept."""
    folder = tmp_path_factory.mktemp("swept")
    return {(s.curve, s.label): folder / f"{at}" for at, s in enumerate((*CONDITIONS, *BARS)) if s.curve != "jitter"}


def at_points(settings: tuple[Setting, ...], swept: dict[Key, Path], agent: Participant) -> list[Report]:
    found = []
    for setting in settings:
        condition = parse_condition(setting.text if settings is CONDITIONS else "")
        found.append(judged(agent, ("answer", "stop"), condition=condition, keep=swept.get((setting.curve, setting.label))))
    return found


@pytest.fixture(scope="module")
def conditions(swept: dict[Key, Path]) -> Sweep:
    return Sweep.of("robustness", CONDITIONS, at_points(CONDITIONS, swept, OracleAgent()))


@pytest.fixture(scope="module")
def bars(swept: dict[Key, Path]) -> Sweep:
    return Sweep.of("thresholds", BARS, at_points(BARS, swept, OracleAgent()))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A folder with the traces of what was judged; one of them is gone."""
    folder = tmp_path_factory.mktemp("board") / "new"
    report = judged(SilentAgent(), keep=folder / "traces")
    (folder / "traces" / "think_pause-6.sqlite").unlink()
    return folder, report


@pytest.fixture(scope="module")
def page_path(kept: tuple[Path, Report], conditions: Sweep, bars: Sweep, swept: dict[Key, Path]) -> Path:
    folder, report = kept
    whole = Column.of(report, robustness=conditions, thresholds=bars)
    column = with_pages(whole, folder / "scoreboard.html", folder / "traces", swept=swept)
    return write_scoreboard([column], folder / "scoreboard.html")


def packed(page: str, name: str) -> Any:
    (inner,) = re.findall(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(inner)))


def test_the_page_shows_every_number_and_the_worst_family_first(page_path: Path) -> None:
    text = page_path.read_text(encoding="utf-8")
    unfold = re.findall(r"<button[^>]*data-more[^>]*>([^<]*)<", text)
    assert unfold == ["answer", "stop", "think pause", "as drawn", "packets lost: 5 %", "packets lost: 10 %", "jitter: 120 ms"]
    for shown in ("SilentAgent on train voices", "6 episodes in closed loop", "replies within 1.0 s", "episodes without a false start"):
        assert shown in text
    assert "wanted" in text
    assert "got nothing: not what was wanted" in text
    assert "microturn run --scenario stop --seed 5 --voice train --out runs/stop-5" in text
    assert text.count('id="plotly"') == 1
    assert len(text) < 3_500_000
    assert "http" not in re.sub(r'<script type="text/plain".*?</script>', "", text).replace("http://www.w3.org", "")


def test_every_number_that_counts_sessions_opens_them(page_path: Path) -> None:
    text = page_path.read_text(encoding="utf-8")
    assert 'class="cell' in text
    assert re.findall(r'<div class="cell[^>]*>.*?</div>', text) == [], "no number of a session is dead text"
    cells = packed(text, "told")["cells"]
    assert sorted(map(int, re.findall(r'data-cell="(\d+)"', text))) == list(range(len(cells)))
    titles = {cell["title"] for cell in cells}
    wanted = {"mean of 3 families · both right", "stop · meaning", "think pause, pause · timing", "replies within 1.0 s · share"}
    assert wanted | {"episodes without a false start · share", "false starts unasked · found"} <= titles
    assert {"packets lost: 5 % · both right", "jitter: 120 ms, stop · both right", "threshold 0.4 · reply, median"} <= titles
    assert all(cell["listed"] for cell in cells)


def test_the_slowest_and_the_most_misheard_come_first() -> None:
    report = judged(OracleAgent(), ("answer", "stop", "think_pause"))
    (latencies,) = (table for table in tables([Column.of(report)]) if table.title == "Latencies")
    assert list(latencies.heads) == ["median", "95th percentile"]
    for number in latencies.numbers():
        seconds = [float(at.text.split()[0]) for at in number.listed]
        assert seconds == sorted(seconds, reverse=True)
        assert re.search(r"[0-9.]+ to [0-9.]+", number.small), "the 95th percentile has its interval as the median has"
    few = replace(report.episodes[0].heard, errors=2, words=4, named=3)
    heard = [replace(e, heard=few if at == 3 else replace(few, errors=0)) for at, e in enumerate(report.episodes)]
    words = next(table for table in tables([Column.of(replace(report, episodes=tuple(heard)))]) if table.title.startswith("False"))
    (errors,) = (cell for line in words.lines if line.name.startswith("word error") for cell in line.cells if cell)
    assert (errors.listed[0].job, errors.listed[0].text) == (report.episodes[3].job, "2 errors in 4 words")


def test_a_number_names_its_worst_sessions_and_few_in_which_nothing_went_wrong() -> None:
    report = evaluate(SilentAgent(), ("answer", "think_pause"), "train", LISTED + 2, 5, pick=one_voice, speaker_of=Tones)
    families, *_ = found = tables([Column.of(report)])
    mean, *_ = families.lines[0].cells
    assert mean is not None
    assert [at.good for at in mean.listed] == [False] * LISTED
    assert mean.sessions == 2 * (LISTED + 2)
    good = [number for table in found for number in table.numbers() if number.share == 1.0]
    assert good
    assert all([at.good for at in number.listed] == [True] * min(WELL, number.sessions) for number in good)
    assert len(listed(found)) <= 2 * LISTED + WELL, "numbers that could name any of many sessions name the same"


def test_sessions_that_are_not_in_the_page_have_one_of_their_own(kept: tuple[Path, Report], page_path: Path) -> None:
    folder, report = kept
    column, *_ = packed(page_path.read_text(encoding="utf-8"), "told")["columns"]
    there = {f"{family}-{seed}" for family, seed in listed(tables([Column.of(report)]))} - {"think_pause-6"}
    assert set(column["pages"]) == there
    assert {path.stem for path in (folder / "sessions").glob("*.html")} == there
    assert all(path.stat().st_size < 150_000 for path in (folder / "sessions").glob("*.html"))
    assert (folder / "sessions" / "plotly.js").stat().st_size < 2_500_000
    text = (folder / "sessions" / "stop-6.html").read_text(encoding="utf-8")
    for shown in ('href="../scoreboard.html"', 'href="../traces/stop-6.sqlite"', "expectations missed", "Ticks worth reading"):
        assert shown in text


def test_every_point_of_a_curve_names_a_number_that_opens_its_sessions(page_path: Path) -> None:
    text = page_path.read_text(encoding="utf-8")
    cells = packed(text, "told")["cells"]
    by_point = {html.unescape(name): cells[int(cell)] for cell, name in re.findall(r'data-cell="(\d+)" data-point="([^"]*)"', text)}
    names = [
        name
        for figure in ("robustness", "restraint", "threshold-0")
        for trace in packed(text, figure)["data"]
        for name in trace["customdata"]
    ]
    assert len(names) == 3 * 3 + 1 + 3 * 2, (
        "three conditions of a mean and two families, one place of both thresholds, three lines over two"
    )
    assert set(names) <= set(by_point)
    assert all(by_point[name]["listed"] for name in names)
    assert {family for family, *_ in by_point["SilentAgent|packets lost|10 %|stop"]["listed"]} == {"stop"}
    assert {family for family, *_ in by_point["SilentAgent|packets lost|10 %|both"]["listed"]} == {"answer", "stop"}


def test_sessions_of_points_have_pages_of_their_own_beside_one_plotly_where_they_were_kept(page_path: Path) -> None:
    folder, told = page_path.parent, packed(page_path.read_text(encoding="utf-8"), "told")
    lost = next(cell for cell in told["cells"] if cell["title"] == "packets lost: 5 % · both right")
    column = told["columns"][lost["column"]]
    assert column["at"] == "sessions/packets-lost-5"
    assert {f"{family}-{seed}" for family, seed, *_ in lost["listed"]} <= set(column["pages"])
    inner = (folder / column["at"] / "stop-5.html").read_text(encoding="utf-8")
    for shown in (
        'href="../../scoreboard.html"',
        'src="../plotly.js"',
        "microturn run --scenario stop --seed 5 --voice train --condition loss:5",
    ):
        assert shown in inner
    assert len(list(folder.rglob("plotly.js"))) == 1
    jitter = next(cell for cell in told["cells"] if cell["title"] == "jitter: 120 ms · both right")
    assert (told["columns"][jitter["column"]]["pages"], told["columns"][jitter["column"]]["absent"]) == ([], "its trace was not kept")


def test_failures_come_first_behind_a_point_and_a_family_of_it_names_two(swept: dict[Key, Path]) -> None:
    report = evaluate(SilentAgent(), ("answer", "think_pause"), "train", 4, 5, pick=one_voice, speaker_of=Tones)
    column = Column.of(report, robustness=Sweep.of("robustness", CONDITIONS[:2], [report, report]))
    _, line = robustness_table([column]).lines
    (mean,), parts = line.cells, {part.name: part.cells[0] for part in line.parts}
    assert mean is not None
    goods = [at.good for at in mean.listed]
    assert goods == sorted(goods, key=bool)
    assert goods.count(False) == min(LISTED, sum(e.failed for e in report.episodes)) > 0
    assert mean.column == 2, "the second point, after the column itself and the first"
    assert [len(cell.listed) for cell in parts.values() if cell] == [SWEPT] * 2
    assert opened_columns([column])[2].episodes == column.points[("packets lost", "5 %")].episodes


def test_a_page_of_a_session_is_drawn_again_only_when_its_trace_is_newer(tmp_path: Path) -> None:
    report = judged(SilentAgent(), ("answer",), keep=tmp_path / "traces")
    with_pages(Column.of(report), tmp_path / "scoreboard.html", tmp_path / "traces")
    page = tmp_path / "sessions" / "answer-6.html"
    first = page.stat().st_mtime_ns
    with_pages(Column.of(report), tmp_path / "scoreboard.html", tmp_path / "traces")
    assert page.stat().st_mtime_ns == first
    os.utime(tmp_path / "traces" / "answer-6.sqlite", ns=(first + 1, first + 1))
    with_pages(Column.of(report), tmp_path / "scoreboard.html", tmp_path / "traces")
    assert page.stat().st_mtime_ns > first


def test_the_page_names_what_a_solved_task_cost_where_the_background_suite_was_judged() -> None:
    report = judged(OracleAgent(), ("answer", "look_up"), suites=("interaction", "background"))
    text = board_html([Column.of(report)])
    assert "<h2>Cost per solved task</h2>" in text
    cost = next(one for one in report.suites["background"] if one.name == "cost per solved task: micro-turns")
    row = r'<th scope="row">micro-turns</th><td><button type="button" class="cell" data-cell="\d+" aria-expanded="false"><b>([\d,.]+)</b>'
    assert re.findall(row, text) == [f"{cost.value:,.2f}"], "it opens the sessions that it was spent in"
    assert f"{cost.n} solved in 2 sessions" in text
    assert "GFLOP" not in text  # the oracle has no model of ours
    assert "Cost per solved task" not in board_html([Column.of(judged(OracleAgent(), ("answer",)))])


def test_the_page_escapes_what_came_from_a_session() -> None:
    report = judged(SilentAgent(), ("answer",))
    trace = report.examples["answer"]
    trace.header = replace(trace.header, labels={**trace.header.labels, "voice": EVIL})
    text = board_html([Column.of(replace(report, config={"agent": {"kind": EVIL}}))])
    page = session_html(trace, EVIL, EVIL)
    for made in (text, page):
        assert EVIL not in made
        assert "&lt;img src=x onerror=alert(1)&gt;" in made


def test_every_colour_of_the_light_theme_has_one_of_the_dark() -> None:
    colours = dict(exchanged(LIGHT, DARK))
    assert (colours[LIGHT.ink], colours[LIGHT.user], colours[LIGHT.floor["speak"]]) == (DARK.ink, DARK.user, DARK.floor["speak"])
    assert colours["rgba(0,114,178,"] == "rgba(86,180,233,"


def test_the_robustness_figure_has_one_bold_curve_a_kind_of_condition(conditions: Sweep) -> None:
    figure = robustness_figure({"oracle": conditions.to_json()["points"]})
    bold = [trace for trace in figure.data if trace.error_y.array is not None]
    assert len(figure.data) == len(bold) * 3, "and a faint one for each of two families"
    assert [(list(trace.x[0]), list(trace.x[1])) for trace in bold] == [
        (["packets lost", "packets lost"], ["5 %", "10 %"]),
        (["jitter"], ["120 ms"]),
    ]
    assert all(set(trace.y) == {1.0} for trace in bold)
    assert all(low > 0.1 for trace in bold for low in trace.error_y.arrayminus)
    with pytest.raises(InputError, match="begins with its 'as drawn' row"):
        robustness_figure({"oracle": []})


def test_the_threshold_figures_have_a_point_a_threshold(bars: Sweep) -> None:
    rows = bars.to_json()["points"]
    assert [list(trace.x) for trace in threshold_figure(rows).data] == [[0.4, 0.6]] * 3
    (curve,) = restraint_figure({"oracle": rows}).data
    assert (list(curve.text), list(curve.y)) == (["0.4, 0.6"], [1.0]), "the oracle knows no threshold: both are one point"
    assert 0.4 <= curve.x[0] <= 0.6


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


def opened(browser: Any, path: Path, width: int, scheme: str = "light") -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.problems.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    return page


def drawn(page: Any, name: str) -> Any:
    place = page.locator(f"[data-figure='{name}']")
    place.scroll_into_view_if_needed()
    page.wait_for_selector(f"[data-figure='{name}'][data-ready] .main-svg")
    return place


def opener(page: Any, row: str, cell: int = 0) -> Any:
    """The button of a number, by the name of its row."""
    return page.locator("tr.line", has=page.locator("th", has_text=re.compile(f"^{row}"))).first.locator("[data-cell]").nth(cell)


@pytest.mark.browser
def test_an_opened_number_draws_its_first_session_and_a_sentence_moves_the_sound(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 1280)
    assert page.locator(".main-svg").count() == 0, "nothing is drawn before it is looked at"
    opener(page, "answer").click()
    place = drawn(page, "example-0-answer")
    assert "User" in " ".join(place.locator("g.annotation").all_text_contents())
    page.evaluate("HTMLMediaElement.prototype.play = () => Promise.resolve()")
    page.wait_for_function("document.querySelector('tr.opened audio').readyState >= 1")
    sentence = page.locator("tr.opened [data-at]").first
    sentence.click()
    at_s = float(sentence.get_attribute("data-at"))
    assert page.evaluate("document.querySelector('tr.opened audio').currentTime") == pytest.approx(at_s, abs=0.01)
    for name in ("restraint", "threshold-0", "robustness"):
        drawn(page, name)
    assert page.problems == []
    page.close()


@pytest.mark.browser
def test_what_a_sound_tells_after_its_number_was_closed_moves_nothing(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 1280)
    page.evaluate("HTMLMediaElement.prototype.play = () => Promise.resolve()")
    for told in ("seeked", "timeupdate", "play"):
        opener(page, "answer").click()
        drawn(page, "example-0-answer")
        sound = page.evaluate_handle("document.querySelector('tr.opened audio')")
        page.keyboard.press("Escape")
        sound.evaluate(f"(sound) => sound.dispatchEvent(new Event('{told}'))")
        assert page.problems == [], told
    page.close()


@pytest.mark.browser
def test_a_number_is_opened_once_and_closed_before_its_sound_began_without_an_error(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 1280)
    opener(page, "answer").evaluate("(number) => { for (let i = 0; i < 3; i++) number.click(); }")  # opened, closed, opened, as it is read
    drawn(page, "example-0-answer")
    assert page.locator("tr.opened").count() == 1
    page.locator("tr.opened [data-at]").first.evaluate(
        """(row) => {
          row.closest(".inside").querySelector("audio").load(); // it takes its time
          row.click();
          document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
        }"""
    )
    page.wait_for_timeout(300)
    assert page.locator("tr.opened").count() == 0
    assert page.problems == []
    page.close()


@pytest.mark.browser
def test_rates_false_starts_and_the_mean_open_sessions_by_the_keyboard_and_a_session_its_page(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 1280)
    for row in ("mean of 3 families", "replies within 1.0 s", "episodes without a false start", "false starts unasked"):
        opener(page, row).focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("tr.opened .sessions li")
        assert page.locator("tr.opened").count() == 1, "one number is open at a time"
        assert page.locator("tr.opened p b").first.inner_text().startswith(row)
        page.keyboard.press("Escape")
        assert page.locator("tr.opened").count() == 0
        assert opener(page, row).evaluate("node => node === document.activeElement")
    opener(page, "stop", 1).click()
    second = page.locator("tr.opened .sessions li").nth(1)
    assert second.locator(".no").count() == 1
    with page.context.expect_page() as found:
        second.locator("a").click()
    session = found.value
    session.wait_for_selector("[data-ready] .main-svg")
    assert session.url.endswith("sessions/stop-6.html#t=" + session.url.rpartition("=")[2])
    at_s = float(session.url.rpartition("=")[2])
    session.wait_for_function(f"Math.abs(document.querySelector('audio').currentTime - {at_s}) < 0.05")
    session.locator("a", has_text="Scoreboard").click()
    session.wait_for_selector("table.scores")
    opener(page, "think pause", 1).click()
    page.wait_for_selector("tr.opened .sessions li")
    gone = page.locator("tr.opened .sessions li", has_text="seed 6")
    assert "its trace was not kept" in gone.inner_text()
    assert gone.locator("a, button").count() == 0
    assert page.problems == []
    page.context.close()


def centre(page: Any, figure: str, trace: int, point: int) -> tuple[float, float]:
    """Where a point of a curve is on the screen, once the page has come to rest: it scrolls smoothly, and slowly on a busy machine."""
    marks = (
        f"document.querySelectorAll(\"[data-figure='{figure}'] .scatterlayer .trace\")[{trace}].querySelectorAll('.points path')[{point}]"
    )
    where = f"(() => {{ const r = {marks}.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
    before, (x, y) = None, page.evaluate(where)
    while before != (x, y):
        page.wait_for_timeout(150)
        before, (x, y) = (x, y), page.evaluate(where)
    return x, y


@pytest.mark.browser
def test_a_point_that_is_clicked_opens_the_sessions_behind_it(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 1280)
    for figure, trace, point, title in (
        ("robustness", 2, 1, "packets lost: 10 % · both right"),
        ("threshold-0", 2, 1, "threshold 0.6 · episodes without a false start"),
        ("restraint", 0, 0, "threshold 0.4 · episodes without a false start"),
    ):
        drawn(page, figure)
        page.mouse.move(*centre(page, figure, trace, point))
        page.wait_for_selector(f"[data-figure='{figure}'].opens")
        page.mouse.click(*centre(page, figure, trace, point))
        page.wait_for_selector("tr.opened .sessions a")
        assert page.locator("tr.opened").count() == 1, "one number is open at a time"
        assert page.locator("tr.opened p b").first.inner_text() == title
        page.wait_for_function("document.activeElement.matches('[data-point][aria-expanded=true]')")
        page.wait_for_function("document.querySelector('tr.opened').getBoundingClientRect().top < innerHeight - 100")
    link = page.locator("tr.opened .sessions a").first
    assert link.get_attribute("href").startswith("sessions/threshold-0.4/")
    with page.context.expect_page() as found:
        link.click()
    found.value.wait_for_selector("[data-ready] .main-svg")
    found.value.locator("a", has_text="Scoreboard").click()
    found.value.wait_for_selector("table.scores")
    page.keyboard.press("Escape")
    assert page.locator("tr.opened").count() == 0
    page.evaluate("window.board.point('SilentAgent|packets lost|5 %|stop')")  # a faint line, under a bold one here
    page.wait_for_selector("tr.opened .sessions a")
    assert page.locator("tr.opened p b").first.inner_text() == "packets lost: 5 %, stop · both right"
    assert page.locator("tr.line", has_text="packets lost: 5 %").locator("[data-more]").get_attribute("aria-expanded") == "true"
    assert page.problems == []
    page.context.close()


@pytest.mark.browser
def test_a_reader_who_prefers_the_dark_gets_dark_figures(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 1280, "dark")
    opener(page, "answer").click()
    place = drawn(page, "example-0-answer")
    assert place.evaluate("node => node._fullLayout.paper_bgcolor").upper() == DARK.page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 30)"
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.querySelector('tr.opened [data-ready]')._fullLayout.paper_bgcolor.toUpperCase() === '#FFFFFF'")
    page.goto((page_path.parent / "sessions" / "stop-6.html").as_uri())
    page.emulate_media(color_scheme="dark")
    place = drawn(page, "session")
    page.wait_for_function("document.querySelector('[data-ready]')._fullLayout.paper_bgcolor.toUpperCase() === '#14181E'")
    assert page.problems == []
    page.close()


SLOW_TO_DRAW = """Object.defineProperty(window, "Plotly", {
  get() { return this.slow; },
  set(plotly) {
    const react = plotly.react;
    plotly.react = async (...given) => {
      await react(...given);
      window.drawn = (window.drawn ?? 0) + 1;
      await new Promise((done) => setTimeout(done, 400));
    };
    this.slow = plotly;
  },
});"""


@pytest.mark.browser
def test_colours_that_change_while_a_figure_is_drawn_do_not_lose_it(browser: Any, page_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.add_init_script(SLOW_TO_DRAW)
    page.goto((page_path.parent / "sessions" / "stop-6.html").as_uri())
    page.locator("[data-figure='session']").scroll_into_view_if_needed()
    page.wait_for_function("window.drawn === 1")
    page.emulate_media(color_scheme="dark")
    place = drawn(page, "session")
    page.wait_for_function("document.querySelector('[data-ready]')._fullLayout.paper_bgcolor.toUpperCase() === '#14181E'")
    assert page.evaluate("window.drawn") == 2
    assert place.locator(".main-svg").count() > 0
    page.close()


@pytest.mark.browser
def test_on_a_phone_the_page_does_not_scroll_sideways_but_a_timeline_does(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 390)
    page.locator("[data-more]", has_text="answer").click()
    assert page.locator("tr.more:not([hidden])").count() > 0
    opener(page, "answer").click()
    place = drawn(page, "example-0-answer")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert place.evaluate("node => node._fullLayout.width") > 500
    page.evaluate("HTMLMediaElement.prototype.play = () => Promise.resolve()")
    page.wait_for_function("document.querySelector('tr.opened audio').readyState >= 1")
    page.locator("tr.opened [data-at]").last.click()
    strip = "document.querySelector('tr.opened .stage').parentElement"
    page.wait_for_function(f"{strip}.scrollLeft > 0")
    from_px, width_px = page.evaluate(f"[{strip}.scrollLeft, {strip}.clientWidth]")
    assert from_px < page.evaluate("document.querySelector('tr.opened .cursor').offsetLeft") < from_px + width_px
    page.goto((page_path.parent / "sessions" / "stop-6.html").as_uri())
    drawn(page, "session")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.problems == []
    page.close()
