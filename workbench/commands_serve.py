"""The command that serves the agent to programs written for OpenAI's Live and Realtime API: serve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from workbench.background.by_rule import CUES
from workbench.background.tool_files import tools_of
from workbench.background.wiring import background_agent
from workbench.clock import ClockSpec, RealTime, few_pauses
from workbench.commands_common import AtMost, Background, Fetch, Kept, Policies, ToolFiles, out_console, out_folder
from workbench.commands_live import until_ended, warm_agent
from workbench.commands_run import Checkpoint
from workbench.costs import Allowed, allowed_by
from workbench.errors import InputError
from workbench.given import keeps_of, listen, port_within
from workbench.live.admission import Admission, Limits
from workbench.live.runtime import LiveSpec
from workbench.policy_text import governed_by
from workbench.serve.hall import Hall
from workbench.serve.server import LIVE, REALTIME, Door, Served
from workbench.serve.server import only_here as _only_here

MODEL = "nano"
TraceFolder = Annotated[Path, typer.Option(help="Folder for the traces of sessions started with store=true.", callback=out_folder)]


def serve(
    checkpoint: Checkpoint = None,
    threshold: Annotated[float, typer.Option(help="p(speak) at which the agent speaks.")] = 0.5,
    host: Annotated[str, typer.Option(help="Address to listen at. One that others can reach needs --key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.", callback=port_within)] = 8000,
    key: Annotated[
        list[str] | None, typer.Option(help="A bearer key that lets in: NAME:KEY, or a file with one such line for each; repeat for more.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="A page that may connect, e.g. https://app.example.org; repeat for more.")
    ] = None,
    sessions: Annotated[int, typer.Option(help="Sessions at once.")] = 4,
    minutes: Annotated[float, typer.Option(help="Minutes that a session lasts at most.")] = 60.0,
    ask_at: Annotated[
        str,
        typer.Option(help="Words or phrases, separated by commas: what is said with one of them is delegated where the model cannot ask."),
    ] = "",
    background: Background = "local",
    fetch: Fetch = None,
    tools: ToolFiles = None,
    policy: Policies = None,
    limit: AtMost = None,
    keep: Kept = None,
    out: TraceFolder = Path("runs/serve"),
) -> None:
    """Serve the agent to programs written for OpenAI's Live API (and Realtime, where it maps), e.g. the official client:

    OpenAI(base_url="http://localhost:8000/v1", api_key="KEY").live.connect(), then session.start with model "nano".

    The agent has one voice and follows no instructions; it hears and speaks the words that it was trained on. Sessions leave no trace
    unless they are started with store=true. What else differs from OpenAI's services stands in workbench/serve/live.py and realtime.py.
    Ctrl-C ends it.
    """
    keys = _keys(key or [])
    keeps = keeps_of(keep or [])
    make_worker, allowed = background_agent(background, fetch or [], tools_of(tools or [])), allowed_by(limit or [], Allowed())
    limits = Limits(sessions=sessions, minutes=minutes, visitor_minutes=math.inf, visitor_bytes=2**62)
    if not keys and not _only_here(host):
        raise InputError(f"--host {host} lets others in, and nobody needs a key; give --key NAME:KEY (or a file of them) as well")
    listen(host, port).close()  # a port that is taken is told before the model is loaded
    agent = warm_agent(checkpoint, threshold)
    phrases = tuple(phrase.strip() for phrase in ask_at.split(",") if phrase.strip())
    unknown = [word for phrase in phrases for word in phrase.split() if word not in agent.user_words]
    if unknown:
        raise InputError(f"--ask-at {unknown[0]!r}: the model does not hear that word; it hears {', '.join(agent.user_words)}")
    governed_by(agent, policy or [])
    hall = Hall(
        lambda: agent,
        MODEL,
        out,
        Admission(limits, RealTime(ClockSpec()).now),
        LiveSpec(keep=keeps, allowed=allowed),
        asks_at=phrases or CUES,
        make_worker=make_worker,
        policies=tuple(policy or ()),
    )
    out.mkdir(parents=True, exist_ok=True)
    with few_pauses(), Served(hall, Door(keys=keys, origins=tuple(origin or ())), host, port) as served:
        name = "localhost" if _only_here(host) else host
        out_console.print(f"serving http://{name}:{served.port}/v1", markup=False)
        out_console.print(
            f"   Live at {LIVE}, Realtime at {REALTIME}, model {MODEL!r}; {'any key' if not keys else 'keys'} let in", markup=False
        )
        out_console.print(f"traces of stored sessions go to {out}; Ctrl-C ends it", markup=False)
        until_ended()
        out_console.print("ending; open sessions are closed")


def _keys(options: Sequence[str]) -> dict[str, str]:
    """Name to key."""
    lines = [line for option in options for line in ([option] if ":" in option else _lines(Path(option)))]
    pairs = [line.strip().partition(":") for line in lines]
    if not all(name and key for name, _, key in pairs):
        raise InputError("--key has a line without a name or without a key; give NAME:KEY")
    return {name: key for name, _, key in pairs}


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError("--key was given what is neither NAME:KEY nor a file of such lines; check the path, or put NAME: before the key")
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
