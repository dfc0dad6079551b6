"""A speaker without a synthesiser, and short ways to run and score a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from workbench.acoustics import Acoustics
from workbench.agents import OracleAgent, OracleState, ScriptedAgent
from workbench.cast import Cast
from workbench.clock import ClockSpec, Tick
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, TRUTH, MicroTurn, Packet
from workbench.scenarios import build
from workbench.scenarios.script import AfterOwn, Beat, Command, Script, Trigger
from workbench.session import Participant, Said, Session
from workbench.speech import AGENT_VOICE, Utterance, Voice, Word
from workbench.trace import Trace, record
from workbench.users import ScriptedUser

RATE = 16_000
WORD_S = 0.3
GAP_S = 0.05


@dataclass(frozen=True)
class Tones:
    """Speaks every word as 0.3 s of tone, with 50 ms of silence between words and no silence around phrases."""

    voice: Voice

    def say(self, parts: Sequence[str | float]) -> Utterance:
        sounds: list[np.ndarray] = []
        words: list[Word] = []
        at = 0
        for part in parts:
            if isinstance(part, str):
                for number, word in enumerate(part.split()):
                    if number:
                        sounds.append(np.zeros(round(GAP_S * RATE), np.float32))
                        at += len(sounds[-1])
                    tone = 0.3 * np.cos(2 * np.pi * 440 * np.arange(round(WORD_S * RATE)) / RATE)
                    sounds.append(tone.astype(np.float32))
                    words.append(Word(word, at / RATE, (at + len(tone)) / RATE))
                    at += len(tone)
            else:
                sounds.append(np.zeros(round(part * RATE), np.float32))
                at += len(sounds[-1])
        return Utterance(np.concatenate(sounds), tuple(words), self.voice.label)


def one_voice(set_name: str, seed: int) -> Voice:
    """A picker of voices that always picks the same."""
    return AGENT_VOICE


def script_of(*beats: Beat, ending: Trigger | None = None, acoustics: Acoustics | None = None, max_ticks: int = 300) -> Script:
    """A quiet script of the given beats."""
    voices = {"user": AGENT_VOICE, "bystander": AGENT_VOICE}
    return Script("made", 0, beats, voices, ending or AfterOwn(1.0), acoustics or Acoustics(), max_ticks)


def play(script: Script, agent: Participant | None = None) -> Trace:
    """The trace of a script with an agent (the oracle unless given), spoken in tones."""
    session = Session.start(Cast(agent or OracleAgent()).of(ScriptedUser(script, speaker_of=Tones)), seed=script.seed)
    trace = record(session, labels={"family": script.family, **script.labels})
    session.run(script.max_ticks)
    return trace


def play_family(name: str, seed: int, difficulty: float = 0.5, agent: Participant | None = None) -> Trace:
    """The trace of one episode of a family, spoken in tones."""
    return play(build(name, seed, difficulty=difficulty, pick=one_voice), agent)


@dataclass(frozen=True)
class LateOracle:
    """The oracle with a slow mind: every order is carried out `late_s` after its moment."""

    late_s: float
    oracle: OracleAgent = field(default_factory=OracleAgent)
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (TRUTH,)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "LateOracle", "late_s": self.late_s}

    def start(self, clock: ClockSpec, seed: int) -> OracleState:
        return self.oracle.start(clock, seed)

    def step(self, state: OracleState, tick: Tick, heard: MicroTurn) -> tuple[Said, OracleState]:
        told = heard.get(TRUTH)
        late = tuple(replace(c, at_s=c.at_s + self.late_s) for c in told if isinstance(c, Command)) if isinstance(told, tuple) else ()
        return self.oracle.step(state, tick, MicroTurn(heard.tick, (Packet(TRUTH, heard.tick, late),)))


def chatterer(word: str, ticks: int = 320) -> ScriptedAgent:
    """An agent that says one word every 0.6 s, whatever is said to it."""
    return ScriptedAgent(tuple((tick, (word,)) for tick in range(0, ticks, 3)))
