"""What is looked for inside a model, and the tables of what was found: labels of every cell from a trace, probe scores, influences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from workbench.explain import SOUND_PEAK
from workbench.packets import AGENT_AUDIO
from workbench.spoken import AGENT, Spoken, spoken_words
from workbench.trace import Trace

USER = "user"
WAIT_TICKS = 15  # a user who has spoken and was not answered is waited for this long, as the agent's own floor state has it

Label: TypeAlias = "str | float | None"
"""What a probe is to read out of one cell: a class, a number, or nothing to be read there."""


@dataclass(frozen=True)
class ProbeScore:
    """How well one linear probe reads `target` at one hook point, on conversations it was not fitted on.

    `metric` is "accuracy" (chance: always the commonest class) or "R2" (chance: always the mean, near 0). `num_train` and `num_test` count
    cells, `num_classes` the classes seen in training (0 for a number).
    """

    target: str
    point: str
    metric: str
    score: float
    chance: float
    num_train: int
    num_test: int
    num_classes: int = 0


@dataclass(frozen=True)
class Influence:
    """What one cell's sound, or the words heard in one cell, did to a decision.

    `effect` is in nats: the log-probability of the decision minus what it is without this; positive: it spoke for the decision.
    """

    tick: int
    start_s: float
    end_s: float
    what: str
    label: str
    effect: float


@dataclass(frozen=True)
class Attribution:
    """Which cells made the agent decide as it did at `tick`: the act ("<silence>", a word, "<yield>"), its probability, the influences."""

    tick: int
    at_s: float
    act: str
    probability: float
    influences: tuple[Influence, ...]

    def strongest(self, count: int = 5) -> tuple[Influence, ...]:
        """The influences that spoke for the decision most."""
        return tuple(sorted(self.influences, key=lambda i: -i.effect)[:count])


# Labels: what holds when cell t has taken in the sound of turn t-1 -------------------------------------------------------------


def session_time(trace: Trace) -> list[Label]:
    """Seconds since the session began."""
    return [trace.header.clock.seconds(tick) for tick in range(len(trace))]


def time_since_user(trace: Trace) -> list[Label]:
    """Seconds since the end of the user's last word; 0 while one sounds, nothing before the first."""
    words = [word for word in spoken_words(trace) if word.speaker == USER]
    labels: list[Label] = []
    for now_s in _nows(trace):
        begun = [word.end_s for word in words if word.start_s < now_s]
        labels.append(max(0.0, now_s - max(begun)) if begun else None)
    return labels


def floor_state(trace: Trace) -> list[Label]:
    """Who has the floor, by the agent's own rule but from the truth: idle, listen, speak, wait or dual."""
    tick_s = trace.header.clock.tick_s
    user = [word for word in spoken_words(trace) if word.speaker == USER]
    labels: list[Label] = []
    since_user = since_own = WAIT_TICKS
    for tick, now_s in enumerate(_nows(trace)):
        active = any(word.start_s < now_s and word.end_s > now_s - tick_s for word in user)
        own = tick > 0 and bool(np.abs(trace.turns[tick - 1].audio(AGENT_AUDIO, 1)).max() > SOUND_PEAK)
        since_user = 0 if active else since_user + 1
        since_own = 0 if own else since_own + 1
        waits = since_user < min(WAIT_TICKS, since_own)
        labels.append(("dual" if active else "speak") if own else "listen" if active else "wait" if waits else "idle")
    return labels


def word_being_spoken(trace: Trace) -> list[Label]:
    """The agent's word that sounded last in turn t-1; nothing where none did."""
    tick_s = trace.header.clock.tick_s
    words = [word for word in spoken_words(trace) if word.speaker == AGENT]
    return [_last(word for word in words if word.start_s < now_s and word.end_s > now_s - tick_s) for now_s in _nows(trace)]


def last_heard_word(trace: Trace) -> list[Label]:
    """The user's last word that has ended; nothing before the first."""
    words = [word for word in spoken_words(trace) if word.speaker == USER]
    return [_last(word for word in words if word.end_s <= now_s) for now_s in _nows(trace)]


TARGETS: Mapping[str, Callable[[Trace], Sequence[Label]]] = MappingProxyType(
    {
        "session time": session_time,
        "time since the user": time_since_user,
        "floor state": floor_state,
        "word being spoken": word_being_spoken,
        "last heard word": last_heard_word,
    }
)
"""What the shipped probes look for, by name: labels of every cell of a trace."""


def _nows(trace: Trace) -> list[float]:
    return [trace.header.clock.seconds(tick) for tick in range(len(trace))]


def _last(words: Iterable[Spoken]) -> Label:
    last = max(words, key=lambda word: word.start_s, default=None)
    return last.text if last else None
