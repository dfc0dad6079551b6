"""Numbers in a terminal's tables and on the page: shares as shares, counts as counts, each with its interval."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from tests.scenario_fakes import Tones, one_voice
from widgets.board import board_html
from widgets.scores import Column
from workbench.agents import OracleAgent
from workbench.evaluate import Report, evaluate
from workbench.scenarios import FAMILIES
from workbench.scoring.delegation import PER_SOLVED
from workbench.scoring.measured import Measured
from workbench.scoring.people import ANSWER_MEDIAN, told
from workbench.scoring.score import Outcome
from workbench.scoring.summary import summarise
from workbench.tables import comparison_table, evaluation_tables, families_table, interval_text, score_text, share_text, suite_table

COST = Measured(name=f"{PER_SOLVED}micro-turns", value=62.333, explanation="micro-turns: many", n=468, interval=(59.6, 64.99), sessions=500)


@pytest.fixture(scope="module")
def report() -> Report:
    suites = ("interaction", "background")
    found = evaluate(OracleAgent(), ("answer", "look_up"), "train", 2, 5, pick=one_voice, speaker_of=Tones, suites=suites)
    shares = [one for one in found.suites["background"] if not one.name.startswith(PER_SOLVED)]
    return replace(found, suites={"background": [*shares, COST]})


@pytest.fixture
def own_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Families that are none of ours: one in a group of its own, one in a group that we have."""
    made = FAMILIES["answer"]
    monkeypatch.setitem(FAMILIES, "doorbell", replace(made, name="doorbell", group="at_home", summary="Somebody rings"))
    monkeypatch.setitem(FAMILIES, "spelling", replace(made, name="spelling", summary="A name is spelt"))


def printed(table: RenderableType) -> str:
    console = Console(width=220, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def row_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if name in line)


def test_sixty_two_micro_turns_are_not_six_thousand_per_cent(report: Report) -> None:
    for table in (suite_table("background", [COST]), comparison_table({"oracle": report.to_json()})):
        row = row_of(printed(table), COST.name)
        assert "62.333" in row
        assert "59.600" in row
        assert "%" not in row
        assert "6233" not in row
    page = board_html([Column.of(report)]).split('<script type="text/plain"')[0]
    assert "62.33" in page
    assert "6233" not in page


def test_how_people_do_stands_beside_the_scores_that_know_it() -> None:
    known = replace(COST, name="reply", setup={"people": told((ANSWER_MEDIAN,))})
    text = printed(suite_table("latency", [known, COST]))
    assert "people, beside reply: 0.1 s median offset of answers" in " ".join(text.split())
    assert "people" not in printed(suite_table("background", [COST]))


def test_the_page_says_how_people_do_beside_replies_and_suites() -> None:
    suites = ("interaction", "latency", "vap")
    found = evaluate(OracleAgent(), ("answer", "stop"), "train", 1, 5, pick=one_voice, speaker_of=Tones, suites=suites)
    page = board_html([Column.of(found)]).split('<script type="text/plain"')[0]
    reply = page[page.index('<th scope="row">reply<small>') :]
    assert "people: 0.1 s median offset" in reply[: reply.index("</th>")]
    share = page[page.index('<th scope="row">floor transfer, in overlap<small>') :]
    assert "people: 30.1 % of floor transfers" in share[: share.index("</th>")]
    murmurs = page[page.index('<th scope="row">back-channels<small>') :]
    assert "people: 3.9 1/min" in murmurs[: murmurs.index("</th>")]


def test_only_a_share_is_written_as_a_share() -> None:
    assert [share_text(share) for share in (0.0, 0.9584, 1.0)] == ["0.000", "0.958", "1.000"]
    for other in (62.333, 1.01, -0.1, math.nan):
        with pytest.raises(ValueError, match="is no share of 0 to 1; write a count, a ratio or a time with score_text"):
            share_text(other)


def test_a_score_stands_as_it_is_with_its_unit_and_empty_without_a_case() -> None:
    assert [score_text(62.333), score_text(1.622, "GFLOP"), score_text(None), score_text(math.nan, "s")] == [
        "62.333",
        "1.622 GFLOP",
        "",
        "",
    ]
    assert [interval_text((59.6, 64.99)), interval_text((0.3734, 0.381), 2), interval_text(None)] == [
        "59.600 to 64.990",
        "0.37 to 0.38",
        "",
    ]


def test_every_number_of_an_evaluation_has_its_interval_beside_it(report: Report) -> None:
    whole: dict[str, Any] = json.loads(json.dumps(report.to_json()))
    text = printed(evaluation_tables(whole))
    for name in ("answer", "all ", "replies within 1.0 s", "episodes without a false start", "false starts: words unasked", "│ reply "):
        assert re.search(r"[0-9.]+ to [0-9.]+", row_of(text, name)), name
    assert len(re.findall(r"[0-9.]+ to [0-9.]+", row_of(text, "│ reply "))) == 2, "the median's, and that of the 95th percentile"
    assert "people, beside reply: 0.1 s median" in text
    assert "(0." in row_of(printed(comparison_table({"oracle": whole})), "reply, median s")


@pytest.mark.usefixtures("own_families")
def test_families_of_ones_own_stand_in_their_group_and_what_is_no_family_last() -> None:
    right, late = (Outcome(id="a", what="reply", tags=("plain",), meaning=True, timing=timing, acted=True) for timing in (True, False))
    found = {"a recording": [[late]], "doorbell": [[right], [late]], "answer": [[right]], "spelling": [[late]], "stop": [[]]}
    whole = summarise(found)
    groups = {name: (row["families"], row["mean_both"]) for name, row in whole["groups"].items()}
    assert list(groups.items()) == [("floor", (2, 0.5)), ("at_home", (1, 0.5)), ("", (1, 0.0))]
    assert whole["mean_both"] == pytest.approx((0.0 + 0.5 + 1.0 + 0.0) / 4)
    lines = [
        [cell.strip() for cell in line.split("\u2502")[1:4]] for line in printed(families_table(whole)).splitlines() if "\u2502" in line
    ]
    assert lines == [
        ["floor", "answer", "1"], ["", "spelling", "1"], ["", "mean", ""],
        ["at home", "doorbell", "2"], ["", "mean", ""],
        ["", "a recording", "1"], ["", "mean", ""],
        ["all", "mean", ""],
    ]  # fmt: skip


@pytest.mark.usefixtures("own_families")
def test_a_family_of_ones_own_is_evaluated_beside_ours() -> None:
    whole = evaluate(OracleAgent(), ("answer", "doorbell"), "train", 1, 5, pick=one_voice, speaker_of=Tones).to_json()
    assert {name: (row["group"], row["both"]) for name, row in whole["families"].items()} == {
        "answer": ("floor", 1.0),
        "doorbell": ("at_home", 1.0),
    }
    assert {name: row["families"] for name, row in whole["groups"].items()} == {"floor": 1, "at_home": 1}
