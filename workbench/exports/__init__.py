"""A trace in the formats of other programs. `EXPORTS` maps a name to a function that writes into a folder and returns the files.

The module of each tells in its first line what it writes, and in FILES the names of the files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from workbench.errors import InputError
from workbench.exports.chrome_trace import write_chrome_trace
from workbench.exports.fdb import write_fdb
from workbench.exports.fdb_dataset import DATASET
from workbench.exports.mcap import write_mcap
from workbench.exports.otel import write_otel
from workbench.exports.parquet import write_parquet
from workbench.exports.rttm import write_rttm
from workbench.exports.textgrid import write_textgrid
from workbench.exports.turnbench import write_turnbench
from workbench.exports.vtt import write_vtt
from workbench.given import folder_to_write
from workbench.trace import Trace

Export: TypeAlias = Callable[[Trace, Path], list[Path]]

EXPORTS: Mapping[str, Export] = {
    "fdb": write_fdb,
    "textgrid": write_textgrid,
    "vtt": write_vtt,
    "rttm": write_rttm,
    "chrome-trace": write_chrome_trace,
    "turnbench": write_turnbench,
    "mcap": write_mcap,
    "parquet": write_parquet,
    "otel": write_otel,
}


def about(to: str) -> str:
    """What an export writes, in a few words: as the module that writes it begins."""
    module = sys.modules[EXPORTS[to].__module__]
    return (module.__doc__ or "").partition("\n")[0].partition(":")[0].rstrip(".")


def files_of(to: str) -> tuple[str, ...]:
    """The names of the files that an export writes into its folder. Raises InputError for an unknown name."""
    names: tuple[str, ...] = sys.modules[_known(to).__module__].FILES
    return names


def export(trace: Trace, to: str, folder: Path) -> list[Path]:
    """Write a trace as `to` (a name in EXPORTS) into `folder`, made if absent; the files.

    Raises InputError for an unknown name, and where the folder is a file.
    """
    write = _known(to)
    folder_to_write(folder).mkdir(parents=True, exist_ok=True)
    return write(trace, folder)


def _known(to: str) -> Export:
    if to not in EXPORTS:
        raise InputError(f"no export called {to!r}; there are {', '.join(EXPORTS)}, and for many traces at once {DATASET}")
    return EXPORTS[to]
