"""Search over a folder of the user's documents: passages, found by SQLite's full-text index, each with where it stands."""

from __future__ import annotations

import re
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InputError

KINDS = (".txt", ".md", ".rst")
MOST_BYTES, MOST_FILES, PASSAGE_CHARS = 2_000_000, 2_000, 800
_WORD = re.compile(r"[^\W_]+")
_EMPTY = frozenset(
    "a an the of to in on at for and or is are was were be do does did it its this that what which who whom how when where why say says "
    "tell me about look up find search documents notes my i you please with from by can could would there any".split()
)


@dataclass(frozen=True)
class Passage:
    """A piece of a document: file, first and last line (from 1), text."""

    file: str
    first: int
    last: int
    text: str

    @property
    def source(self) -> str:
        return f"{self.file}:{self.first}-{self.last}"


class Library:
    """The documents of a folder, indexed when first asked. Raises InputError when the folder is not there."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; give one with documents ({', '.join(KINDS)})")
        self.folder = folder
        self._index: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def search(self, ask: str, most: int = 3) -> list[Passage]:
        """The passages that fit best, the best first; empty when none holds a word of the ask."""
        words = content_words(ask)
        if not words:
            return []
        query = " OR ".join(f'"{word}"' for word in words)
        with self._lock:
            index = self._index = self._index or _indexed(self.folder)
            rows = index.execute(
                "SELECT file, first, last, text FROM passage WHERE passage MATCH ? ORDER BY bm25(passage), rowid LIMIT ?", (query, most)
            ).fetchall()
        return [Passage(*row) for row in rows]


def content_words(text: str) -> list[str]:
    """The words of an ask that a document may hold."""
    words = [word.lower() for word in _WORD.findall(text)]
    return [word for word in dict.fromkeys(words) if word not in _EMPTY][:30]


def best_sentence(passage: Passage, ask: str) -> str:
    """The sentence of a passage that holds most words of the ask; of several the first."""
    wanted = set(content_words(ask))
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(passage.text.split()))
    return max(sentences, key=lambda sentence: len(wanted & {word.lower() for word in _WORD.findall(sentence)}))


def passages(file: str, text: str) -> list[Passage]:
    """The paragraphs of a document, long ones cut at line ends."""
    found: list[Passage] = []
    lines: list[str] = []
    first = 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip() and sum(map(len, lines)) + len(line) <= PASSAGE_CHARS:
            first = first if lines else number
            lines.append(line[: 4 * PASSAGE_CHARS])
            continue
        if lines:
            found.append(Passage(file, first, first + len(lines) - 1, "\n".join(lines)))
        lines, first = ([line[: 4 * PASSAGE_CHARS]], number) if line.strip() else ([], number)
    return found + ([Passage(file, first, first + len(lines) - 1, "\n".join(lines))] if lines else [])


def _indexed(folder: Path) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:", check_same_thread=False)
    index.execute("CREATE VIRTUAL TABLE passage USING fts5(text, file UNINDEXED, first UNINDEXED, last UNINDEXED, tokenize = 'porter')")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS and path.is_file())[:MOST_FILES]
    for path in files:
        if path.stat().st_size <= MOST_BYTES:
            name = path.relative_to(folder).as_posix()
            rows = [(p.text, p.file, p.first, p.last) for p in passages(name, path.read_text(encoding="utf-8", errors="replace"))]
            index.executemany("INSERT INTO passage (text, file, first, last) VALUES (?, ?, ?, ?)", rows)
    return index
