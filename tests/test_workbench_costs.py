"""What a session costs is counted from its micro-turns, told as it goes on, and a session that has used up its share ends politely."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from model.cost import front_end_flops, head_flops, sequence_flops, tick_cost
from tests.background_fakes import Knows, asked, conversation, played, together
from tests.live_fakes import USUAL, Wall, opened
from tests.model_fakes import tiny_config
from workbench.agents import EchoAgent
from workbench.background.local.agent import LocalAgent
from workbench.background.parts import Answer
from workbench.clock import ClockSpec, Tick
from workbench.costs import (
    NO_MODEL,
    TICK_FLOPS,
    UNLIMITED,
    Allowed,
    Meter,
    Metered,
    ModelFlops,
    Spent,
    allowed_by,
    flops_in,
    in_words,
    spent_in,
)
from workbench.errors import InputError
from workbench.events import TickCost
from workbench.events_background import ToolUsed
from workbench.events_rules import LimitReached, SessionCost
from workbench.neural import model_flops
from workbench.packets import MicroTurn
from workbench.store import read_trace
from workbench.trace import Header, Trace, record


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
    flops = ModelFlops(per_tick=1e6, per_position=2e6, per_seen=((4, 10.0), (None, 1.0)))
    told = spent.told(0.6, flops=flops, kept_bytes=10)
    assert (told.positions, told.computed_ms, told.kept_bytes) == (27, 75.0, 10)
    assert told.flops == 3 * 1e6 + 27 * 2e6 + (1 + 2 + 3 + 24 * 4) * 10 + 27 * 28 / 2


def test_what_is_used_up_is_named() -> None:
    cost = Spent(tool_calls=5).told(1.0)
    assert Allowed().over(cost) is None
    reached = Allowed(tool_calls=5).over(cost)
    assert reached == LimitReached(at_s=1.0, limit="tool-calls", used=5, most=5)
    assert in_words(reached) == "this session has used its 5 calls of tools; begin a new one to go on"
    with pytest.raises(InputError, match="every limit must be above 0"):
        Allowed(tool_calls=0)


def test_a_live_session_tells_what_it_costs_and_ends_politely_when_that_is_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.live.runtime.model_flops_of", lambda agent: ModelFlops(per_tick=2e6))
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


def test_the_cost_is_told_from_time_to_time_and_not_once_more_at_the_end_of_a_session_without_a_limit() -> None:
    clock = ClockSpec()
    meter = Meter(clock)
    told = [tick for tick in range(60) if meter.after(MicroTurn(Tick(tick)), lambda: 0)]
    assert told == [0, 25, 50]


@pytest.mark.parametrize("fold", [1, 4])
def test_the_operations_of_a_session_are_those_of_its_positions_by_the_models_settings(fold: int) -> None:
    config = replace(tiny_config(), audio_fold=fold)
    flops = model_flops(SimpleNamespace(model=SimpleNamespace(config=config)))  # type: ignore[arg-type]
    silent = 1 + config.audio_positions
    assert flops.of(900, 900 * silent) == sum(tick_cost(config, tick, own_voice=False).flops for tick in range(900))
    assert flops.of(60, 92) == sequence_flops(config.trunk, 92) + 60 * (front_end_flops(config) + head_flops(config))


def test_a_trace_tells_what_its_model_takes_and_an_older_one_what_each_tick_took() -> None:
    flops = ModelFlops(per_tick=3, per_position=5, per_seen=((128, 2), (None, 7)))
    assert ModelFlops.told(json.loads(json.dumps(flops.label))) == ModelFlops.told(flops.label) == flops
    assert (NO_MODEL.label, ModelFlops.told({}), ModelFlops.told({TICK_FLOPS: 2e9})) == ({}, NO_MODEL, ModelFlops(per_tick=2e9))
    header = Header(clock=ClockSpec(), seed=0, participants={}, labels=flops.label)
    turns = [MicroTurn(Tick(tick), (), (TickCost(stages_ms={}, positions=tick + 2),)) for tick in range(2)]
    assert flops_in(Trace(header, turns)) == 2 * 3 + 3 * 5 + (1 + 2 + 3) * 2 + (1 + 2 + 3) * 7
    assert math.isnan(flops_in(Trace(replace(header, labels={}), turns)))
