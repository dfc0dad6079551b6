"""Where two runs differ; wall-clock measurements and notes about the file itself are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.events import Decision, Event, PayloadErased, kind_of, to_json
from workbench.packets import MicroTurn, Packet, Payload
from workbench.trace import Trace

AUDIO_STEP = 1 / 32_768  # what PCM16 storage may change a sample by
NUMBERS_WITHIN = 1e-3  # probabilities and times in events


@dataclass(frozen=True)
class Difference:
    """The first tick in which two runs differ, and in what: a stream, an event kind, or "length"."""

    tick: int
    what: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"tick {self.tick}, {self.what}: {self.left} against {self.right}"


@dataclass(frozen=True)
class Choice:
    """A micro-turn in which two agents chose otherwise; None for one that left no record of it."""

    tick: int
    left: Decision | None
    right: Decision | None

    def __str__(self) -> str:
        return f"tick {self.tick}, {_chosen(self.left)} against {_chosen(self.right)}"


def first_difference(left: Trace, right: Trace, *, exact: bool = False) -> Difference | None:
    """The first difference of two traces, or None.

    Words and choices must be equal. Unless `exact`, audio may differ by one PCM16 step and numbers in events by 0.001, so that a trace
    stored as PCM16 and a run on another machine compare on what was decided. Volatile events, erasures and ground-truth orders are not
    compared.
    """
    for one, two in zip(left.turns, right.turns, strict=False):
        found = turn_difference(one, two, exact=exact)
        if found:
            return found
    if len(left) != len(right):
        return Difference(min(len(left), len(right)), "length", f"{len(left)} ticks", f"{len(right)} ticks")
    return None


def turn_difference(left: MicroTurn, right: MicroTurn, *, exact: bool = False) -> Difference | None:
    """The first difference of two micro-turns, or None; see `first_difference`."""
    if left.tick != right.tick:
        return Difference(min(left.tick, right.tick), "tick", str(left.tick), str(right.tick))
    ours, theirs = _by_stream(left.packets), _by_stream(right.packets)
    for stream in sorted(ours.keys() | theirs.keys()):
        if not _same_payload(ours.get(stream), theirs.get(stream), exact):
            return Difference(left.tick, stream, _show(ours.get(stream)), _show(theirs.get(stream)))
    return _event_difference(left.tick, _lasting(left.events), _lasting(right.events), 0.0 if exact else NUMBERS_WITHIN)


def differing_choices(left: Trace, right: Trace) -> list[Choice]:
    """The micro-turns in which the agents of two runs said something else or held the floor in another state, in order.

    A run that is over, or that left no record, counts as silent. What came out counts, not the probabilities that led to it.
    """
    ours, theirs = dict(left.events(Decision)), dict(right.events(Decision))
    pairs = (Choice(tick, ours.get(tick), theirs.get(tick)) for tick in sorted(ours.keys() | theirs.keys()))
    return [pair for pair in pairs if _otherwise(pair.left, pair.right)]


def _chosen(decision: Decision | None) -> str:
    if decision is None:
        return "no record"
    return f"said {decision.said!r} ({decision.floor})" if decision.said else f"nothing said ({decision.floor})"


def _otherwise(left: Decision | None, right: Decision | None) -> bool:
    if left is None or right is None:
        return any(decision is not None and decision.said for decision in (left, right))
    return (left.said, left.floor) != (right.said, right.floor)


def _event_difference(tick: int, ours: list[Event], theirs: list[Event], within: float) -> Difference | None:
    for one, two in zip(ours, theirs, strict=False):
        if kind_of(one) != kind_of(two):
            return Difference(tick, "events", kind_of(one), kind_of(two))
        if not _alike(to_json(one), to_json(two), within):
            return Difference(tick, kind_of(one), *_differing(to_json(one), to_json(two), within))
    if len(ours) != len(theirs):
        kinds = [", ".join(map(kind_of, events)) or "no events" for events in (ours, theirs)]
        return Difference(tick, "events", *kinds)
    return None


def _differing(one: Mapping[str, Any], two: Mapping[str, Any], within: float) -> tuple[str, str]:
    """The fields of two events of one kind that differ, each with its value there."""
    names = [name for name in {**one, **two} if not _alike(one.get(name), two.get(name), within)]
    left, right = (", ".join(f"{name} {body.get(name)!r}" for name in names) for body in (one, two))
    return left, right


def _lasting(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if not event.volatile and not isinstance(event, PayloadErased)]


def _by_stream(packets: Iterable[Packet]) -> dict[str, Payload]:
    return {packet.stream: packet.payload for packet in packets if not isinstance(packet.payload, tuple)}


def _same_payload(one: Payload | None, two: Payload | None, exact: bool) -> bool:
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        if one.shape != two.shape or one.dtype != two.dtype:
            return False
        if exact or one.dtype != np.float32:
            return one.tobytes() == two.tobytes()
        return bool(np.abs(np.clip(one, -1, 1) - np.clip(two, -1, 1)).max(initial=0.0) <= AUDIO_STEP)
    return type(one) is type(two) and one == two


def _alike(one: Any, two: Any, within: float) -> bool:
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(_alike(one[key], two[key], within) for key in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(_alike(a, b, within) for a, b in zip(one, two, strict=True))
    if isinstance(one, float | int) and isinstance(two, float | int):
        return bool(one == two) or abs(one - two) <= within
    return bool(one == two)


def _show(payload: Payload | None) -> str:
    if payload is None:
        return "nothing"
    if isinstance(payload, np.ndarray):
        return f"{payload.dtype} {payload.shape}, rms {float(np.sqrt(np.mean(np.square(payload, dtype=np.float64)))):.5f}"
    return repr(payload)
