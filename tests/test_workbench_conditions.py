"""Conditions as text: what they replace, that they come back from their text, and that a run under one replays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.scenario_fakes import Tones, one_voice
from workbench.acoustics import Acoustics
from workbench.agents import OracleAgent, SilentAgent
from workbench.channel import CLEAR, Channel, Echo, Jitter, Loss, sample_channel
from workbench.conditions import AS_DRAWN, Condition, parse_condition
from workbench.conversations import converse
from workbench.errors import InputError
from workbench.evaluate import evaluate
from workbench.packets import USER_AUDIO
from workbench.replay import rebuild
from workbench.scenarios import build
from workbench.session import Session
from workbench.trace import Trace, record
from workbench.users import ScriptedUser

EVERY = {
    "snr:10": Condition(noise=("babble", 10.0)),
    "snr:0:pink": Condition(noise=("pink", 0.0)),
    "band:3400": Condition(band_hz=(300.0, 3400.0)),
    "room:0.5": Condition(rt60_s=0.5),
    "loss:5": Condition(channel=Channel(loss=Loss(percent=5, burst=2.0))),
    "loss:1:4+conceal:silence": Condition(channel=Channel(loss=Loss(percent=1, burst=4.0), conceal="silence")),
    "jitter:120": Condition(channel=Channel(jitter=Jitter(spread_ms=120, buffer_ms=120))),
    "jitter:120:60": Condition(channel=Channel(jitter=Jitter(spread_ms=120, buffer_ms=60))),
    "echo:-20": Condition(channel=Channel(echo=Echo(level_db=-20.0, delay_ms=60, rt60_s=0.25))),
    "echo:-12:90:0": Condition(channel=Channel(echo=Echo(level_db=-12.0, delay_ms=90, rt60_s=0.0))),
    "": AS_DRAWN,
}


@pytest.mark.parametrize(("text", "condition"), EVERY.items(), ids=EVERY)
def test_a_text_says_a_condition_and_a_condition_its_text(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition
    assert parse_condition(str(condition)) == condition


def test_conditions_are_joined_by_a_plus() -> None:
    joined = parse_condition("snr:10+loss:5+echo:-20")
    assert (joined.noise, joined.channel.loss, joined.channel.echo) == (("babble", 10.0), Loss(percent=5), Echo(level_db=-20.0))
    assert parse_condition(str(joined)) == joined


def test_every_drawn_channel_comes_back_from_its_text() -> None:
    for seed in range(300):
        drawn = Condition(channel=sample_channel(np.random.default_rng(seed), 1.0))
        assert parse_condition(str(drawn)) == drawn


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wind:3", "condition 'wind:3' is none; give snr:10"),
        ("snr", "condition 'snr' is none"),
        ("band:3400:7", "condition 'band:3400:7' is none"),
        ("loss:many", "'many' is no number"),
        ("loss:80", "give 0 to 50 %"),
        ("snr:5:traffic", "no noise kind 'traffic'"),
        ("band:100", "band_hz="),
        ("conceal:hum", "no way 'hum' to conceal"),
    ],
)
def test_a_text_that_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_condition(text)


def test_a_condition_replaces_what_it_names_and_leaves_the_rest_as_drawn() -> None:
    script = build("answer", 11, difficulty=0.5, pick=one_voice)
    noisy = parse_condition("snr:3").on(script)
    assert noisy.acoustics == Acoustics(**{**vars(script.acoustics), "noises": (("babble", 3.0),)})
    assert (noisy.beats, noisy.voices, noisy.channel) == (script.beats, script.voices, CLEAR)
    assert noisy.labels == {**script.labels, "condition": "snr:3:babble"}
    assert AS_DRAWN.on(script) is script


def played(condition: str, ticks: int = 15) -> Trace:
    user = ScriptedUser(parse_condition(condition).on(build("answer", 11, voices="unseen")))
    session = Session.start([user, SilentAgent()], seed=11)
    trace = record(session, labels=dict(user.script.labels))
    session.run(ticks)
    return trace


def test_a_user_under_a_condition_is_rebuilt_from_its_trace() -> None:
    trace = played("snr:10+loss:10+jitter:40")
    again = record(session := rebuild(trace, user="rebuilt"))
    session.run(len(trace))
    np.testing.assert_array_equal(again.audio(USER_AUDIO), trace.audio(USER_AUDIO))
    assert np.abs(trace.audio(USER_AUDIO) - played("").audio(USER_AUDIO)).max() > 0.01


def test_a_telephone_band_leaves_no_energy_above_it() -> None:
    def above_5_khz(condition: str) -> float:
        heard = played(condition).audio(USER_AUDIO)
        power, hz = np.abs(np.fft.rfft(heard)) ** 2, np.fft.rfftfreq(len(heard), 1 / 16_000)
        return float(power[hz > 5000].sum() / power.sum())

    assert above_5_khz("snr:10:white+band:3400") < 0.001 < above_5_khz("snr:10:white")


def test_an_evaluation_says_under_which_condition_it_was_made(tmp_path: Path) -> None:
    report = evaluate(
        OracleAgent(),
        ["answer"],
        "train",
        count=2,
        condition=parse_condition("loss:10"),
        keep=tmp_path,
        pick=one_voice,
        speaker_of=Tones,
    )
    assert report.to_json()["config"]["condition"] == "loss:10:2"
    assert report.to_json()["mean_both"] == 1.0


def test_training_conversations_are_sometimes_heard_over_a_channel_and_say_the_same_words() -> None:
    numbers = range(40)
    labels = [converse(number, seconds=0.4).header.labels for number in numbers]
    with_channel = [number for number in numbers if "condition" in labels[number]]
    assert 6 <= len(with_channel) <= 24
    assert converse(with_channel[0], seconds=2.0).header.participants["user"]["condition"]
