"""A link keeps one wire: what it opens it closes, what gets stuck holds nothing up, and it ends with a reason where nobody talks."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from workbench.adapters.link import GaveUp, Link, LinkSpec, Lost, News, Resumed, Saying, Told
from workbench.adapters.remote import RemoteAgent
from workbench.clock import pause
from workbench.errors import PeerError
from workbench.session import Session
from workbench.users import SilentUser

PATIENCE_S = 20.0
IDLE_S, SEND_S = 0.05, 15.0
SOON = LinkSpec(retry_s=0.01)


class Fake:
    """A wire that opens once it may, sends what it is given, and hears nothing until it is told what, or that it is lost."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.opening, self.may_open, self.heard, self.closed = (threading.Event() for _ in range(4))
        self.may_open.set()
        self.news: list[News] = []
        self.lost: Exception | None = None
        self.sent: list[Saying] = []

    def open(self) -> None:
        self.opening.set()
        assert self.may_open.wait(PATIENCE_S)
        if self.refusal is not None:
            raise self.refusal

    def send(self, saying: Saying) -> None:
        self.sent.append(saying)

    def receive(self) -> list[News]:
        self.heard.wait()
        self.heard.clear()
        if self.lost is not None:
            raise self.lost
        return self.news

    def close(self) -> None:
        self.lose(ConnectionError("closed"))
        self.closed.set()

    def lose(self, error: Exception) -> None:
        self.lost = error
        self.heard.set()


class Stuck(Fake):
    """A wire of a library that holds its lock while it sends, which goes on until it is let; closing waits for that lock."""

    def __init__(self) -> None:
        super().__init__()
        self.sending, self.goes_on, self.lock = threading.Event(), threading.Event(), threading.Lock()

    def send(self, saying: Saying) -> None:
        with self.lock:
            self.sending.set()
            self.goes_on.wait()

    def close(self) -> None:
        with self.lock:
            super().close()


def saying(typed: str = "") -> Saying:
    return Saying(np.zeros(3200, np.float32), typed)


def linked(*wires: Fake, spec: LinkSpec = SOON, now: Callable[[], float] = lambda: 0.0) -> Link:
    left = list(wires)
    return Link(lambda: left.pop(0), now, spec)


def until(holds: Callable[[], object]) -> None:
    for _ in range(round(PATIENCE_S / 0.01)):
        if holds():
            return
        pause(0.01)
    raise AssertionError("it never came to that")


def told(link: Link, last: type[News]) -> list[type[News]]:
    """The kinds of the news until the last of them has come."""
    news: list[type[News]] = []
    until(lambda: news.extend(map(type, link.take())) or last in news)
    return news


def test_a_wire_that_opens_while_the_link_is_closed_is_closed_too() -> None:
    first, second = Fake(), Fake()
    second.may_open.clear()
    link = linked(first, second).open()
    first.lose(ConnectionError("gone"))
    assert second.opening.wait(PATIENCE_S)
    link.close()
    second.may_open.set()
    assert second.closed.wait(PATIENCE_S)
    assert first.closed.wait(PATIENCE_S)
    assert [type(item) for item in link.take()] == [Lost]


@pytest.mark.parametrize("refusal", [PeerError("no such model"), OSError("no such host")])
def test_a_wire_that_refuses_is_closed(refusal: Exception) -> None:
    wire = Fake(refusal)
    with pytest.raises(PeerError, match="no such"):
        linked(wire).open()
    assert wire.closed.wait(PATIENCE_S)


def test_a_link_that_is_closed_in_the_moment_in_which_its_wire_is_lost_leaves_no_thread() -> None:
    class Meanwhile(Exception):
        """An error in whose reading the link is closed: after the loss was noticed, and before another wire is opened."""

        def __str__(self) -> str:
            link.close()
            return "gone"

    before, wire = set(threading.enumerate()), Fake()
    link = linked(wire, Fake()).open()
    wire.lose(Meanwhile())
    assert wire.closed.wait(PATIENCE_S)
    link.say(saying())
    until(lambda: not set(threading.enumerate()) - before)


def test_what_is_said_late_for_the_first_time_is_sent_and_silence_after_it_is_told() -> None:
    wire = Fake()
    link = linked(wire, spec=LinkSpec(idle_s=IDLE_S)).open()
    pause(4 * IDLE_S)
    link.say(saying("hello"))
    until(lambda: wire.sent)
    assert wire.closed.wait(PATIENCE_S)
    assert link.take() == [GaveUp("nothing was said for 0.05 s")]


def test_an_agent_whose_session_paused_for_too_long_says_so_instead_of_falling_silent() -> None:
    wire = Fake()
    agent = RemoteAgent(lambda: wire, {"service": "tiny", "url": "nowhere"}, patience=LinkSpec(idle_s=IDLE_S))
    session = Session.start([SilentUser(), agent])
    session.run(1)
    assert wire.closed.wait(PATIENCE_S)
    with pytest.raises(PeerError, match=r"tiny at nowhere broke off .*nothing was said for 0\.05 s"):
        session.run(1)


def test_a_send_that_is_stuck_does_not_keep_a_lost_wire_from_being_replaced() -> None:
    first, second = Stuck(), Fake()
    link = linked(first, second).open()
    link.say(saying("one"))
    assert first.sending.wait(PATIENCE_S)
    link.say(saying("two"))
    first.lose(TimeoutError("nothing came"))
    assert told(link, Resumed) == [Lost, Resumed]
    until(lambda: second.sent)
    link.say(saying("three"))
    until(lambda: len(second.sent) == 2)
    assert [each.typed for each in second.sent] == ["two", "three"]
    first.goes_on.set()
    assert first.closed.wait(PATIENCE_S), "once it can be"
    link.close()


def test_a_send_that_takes_too_long_loses_its_wire_and_what_comes_over_it_later_is_nothing() -> None:
    clock, before = [0.0], set(threading.enumerate())
    first, second = Stuck(), Fake()
    link = linked(first, second, spec=LinkSpec(retry_s=0.01, send_s=SEND_S), now=lambda: clock[0]).open()
    link.say(saying("one"))
    assert first.sending.wait(PATIENCE_S)
    clock[0] = SEND_S
    link.say(saying("two"))
    assert link.take() == [], "a while is no loss"
    clock[0] = SEND_S + 0.2
    link.say(saying("three"))
    [lost, *resumed] = link.take()
    assert lost == Lost("a tick could not be sent within 15 s")
    assert resumed or told(link, Resumed) == [Resumed]
    until(lambda: len(second.sent) == 2)
    assert [each.typed for each in second.sent] == ["two", "three"]
    first.news = [Told("late", "of the wire that was lost")]
    first.heard.set()
    until(lambda: not first.heard.is_set())
    first.goes_on.set()
    assert first.closed.wait(PATIENCE_S)
    link.close()
    until(lambda: not set(threading.enumerate()) - before)
    assert link.take() == []
    assert [each.typed for each in second.sent] == ["two", "three"], "nothing is sent twice"
