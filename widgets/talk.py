"""`Talk`: a live session in a notebook cell, spoken to through the page's microphone."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from widgets.client import module, style_sheet
from widgets.sockets import Runtime, SocketCarrier
from workbench.clock import ClockSpec, RealTime
from workbench.errors import InputError
from workbench.given import keeps_of
from workbench.live.admission import Admission, Limits
from workbench.live.host import Host
from workbench.live.runtime import LiveSession, LiveSpec
from workbench.live.stand_in import StandIn, User, user_named
from workbench.scenarios import FAMILIES
from workbench.session import Session
from workbench.users import SilentUser

FOLDER = Path("runs") / "live"


class Talk(anywidget.AnyWidget):
    """The panel to talk to a runtime through: microphone, loudspeaker, typed text, the live timeline.

    The page carries the messages over a WebSocket to this kernel where it can reach one, else over the widget's comm, and shows which and
    why. Microphone and session close with the view: when the cell is run again, its output is cleared, the tab closes or the kernel ends.

    With `user`, a scenario family such as "stop", a sound file or a participant, no microphone is opened: that user talks in your place,
    from now on and in real time, whether or not there is a page (`workbench.live.stand_in`); `seed` picks the scenario. `websocket=False`
    leaves the comm alone; `probe=False` asks for no probe tone; `origins` names further pages that may connect.

    Raises InputError for a user that is neither a family nor a file.
    """

    _esm = module()
    _css = style_sheet()
    address = traitlets.Unicode().tag(sync=True)
    unavailable = traitlets.Unicode().tag(sync=True)
    probe = traitlets.Bool(True).tag(sync=True)
    stand_in = traitlets.Unicode().tag(sync=True)
    _unsubscribe: Callable[[], None] | None = None
    _end: Callable[[], object] = staticmethod(lambda: None)  # a widget whose making failed is closed too

    def __init__(
        self,
        runtime: Runtime,
        *,
        user: User | None = None,
        seed: int = 0,
        websocket: bool = True,
        probe: bool = True,
        origins: Collection[str] = (),
    ) -> None:
        if user is not None:
            runtime = StandIn(runtime, user_named(user, seed))
        socket, unavailable = _socket(runtime, origins) if websocket else (None, "widget comm: asked for")
        address, stand_in = socket.address if socket else "", "" if user is None else _name(user)
        super().__init__(address=address, unavailable=unavailable, probe=probe, stand_in=stand_in)
        self.runtime = runtime
        self._end = weakref.finalize(self, _end, socket, runtime)
        self.on_msg(self._hear)
        if isinstance(runtime, StandIn):
            runtime.begin()

    @classmethod
    def with_nano(
        cls,
        user: User | None = None,
        *,
        seed: int = 0,
        folder: str | Path = FOLDER,
        checkpoint: str | Path | None = None,
        threshold: float = 0.5,
        minutes: float = 10.0,
        keep: Sequence[str] = (),
        **more: Any,
    ) -> Talk:
        """A panel with a host of its own: the shipped model, or that of `checkpoint`, one conversation at a time, its traces in `folder`,
        which is made. `keep` says how streams are kept there, as `--keep` does at a command line: ["features-only"] keeps no sound.

        Raises CheckpointError where there is no such model, InputError for what says nothing of a stream, and what the constructor raises.
        """
        from workbench.neural import load_agent

        keeps = keeps_of([keep] if isinstance(keep, str) else keep)
        agent = load_agent(checkpoint, threshold)
        Session.start([SilentUser(), agent]).run(1)  # what is slow the first time is over before anybody waits for it
        limits = Limits(sessions=1, minutes=minutes, visitor_minutes=24 * 60, visitor_bytes=1 << 40)
        spec = LiveSpec(minutes=minutes, keep=keeps)
        host = Host(lambda: agent, Path(folder), Admission(limits, RealTime(ClockSpec()).now), spec)
        Path(folder).mkdir(parents=True, exist_ok=True)
        return cls(host.open("notebook"), user=user, seed=seed, **more)

    @property
    def session(self) -> LiveSession | None:
        """The live session that goes on here, or went on last."""
        session: LiveSession | None = getattr(self.runtime, "session", None)
        return session

    @property
    def trace(self) -> Path | None:
        """The file of the session's trace; it can be read while the session goes on."""
        return None if self.session is None else self.session.path

    def wait(self, timeout_s: float | None = None) -> str:
        """Wait until the session is over, and say how it ended; with a `user` only. Raises InputError when it goes on for longer."""
        if not isinstance(self.runtime, StandIn):
            raise InputError("nobody talks in your place here, so the session ends when you stop it; give user= to wait for one")
        over = self.runtime.wait(timeout_s)
        if over is None:
            raise InputError(f"the session still goes on after {timeout_s:g} s; wait longer, or press Stop")
        return over.text

    def close(self) -> None:
        """End the session and remove the panel; also when the kernel ends."""
        if self._unsubscribe:
            self._unsubscribe()
            self._unsubscribe = None
        self._end()
        super().close()

    def _hear(self, _: Talk, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        if message.get("t") == "here":  # the page asks which of its two ways answers sooner
            self.send({"t": "here"})
            return
        if self._unsubscribe is None and message.get("t") == "hello":  # the page chose the comm
            self._unsubscribe = self.runtime.subscribe(lambda said, parts: self.send(dict(said), list(parts)), self._replaced)
        if self._unsubscribe is not None:
            self.runtime.feed(message, [bytes(part) for part in buffers])

    def _replaced(self) -> None:
        """A page has the session over the WebSocket now; the one that had it over the comm is told."""
        self._unsubscribe = None
        text = "This session was opened in another page or view, and goes on there."
        self.send({"t": "problem", "code": "gone", "text": text})  # the answer to a hello that waits for one
        self.send({"t": "end", "reason": "left", "text": text, "trace": None})


def _name(user: User) -> str:
    return f"The scripted user ({user})" if isinstance(user, str) and user in FAMILIES else f"The user ({getattr(user, 'name', user)})"


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
