"""Exports say in other formats what the trace says; `test_workbench_exports_opened.py` has them read by the libraries of those formats."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import Decision, Event, ModelYielded, TranscriptDelta, TruthExpect, TruthWord
from workbench.exports import EXPORTS, export, files_of
from workbench.exports.textgrid import Mark, tiled
from workbench.packets import AGENT_AUDIO, USER_AUDIO, MicroTurn, Packet
from workbench.spoken import agent_words, phrases, spoken_words
from workbench.trace import Header, Trace

CLOCK = ClockSpec()


def said(side: str, word: str, start_s: float, end_s: float) -> TranscriptDelta:
    return TranscriptDelta(side=side, word=word, start_s=start_s, end_s=end_s)


def stop_trace() -> Trace:
    """Twelve ticks: the user asks, the agent counts and is stopped in the middle of "three"."""
    events: dict[int, list[Event]] = {tick: [_decision(tick)] for tick in range(12)}
    events[0] += [TruthWord(word="count", start_s=0.1, end_s=0.35), TruthWord(word="<on>", start_s=0.35, end_s=0.5)]
    events[0] += [TruthExpect(id="0", what="reply", anchor="end", anchor_s=0.5, from_s=0.0, to_s=1.0, words=("one",))]
    events[1] += [said("user", "count", 0.1, 0.4)]
    events[5] += [said("model", "one", 1.0, 1.3)]
    events[7] += [said("model", "two", 1.4, 1.7)]
    events[8] += [said("model", "three", 1.7, 2.3), TruthWord(word="stop", start_s=1.65, end_s=1.9)]
    events[9] += [TruthWord(word='quo"te', start_s=1.8, end_s=1.95, speaker="bystander")]
    events[10] += [ModelYielded(at_s=2.0, p_yield=0.9, reason="the user said stop", unsaid="three four")]
    turns = []
    for tick in range(12):
        wave = np.full(CLOCK.samples_per_tick, tick / 16, np.float32)
        packets = [Packet(USER_AUDIO, Tick(tick), wave)]
        if tick >= 5:
            packets.append(Packet(AGENT_AUDIO, Tick(tick), -wave))
        turns.append(MicroTurn(Tick(tick), tuple(packets), tuple(events[tick])))
    return Trace(Header(clock=CLOCK, seed=0, participants={}), turns)


def _decision(tick: int) -> Decision:
    floor = "speak" if 5 <= tick < 10 else "listen"
    return Decision(floor=floor, said="", p_speak=0.2, p_yield=0.0, p_backchannel=0.0, threshold=0.5)


@pytest.mark.parametrize("to", EXPORTS)
def test_an_export_writes_the_files_it_says_it_will(to: str, tmp_path: Path) -> None:
    written = export(stop_trace(), to, tmp_path)
    assert written == [tmp_path / name for name in files_of(to)]
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_words_end_where_a_yield_cuts_them_and_phrases_join_one_speaker() -> None:
    trace = stop_trace()
    assert [(w.text, w.start_s, w.end_s) for w in agent_words(trace)] == [("one", 1.0, 1.3), ("two", 1.4, 1.7), ("three", 1.7, 2.0)]
    joined = [(p.speaker, p.text) for p in phrases(spoken_words(trace))]
    assert joined == [("user", "count <on>"), ("agent", "one two three"), ("user", "stop"), ("bystander", 'quo"te')]


def test_fdb_has_two_waves_of_one_length_and_the_agents_timed_words(tmp_path: Path) -> None:
    trace = stop_trace()
    files = export(trace, "fdb", tmp_path / "out")
    assert [f.name for f in files] == ["input.wav", "output.wav", "output.json"]
    heard, rate = soundfile.read(files[0], dtype="float32")
    spoken, _ = soundfile.read(files[1], dtype="float32")
    assert rate == 16_000
    assert len(heard) == len(spoken) == 12 * 3200
    assert np.abs(heard - trace.audio(USER_AUDIO)).max() < 1e-4
    assert np.abs(spoken - trace.audio(AGENT_AUDIO)).max() < 1e-4
    assert not spoken[: 5 * 3200].any()
    assert json.loads(files[2].read_text()) == {
        "text": "one two three",
        "chunks": [
            {"text": "one", "timestamp": [1.0, 1.3]},
            {"text": "two", "timestamp": [1.4, 1.7]},
            {"text": "three", "timestamp": [1.7, 2.0]},
        ],
    }


TIMES = st.floats(0, 10).map(lambda s: round(s, 3))


@given(st.lists(st.tuples(TIMES, TIMES, st.text(min_size=1, max_size=3)), max_size=12))
def test_tiled_intervals_cover_the_time_without_gap_or_overlap(spans: list[tuple[float, float, str]]) -> None:
    marks = [Mark(min(a, b), max(a, b), text) for a, b, text in spans]
    whole = tiled(marks, 10.0)
    assert whole[0].start_s == 0.0
    assert whole[-1].end_s == pytest.approx(10.0, abs=1e-3)
    assert all(mark.start_s < mark.end_s for mark in whole)
    assert all(one.end_s == two.start_s for one, two in pairwise(whole))


def test_vtt_has_a_cue_per_phrase_with_its_speaker(tmp_path: Path) -> None:
    (path,) = export(stop_trace(), "vtt", tmp_path)
    assert path.read_text().split("\n\n") == [
        "WEBVTT",
        "00:00:00.100 --> 00:00:00.500\n<v User>count &lt;on&gt;",
        "00:00:01.000 --> 00:00:02.000\n<v Agent>one two three",
        "00:00:01.650 --> 00:00:01.900\n<v User>stop",
        '00:00:01.800 --> 00:00:01.950\n<v Bystander>quo"te\n',
    ]


def test_rttm_has_a_line_per_stretch_of_one_speaker(tmp_path: Path) -> None:
    (path,) = export(stop_trace(), "rttm", tmp_path)
    rows = [line.split() for line in path.read_text().splitlines()]
    assert all(len(row) == 10 and row[0] == "SPEAKER" and row[2] == "1" for row in rows)
    found = [(row[7], float(row[3]), round(float(row[3]) + float(row[4]), 3)) for row in rows]
    assert found == [("user", 0.1, 0.5), ("agent", 1.0, 2.0), ("user", 1.65, 1.9), ("bystander", 1.8, 1.95)]


def test_a_chrome_trace_has_lanes_spans_instants_and_counters(tmp_path: Path) -> None:
    (path,) = export(stop_trace(), "chrome-trace", tmp_path)
    body = json.loads(path.read_text())
    rows = body["traceEvents"]
    lanes = {row["tid"]: row["args"]["name"] for row in rows if row["ph"] == "M"}
    assert {"user", "agent", "floor"} <= set(lanes.values())
    assert all({"ph", "ts", "pid", "tid", "name"} <= set(row) for row in rows)
    words = [(row["name"], row["ts"], row["dur"]) for row in rows if row["ph"] == "X" and lanes[row["tid"]] == "agent"]
    assert words[0] == ("one", pytest.approx(1e6), pytest.approx(words[0][2]))
    assert [row["name"] for row in rows if row["ph"] == "i" and lanes[row["tid"]] == "agent"] == ["yield"]
    assert all(row["dur"] >= 0 for row in rows if row["ph"] == "X")
    assert all(row["args"]["speak"] <= 1 for row in rows if row["ph"] == "C")


def test_an_empty_trace_exports(tmp_path: Path) -> None:
    empty = Trace(Header(clock=CLOCK, seed=0, participants={}))
    for name in EXPORTS:
        for path in export(empty, name, tmp_path / name):
            assert path.stat().st_size > 0


def test_an_unknown_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no export called 'mp3'; there are fdb, textgrid, vtt, rttm, chrome-trace, turnbench"):
        export(stop_trace(), "mp3", tmp_path)
