"""Tools from files of the user's: a Python file named at a command line is run, and each function decorated with `@tool` in it is a tool.

    microturn talk --background chat:http://127.0.0.1:8000/v1 --tools bookings.py

Such a file is run with all the rights of who names it: once as it is read, and again in the process of every call (`tools.py`). What stands
beside it can be imported by it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from workbench.background.tools import Tool
from workbench.errors import InputError

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
    module = _run(file)
    own = [each for each in vars(module).values() if isinstance(each, Tool) and each.function.__module__ == module.__name__]
    if not own:
        raise InputError(
            f"--tools {file}: none of its functions is a tool; put @tool before each that is to be one, after "
            "`from workbench.background.tools import tool`"
        )
    return [replace(tool, file=file) for tool in own]


def _run(file: Path) -> ModuleType:
    """The module that a file makes when it is run, under a name of its own."""
    if not file.is_file():
        raise InputError(f"--tools {file}: there is no such file; give a Python file with functions decorated with @tool")
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"--tools {file} is no Python file; give one whose name ends in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(f"--tools {file}: {_where(file, error)}; mend it, a file of tools is run when it is read") from error
    return module


def _where(file: Path, error: BaseException) -> str:
    """What a file has raised, and in which of its lines."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {str(error)[:200]}"
    return f"{'it' if line is None else f'its line {line}'} raises {what}"
