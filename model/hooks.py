"""Looking inside a running model: every hook point by name, what stands there caught tick by tick, and changed.

    with watching(model, capture := Capture(["layer.*.residual"])):
        ...                            # stream cells, or run a whole sequence: the numbers are the same
    capture["layer.3.residual"]        # (ticks, width)

A hook point names a tensor of the forward pass; `hook_points` lists them with their shapes. `layer.N.attention` and `layer.N.ffn` are what
the layer adds to the residual stream, `layer.N.residual` is the stream after it, `final` is what the heads read, `head.*` are logits.
Outside `watching` the model runs as if this file did not exist.
"""

# B rows, P positions of a pass, N positions shown, D width

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.config import ModelConfig
from model.layout import HALVES, Ints, Kind


@dataclass(frozen=True)
class Place:
    """One position of the sequence: session of the batch, tick, what it carries, and which of its kind in the cell it is."""

    row: int
    tick: int
    kind: Kind
    part: int = 0

    def __str__(self) -> str:
        return f"tick {self.tick}, {self.kind.name.lower()} {self.part}"


@dataclass(frozen=True, eq=False)
class Places:
    """The positions shown at a hook point, in order, row after row; int64 (N,) each, and the pass of the model they belong to."""

    row: Ints
    tick: Ints
    kind: Ints
    part: Ints
    passing: object

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, index: int) -> Place:
        return Place(int(self.row[index]), int(self.tick[index]), Kind(int(self.kind[index])), int(self.part[index]))

    def take(self, index: slice | Ints) -> Places:
        """The places of these indices."""
        return Places(self.row[index], self.tick[index], self.kind[index], self.part[index], self.passing)


class Watcher(Protocol):
    """Whoever looks at hook points: is shown what stands there and gives what goes on."""

    @property
    def names(self) -> Sequence[str]:
        """The hook points it looks at; `*` stands for anything, as in "layer.*.ffn"."""
        ...

    def see(self, name: str, places: Places, x_N: Tensor) -> Tensor:
        """Called in every pass for every name: the same tensor to leave things alone, another of its shape to change them."""
        ...


Watching: TypeAlias = Mapping[str, tuple[Watcher, ...]]
"""Who watches a model, by hook point; empty for an unwatched one."""


class Watched(Protocol):
    """A model that can be watched."""

    config: ModelConfig
    watching: Watching


def hook_points(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every hook point, in the order of the forward pass, with the shape of what stands there at one position."""
    width = (config.trunk.width,)
    layers = {f"layer.{i}.{part}": width for i in range(config.trunk.num_layers) for part in ("attention", "ffn", "residual")}
    heads = {"head.text": (config.vocab_size,), "head.heard": (HALVES, config.hear_vocab_size), "head.active": ()}
    return {"embed": width, **layers, "final": width, **heads}


@contextmanager
def watching(model: Watched, *watchers: Watcher) -> Iterator[None]:
    """Show the hook points of a model to these watchers until the block is left, in whichever way.

    Each sees what those before it have made of a tensor. Raises ValueError for a name that no hook point has.
    """
    before = model.watching
    now = dict(before)
    for watcher in watchers:
        now.update({name: (*now.get(name, ()), watcher) for name in _matching(model.config, tuple(watcher.names))})
    model.watching = now
    try:
        yield
    finally:
        model.watching = before


@lru_cache(maxsize=64)  # an agent's model is watched anew in every tick
def _matching(config: ModelConfig, names: tuple[str, ...]) -> frozenset[str]:
    points = list(hook_points(config))
    found: set[str] = set()
    for name in names:
        matches = [point for point in points if fnmatchcase(point, name)]
        if not matches:
            raise ValueError(
                f"no hook point {name!r}; there are embed, layer.N.attention, layer.N.ffn, layer.N.residual (N from 0 to "
                f"{config.trunk.num_layers - 1}), final, head.text, head.heard and head.active"
            )
        found.update(matches)
    return frozenset(found)


class Tap:
    """One pass of a watched model: knows what each of its positions is, and shows its tensors to the watchers."""

    def __init__(self, watchers: Watching, kind_BP: Ints, tick_BP: Ints, part_BP: Ints) -> None:
        self._watchers = watchers
        self._kind_BP, self._tick_BP, self._part_BP = kind_BP, tick_BP, part_BP
        self._shown: dict[str, int] = {}
        self._pieces: dict[object, _Piece] = {}

    def __call__(self, name: str, x_BPD: Tensor) -> Tensor:
        """What goes on at a hook point of every position; a long pass comes in pieces, one after the other."""
        watchers = self._watchers.get(name)
        if not watchers:
            return x_BPD
        first, length = self._shown.get(name, 0), x_BPD.shape[1]
        self._shown[name] = first + length
        piece = self._pieces.get((first, length))
        if piece is None:
            real_BP = self._kind_BP[:, first : first + length] != Kind.PAD
            row_N, at_N = np.nonzero(real_BP)
            piece = self._pieces[first, length] = self._piece(row_N, first + at_N, real_BP)
        return _through(watchers, name, piece, x_BPD)

    def cells(self, name: str, x_BT: Tensor, listen_BT: Ints) -> Tensor:
        """What goes on at a hook point that every cell has once, at the position `listen_BT`."""
        watchers = self._watchers.get(name)
        if not watchers:
            return x_BT
        if "cells" not in self._pieces:
            real_BT = np.arange(listen_BT.shape[1]) < (self._kind_BP == Kind.MARK).sum(1, keepdims=True)
            self._pieces["cells"] = self._piece(np.nonzero(real_BT)[0], listen_BT[real_BT], real_BT)
        return _through(watchers, name, self._pieces["cells"], x_BT)

    def some(self, name: str, x_N: Tensor, there_BP: npt.NDArray[np.bool_]) -> Tensor:
        """What goes on at a hook point that only the positions of `there_BP` have, row after row."""
        watchers = self._watchers.get(name)
        return _shown_to(watchers, name, self._piece(*np.nonzero(there_BP), there_BP).places, x_N) if watchers else x_N

    def _piece(self, row_N: Ints, at_N: Ints, real: npt.NDArray[np.bool_]) -> _Piece:
        which = (row_N, at_N)
        places = Places(row_N, self._tick_BP[which], self._kind_BP[which], self._part_BP[which], self)
        return _Piece(places, None if real.all() else torch.from_numpy(np.flatnonzero(real)))


@dataclass(frozen=True)
class _Piece:
    """The real positions of a batch, and their index in it; None where all are real."""

    places: Places
    index_N: Tensor | None


def _through(watchers: Sequence[Watcher], name: str, piece: _Piece, x_BP: Tensor) -> Tensor:
    """The batch after the watchers have seen its real positions."""
    flat = x_BP.flatten(0, 1)
    seen_N = flat if piece.index_N is None else flat[piece.index_N]
    made_N = _shown_to(watchers, name, piece.places, seen_N)
    if made_N is seen_N:
        return x_BP
    return (made_N if piece.index_N is None else flat.index_copy(0, piece.index_N, made_N)).view(x_BP.shape)


def _shown_to(watchers: Sequence[Watcher], name: str, places: Places, x_N: Tensor) -> Tensor:
    for watcher in watchers:
        made_N = watcher.see(name, places, x_N)
        if made_N is not x_N and made_N.shape != x_N.shape:
            raise ValueError(
                f"at {name} {tuple(x_N.shape[1:])} numbers stand at each of {len(places)} positions, but {type(watcher).__name__} "
                f"gave {tuple(made_N.shape)}; give back a tensor of the shape that was shown"
            )
        x_N = made_N
    return x_N


@dataclass(frozen=True)
class _Chunk:
    """What was shown of one session in one pass, by hook point, at the positions `places`; ticks `first` to `last`."""

    places: Places
    first: int
    last: int
    shown: dict[str, Tensor]


class Capture:
    """What stood at hook points in the last `ticks` ticks of a run, without gradients.

    `capture[name]` is one row per tick, (T, ...), read where the cell decides: at its last input position. `cell` gives every position of
    one tick. A capture follows one session, or `rows` of them in a batch. Taking a tick in again, as a fork or a new session does, forgets
    that tick and all after it.
    """

    def __init__(self, names: Sequence[str], ticks: int = 512, rows: int = 1) -> None:
        if ticks < 1:
            raise ValueError(f"ticks={ticks} must be at least 1; it says how many of the last ticks are kept")
        self.names = (names,) if isinstance(names, str) else tuple(names)
        self.num_ticks = ticks
        self.rows = rows
        self._held: dict[int, deque[_Chunk]] = {}
        self._open: dict[Places, list[tuple[_Chunk, slice | None]]] = {}
        self._passing: object = None

    def see(self, name: str, places: Places, x_N: Tensor) -> Tensor:
        """Keep what is shown; nothing is changed."""
        opened = self._open.get(places)
        if opened is None:
            opened = self._begin(places)
        kept_N = x_N.detach() if x_N.requires_grad else x_N
        for chunk, part in opened:
            chunk.shown[name] = kept_N if part is None else kept_N[part].clone()
        return x_N

    def clear(self) -> None:
        """Forget everything, so that another session may be followed."""
        self._held.clear()
        self._open.clear()

    def points(self, row: int = 0) -> list[str]:
        """The hook points at which something is held, in the order of the forward pass."""
        return list(dict.fromkeys(name for chunk in self._held.get(row, ()) for name in chunk.shown))

    def ticks(self, row: int = 0) -> list[int]:
        """The ticks that are held."""
        held = self._held.get(row)
        first, last = (held[0].first, held[-1].last) if held else (0, -1)
        return list(range(max(first, last - self.num_ticks + 1), last + 1))

    def __getitem__(self, name: str) -> Tensor:
        return self.series(name)

    def series(self, name: str, row: int = 0) -> Tensor:
        """(T, ...): what stood at the last input position of each of `ticks(row)`. Raises ValueError when nothing was captured there."""
        places, x_N = self._all(name, row)
        inputs = np.flatnonzero(places.kind != Kind.OUT)
        last = inputs[np.append(np.diff(places.tick[inputs]) > 0, True)]
        return x_N[torch.from_numpy(last)]

    def cell(self, name: str, tick: int, row: int = 0) -> tuple[list[Place], Tensor]:
        """Every position of one tick and what stood there, (P, ...). Raises ValueError for a tick that is not held."""
        places, x_N = self._all(name, row)
        index = np.flatnonzero(places.tick == tick)
        if not len(index):
            raise ValueError(f"tick {tick} is not held at {name}; ticks {places.tick[0]} to {places.tick[-1]} are")
        return [places[i] for i in index.tolist()], x_N[torch.from_numpy(index)]

    def _begin(self, places: Places) -> list[tuple[_Chunk, slice | None]]:
        """New chunks for these positions, one per session, and which of the positions each keeps (None: all)."""
        if len(places) and places.row[-1] >= self.rows:
            raise ValueError(
                f"{places.row[-1] + 1} sessions run in this pass and the capture follows {self.rows}; "
                "make it Capture(..., rows=N), or give every session its own"
            )
        anew = places.passing is not self._passing
        if anew:
            self._open.clear()
            self._passing = places.passing
        parts = {0: slice(0, len(places))} if self.rows == 1 else _rows(places)
        self._open[places] = [self._chunk(row, places, part, anew) for row, part in parts.items() if part.stop > part.start]
        return self._open[places]

    def _chunk(self, row: int, places: Places, part: slice, anew: bool) -> tuple[_Chunk, slice | None]:
        held = self._held.setdefault(row, deque())
        first, last = int(places.tick[part.start]), int(places.tick[part.stop - 1])
        if anew and places.kind[part.start] != Kind.OUT:
            _forget_from(held, first)
        newest = held[-1].last if held else first - 1
        if first > newest + 1:
            raise ValueError(
                f"tick {first} comes after tick {newest}: two sessions share a capture, or it was laid aside; clear() it, or make two"
            )
        if last - first >= self.num_ticks:
            recent = part.start + int(np.searchsorted(places.tick[part], last - self.num_ticks, side="right"))
            part, first = slice(recent, part.stop), last - self.num_ticks + 1
        everything = part.stop - part.start == len(places)
        held.append(_Chunk(places if everything else places.take(part), first, last, {}))
        while held[0].last <= last - self.num_ticks:
            held.popleft()
        return held[-1], None if everything else part

    def _all(self, name: str, row: int) -> tuple[Places, Tensor]:
        chunks = [chunk for chunk in self._held.get(row, ()) if name in chunk.shown]
        if not chunks:
            there = self.points(row) or ["nothing yet"]
            raise ValueError(f"nothing was captured at {name!r} in row {row}; this capture holds {', '.join(there)}")
        row_N, tick_N, kind_N, part_N = (
            np.concatenate([getattr(chunk.places, field) for chunk in chunks]) for field in ("row", "tick", "kind", "part")
        )
        recent = np.flatnonzero(tick_N > chunks[-1].last - self.num_ticks)
        x_N = torch.cat([chunk.shown[name] for chunk in chunks])[torch.from_numpy(recent)]
        return Places(row_N, tick_N, kind_N, part_N, self).take(recent), x_N


def _rows(places: Places) -> dict[int, slice]:
    """Which of the positions belong to each session."""
    rows = np.unique(places.row)
    first, last = (np.searchsorted(places.row, rows, side=side).tolist() for side in ("left", "right"))
    return {int(row): slice(*bounds) for row, *bounds in zip(rows, first, last, strict=True)}


def _forget_from(held: deque[_Chunk], tick: int) -> None:
    """Drop what was held from a tick on."""
    kept = [chunk for chunk in held if chunk.first < tick]
    held.clear()
    for chunk in kept:
        if chunk.last >= tick:
            before = int(np.searchsorted(chunk.places.tick, tick))
            chunk = _Chunk(chunk.places.take(slice(before)), chunk.first, tick - 1, {n: x[:before] for n, x in chunk.shown.items()})
        held.append(chunk)


INPUTS = frozenset(Kind) - {Kind.PAD, Kind.OUT}
"""The kinds of position that a cell takes in, before it says anything."""

Change: TypeAlias = Callable[[str, Place, Tensor], Tensor]
"""(name, place, what stands there) -> what goes on instead; called for one position at a time."""


@dataclass(frozen=True)
class Intervention:
    """Lets `change` decide what goes on from the given hook points.

    `ticks` and `kinds` say where; None is everywhere. The positions of one cell are its inputs and then, one by one, the tokens it says.
    """

    change: Change
    names: Sequence[str]
    ticks: Collection[int] | None = None
    kinds: Collection[Kind] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.names, str):
            object.__setattr__(self, "names", (self.names,))

    @property
    def where(self) -> str:
        """The ticks and kinds in words, as in "ticks 12 to 20, mark"."""
        ticks = "every tick" if self.ticks is None else f"ticks {min(self.ticks)} to {max(self.ticks)}" if self.ticks else "no tick"
        return ", ".join([ticks, *(kind.name.lower() for kind in sorted(self.kinds or ()))])

    def see(self, name: str, places: Places, x_N: Tensor) -> Tensor:
        """The tensor with the chosen positions changed; itself when there are none."""
        chosen = [
            index
            for index, (tick, kind) in enumerate(zip(places.tick.tolist(), places.kind.tolist(), strict=True))
            if (self.ticks is None or tick in self.ticks) and (self.kinds is None or kind in self.kinds)
        ]
        if not chosen:
            return x_N
        changed = list(x_N.unbind())
        for index in chosen:
            changed[index] = self._changed(name, places[index], x_N[index])
        return torch.stack(changed)

    def _changed(self, name: str, place: Place, x: Tensor) -> Tensor:
        made = self.change(name, place, x)
        if not isinstance(made, Tensor) or made.shape != x.shape:
            got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise ValueError(f"the change at {name} ({place}) gave {got} for {tuple(x.shape)}; give back a tensor of the same shape")
        return made


def zero(name: str, place: Place, x: Tensor) -> Tensor:
    """A change: nothing stands there."""
    return torch.zeros_like(x)


def add(direction: Tensor) -> Change:
    """The change that adds a vector."""
    return lambda name, place, x: x + direction


def replace(value: Tensor) -> Change:
    """The change that puts one vector in the place of what stood there."""
    return lambda name, place, x: value.expand_as(x)


def patch(other: Capture, row: int = 0) -> Change:
    """The change that puts what stood at the same place in another run. Raises ValueError where that run had no such place."""

    def change(name: str, place: Place, x: Tensor) -> Tensor:
        places, x_PD = other.cell(name, place.tick, row)
        there: Mapping[tuple[Kind, int], int] = {(p.kind, p.part): index for index, p in enumerate(places)}
        if (place.kind, place.part) not in there:
            have = ", ".join(f"{p.kind.name.lower()} {p.part}" for p in places)
            raise ValueError(f"the other run has no {place}: its cell had {have}; narrow the intervention with kinds=")
        return x_PD[there[place.kind, place.part]]

    return change
