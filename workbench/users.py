"""The user side of a session: a scripted user that reacts to what it hears, a recorded one, and a silent one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from workbench.channel import Line, LineState
from workbench.clock import ClockSpec, Tick
from workbench.events import Event, TruthExpect, TruthPiece, TruthWithdrawn, TruthWord
from workbench.frames import film
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, TRUTH, USER_AUDIO, USER_CAMERA, USER_TEXT, Audio, MicroTurn, Packet
from workbench.scenarios.script import (
    LISTENS_ON_S,
    AfterAgentDone,
    AfterAgentStarts,
    AfterAgentWord,
    AfterBegin,
    AfterOwn,
    At,
    Beat,
    Burst,
    Command,
    Passage,
    Script,
    Trigger,
)
from workbench.session import Said
from workbench.sounds import burst, recorded_passage
from workbench.speech import Utterance, Voice, Word, speaker

PAUSE_S = 0.25  # between two words, from which on a perfect ear takes the user to be silent
SOUND_PEAK = 1e-3  # an agent sample above this counts as sound
RECORDED_TAIL_S = 3.0


class Says(Protocol):
    """Anything that turns phrases and pauses into one utterance, as `workbench.speech.Speaker` does."""

    def say(self, parts: Sequence[str | float]) -> Utterance: ...


SpeakerOf: TypeAlias = Callable[[Voice], Says]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A beat turned into sound: samples as the microphone picks them up, and word times from its first sample."""

    samples: Audio
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """The view that the camera is on: of which beat, the zero of its scene's clock, and until when, in seconds on the session clock."""

    beat: int
    zero_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class UserState:
    """What a scripted user carries from tick to tick; small and immutable, so a fork shares it.

    `sounding` lists beats that are not over yet with their first sample; agent times are seconds on the session clock.
    """

    clock: ClockSpec
    seed: int
    next_beat: int = 0
    sounding: tuple[tuple[int, int], ...] = ()
    own_begin_s: float = 0.0
    own_end_s: float = 0.0
    agent_words_s: tuple[float, ...] = ()  # words heard since the last beat began
    agent_began_s: float | None = None  # first and last agent sound since the last beat that asked for something had ended
    agent_ended_s: float | None = None
    asked_end_s: float = 0.0
    open_ids: tuple[str, ...] = ()
    judged_s: float = 0.0  # when the last window of what was expected so far is over
    line: LineState = field(default_factory=LineState)
    seen: Seen | None = None

    def clone(self) -> UserState:
        return self


@dataclass(slots=True)
class _Now:
    """What begins in one tick beside sound."""

    events: list[Event] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)


class ScriptedUser:
    """Performs a script: speaks on `user.audio`, types on `user.text`, shows its views on `user.camera`, and reacts to the agent.

    On `truth` it tells what a perfect agent is to do. A beat is synthesised when it is first needed, or with all others by `prepare`.
    `truth.piece`, `truth.word`, `truth.expect` and `truth.withdrawn` events enter the trace in the tick in which the word, or the beat
    that they belong to, begins. The session is done once the script's ending has come and the window of everything expected is over. What
    `user.audio` carries has gone through the script's channel, in which the agent's sound may come back as echo.
    """

    name = "user"
    speaks = (USER_AUDIO, USER_TEXT, USER_CAMERA, TRUTH)
    hears = (AGENT_AUDIO, AGENT_TEXT)

    def __init__(self, script: Script, *, speaker_of: SpeakerOf = speaker) -> None:
        self.script = script
        self._speaker_of = speaker_of
        self._rendered: dict[int, Rendered] = {}

    def spec(self) -> Mapping[str, Any]:
        """Family, seed and labels, from which the scenario registry builds the same script again."""
        return {"class": "ScriptedUser", "family": self.script.family, "seed": self.script.seed, **self.script.labels}

    def start(self, clock: ClockSpec, seed: int) -> UserState:
        return UserState(clock, seed)

    def step(self, state: UserState, tick: Tick, heard: MicroTurn) -> tuple[Said, UserState]:
        state = _listen(state, tick, heard)
        now = _Now()
        while (begins_s := self._due_s(state, tick)) is not None:
            state = self._begin(state, begins_s, now)
        samples, state = self._sound(state, tick, now.events)
        samples, state = self._send(state, tick, samples, heard)
        packets = [Packet(USER_AUDIO, tick, samples), *self._look(state, tick)]
        if now.typed:
            packets.append(Packet(USER_TEXT, tick, " ".join(now.typed)))
        if now.commands:
            packets.append(Packet(TRUTH, tick, tuple(now.commands)))
        return Said(tuple(packets), tuple(now.events), self._over(state, tick)), state

    def prepare(self) -> ScriptedUser:
        """Synthesise every beat now; the user itself."""
        for number in range(len(self.script.beats)):
            self._sounds(number)
        return self

    def _sounds(self, number: int) -> Rendered:
        if number not in self._rendered:
            self._rendered[number] = render(self.script, number, self._speaker_of)
        return self._rendered[number]

    def _due_s(self, state: UserState, tick: Tick) -> float | None:
        """When the next beat begins, if it begins in this tick."""
        if state.next_beat == len(self.script.beats):
            return None
        return _fires(self.script.beats[state.next_beat].trigger, state, tick)

    def _over(self, state: UserState, tick: Tick) -> bool:
        if tick + 1 >= self.script.longest(state.clock):
            return True
        if state.next_beat < len(self.script.beats) or state.sounding:
            return False
        return _fires(self.script.ending, state, tick) is not None and state.clock.seconds(tick + 1) >= state.judged_s

    def _begin(self, state: UserState, begins_s: float, now: _Now) -> UserState:
        number = state.next_beat
        beat, rendered = self.script.beats[number], self._sounds(number)
        first = state.clock.samples(begins_s)
        begins_s = first / state.clock.sample_rate
        if beat.typed:
            now.typed.append(" ".join(beat.words))
        now.commands.extend(order.command(rendered.words, begins_s) for order in beat.orders)
        if self.script.facts is not None and beat.speaker == "user" and beat.sound is None and not beat.typed:
            now.commands.extend(_told(rendered.words, begins_s))
        if beat.family and (number == 0 or beat.family != self.script.beats[number - 1].family):
            now.events.append(TruthPiece(family=beat.family, at_s=_tidy(begins_s)))
        if beat.withdraws is not None:
            at_s = _tidy(beat.withdraws.at(rendered.words, begins_s))
            now.events.extend(TruthWithdrawn(id=name, at_s=at_s) for name in state.open_ids)
        expects = _expects(number, beat, rendered.words, begins_s)
        now.events.extend(expects)
        ends_s = begins_s + rendered.words[-1].end_s + beat.holds_s  # the echo of the room goes on a little longer
        view = beat.view
        zero_s = 0.0 if view is None else view.anchor.at(rendered.words, begins_s)
        state = replace(
            state,
            next_beat=number + 1,
            sounding=(*state.sounding, (number, first)),
            own_begin_s=begins_s,
            own_end_s=ends_s,
            agent_words_s=(),
            seen=state.seen if view is None else Seen(number, zero_s, zero_s + view.lasts_s),
        )
        if expects:
            open_ids = tuple(e.id for e in expects if e.what in ("reply", "count", "time"))
            state = replace(state, open_ids=open_ids, judged_s=max(state.judged_s, *(e.anchor_s + e.to_s for e in expects)))
        if beat.orders:
            state = replace(state, agent_began_s=None, agent_ended_s=None, asked_end_s=ends_s)
        return state

    def _look(self, state: UserState, tick: Tick) -> list[Packet]:
        """What the camera saw in this tick; nothing where it is off."""
        clock, seen = state.clock, state.seen
        if seen is None or clock.seconds(tick) >= seen.until_s:
            return []
        view = self.script.beats[seen.beat].view
        assert view is not None
        frames = film(view.scene, clock.seconds(tick) - seen.zero_s, clock.tick_s)
        return [Packet(USER_CAMERA, tick, self.script.lens.take(frames, tick))]

    def _sound(self, state: UserState, tick: Tick, events: list[Event]) -> tuple[Audio, UserState]:
        """The microphone in this tick; adds the words that begin in it to `events`."""
        clock = state.clock
        size, rate = clock.samples_per_tick, clock.sample_rate
        low = tick * size
        mix = self.script.acoustics.noise(tick, size)
        still: list[tuple[int, int]] = []
        for number, first in state.sounding:
            rendered = self._sounds(number)
            begin, end = max(first, low), min(first + len(rendered.samples), low + size)
            if begin < end:
                mix[begin - low : end - low] += rendered.samples[begin - first : end - first]
            who, typed = self.script.beats[number].speaker, self.script.beats[number].typed
            for word in () if typed else rendered.words:
                at = first + word.start_s * rate
                if low <= at < low + size:
                    start_s, end_s = _tidy(first / rate + word.start_s), _tidy(first / rate + word.end_s)
                    events.append(TruthWord(word=word.word, start_s=start_s, end_s=end_s, speaker=who))
            if first + len(rendered.samples) > low + size:
                still.append((number, first))
        np.clip(mix, -1.0, 1.0, out=mix)
        return mix, state if len(still) == len(state.sounding) else replace(state, sounding=tuple(still))

    def _send(self, state: UserState, tick: Tick, samples: Audio, heard: MicroTurn) -> tuple[Audio, UserState]:
        """What arrives at the other end of the channel in this tick."""
        line = Line(self.script.channel, self.script.acoustics, state.clock, state.seed)
        arrived, after = line.carry(state.line, tick, samples, heard.audio(AGENT_AUDIO, len(samples)))
        return arrived, state if after is state.line else replace(state, line=after)


def render(script: Script, number: int, speaker_of: SpeakerOf) -> Rendered:
    """One beat of the script as sound at the microphone. Raises SpeechError when its voice is not available."""
    beat = script.beats[number]
    if beat.typed:
        return Rendered(np.zeros(0, np.float32), tuple(Word(word, 0.0, 0.0) for word in beat.words))
    match beat.sound:
        case None:
            utterance = speaker_of(script.voices[beat.speaker]).say(beat.parts)
        case Passage():
            utterance = recorded_passage(beat.sound)
        case Burst():
            utterance = burst(beat.sound)
    samples = script.acoustics.apply_to_voice(utterance.samples)
    if beat.level_db:
        samples = samples * np.float32(10 ** (beat.level_db / 20))
    return Rendered(samples, utterance.words)


def _told(words: Sequence[Word], begins_s: float) -> list[Command]:
    """What a perfect ear notices of a beat: where it begins and pauses, and its words as each has been said."""
    told = []
    for place, word in enumerate(words):
        start_s, end_s = begins_s + word.start_s, begins_s + word.end_s
        if place == 0 or word.start_s - words[place - 1].end_s > PAUSE_S:
            told.append(Command("talks", start_s))
        told.append(Command("hear", end_s, (word.word,)))
        if place + 1 == len(words) or words[place + 1].start_s - word.end_s > PAUSE_S:
            told.append(Command("pauses", end_s))
    return told


def _expects(number: int, beat: Beat, words: tuple[Word, ...], begins_s: float) -> list[TruthExpect]:
    found = []
    for place, expect in enumerate(beat.expects):
        anchor_s = expect.anchor.at(words, begins_s)
        to_s = expect.to_s if expect.until is None else expect.until.at(words, begins_s) + expect.to_s - anchor_s
        found.append(
            TruthExpect(
                id=f"{number}.{place}",
                what=expect.what,
                anchor=expect.label,
                anchor_s=_tidy(anchor_s),
                from_s=expect.from_s,
                to_s=_tidy(to_s),
                words=(expect.lasting.word(words),) if expect.lasting else expect.words,
                tags=expect.tags,
                step=expect.step,
                accepts=expect.lasting.accepted(words) if expect.lasting else (),
            )
        )
    return found


def _listen(state: UserState, tick: Tick, heard: MicroTurn) -> UserState:
    """Take in what the agent said in the tick before."""
    if not heard.packets:
        return state
    at_s = state.clock.seconds(tick - 1)
    words = heard.text(AGENT_TEXT).split()
    if words:
        state = replace(state, agent_words_s=state.agent_words_s + (at_s,) * len(words))
    audio = heard.get(AGENT_AUDIO)
    if not isinstance(audio, np.ndarray):
        return state
    loud = np.flatnonzero(np.abs(audio) > SOUND_PEAK)
    if not len(loud):
        return state
    last_s = at_s + (int(loud[-1]) + 1) / state.clock.sample_rate
    if last_s <= state.asked_end_s:
        return state
    first_s = max(at_s + int(loud[0]) / state.clock.sample_rate, state.asked_end_s)
    began_s = first_s if state.agent_began_s is None else state.agent_began_s
    return replace(state, agent_began_s=began_s, agent_ended_s=last_s)


def _fires(trigger: Trigger, state: UserState, tick: Tick) -> float | None:
    """When a trigger fires, in seconds, if that is before the end of this tick; never before the tick or the end of the last beat."""
    own = state.own_end_s
    match trigger:
        case At(at_s):
            due_s = at_s
        case AfterOwn(gap_s):
            due_s = own + gap_s
        case AfterBegin(gap_s):
            due_s = state.own_begin_s + gap_s
        case AfterAgentStarts(delay_s, timeout_s):
            due_s = own + timeout_s if state.agent_began_s is None else state.agent_began_s + delay_s
        case AfterAgentWord(nth, delay_s, timeout_s):
            due_s = own + timeout_s if len(state.agent_words_s) < nth else state.agent_words_s[nth - 1] + delay_s
        case AfterAgentDone(silence_s, timeout_s):
            patience_s = own + timeout_s
            due_s = patience_s if state.agent_ended_s is None else min(state.agent_ended_s + silence_s, patience_s + LISTENS_ON_S)
    due_s = max(due_s, own, state.clock.seconds(tick))
    return due_s if due_s < state.clock.seconds(tick + 1) else None


def _tidy(seconds: float) -> float:
    return round(seconds, 6)


@dataclass(frozen=True)
class RecordedUser:
    """Plays a recording (float32, mono, at the session's sample rate), then three seconds of silence, then is done."""

    samples: Audio
    label: str = "recording"
    tail_s: float = RECORDED_TAIL_S
    name: str = "user"
    speaks: tuple[str, ...] = (USER_AUDIO,)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "RecordedUser", "label": self.label, "samples": len(self.samples), "tail_s": self.tail_s}

    def start(self, clock: ClockSpec, seed: int) -> ClockSpec:
        return clock

    def step(self, state: ClockSpec, tick: Tick, heard: MicroTurn) -> tuple[Said, ClockSpec]:
        size = state.samples_per_tick
        piece = np.zeros(size, np.float32)
        now = self.samples[tick * size : (tick + 1) * size]
        piece[: len(now)] = now
        whole = len(self.samples) + state.samples(self.tail_s)
        return Said((Packet(USER_AUDIO, tick, piece),), (), (tick + 1) * size >= whole), state


@dataclass(frozen=True)
class SilentUser:
    """Says nothing, for `ticks` micro-turns or for ever."""

    ticks: int | None = None
    name: str = "user"
    speaks: tuple[str, ...] = (USER_AUDIO,)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "SilentUser", "ticks": self.ticks}

    def start(self, clock: ClockSpec, seed: int) -> ClockSpec:
        return clock

    def step(self, state: ClockSpec, tick: Tick, heard: MicroTurn) -> tuple[Said, ClockSpec]:
        samples = np.zeros(state.samples_per_tick, np.float32)
        return Said((Packet(USER_AUDIO, tick, samples),), (), self.ticks is not None and tick + 1 >= self.ticks), state
