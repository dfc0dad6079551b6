"""Simultaneous translation as SimulEval 1.1 judges it: BLEU, the latencies AL, LAAL, AP, DAL, ATD, and the offsets of start and end.

d_i is how much of the source had been consumed when target token i was emitted: words of a text, or milliseconds of speech. Of a session
we take d_i from when the word began to sound, but no more than there is of the source: hearing goes on while the agent speaks. These are
latencies without computation, which a session in micro-turns does not time.

ATD (Kano et al., 2023) cuts the source into tokens of 300 ms; target token t of chunk c belongs to source token
min(t - max(0, targets before c - sources before c), sources up to c); it is the mean of target end minus source end. Delays beyond the
source count as more of it. Of a text it is 0, as SimulEval prints it of a run with an output folder and of a log; its live class, without a
folder, gives a word of text the length 1 and another number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from workbench.errors import InputError
from workbench.scoring.bleu import SIGNATURE, Matches, bleu, bleu_interval, matches
from workbench.scoring.measured import TICKS, Case, Measured, Moment, drawn_how, mean
from workbench.scoring.reading import Reading, read, words_from
from workbench.trace import Trace

REVISION = "SimulEval 1.1.4, sacreBLEU 2.6.0"
SOURCE_TOKEN_MS = 300.0
PAUSE_S = 0.3  # a longer one parts what is to be translated from what comes before


@dataclass(frozen=True, kw_only=True)
class Translated:
    """One translated stretch: length of the source (ms or words), delays of the target tokens, and how many a reference has.

    `ends` are the ends of the target tokens on the same axis; without them a token ends where it was emitted (text). `speech` says whether
    the source is measured in ms. `start_s` is where its source begins, in seconds of the session. `said` and `wanted` are the texts; a
    stretch to which nothing was said has no delays and counts for BLEU alone. `origin` says where its times and texts come from.
    """

    source: float
    delays: tuple[float, ...]
    reference: int
    ends: tuple[float, ...] = ()
    speech: bool = True
    start_s: float = 0.0
    said: str = ""
    wanted: str = ""
    origin: str = "unknown"

    def __post_init__(self) -> None:
        if self.source <= 0 or self.reference < 1:
            raise InputError(f"source {self.source} and reference {self.reference} must be positive; leave empty stretches out")
        if list(self.delays) != sorted(self.delays):
            raise InputError(f"delays {self.delays} go back; give them in the order in which the tokens were emitted")
        if self.ends and len(self.ends) != len(self.delays):
            raise InputError(f"{len(self.ends)} ends for {len(self.delays)} tokens; give one each, or none")


def average_lagging(one: Translated, adaptive: bool = False) -> float:
    """AL (Ma et al., 2019) or, `adaptive`, LAAL (Papi et al., 2022), which does not reward what is too long; on the axis of the source."""
    if one.delays[0] > one.source:
        return one.delays[0]
    target = max(len(one.delays), one.reference) if adaptive else one.reference
    last = next((at for at, d in enumerate(one.delays) if d >= one.source), len(one.delays) - 1)
    return sum(d - at * one.source / target for at, d in enumerate(one.delays[: last + 1])) / (last + 1)


def average_proportion(one: Translated) -> float:
    """AP (Cho and Esipova, 2016): the share of the source consumed per target token."""
    return sum(one.delays) / (one.source * one.reference)


def differentiable_lagging(one: Translated) -> float:
    """DAL (Arivazhagan et al., 2019): as AL, but what was lost by waiting cannot be won back."""
    step = one.source / len(one.delays)
    total, before = 0.0, float("-inf")
    for at, delay in enumerate(one.delays):
        before = max(delay, before + step)
        total += before - at * step
    return total / len(one.delays)


def token_delay(one: Translated) -> float:
    """ATD in milliseconds; 0 for a text."""
    if not one.speech:
        return 0.0
    ends = one.ends or one.delays
    chunks: list[tuple[int, float, float]] = []  # of the source: tokens before it, from when to when
    heard, before, place, total = 0, 0.0, 0, 0.0
    for delay, chunk in groupby(one.delays):
        sources_before, targets_before = heard, place
        chunks.append((heard, before, delay))
        heard, before = heard + ceil((delay - before) / SOURCE_TOKEN_MS - 1e-9), delay
        for _ in chunk:
            source = min(place + 1 - max(0, targets_before - sources_before), heard)
            total += ends[place] - _source_end(chunks, source)
            place += 1
    return total / len(one.delays)


def _source_end(chunks: Sequence[tuple[int, float, float]], token: int) -> float:
    """When the source token of this number, counted from 1, ends; 0 for those before the first."""
    if token < 1:
        return 0.0
    first, start, end = chunks[bisect_left(chunks, token, key=lambda chunk: chunk[0]) - 1]
    return min(start + (token - first) * SOURCE_TOKEN_MS, end)


def translated(trace: Trace) -> tuple[Translated, ...]:
    """Every run of words that a trace wants translated, in milliseconds from the start of the first word to be translated.

    The source lasts from the end of the request to the end of what is to be translated; the target are the agent's words of that time and
    of up to the next thing that is asked for.
    """
    reading = read(trace)
    wanted = [o for o in reading.opened if o.expect.what == "moment" and "translate" in o.expect.tags]
    found = []
    for _, group in groupby(wanted, key=lambda o: o.begins_s):
        opened = list(group)
        ends = sorted({o.expect.anchor_s for o in opened})
        start_s = _unit_start(reading, ends[0])
        said = reading.words_in(start_s, opened[0].closes_s)
        source = 1000 * (ends[-1] - start_s)
        if source > 0:
            found.append(
                Translated(
                    source=source,
                    delays=tuple(min(1000 * (w.start_s - start_s), source) for w in said),
                    reference=len(opened),
                    ends=tuple(1000 * (w.end_s - start_s) for w in said),
                    start_s=start_s,
                    said=" ".join(w.word for w in said),
                    wanted=" ".join(" ".join(o.expect.words) for o in sorted(opened, key=lambda o: o.expect.anchor_s)),
                    origin=words_from(),
                )
            )
    return tuple(found)


def _unit_start(reading: Reading, end_s: float) -> float:
    """Where the words begin that end at `end_s` and follow each other without a pause."""
    start_s = end_s
    for word in reversed([w for w in reading.truth if w.end_s <= end_s + 1e-3]):
        if start_s - word.end_s > PAUSE_S:
            break
        start_s = word.start_s
    return start_s


def simultaneous(sessions: Mapping[str, Sequence[Translated]], seed: int = 0) -> list[Measured]:
    """BLEU of all stretches together; AL, LAAL, DAL and ATD in milliseconds, AP, and the offsets of start and end, means over those to
    which something was said."""

    def over(name: str, says: str, unit: str, value: Callable[[Translated], float]) -> Measured:
        cases = [
            Case(session=key, value=value(one), moment=(one.start_s, one.start_s + one.source / 1000))
            for key, found in sessions.items()
            for one in found
            if one.delays
        ]
        setup = {**_setup(sessions), "delays": "start of the word, without computation", "source token, ms": SOURCE_TOKEN_MS}
        return mean(name, cases, list(sessions), says=says, unit=unit, setup=setup, seed=seed)

    return [
        _quality(sessions, seed),
        over("AL", "average lagging", "ms", average_lagging),
        over("LAAL", "length-adaptive average lagging", "ms", lambda one: average_lagging(one, adaptive=True)),
        over("AP", "average proportion", "", average_proportion),
        over("DAL", "differentiable average lagging", "ms", differentiable_lagging),
        over("ATD", "average token delay, to the end of the sound", "ms", token_delay),
        over("StartOffset", "start of the source to the first word", "ms", lambda one: one.delays[0]),
        over("EndOffset", "end of the source to the end of the last word", "ms", lambda one: (one.ends or one.delays)[-1] - one.source),
    ]


def _setup(sessions: Mapping[str, Sequence[Translated]]) -> dict[str, object]:
    source = sorted({one.origin for found in sessions.values() for one in found})
    return {"benchmark": "SimulEval", "revision": REVISION, "source": source}


def _quality(sessions: Mapping[str, Sequence[Translated]], seed: int) -> Measured:
    """BLEU where the texts are known; its moments are the stretches that are not word for word as wanted."""
    texts = {key: [one for one in found if one.wanted] for key, found in sessions.items()}
    parts = {key: sum((matches(one.said, one.wanted) for one in found), Matches()) for key, found in texts.items()}
    whole, n = sum(parts.values(), Matches()), sum(map(len, texts.values()))
    moments = tuple(
        Moment(session=key, start_s=one.start_s, end_s=one.start_s + (one.source / 1000 if one.speech else 0.0))
        for key, found in texts.items()
        for one in found
        if one.said != one.wanted
    )
    value, interval = (bleu(whole), bleu_interval(list(parts.values()), seed)) if n else (float("nan"), None)
    shown = f"{value:.1f} over {n}, {whole.said} words for {whole.wanted}" if n else "no cases"
    return Measured(
        name="BLEU",
        value=value,
        explanation=f"n-grams in common with the reference: {shown}",
        evidence=tuple(TICKS.tick_at(moment.start_s) for moment in moments),
        n=n,
        interval=interval,
        sessions=len(texts),
        moments=moments,
        setup={**_setup(sessions), "sacrebleu": SIGNATURE, "bootstrap": drawn_how(seed)},
    )
