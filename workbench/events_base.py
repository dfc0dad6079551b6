"""What every event has: a tag, and the fields that a newer version wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class EventBase:
    """An event is a frozen dataclass with a `kind` under which it is stored."""

    kind: ClassVar[str]
    volatile: ClassVar[bool] = False  # wall-clock measurements: not compared when a run is replayed
    extra: Mapping[str, Any] = field(default_factory=dict)  # fields written by a newer version, carried along
