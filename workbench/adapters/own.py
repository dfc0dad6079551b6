"""An agent of the user's own, from a Python file: `--agent own:FILE.py`, or `own:FILE.py:NAME` where the file holds several.

    class Nodder:
        name, speaks, hears = "agent", (AGENT_TEXT,), (USER_AUDIO,)
        ...

NAME is a class, or a function, that is called without arguments, or a participant that is there already.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from workbench.check import shape_problems
from workbench.errors import InputError
from workbench.own_files import module_of, raised_in
from workbench.session import Participant

HOLDS = "a class that has name, speaks, hears, spec, start and step (notebooks/01_micro_turns.ipynb writes one)"


def own_agent(text: str) -> Participant:
    """The agent that FILE.py or FILE.py:NAME means. Raises InputError with file, rule and fix where there is none."""
    file_text, _, name = text.rpartition(":") if not text.endswith(".py") else (text, "", "")
    file, named = Path(file_text or text), f"--agent own:{text}"
    module = module_of(file, named, HOLDS)
    thing = _named(module, name, named) if name else _only(module, named)
    try:
        made: Any = thing() if isinstance(thing, type) or (callable(thing) and not hasattr(thing, "step")) else thing
    except Exception as error:
        raise InputError(f"{named}: {raised_in(file, error)}; it is made without arguments") from error
    if problems := shape_problems(made):
        raise InputError(f"{named}: {problems[0]}")
    if made.name != "agent":
        raise InputError(f"{named}: its name is {made.name!r}; a session calls the one who is talked to 'agent': name = 'agent'")
    agent: Participant = made
    return agent


def _named(module: ModuleType, name: str, named: str) -> Any:
    if not hasattr(module, name):
        raise InputError(f"{named}: it has no {name!r}; there are {', '.join(_agents(module)) or 'no agents'}")
    return getattr(module, name)


def _only(module: ModuleType, named: str) -> Any:
    found = _agents(module)
    if len(found) != 1:
        several = f"it has {', '.join(found)}; say which: {named}:{found[0]}" if found else f"it has no agent; write {HOLDS}"
        raise InputError(f"{named}: {several}")
    return getattr(module, found[0])


def _agents(module: ModuleType) -> list[str]:
    """The names of the classes of a file that could take part in a session."""
    classes = inspect.getmembers(module, lambda each: inspect.isclass(each) and each.__module__ == module.__name__)
    return [name for name, each in classes if all(hasattr(each, part) for part in ("spec", "start", "step"))]
