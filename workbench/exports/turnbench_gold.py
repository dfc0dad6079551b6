"""TurnBench's gold: what is right, as `turnbench gold export` writes it, and as it is written of a session of ours.

`{"scorer_sha", "dataset_revision", "tau_pre_s", "tau_max_s", "conversations": {id: {"duration_s", "eot_positive_events": [{"speaker",
"time_s"}], "eot_negative_spans": [{"speaker", "start", "end"}], "eot_excluded": [as the spans], "int_positive_events",
"int_negative_spans", "int_excluded"}}}` (eval/gold.py at 0dda64e): speakers are 1 and 2, times are seconds in any order. The first two name
the scorer and the data that determine the rest, the next two are the window of a positive, before and after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from workbench.errors import InputError
from workbench.exports.numbers import finite
from workbench.scoring.turnbench import KINDS, WINDOW, Kind, Marked, Span
from workbench.version import VERSION

SPEAKERS = ("speaker_1", "speaker_2")  # of a submission; gold counts them from 1
GOLD = "gold.json"
OURS = (f"microturn {VERSION}", "scenario truth")  # scorer and data, where we write it
PREFIX: Mapping[Kind, str] = {"eot": "eot", "interruption": "int"}
Marks: TypeAlias = Mapping[str, Mapping[Kind, Marked]]  # speaker, kind


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What is right in one conversation: how long it lasts, and what is marked of each speaker, by kind."""

    duration_s: float
    marks: Marks


@dataclass(frozen=True, kw_only=True)
class Gold:
    """Conversations by their names, the window of a positive (before and after it, in seconds), and what scorer and data it is of."""

    conversations: Mapping[str, Conversation]
    window: Span = WINDOW
    scorer: str = OURS[0]
    revision: str = OURS[1]


def write_gold(gold: Gold, path: Path) -> Path:
    """The file; a speaker or kind that is not given has nothing marked."""
    body = {
        "scorer_sha": gold.scorer,
        "dataset_revision": gold.revision,
        "tau_pre_s": gold.window[0],
        "tau_max_s": gold.window[1],
        "conversations": {
            name: {"duration_s": one.duration_s, **{key: rows for kind in KINDS for key, rows in _rows(one.marks, kind).items()}}
            for name, one in gold.conversations.items()
        },
    }
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    return path


def _rows(marks: Marks, kind: Kind) -> dict[str, list[dict[str, float]]]:
    """The three lists of a kind, over both speakers."""
    ours = [(number, marks.get(who, {}).get(kind, Marked())) for number, who in enumerate(SPEAKERS, 1)]

    def spans(found: Iterable[tuple[int, Sequence[Span]]]) -> list[dict[str, float]]:
        return [{"speaker": number, "start": start, "end": end} for number, some in found for start, end in some]

    return {
        f"{PREFIX[kind]}_positive_events": [{"speaker": number, "time_s": t} for number, marked in ours for t in marked.positives],
        f"{PREFIX[kind]}_negative_spans": spans((number, marked.negatives) for number, marked in ours),
        f"{PREFIX[kind]}_excluded": spans((number, marked.excluded) for number, marked in ours),
    }


def read_gold(path: Path) -> Gold:
    """The gold of a file. Raises InputError naming the value, the rule it breaks and what to do."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON ({error}); give what `turnbench gold export` printed") from error
    if not isinstance(body, dict) or not isinstance(body.get("conversations"), dict):
        raise InputError(f'{str(path)!r} has no "conversations" by their ids; give what `turnbench gold export` printed')
    if not body["conversations"]:
        raise InputError(f"{str(path)!r} has no conversation in it; export the gold of a data set that has some")
    early_s, late_s = (_length(body.get(key), key, path) for key in ("tau_pre_s", "tau_max_s"))
    return Gold(
        conversations={name: _conversation(one, name, path) for name, one in body["conversations"].items()},
        window=(early_s, late_s),
        scorer=str(body.get("scorer_sha", "not named"))[:80],
        revision=str(body.get("dataset_revision", "not named"))[:80],
    )


def _length(value: Any, key: str, path: Path) -> float:
    found = finite(value)
    if found is None or found < 0:
        raise InputError(
            f"{key} of {str(path)!r} is {_shown(value)}; give seconds, 0 or more (the official ones are {WINDOW[0]:g} and {WINDOW[1]:g})"
        )
    return found


def _conversation(body: Any, name: str, path: Path) -> Conversation:
    where = f"{name!r} in {str(path)!r}"
    duration_s = finite(body.get("duration_s")) if isinstance(body, dict) else None
    if duration_s is None or duration_s <= 0:
        shown = _shown(body.get("duration_s") if isinstance(body, dict) else body)
        raise InputError(f"the duration_s of {where} is {shown}; give how many seconds the conversation lasts")
    marks: dict[str, dict[Kind, Marked]] = {who: {} for who in SPEAKERS}
    for kind in KINDS:
        moments = _listed(body, f"{PREFIX[kind]}_positive_events", ("time_s",), where)
        negatives, excluded = (_listed(body, f"{PREFIX[kind]}_{end}", ("start", "end"), where) for end in ("negative_spans", "excluded"))
        for who in SPEAKERS:
            negative, masked = ([(t[0], t[1]) for speaker, t in spans if speaker == who] for spans in (negatives, excluded))
            marks[who][kind] = Marked(tuple(sorted(t[0] for speaker, t in moments if speaker == who)), tuple(negative), tuple(masked))
    return Conversation(duration_s=duration_s, marks=marks)


def _listed(body: Mapping[str, Any], key: str, times: Sequence[str], where: str) -> list[tuple[str, list[float]]]:
    """The speaker and the times of every row of a list."""
    rows = body.get(key)
    if not isinstance(rows, list):
        raise InputError(f"{key} of {where} is {_shown(rows)}; give a list, empty where nothing is marked")
    found = []
    for number, row in enumerate(rows):
        speaker = row.get("speaker") if isinstance(row, dict) else None
        ends = [at_s for key in times if (at_s := finite(row.get(key))) is not None] if isinstance(row, dict) else []
        if type(speaker) is not int or not 1 <= speaker <= len(SPEAKERS) or len(ends) < len(times) or ends != sorted(ends):
            shape = f'{{"speaker": 1 or 2, {", ".join(f"{time!r}: seconds" for time in times)}}}'.replace("'", '"')
            order = " that does not end before it starts" if len(times) > 1 else ""
            raise InputError(f"number {number} of {key} of {where} is {_shown(row)}; give {shape}{order}")
        found.append((SPEAKERS[speaker - 1], ends))
    return found


def _shown(value: Any) -> str:
    return repr(value)[:80]
