"""The trace file: one SQLite database per session, written by its own thread, readable while it grows and after a crash.

    with TraceWriter("trace.sqlite", Header.of(session)) as writer:
        session.sinks = (writer,)
        session.run(500)
    trace = read_trace("trace.sqlite")

A tick's packets and events commit or vanish together. Audio is kept as PCM16 unless told otherwise: a replay then hears a signal
rounded to 1/32768, so replays are compared on decisions; with codec "f32" what is read is bit for bit what was said.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from workbench.clock import utc_now
from workbench.errors import InputError, TraceError
from workbench.packets import MicroTurn, Packet
from workbench.store_erase import Erasure, erasable, erase, erase_rows, settle
from workbench.store_format import (
    SALT_BYTES,
    create_file,
    decode,
    dump_event,
    dump_header,
    encode,
    entry_hash,
    features,
    header_hash,
    load_event,
    seal,
)
from workbench.store_read import annotate, finished, read_annotations, read_features, read_trace, rounded, verified, verify
from workbench.store_repeats import Repeats, Row
from workbench.trace import Header, Trace
from workbench.version import VERSION

__all__ = [
    "Erasure",
    "Keep",
    "TraceWriter",
    "annotate",
    "as_kept",
    "erasable",
    "erase",
    "finished",
    "read_annotations",
    "read_features",
    "read_trace",
    "rounded",
    "save_trace",
    "verified",
    "verify",
]

Retention = Literal["none", "features", "full"]
Codec = Literal["pcm16", "f32"]
RETENTIONS = ("none", "features", "full")
CODECS = ("pcm16", "f32")
BATCH_TICKS = 64  # ticks per transaction at most; fewer when the queue is short, so a live session commits every tick


@dataclass(frozen=True)
class Keep:
    """How one stream is kept: `retention` none, features (level and speech activity per tick) or full; `codec` of its audio."""

    retention: Retention = "full"
    codec: Codec = "pcm16"

    def __post_init__(self) -> None:
        if self.retention not in RETENTIONS or self.codec not in CODECS:
            raise InputError(f"Keep({self.retention!r}, {self.codec!r}): retention is one of {RETENTIONS}, codec one of {CODECS}")


@dataclass
class _Rows:
    streams: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    ticks: list[tuple[int, int]] = field(default_factory=list)
    digests: list[tuple[int, str, int, bytes]] = field(default_factory=list)
    events: list[tuple[int, int, str, bytes, bytes | None, str | None]] = field(default_factory=list)
    blobs: list[tuple[int, int, str, str, bytes, bytes | None, bytes | None]] = field(default_factory=list)


class TraceWriter:
    """A sink that writes a session to a file; `acknowledged` is the last tick that is safely in it, -1 before the first.

    `append` hands the micro-turn to a writer thread through a queue of `room` places. When the queue is full, `when_full="wait"` lets the
    session wait (simulations) and `"raise"` raises TraceError (live sessions, which must not stall unnoticed). A failure of the writer
    thread is raised by the next `append`, `flush` or `close`. The arrays in packets must not be changed after they were said.
    `keep` says per stream how it is kept, `default` for all others. Raises TraceError when the path is taken or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        header: Header,
        *,
        keep: Mapping[str, Keep] | None = None,
        default: Keep = Keep(),
        when_full: Literal["wait", "raise"] = "wait",
        room: int = 256,
    ) -> None:
        self.path = Path(path)
        self.acknowledged = -1
        self._keep, self._default, self._when_full = dict(keep or {}), default, when_full
        self._queue: queue.Queue[MicroTurn | Erasure | None] = queue.Queue(room)
        self._failure: Exception | None = None
        self._closed = False
        self._erased: list[Repeats] = []  # what was erased, for what is still to come of it
        self._known: set[str] = set()
        text = dump_header(_complete(header))
        self._connection = create_file(self.path)
        self._link, self._entry = header_hash(text), 0
        self._write_header(text)
        self._thread = threading.Thread(target=self._serve, name=f"trace {self.path.name}", daemon=True)
        self._thread.start()

    def append(self, turn: MicroTurn) -> None:
        """Hand over one finished micro-turn. Raises TraceError when closed, when the writer failed, or when full under "raise"."""
        self._check()
        self._put(turn)

    def erase(self, erasure: Erasure) -> None:
        """Erase payloads of the running session; returns when their bytes are out of the files. See `erase`.

        What is still to come of the stretch, or repeats it, is written without its bytes.
        """
        self._check()
        self._queue.put(erasure)
        self.flush()

    def flush(self) -> int:
        """Wait until everything appended is in the file; the last acknowledged tick. Raises TraceError when the writer failed."""
        self._queue.join()
        self._raise_failure()
        return self.acknowledged

    def close(self) -> None:
        """Write what is queued, then leave one file without companions. Raises TraceError when the writer failed. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._connection.close()
        self._raise_failure()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.close()

    # --- the caller's side ---

    def _check(self) -> None:
        self._raise_failure()
        if self._closed:
            raise TraceError(f"{self.path} is closed; a trace takes no more ticks after close(). Open a new TraceWriter")

    def _put(self, turn: MicroTurn) -> None:
        try:
            self._queue.put(turn, block=self._when_full == "wait")
        except queue.Full:
            raise TraceError(
                f"{self.path} is {self._queue.maxsize} ticks behind at tick {turn.tick}; the disk is too slow for this session. "
                'Use a faster disk, a larger room=, or when_full="wait"'
            ) from None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            none_yet = self.acknowledged < 0
            when = "before its first tick" if none_yet else f"after tick {self.acknowledged}"
            kept = "No tick is in the file" if none_yet else "Ticks up to that one are in the file"
            full = getattr(self._failure, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            mend = "make room" if full else "mend the cause"
            raise TraceError(f"writing {self.path} failed {when}: {self._failure}. {kept}; {mend} and start a new trace") from self._failure

    # --- the writer thread's side ---

    def _serve(self) -> None:
        running = True
        while running:
            batch = self._next_batch()
            running = batch[-1] is not None
            try:
                if self._failure is None:
                    self._handle(batch)
            except Exception as error:  # noqa: BLE001 - raised by the next call; a thread that ended in silence would lose ticks
                self._failure = error
            finally:
                for _ in batch:
                    self._queue.task_done()

    def _next_batch(self) -> list[MicroTurn | Erasure | None]:
        """What is waiting, at most BATCH_TICKS; only the last item may be something other than a tick."""
        batch = [self._queue.get()]
        while isinstance(batch[-1], MicroTurn) and len(batch) < BATCH_TICKS:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _handle(self, batch: list[MicroTurn | Erasure | None]) -> None:
        turns = [item for item in batch if isinstance(item, MicroTurn)]
        if turns:
            self._write(turns)
        if isinstance(batch[-1], Erasure):
            self._link, self._entry, _, repeats = erase_rows(self._connection, batch[-1], self._link, self._entry)
            self._erased.append(repeats)
        if batch[-1] is None:
            if self._erased:
                self._connection.execute("VACUUM")
            settle(self._connection)

    def _write(self, turns: list[MicroTurn]) -> None:
        """One transaction; a failure in it leaves the file as it was before."""
        rows, link, entry = _Rows(), self._link, self._entry
        for turn in turns:
            entry += 1
            link = self._rows_of(turn, entry, link, rows)
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        try:
            run.executemany("INSERT OR IGNORE INTO stream VALUES (?, ?, ?)", rows.streams.values())
            run.executemany("INSERT INTO digest VALUES (?, ?, ?, ?)", rows.digests)
            run.executemany("INSERT INTO tick VALUES (?, ?)", rows.ticks)
            run.executemany("INSERT INTO event (entry, tick, kind, digest, salt, body) VALUES (?, ?, ?, ?, ?, ?)", rows.events)
            run.executemany("INSERT INTO blob (entry, tick, stream, codec, digest, salt, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)", rows.blobs)
            run.execute("COMMIT")
        except sqlite3.Error:
            if run.in_transaction:  # where the disk is full SQLite has taken it back by itself
                run.execute("ROLLBACK")
            raise
        self._link, self._entry, self.acknowledged = link, entry, turns[-1].tick

    def _rows_of(self, turn: MicroTurn, entry: int, link: bytes, rows: _Rows) -> bytes:
        """Add the rows of one tick; the next link of the chain."""
        salts = os.urandom(SALT_BYTES * (len(turn.events) + len(turn.packets)))
        at, events, blobs = 0, [], []
        told, no_events, no_payloads = self._without_erased(turn)
        for place, (kind, body) in enumerate(told):
            sealed = seal(kind, body, salts[at : at + SALT_BYTES])
            at += SALT_BYTES
            events.append((kind, sealed.digest))
            kept = (None, None) if place in no_events else (sealed.salt, body.decode())
            rows.events.append((entry, turn.tick, kind, sealed.digest, *kept))
        for place, packet in enumerate(turn.packets):
            keep = self._keep.get(packet.stream, self._default)
            if packet.stream not in self._known:
                self._known.add(packet.stream)
                rows.streams[packet.stream] = (packet.stream, keep.retention, keep.codec)
            stored = _stored(packet, keep)
            if stored is None:
                continue
            codec, data = stored
            sealed = seal(f"{packet.stream} {codec}", data, salts[at : at + SALT_BYTES])
            at += SALT_BYTES
            blobs.append((sealed.label, sealed.digest))
            kept_bytes = (None, None) if place in no_payloads else (sealed.salt, data)
            rows.blobs.append((entry, turn.tick, packet.stream, codec, sealed.digest, *kept_bytes))
        link = entry_hash(link, "tick", turn.tick, events, blobs)
        rows.digests.append((entry, "tick", turn.tick, link))
        rows.ticks.append((turn.tick, entry))
        return link

    def _without_erased(self, turn: MicroTurn) -> tuple[list[tuple[str, bytes]], set[int], set[int]]:
        """The events of a tick as they are stored, less what quotes something erased; which of them, and of its packets, repeat it."""
        told = [dump_event(event) for event in turn.events]
        no_events: set[int] = set()
        no_payloads: set[int] = set()
        for repeats in self._erased:
            events = [Row(place, kind, body.decode()) for place, (kind, body) in enumerate(told)]
            texts = [packet.payload if isinstance(packet.payload, str) else "" for packet in turn.packets]
            packets = [Row(place, packet.stream, texts[place]) for place, packet in enumerate(turn.packets)]
            gone = repeats.of_tick(turn.tick, events, packets)
            no_events.update(gone.events)
            no_payloads.update(gone.payloads)
            for less in gone.told_less:
                told[less.key] = (less.kind, less.body)
        return told, no_events, no_payloads

    def _write_header(self, text: str) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO session VALUES (1, ?)", (text,))
        self._connection.execute("INSERT INTO digest VALUES (0, 'header', -1, ?)", (self._link,))
        self._connection.execute("COMMIT")


def save_trace(trace: Trace, path: str | os.PathLike[str], *, keep: Mapping[str, Keep] | None = None, default: Keep | None = None) -> Path:
    """Write a trace held in memory to a file; its path. Raises TraceError when the path is taken or cannot be written.

    `keep` and `default` as in `TraceWriter`. Sound is kept as PCM16, which a microphone gives; what was simulated replays bit for bit with
    `default=Keep(codec="f32")` only.
    """
    with TraceWriter(path, trace.header, keep=keep, default=default or Keep()) as writer:
        for turn in trace.turns:
            writer.append(turn)
    return Path(path)


def as_kept(trace: Trace, *, default: Keep | None = None) -> Trace:
    """A trace as its file would give it back: sound rounded by its codec, ground-truth orders left to the events that tell of them."""
    keep = default or Keep()

    def kept(turn: MicroTurn) -> MicroTurn:
        stored = [(packet, _stored(packet, keep)) for packet in turn.packets]
        packets = tuple(replace(p, payload=decode(*s)) for p, s in stored if s is not None and s[0] != "features")
        return replace(turn, packets=packets, events=tuple(load_event(dump_event(event)[1].decode()) for event in turn.events))

    return replace(trace, turns=[kept(turn) for turn in trace.turns])


def _stored(packet: Packet, keep: Keep) -> tuple[str, bytes] | None:
    """(codec, bytes) that the retention of a stream allows; None when nothing of this packet is kept."""
    if keep.retention == "none":
        return None
    if keep.retention == "features":
        kept = features(packet.payload)
        return ("features", json.dumps(kept).encode()) if kept else None
    return encode(packet.stream, packet.payload, keep.codec)


def _complete(header: Header) -> Header:
    """The header with the time of writing and the versions it was written by, where it does not say."""
    versions = {"microturn": VERSION, "python": platform.python_version(), "numpy": np.__version__, **header.versions}
    return replace(header, created=header.created or utc_now(), versions=versions)
