"""The evaluation plays every episode, scores it the same whatever shares its batch, and reports it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.scenario_fakes import Tones, one_voice
from tests.workbench_fakes import assert_same_turn
from workbench.agents import OracleAgent, OracleState, ScriptedAgent, SilentAgent
from workbench.check import check_participant
from workbench.clock import Tick
from workbench.errors import InputError
from workbench.evaluate import Report, evaluate, score_episode
from workbench.packets import MicroTurn
from workbench.scenarios import FAMILIES, FIRST_FAMILIES, GROUPS
from workbench.scenarios.script import REPLY_DELAY_S
from workbench.scoring.interaction import outcomes
from workbench.scoring.score import wilson
from workbench.session import Participant, Said
from workbench.store import as_kept, read_trace, save_trace
from workbench.users import SilentUser

SOME = ("answer", "think_pause", "stop", "timer")


def judged(agent: Participant, families: Sequence[str] | None = SOME, **more: Any) -> Report:
    return evaluate(agent, families, "train", more.pop("count", 2), seed=5, pick=one_voice, speaker_of=Tones, **more)


@dataclass(frozen=True)
class Batched(OracleAgent):
    """The oracle, stepped for many sessions at once; remembers how many."""

    sizes: list[int] = field(default_factory=list)

    def step_many(self, states: Sequence[OracleState], ticks: Sequence[Tick], heard: Sequence[MicroTurn]) -> list[tuple[Said, OracleState]]:
        self.sizes.append(len(states))
        return [self.step(*row) for row in zip(states, ticks, heard, strict=True)]


def test_the_oracle_gets_everything_and_a_silent_agent_only_the_silences() -> None:
    best, worst = judged(OracleAgent(), None, count=1).to_json(), judged(SilentAgent(), FIRST_FAMILIES).to_json()
    assert set(best["families"]) == set(FAMILIES)
    assert best["mean_both"] == 1.0
    found = {group: (row["families"], row["mean_both"]) for group, row in best["groups"].items()}
    assert found == {group: (len(modules), 1.0) for group, modules in GROUPS.items()}
    assert best["groups"]["floor"]["ci95"] == pytest.approx(wilson(6, 6)), "one episode of each of six families"
    assert sum(best["false_starts"].values()) == 0
    assert worst["rates"]["replies within 1.0 s"]["value"] == 0.0
    assert worst["rates"]["silent through thinking pauses"]["value"] == 1.0
    assert worst["families"]["long_count"]["both"] == 0.0


@dataclass(frozen=True)
class Graduate(SilentAgent):
    """Learned two families and one word."""

    families: tuple[str, ...] = ("timer", "answer")
    user_words: tuple[str, ...] = ("plus",)


def test_an_agent_that_learned_is_judged_on_what_it_learned() -> None:
    whole = judged(Graduate(), None)
    assert whole.plan.families == ("timer", "answer")
    asked = sum(e.outcomes[0].what == "reply" for e in whole.episodes)
    assert asked == 2
    assert all(e.heard.words <= len(e.outcomes) for e in whole.episodes), "no word but plus counts as one that it could have named"
    assert judged(Graduate(), ["stop"]).plan.families == ("stop",)


def test_the_report_carries_what_was_promised_and_is_json() -> None:
    whole = json.loads(json.dumps(judged(OracleAgent()).to_json()))
    assert set(whole) >= {"suite", "agent", "voices", "seed", "families", "mean_both", "latency_s", "false_starts", "config"}
    assert set(whole["families"]["answer"]) >= {"n", "sessions", "meaning", "timing", "both", "ci95", "meaning_ci95", "timing_ci95"}
    assert set(whole["latency_s"]["yield"]) == {"median", "ci95", "p95", "p95_ci95", "n", "sessions", "from", "to", "people"}
    assert set(whole["false_starts_ci95"]) == set(whole["false_starts"])
    assert REPLY_DELAY_S <= whole["latency_s"]["reply"]["median"] <= REPLY_DELAY_S + 0.2
    assert whole["heard_words"]["word_error_rate"] is None  # the oracle keeps no transcript of the user


def test_the_result_does_not_depend_on_the_batch() -> None:
    one, many = judged(OracleAgent(), batch=1), judged(OracleAgent(), batch=7)
    assert one.episodes == many.episodes


def test_the_intervals_do_not_depend_on_the_order_of_the_sessions() -> None:
    report = judged(ScriptedAgent(((1, ("seven",)), (40, ("two",)))), count=6)
    assert replace(report, episodes=report.episodes[::-1]).to_json() == report.to_json()


def test_a_batched_agent_is_stepped_for_many_sessions_at_once() -> None:
    agent = Batched()
    report = judged(agent, families=["answer", "timer"], count=3, batch=4)
    assert report.to_json()["mean_both"] == 1.0
    assert max(agent.sizes) == 4


def test_worker_processes_give_the_same_report() -> None:
    alone = judged(OracleAgent(), families=["answer"], count=3)
    assert judged(OracleAgent(), families=["answer"], count=3, workers=2).episodes == alone.episodes


def test_progress_is_told_after_every_episode_and_traces_are_kept(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    report = judged(OracleAgent(), families=["answer", "stop"], count=2, progress=lambda *at: told.append(at), keep=tmp_path / "kept")
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    kept = read_trace(tmp_path / "kept" / "stop-6.sqlite")
    assert kept.header.labels["family"] == "stop"
    with pytest.raises(InputError, match=r"stop-5\.sqlite exists, and a trace is never overwritten; give another folder"):
        judged(OracleAgent(), families=["stop", "timer"], count=2, progress=lambda *at: told.append(at), keep=tmp_path / "kept")
    assert len(told) == 4, "before anything was played"
    assert not list((tmp_path / "kept").glob("timer*"))
    assert len(repr(report)) < 2_000, "a report that is looked at in a notebook is not all of its sessions"
    episode = next(e for e in report.episodes if (e.family, e.seed) == ("stop", 6))
    assert [o.both for o in outcomes(kept)] == [o.both for o in episode.outcomes]


def test_an_episode_is_judged_as_its_file_holds_it(tmp_path: Path) -> None:
    report = judged(OracleAgent(), families=["answer", "stop"], count=1, keep=tmp_path)
    assert tuple(score_episode(read_trace(tmp_path / f"{e.family}-{e.seed}.sqlite")) for e in report.episodes) == report.episodes
    trace = report.examples["stop"]
    again = read_trace(save_trace(trace, tmp_path / "again.sqlite"))
    for mine, read in zip(as_kept(trace).turns, again.turns, strict=True):
        assert_same_turn(mine, read)


def test_the_tables_show_every_family_and_the_file_holds_the_object(tmp_path: Path) -> None:
    report = judged(OracleAgent())
    console = Console(width=160, file=io.StringIO())
    with console.capture() as capture:
        console.print(report.table())
    text = capture.get()
    for name in (*SOME, "interruption", "sum right, plain", "end of the word stop", "95 % interval"):
        assert name in text
    report.write(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(report.to_json()))


def test_the_summary_is_flat_numbers_for_a_log() -> None:
    summary = judged(OracleAgent()).summary()
    assert summary["mean_both"] == 1.0
    assert summary["timer within 0.25 s"] == 1.0
    assert all(isinstance(value, float) for value in summary.values())


def test_values_that_cannot_be_evaluated_are_refused() -> None:
    with pytest.raises(InputError, match="no scenario family 'chess'; there are answer"):
        judged(OracleAgent(), families=["chess"])
    with pytest.raises(InputError, match="count 0 must be at least 1 episode a family"):
        judged(OracleAgent(), count=0)
    with pytest.raises(InputError, match="batch 0 and workers 1 must be at least 1"):
        judged(OracleAgent(), batch=0)


@pytest.mark.parametrize("participant", [OracleAgent(), SilentAgent(), SilentUser()], ids=lambda p: type(p).__name__)
def test_our_own_participants_keep_the_rules(participant: Participant) -> None:
    assert check_participant(participant).problems == ()


def test_an_example_of_every_family_is_the_first_failure_or_else_the_first_episode() -> None:
    best, worst = judged(OracleAgent(), count=3), judged(SilentAgent(), count=3, batch=2)
    assert {name: trace.header.seed for name, trace in best.examples.items()} == dict.fromkeys(SOME, 5)
    for name, trace in worst.examples.items():
        failed = [e.seed for e in worst.episodes if e.family == name and not all(o.both for o in e.outcomes)]
        assert trace.header.seed == min(failed, default=5)


def test_restraint_is_the_share_of_episodes_without_a_word_that_nobody_asked_for() -> None:
    chatty = ScriptedAgent(((1, ("seven",)),))
    assert judged(SilentAgent()).to_json()["restraint"]["value"] == 1.0
    restraint = judged(chatty, families=["answer"], count=3).to_json()["restraint"]
    assert (restraint["value"], restraint["n"], restraint["sessions"]) == (0.0, 3, 3)
    assert restraint["ci95"] == pytest.approx(wilson(0, 3))
