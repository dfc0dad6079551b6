"""The trace file from the inside: schema, payload codecs and the hash chain.

A file is one SQLite database. Every tick is one entry of the chain: its hash covers the previous hash, the tick number, and the *salted
digest* of each event and payload, not their bytes. So a payload can be removed (bytes and salt) while the chain still verifies, and without
the salt a digest cannot be tried against guesses of what was said. Design: ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.clock import ClockSpec
from workbench.errors import TraceError
from workbench.events import Event, from_json, kind_of, to_json
from workbench.packets import Audio, Payload
from workbench.trace import Header

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4D54_5242  # "MTRB", tells our files from other SQLite files
SALT_BYTES = 16
PCM_SCALE = 32_768.0  # PCM16 counts per unit, as libsndfile reads them
PCM_UNIT = np.float32(1 / PCM_SCALE)
ACTIVE_DB = -45.0  # a tick louder than this counts as speech activity in retained features (ours)
QUIETEST_DB = -120.0

TABLES = """
CREATE TABLE session (id INTEGER PRIMARY KEY CHECK (id = 1), header TEXT NOT NULL);
CREATE TABLE stream (name TEXT PRIMARY KEY, retention TEXT NOT NULL, codec TEXT NOT NULL);
CREATE TABLE digest (entry INTEGER PRIMARY KEY, what TEXT NOT NULL, tick INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE tick (tick INTEGER PRIMARY KEY, entry INTEGER NOT NULL);
CREATE TABLE event (seq INTEGER PRIMARY KEY, entry INTEGER NOT NULL, tick INTEGER NOT NULL, kind TEXT NOT NULL,
                    digest BLOB NOT NULL, salt BLOB, body TEXT);
CREATE TABLE blob (seq INTEGER PRIMARY KEY, entry INTEGER NOT NULL, tick INTEGER NOT NULL, stream TEXT NOT NULL, codec TEXT NOT NULL,
                   digest BLOB NOT NULL, salt BLOB, bytes BLOB);
CREATE TABLE annotation (id INTEGER PRIMARY KEY, from_tick INTEGER NOT NULL, to_tick INTEGER NOT NULL, author TEXT NOT NULL,
                         made TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX blob_tick ON blob (tick);
CREATE INDEX event_tick ON event (tick);
"""

KINDS: Mapping[str, Mapping[str, str]] = {  # of values, by table and column; SQLite itself would take any
    "session": {"header": "text"},
    "stream": {"name": "text"},
    "digest": {"what": "text", "tick": "integer", "hash": "blob"},
    "tick": {"entry": "integer"},
    "event": {"entry": "integer", "tick": "integer", "kind": "text", "digest": "blob", "salt": "blob or null", "body": "text or null"},
    "blob": {
        "entry": "integer", "tick": "integer", "stream": "text", "codec": "text", "digest": "blob", "salt": "blob or null",
        "bytes": "blob or null",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Sealed:
    """Bytes with the salt and the salted digest under which they enter the chain."""

    label: str  # event kind, or stream name and codec
    salt: bytes
    digest: bytes
    body: bytes


def seal(label: str, body: bytes, salt: bytes) -> Sealed:
    """`body` with its salted SHA-256 digest."""
    return Sealed(label, salt, salted(salt, body), body)


def salted(salt: bytes, body: bytes) -> bytes:
    return hashlib.sha256(salt + body).digest()


def entry_hash(previous: bytes, what: str, tick: int, events: Sequence[tuple[str, bytes]], blobs: Sequence[tuple[str, bytes]]) -> bytes:
    """The next link: SHA-256 over the previous link, what kind of entry, the tick, and (label, digest) of each event and payload."""
    parts = [previous, what.encode(), struct.pack(">qII", tick, len(events), len(blobs))]
    for label, digest in (*events, *blobs):
        parts += (label.encode(), b"\0", digest)
    return hashlib.sha256(b"".join(parts)).digest()


def header_hash(header: str) -> bytes:
    """The first link of the chain: SHA-256 of the header as stored."""
    return hashlib.sha256(b"header\0" + header.encode()).digest()


# --- payloads -------------------------------------------------------------------------------------------------------------------


def encode(stream: str, payload: Payload, audio_codec: str) -> tuple[str, bytes] | None:
    """(codec, bytes) of a payload; None for a tuple (ground-truth orders), whose content stands in the events.

    Audio is kept as PCM16 (full scale 1.0, rounded to 1/32768, clipped) or float32, frames bit for bit, compressed. Raises TraceError for
    any other payload.
    """
    if isinstance(payload, str):
        try:
            return "utf8", payload.encode()
        except UnicodeEncodeError as error:
            raise TraceError(f"stream {stream!r} carried text that is not Unicode ({error}); replace half surrogates in it") from error
    if isinstance(payload, tuple):
        return None
    if not isinstance(payload, np.ndarray):
        raise TraceError(f"stream {stream!r} carried {type(payload).__name__}; a trace keeps float32 audio, uint8 arrays and text")
    if payload.dtype == np.float32 and payload.ndim == 1:
        if audio_codec == "f32":
            return "f32", payload.tobytes()
        return "pcm16", np.clip(np.rint(payload * PCM_SCALE), -PCM_SCALE, PCM_SCALE - 1).astype("<i2").tobytes()
    if payload.dtype == np.uint8:
        return "u8z:" + "x".join(map(str, payload.shape)), zlib.compress(payload.tobytes(), 1)
    raise TraceError(
        f"stream {stream!r} carried {payload.dtype} {payload.shape}; a trace keeps float32 audio of one axis, uint8 arrays and text. "
        "Convert the payload before saying it"
    )


def decode(codec: str, data: bytes) -> Payload:
    """The payload of stored bytes. Raises TraceError for a codec this version does not know or bytes that do not fit it."""
    try:
        if codec == "utf8":
            return data.decode()
        if codec == "pcm16":
            samples: Audio = np.multiply(np.frombuffer(data, "<i2"), PCM_UNIT, dtype=np.float32)
            return samples
        if codec == "f32":
            return np.frombuffer(data, "<f4").astype(np.float32)
        if codec.startswith("u8z:"):
            shape = tuple(int(n) for n in codec[4:].split("x"))
            return np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape).copy()
    except (ValueError, TypeError, AttributeError, zlib.error) as error:  # a damaged row may hold a value of any kind
        raise TraceError(f"a payload of codec {codec!r} has bytes that do not fit it ({error}); the file is damaged") from error
    raise TraceError(f"payload codec {codec!r} is not known to this version; read the file with the version that wrote it")


def features(payload: Payload) -> dict[str, float | bool]:
    """What retention "features" keeps of one payload: for audio its level in dBFS and whether someone is active, for frames their mean."""
    if isinstance(payload, str):
        return {"words": len(payload.split())}
    if isinstance(payload, np.ndarray) and payload.dtype == np.float32:
        power = float(np.mean(np.square(payload, dtype=np.float64))) if payload.size else 0.0
        level_db = max(QUIETEST_DB, 10 * float(np.log10(max(power, 1e-12))))
        return {"level_db": round(level_db, 1), "active": level_db > ACTIVE_DB}
    if isinstance(payload, np.ndarray):
        return {"mean": round(float(payload.mean()), 1)}
    return {}


# --- events and header ----------------------------------------------------------------------------------------------------------


def _number(value: object) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


def dump_event(event: Event) -> tuple[str, bytes]:
    """(kind, JSON bytes) of an event. Raises TraceError when a field cannot be written as JSON."""
    try:
        kind = kind_of(event)
    except (TypeError, AttributeError) as error:
        raise TraceError(f"{type(event).__name__} among the events is none; use the classes of workbench.events") from error
    try:
        return kind, json.dumps(to_json(event), default=_number, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise TraceError(f"event {kind!r} cannot be stored: {error}; use numbers, text, lists and mappings in its fields") from error


def load_events(bodies: Sequence[str]) -> list[Event]:
    """The events of stored JSON. Raises TraceError when one is damaged.

    They are read together: one call of the parser for each would take twice as long.
    """
    try:
        read = json.loads(f"[{','.join(bodies)}]")
        if len(read) != len(bodies):
            raise TraceError(f"{len(bodies)} events read as {len(read)}; the file is damaged: restore it from a copy")
    except (ValueError, TypeError, RecursionError) as error:
        raise TraceError(f"an event is not readable ({error}); the file is damaged: restore it from a copy") from error
    return [from_json(body) for body in read]


def load_event(body: str) -> Event:
    """The event of stored JSON. Raises TraceError when it is damaged."""
    return load_events([body])[0]


def dump_header(header: Header) -> str:
    """The header as JSON text. Raises TraceError when a participant's spec, consent or a label is not JSON."""
    body = {**{name: getattr(header, name) for name in ("seed", "participants", "versions", "consent", "labels", "created")}}
    try:
        return json.dumps({"clock": asdict(header.clock), **body}, default=_header_default)
    except (TypeError, ValueError) as error:
        raise TraceError(
            f"the header cannot be stored: {error}; spec(), consent and labels must hold numbers, text, lists and mappings only"
        ) from error


def _header_default(value: object) -> Any:
    return dict(value) if isinstance(value, Mapping) else _number(value)


def load_header(text: str) -> Header:
    """The header of stored JSON. Raises TraceError when it is damaged."""
    try:
        body = json.loads(text)
        return Header(clock=ClockSpec(**body.pop("clock")), **body)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise TraceError(f"the header is not readable ({error}); the file is damaged: restore it from a copy") from error


# --- files ----------------------------------------------------------------------------------------------------------------------


def create_file(path: Path) -> sqlite3.Connection:
    """A new, empty trace file, open for writing. Raises TraceError when the path is taken or cannot be written."""
    if path.exists():
        raise TraceError(f"{path} exists; a trace is never overwritten. Give another name, or delete the file first")
    if not path.parent.is_dir():
        raise TraceError(f"folder {path.parent} does not exist; create it, or give another path for the trace")
    try:
        connection = _connect(path)
        connection.execute("PRAGMA page_size=16384")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(TABLES)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    except sqlite3.Error as error:
        raise TraceError(f"{path} cannot be written as a trace ({error}); give a path on a local disk with room") from error
    return connection


def open_file(path: Path) -> sqlite3.Connection:
    """An existing trace file. Raises TraceError when it is missing, not a trace, damaged, or of a newer schema."""
    if not path.is_file():
        raise TraceError(f"{path} is not a file; give the path of a trace, e.g. DIR/trace.sqlite")
    try:
        connection = _connect(path)
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        schema = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise TraceError(f"{path} is not a readable trace ({error}); damaged, or another kind of file: restore it from a copy") from error
    if application != APPLICATION_ID:
        connection.close()
        raise TraceError(f"{path} is not a Microturn trace (application id {application:#x}); give a file written by `microturn run`")
    if schema != SCHEMA_VERSION:
        connection.close()
        raise TraceError(f"{path} has trace schema {schema}; this version reads schema {SCHEMA_VERSION}. Use the version that wrote it")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    mode = "rwc" if not path.exists() or os.access(path, os.W_OK) else "ro"
    address = f"{path.resolve().as_uri()}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
