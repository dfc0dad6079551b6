"""`Talk`: a live session in a notebook cell, spoken to through the page's microphone."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from widgets.client import module, style_sheet
from widgets.sockets import Runtime, SocketCarrier


class Talk(anywidget.AnyWidget):
    """The panel to talk to a runtime through: microphone, loudspeaker, typed text, the live timeline.

    The page carries the messages over a WebSocket to this kernel where it can reach one, else over the widget's comm, and shows which and
    why. Microphone and session close with the view: when the cell is run again, its output is cleared, the tab closes or the kernel ends.

    `websocket=False` leaves the comm alone; `probe=False` asks for no probe tone; `origins` names further pages that may connect.
    """

    _esm = module()
    _css = style_sheet()
    address = traitlets.Unicode().tag(sync=True)
    unavailable = traitlets.Unicode().tag(sync=True)
    probe = traitlets.Bool(True).tag(sync=True)

    def __init__(self, runtime: Runtime, *, websocket: bool = True, probe: bool = True, origins: Collection[str] = ()) -> None:
        socket, unavailable = _socket(runtime, origins) if websocket else (None, "widget comm: asked for")
        super().__init__(address=socket.address if socket else "", unavailable=unavailable, probe=probe)
        self.runtime = runtime
        self._unsubscribe: Callable[[], None] | None = None
        self._end = weakref.finalize(self, _end, socket, runtime)
        self.on_msg(self._hear)

    def close(self) -> None:
        """End the session and remove the panel; also when the kernel ends."""
        if self._unsubscribe:
            self._unsubscribe()
            self._unsubscribe = None
        self._end()
        super().close()

    def _hear(self, _: Talk, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        if self._unsubscribe is None and message.get("t") == "hello":  # the page chose the comm
            self._unsubscribe = self.runtime.subscribe(lambda said, parts: self.send(dict(said), list(parts)), self._replaced)
        if self._unsubscribe is not None:
            self.runtime.feed(message, [bytes(part) for part in buffers])

    def _replaced(self) -> None:
        """A page has the session over the WebSocket now; the one that had it over the comm is told."""
        self._unsubscribe = None
        self.send(
            {"t": "end", "reason": "left", "text": "This session was opened in another page or view, and goes on there.", "trace": None}
        )


def _socket(runtime: Runtime, origins: Collection[str]) -> tuple[SocketCarrier | None, str]:
    """A carrier, or None and why there is none."""
    try:
        return SocketCarrier(runtime, origins=origins), ""
    except OSError as error:
        return None, f"widget comm: the kernel can open no port of its own ({error}), so a busy cell can delay the sound"


def _end(socket: SocketCarrier | None, runtime: Runtime) -> None:
    if socket:
        socket.close()
    runtime.close()
