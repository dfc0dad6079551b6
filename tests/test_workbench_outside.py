"""What is done to an agent from outside stands in the trace, and a replay does it again in the same tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tests.workbench_fakes import SMALL
from workbench.agents import EchoAgent
from workbench.clock import ClockSpec, RealTime, Tick
from workbench.errors import InputError
from workbench.events import AgentHeld, SettingChanged
from workbench.outside import Order, step_under
from workbench.packets import AGENT_AUDIO, USER_AUDIO, MicroTurn, Packet
from workbench.replay import replay
from workbench.session import Said, Session
from workbench.trace import Trace, record
from workbench.users import SilentUser


@dataclass(frozen=True)
class Hummer:
    """Hums as loud as its threshold says, times the number of ticks that it has been asked."""

    threshold: float = 0.25
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO,)
    hears: tuple[str, ...] = (USER_AUDIO,)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Hummer", "threshold": self.threshold}

    def with_threshold(self, threshold: float) -> Hummer:
        return replace(self, threshold=threshold)

    def start(self, clock: ClockSpec, seed: int) -> tuple[ClockSpec, int]:
        return clock, 0

    def step(self, state: tuple[ClockSpec, int], tick: Tick, heard: MicroTurn) -> tuple[Said, tuple[ClockSpec, int]]:
        clock, asked = state
        hum = np.full(clock.samples_per_tick, self.threshold * (asked + 1) / 10, np.float32)
        return Said((Packet(AGENT_AUDIO, tick, hum),)), (clock, asked + 1)


ORDERS: dict[int, tuple[Order, ...]] = {
    2: (AgentHeld(reason="deadline"),),
    3: (SettingChanged(name="threshold", value=0.75),),
    5: (SettingChanged(name="threshold", value=0.5), AgentHeld(reason="deadline")),
}


def ran() -> Trace:
    session = Session.start([SilentUser(), Hummer()], clock=SMALL)
    trace = record(session)
    for tick in range(8):
        step_under(session, ORDERS.get(tick, ()))
    return trace


def level(turn: MicroTurn) -> float:
    return round(float(turn.audio(AGENT_AUDIO, 1)[0]), 4)


def test_a_held_agent_says_nothing_and_goes_on_where_it_was_under_its_new_setting() -> None:
    trace = ran()
    assert [level(turn) for turn in trace.turns] == [0.025, 0.05, 0.0, 0.225, 0.3, 0.0, 0.25, 0.3]
    assert [tick for tick, _ in trace.events(AgentHeld, SettingChanged)] == [2, 3, 5, 5]


def test_a_replay_holds_and_changes_the_agent_in_the_same_ticks() -> None:
    trace = ran()
    again = replay(trace, agent=Hummer())
    assert again.difference is None
    assert [level(turn) for turn in again.trace.turns] == [level(turn) for turn in trace.turns]
    without = Trace(trace.header, [replace(t, events=tuple(e for e in t.events if not isinstance(e, AgentHeld))) for t in trace.turns])
    found = replay(without, agent=Hummer()).difference
    assert found is not None
    assert found.tick == 2


def test_a_setting_that_an_agent_lacks_or_cannot_take_is_refused() -> None:
    session = Session.start([SilentUser(), EchoAgent()], clock=SMALL)
    with pytest.raises(InputError, match=r"'agent' \(EchoAgent\) has no threshold to change"):
        step_under(session, (SettingChanged(name="threshold", value=0.5),))
    session = Session.start([SilentUser(), Hummer()], clock=SMALL)
    with pytest.raises(InputError, match="has no pitch to change"):
        step_under(session, (SettingChanged(name="pitch", value=0.5),))
    with pytest.raises(InputError, match=r"threshold 1.5 is no probability"):
        step_under(session, (SettingChanged(name="threshold", value=1.5),))


def test_a_pace_forgives_all_but_one_tick() -> None:
    at_s = [50.0]
    pace = RealTime(SMALL, now=lambda: at_s[0], sleep=lambda s: at_s.__setitem__(0, at_s[0] + s))
    assert pace.due_s(0) == 50.0
    assert pace.wait(0) == 0.0
    at_s[0] = 53.0
    assert pace.wait(1) == pytest.approx(2800)
    pace.forgive(1)
    assert pace.wait(2) == pytest.approx(0)
    assert at_s[0] == 53.0
    pace.wait(3)
    assert at_s[0] == pytest.approx(53.2)
