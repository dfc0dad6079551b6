"""The parts of the dashboard as Panel components: a script, the shared style, the values it shows, and what a person asks for."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

from widgets.charts import WINDOW_S
from widgets.client import HERE, joined, module, style_sheet
from widgets.sockets import Runtime
from widgets.theme import DARK, LIGHT, exchanged
from workbench.errors import InputError
from workbench.live.protocol import pack, unpack

STYLE = style_sheet() + (HERE / "dashboard.css").read_text(encoding="utf-8")
CONSTANTS = f"const COLOURS = {json.dumps(dict(exchanged(LIGHT, DARK)))}, WINDOW_S = {WINDOW_S:g};\n"

MOST_WAITING = 256  # messages of a page that may wait to be fed: about 10 s of a microphone

Asked = Callable[[Mapping[str, Any]], None]


class Part(JSComponent):
    """A part that hands every message of its page to `asked`."""

    _esm = "export default { render() {} }"
    _stylesheets: ClassVar[list[str]] = [STYLE]

    def __init__(self, asked: Asked, **values: Any) -> None:
        super().__init__(sizing_mode="stretch_width", **values)  # type: ignore[no-untyped-call]
        self._asked = asked

    def _handle_msg(self, data: Mapping[str, Any]) -> None:
        self._asked(data)


class SessionList(Part):
    """The list with its search; asks for `query`, `open` and `compare`."""

    _esm = joined("timeline.js", "sessions.js")
    rows = param.List(default=[])
    counts = param.Dict(default={})
    choices = param.Dict(default={})
    opened = param.List(default=[])


class Stage(Part):
    """One session or two; asks for `tick` (explain it) and `again` (read it anew)."""

    _esm = CONSTANTS + joined("timeline.js", "stage.js")
    shown = param.Dict(default={})
    busy = param.Boolean(default=False)
    why = param.String(default="")
    news = param.String(default="")


class LiveDesk(Part):
    """The policy of the next session, and the sessions that go on; asks for `policy`, also when it first comes into sight, and `open`."""

    _esm = joined("timeline.js", "live.js")
    agents = param.List(default=[])
    policy = param.Dict(default={})
    running = param.List(default=[])
    note = param.String(default="")


class Boards(Part):
    """The evaluations and the scoreboard of one; asks for `board`."""

    _esm = joined("timeline.js", "boards.js")
    rows = param.List(default=[])
    page = param.String(default="")
    opened = param.String(default="")


class PanelTalk(JSComponent):
    """The client to talk to a runtime through, carried by messages of this component: one packed buffer in each direction.

    The messages of a page are fed in their order from a thread of their own, so a session that takes long to begin holds up no other page.
    While `MOST_WAITING` of them wait, those that come are thrown away, and the page is told so once. What a page is told is sent from the
    server's loop, on which this is made: a thread that sends now and then passes for it, where Panel asks, and is then refused by Bokeh.
    """

    _esm = module()
    _stylesheets: ClassVar[list[str]] = [STYLE]
    probe = param.Boolean(default=True)

    def __init__(self, runtime: Runtime, **values: Any) -> None:
        super().__init__(sizing_mode="stretch_width", **values)  # type: ignore[no-untyped-call]
        self.runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._mail = ThreadPoolExecutor(1, thread_name_prefix="talk")
        self._room = threading.Semaphore(MOST_WAITING)
        self._crowded = False
        self._unsubscribe = runtime.subscribe(self._tell)

    def leave(self) -> None:
        """The page is gone: nothing more is sent or fed."""
        self._unsubscribe()
        self._mail.shutdown(wait=False, cancel_futures=True)

    def _handle_msg(self, data: Mapping[str, Any]) -> None:
        if self._room.acquire(blocking=False):
            self._crowded = False
            self._mail.submit(self._feed, bytes(data["packed"]))
        elif not self._crowded:
            self._crowded = True
            text = f"{MOST_WAITING} messages of this page wait already; what comes now is not heard, until the busy server has taken them"
            self._tell({"t": "problem", "code": "slow", "text": text})

    def _feed(self, packed: bytes) -> None:
        self._room.release()
        try:
            message, buffers = unpack(packed)
        except InputError as error:
            self._tell({"t": "problem", "code": "message", "text": str(error)})
        else:
            self.runtime.feed(message, buffers)

    def _tell(self, message: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._send_msg, {"packed": pack(message, buffers)})
