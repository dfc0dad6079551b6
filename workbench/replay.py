"""Running a recorded session again: as it was, or with something changed from one moment on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from workbench.compare import Difference, first_difference
from workbench.errors import InputError, TraceError
from workbench.events import Edited, Event, SettingChanged
from workbench.made_again import TraceAgent, TraceUser, built, innermost, kind_of
from workbench.outside import THRESHOLD, change_setting, orders_of, step_under
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, Packet
from workbench.policies import Governed, Hold, Policy
from workbench.session import Participant, Said, Session, advance
from workbench.trace import Header, Trace, record

__all__ = ["Edit", "Replayed", "TraceAgent", "TraceUser", "fork", "other_weights", "rebuild", "replay", "under"]

UserKind: TypeAlias = Literal["auto", "recorded", "rebuilt"]

QUIET_S = 1.0  # an agent quiet for so long has nothing more to say
LONGEST_TICKS = 10_000  # of a what-if with a user that ends the session by itself


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

    `agent` is put in place of the one that the header describes, under the rules of that one (`rebuild`). Raises TraceError when a
    participant cannot be rebuilt, and when the agent would hear what was not kept.
    """
    session = rebuild(trace, agent=agent, user=user)
    _check_heard(session, trace)
    again = _copy(session, trace, replay=True)
    _play(session, trace, len(trace))
    return Replayed(again, _difference(trace, again))


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
    still speaks may do so for up to `run_on_s`. The past is checked against the trace: raises TraceError when it cannot be rebuilt or the
    agent would hear what was not kept, InputError when `at_s` lies outside the session. `agent` as in `replay`.
    """
    tick = trace.header.clock.tick_at(at_s)
    if not 0 <= tick < len(trace):
        raise InputError(f"{at_s:g} s is outside this session; it runs from 0 to {trace.duration_s:g} s")
    kind = kind_of(trace.header.participants.get("user", {}))
    chosen: UserKind = "rebuilt" if user == "auto" and kind == "ScriptedUser" else user
    session = rebuild(trace, agent=agent, user=chosen)
    _check_heard(session, trace)
    what_if = _copy(session, trace, fork_at_s=at_s)
    _play(session, trace, tick)
    if past := _difference(replace(trace, turns=trace.turns[:tick]), what_if):
        weights = other_weights(trace.header, what_if.header)
        why = f"{weights}; the past" if weights else "the past"
        raise TraceError(f"{why} of this fork differs from the trace ({past}); fork with the checkpoint and version that made the trace")
    _change(session, edit)
    session.run(_ticks_left(session, len(trace)))
    _run_on(session, what_if, session.clock.ticks_in(run_on_s))
    return Replayed(what_if, _difference(trace, what_if))


def under(trace: Trace, *policies: Policy, hold: Hold | None = None) -> Trace:
    """What would have been heard of a session under these rules, if the user had said the same: nobody decides anything anew."""
    agent = Governed(TraceAgent(trace), policies, hold or Hold())
    session = Session.start([TraceUser(trace), agent], clock=trace.header.clock, seed=trace.header.seed)
    other = _copy(session, trace)
    session.run(len(trace))
    return other


def rebuild(trace: Trace, *, agent: Participant | None = None, user: UserKind = "auto") -> Session:
    """The session of a trace before its first tick, its participants made again from their specs. Raises TraceError when one cannot be.

    `agent` takes the place of the agent itself, and what that one was wrapped in, its rules and its telling, is put around it again. One
    that comes wrapped takes the place of all that, but still tells a desk where that was what the other was wrapped in last.
    """
    participants: list[Participant] = []
    if set(trace.header.participants) - {"user", "agent", "background"}:
        others = sorted(set(trace.header.participants) - {"user", "agent", "background"})
        raise TraceError(f"this trace has participants {others}, who cannot be rebuilt; a replay knows 'user', 'agent' and 'background'")
    for name, spec in trace.header.participants.items():
        if name == "agent":
            participants.append(built(name, spec, trace, agent))
        elif name == "background" or user == "rebuilt" or (user == "auto" and agent is None and _needs_orders(trace)):
            participants.append(built(name, spec, trace))
        else:
            participants.append(TraceUser(trace, name))
    return Session.start(participants, clock=trace.header.clock, seed=trace.header.seed)


def other_weights(made: Header, now: Header) -> str:
    """That a session was made with other weights than one of now, in words; empty where it was not, or where one of them does not say."""
    before, after = (str(innermost(header.participants.get("agent", {})).get("weights", "")) for header in (made, now))
    return f"made with weights {before}, these are {after}" if before and after and before != after else ""


def _copy(session: Session, trace: Trace, **labels: Any) -> Trace:
    """An in-memory trace of a session that is made of another, which has said it all: as old as that one, and under the same consent."""
    of = trace.header
    return record(session, labels={**of.labels, **labels}, consent=of.consent, created=of.created)


def _check_heard(session: Session, trace: Trace) -> None:
    """Raises TraceError where the agent would hear silence in place of what was not kept."""
    if not any(isinstance(participant, TraceUser) for participant in session.participants):
        return  # a user that is rebuilt says it again
    hears = next((participant.hears for participant in session.participants if participant.name == "agent"), ())
    for stream, retention in trace.not_kept.items():
        if stream in hears and stream.startswith("user."):
            why = f"{stream} was not kept in this trace (retention {retention!r}), and the agent heard it"
            raise TraceError(f"{why}, so what it did cannot be done again; a session that is to be replayed keeps that stream in full")


def _difference(trace: Trace, again: Trace) -> Difference | None:
    """Where a trace and a run made of it differ, apart from streams that the trace was not to keep."""
    kept = [replace(turn, packets=tuple(p for p in turn.packets if p.stream not in trace.not_kept)) for turn in again.turns]
    return first_difference(trace, replace(again, turns=kept))


def _play(session: Session, trace: Trace, ticks: int) -> None:
    """The first ticks of a trace again, with what was done to its agent from outside done in the same tick."""
    for turn in trace.turns[:ticks]:
        if session.done:
            break
        step_under(session, orders_of(turn))


def _needs_orders(trace: Trace) -> bool:
    """An oracle follows the scenario's orders, which a trace does not keep; so its user is rebuilt with them."""
    return kind_of(innermost(trace.header.participants.get("agent", {}))) == "OracleAgent"


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
    reactive = any(kind_of(p.spec()) == "ScriptedUser" for p in session.participants)
    return LONGEST_TICKS if reactive else max(0, recorded - session.tick)


def _run_on(session: Session, trace: Trace, most: int) -> None:
    """Step on until the agent has been quiet for QUIET_S, `most` ticks at most."""
    quiet = session.clock.ticks_in(QUIET_S)
    for _ in range(most):
        if not any(turn.get(AGENT_AUDIO) is not None or turn.text(AGENT_TEXT) for turn in trace.turns[-quiet:]):
            break
        session.step()
