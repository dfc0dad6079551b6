"""Repetition counting: off-by-one accuracy and error (TransRAC, Hu et al., 2022), and the streaming variant that TML scored (2026-05-11).

Offline, what is counted is the last number said after the request: right if it is within one of the truth (OBO); the error of one video is
|said - true| / (true + 0.1) (MAE, both as `test_looping.py` of TransRAC). Nothing said counts as 0. Streaming, it is the last number said
after the true last-but-one repetition has ended, right within one; nothing said then is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.scenarios.world import number_of
from workbench.scoring.measured import Case, MeanKind, Measured, mean
from workbench.scoring.reading import read, words_from
from workbench.trace import Trace

REVISION = "TransRAC's test_looping.py; streaming as TML told it on 2026-05-11"
OFF = 0.1  # keeps the error of a video without repetitions finite


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One video: true repetitions, the last number said, the last number said after the last but one, and from when to when it went."""

    true: int
    said: int | None
    said_late: int | None
    start_s: float
    end_s: float

    @property
    def error(self) -> float:
        return abs((self.said or 0) - self.true) / (self.true + OFF)

    @property
    def near_late(self) -> bool:
        """Whether the streaming variant calls it right."""
        return self.said_late is not None and abs(self.said_late - self.true) <= 1


def counted(trace: Trace) -> tuple[Counted, ...]:
    """Every tally that a trace asks for."""
    reading = read(trace)
    found = []
    for opened in reading.opened:
        expect = opened.expect
        if expect.what != "tally":
            continue
        ends = sorted(
            o.expect.anchor_s
            for o in reading.opened
            if o.expect.what == "moment" and expect.anchor_s <= o.expect.anchor_s <= opened.closes_s
        )
        said = [(w.start_s, n) for w in reading.words_in(expect.anchor_s, opened.closes_s) if (n := number_of(w.word)) is not None]
        late_s = ends[-2] if len(ends) > 1 else expect.anchor_s
        found.append(
            Counted(
                true=len(expect.words),
                said=said[-1][1] if said else None,
                said_late=next((n for at_s, n in reversed(said) if at_s >= late_s), None),
                start_s=expect.anchor_s,
                end_s=expect.anchor_s + expect.to_s,
            )
        )
    return tuple(found)


def repcount(sessions: Mapping[str, tuple[Counted, ...]], seed: int = 0) -> list[Measured]:
    """Off-by-one accuracy, error, and off-by-one accuracy of the streaming variant."""

    def over(name: str, says: str, value: Callable[[Counted], float], kind: MeanKind | None = "share") -> Measured:
        every = [(key, one) for key, found in sessions.items() for one in found]
        cases = [Case(session=key, value=value(one), moment=(one.start_s, one.end_s)) for key, one in every]
        setup = {"benchmark": "RepCount", "revision": REVISION, "source": words_from(), "nothing said": "0; streaming: wrong"}
        return mean(name, cases, list(sessions), says=says, kind=kind, setup=setup, seed=seed)

    return [
        over("OBO", "last number said within one of the truth", lambda one: float(abs((one.said or 0) - one.true) <= 1)),
        over("MAE", "error of the last number, by the truth", lambda one: one.error, None),
        over("OBO, streaming", "last number said after the last but one repetition, within one", lambda one: float(one.near_late)),
    ]
