"""A user's own tools from the command line: a file is named, its decorated functions are called, and every mistake in it is told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import Answering, calls, obeys, says, serving
from tests.test_workbench_cli import microturn
from tests.test_workbench_cli_errors import refused
from workbench.background.tool_files import tools_of
from workbench.background.tools import run_tool
from workbench.errors import InputError
from workbench.events import TranscriptDelta
from workbench.events_background import DelegationResult, ToolUsed
from workbench.store import read_trace

TOOL = """from workbench.background.tools import tool

@tool
def {name}(room: str) -> str:
    'Say who is in a room.'
    return {value}
"""


def never() -> bool:
    return False


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_run_calls_a_tool_of_a_file_in_a_process_of_its_own_and_says_what_it_returns(tmp_path: Path) -> None:
    def model(messages: Sequence[Mapping[str, Any]]) -> Answering:
        last = messages[-1]
        return says(last["content"].split()[0]) if last["role"] == "tool" else calls(("who_is_in", '{"room": "hall"}'))

    written(tmp_path, "beside_it.py", "WHO = {'hall': 'nine'}\n")
    value = "f'{beside_it.WHO[room]} {os.getpid()}'"
    tools = written(tmp_path, "rooms.py", "import os\nimport beside_it\n\n" + TOOL.format(name="who_is_in", value=value))
    with serving(obeys(model)) as server:
        arguments = ("run", "--scenario", "look_up", "--seed", 3, "--agent", "oracle", "--out", tmp_path / "out")
        assert microturn(*arguments, "--background", f"chat:{server.url}#tiny", "--tools", tools) == 0
    offered = server.requests[0]["tools"][0]["function"]
    assert (offered["name"], offered["description"]) == ("who_is_in", "Say who is in a room.")
    told = next(message["content"] for message in server.last if message["role"] == "tool")
    assert told.startswith("nine ")
    assert told != f"nine {os.getpid()}"
    trace = read_trace(tmp_path / "out" / "trace.sqlite")
    used = [event for _, event in trace.events(ToolUsed)]
    assert ("who_is_in", "ran", {"room": "hall"}) in [(event.tool, event.done, dict(event.arguments)) for event in used]
    assert "nine" in [event.text for _, event in trace.events(DelegationResult)]
    assert "nine" in [event.word for _, event in trace.events(TranscriptDelta) if event.side == "model"]


def test_only_what_is_decorated_in_the_file_itself_is_a_tool(tmp_path: Path) -> None:
    text = "from tests.tool_samples import add\nfrom workbench.background.tools import tool\n\n\n@tool(permission='click', timeout_s=2)\n"
    file = written(tmp_path, "own.py", text + "def pay(euros: int) -> str:\n    'Pay.'\n    return 'paid'\n\n\ndef helper() -> None: ...\n")
    [found] = tools_of([file, file])  # named twice, taken once
    assert (found.name, found.permission, found.timeout_s, found.isolation) == ("pay", "click", 2, "process")
    assert run_tool(found, {"euros": 3}, never).value == "paid"


def test_two_files_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, "tools.py", TOOL.format(name=f"in_{folder}", value=repr(folder)))
    found = tools_of([tmp_path / "b" / "tools.py", tmp_path / "a" / "tools.py"])
    assert [tool.name for tool in found] == ["in_b", "in_a"]
    assert [run_tool(tool, {"room": ""}, never).value for tool in found] == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def plain() -> None: ...\n", "none of its functions is a tool; put @tool before each"),
        ("x = 1\n\nraise RuntimeError('no key')\n", "its line 3 raises RuntimeError: no key; mend it"),
        ("def f(:\n", "its line 1 raises SyntaxError"),
        ("import no_such_module_at_all\n", "its line 1 raises ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("raise SystemExit(3)\n", "its line 1 raises SystemExit: 3"),
        (TOOL.format(name="f", value="''").replace("'Say who is in a room.'", "pass"), "its line 3 raises f has no docstring"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, "wrong.py", text)
    with pytest.raises(InputError) as told:
        tools_of([file])
    assert str(told.value).startswith(f"--tools {file}: ")
    assert message in str(told.value)


def test_files_that_cannot_be_and_names_that_are_taken_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (written(tmp_path, name, TOOL.format(name="book", value="'done'")) for name in ("one.py", "other.py"))
    run = ("run", "--scenario", "stop", "--agent", "silent", "--out", tmp_path / "o", "--background", "chat:http://127.0.0.1:9/v1#m")
    message = refused(capsys, *run, "--tools", one, "--tools", other)
    assert message == f"--tools {other}: {one} has a tool 'book' already; give each its own name"
    assert "there is no such file; give a Python file" in refused(capsys, *run, "--tools", tmp_path / "none.py")
    assert "is no Python file; give one whose name ends in .py" in refused(capsys, *run, "--tools", written(tmp_path, "notes.txt", ""))
    for command in (run[:-2], ("talk", "--out", tmp_path / "o"), ("serve", "--out", tmp_path / "o")):
        assert "--tools with 'book' is for a chat model in the background" in refused(capsys, *command, "--tools", one)
    page = written(tmp_path, "page.py", TOOL.format(name="fetch_page", value="''"))
    assert "two tools are called 'fetch_page'" in refused(capsys, *run, "--tools", page, "--fetch", "example.org")
    assert not (tmp_path / "o").exists()
