"""TurnBench's submission file: for every conversation and speaker, the moments at which an end of turn or an interruption was noticed.

`{"schema_version": 1, "predictions": [{"conversation_id", "speaker_1": {"eot": [t, ...], "interruption": [t, ...]}, "speaker_2": {...}}]}`,
times in seconds, strictly increasing.

A trace is written with its truth beside it as gold.json, in the form of the official gold (`workbench.exports.turnbench_gold`): whoever
predicts from the sound of the session writes another submission.json, and the folder can be scored. So can a submission beside the
official gold itself. In place of gold.json there may be marks.json, a form of our own that is easier to write by hand: it has `marks` in
place of `predictions` and `{"positives": [t, ...], "negatives": [[start, end], ...]}` in place of every `[t, ...]`; spans in which
predictions count for nothing may be given as `"excluded": [[start, end], ...]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from workbench.errors import InputError
from workbench.exports.numbers import finite
from workbench.exports.turnbench_gold import GOLD, SPEAKERS, Conversation, Gold, read_gold, write_gold
from workbench.scoring.turnbench import KINDS, Kind, Marked, Noticed, noticed
from workbench.trace import Trace

SCHEMA = 1
SUBMISSION, MARKS = "submission.json", "marks.json"
FILES = (SUBMISSION, GOLD)
Times: TypeAlias = tuple[float, ...]
Submission: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Times]]]  # conversation, speaker, kind
Marks: TypeAlias = Mapping[str, Mapping[str, Mapping[Kind, Marked]]]  # conversation, speaker, kind


def write_turnbench(trace: Trace, folder: Path) -> list[Path]:
    """What the agent of a trace noticed of its user, who is the first speaker, and what is marked of them."""
    found = noticed(trace)
    said: dict[str, Times] = {kind: times[0] for kind, times in found.predicted.items()}
    marked = {SPEAKERS[0]: {kind: marks[0] for kind, marks in found.marked.items()}}
    session = Conversation(duration_s=trace.duration_s, marks=marked)
    return [
        write_submission({"session": {SPEAKERS[0]: said}}, folder / SUBMISSION),
        write_gold(Gold(conversations={"session": session}, window=found.window), folder / GOLD),
    ]


def read_conversations(folder: Path) -> Mapping[str, Noticed]:
    """Every conversation of the two files of a folder, by the folder and its name.

    Raises InputError unless both name the same ones, and for predictions beyond the end of a conversation whose gold says how long it is.
    """
    there = [name for name in (GOLD, MARKS) if (folder / name).is_file()]
    if len(there) != 1:
        held = f"{SUBMISSION}, {' and '.join(there)}" if there else f"{SUBMISSION} and no {GOLD} or {MARKS} to judge it by"
        fix = "keep the one to judge it by" if there else "put the gold beside it, or export a trace to turnbench for that of a session"
        raise InputError(f"{folder} has {held}; {fix}")
    said = read_submission(folder / SUBMISSION)
    gold = read_gold(folder / GOLD) if there == [GOLD] else None
    marks: Marks = {name: one.marks for name, one in gold.conversations.items()} if gold else read_marks(folder / MARKS)
    for name in said.keys() ^ marks.keys():
        lacks = SUBMISSION if name in marks else there[0]
        raise InputError(f"{folder / lacks} has no conversation {name!r}; both files need it, with empty lists where nothing is")
    source = f"{GOLD} of {gold.scorer}, {gold.revision}" if gold else MARKS
    found = {name: _conversation(marks[name], said[name], f"{source} and {SUBMISSION}") for name in marks}
    if gold:
        found = {name: replace(_within(one, name, gold), window=gold.window) for name, one in found.items()}
    return {f"{folder}/{name}": one for name, one in found.items()}


def _conversation(marks: Mapping[str, Mapping[Kind, Marked]], said: Mapping[str, Mapping[str, Times]], source: str) -> Noticed:
    marked: dict[Kind, tuple[Marked, ...]] = {kind: tuple(marks[who][kind] for who in SPEAKERS) for kind in KINDS}
    return Noticed(marked, {kind: tuple(said[who][kind] for who in SPEAKERS) for kind in KINDS}, source)


def _within(one: Noticed, name: str, gold: Gold) -> Noticed:
    """The same; no prediction may lie outside the conversation, where no program can have made it."""
    duration_s = gold.conversations[name].duration_s
    for kind, speakers in one.predicted.items():
        outside = [t for times in speakers for t in times if not 0 <= t <= duration_s]
        if outside:
            raise InputError(
                f"{kind} in {name!r} is predicted at {outside[0]:g} s; give times from 0 to its end, {duration_s:g} s by {GOLD}"
            )
    return one


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
    return {name: {who: _speaker(row.get(who), name, who) for who in SPEAKERS} for name, row in _rows(path, "predictions").items()}


def write_marks(found: Marks, path: Path) -> Path:
    """The file of what was marked; a speaker or kind that is not given has nothing marked."""
    rows = [
        {"conversation_id": name, **{who: {kind: _lists(marks.get(who, {}).get(kind, Marked())) for kind in KINDS} for who in SPEAKERS}}
        for name, marks in found.items()
    ]
    path.write_text(json.dumps({"schema_version": SCHEMA, "marks": rows}, indent=1) + "\n", encoding="utf-8")
    return path


def _lists(marked: Marked) -> Mapping[str, Any]:
    lists = {"positives": list(marked.positives), "negatives": [list(span) for span in marked.negatives]}
    return {**lists, "excluded": [list(span) for span in marked.excluded]} if marked.excluded else lists


def read_marks(path: Path) -> Marks:
    """What is marked by conversation, speaker and kind. Raises InputError naming what breaks the format."""
    found: dict[str, Mapping[str, Mapping[Kind, Marked]]] = {}
    for name, row in _rows(path, "marks").items():
        found[name] = {who: {kind: _marked(row.get(who), name, who, kind) for kind in KINDS} for who in SPEAKERS}
    return found


def _marked(body: Any, name: str, who: str, kind: str) -> Marked:
    lists = body.get(kind) if isinstance(body, dict) else None
    lists = {"excluded": [], **lists} if isinstance(lists, dict) else {}
    moments, negatives, excluded = (lists.get(key) for key in ("positives", "negatives", "excluded"))
    if not isinstance(moments, list) or not isinstance(negatives, list) or not isinstance(excluded, list):
        shape = '{"positives": [times], "negatives": [[start, end], ...]}'
        raise InputError(f"{kind} of {who} of {name!r} is not {shape}, with a list of excluded spans or without")
    where = f"{kind} of {who} in {name!r}"
    times = _increasing(moments, name, who, kind, equal=True)
    return Marked(times, _spans(negatives, f"a negative of {where}"), _spans(excluded, f"an excluded span of {where}"))


def _spans(spans: Sequence[Any], what: str) -> tuple[tuple[float, float], ...]:
    ends = [tuple(at_s for t in span if (at_s := finite(t)) is not None) if isinstance(span, list) else () for span in spans]
    if any(len(span) != 2 for span in ends):
        raise InputError(f"{what} is no [start, end] in seconds: {str(spans)[:80]}")
    return tuple((span[0], span[1]) for span in ends)


def _rows(path: Path, key: str) -> Mapping[str, Mapping[str, Any]]:
    """The rows of a file by their conversations."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON ({error})") from error
    if not isinstance(body, dict) or body.get("schema_version") != SCHEMA or not isinstance(body.get(key), list):
        raise InputError(f'{str(path)!r} is not {{"schema_version": {SCHEMA}, "{key}": [...]}}')
    found: dict[str, Mapping[str, Any]] = {}
    for number, row in enumerate(body[key]):
        name = row.get("conversation_id") if isinstance(row, dict) else None
        if not isinstance(name, str) or name in found:
            raise InputError(f"number {number} of {key} has the conversation_id {name!r}; give each conversation once, by its name")
        found[name] = row
    return found


def _speaker(body: Any, name: str, who: str) -> Mapping[str, Times]:
    if not isinstance(body, dict) or not all(isinstance(body.get(kind), list) for kind in KINDS):
        raise InputError(f"{who} of {name!r} is not {{{', '.join(KINDS)}: [times]}}")
    return {kind: _increasing(body[kind], name, who, kind) for kind in KINDS}


def _increasing(times: Sequence[Any], name: str, who: str, kind: str, equal: bool = False) -> Times:
    """The times as they are; with `equal`, two may be at one moment. Raises InputError for what is no time or goes back."""
    found = tuple(at_s for t in times if (at_s := finite(t)) is not None)
    if len(found) < len(times) or any(b < a or (b == a and not equal) for a, b in pairwise(found)):
        rule = f"must be strictly increasing times in seconds{', or equal ones' if equal else ''}"
        raise InputError(f"{kind} of {who} in {name!r} {rule}, and is {str(list(times))[:80]}")
    return found
