"""What `make check` asks of the code holds: format, lint, types, and notebooks without outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("model", "workbench", "widgets", "tests", "benchmarks", "docs")
CHECKS = {
    "format": ("ruff", "format", "--check", *CODE),
    "lint": ("ruff", "check", *CODE),
    "types": ("mypy",),
    "types of the benchmarks": ("mypy", "benchmarks"),
    "notebooks": ("nbstripout", "--verify", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "notebooks").glob("*.ipynb")))),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_code_passes_its_checks(name: str) -> None:
    tool, *arguments = CHECKS[name]
    done = subprocess.run([sys.executable, "-m", tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
