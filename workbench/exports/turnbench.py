"""TurnBench's submission file: for every conversation and speaker, the moments at which an end of turn or an interruption was noticed.

`{"schema_version": 1, "predictions": [{"conversation_id", "speaker_1": {"eot": [t, ...], "interruption": [t, ...]}, "speaker_2": {...}}]}`,
times in seconds, strictly increasing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from workbench.errors import InputError
from workbench.exports.numbers import finite
from workbench.scoring.turnbench import KINDS, noticed
from workbench.trace import Trace

SCHEMA = 1
SPEAKERS = ("speaker_1", "speaker_2")
Times: TypeAlias = tuple[float, ...]
Submission: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Times]]]  # conversation, speaker, kind


def write_turnbench(trace: Trace, folder: Path) -> list[Path]:
    """One file, submission.json: what the agent of a trace noticed of its user, who is the first speaker."""
    found: dict[str, Times] = {kind: times[0] for kind, times in noticed(trace).predicted.items()}
    return [write_submission({"session": {SPEAKERS[0]: found}}, folder / "submission.json")]


def write_submission(found: Submission, path: Path) -> Path:
    """The file; a speaker or kind that is not given has no events. Raises InputError for times that do not strictly increase."""
    rows = [
        {
            "conversation_id": name,
            **{who: {kind: list(_increasing(said.get(who, {}).get(kind, ()), name, who, kind)) for kind in KINDS} for who in SPEAKERS},
        }
        for name, said in found.items()
    ]
    path.write_text(json.dumps({"schema_version": SCHEMA, "predictions": rows}, indent=1) + "\n", encoding="utf-8")
    return path


def read_submission(path: Path) -> Submission:
    """The predictions of a file by conversation, speaker and kind. Raises InputError naming what breaks the format."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON ({error})") from error
    if not isinstance(body, dict) or body.get("schema_version") != SCHEMA or not isinstance(body.get("predictions"), list):
        raise InputError(f'{str(path)!r} is not {{"schema_version": {SCHEMA}, "predictions": [...]}}')
    found: dict[str, Mapping[str, Mapping[str, Times]]] = {}
    for number, row in enumerate(body["predictions"]):
        name = row.get("conversation_id") if isinstance(row, dict) else None
        if not isinstance(name, str) or name in found:
            raise InputError(f"prediction {number} has the conversation_id {name!r}; give each conversation once, by its name")
        found[name] = {who: _speaker(row.get(who), name, who) for who in SPEAKERS}
    return found


def _speaker(body: Any, name: str, who: str) -> Mapping[str, Times]:
    if not isinstance(body, dict) or not all(isinstance(body.get(kind), list) for kind in KINDS):
        raise InputError(f"{who} of {name!r} is not {{{', '.join(KINDS)}: [times]}}")
    return {kind: _increasing(body[kind], name, who, kind) for kind in KINDS}


def _increasing(times: Sequence[Any], name: str, who: str, kind: str) -> Times:
    found = tuple(at_s for t in times if (at_s := finite(t)) is not None)
    if len(found) < len(times) or any(b <= a for a, b in pairwise(found)):
        raise InputError(f"{kind} of {who} in {name!r} must be strictly increasing times in seconds, and is {str(list(times))[:80]}")
    return found
