"""The shared page: sockets and downloads for one's own page and login only, and a trace for whoever has its token."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.live_fakes import HELLO
from tests.shared_fakes import PATIENCE_S, Site, echoed, ended, hello, say, site, talking, told
from widgets.gradio_page import TRIES, asset, offered
from widgets.shared import REFUSED, Door
from workbench.agents import EchoAgent
from workbench.errors import InputError
from workbench.given import listen
from workbench.live.protocol import Problem, Stop, TickDone, Welcome, encode, pack
from workbench.store import read_trace, verify

LOGINS = {"ann": "secret", "bob": "hidden"}


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(EchoAgent(), tmp_path_factory.mktemp("open")) as served:
        yield served


@pytest.fixture(scope="module")
def closed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(EchoAgent(), tmp_path_factory.mktemp("closed"), logins=LOGINS) as served:
        yield served


def refused(socket: ClientConnection) -> str:
    """Why the server closed this socket, which it said nothing else on."""
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == REFUSED
    return closed.value.rcvd.reason


def test_two_visitors_do_not_hear_each_other_and_the_fifth_of_four_is_told_to_wait(open_site: Site) -> None:
    with open_site.connect() as one, open_site.connect() as two, open_site.connect() as three, open_site.connect() as four:
        for socket in (one, two):
            talking(socket)
        for socket in (three, four):
            assert isinstance(hello(socket), Welcome)
        assert echoed(one, 1000) == {0, 1000}
        assert echoed(two, 2000) == {0, 2000}
        with open_site.connect() as five:
            denied = hello(five)
            assert isinstance(denied, Problem)
            assert (denied.code, denied.text) == ("full", "full: 4 conversations of 4 going on; try again in 10 minutes")
            say(four, Stop())
            ended(four)
            assert isinstance(hello(five), Welcome)
        for socket in (one, two, three):
            say(socket, Stop())
            ended(socket)


@pytest.mark.parametrize("origin", [None, "http://evil.example", "http://localhost:1", "null"])
def test_a_page_of_another_origin_gets_nothing(open_site: Site, origin: str | None) -> None:
    before = len(open_site.host.sessions)
    with open_site.connect(origin=origin) as socket:
        assert "may not connect" in refused(socket)
    assert len(open_site.host.sessions) == before


@pytest.mark.parametrize(
    ("origin", "host", "door", "allowed"),
    [
        ("http://localhost:7860", "localhost:7860", Door(), True),
        ("http://127.0.0.1:7860", "127.0.0.1:7860", Door(), True),
        ("http://localhost:8888", "localhost:7860", Door(), False),
        ("http://rebound.example:7860", "rebound.example:7860", Door(), False),  # a name of theirs that points here
        ("https://talk.example", "talk.example", Door(logins=LOGINS), True),
        ("https://evil.example", "talk.example", Door(logins=LOGINS), False),
        ("https://talk.example", "10.0.0.7:7860", Door(origins=("https://talk.example",)), True),
        ("", "", Door(logins=LOGINS), False),
    ],
)
def test_only_the_servers_own_page_and_those_that_are_named_may_connect(origin: str, host: str, door: Door, allowed: bool) -> None:
    assert (door.why_not(origin, host) == "") == allowed


def test_a_socket_without_a_login_gets_nothing_and_with_one_its_session(closed_site: Site) -> None:
    with closed_site.connect() as socket:
        assert "log in" in refused(socket)
    with httpx.Client(base_url=closed_site.address, timeout=PATIENCE_S) as client:
        assert client.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
        assert client.post("/login", data={"username": "ann", "password": "secret"}).status_code == 200
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        with closed_site.connect(additional_headers=cookie) as socket:
            welcome = talking(socket)
            assert isinstance(told(socket), TickDone)
            say(socket, Stop())
            ended(socket)
        token = {"x-microturn-token": welcome.token}
        assert closed_site.get("/microturn/trace", headers=token).status_code == 401
        assert client.get("/microturn/trace", headers=token).status_code == 200
        client.get("/logout")
    with closed_site.connect(additional_headers=cookie) as socket:
        assert "log in" in refused(socket)
    assert closed_site.host.sessions == []


def test_who_guesses_passwords_is_not_looked_at_for_a_while_and_others_are(tmp_path: Path) -> None:
    with site(EchoAgent(), tmp_path, logins=LOGINS, visitor_header="X-Forwarded-For") as served:

        def tried(password: str, address: str) -> httpx.Response:
            body = {"username": "ann", "password": password}
            return httpx.post(f"{served.address}/login", data=body, headers={"X-Forwarded-For": address}, timeout=PATIENCE_S)

        assert [tried("wrong", "1.1.1.1").status_code for _ in range(9)] == [400] * 9
        assert tried("secret", "1.1.1.1").status_code == 200  # after which as many are allowed again
        assert [tried("wrong", "1.1.1.1").status_code for _ in range(11)] == [400] * 10 + [429]
        refused = tried("secret", "1.1.1.1")
        assert (refused.status_code, refused.text[:50]) == (429, "too many wrong passwords from 1.1.1.1; try again i")
        assert 0 < int(refused.headers["retry-after"]) <= 300
        assert tried("secret", "2.2.2.2").status_code == 200


def test_a_trace_is_had_with_its_token_and_by_no_guess_or_path(open_site: Site) -> None:
    with open_site.connect() as socket:
        welcome = talking(socket)
        echoed(socket, 3000)
        say(socket, Stop())
        end = ended(socket)
    answer = open_site.get("/microturn/trace", headers={"x-microturn-token": welcome.token})
    assert answer.headers["content-disposition"] == f'attachment; filename="{welcome.session}.sqlite"'
    copy = open_site.host.folder / "downloaded.sqlite"
    copy.write_bytes(answer.content)
    assert verify(copy).ok
    assert len(read_trace(copy)) == len(read_trace(open_site.host.folder / str(end.trace)))
    for guess in ("", "guessed", welcome.session, f"../{end.trace}", str(open_site.host.folder / str(end.trace))):
        assert open_site.get("/microturn/trace", headers={"x-microturn-token": guess}).status_code == 404
    for path in (f"/microturn/{end.trace}", f"/microturn/..%2f{end.trace}", f"/gradio_api/file={open_site.host.folder / str(end.trace)}"):
        assert open_site.get(path, follow_redirects=True).status_code in (403, 404)


def test_a_socket_that_drops_is_resumed_with_its_token(open_site: Site) -> None:
    with open_site.connect() as socket:
        welcome = talking(socket)
        echoed(socket, 1000)
    with open_site.connect() as socket:
        back = hello(socket, welcome.token)
        assert isinstance(back, Welcome)
        assert back.session == welcome.session
        echoed(socket, 2000)
        say(socket, Stop())
        kinds = read_kinds(open_site.host.folder / str(ended(socket).trace))
    assert {"link.lost", "link.resumed"} <= kinds


def read_kinds(path: Path) -> set[str]:
    return {event.kind for turn in read_trace(path).turns for event in turn.events}


def test_rubbish_is_told_to_its_sender_and_harms_nobody(open_site: Site) -> None:
    with open_site.connect() as socket:
        for rubbish in (b"", b"\xff\xff\xff\xff", "text", b"\x02\x00\x00\x00{}"):
            socket.send(rubbish)
            problem = told(socket)
            assert isinstance(problem, Problem)
            assert problem.code == "message"
        assert isinstance(hello(socket), Welcome)
        say(socket, Stop())
        ended(socket)


def test_a_page_that_takes_nothing_is_let_go_of_when_the_server_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = list[Any]()
    monkeypatch.setattr(threading, "excepthook", wrong.append)

    async def visit(at: Site) -> None:
        sending, never = asyncio.Event(), asyncio.Event()
        comes = [{"type": "websocket.connect"}, {"type": "websocket.receive", "bytes": pack(*encode(HELLO))}]

        async def receive() -> Any:
            return comes.pop(0) if comes else await never.wait()

        async def send(message: Any) -> None:
            if message["type"] == "websocket.send":
                sending.set()
                await never.wait()

        headers = [(b"host", b"localhost:1"), (b"origin", b"http://localhost:1")]
        scope = {"type": "websocket", "headers": headers, "client": ("of the tests", 1)}
        talk = asyncio.create_task(at.page._talk(WebSocket(scope, receive, send)))
        await sending.wait()
        del talk  # the loop ends as a server's does: it cancels all that goes on

    with site(EchoAgent(), tmp_path) as served:
        asyncio.run(visit(served))
    for thread in threading.enumerate():
        if thread.name == "to of the tests":
            thread.join(PATIENCE_S)
    assert wrong == []


def visitor(at: Site, *forwarded: str) -> str | None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope: dict[str, Any] = {"type": "http", "headers": headers, "client": ("10.0.0.7", 4000)}
    return asyncio.run(at.page.visitor(HTTPConnection(scope)))


def test_a_visitor_is_an_address_and_a_proxys_word_counts_only_where_it_is_asked_for(open_site: Site, tmp_path: Path) -> None:
    assert visitor(open_site, "1.2.3.4") == "10.0.0.7"
    with site(EchoAgent(), tmp_path, visitor_header="X-Forwarded-For") as behind_a_proxy:
        assert visitor(behind_a_proxy, "6.6.6.6, 1.2.3.4") == "1.2.3.4"
        assert visitor(behind_a_proxy, "6.6.6.6", "1.2.3.4") == "1.2.3.4"
        assert visitor(behind_a_proxy) == "10.0.0.7"


def test_a_port_that_is_taken_is_named(open_site: Site) -> None:
    with pytest.raises(InputError, match=rf"port {open_site.port} of localhost cannot be listened on \(Address already in use.*--port"):
        listen("localhost", open_site.port)
    with pytest.raises(InputError, match="another --host"):
        listen("no.such.host.invalid", 0)


def test_the_pages_scripts_and_colours_are_served_beside_it(open_site: Site) -> None:
    for name, kind in (("talk.js", "text/javascript"), ("gradio_page.js", "text/javascript"), ("gradio_page.css", "text/css")):
        answer = open_site.get(f"/microturn/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert answer.text == asset(name)[1]


def test_what_is_offered_to_try_is_known_to_the_shipped_agent_word_by_word(checkpoint: Path) -> None:
    from workbench.neural import load_agent

    agent = load_agent(checkpoint)
    assert {each.family for each in TRIES} <= set(agent.families)
    assert {word for each in TRIES for line in each.say for word in line.split()} <= set(agent.user_words)


def test_slow_work_is_offered_only_where_somebody_does_it() -> None:
    slow = [each.title for each in offered(slow=True) if each.slow]
    assert slow == ["Have something worked out", "Talk on while it looks up anna"]
    assert not [each for each in offered() if each.slow]
    assert [each.title for each in offered(["look_up", "stop"], slow=True)] == ["Count to twenty, let me stop you", slow[0]]
