"""More people for training (`benchmarks/gather_recordings.py`): what is added is never of the held-back part, nor of its people."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from workbench.errors import InputError
from workbench.recordings import SPEECH_VARIABLE, digit, held_back, meeting, sentence, speakers, word

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PEOPLE = [f"{number:08x}" for number in range(40)]


def sound(path: Path, rate: int = 16000, seconds: float = 0.6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(round(seconds * rate)) / rate * 2000), rate)


@pytest.fixture
def gather(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gather_recordings")


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shared"
    for number in range(10):
        sound(folder / f"digits/theo/{number}_00.flac")
        sound(folder / f"read_sentences/sentence-{number}.flac")
    for person in PEOPLE[:12]:
        sound(folder / f"words/stop/{person}_nohash_0.flac")
    sound(folder / "meetings/one.flac")
    monkeypatch.setenv(SPEECH_VARIABLE, str(folder))
    return folder


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    folder = tmp_path / "clones"
    for person in ("george", "lucas", "theo"):
        for number in range(10):
            sound(folder / f"free-spoken-digit-dataset/recordings/{number}_{person}_3.wav", rate=8000)
    for person in PEOPLE:
        sound(folder / f"PICO-tinyML-benchmark/MLTK_keyworkSpotting/dataset/stop/{person}_nohash_1.wav")
        sound(folder / f"PICO-tinyML-benchmark/MLTK_keyworkSpotting/dataset/unheard/{person}_nohash_1.wav")
        sound(folder / f"speech-to-intent-benchmark/data/speech/clean/{person}.wav")
    for number in range(70):
        sound(folder / f"wake-word-benchmark/audio/smart mirror/{number:03d}.wav")
    (folder / "wake-word-benchmark/audio/smart mirror/000.wav").write_bytes(b"no sound")
    return folder


def names(folder: Path, room: str) -> list[str]:
    return sorted(path.name for path in (folder / room).rglob("*.flac"))


def test_all_that_is_shared_is_there_and_what_is_added_is_for_training(gather: Any, shared: Path, clones: Path, tmp_path: Path) -> None:
    out, aside = tmp_path / "out", tmp_path / "aside"
    counts = gather.gathered(clones, out, aside)
    for path in shared.rglob("*.flac"):
        assert (out / path.relative_to(shared)).resolve() == path.resolve()
    for room in ("words", "read_sentences"):
        assert not [name for name in set(names(out, room)) - set(names(shared, room)) if held_back(name)]
    assert "speech-commands-recognition" not in counts, "not among the clones"
    assert counts["free-spoken-digit-dataset"] == 20
    assert counts["wake-word-benchmark"] == gather.WAKE_WORDS - 1, "one of them cannot be read"


def test_of_people_whose_words_are_held_back_nothing_is_taken(gather: Any, shared: Path, clones: Path, tmp_path: Path) -> None:
    tested = {name.split("_")[0] for name in names(shared, "words") if held_back(name)}
    assert tested
    out, aside = tmp_path / "out", tmp_path / "aside"
    gather.gathered(clones, out, aside)
    added = set(names(out, "words")) - set(names(shared, "words"))
    assert not {name.split("_")[0] for name in added} & tested
    assert not {name.split("_")[0] for name in names(aside, "words")} & tested
    assert {name.split("_")[0] for name in added} | {name.split("_")[0] for name in names(aside, "words")} == set(PEOPLE) - tested


def test_who_is_set_aside_is_not_trained_on(gather: Any, shared: Path, clones: Path, tmp_path: Path) -> None:
    out, aside = tmp_path / "out", tmp_path / "aside"
    gather.gathered(clones, out, aside)
    for room in ("words", "read_sentences"):
        assert names(aside, room)
        assert not set(names(aside, room)) & set(names(out, room))


def test_the_folder_is_read_as_the_shared_one_is(
    gather: Any, shared: Path, clones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather.gathered(clones, tmp_path / "out", tmp_path / "aside")
    monkeypatch.setenv(SPEECH_VARIABLE, str(tmp_path / "out"))
    rng = np.random.default_rng(0)
    assert speakers() == ("george", "lucas", "theo")
    assert digit("george", "seven", rng).words[0].word == "seven"
    heard = {sentence(rng).voice.split("/")[-1].split("-")[0] for _ in range(60)}
    assert {"order", "wake", "sentence"} <= heard
    assert any("_nohash_1" in word("stop", rng).voice for _ in range(60)), "words of people who were not there before"
    assert len(meeting(rng, "all").samples)


def test_a_folder_that_is_there_is_not_written_into(gather: Any, shared: Path, clones: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="is there already"):
        gather.gathered(clones, tmp_path / "out", tmp_path / "aside")
    assert not list((tmp_path / "out").iterdir())
