"""The turn-based status quo as a participant: voice activity, recogniser, language step and voice one after the other, with barge-in.

It hears an utterance whole or not at all: words are recognised once the user has been silent for `hang_s`, so everything that it does
comes at least that late, and what is asked for while somebody speaks is done afterwards. Voice is found by Silero's network
(`silero_vad.py`), or by its energy (`energy_vad.py`) where `vad=energy` asks for that or the network is not installed. The recogniser is
pocketsphinx with the words and the word pairs of this world, the voice is the synthesiser's. The language step is rules (`rules.py`), or
with `language=chat:URL#MODEL` a model behind a chat-completions server (`chat_step.py`). All but that server runs offline.

Its latency in a trace is made of the tick in which the silence was long enough, and of computing: with rules `compute_s` and
`compute_per_s` times the length of the utterance, set from `measured_compute` on the machine at hand, of which whole micro-turns delay what
is said; with a chat model what recognising and the server really took. What each tick took is in the trace as `tick.cost`. Computing in
less than one micro-turn costs nothing here, for no agent.

While it speaks, voice of `barge_in_s` makes it stop. If the words turn out to ask for nothing ("mhm"), it goes on where it was cut, as
such pipelines do after a false alarm (`resume`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np

from workbench.adapters import energy_vad, silero_vad
from workbench.adapters.chat_step import Asking, Line, Reply, TimedWords, asking, chat_backend, chat_settings, with_line
from workbench.adapters.energy_vad import Utterances, VadSpec, VadState
from workbench.adapters.rules import Act, Memory, understand
from workbench.adapters.silero_vad import WINDOW_S, SileroSpec, SileroState
from workbench.agents import Mouth, MouthState
from workbench.background.backends import Backend, Recorded
from workbench.clock import ClockSpec, StopWatch, Tick
from workbench.errors import InputError, TraceError
from workbench.events import Decision, Event, TickCost, TranscriptDelta, UserSpeechStarted, UserSpeechStopped
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_TEXT, Audio, MicroTurn, rng_for
from workbench.recogniser import Recogniser, dictionary_phones
from workbench.scenarios import FAMILIES, PLANTED
from workbench.scenarios.script import At
from workbench.session import Said
from workbench.trace import Trace
from workbench.utterance import RATE

BETWEEN_WORDS_S = 0.6  # of what it is saying; what is due later, such as a reminder, is not broken off
PREROLL_S = 0.2  # of sound before the voice is found, for the recogniser
SENTENCES = 60  # episodes of every family, of which the recogniser knows the words and their pairs
EXTRA_PHONES = {"mhm": ("AH", "M", "HH", "AH", "M"), "uhuh": ("AH", "HH", "AH")}

NOTHING_NEW = (PLANTED, "wrong_sum")  # people there say what they say in look_up and answer, and in user_mistake and invitation

DETECTORS = ("silero", "energy")
RULES = "rules"
LATER: Mapping[str, Any] = {"vad": "energy", "voice_p": 0.5, "language": RULES}  # knobs that came later, and what there was before

Plan: TypeAlias = tuple[tuple[int, str], ...]  # words to say, each with its tick


class Ear(Protocol):
    """Anything that knows the words in a sound at 16 kHz."""

    def hear(self, samples: Audio) -> tuple[str, ...]: ...


@lru_cache(maxsize=1)
def world_sentences() -> tuple[tuple[str, ...], ...]:
    """What people say in the scenarios, beat by beat: the grammar that the recogniser is given.

    Families of `NOTHING_NEW` add nothing to it: there people say what they say in others.
    """
    found = []
    for name, one in FAMILIES.items():
        if name in NOTHING_NEW:
            continue
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
    """What can be tuned: the detector and its bar, how much voice makes it stop, whether it goes on after a false alarm, and its computing.

    The defaults are the best of the sweep in `docs/pipeline_sweep.json` for Silero's detector, which was ahead of energy there; `TUNED` has
    the best of either. It was made in training voices of espeak-ng and festival, far from the seeds of any evaluation, by
    `benchmarks/sweep_pipeline.py`; most values do as well as their neighbours within a few of its outcomes. `onset_s` was not in it: 0.03
    and 0.1 s made no difference in a smaller one before. Computing is what pocketsphinx took on one core that was free, rounded up.
    """

    vad: str = "silero"
    hang_s: float = 0.4
    voice_p: float = 0.7
    margin_db: float = 9.0
    onset_s: float = 0.06
    barge_in_s: float = 0.8
    resume: bool = True
    compute_s: float = 0.05
    compute_per_s: float = 0.1
    language: str = RULES

    def __post_init__(self) -> None:
        if min(self.barge_in_s, self.compute_s, self.compute_per_s) < 0:
            raise InputError(f"{self} has a negative time; barge_in_s, compute_s and compute_per_s are zero or more")
        if self.vad not in DETECTORS:
            raise InputError(f"vad={self.vad}: the detectors are {' and '.join(DETECTORS)}")
        self.energy()
        self.silero()
        if self.language != RULES:
            chat_settings(self.language)

    def energy(self) -> VadSpec:
        return VadSpec(margin_db=self.margin_db, onset_s=self.onset_s, hang_s=self.hang_s)

    def silero(self) -> SileroSpec:
        return SileroSpec(voice_p=self.voice_p, onset_s=self.onset_s, hang_s=self.hang_s)


TUNED = {"silero": Knobs(), "energy": Knobs(vad="energy", hang_s=0.5, barge_in_s=0.6)}  # by the sweep


@dataclass(frozen=True)
class PipelineState:
    """What the pipeline carries from tick to tick; `sound` is what it may still need of what it heard, from second `sound_from_s` on."""

    clock: ClockSpec
    mouth: MouthState
    vad: Utterances
    sound: tuple[Audio, ...] = ()
    sound_from_s: float = 0.0
    memory: Memory = field(default_factory=Memory)
    plan: Plan = ()
    dropped: Plan = ()  # what a barge-in took away
    last: str = ""
    lines: tuple[Line, ...] = ()  # the conversation as it was heard, for a chat model
    waits_from_s: float = 0.0  # when the next wait that the model wants begins
    asking: Asking | None = None

    def clone(self) -> PipelineState:
        return self if self.asking is None else replace(self, asking=self.asking.clone())


@dataclass(frozen=True)
class Pipeline:
    """Voice activity, recogniser, language and voice behind the door of every agent. `make_ear` gives the same recogniser at every call.

    `lacks` tells what is not installed of what Silero's detector needs.
    """

    knobs: Knobs = field(default_factory=Knobs)
    make_ear: Callable[[], Ear] = world_ear
    mouth: Mouth = field(default_factory=Mouth)
    lacks: Callable[[], str] = silero_vad.lacking
    make_backend: Callable[[], Backend] | None = None  # of the chat model; None: the server that `language` names
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO, USER_TEXT)

    def spec(self) -> Mapping[str, Any]:
        heard = silero_vad.about() if self.detector == "silero" else "energy"
        because = f", as {self.lacks()} is not installed" if self.detector != self.knobs.vad else ""
        named = {"class": "Pipeline", "recogniser": "pocketsphinx", "voice": "espeak-ng", "voice_activity": heard + because}
        return {**named, **asdict(self.knobs), "vad": self.detector}

    def start(self, clock: ClockSpec, seed: int) -> PipelineState:
        if clock.sample_rate != RATE:
            raise InputError(f"sample_rate={clock.sample_rate}: the recogniser hears {RATE} Hz; use that rate")
        self.make_ear()  # what is missing is said before the session, and nobody waits for it in the middle
        if self.detector != self.knobs.vad:
            _say_once(f"{self.lacks()} not installed: the pipeline listens with its energy detector; `pip install 'microturn[peers]'`")
        vad = SileroState() if self.detector == "silero" else VadState()
        return PipelineState(clock, self.mouth.start(seed), vad, asking=self._asking(clock, seed))

    def _asking(self, clock: ClockSpec, seed: int) -> Asking | None:
        if self.knobs.language == RULES:
            return None
        backend = self.make_backend() if self.make_backend else chat_backend(chat_settings(self.knobs.language))
        return asking(backend, clock, seed)

    @property
    def detector(self) -> str:
        """The detector that it listens with: the one that was asked for, or "energy" where that one is not installed."""
        return "energy" if self.knobs.vad == "energy" or self.lacks() else "silero"

    def step(self, state: PipelineState, tick: Tick, heard: MicroTurn) -> tuple[Said, PipelineState]:
        watch, clock = StopWatch(), state.clock
        by = "silero" if isinstance(state.vad, SileroState) else "energy"
        events: list[Event] = []
        before = state.vad
        state, ended = self._listen(state, tick, heard)
        cost = {"voice activity": watch.lap_ms()}
        if state.vad.open and not before.open:
            events.append(UserSpeechStarted(at_s=round(state.vad.begins_s, 6), by=by))
        yields = self._broken_in(state, tick)
        if yields:
            state = self._cut(state, tick)
        if ended is not None:
            events.append(UserSpeechStopped(at_s=round(ended[1], 6), by=by))
            words = self.make_ear().hear(self._utterance(state, ended))
            cost["recogniser"] = watch.lap_ms()
            events += _transcript(words, ended)
            state = self._understand(state, tick, words, ended, sum(cost.values()) / 1000)
        if typed := tuple(heard.text(USER_TEXT).split()):
            state = self._understand(state, tick, typed, (clock.seconds(tick),) * 2, sum(cost.values()) / 1000)
        if state.asking is not None:
            replies, arrived = state.asking.hear(tick)
            events += arrived
            for reply in replies:
                state = self._told(state, tick, reply)
        cost["language"] = watch.lap_ms()
        due = [word for at, word in state.plan if at <= tick]
        reason = f"voice of {self.knobs.barge_in_s:g} s while it spoke"
        cut = tuple(word for _, word in state.dropped) if yields else ()
        packets, said, mouth = self.mouth.act(state.mouth, clock, tick, due, yields, reason=reason, planned=cut)
        cost["voice"] = watch.lap_ms()
        plan = tuple(item for item in state.plan if item[0] > tick)
        lines = with_line(state.lines, "assistant", _begun(said)) if state.asking else ()
        state = replace(state, mouth=mouth, plan=plan, last=due[-1] if due else state.last, lines=lines)
        decision = _decision(due, yields, mouth.talking, state.vad.open)
        return Said(packets, (*events, *said, decision, TickCost(stages_ms=cost))), state

    def _listen(self, state: PipelineState, tick: Tick, heard: MicroTurn) -> tuple[PipelineState, tuple[float, float] | None]:
        """The state after what was said in the tick before, and the utterance that has ended, if one has."""
        if tick == 0:
            return state, None
        clock = state.clock
        samples, from_s = heard.audio(USER_AUDIO, clock.samples_per_tick), clock.seconds(tick - 1)
        vad, ended = self._detected(state.vad, samples, from_s)
        sound, sound_from_s = (*state.sound, samples), state.sound_from_s if state.sound else from_s
        unseen_s = self.knobs.onset_s + WINDOW_S  # voice that may have begun, and is no utterance yet
        needed_s = (ended[0] if ended else vad.begins_s if vad.open else from_s - unseen_s) - PREROLL_S
        while len(sound) > 1 and sound_from_s + clock.tick_s <= needed_s:
            sound, sound_from_s = sound[1:], sound_from_s + clock.tick_s
        return replace(state, vad=vad, sound=sound, sound_from_s=sound_from_s), ended

    def _detected(self, vad: Utterances, samples: Audio, from_s: float) -> tuple[Utterances, tuple[float, float] | None]:
        """What the detector that the session began with makes of these samples."""
        if isinstance(vad, SileroState):
            return silero_vad.hear(self.knobs.silero(), vad, samples, from_s)
        assert isinstance(vad, VadState)
        return energy_vad.hear(self.knobs.energy(), vad, samples, from_s)

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

    def _cut(self, state: PipelineState, tick: Tick) -> PipelineState:
        """The state once the user's voice has broken in: what was to be said is put aside, and no more of it is wanted."""
        if state.asking is not None:
            state.asking.call_off(tick)
        return replace(state, plan=(), dropped=tuple(item for item in state.plan if item[0] >= tick))

    def _understand(
        self, state: PipelineState, tick: Tick, words: Sequence[str], ended: tuple[float, float], spent_s: float
    ) -> PipelineState:
        """The state once the language step has an utterance: rules have answered it, a chat model has been asked."""
        if state.asking is None:
            return self._answer(state, tick, words, ended)
        if not words:
            return self._told(state, tick, Reply(asked=False))
        state = replace(state, lines=with_line(state.lines, "user", words), waits_from_s=ended[1])
        assert state.asking is not None
        state.asking.ask(tick, state.lines, spent_s)
        return state

    def _told(self, state: PipelineState, tick: Tick, reply: Reply) -> PipelineState:
        """The state once a piece of the model's answer is there: its words are planned, or what was cut goes on, or ends."""
        kept = () if reply.ends else state.plan
        if not reply.asked:
            return replace(state, plan=self._resumed(state, tick), dropped=())
        new, waits_from_s = _waited(reply.words, tick, state.waits_from_s, state.clock)
        plan = tuple(sorted((*kept, *new), key=lambda item: item[0]))
        return replace(state, plan=plan, waits_from_s=waits_from_s, dropped=())

    def _resumed(self, state: PipelineState, tick: Tick) -> Plan:
        """The plan once what the user said turned out to ask for nothing: it goes on where it was cut, as late as it is now."""
        if not state.dropped or not self.knobs.resume:
            return state.plan
        late = max(tick - state.dropped[0][0], 0)
        return tuple((at + late, word) for at, word in state.dropped)

    def _answer(self, state: PipelineState, tick: Tick, words: Sequence[str], ended: tuple[float, float]) -> PipelineState:
        """The plan and the memory once an utterance is understood; computing delays what it brings."""
        counting_now = bool(state.plan or state.dropped) and bool(state.memory.line)
        found = understand(words, state.memory, state.last, counting_now)
        kept = () if found.ends else state.plan if found.asked else self._resumed(state, tick)
        delay_s = self.knobs.compute_s + self.knobs.compute_per_s * (ended[1] - ended[0])
        earliest = tick + int(delay_s / state.clock.tick_s)
        new = tuple(item for act in found.acts for item in _planned(act, earliest, ended[1], state.clock))
        plan = tuple(sorted((*kept, *new), key=lambda item: item[0]))
        return replace(state, memory=found.memory, plan=plan, dropped=())


@lru_cache
def _say_once(text: str) -> None:
    """Warn the user of something, once in a process."""
    warnings.warn(text, stacklevel=2)


def _planned(act: Act, earliest: int, ended_s: float, clock: ClockSpec) -> Plan:
    """The words of an act with their ticks: no tick lies before `earliest`, and a pace is kept."""
    first = max(earliest, clock.first_tick_from(ended_s + act.after_s))
    return tuple((first + round(n * act.every_s / clock.tick_s), word) for n, word in enumerate(act.words))


def _waited(words: TimedWords, tick: int, from_s: float, clock: ClockSpec) -> tuple[Plan, float]:
    """Words of a chat model with their ticks, none before this one, and the second in which the last wait was over.

    A wait begins at the end of the one before it, the first at `from_s`; one that is over before the words have come ends now.
    """
    found = []
    for wait_s, word in words:
        from_s = max(from_s + wait_s, clock.seconds(tick)) if wait_s else from_s
        found.append((max(tick, clock.first_tick_from(from_s)), word))
    return tuple(found), from_s


def _begun(events: Sequence[Event]) -> list[str]:
    """The words of its own that began to sound."""
    return [event.word for event in events if isinstance(event, TranscriptDelta) and event.side == "model"]


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
    """The pipeline with knobs from text such as "hang_s=0.4,resume=no", the others as they are best for the detector that it listens with.

    Raises InputError for a knob or value that there is not.
    """
    known = {f.name: type(getattr(Knobs(), f.name)) for f in fields(Knobs)}  # bool, float or str
    values: dict[str, Any] = {}
    for part in (piece.strip() for piece in text.split(",") if piece.strip()):
        name, _, value = part.partition("=")
        if name not in known:
            raise InputError(f"the pipeline has no knob {name!r}; there are {', '.join(known)}")
        try:
            values[name] = _YES_NO[value] if known[name] is bool else known[name](value)
        except (KeyError, ValueError):
            raise InputError(f"knob {part!r} has no value that fits; give a number, or yes or no for resume") from None
    wanted = values.get("vad", Knobs().vad)
    listens = "energy" if wanted == "energy" or silero_vad.lacking() else "silero"
    return Pipeline(replace(TUNED[listens], **{"vad": wanted, **values}))


_YES_NO = {"yes": True, "no": False}


def pipeline_again(spec: Mapping[str, Any], trace: Trace) -> Pipeline:
    """The pipeline of a trace, as its spec tells, without its server: a chat model's answers are those of the trace.

    A spec without a knob that came later gets what there was before it. Raises TraceError where the detector of the trace is missing.
    """
    knobs = Knobs(**{f.name: spec[f.name] if f.name not in LATER else spec.get(f.name, LATER[f.name]) for f in fields(Knobs)})
    if knobs.vad != "energy" and (missing := silero_vad.lacking()):
        raise TraceError(f"this session was heard with {knobs.vad}, and {missing} is not installed; install the extra `peers`")
    return Pipeline(knobs, make_backend=None if knobs.language == RULES else lambda: Recorded.of_trace(trace, language=True))


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
