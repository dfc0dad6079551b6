"""A dashboard in a process of its own that also offers an agent without a model, which hears words by how long they sound.

python -m tests.dashboard_fakes FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from widgets.dashboard import serve
from workbench.agents import Mouth, MouthState
from workbench.clock import ClockSpec, Tick
from workbench.commands_common import make_agent
from workbench.desk import Desk, Models
from workbench.events import Decision, TranscriptDelta
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, MicroTurn
from workbench.session import Participant, Said

NUMBERS = tuple("one two three four five six seven eight nine ten".split()) * 30  # until it is stopped, however late that is heard
EVERY_TICKS = 3
FRAMES = 10  # of a tick, 20 ms each
LOUD = 0.01  # rms
LONG_FRAMES, END_FRAMES = 26, 60  # over 0.5 s of sound are the request; 1.2 s of quiet end a phrase


@dataclass(frozen=True)
class Hearing:
    """How long the phrase has sounded and been quiet, in frames, and what is still to be said."""

    clock: ClockSpec
    mouth: MouthState
    loud: int = 0
    quiet: int = 0
    left: tuple[str, ...] = ()

    def clone(self) -> Hearing:
        return self


@dataclass(frozen=True)
class Listener:
    """Takes a long phrase for "count to twenty" and counts aloud, over and over; a short one for "stop", and gives way.

    A busy machine stretches what a microphone captures by silence: this agent understands it at any speed.
    """

    threshold: float = 0.5
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO,)

    def spec(self) -> Mapping[str, Any]:
        return {"kind": "listener", "threshold": self.threshold}

    def start(self, clock: ClockSpec, seed: int) -> Hearing:
        return Hearing(clock, Mouth().start(seed))

    def step(self, state: Hearing, tick: Tick, heard: MicroTurn) -> tuple[Said, Hearing]:
        phrases, state = _phrases(state, heard)
        words = tuple("count to twenty".split() if phrase > LONG_FRAMES else ["stop"] for phrase in phrases)
        yields = ["stop"] in words and bool(state.left or state.mouth.talking)
        left = NUMBERS if ["count", "to", "twenty"] in words else () if yields else state.left
        due = left[:1] if tick % EVERY_TICKS == 0 else ()
        packets, events, mouth = Mouth().act(state.mouth, state.clock, tick, due, yields, reason="it was told to stop")
        at_s = state.clock.seconds(tick)
        said = [
            TranscriptDelta(side="user", word=word, start_s=max(0.0, at_s - 0.4), end_s=at_s, probability=0.9)
            for each in words
            for word in each
        ]
        decision = Decision(
            floor="speak" if mouth.talking else "listen", said=" ".join(["<yield>"] * yields + list(due)), p_speak=0.9 if due else 0.1,
            p_yield=0.9 if yields else 0.1, p_backchannel=0.0, threshold=self.threshold,
        )  # fmt: skip
        return Said(packets, (*said, *events, decision)), replace(state, mouth=mouth, left=left[len(due) :])


def _phrases(state: Hearing, heard: MicroTurn) -> tuple[list[int], Hearing]:
    """How long each phrase sounded that has ended in this tick."""
    frames = heard.audio(USER_AUDIO, state.clock.samples_per_tick).reshape(FRAMES, -1)
    loud, quiet, ended = state.loud, state.quiet, []
    for sounding in np.sqrt(np.mean(np.square(frames), axis=1)) > LOUD:
        loud, quiet = (loud + 1, 0) if sounding else (loud, quiet + 1)
        if quiet == END_FRAMES and loud > 3:
            ended.append(loud)
        if quiet >= END_FRAMES:
            loud = 0
    return ended, replace(state, loud=loud, quiet=quiet)


def _make(name: str, threshold: float) -> Participant:
    return Listener(threshold) if name == "listener" else make_agent(name, None, threshold)


if __name__ == "__main__":
    serve(Desk(Path(sys.argv[1]), Models(names=("echo", "listener"), make=_make)), port=0)
