"""What an agent shows is reduced to plain data: a chart to names and numbers, a picture to its bytes, and nothing that could act."""

from __future__ import annotations

import json

import pytest

from workbench.background.local.charts import Chart
from workbench.background.shown import latest, plain, things_of
from workbench.clock import Tick
from workbench.packets import BACKGROUND_SHOWN, MicroTurn, Packet

EVIL = "<img src=x onerror=alert(1)>"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize("kind", ["bar", "line", "scatter", "pie"])
def test_a_chart_keeps_names_numbers_titles_and_its_colour(kind: str) -> None:
    chart = Chart(("Paris", "Rome"), (27.0, 30.0), "city", "amount", kind, "sum of amount", "red")
    thing = plain({"kind": "figure", "figure": chart.figure()})
    [series] = thing["series"]
    assert (thing["kind"], thing["title"]) == ("figure", "sum of amount")
    assert (series["look"], series["names"], series["values"]) == (kind if kind != "scatter" else "points", ["Paris", "Rome"], [27.0, 30.0])
    assert series["colour"] == ("" if kind == "pie" else "red")


def test_what_could_act_is_left_out() -> None:
    trace = {
        "type": "bar",
        "x": [EVIL, 2],
        "y": [1, "2"],
        "marker": {"color": "url(http://a)"},
        "hovertemplate": EVIL,
        "customdata": [EVIL],
    }
    thing = plain({"kind": "figure", "figure": {"data": [trace], "layout": {"images": [{"source": "http://a"}], "title": EVIL}}})
    assert thing["series"] == [{"look": "bar", "name": "", "names": [EVIL], "values": [1.0], "colour": ""}]
    assert sorted(thing) == ["kind", "series", "title", "x", "y"]
    assert "http" not in json.dumps(thing)


@pytest.mark.parametrize(
    "shown",
    [
        None,
        {"kind": "html", "text": EVIL},
        {"kind": "text", "text": 3},
        {"kind": "image", "data": "data:image/svg+xml;base64,PHN2Zz4="},
        {"kind": "image", "data": "http://a/b.png"},
        {"kind": "image", "data": PIXEL + "A" * 60_000},
        {"kind": "table", "columns": "a", "rows": []},
        {"kind": "figure", "figure": {"data": [{"type": "scatter3d", "x": [1], "y": [1]}]}},
        {"kind": "figure", "figure": []},
    ],
)
def test_what_is_no_such_thing_is_said_to_be_none(shown: object) -> None:
    thing = plain(shown)
    assert thing["kind"] == "text"
    assert thing["text"].startswith("(this cannot be shown")


def test_what_a_task_shows_takes_the_place_of_what_it_has_shown_before() -> None:
    table = {"kind": "table", "columns": ["a", EVIL], "rows": [[1, 2.5], [None, "x"]] * 150}
    bodies = [{"task": "1", "shown": {"kind": "text", "text": "one"}}, {"task": "2", "shown": {"kind": "image", "data": PIXEL}}]
    first = MicroTurn(Tick(3), (Packet(BACKGROUND_SHOWN, Tick(3), "\n".join(map(json.dumps, bodies))),))
    second = MicroTurn(Tick(9), (Packet(BACKGROUND_SHOWN, Tick(9), json.dumps({"task": "1", "shown": table}) + "\nno json"),))
    things = latest([*things_of(first), *things_of(second)])
    assert [(thing["task"], thing["kind"]) for thing in things] == [("1", "table"), ("2", "image")]
    assert (len(things[0]["rows"]), things[0]["more"], things[0]["rows"][1]) == (200, 100, ["", "x"])
