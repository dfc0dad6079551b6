"""The dial of difficulty: at its middle every family is what it was when results were published; turned, every family changes.

The digests below were taken before the dial reached all families; `planted` and `wrong_sum` came after. One that changes means
that no published number of its family holds any more, and that the shipped model was trained on something else.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenario_fakes import one_voice, play
from workbench.events import TruthExpect, TruthPiece, TruthWithdrawn, TruthWord, to_json
from workbench.packets import TRUTH
from workbench.scenarios import BACKGROUND_WEIGHTS, FAMILIES, MAX_EPISODE_S, MEDLEY_WEIGHTS, SEEING_WEIGHTS, build, medley
from workbench.scenarios.dial import USUAL, Span, moved
from workbench.scenarios.script import Script
from workbench.scoring.false_starts import false_starts
from workbench.scoring.interaction import explain, outcomes

SEEDS = range(6)
TRUTHS = (TruthWord, TruthExpect, TruthWithdrawn, TruthPiece)
ALL_WEIGHTS = {**MEDLEY_WEIGHTS, **BACKGROUND_WEIGHTS, **SEEING_WEIGHTS}

DIGESTS = {
    "answer": "996ac37aca5b080c",
    "think_pause": "073cad9f261e148c",
    "self_correction": "b986f72aef76c70e",
    "invitation": "96c820e04aaf945a",
    "long_silence": "3fe16c7569203bcb",
    "long_count": "d05bc25b90a016c3",
    "stop": "8a5d32ad3bb6a888",
    "new_question": "100955d469b46a4d",
    "redirect": "60044396ea614992",
    "backchannel": "0773a39ff9124aa3",
    "impatient": "e157252116af8cd1",
    "listener": "adb397390ab32c5b",
    "other_directed": "1b56b5810efb12b5",
    "background": "b614de6af59da39e",
    "cue_word": "e47906b2d200929d",
    "user_mistake": "fd0c0af57502ea3d",
    "warning": "bd1d3c75a0eedeef",
    "timer": "8065e93cad3caf1b",
    "every_n": "4c7db563ad29579f",
    "how_long": "f1ba30d485bd0859",
    "translate": "22c587fc42b24f09",
    "along": "ad455c907e34000d",
    "disallowed": "0572d49ee794aefb",
    "bystander_order": "3b531edc7e30a92d",
    "repetitions": "58948f22c5e37c30",
    "tell_when": "676731378a0cb83c",
    "what_changed": "e4143e50ce1397d2",
    "look_up": "5adc30d746dfa4a5",
    "meanwhile": "b220fd694c97c623",
    "other_one": "e07512607732c891",
    "call_off": "0ac684379ad56131",
    "chart": "45349c1c278caf89",
    "late_result": "9daae26c05504ed1",
    "planted": "f368307492f1556a",
    "wrong_sum": "9183b6c3ff265190",
}
MEDLEYS = {0.0: "f8b70f6c576b85dc", 0.25: "9448a244e7cf8a20", 0.75: "9171c6d2d8b5259f", 1.0: "c85b08e40a586a04"}


def told(value: Any) -> Any:
    """A value as JSON, whole; of a dataclass only the fields that are not as they are by default, so that new fields change nothing."""
    if is_dataclass(value):
        kept = {f.name: getattr(value, f.name) for f in fields(value)}
        usual = {f.name: f.default_factory() if f.default_factory is not MISSING else f.default for f in fields(value)}
        return [type(value).__name__, {name: told(one) for name, one in kept.items() if repr(one) != repr(usual[name])}]
    if isinstance(value, Mapping):
        return {str(name): told(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [told(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def digest(*bodies: Any) -> str:
    return hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()[:16]


def told_of(script: Script) -> list[Any]:
    """The script, and what its user says, orders and expects when a perfect agent answers it."""
    trace = play(script)
    commands = [[turn.tick, told(turn.get(TRUTH))] for turn in trace.turns if turn.get(TRUTH) is not None]
    events = [[tick, to_json(event)] for kind in TRUTHS for tick, event in trace.events(kind)]
    return [told(script), commands, events]


def of_family(name: str) -> str:
    return digest(*(told_of(build(name, seed, pick=one_voice)) for seed in SEEDS))


def of_medleys(difficulty: float) -> str:
    """What comes of the draws after all pieces, which is the same only if every piece took the draws that it always took."""
    found = []
    for seed in range(12):
        script = medley(seed, difficulty=difficulty, weights=ALL_WEIGHTS, pick=one_voice, recorded="held_back")
        found.append([[beat.family for beat in script.beats if beat.expects][:1], told(script.acoustics), told(script.lens)])
    return digest(found)


def test_every_family_has_its_digest() -> None:
    assert set(DIGESTS) == set(FAMILIES)


@pytest.mark.parametrize("family", DIGESTS)
def test_at_the_usual_difficulty_a_family_is_bit_for_bit_what_results_were_published_of(family: str) -> None:
    assert of_family(family) == DIGESTS[family]


@pytest.mark.parametrize("difficulty", MEDLEYS)
def test_a_piece_takes_as_many_draws_as_ever_at_any_difficulty(difficulty: float) -> None:
    assert of_medleys(difficulty) == MEDLEYS[difficulty]


@pytest.mark.parametrize("family", FAMILIES)
def test_difficulty_changes_what_happens_in_every_episode(family: str) -> None:
    for seed in SEEDS:
        easy, hard = (build(family, seed, difficulty=difficulty, pick=one_voice).beats for difficulty in (0.0, 1.0))
        assert easy != hard, f"seed {seed}"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_a_perfect_agent_is_right_at_every_difficulty(family: str, difficulty: float) -> None:
    for seed in (100, 101):
        trace = play(build(family, seed, difficulty=difficulty, pick=one_voice))
        assert [explain(outcome) for outcome in outcomes(trace) if not outcome.both] == [], f"seed {seed}"
        assert sum(false_starts(trace).values()) == 0, f"seed {seed}"
        assert trace.duration_s < MAX_EPISODE_S


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_says_what_difficulty_does_in_it(family: str) -> None:
    assert "difficulty" in (importlib.import_module(f"workbench.scenarios.{family}").__doc__ or "")


@given(
    ends=st.tuples(*[st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)] * 3),
    difficulty=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_a_span_keeps_to_its_ends_and_takes_one_draw(ends: tuple[list[int], ...], difficulty: float, seed: int) -> None:
    usual, easy, hard = ((low, high + 1) for low, high in ends)
    span = Span(usual, easy=easy, hard=hard)
    rng, same = np.random.default_rng(seed), np.random.default_rng(seed)
    found, drawn = span.whole(rng, difficulty), int(same.integers(usual[0], usual[1] + 1))
    low, high = span.at(difficulty)
    assert low - 0.5 <= found <= high + 0.5
    assert rng.random() == same.random()
    if difficulty == USUAL:
        assert found == drawn
    assert span.at(0.0) == easy
    assert span.at(1.0) == hard
    assert moved(usual[0], usual, (low, high)) == pytest.approx(low)
