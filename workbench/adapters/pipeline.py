"""The turn-based status quo as a participant: voice activity, recogniser, language step and voice one after the other, with barge-in.

It hears an utterance whole or not at all: words are recognised once the user has been silent for `hang_s`, so everything that it does
comes at least that late, and what is asked for while somebody speaks is done afterwards. The recogniser is pocketsphinx with the words
and the word pairs of this world, the language step are rules, the voice is the synthesiser's: all of it runs offline.

Its latency in a trace is made of the tick in which the silence was long enough, and of computing: `compute_s` and `compute_per_s` times
the length of the utterance, set from `measured_compute` on the machine at hand; whole micro-turns of it delay what is said. What it really
took in each tick is in the trace as `tick.cost`. Computing in less than one micro-turn costs nothing here, for no agent.

While it speaks, voice of `barge_in_s` makes it stop. If the words turn out to ask for nothing ("mhm"), it goes on where it was cut, as
such pipelines do after a false alarm (`resume`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np

from workbench.adapters.energy_vad import VadSpec, VadState, hear
from workbench.adapters.rules import Act, Memory, understand
from workbench.agents import Mouth, MouthState
from workbench.clock import ClockSpec, StopWatch, Tick
from workbench.errors import InputError
from workbench.events import Decision, Event, TickCost, TranscriptDelta, UserSpeechStarted, UserSpeechStopped
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_TEXT, Audio, MicroTurn, rng_for
from workbench.recogniser import Recogniser, dictionary_phones
from workbench.scenarios import FAMILIES
from workbench.scenarios.script import At
from workbench.session import Said
from workbench.utterance import RATE

BETWEEN_WORDS_S = 0.6  # of what it is saying; what is due later, such as a reminder, is not broken off
PREROLL_S = 0.2  # of sound before the voice is found, for the recogniser
SENTENCES = 60  # episodes of every family, of which the recogniser knows the words and their pairs
EXTRA_PHONES = {"mhm": ("AH", "M", "HH", "AH", "M"), "uhuh": ("AH", "HH", "AH")}

Plan: TypeAlias = tuple[tuple[int, str], ...]  # words to say, each with its tick


class Ear(Protocol):
    """Anything that knows the words in a sound at 16 kHz."""

    def hear(self, samples: Audio) -> tuple[str, ...]: ...


@lru_cache(maxsize=1)
def world_sentences() -> tuple[tuple[str, ...], ...]:
    """What people say in the scenarios, beat by beat: the grammar that the recogniser is given."""
    found = []
    for name, one in FAMILIES.items():
        for number in range(SENTENCES):
            pieces = one.episode(At(0.0), rng_for(number, 0, f"grammar.{name}"), 0.5)
            found += [beat.words for piece in pieces for beat in piece.beats if beat.words]
    return tuple(found)


@lru_cache(maxsize=1)
def world_ear() -> Recogniser:
    """The recogniser with the words of this world. Raises InputError where pocketsphinx is missing."""
    sentences = world_sentences()
    words = sorted({word for sentence in sentences for word in sentence})
    return Recogniser(dictionary_phones(words, EXTRA_PHONES), sentences)


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """What can be tuned: the detector's, how much voice makes it stop, whether it goes on after a false alarm, and its computing.

    `hang_s` and `barge_in_s` are from a first sweep (two episodes of four families in flite voices, 0.3 to 0.5 s of silence as good as each
    other, 0.8 s worse); `benchmarks/sweep_pipeline.py` sweeps them anew. Computing is what pocketsphinx took on one core, rounded up.
    """

    hang_s: float = 0.4
    margin_db: float = 9.0
    onset_s: float = 0.06
    barge_in_s: float = 0.6
    resume: bool = True
    compute_s: float = 0.05
    compute_per_s: float = 0.1

    def __post_init__(self) -> None:
        if min(self.barge_in_s, self.compute_s, self.compute_per_s) < 0:
            raise InputError(f"{self} has a negative time; barge_in_s, compute_s and compute_per_s are zero or more")
        self.vad()

    def vad(self) -> VadSpec:
        return VadSpec(margin_db=self.margin_db, onset_s=self.onset_s, hang_s=self.hang_s)


@dataclass(frozen=True)
class PipelineState:
    """What the pipeline carries from tick to tick; `sound` is what it may still need of what it heard, from second `sound_from_s` on."""

    clock: ClockSpec
    mouth: MouthState
    vad: VadState = field(default_factory=VadState)
    sound: tuple[Audio, ...] = ()
    sound_from_s: float = 0.0
    memory: Memory = field(default_factory=Memory)
    plan: Plan = ()
    dropped: Plan = ()  # what a barge-in took away
    last: str = ""

    def clone(self) -> PipelineState:
        return self


@dataclass(frozen=True)
class Pipeline:
    """Voice activity, recogniser, rules and voice behind the door of every agent. `make_ear` gives the same recogniser at every call."""

    knobs: Knobs = field(default_factory=Knobs)
    make_ear: Callable[[], Ear] = world_ear
    mouth: Mouth = field(default_factory=Mouth)
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO, USER_TEXT)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Pipeline", "recogniser": "pocketsphinx", "language": "rules", "voice": "espeak-ng", **asdict(self.knobs)}

    def start(self, clock: ClockSpec, seed: int) -> PipelineState:
        if clock.sample_rate != RATE:
            raise InputError(f"sample_rate={clock.sample_rate}: the recogniser hears {RATE} Hz; use that rate")
        self.make_ear()  # what is missing is said before the session, and nobody waits for it in the middle
        return PipelineState(clock, self.mouth.start(seed))

    def step(self, state: PipelineState, tick: Tick, heard: MicroTurn) -> tuple[Said, PipelineState]:
        watch, clock = StopWatch(), state.clock
        events: list[Event] = []
        before = state.vad
        state, ended = self._listen(state, tick, heard)
        cost = {"voice activity": watch.lap_ms()}
        if state.vad.open and not before.open:
            events.append(UserSpeechStarted(at_s=round(state.vad.begins_s, 6), by="energy"))
        yields = self._broken_in(state, tick)
        if yields:
            state = replace(state, plan=(), dropped=tuple(item for item in state.plan if item[0] >= tick))
        if ended is not None:
            events.append(UserSpeechStopped(at_s=round(ended[1], 6), by="energy"))
            words = self.make_ear().hear(self._utterance(state, ended))
            cost["recogniser"] = watch.lap_ms()
            events += _transcript(words, ended)
            state = self._answer(state, tick, words, ended)
            cost["language"] = watch.lap_ms()
        if typed := tuple(heard.text(USER_TEXT).split()):
            state = self._answer(state, tick, typed, (clock.seconds(tick),) * 2)
        due = [word for at, word in state.plan if at <= tick]
        reason = f"voice of {self.knobs.barge_in_s:g} s while it spoke"
        cut = tuple(word for _, word in state.dropped) if yields else ()
        packets, said, mouth = self.mouth.act(state.mouth, clock, tick, due, yields, reason=reason, planned=cut)
        cost["voice"] = watch.lap_ms()
        plan = tuple(item for item in state.plan if item[0] > tick)
        state = replace(state, mouth=mouth, plan=plan, last=due[-1] if due else state.last)
        decision = _decision(due, yields, mouth.talking, state.vad.open)
        return Said(packets, (*events, *said, decision, TickCost(stages_ms=cost))), state

    def _listen(self, state: PipelineState, tick: Tick, heard: MicroTurn) -> tuple[PipelineState, tuple[float, float] | None]:
        """The state after what was said in the tick before, and the utterance that has ended, if one has."""
        if tick == 0:
            return state, None
        clock = state.clock
        samples, from_s = heard.audio(USER_AUDIO, clock.samples_per_tick), clock.seconds(tick - 1)
        vad, ended = hear(self.knobs.vad(), state.vad, samples, from_s)
        sound, sound_from_s = (*state.sound, samples), state.sound_from_s if state.sound else from_s
        needed_s = (ended[0] if ended else vad.begins_s if vad.open else from_s) - PREROLL_S
        while len(sound) > 1 and sound_from_s + clock.tick_s <= needed_s:
            sound, sound_from_s = sound[1:], sound_from_s + clock.tick_s
        return replace(state, vad=vad, sound=sound, sound_from_s=sound_from_s), ended

    def _utterance(self, state: PipelineState, ended: tuple[float, float]) -> Audio:
        """The sound of an utterance with a little before and after it."""
        whole, clock = np.concatenate(state.sound), state.clock
        first, last = (clock.samples(at_s - state.sound_from_s) for at_s in (ended[0] - PREROLL_S, ended[1] + PREROLL_S))
        return whole[max(0, first) : last]

    def _broken_in(self, state: PipelineState, tick: Tick) -> bool:
        """Whether the user's voice makes it stop now: there is enough of it, and it sounds or is between two words that belong together."""
        goes_on = bool(state.plan) and (state.plan[0][0] - tick) * state.clock.tick_s <= BETWEEN_WORDS_S
        voice_s = state.vad.voice_ends_s - state.vad.begins_s
        return state.vad.open and (state.mouth.speech.speaking or goes_on) and voice_s >= self.knobs.barge_in_s - 1e-9

    def _answer(self, state: PipelineState, tick: Tick, words: Sequence[str], ended: tuple[float, float]) -> PipelineState:
        """The plan and the memory once an utterance is understood; computing delays what it brings."""
        counting_now = bool(state.plan or state.dropped) and bool(state.memory.line)
        found = understand(words, state.memory, state.last, counting_now)
        kept = () if found.ends else state.plan
        if not found.asked and state.dropped and self.knobs.resume:
            late = tick - state.dropped[0][0]
            kept = tuple((at + max(late, 0), word) for at, word in state.dropped)
        delay_s = self.knobs.compute_s + self.knobs.compute_per_s * (ended[1] - ended[0])
        earliest = tick + int(delay_s / state.clock.tick_s)
        new = tuple(item for act in found.acts for item in _planned(act, earliest, ended[1], state.clock))
        plan = tuple(sorted((*kept, *new), key=lambda item: item[0]))
        return replace(state, memory=found.memory, plan=plan, dropped=())


def _planned(act: Act, earliest: int, ended_s: float, clock: ClockSpec) -> Plan:
    """The words of an act with their ticks: no tick lies before `earliest`, and a pace is kept."""
    first = max(earliest, clock.first_tick_from(ended_s + act.after_s))
    return tuple((first + round(n * act.every_s / clock.tick_s), word) for n, word in enumerate(act.words))


def _transcript(words: Sequence[str], ended: tuple[float, float]) -> list[TranscriptDelta]:
    """The words heard, spread evenly over the utterance: this recogniser is not asked for their times."""
    step_s = (ended[1] - ended[0]) / max(len(words), 1)
    starts = (ended[0] + n * step_s for n in range(len(words)))
    return [
        TranscriptDelta(side="user", word=word, start_s=round(at_s, 6), end_s=round(at_s + step_s, 6))
        for word, at_s in zip(words, starts, strict=True)
    ]


def _decision(words: Sequence[str], yields: bool, talking: bool, user: bool) -> Decision:
    floor = "dual" if talking and user else "speak" if talking or words else "listen" if user else "idle"
    said = " ".join(["<yield>"] * yields + list(words))
    acts = float(bool(words))
    return Decision(
        floor=floor, said=said, p_speak=acts, p_yield=float(yields), p_backchannel=0.0, threshold=0.5, p_user_speaking=float(user)
    )


def pipeline_of(text: str = "") -> Pipeline:
    """The pipeline with knobs from text such as "hang_s=0.4,resume=no". Raises InputError for a knob or value that there is not."""
    known = {f.name: type(getattr(Knobs(), f.name)) for f in fields(Knobs)}
    values: dict[str, Any] = {}
    for part in (piece.strip() for piece in text.split(",") if piece.strip()):
        name, _, value = part.partition("=")
        if name not in known:
            raise InputError(f"the pipeline has no knob {name!r}; there are {', '.join(known)}")
        try:
            values[name] = _YES_NO[value] if known[name] is bool else float(value)
        except (KeyError, ValueError):
            raise InputError(f"knob {part!r} has no value that fits; give a number, or yes or no for resume") from None
    return Pipeline(Knobs(**values))


_YES_NO = {"yes": True, "no": False}


def measured_compute(ear: Ear, utterances: Sequence[Audio]) -> tuple[float, float]:
    """(compute_s, compute_per_s): the line through what recognising these sounds took, by their length. Needs two of different length."""
    lengths = np.array([len(samples) / RATE for samples in utterances])
    if len(set(lengths.tolist())) < 2:
        raise InputError(f"{len(utterances)} sounds of one length give no line; measure on at least two of different length")
    watch, took = StopWatch(), []
    for samples in utterances:
        watch.lap_ms()
        ear.hear(samples)
        took.append(watch.lap_ms() / 1000)
    slope, base = np.polyfit(lengths, np.array(took), 1)
    return max(float(base), 0.0), max(float(slope), 0.0)
