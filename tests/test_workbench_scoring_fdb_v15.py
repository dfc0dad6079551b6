"""Full-Duplex-Bench v1.5: overlaps and gaps, labels from scenario truth, and the average that an endless talker games."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_session import stopped_count
from tests.test_workbench_scoring import beat, expect, question, request, says, trace_of
from workbench.errors import InputError
from workbench.scenarios.world import counting
from workbench.scoring.fdb_sample import Sample, Span
from workbench.scoring.fdb_v15 import (
    DESIRED,
    Labelled,
    behaviour,
    behaviour_rates,
    four_task_average,
    overlaps,
    response_gaps,
    stops,
    timing,
)
from workbench.scoring.reading import read

USER, AGENT = ((0.5, 3.0), (7.0, 9.0)), ((3.6, 7.8), (9.7, 14.0))


def sample(user: tuple[Span, ...] = USER, agent: tuple[Span, ...] = AGENT, event: Span = (7.0, 9.0)) -> Sample:
    return Sample(id="1", words=(), duration_s=15.0, voice=agent, user_voice=user, marks=(event,))


def test_the_published_case_of_overlaps_and_gaps() -> None:
    assert overlaps(USER, AGENT) == [(7.0, 7.8)]
    assert response_gaps(USER, AGENT) == [(3.0, 3.6), (9.0, 9.7)]


def test_of_overlaps_with_one_end_the_shortest_and_of_gaps_to_one_start_the_latest() -> None:
    assert overlaps([(0.0, 5.0), (3.0, 5.0)], [(1.0, 6.0)]) == [(3.0, 5.0)]
    assert response_gaps([(0.0, 1.0), (1.7, 2.0)], [(3.0, 4.0)]) == [(2.0, 3.0)]
    assert response_gaps([(0.0, 3.0)], [(3.0, 4.0)]) == []


def test_voice_is_joined_over_longer_gaps_for_the_user_than_for_the_agent() -> None:
    user, agent = ((1.0, 2.0), (2.58, 3.0)), ((1.5, 2.2), (2.78, 4.0))
    assert stops(sample(user, agent), "compatible") == [(1.5, 2.2), (2.78, 3.0)]


def test_timing_names_its_events_and_shows_its_moments() -> None:
    stop, response = timing([sample()])
    assert (stop.value, stop.n, response.n) == (pytest.approx(0.8), 1, 2)
    assert response.value == pytest.approx((0.6 + 0.7) / 2)
    assert [(m.start_s, m.end_s) for m in response.moments] == [(3.0, 3.6), (9.0, 9.7)]
    assert "start to end of an overlap" in stop.explanation
    clean = timing([sample()], "clean")
    assert [s.value for s in clean] == [pytest.approx(0.8), pytest.approx(0.7)]


def test_who_talks_through_the_event_stops_with_the_user_only_officially() -> None:
    endless = sample(agent=((3.6, 14.0),))
    assert timing([endless])[0].value == pytest.approx(2.0)
    assert timing([endless], "clean")[0].value == pytest.approx(7.0)
    silent = timing([sample(agent=())], "clean")
    assert all(math.isnan(s.value) and s.n == 0 for s in silent)


spans = st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 3)).map(lambda t: (t[0], t[0] + t[1])), max_size=8)


@given(spans, spans)
def test_overlaps_lie_in_both_voices_and_gaps_are_positive(user: list[Span], agent: list[Span]) -> None:
    for start_s, end_s in overlaps(user, agent):
        assert start_s < end_s
        assert all(any(a <= start_s and end_s <= b for a, b in side) for side in (user, agent))
    assert all(end_s < start_s for end_s, start_s in response_gaps(user, agent))


def test_the_truth_of_a_scenario_labels_what_was_done() -> None:
    event = (4.0, 4.6)
    counted = says(*((word, 2.0 + at) for at, word in enumerate(counting(6))))
    cut = counted[:3]
    label = lambda *events: behaviour(read(trace_of(*events)), "1", event).label  # noqa: E731
    assert label(*request(6), *counted) == "C_RESUME"
    assert label(*request(6), *question(4.0), *cut, *says(("seven", 5.0))) == "C_RESPOND"
    assert label(*request(6), *question(4.0), *cut, *says(("nine", 5.0))) == "C_UNKNOWN"
    assert label(*request(6), *question(4.0), *cut, *says(("pardon", 5.0))) == "C_UNCERTAIN_HANDLING"
    assert label(*request(6), *cut) == "C_UNKNOWN"
    stop = [expect("yield", 4.0, 4.6, (0.0, 1.0), name="stop", tags="stop"), *beat(4.0, "please", "stop")]
    assert label(*request(6), *stop, *cut) == "C_RESPOND"


def test_the_hand_written_session_responds_to_its_stop() -> None:
    assert behaviour(read(stopped_count()), "1", (4.30, 4.62)).label == "C_RESPOND"


def labelled(*labels: str) -> list[Labelled]:
    return [Labelled(id=str(n), label=label, event=(1.0, 2.0)) for n, label in enumerate(labels)]  # type: ignore[arg-type]


def test_rates_of_labels_sum_to_one_and_are_rounded_only_officially() -> None:
    found = labelled("C_RESPOND", "C_RESUME", "C_RESUME")
    assert [s.value for s in behaviour_rates("user_backchannel", found)] == [0.33, 0.67, 0, 0]
    clean = behaviour_rates("user_backchannel", found, "clean")
    assert sum(s.value for s in clean) == pytest.approx(1)
    assert [m.session for m in clean[1].moments] == ["1", "2"]


@pytest.mark.parametrize(
    ("rates", "average"),
    [((0.24, 0.98, 0.90, 0.98), 77.5), ((0.78, 0.70, 0.02, 0.04), 38.5), ((0.50, 0.06, 0.19, 0.07), 20.5), ((0, 1, 1, 1), 75)],
)
def test_the_published_averages_and_the_endless_talkers_75(rates: tuple[float, ...], average: float) -> None:
    found = {
        scenario: labelled(*[wanted] * round(100 * rate), *["C_UNKNOWN"] * round(100 - 100 * rate))
        for (scenario, wanted), rate in zip(DESIRED.items(), rates, strict=True)
    }
    score = four_task_average(found)
    assert score.value == pytest.approx(average)
    low, high = score.interval or (1, 0)
    assert low <= average <= high
    assert (score.n, score.sessions) == (400, 400)


def test_an_average_of_fewer_than_four_tasks_and_an_unknown_label_are_refused() -> None:
    with pytest.raises(InputError, match="no labels for talking_to_other, background_speech"):
        four_task_average({"user_interruption": labelled("C_RESPOND"), "user_backchannel": labelled("C_RESUME")})
    with pytest.raises(InputError, match="labelled 'RESUME'; the rubric knows C_RESPOND"):
        labelled("RESUME")
