"""Between an agent and its loudspeaker: rules that say when it may be heard, a hold-back, and a guard that refuses in its place.

    agent = Governed(my_agent, (SpeakOver("backchannel"), MaxOverlap(1.0), QuietHours(600, 900)), Hold(ticks=2))

A rule that objects silences an utterance from its first word, or cuts it where it sounds, to its end. What an agent wanted, what was done
and the reason stand as gates in its decision, or as a record of their own (`GatesActed`) where it leaves none; words that did not sound are
not among the words said. The agent itself goes on as if it had been heard: a rule changes what is played, not what is thought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf
from typing import Any, TypeAlias

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
from workbench.packets import USER_TEXT, MicroTurn, only
from workbench.rules import (
    BACKCHANNELS,
    NOT_TO_BE_ASKED,
    POLICIES,
    BargeIn,
    Guard,
    Hold,
    MaxOverlap,
    MinConfidence,
    Policy,
    QuietHours,
    QuietTimes,
    SpeakOver,
    SpeechBudget,
    View,
    found_in,
    phrase_words,
    policy_of,
    spec_of,
)
from workbench.session import Said
from workbench.voiced import Voice, cut, joined, parted
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
    "QuietTimes",
    "SpeakOver",
    "SpeechBudget",
    "policy_of",
]

REFUSE_S = 2.0  # a refusal waits so long for the user to fall silent
REMEMBERED = 40  # words of each side that a guard looks back on
BREATH_S = 2.0  # words of the user with no longer a pause between them were said in one breath
HOLD_BACK = "hold-back"
Objection: TypeAlias = tuple[str, str]  # the name of a rule, and why


@dataclass(frozen=True)
class GovernedState(WrappedState):
    """The agent's state, what is held back, and what has been heard of it and of the user."""

    mouth: MouthState | None = None  # of the guard
    user_talks: bool = False
    silent_since_s: float = -inf
    talks: bool = False  # the agent's own voice, before anything is held back
    held: tuple[Voice, ...] = ()
    delay: int = 0  # ticks between decided and heard, of the utterance that sounds
    sounding: bool = False  # the agent's own voice, heard or not
    silenced: bool = False  # the utterance that goes on is not heard
    heard_s: float = 0.0  # how much of the tick before the agent was heard
    word_end_s: float = 0.0
    talked_over: bool = False  # the user, who still speaks, began while the agent was heard
    cut_short: bool = False  # the agent, since the user began to speak
    overlap_s: float = 0.0  # since the user began to speak
    spoken_s: float = 0.0
    asked: tuple[TranscriptDelta, ...] = ()  # words of the user
    said: tuple[str, ...] = ()  # words of the agent
    refusal: tuple[str, ...] = ()  # words that the guard has still to say
    refuse_by_s: float = 0.0
    refusing: bool = False


@dataclass(frozen=True)
class Governed(Wrapped):
    """An agent that is heard as far as its rules allow. Raises InputError when two rules have one name, and for what is no rule."""

    policies: tuple[Policy, ...] = ()
    hold: Hold = field(default_factory=Hold)
    mouth: Mouth = field(default_factory=Mouth, compare=False)

    def __post_init__(self) -> None:
        for policy in self.policies:
            if isinstance(policy, type) or not isinstance(policy, Policy):
                raise InputError(f"{policy!r} is no rule; give an instance of a class with a name and a method objection(view)")
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
        """The state before the first tick. Raises InputError where quiet hours go by a clock on the wall that this session has not."""
        for policy in self.policies:
            if isinstance(policy, QuietTimes):
                policy.check_bound()
        return GovernedState(clock, self.agent.start(clock, seed), None if self._guard is None else self.mouth.start(seed))

    def step(self, state: GovernedState, tick: Tick, heard: MicroTurn) -> tuple[Said, GovernedState]:
        said, agent = self.agent.step(state.agent, tick, only(heard, self.agent.hears))
        voice, rest = parted(said, tick, state.talks)
        state = replace(_listened(state, tick, rest, heard), agent=agent, talks=voice.audible and not voice.ends)
        due, gates, state = _released(self.hold, state, tick, voice)
        if due is not voice:
            due = replace(due, p_yield=voice.p_yield)
        out, objections, state = self._judged(state, tick, due)
        acted: list[Event] = []
        screened = rest
        if self._guard is not None:
            out, objections, acted, state = _guarded(self._guard, state, due, out, objections)
            screened, refused = _screened(self._guard, rest, refusing=state.refusing)
            acted += refused
            out, state = self._refused(out, state, tick)
        gates += [Gate(name, " ".join(due.words) or "go on", "<silence>", reason) for name, reason in objections]
        if out is voice and screened is rest and not gates and not acted:
            return said, state
        return joined(replace(screened, events=(*screened.events, *acted)), out, gates), state

    def _judged(self, state: GovernedState, tick: Tick, voice: Voice) -> tuple[Voice, list[Objection], GovernedState]:
        """What of a voice is heard, which rules object, and the state after it."""
        clock = state.clock
        both_s = state.overlap_s + state.heard_s if state.user_talks else 0.0
        state = replace(state, overlap_s=both_s, heard_s=0.0, cut_short=state.cut_short and state.user_talks)
        if not voice.audible:
            ended = replace(state, sounding=state.sounding and not voice.ends, silenced=state.silenced and not voice.ends)
            return (Voice(tick) if state.silenced else voice), [], ended
        view = _view(state, tick, voice)
        objections = [] if state.silenced else [(p.name, reason) for p in self.policies if (reason := p.objection(view))]
        after = replace(state, sounding=not voice.ends, word_end_s=_word_end(state.word_end_s, voice.events))
        if state.silenced or objections:
            sounded = bool(objections) and not view.begins
            after = replace(after, silenced=not voice.ends, cut_short=state.cut_short or (sounded and state.user_talks))
            return _silenced(voice, clock, objections, sounded=sounded), objections, after
        said = (*state.said, *voice.words)[-REMEMBERED:]
        spoken_s = state.spoken_s + clock.tick_s
        return voice, [], replace(after, silenced=False, heard_s=_lasts_s(voice, clock), spoken_s=spoken_s, said=said)

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
    now_s, end_s = state.clock.seconds(tick), state.clock.seconds(tick + 1)
    typed = [TranscriptDelta(side="user", word=word, start_s=now_s, end_s=end_s) for word in heard.text(USER_TEXT).split()]
    spoken = [event for event in rest.events if isinstance(event, TranscriptDelta) and event.side == "user"]
    asked = (*state.asked[-REMEMBERED:], *typed, *spoken)  # of a tick none is left out, however many come at once
    silent_since_s = state.clock.seconds(tick) if state.user_talks and not talks else state.silent_since_s
    talked_over = talks and (state.talked_over or (not state.user_talks and state.heard_s > 0))
    return replace(state, user_talks=talks, talked_over=talked_over, silent_since_s=silent_since_s, asked=asked)


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
        talked_over=state.talked_over,
        cut_short=state.cut_short,
    )


def _lasts_s(voice: Voice, clock: ClockSpec) -> float:
    """How much of its tick a voice sounds."""
    ends_s = [event.at_s - clock.seconds(voice.tick) for event in voice.events if isinstance(event, ModelSpeechStopped)]
    return min(clock.tick_s, max(0.0, *ends_s)) if ends_s else clock.tick_s


def _word_end(before: float, events: Sequence[Event]) -> float:
    return max([before, *(event.end_s for event in events if isinstance(event, TranscriptDelta))])


def _silenced(voice: Voice, clock: ClockSpec, objections: Sequence[Objection], *, sounded: bool) -> Voice:
    """One tick of an utterance that is not heard; where it has sounded before it is cut."""
    if not sounded:
        return Voice(voice.tick)
    name, reason = objections[0]
    return cut(voice, clock, f"{name}: {reason}", " ".join(voice.words), voice.p_yield)


# --- hold-back -------------------------------------------------------------------------------------------------------------------


def _released(hold: Hold, state: GovernedState, tick: Tick, new: Voice) -> tuple[Voice, list[Gate], GovernedState]:
    """What is to be heard in this tick of what was decided in it or before. A yield of the agent holds at once."""
    if hold == Hold() and not state.held:  # what an earlier hold has kept back is heard to its end
        return new, [], replace(state, delay=0) if state.delay else state
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
    return cut(held[0].at(tick, clock), clock, yielded.reason, unsaid, yielded.p_yield), [], state


# --- the guard -------------------------------------------------------------------------------------------------------------------


def _guarded(
    guard: Guard, state: GovernedState, due: Voice, out: Voice, objections: list[Objection]
) -> tuple[Voice, list[Objection], list[Event], GovernedState]:
    """What the guard leaves of a tick, after a look at what was asked and at what its own rule has stopped; and what it tells of that.

    `due` was to be heard, and `out` is what the rules have left of it.
    """
    at_s = state.clock.seconds(out.tick)
    asked = found_in(guard.asks, [event.word for event in state.asked])
    stopped = any(name == guard.name for name, _ in objections)
    if asked:
        did = "cut" if out.audible and not out.begins else "withheld" if out.audible or state.held else "refused"
        reason = (guard.name, f"{asked!r} may not be asked")
        objections = [*objections, reason]
        out = _silenced(out, state.clock, [reason], sounded=did == "cut")
        told = GuardActed(at_s=at_s, direction="in", phrase=asked, did=did, since_s=_asked_since_s(state.asked, asked))
    elif stopped:
        said = (*state.said, *due.words, *(word for voice in state.held for word in voice.words))
        did = "cut" if out.audible else "withheld"
        told = GuardActed(at_s=at_s, direction="out", phrase=found_in(guard.says, said), did=did, since_s=at_s)
    else:
        if not (state.refusing and out.packets):
            return out, objections, [], state
        return Voice(out.tick), objections, [], replace(state, silenced=not out.ends, heard_s=0.0)
    refusal = state.refusal if state.refusing else tuple(guard.refusal.split())
    state = replace(state, asked=(), said=(), held=(), silenced=state.talks, heard_s=0.0)
    return out, objections, [told], replace(state, refusal=refusal, refuse_by_s=at_s + REFUSE_S, refusing=True)


def _asked_since_s(words: Sequence[TranscriptDelta], phrase: str) -> float:
    """When the user began to ask so: at the first word of the breath that holds the phrase."""
    first = len(words) - 1
    while first > 0:
        paused = words[first].start_s - words[first - 1].end_s > BREATH_S
        if paused and found_in((phrase,), [event.word for event in words[first:]]):
            break
        first -= 1
    return words[first].start_s


def _screened(guard: Guard, rest: Said, *, refusing: bool) -> tuple[Said, list[Event]]:
    """What else an agent says without the slow work that may not be asked for, and what is told of that; ending work is always allowed.

    A change that may complete a phrase says which: only the desk knows the work that it changes, and where both make up a phrase it refuses
    the change and ends that work.
    """
    kept: list[Event] = []
    told: list[Event] = []
    for event in rest.events:
        if not isinstance(event, DelegationRequested) or event.act == "cancel":
            kept.append(event)
        elif refusing or found_in(guard.asks, event.ask.split()):
            told.append(DelegationRefused(act=event.act, ask=event.ask, cause=NOT_TO_BE_ASKED))
        else:
            barred = _completed_by(guard.asks, event.ask) if event.act == "amend" else ()
            kept.append(replace(event, barred=barred) if barred else event)
    return (replace(rest, events=tuple(kept)) if kept != list(rest.events) else rest), told


def _completed_by(phrases: Sequence[str], ask: str) -> tuple[str, ...]:
    """The phrases whose last word is in a change."""
    words = phrase_words(ask)
    return tuple(phrase for phrase in phrases if phrase_words(phrase)[-1] in words)
