"""Events of voice activity projection (Ekstedt and Skantze, 2022; arXiv 2205.09812): shift, hold and back-channel, and their foresight.

Our code from their definitions. Voice activity of two speakers is a boolean array (frames, 2) at 50 Hz.

- A silence between two stretches of single speech is a hold if the same speaker goes on, a shift if the other does. It counts if it lasts
  0.25 s (a pad of 0.05 and a window of 0.2), if one speaker alone is active for 1.0 s on either side, pauses inside holds filled, and if
  3 s went before. It is judged in the window from 0.05 s after its onset, and foreseen in the last 0.5 s before it if its speaker alone
  is active through them without a pause.
- A back-channel is a stretch of at most 1.0 s, pauses inside holds filled, with 1.0 s of its speaker's own silence on either side and 3 s
  before it; it is foreseen in the 0.5 s before.
- Nothing is foreseen in the first 3 s.
- The projection of a frame is who is active in the next 2 s: bins of 0.2, 0.4, 0.6 and 0.8 s for each, active if half of its frames are;
  eight bits, 256 classes, the first speaker's four bins in the low bits, nearest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.packets import AGENT_AUDIO
from workbench.scoring.measured import Case, MeanKind, Measured, mean
from workbench.scoring.people import MURMURS, told
from workbench.scoring.reading import people_spans, sound_spans, where_from
from workbench.trace import Trace

RATE = 50
BIN_FRAMES = (10, 20, 30, 40)
PAD_S, WINDOW_S, ALONE_S, CONTEXT_S, FORESEEN_S = 0.05, 0.2, 1.0, 3.0, 0.5
MURMUR_S, MURMUR_ALONE_S = 1.0, 1.0
USER, AGENT = 0, 1
SETUP = {
    "benchmark": "VAP events",
    "revision": "f39a78b",  # of the reference code
    "frames": RATE,
    "silence_s": {"pad": PAD_S, "window": WINDOW_S, "alone": ALONE_S, "context": CONTEXT_S},
    "backchannel_s": {"longest": MURMUR_S, "alone": MURMUR_ALONE_S},
}

Active: TypeAlias = npt.NDArray[np.bool_]  # (frames, 2)
Region: TypeAlias = tuple[int, int]  # frames [from, to)
Kind: TypeAlias = Literal["shift", "hold", "backchannel"]


@dataclass(frozen=True)
class VapEvent:
    """One event: whose it is (the next speaker of a silence, or who murmurs), its frames, where it is judged and where it is foreseen.

    `foreseen` is None where it cannot be.
    """

    kind: Kind
    speaker: int
    frames: Region
    judged: Region
    foreseen: Region | None


def frames(seconds: float) -> int:
    """Frames in a duration, rounded down as the reference does."""
    return int(seconds * RATE + 1e-9)


def activity(spans: Sequence[Sequence[tuple[float, float]]], duration_s: float) -> Active:
    """Voice activity of two speakers from where each sounds, in seconds; a frame is active if any of it is."""
    found = np.zeros((frames(duration_s), 2), bool)
    for speaker, some in enumerate(spans):
        for start_s, end_s in some:
            found[max(0, int(start_s * RATE + 1e-6)) : max(0, int(np.ceil(end_s * RATE - 1e-6))), speaker] = True
    return found


def events(active: Active) -> list[VapEvent]:
    """Every shift, hold and back-channel, in order of their beginning. Raises InputError unless the array is boolean (frames, 2)."""
    _check(active)
    silences = _between(active)
    filled = _filled(active, silences)
    return sorted([*_silences(filled, silences), *_murmurs(filled)], key=lambda e: e.frames)


def _check(active: Active) -> None:
    if active.ndim != 2 or active.shape[1] != 2 or active.dtype != np.bool_:
        raise InputError(f"voice activity of shape {active.shape} and type {active.dtype}; it must be bool (frames, 2), at {RATE} Hz")


def _runs(states: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(state, from, to) of every run of equal states."""
    if not len(states):
        return []
    edges = [0, *(np.flatnonzero(np.diff(states)) + 1).tolist(), len(states)]
    return [(int(states[a]), a, b) for a, b in pairwise(edges)]


@dataclass(frozen=True)
class _Silence:
    """Frames [start, end) between two stretches of single speech, who spoke last, for how many frames alone, and who speaks next."""

    start: int
    end: int
    last: int
    alone: int
    following: int


def _between(active: Active) -> list[_Silence]:
    runs = _runs(active[:, 0].astype(np.int64) + 2 * active[:, 1].astype(np.int64))  # 0 nobody, 1 and 2 one of them, 3 both
    sides = zip(runs, runs[1:], runs[2:], strict=False)
    return [_Silence(b[1], b[2], a[0] - 1, a[2] - a[1], c[0] - 1) for a, b, c in sides if b[0] == 0 and a[0] in (1, 2) and c[0] in (1, 2)]


def _filled(active: Active, silences: Sequence[_Silence]) -> Active:
    """The same with the pauses of whoever goes on filled."""
    filled = active.copy()
    for one in silences:
        if one.last == one.following:
            filled[one.start : one.end, one.last] = True
    return filled


def _silences(filled: Active, silences: Sequence[_Silence]) -> list[VapEvent]:
    pad, window, alone = frames(PAD_S), frames(WINDOW_S), frames(ALONE_S)
    found = []
    for one in silences:
        before, after = filled[one.start - alone : one.start], filled[one.end : one.end + alone]
        whole = one.start >= max(alone, frames(CONTEXT_S)) and len(after) == alone and one.end - one.start >= pad + window
        if whole and _only(before, one.last) and _only(after, one.following):
            kind: Kind = "hold" if one.last == one.following else "shift"
            judged = (one.start + pad, one.start + pad + window)
            foreseen = _foreseen(one.start) if one.alone >= frames(FORESEEN_S) else None
            found.append(VapEvent(kind, one.following, (one.start, one.end), judged, foreseen))
    return found


def _foreseen(start: int) -> Region | None:
    return (start - frames(FORESEEN_S), start) if start - frames(FORESEEN_S) >= frames(CONTEXT_S) else None


def _only(active: Active, speaker: int) -> bool:
    return bool(active[:, speaker].all() and not active[:, 1 - speaker].any())


def _murmurs(filled: Active) -> list[VapEvent]:
    found = []
    longest, alone = frames(MURMUR_S), frames(MURMUR_ALONE_S)
    for speaker in (USER, AGENT):
        stretches = [(a, b) for state, a, b in _runs(filled[:, speaker].astype(np.int64)) if state]
        ends = [0, *(b for _, b in stretches)]
        starts = [*(a for a, _ in stretches[1:]), len(filled)]
        for (start, end), before, after in zip(stretches, ends, starts, strict=False):
            if start >= frames(CONTEXT_S) and end - start <= longest and start - before >= alone and after - end >= alone:
                found.append(VapEvent("backchannel", speaker, (start, end), (start, end), _foreseen(start)))
    return found


def projection(active: Active, frame: int) -> int:
    """The class of the 2 s after a frame, 0 to 255. Raises InputError where there are not 2 s left."""
    _check(active)
    coming = active[frame + 1 : frame + 1 + sum(BIN_FRAMES)]
    if frame < 0 or len(coming) < sum(BIN_FRAMES):
        raise InputError(f"frame {frame} of {len(active)} has no {sum(BIN_FRAMES)} frames after it; project earlier frames only")
    edges = [0, *np.cumsum(BIN_FRAMES).tolist()]
    bits = [coming[a:b, speaker].mean() >= 0.5 for speaker in (0, 1) for a, b in pairwise(edges)]
    return sum(int(bit) << place for place, bit in enumerate(bits))


def next_speaker(probabilities: npt.NDArray[np.float64], bins: tuple[int, int] = (0, 2)) -> npt.NDArray[np.float64]:
    """P(first speaker), P(second speaker) from a distribution over the 256 classes: expected activity in bins [from, to), normalised.

    p_now takes bins 0 and 1, p_future bins 2 and 3. Raises InputError unless it is 256 numbers that sum to 1.
    """
    if probabilities.shape != (256,) or not np.isclose(probabilities.sum(), 1.0, atol=1e-6):
        raise InputError(f"probabilities of shape {probabilities.shape} and sum {probabilities.sum():g}; give 256 that sum to 1")
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    expected = (probabilities @ bits).reshape(2, 4)[:, bins[0] : bins[1]].sum(axis=1)
    total = expected.sum()
    return np.full(2, 0.5) if total == 0 else expected / total


def weighted_f1(truth: Sequence[bool], guessed: Sequence[bool]) -> float:
    """F1 of either class, weighted by how many of it there are; NaN without cases."""
    true, guess = np.asarray(truth, bool), np.asarray(guessed, bool)
    if not len(true):
        return float("nan")
    total = 0.0
    for which in (True, False):
        hits = float(((true == which) & (guess == which)).sum())
        either = float((true == which).sum() + (guess == which).sum())
        total += (2 * hits / either if either else 0.0) * float((true == which).sum())
    return total / len(true)


def shift_hold_f1(found: Sequence[VapEvent], p_first: npt.NDArray[np.float64], threshold: float = 0.5) -> float:
    """Weighted F1 of shift against hold over the judged frames, from P(first speaker) in every frame.

    The probability of a shift is that of whoever did not speak before the silence.
    """
    truth, guessed = list[bool](), list[bool]()
    for event in found:
        if event.kind == "backchannel":
            continue
        other = event.speaker if event.kind == "shift" else 1 - event.speaker
        p_shift = p_first[slice(*event.judged)] if other == 0 else 1 - p_first[slice(*event.judged)]
        truth += [event.kind == "shift"] * len(p_shift)
        guessed += (p_shift >= threshold).tolist()
    return weighted_f1(truth, guessed)


@dataclass(frozen=True)
class VapSession:
    """The events of one session and its length; `source` says how voice was found."""

    events: tuple[VapEvent, ...]
    duration_s: float
    source: str = "unknown"


def vap_session(trace: Trace) -> VapSession:
    """The events between the user (first speaker) and the agent of a trace."""
    clock = trace.header.clock
    people, how = people_spans(trace, "user")
    spans = (people, sound_spans(trace.audio(AGENT_AUDIO), clock))
    return VapSession(tuple(events(activity(spans, trace.duration_s))), trace.duration_s, where_from(how))


def vap(sessions: Mapping[str, VapSession], seed: int = 0) -> list[Measured]:
    """What became of the silences: the share of shifts after either side, how long they lasted, and the agent's back-channels a minute."""
    every = [(key, e) for key, one in sessions.items() for e in one.events]
    setup = {**SETUP, "source": sorted({one.source for one in sessions.values()})}

    def case(key: str, event: VapEvent, value: float, weight: int = 1) -> Case:
        return Case(session=key, value=value, moment=(event.frames[0] / RATE, event.frames[1] / RATE), weight=weight)

    def over(name: str, says: str, cases: Sequence[Case], unit: str = "", kind: MeanKind | None = None) -> Measured:
        return mean(name, cases, list(sessions), says=says, unit=unit, kind=kind, setup=setup, seed=seed)

    silences = [(key, e) for key, e in every if e.kind != "backchannel"]
    last = {id(e): 1 - e.speaker if e.kind == "shift" else e.speaker for _, e in silences}
    shares = [[case(k, e, float(e.kind == "shift")) for k, e in silences if last[id(e)] == who] for who in (USER, AGENT)]
    shifts = [case(k, e, (e.frames[1] - e.frames[0]) / RATE) for k, e in silences if e.kind == "shift" and e.speaker == AGENT]
    murmurs = [case(key, e, 60 / sessions[key].duration_s, 0) for key, e in every if e.kind == "backchannel" and e.speaker == AGENT] + [
        Case(session=key, value=0.0) for key, one in sessions.items() if one.duration_s
    ]
    often = over("back-channels", "short stretches of the agent on its own, a minute", murmurs, "1/min")
    return [
        over("shifts after the user", "silences after the user that the agent ended", shares[0], kind="share"),
        over("shifts after the agent", "silences after the agent that the user ended", shares[1], kind="share"),
        over("gap of shifts to the agent", "silence before the agent took over", shifts, "s"),
        replace(often, setup={**often.setup, "people": told((MURMURS,))}),
    ]
