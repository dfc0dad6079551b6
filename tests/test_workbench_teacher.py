"""The teacher of the agent's own voice says words as phones with times, and says so where it is not installed."""

import pytest

from workbench.errors import SpeechError
from workbench.flite import flite_available
from workbench.teacher import RELEASE_S, TEACHER, taught_within, teach
from workbench.utterance import RATE, frame_rms
from workbench.voices import VOICE_SETS, pick_voice

with_flite = pytest.mark.skipif(not flite_available(), reason="flite is not installed; install the Debian package `flite`")


@pytest.mark.flite
@with_flite
def test_a_word_begins_with_its_first_phone_and_is_as_long_as_its_phones():
    taught = teach("seven")
    assert [phone for phone, _ in taught.phones] == ["s", "eh", "v", "ax", "n"]
    assert list(taught.phones) == sorted(taught.phones, key=lambda pair: pair[1])
    assert len(taught.samples) == pytest.approx((taught.spoken_s + RELEASE_S) * RATE, abs=2)
    levels = frame_rms(taught.samples, RATE)
    assert levels[:8].max() > 0.1 * levels.max()
    assert taught.samples.tolist() == teach("seven").samples.tolist()


@pytest.mark.flite
@with_flite
def test_words_are_spelled_where_they_would_be_misread_and_hurried_where_they_are_long():
    assert [phone for phone, _ in teach("mhm").phones] == ["m", "hh", "ah", "m"]
    assert [phone for phone, _ in teach("días").phones] == ["d", "iy", "aa", "s"]
    assert [phone for phone, _ in teach("rojo", phones="r ow1 hh ow0").phones] == ["r", "ow", "hh", "ow"]
    assert teach("twenty-seven").spoken_s > 0.525
    assert taught_within("twenty-seven", 0.525).spoken_s <= 0.525
    assert taught_within("two", 0.525).phones == teach("two").phones
    with pytest.raises(SpeechError, match=r"flite reads no phones in '\.'"):
        teach(".")


def test_without_the_program_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SpeechError, match=r"voice 'slt' needs the program flite, which is not installed"):
        teach("seven")


@pytest.mark.parametrize("name", VOICE_SETS)
def test_no_user_of_any_set_has_the_agents_voice(name):
    users = {pick_voice(name, seed).name.lower() for seed in range(300)}
    assert users
    assert TEACHER not in users
