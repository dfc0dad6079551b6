"""An agent with rules over it and somebody in the background, as they are named at a command line.

agent, beside = wired(agent, "local:papers", ["barge-in=at_once"], live=False)
session = Session.start([user, agent, *beside])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.background.backends import Simulated
from workbench.background.by_rule import ByRule
from workbench.background.chat import ChatAgent, ChatSpec
from workbench.background.desk import Desk
from workbench.background.fetch import fetch_tool
from workbench.background.ledger import DeskSpec
from workbench.background.local.agent import LocalAgent
from workbench.background.parts import BackgroundAgent
from workbench.background.recent import senses_named
from workbench.background.telling import Delegating
from workbench.background.threads import Threads
from workbench.background.toolbox import Toolbox
from workbench.background.tools import Tool
from workbench.clock import utc_now
from workbench.errors import InputError
from workbench.packets import BACKGROUND_TEXT
from workbench.policy_text import governed_by
from workbench.session import Participant

BACKGROUND_HELP = (
    "Who does slow work: local (sums, units, the time, reminders), local:FOLDER (its documents and tables too), or chat:URL#MODEL, a "
    "server that speaks the chat-completions protocol; its key is read from MICROTURN_CHAT_KEY. With chat:URL#MODEL,senses=frame+audio it "
    "is also given the last picture of the camera and the last 8 seconds of sound (audio:12 for 12). There are also total_s= for one task "
    "(60), stall_s= between two pieces of a reply (15), connect_s= (5), and max_tokens= of a reply (400)."
)
FETCH_HELP = "A host whose pages a chat model in the background may read, e.g. example.org or *.example.org; repeat for more."
KEY = "MICROTURN_CHAT_KEY"
OPTIONS: Mapping[str, Callable[[str], Any]] = {  # of a chat model, after its address, and how each is read
    "senses": senses_named,
    "total_s": float,
    "stall_s": float,
    "connect_s": float,
    "max_tokens": int,
}


def background_agent(text: str, fetch: Sequence[str] = (), tools: Sequence[Tool] = ()) -> Callable[[], BackgroundAgent]:
    """Makes the background agent that a text names, a new one for each session. Raises InputError when it names none.

    `fetch` are the hosts whose pages a chat model, and no other, may have read to it, and `tools` what else it may call.
    """
    kind, _, where = text.partition(":")
    if (fetch or tools) and kind != "chat":
        given = f"--fetch {fetch[0]}" if fetch else f"--tools with {tools[0].name!r}"
        raise InputError(f"{given} is for a chat model in the background; give --background chat:URL#MODEL as well")
    if kind == "local":
        if where and not Path(where).is_dir():
            raise InputError(f"--background {text}: {where} is no folder; give one with documents and tables, or only local")
        return lambda: LocalAgent(Path(where) if where else None, utc_now())
    if kind == "chat":
        settings = _chat(text, where)
        box = Toolbox((*tools, *([fetch_tool(fetch)] if fetch else [])))
        return lambda: ChatAgent(settings, box, key=os.environ.get(KEY, ""))
    raise InputError(f"--background {text!r} is not known; {BACKGROUND_HELP}")


def _chat(text: str, where: str) -> ChatSpec:
    """The settings in URL#MODEL, after which options stand as `,senses=...`."""
    where, *options = where.split(",")
    url, _, model = where.partition("#")
    settings: dict[str, Any] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name not in OPTIONS:
            known = ", ".join(f"{each}=" for each in OPTIONS)
            raise InputError(f"--background {text}: {option!r} is no option of a chat model; there are {known}, e.g. senses=frame+audio")
        try:
            settings[name] = OPTIONS[name](value)
        except InputError:
            raise
        except ValueError:
            raise InputError(f"--background {text}: {option!r} has no number that fits; write e.g. total_s=120 or max_tokens=200") from None
    return ChatSpec(url=url, model=model or "default", **settings)


def asking(agent: Participant, policies: Sequence[str], *, background: bool) -> Participant:
    """The agent under these rules, telling a desk what it asks where there is one; by rule where it has not learned to ask."""
    if background and BACKGROUND_TEXT not in agent.hears:
        agent = ByRule(agent)
    governed = governed_by(agent, policies)
    return Delegating(governed) if background else governed


def wired(
    agent: Participant, background: str, policies: Sequence[str], *, live: bool, fetch: Sequence[str] = (), tools: Sequence[Tool] = ()
) -> tuple[Participant, tuple[Participant, ...]]:
    """The agent, and who takes part beside it. In a live session the work is done in threads, else in simulated time."""
    if not background and not fetch and not tools:
        return asking(agent, policies, background=False), ()
    worker = background_agent(background, fetch, tools)()
    backend = Threads(worker) if live else Simulated(worker)
    return asking(agent, policies, background=True), (Desk(backend, DeskSpec().patient_with(worker)),)
