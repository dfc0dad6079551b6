"""The dashboard: a Panel application over a folder of traces. Sessions found, opened and compared; live ones; scoreboards.

One `Page` a visitor; what they share is the `Desk`. Whatever takes long (reading, drawing, packing sound) happens in a thread of the page,
so that the server's loop is free to carry the sound of those who talk.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import panel as pn
import plotly
from panel.io.document import hold
from panel.io.server import get_server

from widgets.client import HERE, page_colours
from widgets.components import Boards, LiveDesk, PanelTalk, SessionList, Stage
from widgets.show import RENDER_ERRORS
from widgets.shown import board_page, board_rows, explained, labels_of, running_rows, session_rows, shown_pair, shown_session
from widgets.sockets import LOOPBACK
from workbench.clock import few_pauses
from workbench.desk import Desk, Policy
from workbench.errors import InputError, WorkbenchError
from workbench.index import Entry, Evaluation, Query, Stamp, among, evaluations, search
from workbench.store import read_trace
from workbench.trace import Trace

REFRESH_MS = 1500
PLOTLY_FOLDER = Path(plotly.__file__).parent / "package_data"
FAILURES = (WorkbenchError, OSError, *RENDER_ERRORS)

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """What a page has on its stage, as it was when it was read."""

    entries: tuple[Entry, ...] = ()
    labels: tuple[str, ...] = ()
    traces: tuple[Trace, ...] = ()

    @property
    def stamps(self) -> tuple[Stamp, ...]:
        return tuple(entry.stamp for entry in self.entries)


class Page:
    """One visitor's page: its parts, what is looked for, what is open. Its methods run on the server's loop, `_later` in a thread."""

    def __init__(self, desk: Desk, visitor: str) -> None:
        self.desk, self.query, self.opened, self.found = desk, Query(), Opened(), tuple[Evaluation, ...]()
        document = pn.state.curdoc
        assert document is not None, "a page is made for a visitor"
        self._document, self._loop = document, asyncio.get_running_loop()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="page")
        self._waiting = False
        self.host = desk.host()
        self.sessions = SessionList(self._asked)
        self.stage = Stage(self._asked)
        self.live = LiveDesk(self._asked, agents=list(desk.models.names), policy=_policy_json(desk.usual))
        self.talk = PanelTalk(self.host.open(visitor))
        self.boards = Boards(self._asked)

    def template(self) -> pn.Template:
        """The page as Panel serves it."""
        page = pn.Template((HERE / "dashboard.html").read_text(encoding="utf-8"))
        for name, value in (("folder", str(self.desk.folder)), ("colours", page_colours())):
            page.add_variable(name, value)
        for name in ("sessions", "stage", "live", "talk", "boards"):
            page.add_panel(name, getattr(self, name))
        return page

    def leave(self) -> None:
        """The visitor is gone, and with them their live session."""
        self.talk.leave()
        self._worker.submit(self.desk.leave, self.host)
        self._worker.shutdown(wait=False)

    def refresh(self) -> None:
        """Look through the folder again, unless that is being done."""
        if not self._waiting:
            self._waiting = True
            self._later(lambda: (self.desk.entries(), evaluations(self.desk.folder)), self._listed)

    # --- what a person asks for ---

    def _asked(self, message: Mapping[str, Any]) -> None:
        match message.get("t"):
            case "ready":
                self._tell_again()
            case "query":
                picked = {key: (message[name],) if message[name] else () for key, name in (("families", "family"), ("agents", "agent"))}
                self.query = Query(text=message["text"], since=message["since"], until=message["until"], **picked)
                self._later(self.desk.entries, self._list)
            case "open":
                self._open([message["name"]])
            case "compare":
                self._open(message["names"])
            case "again":
                self._open([entry.name for entry in self.opened.entries])
            case "tick":
                opened, at_s = self.opened, float(message["at_s"])
                self._later(lambda: (opened, explained(opened.labels, opened.traces, at_s)), self._explain)
            case "policy":
                self._set_policy(message)
            case "board":
                self._board(message["name"])

    def _open(self, names: Sequence[str]) -> None:
        self.stage.busy = True
        self._later(lambda: _read(self.desk, names), self._put)

    def _put(self, read: tuple[Opened, dict[str, Any]]) -> None:
        self.opened, shown = read
        self.sessions.opened = [entry.name for entry in self.opened.entries]
        self.stage.param.update(shown=shown, busy=False, why="", news="")

    def _set_policy(self, message: Mapping[str, Any]) -> None:
        try:
            policy = Policy(model=message["model"], threshold=float(message["threshold"]), voice=message["voice"])
        except InputError as error:
            self._note(str(error))
            return
        self.desk.set_policy(self.host, policy)
        self.live.param.update(policy=_policy_json(policy), note=f"Loading {policy.model} …")
        self._later(lambda: _ready(self.desk, policy), self._note)

    def _board(self, name: str) -> None:
        found = next((each for each in self.found if each.name == name), None)
        if found is not None:
            self._later(lambda: (name, board_page(found)), self._put_board)

    def _explain(self, told: tuple[Opened, str]) -> None:
        opened, text = told
        if opened is self.opened:  # and no other was opened meanwhile
            self.stage.why = text

    def _note(self, text: str) -> None:
        self.live.note = text

    def _put_board(self, board: tuple[str, str]) -> None:
        self.boards.opened, self.boards.page = board

    # --- what is found ---

    def _listed(self, found: tuple[Mapping[str, Entry], list[Evaluation]]) -> None:
        self._waiting = False
        entries, boards = found
        self._list(entries)
        if tuple(boards) != self.found:
            self.found = tuple(boards)
            self.boards.rows = board_rows(boards)

    def _list(self, entries: Mapping[str, Entry]) -> None:
        running = self.desk.running()
        listed = search(entries, self.query)
        families, agents = among(entries.values())
        _change(self.sessions, "rows", session_rows(listed, running))
        _change(self.sessions, "choices", {"families": list(families), "agents": list(agents)})
        damaged = sum(entry.state == "damaged" for entry in entries.values())
        _change(self.sessions, "counts", {"listed": len(listed), "all": len(entries), "damaged": damaged})
        _change(self.live, "running", running_rows(running))
        now = tuple(entries[entry.name].stamp if entry.name in entries else () for entry in self.opened.entries)
        _change(self.stage, "news", "It has changed on disk: read it again" if now != self.opened.stamps else "")

    def _tell_again(self) -> None:
        """What is on the lists, to a page that can listen now: an equal value would not be sent. Of two that are held the last one is."""
        with hold(self._document):
            for part, name, nothing in (
                (self.sessions, "rows", []),
                (self.sessions, "choices", {}),
                (self.sessions, "counts", {}),
                (self.boards, "rows", []),
            ):
                value = getattr(part, name)
                setattr(part, name, nothing)
                setattr(part, name, value)

    def _trouble(self, text: str) -> None:
        self._waiting = False
        self.stage.param.update(shown={"problem": text}, busy=False)

    def _later(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do this in the page's thread, one thing after the other, and then that on the loop."""

        def do() -> None:
            try:
                done = partial(then, work())
            except FAILURES as error:
                done = partial(self._trouble, f"{type(error).__name__}: {error}")
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._soon, done)

        with contextlib.suppress(RuntimeError):  # the page was left meanwhile
            self._worker.submit(do)

    def _soon(self, done: Callable[[], None]) -> None:
        """Do this with the document's lock; asked for on the loop, as what another thread asks of a document can be lost."""
        with contextlib.suppress(RuntimeError):  # the document was closed meanwhile
            self._document.add_next_tick_callback(done)


def _read(desk: Desk, names: Sequence[str]) -> tuple[Opened, dict[str, Any]]:
    """The sessions of these names, and what is shown of them: a problem where they cannot be read or drawn."""
    known = desk.entries()
    entries = [known[name] for name in names if name in known]
    gone = [name for name in names if name not in known]
    if gone:
        return Opened(), {"problem": f"{gone[0]} is not in the folder any more; choose another session of the list"}
    labels = labels_of(entries)
    try:
        traces = [read_trace(desk.folder / entry.name) for entry in entries]
        shown = shown_session(entries[0].name, traces[0]) if len(entries) == 1 else shown_pair(names, labels, traces)
    except FAILURES as error:
        return Opened(), {"problem": f"{' and '.join(names)} cannot be shown: {str(error) or type(error).__name__}"}
    return Opened(tuple(entries), tuple(labels), tuple(traces)), shown


def _ready(desk: Desk, policy: Policy) -> str:
    """Load an agent before it is talked to; what to say about it."""
    try:
        desk.models.make(policy.model, policy.threshold)
    except FAILURES as error:
        return f"{policy.model} cannot be talked to: {error}"
    return f"{policy.model} is ready; it is used from the next Start on."


def _policy_json(policy: Policy) -> dict[str, Any]:
    return {"model": policy.model, "threshold": policy.threshold, "voice": policy.voice}


def _change(part: Any, name: str, value: Any) -> None:
    """Set a value that is another than before: an equal one would be sent to the page all the same."""
    if getattr(part, name) != value:
        setattr(part, name, value)


def serve(
    desk: Desk, *, port: int = 5006, host: str = "localhost", login: Mapping[str, str] | None = None, origins: Collection[str] = ()
) -> None:
    """Serve the dashboard until the process is interrupted; says where on the standard output. `login` maps users to passwords.

    `origins` are further addresses (host:port) under which browsers reach it. Raises InputError when the port cannot be had.
    """
    port = port or _free_port(host)
    names = LOOPBACK[:2] if host in LOOPBACK else (host,)
    guard: dict[str, Any] = {}
    if login:
        guard = {"basic_auth": dict(login), "cookie_secret": secrets.token_urlsafe(32), "login_template": str(HERE / "login.html")}
    try:
        server = get_server(
            lambda: _page(desk),
            port=port,
            address=host,
            title="Microturn",
            websocket_origin=[*(f"{name}:{port}" for name in names), *origins],
            static_dirs={"plotly": str(PLOTLY_FOLDER)},
            start=False,
            show=False,
            **guard,
        )
    except OSError as error:
        raise InputError(f"port {port} of {host} cannot be had ({error}); give another --port, or 0 for any that is free") from error
    print(f"dashboard of {desk.folder} at http://{names[0]}:{port}", flush=True)  # noqa: T201 - the one line that says where to look
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as by Ctrl-C: every live session gets to close its trace
    try:
        with few_pauses():
            server.start()
            server.io_loop.start()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
        desk.close()


def _page(desk: Desk) -> pn.Template:
    """A new visitor's page, refreshed until they leave."""
    page = Page(desk, _visitor())
    pn.state.onload(page.refresh)
    pn.state.add_periodic_callback(page.refresh, REFRESH_MS)
    pn.state.on_session_destroyed(lambda _: page.leave())
    return page.template()


def _visitor() -> str:
    """Who is counted: the login, or the address."""
    request = getattr(pn.state.curdoc and pn.state.curdoc.session_context, "request", None)
    return str(pn.state.user or getattr(request, "remote_ip", "") or "someone")


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.bind((host, 0))
        return int(trial.getsockname()[1])
