"""The channel between microphone and agent: what is lost, late or echoed, and that it comes out the same again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.scenario_fakes import Tones, play, script_of
from workbench.acoustics import Acoustics
from workbench.agents import OracleAgent, ScriptedAgent, SilentAgent
from workbench.channel import CLEAR, Channel, Echo, Jitter, Line, LineState, Loss, sample_channel
from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.packets import AGENT_AUDIO, USER_AUDIO, Audio
from workbench.scenarios.script import At, Beat, Script
from workbench.session import Session
from workbench.trace import record
from workbench.users import ScriptedUser

CLOCK = ClockSpec()
TICK, PACKET, RATE = CLOCK.samples_per_tick, 320, 16_000
QUIET = np.zeros(TICK, np.float32)


def noise(ticks: int, seed: int = 0) -> Audio:
    return (0.1 * np.random.default_rng(seed).standard_normal(ticks * TICK)).astype(np.float32)


def sent_through(channel: Channel, near: Audio, far: Audio | None = None, seed: int = 3, microphone: Acoustics | None = None) -> Audio:
    line, state, heard = Line(channel, microphone or Acoustics(), CLOCK, seed), LineState(), []
    for tick in range(len(near) // TICK):
        span = slice(tick * TICK, (tick + 1) * TICK)
        arrived, state = line.carry(state, tick, near[span], QUIET if far is None else far[span])
        heard.append(arrived)
    return np.concatenate(heard)


def lost_packets(channel: Channel, ticks: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which packets of a loud signal arrive as silence; the channel conceals nothing."""
    return ~np.abs(sent_through(channel, noise(ticks)).reshape(-1, PACKET)).max(1).astype(bool)


def test_a_clear_channel_gives_back_the_very_samples() -> None:
    near = noise(1)
    heard, state = Line(CLEAR, Acoustics(), CLOCK, 0).carry(LineState(), 0, near, near)
    assert heard is near
    assert state == LineState()


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("burst", [1.0, 3.0])
def test_losses_reach_their_share_in_bursts_of_their_length(rate: float, burst: float) -> None:
    lost = lost_packets(Channel(loss=Loss(percent=100 * rate, burst=burst), conceal="silence"), 2000)
    assert lost.mean() == pytest.approx(rate, rel=0.2)
    bursts = np.count_nonzero(np.diff(lost.astype(int)) == 1)
    assert lost.sum() / bursts == pytest.approx(max(burst, 1 / (1 - rate)), rel=0.2)


def test_a_lost_packet_is_silence_or_the_last_one_repeated_ever_weaker() -> None:
    near, loss = noise(50), Loss(percent=30, burst=3.0)
    silent = sent_through(Channel(loss=loss, conceal="silence"), near).reshape(-1, PACKET)
    repeated = sent_through(Channel(loss=loss), near).reshape(-1, PACKET)
    lost = ~np.abs(silent).max(1).astype(bool)
    assert lost.any()
    for place in np.flatnonzero(lost):
        np.testing.assert_array_equal(repeated[place], np.float32(0.5) * (repeated[place - 1] if place else 0 * repeated[0]))
    np.testing.assert_array_equal(repeated[~lost], near.reshape(-1, PACKET)[~lost])


def test_packets_late_within_the_buffer_are_heard_after_it_and_later_ones_are_dropped() -> None:
    near = noise(400)
    patient = sent_through(Channel(jitter=Jitter(spread_ms=40, buffer_ms=1000)), near)
    np.testing.assert_array_equal(patient[RATE:], near[:-RATE])
    assert not patient[:RATE].any()
    delay = round(0.06 * RATE)
    hasty = sent_through(Channel(jitter=Jitter(spread_ms=60, buffer_ms=60), conceal="silence"), near)[delay:].reshape(-1, PACKET // 2)
    dropped = ~np.abs(hasty).max(1).astype(bool)
    assert 0.03 < dropped.mean() < 0.12
    np.testing.assert_array_equal(hasty[~dropped], near[:-delay].reshape(-1, PACKET // 2)[~dropped])


def test_an_echo_is_delayed_and_attenuated_and_the_user_is_heard_over_it() -> None:
    far, near = noise(20, seed=1), 0.01 * noise(20, seed=2)
    echo = sent_through(Channel(echo=Echo(level_db=-20, delay_ms=75, rt60_s=0)), near, far) - near
    delay = round(0.075 * RATE)
    np.testing.assert_allclose(echo[delay:], 0.1 * far[:-delay], atol=1e-6)
    assert np.abs(echo[:delay]).max() < 1e-6


def test_an_echo_rings_on_in_its_room_after_the_agent_has_stopped() -> None:
    far = noise(10, seed=1)
    far[4 * TICK :] = 0
    ringing = sent_through(Channel(echo=Echo(level_db=-6, delay_ms=0, rt60_s=0.5)), 0 * far, far)[4 * TICK :]
    first, later = (np.sqrt(np.mean(ringing[at : at + 800] ** 2)) for at in (0, 4000))
    assert first > 1e-3
    assert 20 * np.log10(first / later) == pytest.approx(30, abs=6)  # 60 dB in 0.5 s is 30 dB in 0.25 s


def test_the_echo_comes_through_the_band_of_the_microphone() -> None:
    far = noise(20, seed=1)
    echo = sent_through(Channel(echo=Echo(level_db=0)), 0 * far, far, microphone=Acoustics(band_hz=(300.0, 3400.0)))
    power, hz = np.abs(np.fft.rfft(echo)) ** 2, np.fft.rfftfreq(len(echo), 1 / RATE)
    assert power[hz > 5000].sum() < 1e-3 * power.sum()


EVERYTHING = Channel(echo=Echo(level_db=-10), loss=Loss(percent=10), jitter=Jitter(spread_ms=40, buffer_ms=40))


def counted(channel: Channel) -> Script:
    return Script(**{**vars(script_of(Beat(("one two three",), At(0.5)), max_ticks=40)), "channel": channel})


def test_in_a_session_the_agent_hears_its_own_echo_one_micro_turn_and_the_delay_later() -> None:
    agent = ScriptedAgent(((8, ("seven",)),))
    trace = play(counted(Channel(echo=Echo(level_db=-20, delay_ms=50, rt60_s=0))), agent)
    said, heard = trace.audio(AGENT_AUDIO), trace.audio(USER_AUDIO)
    behind = TICK + round(0.05 * RATE)
    assert np.abs(said).max() > 0.01
    np.testing.assert_allclose(heard[8 * TICK + behind :], 0.1 * said[8 * TICK : len(said) - behind], atol=1e-5)


def test_a_session_over_a_bad_channel_replays_and_forks_bit_for_bit() -> None:
    def begun() -> Session:
        return Session.start([ScriptedUser(counted(EVERYTHING), speaker_of=Tones), ScriptedAgent(((3, ("seven",)),))], seed=4)

    whole, again = begun(), begun()
    first, second = record(whole), record(again)
    whole.run(20)
    again.run(9)
    fork = again.fork(sinks=(later := record(begun()),))
    again.run(11)
    fork.run(11)
    np.testing.assert_array_equal(first.audio(USER_AUDIO), second.audio(USER_AUDIO))
    np.testing.assert_array_equal(later.audio(USER_AUDIO), first.audio(USER_AUDIO)[9 * TICK :])
    other = play(counted(EVERYTHING), SilentAgent())
    assert np.abs(other.audio(USER_AUDIO) - play(counted(CLEAR), SilentAgent()).audio(USER_AUDIO)).max() > 0.01


def test_the_truth_does_not_depend_on_the_channel() -> None:
    bad, clear = play(counted(EVERYTHING), OracleAgent()), play(counted(CLEAR), OracleAgent())
    assert [turn.events for turn in bad.turns] == [turn.events for turn in clear.turns]


def test_drawn_channels_follow_the_difficulty() -> None:
    easy, usual, hard = ([sample_channel(np.random.default_rng(seed), d) for seed in range(400)] for d in (0.0, 0.5, 1.0))
    clear = [sum(channel.clear for channel in drawn) / 400 for drawn in (easy, usual, hard)]
    assert clear[0] > 0.9
    assert 0.55 < clear[1] < 0.75
    assert clear[2] < clear[1]
    assert max(channel.loss.percent for channel in hard if channel.loss) > 8
    assert all(channel.jitter.buffer_ms <= 60 for channel in hard if channel.jitter)
    assert sample_channel(np.random.default_rng(7), 0.5) == sample_channel(np.random.default_rng(7), 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Echo(level_db=3), "a level of at most 0 dB"),
        (lambda: Loss(percent=70), "loss of 70 % in bursts of 2 packets: give 0 to 50 %"),
        (lambda: Jitter(spread_ms=-1, buffer_ms=40), "jitter of -1 ms"),
        (lambda: Channel(conceal="hum"), "no way 'hum' to conceal"),  # type: ignore[arg-type]
        (lambda: sample_channel(np.random.default_rng(0), 2), "difficulty=2"),
    ],
)
def test_impossible_channels_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_clock_without_whole_packets_is_refused() -> None:
    line = Line(Channel(loss=Loss(percent=10)), Acoustics(), ClockSpec(tick_ms=50, sample_rate=16_000), 0)
    with pytest.raises(InputError, match="a tick of 50 ms at 16000 Hz is not made of whole packets of 20 ms"):
        line.carry(LineState(), 0, QUIET[:800], QUIET[:800])
