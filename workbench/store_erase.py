"""Erasing payloads so that their bytes are really gone while the hash chain still verifies."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from workbench.clock import pause, utc_now
from workbench.errors import InputError, TraceError
from workbench.events import PayloadErased
from workbench.packets import AGENT_AUDIO, AGENT_TASKS, AGENT_TEXT, BACKGROUND_SHOWN, BACKGROUND_TEXT, USER_AUDIO, USER_CAMERA, USER_TEXT
from workbench.store_format import SALT_BYTES, dump_event, entry_hash, open_file, seal

_WORK = "kind GLOB 'delegation.*' OR kind GLOB 'background.*' OR kind GLOB 'consent.*' OR kind = 'tool.used'"
_USER_WORDS = (
    f"(kind = 'transcript.delta' AND json_extract(body, '$.side') = 'user') OR {_WORK} OR kind IN ('truth.word', 'intent.estimated', "
    "'guard.acted') OR (kind = 'decision' AND instr(json_extract(body, '$.said'), '<'))"
)
_MODEL_WORDS = f"(kind = 'transcript.delta' AND json_extract(body, '$.side') = 'model') OR {_WORK} OR kind IN ('decision', 'model.yielded')"
REPEATED_IN = {  # events that repeat in words what a stream carried, and so go with it
    USER_AUDIO: _USER_WORDS,
    USER_TEXT: _USER_WORDS,
    USER_CAMERA: _WORK,
    AGENT_AUDIO: _MODEL_WORDS,
    AGENT_TEXT: _MODEL_WORDS,
}

REPEATED_ON = (AGENT_TASKS, BACKGROUND_TEXT, BACKGROUND_SHOWN)  # streams that repeat what was said to those who do slow work

SETTLE_TRIES, SETTLE_PAUSE_S = 100, 0.05


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What to erase: the payloads of `stream` in ticks `from_tick` to `to_tick` (both included); `who` asked for it and `why`.

    With `words` (the default) what repeats those payloads in words goes too: for the user's streams the user's transcript and true words,
    for the agent's streams its transcript and decision records, for both all that is told of slow work, which quotes the one and the other.
    Without it only the payloads go.
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


def erase(path: str | os.PathLike[str], erasure: Erasure) -> int:
    """Erase payloads of a closed trace (or one left by a crash); how many payloads and events went.

    Bytes and salts are overwritten, the write-ahead log is emptied and the file rebuilt, so that nothing of them is left in the files;
    copies made before, and blocks that a file system or a flash disk keeps aside, are beyond its reach. A `PayloadErased` event with who,
    why and when is appended to the last tick. Raises TraceError for a file that is no trace, a stream it does not hold, or a file that
    another program is reading.
    """
    file = Path(path)
    connection = open_file(file)
    try:
        link, entry = connection.execute("SELECT hash, entry FROM digest ORDER BY entry DESC LIMIT 1").fetchone()
        before = connection.total_changes
        erase_rows(connection, erasure, link, entry)
        count = connection.total_changes - before - 2  # less the event and the link of the erasure itself
        connection.execute("VACUUM")
        settle(connection)
        return count
    except sqlite3.Error as error:
        raise TraceError(f"erasing in {file} failed ({error}); close other programs that read it and erase again") from error
    finally:
        connection.close()


def erase_rows(connection: sqlite3.Connection, erasure: Erasure, link: bytes, entry: int) -> tuple[bytes, int]:
    """Erase in an open trace and append the erasure to the chain; the new link and entry."""
    if not connection.execute("SELECT 1 FROM stream WHERE name = ?", (erasure.stream,)).fetchone():
        held = ", ".join(name for (name,) in connection.execute("SELECT name FROM stream")) or "no streams"
        raise TraceError(f"this trace holds no stream {erasure.stream!r}; it holds {held}")
    last = connection.execute("SELECT max(tick) FROM tick").fetchone()[0]
    span = (erasure.from_tick, erasure.to_tick)
    connection.execute("BEGIN IMMEDIATE")
    count = connection.execute(
        "UPDATE blob SET bytes = NULL, salt = NULL WHERE stream = ? AND tick BETWEEN ? AND ? AND bytes IS NOT NULL", (erasure.stream, *span)
    ).rowcount
    repeated = REPEATED_IN.get(erasure.stream)
    if erasure.words and repeated:
        count += connection.execute(
            f"UPDATE event SET body = NULL, salt = NULL WHERE tick BETWEEN ? AND ? AND body IS NOT NULL AND ({repeated})", span
        ).rowcount
        count += connection.execute(
            f"UPDATE blob SET bytes = NULL, salt = NULL WHERE tick BETWEEN ? AND ? AND bytes IS NOT NULL AND stream IN {REPEATED_ON}", span
        ).rowcount
    what = {name: getattr(erasure, name) for name in ("stream", "from_tick", "to_tick", "who", "why")}
    kind, body = dump_event(PayloadErased(**what, when=utc_now(), count=count))
    sealed = seal(kind, body, os.urandom(SALT_BYTES))
    entry += 1
    link = entry_hash(link, "erasure", last, [(kind, sealed.digest)], [])
    connection.execute("INSERT INTO digest VALUES (?, 'erasure', ?, ?)", (entry, last, link))
    connection.execute(
        "INSERT INTO event (entry, tick, kind, digest, salt, body) VALUES (?, ?, ?, ?, ?, ?)",
        (entry, last, kind, sealed.digest, sealed.salt, body.decode()),
    )
    connection.execute("COMMIT")
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise TraceError(
            "erased bytes are still in the write-ahead log, because another program reads the trace; close that and erase again"
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
