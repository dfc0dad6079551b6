"""What a session costs is counted from its micro-turns, told as it goes on, and a session that has used up its share ends politely."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from model.cost import tick_cost
from tests.background_fakes import Knows, asked, conversation, played, together
from tests.live_fakes import USUAL, Wall, opened
from tests.model_fakes import tiny_config
from workbench.agents import EchoAgent
from workbench.background.local.agent import LocalAgent
from workbench.background.parts import Answer
from workbench.clock import ClockSpec, Tick
from workbench.costs import UNLIMITED, Allowed, Meter, Metered, Spent, allowed_by, in_words, spent_in
from workbench.errors import InputError
from workbench.events import TickCost
from workbench.events_background import ToolUsed
from workbench.events_rules import LimitReached, SessionCost
from workbench.neural import tick_flops
from workbench.packets import MicroTurn
from workbench.store import read_trace
from workbench.trace import record


def test_slow_work_is_counted_by_tasks_seconds_tokens_and_calls() -> None:
    plan = together(asked(2, "what is two plus three"), asked(30, "what is two plus four"))
    spent = spent_in(played(conversation(plan, LocalAgent(), latency_s=1.0), 60))
    assert (spent.ticks, spent.tasks, spent.tool_calls, spent.running) == (60, 2, 2, frozenset())
    assert spent.background_s == pytest.approx(2.0)  # each ran for a second
    knows = Knows({"look it up": (Answer(text="so", tokens=120),)})
    assert spent_in(played(conversation(asked(2, "look it up"), knows), 30)).background_tokens == 120


def test_the_model_is_counted_by_its_positions_and_its_computing() -> None:
    spent = Spent()
    for tick in range(3):
        cost = TickCost(stages_ms={"trunk": 20.0, "voice": 5.0}, positions=9 * (tick + 1))
        spent = spent.after(MicroTurn(Tick(tick), (), (cost,)), ClockSpec())
    told = spent.told(0.6, tick_flops=1e6, kept_bytes=10)
    assert (told.positions, told.computed_ms, told.flops, told.kept_bytes) == (27, 75.0, 3e6, 10)


def test_what_is_used_up_is_named() -> None:
    cost = Spent(tool_calls=5).told(1.0)
    assert Allowed().over(cost) is None
    reached = Allowed(tool_calls=5).over(cost)
    assert reached == LimitReached(at_s=1.0, limit="tool-calls", used=5, most=5)
    assert in_words(reached) == "this session has used its 5 calls of tools; begin a new one to go on"
    with pytest.raises(InputError, match="every limit must be above 0"):
        Allowed(tool_calls=0)


def test_a_live_session_tells_what_it_costs_and_ends_politely_when_that_is_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.live.runtime.tick_flops_of", lambda agent: 2e6)
    spec = replace(USUAL, minutes=0.5, allowed=Allowed(kept_bytes=1))
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall(), spec=spec)
    end = session.run()
    assert (end.reason, end.text) == ("limit", "this session has used its 1 bytes of trace; begin a new one to go on")
    told = [e for _, e in read_trace(tmp_path / "a.sqlite").events(SessionCost)]
    assert [(e.flops, e.kept_bytes > 0) for e in told] == [(2e6, True)]
    assert page.of(type(end))[-1] == end
    assert [e.limit for _, e in read_trace(tmp_path / "a.sqlite").events(LimitReached)] == ["trace-bytes"]


def test_limits_are_read_from_a_command_line() -> None:
    assert allowed_by([]) == UNLIMITED
    assert allowed_by([]).limited == {}
    assert allowed_by(["tool-calls=5", "background-seconds=2.5"]).limited == {"background-seconds": 2.5, "tool-calls": 5}
    assert allowed_by(["trace-bytes=1e6"], Allowed()) == Allowed(kept_bytes=1e6)
    for text, told in (("calls=5", "there is no limit 'calls'"), ("tool-calls", "has no number"), ("tool-calls=0", "must be above 0")):
        with pytest.raises(InputError, match=told):
            allowed_by([text])
    with pytest.raises(InputError, match="must be above 0"):
        allowed_by(["tool-calls=nan"])


def test_a_session_ends_in_the_tick_in_which_its_limit_is_reached() -> None:
    session = conversation(together(asked(2, "what is two plus three"), asked(20, "what is two plus four")), LocalAgent(), latency_s=1.0)
    trace = record(session)
    meter = Meter(session.clock, allowed_by(["tool-calls=2"]))
    session.sinks = (Metered(meter, session.sinks),)
    while meter.reached is None:
        session.step()
        assert session.tick < 60
    calls = [tick for tick, event in trace.events(ToolUsed) if event.done == "ran"]
    [(tick, reached)] = list(trace.events(LimitReached))
    assert (len(calls), tick, reached.used) == (2, calls[-1], 2)
    assert list(trace.events(SessionCost))[-1][1].tool_calls == 2


def test_the_operations_of_a_tick_are_those_of_the_models_settings() -> None:
    config = tiny_config()
    agent = SimpleNamespace(model=SimpleNamespace(config=config))
    assert tick_flops(agent) == tick_cost(config, 10_000).flops == tick_cost(config, 20_000).flops  # type: ignore[arg-type]
