"""What the pages of a dashboard share: one look at the folder for all, agents by name, and the live sessions that write into it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.live_fakes import HELLO
from tests.sample_session import stopped_count
from widgets.shown import labels_of, running_rows, session_rows
from workbench.agents import EchoAgent
from workbench.desk import Desk, Models, Policy
from workbench.errors import InputError
from workbench.given import keeps_of
from workbench.index import Entry
from workbench.live.host import Connection
from workbench.live.protocol import Consent, FromClient, Stop, encode
from workbench.live.runtime import LiveSession
from workbench.session import Participant
from workbench.store import read_trace, save_trace


@dataclass(frozen=True)
class Bar(EchoAgent):
    """An echo with a threshold, which it only tells."""

    threshold: float = 0.5

    def spec(self) -> dict[str, Any]:
        return {"class": "Bar", "threshold": self.threshold}


def made(name: str, threshold: float) -> Participant:
    return Bar(threshold=threshold) if name == "bar" else EchoAgent()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path, Models(names=("echo", "bar"), make=made))
    yield opened
    opened.close()


def say(connection: Connection, *messages: FromClient) -> LiveSession:
    for message in messages:
        connection.feed(*encode(message))
    assert connection.session is not None
    return connection.session


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder; give one that holds traces"):
        Desk(tmp_path / "no", Models(names=("echo",), make=made))


def test_the_folder_is_looked_through_once_for_all_who_ask_in_a_while(desk: Desk) -> None:
    at_s = 100.0
    desk.now = lambda: at_s
    assert desk.entries() == {}
    save_trace(stopped_count(), desk.folder / "new.sqlite")
    at_s += 0.5
    assert desk.entries() == {}
    at_s += 0.6
    assert list(desk.entries()) == ["new.sqlite"]


def test_a_long_look_through_the_folder_holds_nobody_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    looking, over = threading.Event(), threading.Event()

    def slow(*_: object) -> dict[str, Entry]:
        looking.set()
        over.wait(10)
        return {}

    monkeypatch.setattr("workbench.desk.scan", slow)
    with ThreadPoolExecutor() as pool:
        entries = pool.submit(desk.entries)
        assert looking.wait(10)
        asked = pool.submit(lambda: (desk.running(), desk.leave(desk.host())))
        try:
            assert asked.result(5)[0] == []
            assert not entries.done()
        finally:
            over.set()


def test_a_session_begins_with_the_policy_of_its_page_and_lands_in_the_folder(desk: Desk) -> None:
    host, other = desk.host(), desk.host()
    desk.set_policy(host, Policy(model="bar", threshold=0.7, voice="none"))
    session = say(host.open("ann"), HELLO)
    second = say(other.open("ben"), HELLO)
    assert {row.state for row in desk.running()} == {"asking"}
    assert sorted(row.agent for row in desk.running()) == ["Bar", "EchoAgent"]
    say(host.open("ann"), replace(HELLO, resume=session.token), Consent(given=True), Stop())
    assert session.join(30)
    assert [row.name for row in desk.running()] == [second.name]
    desk.leave(other)
    assert desk.running() == []
    assert (session.state, second.state) == ("ended", "ended")
    assert session.end is not None
    trace = read_trace(desk.folder / str(session.end.trace))
    assert trace.header.participants["agent"] == {"class": "Bar", "threshold": 0.7}
    assert trace.header.consent["retention"]["user.audio"] == "none"


def test_what_is_kept_is_the_desks_and_of_the_voice_what_the_visitor_chooses(desk: Desk) -> None:
    quiet = Desk(desk.folder, desk.models, keep=keeps_of(["features-only", "user.text=none"]))
    assert quiet.usual.voice == "features"
    kept = []
    for policy in (None, replace(quiet.usual, voice="none")):
        host = quiet.host()
        if policy:
            quiet.set_policy(host, policy)
        session = say(host.open("ann"), HELLO, Consent(given=True), Stop())
        assert session.join(30)
        retention = read_trace(session.path).header.consent["retention"]
        kept.append([retention[stream] for stream in ("user.audio", "agent.audio", "user.text", "user.camera")])
    assert kept == [["features", "features", "none", "full"], ["none", "features", "none", "full"]]
    with pytest.raises(InputError, match=r"no stream 'user\.adio' to keep"):
        Desk(desk.folder, desk.models, keep=keeps_of(["user.adio=none"]))


@pytest.mark.parametrize(("wrong", "rule"), [({"threshold": 1.5}, "no probability"), ({"voice": "some"}, "choose one of none, features")])
def test_a_policy_that_cannot_be_says_the_rule(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        Policy(model="echo", **wrong)


def test_a_line_of_the_list_says_when_its_session_is_live_here(desk: Desk) -> None:
    session = say(desk.host().open("ann"), HELLO, Consent(given=True))
    entries = [
        Entry(name=f"{session.name}.sqlite", stamp=(), state="open", problem="not closed", agent="EchoAgent"),
        Entry(name="old.sqlite", stamp=(), state="open", problem="not closed", outcome=(1, 2), words=tuple("abcdefghijklmnop")),
    ]
    live, old = session_rows(entries, desk.running())
    assert (live["state"], live["problem"]) == ("live", "talking")
    assert (old["state"], old["problem"], old["score"], old["passed"]) == ("open", "not closed", "1/2", False)
    assert old["words"] == "a b c d e f g h i j k l m n …"
    assert running_rows(desk.running())[0]["state"] == "talking"


def test_two_sessions_are_called_by_what_tells_them_apart() -> None:
    one = Entry(name="a.sqlite", stamp=(), agent="nano", setting="threshold 0.5")
    assert labels_of([one, replace(one, setting="threshold 0.9")]) == ["nano threshold 0.5", "nano threshold 0.9"]
    assert labels_of([one, replace(one, name="b.sqlite")]) == ["a.sqlite (nano threshold 0.5)", "b.sqlite (nano threshold 0.5)"]
