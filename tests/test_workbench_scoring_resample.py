"""Intervals over sessions: wider where cases of a session go together, honest where all is right, the same in every order, and covering."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.packets import rng_for
from workbench.scoring.measured import Case, bootstrap, mean
from workbench.scoring.resample import (
    DRAWS,
    Part,
    Resample,
    Share,
    count_interval,
    drawn_quantiles,
    mean_share,
    share_interval,
    times_drawn,
)
from workbench.scoring.score import Outcome, wilson
from workbench.scoring.summary import latencies, rates, summarise


def share_of(parts: Sequence[Part], family: str = "stop") -> Share:
    return Resample({family: len(parts)}).share({family: parts})


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def outcome(right: bool = True, latency_s: float | None = 0.4) -> Outcome:
    return Outcome(id="a", what="reply", tags=("plain",), meaning=right, timing=right, acted=right, latency_s=latency_s)


def session(*rights: bool) -> list[Outcome]:
    return [outcome(right, 0.3 + 0.01 * place) for place, right in enumerate(rights)]


def test_cases_that_fail_together_make_a_wider_interval_than_as_many_alone() -> None:
    together = share_of([(9.0, 9.0)] * 80 + [(0.0, 9.0)] * 20)
    apart = share_of([(1.0, 1.0)] * 720 + [(0.0, 1.0)] * 180)
    assert (together.value, together.n, together.sessions) == (apart.value, apart.n, 100) == (0.8, 900, 100)
    assert width(apart.interval) == pytest.approx(width(wilson(720, 900)), rel=0.1)
    assert width(together.interval) == pytest.approx(3 * width(wilson(720, 900)), rel=0.1), "nine cases that go together are one"
    assert width(together.interval) == pytest.approx(width(wilson(80, 100)), rel=0.1)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_all_is_right_or_nothing_the_interval_is_wilsons_over_sessions(value: float) -> None:
    found = share_of([(9 * value, 9.0)] * 100)
    assert found.interval == pytest.approx(wilson(100 * value, 100))
    assert width(found.interval) > width(wilson(900 * value, 900))


def test_sessions_that_are_all_alike_leave_room_for_as_many_others_as_might_not_have_been_seen() -> None:
    unseen = wilson(0, 50)[1]
    assert share_of([(1.0, 2.0)] * 50).interval == pytest.approx((0.5 - unseen / 2, 0.5 + unseen / 2))
    assert share_of([(1.0, 2.0)]).interval == pytest.approx((0.5 - wilson(0, 1)[1] / 2, 0.5 + wilson(0, 1)[1] / 2))


def test_without_a_case_nothing_is_known() -> None:
    none = share_of([(0.0, 0.0)] * 3)
    assert (none.value, none.n, none.sessions, none.interval) == (0.0, 0, 0, (0.0, 1.0))
    assert mean_share([]) == (0.0, (0.0, 1.0))
    assert Resample({"stop": 2}).quantile_interval({"stop": [[], []]}, 0.5) is None


def test_sessions_without_a_case_count_neither_as_sessions_nor_in_the_share() -> None:
    found = share_of([(1.0, 1.0), (0.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
    assert (found.value, found.n, found.sessions) == (0.5, 2, 2)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)).map(lambda p: (float(p[0]), float(sum(p)))), min_size=1, max_size=12))
def test_an_interval_holds_its_share_and_lies_between_0_and_1(parts: list[Part]) -> None:
    found = share_of(parts)
    low, high = found.interval
    assert -1e-9 <= low <= found.value + 1e-9
    assert found.value - 1e-9 <= high <= 1 + 1e-9
    shuffled = random.Random(0).sample(parts, len(parts))
    assert share_of(shuffled).interval == found.interval, "neither the order of the sessions nor anything else moves it"


def test_the_same_seed_gives_the_same_draws_and_another_family_others() -> None:
    parts = [(1.0, 1.0), (0.0, 2.0), (3.0, 4.0), (1.0, 3.0)]
    assert (share_of(parts).drawn == share_of(parts).drawn).all()
    assert (share_of(parts, "stop").drawn != share_of(parts, "timer").drawn).any()
    alone, beside = Resample({"stop": 4}), Resample({"timer": 9, "stop": 4})
    assert (alone.share({"stop": parts}).drawn == beside.share({"stop": parts}).drawn).all()
    other = Resample({"stop": 4}, seed=1).share({"stop": parts})
    assert (other.drawn != share_of(parts).drawn).any()


def test_draws_keep_the_number_of_sessions_of_every_family() -> None:
    times = times_drawn(rng_for(0, 0, "x"), 7, 50)
    assert times.shape == (50, 7)
    assert (times.sum(axis=1) == 7).all()
    certain = Resample({"a": 5, "b": 20}).share({"a": [(1.0, 1.0)] * 5, "b": [(0.0, 1.0)] * 20})
    assert (certain.drawn == 0.2).all(), "sessions are drawn within families: how many there are of each is no chance"


def test_the_mean_of_families_is_surer_than_each_and_not_certain_where_all_is_right() -> None:
    names = ("a", "b", "c", "d")
    drawn = Resample(dict.fromkeys(names, 50))
    mixed = [drawn.share({name: [(1.0, 1.0)] * 40 + [(0.0, 1.0)] * 10}) for name in names]
    mean, interval = mean_share(mixed)
    assert mean == pytest.approx(0.8)
    assert width(interval) == pytest.approx(width(mixed[0].interval) / 2, rel=0.1)
    perfect = [drawn.share({name: [(1.0, 1.0)] * 50}) for name in names]
    assert mean_share(perfect)[1] == pytest.approx(wilson(200, 200))


def test_an_interval_of_a_count_is_that_of_single_events_unless_they_come_in_heaps() -> None:
    assert count_interval(0, np.zeros(DRAWS)) == pytest.approx((0.0, 3.84), abs=0.01)
    drawn = Resample({"a": 100})
    single, heaps = ({"a": [1.0] * 20 + [0.0] * 80}, {"a": [20.0] + [0.0] * 99})
    low, high = count_interval(20, drawn.total(single))
    assert (low, high) == (pytest.approx(13, abs=1), pytest.approx(29, abs=2))
    assert count_interval(20, drawn.total(heaps))[1] > 60


def test_drawn_quantiles_are_those_of_every_draw_on_its_own() -> None:
    sessions = [[0.3, 1.2], [], [0.7], [0.1, 0.4, 2.0], [0.9]]
    times = times_drawn(rng_for(0, 0, "x"), len(sessions), 200)
    pools = [[v for at, n in enumerate(row) for _ in range(int(n)) for v in sessions[at]] for row in times]
    for share in (0.5, 0.95):
        expected = [np.quantile(pool, share) if pool else np.nan for pool in pools]
        assert drawn_quantiles(sessions, times, share) == pytest.approx(expected, nan_ok=True)


def test_a_summary_is_the_same_in_any_order_of_sessions_and_families() -> None:
    rng = random.Random(3)
    found = {name: [session(*(rng.random() < 0.8 for _ in range(rng.randint(1, 5)))) for _ in range(20)] for name in ("answer", "stop")}
    mixed = {name: rng.sample(found[name], 20) for name in ("stop", "answer")}
    one, other = summarise(found), summarise(mixed)
    assert one["families"] == other["families"]
    assert {**one, "families": None} == {**other, "families": None}


def test_rates_and_latencies_say_how_many_sessions_they_rest_on() -> None:
    found = {"answer": [session(True, True), session(False, True, True), []]}
    (rate, _) = rates(found)
    assert (rate.n, rate.sessions, rate.explanation[:24]) == (5, 2, "4 of 5 in 2 sessions, 95")
    assert rate.interval is not None
    assert rate.interval[0] < 0.8 < rate.interval[1]
    reply = latencies(found)["reply"]
    assert (reply["n"], reply["sessions"]) == (5, 2)
    assert reply["ci95"][0] <= reply["median"] <= reply["ci95"][1]
    assert reply["p95_ci95"][0] <= reply["p95"] <= reply["p95_ci95"][1]


def test_the_interval_of_a_95th_percentile_is_over_sessions_and_wider_where_slow_cases_come_together() -> None:
    times = [0.3 + 0.002 * n for n in range(360)] + [3.0 + 0.01 * n for n in range(40)]
    apart = {"answer": [[outcome(latency_s=t)] for t in times]}
    together = {"answer": [[outcome(latency_s=t) for t in times[at : at + 10]] for at in range(0, 400, 10)]}
    (one, other) = (latencies(found)["reply"] for found in (apart, together))
    assert one["p95"] == other["p95"]
    assert width(other["p95_ci95"]) > 1.5 * width(one["p95_ci95"]) > 0
    assert other["p95_ci95"][0] < 1.1, "four slow sessions of forty might as well have been one or two"
    assert latencies({"answer": apart["answer"][::-1]})["reply"] == one


@pytest.mark.parametrize(("kind", "best"), [("share", 1.0), ("percentage", 100.0)])
def test_a_suites_share_of_nothing_or_all_has_the_interval_that_the_families_have(kind: Any, best: float) -> None:
    for value in (0.0, 1.0):
        parts = [(best * value, 1.0)] * 50 + [(0.0, 0.0)] * 7
        expected = tuple(best * end for end in wilson(50 * value, 50))
        assert bootstrap([parts], kind=kind) == pytest.approx(expected), "sessions without a case tell nothing"
        assert bootstrap([parts], kind=None) == (best * value, best * value)
        thrice = [[(best * value, 1.0)] * 50, [(best * value, 1.0)] * 20, [(best * value, 2.0 if not value else 1.0)] * 50]
        assert bootstrap(thrice, kind=kind) == pytest.approx(tuple(best * end for end in wilson(60 * value, 60)))
    mixed = [(best, 1.0)] * 99 + [(0.0, 1.0)]
    (low, high), (least, most) = (bootstrap([mixed], kind=given) or (0, 0) for given in (kind, None))
    assert (low, high) == pytest.approx(tuple(best * end for end in wilson(99, 100)), rel=0.02)
    assert low < least
    assert high >= most


def test_a_share_over_many_sessions_in_the_middle_is_the_bootstraps() -> None:
    parts = [(float(n % 2), 1.0) for n in range(400)]
    assert bootstrap([parts], kind="share") == pytest.approx(bootstrap([parts]), abs=0.004)


def test_a_count_of_nothing_leaves_room_for_a_few_and_a_time_has_no_room() -> None:
    none = [Case(session=name, value=0.0) for name in "abcd"]
    found = mean("x", none, list("abcd"), says="starts by turns", kind="count", setup={})
    assert found.interval == pytest.approx((0.0, 3.84 / 4), abs=0.01), "of no event in four turns there may be 3.84"
    assert dict(found.setup["bootstrap"])["floor"] == "a Poisson count's, by its score"
    many = bootstrap([[(3.0, 1.0)] * 40 + [(1.0, 1.0)] * 40], kind="count") or (0, 0)
    assert many[0] < 2.0 < many[1]
    assert mean("x", none, list("abcd"), says="s", unit="s", setup={}).interval == (0.0, 0.0)
    assert bootstrap([[(0.0, 0.0)]], kind="count") is None is bootstrap([[(0.0, 0.0)]], kind="share")


def test_a_share_without_sessions_that_have_a_case_has_no_interval() -> None:
    assert bootstrap([[(1.0, 1.0)], [(0.0, 0.0)]], kind="share") is None


def _covered(rate: float, sessions: int, cases: int, likeness: float, rng: np.random.Generator, times: np.ndarray) -> float:
    """The share of 150 made evaluations whose interval holds the true rate; sessions differ, by a beta distribution."""
    a, b = rate * (1 - likeness) / likeness, (1 - rate) * (1 - likeness) / likeness
    held = 0
    for _ in range(150):
        hits = rng.binomial(cases, rng.beta(a, b, sessions))
        drawn = times @ hits / (cases * sessions)
        low, high = share_interval(hits.sum() / (cases * sessions), drawn, sessions)
        held += low <= rate <= high
    return held / 150


@pytest.mark.parametrize(("rate", "likeness"), [(0.6, 0.3), (0.9, 0.2), (0.97, 0.2)])
def test_nineteen_of_twenty_intervals_hold_the_truth_where_wilson_over_cases_does_not(rate: float, likeness: float) -> None:
    rng = np.random.default_rng(7)
    times = times_drawn(rng_for(0, 0, "coverage"), 100, 500).astype(np.float64)
    assert _covered(rate, 100, 9, likeness, rng, times) >= 0.91  # 0.95 but for chance: of 150, 0.91 is passed in 98 of 100 tries
    a, b = rate * (1 - likeness) / likeness, (1 - rate) * (1 - likeness) / likeness
    hits = [int(rng.binomial(9, rng.beta(a, b, 100)).sum()) for _ in range(300)]
    assert np.mean([low <= rate <= high for low, high in (wilson(h, 900) for h in hits)]) < 0.9
