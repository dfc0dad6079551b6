"""The command that lets people talk with an agent as it runs: talk."""

from __future__ import annotations

import ipaddress
import math
import signal
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.background.tool_files import tools_of
from workbench.background.wiring import wired
from workbench.clock import ClockSpec, RealTime, few_pauses
from workbench.commands_common import AtMost, Background, Fetch, Kept, Policies, ToolFiles, out_console, out_folder
from workbench.commands_run import Checkpoint
from workbench.costs import Allowed, allowed_by
from workbench.errors import InputError
from workbench.given import keeps_of, listen, port_within
from workbench.live.admission import Admission, Limits
from workbench.live.ear import Ear, LiveUser
from workbench.live.host import Host
from workbench.live.runtime import LiveSpec
from workbench.session import Participant, Session

if TYPE_CHECKING:
    from workbench.neural import NeuralAgent

WARM_TICKS = 5

Logins = Annotated[
    list[str] | None,
    typer.Option("--auth", help="Who may come in: USER:PASSWORD, or a file with one such line for each; repeat for more."),
]

TraceFolder = Annotated[Path, typer.Option(help="Folder for the traces, one file a session; made if absent.", callback=out_folder)]


def talk(
    checkpoint: Checkpoint = None,
    threshold: Annotated[float, typer.Option(help="p(speak) at which the agent speaks; each visitor can move it.")] = 0.5,
    background: Background = "",
    fetch: Fetch = None,
    tools: ToolFiles = None,
    policy: Policies = None,
    limit: AtMost = None,
    keep: Kept = None,
    host: Annotated[str, typer.Option(help="Address to listen at. One that others can reach needs --auth.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.", callback=port_within)] = 7860,
    auth: Logins = None,
    share: Annotated[bool, typer.Option("--share", help="Also a public https address, through Gradio's tunnel. Needs --auth.")] = False,
    origin: Annotated[
        list[str] | None, typer.Option(help="A further page that may connect, e.g. https://talk.example.org of a proxy; repeat for more.")
    ] = None,
    visitor_header: Annotated[
        str, typer.Option(help="Header in which your proxy names the visitor, e.g. X-Forwarded-For. Only behind a proxy that sets it.")
    ] = "",
    out: TraceFolder = Path("runs/talk"),
    sessions: Annotated[int, typer.Option(help="Conversations at once.")] = 4,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes that a visitor may talk in an hour (default: 30 with --auth, else no limit).")
    ] = None,
    megabytes: Annotated[float, typer.Option(help="Megabytes that a visitor may send in an hour.")] = 300.0,
) -> None:
    """Serve a page to talk with the agent through a microphone, and watch its decisions. Ctrl-C ends it; every session leaves a trace."""
    logins = _logins(auth or [])
    if not logins and (share or not _only_here(host)):
        asked = "--share" if share else f"--host {host}"
        raise InputError(f"{asked} lets others in, and nobody has to log in; give --auth USER:PASSWORD (or a file of them) as well")
    hourly = (math.inf if not logins else 30.0) if minutes is None else minutes
    limits = Limits(sessions=sessions, visitor_minutes=hourly, visitor_bytes=round(megabytes * 1e6))
    allowed, own_tools, keeps = allowed_by(limit or [], Allowed()), tools_of(tools or []), keeps_of(keep or [])
    with listen(host, port) as listening:
        agent = warm_agent(checkpoint, threshold)
        from widgets.shared import Door, Served, SharedPage  # here, because Gradio takes seconds that a mistake need not wait for
        from widgets.shared import share as share_address

        shared = [share_address(listening)] if share else []
        wire = partial(wired, agent, background, policy or [], live=True, fetch=fetch or [], tools=own_tools)
        speaker, _ = wire()
        spec = LiveSpec(keep=keeps, allowed=allowed)
        rooms = Host(lambda: speaker, out, Admission(limits, RealTime(ClockSpec()).now), spec, make_beside=lambda: wire()[1])
        out.mkdir(parents=True, exist_ok=True)
        door = Door(logins=logins, origins=(*(origin or ()), *shared), visitor_header=visitor_header)
        page = SharedPage(rooms, door, agent.families, slow=bool(background))
        with few_pauses(), Served(page.app, listening) as served:
            _say_where(host, served.port, shared, out)
            until_ended()
            out_console.print("ending; open sessions get their traces")
            rooms.close()


def _logins(options: Sequence[str]) -> dict[str, str]:
    """Name to password."""
    lines = [line for option in options for line in ([option] if ":" in option else _lines(Path(option)))]
    pairs = [line.partition(":") for line in lines]
    if not all(name.strip() and password for name, _, password in pairs):
        raise InputError("--auth has a line without a name or without a password; give USER:PASSWORD")
    return {name.strip(): password for name, _, password in pairs}


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"--auth {path} is neither USER:PASSWORD nor a file of such lines; check the path, or put a colon between the two")
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _only_here(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def warm_agent(checkpoint: Path | None, threshold: float) -> NeuralAgent:
    """The agent, loaded and warm, so that the first tick of the first session is on time; sessions share it."""
    from workbench.neural import load_agent

    agent = load_agent(checkpoint, threshold)
    clock = ClockSpec()
    user: Participant = LiveUser(Ear(clock, RealTime(clock).now))
    Session.start([user, agent], clock=clock).run(WARM_TICKS)
    return agent


def _say_where(host: str, port: int, shared: Sequence[str], out: Path) -> None:
    name = "localhost" if _only_here(host) or host in ("0.0.0.0", "::") else host
    out_console.print(f"talk at http://{name}:{port}", markup=False)
    for address in shared:
        out_console.print(f"   and at {address}", markup=False)
    if not _only_here(host):
        out_console.print("others need https to be given their microphone by the browser: put a proxy with a certificate before this port")
    out_console.print(f"traces go to {out}; Ctrl-C ends it", markup=False)


def until_ended() -> None:
    """Until Ctrl-C or a request to terminate."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
