"""TurnBench's matching and VAP's events: the definitions at their edges, and what a session of ours makes of them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_session import stopped_count
from tests.test_workbench_scoring import beat, expect, question, request, says, trace_of
from workbench.errors import InputError
from workbench.exports import export
from workbench.exports.turnbench import read_marks, read_submission, write_marks, write_submission
from workbench.exports.turnbench_gold import SPEAKERS, read_gold
from workbench.scenarios.world import counting
from workbench.scoring.turnbench import KINDS, Marked, match, noticed, turnbench
from workbench.scoring.vap import (
    AGENT,
    RATE,
    USER,
    VapEvent,
    VapSession,
    activity,
    events,
    next_speaker,
    projection,
    shift_hold_f1,
    vap,
    vap_session,
    weighted_f1,
)
from workbench.suites import SUITES


@pytest.mark.parametrize(
    ("prediction", "taken"), [(9.74, False), (9.76, True), (10.0, True), (13.0, True), (13.01, False)]
)  # fmt: skip
def test_a_prediction_counts_from_a_quarter_second_before_to_three_seconds_after(prediction: float, taken: bool) -> None:
    found = match(Marked((10.0,)), [prediction])
    assert bool(found.taken) == taken
    assert bool(found.missed) != taken


def test_a_window_ends_where_the_speakers_next_event_is_and_each_prediction_is_used_once() -> None:
    found = match(Marked((10.0, 11.0)), [10.9])
    assert (found.taken, found.missed) == (((10.0, 10.9),), (11.0,))
    assert match(Marked((10.0, 11.0)), [11.5]).taken == ((11.0, 11.5),)
    assert match(Marked((10.0, 11.0)), [10.2, 11.5]).taken == ((10.0, 10.2), (11.0, 11.5))


def test_a_negative_is_one_false_alarm_at_most_and_what_belongs_to_an_event_is_none() -> None:
    marked = Marked((10.0,), ((5.0, 6.0), (8.0, 9.0), (10.5, 11.0)))
    found = match(marked, [4.8, 5.5, 10.2, 10.7])
    assert found.alarms == ((5.0, 6.0),)
    assert found.quiet == ((8.0, 9.0), (10.5, 11.0))


def test_predictions_and_marks_that_go_back_are_refused() -> None:
    with pytest.raises(InputError, match="do not strictly increase"):
        match(Marked((1.0,)), [2.0, 2.0])
    with pytest.raises(InputError, match="positives must increase"):
        Marked((2.0, 1.0))


times = st.lists(st.floats(0, 60), unique=True, max_size=12).map(lambda found: tuple(sorted(found)))


@given(times, times, st.lists(st.tuples(st.floats(0, 60), st.floats(0, 3)), max_size=6))
def test_every_event_and_every_span_is_accounted_for_once(positives: tuple, predictions: tuple, spans: list) -> None:
    marked = Marked(positives, tuple(sorted((a, a + length) for a, length in spans)))
    found = match(marked, predictions)
    assert sorted([*(t for t, _ in found.taken), *found.missed]) == list(positives)
    assert len({p for _, p in found.taken}) == len(found.taken)
    assert sorted([*found.alarms, *found.quiet]) == sorted(marked.negatives)


def test_what_the_agent_does_is_what_it_noticed() -> None:
    trace = trace_of(*question(1.0), *says(("seven", 2.0)))
    scores = {s.name: s for s in turnbench({"a": noticed(trace)})}
    assert scores["eot, recall"].value == 1.0
    assert scores["eot, latency p50"].value == pytest.approx(400)
    assert math.isnan(scores["interruption, recall"].value)
    pause = expect("silent", 1.0, 1.6, (0.1, 2.0), name="hold", tags="pause")
    broken = {s.name: s for s in turnbench({"a": noticed(trace_of(pause, *beat(1.0, "what", "is"), *says(("seven", 2.0))))})}
    assert (broken["eot, false positives"].value, broken["eot, false positives"].n) == (1.0, 1)
    stopped = {s.name: s for s in turnbench({"a": noticed(stopped_count())})}
    assert stopped["interruption, recall"].value == 1.0
    assert stopped["interruption, latency p50"].value == pytest.approx(1000 * (5.0 - 4.3))
    murmured = trace_of(*request(6), *beat(4.0, "mhm"), *says(*((w, 2.0 + i * 0.6) for i, w in enumerate(counting(6)))))
    assert {s.name: s.value for s in turnbench({"a": noticed(murmured)})}["interruption, false positives"] == 0.0


def test_a_submission_is_read_as_it_was_written(tmp_path: Path) -> None:
    given_ = {"c1": {"speaker_1": {"eot": (1.0, 2.5)}, "speaker_2": {"interruption": (0.5,)}}}
    path = write_submission(given_, tmp_path / "s.json")
    whole = {"speaker_1": {"eot": (1.0, 2.5), "interruption": ()}, "speaker_2": {"eot": (), "interruption": (0.5,)}}
    assert read_submission(path) == {"c1": whole}
    assert json.loads(path.read_text())["schema_version"] == 1
    with pytest.raises(InputError, match="eot of speaker_1 in 'c1' must be strictly increasing"):
        write_submission({"c1": {"speaker_1": {"eot": (2.0, 1.0)}}}, tmp_path / "t.json")


def test_a_session_is_exported_as_a_submission(tmp_path: Path) -> None:
    path, _ = export(stopped_count(), "turnbench", tmp_path)
    said = read_submission(path)["session"]["speaker_1"]
    assert said["interruption"] == (5.0,)
    assert said["eot"][0] == pytest.approx(2.0, abs=0.02)


def test_an_exported_folder_scores_as_its_trace_does_and_another_submission_as_what_it_says(tmp_path: Path) -> None:
    trace = stopped_count()
    submission, gold = export(trace, "turnbench", tmp_path / "own")
    own = SUITES["turnbench"].folder(tmp_path / "own")
    assert own is not None
    numbers = [(score.name, score.n, score.value) for score in turnbench(own) if score.n]
    assert numbers == [(score.name, score.n, score.value) for score in turnbench({"a": noticed(trace)}) if score.n]
    user, other = (read_gold(gold).conversations["session"].marks[who]["interruption"] for who in SPEAKERS)
    assert (user.positives, other) == ((4.3,), Marked())
    write_submission({"session": {"speaker_1": {"eot": (), "interruption": (4.4,)}}}, submission)
    scores = {score.name: score for score in turnbench(SUITES["turnbench"].folder(tmp_path / "own") or {})}
    assert scores["interruption, latency p50"].value == pytest.approx(100)
    assert scores["eot, recall"].value == 0.0
    assert scores["eot, recall"].moments[0].session == f"{tmp_path / 'own'}/session"


def test_marks_are_read_as_they_were_written_for_either_speaker(tmp_path: Path) -> None:
    marked = Marked((1.0, 2.5), ((0.0, 0.5), (3.0, 3.0)))
    found = read_marks(write_marks({"c1": {"speaker_2": {"eot": marked}}, "c2": {}}, tmp_path / "m.json"))
    assert found["c1"] == {"speaker_1": dict.fromkeys(KINDS, Marked()), "speaker_2": {"eot": marked, "interruption": Marked()}}
    assert list(found) == ["c1", "c2"]


def test_a_submission_without_marks_or_of_other_conversations_is_refused(tmp_path: Path) -> None:
    gather = SUITES["turnbench"].folder
    assert gather(tmp_path) is None
    write_submission({"a": {}, "b": {}}, tmp_path / "submission.json")
    with pytest.raises(InputError, match=r"has submission.json and no gold.json or marks.json to judge it by; put the gold"):
        gather(tmp_path)
    write_marks({"a": {}}, tmp_path / "marks.json")
    with pytest.raises(InputError, match=r"marks.json has no conversation 'b'; both files need it"):
        gather(tmp_path)
    write_marks({"a": {}, "b": {}, "c": {}}, tmp_path / "marks.json")
    with pytest.raises(InputError, match=r"submission.json has no conversation 'c'"):
        gather(tmp_path)


@pytest.mark.parametrize(
    ("eot", "message"),
    [
        ("[1.0]", "is not {"),
        ('{"positives": [2.0, 1.0], "negatives": []}', "must be strictly increasing"),
        ('{"positives": [], "negatives": [[1.0]]}', "is no .start, end. in seconds"),
        ('{"positives": [], "negatives": [[1.0, "x"]]}', "is no .start, end. in seconds"),
        ('{"positives": [], "negatives": [[2.0, 1.0]]}', "times that go back"),
    ],
)
def test_broken_marks_are_refused(tmp_path: Path, eot: str, message: str) -> None:
    path, none = tmp_path / "m.json", '{"positives": [], "negatives": []}'
    one, two = f'{{"eot": {eot}, "interruption": {none}}}', f'{{"eot": {none}, "interruption": {none}}}'
    path.write_text(f'{{"schema_version": 1, "marks": [{{"conversation_id": "a", "speaker_1": {one}, "speaker_2": {two}}}]}}')
    with pytest.raises(InputError, match=message):
        read_marks(path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema_version": 2, "predictions": []}',
        '{"schema_version": 1, "predictions": [{}]}',
        '{"schema_version": 1, "predictions": [{"conversation_id": "a", "speaker_1": {}}]}',
        '{"schema_version": 1, "predictions": [{"conversation_id": "a", "speaker_1": {"eot": [NaN], "interruption": []}}]}',
    ],
)
def test_a_broken_submission_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_submission(path)


def voices(user: list[tuple[float, float]], agent: list[tuple[float, float]], seconds: float = 20.0) -> list[tuple[str, int]]:
    return [(e.kind, e.speaker) for e in events(activity([user, agent], seconds)) if e.kind != "backchannel"]


def test_a_silence_is_a_shift_or_a_hold_by_who_goes_on() -> None:
    assert voices([(0.0, 5.0)], [(5.5, 8.0)]) == [("shift", AGENT)]
    assert voices([(0.0, 5.0), (5.5, 8.0)], []) == [("hold", USER)]
    assert voices([(5.5, 8.0)], [(0.0, 5.0)]) == [("shift", USER)]


@pytest.mark.parametrize(
    ("user", "agent"),
    [
        ([(0.0, 2.5)], [(3.0, 6.0)]),  # less than 3 s of context
        ([(0.0, 5.0)], [(5.2, 8.0)]),  # a gap under 0.25 s
        ([(0.0, 5.0)], [(5.5, 6.2)]),  # who goes on is not alone for 1 s
        ([(0.0, 5.0), (6.0, 7.0)], [(5.5, 8.0)]),
        ([(0.0, 5.0)], [(4.5, 4.8), (5.5, 8.0)]),  # both within the second before
        ([(0.0, 5.0)], [(4.9, 5.1), (5.5, 8.0)]),  # the silence follows both
    ],
)
def test_a_silence_without_a_second_of_one_voice_on_either_side_is_none(user: list, agent: list) -> None:
    assert voices(user, agent) == []


def test_pauses_inside_a_hold_do_not_break_the_second_that_is_asked_for() -> None:
    assert voices([(0.0, 4.0), (4.3, 5.0)], [(5.5, 8.0)]) == [("hold", USER), ("shift", AGENT)][1:], "0.7 s after the pause: no hold"
    assert voices([(0.0, 3.5), (3.8, 5.0)], [(5.5, 8.0)]) == [("hold", USER), ("shift", AGENT)]


def test_regions_and_back_channels_are_where_the_definitions_put_them() -> None:
    found = events(activity([[(0.0, 5.0), (8.0, 9.0)], [(6.0, 6.4)]], 20.0))
    murmurs = [e for e in found if e.kind == "backchannel"]
    assert murmurs == [
        VapEvent("backchannel", AGENT, (300, 320), (300, 320), (275, 300)),
        VapEvent("backchannel", USER, (400, 450), (400, 450), (375, 400)),
    ]
    (shift,) = events(activity([[(0.0, 5.0)], [(5.5, 8.0)]], 9.0))
    assert (shift.frames, shift.judged, shift.foreseen) == ((250, 275), (252, 262), (225, 250))


def test_a_pause_between_two_words_of_one_voice_makes_no_back_channels() -> None:
    def murmurs(user: list, agent: list) -> list:
        return [e.speaker for e in events(activity([user, agent], 20.0)) if e.kind == "backchannel"]

    assert murmurs([(4.0, 4.4), (5.6, 6.0)], []) == [], "1.2 s of silence in a turn of 2 s"
    assert murmurs([(4.0, 4.4), (6.0, 6.4)], [(4.9, 5.5)]) == [USER, AGENT, USER]
    assert murmurs([(2.9, 3.3)], []) == [], "less than 3 s of context"


def test_what_a_short_last_stretch_or_the_first_seconds_cannot_foretell_has_no_region() -> None:
    for user, foreseen in (([(0.0, 5.0)], (225, 250)), ([(0.0, 4.4), (4.6, 5.0)], None), ([(0.0, 3.4)], None)):
        shift = events(activity([user, [(user[-1][1] + 0.5, user[-1][1] + 3.0)]], 10.0))[-1]
        assert (shift.kind, shift.foreseen) == ("shift", foreseen)


def test_the_projection_packs_eight_bins_and_unpacks_to_the_next_speaker() -> None:
    active = activity([[(0.02, 0.22)], [(1.22, 2.02)]], 4.0)
    code = projection(active, 0)
    assert code == 0b1000_0001, "the first speaker now, the second in the last 0.8 s"
    certain = np.zeros(256)
    certain[code] = 1.0
    assert next_speaker(certain).tolist() == [1.0, 0.0]
    assert next_speaker(certain, (2, 4)).tolist() == [0.0, 1.0]
    assert next_speaker(np.full(256, 1 / 256)).tolist() == pytest.approx([0.5, 0.5])
    with pytest.raises(InputError, match="has no 100 frames after it"):
        projection(active, 150)
    with pytest.raises(InputError, match="give 256 that sum to 1"):
        next_speaker(np.ones(256))
    with pytest.raises(InputError, match="it must be bool"):
        events(np.zeros((4, 3), bool))


def test_who_foresees_every_shift_has_an_f1_of_one() -> None:
    user, agent = [(0.0, 5.0), (5.5, 8.0)], [(8.5, 12.0)]
    found = events(activity([user, agent], 14.0))
    assert [e.kind for e in found] == ["hold", "shift"]
    right, wrong = np.zeros(14 * RATE), np.zeros(14 * RATE)
    right[250:275] = 1.0
    wrong[400:425] = 1.0
    assert shift_hold_f1(found, right) == 1.0
    assert shift_hold_f1(found, wrong) == 0.0
    assert weighted_f1([True, True, False], [True, False, False]) == pytest.approx((2 * (2 / 3) + 2 / 3) / 3)
    assert math.isnan(weighted_f1([], []))


def test_a_session_of_ours_shows_who_ended_its_silences() -> None:
    trace = trace_of(*beat(0.2, *"tell me a long story about the old house".split()), *says(*((str(n), 4.0 + 0.3 * n) for n in range(6))))
    scores = {s.name: s for s in vap({"a": vap_session(trace)})}
    assert scores["shifts after the user"].value == 0.0 or scores["shifts after the user"].n in (0, 1)
    assert scores["back-channels"].value == 0.0


def test_back_channels_a_minute_are_a_mean_over_sessions_that_shows_each_of_them() -> None:
    murmur = VapEvent("backchannel", AGENT, (300, 320), (300, 320), (275, 300))
    users = VapEvent("backchannel", USER, (400, 420), (400, 420), None)
    sessions = {"a": VapSession((murmur, users), 30.0), "b": VapSession((), 60.0), "c": VapSession((), 0.0)}
    score = {one.name: one for one in vap(sessions)}["back-channels"]
    assert (score.value, score.n, score.sessions) == (1.0, 2, 3)  # two a minute in one session, none in the other
    assert [(m.session, m.start_s, m.end_s) for m in score.moments] == [("a", 6.0, 6.4)]
    assert score.evidence == (30,)
    assert score.setup["backchannel_s"] == {"longest": 1.0, "alone": 1.0}


@given(st.lists(st.booleans(), max_size=400), st.lists(st.booleans(), max_size=400))
def test_every_silence_that_counts_has_one_voice_on_either_side(one: list[bool], two: list[bool]) -> None:
    length = max(len(one), len(two))
    active = np.zeros((length, 2), bool)
    active[: len(one), 0], active[: len(two), 1] = one, two
    for event in events(active):
        start, end = event.frames
        assert event.foreseen is None or 150 <= event.foreseen[0] < event.foreseen[1] <= length
        if event.kind != "backchannel":
            assert not active[start:end].any()
            assert active[end, event.speaker]
            assert not active[end, 1 - event.speaker]
