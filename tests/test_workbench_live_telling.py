"""A finished session told again, tick by tick: the same messages that its page was sent while it ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.live_fakes import Wall, opened, ramp
from workbench.agents import ScriptedAgent
from workbench.clock import ClockSpec, Tick
from workbench.events import Event, Gate, GatesActed, TickCost
from workbench.events_background import DelegationChanged, DelegationCreated, DelegationRefused
from workbench.live.protocol import Drop, Stop, TickDone, decode, encode
from workbench.live.telling import BLOCK, outlines, tick_message, told
from workbench.packets import USER_CAMERA, MicroTurn, Packet
from workbench.session import Session
from workbench.store import read_trace
from workbench.trace import record
from workbench.users import SilentUser

SIZE = ClockSpec().samples_per_tick
COUNTING = ScriptedAgent(((2, ("one", "two", "three")), (5, ("<yield>",))))


def comparable(message: TickDone | Drop) -> dict[str, Any]:
    """A message without what is measured anew: what a tick cost is in no event of a live session."""
    body, buffers = encode(message)
    return {**body, "cost_ms": None, "buffers": buffers}


def test_a_trace_of_a_live_session_tells_what_its_page_was_told(tmp_path: Path) -> None:
    wall = Wall()
    session, page = opened(COUNTING, tmp_path / "a.sqlite", wall)
    page.say(ramp(1.5))
    for tick in range(3, 9):
        wall.at(tick * 0.2, lambda tick=tick: page.play(SIZE * (tick - 2)))  # type: ignore[misc]
    wall.at(2.1, lambda: page.send(Stop()))
    session.run()
    page.take()
    sent = [message for message in page.told if isinstance(message, TickDone | Drop)]
    again = list(told(read_trace(session.path)))
    assert [type(message) for message in again] == [type(message) for message in sent]
    assert [comparable(message) for message in again] == [comparable(message) for message in sent]
    assert any(isinstance(message, Drop) for message in again)
    assert {message.heard for message in again if isinstance(message, TickDone)} > {None, SIZE}


def test_gates_without_a_decision_are_told_in_words() -> None:
    acted = GatesActed(
        gates=(Gate("budget", "two", "<silence>", "5.0 s have been spoken"), Gate("quiet hours", "go on", "<silence>", "night"))
    )
    message = tick_message(MicroTurn(Tick(3), events=(acted,)), ClockSpec(), cost_ms=1.0, late_ms=0.0, lost=0)
    words = "budget gate: wanted two, did <silence> (5.0 s have been spoken); quiet hours gate: wanted go on, did <silence> (night)"
    assert (message.decision, message.events) == (None, (("gates.acted", pytest.approx(0.6), words),))


def test_in_a_simulation_what_is_said_is_heard_at_once() -> None:
    session = Session.start([SilentUser(), COUNTING])
    trace = record(session)
    session.run(4)
    ticks = [message for message in told(trace) if isinstance(message, TickDone)]
    assert [tick.heard for tick in ticks] == [SIZE, 2 * SIZE, 3 * SIZE, 4 * SIZE]
    assert ticks[2].said == "one two three"


def test_a_long_session_is_told_whole_and_the_same_without_its_sound() -> None:
    session = Session.start([SilentUser(), COUNTING])
    trace = record(session)
    session.run(BLOCK + 2)
    loud, quiet = list(told(trace)), list(told(trace, sound=False))
    assert [message.tick for message in quiet if isinstance(message, TickDone)] == list(range(BLOCK + 2))
    assert [encode(message)[0] for message in quiet] == [encode(message)[0] for message in loud]
    assert {len(message.samples) for message in quiet if isinstance(message, TickDone)} == {0}


def turn_with(*events: Event, frames: np.ndarray | None = None) -> MicroTurn:
    packets = () if frames is None else (Packet(USER_CAMERA, Tick(3), frames),)
    return MicroTurn(Tick(3), packets, events)


def test_a_tick_carries_its_last_frame_and_what_the_background_did() -> None:
    frames = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    created = DelegationCreated(
        task="t1",
        session="s",
        ask="look it up",
        origin_tick=3,
        source="user.speech",
        schedule="when_idle",
        urgency="normal",
        expires_at_s=30.0,
    )
    changed = DelegationChanged(task="t1", before="queued", after="running", cause="a place was free")
    refused = DelegationRefused(act="open", ask="sing", cause="nobody sings")
    turn = turn_with(created, changed, refused, frames=frames)
    message = tick_message(turn, ClockSpec(), cost_ms=1, late_ms=0, lost=0)
    assert message.tasks == (("t1", "created", "look it up"), ("t1", "running", "a place was free"))
    assert np.array_equal(message.seen, frames[1])  # type: ignore[arg-type]
    back = decode(*encode(message))
    assert isinstance(back, TickDone)
    assert np.array_equal(back.seen, frames[1])  # type: ignore[arg-type]


def test_what_a_tick_cost_is_the_sum_of_its_stages() -> None:
    session = Session.start([SilentUser(), COUNTING])
    trace = record(session)
    session.run(1)
    trace.turns.append(turn_with(TickCost(stages_ms={"trunk": 20.0, "heads": 4.0})))
    assert [message.cost_ms for message in told(trace) if isinstance(message, TickDone)][-1] == 24.0


def test_an_outline_is_the_lowest_and_highest_of_each_tenth() -> None:
    samples = np.zeros((1, 2, SIZE), np.float32)
    samples[0, 1, 0], samples[0, 1, SIZE // 10 + 1] = 0.5, -1.0
    [[silent, sounding]] = outlines(samples)
    assert silent == (0,) * 20
    assert sounding == (0, 64, -127, 0, *(0,) * 16)
