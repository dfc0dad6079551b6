"""Full-Duplex-Bench v1: the take-over rule at its edges, both modes on cases that tell them apart, and the benchmark's folders."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from tests.sample_session import stopped_count
from workbench.errors import InputError
from workbench.exports.fdb_folder import ANNOTATIONS, read_sample, read_subset, read_words, write_sample
from workbench.scoring.fdb_sample import Mode, Sample, Word, heard_from, joined, sample_of
from workbench.scoring.fdb_v1 import (
    FARTHEST,
    answer_take,
    backchannel,
    backchannel_distance,
    jensen_shannon,
    listening,
    pause_handling,
    pause_take,
    takes_turn,
    turn_taking,
    turns,
    user_interruption,
)
from workbench.scoring.measured import Case, Moment, bootstrap, mean, ratio


def words(*spans: tuple[float, float | None]) -> tuple[Word, ...]:
    return tuple(Word(text="mhm", start_s=a, end_s=b) for a, b in spans)


def moment(session: str, start_s: float, end_s: float) -> Moment:
    return Moment(session=session, start_s=start_s, end_s=end_s)


def sample(*spans: tuple[float, float | None], **more: object) -> Sample:
    return replace(Sample(id="1", words=words(*spans), duration_s=20.0), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spans", "taken"),
    [
        ([], False),
        ([(0.0, 0.99)], False),
        ([(0.0, 1.0)], True),
        ([(0.0, 0.1), (0.2, 0.3), (0.4, 0.5)], False),
        ([(0.0, 0.1), (0.2, 0.3), (0.4, 0.5), (0.6, 0.7)], True),
        ([(0.0, 0.1), (5.0, None)], True),
        ([(0.0, None)], False),
    ],
)
def test_a_turn_is_one_second_or_more_than_three_words(spans: list[tuple[float, float | None]], taken: bool) -> None:
    assert takes_turn(words(*spans)) is taken


def test_two_murmurs_far_apart_take_the_turn_only_officially() -> None:
    both = sample((2.0, 2.3), (12.0, 12.3), marks=((1.9, 2.6), (11.9, 12.6)))
    assert pause_take(both, "compatible").taken
    assert not pause_take(both, "clean").taken


def test_an_answer_after_the_user_is_done_is_no_failed_pause_when_scored_clean() -> None:
    answered = sample((6.0, 6.5), (6.6, 7.4), marks=((2.0, 2.7),), user_voice=((0.5, 2.0), (2.7, 5.5)))
    assert pause_take(answered, "compatible").taken
    assert not pause_take(answered, "clean").taken
    assert pause_take(replace(answered, words=words((2.4, 3.6))), "clean").taken


def test_pause_handling_reads_no_annotation_officially_and_needs_it_clean() -> None:
    assert pause_handling([sample()])[0].value == 0
    with pytest.raises(InputError, match="sample '1' has no annotated time"):
        pause_handling([sample()], "clean")


def test_latency_runs_from_the_end_of_the_users_turn_and_early_is_zero_only_officially() -> None:
    late, early = sample((3.36, 5.0), marks=((2.01, 2.40),)), sample((1.8, 3.0), marks=((2.0, 2.4),))
    assert turn_taking([late])[1].value == pytest.approx(1.35)
    assert turn_taking([early])[1].value == 0
    assert turn_taking([early], "clean")[1].value == pytest.approx(-0.2)


def test_who_never_stops_talking_takes_no_turn_when_scored_clean() -> None:
    always = sample(*((n * 0.5, n * 0.5 + 0.4) for n in range(20)), marks=((5.0, 5.4),))
    rate, late = turn_taking([always])
    assert (rate.value, late.value) == (1, 0)
    rate, late = turn_taking([always], "clean")
    assert rate.value == 0
    assert math.isnan(late.value)
    assert (late.n, late.interval, late.sessions) == (0, None, 1)


def test_latency_is_averaged_over_those_who_took_the_turn_only() -> None:
    taken = [sample((3.0, 4.5), marks=((2.0, 2.4),)), sample((4.0, 5.5), marks=((2.0, 2.4),)), sample((9.0, 9.2), marks=((2.0, 2.4),))]
    rate, late = turn_taking([replace(s, id=str(n)) for n, s in enumerate(taken)])
    assert (rate.value, rate.n) == (pytest.approx(2 / 3), 3)
    assert (late.value, late.n, late.sessions, late.unit) == (1.5, 2, 3, "s")
    assert late.moments == (Moment(session="0", start_s=3.0, end_s=4.5), Moment(session="1", start_s=4.0, end_s=5.5))
    assert late.evidence == (15, 20)


def test_an_interruption_is_measured_from_its_end_on_words_heard_after_it() -> None:
    talking = words((8.0, 9.0), (10.0, 13.5), (14.2, 16.0))
    cut = heard_from(talking, 13.14)
    assert [(w.start_s, w.end_s) for w in cut] == [(13.14, 13.5), (14.2, 16.0)]
    assert heard_from(cut, 13.14) == cut
    late = user_interruption([sample(marks=((10.53, 13.14),), words=cut, relevance=4.0)])
    assert [(s.name, s.value) for s in late] == [
        ("interruption, take-over rate", 1.0),
        ("interruption, latency", 0.0),
        ("interruption, relevance", 4.0),
    ]
    clean = user_interruption([sample(marks=((10.53, 13.14),), words=talking)], "clean")
    assert clean[1].value == pytest.approx(14.2 - 13.14)


@pytest.mark.parametrize("mode", ["compatible", "clean"])
def test_a_silent_agent_is_zero_everywhere(mode: Mode) -> None:
    quiet = sample(marks=((2.0, 2.4),), reference=(0.5, 0.5))
    assert [s.value for s in backchannel([quiet], mode)] == [0, 0, 1 if mode == "compatible" else FARTHEST]
    assert pause_handling([quiet], mode)[0].value == turn_taking([quiet], mode)[0].value == 0


@pytest.mark.parametrize(
    ("voice", "spans", "taken", "listed", "taken_clean", "listed_clean"),
    [
        ([(1.0, 1.5)], [(1.1, 1.4)], False, 1, False, 1),
        ([(1.0, 1.9)], [(1.1, 1.2), (1.3, 1.4), (1.5, 1.6)], True, 1, True, 0),
        ([(1.0, 2.5)], [(1.1, 1.4)], True, 1, True, 0),
        ([(1.0, 2.5), (5.0, 5.4)], [], False, 2, True, 1),
        ([(1.0, 4.5), (5.0, 5.4)], [], True, 0, True, 1),
        ([(1.0, 1.4), (5.0, 8.5)], [], True, 1, True, 1),
    ],
)
def test_a_listener_by_its_segments(
    voice: list[tuple[float, float]],
    spans: list[tuple[float, float | None]],
    taken: bool,
    listed: int,
    taken_clean: bool,
    listed_clean: int,
) -> None:
    one = sample(*spans, voice=tuple(voice))
    official, clean = listening(one, "compatible"), listening(one, "clean")
    assert (official.taken, len(official.murmurs), official.frequency) == (taken, listed, listed / 20)
    assert (clean.taken, len(clean.murmurs)) == (taken_clean, listed_clean)


def test_a_listener_without_a_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"sample '1' lasts 0\.0 s"):
        listening(sample(duration_s=0.0), "clean")


histograms = st.lists(st.floats(1e-6, 10), min_size=3, max_size=40)


@given(histograms, st.randoms(use_true_random=False))
def test_jensen_shannon_is_scipys_distance_and_bounded(values: list[float], random: object) -> None:
    first = np.asarray(values)
    second = np.asarray(values[::-1])
    assert jensen_shannon(first, second) == pytest.approx(float(jensenshannon(first, second)), abs=1e-6)
    assert jensen_shannon(first, second) <= FARTHEST + 1e-9
    assert jensen_shannon(first, first * 3) == pytest.approx(0, abs=1e-6)


def test_the_file_has_a_bin_for_its_very_end() -> None:
    people = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert backchannel_distance([(0.0, 0.1)], 1.0, people, "compatible") == pytest.approx(0, abs=1e-4)
    assert backchannel_distance([(0.9, 1.0)], 1.0, people[::-1], "compatible") == pytest.approx(0.46450, abs=1e-4)  # touches two bins


def test_distributions_without_common_ground_are_farthest() -> None:
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 2.0])) == pytest.approx(FARTHEST)


starts = st.integers(0, 1500).map(lambda n: n / 100 + 0.001)
lengths = st.integers(0, 300).map(lambda n: n / 100 + 0.003)  # no start, length or gap lies on a limit, where rounding decides
spans_lists = st.lists(st.tuples(starts, lengths).map(lambda t: (t[0], t[0] + t[1])), max_size=12)


@given(spans_lists, st.integers(0, 500).map(lambda n: n / 100))
def test_joined_spans_are_apart_and_turns_keep_every_word(spans: list[tuple[float, float]], later_s: float) -> None:
    done = joined(spans, 0.5)
    assert all(b[0] - a[1] > 0.5 for a, b in pairwise(done))
    runs = turns(words(*spans))
    assert sum(len(run) for run in runs) == len(spans)
    one = sample(*spans, marks=((2.0, 2.4),))
    moved = sample(*((a + later_s, b + later_s) for a, b in spans), marks=((2.0 + later_s, 2.4 + later_s),))
    for mode in ("compatible", "clean"):
        before, after = answer_take(one, mode, 2.0).latency_s, answer_take(moved, mode, 2.0 + later_s).latency_s
        if before is not None and after is not None:
            assert before == pytest.approx(after, abs=1e-6)


def test_an_interval_is_seeded_holds_the_value_and_counts_whole_sessions() -> None:
    parts = [(n**1.5, 1.0) for n in range(40)]
    low, high = bootstrap([parts], seed=3) or (0, 0)
    assert (low, high) == bootstrap([parts], seed=3) != bootstrap([parts], seed=4)
    assert low < ratio(parts) < high
    doubled = [(2 * hit, 2.0) for hit, _ in parts]
    assert bootstrap([doubled], seed=3) == (low, high)  # twice the cases of the same sessions are not twice the evidence


def test_a_mean_says_its_rule_its_interval_and_its_setup() -> None:
    cases = [Case(session="a", value=1.0, moment=(0.5, 0.9)), Case(session="b", value=0.0)]
    found = mean("x", cases, ["a", "b", "c"], says="hits", setup={"mode": "clean"}, seed=1)
    assert (found.value, found.n, found.sessions, found.evidence) == (0.5, 2, 3, (2,))
    assert found.explanation == "hits: 0.500 over 2, 95 % interval 0.000 to 1.000"
    assert found.setup == {"mode": "clean", "bootstrap": {"draws": 2000, "seed": 1, "over": "sessions"}}


@pytest.mark.parametrize("subset", ANNOTATIONS)
def test_a_trace_written_as_a_sample_is_read_back(subset: str, tmp_path: Path) -> None:
    trace, marks = stopped_count(), ((4.3, 4.62),)
    folder = write_sample(trace, tmp_path, subset, "7", marks, ("count to twenty", "stop"))
    [back] = read_subset(tmp_path, subset)
    direct = sample_of(trace, "7", marks)
    assert folder == tmp_path / subset / "7"
    assert [w.text for w in back.words] == [w.text for w in direct.words]
    assert np.allclose([(w.start_s, w.end_s) for w in back.words], [(w.start_s, w.end_s) for w in direct.words], rtol=0, atol=5e-4)
    assert back.duration_s == direct.duration_s
    assert back.marks == (marks if ANNOTATIONS[subset] else ())
    assert np.abs(np.subtract(back.voice, direct.voice)).max() <= 0.011


def test_folders_are_read_in_the_order_of_their_numbers_and_with_the_detector_given(tmp_path: Path) -> None:
    for name in ("10", "9", "x"):
        write_sample(stopped_count(), tmp_path, "icc_backchannel", name, ())
    found = read_subset(tmp_path, "icc_backchannel", detect=lambda sound: [(0.0, len(sound) / 16000)])
    assert [s.id for s in found] == ["9", "10", "x"]
    assert found[0].voice == ((0.0, 8.0),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not {"),
        ('{"chunks": [{"text": "a", "timestamp": [1]}]}', r"entry 0 .* has the times \[1\]"),
        ('{"chunks": [{"text": "a", "timestamp": [NaN, 1]}]}', r"has the times \[nan, 1\]"),
        ('{"chunks": [{"text": 3, "timestamp": [0, 1]}]}', "chunk 0 .* has the text 3"),
        ('{"chunks": [4]}', "entry 0 .* has the times None"),
    ],
)
def test_a_broken_output_json_is_refused_by_name(body: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    path.write_text(body)
    with pytest.raises(InputError, match=message):
        read_words(path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no subset 'pauses' in Full-Duplex-Bench"):
        read_subset(tmp_path, "pauses")
    with pytest.raises(InputError, match="there is no folder"):
        read_subset(tmp_path, "icc_backchannel")
    folder = write_sample(stopped_count(), tmp_path, "candor_turn_taking", "1", ((1.0, 2.0),))
    (folder / "turn_taking.json").write_text(json.dumps([{"timestamp": [1.0, None]}]))
    with pytest.raises(InputError, match="has no end"):
        read_sample(folder, "candor_turn_taking")
    with pytest.raises(InputError, match=r"needs a marked time for turn_taking\.json"):
        write_sample(stopped_count(), tmp_path, "candor_turn_taking", "2", ())


def test_every_sample_shows_where_to_look_also_where_nothing_was_done() -> None:
    spoke = sample((2.0, 4.5), id="spoke", voice=((2.0, 4.5),))
    murmured = sample((5.0, 5.2), (9.0, 9.3), id="murmured", voice=((5.0, 5.2), (9.0, 9.3)))
    silent, waited = sample(id="silent"), sample(id="waited", marks=((4.0, 6.0),))
    [rate] = pause_handling([spoke, murmured, silent, waited])
    assert rate.moments == (
        moment("spoke", 2.0, 4.5),
        moment("murmured", 5.0, 9.3),
        moment("silent", 0.0, 20.0),
        moment("waited", 4.0, 20.0),
    )
    taken, frequency, _ = backchannel([murmured, silent])
    assert taken.moments == frequency.moments == (moment("murmured", 5.0, 9.3), moment("silent", 0.0, 20.0))
