"""The scoreboard of several agents: every number of every agent, and in a browser the sessions behind each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.scenario_fakes import Tones, chatterer, one_voice
from tests.test_widgets_board import drawn, opened, opener, packed
from widgets.board import board_html, with_pages, write_scoreboard
from widgets.scores import LISTED, WELL, Column
from widgets.sweeps import restraint_figure, robustness_figure
from workbench.agents import OracleAgent, SilentAgent
from workbench.evaluate import Report, evaluate
from workbench.session import Participant
from workbench.suites import INTERACTION
from workbench.sweeps import Setting, Sweep

EVIL = "<img src=x onerror=alert(1)>"
BARS = (Setting("threshold", "0.4", "0.4"), Setting("threshold", "0.6", "0.6"))


CONDITIONS = (Setting("as drawn", "as drawn", ""), Setting("jitter", "40 ms", "jitter:40"), Setting("jitter", "120 ms", "jitter:120"))


def judged(name: str, agent: Participant, folder: Path) -> Report:
    suites = (INTERACTION, "fdb-v1.5", "tau-voice")
    keep = folder / name / "traces"
    report = evaluate(agent, ("answer", "stop"), "train", 2, 5, pick=one_voice, speaker_of=Tones, suites=suites, keep=keep)
    return replace(report, agent=name)


def swept(report: Report) -> Sweep:
    return Sweep.of("robustness", CONDITIONS, [report] * len(CONDITIONS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def columns(folder: Path) -> list[Column]:
    """Three agents; of the second no traces were kept."""
    best, silent, loud = (judged(*each, folder) for each in agents())
    columns = [
        Column.of(best, thresholds=Sweep.of("thresholds", BARS, [best, best]), robustness=swept(best)),
        Column.of(silent, robustness=swept(silent)),
        Column.of(loud, robustness=swept(loud)),
    ]
    for at in (0, 2):
        lie = columns[at].name
        columns[at] = with_pages(columns[at], folder / "scoreboard.html", folder / lie / "traces", at=f"{lie}/sessions")
    return columns


def agents() -> list[tuple[str, Participant]]:
    return [("oracle", OracleAgent()), ("silent", SilentAgent()), ("chatterer", chatterer("seven"))]


def test_every_number_of_every_agent_is_a_cell_with_what_it_rests_on(columns: list[Column]) -> None:
    page = board_html(columns)
    cells = packed(page, "told")["cells"]
    assert re.findall(r"<h2>([^<]*)</h2>", page) == [
        "Families: meaning and timing both right",
        "Rates",
        "Latencies",
        "False starts and hearing",
        "Suite fdb-v1.5",
        "Suite tau-voice",
        "Restraint against latency",
        "Thresholds, oracle",
        "Robustness",
        "Robustness, both right",
    ]
    assert sorted(map(int, re.findall(r'data-cell="(\d+)"', page))) == list(range(len(cells)))
    for place, column in enumerate(columns):
        (stop,) = (cell for cell in cells if cell["title"] == f"stop · {column.name}")
        episodes = [e for e in column.episodes if e.family == "stop"]
        assert (stop["column"], stop["all"]) == (place, len(episodes))
        goods = [good for *_, good, _ in stop["listed"]]
        assert goods == sorted(not e.failed for e in episodes)[:LISTED], "failures come first, one line a session"
        assert goods.count(True) <= WELL
        (mean,) = (cell for cell in cells if cell["title"] == f"mean of 2 families · {column.name}")
        assert {family for family, *_ in mean["listed"]} == {"answer", "stop"}
    rate = next(cell for cell in cells if cell["title"].startswith("user_interruption, "))
    assert {(family, seed) for family, seed, *_ in rate["listed"]} <= {("stop", 5), ("stop", 6)}
    assert page.count("<template ") == 6, "one session of every agent and family"


def test_of_many_sessions_the_page_holds_those_of_the_worst_families_and_those_without_a_page(columns: list[Column]) -> None:
    def held(room: int) -> list[str]:
        return re.findall(r'<template data-session="([^"]*)"', board_html(columns, room))

    assert held(0) == ["1/answer-5", "1/stop-5"], "the agent of which there are no pages"
    assert [name.split("/")[0] for name in held(5)] == ["1", "1", "2", "2", "0"], "the worst first"


def test_what_came_from_a_session_is_escaped(columns: list[Column]) -> None:
    worse = replace(columns[1], whole={**columns[1].whole, "agent": EVIL})
    assert EVIL not in board_html([columns[0], worse])


def test_restraint_stands_against_latency_for_every_agent_that_replies(columns: list[Column]) -> None:
    rows = {column.name: [{**column.whole, "label": "as it is"}] for column in columns}
    rows["swept"] = list(columns[0].thresholds)
    found = {trace.name: (len(trace.x), list(trace.y)) for trace in restraint_figure(rows).data}
    assert found["oracle"] == (1, [1.0])
    assert found["swept"] == (1, [1.0]), "thresholds that give the same point share it"
    assert "silent" not in found, "who never replies has no latency"


def test_the_robustness_figure_has_a_line_an_agent(columns: list[Column]) -> None:
    figure = robustness_figure({column.name: column.robustness for column in columns})
    assert [(trace.name, list(trace.x[1]), trace.showlegend) for trace in figure.data] == [
        (column.name, ["40 ms", "120 ms"], True) for column in columns
    ]
    assert [list(trace.y) for trace in figure.data] == [[column.whole["mean_both"]] * 2 for column in columns]
    assert len({trace.line.color for trace in figure.data}) == 3
    page = board_html(columns)
    rows = page[page.index("<h2>Robustness, both right</h2>") :]
    assert re.findall(r"<button[^>]*data-more[^>]*>([^<]*)<", rows) == ["as drawn", "jitter: 40 ms", "jitter: 120 ms"]
    assert re.findall(r'<th scope="row">([^<]*)</th>', rows) == ["answer", "stop"] * 3, "each unfolds into its families"
    cells = packed(page, "told")["cells"]
    assert {f"jitter: 40 ms, stop · {column.name}" for column in columns} <= {cell["title"] for cell in cells}


def test_the_points_of_every_agent_open_sessions_of_their_own(columns: list[Column]) -> None:
    cells, kept = (packed(board_html(columns), "told")[key] for key in ("cells", "columns"))
    assert [column["name"] for column in kept[:3]] == ["oracle", "silent", "chatterer"]
    for column in columns:
        cell = next(cell for cell in cells if cell["title"] == f"jitter: 120 ms · {column.name}")
        assert kept[cell["column"]]["name"] == column.name
        assert {(family, seed) for family, seed, *_ in cell["listed"]} <= {e.job for e in column.episodes}
    alone = columns[0].seen_from("oracle")
    assert (alone.pages_at, alone.points[("jitter", "40 ms")].pages_at) == ("oracle/oracle/sessions", "oracle/oracle/sessions/jitter-40-ms")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.mark.browser
def test_a_number_opens_the_failed_session_behind_it_or_a_link_or_says_that_it_was_not_kept(
    browser: Any, columns: list[Column], folder: Path
) -> None:
    page = opened(browser, write_scoreboard(columns, folder / "scoreboard.html"), 1280)
    page.set_default_timeout(120_000)
    opener(page, "stop", 1).click()
    page.wait_for_selector("tr.opened .sessions li")
    row = page.locator("tr.opened")
    assert row.locator(".sessions li").first.locator(".no").count() == 1
    figure = row.locator("[data-figure]").first.get_attribute("data-figure")
    assert figure == "example-1-stop"
    drawn(page, figure)
    assert "its trace was not kept" in row.locator(".sessions li", has_text="seed 6").inner_text()
    opener(page, "stop", 0).click()
    page.wait_for_selector("tr.opened .sessions a")
    assert page.locator("tr.opened").count() == 1, "one number is open at a time"
    link = page.locator("tr.opened .sessions li", has_text="seed 6").locator("a").get_attribute("href")
    assert link.startswith("oracle/sessions/stop-6.html#t=")
    assert (folder / link.partition("#")[0]).is_file()
    for name in ("restraint", "threshold-0", "robustness"):
        drawn(page, name)
    assert page.problems == []
    page.close()


@pytest.mark.browser
def test_several_agents_can_be_read_on_a_phone(browser: Any, columns: list[Column], folder: Path) -> None:
    page = opened(browser, write_scoreboard(columns, folder / "scoreboard.html"), 390)
    page.set_default_timeout(120_000)
    opener(page, "stop", 2).click()
    page.wait_for_selector("tr.opened .sessions li")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    wide = "[...document.querySelectorAll('.cell, .sessions li')].filter(n => n.getBoundingClientRect().right > 390).length"
    assert page.evaluate(wide) == 0
    assert page.problems == []
    page.close()
