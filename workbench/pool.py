"""A pool of training conversations on disk, filled by background processes while it is being drawn from.

Every conversation is addressed by its number, so a pool filled twice is the same; a pool kept on disk serves the next training too.
"""

from __future__ import annotations

import io
import math
import multiprocessing
import os
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

SHARD = 16  # conversations a file
LOCAL_HEADER = 30  # bytes before the name of a member of a zip file
MOST_HEADER = 4096  # bytes in which numpy tells of one array


@dataclass
class Pool:
    """Conversations as named arrays, of all shards present.

    `make` builds the conversation of a number; it runs in `workers` processes of low priority, up to `most` conversations.
    """

    folder: Path
    make: Callable[[int], Arrays]
    most: int
    workers: int = 1
    rows: list[Arrays] = field(default_factory=list)
    """Conversations at hand, in the order of their numbers whenever their shards appeared; a new list once there are more."""
    _shards: dict[str, list[Arrays]] = field(default_factory=dict)
    _processes: list[multiprocessing.process.BaseProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.most < SHARD or self.workers < 1:
            raise InputError(f"a pool of {self.most} conversations by {self.workers} workers: need at least {SHARD} and 1")
        self.folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> Pool:
        """Begin filling in the background; what a worker that is gone has half written is removed."""
        for left in self.folder.glob("*.partial"):
            if not _runs(int(left.suffixes[-2][1:])):
                left.unlink(missing_ok=True)
        context = multiprocessing.get_context("spawn")
        for worker in range(self.workers):
            numbers = list(range(worker, self.most // SHARD, self.workers))
            process = context.Process(target=_fill_quietly, args=(self.folder, self.make, numbers), daemon=True)
            process.start()
            self._processes.append(process)
        return self

    def stop(self) -> None:
        """End the background processes; shards written so far stay."""
        for process in self._processes:
            process.terminate()
            process.join()
        self._processes.clear()

    def check(self) -> None:
        """Raises InputError when a worker died."""
        for process in self._processes:
            if process.exitcode not in (None, 0):
                raise InputError(f"a worker filling {self.folder} ended with code {process.exitcode}; its error stands above")

    def refresh(self, most: int | None = None) -> int:
        """Read shards that have appeared since, `most` of them at once; the number of conversations at hand.

        Raises InputError when a worker died.
        """
        self.check()
        new = sorted(path for path in self.folder.glob("*.npz") if path.name not in self._shards)[:most]
        self._shards |= {path.name: read_shard(path) for path in new}
        if new:
            self.rows = [row for name in sorted(self._shards) for row in self._shards[name]]
        return len(self.rows)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def end_with_parent() -> None:
    """End this process once the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a process that another one started"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _fill_quietly(folder: Path, make: Callable[[int], Arrays], numbers: list[int]) -> None:
    end_with_parent()
    os.nice(5)
    fill(folder, make, numbers)


def fill(folder: Path, make: Callable[[int], Arrays], numbers: list[int]) -> None:
    """Write the shards of these numbers that are not there yet."""
    for number in numbers:
        path = folder / f"{number:06d}.npz"
        if not path.exists():
            write_shard(path, [make(number * SHARD + i) for i in range(SHARD)])


def write_shard(path: Path, rows: list[Arrays]) -> None:
    """Write conversations to one file, uncompressed; it appears whole or not at all."""
    flat = {f"{i}.{name}": np.asarray(array, order="C") for i, row in enumerate(rows) for name, array in row.items()}
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez(file, **flat)  # type: ignore[arg-type]
    partial.replace(path)


def read_shard(path: Path) -> list[Arrays]:
    """The conversations of one file, in order, mapped: what is never drawn is never read, and processes share what they have both read.

    The arrays can be written to; the file never is.
    """
    whole = np.asarray(np.memmap(path, np.uint8, mode="c"))
    rows: dict[int, dict[str, npt.NDArray[Any]]] = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            number, name = entry.filename.removesuffix(".npy").split(".", 1)
            rows.setdefault(int(number), {})[name] = _array_at(whole, entry.header_offset)
    return [rows[number] for number in sorted(rows)]


def _array_at(whole: npt.NDArray[np.uint8], begin: int) -> npt.NDArray[Any]:
    """The array of a member that is stored as it is, given where its local header begins (PKWARE's APPNOTE, 4.3.7)."""
    name, extra = (int.from_bytes(whole[begin + at : begin + at + 2], "little") for at in (26, 28))
    at = begin + LOCAL_HEADER + name + extra
    head = io.BytesIO(whole[at : at + MOST_HEADER].tobytes())
    assert np.lib.format.read_magic(head) == (1, 0), "as numpy writes arrays of plain numbers"
    shape, _, dtype = np.lib.format.read_array_header_1_0(head)
    at += head.tell()
    return whole[at : at + math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
