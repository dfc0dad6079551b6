"""The participants of a recorded session made again: from their specs, or as what the trace has of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.errors import TraceError
from workbench.events import Event, TruthExpect, TruthPiece, TruthWithdrawn, TruthWord
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, MicroTurn, Packet
from workbench.policies import Governed, Hold, policy_of
from workbench.session import Participant, Said
from workbench.trace import Trace
from workbench.wrapped import Wrapped

Spec: TypeAlias = Mapping[str, Any]
Builder: TypeAlias = Callable[[Spec, Trace], Participant]
Wrapping: TypeAlias = Callable[[Participant, Spec], Participant]

TRUTHS = (TruthWord, TruthExpect, TruthWithdrawn, TruthPiece)


class TraceUser:
    """Plays back what the user side of a trace said, tick by tick, with its ground truth; silent beyond the end. It does not react."""

    def __init__(self, trace: Trace, name: str = "user") -> None:
        streams = {p.stream for turn in trace.turns for p in turn.packets if p.stream.startswith("user.")}
        self.name = name
        self.speaks = (USER_AUDIO, *sorted(streams - {USER_AUDIO}))
        self.hears: tuple[str, ...] = ()
        self._of = dict(trace.header.participants.get(name, {}))
        self._said = [_user_side(turn, last=turn is trace.turns[-1]) for turn in trace.turns]

    def spec(self) -> Spec:
        return {"class": "TraceUser", "of": self._of.get("of", self._of), "ticks": len(self._said)}

    def start(self, clock: ClockSpec, seed: int) -> ClockSpec:
        return clock

    def step(self, state: ClockSpec, tick: Tick, heard: MicroTurn) -> tuple[Said, ClockSpec]:
        if tick < len(self._said):
            return self._said[tick], state
        return Said((Packet(USER_AUDIO, tick, np.zeros(state.samples_per_tick, np.float32)),), done=True), state


class TraceAgent:
    """Plays back what the agent of a trace said, silent beyond the end; it hears nothing and does not react.

    Of the events it tells those of the types `told`, or all but the ground truth. `spec` is that of the agent whose place it takes.
    """

    name = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = ()

    def __init__(self, trace: Trace, told: tuple[type[Event], ...] = (), spec: Spec | None = None) -> None:
        self._of = dict(trace.header.participants.get("agent", {}))
        self._turns, self._told, self._spec = trace.turns, told, spec

    def spec(self) -> Spec:
        return self._spec or {"class": "TraceAgent", "of": self._of, "ticks": len(self._turns)}

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        if tick >= len(self._turns):
            return Said(), None
        turn = self._turns[tick]
        packets = tuple(packet for packet in turn.packets if packet.stream in self.speaks)
        told = (e for e in turn.events if (isinstance(e, self._told) if self._told else not isinstance(e, TRUTHS)))
        return Said(packets, tuple(told)), None


def _user_side(turn: MicroTurn, *, last: bool) -> Said:
    packets = tuple(p for p in turn.packets if p.stream.startswith("user."))
    return Said(packets, tuple(e for e in turn.events if isinstance(e, TRUTHS)), done=last)


def neural_instead(trace: Trace, checkpoint: Path | None, threshold: float | None) -> Participant:
    """The neural agent of a session with another checkpoint, another threshold or both; a new one where that was of another kind.

    Raises TraceError where it was changed from inside, CheckpointError and InputError as `load_agent`.
    """
    spec = innermost(trace.header.participants.get("agent", {}))
    made_of: dict[str, Any] = dict(spec) if kind_of(spec) == "nano" else {}
    if checkpoint is not None:
        made_of["checkpoint"] = str(checkpoint)
    if threshold is not None:
        made_of["threshold"] = threshold
    return _neural_agent(made_of, trace)


def innermost(spec: Spec) -> Spec:
    """The spec of an agent itself, without those of what it is wrapped in: what wraps an agent names it."""
    while isinstance(inner := spec.get("agent"), Mapping):
        spec = inner
    return spec


# --- builders -------------------------------------------------------------------------------------------------------------------


def _scripted_user(spec: Spec, trace: Trace) -> Participant:
    from workbench.conditions import parse_condition
    from workbench.scenarios import build, medley
    from workbench.users import ScriptedUser

    family, seed, voices, difficulty = spec["family"], int(spec["seed"]), str(spec["voices"]), float(spec["difficulty"])
    whole = family == "medley"
    people = spec.get("bystanders")
    if whole:
        script = medley(seed, voices, float(spec["seconds"]), difficulty, recorded=people)
    else:
        script = build(family, seed, voices, difficulty, recorded=people)
    return ScriptedUser(parse_condition(str(spec.get("condition", ""))).on(script))


def _simple_agent(spec: Spec, trace: Trace) -> Participant:
    from workbench.agents import EchoAgent, OracleAgent, ScriptedAgent, SilentAgent

    kind = kind_of(spec)
    if kind == "ScriptedAgent":
        return ScriptedAgent(tuple((int(tick), tuple(words)) for tick, words in spec["plan"]))
    simple: dict[str, Callable[[], Participant]] = {"SilentAgent": SilentAgent, "EchoAgent": EchoAgent, "OracleAgent": OracleAgent}
    return simple[kind]()


def _talking_agent(spec: Spec, trace: Trace) -> Participant:
    from workbench.agents import AlwaysTalkingAgent

    return AlwaysTalkingAgent(tuple(spec["words"]))


def _pipeline(spec: Spec, trace: Trace) -> Participant:
    from workbench.adapters.pipeline import pipeline_again

    return pipeline_again(spec, trace)


def _neural_agent(spec: Spec, trace: Trace) -> Participant:
    from workbench.neural import load_agent

    if spec.get("changed"):
        raise TraceError(f"this agent was changed from inside at {'; '.join(spec['changed'])}; give agent= with the same interventions")
    return load_agent(spec.get("checkpoint") or None, float(spec.get("threshold", 0.5)))


def _trace_user(spec: Spec, trace: Trace) -> Participant:
    return TraceUser(trace)


def _delegating(agent: Participant, spec: Spec) -> Participant:
    from workbench.background.telling import Delegating

    return Delegating(agent)


def _noted(agent: Participant, spec: Spec) -> Participant:
    from workbench.serve.noted import Noted

    return Noted(agent)


def _remote(spec: Spec, trace: Trace) -> Participant:
    """Nobody is asked again: what a service elsewhere would have answered otherwise is not known."""
    from workbench.adapters.remote import TOLD

    return TraceAgent(trace, TOLD, spec)


def _guessing(agent: Participant, spec: Spec) -> Participant:
    from workbench.intents import Guessing

    return Guessing(agent)


def _by_rule(agent: Participant, spec: Spec) -> Participant:
    from workbench.background.by_rule import ByRule

    return ByRule(agent, tuple(spec["cues"]))


def _governed(agent: Participant, spec: Spec) -> Participant:
    return Governed(agent, tuple(map(policy_of, spec["policies"])), Hold(**spec.get("hold", {})))


def _beside(agent: Participant, spec: Spec) -> Participant:
    """An agent in the place of the one of a spec: beside a desk where that one was."""
    from workbench.background.telling import Delegating

    return Delegating(agent) if kind_of(spec) == "Delegating" and not isinstance(agent, Delegating) else agent


def _desk(spec: Spec, trace: Trace) -> Participant:
    """The desk with the background of its scenario, else with what arrived in the trace, whoever it came from: nobody is asked again."""
    from workbench.background.backends import Recorded, Simulated
    from workbench.background.desk import Desk
    from workbench.background.ledger import DeskSpec
    from workbench.cast import directory_of

    settings = {f.name: spec[f.name] for f in fields(DeskSpec) if f.name in spec}  # an older trace has fewer
    settings["sources"] = tuple(settings["sources"])
    backend: Spec = spec.get("backend", {})
    if backend.get("class") == "Simulated" and backend["agent"].get("class") == "Directory":
        low_s, high_s = backend["latency_s"]
        return Desk(Simulated(directory_of(backend["agent"]), latency_s=(low_s, high_s)), DeskSpec(**settings))
    return Desk(Recorded.of_trace(trace), DeskSpec(**settings))


BUILDERS: Mapping[str, Builder] = {
    "ScriptedUser": _scripted_user,
    "RecordedUser": _trace_user,
    "SilentUser": _trace_user,
    "TraceUser": _trace_user,
    "LiveUser": _trace_user,
    "SilentAgent": _simple_agent,
    "EchoAgent": _simple_agent,
    "ScriptedAgent": _simple_agent,
    "OracleAgent": _simple_agent,
    "AlwaysTalkingAgent": _talking_agent,
    "Pipeline": _pipeline,
    "nano": _neural_agent,
    "RemoteAgent": _remote,
    "Desk": _desk,
}
WRAPPINGS: Mapping[str, Wrapping] = {
    "Delegating": _delegating,
    "Noted": _noted,
    "ByRule": _by_rule,
    "Guessing": _guessing,
    "Governed": _governed,
}


def built(name: str, spec: Spec, trace: Trace, instead: Participant | None = None) -> Participant:
    """A participant made again from its spec, or `instead` of it in what it was wrapped in. Raises TraceError when it cannot be.

    `instead` that comes wrapped takes the place of all that, but still tells a desk where that was what the other was wrapped in last.
    """
    if instead is not None and isinstance(instead, Wrapped):
        return _beside(instead, spec)
    kind = kind_of(spec)
    try:
        if kind in WRAPPINGS:
            return WRAPPINGS[kind](built(name, spec["agent"], trace, instead), spec)
        if instead is not None:
            return instead
        if kind not in BUILDERS:
            was, known = kind or "participant without a kind", ", ".join((*BUILDERS, *WRAPPINGS))
            mine = "an agent of your own is given again from Python: replay(trace, agent=…)"
            raise TraceError(f"{name!r} was a {was}, which cannot be rebuilt; known are {known}; {mine}")
        return BUILDERS[kind](spec, trace)
    except KeyError as error:
        raise TraceError(f"the spec of {name!r} lacks {error}: {dict(spec)!r}; replay it with the version that wrote it") from error


def kind_of(spec: Spec) -> str:
    """What a spec describes: its class or kind, empty where it does not say."""
    return str(spec.get("class") or spec.get("kind") or "")
