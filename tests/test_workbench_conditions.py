"""Conditions as text: what they replace, that they come back from their text, and that a run under one replays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint, fresh_model
from model.data import collate
from model.dmel import DMel
from model.layout import NO_TOKEN, Kind
from tests.model_fakes import tiny_config
from tests.scenario_fakes import Tones, one_voice, play
from workbench.acoustics import Acoustics
from workbench.agents import OracleAgent, SilentAgent
from workbench.channel import CLEAR, Channel, Echo, Jitter, Loss, sample_channel
from workbench.conditions import AS_DRAWN, Condition, parse_condition
from workbench.conversations import converse
from workbench.errors import InputError
from workbench.evaluate import evaluate
from workbench.events import Decision, TruthExpect, TruthWord
from workbench.neural import NeuralAgent, cells_of, load_recipe, vocabulary
from workbench.packets import AGENT_TEXT, USER_AUDIO, USER_TEXT
from workbench.replay import rebuild
from workbench.scenarios import build
from workbench.scenarios.world import number_word
from workbench.scoring.false_starts import false_starts
from workbench.scoring.interaction import explain, outcomes
from workbench.session import Participant, Session
from workbench.spoken import TYPING, spoken_words
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
    "typed:60": Condition(typed=0.6),
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
        ("typed:150", "typed=1.5 is no share; give 0 to 1 here, 0 to 100 in a condition's text"),
        ("wind:3", "condition 'wind:3' is none; give snr:10"),
        ("snr", "condition 'snr' is none"),
        ("band:3400:7", "condition 'band:3400:7' is none"),
        ("loss:many", "'many' is no number"),
        ("loss:80", "give 0 to 50 %"),
        ("snr:5:traffic", "no noise kind 'traffic'"),
        ("snr:nan", "ratio of nan dB cannot be mixed; give -60 to 120 dB"),
        ("snr:-1e9", "ratio of -1e\\+09 dB cannot be mixed"),
        ("snr:inf:white", "white at a signal-to-noise ratio of inf dB"),
        ("room:nan", "rt60_s=nan is outside"),
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


def typing(family: str, seed: int, agent: Participant | None = None) -> Trace:
    """An episode in which everything that can be typed is typed."""
    return play(parse_condition("typed:100").on(build(family, seed, pick=one_voice)), agent)


NUMBERS = [number_word(n) for n in range(19)]
TYPED = ("answer", "think_pause", "self_correction", "invitation", "long_silence", "stop", "redirect", "impatient", "every_n", "disallowed")
ASKED = (  # in which requests are typed and the rest is heard or seen
    *("long_count", "timer", "new_question", "backchannel", "other_directed", "background", "bystander_order", "planted"),
    *("repetitions", "tell_when", "what_changed", "look_up", "meanwhile", "other_one", "call_off", "chart", "late_result"),
)
OPENED = ("listener", "cue_word", "user_mistake", "wrong_sum", "warning", "translate", "along")  # of which the opening is typed


@pytest.mark.parametrize("family", [*TYPED, *ASKED, *OPENED])
def test_the_oracle_is_right_and_in_time_when_the_user_types(family: str) -> None:
    for seed in range(3):
        trace = typing(family, seed)
        assert [explain(o) for o in outcomes(trace) if not o.both] == [], f"seed {seed}"
        assert sum(false_starts(trace).values()) == 0
        assert any(turn.text(USER_TEXT) for turn in trace.turns)


@pytest.mark.parametrize("family", OPENED)
def test_of_a_talk_its_opening_is_typed_and_the_rest_is_spoken_with_all_that_is_expected(family: str) -> None:
    for seed in range(3):
        spoken, written = play(build(family, seed, pick=one_voice)), typing(family, seed)
        (line,) = [turn.text(USER_TEXT) for turn in written.turns if turn.text(USER_TEXT)]
        words = [event.word for _, event in spoken.events(TruthWord)]
        assert line.split() == words[: len(line.split())]
        assert [event.word for _, event in written.events(TruthWord)] == words[len(line.split()) :]
        assert [outcome.wanted for outcome in outcomes(written)] == [outcome.wanted for outcome in outcomes(spoken)]


def test_speech_whose_length_is_asked_for_is_not_typed() -> None:
    for seed in range(3):
        trace = typing("how_long", seed)
        assert [turn.text(USER_TEXT) for turn in trace.turns if turn.text(USER_TEXT)] == []
        assert list(trace.events(TruthWord))


def test_who_types_a_statement_asks_about_it_in_the_same_line() -> None:
    trace = converse(4, "typed", seconds=12.0, weights={"invitation": 1.0})
    lines = [turn.text(USER_TEXT) for turn in trace.turns if turn.text(USER_TEXT)]
    verdicts = [turn.text(AGENT_TEXT) for turn in trace.turns if turn.text(AGENT_TEXT)]
    sums = [[NUMBERS.index(word) for word in line.split() if word in NUMBERS] for line in lines]
    assert ["yes" if a + b == told else "no" for a, b, told in sums] == verdicts != []


def test_a_request_that_is_typed_comes_whole_and_makes_no_sound() -> None:
    script = build("timer", 2, difficulty=0.0, pick=one_voice)
    trace = play(replace(Condition(typed=1.0).on(script), acoustics=Acoustics()), SilentAgent())
    (tick,) = [turn.tick for turn in trace.turns if turn.text(USER_TEXT)]
    assert trace.turns[tick].text(USER_TEXT) == " ".join(script.beats[0].words)
    assert not trace.audio(USER_AUDIO).any()
    assert list(trace.events(TruthWord)) == []
    ((at, expect),) = trace.events(TruthExpect)
    assert at == tick == int(expect.anchor_s / 0.2)
    assert [(word.speaker, word.text) for word in spoken_words(trace)] == [(TYPING, trace.turns[tick].text(USER_TEXT))]


def test_an_agent_takes_in_typed_words_as_it_does_spoken_ones() -> None:
    words = vocabulary()
    trace = typing("answer", 1)
    cells = cells_of(trace, words)
    for turn, row in zip(trace.turns[:-1], cells.typed[1:], strict=True):
        assert [words.heard[i] for i in row if i != NO_TOKEN] == turn.text(USER_TEXT).split()
    assert (cells.typed != NO_TOKEN).any()
    assert not cells.heard.any()
    config = replace(tiny_config(), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard))
    batch = collate([cells], replace(load_recipe("nano").batch, cells=len(cells)), DMel(), torch.Generator().manual_seed(0), config)
    assert (batch.cells.plan.kind_BP == Kind.TYPED).sum() == (cells.typed != NO_TOKEN).sum()
    agent = NeuralAgent(Checkpoint(fresh_model(config, 0).eval(), words, {}))
    (asked,) = [turn.tick for turn in trace.turns if turn.text(USER_TEXT)][:1]
    said = [[e.p_speak for _, e in heard.events(Decision)][: asked + 2] for heard in (typing("answer", 1, agent), muted(agent, 1))]
    assert said[0][:-1] == said[1][:-1]
    assert said[0][-1] != said[1][-1], "the cell after the text was sent has taken it in"


def muted(agent: Participant, seed: int) -> Trace:
    """The same episode with nothing typed and nothing said."""
    script = build("answer", seed, pick=one_voice)
    quiet = replace(parse_condition("typed:100").on(script), beats=())
    return play(quiet, agent)
