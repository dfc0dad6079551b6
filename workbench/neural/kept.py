"""What an earlier training left where one is to write: it is gone on from or replaced, and never lost unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.errors import InputError


def goes_on(kept: Sequence[Path], made: Path, *, resume: bool, overwrite: bool) -> bool:
    """Whether a training is to go on from the one before: it resumes, and there is a file of `kept`, which are to resume from.

    Changes nothing. Raises InputError when a file of `kept`, or `made`, which came of them, is there and neither `resume` can go on from it
    nor `overwrite` gives it up; and for both of these at once.
    """
    if resume and overwrite:
        raise InputError("--resume goes on from the training in --out and --overwrite replaces it; give one of the two")
    there = [path for path in kept if path.exists()]
    if resume and there:
        return True
    if overwrite or not (there or made.exists()):
        return False
    if there:
        raise InputError(f"{there[0]} exists; give another --out, --resume to go on from it, or --overwrite to replace what is there")
    gone = " and ".join(path.name for path in kept)
    raise InputError(f"{made} exists, and no {gone} to resume from; give another --out, or --overwrite to replace what is there")
