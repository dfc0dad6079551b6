"""The parts of the dashboard on the server's side: what of a page's messages is fed, in which order, and how much may wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bokeh.document import Document
from bokeh.document.events import MessageSentEvent

from tests.talk_fakes import FakeRuntime
from widgets.components import MOST_WAITING, PanelTalk
from workbench.live.protocol import pack, unpack

LIMIT_S = 30.0


class Held(FakeRuntime):
    """A runtime that takes nothing in until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()

    def feed(self, message: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        self.let.wait(LIMIT_S)
        self.heard.append((dict(message), list(buffers)))


class Told(PanelTalk):
    """A part that keeps what its page is told."""

    def __init__(self, runtime: FakeRuntime) -> None:
        super().__init__(runtime)
        self.told: list[Mapping[str, Any]] = []

    def _send_msg(self, msg: Mapping[str, Any]) -> None:
        self.told.append(unpack(msg["packed"])[0])


def until(condition: Callable[[], bool]) -> None:
    late_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < late_s, "it never came true"
        time.sleep(0.01)


def say(talk: PanelTalk, n: int) -> None:
    talk._handle_msg({"packed": pack({"t": "audio", "n": n, "at": 0.0}, [b"\0\0" * 640])})


def test_what_a_page_sends_faster_than_it_is_taken_is_thrown_away_beyond_a_bound_and_told_once() -> None:
    async def crowd() -> None:
        runtime = Held()
        talk = Told(runtime)
        say(talk, 0)
        until(lambda: talk._room._value == MOST_WAITING)  # it is being fed, and waits no more
        for n in range(1, MOST_WAITING + 50):
            say(talk, n)
        await asyncio.sleep(0)
        assert [message["code"] for message in talk.told] == ["slow"]
        assert f"{MOST_WAITING} messages of this page wait already" in talk.told[0]["text"]
        runtime.let.set()
        until(lambda: len(runtime.heard) == MOST_WAITING + 1)
        say(talk, 1000)  # there is room again
        until(lambda: len(runtime.heard) == MOST_WAITING + 2)
        assert [message["n"] for message in runtime.of("audio")] == [*range(MOST_WAITING + 1), 1000]
        await asyncio.sleep(0)
        assert len(talk.told) == 1
        talk.leave()

    asyncio.run(crowd())


def test_what_a_thread_tells_a_page_is_sent_from_the_loop_in_its_order() -> None:
    sent: list[tuple[int, int]] = []

    def note(event: Any) -> None:
        if isinstance(event, MessageSentEvent):
            sent.append((threading.get_ident(), unpack(event.msg_data.data["packed"])[0]["tick"]))

    async def tell() -> None:
        runtime, document = FakeRuntime(), Document()
        talk = PanelTalk(runtime)
        talk.get_root(document)
        document.callbacks.on_change(note)
        await asyncio.to_thread(lambda: [runtime.say({"t": "tick", "tick": tick}) for tick in range(3)])
        await asyncio.sleep(0)
        talk.leave()

    asyncio.run(tell())
    assert sent == [(threading.get_ident(), tick) for tick in range(3)]
