from dataclasses import replace

import numpy as np
import pytest
import soundfile

from workbench import festival, flite, recordings, rhvoice
from workbench.agents import SilentAgent
from workbench.bank import Bank
from workbench.errors import InputError, SpeechError
from workbench.evaluate import evaluate
from workbench.replay import replay
from workbench.scenarios import build
from workbench.scenarios.script import Passage
from workbench.speech import Speaker, Voice, pick_voice, prepare
from workbench.utterance import RATE
from workbench.voices import DIGIT_SPEAKERS, FLITE_VOICES

needs_flite = pytest.mark.skipif(not flite.flite_available(), reason="the program flite is not installed")
needs_recordings = pytest.mark.skipif(not recordings.recordings_available(), reason="no folder of recordings (MICROTURN_SPEECH)")


def burst(seconds, before_s, after_s, hum=0.0):
    sound = hum * np.random.default_rng(0).standard_normal(round((before_s + seconds + after_s) * RATE))
    start = round(before_s * RATE)
    sound[start : start + round(seconds * RATE)] += 0.3 * np.sin(np.arange(round(seconds * RATE)) * 0.2)
    return sound.astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two people with digits of their own pitch, one command word, ten sentences."""
    for person in ("ann", "bob"):
        for digit in range(10):
            path = tmp_path / "digits" / person / f"{digit}_00.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, burst(0.2 + digit / 50, 0.02, 0.05), RATE)
    (tmp_path / "words" / "stop").mkdir(parents=True)
    (tmp_path / "read_sentences").mkdir()
    for index in range(10):
        soundfile.write(tmp_path / "words" / "stop" / f"p{index}.flac", burst(0.3, 0.3, 0.4, hum=0.003), RATE)
        soundfile.write(tmp_path / "read_sentences" / f"s{index}.flac", burst(1.0, 0.1, 0.1), RATE)
    monkeypatch.setenv("MICROTURN_SPEECH", str(tmp_path))
    return tmp_path


def test_digits_come_from_the_person_and_the_rest_from_the_carrier(folder):
    said = Speaker(Voice(engine="recorded", name="bob", seed=3)).say(["what is two plus three"])
    assert said.text == "what is two plus three"
    two, three = said.words[2], said.words[4]
    assert two.end_s - two.start_s == pytest.approx(0.24, abs=0.012)
    assert three.end_s - three.start_s == pytest.approx(0.26, abs=0.012)
    inside = said.samples[round(two.start_s * RATE) + 400 : round(two.end_s * RATE) - 400]
    assert np.fft.rfftfreq(len(inside), 1 / RATE)[np.abs(np.fft.rfft(inside)).argmax()] == pytest.approx(0.2 * RATE / 2 / np.pi, abs=6)


def test_a_command_word_is_cut_out_of_its_noise(folder):
    said = recordings.word("stop", np.random.default_rng(0))
    assert said.words[0].end_s - said.words[0].start_s == pytest.approx(0.3, abs=0.02)
    assert said.duration_s < 0.35


def test_held_back_files_are_never_drawn_for_training(folder):
    drawn = {
        split: {recordings.sentence(np.random.default_rng(seed), split).voice for seed in range(200)}
        for split in ("train", "held_back", "all")
    }
    assert drawn["train"]
    assert drawn["held_back"]
    assert not drawn["train"] & drawn["held_back"]
    assert drawn["train"] | drawn["held_back"] == drawn["all"]
    assert len(drawn["all"]) == 10


def test_what_is_not_recorded_is_named(folder):
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="'ten' is not a digit word"):
        recordings.digit("ann", "ten", rng)
    with pytest.raises(InputError, match="nobody called 'eve'"):
        recordings.digit("eve", "one", rng)
    with pytest.raises(InputError, match="no recording of 'banana'"):
        recordings.word("banana", rng)
    with pytest.raises(InputError, match="split='both'"):
        recordings.sentence(rng, "both")
    with pytest.raises(SpeechError, match="MICROTURN_SPEECH"):
        recordings.meeting(rng)


def test_an_absent_folder_is_named_with_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROTURN_SPEECH", str(tmp_path / "nothing"))
    assert not recordings.recordings_available()
    with pytest.raises(SpeechError, match=r"nothing/digits; set MICROTURN_SPEECH"):
        Speaker(pick_voice("recorded", 0)).say(["one"])


@needs_recordings
@pytest.mark.recordings
def test_the_real_collection_speaks_every_digit_of_every_person():
    assert set(DIGIT_SPEAKERS) <= set(recordings.speakers())
    rng = np.random.default_rng(1)
    for person in DIGIT_SPEAKERS:
        for digit in recordings.DIGITS:
            said = recordings.digit(person, digit, rng)
            assert 0.08 < said.words[0].end_s - said.words[0].start_s < 0.9
            assert 0.03 < np.sqrt(np.mean(said.samples**2)) < 0.08
    assert Speaker(pick_voice("commands", 2)).say(["what is two plus three", 0.2, "stop"]).text == "what is two plus three stop"
    held, trained = (Speaker(replace(pick_voice(name, 2), seed=3)).say(["stop"]) for name in ("held-back", "commands"))
    assert held.text == trained.text == "stop"
    assert len(held.samples) != len(trained.samples)
    assert "stop" in recordings.words_of("held_back")
    assert set(recordings.words_of("held_back")) < set(recordings.words_of("train"))


@needs_recordings
@pytest.mark.recordings
def test_bystanders_may_be_people_held_back_from_training():
    report = evaluate(SilentAgent(), ["other_directed"], count=4, seed=2, bystanders="held_back")
    assert report.to_json()["config"]["bystanders"] == "held_back"
    trace = report.examples["other_directed"]
    assert trace.header.labels["bystanders"] == "held_back"
    assert any(
        isinstance(beat.sound, Passage) for seed in range(2, 6) for beat in build("other_directed", seed, recorded="held_back").beats
    )
    assert replay(trace, user="rebuilt").difference is None


def test_phones_are_matched_to_words_although_some_changed():
    phrase = ["w", "ah", "t", "ih", "z", "t", "ax", "p", "l", "ah", "s"]
    words = [["w", "ah", "t"], ["ih", "z"], ["t", "uw"], ["p", "l", "ah", "s"]]
    assert flite.first_phones(phrase, words) == [0, 3, 5, 7]
    assert flite.first_phones(["a", "b"], [["a"], ["x"], ["b"]]) == [0, 1, 1]


@needs_flite
@pytest.mark.flite
@pytest.mark.parametrize("name", FLITE_VOICES)
def test_flite_speaks_words_with_times(name):
    said = Speaker(Voice(engine="flite", name=name)).say(["what is two plus three"])
    assert said.text == "what is two plus three"
    for word in said.words:
        assert 0.04 < word.end_s - word.start_s < 0.6
        assert np.sqrt(np.mean(said.samples[round(word.start_s * RATE) : round(word.end_s * RATE)] ** 2)) > 0.015
    assert said.words[0].start_s < 0.03
    assert said.duration_s - said.words[-1].end_s < 0.03


def test_a_missing_flite_names_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SpeechError, match="Debian package `flite`"):
        flite.speak("awb", "a phrase that nobody has asked for yet")


@pytest.mark.skipif(not festival.festival_available(), reason="festival with ked_diphone is not installed")
def test_festival_fills_a_bank_in_one_run(tmp_path):
    bank = Bank(tmp_path / "bank.sqlite")
    voice = Voice(engine="festival", name="ked_diphone", rate_wpm=160)
    prepare(voice, ["one two", "stop", "one two"], bank)
    assert bank.count() == 2
    said = Speaker(voice, bank).say(["one two", 0.2, "stop"])
    assert said.text == "one two stop"
    assert 0.6 < said.duration_s < 2.0


@pytest.mark.skipif(not rhvoice.rhvoice_available(), reason="RHVoice with its English voices is not installed")
@pytest.mark.parametrize("name", rhvoice.VOICES)
def test_rhvoice_speaks_words_with_times_and_always_alike(name):
    slow, fast = (Speaker(Voice(engine="rhvoice", name=name, rate_wpm=rate, formant=1.1)) for rate in (140, 220))
    said = slow.say(["count to thirty please"])
    assert said.text == "count to thirty please"
    for word in said.words:
        assert 0.04 < word.end_s - word.start_s < 0.8
        assert np.sqrt(np.mean(said.samples[round(word.start_s * RATE) : round(word.end_s * RATE)] ** 2)) > 0.01
    assert fast.say(["count to thirty please"]).duration_s < 0.8 * said.duration_s
    again = rhvoice.speak(name, "count to thirty please", rhvoice.Manner(rate=1.3))
    assert np.array_equal(again.samples, rhvoice.speak(name, "count to thirty please", rhvoice.Manner(rate=1.3)).samples)


def test_rhvoice_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(rhvoice, "rhvoice_available", lambda: False)
    with pytest.raises(SpeechError, match="Debian packages rhvoice and rhvoice-english"):
        rhvoice.speak("CLB", "one", rhvoice.Manner())
    with pytest.raises(InputError, match="RHVoice voice 'SLT' is not used here"):
        rhvoice.speak("SLT", "one", rhvoice.Manner())


def test_festival_refuses_what_it_cannot_say():
    with pytest.raises(InputError, match="festival voice 'kal_diphone' is not known"):
        festival.speak("kal_diphone", ["one"], festival.Manner())


def test_only_festival_voices_are_prepared(tmp_path):
    with pytest.raises(InputError, match="needs no preparation"):
        prepare(pick_voice("train", 0), ["one"], Bank(tmp_path / "bank.sqlite"))
