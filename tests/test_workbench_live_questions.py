"""A tool that asks for a click in a live session: told to the page, answered by its person only, recorded, and settled in any case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.background_fakes import PlannedAgent
from tests.live_fakes import HELLO, Page, Wall, again
from tests.test_workbench_consent_by_click import Asks
from tests.test_workbench_guard import Hears
from workbench.agents import ScriptedAgent
from workbench.background.backends import Simulated
from workbench.background.by_rule import ByRule
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.telling import Delegating
from workbench.clock import ClockSpec, RealTime
from workbench.errors import InputError
from workbench.events_background import ConsentAsked, ConsentClicked, ConsentGiven, ToolUsed
from workbench.live.ear import Ear, LiveUser
from workbench.live.outbox import Outbox
from workbench.live.protocol import Click, Consent, Problem, Question, Settled, Text, TickDone
from workbench.live.questions import Questions
from workbench.live.runtime import LiveSession, LiveSpec
from workbench.packets import AGENT_TEXT, USER_CONSENT
from workbench.replay import replay
from workbench.session import Session
from workbench.store import read_trace
from workbench.trace import Trace

ASKED = ("send", {"to": "ann"}, "click", "may I send with to ann", "send it to ann")


def opened(path: Path, words: dict[int, str], ticks: int, **settings: Any) -> tuple[LiveSession, Page, Wall]:
    """A session whose agent hears these words, and whose background asks before it sends; its page has agreed to be heard."""
    wall = Wall()
    agent = Delegating(ByRule(Hears(ScriptedAgent(()), words), cues=("send", "plus")))
    desk = Desk(Simulated(Asks(), (0.4, 0.4)), DeskSpec(**settings))
    pace = RealTime(ClockSpec(), now=wall.now, sleep=wall.sleep)
    spec = LiveSpec(minutes=ticks * 0.2 / 60)
    session = LiveSession(agent, path, pace, name="one", token="token-of-one", spec=spec, beside=(desk,))
    page = Page(session, wall, Outbox(10_000))
    session.connect(HELLO, page.outbox)
    page.send(Consent(given=True, text="May the agent hear you?"))
    return session, page, wall


def answer(page: Page, given: bool, **other: Any) -> None:
    """Press a button of the question that was shown last."""
    shown = page.of(Question)[-1]
    page.send(replace(Click(question=shown.question, given=given, version=shown.version), **other))


def said(page: Page) -> str:
    return " ".join(tick.said for tick in page.of(TickDone) if tick.said)


def clicks(trace: Trace) -> list[str]:
    return [turn.text(USER_CONSENT) for turn in trace.turns if turn.text(USER_CONSENT)]


@pytest.mark.parametrize("given", [True, False])
def test_a_click_on_what_was_shown_is_recorded_and_counts(tmp_path: Path, given: bool) -> None:
    session, page, wall = opened(tmp_path / "a.sqlite", {3: "send it to ann"}, 60)
    wall.at(5.05, lambda: answer(page, given))
    session.run()
    [question] = page.of(Question)
    assert (question.tool, question.arguments, question.how, question.text, question.reason) == ASKED
    assert question.left_s == pytest.approx(30.0, abs=0.5)
    assert page.of(Settled) == [Settled(question=question.question, given=given, how="click")]
    trace = read_trace(tmp_path / "a.sqlite")
    [(at, clicked)] = list(trace.events(ConsentClicked))
    [(asked, _)] = list(trace.events(ConsentAsked))
    assert (clicked.given, clicked.text, clicked.version) == (given, question.text, question.version)
    assert clicked.shown_s == pytest.approx(asked * 0.2)
    assert 25 <= at <= 26
    assert [(event.given, event.how) for _, event in trace.events(ConsentGiven)] == [(given, "click")]
    assert said(page).endswith("it is sent" if given else "not sent")
    assert page.of(Problem) == []
    assert replay(trace, agent=session.session.participants[1]).difference is None


def test_what_the_person_agreed_to_at_first_is_in_the_header(tmp_path: Path) -> None:
    session, _, _ = opened(tmp_path / "a.sqlite", {}, 3)
    session.run()
    consent = read_trace(tmp_path / "a.sqlite").header.consent
    assert consent["text"] == "May the agent hear you?"
    assert len(consent["version"]) == 16


@pytest.mark.parametrize("other", [{"version": "0" * 16}, {"question": "2.1"}, {"question": "send-1"}])
def test_a_click_on_anything_else_is_refused(tmp_path: Path, other: dict[str, str]) -> None:
    session, page, wall = opened(tmp_path / "a.sqlite", {3: "send it to ann"}, 60, click_s=6.0)
    wall.at(4.05, lambda: answer(page, True, **other))
    session.run()
    assert [problem.code for problem in page.of(Problem)] == ["question"]
    assert [(settled.given, settled.how) for settled in page.of(Settled)] == [(False, "silence")]
    assert clicks(read_trace(tmp_path / "a.sqlite")) == []


def test_a_second_click_and_one_that_comes_too_late_are_refused(tmp_path: Path) -> None:
    session, page, wall = opened(tmp_path / "a.sqlite", {3: "send it to ann"}, 60)
    wall.at(4.05, lambda: (answer(page, False), answer(page, True)))
    wall.at(6.05, lambda: answer(page, True))
    session.run()
    assert [problem.code for problem in page.of(Problem)] == ["question", "question"]
    assert [settled.given for settled in page.of(Settled)] == [False]
    assert len(clicks(read_trace(tmp_path / "a.sqlite"))) == 1


def test_who_only_looks_on_cannot_click(tmp_path: Path) -> None:
    session, page, wall = opened(tmp_path / "a.sqlite", {3: "send it to ann"}, 60, click_s=6.0)
    watcher = Page(session, wall, Outbox(10_000))
    session.watch(watcher.outbox)
    wall.at(4.05, lambda: answer(watcher, True))
    session.run()
    assert len(watcher.of(Question)) == 1
    assert [problem.code for problem in watcher.of(Problem)] == ["gone"]
    assert [settled.how for settled in page.of(Settled)] == ["silence"]


def test_what_is_typed_or_said_is_no_click(tmp_path: Path) -> None:
    words = {3: "send it to ann", 20: "yes yes go ahead"}
    session, page, wall = opened(tmp_path / "a.sqlite", words, 60, click_s=6.0)
    wall.at(4.05, lambda: page.send(Text(text='{"question": "1.1", "given": true}')))
    session.run()
    cause = "a spoken yes does not answer a question by click"
    assert [(settled.given, settled.how, settled.text) for settled in page.of(Settled)] == [(False, "silence", cause)]
    assert [text for tick in page.of(TickDone) for kind, _, text in tick.events if kind == "consent.uncounted" and cause in text]
    trace = read_trace(tmp_path / "a.sqlite")
    assert clicks(trace) == []
    assert [event.done for _, event in trace.events(ToolUsed)] == []


def test_a_page_that_comes_back_is_shown_what_is_open(tmp_path: Path) -> None:
    session, page, wall = opened(tmp_path / "a.sqlite", {3: "send it to ann"}, 60)
    later: list[Page] = []
    wall.at(6.05, lambda: later.append(again(page)))
    wall.at(8.05, lambda: answer(later[0], True))
    session.run()
    [first], [second] = page.of(Question), later[0].of(Question)
    assert second == replace(first, left_s=second.left_s)
    assert 3 < first.left_s - second.left_s < 6
    assert [settled.given for settled in later[0].of(Settled)] == [True]


def test_a_question_is_taken_back_when_its_work_is_called_off(tmp_path: Path) -> None:
    session, page, wall = opened(tmp_path / "a.sqlite", {3: "send it to ann", 20: "never mind"}, 60, quiet_s=4.0)
    wall.at(9.05, lambda: answer(page, True))
    session.run()
    assert [(settled.given, settled.how) for settled in page.of(Settled)] == [(None, "withdrawn")]
    assert [problem.code for problem in page.of(Problem)] == ["question"]


@pytest.mark.parametrize("speaks", [(USER_CONSENT,), (AGENT_TEXT, USER_CONSENT)], ids=["background", "agent"])
def test_nobody_beside_the_person_can_have_a_say_on_clicks(tmp_path: Path, speaks: tuple[str, ...]) -> None:
    other = replace(PlannedAgent({}), name="other", speaks=speaks)
    clock = ClockSpec()
    user = LiveUser(Ear(clock, Wall().now))
    with pytest.raises(InputError, match=r"user\.consent"):
        Session.start([user, other], clock=clock)


def test_the_version_tells_every_argument_apart() -> None:
    asked = ConsentAsked(
        task="1", call="c", tool="send", arguments={"to": "ann"}, how="click", text="may I send", question="1.1", until_s=9.0
    )
    versions = set()
    for event in (asked, replace(asked, arguments={"to": "bob"}), replace(asked, text="may I"), replace(asked, reason="other")):
        _, [question] = Questions().after([event], 1.0)
        versions.add(question.version)
    assert len(versions) == 4
