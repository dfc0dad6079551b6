"""A finished conversation as a participant: what an agent said in a folder of `input.wav` and `output.wav`, played back tick by tick.

The folder is that of a Full-Duplex-Bench sample: both files on one clock from the same moment on; `output.json` gives the agent's words
with their times where there is one. Nothing is known of the truth, so only scores that need none apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.audio_io import read_audio
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import Event, TranscriptDelta
from workbench.exports.fdb_folder import read_words
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, Audio, MicroTurn, Packet
from workbench.scoring.fdb_sample import Word
from workbench.session import Said, Session
from workbench.trace import Trace, record
from workbench.users import RecordedUser

HEARD, SAID, WORDS = "input.wav", "output.wav", "output.json"


@dataclass(frozen=True)
class RecordedAgent:
    """Says what was said in a recording, whatever it hears; words are told in the tick in which they begin."""

    samples: Audio
    words: tuple[Word, ...] = ()
    label: str = "recording"
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "RecordedAgent", "label": self.label, "samples": len(self.samples), "words": len(self.words)}

    def start(self, clock: ClockSpec, seed: int) -> ClockSpec:
        return clock

    def step(self, state: ClockSpec, tick: Tick, heard: MicroTurn) -> tuple[Said, ClockSpec]:
        size = state.samples_per_tick
        now = self.samples[tick * size : (tick + 1) * size]
        packets = []
        if now.any():
            piece = np.zeros(size, np.float32)
            piece[: len(now)] = now
            packets.append(Packet(AGENT_AUDIO, tick, piece))
        begun = [word for word in self.words if state.tick_at(word.start_s) == tick]
        if begun:
            packets.append(Packet(AGENT_TEXT, tick, " ".join(word.text for word in begun)))
        events: tuple[Event, ...] = tuple(
            TranscriptDelta(side="model", word=word.text, start_s=word.start_s, end_s=word.until_s) for word in begun
        )
        return Said(tuple(packets), events), state


def is_recording(folder: Path) -> bool:
    """Whether a folder holds both sides of a conversation."""
    return (folder / HEARD).is_file() and (folder / SAID).is_file()


def recorded_agent(folder: Path) -> RecordedAgent:
    """The agent of a folder. Raises InputError when a file is missing or broken."""
    if not is_recording(folder):
        raise InputError(f"folder {str(folder)!r} does not hold both {HEARD} and {SAID}; give the folder of one recorded conversation")
    words = read_words(folder / WORDS) if (folder / WORDS).is_file() else ()
    return RecordedAgent(read_audio(folder / SAID), tuple(word for word in words if word.start_s >= 0), folder.name)


def recorded_user(folder: Path) -> RecordedUser:
    """The user of a folder, who is done when both sides are over."""
    heard, said = read_audio(folder / HEARD), read_audio(folder / SAID)
    padded = np.concatenate([heard, np.zeros(max(0, len(said) - len(heard)), np.float32)])
    return RecordedUser(padded, label=folder.name, tail_s=0.0)


def recorded_trace(folder: Path) -> Trace:
    """The conversation of a folder as a trace. Raises InputError when a file is missing or broken."""
    agent = recorded_agent(folder)
    user = recorded_user(folder)
    session = Session.start([user, agent])
    trace = record(session, labels={"recording": folder.name})
    session.run(session.clock.ticks_in(len(user.samples) / session.clock.sample_rate))
    return trace
