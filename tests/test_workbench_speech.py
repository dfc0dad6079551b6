import numpy as np
import pytest

from workbench.bank import Bank
from workbench.errors import InputError, SpeechError
from workbench.espeak import Manner, speak, variants, word_starts
from workbench.speech import AGENT_VOICE, Speaker, Voice, pick_voice, speaker
from workbench.utterance import RATE, SPEECH_RMS, Utterance, Word, join, trim
from workbench.voices import UNSEEN_ACCENT, split_variants

PLAIN = Voice(engine="espeak", name="en-us")
QUESTION = "what is two plus three"


def level(samples, start_s, end_s):
    return float(np.sqrt(np.mean(samples[round(start_s * RATE) : round(end_s * RATE)] ** 2)))


def dominant_hz(samples, low, high):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    inside = (hz > low) & (hz < high)
    return float(np.sum(hz[inside] * spectrum[inside] ** 2) / np.sum(spectrum[inside] ** 2))


def test_every_word_comes_back_in_order_with_times_inside_the_sound():
    for seed in range(12):
        for set_name in ("train", "unseen"):
            said = speaker(pick_voice(set_name, seed)).say(["is it a lot of the time", 0.2, QUESTION])
            assert said.text == f"is it a lot of the time {QUESTION}"
            edges = [edge for word in said.words for edge in (word.start_s, word.end_s)]
            assert edges == sorted(edges), said.voice
            assert edges[0] >= 0
            assert edges[-1] <= said.duration_s


def test_word_times_enclose_the_energy_and_a_pause_is_silent():
    said = Speaker(PLAIN).say(["five", 0.3, "six", 0.4, "stop"])
    five, six, stop = said.words
    for word in said.words:
        assert level(said.samples, word.start_s, word.end_s) > 0.02
    assert level(said.samples, five.end_s + 0.02, six.start_s - 0.02) < 1e-4
    assert level(said.samples, six.end_s + 0.02, stop.start_s - 0.02) < 1e-4
    assert six.start_s - five.end_s == pytest.approx(0.3, abs=0.03)
    assert stop.start_s - six.end_s == pytest.approx(0.4, abs=0.03)
    assert said.duration_s - stop.end_s < 0.03


def test_the_start_of_a_word_in_running_speech_is_where_it_is_heard():
    said = Speaker(PLAIN).say(["no two no"])
    two = said.words[1]
    assert level(said.samples, two.start_s, two.start_s + 0.03) > 3 * level(said.samples, two.start_s - 0.03, two.start_s - 0.005)


def test_punctuation_is_heard_but_not_part_of_the_words():
    said = Speaker(PLAIN).phrase("Wait , what is five, NO, six?")
    assert [word.word for word in said.words] == ["wait", "what", "is", "five", "no", "six"]


def test_the_same_phrase_is_the_same_sound_whatever_was_spoken_before():
    first = speak("en-us+Andy", QUESTION, Manner(rate_wpm=190))
    speak("en+m3", "something else", Manner())
    again = speak("en-us+Andy", QUESTION, Manner(rate_wpm=190))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.starts == again.starts


def test_rate_changes_tempo_and_formant_changes_resonances_only():
    plain, fast, small = (
        Speaker(Voice(engine="espeak", name="en-us", **change)).phrase(QUESTION) for change in ({}, {"rate_wpm": 240}, {"formant": 1.2})
    )
    assert fast.duration_s < 0.85 * plain.duration_s
    assert small.duration_s == pytest.approx(plain.duration_s, rel=0.05)

    def upper_resonances(said):
        word = said.words[-1]  # the vowel of "three" has its second to fourth formant between 1.6 and 4.5 kHz
        return dominant_hz(said.samples[round((word.start_s + 0.15) * RATE) : round(word.end_s * RATE)], 1600, 4600)

    assert upper_resonances(small) / upper_resonances(plain) == pytest.approx(1.2, abs=0.08)


def test_every_voice_speaks_at_the_same_level():
    for seed in range(8):
        samples = speaker(pick_voice("train", seed)).phrase("three four five").samples
        assert SPEECH_RMS / 1.5 < level(samples, 0, len(samples) / RATE) <= SPEECH_RMS * 1.02
        assert np.abs(samples).max() < 1


def test_training_and_unseen_voices_share_no_variant_and_leave_the_agent_out():
    train, unseen = split_variants()
    assert len(train) > 40
    assert len(unseen) > 10
    assert not set(train) & set(unseen)
    drawn = {name: [pick_voice(name, seed).name.partition("+") for seed in range(400)] for name in ("train", "unseen")}
    trained, tested = ({variant for _, _, variant in voices} for voices in drawn.values())
    assert not trained & tested
    assert AGENT_VOICE.name.partition("+")[2] not in trained | tested
    assert UNSEEN_ACCENT not in {accent for accent, _, _ in drawn["train"]}
    assert UNSEEN_ACCENT in {accent for accent, _, _ in drawn["unseen"]}
    assert "" not in tested
    families = [{name.lower().rstrip("0123456789") for name in side if len(name) > 2} for side in (train, unseen)]
    assert not families[0] & families[1]


def test_a_voice_is_picked_by_its_number_and_labels_tell_voices_apart():
    assert pick_voice("train", 7) == pick_voice("train", 7)
    voices = {pick_voice("train", seed) for seed in range(200)}
    assert len(voices) > 190
    assert len({voice.label for voice in voices}) == len(voices)


def test_a_spliced_voice_speaks_words_apart():
    said = Speaker(Voice(engine="espeak", name="en-us", splice=True)).phrase("two plus three")
    gaps = [later.start_s - earlier.end_s for earlier, later in zip(said.words, said.words[1:], strict=False)]
    assert said.text == "two plus three"
    assert min(gaps) >= 0.03


def test_a_bank_gives_back_what_was_spoken_bit_for_bit(tmp_path):
    voice = Voice(engine="espeak", name="en-us", rate_wpm=201)
    spoken = Speaker(voice, Bank(tmp_path / "a.sqlite")).phrase(QUESTION)
    plain = Speaker(voice).phrase(QUESTION)
    stored = Bank(tmp_path / "a.sqlite").get(voice.label, QUESTION)
    assert stored is not None
    for other in (plain, stored):
        np.testing.assert_array_equal(spoken.samples, other.samples)
        assert spoken.words == other.words
    assert Bank(tmp_path / "a.sqlite").get(PLAIN.label, QUESTION) is None


def test_two_connections_can_write_one_bank_and_the_first_phrase_stays(tmp_path):
    first, second = Bank(tmp_path / "b.sqlite"), Bank(tmp_path / "b.sqlite")
    one = Utterance(np.full(10, 0.5, np.float32), (Word("one", 0.0, 0.1),), "v")
    other = Utterance(np.zeros(10, np.float32), (), "v")
    first.put("v", "one", one)
    second.put("v", "one", other)
    second.put("v", "two", other)
    assert first.count() == 2
    kept = second.get("v", "one")
    assert kept is not None
    assert kept.words == one.words
    np.testing.assert_allclose(kept.samples, 0.5, atol=1e-4)


def test_a_bank_that_cannot_be_opened_names_the_variable(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SpeechError, match="MICROTURN_CACHE"):
        Bank(tmp_path / "file" / "bank.sqlite").count()


def test_a_word_without_a_mark_is_placed_between_its_neighbours():
    assert word_starts("is a man", [(0, 100), (5, 700)], 1000) == (100, 500, 700)
    assert word_starts("one two", [], 600) == (0, 300)
    assert word_starts("a b c", [(0, 10), (2, 50), (4, 40)], 99) == (10, 50, 50)


def test_trim_keeps_ten_milliseconds_around_the_words():
    sound = np.zeros(RATE, np.float32)
    sound[4000:8000] = 0.1
    cut = trim(Utterance(sound, (Word("a", 0.25, 0.5),), "v"))
    assert len(cut.samples) == 4000 + 2 * 160
    assert cut.words == (Word("a", pytest.approx(0.01), pytest.approx(0.26)),)


def test_joined_phrases_fade_at_their_edges_and_shift_their_words():
    piece = Utterance(np.ones(1600, np.float32), (Word("a", 0.0, 0.1),), "v")
    both = join([piece, 0.5, piece], "v")
    assert len(both.samples) == 1600 + 8000 + 1600
    assert both.words[1] == Word("a", pytest.approx(0.6), pytest.approx(0.7))
    assert both.samples[0] == 0
    assert both.samples[1599] < 0.05
    assert both.samples[800] == 1


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (lambda: Speaker(PLAIN).say(["one", -0.1]), InputError, "pause of -0.1 s is negative"),
        (lambda: Speaker(PLAIN).say([" , "]), InputError, "no words to say"),
        (lambda: Speaker(Voice(engine="espeak", name="xx")).say(["one"]), SpeechError, "no voice 'xx'"),
        (lambda: Speaker(Voice(engine="espeak", name="en+nobody")).say(["one"]), SpeechError, "no variant 'nobody'"),
        (lambda: Voice(engine="espeak", name="en", formant=2.0), InputError, "formant=2.0 is outside"),
        (lambda: Manner(rate_wpm=20), InputError, "rate_wpm=20 is outside"),
        (lambda: Manner(pitch=120), InputError, "must be 0 to 99"),
        (lambda: pick_voice("martian", 0), InputError, "no voice set 'martian'"),
    ],
)
def test_a_mistake_is_named_with_its_rule(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_the_engine_brings_the_agents_variant():
    assert AGENT_VOICE.name.partition("+")[2] in variants()


def test_one_voice_of_a_set_can_be_named() -> None:
    assert {pick_voice("recorded:theo", seed).name for seed in range(8)} == {"theo"}
    assert pick_voice("flite:awb", 3).engine == "flite"
    with pytest.raises(InputError, match="'flite' has no voice 'slt'; it has awb, rms, kal16"):
        pick_voice("flite:slt", 0)
    with pytest.raises(InputError, match="only flite:NAME, recorded:NAME and learners:LANGUAGE"):
        pick_voice("train:bob", 0)
