"""Running a recorded session again: as it was, or with something changed from one moment on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.compare import Difference, first_difference
from workbench.errors import InputError, TraceError
from workbench.events import Edited, Event, SettingChanged, TruthExpect, TruthPiece, TruthWithdrawn, TruthWord
from workbench.outside import THRESHOLD, change_setting, orders_of, step_under
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, MicroTurn, Packet
from workbench.policies import Governed, Hold, Policy, policy_of
from workbench.session import Participant, Said, Session, advance
from workbench.trace import Trace, record

Spec: TypeAlias = Mapping[str, Any]
Builder: TypeAlias = Callable[[Spec, Trace], Participant]
UserKind: TypeAlias = Literal["auto", "recorded", "rebuilt"]

QUIET_S = 1.0  # an agent quiet for so long has nothing more to say
LONGEST_TICKS = 10_000  # of a what-if with a user that ends the session by itself
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


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What is changed in a what-if.

    `threshold`: the agent's bar for speaking from the moment on. `mute_user_s`: the user says and types nothing for that many seconds from
    the moment on, e.g. long enough to take out "stop"; a camera goes on.
    """

    threshold: float | None = None
    mute_user_s: float = 0.0

    def __post_init__(self) -> None:
        if self.threshold is None and self.mute_user_s <= 0:
            raise InputError("a fork without an edit is a replay; give threshold=0.7, mute_user_s=2.0, or both")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError(f"threshold {self.threshold} is no probability; give a number from 0 to 1")


@dataclass(frozen=True)
class Replayed:
    """A run made again, and where it first differs from the one it was made of (None: nowhere)."""

    trace: Trace
    difference: Difference | None


def replay(trace: Trace, *, agent: Participant | None = None, user: UserKind = "auto") -> Replayed:
    """Run a session again and compare. The user side is played back from the trace unless the agent needs the scenario's orders.

    `agent` replaces the one that the header describes. Raises TraceError when a participant cannot be rebuilt.
    """
    session = rebuild(trace, agent=agent, user=user)
    again = record(session, labels={**trace.header.labels, "replay": True})
    _play(session, trace, len(trace))
    return Replayed(again, first_difference(trace, again))


def fork(
    trace: Trace,
    at_s: float,
    edit: Edit,
    *,
    agent: Participant | None = None,
    user: UserKind = "auto",
    run_on_s: float = 10.0,
) -> Replayed:
    """The session as it was until `at_s`, then changed by `edit` and run on.

    A scripted user is rebuilt, so it reacts to what the agent now does; a recorded one is played back. When the user is done, an agent that
    still speaks may do so for up to `run_on_s`. The past is checked against the trace: raises TraceError when it cannot be rebuilt,
    InputError when `at_s` lies outside the session.
    """
    tick = trace.header.clock.tick_at(at_s)
    if not 0 <= tick < len(trace):
        raise InputError(f"{at_s:g} s is outside this session; it runs from 0 to {trace.duration_s:g} s")
    kind = _spec_kind(trace.header.participants.get("user", {}))
    chosen: UserKind = "rebuilt" if user == "auto" and kind == "ScriptedUser" else user
    session = rebuild(trace, agent=agent, user=chosen)
    what_if = record(session, labels={**trace.header.labels, "fork_at_s": at_s})
    _play(session, trace, tick)
    past = first_difference(Trace(trace.header, trace.turns[:tick]), what_if)
    if past:
        raise TraceError(f"the past of this fork differs from the trace ({past}); fork with the checkpoint and version that made the trace")
    _change(session, edit)
    session.run(_ticks_left(session, len(trace)))
    _run_on(session, what_if, session.clock.ticks_in(run_on_s))
    return Replayed(what_if, first_difference(trace, what_if))


def under(trace: Trace, *policies: Policy, hold: Hold | None = None) -> Trace:
    """What would have been heard of a session under these rules, if the user had said the same: nobody decides anything anew."""
    agent = Governed(TraceAgent(trace), policies, hold or Hold())
    session = Session.start([TraceUser(trace), agent], clock=trace.header.clock, seed=trace.header.seed)
    other = record(session, labels=dict(trace.header.labels))
    session.run(len(trace))
    return other


def rebuild(trace: Trace, *, agent: Participant | None = None, user: UserKind = "auto") -> Session:
    """The session of a trace before its first tick, its participants made again from their specs. Raises TraceError when one cannot be."""
    participants: list[Participant] = []
    if set(trace.header.participants) - {"user", "agent", "background"}:
        others = sorted(set(trace.header.participants) - {"user", "agent", "background"})
        raise TraceError(f"this trace has participants {others}, who cannot be rebuilt; a replay knows 'user', 'agent' and 'background'")
    for name, spec in trace.header.participants.items():
        kind = _spec_kind(spec)
        if name == "agent":
            participants.append(_build(name, kind, spec, trace) if agent is None else _beside(agent, kind))
        elif name == "background" or user == "rebuilt" or (user == "auto" and agent is None and _needs_orders(trace)):
            participants.append(_build(name, kind, spec, trace))
        else:
            participants.append(TraceUser(trace, name))
    return Session.start(participants, clock=trace.header.clock, seed=trace.header.seed)


def _play(session: Session, trace: Trace, ticks: int) -> None:
    """The first ticks of a trace again, with what was done to its agent from outside done in the same tick."""
    for turn in trace.turns[:ticks]:
        if session.done:
            break
        step_under(session, orders_of(turn))


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

    kind = _spec_kind(spec)
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


def _delegating(spec: Spec, trace: Trace) -> Participant:
    from workbench.background.telling import Delegating

    return Delegating(_build("agent", _spec_kind(spec["agent"]), spec["agent"], trace))


def _noted(spec: Spec, trace: Trace) -> Participant:
    from workbench.serve.noted import Noted

    return Noted(_build("agent", _spec_kind(spec["agent"]), spec["agent"], trace))


def _remote(spec: Spec, trace: Trace) -> Participant:
    """Nobody is asked again: what a service elsewhere would have answered otherwise is not known."""
    from workbench.adapters.remote import TOLD

    return TraceAgent(trace, TOLD, spec)


def _guessing(spec: Spec, trace: Trace) -> Participant:
    from workbench.intents import Guessing

    return Guessing(_build("agent", _spec_kind(spec["agent"]), spec["agent"], trace))


def _by_rule(spec: Spec, trace: Trace) -> Participant:
    from workbench.background.by_rule import ByRule

    return ByRule(_build("agent", _spec_kind(spec["agent"]), spec["agent"], trace), tuple(spec["cues"]))


def _governed(spec: Spec, trace: Trace) -> Participant:
    agent = _build("agent", _spec_kind(spec["agent"]), spec["agent"], trace)
    return Governed(agent, tuple(map(policy_of, spec["policies"])), Hold(**spec.get("hold", {})))


def _beside(agent: Participant, kind: str) -> Participant:
    """An agent in the place of one of that kind: beside a desk where that one was."""
    from workbench.background.telling import Delegating

    return Delegating(agent) if kind == "Delegating" and not isinstance(agent, Delegating) else agent


def _desk(spec: Spec, trace: Trace) -> Participant:
    """The desk with the background of its scenario, else with what arrived in the trace, whoever it came from: nobody is asked again."""
    from workbench.background.backends import Recorded, Simulated
    from workbench.background.desk import Desk
    from workbench.background.ledger import DeskSpec
    from workbench.cast import directory_of

    settings = {f.name: spec[f.name] for f in fields(DeskSpec)}
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
    "Delegating": _delegating,
    "Noted": _noted,
    "RemoteAgent": _remote,
    "ByRule": _by_rule,
    "Guessing": _guessing,
    "Governed": _governed,
    "Desk": _desk,
}


def _build(name: str, kind: str, spec: Spec, trace: Trace) -> Participant:
    if kind not in BUILDERS:
        raise TraceError(f"{name!r} was a {kind or 'participant without a kind'}, which cannot be rebuilt; known are {', '.join(BUILDERS)}")
    try:
        return BUILDERS[kind](spec, trace)
    except KeyError as error:
        raise TraceError(f"the spec of {name!r} lacks {error}: {dict(spec)!r}; replay it with the version that wrote it") from error


def _spec_kind(spec: Spec) -> str:
    return str(spec.get("class") or spec.get("kind") or "")


def _needs_orders(trace: Trace) -> bool:
    """An oracle follows the scenario's orders, which a trace does not keep; so its user is rebuilt with them."""
    spec = trace.header.participants.get("agent", {})
    while isinstance(inner := spec.get("agent"), Mapping):  # what wraps an agent names it
        spec = inner
    return _spec_kind(spec) == "OracleAgent"


# --- edits ----------------------------------------------------------------------------------------------------------------------


def _change(session: Session, edit: Edit) -> None:
    """Apply an edit and run the ticks that it covers, at least one; the edited ticks carry an `Edited` event."""
    notes: tuple[Event, ...] = ()
    if edit.threshold is not None:
        change_setting(session, SettingChanged(name=THRESHOLD, value=edit.threshold))
        notes = (Edited(participant="agent", note=f"threshold {edit.threshold:g}"),)
    for place in range(max(1, session.clock.ticks_in(edit.mute_user_s))):
        if session.done:
            break
        silence = Packet(USER_AUDIO, session.tick, np.zeros(session.clock.samples_per_tick, np.float32))
        muted = partial(_silenced, silence)
        advance([session], [{"user": muted} if edit.mute_user_s > 0 else {}], () if place else notes)


def _silenced(silence: Packet, said: Said) -> Said:
    """What the camera shows stays; what is said or typed, and the truth about it, does not."""
    return Said((silence, *(packet for packet in said.packets if packet.stream == USER_CAMERA)))


def _ticks_left(session: Session, recorded: int) -> int:
    """How long a what-if runs on: a rebuilt user ends it by itself, a played-back one at the length of the trace."""
    reactive = any(_spec_kind(p.spec()) == "ScriptedUser" for p in session.participants)
    return LONGEST_TICKS if reactive else max(0, recorded - session.tick)


def _run_on(session: Session, trace: Trace, most: int) -> None:
    """Step on until the agent has been quiet for QUIET_S, `most` ticks at most."""
    quiet = session.clock.ticks_in(QUIET_S)
    for _ in range(most):
        if not any(turn.get(AGENT_AUDIO) is not None or turn.text(AGENT_TEXT) for turn in trace.turns[-quiet:]):
            break
        session.step()


def _user_side(turn: MicroTurn, *, last: bool) -> Said:
    packets = tuple(p for p in turn.packets if p.stream.startswith("user."))
    return Said(packets, tuple(e for e in turn.events if isinstance(e, TRUTHS)), done=last)
