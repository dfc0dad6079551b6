"""`Timeline`: the live canvas in a notebook cell, of a finished session or of one that goes on."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import anywidget
import traitlets

from widgets.client import WATCH, joined, style_sheet
from workbench.clock import ClockSpec, few_pauses, pause
from workbench.errors import InputError
from workbench.live.outbox import Outbox
from workbench.live.protocol import Drop, FromRuntime, TickDone, encode, pack
from workbench.live.runtime import LiveSession
from workbench.live.telling import told, told_of
from workbench.packets import MicroTurn
from workbench.session import Session
from workbench.store_read import Reading, reading
from workbench.trace import Header, Trace

Source: TypeAlias = Trace | str | Path | LiveSession | Session

CHUNK = 250  # ticks sent at once: short enough to be drawn without a pause that is felt
FEWEST_HELD = 18_000  # ticks that a page keeps at least: an hour
BATCH_S = 0.1  # what happens in so many seconds is sent together
WAITING = 20_000  # ticks that may wait to be sent


class Timeline(anywidget.AnyWidget):
    """The timeline of `source`: a finished trace (or its file), a session, or a live one, which is drawn as it goes on.

    Scroll, zoom, point at a tick for its numbers, click it for its decision record. Of a running session it shows what comes from now on,
    and more ticks than `WAITING` at once are not kept. `close` lets go of the session; the session goes on.

    Raises TraceError for a file that is no trace, InputError for any other source.
    """

    _esm = joined(*WATCH)
    _css = style_sheet()
    about = traitlets.Dict().tag(sync=True)
    chunks = traitlets.List(traitlets.Bytes()).tag(sync=True)
    finished = traitlets.Bool(False).tag(sync=True)

    def __init__(self, source: Source) -> None:
        self._outbox: Outbox | None = None
        self._detach: Callable[[], None] = lambda: None
        self._since: list[bytes] = []  # chunks that came after the widget was made, for pages that come later still
        self._over = False
        self._lock = threading.Lock()
        match source:
            case Trace():
                super().__init__(**_finished(source))
            case str() | Path():
                with reading(_file(Path(source))) as trace:
                    super().__init__(**_finished(trace))
            case LiveSession():
                super().__init__(about=_about(source.session.clock, 0, f"{source.name}, as it goes on"))
                self._clock, self._outbox = source.session.clock, Outbox(WAITING)
                source.watch(self._outbox)
                self._detach = partial(source.disconnect, self._outbox)
            case Session():
                super().__init__(about=_about(source.clock, 0, f"a session, from micro-turn {source.tick} on"))
                self._clock, self._outbox = source.clock, Outbox(WAITING)
                source.sinks = (*source.sinks, _Teller(source.clock, self._outbox))
            case _:
                raise InputError(f"{type(source).__name__} has no timeline; give a trace, its file, a session or a live session")
        if self._outbox is not None:
            self.on_msg(self._hear)
            threading.Thread(target=self._pass_on, args=(self._outbox,), name="microturn-timeline", daemon=True).start()

    def close(self) -> None:
        """Let go of the session, and remove the timeline."""
        if self._outbox is not None:
            self._outbox.close()
            self._detach()
        super().close()

    def _hear(self, _: Timeline, message: Mapping[str, Any], __: Sequence[memoryview]) -> None:
        """A page that has just come is sent all that there is."""
        if message.get("t") == "ready":
            with self._lock:
                self.send({"t": "ticks"}, list(self._since))
                if self._over:
                    self.send({"t": "over"})

    def _pass_on(self, outbox: Outbox) -> None:
        while not (outbox.closed and not outbox.wait(0)):
            if outbox.wait(1.0):
                pause(BATCH_S)
                self._tell(outbox.take())
        with self._lock:
            self._over = True
            self.send({"t": "over"})

    def _tell(self, messages: Sequence[FromRuntime]) -> None:
        shown = [message for message in messages if isinstance(message, TickDone | Drop)]
        if not shown:
            return
        chunk = _chunk(shown, self._clock.samples_per_tick)
        with self._lock:
            self._since.append(chunk)
            self.send({"t": "ticks"}, [chunk])


class _Teller:
    """A sink that tells each micro-turn of a session to an outbox; what the agent says counts as heard at once."""

    def __init__(self, clock: ClockSpec, outbox: Outbox) -> None:
        self._clock, self._outbox = clock, outbox

    def append(self, turn: MicroTurn) -> None:
        for message in told_of(turn, self._clock):
            self._outbox.put(message)


def chunks_of(trace: Trace | Reading) -> Iterator[bytes]:
    """A finished session as chunks that `watch.js` draws, `CHUNK` messages in each."""
    messages = told(trace, sound=False)
    while part := list(islice(messages, CHUNK)):
        yield _chunk(part, trace.header.clock.samples_per_tick)


def _chunk(messages: Iterable[TickDone | Drop], size: int) -> bytes:
    """Messages without the agent's sound, with the frames as buffers. A drop names the tick that it came before."""
    bodies, pictures, dropped = [], [], []
    for message in messages:
        body, buffers = encode(message)
        bodies.append(body)
        if isinstance(message, Drop):
            dropped.append(body)
            continue
        pictures += buffers[1:]
        for earlier in dropped:
            earlier["before"] = message.tick
        dropped.clear()
    return zlib.compress(pack({"size": size, "messages": bodies}, pictures), 1)


def _finished(trace: Trace | Reading) -> dict[str, Any]:
    """What a page is given of a session that is over."""
    about = _about(trace.header.clock, len(trace), _title(trace.header))
    with few_pauses(collect=False):  # the collector would look through all that was ever imported, several times for an hour
        return {"about": about, "chunks": list(chunks_of(trace)), "finished": True}


def _about(clock: ClockSpec, ticks: int, text: str) -> dict[str, Any]:
    return {"tick_ms": clock.tick_ms, "ticks": max(ticks, FEWEST_HELD), "text": text}


def _title(header: Header) -> str:
    labels = header.labels
    parts = [str(labels[name]) for name in ("family", "recording", "client", "voice") if labels.get(name)]
    return " · ".join(part for part in (*parts, header.created) if part)


def _file(path: Path) -> Path:
    return path / "trace.sqlite" if path.is_dir() else path
