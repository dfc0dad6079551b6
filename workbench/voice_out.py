"""The agent's voice: words in, sound out, 200 ms at a time, with the time at which each word began to sound.

`VoiceOut` is what every voice can do. Here stands the synthesiser's; a model's own voice is in `workbench/neural/own_voice.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.packets import Audio
from workbench.speech import AGENT_VOICE, Bank, Speaker, Voice
from workbench.utterance import RATE, Word, faded

LONGEST_WORD_S = 0.55  # a counting pace of 0.6 s must hold any word and a gap
CUT_FADE_S = 0.010


class Speech(Protocol):
    """What a voice has still to sound. A value: keep it to go back to it."""

    @property
    def speaking(self) -> bool:
        """Whether any sound is still to come."""

    @property
    def pending_s(self) -> float:
        """Seconds of sound still to come."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are sounding or queued."""


AnySpeech = TypeVar("AnySpeech", bound=Speech)


class VoiceOut(Protocol):
    """Words to sound. Every method takes and gives the voice's own kind of `Speech`."""

    def start(self, seed: int) -> Any:
        """Nothing said yet, in a session with this seed."""

    def at(self, state: Any, position: int) -> Any:
        """The same, with the next pull beginning at this sample of the session."""

    def say(self, state: Any, word: str) -> Any:
        """With `word` queued: it sounds from the next sample, or when the words before it are done."""

    def cut(self, state: Any) -> Any:
        """With everything dropped; a word that is sounding fades out at once."""

    def pull(self, state: Any, samples: int) -> Pulled[Any]:
        """The next samples, zeros where nothing sounds."""


@dataclass(frozen=True)
class Sounding:
    """A word whose sound is still (partly) to come: its samples and how many of them have been played."""

    word: str
    samples: Audio
    played: int = 0


@dataclass(frozen=True)
class SpeechState:
    """What is left to be heard, and the number of samples pulled so far. A value: keep it to go back to it."""

    queue: tuple[Sounding, ...] = ()
    tail: Audio | None = None  # the fade of a word that was cut
    position: int = 0

    @property
    def speaking(self) -> bool:
        """Whether any sound is still to come."""
        return bool(self.queue) or self.tail is not None

    @property
    def pending_s(self) -> float:
        """Seconds of sound still to come."""
        left = sum(len(item.samples) - item.played for item in self.queue)
        return (left + (0 if self.tail is None else len(self.tail))) / RATE

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are sounding or queued."""
        return tuple(item.word for item in self.queue)


@dataclass(frozen=True)
class Pulled(Generic[AnySpeech]):
    """One stretch of sound, the words that began in it (times since the first pull), and the state after it."""

    audio: Audio
    started: tuple[Word, ...]
    state: AnySpeech


@dataclass(frozen=True, kw_only=True)
class SpeechOut:
    """Turns words into sound in one voice, each word on its own, short and clear, at most 0.55 s (longer ones are cut with a fade)."""

    voice: Voice = AGENT_VOICE
    bank: Bank | None = None
    clock: ClockSpec = field(default_factory=ClockSpec)

    def __post_init__(self) -> None:
        if self.clock.sample_rate != RATE:
            raise InputError(f"sample_rate={self.clock.sample_rate}: the agent's voice is made at {RATE} Hz; use that rate")

    def sound(self, word: str) -> Audio:
        """The samples of one word (read-only, kept in memory)."""
        return _sound(self.voice, word, self.bank)

    def start(self, seed: int) -> SpeechState:
        """Nothing said yet; this voice draws nothing, so the seed does not matter."""
        return SpeechState()

    def at(self, state: SpeechState, position: int) -> SpeechState:
        """The same state, the next pull beginning at this sample."""
        return replace(state, position=position)

    def say(self, state: SpeechState, word: str) -> SpeechState:
        """The state with `word` queued: it sounds from the next sample, or when the words before it are done."""
        return replace(state, queue=(*state.queue, Sounding(word, self.sound(word))))

    def cut(self, state: SpeechState) -> SpeechState:
        """The state with everything dropped; a word that is sounding fades out within 10 ms."""
        if not state.queue or not state.queue[0].played:
            return replace(state, queue=())
        sounding = state.queue[0]
        rest = sounding.samples[sounding.played : sounding.played + round(CUT_FADE_S * RATE)]
        fade = np.linspace(1, 0, len(rest), endpoint=False, dtype=np.float32)
        return replace(state, queue=(), tail=(rest * fade).astype(np.float32))

    def pull(self, state: SpeechState, samples: int) -> Pulled[SpeechState]:
        """The next `samples` samples, zeros where nothing sounds."""
        audio = np.zeros(samples, np.float32)
        at, tail = 0, state.tail
        if tail is not None:
            at = min(len(tail), samples)
            audio[:at] = tail[:at]
            tail = tail[at:] if at < len(tail) else None
        queue, started = list(state.queue), []
        while queue and at < samples:
            item = queue[0]
            if not item.played:
                begin_s = (state.position + at) / RATE
                started.append(Word(item.word, begin_s, begin_s + len(item.samples) / RATE))
            count = min(samples - at, len(item.samples) - item.played)
            audio[at : at + count] = item.samples[item.played : item.played + count]
            at += count
            queue[0] = replace(item, played=item.played + count)
            if queue[0].played == len(item.samples):
                queue.pop(0)
        return Pulled(audio, tuple(started), SpeechState(tuple(queue), tail, state.position + samples))


@lru_cache(maxsize=512)
def _sound(voice: Voice, word: str, bank: Bank | None) -> Audio:
    samples = Speaker(voice, bank).phrase(word).samples
    longest = round(LONGEST_WORD_S * RATE)
    if len(samples) <= longest:
        return samples
    cut = faded(samples[:longest], CUT_FADE_S)
    cut.setflags(write=False)
    return cut
