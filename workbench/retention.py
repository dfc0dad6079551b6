"""How long sessions are kept: a stream of them, or the whole, of everybody or of one person, goes once it is old enough.

    for done in sweep(folder, [rule_of("user.audio=30d"), rule_of("all=365d")], now=utc_now()):
        print(done)

A stream is erased from the trace with the words that repeat it, also where those are all that was kept of it; the hash chain still
verifies, and the erasure is on record. A whole session goes with its file. What a run wrote beside its trace may hold the same and goes
with either; it can be exported anew from what is left.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workbench.errors import InputError, TraceError
from workbench.packets import STREAMS
from workbench.store import Erasure, erasable, erase, finished
from workbench.store_read import reading
from workbench.trace import Header

ALL = "all"
UNITS_S = {"d": 86_400.0, "h": 3_600.0}
BESIDE = ("input.wav", "output.wav", "output.json", "timeline.html")  # what `microturn run` writes beside a trace.sqlite
WHO = "retention"
GIVEN_UP_S = UNITS_S["d"]  # a session that was not closed goes on no more once its file has not changed for so long
PERSON = "person"  # the label of a live session that tells whose it is, as `person_of` gives it
SALT_BYTES = 8
MARK = re.compile(rf"(?P<salt>[0-9a-f]{{{2 * SALT_BYTES}}}):[0-9a-f]{{32}}")
COST = {"n": 2**12, "r": 8, "p": 1, "dklen": 16}  # of scrypt: some 10 ms a guess, for there are not many addresses to guess from


@dataclass(frozen=True)
class Rule:
    """A stream, or ALL, is kept for so many seconds; `text` is the rule as it was given."""

    what: str
    keep_s: float
    text: str


@dataclass(frozen=True)
class Swept:
    """What was done to a session, or would be: `what` (a stream, or ALL) went with `count` payloads and events, and these files.

    `problem` tells why nothing could be done.
    """

    name: str
    what: str
    count: int = 0
    files: tuple[str, ...] = ()
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.name}: left as it is, because {self.problem}"
        counted = f", {self.count} payloads and events" if self.count else ""  # none is counted before it is done
        went = "the session" if self.what == ALL else f"{self.what}{counted}"
        files = f", and {', '.join(self.files)}" if self.files else ""
        return f"{self.name}: {went}{files}"


def rule_of(text: str) -> Rule:
    """A rule as it is typed, e.g. user.audio=30d, agent.text=12h or all=365d. Raises InputError for anything else."""
    what, _, age = text.partition("=")
    number, unit = age[:-1], age[-1:]
    if not what or unit not in UNITS_S or not re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", number):
        raise InputError(f"{text!r} is no rule of retention; give STREAM=AGE or {ALL}=AGE with days or hours, e.g. user.audio=30d, all=12h")
    return Rule(what, float(number) * UNITS_S[unit], text)


def person_of(name: str, salt: bytes = b"") -> str:
    """How a live session is marked as one person's: SALT:DIGEST of the login or address that they came with, not the name itself.

    The salt is drawn anew for each session, so that two marks do not tell whether they are of one person; with the name, `is_of` does.
    """
    salt = salt or secrets.token_bytes(SALT_BYTES)
    return f"{salt.hex()}:{hashlib.scrypt(name.encode(), salt=salt, **COST).hex()}"


def is_of(mark: object, name: str) -> bool:
    """Whether a session's mark is that of this person. No mark, or none that `person_of` gives, is nobody's."""
    found = MARK.fullmatch(mark) if isinstance(mark, str) else None
    return found is not None and hmac.compare_digest(found[0], person_of(name, bytes.fromhex(found["salt"])))


def sweep(folder: Path, rules: Sequence[Rule], *, now: str, person: str = "", only_tell: bool = False) -> Iterator[Swept]:
    """Apply rules to the traces under a folder as of `now` (ISO 8601, UTC); with `person` only to theirs, with `only_tell` to none.

    Sessions that may still go on are left alone, as is what cannot be read: there is a line for each. Raises InputError where there is no
    folder or no rule, or a rule is for a stream that is none of `STREAMS` and in none of the traces, whosever they are.
    """
    if not folder.is_dir() or not rules:
        raise InputError(f"{folder} is no folder, or there is no rule; give a folder with traces and e.g. user.audio=30d")
    paths = sorted(folder.rglob("*.sqlite"))
    _streams_there(paths, rules)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            with reading(path) as session:
                header, ticks, streams = session.header, len(session), session.streams
            if person and not is_of(header.labels.get(PERSON), person):
                continue
            due = [rule for rule in rules if _age_s(header, now) >= rule.keep_s]
            if due and not finished(path) and _since_s(datetime.fromtimestamp(path.stat().st_mtime, UTC), now) < GIVEN_UP_S:
                yield Swept(name, due[0].what, problem="it is not closed, and was written to within a day")
                continue
            yield from _applied(path, name, ticks, [rule for rule in due if rule.what in (ALL, *streams)], only_tell)
        except TraceError as error:
            yield Swept(name, ALL, problem=str(error))


def _streams_there(paths: Sequence[Path], rules: Sequence[Rule]) -> None:
    """That no rule is for a misspelt stream: it would end nothing, and nobody would be told."""
    unknown = [rule for rule in rules if rule.what not in (ALL, *STREAMS)]
    if not unknown:
        return
    there: set[str] = set()
    for path in paths:
        try:
            with reading(path) as session:
                there.update(session.streams)
        except TraceError:
            continue  # the sweep tells of it
    for rule in unknown:
        if there and rule.what not in there:
            raise InputError(f"{rule.text!r}: no trace here has a stream {rule.what!r}; there are {', '.join(sorted(there))}")


def _applied(path: Path, name: str, ticks: int, due: Sequence[Rule], only_tell: bool) -> Iterator[Swept]:
    whole = next((rule for rule in due if rule.what == ALL), None)
    if whole is not None:
        files = _removed([path, *_beside(path)], only_tell)
        yield Swept(name, ALL, files=files)
        return
    last = max(0, ticks - 1)
    for rule in due:
        erasure = Erasure(stream=rule.what, from_tick=0, to_tick=last, who=WHO, why=f"older than {rule.text.partition('=')[2]}")
        if erasable(path, erasure):
            yield Swept(name, rule.what, 0 if only_tell else erase(path, erasure), _removed(_beside(path), only_tell))
        elif older := _older(_beside(path), path):  # erased before, by another or by a sweep that broke off
            yield Swept(name, rule.what, files=_removed(older, only_tell))


def _age_s(header: Header, now: str) -> float:
    if not header.created:
        raise TraceError("it does not say when it was made")
    return _since_s(datetime.fromisoformat(header.created), now)


def _since_s(then: datetime, now: str) -> float:
    return (datetime.fromisoformat(now) - then).total_seconds()


def _beside(path: Path) -> list[Path]:
    """What a run wrote beside its trace."""
    return [file for name in BESIDE if (file := path.with_name(name)).is_file()] if path.name == "trace.sqlite" else []


def _older(files: Sequence[Path], path: Path) -> list[Path]:
    """Those of the files that were written before the trace was last changed."""
    changed_ns = path.stat().st_mtime_ns
    return [file for file in files if file.stat().st_mtime_ns < changed_ns]


def _removed(files: Sequence[Path], only_tell: bool) -> tuple[str, ...]:
    for file in reversed(files) if not only_tell else ():  # the trace last: without it a sweep would not find the others again
        file.unlink(missing_ok=True)
    return tuple(file.name for file in files)
