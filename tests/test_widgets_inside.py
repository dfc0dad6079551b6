"""Probe scores and influences as figures: what is drawn is what the tables say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.sample_session import YIELD_TICK, stopped_count
from widgets import LIGHT, probe_curves, timeline
from widgets.inside import influence_marks
from widgets.views import session_view
from workbench.errors import InputError
from workbench.inside import Attribution, Influence, ProbeScore

SCORES = [
    ProbeScore(target, point, metric, score, chance, 400, 200, classes)
    for target, metric, chance, classes, values in (
        ("floor state", "accuracy", 0.3, 5, (0.8, 0.9)),
        ("session time", "R2", -0.01, 0, (0.7, 0.2)),
    )
    for point, score in zip(("embed", "layer.0.residual"), values, strict=True)
]
FOUND = Attribution(
    YIELD_TICK,
    YIELD_TICK * 0.2,
    "<yield>",
    0.93,
    (
        Influence(21, 4.2, 4.4, "sound", "", -0.25),
        Influence(22, 4.4, 4.6, "sound", "", 0.5),
        Influence(24, 4.3, 4.62, "word", "stop", 0.1),
        Influence(12, 1.1, 1.55, "word", "twenty", 0.001),
    ),
)


def test_every_target_is_a_line_over_the_layers_beside_its_chance() -> None:
    figure = probe_curves(SCORES)
    assert [(line.name, list(line.x), list(line.y)) for line in figure.data] == [
        ("floor state (accuracy)", ["embed", "layer 0"], [0.8, 0.9]),
        ("floor state, chance", ["embed", "layer 0"], [0.3, 0.3]),
        ("session time (R²)", ["embed", "layer 0"], [0.7, 0.2]),
        ("session time, chance", ["embed", "layer 0"], [-0.01, -0.01]),
    ]
    assert "400 cells fitted, 200 tested, 5 classes" in figure.data[0].hovertext[0]
    with pytest.raises(InputError, match="no probe scores"):
        probe_curves([])


def test_influences_are_scaled_to_the_largest_and_stand_where_they_sounded() -> None:
    sounds, words, labels, decision = influence_marks(FOUND, 0.2, LIGHT)
    assert list(sounds.x) == pytest.approx([4.3, 4.5])
    assert list(sounds.y) == [-0.5, 1.0]
    assert list(words.y) == pytest.approx([0.2, 0.002])
    assert list(labels.text) == ["stop", ""]
    assert list(decision.x) == pytest.approx([5.1, 5.1])
    assert "0.25 nats against the decision" in sounds.hovertext[0]
    assert "&lt;yield&gt;" in decision.hovertext


def test_the_timeline_has_a_lane_of_influences_only_when_they_were_looked_into() -> None:
    def lanes(view: Any) -> list[str]:
        return [note.name for note in timeline(view).layout.annotations if note.name.startswith("lane ")]

    plain, found = lanes(session_view(stopped_count())), lanes(session_view(stopped_count(), FOUND))
    assert "lane influence" not in plain
    assert found.index("lane influence") == found.index("lane floor") - 1


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.mark.browser
def test_a_browser_draws_the_lane_without_an_error(browser: Any, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    target = tmp_path / "timeline.html"
    timeline(session_view(stopped_count(), FOUND)).write_html(target, include_plotlyjs=True)
    page.goto(target.as_uri())
    page.wait_for_selector(".main-svg")
    assert any('for "<yield>" at 5.0 s' in text for text in page.locator("g.annotation").all_text_contents())
    assert problems == []
    page.close()
