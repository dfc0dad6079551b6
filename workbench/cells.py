"""Many evaluations at once: agents, conditions and policies side by side, every session kept on disk, none played twice.

A cell is one agent under one plan. Each session that is over is a trace and a judgement in the cell's folder, under the hash of all that
it rests on: agent and weights, family, seed, condition, policies, and the code. So a run that was broken off goes on where it was, whatever
broke it, and a change of the scorers judges again without playing again. Judgements are made of what the trace file holds, so that
`microturn score` says the same of it.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from workbench.digests import agent_content, content_key, file_digest, judging_code, playing_code
from workbench.errors import InputError, WorkbenchError
from workbench.evaluate import Episode, Progress, Report, known_words, other_suites, report_of, score_episode
from workbench.farm import Farm
from workbench.given import folder_to_write
from workbench.playing import Job, Plan, play, users
from workbench.scenarios import VoicePicker
from workbench.session import Participant
from workbench.speech import pick_voice, speaker
from workbench.store import as_kept, read_trace, save_trace
from workbench.suites import INTERACTION
from workbench.trace import Trace
from workbench.users import SpeakerOf

TRACES, JUDGEMENTS = "traces", "judgements"
VALUES = ("workbench.scoring.", "workbench.evaluate", "workbench.cells")  # where the classes of a judgement live
DIGEST_BYTES = 32  # of a judgement's file, before its body
APART = 4  # sessions in a piece of work for an agent that does not run many at once
Work: TypeAlias = Literal["play", "judge"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One agent under one plan. `make` makes the agent in whichever process plays it; `folder` keeps the sessions, None keeps nothing.

    `batch` sessions of an agent that can run many at once are run in lockstep.
    """

    name: str
    make: Callable[[], Participant]
    plan: Plan
    suites: tuple[str, ...] = (INTERACTION,)
    batch: int = 32
    folder: Path | None = None
    pick: VoicePicker = pick_voice
    speaker_of: SpeakerOf = speaker

    def __post_init__(self) -> None:
        other_suites(self.suites)
        if self.batch < 1:
            raise InputError(f"batch {self.batch} must be at least 1 session")
        if self.folder is not None:
            folder_to_write(self.folder)


@dataclass(frozen=True)
class Ran:
    """The reports of the cells in their order, and how many sessions were played, judged again, or found as they were."""

    reports: tuple[Report, ...]
    played: int
    judged: int
    found: int


@dataclass(frozen=True)
class Keys:
    """The hashes under which a session is found again: of what was played, and of what was said of it."""

    played: str
    judged: str


@dataclass
class _Open:
    """A cell while it is run: its agent, what it rests on, and the episodes so far."""

    cell: Cell
    agent: Participant
    content: Mapping[str, Any]
    packed: bytes
    episodes: dict[Job, Episode] = field(default_factory=dict)

    def keys(self, job: Job) -> Keys:
        files = {file.stem: file_digest(file) for file in self.cell.plan.own}
        mine = {"file": files[job[0]]} if job[0] in files else {}
        played = content_key({**self.content, "family": job[0], "seed": job[1], **mine})
        judged = {"played": played, "code": judging_code(), "words": list(known_words(self.agent)), "suites": sorted(self.cell.suites)}
        return Keys(played, content_key(judged))


def run_cells(cells: Sequence[Cell], farm: Farm, progress: Progress | None = None) -> Ran:
    """Play and judge what is not there yet, and report every cell. `progress(done, all)` counts sessions of all cells.

    What was found is counted as done in the first call. Raises WorkbenchError when a worker dies; what is finished stays.
    """
    opened = [_opened(cell) for cell in cells]
    total = sum(len(cell.plan.jobs()) for cell in cells)
    todo = [(one, *_missing(one)) for one in opened]
    found = sum(len(one.episodes) for one in opened)
    told = _Told(progress, found, total)
    pieces = [(one, work, jobs) for one, missing, stale in todo for work, jobs in _pieces(one, missing, stale)]
    _work(pieces, farm, told)
    judged = sum(len(stale) for _, _, stale in todo)
    reports = tuple(_report(one) for one in opened)
    return Ran(reports, total - found - judged, judged, found)


def _opened(cell: Cell) -> _Open:
    agent, plan = cell.make(), cell.plan
    content = {
        "agent": agent_content(agent.spec()),
        "voices": plan.voices,
        "difficulty": plan.difficulty,
        "condition": str(plan.condition),
        "bystanders": plan.bystanders,
        "speech": [f"{maker.__module__}.{maker.__qualname__}" for maker in (cell.pick, cell.speaker_of)],
        "code": playing_code(),
        **({"limits": limits} if (limits := plan.allowed.limited) else {}),
    }
    return _Open(cell, agent, content, pickle.dumps(cell))


# Pieces of work --------------------------------------------------------------------------------------------------------------


@dataclass
class _Told:
    """Counts finished sessions and tells."""

    progress: Progress | None
    done: int
    total: int

    def __post_init__(self) -> None:
        self.more(0)

    def more(self, sessions: int) -> None:
        self.done += sessions
        if self.progress is not None:
            self.progress(self.done, self.total)


def _missing(one: _Open) -> tuple[list[Job], list[Job]]:
    """What is to be played and what is to be judged again; what is there in full is taken."""
    missing, stale = [], []
    for job in one.cell.plan.jobs():
        keys = one.keys(job)
        kept = None if one.cell.folder is None else _read_judgement(one.cell.folder, job)
        if kept is not None and kept[0] == keys:
            one.episodes[job] = kept[1]
        elif kept is not None and kept[0].played == keys.played and trace_path(one.cell, job).exists():
            stale.append(job)
        else:
            missing.append(job)
    return missing, stale


def _pieces(one: _Open, missing: Sequence[Job], stale: Sequence[Job]) -> Iterator[tuple[Work, list[Job]]]:
    """Pieces whose size depends on the agent alone, not on who does them: so each holds the same sessions everywhere."""
    size = 2 * one.cell.batch if hasattr(one.agent, "step_many") else APART
    for work, jobs in (("judge", stale), ("play", missing)):
        for at in range(0, len(jobs), size):
            yield ("play" if work == "play" else "judge"), list(jobs[at : at + size])


def _work(pieces: Sequence[tuple[_Open, Work, list[Job]]], farm: Farm, told: _Told) -> None:
    """Let the farm do the pieces, a few ahead of the workers."""
    running: dict[Future[list[Episode]], _Open] = {}
    more = told.more if farm.here else None
    try:
        for one, work, jobs in pieces:
            keys = [one.keys(job) for job in jobs]
            running[farm.executor.submit(do_piece, one.packed, work, jobs, keys, more)] = one
            if farm.here or len(running) > 2 * farm.workers:
                _collect(running, farm, told)
        while running:
            _collect(running, farm, told)
    except BrokenProcessPool as error:
        raise WorkbenchError(
            f"a worker died ({error}); what is finished is kept: start again, with fewer --workers if memory ran out"
        ) from error


def _collect(running: dict[Future[list[Episode]], _Open], farm: Farm, told: _Told) -> None:
    """Take the pieces that are done, waiting for the first of them."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        one, episodes = running.pop(future), future.result()
        if one.cell.folder is not None and not _judgement_path(one.cell.folder, episodes[0].job).exists():
            raise WorkbenchError(f"the workers do not write into {one.cell.folder}; give a folder that they all see under that path")
        one.episodes |= {episode.job: episode for episode in episodes}
        if not farm.here:
            told.more(len(episodes))


def do_piece(
    packed: bytes, work: Work, jobs: Sequence[Job], keys: Sequence[Keys], told: Callable[[int], None] | None = None
) -> list[Episode]:
    """Play or judge some sessions of a cell (pickled); each is in the cell's folder, if it has one, as soon as it is over."""
    cell, agent = _unpacked(packed)
    by_job = dict(zip(jobs, keys, strict=True))
    others, words = other_suites(cell.suites), known_words(agent)
    if work == "judge":
        traces: Iterator[Trace] = (read_trace(trace_path(cell, job)) for job in jobs)
    else:
        traces = play(agent, users(cell.plan, jobs, 1, cell.pick, cell.speaker_of), cell.batch, cell.plan.allowed)
    episodes = []
    for trace in traces:
        episode = score_episode(as_kept(trace) if work == "play" else trace, words, others)
        if cell.folder is not None:
            if work == "play":
                _keep_trace(trace, trace_path(cell, episode.job))
            _keep_judgement(cell.folder, by_job[episode.job], episode)
        episodes.append(episode)
        if told is not None:
            told(1)
    return episodes


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> tuple[Cell, Participant]:
    cell = pickle.loads(packed)
    assert isinstance(cell, Cell)
    return cell, cell.make()


# On disk ---------------------------------------------------------------------------------------------------------------------


def trace_path(cell: Cell, job: Job) -> Path:
    """Where the trace of a session is kept. Raises InputError for a cell without a folder."""
    if cell.folder is None:
        raise InputError(f"cell {cell.name!r} keeps no sessions; give it a folder")
    return cell.folder / TRACES / f"{job[0]}-{job[1]}.sqlite"


def _keep_trace(trace: Trace, path: Path) -> None:
    """Write a trace, which appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    for rest in path.parent.glob(f"{path.stem}.*.partial*"):
        rest.unlink()
    save_trace(trace, partial)
    partial.replace(path)


def _keep_judgement(folder: Path, keys: Keys, episode: Episode) -> None:
    path = _judgement_path(folder, episode.job)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    body = pickle.dumps((keys, episode))
    partial.write_bytes(hashlib.sha256(body).digest() + body)
    partial.replace(path)


def _read_judgement(folder: Path, job: Job) -> tuple[Keys, Episode] | None:
    """What was said of a session under which keys; None where there is nothing that can be read."""
    path = _judgement_path(folder, job)
    if not path.exists():
        return None
    data = path.read_bytes()
    digest, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    try:
        found = _Values(io.BytesIO(body)).load()
    except Exception:  # noqa: BLE001  # written by others, in whichever way: it is made again
        return None
    keys, episode = found if isinstance(found, tuple) and len(found) == 2 else (None, None)
    return (keys, episode) if isinstance(keys, Keys) and isinstance(episode, Episode) and episode.job == job else None


def _judgement_path(folder: Path, job: Job) -> Path:
    return folder / JUDGEMENTS / f"{job[0]}-{job[1]}.pickle"


class _Values(pickle.Unpickler):
    """Reads our own frozen dataclasses and plain values, and nothing that could do something."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(VALUES):
            found = super().find_class(module, name)
            if isinstance(found, type) and is_dataclass(found):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no value of a judgement")


def _report(one: _Open) -> Report:
    cell, episodes = one.cell, list(one.episodes.values())
    report = report_of(cell.name, cell.plan, episodes, {"agent": dict(one.agent.spec()), "batch": cell.batch}, {}, cell.suites)
    if cell.folder is None:
        return report
    shown = first_of_each(report)
    return replace(report, examples={e.family: read_trace(path) for e in shown if (path := trace_path(cell, e.job)).exists()})


def first_of_each(report: Report) -> list[Episode]:
    """Of every family the first episode in which something went wrong, or the first of all."""
    first: dict[str, Episode] = {}
    for episode in sorted(report.episodes, key=lambda e: not e.failed):
        first.setdefault(episode.family, episode)
    return list(first.values())
