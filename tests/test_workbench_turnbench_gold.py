"""TurnBench's gold: anybody's submission is scored by it without a trace, ours is written and read with the same scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.sample_session import stopped_count
from tests.scenario_fakes import Tones, one_voice
from tests.test_workbench_scoring import beat, counting, expect, question, request, says, trace_of
from workbench.agents import OracleAgent
from workbench.cli import app
from workbench.errors import InputError
from workbench.evaluate import evaluate
from workbench.exports import export
from workbench.exports.turnbench import read_conversations, write_marks, write_submission
from workbench.exports.turnbench_gold import SPEAKERS, Conversation, Gold, read_gold, write_gold
from workbench.scoring.measured import Measured
from workbench.scoring.turnbench import KINDS, Marked, match, noticed, turnbench
from workbench.store import read_trace
from workbench.trace import Trace

# As the official export writes it: one line, a speaker's events in no order, two events at one moment, windows in the file.
OFFICIAL: dict[str, Any] = {
    "scorer_sha": "0dda64e",
    "dataset_revision": "3f1c2a9",
    "tau_pre_s": 0.25,
    "tau_max_s": 3.0,
    "conversations": {
        "1041": {
            "duration_s": 60.0,
            "eot_positive_events": [{"speaker": 1, "time_s": 20.0}, {"speaker": 1, "time_s": 5.0}, {"speaker": 2, "time_s": 12.0}],
            "eot_negative_spans": [{"speaker": 1, "start": 30.0, "end": 31.0}, {"speaker": 2, "start": 40.0, "end": 40.5}],
            "int_positive_events": [{"speaker": 2, "time_s": 8.0}, {"speaker": 2, "time_s": 8.0}],
            "int_negative_spans": [{"speaker": 1, "start": 15.0, "end": 15.4}],
            "eot_excluded": [{"speaker": 1, "start": 50.0, "end": 52.0}],
            "int_excluded": [],
        }
    },
}
SAID = {  # 5.0 found after 0.3 s, 12.0 after 0.1 s, 20.0 missed; one alarm of two; an alarm that is excluded
    "speaker_1": {"eot": [5.3, 30.4, 51.0], "interruption": [15.2]},
    "speaker_2": {"eot": [12.1], "interruption": [8.2, 9.0]},
}


def folder_of(path: Path, gold: object, said: object = SAID) -> Path:
    (path / "gold.json").write_text(json.dumps(gold))
    (path / "submission.json").write_text(json.dumps({"schema_version": 1, "predictions": [{"conversation_id": "1041", **said}]}))  # type: ignore[dict-item]
    return path


def values(scores: list[Measured]) -> dict[str, tuple[float, int]]:
    return {one.name: (one.value, one.n) for one in scores if one.n}


def test_a_submission_is_scored_by_the_official_gold_alone(tmp_path: Path) -> None:
    found = values(turnbench(read_conversations(folder_of(tmp_path, OFFICIAL))))
    assert found["eot, recall"] == (pytest.approx(2 / 3), 3)
    assert found["eot, false positives"] == (0.5, 2)
    assert found["eot, latency p50"] == (pytest.approx(200), 2)
    assert found["interruption, recall"] == (1.0, 2), "two that begin at one moment need a prediction each"
    assert found["interruption, latency p90"] == (pytest.approx(920), 2)
    assert found["interruption, false positives"] == (1.0, 1)


def test_the_command_scores_a_folder_of_a_submission_and_gold_and_names_what_the_gold_is_of(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["score", str(folder_of(tmp_path, OFFICIAL)), "--suite", "turnbench", "--json"])
    assert shown.exit_code == 0, shown.output
    whole = json.loads(shown.stdout)
    recall = next(one for one in whole["scores"] if one["name"] == "eot, recall")
    assert (whole["sessions"], recall["n"]) == (1, 3)
    assert recall["setup"]["source"] == ["gold.json of 0dda64e, 3f1c2a9 and submission.json"]
    assert recall["setup"]["window_s"] == [-0.25, 3.0]


def test_the_window_is_that_of_the_gold_and_one_for_a_score(tmp_path: Path) -> None:
    short = read_conversations(folder_of(tmp_path, {**OFFICIAL, "tau_max_s": 0.2}))
    found = {one.name: one for one in turnbench(short)}
    assert found["eot, recall"].value == pytest.approx(1 / 3), "5.3 comes too late for 5.0, 12.1 in time for 12.0"
    assert found["eot, recall"].setup["window_s"] == [-0.25, 0.2]
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match=r"windows of 0.25 s before to 0.2 s after and 0.25 s before to 3 s after in one score; score"):
        turnbench({**short, **read_conversations(folder_of(tmp_path / "b", OFFICIAL))})


def murmured() -> Trace:
    return trace_of(*request(6), *beat(4.0, "mhm"), *says(*((w, 2.0 + i * 0.6) for i, w in enumerate(counting(6)))))


def held() -> Trace:
    pause = expect("silent", 1.0, 1.6, (0.1, 2.0), name="hold", tags="pause")
    return trace_of(pause, *beat(1.0, "what", "is"), *says(("seven", 2.0)), *question(3.0))


@pytest.mark.parametrize("make", [stopped_count, murmured, held])
def test_the_truth_of_a_session_written_as_gold_is_read_back_and_scores_the_same(tmp_path: Path, make: Any) -> None:
    trace = make()
    submission, gold = export(trace, "turnbench", tmp_path)
    assert (submission.name, gold.name) == ("submission.json", "gold.json")
    direct, (back,) = noticed(trace), read_conversations(tmp_path).values()
    assert {kind: marks[0] for kind, marks in back.marked.items()} == {kind: marks[0] for kind, marks in direct.marked.items()}
    assert values(turnbench({"a": back})) == values(turnbench({"a": direct})) != {}
    body = json.loads(gold.read_text())
    assert set(body) == set(OFFICIAL)
    assert set(body["conversations"]["session"]) == set(OFFICIAL["conversations"]["1041"])
    assert body["conversations"]["session"]["duration_s"] == trace.duration_s


def test_played_sessions_score_the_same_from_their_traces_and_from_gold(tmp_path: Path) -> None:
    families = ("answer", "think_pause", "stop", "backchannel")
    evaluate(OracleAgent(), families, "train", 1, 5, pick=one_voice, speaker_of=Tones, keep=tmp_path / "traces")
    by_trace, by_gold = {}, {}
    for family in families:
        trace = read_trace(tmp_path / "traces" / f"{family}-5.sqlite")
        by_trace[family] = noticed(trace)
        export(trace, "turnbench", tmp_path / family)
        (by_gold[family],) = read_conversations(tmp_path / family).values()
    ours, theirs = turnbench(by_trace), turnbench(by_gold)
    assert values(ours) == values(theirs)
    assert [one.interval for one in ours] == [one.interval for one in theirs]
    assert {"eot, recall", "eot, false positives", "interruption, recall", "interruption, false positives"} <= set(values(ours))


moments = st.lists(st.floats(0, 60), max_size=6).map(lambda found: tuple(sorted(found)))
spans = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 3)).map(lambda p: (p[0], p[0] + p[1])), max_size=4).map(tuple)
marked = st.builds(Marked, moments, spans, spans)
conversations = st.fixed_dictionaries({who: st.fixed_dictionaries(dict.fromkeys(KINDS, marked)) for who in SPEAKERS})


@given(marks=conversations, window=st.tuples(st.floats(0, 2), st.floats(0, 5)))
def test_gold_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, marks: Any, window: tuple[float, float]) -> None:
    gold = Gold(conversations={"c": Conversation(duration_s=63.0, marks=marks)}, window=window)
    assert read_gold(write_gold(gold, tmp_path_factory.getbasetemp() / "gold.json")) == gold


def changed(**values: object) -> dict[str, Any]:
    return {**OFFICIAL, "conversations": {"1041": {**OFFICIAL["conversations"]["1041"], **values}}}


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([], r'has no "conversations" by their ids; give what `turnbench gold export` printed'),
        ({**OFFICIAL, "conversations": {}}, "has no conversation in it; export the gold of a data set that has some"),
        ({**OFFICIAL, "tau_max_s": "3"}, r"tau_max_s of .*gold.json' is '3'; give seconds, 0 or more \(the official ones are 0.25 and 3\)"),
        ({**OFFICIAL, "tau_pre_s": -1}, "tau_pre_s of .* is -1; give seconds"),
        ({**OFFICIAL, "conversations": {"1041": 7}}, "the duration_s of '1041' in .* is 7; give how many seconds"),
        (changed(duration_s=0), "the duration_s of '1041' in .* is 0; give how many seconds the conversation lasts"),
        (changed(eot_excluded=None), "eot_excluded of '1041' in .* is None; give a list, empty where nothing is marked"),
        (
            changed(int_positive_events=[{"speaker": 3, "time_s": 1.0}]),
            r"number 0 of int_positive_events of '1041' in .* is \{'speaker': 3, .*; give \{\"speaker\": 1 or 2, \"time_s\": seconds\}$",
        ),
        (changed(int_positive_events=[{"speaker": True, "time_s": 1.0}]), r"is \{'speaker': True"),
        (changed(eot_positive_events=[{"speaker": 1, "time_s": None}]), "number 0 of eot_positive_events"),
        (
            changed(eot_negative_spans=[{"speaker": 1, "start": 2.0, "end": 1.0}]),
            r"number 0 of eot_negative_spans .* \"start\": seconds, \"end\": seconds\} that does not end before it starts",
        ),
        (changed(int_excluded=[[1.0, 2.0]]), r"number 0 of int_excluded of '1041' in .* is \[1.0, 2.0\]; give"),
        (changed(duration_s=51.0), None),
        (changed(duration_s=50.9), r"eot in '1041' is predicted at 51 s; give times from 0 to its end, 50.9 s by gold.json"),
    ],
)
def test_a_gold_that_is_wrong_is_told_with_its_value_and_what_to_do(tmp_path: Path, gold: object, message: str | None) -> None:
    folder = folder_of(tmp_path, gold)
    if message is None:
        assert read_conversations(folder)
        return
    with pytest.raises(InputError, match=message) as told:
        read_conversations(folder)
    assert "\n" not in str(told.value)


def test_gold_that_is_no_json_is_told_in_a_line_by_the_command(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, OFFICIAL)
    (folder / "gold.json").write_text("{")
    shown = CliRunner().invoke(app, ["score", str(folder), "--suite", "turnbench"])
    assert shown.exit_code != 0
    assert "cannot be read as JSON" in str(shown.exception or shown.output)


def test_a_submission_and_its_gold_name_the_same_conversations_and_only_one_file_judges(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {**OFFICIAL, "conversations": {**OFFICIAL["conversations"], "1042": OFFICIAL["conversations"]["1041"]}})
    with pytest.raises(InputError, match=r"submission.json has no conversation '1042'; both files need it"):
        read_conversations(folder)
    write_submission({"1041": {}, "1042": {}, "9": {}}, folder / "submission.json")
    with pytest.raises(InputError, match=r"gold.json has no conversation '9'; both files need it"):
        read_conversations(folder)
    write_marks({"9": {}}, folder / "marks.json")
    with pytest.raises(InputError, match=r"has submission.json, gold.json and marks.json; keep the one to judge it by"):
        read_conversations(folder)


def test_a_window_moves_what_counts_before_a_span_too() -> None:
    spans_ = Marked((), ((3.0, 4.0),))
    assert match(spans_, [2.8]).alarms == ((3.0, 4.0),)
    assert match(spans_, [2.8], (0.1, 3.0)).quiet == ((3.0, 4.0),)
