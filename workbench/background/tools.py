"""A user's own functions as tools: what they are called with is a schema, how long and how much they may is a limit.

    @tool(permission="voice", timeout_s=3)
    def book(table: int, name: str) -> str:
        "Book a table."

It may show something besides its result, by returning a `Show` (`shown.py`), which counts among the characters that it returns: for a
picture raise `most_chars`.

A function that can be imported runs in a process of its own, which is killed when its time is over. One that only a notebook knows runs in
a thread, which nobody can kill: it is left alone, and no more than ABANDONED of them may be left; what it prints is seen. What a tool
returns must be JSON of no more than `most_chars`; of more than that no more is looked at. A single long step of a function in a thread that
is no Python, such as sorting millions of numbers, still holds up everybody else: define such a tool in a module.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

from workbench.background.parts import Stop
from workbench.background.schema import Schema, check_arguments, description_of, schema_of, typed
from workbench.background.shown import chars_of, parted
from workbench.background.sizes import in_short, within
from workbench.clock import StopWatch
from workbench.errors import InputError

Permission: TypeAlias = Literal["free", "voice", "click", "never"]
Isolation: TypeAlias = Literal["process", "thread", "inline"]
PERMISSIONS = ("free", "voice", "click", "never")
ABANDONED = 8
POLL_S = 0.02
LEFT_S = 1.0  # after which a process whose time is up ends by itself: nobody is there any more to kill it
START_S = 60.0  # a process may take so long to start and to import the module of its function
_abandoned: list[threading.Thread] = []
_CHILD = Path(__file__).with_name("tool_process.py")


@dataclass(frozen=True)
class Tool:
    """A function that an agent may call.

    Attributes:
        name, description, schema: as a model is told of it.
        permission: free, after a spoken yes ("voice"), after a click, or never.
        timeout_s, most_chars, memory_mb: what one call may take; memory only where it runs in a process.
        foreign: whether its result quotes what others wrote (documents, pages, cells of tables), so that it has no authority.
        isolation: where it runs; "inline" is for the workbench's own functions, which are bounded by themselves.
        file: of a tool from a file that the user named (`tool_files.py`); its process runs that file instead of importing a module.
    """

    function: Callable[..., Any]
    name: str
    description: str
    schema: Schema
    permission: Permission = "free"
    timeout_s: float = 5.0
    most_chars: int = 10_000
    memory_mb: int = 2048
    foreign: bool = False
    isolation: Isolation = "process"
    file: Path | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def spec(self) -> dict[str, Any]:
        """As chat-completions servers take it."""
        return {"type": "function", "function": {"name": self.name, "description": self.description, "parameters": dict(self.schema)}}


@dataclass(frozen=True)
class Outcome:
    """What became of a call: its value (JSON) and that as text, or why there is none; `shown` is what is to be shown besides."""

    ok: bool
    value: Any = None
    text: str = ""
    cause: str = field(default="")
    shown: Mapping[str, Any] | None = None


@overload
def tool(function: Callable[..., Any]) -> Tool: ...
@overload
def tool(
    *,
    permission: Permission = ...,
    timeout_s: float = ...,
    most_chars: int = ...,
    memory_mb: int = ...,
    foreign: bool = ...,
    isolation: Isolation | None = ...,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    permission: Permission = "free",
    timeout_s: float = 5.0,
    most_chars: int = 10_000,
    memory_mb: int = 2048,
    foreign: bool = False,
    isolation: Isolation | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function, which is called with values of its types: an `Enum` gets its member.

    Raises InputError when its types or its docstring do not say what it takes, when it gives its result otherwise than by returning it, and
    when a limit makes no sense.
    """
    if permission not in PERMISSIONS:
        raise InputError(f"permission {permission!r} is not known; a tool is {', '.join(PERMISSIONS)}")
    if not timeout_s > 0 or most_chars < 1 or memory_mb < 1:
        raise InputError(f"timeout_s={timeout_s}, most_chars={most_chars}, memory_mb={memory_mb}: all must be above 0")

    def made(of: Callable[..., Any]) -> Tool:
        schema, about = schema_of(of), description_of(of)
        where: Isolation = isolation or ("process" if _importable(of) else "thread")
        return Tool(of, of.__name__, about, schema, permission, timeout_s, most_chars, memory_mb, foreign, where)

    return made if function is None else made(function)


def _importable(function: Callable[..., Any]) -> bool:
    return function.__module__ != "__main__" and "<" not in function.__qualname__ and not inspect.ismethod(function)


def run_tool(tool: Tool, arguments: Mapping[str, Any], stop: Stop) -> Outcome:
    """Call a tool within its limits. Whatever it does, there is an outcome soon after its time is over, or once `stop` says so."""
    try:
        given = check_arguments(tool.schema, dict(arguments))
    except InputError as error:
        return Outcome(False, cause=str(error))
    if tool.isolation == "process":
        return _in_process(tool, given, stop)
    if tool.isolation == "thread":
        return _in_thread(tool, given, stop)
    return _called(tool, given)


def _called(tool: Tool, arguments: dict[str, Any]) -> Outcome:
    try:
        value, shown = parted(tool.function(**typed(tool.function, arguments)))
        if not within(value, tool.most_chars):
            return Outcome(False, cause=f"{tool.name} returned more than the {tool.most_chars} characters that are taken")
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except InputError as error:
        return Outcome(False, cause=str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a tool raises is the outcome of its call)
        return Outcome(False, cause=f"{tool.name} raised {in_short(error)}")
    return _sized(tool, text, shown)


def _sized(tool: Tool, text: str, shown: Mapping[str, Any] | None) -> Outcome:
    chars = len(text) + chars_of(shown)
    if chars > tool.most_chars:
        return Outcome(False, cause=f"{tool.name} returned {chars} characters; {tool.most_chars} are taken")
    value = json.loads(text)
    return Outcome(True, value, value if isinstance(value, str) else text, shown=shown)


def _late(tool: Tool, end: str) -> Outcome:
    return Outcome(False, cause=f"time-out: {tool.name} gave nothing within {tool.timeout_s:g} s and was {end}")


def _wait(tool: Tool, thread: threading.Thread, stop: Stop, ready: threading.Event) -> str:
    """Wait for a thread: "done", "late" or "stopped". The time of the tool counts from when its function is ready to be called."""
    watch, waited_ms, was_ready = StopWatch(), 0.0, False
    while True:
        thread.join(POLL_S)
        waited_ms += watch.lap_ms()
        if not thread.is_alive():
            return "done"
        if stop():
            return "stopped"
        if ready.is_set() and not was_ready:
            waited_ms, was_ready = 0.0, True
        if waited_ms > (tool.timeout_s if was_ready else START_S) * 1000:
            return "late"


def _in_thread(tool: Tool, arguments: dict[str, Any], stop: Stop) -> Outcome:
    _abandoned[:] = [thread for thread in _abandoned if thread.is_alive()]
    if len(_abandoned) >= ABANDONED:
        return Outcome(False, cause=f"{ABANDONED} calls of tools hang already; {tool.name} was not called. Define it in a module")
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(_called(tool, arguments)), name=f"tool {tool.name}", daemon=True)
    thread.start()
    ready = threading.Event()
    ready.set()
    end = _wait(tool, thread, stop, ready)
    if outcomes:
        return outcomes[0]
    _abandoned.append(thread)
    return _late(tool, "left alone") if end == "late" else Outcome(False, cause=f"{tool.name} is not wanted any more")


def _in_process(tool: Tool, arguments: dict[str, Any], stop: Stop) -> Outcome:
    order = {
        "module": tool.function.__module__,
        "name": tool.function.__qualname__,
        "file": None if tool.file is None else str(tool.file),
        "path": sys.path,
        "arguments": arguments,
        "most_chars": tool.most_chars,
        "memory_mb": tool.memory_mb,
        "most_s": START_S + tool.timeout_s + LEFT_S,
    }
    child = subprocess.Popen(
        [sys.executable, "-I", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,
    )
    most = 6 * tool.most_chars + 1000  # bytes of JSON that so many characters may take
    answers: list[bytes] = []
    ready = threading.Event()
    thread = threading.Thread(target=_talk, args=(child, json.dumps(order).encode(), most, ready, answers), daemon=True)
    thread.start()
    end = _wait(tool, thread, stop, ready)
    _kill(child)
    thread.join(1.0)
    if end == "late":
        return _late(tool, "killed")
    if end == "stopped":
        return Outcome(False, cause=f"{tool.name} is not wanted any more")
    return _understood(tool, answers[0] if answers else b"", most)


def _talk(child: subprocess.Popen[bytes], order: bytes, most: int, ready: threading.Event, answers: list[bytes]) -> None:
    """Give a child its order, and take up to `most` bytes of its answer, before which it says that it is ready."""
    assert child.stdin is not None and child.stdout is not None  # noqa: PT018
    with suppress(OSError), child.stdin, child.stdout:
        child.stdin.write(order)
        child.stdin.close()
        first = child.stdout.read(1)
        ready.set()
        answers.append(first + child.stdout.read(most))


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()


def _understood(tool: Tool, answer: bytes, most: int) -> Outcome:
    if len(answer) >= most:
        return Outcome(False, cause=f"{tool.name} sent more than {tool.most_chars} characters can be")
    try:
        body = json.loads(answer)
        if not body["ok"]:
            return Outcome(False, cause=f"{tool.name} {body['cause']}")
        return _sized(tool, body["text"], body["shown"])
    except (ValueError, KeyError, TypeError):
        return Outcome(False, cause=f"{tool.name} ended without an answer: it was out of memory, or ended its process")
