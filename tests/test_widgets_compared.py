"""The scoreboard of several agents: every number of every agent, and in a browser the sessions behind each."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.scenario_fakes import Tones, chatterer, one_voice
from tests.test_widgets_board import drawn, opened
from widgets.compared import SHOWN, Column, compared_html, write_compared
from widgets.sweeps import compared_restraint_figure
from workbench.agents import OracleAgent, SilentAgent
from workbench.evaluate import Report, evaluate
from workbench.session import Participant
from workbench.suites import INTERACTION
from workbench.sweeps import Setting, Sweep

EVIL = "<img src=x onerror=alert(1)>"
BARS = (Setting("threshold", "0.4", "0.4"), Setting("threshold", "0.6", "0.6"))


def judged(name: str, agent: Participant) -> Report:
    suites = (INTERACTION, "fdb-v1.5", "tau-voice")
    report = evaluate(agent, ("answer", "stop"), "train", 2, 5, pick=one_voice, speaker_of=Tones, suites=suites)
    return replace(report, agent=name)


@pytest.fixture(scope="module")
def columns() -> list[Column]:
    best, silent, loud = judged("oracle", OracleAgent()), judged("silent", SilentAgent()), judged("chatterer", chatterer("seven"))
    return [
        Column(report=best, traces="oracle/traces", thresholds=Sweep.of("thresholds", BARS, [best, best])),
        Column(report=silent),
        Column(report=loud, traces="chatterer/traces"),
    ]


def packed(page: str, name: str) -> Any:
    (inner,) = re.findall(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(inner)))


def test_every_number_of_every_agent_is_a_cell_with_what_it_rests_on(columns: list[Column]) -> None:
    page = compared_html(columns)
    cells = packed(page, "told")["cells"]
    assert re.findall(r"<h2>([^<]*)</h2>", page) == [
        "Families: meaning and timing both right",
        "Rates",
        "Latencies, median",
        "Suite fdb-v1.5",
        "Suite tau-voice",
        "Restraint against latency",
    ]
    assert set(re.findall(r'data-cell="(\d+)"', page)) == set(cells)
    stop = [cell for cell in cells.values() if cell["title"] == "stop"]
    assert [cell["column"] for cell in stop] == [0, 1, 2]
    for cell, column in zip(stop, columns, strict=True):
        outcomes = [o for e in column.report.episodes if e.family == "stop" for o in e.outcomes]
        assert cell["all"] == len(outcomes)
        goods = [at["good"] for at in cell["moments"]]
        assert goods == sorted(o.both for o in outcomes)[:SHOWN], "failures come first"
    average = [cell for cell in cells.values() if cell["title"] == "v1.5 average"]
    assert average == [] or all(cell["about"] for cell in average)
    rate = next(cell for cell in cells.values() if cell["title"].startswith("user_interruption, ") and cell["moments"])
    assert {(at["family"], at["seed"]) for at in rate["moments"]} <= {("stop", 5), ("stop", 6)}
    assert page.count("<template ") == 6, "one session of every agent and family"


def test_what_came_from_a_session_is_escaped(columns: list[Column]) -> None:
    worse = replace(columns[1], report=replace(columns[1].report, agent=EVIL))
    assert EVIL not in compared_html([columns[0], worse])


def test_restraint_stands_against_latency_for_every_agent_that_replies(columns: list[Column]) -> None:
    rows = {column.name: [{**column.report.to_json(), "label": "as it is"}] for column in columns}
    rows["swept"] = columns[0].thresholds.to_json()["points"]  # type: ignore[union-attr]
    found = {trace.name: (len(trace.x), list(trace.y)) for trace in compared_restraint_figure(rows).data}
    assert found["oracle"] == (1, [1.0])
    assert found["swept"] == (1, [1.0]), "thresholds that give the same point share it"
    assert "silent" not in found, "who never replies has no latency"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.mark.browser
def test_a_cell_opens_the_failed_session_behind_it_or_says_where_it_lies(browser: Any, columns: list[Column], tmp_path: Path) -> None:
    page = opened(browser, write_compared(columns, tmp_path / "new" / "scoreboard.html"), 1280)
    page.set_default_timeout(120_000)
    page.locator("tr", has=page.locator("th", has_text=re.compile("^stop$"))).locator("[data-cell]").nth(1).click()
    page.wait_for_selector("tr.opened .moments button")
    row = page.locator("tr.opened")
    assert row.locator(".moments button").first.locator(".no").count() == 1
    figure = row.locator("[data-figure]").first.get_attribute("data-figure")
    assert figure == "example-1-stop"
    drawn(page, figure)
    row.locator(".moments button", has_text="seed 6").first.click()
    assert "was not kept" in row.inner_text()
    page.locator("tr", has=page.locator("th", has_text=re.compile("^stop$"))).locator("[data-cell]").nth(0).click()
    page.wait_for_selector("tr.opened .moments button")
    assert page.locator("tr.opened").count() == 1, "one cell is open at a time"
    page.locator("tr.opened .moments button", has_text="seed 6").first.click()
    assert page.locator("tr.opened a").get_attribute("href") == "oracle/traces/stop-6.sqlite"
    drawn(page, "restraint")
    assert page.problems == []
    page.close()
