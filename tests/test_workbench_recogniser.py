"""The independent recogniser, and what it makes of the agent's own voice."""

import jiwer
import numpy as np
import pytest

from workbench.acoustics import border_flux
from workbench.errors import InputError
from workbench.flite import flite_available
from workbench.neural.own_voice import spoken, voice_of
from workbench.neural.voice import HOP, LONGEST_FRAMES, line_of
from workbench.recogniser import Recogniser, arpabet
from workbench.scenarios.world import AGENT_WORDS
from workbench.teacher import taught_within
from workbench.utterance import RATE


@pytest.fixture(scope="module")
def voice():
    found = voice_of("voice")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def judge(voice):
    return Recogniser({word: voice.lexicon[word].phones for word in AGENT_WORDS})


def test_phones_of_any_voice_become_those_of_the_dictionary():
    assert arpabet(["w", "ax", "N", "ah1"]) == "W AH N AH"


def test_the_own_voice_is_understood_by_a_recogniser_that_never_heard_it(voice, judge):
    rng = np.random.default_rng(5)
    lines = [list(rng.permutation(AGENT_WORDS)[:3]) for _ in range(30)]
    truth = [" ".join(judge.alike(line)) for line in lines]
    heard = [" ".join(judge.hear(spoken(voice, line))) for line in lines]
    assert jiwer.wer(truth, heard) < 0.2


@pytest.mark.flite
@pytest.mark.skipif(not flite_available(), reason="flite is not installed; install the Debian package `flite`")
def test_it_is_understood_within_ten_points_of_the_voice_it_learned_from(voice, judge):
    def source(words):
        return line_of([taught_within(word, LONGEST_FRAMES * HOP / RATE) for word in words]).audio_S.numpy()

    rng = np.random.default_rng(11)
    lines = [[str(word) for word in rng.choice(AGENT_WORDS, size=rng.integers(1, 6))] for _ in range(40)]
    truth = [" ".join(judge.alike(line)) for line in lines]
    own, taught = (jiwer.wer(truth, [" ".join(judge.hear(say(line))) for line in lines]) for say in (lambda w: spoken(voice, w), source))
    assert own <= taught + 0.1, (own, taught)


def test_no_click_at_the_borders_of_cells(voice):
    rng = np.random.default_rng(6)
    flux = [border_flux(spoken(voice, list(rng.permutation(AGENT_WORDS)[:3])), RATE // 5) for _ in range(60)]
    border, inside = (np.concatenate(part) for part in zip(*flux, strict=True))
    assert len(border) > 200
    assert border.mean() < 1.1 * inside.mean()


def test_a_click_at_the_borders_would_show():
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)).astype(np.float32)
    clicks = tone.copy()
    clicks[:: RATE // 5] += 0.5
    border, inside = border_flux(clicks, RATE // 5)
    assert border.mean() > 2 * inside.mean()
    assert border_flux(tone, RATE // 5)[0].mean() < 1.1 * border_flux(tone, RATE // 5)[1].mean() + 0.02


def test_words_in_another_order_are_not_taken_for_the_same(voice, judge):
    assert judge.hear(spoken(voice, ["green", "seven"])) == ("green", "seven")
    assert judge.hear(spoken(voice, ["seven", "green"])) == ("seven", "green")


def test_silence_has_no_words(judge):
    assert judge.hear(np.zeros(RATE, np.float32)) == ()


def test_words_that_sound_alike_count_as_one():
    judge = Recogniser({"to": ["t", "uw1"], "two": ["t", "uw"], "red": ["r", "eh", "d"]})
    assert judge.alike(["two", "red", "to"]) == ["to", "red", "to"]
    with pytest.raises(InputError, match="not told how to hear blue"):
        judge.alike(["blue"])


def test_phones_that_it_does_not_know_are_refused():
    with pytest.raises(InputError, match="39 phones of CMUdict"):
        Recogniser({"odd": ["qq"]})
