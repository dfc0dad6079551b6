"""Between an agent and its loudspeaker: rules that say when it may be heard, a hold-back, and a guard that refuses in its place.

    agent = Governed(my_agent, (SpeakOver("backchannel"), MaxOverlap(1.0), QuietHours(600, 900)), Hold(ticks=2))

A rule that objects silences an utterance from its first word, or cuts it where it sounds, to its end. What an agent wanted, what was done
and the reason stand as gates in its decision; words that did not sound are not among the words said. The agent itself goes on as if it had
been heard: a rule changes what is played, not what is thought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from workbench.agents import Mouth, MouthState
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import (
    Decision,
    Event,
    Gate,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    TranscriptDelta,
    UserSpeechStarted,
    UserSpeechStopped,
)
from workbench.events_background import DelegationRefused, DelegationRequested
from workbench.events_rules import GuardActed
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_TEXT, MicroTurn, Packet, only
from workbench.rules import (
    BACKCHANNELS,
    POLICIES,
    BargeIn,
    Guard,
    MaxOverlap,
    MinConfidence,
    Policy,
    QuietHours,
    SpeakOver,
    SpeechBudget,
    View,
    found_in,
    policy_of,
    spec_of,
)
from workbench.session import Said
from workbench.wrapped import Wrapped, WrappedState

__all__ = [
    "POLICIES",
    "BargeIn",
    "Governed",
    "GovernedState",
    "Guard",
    "Hold",
    "MaxOverlap",
    "MinConfidence",
    "Policy",
    "QuietHours",
    "SpeakOver",
    "SpeechBudget",
    "policy_of",
]

FADE_S = 0.01
REFUSE_S = 2.0  # a refusal waits so long for the user to fall silent
REMEMBERED = 40  # words of each side that a guard looks back on
HOLD_BACK = "hold-back"
Objection: TypeAlias = tuple[str, str]  # the name of a rule, and why


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What is decided is heard `ticks` later. An utterance begins only once the user has been silent for `patience_s`, and is given up
    when the user goes on before it was heard; a back-channel is not made to wait.
    """

    ticks: int = 0
    patience_s: float = 0.0

    def __post_init__(self) -> None:
        if self.ticks < 0 or self.patience_s < 0:
            raise InputError(f"{self}: ticks and patience_s are zero or more")


@dataclass(frozen=True)
class Voice:
    """What an agent says in one tick, as far as it can be heard; `begins` tells whether an utterance begins with it."""

    tick: Tick
    packets: tuple[Packet, ...] = ()
    events: tuple[Event, ...] = ()
    begins: bool = False
    p_speak: float = 1.0

    @property
    def audible(self) -> bool:
        return bool(self.packets)

    @property
    def ends(self) -> bool:
        return any(isinstance(event, ModelSpeechStopped | ModelYielded) for event in self.events)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it begins to say."""
        return tuple(" ".join(str(p.payload) for p in self.packets if p.stream == AGENT_TEXT).lower().split())

    def at(self, tick: Tick, clock: ClockSpec) -> Voice:
        """The same, said in another tick."""
        if tick == self.tick:
            return self
        later_s = clock.seconds(tick - self.tick)
        packets = tuple(replace(packet, tick=tick) for packet in self.packets)
        return replace(self, tick=tick, packets=packets, events=tuple(_shifted(event, later_s) for event in self.events))


@dataclass(frozen=True)
class GovernedState(WrappedState):
    """The agent's state, what is held back, and what has been heard of it and of the user."""

    mouth: MouthState | None = None  # of the guard
    user_talks: bool = False
    silent_since_s: float = float("-inf")
    talks: bool = False  # the agent's own voice, before anything is held back
    held: tuple[Voice, ...] = ()
    delay: int = 0  # ticks between decided and heard, of the utterance that sounds
    sounding: bool = False  # the agent's own voice, heard or not
    silenced: bool = False  # the utterance that goes on is not heard
    word_end_s: float = 0.0
    overlap_s: float = 0.0
    spoken_s: float = 0.0
    asked: tuple[str, ...] = ()  # words of the user
    said: tuple[str, ...] = ()  # words of the agent
    refusal: tuple[str, ...] = ()  # words that the guard has still to say
    refuse_by_s: float = 0.0
    refusing: bool = False


@dataclass(frozen=True)
class Governed(Wrapped):
    """An agent that is heard as far as its rules allow. Raises InputError when two rules have one name."""

    policies: tuple[Policy, ...] = ()
    hold: Hold = field(default_factory=Hold)
    mouth: Mouth = field(default_factory=Mouth, compare=False)

    def __post_init__(self) -> None:
        names = [policy.name for policy in self.policies]
        if len(set(names)) < len(names):
            raise InputError(f"two policies are called {max(names, key=names.count)!r}; give each its own name, or only one")

    @property
    def hears(self) -> tuple[str, ...]:
        return self.agent.hears if self._guard is None else tuple(dict.fromkeys((*self.agent.hears, USER_TEXT)))

    @property
    def _guard(self) -> Guard | None:
        return next((policy for policy in self.policies if isinstance(policy, Guard)), None)

    def spec(self) -> Mapping[str, Any]:
        rules = [spec_of(policy) for policy in self.policies]
        return {**super().spec(), "policies": rules, "hold": asdict(self.hold)}

    def start(self, clock: ClockSpec, seed: int) -> GovernedState:
        return GovernedState(clock, self.agent.start(clock, seed), None if self._guard is None else self.mouth.start(seed))

    def step(self, state: GovernedState, tick: Tick, heard: MicroTurn) -> tuple[Said, GovernedState]:
        said, agent = self.agent.step(state.agent, tick, only(heard, self.agent.hears))
        voice, rest = parted(said, tick, state.talks)
        state = replace(_listened(state, tick, rest, heard), agent=agent, talks=voice.audible and not voice.ends)
        due, gates, state = _released(self.hold, state, tick, voice)
        out, objections, state = self._judged(state, tick, due)
        acted: list[Event] = []
        if self._guard is not None:
            out, objections, acted, state = _guarded(self._guard, state, out, objections)
            work = [event for event in rest.events if _is_refused(event, self._guard, refusing=state.refusing)]
            rest = replace(rest, events=tuple(event for event in rest.events if event not in work))
            acted += [_refusal(event) for event in work if isinstance(event, DelegationRequested)]
            out, state = self._refused(out, state, tick)
        gates += [Gate(name, " ".join(due.words) or "go on", "<silence>", reason) for name, reason in objections]
        if out is voice and not gates and not acted:
            return said, state
        return joined(replace(rest, events=(*rest.events, *acted)), out, gates), state

    def _judged(self, state: GovernedState, tick: Tick, voice: Voice) -> tuple[Voice, list[Objection], GovernedState]:
        """What of a voice is heard, which rules object, and the state after it."""
        clock = state.clock
        if not voice.audible:
            ended = replace(state, sounding=state.sounding and not voice.ends, silenced=state.silenced and not voice.ends, overlap_s=0.0)
            return (Voice(tick) if state.silenced else voice), [], ended
        overlap_s = state.overlap_s + clock.tick_s if state.user_talks and state.sounding else 0.0
        state = replace(state, overlap_s=overlap_s)
        view = _view(state, tick, voice)
        objections = [] if state.silenced else [(p.name, reason) for p in self.policies if (reason := p.objection(view))]
        after = replace(state, sounding=not voice.ends, word_end_s=_word_end(state.word_end_s, voice.events))
        if state.silenced or objections:
            cut = bool(objections) and not view.begins
            return _silenced(voice, clock, objections, cut=cut), objections, replace(after, silenced=not voice.ends)
        said = (*state.said, *voice.words)[-REMEMBERED:]
        return voice, [], replace(after, silenced=False, spoken_s=state.spoken_s + clock.tick_s, said=said)

    def _refused(self, out: Voice, state: GovernedState, tick: Tick) -> tuple[Voice, GovernedState]:
        """The guard's own words in place of the agent's, once nothing else sounds and the user has fallen silent, or does not."""
        assert state.mouth is not None
        waits = state.user_talks and state.clock.seconds(tick) < state.refuse_by_s
        due = () if waits or out.audible else state.refusal
        if not due and not state.mouth.talking:
            return out, replace(state, refusing=bool(state.refusal))
        packets, events, mouth = self.mouth.act(state.mouth, state.clock, tick, due)
        refusal = () if due else state.refusal
        return Voice(tick, packets, (*out.events, *events)), replace(state, mouth=mouth, refusal=refusal, refusing=mouth.talking)


# --- what an agent says, and the rest --------------------------------------------------------------------------------------------


def parted(said: Said, tick: Tick, talks: bool) -> tuple[Voice, Said]:
    """What can be heard of what an agent says in a tick, and everything else."""
    packets = tuple(packet for packet in said.packets if packet.stream in (AGENT_AUDIO, AGENT_TEXT))
    p_speak = next((event.p_speak for event in said.events if isinstance(event, Decision)), 1.0)
    voice = Voice(tick, packets, tuple(filter(_is_voice, said.events)), bool(packets) and not talks, p_speak)
    rest = tuple(packet for packet in said.packets if packet not in packets) if len(packets) < len(said.packets) else ()
    return voice, replace(said, packets=rest, events=tuple(event for event in said.events if not _is_voice(event)))


def _is_voice(event: Event) -> bool:
    own = isinstance(event, TranscriptDelta) and event.side == "model"
    return own or isinstance(event, ModelSpeechStarted | ModelSpeechStopped | ModelYielded)


def joined(rest: Said, out: Voice, gates: Sequence[Gate] = ()) -> Said:
    """What an agent says in all, with these gates in its decision."""
    events = tuple(_gated(event, gates) if isinstance(event, Decision) and gates else event for event in rest.events)
    return replace(rest, packets=(*rest.packets, *out.packets), events=(*events, *out.events))


def _gated(decision: Decision, gates: Sequence[Gate]) -> Decision:
    return replace(decision, said="", gates=(*decision.gates, *gates))


def _shifted(event: Event, later_s: float) -> Event:
    match event:
        case TranscriptDelta():
            return replace(event, start_s=round(event.start_s + later_s, 6), end_s=round(event.end_s + later_s, 6))
        case ModelSpeechStarted() | ModelSpeechStopped() | ModelYielded():
            return replace(event, at_s=round(event.at_s + later_s, 6))
        case _:
            return event


def _listened(state: GovernedState, tick: Tick, rest: Said, heard: MicroTurn) -> GovernedState:
    """The state once it is known who speaks, and what the user said and typed."""
    talks = state.user_talks
    for event in rest.events:
        match event:
            case UserSpeechStarted():
                talks = True
            case UserSpeechStopped():
                talks = False
            case Decision(p_user_speaking=p) if p > 0.5:
                talks = True
            case _:
                pass
    spoken = [event.word for event in rest.events if isinstance(event, TranscriptDelta) and event.side == "user"]
    asked = (*state.asked, *heard.text(USER_TEXT).split(), *spoken)[-REMEMBERED:]
    silent_since_s = state.clock.seconds(tick) if state.user_talks and not talks else state.silent_since_s
    return replace(state, user_talks=talks, silent_since_s=silent_since_s, asked=asked)


def _view(state: GovernedState, tick: Tick, voice: Voice) -> View:
    return View(
        now_s=state.clock.seconds(tick),
        tick_s=state.clock.tick_s,
        user_talks=state.user_talks,
        begins=not state.sounding,
        words=voice.words,
        word_end_s=state.word_end_s,
        p_speak=voice.p_speak,
        overlap_s=state.overlap_s,
        spoken_s=state.spoken_s,
        before=state.said,
        ahead=tuple(word for later in state.held for word in later.words),
    )


def _word_end(before: float, events: Sequence[Event]) -> float:
    return max([before, *(event.end_s for event in events if isinstance(event, TranscriptDelta))])


def _silenced(voice: Voice, clock: ClockSpec, objections: Sequence[Objection], *, cut: bool) -> Voice:
    """One tick of an utterance that is not heard; where it is cut, its sound fades out and a yield says why."""
    if not cut:
        return Voice(voice.tick)
    name, reason = objections[0]
    return _cut(voice, clock, f"{name}: {reason}", " ".join(voice.words))


def _cut(voice: Voice, clock: ClockSpec, reason: str, unsaid: str, p_yield: float = 1.0) -> Voice:
    at_s = clock.seconds(voice.tick)
    end = (ModelYielded(at_s=at_s, p_yield=p_yield, reason=reason, unsaid=unsaid), ModelSpeechStopped(at_s=at_s + FADE_S))
    return Voice(voice.tick, tuple(_faded(packet, clock) for packet in voice.packets if packet.stream == AGENT_AUDIO), end)


def _faded(packet: Packet, clock: ClockSpec) -> Packet:
    audio = MicroTurn(packet.tick, (packet,)).audio(packet.stream, clock.samples_per_tick)
    ramp = np.clip(1 - np.arange(len(audio)) / clock.samples(FADE_S), 0, 1).astype(np.float32)
    return replace(packet, payload=(audio * ramp).astype(np.float32))


# --- hold-back -------------------------------------------------------------------------------------------------------------------


def _released(hold: Hold, state: GovernedState, tick: Tick, new: Voice) -> tuple[Voice, list[Gate], GovernedState]:
    """What is to be heard in this tick of what was decided in it or before. A yield of the agent holds at once."""
    if hold == Hold():
        return new, [], state
    yielded = next((event for event in new.events if isinstance(event, ModelYielded)), None)
    if yielded is not None:
        return _given_way(state, tick, new, yielded)
    held = (*state.held, new) if new.packets or new.events else state.held
    if not held:
        return Voice(tick), [], state
    first, now_s = held[0], state.clock.seconds(tick)
    waits_for_user = first.begins and hold.patience_s > 0 and not (first.words and set(first.words) <= set(BACKCHANNELS))
    if waits_for_user and state.user_talks and first.tick < tick and _went_on(state, first):
        return _given_up(state, tick, held)
    quiet = not waits_for_user or (not state.user_talks and now_s - state.silent_since_s >= hold.patience_s - 1e-9)
    if first.tick + (hold.ticks if first.begins else state.delay) > tick or not quiet:
        return Voice(tick), [], replace(state, held=held)
    return first.at(tick, state.clock), [], replace(state, held=held[1:], delay=tick - first.tick if first.begins else state.delay)


def _went_on(state: GovernedState, first: Voice) -> bool:
    """Whether the user had fallen silent before an utterance was decided, and talks now."""
    return state.silent_since_s <= state.clock.seconds(first.tick)


def _given_up(state: GovernedState, tick: Tick, held: tuple[Voice, ...]) -> tuple[Voice, list[Gate], GovernedState]:
    """An utterance that nobody has heard a word of is dropped; what of it is still to come as well."""
    last = next((place for place, voice in enumerate(held) if voice.ends), None)
    dropped, left = (held, ()) if last is None else (held[: last + 1], held[last + 1 :])
    wanted = " ".join(word for voice in dropped for word in voice.words)
    gate = Gate(HOLD_BACK, wanted or "speak", "<silence>", "the user went on before it was heard")
    return Voice(tick), [gate], replace(state, held=left, silenced=last is None)


def _given_way(state: GovernedState, tick: Tick, new: Voice, yielded: ModelYielded) -> tuple[Voice, list[Gate], GovernedState]:
    """The agent gives way: what is held is not said, what sounds is cut, what it says from now on is held as any utterance is."""
    clock, held = state.clock, state.held
    unsaid = " ".join([*(word for voice in held for word in voice.words), *yielded.unsaid.split()])
    fresh = tuple(event for event in new.events if not isinstance(event, ModelYielded | ModelSpeechStopped))
    begun = [event for event in fresh if isinstance(event, TranscriptDelta)]
    if begun and not any(isinstance(event, ModelSpeechStarted) for event in fresh):
        fresh = (ModelSpeechStarted(at_s=begun[0].start_s), *fresh)
    later = (replace(new, events=fresh, begins=True),) if begun or new.words else ()
    state = replace(state, held=later)
    if not (held and state.sounding):
        gates = [Gate(HOLD_BACK, unsaid, "<silence>", "the agent gave way before it was heard")] if held else []
        return Voice(tick), gates, state
    return _cut(held[0].at(tick, clock), clock, yielded.reason, unsaid, yielded.p_yield), [], state


# --- the guard -------------------------------------------------------------------------------------------------------------------


def _guarded(
    guard: Guard, state: GovernedState, out: Voice, objections: list[Objection]
) -> tuple[Voice, list[Objection], list[Event], GovernedState]:
    """What the guard leaves of a tick, after a look at what was asked and at what its own rule has stopped; and what it tells of that."""
    at_s = state.clock.seconds(out.tick)
    asked = found_in(guard.asks, state.asked)
    stopped = any(name == guard.name for name, _ in objections)
    if asked:
        did = "cut" if out.audible and not out.begins else "withheld" if out.audible or state.held else "refused"
        reason = (guard.name, f"{asked!r} may not be asked")
        objections = [*objections, reason]
        out = _silenced(out, state.clock, [reason], cut=did == "cut")
        told = GuardActed(at_s=at_s, direction="in", phrase=asked, did=did)
    elif stopped:
        said = (*state.said, *(word for voice in state.held for word in voice.words))
        phrase = found_in(guard.says, said) or guard.says[0]
        told = GuardActed(at_s=at_s, direction="out", phrase=phrase, did="cut" if out.audible else "withheld")
    else:
        if not (state.refusing and out.packets):
            return out, objections, [], state
        return Voice(out.tick), objections, [], replace(state, silenced=not out.ends)
    refusal = state.refusal if state.refusing else tuple(guard.refusal.split())
    state = replace(state, asked=(), said=(), held=(), silenced=state.talks, refusal=refusal, refuse_by_s=at_s + REFUSE_S, refusing=True)
    return out, objections, [told], state


def _is_refused(event: Event, guard: Guard, *, refusing: bool) -> bool:
    """Whether it asks for slow work in what may not be asked; ending work is always allowed."""
    if not isinstance(event, DelegationRequested) or event.act == "cancel":
        return False
    return refusing or bool(found_in(guard.asks, event.ask.split()))


def _refusal(request: DelegationRequested) -> DelegationRefused:
    return DelegationRefused(act=request.act, ask=request.ask, cause="guard: it may not be asked")
