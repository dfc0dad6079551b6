"""The sessions in a folder as lines of a list: what each is, how it went, and what was said in it.

    entries = scan(folder)              # later: scan(folder, entries), which reads only what has changed
    search(entries, Query(text="stop twenty", families=("stop",)))

A file that cannot be read as a session is a line too, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from workbench.errors import WorkbenchError
from workbench.events import ModelYielded, TranscriptDelta, TruthExpect, TruthPiece, TruthWithdrawn, TruthWord
from workbench.packets import AGENT_AUDIO, USER_TEXT
from workbench.scoring.interaction import outcomes
from workbench.spoken import spoken_words
from workbench.store import finished, read_trace
from workbench.trace import Header, Trace
from workbench.utterance import clean_words

State: TypeAlias = Literal["whole", "open", "damaged"]
Stamp: TypeAlias = tuple[int, ...]

WORDS = (TruthWord.kind, TranscriptDelta.kind, TruthExpect.kind, ModelYielded.kind)
SCORED = (*WORDS, TruthWithdrawn.kind, TruthPiece.kind)
BROKEN = (WorkbenchError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)  # a damaged file can hold anything
REPORTED = ("agent", "voices", "seed", "episodes", "families", "mean_both", "mean_ci95", "rates", "latency_s", "config")
OPEN = "not closed: it is being written, or was broken off; what is there can be read"
EMPTY = "it ends before its first tick: nothing was recorded"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file: `name` is its path in the folder, `stamp` tells whether it has changed since.

    A `damaged` entry has a `problem` and nothing else; an `open` one is being written or was broken off, and `problem` says so. `outcome`
    is how many expectations of a scenario were met, and how many there were: None where there is no ground truth. `words` are all words
    said or typed, in order.
    """

    name: str
    stamp: Stamp
    state: State = "whole"
    problem: str = ""
    created: str = ""
    agent: str = ""
    setting: str = ""
    family: str = ""
    seed: int | None = None
    voice: str = ""
    ticks: int = 0
    duration_s: float = 0.0
    outcome: tuple[int, int] | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for; an empty field is no condition.

    `text`: each of its words begins a word that was said or typed, or is part of the file's name. `since` and `until` are dates such as
    2026-05-01, both included.
    """

    text: str = ""
    families: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    since: str = ""
    until: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluation.json as `workbench.evaluate.Report.to_json` wrote it, and the points of the sweeps beside it, by their names.

    `problem` says why it cannot be read; `whole` is then empty.
    """

    name: str
    whole: Mapping[str, Any] = field(default_factory=dict)
    sweeps: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    problem: str = ""


def scan(folder: Path, before: Mapping[str, Entry] | None = None) -> dict[str, Entry]:
    """Every trace under a folder by its name; a file that is as it was in `before` is not read again."""
    known = before or {}
    entries = {}
    for path in sorted(folder.rglob("*.sqlite")):
        name, stamp = path.relative_to(folder).as_posix(), stamp_of(path)
        if stamp:
            last = known.get(name)
            entries[name] = last if last is not None and last.stamp == stamp else read_entry(path, name, stamp)
    return entries


def search(entries: Mapping[str, Entry], query: Query = Query()) -> list[Entry]:
    """The entries that a query is looking for, the newest first; damaged ones, which have no date, come last."""
    found = [entry for entry in entries.values() if _fits(entry, query)]
    return sorted(sorted(found, key=lambda entry: entry.name), key=lambda entry: entry.created, reverse=True)


def stamp_of(path: Path) -> Stamp:
    """Sizes and times of a file and of its write-ahead log; empty when it is gone or out of reach."""
    try:
        about = [path.stat()]
        log = path.with_name(f"{path.name}-wal")
        about += [log.stat()] if log.exists() else []
    except OSError:
        return ()
    return tuple(number for each in about for number in (each.st_size, each.st_mtime_ns))


def read_entry(path: Path, name: str, stamp: Stamp) -> Entry:
    """The line of one file; of its sound only the agent's is read, and only to score a finished scenario."""
    try:
        closed = finished(path)
        trace = read_trace(path, streams=(USER_TEXT,), kinds=WORDS)
        if closed and not len(trace):
            return Entry(name=name, stamp=stamp, state="damaged", problem=EMPTY)
        expected = closed and any(trace.events(TruthExpect))
        header, agent = trace.header, trace.header.participants.get("agent", {})
        return Entry(
            name=name,
            stamp=stamp,
            state="whole" if closed else "open",
            problem="" if closed else OPEN,
            created=str(header.created),
            agent=str(agent.get("kind") or agent.get("class") or "unknown"),
            setting=_setting(agent),
            family=family_of(header),
            seed=header.seed,
            voice=str(header.labels.get("voice", "")),
            ticks=len(trace),
            duration_s=trace.duration_s,
            outcome=_outcome(read_trace(path, streams=(AGENT_AUDIO,), kinds=SCORED)) if expected else None,
            words=tuple(word for spoken in spoken_words(trace) for word in clean_words(spoken.text)),
        )
    except BROKEN as error:
        return Entry(name=name, stamp=stamp, state="damaged", problem=str(error) or type(error).__name__)


def family_of(header: Header) -> str:
    """The scenario family of a session, `live` for a person's, `recording` for a sound file's; empty when it does not say."""
    specs = header.participants.values()
    family = header.labels.get("family") or next((spec["family"] for spec in specs if spec.get("family")), "")
    return str(family) or ("live" if header.labels.get("live") else "recording" if header.labels.get("recording") else "")


def _setting(agent: Mapping[str, Any]) -> str:
    """What of an agent's spec tells it from another of its kind."""
    threshold = f"threshold {agent['threshold']:g}" if "threshold" in agent else ""
    return " · ".join(part for part in (threshold, Path(str(agent.get("checkpoint") or "")).stem) if part)


def _outcome(trace: Trace) -> tuple[int, int]:
    judged = outcomes(trace)
    return sum(outcome.both for outcome in judged), len(judged)


def _fits(entry: Entry, query: Query) -> bool:
    day = entry.created[:10]
    return (
        (not query.families or entry.family in query.families)
        and (not query.agents or entry.agent in query.agents)
        and (not query.since or (bool(day) and day >= query.since))
        and (not query.until or (bool(day) and day <= query.until))
        and all(_said(entry, term) for term in query.text.casefold().split())
    )


def _said(entry: Entry, term: str) -> bool:
    return term in entry.name.casefold() or any(word.startswith(term) for word in entry.words)


def among(entries: Iterable[Entry]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The families and the agents that there are, each in alphabetical order."""
    listed = list(entries)
    families, agents = ({getattr(entry, name) for entry in listed} - {""} for name in ("family", "agent"))
    return tuple(sorted(families)), tuple(sorted(agents))


def evaluations(folder: Path) -> list[Evaluation]:
    """Every evaluation under a folder, in order of their names."""
    return [_evaluation(path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("evaluation.json"))]


def _evaluation(path: Path, name: str) -> Evaluation:
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in REPORTED if key not in whole]
        if missing:
            return Evaluation(name=name, problem=f"it lacks {', '.join(missing)}; write it anew with `microturn evaluate --out`")
        found = {sweep: path.with_name(f"{sweep}.json") for sweep in ("robustness", "thresholds")}
        read = {sweep: json.loads(file.read_text(encoding="utf-8"))["points"] for sweep, file in found.items() if file.is_file()}
        return Evaluation(name=name, whole=whole, sweeps=read)
    except (OSError, *BROKEN) as error:
        return Evaluation(name=name, problem=f"it cannot be read ({error}); write it anew with `microturn evaluate --out`")
