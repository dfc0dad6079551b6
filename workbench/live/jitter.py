"""A jitter buffer for a microphone: pieces in, in any order, late, lost, doubled or in bursts; exactly one tick of samples out.

Every sample has a number, counted since the capture began, and comes out once, in order of numbers. What is missing between two pieces
comes out as silence of exactly that length. Where the newest piece ends too early the rest of the tick is silence as well: if the missing
piece then comes, it comes out later, and the delay has grown by that silence; if it never comes, the silence has already stood for it. The
delay is bounded: over `most` samples waiting, the oldest are skipped. A delay that was not needed for a while is taken back sample by
sample, by making a tick of a few captured samples more than it has.

The buffer is a value: `push` and `pull` give the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from workbench.errors import InputError
from workbench.live.protocol import RATE, Pcm

Stretch: TypeAlias = tuple[int, int]  # numbers of the first sample and of the one after the last


@dataclass(frozen=True, kw_only=True)
class JitterSpec:
    """Lengths in samples: `margin` waits behind a tick to begin with, `most` at any time, `far` apart begins a new capture.

    A delay of `spare` over the margin in each of `window` pulls is taken back by `squeeze` a tick; no tick is corrected by more than
    `correction`.
    """

    margin: int = RATE * 60 // 1000
    most: int = RATE * 400 // 1000
    far: int = RATE * 10
    spare: int = RATE * 20 // 1000
    window: int = 25
    squeeze: int = 16
    correction: int = 32

    def __post_init__(self) -> None:
        if not (0 <= self.margin < self.most < self.far and self.window > 0 and 0 <= self.squeeze <= self.correction):
            raise InputError(f"{self}: give 0 <= margin < most < far, a window of 1 or more, and 0 <= squeeze <= correction")


@dataclass(frozen=True)
class Pulled:
    """One tick of sound and what happened on the way, in samples.

    `first` is the number of its first captured sample (None: none has come yet). `lost`: silence in place of what had not come; `late`:
    came since the last pull, after silence had stood for it between others; `doubled`: came again; `skipped`: thrown away to keep the
    bound; `corrected`: how many more captured samples than it has the tick was made of; `buffered`: what waits behind it.
    """

    samples: Pcm
    first: int | None = None
    lost: int = 0
    late: int = 0
    doubled: int = 0
    skipped: int = 0
    corrected: int = 0
    buffered: int = 0


@dataclass(frozen=True)
class JitterBuffer:
    """What waits to be given out (`held`, in order, not overlapping), and which numbers are behind (`past`).

    `next` is the number that comes out next, None before the first sound does. Silence before number `origin` stands for nothing; `owed` is
    silence already given out in the place of `next`. `spares` are what waited behind the last pulls.
    """

    spec: JitterSpec = JitterSpec()
    next: int | None = None
    held: tuple[tuple[int, Pcm], ...] = ()
    past: tuple[Stretch, ...] = ()
    origin: int = 0
    owed: int = 0
    late: int = 0
    doubled: int = 0
    skipped: int = 0
    spares: tuple[int, ...] = ()

    @property
    def newest(self) -> int | None:
        """The number after the newest sample that came; None before any."""
        if self.held:
            return self.held[-1][0] + len(self.held[-1][1])
        return self.next

    @property
    def waiting(self) -> int:
        """Samples between what was given out last and the newest one."""
        newest = self.newest
        return 0 if newest is None else newest - (self.held[0][0] if self.next is None else self.next)

    def push(self, n: int, samples: Pcm) -> JitterBuffer:
        """With a piece of the capture whose first sample has number `n`."""
        newest = self.newest
        if newest is not None and abs(n - newest) > self.spec.far:
            return self.anew().push(n, samples)
        known = [*self.past, *((at, at + len(piece)) for at, piece in self.held)]
        fresh = _without((n, n + len(samples)), known)
        doubled = len(samples) - sum(end - begin for begin, end in fresh)
        held, past, late = list(self.held), self.past, 0
        for begin, end in fresh:
            split = begin if self.next is None else min(max(begin, self.next), end)
            if begin < split:
                late += split - begin
                past = _with(past, (begin, split))
            if split < end:
                held.append((split, samples[split - n : end - n]))
        held.sort(key=lambda item: item[0])
        return replace(self, held=tuple(held), past=past, late=self.late + late, doubled=self.doubled + doubled)._bounded()

    def pull(self, size: int, correct: int = 0) -> tuple[Pulled, JitterBuffer]:
        """One tick of `size` samples, made of `correct` captured ones more than that where enough wait; and the buffer after it."""
        state = self._begun(size)
        if state.next is None:
            return state._pulled(Pulled(np.zeros(size, np.int16), late=state.late, doubled=state.doubled, skipped=state.skipped))
        correct = state._correction(size, correct)
        state = state._caught_up(size + correct)
        first = state.next
        assert first is not None
        captured, lost, state = state._read(size + correct)
        spares = () if state.owed else (*(s - correct for s in state.spares[-state.spec.window + 1 :]), state.waiting)
        state = replace(state, spares=spares)
        sound = _squeezed(captured, size)
        return state._pulled(Pulled(sound, first, lost, state.late, state.doubled, state.skipped, correct, state.waiting))

    def anew(self) -> JitterBuffer:
        """The buffer before a new capture; what still waited counts as skipped."""
        dropped = sum(len(piece) for _, piece in self.held)
        return JitterBuffer(self.spec, late=self.late, doubled=self.doubled, skipped=self.skipped + dropped)

    def _pulled(self, pulled: Pulled) -> tuple[Pulled, JitterBuffer]:
        return pulled, replace(self, late=0, doubled=0, skipped=0)

    def _begun(self, size: int) -> JitterBuffer:
        """With the first number set once more than the margin has come; silence that stands for nothing leads in a short beginning."""
        if self.next is not None or self.waiting <= self.spec.margin:
            return self
        first = self.held[0][0]
        lead = max(0, size + self.spec.margin - self.waiting)
        return replace(self, next=first - lead, origin=first)

    def _correction(self, size: int, correct: int) -> int:
        """`correct` and what is taken back of a delay that was not needed, within bounds; 0 where not enough waits."""
        spec = self.spec
        spare = min(self.spares) - spec.margin - spec.spare if len(self.spares) == spec.window else 0
        correct = max(-spec.correction, min(spec.correction, correct + max(0, min(spec.squeeze, spare))))
        return correct if self.waiting >= size + correct else 0

    def _caught_up(self, size: int) -> JitterBuffer:
        """With the oldest samples skipped when more than `most` would wait behind a tick."""
        excess = self.waiting - size - self.spec.most
        return self if excess <= 0 else self._skipped_to(self.waiting - size - self.spec.margin)

    def _bounded(self) -> JitterBuffer:
        """Without what a sender who runs far ahead of the pulls has piled up."""
        excess = self.waiting - self.spec.far
        return self if excess <= 0 else self._skipped_to(excess)

    def _skipped_to(self, count: int) -> JitterBuffer:
        """With the next `count` numbers passed over."""
        begin = self.held[0][0] if self.next is None else self.next
        target, state = begin + count, self
        skipped = sum(max(0, min(at + len(piece), target) - at) for at, piece in self.held)
        held = tuple((max(at, target), piece[max(0, target - at) :]) for at, piece in self.held if at + len(piece) > target)
        for at, piece in self.held:
            if at < target:
                state = replace(state, past=_with(state.past, (at, min(at + len(piece), target))))
        return replace(state, next=target, held=held, owed=0, skipped=self.skipped + skipped, spares=())

    def _read(self, size: int) -> tuple[Pcm, int, JitterBuffer]:
        """`size` samples from `next` on, how many of them are silence for what had not come, and the buffer after them."""
        out = np.zeros(size, np.int16)
        at, lost, owed, left, past = 0, 0, self.owed, list(self.held), self.past
        number = self.next
        assert number is not None
        while left and at < size:
            begin, piece = left[0]
            stood = min(owed, begin - number)
            number, owed = number + stood, owed - stood
            silent = min(begin - number, size - at)
            lead = max(0, min(number + silent, self.origin) - number)
            at, number, lost = at + silent, number + silent, lost + silent - lead
            if number < begin:
                break
            count = min(len(piece), size - at)
            out[at : at + count] = piece[:count]
            past = _with(past, (number, number + count))
            at, number, owed = at + count, number + count, 0
            left[:1] = [(number, piece[count:])] if count < len(piece) else []
        tail = 0 if left else size - at
        past = tuple(s for s in past if s[1] > number - self.spec.far)
        return out, lost + tail, replace(self, next=number, held=tuple(left), past=past, owed=owed + tail)


def _without(stretch: Stretch, known: Iterable[Stretch]) -> list[Stretch]:
    """What of a stretch lies in none of the known ones, in order."""
    left = [stretch]
    for begin, end in known:
        left = [piece for b, e in left for piece in ((b, min(e, begin)), (max(b, end), e)) if piece[0] < piece[1]]
    return left


def _with(stretches: tuple[Stretch, ...], stretch: Stretch) -> tuple[Stretch, ...]:
    """The stretches and one more, in order, those that touch joined."""
    joined: list[Stretch] = []
    for begin, end in sorted((*stretches, stretch)):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return tuple(joined)


def _squeezed(captured: Pcm, size: int) -> Pcm:
    """The same sound in `size` samples, by linear interpolation."""
    if len(captured) == size:
        return captured
    places = np.linspace(0, len(captured) - 1, size)
    return np.rint(np.interp(places, np.arange(len(captured)), captured)).astype(np.int16)
