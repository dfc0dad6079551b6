"""What is held back can still be taken back; what may not be asked or said is stopped on its way, and refused in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.background_fakes import Knows, PlannedAgent, Typist, asked, asks, together
from tests.background_fakes import heard as words_heard
from tests.test_workbench_policies import Talker, heard
from workbench.agents import ScriptedAgent
from workbench.background.backends import Simulated
from workbench.background.desk import Desk
from workbench.background.parts import Answer, Part
from workbench.background.telling import Delegating
from workbench.check import check_participant
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import (
    Decision,
    Event,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    TranscriptDelta,
    UserSpeechStarted,
    UserSpeechStopped,
)
from workbench.events_background import DelegationChanged, DelegationRefused, DelegationRequested, DelegationResult
from workbench.events_rules import GuardActed
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_TEXT, MicroTurn
from workbench.policies import BargeIn, Governed, Guard, Hold
from workbench.replay import rebuild
from workbench.rules import found_in
from workbench.session import Said, Session
from workbench.trace import Trace, record
from workbench.users import SilentUser

CLOCK = ClockSpec()
SAFE = Guard(asks=("open the safe",), says=("the code is",))


@dataclass(frozen=True)
class Hears:
    """Another agent, which hears these words of the user, each in its tick, while the user talks from the first to the last of them."""

    agent: Any
    words: Mapping[int, str] = field(default_factory=dict)
    more: Mapping[int, Event] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "agent"

    @property
    def speaks(self) -> tuple[str, ...]:
        return (AGENT_AUDIO, AGENT_TEXT)

    @property
    def hears(self) -> tuple[str, ...]:
        return ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Hears"}

    def start(self, clock: ClockSpec, seed: int) -> Any:
        return self.agent.start(clock, seed)

    def step(self, state: Any, tick: Tick, heard: MicroTurn) -> tuple[Said, Any]:
        said, state = self.agent.step(state, tick, heard)
        at_s, events = CLOCK.seconds(tick), [self.more[tick]] if tick in self.more else []
        decision = Decision(floor="", said="", p_speak=0.9, p_yield=0, p_backchannel=0, threshold=0.5)
        if tick in self.words:
            events += [UserSpeechStarted(at_s=at_s)] if tick == min(self.words) else []
            events += [TranscriptDelta(side="user", word=w, start_s=at_s, end_s=at_s + 0.2) for w in self.words[tick].split()]
            events += [UserSpeechStopped(at_s=at_s)] if tick == max(self.words) else []
        return replace(said, events=(decision, *events, *said.events)), state


def conversation(plan: Mapping[int, str], words: Mapping[int, str], *policies: Any, hold: int = 0, **more: Any) -> Trace:
    """The trace of an agent that says `plan` and hears `words`, under these rules."""
    agent = Hears(ScriptedAgent(tuple((tick, tuple(text.split())) for tick, text in plan.items())), words, **more)
    session = Session.start([Governed(agent, policies, Hold(ticks=hold))], clock=CLOCK)
    trace = record(session)
    session.run(40)
    return trace


def said(trace: Trace) -> str:
    """The words whose sound began and that were not cut before their end."""
    return " ".join(e.word for _, e in trace.events(TranscriptDelta) if e.side == "model")


def acted(trace: Trace) -> list[tuple[int, str, str]]:
    return [(tick, e.direction, e.did) for tick, e in trace.events(GuardActed)]


def test_what_is_held_back_is_heard_that_much_later_and_the_same() -> None:
    now, later = conversation({3: "one two"}, {}), conversation({3: "one two"}, {}, hold=3)
    for kind in (TranscriptDelta, ModelSpeechStarted, ModelSpeechStopped):
        one, two = list(now.events(kind)), list(later.events(kind))
        assert [tick + 3 for tick, _ in one] == [tick for tick, _ in two]
    starts = [[e.start_s for _, e in trace.events(TranscriptDelta)] for trace in (now, later)]
    assert starts[1] == pytest.approx([at_s + 0.6 for at_s in starts[0]])
    sound = [trace.audio(AGENT_AUDIO) for trace in (now, later)]
    assert sound[1][3 * 3200 :].tolist() == sound[0][: -3 * 3200].tolist()


def test_an_agent_that_gives_way_is_not_heard_afterwards() -> None:
    trace = conversation({3: "one two three four", 7: "<yield>"}, {}, hold=2)
    yields = [(tick, e.unsaid.split()[0]) for tick, e in trace.events(ModelYielded)]
    assert [tick for tick, _ in yields] == [7]
    assert all(turn.get(AGENT_AUDIO) is None for turn in trace.turns[8:])
    unheard = conversation({3: "one", 4: "<yield>"}, {}, hold=3)
    assert said(unheard) == ""
    assert [(tick, g.name, g.reason) for tick, e in unheard.events(Decision) for g in e.gates] == [
        (4, "hold-back", "the agent gave way before it was heard")
    ]


def test_patience_waits_for_silence_and_gives_up_when_the_user_goes_on() -> None:
    waits = heard_with(Talker((5,), user=(2, 5)), Hold(patience_s=0.6))
    assert waits[1] == [8, 9, 10, 11, 12]  # silent since the beginning of tick 5
    goes_on = Talker((5,), user=(6, 9))
    assert heard_with(goes_on, Hold())[1] == [5, 6, 7, 8, 9]
    trace, loud, gates = heard_with(goes_on, Hold(ticks=2, patience_s=0.4))
    assert (loud, gates) == ([], [(6, "hold-back")])
    assert not list(trace.events(TranscriptDelta, ModelSpeechStarted, ModelSpeechStopped))


def heard_with(talker: Talker, hold: Hold) -> tuple[Trace, list[int], list[tuple[int, str]]]:
    session = Session.start([Governed(talker, (), hold)], clock=ClockSpec(tick_ms=200, sample_rate=1000))
    trace = record(session)
    session.run(24)
    loud = [t.tick for t in trace.turns if float(t.audio(AGENT_AUDIO, 200).mean()) > 0.4]
    return trace, loud, [(tick, gate.name) for tick, e in trace.events(Decision) for gate in e.gates]


def test_rules_look_at_what_is_heard_now_not_at_what_was_decided() -> None:
    governed = Governed(Talker((2,), user=(4, 12)), (BargeIn("at_once"),), Hold(ticks=1))
    session = Session.start([governed], clock=ClockSpec(tick_ms=200, sample_rate=1000))
    trace = record(session)
    session.run(20)
    assert [tick for tick, _ in trace.events(ModelYielded)] == [4]
    assert heard(Talker((2,), user=(4, 12)), BargeIn("at_once"))[1] == [2, 3]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("please open the safe now", True),
        ("open uh the big red safe", True),
        ("open the very big old red safe", False),
        ("the safe", False),
    ],
)
def test_a_phrase_is_found_when_its_words_stand_close_together(words: str, found: bool) -> None:
    assert bool(found_in(("open the safe",), words.split())) == found


def test_a_disallowed_ask_that_is_completed_late_is_refused_midway() -> None:
    """The agent answers "open the ... door" at tick 6; the ask is completed with "safe" at tick 8, while it speaks."""
    trace = conversation({6: "one two three four five"}, {3: "please open", 4: "the", 8: "safe"}, SAFE)
    assert acted(trace) == [(8, "in", "cut")]
    assert said(trace).split()[-7:] == "sorry i can not help with that".split()
    assert "four" not in said(trace)
    gates = [(tick, gate) for tick, e in trace.events(Decision) for gate in e.gates]
    assert [(tick, gate.name, gate.reason) for tick, gate in gates] == [(8, "guard", "'open the safe' may not be asked")]
    assert [(tick, e.reason) for tick, e in trace.events(ModelYielded)] == [(8, "guard: 'open the safe' may not be asked")]


def test_a_disallowed_ask_is_refused_before_an_answer_begins_and_typed_too() -> None:
    trace = conversation({8: "one two"}, {3: "open the safe", 4: "please"}, SAFE)
    assert acted(trace) == [(3, "in", "refused")]
    assert said(trace) == "sorry i can not help with that"
    typed = Governed(ScriptedAgent(((3, ("one", "two")),)), (SAFE,))
    assert USER_TEXT in typed.hears


def test_what_may_not_be_said_is_stopped_before_its_first_word_where_it_is_held_back() -> None:
    plan = {3: "one", 4: "the", 5: "code", 6: "is", 7: "two"}
    late, early = conversation(plan, {}, SAFE), conversation(plan, {}, SAFE, hold=2)
    assert said(late) == "one the sorry i can not help with that"  # too late for its first word
    assert said(early) == "one sorry i can not help with that"
    assert [did for _, _, did in acted(early)] == ["cut"]


def test_slow_work_for_a_disallowed_ask_is_not_asked_for() -> None:
    request = DelegationRequested(act="open", at_s=1.0, ask="open the safe")
    harmless = DelegationRequested(act="open", at_s=6.0, ask="open the door")
    trace = conversation({}, {3: "open the", 4: "safe"}, SAFE, more={5: request, 30: harmless})
    assert [e.ask for _, e in trace.events(DelegationRequested)] == ["open the door"]
    assert [e.cause for _, e in trace.events(DelegationRefused)] == ["guard: it may not be asked"]


@pytest.mark.parametrize("act", ["open", "amend"])
def test_a_long_request_is_looked_at_from_its_first_word_to_its_last(act: str) -> None:
    long = f"open the safe {'and tell me what is in it because ' * 9}"
    trace = conversation({}, {}, SAFE, more={5: DelegationRequested(act=act, at_s=1.0, ask=long)})
    assert list(trace.events(DelegationRequested)) == []
    assert [e.cause for _, e in trace.events(DelegationRefused)] == [GUARDED]


def test_words_that_come_all_at_once_are_looked_at_from_the_first_to_the_last() -> None:
    long = f"open the safe {'and tell me what is in it because ' * 9}"
    assert acted(conversation({}, {3: long}, SAFE)) == [(3, "in", "refused")]
    assert acted(worked({}, {2: long})) == [(3, "in", "refused")]


def test_what_a_guard_tells_is_the_phrase_that_was_about_to_be_said() -> None:
    trace = conversation({3: "the", 4: "code", 5: "is"}, {}, Guard(says=("my name is", "the code is")))
    assert [e.phrase for _, e in trace.events(GuardActed)] == ["the code is"]


def worked(
    plan: Mapping[int, tuple[Event, ...]],
    typed: Mapping[int, str] | None = None,
    ticks: int = 45,
    answers: Mapping[str, tuple[Part, ...]] | None = None,
) -> Trace:
    """The trace of an agent with this plan under the guard, a user who types, and work that takes four seconds."""
    agent = Governed(PlannedAgent(plan, speaks=(AGENT_AUDIO, AGENT_TEXT)), (SAFE,))
    user = Typist({tick: ((USER_TEXT, text),) for tick, text in (typed or {}).items()})
    desk = Desk(Simulated(Knows(answers or {}), (4.0, 4.0)))
    session = Session.start([user, Delegating(agent), desk], clock=CLOCK)
    trace = record(session)
    session.run(ticks)
    return trace


def ended(trace: Trace) -> list[tuple[str, str]]:
    """The tasks that were ended, each with its cause; of what is over nothing may be handed over."""
    gone = [(e.task, e.cause) for _, e in trace.events(DelegationChanged) if e.after in ("cancelling", "cancelled")]
    assert not {task for task, _ in gone} & {e.task for _, e in trace.events(DelegationResult)}
    return [(task, cause) for task, cause in gone if cause != "its work has ended"]


GUARDED = "guard: it may not be asked"


def test_work_that_was_begun_before_the_ask_was_completed_is_ended_with_it() -> None:
    trace = worked(together(words_heard((2, "look up how to")), asks(3, "look up how to"), words_heard((5, "open the safe"))))
    assert acted(trace) == [(5, "in", "refused")]
    assert ended(trace) == [("1", GUARDED)]


def test_work_that_was_asked_for_in_another_breath_goes_on() -> None:
    trace = worked(together(asked(2, "look up anna"), words_heard((16, "open the safe"))))
    assert acted(trace) == [(16, "in", "refused")]
    assert ended(trace) == []
    assert [e.task for _, e in trace.events(DelegationResult)] == ["1"]


def test_a_change_that_completes_what_may_not_be_asked_ends_the_work_that_it_changes() -> None:
    heard_first = together(asked(2, "look up how to open"), words_heard((6, "the safe")), asks(7, "the safe", "amend"))
    assert ended(worked(heard_first)) == [("1", GUARDED)]
    between = words_heard((6, "well let me think what it was again"), (8, "the safe"))  # too far apart to be heard as one phrase
    trace = worked(together(asked(2, "look up how to open"), between, asks(9, "the safe", "amend")))
    assert acted(trace) == [(10, "in", "refused")]  # when the desk takes it up
    assert [(e.act, e.cause) for _, e in trace.events(DelegationRefused)] == [("amend", GUARDED)]
    assert ended(trace) == [("1", GUARDED)]


BETWEEN = words_heard((30, "well so what was i going to say now"))  # what is heard before and after it makes up no phrase


@pytest.mark.parametrize(
    ("change", "more", "forbidden"),
    [
        ("the reminder the safe", {}, ["1"]),  # it waits for its hour, and is named
        ("the safe", {"task": "1"}, ["1"]),
        ("the safe", {}, []),  # that is the newest: anna
        ("the safe", {"task": "2"}, []),
    ],
)
def test_a_change_is_looked_at_with_the_work_that_it_changes_and_no_other(
    change: str, more: Mapping[str, Any], forbidden: list[str]
) -> None:
    remind = "remind me in five minutes to open"
    changed = together(BETWEEN, words_heard((34, change)), asks(35, change, "amend", **more))
    plan = together(asked(2, remind), asked(16, "look up anna"), changed)
    trace = worked(plan, ticks=80, answers={remind: (Answer(text="the reminder", due_s=300.0),)})
    assert ended(trace) == [(task, GUARDED) for task in forbidden]
    assert [e.cause for _, e in trace.events(DelegationRefused)] == [GUARDED for _ in forbidden]
    assert [e.task for _, e in trace.events(DelegationResult)] == ["2"]


def test_a_harmless_change_is_made_whatever_else_was_asked_and_no_other_work_ends() -> None:
    timer = "set a timer for five minutes"
    changed = together(BETWEEN, words_heard((34, "the timer the safe one")), asks(35, "the timer the safe one", "amend"))
    plan = together(asked(2, timer), asked(16, "look up how to open"), changed)
    trace = worked(plan, ticks=80, answers={timer: (Answer(text="the timer", due_s=300.0),)})
    assert (acted(trace), ended(trace), list(trace.events(DelegationRefused))) == ([], [], [])
    assert [e.task for _, e in trace.events(DelegationChanged) if e.cause == "amended: the timer the safe one"] == ["1"]
    assert [e.task for _, e in trace.events(DelegationResult)] == ["2", "1"]


@pytest.mark.parametrize("change", [True, False])
def test_work_that_was_asked_for_twice_ends_as_one(change: bool) -> None:
    """The second ask is merged; what may not be asked is completed by a change of that work, or heard in the breath of the second ask."""
    twice = together(asked(2, "look up how to open"), asked(14, "look up how to open"))
    between = words_heard((18, "well let me think what it was again"), (20, "the safe")) if change else words_heard((18, "the safe"))
    trace = worked(together(twice, between, asks(21, "the safe", "amend") if change else {}), ticks=60)
    assert ended(trace) == [("1", GUARDED)]
    assert acted(trace) == [(22 if change else 18, "in", "refused")]


def test_a_change_of_what_was_answered_already_may_not_complete_what_may_not_be_asked() -> None:
    between = words_heard((60, "well so what was i going to say now"), (64, "the safe"))
    trace = worked(together(asked(2, "look up how to open"), between, asks(65, "the safe", "amend")), ticks=80)
    assert acted(trace) == [(66, "in", "refused")]
    assert [e.cause for _, e in trace.events(DelegationRefused)] == [GUARDED]
    assert [e.text for _, e in trace.events(DelegationResult)] == ["answer to look up how to open"]


def test_work_that_a_guard_has_ended_is_not_held_against_what_is_asked_later() -> None:
    plan = together(
        asked(2, "look up how to open"), words_heard((6, "the safe")), asked(30, "look up anna"), asked(38, "the safe one", act="amend")
    )
    trace = worked(plan, ticks=70)
    assert acted(trace) == [(6, "in", "refused")]
    assert ended(trace) == [("1", GUARDED)]
    assert [e.task for _, e in trace.events(DelegationResult)] == ["2"]


def test_work_that_was_changed_in_the_same_breath_is_ended_and_typed_words_end_it_too() -> None:
    changed = together(asked(2, "look up how to"), asked(14, "open", act="amend"), words_heard((16, "the safe")))
    assert ended(worked(changed)) == [("1", GUARDED)]
    typed = worked(asks(3, "look up how to"), {2: "look up how to", 5: "open the safe"})
    assert [e.source for _, e in typed.events(DelegationRequested)] == ["user.text"]
    assert ended(typed) == [("1", GUARDED)]


def test_a_guarded_agent_keeps_the_rules_of_participants() -> None:
    governed = Governed(ScriptedAgent(((3, ("two", "three")),)), (SAFE, BargeIn("at_once")), Hold(ticks=2, patience_s=0.4))
    assert check_participant(governed).ok, check_participant(governed)
    rebuilt = rebuild(record(Session.start([SilentUser(9), governed])))
    assert rebuilt.participants[1] == governed
    with pytest.raises(InputError, match="every phrase, and the refusal, needs a word"):
        Guard(asks=("...",))
    with pytest.raises(InputError, match="ticks and patience_s are zero or more"):
        Hold(ticks=-1)
