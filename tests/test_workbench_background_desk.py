"""A delegated task goes through its states for causes that are told; its result comes at a fitting moment, and counts once it was heard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from tests.background_fakes import (
    CLOCK,
    Knows,
    Typist,
    asked,
    asks,
    causes,
    conversation,
    handed,
    heard,
    played,
    states,
    together,
)
from tests.workbench_fakes import assert_same_turn
from workbench.background.backends import Recorded
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.parts import TYPED, Answer, Envelope, Failure, Part, Partial, Stop
from workbench.background.tasks import FINAL, NEXT
from workbench.background.telling import Delegating
from workbench.check import check_participant
from workbench.errors import InputError
from workbench.events import Event, ModelYielded, TranscriptDelta, UserSpeechStarted, UserSpeechStopped
from workbench.events_background import (
    BackgroundDropped,
    DelegationChanged,
    DelegationCreated,
    DelegationMerged,
    DelegationNote,
    DelegationRefused,
    DelegationRequested,
    DelegationResult,
)
from workbench.packets import BACKGROUND_SHOWN, USER_PLAYBACK, USER_TEXT
from workbench.session import Session

SUM = "what is two plus three"


def test_a_task_is_delivered_once_its_words_have_been_heard() -> None:
    trace = played(conversation(asked(2, SUM), Knows({SUM: (Answer(text="two plus three is 5"),)})), 30)
    assert states(trace) == ["running", "completed", "delivering", "delivered"]
    assert all(causes(trace))
    created = next(event for _, event in trace.events(DelegationCreated))
    assert (created.ask, created.origin_tick, created.source, created.words) == (SUM, 3, "user.speech", 5)
    tick, note = handed(trace)[0]
    assert note.text == "two plus three is 5"
    assert causes(trace)[-1].startswith("heard to its end")
    last_word_s = max(e.end_s for _, e in trace.events(TranscriptDelta) if e.side == "model")
    done_tick = next(t for t, e in trace.all_events() if getattr(e, "after", "") == "delivered")
    assert CLOCK.seconds(done_tick) >= last_word_s > CLOCK.seconds(tick)


def test_a_result_waits_until_nobody_speaks_but_one_that_may_interrupt_does_not() -> None:
    talk = {4: (UserSpeechStarted(at_s=0.8),), 30: (UserSpeechStopped(at_s=6.0),)}
    waits = played(conversation(together(asked(2, SUM), talk)), 50)
    assert [tick for tick, _ in handed(waits)] == [33]
    now = played(conversation(together(asked(2, SUM, schedule="interrupt"), talk)), 50)
    assert [tick for tick, _ in handed(now)] == [9]


def test_a_silent_result_is_handed_over_at_once_and_never_spoken() -> None:
    trace = played(conversation(together(asked(2, SUM, schedule="silent"), {4: (UserSpeechStarted(at_s=0.8),)})), 30)
    assert states(trace) == ["running", "completed", "delivered"]
    assert [note.schedule for _, note in handed(trace)] == ["silent"]


def test_barge_in_stops_the_speech_and_not_the_work() -> None:
    other = "look up the river"
    plan = together(asked(2, SUM), asked(5, other), {12: (ModelYielded(at_s=2.4, p_yield=0.9, reason="the user speaks"),)})
    agent = Knows({SUM: (Answer(text="one two three four five six seven eight"),), other: (Answer(text="the river is long", after_s=4.0),)})
    trace = played(conversation(plan, agent), 60)
    assert states(trace)[:4] == ["running", "completed", "delivering", "completed"]
    assert "cut off before" in causes(trace)[3]
    assert states(trace)[-1] == states(trace, "2")[-1] == "delivered"
    assert "queued" not in states(trace, "2")


def test_a_result_that_is_never_said_fails_in_the_end() -> None:
    trace = played(conversation(asked(2, SUM, expires_s=100.0), says_notes=False, say_s=1.0, offers=2), 60)
    assert states(trace) == ["running", "completed", "delivering", "completed", "delivering", "failed"]
    assert causes(trace)[-1].startswith("handed over 2 times and never heard")


def test_what_the_loudspeaker_has_not_played_was_not_heard() -> None:
    slow = {tick: ((USER_PLAYBACK, "1.0" if tick < 25 else "9.0"),) for tick in range(60)}
    user = Typist(slow, speaks=(USER_TEXT, USER_PLAYBACK))
    trace = played(conversation(asked(2, SUM), user=user), 40)
    assert next(t for t, e in trace.all_events() if getattr(e, "after", "") == "delivered") == 26


def test_a_correction_begins_the_running_work_anew_and_drops_what_was_running() -> None:
    plan = together(asked(2, "what is the height of it"), heard((5, "no the other one")), asks(6, "no the other one", "amend"))
    trace = played(conversation(plan, Knows({"no the other one": (Answer(text="nine"),)}), latency_s=2.0), 40)
    assert states(trace) == ["running", "queued", "running", "completed", "delivering", "delivered"]
    assert causes(trace)[1] == "amended: no the other one"
    assert [note.text for _, note in handed(trace)] == ["nine"]


def test_an_amendment_of_a_delivered_result_opens_a_task_that_knows_it() -> None:
    plan = together(asked(2, "plot the sales"), heard((22, "make it red")), asks(23, "make it red", "amend"))
    seen = []

    class Looks(Knows):
        def work(self, envelope, stop):  # type: ignore[no-untyped-def]
            seen.append(envelope)
            return super().work(envelope, stop)

    trace = played(conversation(plan, Looks({})), 50)
    assert states(trace, "2")[-1] == "delivered"
    assert (seen[1].ask, seen[1].amendments) == ("plot the sales", ("make it red",))
    assert [(e.task, e.text) for e in seen[1].earlier] == [("1", "answer to plot the sales")]


@pytest.mark.parametrize("tick", [4, 8, 11], ids=["running", "completed", "delivering"])
def test_cancelled_work_is_never_spoken_of_again(tick: int) -> None:
    busy = {3: (UserSpeechStarted(at_s=0.6),), 9: (UserSpeechStopped(at_s=1.8),)}
    plan = together(asked(2, SUM), busy, heard((tick - 1, "never mind")), asks(tick, "never mind", "cancel"))
    trace = played(conversation(plan, latency_s=0.6), 40)
    assert states(trace)[-1] == "cancelled"
    cancelled = next(t for t, e in trace.all_events() if getattr(e, "after", "") == "cancelled")
    assert [t for t, _ in handed(trace) if t >= cancelled] == []


def test_somebody_without_authority_can_neither_cancel_nor_amend() -> None:
    stop = together(heard((4, "never mind"), side="other"), asks(5, "never mind", "cancel"), asks(6, "never mind", "amend"))
    trace = played(conversation(together(asked(2, SUM), stop)), 30)
    assert states(trace)[-1] == "delivered"
    assert [e.cause for _, e in trace.events(DelegationRefused)] == [
        "other.speech has no authority to cancel; only the user's own speech has",
        "other.speech has no authority to amend; only the user's own speech has",
    ]


def test_a_late_result_is_introduced_and_one_of_no_use_is_dropped() -> None:
    soft = played(conversation(asked(2, SUM), latency_s=3.0, soften_s=2.0), 40)
    assert [event.about for _, event in soft.events(DelegationResult)] == [SUM]
    stale = played(conversation(asked(2, SUM, expires_s=2.0), latency_s=3.0), 40)
    assert states(stale) == ["running", "stale"]
    assert handed(stale) == []


def test_the_same_request_twice_is_one_task() -> None:
    trace = played(conversation(together(asked(2, SUM), asked(4, "What is 2 plus 3?"))), 30)
    assert [event.task for _, event in trace.events(DelegationMerged)] == ["1"]
    assert len(handed(trace)) == 1


def test_partial_results_are_handed_over_in_pauses_and_merged() -> None:
    parts = (Partial(text="found one"), Partial(text="found two"), Partial(text="found three", after_s=2.0), Answer(text="all", after_s=2))
    trace = played(conversation(asked(2, SUM), Knows({SUM: parts})), 60)
    assert [note.text for _, note in handed(trace, "partial")] == ["found one found two", "found three"]
    assert states(trace)[-1] == "delivered"


def test_an_answer_that_goes_on_from_its_parts_is_said_whole_and_once() -> None:
    parts = (Partial(text="one."), Partial(text="two.", after_s=2.0), Answer(text="one. two. three.", say="three.", continues=True))
    trace = played(conversation(asked(2, SUM), Knows({SUM: parts})), 60)
    assert [note.text for _, note in handed(trace, "partial") + handed(trace)] == ["one.", "two. three."]


def test_a_failure_reaches_the_agent_with_its_cause() -> None:
    trace = played(conversation(asked(2, SUM), Knows({SUM: (Failure(cause="the server is gone"),)})), 30)
    assert states(trace)[-1] == "failed"
    assert [event.text for _, event in trace.events(DelegationNote)] == ["the server is gone"]


def test_work_waits_its_turn_and_too_much_of_it_is_refused() -> None:
    plan = together(*(asked(2 + 2 * i, f"look up {word}") for i, word in enumerate("one two three four".split())))
    trace = played(conversation(plan, latency_s=3.0, at_once=1, queue=3), 18)
    assert states(trace, "1")[:1] == ["running"]
    assert states(trace, "2") == []
    assert [e.ask for _, e in trace.events(DelegationRefused)] == ["look up four"]


def test_a_request_that_makes_no_sense_is_refused_with_the_rule() -> None:
    plan = {3: (DelegationRequested(act="open", ask="x", at_s=0.6, schedule="soon"), DelegationRequested(act="beg", ask="x", at_s=0.6))}
    refused = [e.cause for _, e in played(conversation(plan), 6).events(DelegationRefused)]
    assert "schedule is one of silent, when_idle, interrupt" in refused[0]
    assert "ask to open, amend or cancel" in refused[1]


def test_what_is_to_be_seen_is_shown_while_the_user_talks() -> None:
    shown = {"kind": "text", "text": "five"}
    plan = together(asked(2, SUM), {4: (UserSpeechStarted(at_s=0.8),)})
    trace = played(conversation(plan, Knows({SUM: (Answer(text="5", shown=shown),)})), 20)
    assert [turn.tick for turn in trace.turns if turn.text(BACKGROUND_SHOWN)] == [9]


def test_a_session_with_slow_work_replays_bit_for_bit_and_forks() -> None:
    plan = together(asked(2, SUM), asked(6, "look up the river"))
    one, two = played(conversation(plan, seed=3), 40), played(conversation(plan, seed=3), 40)
    for a, b in zip(one.turns, two.turns, strict=True):
        assert_same_turn(a, b)
    session = conversation(plan, seed=3)
    session.run(7)
    fork = session.fork()
    fork.run(33)
    for turn in one.turns[7:]:
        assert_same_turn(session.step(), turn)


def test_a_trace_brings_the_background_back_without_its_agent() -> None:
    plan = asked(2, SUM)
    trace = played(conversation(plan), 30)
    session = conversation(plan)
    desk = Desk(Recorded.of_trace(trace))
    again = played(Session.start([*session.participants[:2], desk], clock=CLOCK), 30)
    for a, b in zip(trace.turns, again.turns, strict=True):
        assert_same_turn(a, b)


def test_desk_and_wrapper_keep_the_rules_of_participants() -> None:
    session = conversation(asked(2, SUM))
    assert check_participant(session.participants[1]).ok, check_participant(session.participants[1])
    assert check_participant(session.participants[2]).ok, check_participant(session.participants[2])
    assert isinstance(session.participants[1], Delegating)


def test_every_state_leads_to_a_final_one() -> None:
    for state, following in NEXT.items():
        assert bool(following) == (state not in FINAL)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InputError, match="counts must be at least 1"):
        conversation({}, at_once=0)


def test_work_is_ended_by_whoever_spoke_last_however_badly_that_was_heard() -> None:
    misheard = together(asked(2, SUM), heard((10, "never nine")), asks(12, "never mind", "cancel"))
    trace = played(conversation(misheard, Knows({SUM: (Answer(text="5", after_s=9.0),)})), 30)
    assert states(trace)[-1] == "cancelled"
    stranger = together(misheard, heard((11, "mind"), side="other"))
    trace = played(conversation(stranger, Knows({SUM: (Answer(text="5", after_s=1.0),)})), 30)
    assert any("no authority to cancel" in event.cause for _, event in trace.events(DelegationRefused))


@dataclass(frozen=True)
class Watched(Knows):
    """Keeps every envelope that it is given."""

    seen: list[Envelope] = field(default_factory=list)

    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Part]:
        self.seen.append(envelope)
        return super().work(envelope, stop)


@pytest.mark.parametrize("heard_as", ["no", "no then"], ids=["a word lost", "another word heard"])
def test_a_change_that_was_badly_heard_is_made_without_authority_if_only_the_user_can_have_said_it(heard_as: str) -> None:
    misheard = together(asked(2, "look up anna"), heard((5, heard_as)), asks(6, "ben", "amend"))
    seen: list[Envelope] = []
    trace = played(conversation(misheard, Watched({"ben": (Answer(text="nine"),)}, seen=seen)), 30)
    assert [note.text for _, note in handed(trace)] == ["nine"]
    assert causes(trace)[1] == "amended: ben, in words that nobody was heard to say; without authority from now on"
    assert [(e.authority, e.source) for e in seen] == [(True, "user.speech"), (False, "nobody")]
    assert [e.source for _, e in trace.events(DelegationRequested)] == ["user.speech", "user.misheard"]


@pytest.mark.parametrize(
    ("ask", "between"),
    [("ben", heard((5, "no"), side="other")), ("make it red", together(heard((4, "red"), side="other"), heard((5, "no")))), ("ben", {})],
    ids=["somebody else spoke last", "somebody else said a part of it", "nobody spoke for long"],
)
def test_a_change_that_was_badly_heard_is_refused_if_it_may_be_somebody_elses(ask: str, between: dict[int, tuple[Event, ...]]) -> None:
    plan = together(asked(2, SUM), between, asks(6 if between else 30, ask, "amend"))
    trace = played(conversation(plan, latency_s=8.0), 60)
    assert [e.cause for _, e in trace.events(DelegationRefused)] == ["nobody has no authority to amend; only the user's own speech has"]
    assert [note.text for _, note in handed(trace)] == [f"answer to {SUM}"]


def test_where_speech_has_no_authority_a_change_that_was_badly_heard_has_none_either() -> None:
    misheard = together(asked(2, SUM), heard((5, "no")), asks(6, "ben", "amend"))
    trace = played(conversation(misheard, latency_s=2.0, sources=(TYPED,)), 30)
    assert [e.cause.split(";")[0] for _, e in trace.events(DelegationRefused)] == ["user.misheard has no authority to amend"]


FAILS = {"look up anna": (Failure(cause="nothing is known about anna"),)}


def test_a_failure_that_nobody_was_told_of_yet_is_called_off_with_its_task() -> None:
    speaks = {3: (UserSpeechStarted(at_s=0.6),), 9: (UserSpeechStopped(at_s=1.8),)}
    plan = together(asked(2, "look up anna"), speaks, heard((8, "never mind")), asks(10, "never mind", "cancel"))
    trace = played(conversation(plan, Knows(FAILS), latency_s=0.6), 40)
    assert states(trace)[-1] == "failed"
    assert handed(trace, "problem") == []
    assert [e.cause for _, e in trace.events(BackgroundDropped)] == ["the user said: never mind; that it failed is not told any more"]
    assert not list(trace.events(DelegationRefused))


@pytest.mark.parametrize(("tick", "told"), [(10, 0), (20, 1)], ids=["before it was told", "after it was told"])
def test_what_failed_is_changed_and_begun_again(tick: int, told: int) -> None:
    speaks = {3: (UserSpeechStarted(at_s=0.6),), tick - 1: (UserSpeechStopped(at_s=1.8),)} if not told else {}
    plan = together(asked(2, "look up anna"), speaks, heard((tick - 2, "no ben")), asks(tick, "ben", "amend"))
    trace = played(conversation(plan, Knows({**FAILS, "ben": (Answer(text="nine"),)}), latency_s=0.6), 50)
    assert states(trace)[-1] == "failed"
    assert states(trace, "2")[-1] == "delivered"
    assert [note.text for _, note in handed(trace)] == ["nine"]
    assert len(handed(trace, "problem")) == told
    assert len(list(trace.events(BackgroundDropped))) == 1 - told


def test_what_is_urgent_is_done_before_what_was_asked_earlier() -> None:
    plan = together(asked(2, "the first"), asked(5, "the second"), asked(8, "the third", urgency="high"))
    trace = played(conversation(plan, latency_s=3.0, at_once=1, says_notes=False), 60)
    began = [event.task for _, event in trace.events(DelegationChanged) if event.after == "running"]
    assert began == ["1", "3", "2"]


# --- what waits for its hour ----------------------------------------------------------------------------------------------------

REMIND, TIMER = "remind me in ten seconds to call ann", "set a timer for ten seconds"
LATER = {
    REMIND: (Answer(text="call ann", due_s=10.0),),
    TIMER: (Answer(text="the time is up", due_s=10.0),),
    "make it green": (Failure(cause="nothing of it is understood"),),
}


@pytest.mark.parametrize(("ask", "act"), [("make it red", "amend"), ("never mind", "cancel")])
def test_a_reminder_is_let_alone_by_what_is_said_of_a_later_result(ask: str, act: str) -> None:
    plan = together(asked(2, REMIND), asked(8, "plot the sales"), asked(26, ask, act=act))
    trace = played(conversation(plan, Knows(LATER), latency_s=0.4), 80)
    assert states(trace) == ["running", "completed", "delivering", "delivered"]
    later = [states(trace, "3")[-1:], [(e.task, e.ask) for _, e in trace.events(DelegationCreated)][2:]]
    assert later == ([["delivered"], [("3", "plot the sales")]] if act == "amend" else [[], []])
    assert [e.cause for _, e in trace.events(DelegationRefused)] == ["there is no task left to cancel"] * (act == "cancel")


@pytest.mark.parametrize(
    ("between", "said", "called_off"),
    [("", "never mind", "1"), (SUM, "cancel the reminder", "1"), (TIMER, "cancel the reminder", "1"), (TIMER, "never mind", "2")],
    ids=["asked last", "named", "named of two", "the newer of two"],
)
def test_a_reminder_is_called_off_where_it_was_asked_last_or_is_named(between: str, said: str, called_off: str) -> None:
    plan = together(asked(2, REMIND), asked(8, between) if between else {}, asked(26, said, act="cancel"))
    trace = played(conversation(plan, Knows(LATER), latency_s=0.4), 80)
    cancelled = [event.task for _, event in trace.events(DelegationChanged) if event.after == "cancelled"]
    assert cancelled == [called_off]


def test_a_second_timer_is_another_one_and_rings_as_well() -> None:
    trace = played(conversation(together(asked(2, TIMER), asked(12, TIMER)), Knows(LATER), latency_s=0.4), 80)
    assert not list(trace.events(DelegationMerged))
    assert [note.text for _, note in handed(trace)] == ["the time is up"] * 2


def test_a_change_that_came_to_nothing_is_not_made_again_with_the_next() -> None:
    seen: list[Envelope] = []
    says = [(22, "make it red"), (42, "make it green"), (62, "make it blue"), (82, "call it sales")]
    plan = together(asked(2, "plot the sales"), *(asked(tick, ask, act="amend") for tick, ask in says))
    trace = played(conversation(plan, Watched(LATER, seen=seen), latency_s=0.4), 110)
    assert states(trace, "3")[-1] == "failed"
    assert states(trace, "4")[-1] == states(trace, "5")[-1] == "delivered"
    assert [envelope.amendments for envelope in seen] == [
        (),
        ("make it red",),
        ("make it red", "make it green"),
        ("make it red", "make it blue"),
        ("make it red", "make it blue", "call it sales"),
    ]


def test_a_change_of_a_running_task_that_comes_to_nothing_is_not_made_again_either() -> None:
    seen: list[Envelope] = []
    plan = together(asked(2, "plot the sales"), asked(4, "make it green", act="amend"), asked(24, "make it red", act="amend"))
    trace = played(conversation(plan, Watched(LATER, seen=seen), latency_s=2.0), 60)
    assert states(trace)[-1] == "failed"
    assert [(envelope.ask, envelope.amendments) for envelope in seen][-1] == ("plot the sales", ("make it red",))
    assert [note.text for _, note in handed(trace)] == ["answer to make it red"]


def test_a_reminder_that_could_not_be_changed_comes_as_it_was() -> None:
    trace = played(conversation(together(asked(2, REMIND), asked(12, "make it green", act="amend")), Knows(LATER), latency_s=0.4), 80)
    assert states(trace) == ["running", "completed", "queued", "running", "completed", "delivering", "delivered"]
    assert causes(trace)[4] == "as it was before: nothing of it is understood"
    assert [note.text for _, note in handed(trace, "problem")] == ["nothing of it is understood"]
    assert [(note.text, tick >= 50) for tick, note in handed(trace)] == [("call ann", True)]


def test_a_reminder_that_could_not_be_changed_and_is_called_off_is_not_spoken_of_again() -> None:
    speaks = {3: (UserSpeechStarted(at_s=0.6),), 30: (UserSpeechStopped(at_s=6.0),)}
    plan = together(asked(2, REMIND), speaks, asked(12, "make it green", act="amend"), asked(20, "never mind", act="cancel"))
    trace = played(conversation(plan, Knows(LATER), latency_s=0.4), 80)
    assert states(trace)[-2:] == ["completed", "cancelled"]
    assert handed(trace) == handed(trace, "problem") == []


# --- agents that take long ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slow(Knows):
    """Streams for so long."""

    longest_s: float = 75.0


def test_a_desk_waits_for_an_agent_that_says_how_long_it_may_take() -> None:
    assert DeskSpec().patient_with(Knows({})) == DeskSpec()
    longer = DeskSpec(run_s=120.0).patient_with(Slow({}))
    assert longer.run_s == 120.0, "it waits as long as before"
    assert longer.use_s > Slow.longest_s, "and the result is of use"
    patient = DeskSpec().patient_with(Slow({}))
    assert (patient.run_s, patient.use_s) == (75.0, 105.0)
    stream = (*(Partial(text=f"sentence {i}.", after_s=2.0) for i in range(35)), Answer(text="the end", after_s=2.0))
    settings = {"run_s": patient.run_s, "use_s": patient.use_s}
    trace = played(conversation(asked(2, SUM), Slow({SUM: stream}), **settings), 400)
    assert states(trace)[-1] == "delivered"
    assert causes(played(conversation(asked(2, SUM), Slow({SUM: stream})), 400))[-1] == "time-out: no answer within 30 s"
    with pytest.raises(InputError, match="use_s may be 0"):
        DeskSpec(use_s=-1.0)
