"""Traces as the data sets of Full-Duplex-Bench: the official layouts, the same scores as of the traces, and what has no place is named."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.scenario_fakes import play_family
from tests.test_workbench_cli import microturn
from workbench.agents import OracleAgent, SilentAgent
from workbench.errors import InputError, TraceError
from workbench.exports.fdb_dataset import SUBSETS, Dataset, trace_files, write_dataset
from workbench.exports.fdb_folder import read_sample, read_subset
from workbench.packets import USER_AUDIO
from workbench.scoring.measured import Measured
from workbench.store import Keep, TraceWriter, read_trace, save_trace
from workbench.suites import Sessions, suite

PLAYED = ("answer", "think_pause", "new_question", "listener", "stop", "backchannel", "other_directed", "background")
V1_0 = {
    "synthetic_pause_handling": {"input.wav", "pause.json", "transcription.json"},
    "candor_turn_taking": {"input.wav", "turn_taking.json", "transcription.json"},
    "icc_backchannel": {"input.wav", "transcription.json"},
    "synthetic_user_interruption": {"input.wav", "context.wav", "interrupt.wav", "interrupt.json", "transcription.json"},
}
V1_5 = {"input.wav", "clean_input.wav", "metadata.json", "input.json", "clean_input.json", "content_tag.json"}
OUTPUT = {"output.wav", "output.json", "voice.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sessions of each family that has a place, played by the oracle, one by an agent that says nothing, and one without a place."""
    root: Path = tmp_path_factory.mktemp("traces")
    for name in PLAYED:
        for seed in (3, 4):
            (root / f"{name}-{seed}").mkdir()
            save_trace(play_family(name, seed), root / f"{name}-{seed}" / "trace.sqlite")
    save_trace(play_family("stop", 5, agent=SilentAgent()), root / "silent.sqlite")
    save_trace(play_family("timer", 3), root / "timer.sqlite")
    return root


@pytest.fixture(scope="module")
def dataset(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    root: Path = tmp_path_factory.mktemp("made") / "dataset"
    return write_dataset(folder, root), root


def of_traces(name: str, folder: Path) -> Sessions:
    """What a suite gathers from the traces themselves, in the order of their files."""
    one = suite(name)
    return {str(path): one.gather(read_trace(path), str(path)) for path in trace_files(folder).values()}


def numbers(found: list[Measured]) -> dict[str, tuple[Any, ...]]:
    """What must not change on the way through files, by name."""
    return {
        one.name: (one.value, one.interval, one.n, one.setup.get("source"), one.setup.get("labels by"))
        for one in found
        if not math.isnan(one.value)
    }


def test_every_sample_has_the_files_of_the_official_layout(dataset: tuple[Dataset, Path]) -> None:
    done, root = dataset
    assert {path.name for path in root.iterdir()} == {"v1_0", "v1_5", "about.json"}
    for place in done.samples:
        version, subset, number = place.split("/")
        assert number.isdigit()
        wanted = V1_0[subset] if version == "v1_0" else V1_5
        assert {path.name for path in (root / place).iterdir()} == wanted | OUTPUT, place
        heard, said = (soundfile.info(root / place / f"{side}put.wav") for side in ("in", "out"))
        assert heard.frames == said.frames
    assert {place.split("/")[1] for place in done.samples} == {
        *SUBSETS.values(), "user_interruption", "user_backchannel", "talking_to_other", "background_speech",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["fdb-v1", "fdb-v1.5"])
def test_the_files_give_the_scores_that_the_traces_give(name: str, folder: Path, dataset: tuple[Dataset, Path]) -> None:
    one = suite(name)
    back = one.folder(dataset[1])
    assert back
    again = numbers(one.score(back))
    assert again == numbers(one.score(of_traces(name, folder)))
    assert len(again) >= 8


def test_somebody_elses_folders_keep_the_names_of_their_data(dataset: tuple[Dataset, Path], tmp_path: Path) -> None:
    shutil.copytree(dataset[1] / "v1_0", tmp_path / "v1_0")
    names = {one.name.split()[0] for one in suite("fdb-v1").score(suite("fdb-v1").folder(tmp_path) or {})}
    assert names == {"synthetic", "candor", "icc"}
    (tmp_path / "about.json").write_text("[]")
    assert "candor turn-taking, latency (clean)" in {one.name for one in suite("fdb-v1").score(suite("fdb-v1").folder(tmp_path) or {})}
    (name,) = {one.name.split()[0] for one in suite("fdb-v1").score(suite("fdb-v1").folder(dataset[1] / "v1_0") or {})}
    assert name == "scenario"


def test_another_agents_output_is_not_judged_by_what_is_known_of_the_first(dataset: tuple[Dataset, Path], tmp_path: Path) -> None:
    shutil.copytree(dataset[1], tmp_path / "other")
    for sample in (tmp_path / "other" / "v1_5").glob("*/*"):
        shutil.copy(sample / "input.wav", sample / "output.wav")  # it says what it hears
        (sample / "output.json").write_text('{"text": "", "chunks": []}')
    (echo, *_) = read_subset(tmp_path / "other", "user_interruption")
    (first, *_) = read_subset(dataset[1], "user_interruption")
    assert echo.user_voice == first.user_voice
    assert echo.voice != first.voice
    assert echo.source == "words and energy of the output; the user's as voice.json tells"
    found = {one.name: one for one in suite("fdb-v1.5").score(suite("fdb-v1.5").folder(tmp_path / "other") or {})}
    assert math.isnan(found["v1.5 average"].value)
    assert "there are no labels for user_interruption" in found["v1.5 average"].explanation


def test_the_command_writes_and_score_reads_with_the_same_numbers(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dataset"
    assert microturn("export", folder, "--to", "fdb-dataset", "--out", out) == 0
    printed = capsys.readouterr()
    assert f"{out}/v1_0/candor_turn_taking: 2 samples" in printed.out.splitlines()
    assert "left out timer.sqlite: in this session of 'timer' no situation of the benchmark comes up; v1.0 looks" in " ".join(
        printed.err.split()
    )
    for name, least in (("fdb-v1", 8), ("fdb-v1.5", 15)):
        assert microturn("score", out, "--suite", name, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["sessions"] == sum(place.startswith("v1_0/" if name == "fdb-v1" else "v1_5/") for place in _about(out)["samples"])
        found = {one["name"]: one["value"] for one in told["scores"] if one["n"]}
        assert len(found) >= least
        assert numbers(suite(name).score(suite(name).folder(out) or {})).keys() == found.keys()


def test_a_sample_is_what_the_trace_says(folder: Path, dataset: tuple[Dataset, Path]) -> None:
    place = next(place for place, session in dataset[0].samples.items() if session == "new_question-3/trace.sqlite" and "v1_5" in place)
    sample, trace = dataset[1] / place, read_trace(folder / "new_question-3" / "trace.sqlite")
    about = json.loads((sample / "metadata.json").read_text())
    begins, ends = (round(at_s * 16_000) for at_s in about["timestamps"])
    heard, clean = (soundfile.read(sample / name, dtype="float32")[0] for name in ("input.wav", "clean_input.wav"))
    assert np.abs(heard - trace.audio(USER_AUDIO)[: len(heard)]).max() < 1e-4
    assert heard[begins:ends].any()
    assert not clean[begins:ends].any(), "the clean input is the same without the event"
    assert (heard[:begins] == clean[:begins]).all()
    words, without = (json.loads((sample / name).read_text())["text"] for name in ("input.json", "clean_input.json"))
    assert words == f"{about['context_text']} {about['current_turn_text']}"
    assert without == about["context_text"]
    told = json.loads((sample / "content_tag.json").read_text())
    assert (told["behaviour"], told["by"]) == (["C_RESPOND"], "scenario truth")


def test_an_interruption_comes_with_its_parts_and_its_transcription(dataset: tuple[Dataset, Path]) -> None:
    sample = dataset[1] / "v1_0" / "synthetic_user_interruption" / "1"
    (mark,) = json.loads((sample / "interrupt.json").read_text())
    context, cut = (soundfile.info(sample / f"{name}.wav").duration for name in ("context", "interrupt"))
    assert (context, context + cut) == pytest.approx(tuple(mark["timestamp"]), abs=1e-4)
    ((speaker, said),) = [(one["speaker"], one["item"]) for one in json.loads((sample / "transcription.json").read_text())]
    assert speaker == 0
    assert " ".join(item["text"] for item in said) == f"{mark['context']} {mark['interrupt']}"


def test_the_data_set_says_whose_data_it_is_and_what_was_left_out(dataset: tuple[Dataset, Path]) -> None:
    about = _about(dataset[1])
    assert "not the recordings of Full-Duplex-Bench" in about["data"]
    assert about["samples"]["v1_0/candor_turn_taking/1"] == "answer-3/trace.sqlite"
    assert set(about["left_out"]) == {"background-4/trace.sqlite", "timer.sqlite"}, "one in which nobody speaks into a count, and a timer"


def test_without_voice_json_the_sound_is_read_and_with_a_detector_too(dataset: tuple[Dataset, Path], tmp_path: Path) -> None:
    (told, _) = read_subset(dataset[1], "candor_turn_taking")
    assert "true words" in told.source
    (detected, _) = read_subset(dataset[1], "candor_turn_taking", detect=lambda sound: [(0.0, 1.0)])
    assert detected.voice == ((0.0, 1.0),)
    sample = shutil.copytree(dataset[1] / "v1_0" / "candor_turn_taking" / "1", tmp_path / "1")
    (sample / "voice.json").unlink()
    heard = read_sample(sample, "candor_turn_taking")
    assert "voice by energy" in heard.source
    assert np.abs(np.subtract(heard.voice, told.voice)).max() <= 0.011


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"user": []}',
        '{"user": [], "agent": [[1, 0]], "source": ""}',
        '{"user": [[0, 1, 2]], "agent": [], "source": ""}',
        '{"user": [], "agent": [], "source": 3}',
    ],
)
def test_a_broken_voice_json_is_refused(text: str, dataset: tuple[Dataset, Path], tmp_path: Path) -> None:
    sample = shutil.copytree(dataset[1] / "v1_0" / "candor_turn_taking" / "1", tmp_path / "1")
    (sample / "voice.json").write_text(text)
    with pytest.raises(InputError, match=r"voice\.json' is not .*; mend it, or delete it to have voice detected"):
        read_sample(sample, "candor_turn_taking")


def test_what_cannot_be_a_data_set_is_refused_with_the_reason(folder: Path, dataset: tuple[Dataset, Path], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"none of the 1 traces .* has a place in Full-Duplex-Bench \(timer\.sqlite: in this session of 'timer'"
    ):
        write_dataset(folder / "timer.sqlite", tmp_path / "none")
    with pytest.raises(InputError, match=r"is no trace and no folder with traces; give one with \.sqlite files"):
        write_dataset(tmp_path, tmp_path / "none")
    with pytest.raises(
        InputError, match=r"holds samples already \(v1_0/synthetic_pause_handling, .*give another folder, or delete them first"
    ):
        write_dataset(folder, dataset[1])
    with pytest.raises(InputError, match="is a file; give a folder"):
        write_dataset(folder, folder / "timer.sqlite")
    (tmp_path / "broken.sqlite").write_bytes(b"rubbish")
    with pytest.raises(TraceError):
        write_dataset(tmp_path / "broken.sqlite", tmp_path / "none")
    save_trace(play_family("answer", 3, agent=OracleAgent()), tmp_path / "good.sqlite")
    done = write_dataset(tmp_path, tmp_path / "some")
    assert (list(done.samples.values()), list(done.left_out)) == (["good.sqlite"], ["broken.sqlite"])


def _about(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "about.json").read_text(encoding="utf-8"))
    return found


def test_a_session_whose_sound_was_not_kept_is_left_out_with_the_reason(tmp_path: Path) -> None:
    trace = play_family("stop", 3)
    with TraceWriter(tmp_path / "t.sqlite", trace.header, keep={USER_AUDIO: Keep("features")}) as writer:
        for turn in trace.turns:
            writer.append(turn)
    with pytest.raises(InputError, match=r"t.sqlite: user.audio was not kept in it, and a sample is sound"):
        write_dataset(tmp_path / "t.sqlite", tmp_path / "out")
