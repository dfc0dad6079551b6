"""MTR-DuplexBench's rounds: every rule at its edges in both modes, its files, and what a session of ours makes of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.test_workbench_scoring import beat, expect, question, request, says, trace_of
from workbench.cli import main
from workbench.errors import InputError
from workbench.events import TruthWord
from workbench.exports.mtr import read_mtr, read_speech
from workbench.scenarios.world import counting
from workbench.scoring.mtr import (
    Judged,
    Round,
    Segment,
    Task,
    covered,
    frequency,
    judge,
    mtr,
    rounds_of,
    speaks,
)

TURN = {"user_start": 1.0, "user_end": 3.0, "model_start": 3.4, "model_end": 6.0}
ALL = "smooth-turntaking_background_pause-handling_interruption"


def said(*spans: tuple[float, float], text: str = "a b c d", until: float | None = None) -> Segment:
    """A segment whose words are these spans, from the first to the last or until a later end."""
    return Segment(start_s=spans[0][0], end_s=until or spans[-1][1], text=text, words=spans)


def four(at_s: float, length_s: float = 0.2) -> Segment:
    """Four words that follow each other: more than three, so speech, though under a second."""
    return said(*((at_s + i * length_s, at_s + (i + 1) * length_s) for i in range(4)))


def one_round(*segments: Segment, task: Task = "smooth", scenario: str = "smooth-turntaking", **times: float) -> Round:
    return Round(number=1, task=task, scenario=scenario, times={**TURN, **times}, segments=segments)


def both(one: Round) -> tuple[Judged | None, Judged | None]:
    return judge(one, "compatible"), judge(one, "clean")


@pytest.mark.parametrize(
    ("words", "is_speech"),
    [
        ([(1.0, 1.999)], False),
        ([(1.0, 2.0)], True),
        ([(1.0, 1.1), (1.2, 1.3), (1.4, 1.5)], False),
        ([(1.0, 1.1), (1.2, 1.3), (1.4, 1.5), (1.6, 1.7)], True),
        ([(0.9, 2.1)], False),
    ],
)
def test_the_model_speaks_with_a_second_or_four_words_inside_the_range(words: list, is_speech: bool) -> None:
    assert speaks([said(*words)], (1.0, 2.0)) == is_speech


def test_short_segments_do_not_add_up_and_clean_counts_the_part_of_a_word_that_is_inside() -> None:
    assert not speaks([said((1.0, 1.9)), said((2.0, 2.9))], (1.0, 3.0))
    assert speaks([said((0.9, 2.1))], (1.0, 2.0), "clean")
    assert not speaks([said((0.0, 1.0))], (1.0, 2.0), "clean"), "what only touches the range is outside"


def test_a_smooth_round_is_silence_while_the_user_speaks_and_an_answer_after() -> None:
    assert both(one_round(four(3.5))) == (Judged(True, 0.5, 0.0), Judged(True, 0.5, 0.0))
    assert judge(one_round(), "compatible") == Judged(False, 0.0, 0.0)
    over = judge(one_round(four(1.5), four(3.5)), "compatible")
    assert over == Judged(False, 0.5, 0.0)
    murmur = judge(one_round(said((1.5, 2.1), text="mhm,"), four(4.0)), "compatible")
    assert murmur is not None
    assert (murmur.success, murmur.latency_s) == (True, 1.0)
    assert murmur.frequency == pytest.approx(1 / (0.6 + 0.8))


def test_who_talks_across_the_end_or_never_answers_has_no_latency_but_zero_in_the_official_one() -> None:
    across = one_round(said((2.8, 3.2), (3.4, 4.4)))
    assert both(across) == (Judged(True, 0.0, 0.0), Judged(True, None, 0.0))
    silent = one_round()
    assert both(silent) == (Judged(False, 0.0, 0.0), Judged(False, None, None))
    late = one_round(four(7.0))
    assert [one and one.latency_s for one in both(late)] == [4.0, None], "an answer after the model's range is another round's"


def test_times_of_zero_count_as_missing_in_the_official_one() -> None:
    assert judge(one_round(four(3.5), model_start=0.0), "compatible") == Judged(False, 0.0, 0.0)
    assert judge(Round(number=1, task="1", scenario="", times={"user_start": 0.0}), "clean") is None


def test_an_interruption_is_silence_under_it_and_an_answer_after_it() -> None:
    times = {"interruption_start": 4.0, "interruption_end": 5.0, "model_start": 5.0, "model_end": 8.0}
    gives_way = one_round(said((3.5, 4.3), text="well"), four(5.5), task="interruption", scenario="interruption", **times)
    assert both(gives_way) == tuple([Judged(True, 0.5, pytest.approx(1 / 1.6))] * 2)
    holds = one_round(four(4.1), four(5.5), task="2", scenario="background_interruption", **times)
    found = judge(holds, "compatible")
    assert found is not None
    assert not found.success
    nothing = one_round(four(5.5), task="interruption", scenario="interruption")
    assert both(nothing) == (Judged(False, 0.0, 0.0), None)


def test_a_pause_is_kept_by_silence_officially_and_asks_for_an_answer_cleanly() -> None:
    times = {"pause_start": 1.5, "pause_end": 2.0}
    silent = one_round(task="pause", scenario="pause-handling", **times)
    assert both(silent) == (Judged(True, 0.0, 0.0), Judged(False, None, None))
    waits = one_round(four(3.4), task="pause", scenario="pause-handling", **times)
    assert [one and one.success for one in both(waits)] == [True, True]
    steps_in = one_round(four(2.1), four(3.4), task="pause", scenario="pause-handling", **times)
    assert [one and one.success for one in both(steps_in)] == [False, False]
    late_pause = one_round(four(3.0), four(4.0), task="pause", scenario="pause-handling", pause_start=2.5, pause_end=2.9)
    assert [one and one.success for one in both(late_pause)] == [False, True], "what is said after the user's end is an answer"
    unmarked = one_round(four(1.2), four(3.4), task="pause", scenario="pause-handling", pause_start=0.0, pause_end=0.0)
    assert [one and one.success for one in both(unmarked)] == [False, False]


def test_background_speech_is_passed_over_by_talking_through_it() -> None:
    times = {"background_start": 3.7, "background_end": 5.0}
    through = said((3.5, 4.1), (4.1, 5.2))
    assert judge(one_round(through, task="background", scenario="background", **times), "compatible") == Judged(True, 0.0, 0.0)
    assert covered([through], (4.0, 5.0))
    assert covered([said((3.5, 4.0), (6.0, 6.5))], (4.0, 6.0)) is False, "a word that ends with the start of the range is not in it"
    assert covered([said((3.5, 4.1), (6.1, 6.5))], (4.0, 6.2)), "gaps of two seconds are pauses"
    assert not covered([said((3.5, 4.1), (6.2, 6.5))], (4.0, 6.2))
    assert not covered([through], (5.0, 5.0))


def test_officially_speech_outlasts_the_background_in_one_segment_and_cleanly_it_need_not() -> None:
    ends_with_it, in_two = [said((3.5, 5.05))], [said((3.5, 4.3)), said((4.5, 5.2))]
    for segments in (ends_with_it, in_two):
        assert not covered(segments, (4.0, 5.0))
        assert covered(segments, (4.0, 5.0), "clean")
    late = [said((4.05, 5.2), until=5.2)]
    assert not covered(late, (4.0, 5.0))
    assert covered(late, (4.0, 5.0), "clean")


@pytest.mark.parametrize(
    ("task", "scenario", "official"),
    [
        ("2", "pause-handling_background", False),  # no part that the function knows
        ("3", "smooth-turntaking_background", False),  # three scenarios want a pause
        ("3", "smooth-turntaking_pause-handling", True),
        ("4", "smooth-turntaking_pause-handling", True),
        ("4", ALL, False),  # the background is not talked through
        ("1", "anything", True),
    ],
)
def test_the_name_of_a_round_says_how_several_scenarios_are_judged(task: Task, scenario: str, official: bool) -> None:
    one = one_round(four(3.5), task=task, scenario=scenario, background_start=3.5, background_end=6.0)
    found = judge(one, "compatible")
    assert found is not None
    assert found.success == official


def test_of_four_scenarios_the_official_one_leaves_out_pause_and_interruption_and_the_clean_one_does_not() -> None:
    long = said((3.5, 4.5), (4.5, 6.5))
    times = {"interruption_start": 3.5, "interruption_end": 5.0, "background_start": 3.8, "background_end": 5.5, "pause_start": 1.5}
    one = one_round(long, task="4", scenario=ALL, pause_end=1.8, **times)
    assert [found and found.success for found in both(one)] == [True, False]
    assert judge(one_round(long, task="3", scenario="unheard"), "clean") is None


@pytest.mark.parametrize(
    ("text", "short"), [("mhm, yes.", 1), ("...", 1), ("[laughs] oh well", 0), ("it's me", 1), ("well—now then you", 0)]
)
def test_a_short_segment_has_at_most_two_words_and_under_three_seconds(text: str, short: int) -> None:
    assert frequency([said((1.0, 3.0), text=text)]) == short / 2.0
    assert frequency([said((1.0, 4.0), text="oh")]) == 0.0
    assert frequency([]) is None


def test_a_missing_time_is_named() -> None:
    bare = Round(number=3, task="smooth", scenario="x", times={"user_end": 1.0, "model_start": 1.0, "model_end": 2.0})
    with pytest.raises(InputError, match="round 3 of 'smooth' has no user_start; a round of 'x' is judged by it"):
        judge(bare, "compatible")


def test_rounds_are_averaged_and_listed_by_their_number() -> None:
    good, bad = one_round(four(3.5)), Round(number=2, task="smooth", scenario="", times=TURN)
    found = {one.name: one for one in mtr({"a": [good, bad], "b": [good]})}
    assert found["smooth, success (compatible)"].value == pytest.approx(2 / 3)
    assert found["smooth, latency (compatible)"].value == pytest.approx(1 / 3)
    assert found["smooth, latency (clean)"].value == 0.5
    assert found["smooth, latency (clean)"].n == 2
    assert (found["smooth, success (compatible), round 1"].value, found["smooth, success (compatible), round 1"].n) == (1.0, 2)
    assert (found["smooth, success (compatible), round 2"].value, found["smooth, success (compatible), round 2"].n) == (0.0, 1)
    assert found["smooth, success (clean)"].moments[0].start_s == 1.0
    assert found["smooth, success (clean)"].sessions == 2
    unknown = {one.name: one for one in mtr({"a": [one_round(task="3", scenario="silence")]})}["3 scenarios, success (clean)"]
    assert unknown.setup["names that the official function does not know"] == ["silence"]
    assert math.isnan(unknown.value)


def test_a_session_of_ours_has_rounds_of_four_kinds() -> None:
    held = expect("silent", 1.0, 1.6, (0.1, 2.0), name="hold", tags="pause")
    (paused,) = rounds_of(trace_of(held, *beat(1.0, "what", "is"), *says(("seven", 2.0))))
    assert (paused.task, paused.times["pause_start"], paused.times["pause_end"]) == ("pause", 1.6, 3.6)
    (asked,) = rounds_of(trace_of(*question(1.0), *says(("seven", 2.0), ("two", 2.5), ("four", 6.5))))
    assert (asked.task, asked.times) == ("smooth", {"user_start": 1.0, "user_end": 1.6, "model_start": 1.6, "model_end": 20.0})
    assert [(one.text, one.start_s, one.end_s) for one in asked.segments] == [("seven two", 2.0, 2.8), ("four", 6.5, 6.8)]
    halt = expect("yield", 4.0, 4.3, (0.0, 0.8), name="y")
    count = says(*((word, 2.0 + i * 0.6) for i, word in enumerate(counting(4))))
    into = rounds_of(trace_of(*request(9), halt, *question(4.0), *count))
    assert [one.task for one in into] == ["smooth", "interruption"]
    assert into[1].times["interruption_start"] == 4.0
    bystander = TruthWord(word="stop", start_s=3.0, end_s=3.4, speaker="bystander")
    aside = rounds_of(trace_of(*request(9), bystander, *count))
    assert [one.task for one in aside] == ["smooth", "background"]
    assert judge(aside[1], "compatible") == Judged(True, 0.0, 0.0)


SEGMENT = {"timestamp": [3.5, 4.6], "text": "it is seven", "words": [{"text": "it", "start": 3.5, "end": 4.6}]}


def encoded(number: object = 1, scenario: str = "smooth-turntaking", **more: object) -> dict[str, Any]:
    return {"dialogue_id": "7", "round_num": number, "scenario": scenario, "timestamp": dict(TURN), **more}


def heard(name: str, *segments: object, **more: object) -> dict[str, Any]:
    return {"audio_file": f"out/{name}.wav", "user_channel": "left", "left_segments": [], "right_segments": list(segments), **more}


def write(folder: Path, encoding: object, speech: object, task: str = "smooth") -> Path:
    above = folder / "Scenarios_encoding" / ("multi_scenarios" if task.isdigit() else "single_scenario")
    above.mkdir(parents=True, exist_ok=True)
    (folder / "results").mkdir(exist_ok=True)
    (above / f"scenario_encoding_{task}.json").write_text(json.dumps(encoding))
    (folder / "results" / "asr_results.json").write_text(json.dumps(speech))
    return folder


def test_a_folder_is_read_with_a_sound_for_each_round_or_for_the_whole_dialogue(tmp_path: Path) -> None:
    speech = [heard("dialogue_7_round_1_smooth-turntaking", SEGMENT), heard("dialogue_7")]
    write(tmp_path, [encoded("2"), encoded(1)], speech)
    write(tmp_path, [encoded(1, "smooth-turntaking_background")], speech, "2")
    found = read_mtr(tmp_path)
    assert found is not None
    assert list(found) == [f"{tmp_path}/smooth/7", f"{tmp_path}/2/7"]
    first, second = found[f"{tmp_path}/smooth/7"]
    assert (first.number, second.number, second.segments) == (1, 2, ())
    assert first.segments == (Segment(start_s=3.5, end_s=4.6, text="it is seven", words=((3.5, 4.6),)),)
    assert judge(first, "compatible") == Judged(True, 0.5, 0.0)
    assert read_mtr(tmp_path / "results") is None


def test_results_of_one_task_go_before_those_of_all_and_null_is_no_time(tmp_path: Path) -> None:
    write(tmp_path, [encoded(timestamp={**TURN, "pause_start": None})], [heard("dialogue_7")])
    (tmp_path / "results" / "asr_results_smooth.json").write_text(json.dumps([heard("dialogue_7", SEGMENT, user_channel="right")]))
    (found,) = (read_mtr(tmp_path) or {}).values()
    assert (found[0].segments, found[0].times) == ((), TURN), "the user's channel is the right one here"


@pytest.mark.parametrize(
    ("encoding", "speech", "message"),
    [
        ({}, [], "is not a list of objects"),
        ([encoded(scenario=3)], [heard("dialogue_7")], r"entry 0 of .* is no round; it needs"),
        ([encoded(1.5)], [heard("dialogue_7")], "has the round_num '1.5'; it must be a whole number"),
        ([encoded(), encoded("1")], [heard("dialogue_7")], "has round 1 'smooth-turntaking' of dialogue '7' twice"),
        ([encoded(timestamp={"user_end": "3 s"})], [heard("dialogue_7")], "has the user_end '3 s'; it must be seconds, or null"),
        ([encoded(timestamp={"user_start": 3.0, "user_end": 2.0})], [], r"user_start 3 s and its end 2 s; a span must not end before"),
        ([encoded()], [heard("dialogue_8")], r"has no audio_file dialogue_7_round_1_smooth-turntaking.wav, nor dialogue_7.wav"),
        ([encoded()], [heard("dialogue_7"), heard("dialogue_7")], "has the sound 'dialogue_7' twice; write one asr_results_{task}.json"),
        ([encoded()], [heard("dialogue_7", user_channel="middle")], "the user_channel 'middle'; it needs a path, and left or right"),
        ([encoded()], [heard("dialogue_7", right_segments=None)], "has no list of right_segments, the model's channel"),
        ([encoded()], [heard("dialogue_7", {"text": "a", "timestamp": [1, 2]})], r"right_segments 0 of entry 0 .* has no words; .* drops"),
        ([encoded()], [heard("dialogue_7", {**SEGMENT, "timestamp": [2, 1]})], r"is from \[2, 1\]; it needs a start and an end"),
        ([encoded()], [heard("dialogue_7", {**SEGMENT, "words": [{"start": 1}]})], r"word 0 of right_segments 0 .* is from \[1, None\]"),
        ([encoded()], [heard("dialogue_7", {"words": []})], r"is not \{\"timestamp\""),
    ],
)
def test_broken_files_are_refused_with_value_rule_and_fix(tmp_path: Path, encoding: object, speech: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_mtr(write(tmp_path, encoding, speech))


def test_an_encoding_without_recognised_speech_and_what_is_no_json_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [encoded()], [heard("dialogue_7")])
    (tmp_path / "results" / "asr_results.json").write_text("[")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_speech(tmp_path / "results" / "asr_results.json")
    (tmp_path / "results" / "asr_results.json").unlink()
    with pytest.raises(InputError, match=r"has no recognised speech beside it; put asr_results.json into"):
        read_mtr(tmp_path)


def test_score_takes_the_benchmarks_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [encoded(1), encoded(2)], [heard("dialogue_7", SEGMENT)])
    with pytest.raises(SystemExit) as ended:
        main(["score", str(tmp_path), "--suite", "mtr", "--json"])
    assert ended.value.code in (0, None)
    whole = json.loads(capsys.readouterr().out)
    assert (whole["suite"], whole["sessions"]) == ("mtr", 1)
    assert {one["name"]: one["value"] for one in whole["scores"]}["smooth, success (compatible)"] == 1.0
