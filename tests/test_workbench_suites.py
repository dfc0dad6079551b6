"""Every suite judges traces and the benchmark's own files by one way, and the ends of the scale come out where they must."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.sample_session import stopped_count
from tests.scenario_fakes import Tones, one_voice, play_family
from tests.test_workbench_scoring import beat, expect, question, request, says, trace_of
from workbench.agents import OracleAgent, SilentAgent
from workbench.errors import InputError
from workbench.evaluate import Report, evaluate
from workbench.events import TruthWord
from workbench.exports.fdb_folder import write_sample
from workbench.scenarios import FAMILIES
from workbench.scenarios.world import counting
from workbench.scoring.fdb_scenarios import v1_samples, v15_sample
from workbench.scoring.measured import Measured
from workbench.session import Participant
from workbench.suites import SUITES, suite
from workbench.trace import Trace


def judged(agent: Participant, *suites: str, count: int = 1, **more: object) -> Report:
    return evaluate(agent, None, "train", count, 5, pick=one_voice, speaker_of=Tones, suites=suites, **more)  # type: ignore[arg-type]


def by_name(scores: object) -> dict[str, Measured]:
    return {one.name: one for one in scores}  # type: ignore[attr-defined]


def test_a_pause_a_question_and_an_interruption_are_samples_of_their_tasks() -> None:
    held = expect("silent", 1.0, 1.6, (0.1, 2.0), name="hold", tags="pause")
    paused = v1_samples(trace_of(held, *beat(1.0, "what", "is"), *says(("seven", 2.0))), "a")
    assert paused["pause_handling"].marks == ((1.6, 3.6),)
    assert [w.text for w in paused["pause_handling"].words] == ["seven"]
    asked = v1_samples(trace_of(*question(1.0), *says(("seven", 2.0), ("two", 6.5)), *question(6.0)), "b")
    assert asked["turn_taking"].marks == ((1.6, 2.6),)
    assert asked["turn_taking"].duration_s == 6.0
    assert [w.text for w in asked["turn_taking"].words] == ["seven"], "what follows the next question belongs to that"
    halt = expect("yield", 4.0, 4.3, (0.0, 0.8), name="y")
    into = v1_samples(trace_of(*request(9), halt, *question(4.0), *says(*((w, 2.0 + i * 0.6) for i, w in enumerate(counting(4))))), "c")
    assert set(into) == {"user_interruption"}
    assert into["user_interruption"].marks == ((4.0, 4.6),)
    assert into["user_interruption"].user_voice[0][0] == 1.0, "where people speak is known from the truth"


@pytest.mark.parametrize(
    ("events", "scenario", "event"),
    [
        (beat(4.0, "mhm"), "user_backchannel", (4.0, 4.3)),
        (beat(4.0, "we", "need", "eggs"), "talking_to_other", (4.0, 4.9)),
        (question(4.0), "user_interruption", (4.0, 4.6)),
        ([TruthWord(word="stop", start_s=4.0, end_s=4.4, speaker="bystander")], "background_speech", (4.0, 4.4)),
        ([*beat(4.0, "mhm"), *beat(6.0, "mhm")], "user_backchannel", (4.0, 4.3)),
    ],
)
def test_who_speaks_into_a_count_and_what_for_says_which_scenario_it_is(events: list, scenario: str, event: tuple) -> None:
    found = v15_sample(trace_of(*request(6), *events, *says(("one", 2.0))), "1")
    assert found is not None
    assert (found[0], found[1].mark()) == (scenario, pytest.approx(event))


def test_noise_and_a_quiet_session_are_no_event() -> None:
    noise = TruthWord(word="(noise)", start_s=4.0, end_s=4.4, speaker="bystander")
    assert v15_sample(trace_of(*request(6), noise, *says(("one", 2.0))), "1") is None
    assert v15_sample(trace_of(*question(1.0)), "1") is None


def test_the_oracle_and_the_silent_agent_stand_at_the_ends_of_every_suite() -> None:
    best, worst = (judged(agent, *SUITES, count=3) for agent in (OracleAgent(), SilentAgent()))
    assert set(best.plan.families) == {name for one in SUITES.values() for name in one.families}
    top, low = by_name(best.suites["fdb-v1"]), by_name(worst.suites["fdb-v1"])
    assert top["scenario turn-taking, take-over rate (clean)"].value == 0, "one short word is no turn by the benchmark's rule"
    assert top["scenario pause handling, take-over rate (clean)"].value == 0
    assert low["scenario back-channel, frequency (compatible)"].value == 0
    assert top["scenario back-channel, frequency (compatible)"].value > 0
    top, low = by_name(best.suites["fdb-v1.5"]), by_name(worst.suites["fdb-v1.5"])
    assert top["v1.5 average"].value == 100.0
    assert low["v1.5 average"].value == 0.0
    assert top["user_interruption, stop latency (clean)"].value < 1.5
    top, low = by_name(best.suites["tau-voice"]), by_name(worst.suites["tau-voice"])
    assert top["R_Y"].value >= 0.85, "who answers within a third of a second of falling silent has not been silent by this panel"
    assert low["R_Y"].n == 0
    assert top["S_BC"].value == 1.0
    assert 0.2 <= by_name(best.suites["latency"])["reply, 50% quantile"].value <= 0.5


def test_a_suite_says_the_same_whatever_else_is_asked_and_however_it_is_batched() -> None:
    alone = judged(OracleAgent(), "tau-voice", count=2, batch=1)
    beside = judged(OracleAgent(), "interaction", "fdb-v1", "tau-voice", count=2, batch=9)
    assert set(beside.plan.families) == set(FAMILIES)
    assert json.dumps(alone.to_json()["suites"]["tau-voice"]) == json.dumps(beside.to_json()["suites"]["tau-voice"])


def test_every_score_carries_its_interval_its_count_and_its_setup() -> None:
    for name, found in judged(OracleAgent(), *SUITES, count=2).suites.items():
        for one in found:
            assert one.setup, (name, one.name)
            assert one.setup["revision"], (name, one.name, "of the rules by which it is judged")
            assert one.n == 0 or one.setup.get("source") or one.setup.get("labels by"), (name, one.name, "how words and voice were found")
            assert one.n == 0 or one.interval is not None, (name, one.name)
            assert one.n == 0 or {"seed", "over"} <= set(dict(one.setup["bootstrap"])), (name, one.name)
            assert len(one.evidence) == len(one.moments), (name, one.name)
            assert math.isnan(one.value) or one.sessions > 0
            assert json.loads(json.dumps(one.to_json()))["name"] == one.name


def test_what_is_made_of_many_cases_shows_where_to_look_as_well() -> None:
    found = judged(OracleAgent(), "mtr", "background").suites
    often = [one for one in found["mtr"] if "frequency" in one.name and one.n]
    costs = [one for one in found["background"] if "per solved task" in one.name and one.n]
    assert len(often) > 3
    assert len(costs) > 3
    assert all(len(one.moments) >= one.n for one in often)
    assert all(moment.end_s > 5 for one in costs for moment in one.moments), "a cost is of the whole session"


def test_no_share_of_a_suite_is_certain_where_every_session_is_alike() -> None:
    without = ("frequency", "latency", "MAE", "BLEU", "per solved task", "back-channels", "distance")  # times and what has no best
    found = [one for agent in (OracleAgent(), SilentAgent()) for of in judged(agent, *SUITES).suites.values() for one in of]
    shares = [one for one in found if one.interval is not None and not any(word in one.name for word in without)]
    ends = [one for one in shares if one.value in (0.0, 1.0, 100.0) and not one.unit]
    assert len(ends) > 40
    for one in ends:
        low, high = one.interval or (0.0, 0.0)
        assert low <= one.value <= high
        assert high - low > 0.1, (one.name, "a few sessions that are all alike leave room for others")


@pytest.mark.parametrize("name", ["fdb-v1", "tau-voice", "turnbench", "vap"])
def test_scores_of_sound_say_how_it_was_found(name: str) -> None:
    (told,) = {json.dumps(one.setup["source"]) for one in judged(OracleAgent(), name, count=1).suites[name]}
    assert "the agent's sound above a peak of 0.001, gaps under 0.05 s bridged; people: true words" in told


def test_the_average_of_fewer_tasks_is_not_given_and_says_so() -> None:
    trace = trace_of(*request(6), *beat(4.0, "mhm"), *says(*((w, 2.0 + i) for i, w in enumerate(counting(6)))))
    one = suite("fdb-v1.5")
    found = by_name(one.score({"1": one.gather(trace, "1")}))
    assert math.isnan(found["v1.5 average"].value)
    assert "no labels for user_interruption, talking_to_other, background_speech" in found["v1.5 average"].explanation


def test_folders_of_the_benchmark_are_judged_as_they_are(tmp_path: Path) -> None:
    trace = stopped_count()
    write_sample(trace, tmp_path, "synthetic_pause_handling", "1", [(0.95, 0.97)])
    write_sample(trace, tmp_path, "candor_pause_handling", "1", [(0.95, 0.97)])
    found = by_name(suite("fdb-v1").score(suite("fdb-v1").folder(tmp_path) or {}))
    assert found["synthetic pause handling, take-over rate (compatible)"].value == 1.0
    assert found["candor pause handling, take-over rate (clean)"].setup["subset"] == "candor_pause_handling"
    judge = write_sample(trace, tmp_path, "user_interruption", "7", [(4.3, 4.62)], ["count", "stop"])
    (judge / "content_tag.json").write_text('{"behaviour": ["C_RESPOND"]}')
    write_sample(trace, tmp_path, "user_interruption", "8", [(4.3, 4.62)], ["count", "stop"])
    found = by_name(suite("fdb-v1.5").score(suite("fdb-v1.5").folder(tmp_path) or {}))
    assert (found["user_interruption, C_RESPOND"].value, found["user_interruption, C_RESPOND"].n) == (1.0, 1)
    assert found["user_interruption, C_RESPOND"].setup["labels by"] == ["judge (content_tag.json)"]
    assert found["user_interruption, stop latency (clean)"].n == 2
    assert suite("fdb-v1").folder(tmp_path / "nothing") is None


@pytest.mark.parametrize("text", ['{"behaviour": "C_RESPOND"}', '{"behaviour": []}', "[]", "{"])
def test_a_broken_label_is_refused(tmp_path: Path, text: str) -> None:
    folder = write_sample(stopped_count(), tmp_path, "user_interruption", "7", [(4.3, 4.62)])
    (folder / "content_tag.json").write_text(text)
    with pytest.raises(InputError, match=r"content_tag\.json"):
        suite("fdb-v1.5").folder(tmp_path)


def test_an_unknown_suite_and_families_that_it_does_not_play_are_refused() -> None:
    with pytest.raises(InputError, match=r"no suite called 'chess'; there are interaction, fdb-v1, fdb-v1\.5, tau-voice, latency"):
        suite("chess")
    with pytest.raises(InputError, match=r"suite 'fdb-v1' plays think_pause, .* none of them was asked for"):
        evaluate(SilentAgent(), ["timer"], "train", 1, 5, pick=one_voice, speaker_of=Tones, suites=["fdb-v1"])


def test_traces_of_other_clocks_are_not_put_in_one_panel() -> None:
    with pytest.raises(InputError, match=r"ticks of 0\.1 s, 0\.2 s in one panel"):
        suite("tau-voice").score({"a": (0.1, (), "ours"), "b": (0.2, (), "ours")})


def test_a_played_family_gives_the_sample_it_stands_for() -> None:
    traces: dict[str, Trace] = {name: play_family(name, 3) for name in ("think_pause", "answer", "new_question", "listener")}
    tasks = [set(v1_samples(trace, name)) for name, trace in traces.items()]
    assert tasks == [{"pause_handling"}, {"turn_taking"}, {"user_interruption"}, {"backchannel"}]
