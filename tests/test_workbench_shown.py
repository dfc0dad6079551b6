"""What an agent shows is reduced to plain data: a chart to names and numbers, a picture to its bytes, and nothing that could act."""

from __future__ import annotations

import json

import pytest

from workbench.background.local.charts import Chart
from workbench.background.shown import MOST_SHOWN, RULES, Show, latest, parted, plain, showable, things_of
from workbench.clock import Tick
from workbench.errors import InputError
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


def test_a_table_keeps_its_caption_as_text() -> None:
    assert plain({"kind": "table", "caption": EVIL, "columns": [], "rows": []})["caption"] == EVIL
    assert plain({"kind": "table", "columns": [], "rows": []})["caption"] == ""


@pytest.mark.parametrize(
    ("begins", "kind"),
    [(b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"RIFF\n\x00\x00\x00WEBP", "webp")],
)
def test_the_bytes_of_a_picture_become_an_address_that_is_shown(begins: bytes, kind: str) -> None:
    thing = showable({"kind": "image", "data": begins + b"rest", "alt": "a"})
    assert thing["data"].startswith(f"data:image/{kind};base64,")
    assert plain(thing) == thing
    assert showable({"kind": "image", "data": thing["data"], "alt": "a"}) == thing


def test_what_a_tool_shows_is_parted_from_its_result() -> None:
    shown = {"kind": "table", "columns": ("a",), "rows": [(1,), (None,)]}
    assert parted(Show(say=[3], shown=shown)) == ([3], {"kind": "table", "columns": ["a"], "rows": [[1], [None]]})
    assert parted([3]) == ([3], None)


@pytest.mark.parametrize(
    ("shown", "problem"),
    [
        ({"kind": "html", "text": EVIL}, f"kind 'html' cannot be shown; give an object whose \"kind\" is one of {', '.join(RULES)}"),
        ({"kind": ["text"]}, "a dict without a kind cannot be shown; give an object whose"),
        ("hello", "a str without a kind cannot be shown; give an object whose"),
        ({"kind": "text", "text": 3}, f"this text cannot be shown; {RULES['text']}"),
        ({"kind": "table", "columns": ["a"], "rows": [1]}, f"this table cannot be shown; {RULES['table']}"),
        ({"kind": "figure", "figure": {"data": []}}, f"this figure cannot be shown; {RULES['figure']}"),
        ({"kind": "image", "data": b"<svg>"}, f"this image cannot be shown; {RULES['image']}"),
        ({"kind": "image", "data": "http://a/b.png"}, f"this image cannot be shown; {RULES['image']}"),
        ({"kind": "table", "columns": ["a"], "rows": [[{1, 2}]]}, "this table is no JSON (TypeError: "),
        ({"kind": "table", "columns": ["a"], "rows": [[float("nan")]]}, "this table is no JSON (ValueError: "),
        ({"kind": "text", "text": "x" * MOST_SHOWN}, f"this text has more than the {MOST_SHOWN} characters of JSON that can be shown"),
        ({"kind": "image", "data": b"GIF89a" + bytes(MOST_SHOWN - 1000)}, f"this image has more than the {MOST_SHOWN} characters"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_rule_and_fix(shown: object, problem: str) -> None:
    with pytest.raises(InputError) as error:
        Show(say="", shown=shown)  # type: ignore[arg-type]
    assert str(error.value).startswith(problem)
    assert len(str(error.value)) <= 200  # so much of it is told of a tool in a process of its own
