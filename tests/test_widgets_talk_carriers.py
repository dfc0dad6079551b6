"""The Python side of the carriers: who may connect to a session's socket, what the widget does with its comm, and one message format."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.conftest import CHROMIUM_FLAGS
from tests.surface_fakes import Wire
from tests.talk_fakes import FakeRuntime, Pages
from widgets.client import module, style_sheet
from widgets.sockets import REPLACED, SocketCarrier
from widgets.talk import Talk
from workbench.live.protocol import pack, unpack

HELLO = {"t": "hello", "rate": 16_000, "client": "test 1", "settings": {}, "resume": None}
HERE = "http://localhost:8888"


@pytest.fixture
def runtime() -> Iterator[FakeRuntime]:
    made = FakeRuntime()
    yield made
    made.close()


@pytest.fixture
def carrier(runtime: FakeRuntime) -> Iterator[SocketCarrier]:
    made = SocketCarrier(runtime, origins=["https://lab.example.org"], grace_s=0.2)
    yield made
    made.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit, "it never came true"
        time.sleep(0.01)


def joined(carrier: SocketCarrier, origin: str = HERE) -> Any:
    return connect(carrier.address, origin=origin, compression=None)


def test_a_session_is_carried_both_ways(carrier: SocketCarrier, runtime: FakeRuntime) -> None:
    with joined(carrier) as socket:
        socket.send(pack(HELLO))
        message, _ = unpack(socket.recv(timeout=5))
        assert (message["t"], message["token"]) == ("welcome", "again")
        samples = np.arange(640, dtype="<i2").tobytes()
        socket.send(pack({"t": "audio", "n": 0, "at": 1.5}, [samples]))
        runtime.say({"t": "drop", "from": 3})
        assert unpack(socket.recv(timeout=5))[0] == {"t": "drop", "from": 3}
        until(lambda: len(runtime.heard) == 2)
    assert runtime.heard[1] == ({"t": "audio", "n": 0, "at": 1.5}, [samples])


def test_the_socket_listens_on_the_loopback_alone(carrier: SocketCarrier) -> None:
    assert carrier.address.startswith("ws://127.0.0.1:")
    with pytest.raises(ConnectionRefusedError), connect(f"ws://127.0.0.2:{carrier.port}/", open_timeout=2):
        pass


@pytest.mark.parametrize("origin", ["http://evil.example.org", "http://localhost.evil.example.org", "null", None])
def test_a_page_of_another_origin_gets_nothing(carrier: SocketCarrier, runtime: FakeRuntime, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(carrier.address, origin=origin):
        pass
    assert refused.value.response.status_code == 403
    assert b"`origins`" in refused.value.response.body
    assert runtime.heard == []


def test_a_named_origin_may_connect(carrier: SocketCarrier) -> None:
    with joined(carrier, "https://lab.example.org") as socket:
        socket.send(pack(HELLO))
        assert unpack(socket.recv(timeout=5))[0]["t"] == "welcome"


@pytest.mark.parametrize("secret", ["", "?token=", "?token=guess", "?token=%C3%A9"])
def test_without_the_secret_nobody_gets_in(carrier: SocketCarrier, runtime: FakeRuntime, secret: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{carrier.port}/{secret}", origin=HERE):
        pass
    assert refused.value.response.status_code == 403
    assert runtime.heard == []


def test_the_newest_connection_has_the_session(carrier: SocketCarrier, runtime: FakeRuntime) -> None:
    with joined(carrier) as first, joined(carrier) as second:
        with pytest.raises(ConnectionClosed) as closed:
            first.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == REPLACED
        second.send(pack(HELLO))
        assert unpack(second.recv(timeout=5))[0]["t"] == "welcome"
    assert runtime.closed.wait(5)  # nobody came back within the grace


def test_a_page_that_drops_is_told_to_the_runtime(carrier: SocketCarrier, runtime: FakeRuntime) -> None:
    with joined(carrier) as socket:
        socket.send(pack(HELLO))
        socket.recv(timeout=5)
        assert not runtime.gone.is_set()
    assert runtime.gone.wait(5)


def test_a_page_that_dropped_ends_nothing_once_another_carrier_has_the_session(carrier: SocketCarrier, runtime: FakeRuntime) -> None:
    carrier.grace_s = 2.0
    with joined(carrier) as socket:
        socket.send(pack(HELLO))
        socket.recv(timeout=5)
    assert runtime.gone.wait(5)
    runtime.subscribe(lambda *_: None)
    assert not runtime.closed.wait(1.5 * carrier.grace_s)


def test_a_connection_that_comes_back_in_time_keeps_the_session(carrier: SocketCarrier, runtime: FakeRuntime) -> None:
    carrier.grace_s = 2.0
    for _ in range(3):
        with joined(carrier) as socket:
            socket.send(pack(HELLO))
            assert unpack(socket.recv(timeout=5))[0]["t"] == "welcome"
    assert not runtime.closed.is_set()


def test_a_trial_connection_does_not_take_the_session(carrier: SocketCarrier, runtime: FakeRuntime) -> None:
    with joined(carrier) as first:
        with connect(carrier.address + "&probe=1", origin=HERE) as trial, pytest.raises(ConnectionClosed):
            trial.recv(timeout=5)
        first.send(pack(HELLO))
        assert unpack(first.recv(timeout=5))[0]["t"] == "welcome"


def test_a_message_that_cannot_be_read_is_answered_with_the_rule(carrier: SocketCarrier, runtime: FakeRuntime) -> None:
    with joined(carrier) as socket:
        socket.send(b"\xff\xff\xff\x7fnothing")
        problem, _ = unpack(socket.recv(timeout=5))
    assert problem["t"] == "problem"
    assert "begin with the length of the JSON" in problem["text"]
    assert runtime.heard == []


def test_closing_a_carrier_ends_its_thread_and_its_subscription(runtime: FakeRuntime) -> None:
    carrier = SocketCarrier(runtime)
    with joined(carrier) as socket:
        socket.send(pack(HELLO))
        socket.recv(timeout=5)
        carrier.close()
    runtime.say({"t": "drop", "from": 1})  # nobody listens, nothing breaks
    assert "microturn-socket" not in {thread.name for thread in threading.enumerate()}


def test_what_is_told_while_a_carrier_closes_is_told_to_nobody(
    carrier: SocketCarrier, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(message: Mapping[str, Any], buffers: Sequence[bytes]) -> bytes:
        carrier.close()
        return pack(message, buffers)

    with joined(carrier) as socket:
        socket.send(pack(HELLO))
        socket.recv(timeout=5)
        monkeypatch.setattr("widgets.sockets.pack", slow)
        runtime.say({"t": "drop", "from": 1})


# The widget ------------------------------------------------------------------------------------------------------------------


def comm_of(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[..., None], list[Any]]:
    """What the page would send with, and what it would receive."""
    said: list[Any] = []
    monkeypatch.setattr(talk, "send", lambda content, buffers=None: said.append((content, buffers)))
    return lambda content, *buffers: talk._handle_custom_msg(content, list(buffers)), said


def test_the_widget_carries_the_session_on_its_comm_when_the_page_chooses_it(runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(runtime)
    page, said = comm_of(talk, monkeypatch)
    runtime.say({"t": "drop", "from": 1})
    assert said == []  # nothing goes to a page that has not spoken
    page(HELLO)
    page({"t": "audio", "n": 0, "at": 0.0}, memoryview(b"\0\0" * 640))
    assert [content["t"] for content, _ in said] == ["welcome"]
    assert runtime.heard[1][1] == [b"\0\0" * 640]
    talk.close()
    assert runtime.closed.is_set()
    assert runtime._listeners == []


def test_the_widget_offers_a_socket_and_closes_it(runtime: FakeRuntime) -> None:
    talk = Talk(runtime)
    with connect(talk.address, origin=HERE) as socket:
        socket.send(pack(HELLO))
        assert unpack(socket.recv(timeout=5))[0]["t"] == "welcome"
        talk.close()
    with pytest.raises(ConnectionRefusedError), connect(talk.address, origin=HERE, open_timeout=2):
        pass


def test_of_the_two_carriers_of_a_widget_the_newest_page_has_the_session(runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(runtime)
    page, said = comm_of(talk, monkeypatch)
    page(HELLO)
    with connect(talk.address, origin=HERE) as socket:
        until(lambda: len(said) == 3)  # the server turns to a connection after it has answered
        assert said[-1][0]["t"] == "end"
        assert "goes on there" in said[-1][0]["text"]
        page({"t": "text", "text": "of the old page"})
        socket.send(pack(HELLO))
        assert unpack(socket.recv(timeout=5))[0]["t"] == "welcome"
        runtime.say({"t": "drop", "from": 1})
        assert unpack(socket.recv(timeout=5))[0] == {"t": "drop", "from": 1}
        assert [content["t"] for content, _ in said] == ["welcome", "problem", "end"]
        page(HELLO)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == REPLACED
    assert [message["t"] for message, _ in runtime.heard] == ["hello", "hello", "hello"]
    assert not runtime.gone.is_set()
    talk.close()


def test_a_page_that_asks_whether_the_widget_is_there_is_answered_and_has_nothing_yet(
    runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(runtime)
    page, said = comm_of(talk, monkeypatch)
    page({"t": "here"})
    runtime.say({"t": "drop", "from": 1})
    assert ([content for content, _ in said], runtime.heard) == ([{"t": "here"}], [])
    talk.close()


def test_the_widget_says_why_it_uses_the_comm(runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Talk(runtime, websocket=False)
    assert (asked.address, asked.unavailable) == ("", "widget comm: asked for")
    asked.close()

    async def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_server", refuse)
    without = Talk(runtime)
    assert without.address == ""
    assert "can open no port of its own (not permitted)" in without.unavailable
    without.close()


def test_the_client_is_one_module_without_imports() -> None:
    code = module()
    assert '"./' not in code
    assert code.count("export default") == 1


def test_every_colour_the_style_sheet_uses_is_given_in_light_and_dark() -> None:
    sheet = style_sheet()
    used = {part.split(")")[0] for part in sheet.split("var(--mt-")[1:]}
    for name in used:
        assert sheet.count(f"--mt-{name}:") == 4, name


# The same in a browser -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blank(chromium: str) -> Iterator[Any]:
    """A page that has the joined module as `client`."""
    with sync_playwright() as play, Pages() as pages:
        browser = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page()
        page.goto(pages.address)
        page.evaluate(
            """async (code) => {
          window.client = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
        }""",
            module(),
        )
        yield page
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("buffers", [[], [b"\x01"], [b"", b"\x00\xff" * 640, b"xyz"]])
def test_a_message_packed_on_one_side_is_read_on_the_other(blank: Any, buffers: list[bytes]) -> None:
    message = {"t": "text", "text": "çà ⌨ 😀", "n": 2**40}
    read, back = blank.evaluate(
        """(bytes) => {
      const [message, buffers] = client.unpack(new Uint8Array(bytes));
      return [{ ...message, sizes: buffers.map((part) => part.length) }, Array.from(client.pack(message, buffers))];
    }""",
        list(pack(message, buffers)),
    )
    assert read == {**message, "sizes": [len(part) for part in buffers]}
    assert unpack(bytes(back)) == (message, buffers)


@pytest.mark.browser
def test_the_widget_and_the_panel_component_carry_the_same_conversation(blank: Any) -> None:
    said = blank.evaluate("""async () => {
      const found = {};
      for (const name of ["comm", "panel"]) {
        const sent = [], ears = {};
        const model = { on: (type, ear) => { ears[type] = ear; }, off: (type) => { delete ears[type]; },
          send: (content, _, buffers) => sent.push([content, buffers.map((part) => part.byteLength)]),
          send_msg: ({ packed }) => { const [m, b] = client.unpack(packed); sent.push([m, b.map((part) => part.length)]); } };
        const give = (content, ...buffers) => name === "comm"
          ? ears["msg:custom"](content, buffers.map((part) => new DataView(part.buffer)))
          : ears["msg:custom"]({ data: { packed: client.pack(content, buffers).buffer } });
        const link = client.connect({ carrier: client[name + "Carrier"](model) }), ticks = [];
        link.on("tick", (message, [pcm]) => ticks.push([message.tick, pcm.length]));
        link.start();
        give({ t: "welcome", session: "s", token: "t", tick_ms: 200 });
        link.send({ t: "audio", n: 0, at: 1 }, [new Int16Array(640)]);
        give({ t: "tick", tick: 7 }, new Uint8Array(6400));
        link.close();
        found[name] = [sent.map(([message, sizes]) => [message.t, sizes]), ticks, link.state, Object.keys(ears)];
      }
      return found;
    }""")
    expected = [[["hello", []], ["audio", [1280]], ["stop", []]], [[7, 6400]], "ended", []]
    assert said == {"comm": expected, "panel": expected}


@pytest.mark.browser
@pytest.mark.parametrize("reachable", [True, False])
def test_the_page_takes_the_socket_where_it_can_reach_it_and_says_so(blank: Any, runtime: FakeRuntime, reachable: bool) -> None:
    carrier = SocketCarrier(runtime)
    if not reachable:
        carrier.close()
    chosen = blank.evaluate(
        "async (address) => { const c = await client.socketOrComm({}, address, ''); return [c.name, c.reason]; }", carrier.address
    )
    carrier.close()
    expected = ("websocket", "not delayed by busy cells") if reachable else ("comm", "cannot be reached from this page")
    assert (chosen[0], expected[1] in chosen[1]) == (expected[0], True)


ASKED = """([address, graceMs]) => { window.asked = []; window.chosen = null; const ears = new Set();
  const model = { on: (_, ear) => ears.add(ear), off: (_, ear) => ears.delete(ear), send: (content) => asked.push(content) };
  window.give = (content) => ears.forEach((ear) => ear(content));
  window.listens = () => ears.size;
  client.socketOrComm(model, address, "", { patienceMs: 200, graceMs }).then((c) => { window.chosen = [c.name, c.reason]; }); }"""


@pytest.mark.browser
@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("the widget", ("comm", "did not answer within 0.2 s, the widget did")),
        ("the socket", ("websocket", "not delayed by busy cells")),
        ("neither", ("comm", "did not answer within 1 s, so")),
    ],
)
def test_where_the_socket_is_slow_whichever_answers_first_carries_the_talk(
    blank: Any, runtime: FakeRuntime, wire: Wire, first: str, expected: tuple[str, str]
) -> None:
    carrier = SocketCarrier(runtime)
    wire.target = carrier.port
    wire.cut()
    address = carrier.address.replace(str(carrier.port), str(wire.port))
    blank.evaluate(ASKED, [address, 1000 if first == "neither" else 20_000])
    blank.wait_for_function("asked.length")
    assert blank.evaluate("[asked, chosen]") == [[{"t": "here"}], None]
    if first == "the widget":
        blank.evaluate("give({ t: 'tick' }); give({ t: 'here' })")
    if first == "the socket":
        wire.mend()
    blank.wait_for_function("chosen")
    name, reason = blank.evaluate("chosen")
    assert (name, expected[1] in reason, blank.evaluate("listens()")) == (expected[0], True, 0)
    wire.mend()
    carrier.close()
