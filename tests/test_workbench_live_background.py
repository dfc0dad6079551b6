"""Slow work in a live session: done beside the loop, told with its ticks, counted as heard once the loudspeaker has played it."""

from __future__ import annotations

from pathlib import Path

from tests.background_fakes import Knows
from tests.live_fakes import HELLO, Page, Wall
from tests.test_workbench_guard import Hears
from workbench.agents import ScriptedAgent
from workbench.background.backends import Simulated
from workbench.background.by_rule import ByRule
from workbench.background.desk import Desk
from workbench.background.parts import Answer
from workbench.background.telling import Delegating
from workbench.clock import ClockSpec, RealTime
from workbench.events_background import DelegationChanged
from workbench.live.outbox import Outbox
from workbench.live.protocol import Consent, TickDone
from workbench.live.runtime import LiveSession, LiveSpec
from workbench.packets import USER_PLAYBACK
from workbench.store import read_trace

CHART = {"kind": "figure", "figure": {"data": [{"type": "bar", "x": ["a"], "y": [1]}], "layout": {"title": "t"}}}


def test_what_is_asked_for_is_shown_said_and_delivered_when_it_was_played(tmp_path: Path) -> None:
    wall = Wall()
    agent = Delegating(ByRule(Hears(ScriptedAgent(()), {3: "plot the sales"})))
    desk = Desk(Simulated(Knows({"plot the sales": (Answer(text="here it is", shown=CHART),)}), (0.4, 0.4)))
    pace = RealTime(ClockSpec(), now=wall.now, sleep=wall.sleep)
    spec = LiveSpec(minutes=8 / 60)
    session = LiveSession(agent, tmp_path / "a.sqlite", pace, name="one", token="t", spec=spec, beside=(desk,))
    page = Page(session, wall, Outbox(10_000))
    session.connect(HELLO, page.outbox)
    page.send(Consent(given=True))
    for tick in range(1, 36):
        wall.at(tick * 0.2 + 0.05, lambda tick=tick: page.play(tick * 3200))  # type: ignore[misc]
    session.run()
    ticks = page.of(TickDone)
    [(at, [thing])] = [(told.tick, list(told.shown)) for told in ticks if told.shown]
    assert (thing["task"], thing["title"], thing["series"][0]["values"]) == ("1", "t", [1.0])
    states = [(told.tick, state) for told in ticks for _, state, _ in told.tasks]
    assert [state for _, state in states if state in ("running", "completed", "delivered")] == ["running", "completed", "delivered"]
    assert " ".join(told.said for told in ticks if told.said) == "here it is"
    trace = read_trace(tmp_path / "a.sqlite")
    [(delivered, cause)] = [(tick, e.cause) for tick, e in trace.events(DelegationChanged) if e.after == "delivered"]
    heard_s = max(float(turn.text(USER_PLAYBACK)) for turn in trace.turns[:delivered] if turn.text(USER_PLAYBACK))
    assert cause == f"heard to its end by {heard_s:g} s"
    assert at < delivered
