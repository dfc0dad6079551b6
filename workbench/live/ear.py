"""What a person says, types and shows, gathered between two ticks and handed to the session as one tick of a user."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.background.notes import lines
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import (
    AudioBuffered,
    AudioDoubled,
    AudioLate,
    AudioLost,
    AudioSkipped,
    ClockCorrected,
    Event,
    PlaybackPosition,
)
from workbench.events_background import ConsentClicked
from workbench.live.drift import ClockFit, Drift
from workbench.live.jitter import JitterBuffer, JitterSpec, Pulled
from workbench.live.protocol import RATE, Frame, Pcm, Played, Text
from workbench.live.protocol import Audio as AudioMessage
from workbench.packets import USER_AUDIO, USER_CAMERA, USER_CONSENT, USER_PLAYBACK, USER_TEXT, Audio, Frames, MicroTurn, Packet
from workbench.session import Said
from workbench.store_format import PCM_SCALE

MOST_LINES = 20  # typed lines that may wait; each tick takes one
STALE_TICKS = 3  # a camera that sent nothing for so long is off
BUFFERED_EVERY_S = 1.0


@dataclass
class Ear:
    """Takes messages from any thread, and gives one tick of them at a time.

    `take` never waits for more. What went wrong with the sound is among the events of the tick, and in `pulled`.
    """

    clock: ClockSpec
    now: Callable[[], float]
    spec: JitterSpec = field(default_factory=JitterSpec)
    pulled: Pulled = field(init=False)
    _buffer: JitterBuffer = field(init=False)
    _drift: Drift = field(default_factory=Drift)
    _lines: list[str] = field(default_factory=list)
    _clicks: list[ConsentClicked] = field(default_factory=list)
    _frames: Frames | None = None
    _frames_age: int = 0
    _played: tuple[int, int, float] | None = None  # position, queued, when
    _told_played: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.clock.sample_rate != RATE:
            raise InputError(f"sample_rate={self.clock.sample_rate}: a live session is sent sound at {RATE} Hz; use that rate")
        self._buffer = JitterBuffer(self.spec)
        self.pulled = Pulled(np.zeros(self.clock.samples_per_tick, np.int16))

    @property
    def fit(self) -> ClockFit | None:
        """The microphone's clock against ours, as far as it is known."""
        return self._drift.fit

    def hear(self, message: AudioMessage | Frame | Text | Played) -> None:
        """Take what has arrived. Raises InputError for a typed line when too many wait already."""
        with self._lock:
            match message:
                case AudioMessage():
                    self._buffer = self._buffer.push(message.n, message.samples)
                    self._drift = self._drift.seen(message.n + len(message.samples), self.now())
                case Frame():
                    self._frames, self._frames_age = message.frames, 0
                case Text():
                    if len(self._lines) >= MOST_LINES:
                        raise InputError(f"{MOST_LINES} typed lines wait already, one is taken every tick; wait a moment and type it again")
                    self._lines.append(message.text)
                case Played():
                    self._played, self._told_played = (message.position, message.queued, self.now()), False

    def clicked(self, click: ConsentClicked) -> None:
        """Take a button that was pressed."""
        with self._lock:
            self._clicks.append(click)

    def anew(self) -> None:
        """Forget the capture and the loudspeaker of a page that is gone; what it sent and was not taken yet stays."""
        with self._lock:
            self._buffer, self._drift, self._frames, self._played = self._buffer.anew(), Drift(), None, None

    def played(self, sent: int) -> int:
        """To which of the `sent` samples of the agent's stream the loudspeaker has come, by its last report and the time since."""
        with self._lock:
            if self._played is None:
                return 0
            position, queued, at_s = self._played
            return min(sent, position + min(queued, round((self.now() - at_s) * RATE)))

    def take(self, tick: Tick) -> Said:
        """What arrived for this tick."""
        size = self.clock.samples_per_tick
        with self._lock:
            correct, self._drift = self._drift.due(size)
            self.pulled, self._buffer = self._buffer.pull(size, correct)
            packets = [Packet(USER_AUDIO, tick, to_float(self.pulled.samples))]
            if self._lines:
                packets.append(Packet(USER_TEXT, tick, self._lines.pop(0)))
            if self._frames is not None and self._frames_age < STALE_TICKS:
                packets.append(Packet(USER_CAMERA, tick, self._frames))
                self._frames_age += 1
            if not self._told_played and self._played is not None:
                packets.append(Packet(USER_PLAYBACK, tick, f"{self._played[0] / RATE:.4f}"))
            clicks, self._clicks = self._clicks, []
            if clicks:
                packets.append(Packet(USER_CONSENT, tick, lines({"question": c.question, "given": c.given} for c in clicks)))
            events = [*clicks, *self._events(tick)]
        return Said(tuple(packets), tuple(events))

    def _events(self, tick: Tick) -> list[Event]:
        at_s, pulled = self.clock.seconds(tick), self.pulled
        events: list[Event] = []
        if pulled.lost:
            events.append(AudioLost(at_s=at_s, samples=pulled.lost))
        if pulled.late:
            events.append(AudioLate(at_s=at_s, samples=pulled.late))
        if pulled.doubled:
            events.append(AudioDoubled(at_s=at_s, samples=pulled.doubled))
        if pulled.skipped:
            events.append(AudioSkipped(at_s=at_s, samples=pulled.skipped))
        if pulled.corrected:
            events.append(
                ClockCorrected(at_s=at_s, samples=pulled.corrected, ppm=round(self._drift.fit.ppm, 1) if self._drift.fit else 0.0)
            )
        if pulled.first is not None and tick % self.clock.ticks_in(BUFFERED_EVERY_S) == 0:
            events.append(AudioBuffered(at_s=at_s, delay_ms=pulled.buffered * 1000 / RATE))
        if not self._told_played and self._played is not None:
            self._told_played = True
            events.append(PlaybackPosition(heard_s=self._played[0] / RATE, queued_s=self._played[1] / RATE))
        return events


@dataclass(frozen=True)
class LiveUser:
    """A person, as one more participant: says what has arrived, and never waits for it."""

    ear: Ear
    name: str = "user"
    speaks: tuple[str, ...] = (USER_AUDIO, USER_TEXT, USER_CAMERA, USER_PLAYBACK, USER_CONSENT)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "LiveUser"}

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        return self.ear.take(tick), None


def to_float(samples: Pcm) -> Audio:
    """PCM16 as float32; a trace that keeps PCM16 gives back the same numbers."""
    return (samples / np.float32(PCM_SCALE)).astype(np.float32)


def to_pcm(samples: Audio) -> Pcm:
    """float32 as PCM16, as a trace keeps it."""
    return np.asarray(np.clip(np.rint(samples * PCM_SCALE), -PCM_SCALE, PCM_SCALE - 1), np.int16)
