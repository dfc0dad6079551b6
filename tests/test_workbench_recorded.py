"""A folder of two recordings is a conversation like any other, and an agent that never stops talking talks all the time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.sample_session import stopped_count
from tests.scenario_fakes import play_family
from workbench.adapters.recorded import RecordedAgent, is_recording, recorded_agent, recorded_trace
from workbench.agents import AlwaysTalkingAgent
from workbench.check import check_participant
from workbench.errors import InputError
from workbench.exports import export
from workbench.packets import AGENT_AUDIO, USER_AUDIO
from workbench.replay import replay
from workbench.scoring.fdb_sample import Word
from workbench.scoring.reading import read
from workbench.session import Session
from workbench.spoken import agent_words
from workbench.suites import suite
from workbench.trace import record
from workbench.users import SilentUser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export(stopped_count(), "fdb", tmp_path / "one")
    return tmp_path / "one"


def test_a_recording_becomes_the_trace_that_it_was(folder: Path) -> None:
    there, back = stopped_count(), recorded_trace(folder)
    assert is_recording(folder)
    assert len(back) == len(there)
    for stream in (USER_AUDIO, AGENT_AUDIO):
        assert np.abs(back.audio(stream) - there.audio(stream)).max() < 1e-4
    assert [(w.text, round(w.start_s, 3)) for w in agent_words(back)] == [(w.text, round(w.start_s, 3)) for w in agent_words(there)]
    assert read(back).opened == ()
    assert back.header.labels == {"recording": "one"}


def test_a_recording_without_truth_is_judged_by_its_sound(folder: Path) -> None:
    one = suite("tau-voice")
    scores = {s.name: s for s in one.score({"a": one.gather(recorded_trace(folder), "a")})}
    assert (scores["R_Y"].value, scores["R_Y"].n) == (1.0, 1)
    assert scores["L_R"].n == 1


def test_sides_of_other_rates_and_lengths_are_brought_onto_one_clock(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "input.wav", np.full((24_000, 2), 0.1), 24_000)
    soundfile.write(tmp_path / "output.wav", np.full(3 * 16_000, 0.1), 16_000)
    trace = recorded_trace(tmp_path)
    assert trace.duration_s == pytest.approx(3.0)
    assert not trace.audio(USER_AUDIO)[17_000:].any()
    assert trace.audio(AGENT_AUDIO)[-100:].all()
    assert agent_words(trace) == []


def test_folders_that_are_no_recording_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "output.wav").unlink()
    with pytest.raises(InputError, match="does not hold both"):
        recorded_agent(folder)
    shutil.copy(folder / "input.wav", folder / "output.wav")
    (folder / "output.json").write_text(json.dumps({"chunks": [{"text": 3, "timestamp": [0, 1]}]}))
    with pytest.raises(InputError, match="must be a string"):
        recorded_trace(folder)


@pytest.mark.parametrize(
    "participant",
    [RecordedAgent(np.full(20_000, 0.1, np.float32), (Word(text="a", start_s=0.3, end_s=None),)), AlwaysTalkingAgent()],
    ids=lambda p: type(p).__name__,
)
def test_they_keep_the_rules_of_a_participant(participant: RecordedAgent | AlwaysTalkingAgent) -> None:
    assert check_participant(participant).problems == ()


def test_an_agent_that_never_stops_has_no_gap_and_fails_every_silence() -> None:
    trace = play_family("think_pause", 3, agent=AlwaysTalkingAgent())
    sounds = read(trace).sounds
    covered = sum(end - start for start, end in sounds)
    assert covered > 0.9 * (trace.duration_s - 0.2)
    one = suite("fdb-v1")
    scores = {s.name: s.value for s in one.score({"a": one.gather(trace, "a")})}
    assert scores["scenario pause handling, take-over rate (compatible)"] == 1.0
    panel = suite("tau-voice")
    talked = play_family("new_question", 3, agent=AlwaysTalkingAgent())
    assert {s.name: s.value for s in panel.score({"a": panel.gather(talked, "a")})}["R_Y"] == 0.0


def test_words_to_say_are_needed() -> None:
    with pytest.raises(InputError, match="no words to say"):
        AlwaysTalkingAgent(words=())


def test_who_always_talks_replays_bit_for_bit() -> None:
    session = Session.start([SilentUser(12), AlwaysTalkingAgent()])
    trace = record(session)
    session.run(12)
    assert replay(trace).difference is None
