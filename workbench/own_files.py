"""Python files of the user's that are named at a command line: each is run as it is read, with all the rights of who names it."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from workbench.errors import InputError


def module_of(file: Path, named: str, holds: str) -> ModuleType:
    """The module that a file makes when it is run, under a name of its own; what stands beside it can be imported by it.

    `named` is how it was named and `holds` what a file there should hold, for the errors. Raises InputError with file, rule and fix for a
    file that is not there, is no Python, or raises when it is run.
    """
    file = file.resolve()
    if not file.is_file():
        raise InputError(f"{named}: there is no such file; give a Python file with {holds}")
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{named} is no Python file; give one whose name ends in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(f"{named}: {raised_in(file, error)}; mend it, the file is run when it is read") from error
    return module


def raised_in(file: Path, error: BaseException) -> str:
    """What a file has raised, and in which of its lines."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file.resolve())]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {str(error)[:200]}"
    return f"{'it' if line is None else f'its line {line}'} raises {what}"
