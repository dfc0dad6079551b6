"""What is done to an agent from outside while its session runs, by a person or by the clock, and again in a replay.

Each is an event of the tick in which it holds, so a trace knows it and `step_under` makes it happen again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from workbench.background.telling import Delegating
from workbench.clock import ClockSpec, Tick
from workbench.dials import DIALS, dial_of, moved
from workbench.errors import InputError
from workbench.events import AgentHeld, Decision, ModelSpeechStopped, ModelYielded, SettingChanged, TranscriptDelta
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, MicroTurn
from workbench.policies import Governed, GovernedState, QuietTimes, SpeechBudget
from workbench.session import Participant, Said, Session, State, advance
from workbench.wrapped import Wrapped

THRESHOLD = "threshold"

Order: TypeAlias = SettingChanged | AgentHeld


@dataclass(frozen=True)
class Passed(Wrapped):
    """An agent that is passed over: it hears nothing and says nothing, and goes on from the same state afterwards."""

    def spec(self) -> Mapping[str, Any]:
        return self.agent.spec()

    def start(self, clock: ClockSpec, seed: int) -> State:
        return self.agent.start(clock, seed)

    def step(self, state: State, tick: Tick, heard: MicroTurn) -> tuple[Said, State]:
        return Said(), state


def step_under(session: Session, orders: Sequence[Order] = ()) -> MicroTurn:
    """One tick of a session in which these orders hold; they are among its events.

    Raises InputError when the agent lacks a setting that is changed.
    """
    for order in orders:
        if isinstance(order, SettingChanged):
            change_setting(session, order)
    awake = session.participants
    if any(isinstance(order, AgentHeld) for order in orders):
        session.participants = tuple(Passed(p) if p.name == "agent" else p for p in awake)
    try:
        return advance([session], None, tuple(orders))[0]
    finally:
        session.participants = awake


def orders_of(turn: MicroTurn) -> tuple[Order, ...]:
    """What was done to the agent in this tick."""
    return tuple(event for event in turn.events if isinstance(event, SettingChanged | AgentHeld))


def change_setting(session: Session, change: SettingChanged) -> None:
    """From its next tick on the agent of a session has this setting: another threshold, or a rule at the value of its dial.

    Raises InputError for a setting that it does not have, or a value that it cannot take.
    """
    place = next(i for i, participant in enumerate(session.participants) if participant.name == "agent")
    agent = session.participants[place]
    check_change(agent, change)
    if change.name == THRESHOLD:
        other: Participant = agent.with_threshold(change.value)  # type: ignore[attr-defined]
        other.start(session.clock, session.seed)  # it goes on from the state of `agent`, but is started as any participant is
    else:
        other, session.states[place] = _ruled(agent, session.states[place], change, session)
    session.participants = (*session.participants[:place], other, *session.participants[place + 1 :])


def _ruled(agent: Participant, state: State, change: SettingChanged, session: Session) -> tuple[Participant, State]:
    """The agent with a rule at the value of its dial, and its state; what it tells a desk is told of what is then heard."""
    if isinstance(agent, Governed):
        fresh = replace(state, spoken_s=0.0) if change.name == SpeechBudget.name else state  # a budget that is set counts from then on
        return moved(agent, change.name, change.value, session.clock.seconds(session.tick)), fresh
    if isinstance(agent, Delegating) or (isinstance(agent, Wrapped) and _governed(agent) is not None):
        inner, within = _ruled(agent.agent, state.agent, change, session)
        return replace(agent, agent=inner), replace(state, agent=within)
    return _ruled(Governed(agent), _as_heard(session, state), change, session)


def _governed(agent: Participant) -> Governed | None:
    inner: object = agent
    while isinstance(inner, Wrapped) and not isinstance(inner, Governed):
        inner = inner.agent
    return inner if isinstance(inner, Governed) else None


def rules_of(agent: Participant) -> Governed:
    """The agent under its rules, found inside what it is wrapped in; under none where it has none."""
    return _governed(agent) or Governed(agent)


def by_the_clock(agent: Participant, day_s: float) -> Participant:
    """The agent in a session that begins `day_s` after midnight: its quiet hours go by the clock on the wall from then on."""
    if isinstance(agent, Governed) and any(isinstance(policy, QuietTimes) for policy in agent.policies):
        rules = (replace(policy, began_s=day_s) if isinstance(policy, QuietTimes) else policy for policy in agent.policies)
        return replace(agent, policies=tuple(rules))
    if isinstance(agent, Wrapped):
        inner = by_the_clock(agent.agent, day_s)
        return agent if inner is agent.agent else replace(agent, agent=inner)
    return agent


def check_change(agent: Participant, change: SettingChanged) -> None:
    """Raises InputError for a setting that the agent does not have, or a value that it cannot take."""
    if change.name in DIALS:
        dial_of(change.name, rules_of(agent)).check(change.value)
        return
    if change.name != THRESHOLD or not callable(getattr(agent, "with_threshold", None)):
        kind = agent.spec().get("class") or agent.spec().get("kind")
        rules = ", ".join(DIALS)
        raise InputError(f"{agent.name!r} ({kind}) has no {change.name} to change; a neural agent has a threshold, all have {rules}")
    if not 0 <= change.value <= 1:
        raise InputError(f"threshold {change.value:g} is no probability; give a number from 0 to 1")


def _as_heard(session: Session, state: State) -> GovernedState:
    """The state of an agent that is put under rules in the middle of a session, where it or the user may be speaking.

    A session keeps one micro-turn, so of the words that sound those are known to go on that began in the last tick.
    """
    last = session.last
    ended = any(isinstance(event, ModelSpeechStopped | ModelYielded) for event in last.events)
    sounds = any(packet.stream in (AGENT_AUDIO, AGENT_TEXT) for packet in last.packets) and not ended
    talks = any(isinstance(event, Decision) and (event.p_user_speaking or 0.0) > 0.5 for event in last.events)
    heard_s = session.clock.tick_s if sounds else 0.0
    word_end_s = max((e.end_s for e in last.events if isinstance(e, TranscriptDelta) and e.side == "model"), default=0.0)
    fresh = GovernedState(session.clock, state, user_talks=talks, talks=sounds, sounding=sounds)
    return replace(fresh, heard_s=heard_s, word_end_s=word_end_s)
