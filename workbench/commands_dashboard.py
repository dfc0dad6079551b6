"""The command `dashboard`: a folder of sessions in a browser, and live ones that land in it."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.commands_common import Kept, make_agent
from workbench.desk import Desk, Models
from workbench.errors import InputError
from workbench.given import keeps_of, listen, port_within
from workbench.live.admission import Limits
from workbench.session import Participant

TALKERS = ("nano", "pipeline", "silent", "echo")  # those that a person can talk with; an oracle follows a script, a recording its own
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def dashboard(
    folder: Annotated[Path, typer.Argument(help="The folder with traces and evaluations; live sessions are written into it.")],
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint to talk to beside the shipped one; repeat for more. The first is the usual one.")
    ] = None,
    port: Annotated[int, typer.Option(help="The port; 0 for any that is free.", callback=port_within)] = 5006,
    host: Annotated[str, typer.Option(help="The address to listen at; other than this machine's own it needs --auth.")] = "localhost",
    auth: Annotated[str | None, typer.Option(help="USER:PASSWORD to log in with.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="HOST:PORT under which browsers reach it, behind a proxy; repeat for more.")
    ] = None,
    sessions: Annotated[int, typer.Option(help="Live sessions at once.")] = 4,
    minutes: Annotated[float, typer.Option(help="Minutes a live session may last.")] = 10.0,
    keep: Kept = None,
) -> None:
    """Sessions on disk in a browser: search, open, compare two on one clock; talk to the agent; scoreboards of evaluations."""
    login = _login(auth)
    if host not in LOOPBACK and login is None:
        raise InputError(f"--host {host} lets others in, who could read every session; give --auth USER:PASSWORD with it")
    if host in ("0.0.0.0", "::") and not origin:
        raise InputError(
            f"--host {host} does not say under which address browsers come; give --origin HOST:PORT, e.g. lab.example.org:{port}"
        )
    limits = Limits(sessions=sessions, minutes=minutes)
    if login is None:  # nobody here but who started it
        limits = replace(limits, visitor_minutes=math.inf, visitor_bytes=sys.maxsize)
    desk = Desk(folder, _models(checkpoint or []), limits, keeps_of(keep or []))
    listen(host, port).close()  # a port that is taken is told before the pages are loaded
    import_module("widgets.dashboard").serve(desk, port=port, host=host, login=login, origins=origin or [])


def _login(auth: str | None) -> dict[str, str] | None:
    if auth is None:
        return None
    user, _, password = auth.partition(":")
    if not user or not password:
        raise InputError("--auth is not USER:PASSWORD; give both, e.g. --auth ann:a-long-word")
    return {user: password}


def _models(checkpoints: list[Path]) -> Models:
    """The agents to talk to: these checkpoints by their names, then the shipped one and those without a model."""
    missing = [path for path in checkpoints if not path.is_file()]
    if missing:
        raise InputError(f"no checkpoint at {missing[0]}; give a .safetensors file, or leave --checkpoint out for the shipped one")
    paths = {str(path): path for path in checkpoints}
    loaded = cache(partial(_loaded, paths))
    return Models(names=(*paths, *TALKERS), make=lambda name, threshold: _with_threshold(loaded(name), threshold))


def _loaded(paths: dict[str, Path], name: str) -> Participant:
    return make_agent("nano", paths[name]) if name in paths else make_agent(name)


def _with_threshold(agent: Any, threshold: float) -> Participant:
    other: Participant = agent.with_threshold(threshold) if hasattr(agent, "with_threshold") else agent
    return other
