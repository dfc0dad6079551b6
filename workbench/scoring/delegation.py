"""Slow work in a talk: is the right thing asked for, is what comes of it said, and does the talk go on meanwhile? Definitions ours.

- asked rightly: requests made in time, in the user's words and of the right kind, of all that were wanted
- asked for rightly, corrected: the same of what changed or ended a task on its way
- results said: results said rightly and in time, of all that were wanted; over the user: those begun while the user spoke, of all said
- corrections reflected: results after a correction that are those of the correction
- called off, and said all the same: what was begun to be said after a task was called off, of all that were called off
- small talk, ratio of latencies: median time from the end of a sum to its answer while a task is under way, over that without a task
- tasks by their ends: delivered, cancelled, failed, stale, and those that the session's end found at work
- stale results spoken: tasks that went stale, and whose result was said within LATE_S all the same, of all that went stale
- late results said as fresh: results handed over with the ask that they answer, and said without it, of all handed over so
- cost per solved task: what the sessions that wanted a result took, all told, by the results said rightly and in time in them
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.background.tasks import FINAL, STALE
from workbench.background.words import spoken_words
from workbench.costs import flops_in, spent_in
from workbench.events import TickCost, TranscriptDelta
from workbench.events_background import BackgroundArrived, DelegationChanged, DelegationCreated, DelegationResult
from workbench.packets import rng_for
from workbench.scoring.interaction import outcomes
from workbench.scoring.measured import TICKS, Case, Measured, Moment, drawn_how, mean
from workbench.scoring.reading import words_from
from workbench.scoring.resample import DRAWS, Interval, drawn_quantiles, percentiles, times_drawn
from workbench.scoring.score import Outcome, quantile
from workbench.trace import Trace
from workbench.version import VERSION

OURS = {"suite": "background", "revision": f"microturn {VERSION}", "source": words_from()}
UNDER_WAY = "under way"
ENDS = (*FINAL, UNDER_WAY)
LATE_S = 10.0  # after a result was known to be late, in which it may be said
SMALL_TALK = "small talk while work runs, ratio of median latencies"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a session took; NaN is what its trace does not tell. `gflop` is billions of floating-point operations of its model, at least.

    An agent that tells what its ticks took and no positions, as a pipeline does, has not told them.
    """

    ticks: int
    positions: float
    gflop: float
    background_s: float
    background_tokens: int
    tool_calls: int


@dataclass(frozen=True)
class Late:
    """A result that came too late, or late: from when on it may have been said, and whether it was as if it were fresh."""

    at_s: float
    as_fresh: bool


@dataclass(frozen=True)
class Ended:
    """How a task ended, and from when to when it lived; one under way, to the last that was known of it."""

    state: str
    from_s: float
    to_s: float


@dataclass(frozen=True, kw_only=True)
class Worked:
    """One session: how its expectations were met, how each of its tasks ended, its late results, its cost, and seconds of a tick."""

    outcomes: tuple[Outcome, ...]
    ends: tuple[Ended, ...]
    stale: tuple[Late, ...]
    late: tuple[Late, ...]
    cost: Cost
    tick_s: float


def worked(trace: Trace) -> Worked:
    """What the suite keeps of a session."""
    at = trace.header.clock.seconds
    ends = {event.task: Ended(UNDER_WAY, at(tick), at(tick)) for tick, event in trace.events(DelegationCreated)}
    for tick, event in trace.events(DelegationChanged):
        ends[event.task] = Ended(event.after if event.after in FINAL else UNDER_WAY, ends[event.task].from_s, at(tick))
    return Worked(
        outcomes=tuple(outcomes(trace)),
        ends=tuple(ends.values()),
        stale=tuple(_stale(trace)),
        late=tuple(_late(trace)),
        cost=_cost(trace),
        tick_s=trace.header.clock.tick_s,
    )


def _cost(trace: Trace) -> Cost:
    spent = spent_in(trace)
    told = [event.positions for _, event in trace.events(TickCost)]
    return Cost(
        ticks=spent.ticks,
        positions=spent.positions if all(told[-1:]) else math.nan,
        gflop=flops_in(trace) / 1e9,
        background_s=spent.background_s,
        background_tokens=spent.background_tokens,
        tool_calls=spent.tool_calls,
    )


def _stale(trace: Trace) -> Iterator[Late]:
    """For each task that went stale, whether its result was said all the same; one that nobody knows was not."""
    clock = trace.header.clock
    known = {e.task: (tick, e.part) for tick, e in trace.events(BackgroundArrived) if e.part.get("part") == "answer"}
    for tick, event in trace.events(DelegationChanged):
        if event.after != STALE:
            continue
        came, part = known.get(event.task, (tick, {}))
        at_s, words = clock.seconds(max(tick, came)), spoken_words(str(part.get("say") or part.get("text") or ""))
        yield Late(at_s, bool(words) and _said(trace, at_s, words))


def _late(trace: Trace) -> Iterator[Late]:
    """For each result that was handed over with its ask, whether it was said without."""
    for tick, event in trace.events(DelegationResult):
        if event.about:
            at_s, words = trace.header.clock.seconds(tick), spoken_words(event.text)
            introduced = _said(trace, at_s, (*spoken_words(event.about), *words))
            yield Late(at_s, not introduced and _said(trace, at_s, words))


def _said(trace: Trace, from_s: float, words: Sequence[str]) -> bool:
    """Whether the agent began to say these words, in their order, within LATE_S."""
    said = [e for _, e in trace.events(TranscriptDelta) if e.side == "model" and from_s <= e.start_s <= from_s + LATE_S]
    left = list(words)
    for word in (word for event in said for word in spoken_words(event.word)):
        if left and word == left[0]:
            left.pop(0)
    return not left


@dataclass(frozen=True)
class Share:
    """A named share: which outcomes count, which of them hit, and the rule in words."""

    name: str
    says: str
    counts: Callable[[Outcome], bool]
    hits: Callable[[Outcome], bool]


SHARES: tuple[Share, ...] = (
    Share("asked rightly", "requests in time, in the right words and of the right kind", lambda o: o.what == "delegate", lambda o: o.both),
    Share(
        "asked rightly, corrected or called off",
        "the same of requests that change or end a task",
        lambda o: o.what == "delegate" and bool({"corrected", "called_off"} & set(o.tags)),
        lambda o: o.both,
    ),
    Share("results said", "results said rightly and in time", lambda o: o.what == "result", lambda o: o.both),
    Share(
        "results over the user",
        "results begun while the user spoke, of those said",
        lambda o: o.acted and o.what == "result",
        lambda o: bool(o.carried),
    ),
    Share(
        "corrections reflected",
        "results after a correction that are those of the correction",
        lambda o: o.what == "result" and "corrected" in o.tags,
        lambda o: o.meaning,
    ),
    Share(
        "called off, and said all the same",
        "something was said from 1.4 to 4.5 s after a task was called off",
        lambda o: o.what == "silent" and "called_off" in o.tags,
        lambda o: not o.meaning,
    ),
    Share(
        "small talk answered rightly", "sums asked while work runs", lambda o: o.what == "reply" and "meanwhile" in o.tags, lambda o: o.both
    ),
)


LATES: tuple[tuple[str, str, Callable[[Worked], Sequence[Late]]], ...] = (
    ("stale results spoken", f"results said within {LATE_S:g} s after their task went stale", lambda kept: kept.stale),
    ("late results said as fresh", "results handed over with their ask and said without it", lambda kept: kept.late),
)

PER_SOLVED = "cost per solved task: "
COSTS: Mapping[str, tuple[str, str, Callable[[Cost], float]]] = {
    "micro-turns": ("", "micro-turns", lambda cost: cost.ticks),
    "positions": ("", "positions of the model's sequence", lambda cost: cost.positions),
    "model": ("GFLOP", "operations of the model", lambda cost: cost.gflop),
    "background work": ("s", "seconds that work ran", lambda cost: cost.background_s),
    "background tokens": ("", "tokens that background models read and wrote", lambda cost: cost.background_tokens),
    "tool calls": ("", "calls of tools", lambda cost: cost.tool_calls),
}


def delegation(sessions: Mapping[str, Worked]) -> list[Measured]:
    """Every score over these sessions, by the name of each."""
    names = list(sessions)
    setup = {**OURS, "windows": "published with each family"}
    found = [_share(share, sessions, names, setup) for share in SHARES]
    for end in ENDS:
        cases = [
            Case(session=name, value=float(one.state == end), moment=(one.from_s, one.to_s) if one.state == end else None)
            for name, session in sessions.items()
            for one in session.ends
        ]
        found.append(mean(f"tasks {end}", cases, names, says=f"tasks that ended as {end}, of all", kind="share", setup=setup))
    for name, says, of in LATES:
        cases = [
            Case(session=session, value=float(late.as_fresh), moment=(late.at_s, late.at_s + LATE_S))
            for session, kept in sessions.items()
            for late in of(kept)
        ]
        found.append(mean(name, cases, names, says=says, kind="share", setup=setup))
    return [*found, _small_talk(sessions), *_costs(sessions)]


def _costs(sessions: Mapping[str, Worked]) -> list[Measured]:
    """All that the sessions took which wanted a result, by the results said rightly and in time; the interval is over sessions."""
    solved = {name: sum(o.both for o in kept.outcomes if o.what == "result") for name, kept in sessions.items()}
    wanting = [name for name, kept in sessions.items() if any(o.what == "result" for o in kept.outcomes)]
    setup = {**OURS, "of": "sessions that want a result", "solved": "results said rightly and in time"}
    found = []
    for name, (unit, what, of) in COSTS.items():
        spent = [of(sessions[session].cost) for session in wanting]
        told = not any(map(math.isnan, spent))
        says = (
            f"{what} in sessions that want a result, by the results said rightly and in time{'' if told else ' (not told by all of them)'}"
        )
        whole = {s: (0.0, sessions[s].cost.ticks * sessions[s].tick_s) for s in wanting}
        cases = [Case(session=s, value=v, moment=whole[s], weight=solved[s]) for s, v in zip(wanting, spent, strict=True)] if told else []
        found.append(mean(f"{PER_SOLVED}{name}", cases, wanting, says=says, unit=unit, setup=setup))
    return found


def _share(share: Share, sessions: Mapping[str, Worked], names: Sequence[str], setup: Mapping[str, object]) -> Measured:
    cases = [
        Case(session=name, value=float(share.hits(o)), moment=_shown(o, session))
        for name, session in sessions.items()
        for o in session.outcomes
        if share.counts(o)
    ]
    return mean(share.name, cases, names, says=share.says, kind="share", setup=setup)


def _shown(outcome: Outcome, session: Worked) -> tuple[float, float]:
    """Where to look for an outcome, in seconds of its session."""
    return outcome.evidence[0] * session.tick_s, (outcome.evidence[-1] + 1) * session.tick_s


def _small_talk(sessions: Mapping[str, Worked]) -> Measured:
    """How much longer an answer takes while work runs; its interval is over sessions, drawn with replacement."""
    sides, moments = [(list[float](), list[float]()) for _ in sessions], list[Moment]()
    for (meanwhile_s, alone_s), (name, session) in zip(sides, sessions.items(), strict=True):
        for o in session.outcomes:
            if o.what != "reply" or "plain" not in o.tags or o.latency_s is None or not o.timing:
                continue
            (meanwhile_s if "meanwhile" in o.tags else alone_s).append(o.latency_s)
            if "meanwhile" in o.tags:
                start_s, end_s = _shown(o, session)
                moments.append(Moment(session=name, start_s=start_s, end_s=end_s))
    meanwhile, alone = ([value for side in sides for value in side[at]] for at in (0, 1))
    medians = _median(meanwhile), _median(alone)
    value = medians[0] / medians[1] if meanwhile and alone else float("nan")
    return Measured(
        name=SMALL_TALK,
        value=value,
        explanation=f"median {medians[0]:.2f} s of {len(meanwhile)} while work runs, {medians[1]:.2f} s of {len(alone)} without"
        if meanwhile and alone
        else f"not given: {len(meanwhile)} sums while work runs and {len(alone)} without; both are needed",
        evidence=tuple(TICKS.tick_at(moment.start_s) for moment in moments),
        n=len(meanwhile),
        interval=_ratio_interval(sides) if meanwhile and alone else None,
        sessions=len(sessions),
        moments=tuple(moments),
        setup={
            **OURS,
            "from": "end of the question",
            "to": "start of the first word",
            "bootstrap": drawn_how(0),
        },
    )


def _median(values: list[float]) -> float:
    found = quantile(values, 0.5)
    return float("nan") if found is None else found


def _ratio_interval(sides: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Interval | None:
    """The 95 % percentile interval of the ratio of the medians of two sides, over sessions; None where no draw has values on both."""
    times = times_drawn(rng_for(0, 0, "small talk"), len(sides), DRAWS)
    above, below = (drawn_quantiles([side[at] for side in sides], times, 0.5) for at in (0, 1))
    ratios = above / below
    return percentiles(ratios) if np.isfinite(ratios).any() else None
