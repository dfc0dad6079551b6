"""What a result rests on, as hashes: the code that played it, the code that judged it, the agent with its weights, and the settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
JUDGING = ("workbench/scoring/", "workbench/exports/", "workbench/suites.py", "workbench/evaluate.py")
ELSEWHERE = (
    "live/",
    "serve/",
    "judge/",
    "commands_",
    "cli.py",
    "tables.py",
    "cells.py",
    "farm.py",
    "digests.py",
    "sweeps.py",
    "index.py",
    "desk.py",
    "retention.py",
)
SPOKEN = (
    "workbench/scenarios/",
    *(f"workbench/{name}.py" for name in ("accents", "acoustics", "agents", "asking", "bank", "cast", "channel", "conditions")),
    *(f"workbench/{name}.py" for name in ("conversations", "espeak", "festival", "frames", "learners", "recordings", "rhvoice", "session")),
    *(f"workbench/{name}.py" for name in ("sounds", "speech", "typist", "users", "utterance", "voice_out", "voices")),
)


def content_key(body: Mapping[str, Any]) -> str:
    """SHA-256 of a mapping of JSON values, in hex; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def playing_code() -> str:
    """SHA-256 over the sources that decide what happens in a session."""
    apart = (*JUDGING, *(f"workbench/{name}" for name in ELSEWHERE))
    return _digest([name for name in _sources() if not name.startswith(apart)])


@lru_cache(maxsize=1)
def judging_code() -> str:
    """SHA-256 over the sources that decide what is said of a session."""
    return _digest([name for name in _sources() if name.startswith(JUDGING)])


@lru_cache(maxsize=1)
def conversing_code() -> str:
    """SHA-256 over the sources that decide what is said, heard and seen in a training conversation."""
    return _digest([name for name in _sources() if name.startswith(SPOKEN)])


def agent_content(spec: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's spec with the SHA-256 of its weights in place of the path of its checkpoint, also of an agent that is wrapped."""
    content: dict[str, Any] = {}
    for name, value in spec.items():
        content[name] = agent_content(value) if isinstance(value, Mapping) else value
        if name == "checkpoint":
            content[name] = _weights(str(value))
    return content


def _weights(path: str) -> str:
    if path:
        return file_digest(Path(path))
    from workbench.neural import CHECKPOINT  # the shipped one

    return file_digest(CHECKPOINT)


def file_digest(path: Path) -> str:
    """SHA-256 of what a file holds, in hex."""
    return _file(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _file(path: str, stamp: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sources() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for room in ("model", "workbench") for path in (ROOT / room).rglob("*.py"))


def _digest(names: list[str]) -> str:
    """SHA-256 over names and contents."""
    whole = hashlib.sha256()
    for name in names:
        whole.update(f"{name}\0".encode() + hashlib.sha256((ROOT / name).read_bytes()).digest())
    return whole.hexdigest()
