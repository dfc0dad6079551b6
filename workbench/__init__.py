"""The workbench: clock, participants, sessions, traces, scenarios, scoring. Importing it has no side effects and needs no torch."""

from __future__ import annotations

from workbench.check import check_participant
from workbench.clock import ClockSpec, RealTime, Tick
from workbench.compare import Difference, first_difference
from workbench.errors import WorkbenchError
from workbench.explain import Explanation, summary, why
from workbench.packets import MicroTurn, Packet, rng_for
from workbench.session import Participant, Said, Session
from workbench.store import Erasure, Keep, TraceWriter, erase, read_trace, save_trace, verify
from workbench.trace import Header, Trace, record
from workbench.version import VERSION

__all__ = [
    "VERSION",
    "ClockSpec",
    "Difference",
    "Erasure",
    "Explanation",
    "Header",
    "Keep",
    "MicroTurn",
    "Packet",
    "Participant",
    "RealTime",
    "Said",
    "Session",
    "Tick",
    "Trace",
    "TraceWriter",
    "WorkbenchError",
    "check_participant",
    "erase",
    "first_difference",
    "read_trace",
    "record",
    "rng_for",
    "save_trace",
    "summary",
    "verify",
    "why",
]
