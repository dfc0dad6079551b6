"""Scores of acts in time: the TimeSpeak curve, counted repetitions, PAUC, and the latencies of translation, at their golden values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_workbench_scoring import beat, expect, says, trace_of
from workbench.errors import InputError
from workbench.exports.simuleval import read_instances
from workbench.scoring.pauc import Turn, pauc, turn_area, turns_of
from workbench.scoring.repcount import counted, repcount
from workbench.scoring.simultaneous import (
    Translated,
    average_lagging,
    average_proportion,
    differentiable_lagging,
    simultaneous,
    token_delay,
    translated,
)
from workbench.scoring.speak_curve import AimedSession, aimed_session, speak_curve
from workbench.suites import suite


def timed(word: str, at_s: float) -> AimedSession:
    trace = trace_of(expect("time", 1.0, 2.0, (3.5, 4.5), "now"), *beat(1.0, "in", "four", "seconds"), *says((word, at_s)))
    trace.header = type(trace.header)(**{**vars(trace.header), "labels": {"family": "timer"}})
    return aimed_session(trace)


@pytest.mark.parametrize(("at_s", "hits"), [(6.0, (1, 1, 1)), (6.3, (0, 1, 1)), (5.2, (0, 0, 1)), (7.2, (0, 0, 0))])
def test_the_curve_gives_credit_within_each_of_its_widths(at_s: float, hits: tuple[int, ...]) -> None:
    assert tuple(s.value for s in speak_curve("TimeSpeak", ("timer", "every_n"), {"a": timed("now", at_s)})) == hits


def test_the_curve_needs_the_meaning_and_averages_families_not_moments() -> None:
    assert [s.value for s in speak_curve("TimeSpeak", ("timer",), {"a": timed("two", 6.0)})] == [0, 0, 0]
    other = AimedSession("every_n", timed("no", 6.0).aimed * 3)
    found = speak_curve("TimeSpeak", ("timer", "every_n", "absent"), {"a": timed("now", 6.0), "b": other})
    assert [s.value for s in found] == [0.5, 0.5, 0.5]
    assert found[0].setup["left out"] == ["absent"]
    assert found[0].n == 4
    assert math.isnan(speak_curve("TimeSpeak", ("timer",), {"a": AimedSession("timer", ())})[0].value)


def repetitions(*said: tuple[str, float]) -> list:
    """Three repetitions that end at 3, 5 and 7 s, asked for at 1.6 s."""
    moments = [
        expect("moment", 1.0, at_s, (0.0, 1.0), word, name=f"m{at_s}", tags="repetition") for word, at_s in (("one", 3.0), ("two", 5.0))
    ]
    moments.append(expect("moment", 1.0, 7.0, (0.0, 1.0), "three", name="m7", tags="repetition"))
    tally = expect("tally", 1.0, 1.6, (0.0, 6.4), "one", "two", "three", name="t")
    for event in (*moments, tally):
        event.extra["beat_s"] = 1.0
    return [*moments, tally, *beat(1.0, "count", "squats"), *says(*said)]


@pytest.mark.parametrize(
    ("said", "near", "error", "late"),
    [
        ((("one", 3.4), ("two", 5.4), ("three", 7.4)), 1, 0.0, 1),
        ((("one", 3.4), ("two", 5.4)), 1, 1 / 3.1, 1),
        ((("one", 3.4),), 0, 2 / 3.1, 0),
        ((("three", 3.4),), 1, 0.0, 0),  # right offline, but said before the last but one
        ((), 0, 3 / 3.1, 0),
        ((("one", 3.4), ("seven", 7.4)), 0, 4 / 3.1, 0),
    ],
)
def test_repetitions_are_counted_within_one_with_their_error_and_as_they_come(said: tuple, near: int, error: float, late: int) -> None:
    obo, mae, streaming = repcount({"a": counted(trace_of(*repetitions(*said)))})
    assert (obo.value, streaming.value) == (near, late)
    assert mae.value == pytest.approx(error)
    assert (obo.n, obo.sessions) == (1, 1)


def test_silence_has_a_pauc_of_25_and_the_perfect_reply_at_once_one_of_100() -> None:
    assert turn_area(Turn(10.0, 14.0, ())) == 0.25
    assert turn_area(Turn(10.0, 14.0, ((10.0, 2.0),))) == 1.0
    assert turn_area(Turn(10.0, 14.0, ((14.0, 2.0),))) == pytest.approx((2 * 0.5 + 2 * 2) / 8), "at the end, half of the axis is left"
    assert turn_area(Turn(10.0, 14.0, ((14.0, 2.0),)), omega=0) == 0.25
    assert turn_area(Turn(10.0, 14.0, ((9.0, 2.0), (14.5, 2.0)))) == 0.25, "replies outside the span do not count"
    assert turn_area(Turn(0.0, 4.0, ((1.0, 0.0), (3.0, 2.0)))) == pytest.approx((0.5 * 0.5 + 1.0 * 0 + 2.5 * 2) / 8)


@given(st.lists(st.tuples(st.floats(0, 4), st.floats(0, 2)), max_size=6), st.floats(0, 1))
def test_pauc_lies_between_nothing_and_all(replies: list[tuple[float, float]], omega: float) -> None:
    assert 0 <= turn_area(Turn(0.0, 4.0, tuple(replies)), omega) <= 1


def test_pauc_refuses_what_is_no_turn() -> None:
    with pytest.raises(InputError, match="has no length"):
        Turn(2.0, 2.0, ())
    with pytest.raises(InputError, match="stored as 0 to 2"):
        Turn(0.0, 1.0, ((0.5, 3.0),))
    with pytest.raises(InputError, match="omega 2"):
        turn_area(Turn(0.0, 1.0, ()), 2)


def test_pauc_of_a_session_knows_what_was_right() -> None:
    (score,) = pauc({"a": turns_of(trace_of(*repetitions()))})
    assert (score.value, score.n) == (25.0, 3)
    (told,) = pauc({"a": turns_of(trace_of(*repetitions(("one", 3.0), ("two", 5.0), ("three", 7.0))))})
    assert told.value == pytest.approx(100.0)
    (wrong,) = pauc({"a": turns_of(trace_of(*repetitions(("nine", 3.0))))})
    assert wrong.value < 25.0


def wait_k(k: int, n: int) -> Translated:
    """The policy that reads k words and then writes one for each that it reads, on n words."""
    return Translated(source=float(n), delays=tuple(float(min(k + i, n)) for i in range(n)), reference=n, speech=False)


@pytest.mark.parametrize(("k", "n"), [(1, 5), (3, 10), (3, 12), (5, 9), (9, 9)])
def test_waiting_k_words_lags_k_words(k: int, n: int) -> None:
    one = wait_k(k, n)
    assert average_lagging(one) == pytest.approx(k)
    assert average_lagging(one, adaptive=True) == pytest.approx(k)
    assert differentiable_lagging(one) == pytest.approx(k)
    assert average_proportion(one) == pytest.approx((sum(range(k, n + 1)) + (k - 1) * n) / (n * n))


def test_the_published_quick_start_of_a_wait_3_policy_on_text_has_its_values() -> None:
    one = wait_k(3, 13)
    metrics = (average_lagging, lambda t: average_lagging(t, adaptive=True), differentiable_lagging, token_delay)
    assert [metric(one) for metric in metrics] == pytest.approx([3.0, 3.0, 3.0, 0.0])
    assert average_proportion(one) == pytest.approx(0.676, abs=0.002), "of its sentences' lengths only the mean is published"


def test_a_log_of_simuleval_is_scored_as_it_is(tmp_path: Path) -> None:
    row = {"index": 0, "prediction": "a b c", "delays": [3, 4, 5], "elapsed": [0, 0, 0], "prediction_length": 3, "reference": "x y z"}
    speech = {**row, "index": 1, "source": ["a.wav", "samplerate: 16000"], "source_length": 1200.0, "delays": [600, 1200, 1200]}
    text = {**row, "source": "s1 s2 s3 s4 s5", "source_length": 5}
    silent = {**row, "index": 2, "prediction": "", "delays": [], "elapsed": [], "prediction_length": 0, "source": "s", "source_length": 1}
    (tmp_path / "instances.log").write_text("".join(json.dumps(r) + "\n" for r in (text, speech, silent)))
    found = read_instances(tmp_path / "instances.log")
    told = {"said": "a b c", "wanted": "x y z", "origin": "delays and texts of instances.log"}
    assert found["0"] == (Translated(source=5.0, delays=(3.0, 4.0, 5.0), reference=3, speech=False, **told),)
    assert (found["1"][0].speech, found["1"][0].source, found["2"][0].delays) == (True, 1200.0, ())
    one = suite("simuleval")
    scores = {s.name: s for s in one.score(one.folder(tmp_path) or {})}
    assert (scores["AL"].n, scores["BLEU"].n, scores["BLEU"].value) == (2, 3, 0.0)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"index": 0}', '{"index": 0, "delays": [2, 1], "source": "a", "reference": "b", "source_length": 1}']
)
def test_a_broken_log_of_simuleval_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "instances.log").write_text(text + "\n")
    with pytest.raises(InputError):
        read_instances(tmp_path / "instances.log")


def test_being_wordy_is_rewarded_by_al_and_not_by_laal() -> None:
    wordy = Translated(source=4.0, delays=(1, 1, 2, 2, 3, 3, 4, 4), reference=4, speech=False)
    assert average_lagging(wordy) < average_lagging(wordy, adaptive=True)


def test_beginning_after_the_end_lags_by_the_first_delay() -> None:
    assert average_lagging(Translated(source=1000.0, delays=(1200.0, 1200.0), reference=2)) == 1200.0


def test_the_token_delay_pairs_tokens_in_order_and_chunk_by_chunk() -> None:
    one = Translated(source=900.0, delays=(300.0, 600.0, 900.0), reference=3)
    assert token_delay(one) == 0.0, "each token as soon as its own 300 ms are over"
    late = Translated(source=900.0, delays=(900.0, 900.0, 900.0), reference=3)
    assert token_delay(late) == pytest.approx((600 + 300 + 0) / 3)
    spoken = Translated(source=900.0, delays=(300.0, 600.0, 900.0), reference=3, ends=(600.0, 900.0, 1200.0))
    assert token_delay(spoken) == pytest.approx(300.0)
    beyond = Translated(source=900.0, delays=(900.0, 1500.0, 1500.0), reference=3)
    assert token_delay(beyond) == pytest.approx((600 + 900 + 600) / 3), "as SimulEval has it: what is waited for counts as source"
    assert math.isfinite(token_delay(Translated(source=900.0, delays=(1e15,), reference=1))), "and a number out of a file takes no time"


@given(st.integers(1, 12), st.lists(st.floats(0.0, 20.0), min_size=1, max_size=12))
def test_latencies_of_any_stretch_are_finite_and_later_is_not_less(source: int, delays: list[float]) -> None:
    one = Translated(source=float(source), delays=tuple(sorted(min(d, source) for d in delays)), reference=len(delays))
    for metric in (average_lagging, average_proportion, differentiable_lagging, token_delay):
        assert math.isfinite(metric(one))
    whole = Translated(source=float(source), delays=(float(source),) * len(delays), reference=len(delays))
    assert differentiable_lagging(one) <= differentiable_lagging(whole) + 1e-9


def test_stretches_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="leave empty stretches out"):
        Translated(source=0.0, delays=(), reference=1)
    with pytest.raises(InputError, match="go back"):
        Translated(source=2.0, delays=(2.0, 1.0), reference=1)
    with pytest.raises(InputError, match="1 ends for 2 tokens"):
        Translated(source=2.0, delays=(1.0, 2.0), reference=1, ends=(1.0,))


def test_a_translation_in_a_session_is_measured_from_the_first_word_to_translate() -> None:
    words = [*beat(1.0, "translate"), *beat(2.3, "three"), *beat(3.3, "red", "house"), *beat(5.0, "that", "is", "all")]
    wanted = [
        expect("moment", 1.0, at_s, (0.0, 1.2), word, name=word, tags="translate")
        for at_s, word in ((2.6, "tres"), (3.9, "casa"), (3.9, "roja"))
    ]
    (one,) = translated(trace_of(*wanted, *words, *says(("tres", 3.0), ("casa", 4.3), ("roja", 4.7))))
    assert one.source == pytest.approx(1600)
    assert one.start_s == pytest.approx(2.3)
    assert one.delays == pytest.approx((700, 1600, 1600))
    assert one.reference == 3
    scores = {s.name: s.value for s in simultaneous({"a": (one,)})}
    assert scores["StartOffset"] == pytest.approx(700)
    assert scores["EndOffset"] == pytest.approx(1000 * (5.0 - 3.9))
    (silent,) = translated(trace_of(*wanted, *words))
    assert (silent.delays, silent.said, silent.wanted) == ((), "", one.wanted)
    assert [s.n for s in simultaneous({"a": (silent,)}) if s.name in ("BLEU", "AL")] == [1, 0]
