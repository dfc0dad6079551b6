"""Accents that nobody has: the same for the same number, one to one in their vowels, spoken by the engine, never the held-out one."""

import tempfile

import numpy as np
import pytest

from workbench.accents import moved_vowels, number_of, voice_file
from workbench.conversations import converse, someone
from workbench.errors import SpeechError
from workbench.espeak import Manner, speak
from workbench.packets import rng_for
from workbench.speech import speaker
from workbench.voices import UNSEEN_ACCENT, pick_voice, split_variants

TEXT = "whenever i say red say now"
SCOTTISH_TABLE = "en-sc"  # the phonemes of UNSEEN_ACCENT in espeak-ng


def test_an_accent_is_the_same_for_its_number_and_no_two_are_alike():
    files = [voice_file(number) for number in range(300)]
    assert files[17] == voice_file.__wrapped__(17)
    assert len({text.split("\n", 1)[1] for text in files}) == 300  # apart from the name in the first line


def test_no_accent_is_made_of_the_one_held_out():
    tables = {line.split()[1] for number in range(300) for line in voice_file(number).splitlines() if line.startswith("phonemes ")}
    assert len(tables) == 7
    assert SCOTTISH_TABLE not in tables
    assert UNSEEN_ACCENT not in {pick_voice("accents", seed).name.partition("+")[0] for seed in range(300)}


def test_vowels_that_differed_still_differ():
    moved = [moved_vowels(rng_for(number, 0, "accent")) for number in range(500)]
    vowels = {one for said in moved for one in said}
    for said in moved:
        assert len(set(said.values())) == len(said)
        assert not (vowels - set(said)) & set(said.values())  # nobody says a vowel that stays where it was in place of another
    sizes = [len(said) for said in moved]
    assert min(sizes) < 4
    assert max(sizes) > 9


def test_it_is_spoken_with_its_words_in_order_and_differs_from_others():
    said = speak("en-x-17+f3", TEXT, Manner())
    np.testing.assert_array_equal(said.samples, speak("en-x-17+f3", TEXT, Manner()).samples)
    assert list(said.starts) == sorted(said.starts)
    assert len(set(said.starts)) == len(TEXT.split())
    others = [speak(name, TEXT, Manner()).samples for name in ("en-x-18+f3", "en-x-17+m3", "en-us+f3")]
    assert len({samples.tobytes() for samples in (said.samples, *others)}) == 4


def test_a_long_path_of_temporary_files_does_no_harm(tmp_path, monkeypatch):
    """The engine keeps the path of a voice in 40 bytes, and a longer one aborts the program."""
    deep = tmp_path / ("folder" * 20)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert len(speak("en-x-999999+AnxiousAndy", "now", Manner()).samples) > 1000
    assert not list(deep.iterdir())


def test_names_that_are_no_accent():
    assert number_of("en-x-17") == 17
    for name in ("en-x-", "en-x-a", "en-x-1b", "en-us", "en-x--3"):
        assert number_of(name) is None
    with pytest.raises(SpeechError, match="no voice 'en-x-a'"):
        speak("en-x-a", "now", Manner())


def test_training_talks_in_them_with_training_voices():
    drawn = [pick_voice("accents", seed) for seed in range(200)]
    assert len({voice.name.partition("+")[0] for voice in drawn}) > 190
    assert {voice.name.partition("+")[2] for voice in drawn} <= {*split_variants()[0], ""}
    user = someone(5, "accents", seconds=8.0)
    assert user.script.voices["user"].name.startswith("en-x-")
    trace = converse(5, "accents", seconds=8.0, weights={"answer": 1.0})
    assert np.abs(trace.audio("user.audio")).max() > 0.05
    assert speaker(user.script.voices["user"]).phrase("three plus four").text == "three plus four"
