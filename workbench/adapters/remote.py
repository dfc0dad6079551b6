"""An agent that runs elsewhere, as a participant: its service is met once a tick, by the wall clock.

A session with it takes as long as it lasts, simulated users included: `step` waits until its tick is due. What the service sends is played
in order, one tick at a time, from the tick after it has come; so every latency in the trace holds the network and the service, and up to
one micro-turn of waiting for the next tick. Its words are told when the sound that came with them is played; what it lets go of when it is
interrupted is `unsaid`. There are no probabilities to record: a `decision` of it says what it did.

A wire that is lost is replaced while the session goes on (`link.lost`, `link.resumed`); when that fails for good the session ends with a
PeerError, as a silent agent would be another result. A fork has no wire: its agent stays silent, and says so in a `peer.note`.
"""

from __future__ import annotations

import os
import re
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from workbench.adapters.link import (
    Asked,
    GaveUp,
    Interrupted,
    Link,
    LinkSpec,
    Lost,
    News,
    Resumed,
    Saying,
    Sound,
    Told,
    Used,
    Voice,
    Wire,
    Words,
    hidden,
    without,
)
from workbench.background.notes import notes_of
from workbench.clock import ClockSpec, RealTime, StopWatch, Tick
from workbench.errors import InputError, PeerError
from workbench.events import (
    AudioDropped,
    AudioSkipped,
    DeadlineMissed,
    Decision,
    Event,
    LinkLost,
    LinkResumed,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    TickCost,
    TranscriptDelta,
    UserSpeechStarted,
    UserSpeechStopped,
)
from workbench.events_background import DelegationRequested
from workbench.events_peer import PeerNote, PeerUsage
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, BACKGROUND_TEXT, USER_AUDIO, USER_TEXT, Audio, MicroTurn, Packet
from workbench.session import Said
from workbench.utterance import RATE

AUDIBLE = 0.003
MOST_QUEUED_S = 120.0  # of its voice that may wait to be played
TOLD = (
    AudioDropped,
    AudioSkipped,
    DeadlineMissed,
    Decision,
    DelegationRequested,
    LinkLost,
    LinkResumed,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    PeerNote,
    PeerUsage,
    TickCost,
    TranscriptDelta,
    UserSpeechStarted,
    UserSpeechStopped,
)  # all that a remote agent has among the events of a tick
WORD_S = 0.3  # that a word is taken to last where the service does not say


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars for a minute of session and for a million tokens; 0 where a service does not count so, or its price was not given."""

    usd_per_minute: float = 0.0
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0

    def of(self, used: Used) -> float:
        tokens = used.input_tokens * self.usd_per_million_in + used.output_tokens * self.usd_per_million_out
        return round(used.seconds / 60 * self.usd_per_minute + tokens / 1e6, 6)


@dataclass
class Playout:
    """The agent's voice on its way to the loudspeaker: samples in order, and words, each with the place in the stream that it came at."""

    pieces: deque[Audio] = field(default_factory=deque)
    words: deque[tuple[int, str]] = field(default_factory=deque)
    come: int = 0  # samples
    played: int = 0
    began: int = 0  # where the voice that is being played began

    @property
    def queued(self) -> int:
        return self.come - self.played

    def add(self, samples: Audio) -> int:
        """Queue samples; how many of them found no place."""
        room = max(0, round(MOST_QUEUED_S * RATE) - self.queued)
        if not self.queued:
            self.began = self.played
        self.pieces.append(samples[:room])
        self.come += len(samples[:room])
        return len(samples) - len(samples[:room])

    def tell(self, words: Sequence[tuple[int, str]]) -> None:
        """Queue words, each with how much sound had come when it came."""
        self.words.extend(words)

    def take(self, size: int) -> tuple[Audio, list[tuple[int, str]]]:
        """The next samples, zeros where nothing is queued, and the words that come up in them, each with its sample in them."""
        out, at, begins = np.zeros(size, np.float32), 0, self.played
        while self.pieces and at < size:
            piece = self.pieces.popleft()
            count = min(len(piece), size - at)
            out[at : at + count] = piece[:count]
            at += count
            if count < len(piece):
                self.pieces.appendleft(piece[count:])
        self.played += at
        found = []
        while self.words and (self.words[0][0] < begins + size and (self.words[0][0] < self.played or not self.queued)):
            place, word = self.words.popleft()
            found.append((min(max(0, place - begins), size - 1), word))
        return out, found

    def drop(self) -> tuple[int, list[str]]:
        """Throw away what is queued: how many samples, and which words."""
        dropped, words = self.queued, [word for _, word in self.words]
        self.pieces.clear()
        self.words.clear()
        self.come = self.played
        return dropped, words


Mark = TypeVar("Mark")


@dataclass
class Fragments(Generic[Mark]):
    """A transcript that comes in pieces of words: a word is whole once a space follows, or a tick has brought no more of it."""

    text: str = ""
    mark: Mark | None = None
    fresh: bool = False

    def add(self, delta: str, mark: Mark) -> list[tuple[Mark, str]]:
        """The words that this piece completes, each with the mark of the piece that it began in."""
        whole = self.flushed() if delta[:1].isspace() else []
        for piece in re.findall(r"\S+|\s+", delta):
            if piece.isspace():
                whole += self.flushed()
            else:
                self.mark = mark if self.mark is None else self.mark
                self.text += piece
        self.fresh = bool(self.text)
        return whole

    def rested(self) -> list[tuple[Mark, str]]:
        """The last word, if this tick brought no more of it."""
        if self.fresh:
            self.fresh = False
            return []
        return self.flushed()

    def flushed(self) -> list[tuple[Mark, str]]:
        """What there is, as a word."""
        text, mark, self.text, self.mark = self.text, self.mark, "", None
        return [(mark, text)] if text and mark is not None else []


@dataclass
class RemoteState:
    """One session with a service. It is changed in place: the other end cannot be taken back either."""

    clock: ClockSpec
    pace: RealTime
    link: Link | None
    playout: Playout = field(default_factory=Playout)
    talking: bool = False
    user_talks: bool = False
    said: Fragments[int] = field(default_factory=Fragments)
    heard: Fragments[Words] = field(default_factory=Fragments)
    heard_text: list[str] = field(default_factory=list)  # of the user, since the last thing that was asked for
    calls: list[str] = field(default_factory=list)  # asked for and not answered, oldest first
    answered: dict[str, str] = field(default_factory=dict)  # task to the call that it answers
    used: Used = field(default_factory=Used)  # of the wire that there is
    used_before: Used = field(default_factory=Used)  # of those that were lost
    origin_s: float | None = None  # when tick 0 was due, on the clock of the pace
    forked: bool = False

    def clone(self) -> RemoteState:
        return RemoteState(self.clock, self.pace, None, forked=True, origin_s=self.origin_s)


@dataclass(frozen=True)
class RemoteAgent:
    """A service behind the door of every agent. `make_wire` opens a connection of it, `about` is its spec, without any key.

    Give it a desk (`workbench.background`) and its requests for slow work are worked on there; what comes of them is sent back to it.
    """

    make_wire: Callable[[], Wire]
    about: Mapping[str, Any]
    price: Price = field(default_factory=Price)
    patience: LinkSpec = field(default_factory=LinkSpec)
    make_pace: Callable[[ClockSpec], RealTime] = RealTime
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO, USER_TEXT, BACKGROUND_TEXT)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "RemoteAgent", **self.about}

    def start(self, clock: ClockSpec, seed: int) -> RemoteState:
        """Opens the connection, before the first tick is due. Raises PeerError when that fails."""
        if clock.sample_rate != RATE:
            raise InputError(f"sample_rate={clock.sample_rate}: services are sent {RATE} Hz, and resampled from there; use that rate")
        pace = self.make_pace(clock)
        try:
            link = Link(self.make_wire, pace.now, self.patience).open()
        except PeerError as error:
            cause = hidden(str(error), self._key())
            raise PeerError(f"{self.about.get('service')} at {self.about.get('url')}: {cause}; check address, key and model") from error
        state = RemoteState(clock, pace, link)
        weakref.finalize(state, link.close).atexit = False
        return state

    def step(self, state: RemoteState, tick: Tick, heard: MicroTurn) -> tuple[Said, RemoteState]:
        late_ms = state.pace.wait(tick)
        watch, size, at_s = StopWatch(), state.clock.samples_per_tick, state.clock.seconds(tick)
        events: list[Event] = []
        if state.origin_s is None:
            state.origin_s = state.pace.due_s(0)
        if late_ms > state.pace.late_ms:
            events.append(DeadlineMissed(late_ms=round(late_ms, 2)))
            state.pace.forgive(tick)
            state.origin_s = state.pace.due_s(0)
        news = state.link.take() if state.link is not None else []
        cut = None
        for item in news:
            events += self._take(state, at_s, without(item, self._key()))
            cut = max(0, state.playout.played - state.playout.began) if isinstance(item, Interrupted) else cut
        if state.link is not None:
            state.link.say(Saying(heard.audio(USER_AUDIO, size), heard.text(USER_TEXT), _answers(state, heard), cut))
            if state.link.skipped:
                events.append(AudioSkipped(at_s=at_s, samples=state.link.skipped))
                state.link.skipped = 0
        elif state.forked:
            state.forked = False
            events.append(
                PeerNote(code="forked", text="the service goes on with the session that this one was forked from; here it is silent")
            )
        events += _heard_words(state, at_s, state.heard.rested())
        state.playout.tell(state.said.rested())
        packets, said = _spoken(state, tick)
        events += said
        events.append(_decision(state, packets))
        events.append(TickCost(stages_ms={"link": watch.lap_ms()}))
        return Said(packets, tuple(events)), state

    def _key(self) -> str:
        """The key of the service, as the environment has it; empty where there is none."""
        return os.environ.get(str(self.about.get("key_env", "")), "")

    def _take(self, state: RemoteState, at_s: float, item: News) -> list[Event]:
        """What a piece of news is among the events of this tick; its sound and its words are queued."""
        match item:
            case Sound(samples):
                lost = state.playout.add(np.clip(samples, -1, 1).astype(np.float32))
                return [AudioDropped(at_s=at_s, position=state.playout.come, samples=lost)] if lost else []
            case Words("model", text):
                state.playout.tell(state.said.add(text, state.playout.come))
                return []
            case Words():
                return _heard_words(state, at_s, state.heard.add(item.text, item))
            case Voice(began, when_s):
                state.user_talks = began
                seen_s = at_s if when_s is None else _ours(state, when_s, at_s)
                by = str(self.about.get("service", "service"))
                return [UserSpeechStarted(at_s=seen_s, by=by) if began else UserSpeechStopped(at_s=seen_s, by=by)]
            case Interrupted(reason):
                return _interrupted(state, at_s, reason)
            case Used():
                state.used = item
                spent = state.used_before + item
                tokens_in, tokens_out = spent.input_tokens, spent.output_tokens
                return [PeerUsage(seconds=spent.seconds, input_tokens=tokens_in, output_tokens=tokens_out, usd=self.price.of(spent))]
            case Asked(call, ask):
                whole = _heard_words(state, at_s, state.heard.flushed())
                words, state.heard_text = " ".join(state.heard_text), []
                state.calls.append(call)
                return [*whole, DelegationRequested(act="open", ask=ask or words or call, at_s=at_s)]
            case Told(code, text):
                return [PeerNote(code=code, text=text)]
            case Lost(cause):
                state.used_before, state.used = state.used_before + state.used, Used()
                return [LinkLost(at_s=at_s), PeerNote(code="link", text=cause)]
            case Resumed(away_s):
                return [LinkResumed(at_s=at_s, away_s=round(away_s, 3))]
            case GaveUp(cause):
                where = f"{self.about.get('service')} at {self.about.get('url')}"
                raise PeerError(
                    f"{where} broke off after {at_s:g} s, and {self.patience.retries} attempts did not bring it back ({cause}); "
                    "the session ends here, as silence would count as an answer"
                )


def _answers(state: RemoteState, heard: MicroTurn) -> tuple[tuple[str, str], ...]:
    """What the desk hands over, each with the call that it answers: the oldest that was not answered, for the first of a task."""
    found = []
    for note in notes_of(heard):
        if note.what in ("result", "partial") and (note.task in state.answered or state.calls):
            call = state.answered.setdefault(note.task, state.calls[0] if state.calls else "")
            state.calls = [other for other in state.calls if other != call]
            found.append((call, note.text))
    return tuple(found)


def _ours(state: RemoteState, when_s: float, at_s: float) -> float:
    """A second of the service's session on our clock; never later than now."""
    assert state.link is not None
    assert state.origin_s is not None
    return round(min(max(0.0, when_s + state.link.opened_s - state.origin_s), at_s), 6)


def _heard_words(state: RemoteState, at_s: float, words: Sequence[tuple[Words, str]]) -> list[Event]:
    """Words of the user as events; those of one piece share its time evenly where the service told it."""
    events: list[Event] = []
    state.heard_text += [word for _, word in words]
    for place, (piece, word) in enumerate(words):
        beside = [other for other, _ in words if other is piece]
        at, count = sum(other is piece for other, _ in words[:place]), len(beside)
        end_s = at_s if piece.end_s is None else _ours(state, piece.end_s, at_s)
        start_s = max(0.0, end_s - WORD_S * count) if piece.start_s is None else min(_ours(state, piece.start_s, at_s), end_s)
        step_s = (end_s - start_s) / count
        events.append(
            TranscriptDelta(side="user", word=word, start_s=round(start_s + at * step_s, 6), end_s=round(start_s + (at + 1) * step_s, 6))
        )
    return events


def _interrupted(state: RemoteState, at_s: float, reason: str) -> list[Event]:
    state.playout.tell(state.said.flushed())
    position = state.playout.played
    dropped, unsaid = state.playout.drop()
    if not dropped and not state.talking:
        return []
    events: list[Event] = [ModelYielded(at_s=at_s, p_yield=1.0, reason=reason, unsaid=" ".join(unsaid))]
    return [*events, AudioDropped(at_s=at_s, position=position, samples=dropped)] if dropped else events


def _spoken(state: RemoteState, tick: Tick) -> tuple[tuple[Packet, ...], list[Event]]:
    """What sounds in this tick, and the events of it."""
    clock = state.clock
    at_s = clock.seconds(tick)
    samples, words = state.playout.take(clock.samples_per_tick)
    audible = np.flatnonzero(np.abs(samples) > AUDIBLE)
    events: list[Event] = []
    if len(audible) and not state.talking:
        events.append(ModelSpeechStarted(at_s=round(at_s + float(audible[0]) / RATE, 6)))
    if not len(audible) and state.talking:
        events.append(ModelSpeechStopped(at_s=at_s))
    state.talking = bool(len(audible))
    packets = [Packet(AGENT_TEXT, tick, " ".join(word for _, word in words))] if words else []
    packets += [Packet(AGENT_AUDIO, tick, samples)] if samples.any() else []
    events += [
        TranscriptDelta(side="model", word=word, start_s=round(at_s + place / RATE, 6), end_s=round(at_s + place / RATE + WORD_S, 6))
        for place, word in words
    ]
    return tuple(packets), events


def _decision(state: RemoteState, packets: Sequence[Packet]) -> Decision:
    said = next((str(packet.payload) for packet in packets if packet.stream == AGENT_TEXT), "")
    floor = ("dual" if state.user_talks else "speak") if state.talking else "listen" if state.user_talks else "idle"
    return Decision(
        floor=floor,
        said=said,
        p_speak=float(state.talking),
        p_yield=0.0,
        p_backchannel=0.0,
        threshold=0.5,
        p_user_speaking=float(state.user_talks),
    )
