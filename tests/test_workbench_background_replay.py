"""A trace file of a session with slow work replays to the same micro-turns, and forks, without its background agent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.background_fakes import Knows, asked, conversation, played, states, together
from workbench.agents import ScriptedAgent
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.parts import Answer
from workbench.background.telling import Delegating
from workbench.errors import InputError
from workbench.events import SettingChanged
from workbench.outside import check_change
from workbench.replay import rebuild, replay
from workbench.session import Session
from workbench.store import read_trace, save_trace
from workbench.trace import Trace, record
from workbench.users import SilentUser


def test_a_trace_file_with_a_desk_replays_without_asking_anybody(tmp_path: Path) -> None:
    plan = together(asked(2, "what is two plus three"), asked(9, "look up the river"))
    session = conversation(plan, Knows({"look up the river": (Answer(text="long", shown={"kind": "text", "text": "long"}),)}), run_s=9.0)
    trace = played(session, 40)
    assert states(trace, "2")[-1] == "delivered"
    kept = read_trace(save_trace(trace, tmp_path / "trace.sqlite"))
    again = replay(kept, agent=session.participants[1])
    assert again.difference is None
    assert again.trace.header.participants["background"]["run_s"] == 9.0
    assert again.trace.header.participants["background"]["backend"]["of"]["agent"] == {"class": "Knows"}


def test_wrapper_and_desk_are_rebuilt_from_their_specs() -> None:
    desk = conversation({}).participants[2]
    session = Session.start([SilentUser(9), Delegating(ScriptedAgent(((3, ("two",)),))), desk])
    again = rebuild(record(session))
    assert again.participants[1] == session.participants[1]
    assert again.participants[2].hears == desk.hears


def test_a_desk_of_before_one_of_its_settings_was_there_is_rebuilt() -> None:
    desk = conversation({}, run_s=9.0).participants[2]
    trace = record(Session.start([SilentUser(9), Delegating(ScriptedAgent(((3, ("two",)),))), desk]))
    background = {name: value for name, value in trace.header.participants["background"].items() if name != "use_s"}
    older = Trace(replace(trace.header, participants={**trace.header.participants, "background": background}))
    again = rebuild(older).participants[2]
    assert isinstance(again, Desk)
    assert again.settings == DeskSpec(run_s=9.0)


def test_a_wrapped_agent_without_a_threshold_has_none() -> None:
    with pytest.raises(InputError, match="has no threshold to change"):
        check_change(Delegating(ScriptedAgent(())), SettingChanged(name="threshold", value=0.5))
