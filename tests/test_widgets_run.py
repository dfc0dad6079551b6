"""The page of a training run: its curves, its scores, where it goes wrong, and what it was told."""

from __future__ import annotations

import json
from pathlib import Path

from tests.scenario_fakes import play_family
from widgets.run import run_html, write_run
from workbench.store import save_trace

LOG = [
    {"step": 20, "minutes": 1.0, "rate": 1e-3, "loss": {"word": 1.0}, "family_loss": {"answer": 2.0}, "cells_per_s": 900.0},
    {"step": 20, "minutes": 1.5, "scores": {"mean_both": 0.25}, "family_scores": {"answer": 0.9, "timer": 0.1}},
    {"step": 40, "minutes": 2.0, "rate": 1e-3, "loss": {"word": 0.5}, "family_loss": {"answer": 1.0}, "cells_per_s": 900.0},
]


def test_the_page_shows_what_goes_worst_first(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in LOG))
    (tmp_path / "recipe.toml").write_text('preset = "nano"\n')
    (tmp_path / "samples").mkdir()
    for name in ("answer", "timer"):
        save_trace(play_family(name, 1), tmp_path / "samples" / f"{name}.sqlite")
    page = write_run(tmp_path).read_text(encoding="utf-8")
    assert page.index("sample-timer") < page.index("sample-answer")
    assert "<td>family: timer</td><td>0.100</td>" in page
    assert "40 steps in 2.0 minutes" in page
    assert "preset = &quot;nano&quot;" in page


def test_the_page_escapes_what_it_was_given() -> None:
    page = run_html(LOG, {}, "<script>evil()</script>", "<b>run</b>")
    assert "<script>evil" not in page
    assert "<b>run</b>" not in page
