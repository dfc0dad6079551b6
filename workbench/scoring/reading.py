"""What scoring reads from a trace, drawn out once: the agent's words and sounds, what was expected, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.clock import ClockSpec
from workbench.events import ModelYielded, TranscriptDelta, TruthExpect, TruthWithdrawn, TruthWord
from workbench.events_background import DelegationRequested
from workbench.packets import AGENT_AUDIO, USER_AUDIO, Audio
from workbench.sounds import NOISE
from workbench.trace import Trace

SOUND_PEAK = 1e-3  # a sample above this counts as sound
FRAME_S = 0.01
JOIN_S = 0.05  # sounds closer than this are one
RUN_GAP_S = 0.6  # words of one person further apart are two stretches


@dataclass(frozen=True)
class Opened:
    """An expectation, when its beat began, and the moment from which it is no longer open: withdrawn, overtaken by the next, or the end."""

    expect: TruthExpect
    begins_s: float
    closes_s: float
    withdrawn: bool


@dataclass(frozen=True)
class Reading:
    """The facts of one trace that scores rest on; words are in the order in which they begin, sounds are (start_s, end_s).

    `requests` are those that the agent made of the background, `yields_s` the moments in which it gave way.
    """

    clock: ClockSpec
    words: tuple[TranscriptDelta, ...]
    sounds: tuple[tuple[float, float], ...]
    opened: tuple[Opened, ...]
    truth: tuple[TruthWord, ...]
    end_s: float
    requests: tuple[DelegationRequested, ...] = ()
    yields_s: tuple[float, ...] = ()

    @property
    def anchors_s(self) -> dict[str, float]:
        """The moment from which each expectation counts, by its id."""
        return {opened.expect.id: opened.expect.anchor_s for opened in self.opened}

    def words_in(self, from_s: float, to_s: float) -> list[TranscriptDelta]:
        """Agent words that begin in [from_s, to_s)."""
        return [word for word in self.words if from_s <= word.start_s < to_s]

    def onsets_in(self, from_s: float, to_s: float) -> list[float]:
        """Beginnings of agent sounds in [from_s, to_s)."""
        return [start for start, _ in self.sounds if from_s <= start < to_s]


def read(trace: Trace) -> Reading:
    """The reading of a trace; a trace without ground truth has nothing opened."""
    words = sorted((e for _, e in trace.events(TranscriptDelta) if e.side == "model"), key=lambda e: e.start_s)
    truth = sorted((e for _, e in trace.events(TruthWord)), key=lambda e: e.start_s)
    clock = trace.header.clock
    sounds = sound_spans(trace.audio(AGENT_AUDIO), clock)
    requests = tuple(event for _, event in trace.events(DelegationRequested))
    yields_s = tuple(event.at_s for _, event in trace.events(ModelYielded))
    return Reading(clock, tuple(words), sounds, tuple(_opened(trace)), tuple(truth), trace.duration_s, requests, yields_s)


def _opened(trace: Trace) -> Iterable[Opened]:
    expects = list(trace.events(TruthExpect))
    withdrawn = {e.id: e.at_s for _, e in trace.events(TruthWithdrawn)}
    starts = [(tick, word.start_s) for tick, word in trace.events(TruthWord)]
    begins = [min((s for t, s in starts if t >= tick and s <= e.anchor_s), default=e.anchor_s) for tick, e in expects]
    for (tick, expect), begin_s in zip(expects, begins, strict=True):
        later = [b for (t, e), b in zip(expects, begins, strict=True) if t > tick and e.what != "delegate"]
        closes_s = min([withdrawn.get(expect.id, trace.duration_s), *(later or [trace.duration_s])])
        if expect.what == "yield":  # what is asked for in the same breath may be answered
            closes_s = min([closes_s, *(e.anchor_s for t, e in expects if t == tick and e.what == "reply")])
        if expect.id in withdrawn:  # the beat that withdraws opens expectations itself, a little before the moment of withdrawal
            closes_s = withdrawn[expect.id]
        yield Opened(expect, begin_s, closes_s, expect.id in withdrawn)


def sound_spans(samples: Audio, clock: ClockSpec) -> tuple[tuple[float, float], ...]:
    """Where there is sound, as (start_s, end_s) to the nearest 10 ms; gaps under 50 ms are bridged."""
    size = clock.samples(FRAME_S)
    whole = samples[: len(samples) // size * size]
    if not len(whole):
        return ()
    loud = np.abs(whole).reshape(-1, size).max(axis=1) > SOUND_PEAK
    edges = np.flatnonzero(np.diff(np.concatenate(([False], loud, [False])).astype(np.int8)))
    return _joined([(float(a) * FRAME_S, float(b) * FRAME_S) for a, b in zip(edges[::2], edges[1::2], strict=True)])


def people_spans(trace: Trace, speaker: str | None = None) -> tuple[tuple[tuple[float, float], ...], str]:
    """Where people speak, in order, and how that is known: their true words, or sound at the microphone in a trace without any.

    With `speaker`, of the true words only those of that person. A burst of noise is nobody's.
    """
    truth = sorted((e for _, e in trace.events(TruthWord) if e.word != NOISE), key=lambda e: e.start_s)
    if not truth:
        return sound_spans(trace.audio(USER_AUDIO), trace.header.clock), "sound above a peak of 0.001"
    return _joined([(w.start_s, w.end_s) for w in truth if speaker in (None, w.speaker)]), "true words"


def where_from(people: str) -> str:
    """How voice was found for a score, for its setup; `people` is what `people_spans` says of theirs."""
    return f"the agent's sound above a peak of {SOUND_PEAK:g}, gaps under {JOIN_S:g} s bridged; people: {people}"


def words_from(people: str = "true words") -> str:
    """How words and voice were found for a score that needs what was expected, for its setup."""
    return f"word times of the trace; {where_from(people)} and expectations"


def speech_runs(truth: Sequence[TruthWord]) -> list[list[TruthWord]]:
    """The words of each person in stretches without a gap over RUN_GAP_S, in order of their start."""
    runs: dict[str, list[list[TruthWord]]] = {}
    for word in sorted(truth, key=lambda w: w.start_s):
        of_one = runs.setdefault(word.speaker, [])
        if of_one and word.start_s - of_one[-1][-1].end_s <= RUN_GAP_S:
            of_one[-1].append(word)
        else:
            of_one.append([word])
    return sorted((run for of_one in runs.values() for run in of_one), key=lambda run: run[0].start_s)


def _joined(spans: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    joined: list[tuple[float, float]] = []
    for start_s, end_s in spans:
        if joined and start_s - joined[-1][1] < JOIN_S:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_s))
        else:
            joined.append((start_s, end_s))
    return tuple(joined)
