"""An on-disk store of spoken phrases, so that no phrase is synthesised twice; safe for several processes at once."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workbench.errors import SpeechError
from workbench.utterance import Utterance, Word, from_int16, to_int16

CACHE_VARIABLE = "MICROTURN_CACHE"
FORMAT = 2  # raise when synthesis changes, so that older phrases are not found any more
_SCHEMA = "CREATE TABLE IF NOT EXISTS phrase (key TEXT PRIMARY KEY, samples BLOB, words TEXT, label TEXT)"


def cache_folder() -> Path:
    """Where phrases are kept: the folder in MICROTURN_CACHE, else ~/.cache/microturn."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "microturn")


@dataclass(frozen=True)
class Bank:
    """Phrases by voice and text in one SQLite file (16-bit sound, word times as JSON, write-ahead log)."""

    path: Path
    _local: threading.local = field(default_factory=threading.local, init=False, repr=False, compare=False)

    @classmethod
    def default(cls) -> Bank:
        """The bank `phrases.sqlite` in the cache folder."""
        return cls(cache_folder() / "phrases.sqlite")

    def get(self, voice: str, text: str) -> Utterance | None:
        """The stored phrase, or None."""
        row = self._connection().execute("SELECT samples, words, label FROM phrase WHERE key = ?", (_key(voice, text),)).fetchone()
        if row is None:
            return None
        words = tuple(Word(word, start_s, end_s) for word, start_s, end_s in json.loads(row[1]))
        return Utterance(from_int16(np.frombuffer(row[0], np.int16)), words, row[2])

    def put(self, voice: str, text: str, utterance: Utterance) -> None:
        """Store a phrase; one already there is kept, so every reader sees the same sound."""
        words = json.dumps([[word.word, word.start_s, word.end_s] for word in utterance.words])
        with self._connection() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO phrase VALUES (?, ?, ?, ?)",
                (_key(voice, text), to_int16(utterance.samples).tobytes(), words, utterance.voice),
            )

    def count(self) -> int:
        """How many phrases are stored."""
        return int(self._connection().execute("SELECT count(*) FROM phrase").fetchone()[0])

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection; a child process opens its own."""
        kept: tuple[int, sqlite3.Connection] | None = getattr(self._local, "kept", None)
        if kept is not None and kept[0] == os.getpid():
            return kept[1]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=30)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
            connection.commit()
        except (OSError, sqlite3.Error) as error:
            message = f"the phrase bank {self.path} cannot be opened ({error}); set {CACHE_VARIABLE} to a writable folder"
            raise SpeechError(message) from error
        self._local.kept = (os.getpid(), connection)
        return connection


def _key(voice: str, text: str) -> str:
    return hashlib.sha256(f"{FORMAT}\n{voice}\n{text}".encode()).hexdigest()
