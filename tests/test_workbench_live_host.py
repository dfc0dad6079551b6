"""Pages that come and go at one host: each has its own session, is told why it has none, and finds its old one again."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.live_fakes import HELLO, ramp
from workbench.agents import EchoAgent
from workbench.clock import ClockSpec, RealTime, pause
from workbench.errors import CheckpointError
from workbench.live.admission import Admission, Limits
from workbench.live.host import Connection, Host
from workbench.live.protocol import RATE, Audio, Consent, End, FromClient, Hello, Problem, Stop, TickDone, Welcome, encode, pack, unpack
from workbench.packets import USER_AUDIO
from workbench.session import Participant
from workbench.store import read_trace, verify


class Gate:
    """A wall clock that several sessions sleep on, and that moves one tick when the test says so."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.moved = threading.Condition()

    def now(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        with self.moved:
            until_s = self.at_s + seconds
            self.moved.wait_for(lambda: self.at_s >= until_s - 1e-9, 30)

    def pass_s(self, seconds: float) -> None:
        with self.moved:
            self.at_s += seconds
            self.moved.notify_all()


@pytest.fixture
def wall() -> Gate:
    return Gate()


@pytest.fixture
def host(tmp_path: Path, wall: Gate) -> Iterator[Host]:
    made = Host(EchoAgent, tmp_path, Admission(Limits(sessions=2), wall.now), make_pace=lambda: RealTime(ClockSpec(), wall.now, wall.sleep))
    yield made
    for session in made.sessions:
        session.stop()
    while made.sessions:
        wall.pass_s(0.2)


def say(connection: Connection, message: FromClient) -> None:
    connection.feed(*unpack(pack(*encode(message))))


def begin(host: Host, visitor: str) -> tuple[Connection, Welcome]:
    connection = host.open(visitor)
    say(connection, HELLO)
    (welcome,) = connection.outbox.take()
    assert isinstance(welcome, Welcome), welcome
    return connection, welcome


def problem(connection: Connection) -> Problem:
    found = connection.outbox.take()[-1]
    assert isinstance(found, Problem), found
    return found


def until(connection: Connection, wall: Gate, kind: type, most: int = 200) -> list[object]:
    """All that a connection gives until something of this kind comes, time going on."""
    told: list[object] = []
    for _ in range(most):
        told += connection.outbox.take()
        if any(isinstance(message, kind) for message in told):
            return told
        wall.pass_s(0.2)
        connection.outbox.wait(0.2)
    raise AssertionError(f"no {kind.__name__} in {told}")


def test_two_visitors_do_not_hear_each_other_and_a_third_is_told_to_wait(host: Host, wall: Gate) -> None:
    (one, hers), (two, his) = begin(host, "ann"), begin(host, "bob")
    assert hers.token != his.token
    say(one, Consent(given=True))
    say(two, Consent(given=True))
    until(one, wall, TickDone)
    until(two, wall, TickDone)
    for begin_n in range(0, 8000, 320):
        say(one, Audio(n=begin_n, at=0.0, samples=ramp(0.5)[begin_n : begin_n + 320]))
    for _ in range(6):
        until(one, wall, TickDone)
        until(two, wall, TickDone)
    third = host.open("eve")
    say(third, HELLO)
    assert problem(third).text.startswith("full: 2 conversations of 2 going on; try again in 10 minutes")
    say(one, Stop())
    say(two, Stop())
    ends = [next(m for m in until(c, wall, End) if isinstance(m, End)) for c in (one, two)]
    heard = [read_trace(host.folder / str(end.trace)).audio(USER_AUDIO) for end in ends]
    assert np.abs(heard[0]).max() > 0
    assert np.abs(heard[1]).max() == 0
    say(third, HELLO)
    assert isinstance(third.outbox.take()[0], Welcome)


def test_a_place_is_free_by_the_time_the_end_is_told(host: Host, wall: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = host.admission.leave

    def slowly(*given: Any) -> None:
        pause(0.3)
        leave(*given)

    monkeypatch.setattr(host.admission, "leave", slowly)
    (one, _), _ = begin(host, "ann"), begin(host, "bob")
    say(one, Consent(given=True))
    until(one, wall, TickDone)
    say(one, Stop())
    until(one, wall, End)
    third = host.open("eve")
    say(third, HELLO)
    assert isinstance(third.outbox.take()[0], Welcome)


def test_what_waits_of_the_session_before_is_not_told_after_a_hello(host: Host) -> None:
    one, told = host.open("ann"), list[str]()
    asked, answered = threading.Event(), threading.Event()

    def slow(message: Mapping[str, Any], _: object) -> None:
        told.append(str(message.get("text", message["t"])))
        asked.set()
        answered.wait(10)

    for text in ("first", "second"):
        one.outbox.put(Problem(code="message", text=text))
    leave = one.subscribe(slow)
    assert asked.wait(10)
    say(one, HELLO)
    answered.set()
    for _ in range(100):
        if "welcome" in told:
            break
        pause(0.05)
    leave()
    assert told == ["first", "welcome"]


def test_a_page_that_was_cut_off_goes_on_with_its_token_and_none_with_another(host: Host, wall: Gate) -> None:
    one, welcome = begin(host, "ann")
    say(one, Consent(given=True))
    until(one, wall, TickDone)
    one.away()
    back = host.open("ann")
    say(back, Hello(rate=RATE, client="test 1", settings={}, resume=welcome.token))
    first = back.outbox.take()[0]
    assert isinstance(first, Welcome)
    assert (first.session, first.token) == (welcome.session, welcome.token)
    until(back, wall, TickDone)
    stranger = host.open("eve")
    say(stranger, Hello(rate=RATE, client="test 1", settings={}, resume="guessed"))
    assert problem(stranger).code == "gone"
    assert len(host.sessions) == 1


def test_what_a_page_sends_wrongly_is_told_to_it_and_harms_nobody(host: Host) -> None:
    page = host.open("ann")
    page.feed({"t": "rubbish"})
    assert problem(page).code == "message"
    say(page, Stop())
    assert problem(page).text == "'stop' came before hello; say hello first"
    page.feed({"t": "drop", "from": 0})
    assert "is for a page" in problem(page).text
    say(page, Hello(rate=48_000, client="test 1", settings={}))
    assert (problem(page).code, host.sessions) == ("rate", [])
    begin(host, "bob")
    begin(host, "cat")


def test_half_a_character_is_refused_and_the_page_is_told_so(host: Host) -> None:
    page, welcome = begin(host, "ann")
    say(page, Consent(given=True))
    for message in ({"t": "text", "text": "\ud83d"}, {"t": "consent", "given": True, "text": "\ud83d"}):
        page.feed(json.loads(json.dumps(message)))
        assert (found := problem(page)).code == "message"
        assert "give text of whole characters" in found.text
    assert [session.name for session in host.sessions] == [welcome.session]


def test_an_agent_that_cannot_be_loaded_is_a_problem_and_its_place_is_free_again(host: Host) -> None:
    def missing() -> Participant:
        raise CheckpointError("no checkpoint at x; train one")

    host.make_agent = missing
    for _ in range(3):
        page = host.open("ann")
        say(page, HELLO)
        assert problem(page) == Problem(code="checkpoint", text="no checkpoint at x; train one")


def test_closing_the_host_ends_every_session_with_a_trace_that_opens(host: Host, wall: Gate) -> None:
    one, _ = begin(host, "ann")
    say(one, Consent(given=True))
    until(one, wall, TickDone)
    closing = threading.Thread(target=host.close)
    closing.start()
    ended = next(m for m in until(one, wall, End) if isinstance(m, End))
    closing.join(10)
    assert (ended.reason, ended.text) == ("stopped", "the server was stopped")
    assert verify(host.folder / str(ended.trace)).ok


def test_whoever_subscribes_is_called_with_json_and_buffers_over_resumption_until_it_leaves(host: Host, wall: Gate) -> None:
    page = host.open("ann")
    told: list[dict[str, object]] = []
    came = threading.Condition()

    def callback(message: object, buffers: object) -> None:
        with came:
            told.append(dict(message))  # type: ignore[call-overload]
            came.notify_all()

    def told_of(t: str, count: int = 1) -> bool:
        with came:
            for _ in range(200):
                if sum(m["t"] == t for m in told) >= count:
                    return True
                wall.pass_s(0.2)
                came.wait(0.1)
        return False

    leave = page.subscribe(callback)
    say(page, HELLO)
    assert told_of("welcome")
    say(page, Consent(given=True))
    assert told_of("tick", 3)
    say(page, Hello(rate=RATE, client="test 1", settings={}, resume=str(told[0]["token"])))
    assert told_of("welcome", 2)
    assert [m["session"] for m in told if m["t"] == "welcome"] == [told[0]["session"]] * 2
    say(page, Stop())
    assert told_of("end")
    say(page, HELLO)
    assert told_of("welcome", 3)
    leave()


def test_a_page_loaded_again_without_its_token_begins_anew_at_once_and_its_old_session_ends_by_itself(host: Host, wall: Gate) -> None:
    host.admission = Admission(Limits(sessions=1), wall.now)
    page, first = begin(host, "ann")
    old = page.session
    assert old is not None
    say(page, Consent(given=True))
    until(page, wall, TickDone)
    say(page, HELLO)
    (second,) = page.outbox.take()  # though the wall stands still, so that the old session cannot have ended
    assert isinstance(second, Welcome)
    assert second.session != first.session
    assert old.end is None
    while old.end is None:
        wall.pass_s(0.2)
        old.join(0.05)
    assert old.end.reason == "stopped"
    assert verify(host.folder / str(old.end.trace)).ok
    assert [session.name for session in host.sessions] == [second.session]


def test_the_newest_subscriber_is_told_everything_and_the_one_before_that_it_was_replaced(host: Host, wall: Gate) -> None:
    page = host.open("ann")
    told: dict[str, list[str]] = {"old": [], "new": []}
    replaced = threading.Event()
    page.subscribe(lambda message, _: told["old"].append(message["t"]), replaced.set)
    say(page, HELLO)
    while not told["old"]:
        page.outbox.wait(0.05)
    leave = page.subscribe(lambda message, _: told["new"].append(message["t"]))
    assert replaced.is_set()
    say(page, HELLO)
    say(page, Consent(given=True))
    while told["new"].count("tick") < 8:
        wall.pass_s(0.2)
        page.outbox.wait(0.05)
    leave()
    assert told["old"] == ["welcome"]
    assert told["new"][0] == "welcome"


def test_the_collector_leaves_what_was_there_alone_until_the_last_session_is_over(host: Host, wall: Gate) -> None:
    before = gc.get_freeze_count()
    pages = [begin(host, name)[0] for name in ("ann", "bob")]
    for page in pages:
        say(page, Consent(given=True))
        until(page, wall, TickDone)
    assert gc.get_freeze_count() > before
    for page, frozen in zip(pages, (True, False), strict=True):
        say(page, Stop())
        until(page, wall, End)
        session = page.session
        assert session is not None
        session.join(30)
        assert (gc.get_freeze_count() > before) == frozen
