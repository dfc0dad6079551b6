"""Episodes of scenarios, played: what is to be played, the users of it, and an agent in many sessions at once."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from workbench.cast import Cast
from workbench.clock import ClockSpec
from workbench.conditions import AS_DRAWN, Condition
from workbench.costs import UNLIMITED, Allowed, Meter, Metered, ModelFlops, model_flops_of
from workbench.errors import InputError
from workbench.own_families import PREFIX, known
from workbench.scenarios import Recorded, VoicePicker, build, family
from workbench.session import Participant, Session, advance
from workbench.trace import Trace, record
from workbench.users import ScriptedUser, SpeakerOf

Job: TypeAlias = tuple[str, int]  # family and seed


@runtime_checkable
class Trained(Protocol):
    """An agent that learned: the families it was trained on, and the words of a user that it can name."""

    @property
    def families(self) -> tuple[str, ...]: ...
    @property
    def user_words(self) -> tuple[str, ...]: ...


@runtime_checkable
class Clocked(Protocol):
    """An agent that lives on one clock only."""

    @property
    def clock(self) -> ClockSpec: ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is evaluated: `count` episodes of each family with seeds from `seed` on, in the voices of one set, under one condition.

    `bystanders` names the part of people's recorded sentences and meetings that bystanders are taken from, as `build` says. A session
    that has used up what is `allowed` ends there. `own` has the files of the user's own families: a process that plays reads them.
    """

    families: tuple[str, ...]
    voices: str
    count: int
    seed: int
    difficulty: float = 0.5
    condition: Condition = AS_DRAWN
    bystanders: Recorded | None = None
    allowed: Allowed = UNLIMITED
    own: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in self.families:
            family(name)
        if self.count < 1:
            raise InputError(f"count {self.count} must be at least 1 episode a family")

    def jobs(self) -> list[Job]:
        """Family and seed of every episode, families interleaved so that a batch holds all kinds."""
        return [(name, self.seed + i) for i in range(self.count) for name in self.families]


@dataclass
class _Running:
    session: Session
    trace: Trace
    meter: Meter

    @property
    def over(self) -> bool:
        return self.session.done or self.meter.reached is not None


def play(agent: Participant, users: Iterator[ScriptedUser], batch: int, allowed: Allowed = UNLIMITED) -> Iterator[Trace]:
    """Finished traces as they come; up to `batch` sessions run in lockstep and each that ends makes room for the next."""
    cast, flops = Cast(agent), model_flops_of(agent)
    running: list[_Running] = []
    exhausted = False
    while True:
        while not exhausted and len(running) < batch:
            user = next(users, None)
            if user is None:
                exhausted = True
            else:
                running.append(_begin(cast, user, allowed, flops))
        if not running:
            return
        advance([one.session for one in running])
        finished = [one.trace for one in running if one.over]
        running = [one for one in running if not one.over]
        yield from finished


def _begin(cast: Cast, user: ScriptedUser, allowed: Allowed, flops: ModelFlops) -> _Running:
    clock = cast.agent.clock if isinstance(cast.agent, Clocked) else ClockSpec()
    session = Session.start(cast.of(user), clock=clock, seed=user.script.seed)
    trace = record(session, labels={"family": user.script.family, **user.script.labels, **flops.label})
    meter = Meter(clock, allowed, flops)
    if allowed.limited:
        session.sinks = (Metered(meter, session.sinks),)
    return _Running(session, trace, meter)


def users(plan: Plan, jobs: Sequence[Job], workers: int, pick: VoicePicker, speaker_of: SpeakerOf) -> Iterator[ScriptedUser]:
    """The users of these jobs of a plan in order, their speech ready; made ahead by worker processes when there are several."""
    if workers == 1:
        yield from (_user(name, seed, plan, pick, speaker_of) for name, seed in jobs)
        return
    with ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        pool: Executor = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context))
        waiting: deque[Future[ScriptedUser]] = deque()
        rest = iter(jobs)
        while True:
            for name, seed in rest:
                waiting.append(pool.submit(_user, name, seed, plan, pick, speaker_of))
                if len(waiting) >= 8 * workers:
                    break
            if not waiting:
                return
            yield waiting.popleft().result()


def _user(name: str, seed: int, plan: Plan, pick: VoicePicker, speaker_of: SpeakerOf) -> ScriptedUser:
    for file in plan.own:
        known(f"{PREFIX}{file}")
    script = build(name, seed, plan.voices, plan.difficulty, pick=pick, recorded=plan.bystanders)
    return ScriptedUser(plan.condition.on(script), speaker_of=speaker_of).prepare()
