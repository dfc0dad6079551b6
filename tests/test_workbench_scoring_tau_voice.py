"""τ-voice's tick panel: the three published trajectories give the published values, and every rule has a case that breaks it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_session import COUNT_TICKS, stopped_count
from tests.test_workbench_scoring import beat, says, trace_of
from workbench.errors import InputError
from workbench.events import TruthWord
from workbench.exports.tau_voice import read_trajectory
from workbench.scoring.measured import Measured
from workbench.scoring.tau_voice import PanelTick, Windows, panel_events, tau_voice, ticks_of

# The three trajectories beside the official test (tau2-bench a2c0247, MIT), as runs of ticks: who sounds (. nobody, u user, a agent, b
# both), then m for a back-channel, t for a vocal tic and n for speech not for the agent.
PUBLISHED = {
    "49b22f0c": (
        "26. 56u 6. 12a 8. 45u 6. 3a 1an 2a 9. 14a 1an 2a 6. 34u 5. 60a 1at 3a 3. 1.t 2. 3b 46u 6. 38a 3b 26u 7. 34a 3b 66u 4. "
        "15a 3. 4a 6. 12u 8. 37a 5. 47a 1bm 5b 4. 80a 3b 8u 5. 83a 6. 5b 2a 5. 80a 6. 1u"
    ),
    "7c6a3e3e": (
        "26. 65ut 3bt 68ut 7. 16a 1an 2a 6. 3b 36u 6. 50a 3bt 48ut 10. 59a 3b 18u 14. 112a 1at 52a 1bm 2b 1u 9. 17a 3b 7u 6. "
        "124a 3b 11u 6. 40a 3b 16u 11. 90a 3b 8u 7. 42a 3b 8. 119a 3b 8u 9. 172a 1an 2a 6. 3b 16u 5. 1a 1at 4a 2. 4a 3. 1.t 5. "
        "11u 7. 216a 5b 1u 11. 88a 6. 9u 4. 56a 1b"
    ),
    "cd9c5ed2": (
        "6. 1.n 13. 69a 3b 3u 4. 57a 6. 22u 2b 36u 12. 49a 6. 17u 6. 27a 3b 2u 7. 38a 4b 2u 5. 89a 4b 40u 26. 8u 9. 73a 1bm 2b "
        "3u 8. 26a 3b 22u 8. 137a 3b 26u 4. 112a 1an 5a 6. 3b 1u 13. 8a 1an 2a 6. 9ut 5bt 58a 6. 6u 5. 34a 6. 30u 11. 89a 3b 2u "
        "6. 19a 1b"
    ),
}
EXPECTED = {  # expected_metrics.json
    "L_R": (1.4588235294117646, 34),
    "L_Y": (0.6695652173913044, 23),
    "R_R": (0.9714285714285714, 35),
    "R_Y": (1.0, 23),
    "I_A": (0.22857142857142856, 35),
    "S_BC": (0.33333333333333337, 3),
    "S_VT": (0.1428571428571429, 7),
    "S_ND": (0.16666666666666663, 6),
}


def ticks(runs: str) -> list[PanelTick]:
    """Ticks from runs such as "3u 2. 5a"."""
    found = []
    for count, who, more in re.findall(r"(\d+)([.uab])([mtn]*)", runs):
        inserts = tuple((("vocal_tic" if mark == "t" else "non_directed"), "") for mark in more if mark != "m")
        found += [PanelTick(who in "ub", who in "ab", "backchannel" if "m" in more else "keep_talking", inserts)] * int(count)  # type: ignore[arg-type]
    return found


def panel(runs: str) -> dict[str, Measured]:
    return {score.name: score for score in tau_voice({"one": ticks(runs)})}


def test_the_published_trajectories_give_the_published_values() -> None:
    scores = tau_voice({name: ticks(runs) for name, runs in PUBLISHED.items()})
    assert {s.name: s.n for s in scores[:8]} == {name: n for name, (_, n) in EXPECTED.items()}
    for score in scores[:8]:
        value, _ = EXPECTED[score.name]
        assert score.value == pytest.approx(value, abs=1e-12), score.name
        assert score.interval is not None
        assert score.interval[0] <= value + 1e-9
        assert value <= score.interval[1] + 1e-9
    assert scores[8].value == pytest.approx((1 / 3 + 1 / 7 + 1 / 6) / 3)
    assert len(scores[8].moments) == len(scores[8].evidence) == 2 + 6 + 5, "what it stopped for or answered, of 3, 7 and 6"
    assert "hidden on the leaderboard" in scores[5].explanation
    assert "hidden" not in scores[0].explanation
    assert sum(len(s.moments) for s in scores[1:2]) == 23


@pytest.mark.parametrize(
    ("runs", "name", "value"),
    [
        ("5u 4. 3a", "L_R", 0.8),
        ("5u 4. 3u 2. 2a", "R_R", 0.5),
        ("5um 4. 3u 2. 2a", "R_R", 1.0),  # a back-channel is no turn
        ("5u 3b 4u 1. 2a", "I_A", 1.0),
        ("5u 3b 4u 3b 4u 1. 2a", "I_A", 2.0),  # can exceed 1
        ("5a 9b 1u 1. 1a", "R_Y", 1.0),
        ("5a 10b 1u 1. 1a", "R_Y", 0.0),  # silent only after 2.0 s
        ("5a 3b 3u 1. 1a", "L_Y", 0.6),
        ("5a 2bm 5a 1.", "S_BC", 1.0),
        ("5a 2bm 2a 3.", "S_BC", 0.0),  # stops 0.8 s after it began
        ("5a 2bm 3a 3.", "S_BC", 1.0),  # at 1.0 s it is no longer because of it
        ("5a 2bt 2a 3.", "S_VT", 0.0),
        ("5a 2btn 9a 3.", "S_VT", 1.0),  # a tic goes before other speech
        ("2ut 10. 3a", "S_VT", 0.0),  # answered within 2.0 s
        ("2ut 11. 3a", "S_VT", 1.0),
        ("4. 1.n 12. 3a", "S_ND", 1.0),
        ("4. 1.n 10. 3a", "S_ND", 0.0),
        ("4a 1an 4a 5.", "S_ND", 0.0),
    ],
)  # fmt: skip
def test_each_rule_at_its_edge(runs: str, name: str, value: float) -> None:
    assert panel(runs)[name].value == pytest.approx(value)


def test_a_murmur_with_a_tic_in_it_is_a_murmur() -> None:
    scores = panel("5a 2bmt 9a 1.")
    assert (scores["S_BC"].n, scores["S_VT"].n) == (1, 0)


def test_other_speech_passed_over_while_speaking_is_not_counted_officially() -> None:
    assert math.isnan(panel("4a 1an 9a 5.")["S_ND"].value)


def test_a_lone_user_tick_at_the_very_end_is_an_artefact() -> None:
    assert panel("9a 1b")["R_Y"].n == 0
    assert panel("9a 2b")["R_Y"].n == 1


def test_who_always_talks_has_no_turn_and_never_yields() -> None:
    scores = panel("4a 20b 5a 20b 5a")
    assert (scores["R_Y"].value, scores["R_R"].n) == (0.0, 0)
    assert scores["L_R"].interval is None
    assert "no cases" in scores["L_R"].explanation


def test_selectivity_needs_all_three() -> None:
    assert math.isnan(panel("5a 2bm 5a 1.")["selectivity"].value)


codes = st.lists(st.tuples(st.integers(1, 12), st.sampled_from([".", "u", "a", "b", "um", "bm", ".n", "at", "bt", "un"])), max_size=20)


@given(codes, st.integers(1, 9))
def test_silence_before_a_session_moves_its_events_and_changes_none(runs: list[tuple[int, str]], later: int) -> None:
    text = " ".join(f"{count}{code}" for count, code in runs) + " 3."
    plain = panel_events(ticks(text), Windows())
    moved = panel_events(ticks(f"{later}. {text}"), Windows())
    assert [(e.kind, e.good, e.from_tick + later, e.to_tick + later) for e in plain] == [
        (e.kind, e.good, e.from_tick, e.to_tick) for e in moved
    ]
    assert all(0 <= e.from_tick <= e.to_tick <= len(ticks(text)) for e in plain)


def test_a_trace_becomes_ticks() -> None:
    trace = stopped_count()
    found = ticks_of(trace)
    assert len(found) == len(trace)
    assert [at for at, tick in enumerate(found) if tick.user] == [3, 4, 5, 6, 7, 21, 22, 23]
    assert all(found[at].agent for at in COUNT_TICKS)
    murmur = trace_of(*says(("one", 2.0)), *beat(2.0, "mhm"), TruthWord(word="stop", start_s=4.0, end_s=4.3, speaker="bystander"))
    heard = ticks_of(murmur)
    assert (heard[10].action, heard[10].agent, heard[20].user, heard[20].inserts) == ("backchannel", True, False, (("non_directed", ""),))


def test_an_official_trajectory_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    user = {"contains_speech": True, "turn_taking_action": {"action": "backchannel"}, "speech_effects": {"speech_insert": None}}
    insert = {"contains_speech": False, "source_effects": {"speech_insert": {"type": "non_agent_directed", "text": "hold on"}}}
    body = {"ticks": [{"user_chunk": user, "agent_chunk": {"contains_speech": True}}, {"user_chunk": insert, "agent_chunk": None}]}
    path.write_text(json.dumps(body))
    assert read_trajectory(path) == (
        PanelTick(True, True, "backchannel"),
        PanelTick(False, False, "", (("non_directed", "hold on"),)),
    )


@pytest.mark.parametrize(("text", "message"), [("{", "cannot be read as JSON"), ("[]", "has no ticks"), ('{"ticks": []}', "has no ticks")])
def test_a_file_without_ticks_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_trajectory(path)


def test_nothing_to_score_and_windows_without_length_are_refused() -> None:
    with pytest.raises(InputError, match="no session has ticks"):
        tau_voice({"one": []})
    with pytest.raises(InputError, match="a window that is not positive"):
        Windows(tick_s=0.0)
