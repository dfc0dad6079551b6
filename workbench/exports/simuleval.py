"""SimulEval's `instances.log` read: one JSON object a line, as its score-only mode takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.exports.numbers import finite
from workbench.scoring.simultaneous import Translated


def read_instances(path: Path) -> Mapping[str, tuple[Translated, ...]]:
    """Every instance by its index. A source that is a list names a sound, so it is speech.

    Tokens are words, parted by single spaces as SimulEval counts them; `prediction` is the translation where it is there; the delays are
    those without computing. Raises InputError naming the line that breaks the format.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read as text ({error})") from error
    found: dict[str, tuple[Translated, ...]] = {}
    for number, line in enumerate(lines, 1):
        try:
            body = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"line {number} of {str(path)!r} is not JSON ({error})") from error
        where = f"line {number} of {str(path)!r}"
        if not isinstance(body, dict) or not isinstance(body.get("reference"), str) or not isinstance(body.get("delays"), list):
            raise InputError(f"{where} is no instance; it needs index, delays, reference, source and source_length")
        found[str(body.get("index", number))] = _instance(body, where)
    return found


def _instance(body: Mapping[str, Any], where: str) -> tuple[Translated, ...]:
    source, delays = finite(body.get("source_length")), tuple(at for d in body["delays"] if (at := finite(d)) is not None)
    if source is None or len(delays) < len(body["delays"]):
        raise InputError(f"{where} has delays or a source_length that are no numbers")
    said = body.get("prediction")
    return (
        Translated(
            source=source,
            delays=delays,
            reference=len(body["reference"].split(" ")),
            speech=isinstance(body.get("source"), list),
            said=said if isinstance(said, str) else "",
            wanted=body["reference"] if isinstance(said, str) else "",
            origin="delays and texts of instances.log",
        ),
    )
