"""A service that takes sound more slowly than it is made: the loop goes on, the oldest is thrown away, and the trace says how much."""

from __future__ import annotations

import threading

import numpy as np

from workbench.adapters.link import LinkSpec, News, Saying
from workbench.adapters.remote import RemoteAgent
from workbench.clock import pause
from workbench.events import AudioSkipped
from workbench.events_peer import PeerNote
from workbench.session import Session
from workbench.trace import record
from workbench.users import RecordedUser

TICKS, WAITING, SIZE = 12, 4, 3200


class Stuck:
    """A wire that takes its first tick of sound and nothing more until it is let."""

    def __init__(self) -> None:
        self.goes_on, self.closed = threading.Event(), threading.Event()
        self.sent: list[Saying] = []

    def open(self) -> None:
        pass

    def send(self, saying: Saying) -> None:
        self.sent.append(saying)
        self.goes_on.wait(30)

    def receive(self) -> list[News]:
        self.closed.wait()
        raise ConnectionError("closed")

    def close(self) -> None:
        self.closed.set()


def test_what_a_slow_service_does_not_take_is_thrown_away_and_told() -> None:
    wire = Stuck()
    agent = RemoteAgent(lambda: wire, {"service": "slow", "url": "nowhere"}, patience=LinkSpec(waiting=WAITING))
    steps = np.repeat(np.arange(1, TICKS + 1, dtype=np.float32) / 32, SIZE)  # every tick at a level of its own
    session = Session.start([RecordedUser(steps), agent])  # which keeps the connection
    trace = record(session)
    session.run(TICKS)
    skipped = [event.samples for _, event in trace.events(AudioSkipped)]
    kept = 1 + WAITING  # one is being sent
    assert sum(skipped) == (TICKS - kept) * SIZE
    assert len(skipped) == TICKS - kept, "told in the tick in which it was thrown away"
    assert not list(trace.events(PeerNote)), "the connection is not lost by it"
    wire.goes_on.set()
    for _ in range(200):
        if len(wire.sent) == kept:
            break
        pause(0.02)
    levels = [round(32 * float(saying.samples.mean())) for saying in wire.sent]
    assert levels[1:] == [TICKS - 4, TICKS - 3, TICKS - 2, TICKS - 1], "the newest are kept, in order"
    wire.close()
