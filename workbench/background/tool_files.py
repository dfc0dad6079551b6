"""Tools from files of the user's: a Python file named at a command line is run, and each function decorated with `@tool` in it is a tool.

    microturn talk --background chat:http://127.0.0.1:8000/v1 --tools bookings.py

Such a file is run with all the rights of who names it: once as it is read, and again in the process of every call (`tools.py`). What stands
beside it can be imported by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workbench.background.tools import Tool
from workbench.errors import InputError
from workbench.own_files import module_of

TOOLS_HELP = (
    "A Python file whose functions decorated with @tool (workbench.background.tools) a chat model in the background may call; repeat for "
    "more. It is run with your rights, so name only files that you trust."
)


def tools_of(files: Sequence[Path]) -> tuple[Tool, ...]:
    """The tools of these files in the order of their text.

    Raises InputError with file, rule and fix for a file that is not there, raises when it is run or has no tool, and for two of one name.
    """
    found: dict[str, tuple[Tool, Path]] = {}
    for file in dict.fromkeys(file.resolve() for file in files):
        for tool in _tools_in(file):
            if tool.name in found:
                raise InputError(f"--tools {file}: {found[tool.name][1]} has a tool {tool.name!r} already; give each its own name")
            found[tool.name] = tool, file
    return tuple(tool for tool, _ in found.values())


def _tools_in(file: Path) -> list[Tool]:
    module = module_of(file, f"--tools {file}", "functions decorated with @tool")
    own = [each for each in vars(module).values() if isinstance(each, Tool) and each.function.__module__ == module.__name__]
    if not own:
        raise InputError(
            f"--tools {file}: none of its functions is a tool; put @tool before each that is to be one, after "
            "`from workbench.background.tools import tool`"
        )
    return [replace(tool, file=file) for tool in own]
