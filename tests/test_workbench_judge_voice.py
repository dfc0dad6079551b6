"""The judging of voices: a flow-matching voice in another number of steps and with other noise, and no such choice for any other."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import save_voice
from model.flow import RegressionConfig
from model.voice import Voice
from tests.voice_fakes import TINY, TINY_FLOW, tiny_voice
from workbench.errors import InputError
from workbench.neural.own_voice import spoken

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def judge_voice(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("judge_voice")


def flowing() -> Voice:
    return tiny_voice(["one"], TINY_FLOW)


def test_a_flow_voice_is_sampled_in_other_steps_and_with_other_noise_from_the_same_weights(judge_voice):
    voice = flowing()
    other = judge_voice.sampled(voice, 4, 0.0)
    head = other.config.speech.head
    assert (head.steps, head.noise_scale, head.stack) == (4, 0.0, TINY)
    assert all(np.array_equal(value, other.state_dict()[name]) for name, value in voice.state_dict().items())
    assert (voice.config.speech.head.steps, voice.config.speech.head.noise_scale) == (2, 1.0), "the voice at hand stays as it was"
    assert np.array_equal(spoken(other, ["one"], seed=1), spoken(other, ["one"], seed=2)), "without noise no seed matters"
    assert not np.array_equal(spoken(other, ["one"]), spoken(voice, ["one"]))


def test_what_is_not_asked_for_stays_as_the_voice_has_it(judge_voice):
    voice = flowing()
    assert judge_voice.sampled(voice, None, None) is voice
    head = judge_voice.sampled(voice, 1, None).config.speech.head
    assert (head.steps, head.noise_scale) == (1, 1.0)


def test_a_regression_voice_has_no_steps_and_no_noise(judge_voice):
    voice = tiny_voice(["one"], RegressionConfig(stack=TINY))
    assert judge_voice.sampled(voice, None, None) is voice
    for steps, noise in ((4, None), (None, 0.0)):
        with pytest.raises(InputError, match="regression head, which has neither Euler steps nor noise; leave --steps and --noise out"):
            judge_voice.sampled(voice, steps, noise)


def test_the_command_line_refuses_what_cannot_be_sampled(judge_voice, monkeypatch, capsys, tmp_path):
    save_voice(tmp_path / "flow.safetensors", flowing(), {})
    for arguments, message in (
        (["--steps", "2"], "voice voice: it has a regression head"),
        (["--voice", str(tmp_path / "flow.safetensors"), "--steps", "0"], "steps=0 must be at least 1"),
        (["--voice", str(tmp_path / "flow.safetensors"), "--noise", "nan"], "noise_scale=nan must be 0 or more"),
    ):
        monkeypatch.setattr(sys, "argv", ["judge_voice.py", *arguments])
        with pytest.raises(SystemExit):
            judge_voice.main()
        assert message in capsys.readouterr().err
