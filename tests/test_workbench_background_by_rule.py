"""An agent that cannot delegate has slow work done by rule: asked for, amended, called off, and told in a pause."""

from __future__ import annotations

from collections.abc import Mapping

from tests.background_fakes import Knows
from tests.test_workbench_guard import Hears
from workbench.agents import ScriptedAgent
from workbench.background.backends import Simulated
from workbench.background.by_rule import ByRule
from workbench.background.desk import Desk
from workbench.background.parts import Answer, Failure
from workbench.background.telling import Delegating
from workbench.check import check_participant
from workbench.events import Event, ModelYielded, TranscriptDelta, UserSpeechStarted
from workbench.events_background import DelegationChanged, DelegationRequested
from workbench.replay import rebuild
from workbench.session import Session
from workbench.trace import Trace, record
from workbench.users import SilentUser


def talk(
    words: Mapping[int, str],
    *,
    says: Mapping[int, str] | None = None,
    answers: Mapping[str, object] | None = None,
    more: Mapping[int, Event] | None = None,
) -> Trace:
    """The trace of an agent that hears `words`, says what it `says` by itself, and has the rest done."""
    agent = Hears(ScriptedAgent(tuple((tick, tuple(text.split())) for tick, text in (says or {}).items())), words, more or {})
    knows = Knows({ask: (part,) for ask, part in (answers or {}).items()})  # type: ignore[misc]
    session = Session.start([SilentUser(70), Delegating(ByRule(agent)), Desk(Simulated(knows, (1.0, 1.0)))])
    trace = record(session)
    session.run(70)
    return trace


def requests(trace: Trace) -> list[tuple[str, str]]:
    return [(event.act, event.ask) for _, event in trace.events(DelegationRequested)]


def said(trace: Trace) -> str:
    return " ".join(event.word for _, event in trace.events(TranscriptDelta) if event.side == "model")


def test_what_is_said_with_a_cue_is_asked_for_and_its_result_is_said() -> None:
    trace = talk({3: "please plot", 4: "the sales"}, answers={"please plot the sales": Answer(text="long text", say="here it is")})
    assert requests(trace) == [("open", "please plot the sales")]
    assert said(trace) == "here it is"
    assert [e.after for _, e in trace.events(DelegationChanged)][-1] == "delivered"
    assert requests(talk({3: "nice weather"})) == []


def test_what_is_corrected_or_called_off_is_asked_for_so() -> None:
    trace = talk({3: "plot the sales", 8: "no in red", 16: "never mind"})
    assert requests(trace) == [("open", "plot the sales"), ("amend", "no in red"), ("cancel", "never mind")]
    assert requests(talk({3: "no in red"})) == []  # nothing was asked for that could be corrected


def test_a_result_waits_until_the_agent_is_silent_and_a_problem_is_told() -> None:
    long = {20: "one two three four five six seven"}
    trace = talk({3: "look up the time"}, says=long, answers={"look up the time": Answer(text="ten", after_s=3.0)})
    assert said(trace) == "one two three four five six seven ten"
    failed = talk({3: "look up the time"}, answers={"look up the time": Failure(cause="no clock")})
    assert said(failed) == "that did not work"


def test_the_user_cuts_a_result_off() -> None:
    answer = Answer(text="one two three four five six seven eight nine")
    whole, cut = (
        talk({3: "look up all"}, answers={"look up all": answer}, more={} if at is None else {at: UserSpeechStarted(at_s=at * 0.2)})
        for at in (None, 20)
    )
    assert said(whole) == answer.text
    assert [tick for tick, _ in cut.events(ModelYielded)] == [20]
    states = [(e.after, e.cause) for _, e in cut.events(DelegationChanged)]
    assert any(after == "completed" and cause.startswith("cut off before") for after, cause in states)  # it is offered again


def test_it_keeps_the_rules_of_participants_and_is_rebuilt() -> None:
    agent = ByRule(ScriptedAgent(((3, ("two",)),)))
    assert check_participant(agent).ok, check_participant(agent)
    assert rebuild(record(Session.start([SilentUser(9), agent]))).participants[1] == agent
