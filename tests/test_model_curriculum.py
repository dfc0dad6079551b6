"""Which families are drawn how often: planned, evened out, and more of what goes badly, all within bounds."""

from __future__ import annotations

import numpy as np
import pytest

from model.curriculum import CurriculumConfig, boosted, conversation_chances, evened, family_weights


def curriculum(**changes: object) -> CurriculumConfig:
    return CurriculumConfig(**{"balance": 0.0, "boost": 1.0, "weights": {}, **changes})  # type: ignore[arg-type]


def test_weights_go_evenly_from_the_beginning_to_the_end_of_the_run() -> None:
    config = curriculum(weights={"sum": (2.0, 1.0), "dance": (0.0, 4.0)})
    weights = [family_weights(config, ("sum", "count", "dance"), share, {}).tolist() for share in (0.0, 0.5, 1.0, 1.2)]
    assert weights == [[1, 2, 1, 0], [1, 1.5, 1, 2], [1, 1, 1, 4], [1, 1, 1, 4]]


def test_a_family_that_scores_badly_is_drawn_more_often_up_to_a_bound() -> None:
    assert [boosted(score, 4.0) for score in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [4, 4, 2, 1, 1]
    weights = family_weights(curriculum(boost=4.0), ("sum", "count", "new"), 0.3, {"sum": 1.0, "count": 0.0})
    assert weights.tolist() == [1, 1, 4, 1]  # what has no score yet is drawn as it comes
    assert family_weights(curriculum(), ("sum",), 0.3, {"sum": 0.0}).tolist() == [1, 1]


def test_evening_out_gives_rare_families_the_weight_they_lack() -> None:
    counts = np.array([[10, 90, 0, 0], [5, 60, 30, 0]])
    assert evened(counts, 0.0).tolist() == [1, 1, 1, 1]
    factors = evened(counts, 1.0)
    assert (factors * counts.sum(0))[1:3].tolist() == pytest.approx([90, 90])
    assert factors[3] == 1  # a family that is not there cannot be evened out
    half = evened(counts, 0.5)
    assert 1 < half[2] < factors[2]


def test_conversations_are_chosen_by_the_weight_of_their_cells() -> None:
    counts = np.array([[0, 100, 0], [0, 50, 50], [0, 0, 100]])
    assert conversation_chances(counts, np.ones(3)).tolist() == pytest.approx([1 / 3] * 3)
    assert conversation_chances(counts, np.array([1.0, 1.0, 3.0])).tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert conversation_chances(counts, np.array([1.0, 0.0, 1.0]))[0] == 0
    with pytest.raises(ValueError, match="all weights of the families at hand are zero; give one of them a positive weight"):
        conversation_chances(counts, np.zeros(3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"balance": 1.5}, r"balance = 1.5 must lie between 0"),
        ({"boost": 0.5}, r"boost = 0.5 must be at least 1"),
        ({"weights": {"sum": (1.0, -1.0)}}, r"weights.sum = \[1.0, -1.0\] must not be negative"),
    ],
)
def test_a_curriculum_that_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curriculum(**change)
