"""Folders of Full-Duplex-Bench judged: behaviour of v1.5 into content_tag.json, relevance of v1's interruptions into rating.json.

The files are those that the benchmark's own scripts write (`{"behaviour": [label]}`, `{"rating": number}`), with the verdicts beside them:
both readings, their hashes and the judge. `microturn score` then reads them, and its scores name the judge, the rubric and its revision.
A verdict is of the output that was judged: beside another agent's it does not count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.background.parts import AGENT_SPEECH, USER_SPEECH
from workbench.errors import InputError
from workbench.exports.fdb_folder import ANNOTATIONS, RATING, TAG, output_digest, read_sample, read_words, sample_folders
from workbench.judge.verdicts import BEHAVIOUR_CONTINUATION, BEHAVIOUR_ONSET, RELEVANCE, Case, Judge, Verdict, behaviour, case_words
from workbench.scoring.fdb_v15 import DESIRED

RATED = "synthetic_user_interruption"
READINGS = {"onset": BEHAVIOUR_ONSET.name, "continuation": BEHAVIOUR_CONTINUATION.name}


@dataclass(frozen=True)
class Judged:
    """A sample that was judged: where it is, the verdicts, and the file that holds them."""

    folder: Path
    verdicts: tuple[Verdict, ...]
    file: Path


def judge_folder(root: Path, judge: Judge, reading: str = "onset", told: Callable[[Judged], None] | None = None) -> list[Judged]:
    """Judge every sample under `root/{subset}/{id}`; `reading` says which of the two labels counts.

    Raises InputError when there is nothing to judge or no such reading, WorkbenchError when the judge gives no verdict.
    """
    if reading not in READINGS:
        raise InputError(f"no reading {reading!r}; there are {', '.join(READINGS)}")
    found = []
    for folder, subset in _samples(root):
        one = _behaviour(folder, subset, judge, READINGS[reading]) if subset in DESIRED else _relevance(folder, judge)
        found.append(one)
        if told is not None:
            told(one)
    if not found:
        raise InputError(f"{root} holds no samples of {', '.join((*DESIRED, RATED))}; give the folder that holds {{subset}}/{{id}}/")
    return found


def case_of(folder: Path, subset: str) -> Case:
    """A sample as a case: the agent's words of output.json, the user's of input.json where there is one, and the annotated event."""
    sample = read_sample(folder, subset)
    words = case_words([(word.text, word.start_s, word.end_s) for word in sample.words], AGENT_SPEECH)
    if (folder / "input.json").is_file():
        heard = read_words(folder / "input.json")
        words += case_words([(word.text, word.start_s, word.end_s) for word in heard], USER_SPEECH)
    context, turn = _texts(folder, subset)
    return Case(name=f"{subset}/{folder.name}", words=words, event=sample.mark(), context=context, turn=turn)


def _samples(root: Path) -> Iterator[tuple[Path, str]]:
    for subset in (*DESIRED, RATED):
        yield from ((folder, subset) for folder in sample_folders(root / subset))


def _behaviour(folder: Path, subset: str, judge: Judge, counts: str) -> Judged:
    verdicts = behaviour(judge, case_of(folder, subset))
    counted = next(verdict for verdict in verdicts if verdict.rubric == counts)
    body = {"behaviour": [counted.value], "by": counted.by, "of": output_digest(folder)}
    return Judged(folder, verdicts, _write(folder / TAG, body, verdicts))


def _relevance(folder: Path, judge: Judge) -> Judged:
    verdict = judge.ask(case_of(folder, RATED), RELEVANCE)
    body = {"analysis": verdict.reason, "rating": verdict.value, "by": verdict.by, "of": output_digest(folder)}
    return Judged(folder, (verdict,), _write(folder / RATING, body, (verdict,)))


def _write(path: Path, body: dict[str, Any], verdicts: tuple[Verdict, ...]) -> Path:
    path.write_text(json.dumps({**body, "verdicts": [verdict.to_json() for verdict in verdicts]}, indent=1) + "\n", encoding="utf-8")
    return path


def _texts(folder: Path, subset: str) -> tuple[str, str]:
    """What was talked about and what is said in the event, as the annotation has it."""
    body = json.loads((folder / str(ANNOTATIONS[subset])).read_text(encoding="utf-8"))
    first = body[0] if isinstance(body, list) and body else body
    names = ("context", "interrupt") if subset == RATED else ("context_text", "current_turn_text")
    return tuple(str(first.get(name) or "") for name in names) if isinstance(first, dict) else ("", "")  # type: ignore[return-value]
