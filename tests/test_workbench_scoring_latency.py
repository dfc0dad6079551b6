"""A latency report names its two events, keeps its sign, and compares with people only where people were measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_session import stopped_count
from tests.test_workbench_scoring import beat, question, says, trace_of
from workbench.events import DeadlineMissed
from workbench.packets import rng_for
from workbench.scoring.latency import LATENCY_SPECS, LatencyReport, latency_report, measure, overlap_share, quantile_interval
from workbench.scoring.people import FLOOR_TRANSFER, FLOOR_TRANSFER_OF_CALLS, OVERLAP, told
from workbench.scoring.resample import DRAWS
from workbench.trace import Trace


def reports(*traces: Trace) -> dict[str, LatencyReport]:
    return {r.spec.name: r for r in latency_report({str(n): measure(trace) for n, trace in enumerate(traces)})}


def test_a_reply_is_measured_from_the_end_of_the_question_to_the_first_word() -> None:
    found = reports(trace_of(*question(1.0), *says(("seven", 2.0))), trace_of(*question(1.0), *says(("nine", 2.2))))
    assert found["reply"].median.value == pytest.approx(0.5)
    assert (found["reply"].median.n, found["reply"].median.sessions) == (2, 2)
    assert found["right reply"].median.value == pytest.approx(0.4)
    assert [(m.session, m.start_s) for m in found["reply"].median.moments] == [("0", 1.6), ("1", 1.6)]
    assert found["reply"].median.evidence == (8, 8)


def test_an_agent_that_begins_before_the_end_has_a_negative_offset() -> None:
    transfer = reports(trace_of(*beat(1.0, "three", "four"), *says(("seven", 1.4))))["floor transfer"]
    assert transfer.median.value == pytest.approx(-0.2)
    assert transfer.early == 1


def test_one_end_of_the_user_is_answered_once() -> None:
    transfer = reports(trace_of(*beat(1.0, "three", "four"), *says(("seven", 2.0), ("eight", 3.0))))["floor transfer"]
    assert transfer.median.n == 1
    assert transfer.median.value == pytest.approx(0.4)


def test_going_on_after_the_user_fell_silent_is_no_transfer() -> None:
    words = says(*((str(n), 1.0 + 0.3 * n) for n in range(6)))
    assert reports(trace_of(*beat(1.2, "stop"), *words))["floor transfer"].median.n == 0


def test_the_hand_written_session_yields_in_its_own_time() -> None:
    found = reports(stopped_count())
    assert found["yield"].median.value == pytest.approx(4.8 - 4.62, abs=0.03)  # its last word ends at 4.8 s


def test_the_sentence_can_be_quoted_with_its_events_and_peoples_band() -> None:
    text = reports(trace_of(*question(1.0), *says(("seven", 2.0))))["floor transfer"].sentence()
    assert text.startswith(
        "floor transfer: median 0.40 s (95 % interval 0.40 to 0.40), 95th percentile 0.40 s (0.40 to 0.40), 1 cases in 1 sessions, from"
    )
    assert "from end of the user's last word (truth) to first sound of the agent's turn; includes " in text
    assert "not network" in text
    assert text.endswith(f"people: 0.1 s {FLOOR_TRANSFER.of} ({FLOOR_TRANSFER.source}); {FLOOR_TRANSFER_OF_CALLS.text()}")


def test_people_stand_beside_the_latencies_whose_events_are_theirs_with_source_and_departure() -> None:
    known = {spec.name: [band.by for band in spec.people] for spec in LATENCY_SPECS}
    assert known == {
        "floor transfer": ["12 Switchboard calls", "2,438 Switchboard calls"],
        "reply": ["Stivers et al. 2009", "Stivers et al. 2009"],
        "right reply": [],
        "yield": [],
        "overlap at a yield": ["Levinson and Torreira 2015"],
    }
    assert all(band.source and band.departs for spec in LATENCY_SPECS for band in spec.people)
    found = reports(trace_of(*question(1.0), *says(("seven", 2.0))))["reply"]
    (median, mean) = found.median.to_json()["setup"]["people"]
    assert (median["value"], mean["value"], mean["unit"]) == (0.1, 0.208, "s")
    assert mean["short"] == "0.208 s mean offset of answers to yes-no questions, 7 to 469 ms by language (Stivers et al. 2009)"
    assert found.p95.setup["people"] == [], "a median of people is no neighbour of a 95th percentile"


def test_the_overlap_at_a_yield_runs_from_the_start_of_the_word_that_stops_it() -> None:
    found = reports(stopped_count())
    yielded, overlap = found["yield"].median, found["overlap at a yield"].median
    assert overlap.value == pytest.approx(yielded.value + 4.62 - 4.3, abs=0.03)
    assert overlap.moments[0].start_s == pytest.approx(4.3)
    assert told((OVERLAP,))[0]["by"] == "Levinson and Torreira 2015"


def test_the_share_of_transfers_in_overlap_stands_beside_that_of_people() -> None:
    early = trace_of(*beat(1.0, "three", "four"), *says(("seven", 1.4)))
    late = trace_of(*beat(1.0, "three", "four"), *says(("seven", 2.0)))
    found = overlap_share({str(n): measure(trace) for n, trace in enumerate((early, late, late, late))})
    assert (found.name, found.value, found.n) == ("floor transfer, in overlap", 0.25, 4)
    assert [m.session for m in found.moments] == ["0"]
    assert [band["value"] for band in dict(found.setup)["people"]] == [0.301, 0.4]
    assert found.interval is not None
    assert found.interval[0] < 0.25 < found.interval[1]


def test_nothing_measured_is_said_and_not_zero() -> None:
    report = reports(trace_of(*question(1.0)))["reply"]
    assert math.isnan(report.median.value)
    assert report.median.interval is None
    assert report.sentence() == "reply: no case of end of the question (truth) followed by start of the agent's first word"


def test_missed_deadlines_are_counted_beside_the_latency() -> None:
    trace = trace_of(*question(1.0), *says(("seven", 2.0)))
    turn = trace.turns[3]
    trace.turns[3] = type(turn)(turn.tick, turn.packets, (*turn.events, DeadlineMissed(late_ms=250.0)))
    assert reports(trace)["reply"].late_ticks == 1


def test_every_latency_names_its_events_and_what_it_leaves_out() -> None:
    assert all(s.start and s.end and s.includes and s.excludes for s in LATENCY_SPECS)
    assert len({s.name for s in LATENCY_SPECS}) == len(LATENCY_SPECS)


@given(st.lists(st.lists(st.floats(-2, 5), max_size=4), min_size=1, max_size=6), st.sampled_from([0.5, 0.95]))
def test_an_interval_of_a_quantile_lies_within_the_values(sessions: list[list[float]], share: float) -> None:
    values = [v for session in sessions for v in session]
    found = quantile_interval(sessions, share, draws=50)
    if found is None:
        assert not values
    else:
        assert min(values) - 1e-9 <= found[0] <= found[1] <= max(values) + 1e-9
        assert found == quantile_interval(sessions, share, draws=50)


def test_the_interval_of_a_quantile_is_that_of_every_drawn_group_on_its_own() -> None:
    sessions = [[0.3, 1.2], [], [0.7], [0.1, 0.4, 2.0], [0.9]]
    for share in (0.1, 0.5, 0.95):
        drawn = rng_for(4, 0, "bootstrap").integers(len(sessions), size=(DRAWS, len(sessions)))
        pools = [[value for at in picked for value in sessions[at]] for picked in drawn]
        expected = np.percentile([np.quantile(pool, share) for pool in pools if pool], (2.5, 97.5))
        assert quantile_interval(sessions, share, seed=4) == tuple(expected)
