"""The model's own voice: cells equal the whole, stopping is within a frame, and a voice travels with its checkpoint."""

from dataclasses import replace

import pytest
import torch

from model.checkpoint import fresh_model, load_checkpoint, load_voice, save_checkpoint, save_voice
from model.layout import Vocabulary
from model.plan import RELEASE_FRAMES
from model.voice import Voice, VoiceConfig, VoiceState, noise
from tests.model_fakes import NUM_TOKENS, tiny_config
from tests.voice_fakes import TINY_FLOW, tiny_voice, with_steps

CELL, HOP = 16, 200
WORD = 29 * HOP
RELEASE = RELEASE_FRAMES * HOP


def spoken(voice: Voice, state: VoiceState, frames: int, pieces: int = CELL, seed: int = 0):
    sounds, began = [], []
    for at in range(0, frames, pieces):
        sound, starts, state = voice.speak(state, min(pieces, frames - at), seed)
        sounds.append(sound)
        began += [(b.word, b.at_sample + at * HOP, b.num_samples) for b in starts]
    return torch.cat(sounds), began, state


@pytest.mark.parametrize("head", [None, TINY_FLOW], ids=["regression", "flow"])
def test_cells_of_sound_equal_the_whole(head):
    voice = tiny_voice(["one", "two"], head)
    start = voice.say(voice.say(VoiceState(), "one"), "two")
    whole, began, after = spoken(voice, start, 80, 80)
    cells, began_in_cells, after_cells = spoken(voice, start, 80)
    torch.testing.assert_close(cells, whole, rtol=0, atol=1e-5)
    assert began == began_in_cells == [("one", 0, WORD), ("two", WORD, WORD)]
    assert whole[: 2 * WORD].abs().max() > 0.01
    assert not whole[2 * WORD + RELEASE :].any()
    assert after == after_cells == VoiceState(frame=80)


def test_what_is_left_is_counted_in_frames():
    voice = tiny_voice(["one"])
    state = voice.say(VoiceState(), "one")
    assert state.frames_left == 29 + RELEASE_FRAMES
    _, _, state = voice.speak(state, CELL)
    assert state.frames_left == 13 + RELEASE_FRAMES
    _, _, state = voice.speak(state, 14)
    assert state.frames_left == RELEASE_FRAMES - 1
    assert state.sounding
    _, _, state = voice.speak(state, CELL)
    assert (state.frames_left, state.sounding) == (0, False)


def test_a_word_said_while_another_rings_out_begins_at_once_and_after_silence_from_nothing():
    voice = tiny_voice(["one", "two"])
    _, _, state = voice.speak(voice.say(VoiceState(), "one"), 30)
    _, began, _ = voice.speak(voice.say(state, "two"), CELL)
    assert [(b.word, b.at_sample) for b in began] == [("two", 0)]
    fresh, _, _ = spoken(voice, voice.say(VoiceState(), "two"), 48)
    _, _, silent = spoken(voice, voice.say(VoiceState(), "one"), 48)
    late, _, _ = spoken(voice, voice.say(silent, "two"), 48)
    assert torch.equal(fresh, late)


@pytest.mark.parametrize("frames", [5, 16, 29, 31], ids=["early", "cell border", "word end", "release"])
def test_stopping_ends_the_sound_within_a_frame(frames):
    voice = tiny_voice(["one", "two"])
    start = voice.say(VoiceState(), "one") if frames >= 29 else voice.say(voice.say(VoiceState(), "one"), "two")
    _, _, state = voice.speak(start, frames)
    went_on, _, _ = voice.speak(state, CELL)
    state = voice.stop(state)
    assert state.frames_left == 1
    sound, began, after = voice.speak(state, CELL)
    assert not sound[HOP:].any()
    torch.testing.assert_close(sound[:1], went_on[:1])
    assert sound[HOP - 1].abs() <= sound[:HOP].abs().max() / HOP + 1e-6
    assert (began, after.sounding, after.frame) == ((), False, frames + CELL)


def test_a_word_said_in_the_cell_of_a_stop_follows_the_fade():
    voice = tiny_voice(["one", "two"])
    _, _, state = voice.speak(voice.say(VoiceState(), "one"), 5)
    sound, began, after = voice.speak(voice.say(voice.stop(state), "two"), CELL)
    assert [(b.word, b.at_sample, b.num_samples) for b in began] == [("two", HOP, WORD)]
    alone, _, _ = voice.speak(voice.say(VoiceState(), "two"), CELL - 1)
    torch.testing.assert_close(sound[HOP:], alone)
    assert after.frames_left == 29 - 15 + RELEASE_FRAMES


def test_stopping_before_anything_sounds_drops_it_without_a_sound():
    voice = tiny_voice(["one"])
    state = voice.stop(voice.say(VoiceState(), "one"))
    assert state == VoiceState()
    assert not voice.speak(state, CELL)[0].any()


def test_noise_belongs_to_seed_and_frame_and_decides_a_drawn_voice():
    assert torch.equal(noise(7, 0, 20, 80)[12:], noise(7, 12, 8, 80))
    assert not torch.equal(noise(7, 0, 4, 80), noise(8, 0, 4, 80))
    assert not torch.equal(noise(7, 0, 4, 80), noise(7, 1, 4, 80))
    drawn = tiny_voice(["one"], TINY_FLOW)
    said = drawn.say(VoiceState(), "one")
    first, again, other = (drawn.speak(said, CELL, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    still = tiny_voice(["one"], replace(TINY_FLOW, noise_scale=0.0))
    assert torch.equal(*(still.speak(said, CELL, seed)[0] for seed in (1, 2)))


def test_steps_of_a_drawn_voice_are_a_setting():
    drawn = tiny_voice(["one"], TINY_FLOW)
    said = drawn.say(VoiceState(), "one")
    two, four = (with_steps(drawn, steps).speak(said, CELL)[0] for steps in (2, 4))
    assert torch.equal(two, drawn.speak(said, CELL)[0])
    assert not torch.equal(two, four)


def test_a_voice_is_kept_alone_or_with_its_checkpoint(tmp_path):
    voice = tiny_voice(["one", "two"], TINY_FLOW, cell_width=0)
    save_voice(tmp_path / "voice.safetensors", voice, {"steps": 3})
    alone = load_voice(tmp_path / "voice.safetensors")
    assert (alone.config, alone.lexicon) == (voice.config, voice.lexicon)
    model = fresh_model(tiny_config(), 0)
    words = Vocabulary(tuple("abcdefgh"[: NUM_TOKENS - 4]), ("stop", "one", "two", "no"))
    save_checkpoint(tmp_path / "both.safetensors", model, words, {}, alone)
    both = load_checkpoint(tmp_path / "both.safetensors")
    assert both.voice is not None
    said = voice.say(VoiceState(), "one")
    sounds = [v.speak(said, CELL)[0] for v in (alone, both.voice, load_voice(tmp_path / "both.safetensors"))]
    assert torch.equal(sounds[0], sounds[1])
    assert torch.equal(sounds[0], sounds[2])
    assert float((sounds[0] - voice.speak(said, CELL)[0]).abs().max()) < 0.02
    save_checkpoint(tmp_path / "mute.safetensors", model, words, {})
    assert load_checkpoint(tmp_path / "mute.safetensors").voice is None
    with pytest.raises(ValueError, match=r"mute.safetensors holds no voice; make one with `microturn train --part voice`"):
        load_voice(tmp_path / "mute.safetensors")


def test_words_and_parts_that_do_not_fit_are_refused():
    voice = tiny_voice(["one"])
    with pytest.raises(ValueError, match=r"no pronunciation of 'stop'"):
        voice.say(VoiceState(), "stop")
    with pytest.raises(ValueError, match=r"a head of 9 phones does not fit a lexicon of 4"):
        Voice(replace(voice.config, speech=replace(voice.config.speech, num_phones=9)), voice.lexicon)
    with pytest.raises(ValueError, match=r"40 mel bands cannot feed a vocoder of 80"):
        VoiceConfig(speech=replace(voice.config.speech, num_mel=40))
