"""The recipe of the voice: the teacher's words on the frame grid, a voice trained from them, and a checkpoint that gets it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from model.checkpoint import fresh_model, load_voice, save_checkpoint, save_voice
from model.config import DenseConfig
from model.flow import FlowConfig
from model.plan import RELEASE_FRAMES
from model.vocoder import VocoderConfig
from model.voice import VoiceState, missing_words
from tests.model_fakes import tiny_config
from tests.voice_fakes import tiny_voice
from workbench.cli import main
from workbench.errors import CheckpointError, InputError
from workbench.neural import VoiceRecipe, load_agent, train_voice, vocabulary
from workbench.neural.cells import unpacked
from workbench.neural.own_voice import OwnVoice, voice_of
from workbench.neural.recipe import conversation, conversations_folder
from workbench.neural.voice import HOP, LONGEST_FRAMES, lexicon_of, line_of, pronounced
from workbench.scenarios.world import AGENT_WORDS
from workbench.teacher import RELEASE_S, Taught
from workbench.utterance import RATE

WORDS = ("one", "okay", "now")
RECIPE = VoiceRecipe(minutes=0.002, agent_words=WORDS, other_words=("zebra", "boat"), stretches=(1.0, 0.8), hold_out=2, pairs=4, rows=2)


def microturn(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def hummed(word: str, longest_s: float, stretch: float = 1.0) -> Taught:
    """A stand-in for the teacher: a hum with a pitch of its own for every word, a phone for every letter."""
    ends = [min(0.1 * stretch * (i + 1), longest_s) for i in range(len(word[:4]))]
    at = np.arange(round((ends[-1] + RELEASE_S) * RATE)) / RATE
    hz = 120 + 20 * len(word)
    sound = sum(np.sin(2 * np.pi * k * hz * at) / k for k in range(1, 9))
    return Taught(word, (0.05 * sound).astype(np.float32), tuple(zip(word[:4], ends, strict=True)))


def test_the_shipped_voice_says_every_word_of_the_agent_at_the_level_of_speech():
    voice = voice_of("voice")
    assert not missing_words(voice, AGENT_WORDS)
    state = voice.say(voice.say(VoiceState(), "twenty-seven"), "okay")
    sound_S, began, _ = voice.speak(state, state.frames_left)
    assert [b.word for b in began] == ["twenty-seven", "okay"]
    assert 0.02 < float(sound_S.square().mean().sqrt()) < 0.2
    assert float(sound_S.abs().max()) < 1.0


def test_words_in_a_line_begin_on_their_frames_and_the_last_rings_out():
    one, now = hummed("one", 1.0), hummed("now", 1.0)
    line = line_of([one, now])
    first, second = (pronounced(each) for each in (one, now))
    assert first.frames == (8, 8, 8)
    assert line.words == (first, second)
    assert len(line.audio_S) == line.num_frames * HOP == (48 + RELEASE_FRAMES) * HOP
    assert line.audio_S[24 * HOP - 1].abs() < 0.02
    assert torch.equal(line.audio_S[24 * HOP :], line_of([now]).audio_S)
    assert not line.audio_S[-100:].any()
    lexicon = lexicon_of([one, now])
    assert lexicon.phones == ("e", "n", "o", "w")
    assert len(line.plan(lexicon)) == line.num_frames


def test_every_word_of_the_agent_is_taught_and_fits_a_counting_pace():
    recipe = VoiceRecipe()
    assert set(AGENT_WORDS) <= set(recipe.words)
    assert not any(recipe.is_held_out(word) for word in AGENT_WORDS)
    assert 20 <= sum(recipe.is_held_out(word) for word in recipe.words) <= 60
    assert (LONGEST_FRAMES + RELEASE_FRAMES) * HOP / RATE < 0.6
    assert VocoderConfig().sample_rate == RATE


@pytest.mark.parametrize("head", ["regression", "flow"])
def test_a_voice_is_trained_kept_and_trained_on(tmp_path, head):
    asked: list[str] = []

    def teach(word: str, longest_s: float, stretch: float) -> Taught:
        asked.append(word)
        return hummed(word, longest_s, stretch)

    rows: list[dict] = []
    recipe = replace(RECIPE, head=head)
    path = train_voice(recipe, tmp_path, report=rows.append, teach=teach)
    assert asked == [*recipe.words, *recipe.words]
    voice = load_voice(path)
    assert set(voice.lexicon.words) == set(recipe.words)
    sound, began, _ = voice.speak(voice.say(VoiceState(), "okay"), 16)
    assert sound.abs().max() > 0
    assert [b.word for b in began] == ["okay"]
    assert set(rows[-1]["scores"]) == {"distance to the teacher, agent words", "distance to the teacher, held out words"}
    before = torch.load(tmp_path / "head.pt", weights_only=True)["steps"]
    train_voice(replace(recipe, minutes=0.004), tmp_path, resume=True, report=rows.append, teach=teach)
    assert len(asked) == 2 * len(recipe.words)
    assert torch.load(tmp_path / "head.pt", weights_only=True)["steps"] >= before
    with pytest.raises(InputError, match=r"vocoder\.pt exists; give another --out, --resume to go on from it, or --overwrite"):
        train_voice(recipe, tmp_path, teach=teach)
    assert torch.load(tmp_path / "head.pt", weights_only=True)["steps"] >= before
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = {"regression": "flow", "flow": "regression"}[head]
    with pytest.raises(CheckpointError, match=r"vocoder\.pt is of another model \(head is '\w+' there and '\w+' here; .* begin anew"):
        train_voice(replace(recipe, head=other), tmp_path, resume=True, teach=teach)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == written
    (tmp_path / "head.pt").write_bytes(written["head.pt"][:1000])
    with pytest.raises(CheckpointError, match=r"head\.pt cannot be read \(.*\), so it cannot be resumed from; give another --out"):
        train_voice(recipe, tmp_path, resume=True, teach=teach)
    train_voice(replace(recipe, agent_words=("one",)), tmp_path, overwrite=True, report=rows.append, teach=teach)
    assert len(asked) > 2 * len(recipe.words)


def test_the_command_trains_a_voice_and_puts_it_into_a_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("workbench.neural.voice.taught_within", lambda word, longest_s, stretch: hummed(word, longest_s, stretch))
    few = partial(VoiceRecipe, other_words=("zebra", "boat"), stretches=(1.0,), hold_out=2, pairs=4)
    monkeypatch.setattr("workbench.neural.VoiceRecipe", few)
    words = replace(vocabulary(), agent_words=(*vocabulary().agent_words, "kilowatt"))  # a model of another world than this one
    config = replace(tiny_config(DenseConfig(hidden=48)), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard))
    save_checkpoint(tmp_path / "mute.safetensors", fresh_model(config, 0), words, {})
    out = tmp_path / "out"
    assert microturn("train", "--part", "voice", "--minutes", 0.002, "--from", tmp_path / "mute.safetensors", "--out", out) == 0
    assert "voice.safetensors" in capsys.readouterr().out
    assert isinstance(load_agent(out / "mute.safetensors").mouth.out, OwnVoice), "it can say every word that the model knows"
    assert not isinstance(load_agent(tmp_path / "mute.safetensors").mouth.out, OwnVoice)
    assert microturn("train", "--part", "voice", "--head", "flow", "--minutes", 0.002, "--out", tmp_path / "flow") == 0
    assert isinstance(voice_of(str(tmp_path / "flow" / "voice.safetensors")).config.speech.head, FlowConfig)
    assert microturn("train", "--part", "nose", "--out", out) == 2
    assert "no part 'nose' to train; there is model, voice" in capsys.readouterr().err


def test_a_change_of_the_scenarios_begins_conversations_anew(monkeypatch):
    before = conversations_folder({"answer": 1.0})
    monkeypatch.setattr("workbench.neural.recipe.conversing_code", lambda: "another")
    assert conversations_folder({"answer": 1.0}) != before


def test_training_conversations_are_heard_in_the_voice_they_are_spoken_with(tmp_path):
    save_voice(tmp_path / "voice.safetensors", tiny_voice(AGENT_WORDS), {})
    own, synthesised = (unpacked(conversation(3, "espeak", (), {"answer": 1.0}, v)) for v in (str(tmp_path / "voice.safetensors"), ""))
    assert own.own_present.any()
    assert synthesised.own_present.any()
    assert not np.array_equal(own.own_level, synthesised.own_level)
    folders = {conversations_folder({"answer": 1.0}, voice) for voice in ("", str(tmp_path / "voice.safetensors"))}
    assert len(folders) == 2
    with pytest.raises(InputError, match=r"no voice to be had from none.safetensors .*microturn train --part voice"):
        conversation(3, "espeak", (), {"answer": 1.0}, "none.safetensors")
