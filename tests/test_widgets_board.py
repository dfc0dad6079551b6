"""The scoreboard page: what it says, how it is ordered, and what a browser makes of it on a desk, in the dark and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.scenario_fakes import Tones, one_voice
from widgets.board import exchanged, scoreboard_html, write_scoreboard
from widgets.sweeps import restraint_figure, robustness_figure, threshold_figure
from widgets.theme import DARK, LIGHT
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
def conditions() -> Sweep:
    found = [judged(OracleAgent(), ("answer", "stop"), condition=parse_condition(setting.text)) for setting in CONDITIONS]
    return Sweep.of("robustness", CONDITIONS, found)


@pytest.fixture(scope="module")
def bars() -> Sweep:
    return Sweep.of("thresholds", BARS, [judged(OracleAgent(), ("answer", "stop"))] * len(BARS))


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory, conditions: Sweep, bars: Sweep) -> Path:
    path = tmp_path_factory.mktemp("board") / "new" / "scoreboard.html"
    return write_scoreboard(judged(SilentAgent()), path, robustness=conditions, thresholds=bars)


def test_the_page_shows_every_number_and_the_worst_family_first(page_path: Path) -> None:
    text = page_path.read_text(encoding="utf-8")
    names = re.findall(r'<details class="family">.*?class="name">([^<]*)<', text)
    assert names == ["answer", "stop", "think pause"]
    for shown in ("SilentAgent on train voices", "6 episodes in closed loop", "replies within 1.0 s", "episodes without a false start"):
        assert shown in text
    assert "wanted" in text
    assert "got nothing: not what was wanted" in text
    assert "microturn run --scenario stop --seed 5 --voice train --out runs/stop-5" in text
    assert text.count('id="plotly"') == 1
    assert len(text) < 3_500_000
    assert "http" not in re.sub(r'<script type="text/plain".*?</script>', "", text).replace("http://www.w3.org", "")


def test_the_page_names_what_a_solved_task_cost_where_the_background_suite_was_judged() -> None:
    report = judged(OracleAgent(), ("answer", "look_up"), suites=("interaction", "background"))
    text = scoreboard_html(report)
    assert "<h2>Cost per solved task</h2>" in text
    cost = next(one for one in report.suites["background"] if one.name == "cost per solved task: micro-turns")
    cells = f'<td>micro-turns</td><td class="r">{cost.value:,.2f}</td>'
    assert cells in text
    assert f'<td class="r">{cost.n}</td><td class="r">2</td>' in text
    assert "GFLOP" not in text  # the oracle has no model of ours
    assert "Cost per solved task" not in scoreboard_html(judged(OracleAgent(), ("answer",)))


def test_the_page_escapes_what_came_from_a_session() -> None:
    report = judged(SilentAgent(), ("answer",))
    trace = report.examples["answer"]
    trace.header = replace(trace.header, labels={**trace.header.labels, "voice": EVIL})
    text = scoreboard_html(replace(report, config={"agent": {"kind": EVIL}}))
    assert EVIL not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_every_colour_of_the_light_theme_has_one_of_the_dark() -> None:
    colours = dict(exchanged(LIGHT, DARK))
    assert (colours[LIGHT.ink], colours[LIGHT.user], colours[LIGHT.floor["speak"]]) == (DARK.ink, DARK.user, DARK.floor["speak"])
    assert colours["rgba(0,114,178,"] == "rgba(86,180,233,"


def test_the_robustness_figure_has_one_bold_curve_a_kind_of_condition(conditions: Sweep) -> None:
    figure = robustness_figure(conditions.to_json()["points"])
    bold = [trace for trace in figure.data if trace.error_y.array is not None]
    assert [(list(trace.x[0]), list(trace.x[1])) for trace in bold] == [
        (["packets lost", "packets lost"], ["5 %", "10 %"]),
        (["jitter"], ["120 ms"]),
    ]
    assert all(set(trace.y) == {1.0} for trace in bold)
    assert all(low > 0.1 for trace in bold for low in trace.error_y.arrayminus)
    with pytest.raises(InputError, match="begins with its 'as drawn' row"):
        robustness_figure([])


def test_the_threshold_figures_have_a_point_a_threshold(bars: Sweep) -> None:
    rows = bars.to_json()["points"]
    assert [list(trace.x) for trace in threshold_figure(rows).data] == [[0.4, 0.6]] * 3
    (curve,) = restraint_figure(rows).data
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


@pytest.mark.browser
def test_an_opened_family_draws_its_example_and_a_sentence_moves_the_sound(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 1280)
    assert page.locator("details .main-svg").count() == 0, "an example is not drawn before it is looked at"
    page.locator("details.family summary").first.click()
    place = drawn(page, "example-answer")
    assert "User" in " ".join(place.locator("g.annotation").all_text_contents())
    page.evaluate("HTMLMediaElement.prototype.play = () => Promise.resolve()")
    page.wait_for_function("document.querySelector('details[open] audio').readyState >= 1")
    sentence = page.locator("details[open] [data-at]").first
    sentence.click()
    at_s = float(sentence.get_attribute("data-at"))
    assert page.evaluate("document.querySelector('details[open] audio').currentTime") == pytest.approx(at_s, abs=0.01)
    for name in ("restraint", "threshold", "robustness"):
        drawn(page, name)
    assert page.problems == []
    page.close()


@pytest.mark.browser
def test_a_reader_who_prefers_the_dark_gets_dark_figures(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 1280, "dark")
    page.locator("details.family summary").first.click()
    place = drawn(page, "example-answer")
    assert place.evaluate("node => node._fullLayout.paper_bgcolor").upper() == DARK.page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 30)"
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.querySelector('details [data-ready]')._fullLayout.paper_bgcolor.toUpperCase() === '#FFFFFF'")
    assert page.problems == []
    page.close()


@pytest.mark.browser
def test_on_a_phone_the_page_does_not_scroll_sideways_but_a_timeline_does(browser: Any, page_path: Path) -> None:
    page = opened(browser, page_path, 390)
    page.locator("details.family summary").first.click()
    place = drawn(page, "example-answer")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert place.evaluate("node => node._fullLayout.width") > 500
    page.evaluate("HTMLMediaElement.prototype.play = () => Promise.resolve()")
    page.wait_for_function("document.querySelector('details[open] audio').readyState >= 1")
    page.locator("details[open] [data-at]").last.click()
    seen = "(() => { const strip = document.querySelector('details[open] .scroll'); return [strip.scrollLeft, strip.clientWidth]; })()"
    page.wait_for_function("document.querySelector('details[open] .scroll').scrollLeft > 0")
    from_px, width_px = page.evaluate(seen)
    assert from_px < page.evaluate("document.querySelector('details[open] .cursor').offsetLeft") < from_px + width_px
    assert page.problems == []
    page.close()
