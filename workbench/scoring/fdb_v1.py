"""Full-Duplex-Bench v1 (Lin et al., 2025, arXiv 2503.04721): who takes the turn, how quickly, and how it listens.

Our code from their definitions.

Every scorer has two modes.

*compatible* gives what the official scripts (revision 3e799c4) give, quirks included:

- the take-over rule sees one span from the first word of the file to the last, so that two murmurs ten seconds apart take the turn;
- pause handling does not read where the pauses are: an answer after the user has finished counts as a take-over too;
- a latency below zero (the agent began before the user's end) counts as 0;
- a later segment of voice overwrites what an earlier one decided about the take-over of a listener, unless one was longer than 3 s, which
  ends the search; segments that took the turn are listed among the back-channels all the same; a silent listener has distance 1, though
  the largest distance of two distributions is 0.8326.

*clean* gives what the names say:

- words no more than 0.5 s apart are one turn, and a turn takes the floor if it lasts 1 s or has more than three words;
- pause handling counts turns that begin from the first pause on and before the user's last voice ends (before the end of the last pause
  where the user's voice is not known);
- the first floor-taking turn that begins at most 0.5 s before the user's end answers it (FD-Bench's margin); latency keeps its sign, so an
  agent that always talks neither takes the turn nor has a latency;
- a listener takes the turn if any of its segments does; only the others are back-channels; a silent one has distance 0.8326.

Latency is the mean over samples with a take-over, as published; without a take-over it is NaN (officially: a division by zero).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError
from workbench.scoring.fdb_sample import Mode, Sample, Span, Word
from workbench.scoring.measured import Case, MeanKind, Measured, mean

REVISION = "3e799c4 (run beside d7336bd)"  # of the official scripts
TURN_S, TURN_WORDS = 1.0, 3  # shorter than the one and no more words than the other is a back-channel
JOIN_S = 0.5
EARLY_S = 0.5
LONG_SEGMENT_S, SHORT_SEGMENT_WORDS = 3.0, 2
BIN_S, BIN_FLOOR = 0.2, 1e-10
FARTHEST = math.sqrt(math.log(2))  # of two distributions without common ground


@dataclass(frozen=True)
class Take:
    """Whether the agent took the turn in one sample, when, and from when to when it spoke."""

    taken: bool
    latency_s: float | None = None
    moment: Span | None = None


def takes_turn(words: Sequence[Word]) -> bool:
    """The benchmark's rule for a run of words: one second from the first to the last, or more than three of them."""
    if not words:
        return False
    return not (words[-1].until_s - words[0].start_s < TURN_S and len(words) <= TURN_WORDS)


def turns(words: Sequence[Word]) -> list[list[Word]]:
    """Words in order of their start, in runs without a gap over 0.5 s."""
    runs: list[list[Word]] = []
    for word in sorted(words, key=lambda w: w.start_s):
        if runs and word.start_s - max(w.until_s for w in runs[-1]) <= JOIN_S:
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def pause_take(sample: Sample, mode: Mode) -> Take:
    """Whether the agent took the turn although the user was only pausing."""
    if mode == "compatible":
        return _whole(sample)
    begins_s = sample.mark()[0]
    ends_s = max((end for _, end in sample.user_voice or sample.marks), default=begins_s)
    runs = [run for run in turns(sample.words) if takes_turn(run) and begins_s <= run[0].start_s < ends_s]
    return Take(True, moment=_span(runs[0])) if runs else Take(False)


def answer_take(sample: Sample, mode: Mode, end_s: float) -> Take:
    """Whether and how long after `end_s`, the end of what the user said, the agent took the turn."""
    if mode == "compatible":
        take = _whole(sample)
        return Take(True, max(0.0, sample.words[0].start_s - end_s), take.moment) if take.taken else take
    runs = [run for run in turns(sample.words) if takes_turn(run) and run[0].start_s >= end_s - EARLY_S]
    return Take(True, runs[0][0].start_s - end_s, _span(runs[0])) if runs else Take(False)


@dataclass(frozen=True)
class Listening:
    """How one listener behaved: took the turn or not, back-channels (start_s, end_s), their number a second, distance to people's."""

    taken: bool
    murmurs: tuple[Span, ...]
    frequency: float
    distance: float | None


def listening(sample: Sample, mode: Mode) -> Listening:
    """Back-channels of one sample; the distance is None where there is no histogram of people.

    A segment of voice takes the turn if it is longer than 3 s, has more than three words, lasts 1 s, or has more than two words.
    """
    if sample.duration_s <= 0:
        raise InputError(f"sample {sample.id!r} lasts {sample.duration_s} s; a frequency needs the length of output.wav")
    taken, murmurs = False, []
    for start_s, end_s in sample.voice:
        takes = _segment_takes(sample.words, (start_s, end_s))
        if mode == "clean":
            taken = taken or takes
        elif end_s - start_s > LONG_SEGMENT_S:
            taken = True
            break
        else:
            taken = takes
        if mode == "compatible" or not takes:
            murmurs.append((start_s, end_s))
    distance = backchannel_distance(murmurs, sample.duration_s, sample.reference, mode) if sample.reference else None
    return Listening(taken, tuple(murmurs), len(murmurs) / sample.duration_s, distance)


def backchannel_distance(murmurs: Sequence[Span], duration_s: float, reference: Sequence[float], mode: Mode) -> float:
    """Jensen-Shannon distance (square root, natural logarithm, 0 to 0.8326) between when the agent and when people murmured.

    The file in bins of 0.2 s (the last may be cut short or empty), one count in every bin that a murmur touches; people's histogram
    linearly interpolated to as many bins.
    Without murmurs: 1 (compatible) or the largest distance (clean).
    """
    if not murmurs:
        return 1.0 if mode == "compatible" else FARTHEST
    bins = int(duration_s / BIN_S) + 1
    counts = np.full(bins, BIN_FLOOR)
    for start_s, end_s in murmurs:
        counts[int(start_s / BIN_S) : int(end_s / BIN_S) + 1] += 1
    old, new = np.linspace(0, 1, len(reference)), np.linspace(0, 1, bins)
    return jensen_shannon(counts, np.interp(new, old, np.asarray(reference, np.float64)))


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> float:
    """The Jensen-Shannon distance of two histograms of one length, normalised here; symmetric, 0 for equals, at most sqrt(ln 2)."""
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = sum(np.where(side > 0, side * np.log(side / middle), 0.0).sum() for side in (p, q)) / 2
    return math.sqrt(max(0.0, float(divergence)))


def pause_handling(samples: Sequence[Sample], mode: Mode = "compatible", seed: int = 0) -> list[Measured]:
    """Take-over rate while the user pauses; lower is better."""
    takes = [(sample, pause_take(sample, mode)) for sample in samples]
    return [_rate("pause handling, take-over rate", takes, mode, seed)]


def turn_taking(samples: Sequence[Sample], mode: Mode = "compatible", seed: int = 0) -> list[Measured]:
    """Take-over rate (higher is better) and latency from the end of the user's turn to the agent's first word."""
    takes = [(sample, answer_take(sample, mode, sample.mark()[0])) for sample in samples]
    late = _latency("turn-taking, latency", "end of the user's turn to start of the agent's first word", takes, mode, seed)
    return [_rate("turn-taking, take-over rate", takes, mode, seed), late]


def user_interruption(samples: Sequence[Sample], mode: Mode = "compatible", seed: int = 0) -> list[Measured]:
    """Take-over rate and latency after the end of an interruption; the judge's relevance of the takers too, where they have one.

    In compatible mode the words must be those after the interruption (`heard_from`), as the official recogniser step leaves them.
    """
    takes = [(sample, answer_take(sample, mode, sample.mark()[1])) for sample in samples]
    late = _latency("interruption, latency", "end of the interruption to start of the agent's first word", takes, mode, seed)
    found = [_rate("interruption, take-over rate", takes, mode, seed), late]
    judged = [Case(session=s.id, value=s.relevance, moment=t.moment) for s, t in takes if t.taken and s.relevance is not None]
    if judged:
        says = "a judge's relevance, 0 to 5, where the agent took the turn"
        setup = {**_setup(samples, mode), "judge": sorted({s.rated_by for s in samples if s.relevance is not None})}
        found.append(mean("interruption, relevance", judged, _ids(samples), says=says, setup=setup, seed=seed))
    return found


def backchannel(samples: Sequence[Sample], mode: Mode = "compatible", seed: int = 0) -> list[Measured]:
    """Take-over rate, back-channels a second, and distance from people's timing (over samples with a histogram); means over speakers."""
    heard = [(sample, listening(sample, mode)) for sample in samples]

    def over(name: str, says: str, unit: str, value: Callable[[Listening], float | None], kind: MeanKind | None = None) -> Measured:
        cases = [
            Case(session=s.id, value=v, moment=_where(s, (found.murmurs[0][0], found.murmurs[-1][1]) if found.murmurs else None))
            for s, found in heard
            if (v := value(found)) is not None
        ]
        return mean(name, cases, _ids(samples), says=says, unit=unit, kind=kind, setup=_setup(samples, mode), seed=seed)

    return [
        over("back-channel, take-over rate", "a listener that took the turn", "", lambda found: float(found.taken), "share"),
        over("back-channel, frequency", "back-channels by length of the file", "1/s", lambda found: found.frequency),
        over("back-channel, distance", "Jensen-Shannon distance from people's timing", "", lambda found: found.distance),
    ]


def _whole(sample: Sample) -> Take:
    """The official rule on all words of a file, in the order in which they are written."""
    words = sample.words
    return Take(True, moment=(words[0].start_s, words[-1].until_s)) if takes_turn(words) else Take(False)


def _segment_takes(words: Sequence[Word], segment: Span) -> bool:
    start_s, end_s = segment
    inside = sum(word.start_s < end_s and word.until_s > start_s for word in words)
    return end_s - start_s >= TURN_S or inside > SHORT_SEGMENT_WORDS


def _span(run: Sequence[Word]) -> Span:
    return run[0].start_s, max(word.until_s for word in run)


def _where(sample: Sample, moment: Span | None) -> Span:
    """Where to look: at what was done, or where nothing was, at all in which it might have been."""
    begins_s = sample.marks[0][0] if sample.marks else 0.0
    return moment or (begins_s, max(begins_s, sample.duration_s))


def _rate(name: str, takes: Sequence[tuple[Sample, Take]], mode: Mode, seed: int) -> Measured:
    samples = [sample for sample, _ in takes]
    cases = [Case(session=s.id, value=float(take.taken), moment=_where(s, take.moment)) for s, take in takes]
    says = "samples in which the agent took the turn"
    return mean(name, cases, _ids(samples), says=says, kind="share", setup=_setup(samples, mode), seed=seed)


def _latency(name: str, says: str, takes: Sequence[tuple[Sample, Take]], mode: Mode, seed: int) -> Measured:
    samples = [sample for sample, _ in takes]
    cases = [Case(session=s.id, value=take.latency_s, moment=take.moment) for s, take in takes if take.latency_s is not None]
    return mean(name, cases, _ids(samples), says=says, unit="s", setup=_setup(samples, mode), seed=seed)


def _ids(samples: Sequence[Sample]) -> list[str]:
    return [sample.id for sample in samples]


def _setup(samples: Sequence[Sample], mode: Mode) -> dict[str, object]:
    source = sorted({sample.source for sample in samples})
    return {"benchmark": "Full-Duplex-Bench v1", "revision": REVISION, "mode": mode, "source": source}
