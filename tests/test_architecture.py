"""The directions between the rooms, read from the source: who may import whom, who may touch the clock, how long a function may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("model", "workbench", "widgets")
PICTURES = {"plotly", "panel", "gradio", "ipywidgets", "anywidget", "matplotlib", "IPython"}
LONGEST_FUNCTION, LONGEST_FILE, WIDEST_LINE = 70, 600, 140


def _files(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def _breaches(source: str, name: str) -> list[str]:
    """Every import of a file that goes against the directions, as text."""
    tree = ast.parse(source)
    at_top = {id(child) for child in tree.body}
    room, found = name.split("/")[0], []
    command = name == "workbench/cli.py" or name.startswith("workbench/commands_")
    for node, module in _imports(tree):
        first = module.split(".")[0]
        lazy = command and id(node) not in at_top
        door = name.startswith("workbench/neural/")
        forbidden = {
            "model": {"workbench", "widgets", *PICTURES},
            "workbench": PICTURES | (set() if door else {"torch", "model"}) | (set() if lazy else {"widgets"}),
            "widgets": {"torch", "model"},
        }[room]
        if first in forbidden:
            found.append(f"{name}:{node.lineno} imports {module}")
        elif not door and id(node) in at_top and room == "workbench" and module.startswith("workbench.neural"):
            found.append(f"{name}:{node.lineno} imports {module} at the top; import it inside the function that needs the model")
        elif first == "time" and name != "workbench/clock.py" and room != "widgets":
            found.append(f"{name}:{node.lineno} imports time; only workbench/clock.py touches the wall clock")
    return found


@pytest.mark.parametrize("path", _files(*ROOMS), ids=_name)
def test_imports_follow_the_directions_between_rooms(path: Path) -> None:
    assert _breaches(path.read_text(encoding="utf-8"), _name(path)) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("model/trunk.py", "import workbench"),
        ("model/trunk.py", "from plotly import graph_objects"),
        ("workbench/users.py", "import torch"),
        ("workbench/users.py", "def f():\n    from model.trunk import Trunk"),
        ("workbench/users.py", "import widgets"),
        ("workbench/users.py", "from time import sleep"),
        ("workbench/cli.py", "from widgets import show"),
        ("workbench/cli.py", "from workbench.neural import load_agent"),
        ("widgets/charts.py", "import torch"),
    ],
)
def test_a_breach_of_the_directions_is_found(name: str, line: str) -> None:
    assert len(_breaches(line, name)) >= 1


def test_what_the_directions_allow_is_not_called_a_breach() -> None:
    assert _breaches("import torch\nfrom model.trunk import Trunk", "workbench/neural/agent.py") == []
    assert (
        _breaches("def f():\n    from widgets import write_timeline\n    from workbench.neural import load_agent", "workbench/cli.py") == []
    )
    assert _breaches("import time", "workbench/clock.py") == []


@pytest.mark.parametrize("path", _files(*ROOMS), ids=_name)
def test_functions_and_files_fit_their_size(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [f"{f.name} has {lines} lines" for f in functions if (lines := (f.end_lineno or f.lineno) - f.lineno + 1) > LONGEST_FUNCTION]
    wide = [f"line {n} is {len(line)} wide" for n, line in enumerate(source.splitlines(), 1) if len(line) > WIDEST_LINE]
    assert long + wide == []
    assert source.count("\n") <= LONGEST_FILE


@pytest.mark.parametrize("path", _files(*ROOMS), ids=_name)
def test_nothing_is_left_half_done(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert [word for word in ("TODO", "FIXME", "XXX", "NotImplementedError") if word in source] == []


def test_simulating_replaying_and_drawing_need_no_torch() -> None:
    code = """
import importlib, pathlib, sys
for path in [*pathlib.Path("workbench").rglob("*.py"), *pathlib.Path("widgets").rglob("*.py")]:
    if "neural" not in path.parts:
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
print([name for name in ("torch", "model", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_importing_a_room_prints_nothing_and_draws_no_random_number() -> None:
    code = """
import random
import numpy as np
before = random.getstate(), np.random.get_state()[1].tolist()
import workbench, widgets, model, workbench.neural
assert (random.getstate(), np.random.get_state()[1].tolist()) == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
