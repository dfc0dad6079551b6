"""Verifying and scoring one-minute traces from their files by every suite that plays their family, and the report of a thousand of them.

    python benchmarks/bench_scoring.py [traces]

The sessions are those of a perfect agent: three of each of the eight families in which people take the floor, one situation of it after the
other for a minute. Traces beyond those are the same again. CPU seconds count, which other work on the machine moves little; a trace is read
and judged by one process, so that two cores take half of that time. What the report costs is counted whole, as one process makes it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workbench.agents import OracleAgent
from workbench.cast import Cast
from workbench.clock import StopWatch
from workbench.evaluate import Episode, report_of, score_episode
from workbench.playing import Plan
from workbench.scenarios import medley
from workbench.session import Session
from workbench.store import read_trace, save_trace, verified
from workbench.suites import FLOOR_FAMILIES, INTERACTION, SUITES
from workbench.trace import Trace, record
from workbench.users import ScriptedUser

TARGET_S = 60.0  # for a thousand traces on two cores
CORES = 2
MINUTE_TICKS = 300
EACH = 3
FIRST_SEED = 1_000_000


def minute_of(family: str, seed: int) -> Trace:
    """A session of a minute, filled with situations of one family."""
    user = ScriptedUser(medley(seed, "unseen", MINUTE_TICKS * 0.2, weights={family: 1.0}))
    session = Session.start(Cast(OracleAgent()).of(user), seed=seed)
    trace = record(session, labels={"family": family})
    session.run(MINUTE_TICKS)
    return trace


def judged(files: Sequence[Path], traces: int) -> tuple[list[Episode], float, float]:
    """Episodes of so many traces, seeds apart, with the CPU seconds of verifying and reading and of judging them."""
    others = list(SUITES.values())
    episodes, read_ms, judge_ms = [], 0.0, 0.0
    watch = StopWatch(now=time.process_time)
    for at in range(traces):
        verified(files[at % len(files)])
        trace = read_trace(files[at % len(files)])
        trace.header = replace(trace.header, seed=FIRST_SEED + at // len(FLOOR_FAMILIES))
        read_ms += watch.lap_ms()
        episodes.append(score_episode(trace, suites=others))
        judge_ms += watch.lap_ms()
    return episodes, read_ms / 1000, judge_ms / 1000


def main() -> None:
    traces = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        made = [minute_of(family, FIRST_SEED + at) for at in range(EACH) for family in FLOOR_FAMILIES]
        assert all(len(trace) == MINUTE_TICKS for trace in made)
        files = [save_trace(trace, Path(folder) / f"{at}.sqlite") for at, trace in enumerate(made)]
        judged(files, len(files))  # first calls out of the way
        episodes, read_s, judge_s = judged(files, traces)
    thousand = [replace(episodes[at % traces], seed=FIRST_SEED + at // len(FLOOR_FAMILIES)) for at in range(1000 // 8 * 8)]
    plan = Plan(families=FLOOR_FAMILIES, voices="unseen", count=len(thousand) // len(FLOOR_FAMILIES), seed=FIRST_SEED)
    watch = StopWatch(now=time.process_time)
    report_of("oracle", plan, thousand, {}, {}, (INTERACTION, *(name for name in SUITES if plays(name)))).to_json()
    report_s = watch.lap_ms() / 1000
    whole_s = (read_s + judge_s) / traces * 1000 / CORES + report_s
    print(f"{traces} traces of a minute, CPU ms each: {1000 * read_s / traces:.1f} verified and read, {1000 * judge_s / traces:.1f} judged")
    print(f"report of 1,000 by {INTERACTION} and {sum(map(plays, SUITES))} suites: {report_s:.1f} CPU s")
    print(f"1,000 on {CORES} cores: {whole_s:.1f} s, {whole_s / TARGET_S:.2f} of the target of {TARGET_S:.0f} s")


def plays(name: str) -> bool:
    """Whether a suite plays one of these families."""
    return bool(set(SUITES[name].families) & set(FLOOR_FAMILIES))


if __name__ == "__main__":
    main()
