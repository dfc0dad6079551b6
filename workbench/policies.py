"""When an agent may be heard: rules between the agent and the loudspeaker, each of which tells what it changed and why.

    agent = Governed(my_agent, (SpeakOver("backchannel"), MaxOverlap(1.0), QuietHours(600, 900)))

A rule that objects silences an utterance from its first word, or cuts it where it sounds, to its end. What an agent wanted, what was done
and the reason stand as gates in its decision; words that did not sound are not among the words said. The agent itself goes on as if it had
been heard: a rule changes what is played, not what is thought.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

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
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, MicroTurn, Packet
from workbench.session import Participant, Said, State, clone_state

FADE_S = 0.01
BACKCHANNELS = ("mhm", "yeah", "okay", "right", "uhuh")


@dataclass(frozen=True, kw_only=True)
class View:
    """What a rule may go by, in one tick.

    Attributes:
        now_s, tick_s: when the tick begins, and how long it is.
        user_talks: whether the user speaks, as the agent perceives it.
        begins: whether an utterance begins in this tick; otherwise it goes on.
        words: what the agent begins to say in this tick.
        word_end_s: when the word that sounds now ends.
        p_speak: of the agent's decision, 1 where it left none.
        overlap_s, spoken_s: how long both have spoken at once without a pause, and how long the agent has been heard in all.
    """

    now_s: float
    tick_s: float
    user_talks: bool
    begins: bool
    words: tuple[str, ...]
    word_end_s: float
    p_speak: float
    overlap_s: float
    spoken_s: float


@runtime_checkable
class Policy(Protocol):
    """A rule: why the agent may not be heard now, or nothing if it may."""

    @property
    def name(self) -> str: ...
    def objection(self, view: View) -> str: ...


@dataclass(frozen=True)
class SpeakOver:
    """Whether an utterance may begin while the user speaks: never, with a back-channel only, with a word of `cues` only, or always."""

    mode: Literal["never", "backchannel", "on_cue", "always"] = "always"
    cues: tuple[str, ...] = ()
    name: str = "speak over"

    def objection(self, view: View) -> str:
        allowed = {"never": (), "backchannel": BACKCHANNELS, "on_cue": self.cues}.get(self.mode)
        if not (view.begins and view.user_talks) or allowed is None:
            return ""
        fine = bool(view.words) and set(view.words) <= set(allowed)
        return "" if fine else f"the user speaks, and {self.mode.replace('_', ' ')} allows {', '.join(allowed) or 'nothing'}"


@dataclass(frozen=True)
class BargeIn:
    """What happens to speech that the user begins to talk over: it ends at once, after the word that sounds, or it is held."""

    mode: Literal["at_once", "finish_word", "hold"] = "hold"
    name: str = "barge-in"

    def objection(self, view: View) -> str:
        if self.mode == "hold" or view.begins or not view.user_talks:
            return ""
        if self.mode == "finish_word" and view.now_s < view.word_end_s - 1e-9:
            return ""
        return "the user began to speak" + (", and the word is finished" if self.mode == "finish_word" else "")


@dataclass(frozen=True)
class MaxOverlap:
    """How long both may speak at once."""

    seconds: float
    name: str = "max overlap"

    def objection(self, view: View) -> str:
        over = view.overlap_s >= self.seconds - 1e-9 and view.user_talks and not view.begins
        return f"both have spoken for {view.overlap_s:.1f} s, {self.seconds:g} s are allowed" if over else ""


@dataclass(frozen=True)
class QuietHours:
    """From one second of the session to another the agent is not heard."""

    from_s: float
    to_s: float
    name: str = "quiet hours"

    def objection(self, view: View) -> str:
        return f"it is to be quiet from {self.from_s:g} to {self.to_s:g} s" if self.from_s <= view.now_s < self.to_s else ""


@dataclass(frozen=True)
class SpeechBudget:
    """How many seconds the agent may be heard in all; an utterance that has begun is finished."""

    seconds: float
    name: str = "budget"

    def objection(self, view: View) -> str:
        over = view.begins and view.spoken_s >= self.seconds - 1e-9
        return f"{view.spoken_s:.1f} s have been spoken, {self.seconds:g} s are allowed" if over else ""


@dataclass(frozen=True)
class MinConfidence:
    """How sure the agent must be to begin to speak."""

    p: float
    name: str = "confidence"

    def objection(self, view: View) -> str:
        return f"p(speak) {view.p_speak:.2f} < {self.p:.2f}" if view.begins and view.p_speak < self.p else ""


POLICIES: Mapping[str, Callable[..., Policy]] = {
    rule.__name__: rule for rule in (SpeakOver, BargeIn, MaxOverlap, QuietHours, SpeechBudget, MinConfidence)
}


def policy_of(spec: Mapping[str, Any]) -> Policy:
    """The rule that a spec describes. Raises KeyError for one that is not known."""
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items() if key != "class"}
    return POLICIES[str(spec["class"])](**settings)


@dataclass(frozen=True)
class GovernedState:
    """The agent's state, and what has been heard of it and of the user."""

    clock: ClockSpec
    agent: State
    user_talks: bool = False
    sounding: bool = False  # the agent's own voice, heard or not
    silenced: bool = False  # the utterance that goes on is not heard
    word_end_s: float = 0.0
    overlap_s: float = 0.0
    spoken_s: float = 0.0

    def clone(self) -> GovernedState:
        return replace(self, agent=clone_state(self.agent))


@dataclass(frozen=True)
class Governed:
    """An agent that is heard as far as its rules allow. Raises InputError when two rules have one name."""

    agent: Participant
    policies: tuple[Policy, ...]

    def __post_init__(self) -> None:
        names = [policy.name for policy in self.policies]
        if len(set(names)) < len(names):
            raise InputError(f"two policies are called {max(names, key=names.count)!r}; give each its own name, or only one")

    @property
    def name(self) -> str:
        return self.agent.name

    @property
    def speaks(self) -> tuple[str, ...]:
        return self.agent.speaks

    @property
    def hears(self) -> tuple[str, ...]:
        return self.agent.hears

    def spec(self) -> Mapping[str, Any]:
        rules = [{"class": type(p).__name__, **_plain(p)} for p in self.policies]
        return {"class": "Governed", "agent": dict(self.agent.spec()), "policies": rules}

    @property
    def with_threshold(self) -> Callable[[float], Governed] | None:
        """Gives the same with another bar for speaking; None for an agent that has none."""
        inner = getattr(self.agent, "with_threshold", None)
        return (lambda threshold: Governed(inner(threshold), self.policies)) if callable(inner) else None

    def start(self, clock: ClockSpec, seed: int) -> GovernedState:
        return GovernedState(clock, self.agent.start(clock, seed))

    def step(self, state: GovernedState, tick: Tick, heard: MicroTurn) -> tuple[Said, GovernedState]:
        said, agent = self.agent.step(state.agent, tick, heard)
        state = replace(state, agent=agent, user_talks=_user_talks(state.user_talks, said.events))
        audible = any(packet.stream in (AGENT_AUDIO, AGENT_TEXT) for packet in said.packets)
        ends = any(isinstance(event, ModelSpeechStopped | ModelYielded) for event in said.events)
        if not audible:
            ended = replace(state, sounding=state.sounding and not ends, silenced=state.silenced and not ends, overlap_s=0.0)
            return (_without_voice(said) if state.silenced else said), ended
        overlap_s = state.overlap_s + state.clock.tick_s if state.user_talks and state.sounding else 0.0
        state = replace(state, overlap_s=overlap_s)
        view = _view(state, tick, said)
        gates = [] if state.silenced else [(p.name, reason) for p in self.policies if (reason := p.objection(view))]
        after = replace(state, sounding=not ends, word_end_s=_word_end(state.word_end_s, said.events))
        if state.silenced or gates:
            after = replace(after, silenced=not ends)
            cut = bool(gates) and not view.begins
            return _silenced(said, state.clock, tick, gates, cut=cut), after
        return said, replace(after, silenced=False, spoken_s=state.spoken_s + state.clock.tick_s)


def _plain(policy: Policy) -> dict[str, Any]:
    body = asdict(policy)  # type: ignore[call-overload]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in body.items()}


def _user_talks(before: bool, events: Sequence[Event]) -> bool:
    for event in events:
        match event:
            case UserSpeechStarted():
                before = True
            case UserSpeechStopped():
                before = False
            case Decision(p_user_speaking=p) if p > 0.5:
                before = True
            case _:
                pass
    return before


def _view(state: GovernedState, tick: Tick, said: Said) -> View:
    text = " ".join(str(packet.payload) for packet in said.packets if packet.stream == AGENT_TEXT)
    p_speak = next((event.p_speak for event in said.events if isinstance(event, Decision)), 1.0)
    return View(
        now_s=state.clock.seconds(tick),
        tick_s=state.clock.tick_s,
        user_talks=state.user_talks,
        begins=not state.sounding,
        words=tuple(text.lower().split()),
        word_end_s=state.word_end_s,
        p_speak=p_speak,
        overlap_s=state.overlap_s,
        spoken_s=state.spoken_s,
    )


def _word_end(before: float, events: Sequence[Event]) -> float:
    return max([before, *(event.end_s for event in events if isinstance(event, TranscriptDelta) and event.side == "model")])


def _without_voice(said: Said) -> Said:
    """Without what says that the agent was heard."""
    events = tuple(e for e in said.events if not _voice(e))
    return replace(said, packets=tuple(p for p in said.packets if p.stream not in (AGENT_AUDIO, AGENT_TEXT)), events=events)


def _voice(event: Event) -> bool:
    own = isinstance(event, TranscriptDelta) and event.side == "model"
    return own or isinstance(event, ModelSpeechStarted | ModelSpeechStopped | ModelYielded)


def _silenced(said: Said, clock: ClockSpec, tick: Tick, gates: Sequence[tuple[str, str]], *, cut: bool) -> Said:
    """One tick of an utterance that is not heard; where it is cut, its sound fades out and a yield says why."""
    wanted = " ".join(str(packet.payload) for packet in said.packets if packet.stream == AGENT_TEXT)
    quiet = _without_voice(said)
    records = tuple(Gate(name, wanted or "go on", "<silence>", reason) for name, reason in gates)
    events = tuple(replace(e, said="", gates=(*e.gates, *records)) if isinstance(e, Decision) and records else e for e in quiet.events)
    if not cut:
        return replace(quiet, events=events)
    at_s, (name, reason) = clock.seconds(tick), gates[0]
    end = (ModelYielded(at_s=at_s, p_yield=1.0, reason=f"{name}: {reason}", unsaid=wanted), ModelSpeechStopped(at_s=at_s + FADE_S))
    faded = tuple(_faded(packet, clock) for packet in said.packets if packet.stream == AGENT_AUDIO)
    return replace(quiet, packets=(*quiet.packets, *faded), events=(*events, *end))


def _faded(packet: Packet, clock: ClockSpec) -> Packet:
    audio = MicroTurn(packet.tick, (packet,)).audio(packet.stream, clock.samples_per_tick)
    ramp = np.clip(1 - np.arange(len(audio)) / clock.samples(FADE_S), 0, 1).astype(np.float32)
    return replace(packet, payload=(audio * ramp).astype(np.float32))
