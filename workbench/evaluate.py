"""Plays an agent through many scenarios at once and says how well it did."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from workbench.cast import Cast
from workbench.clock import ClockSpec
from workbench.conditions import AS_DRAWN, Condition
from workbench.errors import InputError
from workbench.scenarios import FAMILIES, Recorded, VoicePicker, build, family
from workbench.scenarios.world import USER_WORDS
from workbench.scoring.false_starts import KINDS, false_starts
from workbench.scoring.heard import WordErrors, heard_words
from workbench.scoring.interaction import outcomes
from workbench.scoring.measured import Measured
from workbench.scoring.score import Outcome, wilson
from workbench.scoring.summary import summarise
from workbench.session import Participant, Session, advance
from workbench.speech import pick_voice, speaker
from workbench.store import save_trace
from workbench.suites import INTERACTION, Gathered, Suite, suite
from workbench.trace import Trace, record
from workbench.users import ScriptedUser, SpeakerOf

if TYPE_CHECKING:
    from rich.console import RenderableType

Progress: TypeAlias = Callable[[int, int], None]


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

    `bystanders` names the part of people's recorded sentences and meetings that half of the bystanders are taken from.
    """

    families: tuple[str, ...]
    voices: str
    count: int
    seed: int
    difficulty: float = 0.5
    condition: Condition = AS_DRAWN
    bystanders: Recorded | None = None

    def __post_init__(self) -> None:
        for name in self.families:
            family(name)
        if self.count < 1:
            raise InputError(f"count {self.count} must be at least 1 episode a family")

    def jobs(self) -> list[tuple[str, int]]:
        """Family and seed of every episode, families interleaved so that a batch holds all kinds."""
        return [(name, self.seed + i) for i in range(self.count) for name in self.families]


@dataclass(frozen=True)
class Episode:
    """What is kept of one episode once its audio is gone."""

    family: str
    seed: int
    ticks: int
    outcomes: tuple[Outcome, ...]
    heard: WordErrors
    false_starts: Mapping[str, int]
    voice: str = ""
    gathered: Mapping[str, Gathered] = field(default_factory=dict)  # by suite: what it needs of this session


@dataclass(frozen=True)
class Report:
    """The result of an evaluation: every episode, the tables made of them, and one trace a family to look at.

    An example is the first episode of its family in which something went wrong, or the first of all where nothing did. `suites` has the
    scores of every other suite that was asked for, by its name, over the families that it plays.
    """

    agent: str
    plan: Plan
    episodes: tuple[Episode, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    examples: Mapping[str, Trace] = field(default_factory=dict)
    suites: Mapping[str, Sequence[Measured]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object: families, mean_both, rates, latencies with the events they run between, heard words, false starts.

        `restraint` is the share of episodes without a single false start.
        """
        by_family = {name: [o for e in self.episodes if e.family == name for o in e.outcomes] for name in self.plan.families}
        starts: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        for episode in self.episodes:
            starts.update(episode.false_starts)
        heard = sum((e.heard for e in self.episodes), WordErrors())
        held = sum(not any(e.false_starts.values()) for e in self.episodes)
        return {
            "suite": INTERACTION,
            "agent": self.agent,
            "voices": self.plan.voices,
            "seed": self.plan.seed,
            "episodes": len(self.episodes),
            **summarise(by_family),
            "heard_words": {"word_error_rate": heard.rate, "errors": heard.errors, "words": heard.words},
            "false_starts": dict(starts),
            "restraint": {"value": held / len(self.episodes), "n": len(self.episodes), "ci95": list(wilson(held, len(self.episodes)))},
            "config": {
                "count": self.plan.count,
                "difficulty": self.plan.difficulty,
                "condition": str(self.plan.condition),
                "bystanders": self.plan.bystanders or "voices of the set",
                **self.config,
            },
            "suites": {name: [score.to_json() for score in found] for name, found in self.suites.items()},
        }

    def summary(self) -> dict[str, float]:
        """The report as flat numbers, for a training log: mean_both, every rate, latency medians and the word error rate."""
        whole = self.to_json()
        flat = {"mean_both": float(whole["mean_both"])}
        flat |= {name: float(rate["value"]) for name, rate in whole["rates"].items()}
        flat |= {f"{name} median s": float(found["median"]) for name, found in whole["latency_s"].items()}
        if whole["heard_words"]["word_error_rate"] is not None:
            flat["word error rate"] = float(whole["heard_words"]["word_error_rate"])
        return flat

    def table(self) -> RenderableType:
        """The report as tables for a terminal."""
        from workbench.tables import evaluation_tables  # here, because importing rich draws random numbers

        return evaluation_tables(self.to_json())

    def write(self, path: Path) -> None:
        """Write the JSON object to a file."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")


def evaluate(
    agent: Participant,
    families: Sequence[str] | None = None,
    voices: str = "unseen",
    count: int = 100,
    seed: int = 1_000_000,
    *,
    difficulty: float = 0.5,
    condition: Condition = AS_DRAWN,
    bystanders: Recorded | None = None,
    batch: int = 32,
    workers: int = 1,
    progress: Progress | None = None,
    keep: Path | None = None,
    pick: VoicePicker = pick_voice,
    speaker_of: SpeakerOf = speaker,
    suites: Sequence[str] = (INTERACTION,),
) -> Report:
    """The report of `count` episodes a family; `batch` sessions run in lockstep, together through a batched agent.

    Families are by default those that the suites play; the interaction suite plays those that the agent was trained on, or all for an agent
    that was not. What a suite says does not depend on the other suites, as it looks at its own families only.

    With `workers` of 2 or more, speech is synthesised in that many processes while sessions run. `progress(done, all)` is called after
    each episode. `keep` names a folder into which every trace is written. Raises InputError for an unknown family or voice set.
    """
    others = [suite(name) for name in suites if name != INTERACTION]
    names = tuple(families) if families else _played(agent, others, INTERACTION in suites)
    plan = Plan(families=names, voices=voices, count=count, seed=seed, difficulty=difficulty, condition=condition, bystanders=bystanders)
    if batch < 1 or workers < 1:
        raise InputError(f"batch {batch} and workers {workers} must be at least 1")
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    episodes: list[Episode] = []
    examples: dict[str, tuple[tuple[bool, int], Trace]] = {}
    order = {job: place for place, job in enumerate(plan.jobs())}
    for trace in _traces(Cast(agent), _users(plan, workers, pick, speaker_of), batch):
        episode = score_episode(trace, agent.user_words if isinstance(agent, Trained) else USER_WORDS, others)
        episodes.append(episode)
        rank = (all(o.both for o in episode.outcomes), order[(episode.family, episode.seed)])
        if episode.family not in examples or rank < examples[episode.family][0]:
            examples[episode.family] = (rank, trace)
        if keep is not None:
            save_trace(trace, keep / f"{episode.family}-{episode.seed}.sqlite")
        if progress is not None:
            progress(len(episodes), len(order))
    episodes.sort(key=lambda e: order[(e.family, e.seed)])
    config = {"agent": dict(agent.spec()), "batch": batch}
    kept = {name: trace for name, (_, trace) in examples.items()}
    return Report(agent.name, plan, tuple(episodes), config, kept, {other.name: _scored(other, episodes) for other in others})


def _played(agent: Participant, others: Sequence[Suite], interaction: bool) -> tuple[str, ...]:
    """The families that the suites play: first those that the agent was trained on, then the rest."""
    known = agent.families if isinstance(agent, Trained) else tuple(FAMILIES)
    wanted = {name for other in others for name in other.families} | set(known if interaction else ())
    return tuple(name for name in dict.fromkeys((*known, *FAMILIES)) if name in wanted)


def _scored(other: Suite, episodes: Sequence[Episode]) -> list[Measured]:
    """The scores of a suite over the episodes of its families. Raises InputError when none of them was played."""
    sessions = {f"{e.family}-{e.seed}": e.gathered[other.name] for e in episodes if other.name in e.gathered}
    if not sessions:
        raise InputError(f"suite {other.name!r} plays {', '.join(other.families)}, and none of them was asked for; leave --families out")
    return other.score(sessions)


def score_episode(trace: Trace, words: Sequence[str] = USER_WORDS, suites: Sequence[Suite] = ()) -> Episode:
    """Everything the report needs of one trace; heard words are judged on `words` only."""
    labels = trace.header.labels
    family = str(labels.get("family", ""))
    return Episode(
        family,
        trace.header.seed,
        len(trace),
        tuple(outcomes(trace)),
        heard_words(trace, words),
        false_starts(trace),
        str(labels.get("voice", "")),
        {one.name: one.gather(trace, f"{family}-{trace.header.seed}") for one in suites if family in one.families},
    )


def _traces(cast: Cast, users: Iterator[ScriptedUser], batch: int) -> Iterator[Trace]:
    """Finished traces as they come; up to `batch` sessions run in lockstep and each that ends makes room for the next."""
    running: list[tuple[Session, Trace]] = []
    exhausted = False
    while True:
        while not exhausted and len(running) < batch:
            user = next(users, None)
            if user is None:
                exhausted = True
            else:
                running.append(_begin(cast, user))
        if not running:
            return
        advance([session for session, _ in running])
        finished = [trace for session, trace in running if session.done]
        running = [(session, trace) for session, trace in running if not session.done]
        yield from finished


def _begin(cast: Cast, user: ScriptedUser) -> tuple[Session, Trace]:
    clock = cast.agent.clock if isinstance(cast.agent, Clocked) else ClockSpec()
    session = Session.start(cast.of(user), clock=clock, seed=user.script.seed)
    return session, record(session, labels={"family": user.script.family, **user.script.labels})


def _users(plan: Plan, workers: int, pick: VoicePicker, speaker_of: SpeakerOf) -> Iterator[ScriptedUser]:
    """Every user of the plan in order, its speech ready; made ahead by worker processes when there are several."""
    if workers == 1:
        yield from (_user(name, seed, plan, pick, speaker_of) for name, seed in plan.jobs())
        return
    with ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        pool: Executor = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context))
        waiting: deque[Future[ScriptedUser]] = deque()
        jobs = iter(plan.jobs())
        while True:
            for name, seed in jobs:
                waiting.append(pool.submit(_user, name, seed, plan, pick, speaker_of))
                if len(waiting) >= 8 * workers:
                    break
            if not waiting:
                return
            yield waiting.popleft().result()


def _user(name: str, seed: int, plan: Plan, pick: VoicePicker, speaker_of: SpeakerOf) -> ScriptedUser:
    script = build(name, seed, plan.voices, plan.difficulty, pick=pick, recorded=plan.bystanders)
    return ScriptedUser(plan.condition.on(script), speaker_of=speaker_of).prepare()
