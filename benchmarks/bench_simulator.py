"""Micro-turns per second of a two-participant session with the trace file on: a scripted user and a scripted agent, audio both ways.

    python benchmarks/bench_simulator.py [ticks]

Speech is synthesised before the clock starts. The same session without a trace, and with a trace of float32 audio, stand beside it.
The best of three runs counts; CPU time (both threads) tells how much of the wall time was spent on other programs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from workbench.agents import ScriptedAgent
from workbench.clock import StopWatch
from workbench.scenarios import medley
from workbench.session import Session
from workbench.store import Keep, TraceWriter, read_trace, verify
from workbench.trace import Header
from workbench.users import ScriptedUser

TARGET = 2_000  # ticks per second with the trace on
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def session_of(ticks: int) -> Session:
    """A user that talks about half of the time beside an agent that says a number every three ticks."""
    user = ScriptedUser(medley(3, "train", ticks * 0.2)).prepare()
    plan = tuple((tick, (WORDS[tick // 3 % len(WORDS)],)) for tick in range(0, ticks, 3))
    return Session.start([user, ScriptedAgent(plan)], seed=1)


def ticks_per_second(ticks: int, keep: Keep | None) -> tuple[float, float]:
    """The best rate of three runs, until everything is in the file (None: no file), and the rate per CPU second in that run."""
    session_of(ticks).run(40)  # words and first calls out of the way
    return max(_one_run(ticks, keep) for _ in range(3))


def _one_run(ticks: int, keep: Keep | None) -> tuple[float, float]:
    session = session_of(ticks)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.sqlite"
        watch, cpu = StopWatch(), StopWatch(now=time.process_time)
        if keep is None:
            session.run(ticks)
        else:
            with TraceWriter(path, Header.of(session), default=keep) as writer:
                session.sinks = (writer,)
                session.run(ticks)
        rates = session.tick / watch.lap_ms() * 1000, session.tick / cpu.lap_ms() * 1000
        if keep is not None:
            assert len(read_trace(path)) == session.tick
            assert verify(path).ok
    return rates


def main() -> None:
    ticks = int(sys.argv[1]) if len(sys.argv) > 1 else 1_500
    rates = {
        "no trace": ticks_per_second(ticks, None),
        "trace, PCM16": ticks_per_second(ticks, Keep(codec="pcm16")),
        "trace, float32": ticks_per_second(ticks, Keep(codec="f32")),
    }
    print(f"two participants, audio both ways, {ticks} micro-turns of 200 ms")
    for name, (wall, cpu) in rates.items():
        print(f"{name:>16}: {wall:8.0f} ticks/s, {wall * 0.2:6.0f} times real time; {cpu:8.0f} ticks per CPU second")
    met = "met" if rates["trace, PCM16"][0] >= TARGET else "MISSED"
    print(f"{'target':>16}: {TARGET:8d} ticks/s with a trace: {met}")


if __name__ == "__main__":
    main()
