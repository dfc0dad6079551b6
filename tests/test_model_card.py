"""The card and the README say of the shipped weights what was measured of them, and the weights are as small as they have to be."""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from workbench.neural import load_agent
from workbench.neural.own_voice import OwnVoice
from workbench.sweeps import ROBUSTNESS

ROOT = Path(__file__).resolve().parents[1]
LARGEST_MB = 25


@pytest.fixture(scope="module")
def maker() -> dict[str, Any]:
    """What is in `docs/make_card.py`."""
    return runpy.run_path(str(ROOT / "docs" / "make_card.py"))


@pytest.fixture(scope="module")
def scores(maker: dict[str, Any]) -> Any:
    return json.loads(maker["SCORES"].read_text(encoding="utf-8"))


def test_the_scores_beside_the_card_are_those_of_the_shipped_weights(checkpoint: Path, scores: Any) -> None:
    weights = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:16]
    sets = [scores["unseen"], scores["flite"]]
    assert [of["weights"] for of in sets] == [weights] * 2
    assert [set(of["families"]) for of in sets] == [set(load_agent(checkpoint).families)] * 2
    assert [of["episodes"] for of in sets] == [100 * len(of["families"]) for of in sets]
    assert [point["setting"] for point in scores["robustness"]] == [setting.text for setting in ROBUSTNESS]


def test_the_tables_of_the_card_and_the_rows_of_the_readme_are_made_of_the_scores(maker: dict[str, Any], scores: Any) -> None:
    card, readme = maker["CARD"].read_text(encoding="utf-8"), maker["README"].read_text(encoding="utf-8")
    assert maker["with_tables"](card, scores) == card
    assert maker["with_rows"](readme, scores) == readme
    better = json.loads(json.dumps(scores).replace(str(scores["unseen"]["mean_both"]), "0.999"))
    assert "99.9 %" in maker["with_tables"](card, better)
    assert "| 99.9 % |" in maker["with_rows"](readme, better)


def test_an_evaluation_of_other_voices_or_weights_does_not_get_into_the_card(maker: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match="this evaluation is of train voices; give one of unseen"):
        maker["kept"]({"voices": "train"}, "unseen")
    with pytest.raises(SystemExit, match="of other weights than the evaluation"):
        maker["kept_points"]({"points": [{"config": {"agent": {"weights": "older"}}}]}, "newer")


def test_what_ships_is_small_and_speaks_with_its_own_voice(checkpoint: Path) -> None:
    assert checkpoint.stat().st_size < LARGEST_MB * 1_000_000
    agent = load_agent(checkpoint)
    assert isinstance(agent.mouth.out, OwnVoice)
