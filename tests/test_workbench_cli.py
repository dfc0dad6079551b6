"""The command line: what it writes and prints, and that every mistake ends in one line with value, rule and fix."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pyarrow import parquet

from workbench import commands_evaluate
from workbench.agents import SilentAgent
from workbench.cli import main
from workbench.clock import StopWatch
from workbench.commands_common import estimate, long_progress
from workbench.events import ModelYielded, PayloadErased
from workbench.events_rules import LimitReached
from workbench.exports import EXPORTS, files_of
from workbench.packets import AGENT_AUDIO, USER_AUDIO
from workbench.store import Keep, read_trace, save_trace, verify
from workbench.trace import Trace

FILES = ["input.wav", "output.json", "output.wav", "timeline.html", "trace.sqlite"]


def microturn(*arguments: object) -> int:
    """Run a command line in this process; its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def stop_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the stop scenario with the oracle; not to be changed."""
    out = tmp_path_factory.mktemp("cli") / "stop"
    assert microturn("run", "--scenario", "stop", "--seed", 7, "--agent", "oracle", "--out", out) == 0
    return out


@pytest.fixture
def stop_copy(stop_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stop_run, tmp_path / "stop"))


def write_stereo_tone(path: Path, rate: int = 44_100, seconds: float = 1.0) -> None:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    soundfile.write(path, np.stack([wave, wave], axis=1), rate, subtype="PCM_24")


def test_run_writes_both_sides_on_one_clock_and_a_timeline(stop_run: Path) -> None:
    assert sorted(path.name for path in stop_run.iterdir()) == FILES
    trace = read_trace(stop_run / "trace.sqlite")
    assert verify(stop_run / "trace.sqlite").ok
    heard, rate = soundfile.read(stop_run / "input.wav", dtype="float32")
    said, _ = soundfile.read(stop_run / "output.wav", dtype="float32")
    assert rate == 16_000
    assert len(heard) == len(said) == len(trace) * 3200
    assert np.abs(heard - trace.audio(USER_AUDIO)).max() < 1e-4
    words = json.loads((stop_run / "output.json").read_text())
    assert words["text"].startswith("one two three")
    assert [chunk["text"] for chunk in words["chunks"]] == words["text"].split()
    assert "<html" in (stop_run / "timeline.html").read_text()[:500].lower()
    assert trace.header.labels["family"] == "stop"


def test_run_prints_what_was_said_when_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert microturn("run", "--scenario", "stop", "--seed", 7, "--agent", "oracle", "--out", tmp_path / "a") == 0
    printed = capsys.readouterr().out
    assert "please count to twelve" in printed
    assert "p(speak) 1.00 reached its threshold 0.50" in printed
    assert "the user took the floor, p(yield) 1.00" in printed
    assert "✓ yield" in printed
    assert str(tmp_path / "a" / "timeline.html") in printed


def test_run_takes_a_recording_of_any_rate_and_channels(tmp_path: Path) -> None:
    write_stereo_tone(tmp_path / "tone.wav")
    assert microturn("run", "--user", tmp_path / "tone.wav", "--agent", "echo", "--out", tmp_path / "out") == 0
    trace = read_trace(tmp_path / "out" / "trace.sqlite")
    heard = trace.audio(USER_AUDIO)
    assert trace.duration_s == pytest.approx(4.0)
    assert np.sqrt(np.mean(heard[:16_000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.02)
    assert np.array_equal(trace.audio(AGENT_AUDIO)[3200:], heard[:-3200]), "an echo says what was heard one tick later"
    assert trace.header.labels == {"recording": "tone.wav"}


def test_run_keeps_of_a_stream_only_what_was_agreed(tmp_path: Path) -> None:
    write_stereo_tone(tmp_path / "tone.wav")
    arguments = ("run", "--user", tmp_path / "tone.wav", "--agent", "echo", "--out", tmp_path / "out")
    assert microturn(*arguments, "--keep", "user.audio=none", "--keep", "agent.audio=features") == 0
    trace = read_trace(tmp_path / "out" / "trace.sqlite")
    assert [p for turn in trace.turns for p in turn.packets] == []
    assert trace.header.consent == {"retention": {"user.audio": "none", "agent.audio": "features"}}
    heard, _ = soundfile.read(tmp_path / "out" / "input.wav")
    assert not heard.any()


@pytest.mark.parametrize("again", [("replay",), ("fork", "--at", "3.6s", "--mute-user", "1.2s")], ids=lambda again: again[0])
def test_a_copy_is_as_old_as_its_session_and_keeps_no_more_of_it(
    stop_run: Path, tmp_path: Path, again: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    retention = {AGENT_AUDIO: "none", USER_AUDIO: "features"}
    whole = read_trace(stop_run / "trace.sqlite")
    old = replace(whole.header, consent={"retention": retention}, created="2026-01-02T03:04:05+00:00")
    kept = save_trace(Trace(old, whole.turns), tmp_path / "kept.sqlite", keep={AGENT_AUDIO: Keep("none"), USER_AUDIO: Keep("features")})
    command, *options = again
    assert microturn(command, kept, *options, "--out", tmp_path / "copy") == 0
    copy = read_trace(tmp_path / "copy" / "trace.sqlite")
    assert (copy.header.consent, copy.header.created) == (old.consent, old.created)
    assert copy.not_kept == retention
    assert not {packet.stream for turn in copy.turns for packet in turn.packets} & set(retention)
    for name in ("input.wav", "output.wav"):
        sound, _ = soundfile.read(tmp_path / "copy" / name)
        assert not sound.any()
    assert "input.wav and the timeline are silent on the user's side" in capsys.readouterr().err


def test_run_ends_politely_at_its_limit_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", "--scenario", "look_up", "--seed", 3, "--agent", "oracle", "--limit", "background-seconds=0.6")
    assert microturn(*arguments, "--out", tmp_path / "a") == 0
    trace = read_trace(tmp_path / "a" / "trace.sqlite")
    [(tick, reached)] = list(trace.events(LimitReached))
    assert (reached.limit, tick) == ("background-seconds", len(trace) - 1)
    assert 0.6 <= reached.used < 0.9
    told = capsys.readouterr().err
    assert f"ended at {reached.at_s:.1f} s: this session has used its 0.6 seconds of background work" in told
    assert verify(tmp_path / "a" / "trace.sqlite").ok


def test_run_does_not_write_over_a_run_unless_told(stop_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", "--scenario", "answer", "--agent", "silent", "--out", stop_copy)
    assert microturn(*arguments) == 2
    assert "trace.sqlite exists; give another --out, or --overwrite" in capsys.readouterr().err
    assert read_trace(stop_copy / "trace.sqlite").header.labels["family"] == "stop"
    assert microturn(*arguments, "--overwrite") == 0
    assert read_trace(stop_copy / "trace.sqlite").header.labels["family"] == "answer"


def test_replay_says_the_same_with_code_0_and_a_difference_with_code_1(
    stop_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert microturn("replay", stop_run) == 0
    assert f"the same in all {len(read_trace(stop_run / 'trace.sqlite'))} ticks" in capsys.readouterr().out
    assert microturn("fork", stop_run, "--at", "3.6s", "--mute-user", "1.2s", "--out", tmp_path / "f") == 0
    capsys.readouterr()
    assert microturn("replay", tmp_path / "f") == 1
    assert "differs from 3.6 s on: tick 18" in capsys.readouterr().out


def test_fork_lets_the_agent_count_on_when_stop_was_never_said(stop_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert microturn("fork", stop_run, "--at", "3.6s", "--mute-user", "1.2s", "--out", tmp_path / "f") == 0
    printed = capsys.readouterr().out
    assert printed.index("as it was, from 3.6 s") < printed.index("what if, from 3.6 s")
    assert json.loads((tmp_path / "f" / "output.json").read_text())["text"].endswith("ten eleven twelve")
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == FILES


def test_inspect_explains_in_words_and_as_json(stop_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert microturn("inspect", stop_run) == 0
    printed = capsys.readouterr().out
    assert "please count to twelve" in printed
    assert "hash chain" in printed
    assert re.search(r"^cost: \d+ positions, FLOPs not known, .* calls of tools; [\d.]+ MB kept$", printed, re.MULTILINE)
    _, gave_way = next(read_trace(stop_run / "trace.sqlite").events(ModelYielded))
    assert microturn("inspect", stop_run / "trace.sqlite", "--why", f"{gave_way.at_s:.1f}s") == 0
    assert capsys.readouterr().out.startswith(f"At {gave_way.at_s:.1f} s the agent gave up the floor")
    assert microturn("inspect", stop_run, "--why", f"{gave_way.at_s:.1f}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "yielded"
    assert microturn("inspect", stop_run, "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["chain"]["ok"]
    assert whole["header"]["labels"]["family"] == "stop"
    assert whole["cost"]["flops"] is None
    assert whole["cost"]["kept_bytes"] == (stop_run / "trace.sqlite").stat().st_size
    assert [row["who"] for row in whole["said"]][:2] == ["user", "agent"]


def test_erase_takes_a_stretch_out_and_names_files_that_may_hold_the_same(stop_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("erase", stop_copy, "--stream", "user.audio", "--who", "Ada", "--why", "asked", "--from", "1s", "--to", "2s")
    assert microturn(*arguments) == 0
    printed = capsys.readouterr()
    assert "user.audio in ticks 5 to 9" in printed.out
    assert ": ok (" in printed.out
    assert "input.wav, output.wav, output.json, timeline.html" in " ".join(printed.err.split())
    trace = read_trace(stop_copy / "trace.sqlite")
    assert [turn.tick for turn in trace.turns if turn.get(USER_AUDIO) is None] == [5, 6, 7, 8, 9]
    assert len(list(trace.events(PayloadErased))) == 1


@pytest.mark.parametrize(("to", "names"), [("fdb", FILES[:3]), ("textgrid", ["session.TextGrid"]), ("vtt", ["session.vtt"])])
def test_export_writes_the_files_of_the_format(stop_run: Path, tmp_path: Path, to: str, names: list[str]) -> None:
    assert microturn("export", stop_run, "--to", to, "--out", tmp_path / "x") == 0
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == names


@pytest.mark.parametrize("to", EXPORTS)
def test_no_export_replaces_what_is_there_unasked(stop_run: Path, tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / files_of(to)[-1]
    mine.write_text("corrected by hand")
    export = ("export", stop_run, "--to", to, "--out", tmp_path)
    assert microturn(*export) == 2
    assert f"{mine} exists; give another --out, or --overwrite to replace what is there" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert mine.read_text() == "corrected by hand"
    assert microturn(*export, "--overwrite") == 0
    assert mine.read_bytes() != b"corrected by hand"


def test_score_judges_every_expectation(stop_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert microturn("score", stop_run) == 0
    assert "✓ count: wanted one two" in capsys.readouterr().out
    assert microturn("score", stop_run, stop_run / "trace.sqlite", "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["suite"] == "interaction"
    assert whole["mean_both"] == 1.0
    assert len(whole["traces"]) == 2


def test_evaluate_prints_one_json_object_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("evaluate", "--agent", "oracle", "--families", "answer,stop", "--count", 1, "--out", tmp_path / "e", "--json")
    assert microturn(*arguments) == 0
    printed = capsys.readouterr()
    whole = json.loads(printed.out)
    assert "2 sessions played, 0 judged again, 0 found as they were" in printed.err
    assert whole["mean_both"] == 1.0
    assert set(whole["families"]) == {"answer", "stop"}
    assert json.loads((tmp_path / "e" / "evaluation.json").read_text()) == whole
    assert len(list((tmp_path / "e" / "traces").glob("*.sqlite"))) == 2
    assert microturn(*arguments, "--no-keep-traces") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == whole
    assert "0 sessions played, 0 judged again, 2 found as they were" in printed.err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert microturn("--help") == 0
    printed = capsys.readouterr().out
    for name in ("run", "train", "evaluate", "score", "replay", "fork", "inspect", "erase", "export"):
        assert f" {name} " in printed


def test_evaluate_writes_a_scoreboard_and_says_under_which_condition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("evaluate", "--agent", "oracle", "--families", "answer", "--count", 1, "--condition", "loss:5", "--condition", "snr:10")
    assert microturn(*arguments, "--robustness", 1, "--out", tmp_path / "e") == 0
    printed, told = capsys.readouterr()
    assert "robustness: 1 episodes a family each" in printed
    assert "babble, SNR" in printed
    assert "18 sessions played, 0 judged again, 0 found as they were" in told
    assert str(tmp_path / "e" / "scoreboard.html") in printed
    assert json.loads((tmp_path / "e" / "evaluation.json").read_text())["config"]["condition"] == "snr:10:babble+loss:5:2"
    points = json.loads((tmp_path / "e" / "robustness.json").read_text())["points"]
    assert [point["setting"] for point in points][:2] == ["", "snr:20"]
    assert "oracle on unseen voices" in (tmp_path / "e" / "scoreboard.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "--agent", "oracle", "--robustness", 2), "give --out DIR for them"),
        (("evaluate", "--agent", "oracle", "--thresholds", 2, "--out", "x"), "agent 'oracle' has no threshold to move"),
        (("evaluate", "--agent", "oracle", "--condition", "wind:3"), "condition 'wind:3' is none; give snr:10"),
        (("run", "--user", "a.wav", "--condition", "snr:3", "--out", "x"), "--condition snr:3 changes the surroundings of a scenario"),
    ],
)
def test_conditions_and_sweeps_that_cannot_be_are_refused(
    arguments: tuple[object, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert microturn(*arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_score_takes_a_suite_for_traces_recordings_and_the_benchmarks_own_folders(
    stop_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert microturn("score", stop_run, "--suite", "fdb-v1.5") == 0
    assert "user_interruption, C_RESPOND" in capsys.readouterr().out
    recorded = tmp_path / "user_interruption" / "1"
    recorded.mkdir(parents=True)
    for name in ("input.wav", "output.wav", "output.json"):
        shutil.copy(stop_run / name, recorded / name)
    assert microturn("score", recorded, "--suite", "tau-voice", "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert (whole["suite"], whole["sessions"]) == ("tau-voice", 1)
    assert {"name", "value", "interval", "n", "sessions", "evidence", "moments", "setup"} <= set(whole["scores"][0])
    (recorded / "metadata.json").write_text('{"context_text": "", "current_turn_text": "", "timestamps": [3.0, 3.5]}')
    assert microturn("score", tmp_path, "--suite", "fdb-v1.5", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sessions"] == 1


def test_several_agents_and_suites_give_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agents = ("--agent", "oracle", "--agent", "always-talking")
    suites = ("--suite", "interaction", "--suite", "tau-voice", "--families", "answer,stop", "--count", 1)
    assert microturn("evaluate", *agents, *suites, "--out", tmp_path / "e") == 0
    printed = capsys.readouterr().out
    for name in ("oracle", "always-talking", "all families, both", "tau-voice: R_Y", "same scenarios, seeds and voices"):
        assert name in printed
    both = json.loads((tmp_path / "e" / "comparison.json").read_text())["agents"]
    assert both["oracle"]["mean_both"] > both["always-talking"]["mean_both"]
    assert (tmp_path / "e" / "always-talking" / "scoreboard.html").exists()
    assert "<h2>Suite tau-voice</h2>" in (tmp_path / "e" / "scoreboard.html").read_text()
    assert (tmp_path / "e" / "oracle" / "sessions" / "stop-1000000.html").exists()


@dataclass(frozen=True)
class Schooled(SilentAgent):
    """An agent that says of itself that it learned two families."""

    families: tuple[str, ...] = ("answer", "stop")
    user_words: tuple[str, ...] = ("stop",)


def schooled(name: str, *_: object) -> SilentAgent:
    return Schooled() if name == "schooled" else SilentAgent()


@pytest.mark.parametrize("agents", [("silent", "schooled"), ("schooled", "silent")])
def test_agents_beside_each_other_play_what_the_one_that_learned_knows(
    agents: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands_evaluate, "agent_under", schooled)
    arguments = [text for agent in agents for text in ("--agent", agent)]
    assert microturn("evaluate", *arguments, "--count", 1, "--out", tmp_path / "e") == 0
    found = json.loads((tmp_path / "e" / "comparison.json").read_text())["agents"]
    assert {name: list(one["families"]) for name, one in found.items()} == {name: ["answer", "stop"] for name in agents}


def test_the_page_of_one_agent_has_its_suites_and_sessions_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("evaluate", "--agent", "silent", "--suite", "vap", "--families", "answer", "--count", 1, "--out", tmp_path / "e")
    assert microturn(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["suites"]["vap"]
    page = (tmp_path / "e" / "scoreboard.html").read_text()
    assert "<h2>Suite vap</h2>" in page
    assert page.count("<template ") == 1
    assert {path.name for path in (tmp_path / "e" / "sessions").iterdir()} == {"answer-1000000.html", "plotly.js"}
    capsys.readouterr()
    assert microturn(*arguments[:-1], tmp_path / "few", "--no-keep-traces") == 0
    assert not (tmp_path / "few" / "sessions").exists()


def test_policies_and_conditions_are_columns_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policies = ("--policy", "none", "--policy", "budget=0,speak-over=never", "--also-under", "loss:5")
    assert microturn("evaluate", "--agent", "oracle", *policies, "--families", "answer", "--count", 1, "--out", tmp_path / "e") == 0
    found = json.loads((tmp_path / "e" / "comparison.json").read_text())["agents"]
    bare, bound = "oracle, as drawn, no policy", "oracle, as drawn, budget=0,speak-over=never"
    assert list(found) == [bare, bound, "oracle, loss:5, no policy", "oracle, loss:5, budget=0,speak-over=never"]
    assert (found[bare]["mean_both"], found[bound]["mean_both"]) == (1.0, 0.0)
    assert (tmp_path / "e" / "oracle-loss-5-budget-0-speak-over-never" / "evaluation.json").exists()
    table = parquet.read_table(tmp_path / "e" / "outcomes.parquet").to_pylist()
    assert [(row["agent"], row["family"], row["both"]) for row in table[:2]] == [(bare, "answer", True), (bound, "answer", False)]
    assert {path.name for path in (tmp_path / "e").glob("*.parquet")} == {"sessions.parquet", "outcomes.parquet", "scores.parquet"}


def test_long_work_tells_how_far_it_is_and_how_long_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter((0.0, 10.0, 40.0, 45.0, 90.0))
    with long_progress("evaluating", "sessions", watch=StopWatch(now=lambda: next(times))) as tell:
        for done in (100, 130, 140, 210):
            tell(done, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "evaluating: 130 of 1000 sessions, 0.75 a second, about 19 min left",
        "evaluating: 210 of 1000 sessions, 1.2 a second, about 11 min left",
    ]
    assert estimate(0, 0, 10, 5.0, "sessions") == "0 of 10 sessions"
    assert estimate(0, 10, 100_000, 10.0, "sessions").endswith("about 27.8 h left")
    assert estimate(5, 10, 20, 5.0, "sessions").endswith("about 10 s left")


def test_a_recording_is_run_into_a_trace_but_not_over_itself(stop_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    for name in ("input.wav", "output.wav", "output.json"):
        shutil.copy(stop_run / name, folder / name)
    assert microturn("run", "--agent", f"recorded:{folder}", "--out", tmp_path / "o") == 0
    assert read_trace(tmp_path / "o" / "trace.sqlite").header.participants["agent"]["class"] == "RecordedAgent"
    assert microturn("run", "--agent", f"recorded:{folder}", "--out", folder) == 2
    assert "would be written over; give another folder" in capsys.readouterr().err


def test_a_run_is_never_written_over_what_it_reads(stop_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stereo_tone(tmp_path / "input.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "input.wav")
    before = (tmp_path / "input.wav").read_bytes()
    for user in ("input.wav", "link.wav"):
        for more in ((), ("--overwrite",)):
            assert microturn("run", "--user", tmp_path / user, "--agent", "silent", "--out", tmp_path, *more) == 2
            assert f"{tmp_path / user} is read here and would be written over; give another folder" in capsys.readouterr().err
    assert (tmp_path / "input.wav").read_bytes() == before
    said = "is read here and would be written over"
    trace = (stop_run / "trace.sqlite").read_bytes()
    assert microturn("replay", stop_run, "--out", stop_run, "--overwrite") == 2
    assert said in capsys.readouterr().err
    assert microturn("fork", stop_run, "--at", "1s", "--mute-user", "1s", "--out", stop_run, "--overwrite") == 2
    assert said in capsys.readouterr().err
    assert (stop_run / "trace.sqlite").read_bytes() == trace


def test_somebodys_own_sound_is_not_replaced_unasked(stop_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine := tmp_path / "mine").mkdir()
    write_stereo_tone(mine / "input.wav")
    before = (mine / "input.wav").read_bytes()
    run, export = ("run", "--scenario", "stop", "--agent", "silent", "--out", mine), ("export", stop_copy, "--to", "fdb", "--out")
    for command in (run, (*export, mine)):
        assert microturn(*command) == 2
        assert f"{mine / 'input.wav'} exists; give another --out, or --overwrite" in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["input.wav"]
    assert (mine / "input.wav").read_bytes() == before
    assert microturn(*export, mine, "--overwrite") == 0
    assert (mine / "input.wav").read_bytes() != before
    assert microturn(*export, stop_copy) == 0, "beside its trace, as after an erasure, it is made again"


def test_what_was_not_kept_of_a_session_is_told_before_anything_is_made_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stereo_tone(tmp_path / "tone.wav")
    arguments = ("run", "--user", tmp_path / "tone.wav", "--agent", "echo", "--keep", "user.audio=none", "--out", tmp_path / "out")
    assert microturn(*arguments) == 0
    capsys.readouterr()
    told = f"{tmp_path / 'out' / 'trace.sqlite'}: user.audio was not kept (retention 'none'); it is empty here"
    assert microturn("export", tmp_path / "out", "--to", "fdb", "--out", tmp_path / "x") == 0
    assert told in capsys.readouterr().err
    for command in (("replay", tmp_path / "out"), ("fork", tmp_path / "out", "--at", "1s", "--mute-user", "1s", "--out", tmp_path / "f")):
        assert microturn(*command) == 2
        printed = capsys.readouterr().err
        assert told in printed
        assert "error: user.audio was not kept in this trace (retention 'none'), and the agent heard it" in printed
