"""Consent by click at the desk: open for a while, for that one asking, and every end of a question has its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.background_fakes import Typist, asked, asks, conversation, handed, heard, played, states, together
from workbench.background.parts import Answer, Envelope, NeedsConsent, Part, Stop
from workbench.events_background import ConsentAsked, ConsentGiven, ConsentUncounted, ConsentWithdrawn
from workbench.explain import why
from workbench.packets import USER_CONSENT, USER_TEXT
from workbench.trace import Trace


@dataclass(frozen=True)
class Asks:
    """Asks for one and the same call whenever something is to be sent, and says what became of it."""

    how: str = "click"
    name: str = "asks"

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Asks"}

    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Part]:
        if not envelope.ask.startswith("send"):
            yield Answer(text="four")
        elif "send-1" in (*envelope.consents, *envelope.refusals):
            yield Answer(text="it is sent" if "send-1" in envelope.consents else "not sent")
        else:
            yield NeedsConsent(call="send-1", tool="send", arguments={"to": "ann"}, how=self.how, text="may I send with to ann")


def clicked(plan: Mapping[int, tuple[str, bool]], *plans: Mapping[int, Any], ticks: int = 60, how: str = "click", **settings: Any) -> Trace:
    """The user wants two things sent, one after the other, and clicks: a question and an answer by their tick."""
    packets = {
        tick: ((USER_CONSENT, f'{{"question": "{question}", "given": {str(given).lower()}}}'),) for tick, (question, given) in plan.items()
    }
    user = Typist(packets, speaks=(USER_CONSENT,))
    return played(conversation(together(asked(2, "send it to ann"), *plans), Asks(how), user=user, **settings), ticks)


def given(trace: Trace) -> list[tuple[int, str, bool, str]]:
    return [(tick, event.question, event.given, event.how) for tick, event in trace.events(ConsentGiven)]


@pytest.mark.parametrize("agrees", [True, False])
def test_a_click_is_the_answer_to_the_question_that_is_open(agrees: bool) -> None:
    trace = clicked({20: ("1.1", agrees)})
    [(tick, question)] = list(trace.events(ConsentAsked))
    assert (question.question, question.reason, question.how) == ("1.1", "send it to ann", "click")
    assert question.until_s == pytest.approx(tick * 0.2 + 30)
    assert given(trace) == [(21, "1.1", agrees, "click")]
    assert [note.text for _, note in handed(trace)] == ["it is sent" if agrees else "not sent"]
    assert states(trace)[-1] == "delivered"


def test_nobody_clicks_and_it_counts_as_no() -> None:
    trace = clicked({}, click_s=4.0)
    [(tick, question)] = list(trace.events(ConsentAsked))
    assert question.until_s == pytest.approx(tick * 0.2 + 4)
    assert given(trace) == [(tick + 20, "1.1", False, "silence")]
    assert states(trace)[-1] == "delivered"


@pytest.mark.parametrize("forged", [{20: ("1.2", True)}, {20: ("send-1", True)}, {20: ("2.1", True)}, {5: ("1.1", True)}])
def test_a_click_on_another_question_or_before_it_was_asked_is_none(forged: Mapping[int, tuple[str, bool]]) -> None:
    assert [answer[2:] for answer in given(clicked(forged, click_s=4.0))] == [(False, "silence")]


def test_the_same_call_is_asked_for_anew_for_every_task() -> None:
    trace = clicked({30: ("2.1", True)}, asked(4, "send it to ann again"), click_s=8.0)
    assert sorted(answer[1:] for answer in given(trace)) == [("1.1", False, "silence"), ("2.1", True, "click")]


def test_a_spoken_yes_is_no_click_but_a_click_is_as_good_as_a_spoken_yes() -> None:
    assert [answer[2:] for answer in given(clicked({}, heard((25, "yes go ahead")), click_s=6.0))] == [(False, "silence")]
    assert [answer[2:] for answer in given(clicked({12: ("1.1", True)}, how="voice"))] == [(True, "click")]


@pytest.mark.parametrize(
    ("said", "how", "words", "cause"),
    [
        (heard((25, "yes go ahead")), "click", ("yes", "go", "ahead"), "a spoken yes does not answer a question by click"),
        (heard((25, "okay no")), "click", ("okay", "no"), "a spoken no does not answer a question by click"),
        ("yes please", "click", ("yes", "please"), "a typed yes does not answer a question by click"),
        ("yes please", "voice", ("yes", "please"), "a typed yes does not answer a question by voice"),
    ],
)
def test_an_answer_that_does_not_count_is_told_once_with_its_cause(said: Any, how: str, words: tuple[str, ...], cause: str) -> None:
    typed = {25: ((USER_TEXT, said),)} if isinstance(said, str) else {}
    user = Typist(typed, speaks=(USER_TEXT, USER_CONSENT))
    plan = together(asked(2, "send it to ann"), {} if typed else said)
    trace = played(conversation(plan, Asks(how), user=user, click_s=8.0, consent_s=8.0), 70)
    [(tick, event)] = list(trace.events(ConsentUncounted))
    assert (event.question, event.words, event.cause) == ("1.1", words, cause)
    assert tick == (30 if typed else 29)  # once nothing was added for SETTLE_S; what is typed in a tick came by its end
    [(ended, answer)] = list(trace.events(ConsentGiven))
    assert (answer.given, answer.how) == (False, "silence")
    told = f'"{" ".join(words)}" left question 1.1 of task 1 open: {cause}'
    for at in (tick, ended):
        assert told in str(why(trace, at * 0.2))
    assert why(trace, tick * 0.2).outcome == "was answered in vain"
    assert told not in str(why(trace, (tick - 1) * 0.2))


def test_what_is_said_beside_a_question_and_what_answers_it_are_not_told_as_uncounted() -> None:
    beside = clicked({40: ("1.1", True)}, heard((20, "what is two plus two")))
    answered = clicked({}, heard((25, "yes")), how="voice")
    before = clicked({40: ("1.1", True)}, heard((1, "yes")))
    bystander = clicked({40: ("1.1", True)}, heard((25, "yes"), side="other"))
    assert [list(trace.events(ConsentUncounted)) for trace in (beside, answered, before, bystander)] == [[], [], [], []]
    assert [answer[2:] for answer in given(answered)] == [(True, "voice")]


def test_an_open_click_does_not_hold_back_what_is_ready() -> None:
    trace = clicked({45: ("1.1", True)}, asked(14, "what is two plus two"), ticks=60)
    assert [note.text for _, note in handed(trace)] == ["four", "it is sent"]
    assert handed(trace)[0][0] < given(trace)[0][0]


@pytest.mark.parametrize(
    ("plan", "cause"),
    [
        (together(heard((20, "cancel that")), asks(21, "cancel that", "cancel")), "the user said: cancel that"),
        (together(heard((20, "to bob instead")), asks(21, "to bob instead", "amend")), "amended: to bob instead"),
    ],
    ids=["called off", "amended"],
)
def test_what_changes_the_task_takes_its_question_back(plan: Mapping[int, Any], cause: str) -> None:
    trace = clicked({26: ("1.1", True)}, plan, ticks=40)
    [(_, event)] = list(trace.events(ConsentWithdrawn))
    assert (event.question, event.cause) == ("1.1", cause)
    assert ("1.1", True, "click") not in [answer[1:] for answer in given(trace)]


def test_a_question_ends_with_the_use_of_its_task() -> None:
    late = {tick: tuple(replace(event, expires_s=3.0) if hasattr(event, "expires_s") else event for event in events)
            for tick, events in asked(2, "send it to ann").items()}  # fmt: skip
    user = Typist({25: ((USER_CONSENT, '{"question": "1.1", "given": true}'),)}, speaks=(USER_CONSENT,))
    trace = played(conversation(late, Asks(), user=user), 40)
    [(_, question)] = list(trace.events(ConsentAsked))
    assert question.until_s == pytest.approx(3.6)
    assert [event.cause for _, event in trace.events(ConsentWithdrawn)] == ["it was of use until 3.6 s"]
    assert given(trace) == []
    assert states(trace)[-1] == "stale"
