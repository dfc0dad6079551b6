"""The tick panel of τ-voice (Sierra, arXiv 2603.13686): eight numbers from who sounds in which tick, and what sound was no turn.

Official quirks that are part of the definition: a one-tick user segment in the very last tick is dropped; windows are whole ticks, rounded
down; a turn counts for the response rate only if the agent is silent in the tick after it, so an agent that always talks has no such turn;
a tic or other speech outside a user segment while the agent speaks counts only if the agent stops, never as passed over rightly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

from workbench.errors import InputError
from workbench.events import TruthWord
from workbench.packets import AGENT_AUDIO
from workbench.scenarios.world import BACKCHANNELS
from workbench.scoring.fdb_sample import joined
from workbench.scoring.measured import TICKS, Case, MeanKind, Measured, Moment, bootstrap, drawn_how, mean, mean_of
from workbench.scoring.reading import people_spans, sound_spans, where_from
from workbench.trace import Trace

Insert: TypeAlias = Literal["vocal_tic", "non_directed"]
Kind: TypeAlias = Literal["response", "yield", "agent_interrupts", "backchannel", "vocal_tic", "non_directed"]
REVISION = "tau2-bench a2c0247"  # whose published numbers these rules give
AGENT_JOIN_S = 0.35
HIDDEN_BELOW = 10  # the leaderboard shows no rate of fewer events


@dataclass(frozen=True)
class PanelTick:
    """Who sounds in one tick, the user's turn-taking action, and inserted sounds that are no turn, as (kind, text)."""

    user: bool
    agent: bool
    action: str = ""
    inserts: tuple[tuple[Insert, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Detection windows in seconds; the defaults are the published ones."""

    tick_s: float = 0.2
    no_yield_s: float = 2.0
    passed_over_s: float = 1.0  # stopping within it of a back-channel, tic or other speech is an error
    unanswered_s: float = 2.0  # beginning to speak within it after a tic or other speech in silence is an error

    def __post_init__(self) -> None:
        if min(self.tick_s, self.no_yield_s, self.passed_over_s, self.unanswered_s) <= 0:
            raise InputError(f"{self} has a window that is not positive; the published ones are the defaults")

    def ticks(self, seconds: float) -> int:
        return int(seconds / self.tick_s)


@dataclass(frozen=True)
class PanelEvent:
    """One case of a metric: good or not, its latency where there is one, and its ticks [from_tick, to_tick)."""

    kind: Kind
    good: bool
    from_tick: int
    to_tick: int
    latency_s: float | None = None


@dataclass
class _Stretch:
    """A run of ticks [start, end), and what was inserted in it."""

    start: int
    end: int
    inserts: set[str] = field(default_factory=set)


def ticks_of(trace: Trace) -> tuple[PanelTick, ...]:
    """A trace's micro-turns as the panel's ticks; give `Windows` its tick length.

    The user sounds where one of its true words does (in a trace without any, where there is sound of it); a run of ticks with back-channel
    words alone is a back-channel; the words of anybody else are speech not for the agent. The agent sounds where there is sound of it, gaps
    up to AGENT_JOIN_S bridged, for one that counts is not silent between two numbers. The world has no vocal tics.
    """
    clock, count = trace.header.clock, len(trace)
    words = [(set(range(clock.tick_at(w.start_s), clock.first_tick_from(w.end_s))), w) for _, w in trace.events(TruthWord)]
    heard = () if words else people_spans(trace)[0]
    user = {at for ticks, w in words if w.speaker == "user" for at in ticks}
    user |= {at for a, b in heard for at in range(clock.tick_at(a), clock.first_tick_from(b))}
    meant = {at for ticks, w in words if w.speaker == "user" and w.word not in BACKCHANNELS for at in ticks}
    others = {at for ticks, w in words if w.speaker != "user" for at in ticks}
    sounds = joined(sound_spans(trace.audio(AGENT_AUDIO), clock), AGENT_JOIN_S)
    agent = {at for a, b in sounds for at in range(clock.tick_at(a), clock.first_tick_from(b))}
    murmurs: set[int] = set()
    for run in _runs([PanelTick(False, False)] * count, [at in user for at in range(count)]):
        if words and meant.isdisjoint(range(run.start, run.end)):
            murmurs.update(range(run.start, run.end))
    return tuple(
        PanelTick(at in user, at in agent, "backchannel" if at in murmurs else "", (("non_directed", ""),) if at in others else ())
        for at in range(count)
    )


def ticks_from(trace: Trace) -> str:
    """How `ticks_of` finds who sounds in this trace."""
    return f"{where_from(people_spans(trace)[1])}; the agent's gaps up to {AGENT_JOIN_S:g} s bridged"


def panel_events(ticks: Sequence[PanelTick], windows: Windows) -> list[PanelEvent]:
    """Every event of one session, in the order of the metrics."""
    kept = _without_last_artefact(ticks)
    users, agents = _runs(kept, [t.user for t in kept]), _runs(kept, [t.agent for t in kept])
    agent_starts = [run.start for run in agents]
    return [
        *_turns(kept, users, agent_starts, windows),
        *_over_agent(kept, users, windows),
        *(PanelEvent("agent_interrupts", False, run.start, run.end) for run in agents if kept[run.start].user),
        *_in_silence(kept, users, agent_starts, windows),
        *_out_of_turn(kept, agents, windows),
    ]


def tau_voice(
    sessions: Mapping[str, Sequence[PanelTick]], windows: Windows | None = None, seed: int = 0, *, source: Collection[str] = ("unknown",)
) -> list[Measured]:
    """L_R, L_Y (seconds), R_R, R_Y, I_A, S_BC, S_VT, S_ND and the mean of the three selectivities, over all sessions.

    `source` says how it was found who sounds. Raises InputError without ticks.
    """
    used = windows or Windows()
    if not any(sessions.values()):
        raise InputError("no session has ticks; the panel needs who sounds in every tick")
    events = [(name, event) for name, ticks in sessions.items() for event in panel_events(ticks, used)]
    setup = {"benchmark": "τ-voice tick panel", "revision": REVISION, "windows": asdict(used), "source": sorted(source)}

    def over(name: str, says: str, cases: Sequence[Case], unit: str = "", kind: MeanKind | None = "share") -> Measured:
        counted = sum(case.weight for case in cases)
        note = f" (fewer than {HIDDEN_BELOW}: hidden on the leaderboard)" if counted < HIDDEN_BELOW else ""
        return mean(name, cases, list(sessions), says=says + note, unit=unit, kind=kind, setup=setup, seed=seed)

    def case(session: str, event: PanelEvent, value: float, weight: int = 1) -> Case:
        return Case(session=session, value=value, moment=(event.from_tick * used.tick_s, event.to_tick * used.tick_s), weight=weight)

    def late(kind: Kind) -> list[Case]:
        return [case(name, e, e.latency_s) for name, e in events if e.kind == kind and e.latency_s is not None]

    def share(kind: Kind) -> list[Case]:
        return [case(name, e, float(e.good)) for name, e in events if e.kind == kind]

    broken_in = [case(name, e, 1.0, 0) for name, e in events if e.kind == "agent_interrupts"]
    turns = [case(name, e, 0.0) for name, e in events if e.kind == "response"]
    passed: dict[str, Kind] = {"S_BC": "backchannel", "S_VT": "vocal_tic", "S_ND": "non_directed"}
    return [
        over("L_R", "end of the user's turn to the agent's start", late("response"), "s", None),
        over("L_Y", "start of an interruption to the agent's silence, where it yields", late("yield"), "s", None),
        over("R_R", "turns answered before the user speaks again", share("response")),
        over("R_Y", f"interruptions to which the agent yields within {used.no_yield_s} s", share("yield")),
        over("I_A", "the agent's starts while the user speaks, by the user's turns", [*broken_in, *turns], kind="count"),
        *(over(name, f"{kind.replace('_', ' ')}: not stopped for and not answered", share(kind)) for name, kind in passed.items()),
        _selectivity({name: share(kind) for name, kind in passed.items()}, list(sessions), setup, seed),
    ]


def _selectivity(shares: Mapping[str, Sequence[Case]], sessions: Sequence[str], setup: Mapping[str, object], seed: int) -> Measured:
    """The unweighted mean of the three, NaN unless all have cases; its moments are what was not passed over."""
    strata = [
        [(sum(c.value for c in cases if c.session == s), float(sum(c.session == s for c in cases))) for s in sessions]
        for cases in shares.values()
    ]
    fewest = min(map(len, shares.values()))
    moments = [(c.session, *c.moment) for cases in shares.values() for c in cases if c.moment and not c.value]
    return Measured(
        name="selectivity",
        value=mean_of(strata),
        explanation=f"unweighted mean of {', '.join(shares)}; the smallest has {fewest} events, {HIDDEN_BELOW} are needed to be shown",
        n=fewest,
        evidence=tuple(TICKS.tick_at(start_s) for _, start_s, _ in moments),
        interval=bootstrap(strata, seed, kind="share"),
        sessions=len(sessions),
        moments=tuple(Moment(session=name, start_s=start_s, end_s=end_s) for name, start_s, end_s in moments),
        setup={**setup, "bootstrap": drawn_how(seed, "share", "sessions, for each of the three")},
    )


def _without_last_artefact(ticks: Sequence[PanelTick]) -> Sequence[PanelTick]:
    return ticks[:-1] if len(ticks) > 1 and ticks[-1].user and not ticks[-2].user else ticks


def _runs(ticks: Sequence[PanelTick], sounds: Sequence[bool]) -> list[_Stretch]:
    runs: list[_Stretch] = []
    for at, (tick, sound) in enumerate(zip(ticks, sounds, strict=True)):
        if not sound:
            continue
        if not runs or runs[-1].end < at:
            runs.append(_Stretch(at, at))
        runs[-1].end = at + 1
        runs[-1].inserts.update(kind for kind, _ in tick.inserts)
    return runs


def _murmured(ticks: Sequence[PanelTick], run: _Stretch) -> bool:
    return ticks[run.start].action == "backchannel"


def _turns(ticks: Sequence[PanelTick], users: Sequence[_Stretch], agents: Sequence[int], windows: Windows) -> Iterator[PanelEvent]:
    turns = [run for run in users if not _murmured(ticks, run) and not (run.end < len(ticks) and ticks[run.end].agent)]
    for turn, following in zip(turns, [*turns[1:], None], strict=False):
        answer = next((start for start in agents if start >= turn.end), None)
        again = following.start if following else None
        if answer is not None and (again is None or answer <= again):
            yield PanelEvent("response", True, turn.end, answer, answer * windows.tick_s - turn.end * windows.tick_s)
        elif again is not None:
            yield PanelEvent("response", False, turn.end, again)


def _over_agent(ticks: Sequence[PanelTick], users: Sequence[_Stretch], windows: Windows) -> Iterator[PanelEvent]:
    for run in users:
        if not ticks[run.start].agent:
            continue
        kind: Kind = "backchannel" if _murmured(ticks, run) else _insert(run.inserts) or "yield"
        until = run.start + windows.ticks(windows.no_yield_s if kind == "yield" else windows.passed_over_s)
        quiet = next((at for at in range(run.start, min(until, len(ticks))) if not ticks[at].agent), None)
        if kind == "yield" and quiet is not None:
            yield PanelEvent(kind, True, run.start, quiet, (quiet - run.start) * windows.tick_s)
        else:
            yield PanelEvent(kind, kind != "yield" and quiet is None, run.start, run.end if quiet is None else quiet)


def _insert(kinds: set[str]) -> Insert | None:
    return "vocal_tic" if "vocal_tic" in kinds else "non_directed" if "non_directed" in kinds else None


def _in_silence(ticks: Sequence[PanelTick], users: Sequence[_Stretch], agents: Sequence[int], windows: Windows) -> Iterator[PanelEvent]:
    for run in users:
        kind = _insert(run.inserts)
        if kind and not ticks[run.start].agent:
            yield _unanswered(kind, run.start, run.end, agents, windows)


def _unanswered(kind: Insert, start: int, end: int, agents: Sequence[int], windows: Windows) -> PanelEvent:
    answer = next((at for at in agents if start <= at <= end + windows.ticks(windows.unanswered_s)), None)
    return PanelEvent(kind, answer is None, start, end if answer is None else answer + 1)


def _out_of_turn(ticks: Sequence[PanelTick], agents: Sequence[_Stretch], windows: Windows) -> Iterator[PanelEvent]:
    starts = [run.start for run in agents]
    for kind, start, end in _loose_inserts(ticks):
        speaking = next((run for run in agents if run.start <= start < run.end), None)
        if speaking is None:
            yield _unanswered(kind, start, end, starts, windows)
        elif (speaking.end - start) * windows.tick_s <= windows.passed_over_s:
            yield PanelEvent(kind, False, start, speaking.end)


def _loose_inserts(ticks: Sequence[PanelTick]) -> list[tuple[Insert, int, int]]:
    """Inserts outside user segments as (kind, start, end): an insert of one kind and text lasts as long as its ticks follow each other."""
    found: list[list[int]] = []
    what: list[tuple[Insert, str]] = []
    before: dict[tuple[Insert, str], int] = {}
    for at, tick in enumerate(ticks):
        now: dict[tuple[Insert, str], int] = {}
        for insert in () if tick.user else tick.inserts:
            now[insert] = before.get(insert, len(found))
            if now[insert] == len(found):
                found.append([at, at + 1])
                what.append(insert)
            found[now[insert]][1] = at + 1
        before = now
    return [(kind, start, end) for (kind, _), (start, end) in zip(what, found, strict=True)]
