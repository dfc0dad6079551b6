"""What a training keeps to go on from: a file of weights, optimisers and progress, read back only into the model it is of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from model.config import ModelConfig, to_dict
from model.layout import LAYOUT_VERSION, Vocabulary

SAVED = "training.pt"
TOLD = 4  # differences that an error names
ELSEWHERE = "give another --out, or --overwrite for --resume to begin anew"


class ResumeError(ValueError):
    """What was saved cannot be gone on from: it cannot be read, or is of another model."""


def kind_of(config: ModelConfig, vocabulary: Vocabulary | None) -> dict[str, Any]:
    """What two runs must share for one to go on from the other, as JSON values: cell layout, sizes, and the words behind the numbers."""
    words = asdict(vocabulary) if vocabulary else None
    kind: dict[str, Any] = json.loads(json.dumps({"layout": LAYOUT_VERSION, "config": to_dict(config), "vocabulary": words}))
    return kind


def write_saved(path: Path, kind: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Keep the state of a training in a file, with the kind it is of; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({"kind": kind, **state}, partial)
    partial.replace(path)


def read_saved(path: Path, kind: Mapping[str, Any]) -> dict[str, Any]:
    """The state kept in a file, if it is of this kind.

    Raises FileNotFoundError when there is none, ResumeError when it cannot be read or is of another kind.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist, so there is nothing to resume; start without --resume")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a file cut short or changed fails in many ways, each with a class of its own
        why = str(error).partition("\n")[0]
        raise ResumeError(f"{path} cannot be read ({why}), so it cannot be resumed from; {ELSEWHERE}") from error
    if not isinstance(state, dict) or "kind" not in state:
        raise ResumeError(
            f"{path} does not say what model it is of, as files of earlier versions; resume it by the version it is of, or {ELSEWHERE}"
        )
    if unlike := _differences(state["kind"], kind):
        told = "; ".join(unlike[:TOLD]) + (f"; and {len(unlike) - TOLD} more" if len(unlike) > TOLD else "")
        raise ResumeError(f"{path} is of another model ({told}); resume it by the recipe it was begun with, or {ELSEWHERE}")
    return state


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What the saved kind and this one differ in, one text each."""
    saved, ours = dict(flat(there)), dict(flat(here))
    return [_unlike(name, saved.get(name), ours.get(name)) for name in {**saved, **ours} if saved.get(name) != ours.get(name)]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of nested tables by its dotted name."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def _unlike(name: str, there: Any, here: Any) -> str:
    if not isinstance(there, list) or not isinstance(here, list) or len(there) + len(here) <= 2 * TOLD:
        return f"{name} is {there!r} there and {here!r} here"
    sides = {"there": [one for one in there if one not in here], "here": [one for one in here if one not in there]}
    only = [f"only {side} {_some(those)}" for side, those in sides.items() if those]
    return f"{name}: {', '.join(only) or 'in another order'}"


def _some(those: list[Any]) -> str:
    return " ".join(map(repr, those[:TOLD])) + (f" and {len(those) - TOLD} more" if len(those) > TOLD else "")
