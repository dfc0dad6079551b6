"""An agent, its rules and its background, as they are named at a command line, in a run and in a live session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_workbench_cli_errors import refused
from workbench.agents import AlwaysTalkingAgent, ScriptedAgent
from workbench.background.backends import Simulated
from workbench.background.by_rule import ByRule
from workbench.background.chat import ChatAgent, ChatSpec
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.telling import Delegating
from workbench.background.threads import Threads
from workbench.background.wiring import asking, background_agent, wired
from workbench.dials import DIALS
from workbench.errors import InputError
from workbench.events import Decision, SettingChanged
from workbench.outside import change_setting
from workbench.policies import BargeIn, Governed, Guard, Hold, QuietHours, SpeakOver
from workbench.policy_text import governed_by
from workbench.session import Session
from workbench.users import SilentUser


def test_rules_are_read_as_they_are_typed(tmp_path: Path) -> None:
    (tmp_path / "guard").write_text("# words\nask: open the safe\nsay: the code is\nrefusal: no\n")
    texts = ["barge-in=finish_word", "speak-over=watch+stop", "quiet=2-4.5", f"guard={tmp_path}/guard", "hold=2", "patience=0.4"]
    agent = governed_by(ScriptedAgent(()), texts)
    assert isinstance(agent, Governed)
    assert agent.policies == (
        BargeIn("finish_word"),
        SpeakOver("on_cue", ("watch", "stop")),
        QuietHours(2.0, 4.5),
        Guard(("open the safe",), ("the code is",), "no"),
    )
    assert agent.hold == Hold(ticks=2, patience_s=0.4)
    assert governed_by(ScriptedAgent(()), []) == ScriptedAgent(())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shout=1", "there is no rule 'shout'; there are speak-over"),
        ("barge-in=now", "has no value that fits"),
        ("budget=much", "has no value that fits"),
        ("bias=1", "a speak bias moves the threshold of an agent"),
        ("guard=/none", "there is no such file"),
        ("speak-over=on_cue", "give the words that may be said over the user"),
        ("quiet=5-2", "quiet hours from 5 to 2 s are never"),
        ("quiet=22:00-7", "has no value that fits"),
        ("quiet=25:00-07:00", "a time of day is from 00:00 to 23:59"),
        ("max-overlap=nan", "max overlap of nan s is no length of time"),
        ("budget=-1", "budget of -1 s is no length of time"),
        ("confidence=7", "confidence 7 is no probability"),
    ],
)
def test_a_rule_that_is_none_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        governed_by(ScriptedAgent(()), [text])


def test_a_background_is_wired_for_its_kind_of_session(tmp_path: Path) -> None:
    agent, (desk,) = wired(ScriptedAgent(()), f"local:{tmp_path}", ["hold=1"], live=True)
    assert isinstance(agent, Delegating)
    assert isinstance(agent.agent, Governed)
    assert isinstance(agent.agent.agent, ByRule)
    assert isinstance(desk, Desk)
    assert isinstance(desk.backend, Threads)
    _, (simulated,) = wired(ScriptedAgent(()), "chat:http://127.0.0.1:8000/v1#small", [], live=False)
    assert isinstance(simulated, Desk)
    assert isinstance(simulated.backend, Simulated)
    assert simulated.spec()["backend"]["agent"]["model"] == "small"
    assert wired(ScriptedAgent(()), "", [], live=True) == (ScriptedAgent(()), ())


def test_a_chat_model_is_given_time_by_its_options_and_by_its_desk() -> None:
    _, (usual,) = wired(ScriptedAgent(()), "chat:http://127.0.0.1:8000/v1#small", [], live=True)
    assert isinstance(usual, Desk)
    assert usual.settings.run_s > ChatSpec(url="http://x", model="x").total_s
    slow = "chat:http://127.0.0.1:8000/v1#small,total_s=120,stall_s=40,connect_s=2.5,max_tokens=900,senses=frame"
    _, (desk,) = wired(ScriptedAgent(()), slow, [], live=False)
    assert isinstance(desk, Desk)
    assert isinstance(desk.backend, Simulated)
    agent = desk.backend.agent
    assert isinstance(agent, ChatAgent)
    assert (agent.settings.total_s, agent.settings.stall_s, agent.settings.connect_s, agent.settings.max_tokens) == (120, 40, 2.5, 900)
    assert desk.settings.run_s == agent.longest_s == 160.0
    assert desk.settings.use_s >= 160.0
    assert wired(ScriptedAgent(()), "local", [], live=True)[1][0].spec()["run_s"] == DeskSpec().run_s


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("total=120", "'total=120' is no option of a chat model; there are senses=, total_s="),
        ("total_s=long", "'total_s=long' has no number that fits; write e.g. total_s=120"),
        ("max_tokens=1.5", "'max_tokens=1.5' has no number that fits"),
        ("total_s=0", "times must be above 0"),
        ("total_s=inf", "times must be above 0"),
        ("senses=smell", "'smell' is none; give frame, audio or both"),
    ],
)
def test_an_option_of_a_chat_model_that_is_none_is_named(option: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        background_agent(f"chat:http://127.0.0.1:8000/v1#small,{option}")


def test_a_background_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="is no folder"):
        background_agent(f"local:{tmp_path}/none")
    with pytest.raises(InputError, match="is no address of a service"):
        background_agent("chat:nowhere")
    out = ("--scenario", "stop", "--agent", "silent", "--out", tmp_path / "o")
    assert "--background 'cloud' is not known" in refused(capsys, "run", *out, "--background", "cloud")
    assert "there is no rule 'x'" in refused(capsys, "run", *out, "--policy", "x=1")


def test_a_dial_turns_the_rules_inside_what_is_told_to_the_desk() -> None:
    session = Session.start([SilentUser(9), asking(AlwaysTalkingAgent(), ["hold=1"], background=True)])
    session.run(4)
    name = next(dial.name for dial in DIALS.values() if dial.unit == "s" and dial.high == 120.0)
    change_setting(session, SettingChanged(name=name, value=5.0))
    change_setting(session, SettingChanged(name="patience", value=0.4))
    session.run(4)
    agent = session.participants[1]
    assert isinstance(agent, Delegating)
    assert isinstance(agent.agent, Governed)
    assert agent.agent.hold == Hold(ticks=1, patience_s=0.4)
    assert [policy.name for policy in agent.agent.policies] == [name]
    assert not [e for e in session.last.events if isinstance(e, Decision) and e.gates]
