"""Which tool may be called for which task: the one gate that every call goes through, whoever wants it.

A call runs if the task has the user's authority, nothing that others wrote has been read in this run before, the tool's permission allows
it, and the user has agreed where that is needed. So text of documents, pages, tables and other results can change what is answered, but not
what is done: who has read foreign text can only talk, and a call that the user agreed to before is the one exception.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.background.parts import Envelope, NeedsConsent, Stop, Used
from workbench.background.tools import Outcome, Tool, run_tool
from workbench.errors import InputError

MOST_CALLS = 12  # of one run


@dataclass(frozen=True)
class Toolbox:
    """Tools by name. Raises InputError when two have the same one."""

    tools: tuple[Tool, ...] = ()

    def __post_init__(self) -> None:
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise InputError(f"two tools are called {max(names, key=names.count)!r}; give each its own name")

    def find(self, name: str) -> Tool | None:
        """The tool of a name, or None."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def offered(self, envelope: Envelope) -> list[Tool]:
        """The tools that a task may use at all."""
        return [tool for tool in self.tools if tool.permission != "never"] if envelope.authority else []


def call_name(tool: str, arguments: Mapping[str, Any]) -> str:
    """The name of one very call: of this tool with these arguments."""
    text = json.dumps(dict(arguments), sort_keys=True)
    return f"{tool}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass
class Calls:
    """The calls of one run, with whether it has read foreign text. `used` is what is to be told of them, `shown` what they showed last.

    An envelope with words of others in it has been read: whoever wants to call tools works with `envelope.trusted()`.
    """

    box: Toolbox
    envelope: Envelope
    stop: Stop
    foreign: bool = False
    shown: Mapping[str, Any] | None = None
    count: int = 0
    used: list[Used] = field(default_factory=list)
    spent: set[str] = field(default_factory=set)  # calls that the user agreed to and that were made: a yes holds once

    def __post_init__(self) -> None:
        self.foreign = self.foreign or self.envelope.trusted() != self.envelope

    def judge(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, str]:
        """What is to be done with a call, and why: run, ask or refuse."""
        tool, call = self.box.find(name), call_name(name, arguments)
        agreed = call in self.envelope.consents and call not in self.spent
        if tool is None:
            return "refuse", f"there is no tool {name!r}"
        if tool.permission == "never":
            return "refuse", "it may never be called"
        if not self.envelope.authority:
            return "refuse", f"the ask repeats {self.envelope.source or 'nobody'}, who has no authority; only the user's own speech has"
        if self.foreign and not agreed:
            return "refuse", "text of others was read before, and may have asked for it"
        if call in self.envelope.refusals:
            return "refuse", "the user did not agree"
        if self.count >= MOST_CALLS:
            return "refuse", f"{MOST_CALLS} calls were made already"
        if tool.permission in ("voice", "click") and not agreed:
            return "ask", f"it needs the user's consent by {tool.permission}"
        return "run", "the user agreed to it" if agreed else "the user asked, and it is free"

    def call(self, name: str, arguments: Mapping[str, Any], resume: Mapping[str, Any] | None = None) -> Outcome | NeedsConsent:
        """Call a tool if it may be called. A NeedsConsent ends the run, which begins anew with `resume`."""
        verdict, reason = self.judge(name, arguments)
        tool = self.box.find(name)
        if tool is None or verdict == "refuse":
            self._tell(name, arguments, tool, "refused", reason)
            return Outcome(False, cause=f"{name} was not called: {reason}")
        if verdict == "ask":
            self._tell(name, arguments, tool, "asked", reason)
            text = question(tool, arguments)
            return NeedsConsent(
                call=call_name(name, arguments), tool=name, arguments=arguments, how=tool.permission, text=text, resume=resume or {}
            )
        self.count += 1
        self.spent.add(call_name(name, arguments))
        outcome = run_tool(tool, arguments, self.stop)
        self.foreign = self.foreign or tool.foreign
        self.shown = self.shown if outcome.shown is None else outcome.shown
        self._tell(name, arguments, tool, "ran" if outcome.ok else "failed", reason if outcome.ok else outcome.cause, len(outcome.text))
        return outcome

    def told(self) -> Iterator[Used]:
        """What is to be told of the calls since the last time."""
        used, self.used = self.used, []
        yield from used

    def _tell(self, name: str, arguments: Mapping[str, Any], tool: Tool | None, done: str, reason: str, chars: int = 0) -> None:
        permission = tool.permission if tool else "unknown"
        self.used.append(Used(tool=name, arguments=arguments, permission=permission, done=done, reason=reason, chars=chars))


def question(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """How the user is asked whether a tool may be called."""
    given = " and ".join(f"{name.replace('_', ' ')} {value}" for name, value in arguments.items())
    return f"may I {tool.name.replace('_', ' ')}{' with ' + given if given else ''}"[:200]


def offered_specs(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools as chat-completions servers take them."""
    return [tool.spec() for tool in tools]
