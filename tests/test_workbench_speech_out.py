import numpy as np
import pytest

from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.voice_out import LONGEST_WORD_S, SpeechOut, SpeechState

CLOCK = ClockSpec()
TICK = CLOCK.samples_per_tick
OUT = SpeechOut()


def drain(state, ticks):
    sounds, started = [], []
    for _ in range(ticks):
        pulled = OUT.pull(state, TICK)
        state = pulled.state
        sounds.append(pulled.audio)
        started += pulled.started
    return np.concatenate(sounds), started, state


def test_a_word_sounds_from_the_first_sample_of_the_pull_and_is_played_whole():
    sound, started, state = drain(OUT.say(SpeechState(), "seven"), 4)
    word = OUT.sound("seven")
    np.testing.assert_array_equal(sound[: len(word)], word)
    assert not sound[len(word) :].any()
    assert [(w.word, w.start_s) for w in started] == [("seven", 0.0)]
    assert started[0].end_s == pytest.approx(len(word) / CLOCK.sample_rate)
    assert not state.speaking


def test_a_word_waits_for_the_one_before_it():
    state = OUT.say(OUT.say(SpeechState(), "one"), "two")
    sound, started, _ = drain(state, 5)
    one, two = OUT.sound("one"), OUT.sound("two")
    np.testing.assert_array_equal(sound[: len(one) + len(two)], np.concatenate([one, two]))
    assert started[1].start_s == pytest.approx(started[0].end_s)


def test_times_count_from_the_first_pull():
    _, _, state = drain(SpeechState(), 3)
    _, started, _ = drain(OUT.say(state, "now"), 3)
    assert started[0].start_s == pytest.approx(0.6)


def test_a_cut_fades_within_ten_milliseconds_and_drops_the_rest():
    _, _, state = drain(OUT.say(OUT.say(SpeechState(), "seven"), "eight"), 1)
    assert state.pending_s > 0.2
    sound, started, after = drain(OUT.cut(state), 3)
    fade = round(0.010 * CLOCK.sample_rate)
    assert np.abs(sound[:fade]).max() > 0
    assert not sound[fade:].any()
    assert started == []
    assert not after.speaking
    assert OUT.cut(SpeechState()) == SpeechState()


def test_a_word_can_follow_a_cut():
    _, _, state = drain(OUT.say(SpeechState(), "seven"), 1)
    sound, started, _ = drain(OUT.say(OUT.cut(state), "no"), 4)
    fade = round(0.010 * CLOCK.sample_rate)
    np.testing.assert_array_equal(sound[fade : fade + len(OUT.sound("no"))], OUT.sound("no"))
    assert started[0].start_s == pytest.approx(0.2 + 0.010)


def test_a_state_can_be_gone_back_to():
    _, _, state = drain(OUT.say(SpeechState(), "thirteen"), 1)
    first, second = drain(state, 3)[0], drain(state, 3)[0]
    np.testing.assert_array_equal(first, second)


def test_pulling_in_other_portions_gives_the_same_sound():
    state = OUT.say(OUT.say(SpeechState(), "four"), "five")
    whole = OUT.pull(state, 4 * TICK)
    pieces = []
    for _ in range(40):
        pulled = OUT.pull(state, TICK // 10)
        state = pulled.state
        pieces.append(pulled.audio)
    np.testing.assert_array_equal(np.concatenate(pieces), whole.audio)


def test_every_number_word_fits_the_counting_pace():
    ones = (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    )
    for word in f"{ones} twenty thirty now twenty-seven".split():
        sound = OUT.sound(word)
        assert 0.1 < len(sound) / CLOCK.sample_rate <= LONGEST_WORD_S, word
        assert np.abs(sound).max() > 0.1


def test_another_sample_rate_is_refused():
    with pytest.raises(InputError, match="sample_rate=8000"):
        SpeechOut(clock=ClockSpec(sample_rate=8000))
