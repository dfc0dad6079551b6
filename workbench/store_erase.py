"""Erasing payloads so that their bytes are really gone while the hash chain still verifies."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from workbench.clock import ClockSpec, pause, utc_now
from workbench.errors import InputError, TraceError
from workbench.events import PayloadErased
from workbench.store_format import SALT_BYTES, decode, dump_event, entry_hash, load_header, open_file, seal
from workbench.store_repeats import REPEATING, TEXTS, Gone, Repeats, Row

SETTLE_TRIES, SETTLE_PAUSE_S = 100, 0.05


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What to erase: the payloads of `stream` in ticks `from_tick` to `to_tick` (both included); `who` asked for it and `why`.

    With `words` (the default) what repeats those payloads in words goes too, also where it stands in later ticks: for the user's streams
    the transcript and true words that sounded in that stretch, and estimates made of them; for the agent's streams its transcript and
    decision records, for its sound the text of its words too; for all of them what is told of slow work in those ticks, and whatever is
    told of work that was asked for in words of that stretch (in doubt of any that was asked for in it or within seconds after it).
    Decisions and yields that stay, up to some seconds after the last of that, lose the texts that may quote it (`workbench.redact`), and
    remarks on any of those ticks lose what they say. A word sounded when its event says: of a service that gives no times that is when it
    came. What the agent itself said in answer goes with its own streams; what the background quotes of the talk in work that was asked for
    in other words stays, and so does what a scenario had planned (`truth.expect`). Without `words` only the payloads go.
    """

    stream: str
    from_tick: int
    to_tick: int
    who: str
    why: str
    words: bool = True

    def __post_init__(self) -> None:
        if self.from_tick > self.to_tick:
            raise InputError(f"ticks {self.from_tick} to {self.to_tick} are no range; give from_tick <= to_tick, both included")
        if not self.who or not self.why:
            raise InputError(f"who={self.who!r}, why={self.why!r}: an erasure is itself recorded; say who asked for it and why")


class Erased(NamedTuple):
    """The last link and entry of the chain, how much went or lost a text, and what finds those still to come."""

    link: bytes
    entry: int
    gone: int
    repeats: Repeats


def erase(path: str | os.PathLike[str], erasure: Erasure) -> int:
    """Erase payloads of a closed trace (or one left by a crash); how many payloads, events and remarks went, or lost a quoting text.

    Bytes and salts are overwritten, the write-ahead log is emptied and the file rebuilt, so that nothing of them is left in the files;
    copies made before, and blocks that a file system or a flash disk keeps aside, are beyond its reach. A `PayloadErased` event with who,
    why and when is appended to the last tick. Raises TraceError for a file that is no trace, a stream it does not hold, or a file that
    another program is reading.
    """
    file = Path(path)
    connection = open_file(file)
    try:
        link, entry = connection.execute("SELECT hash, entry FROM digest ORDER BY entry DESC LIMIT 1").fetchone()
        count = erase_rows(connection, erasure, link, entry).gone
        connection.execute("VACUUM")
        settle(connection)
        return count
    except sqlite3.Error as error:
        raise TraceError(f"erasing in {file} failed ({error}); close other programs that read it and erase again") from error
    finally:
        connection.close()


def erasable(path: str | os.PathLike[str], erasure: Erasure) -> int:
    """What `erase` would count, without erasing it: 0 where nothing is left of it, or the trace has no such stream.

    Raises TraceError for a file that is no trace.
    """
    connection = open_file(Path(path))
    try:
        if erasure.stream not in _streams(connection):
            return 0
        gone = _gone(connection, repeats_of(erasure, _clock(connection)))
        return len(gone.events) + len(gone.payloads) + len(gone.told_less) + len(_remarks(connection, erasure))
    except sqlite3.Error as error:
        raise TraceError(f"{path} is damaged ({error}); restore it from a copy") from error
    finally:
        connection.close()


def erase_rows(connection: sqlite3.Connection, erasure: Erasure, link: bytes, entry: int) -> Erased:
    """Erase in an open trace and append to the chain what is left of events that lose a text, and the erasure."""
    held = _streams(connection)
    if erasure.stream not in held:
        raise TraceError(f"this trace holds no stream {erasure.stream!r}; it holds {', '.join(held) or 'no streams'}")
    last = connection.execute("SELECT max(tick) FROM tick").fetchone()[0]
    repeats = repeats_of(erasure, _clock(connection))
    gone = _gone(connection, repeats)
    told_less = [one.key for one in gone.told_less]
    remarks = _remarks(connection, erasure)
    connection.execute("BEGIN IMMEDIATE")
    for table, column, keys in (("blob", "bytes", gone.payloads), ("event", "body", (*gone.events, *told_less))):
        connection.executemany(f"UPDATE {table} SET {column} = NULL, salt = NULL WHERE seq = ?", [(key,) for key in keys])
    connection.executemany("UPDATE annotation SET body = '{}' WHERE id = ?", [(key,) for key in remarks])
    count = len(gone.events) + len(gone.payloads) + len(told_less) + len(remarks)
    for tick, of_tick in groupby(gone.told_less, key=lambda one: one.tick):
        link, entry = _linked(connection, link, entry + 1, tick, [(one.kind, one.body) for one in of_tick])
    what = {name: getattr(erasure, name) for name in ("stream", "from_tick", "to_tick", "who", "why")}
    kind, body = dump_event(PayloadErased(**what, when=utc_now(), count=count))
    link, entry = _linked(connection, link, entry + 1, last, [(kind, body)])
    connection.execute("COMMIT")
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise TraceError(
            "erased bytes are still in the write-ahead log, because another program reads the trace; close that and erase again"
        )
    return Erased(link, entry, count, repeats)


def repeats_of(erasure: Erasure, clock: ClockSpec) -> Repeats:
    """What finds all that an erasure takes, in a session on this clock."""
    return Repeats(clock, erasure.stream, erasure.from_tick, erasure.to_tick, erasure.words)


def _streams(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM stream ORDER BY name")]


def _clock(connection: sqlite3.Connection) -> ClockSpec:
    return load_header(connection.execute("SELECT header FROM session").fetchone()[0]).clock


def _gone(connection: sqlite3.Connection, repeats: Repeats) -> Gone:
    """The rows that lose their bytes, by their numbers, and what becomes of decisions and yields that stay, in order of ticks."""
    last = connection.execute("SELECT max(tick) FROM tick").fetchone()[0]
    span = {"begin": repeats.begin, "end": last if repeats.end is None else min(last, repeats.end)}
    where = "tick BETWEEN :begin AND :end"
    ticks: dict[int, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    if repeats.words:
        query = f"SELECT tick, seq, kind, body FROM event WHERE {where} AND body IS NOT NULL AND ({REPEATING}) ORDER BY tick, seq"
        for tick, *row in connection.execute(query, span):
            ticks[tick][0].append(Row(*row))
    query = f"SELECT tick, seq, stream, codec, CASE WHEN codec = 'utf8' THEN bytes END FROM blob WHERE {where} AND bytes IS NOT NULL"
    query += f" AND (stream IN {TEXTS} OR stream = :stream AND tick BETWEEN :first AND :last) ORDER BY tick, seq"
    for tick, seq, stream, codec, data in connection.execute(
        query, {**span, "stream": repeats.stream, "first": repeats.first, "last": repeats.last}
    ):
        text = str(decode(codec, data)) if codec == "utf8" else ""
        ticks[tick][1].append(Row(seq, stream, text))
    found = [repeats.of_tick(tick, *ticks[tick]) for tick in sorted(ticks)]
    return Gone(
        tuple(key for one in found for key in one.events),
        tuple(key for one in found for key in one.payloads),
        tuple(less for one in found for less in one.told_less),
    )


def _remarks(connection: sqlite3.Connection, erasure: Erasure) -> list[int]:
    """The numbers of the remarks on ticks of an erasure that say something: nothing tells whether they quote what was said there."""
    if not erasure.words:
        return []
    query = "SELECT id FROM annotation WHERE from_tick <= ? AND to_tick >= ? AND body != '{}'"
    return [key for (key,) in connection.execute(query, (erasure.to_tick, erasure.from_tick))]


def _linked(connection: sqlite3.Connection, link: bytes, entry: int, tick: int, bodies: Sequence[tuple[str, bytes]]) -> tuple[bytes, int]:
    """Append an entry with these events, each a kind and its JSON, to the chain; its link and number."""
    sealed = [seal(kind, body, os.urandom(SALT_BYTES)) for kind, body in bodies]
    link = entry_hash(link, "erasure", tick, [(one.label, one.digest) for one in sealed], [])
    connection.execute("INSERT INTO digest VALUES (?, 'erasure', ?, ?)", (entry, tick, link))
    connection.executemany(
        "INSERT INTO event (entry, tick, kind, digest, salt, body) VALUES (?, ?, ?, ?, ?, ?)",
        [(entry, tick, one.label, one.digest, one.salt, one.body.decode()) for one in sealed],
    )
    return link, entry


def settle(connection: sqlite3.Connection) -> None:
    """Bring everything into the one file and drop its companions; they stay where another program reads the trace for seconds on end."""
    connection.execute("PRAGMA busy_timeout=1000")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for _ in range(SETTLE_TRIES):  # SQLite does not wait for readers here, however short they are
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            pause(SETTLE_PAUSE_S)
        else:
            return
