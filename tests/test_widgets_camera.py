"""The camera on the timeline: a thumbnail where the picture changes, none for noise, and a browser that shows them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.scenario_fakes import play, play_family, script_of
from widgets import timeline, write_timeline
from widgets.picture import data_url
from widgets.views import PICTURE_S, pictures, session_view
from workbench.background.media import png
from workbench.clock import Tick
from workbench.frames import Exercise, Lamp, Lens, film
from workbench.packets import USER_CAMERA, MicroTurn, Packet
from workbench.scenarios.script import AfterOwn, At, Beat, View
from workbench.trace import Trace

LAMP = Lamp(lights=((0.0, "green"), (1.0, "yellow"), (3.0, "red")))


def watched(view: View, lens: Lens | None = None) -> Trace:
    script = script_of(Beat(("tell me",), At(0.5), view=view, holds_s=view.lasts_s), ending=AfterOwn(1.0))
    return play(script if lens is None else type(script)(**{**vars(script), "lens": lens}))


def test_a_picture_stands_where_it_changed_and_lasts_until_the_next(tmp_path: Path) -> None:
    shown = pictures(watched(View(LAMP, 5.0)))  # zero is at 1.15 s; the camera is on from 0.4 s, and ten frames are taken a second
    assert [(round(p.start_s, 3), round(p.end_s, 3)) for p in shown] == [(0.4, 2.2), (2.2, 4.2), (4.2, 6.2)]
    assert np.array_equal(shown[2].pixels, film(LAMP, 3.1, 0.2)[0])


def test_noise_and_shake_are_no_change_and_a_moving_figure_is_not_shown_too_often() -> None:
    noisy = watched(View(LAMP, 5.0), Lens(noise=14.0, gain=0.7, slope=0.2))
    assert len(pictures(noisy)) == 3
    figure = Exercise(movement="jacks", repetitions=tuple((1.0 + n, 2.0 + n) for n in range(4)))
    starts = [p.start_s for p in pictures(watched(View(figure, 6.0)))]
    assert 5 <= len(starts) <= 9
    assert min(np.diff(starts)) >= PICTURE_S - 1e-6


def test_nothing_is_shown_while_the_camera_is_off() -> None:
    trace = watched(View(LAMP, 0.5))
    (one,) = pictures(trace)
    assert one.end_s == pytest.approx(1.8)
    frames = film(LAMP, 0.0, 0.2)
    trace.turns[12] = MicroTurn(Tick(12), (*trace.turns[12].packets, Packet(USER_CAMERA, Tick(12), frames)))
    assert [round(p.start_s, 3) for p in pictures(trace)] == [0.4, 2.4], "on again, though nothing has changed"


@pytest.fixture(scope="module")
def figure() -> go.Figure:
    return timeline(watched(View(LAMP, 5.0)))


def test_the_lane_has_a_thumbnail_at_the_left_of_every_bar(figure: go.Figure) -> None:
    (bars,) = [trace for trace in figure.data if trace.name == "camera"]
    images = figure.layout.images
    assert [image.x for image in images] == list(bars.base)
    assert list(np.add(bars.base, bars.x)) == pytest.approx([2.2, 4.2, 6.2])
    assert {image.yref for image in images} == {bars.yaxis}
    lanes = [note.name.removeprefix("lane ") for note in figure.layout.annotations if note.name.startswith("lane ")]
    assert lanes.index("user_words") + 1 == lanes.index("camera") == lanes.index("floor") - 1


def test_a_session_without_a_camera_has_no_lane_for_it() -> None:
    figure = timeline(play(script_of(Beat(("what is",), At(0.5)))))
    assert not figure.layout.images
    assert "lane camera" not in [note.name for note in figure.layout.annotations]


def test_the_tally_of_repetitions_does_not_lie_on_the_moments() -> None:
    (bars,) = [trace for trace in timeline(play_family("repetitions", 1)).data if trace.name == "expected"]
    heights = {label.split()[0]: y for label, y in zip(bars.text, bars.y, strict=True)}
    assert set(heights) == {"silent", "moment", "tally"}
    assert heights["tally"] != heights["moment"]


def test_a_picture_survives_as_a_png() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(pixels)))), pixels)
    assert data_url(pixels, 3).startswith("data:image/png;base64,")


@pytest.mark.browser
def test_a_browser_shows_every_thumbnail_in_its_lane(chromium: str, tmp_path: Path) -> None:
    trace = watched(View(LAMP, 5.0))
    page_path = write_timeline(trace, tmp_path / "timeline.html")
    with sync_playwright() as play_in:
        browser = play_in.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page: Any = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(page_path.as_uri())
        page.wait_for_selector("#timeline image")
        boxes = [image.bounding_box() for image in page.locator("#timeline image").all()]
        left = page.evaluate(
            "(() => { const x = document.getElementById('timeline')._fullLayout.xaxis; return x._offset + x.d2p(2.2); })()"
        )
        offset = page.locator("#timeline").bounding_box()["x"]
        browser.close()
    assert len(boxes) == len(session_view(trace).pictures) == 3
    assert all(40 <= box["height"] <= 60 for box in boxes)
    assert boxes[1]["x"] - offset == pytest.approx(left, abs=2.0)
