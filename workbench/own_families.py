"""A situation of the user's own, from a Python file: `--scenario own:FILE.py`, `--families own:FILE.py,stop`.

The file is what `workbench/scenarios/timer.py` is: a docstring whose first line says what it is about, and the functions `piece` and
`episode`. It is known by the name of the file ("own:kettle.py" is `kettle`) and belongs to the group that its GROUP names, or to "own".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.errors import InputError, WorkbenchError
from workbench.own_files import module_of, raised_in
from workbench.scenarios import FAMILIES, Family, build
from workbench.users import ScriptedUser

PREFIX = "own:"
GROUP = "own"
HOLDS = "the functions piece and episode (copy workbench/scenarios/timer.py and change it)"

_asked: dict[str, str] = {}  # how each family that is known from a file was asked for
_files: dict[str, Path] = {}


def known(asked: str) -> str:
    """The name of the family that is asked for: one of a file is read and known from then on, any other is left as it is.

    Raises InputError with file, rule and fix for a file that holds no family, or whose first episode cannot be made.
    """
    if not asked.startswith(PREFIX):
        return asked
    file = Path(asked.removeprefix(PREFIX)).resolve()
    name = file.stem
    if _files.get(name) == file:
        return name
    if name in FAMILIES:
        whose = f"of {_files[name]}" if name in _files else "of the workbench"
        raise InputError(f"{asked}: there is a family {name!r} already, {whose}; give the file another name")
    if not name.isidentifier():
        raise InputError(f"{asked}: a family has the name of its file, and {name!r} is no name; use letters, digits and _")
    FAMILIES[name] = _read(file, asked, name)
    try:
        _tried(file, asked, name)
    except InputError:
        del FAMILIES[name]
        raise
    _asked[name], _files[name] = asked, file
    return name


def asked_as(name: str) -> str:
    """How a command line asks for a family: by its file where it is the user's own."""
    return _asked.get(name, name)


def files_of(names: Sequence[str]) -> dict[str, Path]:
    """The files of those of these families that are the user's own."""
    return {name: _files[name] for name in names if name in _files}


def _read(file: Path, asked: str, name: str) -> Family:
    module = module_of(file, asked, HOLDS)
    if missing := [each for each in ("piece", "episode") if not callable(getattr(module, each, None))]:
        raise InputError(f"{asked}: it has no {' and no '.join(missing)}; write {HOLDS}")
    about = (module.__doc__ or "").strip().split("\n", 1)[0] or f"{name}: a family of {file.name}"
    return Family(name, str(getattr(module, "GROUP", GROUP)), about, module.piece, module.episode)


def _tried(file: Path, asked: str, name: str) -> None:
    """One episode is made and its phrases are spoken, so that what is wrong with a file is told before anything is played."""
    try:
        script = build(name, 0)
        ScriptedUser(script).prepare()
    except WorkbenchError as error:
        raise InputError(f"{asked}: {error}") from error
    except Exception as error:
        raise InputError(
            f"{asked}: {raised_in(file, error)}; episode makes a list of Piece from a trigger, a generator, a difficulty"
        ) from error
    if not script.beats:
        raise InputError(f"{asked}: nobody speaks in its episode; give its Piece at least one Beat")
