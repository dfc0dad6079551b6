"""Reading a trace file: back into a `Trace`, its retained features, its annotations, and whether its hash chain holds."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.clock import Tick, utc_now
from workbench.errors import InputError, TraceError
from workbench.events import Event
from workbench.packets import MicroTurn, Packet
from workbench.report import Report
from workbench.store_format import KINDS, decode, entry_hash, header_hash, load_events, load_header, open_file, salted
from workbench.trace import Header, Trace

AnyPath = str | os.PathLike[str]

BLOCK = 100  # micro-turns read together: few enough that their sound stays in reach of the cache
MOST_PROBLEMS = 3  # of a broken chain that a message names


@dataclass(frozen=True)
class Feature:
    """What was kept of one payload under retention "features"; for audio `values` holds level_db (dBFS) and active."""

    tick: int
    values: dict[str, Any]


@dataclass(frozen=True)
class Annotation:
    """A remark on ticks `from_tick` to `to_tick`, both included; not part of the hash chain. Erasing words there empties `body`."""

    from_tick: int
    to_tick: int
    author: str
    made: str
    body: dict[str, Any]


class Reading:
    """An open trace file: its header, the streams (of some not the payloads, `not_kept`) and the numbers of the micro-turns it had when it
    was opened, and these, read as they are asked for.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.header: Header = load_header(_one(connection, "SELECT header FROM session"))
        self.ticks: list[int] = [tick for (tick,) in connection.execute("SELECT tick FROM tick ORDER BY entry")]
        kept: dict[str, str] = dict(connection.execute("SELECT name, retention FROM stream ORDER BY name"))
        self.streams: list[str] = list(kept)
        self.not_kept: Mapping[str, str] = {name: retention for name, retention in kept.items() if retention != "full"}

    def __len__(self) -> int:
        return len(self.ticks)

    def has(self, kind: str) -> bool:
        """Whether any event of this kind is there."""
        return self._connection.execute("SELECT 1 FROM event WHERE kind = ? AND body IS NOT NULL LIMIT 1", (kind,)).fetchone() is not None

    def turns(self, *, streams: Collection[str] | None = None, kinds: Collection[str] | None = None) -> Iterator[MicroTurn]:
        """The micro-turns in order, `BLOCK` of them in memory at a time; `streams` and `kinds` as in `read_trace`."""
        of_streams = _among("stream", self.streams if streams is None else set(self.streams).intersection(streams))
        of_kinds = ("1", []) if kinds is None else _among("kind", kinds)
        for begin in range(0, len(self.ticks), BLOCK):
            ticks = self.ticks[begin : begin + BLOCK]
            packets = self._packets(min(ticks), max(ticks), *of_streams)
            events = self._events(min(ticks), max(ticks), *of_kinds)
            for tick in ticks:
                yield MicroTurn(Tick(tick), tuple(packets[tick]), tuple(events[tick]))

    def _packets(self, first: int, last: int, chosen: str, names: list[str]) -> Mapping[int, list[Packet]]:
        found: dict[int, list[Packet]] = defaultdict(list)
        if names:  # no stream of interest, no walk through the sound
            wanted = "SELECT tick, stream, codec, bytes FROM blob WHERE tick BETWEEN ? AND ? AND bytes IS NOT NULL AND codec != 'features'"
            rows = self._connection.execute(f"{wanted} AND {chosen} ORDER BY tick, seq", (first, last, *names))
            for tick, stream, codec, data in rows:
                found[tick].append(Packet(stream, tick, decode(codec, data)))
        return found

    def _events(self, first: int, last: int, chosen: str, names: list[str]) -> Mapping[int, list[Event]]:
        wanted = f"SELECT tick, body FROM event WHERE tick BETWEEN ? AND ? AND body IS NOT NULL AND {chosen} ORDER BY tick, seq"
        rows = self._connection.execute(wanted, (first, last, *names)).fetchall()
        found: dict[int, list[Event]] = defaultdict(list)
        for (tick, _), event in zip(rows, load_events([body for _, body in rows]), strict=True):
            found[tick].append(event)
        return found


@contextmanager
def reading(path: AnyPath) -> Iterator[Reading]:
    """A trace file, open to be read turn by turn: an hour of sound takes the memory of `BLOCK` micro-turns. Raises as `read_trace`."""
    with _opened(path) as connection:
        yield Reading(connection)


def read_trace(path: AnyPath, *, streams: Collection[str] | None = None, kinds: Collection[str] | None = None) -> Trace:
    """The session in a file, as far as it was written; also while it is still being written, and after a crash.

    `streams` and `kinds` (of events) name what is read, by default everything; the micro-turns are all there in any case. Erased payloads
    and events are absent, as are streams that were not kept (`Trace.not_kept`). Raises TraceError when the file is missing, damaged, not a
    trace, or of another schema.
    """
    with reading(path) as session:
        return Trace(session.header, list(session.turns(streams=streams, kinds=kinds)), session.not_kept)


def finished(path: AnyPath) -> bool:
    """Whether its writer closed the file: not while a session goes on, nor after one broke off. Raises TraceError as `read_trace`."""
    with _opened(path) as connection:
        return bool(_one(connection, "PRAGMA journal_mode") != "wal")


def rounded(path: AnyPath) -> tuple[str, ...]:
    """The streams whose sound is kept as PCM16: what was simulated in float32 comes back rounded. Raises TraceError as `reading`."""
    with _opened(path) as connection:
        return tuple(name for (name,) in connection.execute("SELECT DISTINCT stream FROM blob WHERE codec = 'pcm16' ORDER BY stream"))


def read_features(path: AnyPath, stream: str) -> list[Feature]:
    """What retention "features" kept of `stream`, in order of ticks; empty when it kept something else."""
    with _opened(path) as connection:
        rows = connection.execute(
            "SELECT tick, bytes FROM blob WHERE stream = ? AND codec = 'features' AND bytes IS NOT NULL ORDER BY seq", (stream,)
        )
        return [Feature(tick, json.loads(data)) for tick, data in rows]


def verify(path: AnyPath) -> Report:
    """Whether the file is sound and its hash chain holds; facts: ticks, payloads, erased, erased_events, and `head`, the last link in hex.

    Every stored event and payload is hashed again. Erased ones are taken by their digest. Ticks cut off the end leave a shorter chain that
    holds: compare `head` with one noted elsewhere to see that. Raises TraceError when the file cannot be read as a trace.
    """
    problems: list[str] = []
    with _opened(path) as connection:
        connection.execute("BEGIN")  # one state of a file that is still being written
        sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if sound != "ok":
            problems.append(f"the database is damaged ({sound}); restore it from a copy")
        problems += _foreign(connection) or _broken_links(connection)
        counts = {
            "ticks": _one(connection, "SELECT count(*) FROM tick"),
            "payloads": _one(connection, "SELECT count(*) FROM blob"),
            "erased": _one(connection, "SELECT count(*) FROM blob WHERE bytes IS NULL"),
            "erased_events": _one(connection, "SELECT count(*) FROM event WHERE body IS NULL"),
            "head": _one(connection, "SELECT hex(hash) FROM digest ORDER BY entry DESC LIMIT 1").lower(),
        }
    return Report(str(path), tuple(problems), counts)


def verified(path: AnyPath) -> Report:
    """The report on a file whose hash chain holds.

    Raises TraceError for one that was changed after it was written: what is said of such a session is said of another.
    """
    report = verify(path)
    if not report.ok:
        named, more = report.problems[:MOST_PROBLEMS], len(report.problems) - MOST_PROBLEMS
        found = "; ".join(named) + (f"; and {more} more" if more > 0 else "")
        raise TraceError(f"{path} does not verify: {found}. Restore it from a copy; `microturn inspect` shows what it holds now")
    return report


def annotate(path: AnyPath, from_tick: int, to_tick: int, author: str, body: dict[str, Any]) -> None:
    """Add a remark on a range of ticks, both included. Raises InputError for an empty range, TraceError for a file that is no trace."""
    if from_tick > to_tick:
        raise InputError(f"ticks {from_tick} to {to_tick} are no range; give from_tick <= to_tick, both included")
    with _opened(path) as connection:
        connection.execute(
            "INSERT INTO annotation (from_tick, to_tick, author, made, body) VALUES (?, ?, ?, ?, ?)",
            (from_tick, to_tick, author, utc_now(), json.dumps(body)),
        )


def read_annotations(path: AnyPath) -> list[Annotation]:
    """The remarks on a trace, in the order in which they were made."""
    with _opened(path) as connection:
        rows = connection.execute("SELECT from_tick, to_tick, author, made, body FROM annotation ORDER BY id")
        return [Annotation(a, b, author, made, json.loads(body)) for a, b, author, made, body in rows]


@contextmanager
def _opened(path: AnyPath) -> Iterator[sqlite3.Connection]:
    connection = open_file(Path(path))
    try:
        yield connection
    except sqlite3.Error as error:
        raise TraceError(f"{path} is damaged ({error}); restore it from a copy") from error
    finally:
        connection.close()


def _among(column: str, values: Collection[str]) -> tuple[str, list[str]]:
    """A condition on a column, and what to put in place of its question marks."""
    return f"{column} IN ({', '.join('?' * len(values))})", sorted(values)


def _one(connection: sqlite3.Connection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    if row is None:
        raise TraceError(f"the file ends before its header is complete ({query!r} finds nothing); nothing was recorded in it")
    return row[0]


def _foreign(connection: sqlite3.Connection) -> list[str]:
    """Every column in which a value of another kind stands than is written there."""
    problems = []
    for table, columns in KINDS.items():
        conditions = {c: " AND ".join(f"typeof({c}) != '{kind}'" for kind in kinds.split(" or ")) for c, kinds in columns.items()}
        anywhere = " OR ".join(f"({condition})" for condition in conditions.values())
        if connection.execute(f"SELECT 1 FROM {table} WHERE {anywhere} LIMIT 1").fetchone() is None:
            continue  # one walk through a table in which all is well
        for column, wrong in conditions.items():
            row = connection.execute(f"SELECT rowid, typeof({column}) FROM {table} WHERE {wrong} LIMIT 1").fetchone()
            if row is not None:
                kinds = f"kind {row[1]}, not {columns[column]}"
                problems.append(f"{column} of {table} {row[0]} is of {kinds}: the row was changed after it was written")
    return problems


def _broken_links(connection: sqlite3.Connection) -> list[str]:
    """Walk the chain; the first broken link, and every event or payload whose bytes do not match their digest."""
    problems: list[str] = []
    at: dict[int, int] = dict(connection.execute("SELECT entry, tick FROM digest"))
    events = _labels(connection, "SELECT entry, tick, kind, digest, salt, body FROM event ORDER BY seq", "event", at, problems)
    payloads = "SELECT entry, tick, stream || ' ' || codec, digest, salt, bytes FROM blob ORDER BY seq"
    blobs = _labels(connection, payloads, "payload", at, problems)
    ticks = dict(connection.execute("SELECT entry, tick FROM tick"))
    link = b""
    links = connection.execute("SELECT entry, what, tick, hash FROM digest ORDER BY entry")
    for expected, (entry, what, tick, stored) in enumerate(links):
        if entry == 0:
            link = header_hash(_one(connection, "SELECT header FROM session"))
        else:
            link = entry_hash(link, what, tick, events.pop(entry, []), blobs.pop(entry, []))
        if entry != expected or link != stored or (what == "tick" and ticks.pop(entry, None) != tick):
            return [*problems, f"the chain breaks at entry {entry} ({what}, tick {tick}): a row was changed, added or removed there"]
    if events or blobs or ticks:
        problems.append(f"{len(events) + len(blobs) + len(ticks)} entries stand outside the chain: rows were added, or links removed")
    return problems


def _labels(
    connection: sqlite3.Connection, query: str, what: str, at: Mapping[int, int], problems: list[str]
) -> dict[int, list[tuple[str, bytes]]]:
    """Label and digest of each row by its entry; `at` is the tick of every entry, which a row must be of too: only that one is hashed."""
    found: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
    for entry, tick, label, digest, salt, body in connection.execute(query):
        data = body.encode() if isinstance(body, str) else body
        if data is not None and salted(salt or b"", data) != digest:
            problems.append(f"{what} {label!r} in entry {entry} (tick {tick}) was changed after it was written")
        if at.get(entry, tick) != tick:
            problems.append(f"{what} {label!r} in entry {entry} was changed after it was written: moved from tick {at[entry]} to {tick}")
        found[entry].append((label, digest))
    return found
