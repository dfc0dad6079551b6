"""Accents made for training: the same for a name, spoken by the engine, never the held-out one; vowels moved one to one, habits kept."""

import tempfile
from dataclasses import replace

import numpy as np
import pytest

from workbench import voices
from workbench.accents import moved_vowels, voice_file
from workbench.conversations import converse, someone
from workbench.errors import InputError, SpeechError
from workbench.espeak import Manner, _data_path, speak
from workbench.learners import LANGUAGES
from workbench.packets import rng_for
from workbench.speech import speaker
from workbench.voices import UNSEEN_ACCENT, pick_voice, split_variants

TEXT = "whenever i say red say now"
SCOTTISH_TABLE = "en-sc"  # the phonemes of UNSEEN_ACCENT in espeak-ng


LINES_MAX = 60  # N_REPLACE_PHONEMES of espeak-ng: more `replace` lines in one voice are left out


def lines_of(base: str) -> list[str]:
    text = voice_file(base)
    assert text is not None
    return text.splitlines()


def test_an_accent_is_the_same_for_its_name_and_no_two_are_alike():
    names = [*(f"en-x-{number}" for number in range(300)), *(f"en-x-{language}-{n}" for language in LANGUAGES for n in range(20))]
    files = [lines_of(name) for name in names]
    assert files == [lines_of(name) for name in names]
    assert [lines[0] for lines in files] == [f"name {name}" for name in names]
    assert len({tuple(lines[1:]) for lines in files}) == len(names)


def test_no_accent_is_made_of_the_one_held_out():
    for kind in ("en-x-", *(f"en-x-{language}-" for language in LANGUAGES)):
        tables = {line.split()[1] for number in range(100) for line in lines_of(f"{kind}{number}") if line.startswith("phonemes ")}
        assert len(tables) == 7
        assert SCOTTISH_TABLE not in tables
    assert UNSEEN_ACCENT not in {pick_voice("accents", seed).name.partition("+")[0] for seed in range(300)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_learner_keeps_some_habits_and_the_engine_has_heard_of_all(language):
    """A sound that the engine does not know it leaves out without a word: what is said would be shorter than a word can be."""
    kept = [{line for line in lines_of(f"en-x-{language}-{number}") if line.startswith("replace ")} for number in range(200)]
    assert max(map(len, kept)) <= LINES_MAX
    assert len({frozenset(lines) for lines in kept}) > 100
    habits = set().union(*kept)
    assert all(len(lines) < len(habits) for lines in kept)
    known = set(_phonemes("en"))
    assert {sound for line in habits for sound in line.split()[2:]} <= known | {"NULL"}


def _phonemes(table: str) -> list[str]:
    """The sounds of a table of espeak-ng and of those it is built on, as its file `phontab` has them."""
    data = (_data_path() / "phontab").read_bytes()
    tables, at = [], 4
    for _ in range(data[0]):
        count, built_on = data[at], data[at + 1]
        name = data[at + 4 : at + 36].split(b"\0")[0].decode()
        at += 36
        sounds = [data[at + 16 * n : at + 16 * n + 4].rstrip(b"\0").decode("latin-1") for n in range(count)]
        at += 16 * count
        tables.append((name, built_on, sounds))
    index, found = [name for name, _, _ in tables].index(table) + 1, []
    while index:
        _, index, sounds = tables[index - 1]
        found += sounds
    return found


def test_what_learners_say_is_what_their_language_has_for_it():
    """No speaker of French has an "h", and none of German a "w", once the habit is kept; a final "v" is none in German, others stay."""
    said = {line for number in range(60) for line in lines_of(f"en-x-fr-{number}")}
    assert "replace 00 h NULL" in said
    assert {line.split()[-1] for line in said if line.startswith("replace 00 r ")} == {'r"', 'Q"'}
    german = {line for number in range(60) for line in lines_of(f"en-x-de-{number}")}
    assert "replace 00 w v" in german
    assert "replace 01 z s" in german
    assert not any(line.startswith("replace 01") for line in said)
    devoiced = [number for number in range(60) if "replace 01 v f" in lines_of(f"en-x-de-{number}")]
    assert 20 < len(devoiced) < 60


def test_syllables_of_french_are_more_even_than_those_of_english():
    def spread(kind: str) -> float:
        lengths = [
            [int(n) for n in line.split()[1:] if int(n)]
            for number in range(60)
            for line in lines_of(f"{kind}{number}")
            if "stressL" in line
        ]
        return float(np.mean([np.std(of_one) / np.mean(of_one) for of_one in lengths]))

    assert spread("en-x-fr-") < 0.75 * spread("en-x-")


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
    for name in ("en-x-", "en-x-a", "en-x-1b", "en-us", "en-x--3", "en-x-fr", "en-x-fr-", "en-x-tlh-3", "en-x-fr-3b", "fr-3"):
        assert voice_file(name) is None
    with pytest.raises(SpeechError, match="no voice 'en-x-a'"):
        speak("en-x-a", "now", Manner())


def test_training_talks_in_them_with_training_voices():
    drawn = [pick_voice("accents", seed) for seed in range(200)]
    assert len({voice.name.partition("+")[0] for voice in drawn}) > 190
    learned = [voice.name.split("-")[2] for voice in drawn if voice.name.count("-") == 3]
    assert set(learned) == set(LANGUAGES)
    assert abs(len(learned) / len(drawn) - voices.LEARNERS) < 0.12
    assert {voice.name.partition("+")[2] for voice in drawn} <= {*split_variants()[0], ""}
    user = someone(5, "accents", seconds=8.0)
    assert user.script.voices["user"].name.startswith("en-x-")
    trace = converse(5, "accents", seconds=8.0, weights={"answer": 1.0})
    assert np.abs(trace.audio("user.audio")).max() > 0.05
    assert speaker(user.script.voices["user"]).phrase("three plus four").text == "three plus four"


def test_learners_for_evaluation_are_speakers_whom_no_training_hears():
    drawn = [pick_voice("learners", seed) for seed in range(300)]
    accents, variants = zip(*(voice.name.split("+") for voice in drawn), strict=True)
    assert {accent.split("-")[2] for accent in accents} == set(LANGUAGES)
    assert min(int(accent.split("-")[3]) for accent in accents) >= voices.ACCENTS
    assert set(variants) <= set(split_variants()[1])
    trained = [pick_voice("accents", seed).name.partition("+")[0] for seed in range(300)]
    assert max(int(accent.split("-")[-1]) for accent in trained) < voices.ACCENTS


def test_a_number_is_one_speaker_whatever_was_learned_first():
    french, german = (pick_voice(f"learners:{language}", 7) for language in ("fr", "de"))
    assert french.name.replace("-fr-", "-de-") == german.name
    assert replace(french, name=german.name) == german
    with pytest.raises(InputError, match=r"'learners' has no voice 'tlh'; it has ar, de, el, "):
        pick_voice("learners:tlh", 7)
