"""The bus: replays, forks, and nobody hears tick t at tick t."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workbench_fakes import SMALL, agent, assert_same_turn, chat, noise_packet, user
from workbench.agents import SilentAgent
from workbench.clock import ClockSpec, RealTime, Tick
from workbench.errors import InputError, TooSlow
from workbench.events import DeadlineMissed, Edited
from workbench.packets import AGENT_AUDIO, USER_AUDIO, USER_CAMERA, USER_TEXT, MicroTurn, Packet, rng_for
from workbench.session import Said, Session, advance
from workbench.trace import record

SEEDS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Probe:
    """Remembers everything it hears, and says one packet that names the tick."""

    name: str
    speaks: tuple[str, ...]
    hears: tuple[str, ...]
    doubles: int = 1

    def spec(self) -> Mapping[str, Any]:
        return {}

    def start(self, clock: ClockSpec, seed: int) -> list[MicroTurn]:
        return []

    def step(self, state: list[MicroTurn], tick: Tick, heard: MicroTurn) -> tuple[Said, list[MicroTurn]]:
        return Said(tuple(Packet(s, tick, f"{s}@{tick}") for s in self.speaks)), [*state, heard]


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, ticks=st.integers(1, 25))
def test_a_run_replays_bit_for_bit(seed: int, ticks: int) -> None:
    one, two = chat(seed), chat(seed)
    for _ in range(ticks):
        assert_same_turn(one.step(), two.step())


def test_another_seed_says_something_else() -> None:
    assert not np.array_equal(chat(1).step().get(USER_AUDIO), chat(2).step().get(USER_AUDIO))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, before=st.integers(0, 10), between=st.integers(0, 6), after=st.integers(2, 8))
def test_a_fork_equals_the_unforked_run_until_the_edit(seed: int, before: int, between: int, after: int) -> None:
    straight = chat(seed)
    expected = [straight.step() for _ in range(before + between + after)]
    session = chat(seed).run(before)
    fork = session.fork()
    for turn in expected[before : before + between]:
        assert_same_turn(fork.step(), turn)
    tick = fork.tick
    edited = fork.step(instead={"user": Said((Packet(USER_AUDIO, tick, noise_packet(tick)),))})
    assert Edited(participant="user") in edited.events
    assert np.array_equal(edited.get(AGENT_AUDIO), expected[tick].get(AGENT_AUDIO)), "the edit was heard in its own tick"
    assert not np.array_equal(fork.step().get(AGENT_AUDIO), expected[tick + 1].get(AGENT_AUDIO)), "the edit was never heard"
    for turn in expected[before:]:
        assert_same_turn(session.step(), turn)


@settings(max_examples=20, deadline=None)
@given(ticks=st.integers(1, 12), hears=st.sets(st.sampled_from(["a", "b", "c"])))
def test_nobody_sees_tick_t_at_tick_t(ticks: int, hears: set[str]) -> None:
    probes = [Probe(name, (name,), tuple(hears)) for name in ("a", "b", "c")]
    session = Session.start(probes, clock=SMALL).run(ticks)
    for heard_by_one in session.states:
        assert len(heard_by_one) == ticks
        for tick, heard in enumerate(heard_by_one):
            assert heard.tick == tick - 1
            assert heard.events == ()
            expected = {f"{stream}@{tick - 1}" for stream in hears} if tick else set()
            assert {packet.payload for packet in heard.packets} == expected


def test_sessions_advanced_together_equal_sessions_advanced_alone() -> None:
    users, agents = user(), agent()
    together = [Session.start([users, agents], clock=SMALL, seed=seed) for seed in (1, 2, 3)]
    alone = [chat(seed) for seed in (1, 2, 3)]
    for _ in range(6):
        for turn, session in zip(advance(together), alone, strict=True):
            assert_same_turn(turn, session.step())


def test_two_owners_of_one_stream_are_refused() -> None:
    with pytest.raises(InputError, match=r"stream 'user.audio' is spoken by both 'user' and 'twin'"):
        Session.start([user(), replace(user(), name="twin")])


def test_two_participants_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two participants are called 'user'"):
        Session.start([user(), replace(agent(), name="user")])


def test_a_packet_on_a_foreign_stream_or_tick_is_refused() -> None:
    session = chat().run(2)
    with pytest.raises(InputError, match=r"'user' put a packet on 'agent.audio' for tick 2 during tick 2"):
        session.fork().step(instead={"user": Said((Packet(AGENT_AUDIO, Tick(2), noise_packet(2)),))})
    with pytest.raises(InputError, match="for tick 1 during tick 2"):
        session.fork().step(instead={"user": Said((Packet(USER_AUDIO, Tick(1), noise_packet(1)),))})
    with pytest.raises(InputError, match="no participant 'nobody' to edit"):
        session.fork().step(instead={"nobody": Said()})


MISFITS = [
    (USER_AUDIO, np.zeros(SMALL.samples_per_tick - 1, np.float32), r"float32 \(199,\); audio is float32 of 200 samples per tick"),
    (USER_AUDIO, np.zeros(SMALL.samples_per_tick), r"float64 \(200,\); audio is float32"),
    (USER_TEXT, b"mhm", "bytes b'mhm'; text is str"),
    (USER_CAMERA, np.zeros((2, 8, 8, 4), np.uint8), r"uint8 \(2, 8, 8, 4\); frames are uint8 \(frames, height, width, 3\)"),
]


@pytest.mark.parametrize(("stream", "payload", "why"), MISFITS, ids=[why[:12] for _, _, why in MISFITS])
def test_what_does_not_fit_its_stream_is_refused_in_the_tick_in_which_it_is_said(stream: str, payload: Any, why: str) -> None:
    one = Probe("one", (stream,), ())
    session = Session.start([one], clock=SMALL)
    with pytest.raises(InputError, match=f"'one' put on '{stream}' in tick 0: {why}"):
        session.step(instead={"one": Said((Packet(stream, Tick(0), payload),))})


def test_a_stream_carries_one_packet_a_tick() -> None:
    session = chat().run(2)
    twice = (Packet(USER_AUDIO, Tick(2), noise_packet(2)),) * 2
    with pytest.raises(InputError, match=r"'user' put several packets on 'user.audio' in tick 2; a stream carries one per tick"):
        session.step(instead={"user": Said(twice)})


def test_a_session_ends_with_the_participant_that_says_done() -> None:
    session = chat().run(3)
    session.step(instead={"user": Said(done=True)})
    assert session.done
    assert session.run(10).tick == 4


class FakeTime:
    """A wall clock that moves only when slept on or pushed."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def now(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


def test_real_time_sleeps_until_a_tick_is_due_and_counts_missed_deadlines() -> None:
    wall = FakeTime()
    pace = RealTime(SMALL, now=wall.now, sleep=wall.sleep)
    session = chat()
    trace = record(session)
    session.run(5, pace)
    assert wall.at_s == pytest.approx(100.0 + SMALL.seconds(4))
    wall.at_s += 1.0
    session.run(1, pace)
    assert pace.missed == 1
    assert [(tick, round(e.late_ms)) for tick, e in trace.events(DeadlineMissed)] == [(5, 800)]
    strict = RealTime(SMALL, now=wall.now, sleep=wall.sleep, strict=True)
    strict.wait(0)
    wall.at_s += 1.0
    with pytest.raises(TooSlow, match="tick 1 began 800 ms late; the pace allows 200 ms"):
        strict.wait(1)


@given(tick_ms=st.integers(1, 500), rate=st.sampled_from([8000, 16000, 48000]), tick=st.integers(0, 10**6))
def test_ticks_and_seconds_convert_back_and_forth(tick_ms: int, rate: int, tick: int) -> None:
    clock = ClockSpec(tick_ms=tick_ms, sample_rate=rate)
    assert clock.tick_at(clock.seconds(tick)) == tick
    assert clock.first_tick_from(clock.seconds(tick)) == tick
    assert clock.samples(clock.seconds(tick)) == tick * clock.samples_per_tick


def test_a_tick_that_is_no_whole_number_of_samples_is_refused() -> None:
    with pytest.raises(InputError, match="not a whole number of samples"):
        ClockSpec(tick_ms=333, sample_rate=22_050)
    with pytest.raises(InputError, match="must be positive"):
        ClockSpec(tick_ms=0)


@given(seed=SEEDS, tick=st.integers(0, 10**6))
def test_randomness_is_addressed_by_seed_tick_and_stream(seed: int, tick: int) -> None:
    draw = rng_for(seed, tick, USER_AUDIO).integers(2**62)
    assert rng_for(seed, tick, USER_AUDIO).integers(2**62) == draw
    assert rng_for(seed, tick, AGENT_AUDIO).integers(2**62) != draw
    assert rng_for(seed, tick + 1, USER_AUDIO).integers(2**62) != draw


def test_a_paced_session_sets_what_exists_aside_has_threads_take_short_turns_and_gives_both_back() -> None:
    class Watch:
        frozen: ClassVar[list[int]] = []
        turns_s: ClassVar[list[float]] = []

        def append(self, turn: MicroTurn) -> None:
            self.frozen.append(gc.get_freeze_count())
            self.turns_s.append(sys.getswitchinterval())

    usual_s = sys.getswitchinterval()
    wall = FakeTime()
    session = Session.start([SilentAgent()], clock=SMALL, sinks=(Watch(),))
    session.run(2)
    session.run(2, RealTime(SMALL, now=wall.now, sleep=wall.sleep))
    assert [count > 0 for count in Watch.frozen] == [False, False, True, True]
    assert Watch.turns_s == pytest.approx([usual_s, usual_s, 0.001, 0.001])
    assert (gc.get_freeze_count(), sys.getswitchinterval()) == (0, pytest.approx(usual_s))
