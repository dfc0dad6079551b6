"""Slow work in a talk: is the right thing asked for, is what comes of it said, and does the talk go on meanwhile? Definitions ours.

- asked rightly: requests made in time, in the user's words and of the right kind, of all that were wanted
- asked for rightly, corrected: the same of what changed or ended a task on its way
- results said: results said rightly and in time, of all that were wanted; over the user: those begun while the user spoke, of all said
- corrections reflected: results after a correction that are those of the correction
- called off, and said all the same: what was begun to be said after a task was called off, of all that were called off
- small talk, ratio of latencies: median time from the end of a sum to its answer while a task is under way, over that without a task
- tasks by their ends: delivered, cancelled, failed, stale, and those that the session's end found at work
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.background.tasks import FINAL
from workbench.events_background import DelegationChanged, DelegationCreated
from workbench.packets import rng_for
from workbench.scoring.interaction import outcomes
from workbench.scoring.measured import DRAWS, Case, Interval, Measured, mean
from workbench.scoring.score import Outcome, quantile
from workbench.trace import Trace

UNDER_WAY = "under way"
ENDS = (*FINAL, UNDER_WAY)
SMALL_TALK = "small talk while work runs, ratio of median latencies"


@dataclass(frozen=True)
class Worked:
    """One session: how its expectations were met, how each of its tasks ended, and the length of a tick in seconds."""

    outcomes: tuple[Outcome, ...]
    ends: tuple[str, ...]
    tick_s: float


def worked(trace: Trace) -> Worked:
    """What the suite keeps of a session."""
    ends: dict[str, str] = {event.task: UNDER_WAY for _, event in trace.events(DelegationCreated)}
    for _, event in trace.events(DelegationChanged):
        ends[event.task] = event.after if event.after in FINAL else UNDER_WAY
    return Worked(tuple(outcomes(trace)), tuple(ends.values()), trace.header.clock.tick_s)


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


def delegation(sessions: Mapping[str, Worked]) -> list[Measured]:
    """Every score over these sessions, by the name of each."""
    names = list(sessions)
    setup = {"suite": "background", "windows": "published with each family"}
    found = [_share(share, sessions, names, setup) for share in SHARES]
    for end in ENDS:
        cases = [Case(session=name, value=float(one == end)) for name, session in sessions.items() for one in session.ends]
        found.append(mean(f"tasks {end}", cases, names, says=f"tasks that ended as {end}, of all", setup=setup))
    return [*found, _small_talk(sessions)]


def _share(share: Share, sessions: Mapping[str, Worked], names: Sequence[str], setup: Mapping[str, object]) -> Measured:
    cases = [
        Case(session=name, value=float(share.hits(o)), moment=(o.evidence[0] * session.tick_s, (o.evidence[-1] + 1) * session.tick_s))
        for name, session in sessions.items()
        for o in session.outcomes
        if share.counts(o)
    ]
    return mean(share.name, cases, names, says=share.says, setup=setup)


def _small_talk(sessions: Mapping[str, Worked]) -> Measured:
    """How much longer an answer takes while work runs; its interval is over answers drawn with replacement on both sides."""
    answers = [o for session in sessions.values() for o in session.outcomes if o.what == "reply" and "plain" in o.tags]
    meanwhile, alone = (
        [o.latency_s for o in answers if ("meanwhile" in o.tags) is busy and o.latency_s is not None and o.timing] for busy in (True, False)
    )
    medians = _median(meanwhile), _median(alone)
    value = medians[0] / medians[1] if meanwhile and alone else float("nan")
    return Measured(
        name=SMALL_TALK,
        value=value,
        explanation=f"median {medians[0]:.2f} s of {len(meanwhile)} while work runs, {medians[1]:.2f} s of {len(alone)} without"
        if meanwhile and alone
        else f"not given: {len(meanwhile)} sums while work runs and {len(alone)} without; both are needed",
        n=len(meanwhile),
        interval=_ratio_interval(meanwhile, alone),
        sessions=len(sessions),
        setup={"suite": "background", "from": "end of the question", "to": "start of the first word", "bootstrap": {"draws": DRAWS}},
    )


def _median(values: list[float]) -> float:
    found = quantile(values, 0.5)
    return float("nan") if found is None else found


def _ratio_interval(above: list[float], below: list[float]) -> Interval | None:
    if not above or not below:
        return None
    rng = rng_for(0, 0, "small talk")
    draws = [np.median(rng.choice(values, (DRAWS, len(values))), axis=1) for values in (above, below)]
    low, high = np.percentile(draws[0] / draws[1], (2.5, 97.5))
    return float(low), float(high)
