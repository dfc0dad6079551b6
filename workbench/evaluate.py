"""Plays an agent through many scenarios at once and says how well it did."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from workbench.conditions import AS_DRAWN, Condition
from workbench.costs import UNLIMITED, Allowed
from workbench.errors import InputError
from workbench.playing import Job, Plan, Trained, play, users
from workbench.scenarios import FAMILIES, Recorded, VoicePicker
from workbench.scenarios.world import USER_WORDS
from workbench.scoring.false_starts import KINDS, false_starts
from workbench.scoring.heard import WordErrors, heard_words
from workbench.scoring.interaction import outcomes
from workbench.scoring.measured import Measured
from workbench.scoring.reading import words_from
from workbench.scoring.resample import Resample, count_interval
from workbench.scoring.score import Outcome
from workbench.scoring.summary import summarise
from workbench.session import Participant
from workbench.speech import pick_voice, speaker
from workbench.store import as_kept, save_trace
from workbench.suites import INTERACTION, Gathered, Suite, suite
from workbench.trace import Trace
from workbench.users import SpeakerOf
from workbench.version import VERSION

if TYPE_CHECKING:
    from rich.console import RenderableType

Progress: TypeAlias = Callable[[int, int], None]


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

    @property
    def job(self) -> Job:
        """What it was an episode of: family and seed."""
        return self.family, self.seed

    @property
    def failed(self) -> bool:
        """Whether anything that was expected was not met."""
        return not all(outcome.both for outcome in self.outcomes)


@dataclass(frozen=True)
class Report:
    """The result of an evaluation: every episode, the tables made of them, and one trace a family to look at.

    An example is the first episode of its family in which something went wrong, or the first of all where nothing did. `suites` has the
    scores of every other suite that was asked for, by its name, over the families that it plays.
    """

    agent: str
    plan: Plan
    episodes: tuple[Episode, ...] = field(repr=False)
    config: Mapping[str, Any] = field(default_factory=dict)
    examples: Mapping[str, Trace] = field(default_factory=dict, repr=False)
    suites: Mapping[str, Sequence[Measured]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object: families, mean_both, rates, latencies with the events they run between, heard words, false starts.

        `restraint` is the share of episodes without a single false start. Every share, median and count has its 95 % interval over
        sessions (`ci95`, `workbench.scoring.resample`).
        """
        by_family = {name: [e for e in self.episodes if e.family == name] for name in self.plan.families}
        return {
            "suite": INTERACTION,
            "agent": self.agent,
            "voices": self.plan.voices,
            "seed": self.plan.seed,
            "episodes": len(self.episodes),
            **summarise({name: [e.outcomes for e in some] for name, some in by_family.items()}),
            **_unasked_and_heard(by_family),
            "config": {
                "count": self.plan.count,
                "difficulty": self.plan.difficulty,
                "condition": str(self.plan.condition),
                "bystanders": self.plan.bystanders or "voices of the set",
                "judging": {"revision": f"microturn {VERSION}", "source": words_from(), "windows": "published with each family"},
                **({"limits": limits} if (limits := self.plan.allowed.limited) else {}),
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


def _unasked_and_heard(by_family: Mapping[str, Sequence[Episode]]) -> dict[str, Any]:
    """What concerns whole sessions: heard words, words that nobody asked for by kind, and the share of sessions without any."""
    drawn = Resample({name: len(some) for name, some in by_family.items()})
    heard = sum((e.heard for some in by_family.values() for e in some), WordErrors())
    wrong = drawn.share({name: [(float(e.heard.errors), float(e.heard.words)) for e in some] for name, some in by_family.items()})
    held = drawn.share({name: [(float(not any(e.false_starts.values())), 1.0) for e in some] for name, some in by_family.items()})
    words = {kind: {name: [e.false_starts.get(kind, 0) for e in some] for name, some in by_family.items()} for kind in KINDS}
    starts = {kind: sum(map(sum, numbers.values())) for kind, numbers in words.items()}
    return {
        "heard_words": {
            "word_error_rate": heard.rate,
            "errors": heard.errors,
            "words": heard.words,
            "sessions": wrong.sessions,
            "ci95": list(wrong.interval),
        },
        "false_starts": starts,
        "false_starts_ci95": {kind: list(count_interval(starts[kind], drawn.total(numbers))) for kind, numbers in words.items()},
        "restraint": {"value": held.value, "n": held.n, "sessions": held.sessions, "ci95": list(held.interval)},
    }


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
    allowed: Allowed = UNLIMITED,
) -> Report:
    """The report of `count` episodes a family; `batch` sessions run in lockstep, together through a batched agent.

    Families are by default those that the suites play; the interaction suite plays those that the agent was trained on, or all for an agent
    that was not. What a suite says does not depend on the other suites, as it looks at its own families only.

    With `workers` of 2 or more, speech is synthesised in that many processes while sessions run. `progress(done, all)` is called after
    each episode. `keep` names a folder into which every trace is written. A session that has used up what is `allowed` ends there. Raises
    InputError for an unknown family or voice set.
    """
    others = other_suites(suites)
    names = tuple(families) if families else families_for(agent, suites)
    plan = Plan(
        families=names,
        voices=voices,
        count=count,
        seed=seed,
        difficulty=difficulty,
        condition=condition,
        bystanders=bystanders,
        allowed=allowed,
    )
    if batch < 1 or workers < 1:
        raise InputError(f"batch {batch} and workers {workers} must be at least 1")
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if taken := next((path for path in (keep / _kept_as(*job) for job in plan.jobs()) if path.exists()), None):
            raise InputError(f"{taken} exists, and a trace is never overwritten; give another folder to keep the sessions in")
    episodes: list[Episode] = []
    examples: dict[str, tuple[tuple[bool, int], Trace]] = {}
    order = {job: place for place, job in enumerate(plan.jobs())}
    for trace in play(agent, users(plan, plan.jobs(), workers, pick, speaker_of), batch, allowed):
        episode = score_episode(as_kept(trace), known_words(agent), others)
        episodes.append(episode)
        rank = (not episode.failed, order[episode.job])
        if episode.family not in examples or rank < examples[episode.family][0]:
            examples[episode.family] = (rank, trace)
        if keep is not None:
            save_trace(trace, keep / _kept_as(episode.family, episode.seed))
        if progress is not None:
            progress(len(episodes), len(order))
    config = {"agent": dict(agent.spec()), "batch": batch}
    kept = {name: trace for name, (_, trace) in examples.items()}
    return report_of(agent.name, plan, episodes, config, kept, suites)


def _kept_as(family: str, seed: int) -> str:
    return f"{family}-{seed}.sqlite"


def report_of(
    agent: str, plan: Plan, episodes: Sequence[Episode], config: Mapping[str, Any], examples: Mapping[str, Trace], suites: Sequence[str]
) -> Report:
    """The report of a plan's episodes, whatever order they come in. Raises InputError for a suite of which no family was played."""
    order = {job: place for place, job in enumerate(plan.jobs())}
    sorted_ = tuple(sorted(episodes, key=lambda e: order[e.job]))
    return Report(agent, plan, sorted_, config, examples, {other.name: _scored(other, sorted_) for other in other_suites(suites)})


def families_for(agent: Participant, suites: Sequence[str]) -> tuple[str, ...]:
    """The families that the suites play: first those that the agent was trained on, then the rest."""
    known = agent.families if isinstance(agent, Trained) else tuple(FAMILIES)
    wanted = {name for other in other_suites(suites) for name in other.families} | set(known if INTERACTION in suites else ())
    return tuple(name for name in dict.fromkeys((*known, *FAMILIES)) if name in wanted)


def known_words(agent: Participant) -> Sequence[str]:
    """The words of a user that an agent can name: those that it learned, or all there are."""
    return agent.user_words if isinstance(agent, Trained) else USER_WORDS


def other_suites(names: Sequence[str]) -> list[Suite]:
    """The suites of these names besides the interaction suite, which needs no gathering. Raises InputError for a name that is none."""
    return [suite(name) for name in names if name != INTERACTION]


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
