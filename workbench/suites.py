"""The suites by name: which situations each plays, what it keeps of a session, and the pure scorers over that.

A suite is judged in two steps, so that an evaluation need not hold thousands of traces: `gather` takes what the scorers need out of one
trace, `score` makes the numbers of all sessions. Where a benchmark has files of its own, `folder` gathers from them instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from workbench.errors import InputError
from workbench.exports.fdb_dataset import SUBSETS, is_ours
from workbench.exports.fdb_folder import ANNOTATIONS, read_label, read_sample, read_subset, sample_folders
from workbench.exports.mtr import read_mtr
from workbench.exports.simuleval import read_instances
from workbench.exports.tau_voice import read_trajectory
from workbench.exports.turnbench import SUBMISSION, read_conversations
from workbench.scenarios import BACKGROUND
from workbench.scoring import fdb_v1, fdb_v15
from workbench.scoring.delegation import delegation, worked
from workbench.scoring.fdb_sample import MODES, Mode, Sample, heard_from
from workbench.scoring.fdb_scenarios import V1_FAMILIES, V15_FAMILIES, v1_samples, v15_sample
from workbench.scoring.fdb_v15 import DESIRED, Labelled
from workbench.scoring.latency import latency_report, measure, overlap_share
from workbench.scoring.measured import TICKS, Measured
from workbench.scoring.mtr import mtr, rounds_of
from workbench.scoring.pauc import pauc, turns_of
from workbench.scoring.repcount import counted, repcount
from workbench.scoring.simultaneous import simultaneous, translated
from workbench.scoring.speak_curve import CUE, TIME, aimed_session, speak_curve
from workbench.scoring.tau_voice import PanelTick, Windows, tau_voice, ticks_from, ticks_of
from workbench.scoring.turnbench import noticed, turnbench
from workbench.scoring.vap import vap, vap_session
from workbench.trace import Trace

INTERACTION = "interaction"
OURS = "scenario"  # stands for the data set where the samples are traces of our own scenarios

Gathered: TypeAlias = Any  # what one suite keeps of one session; only its own `score` reads it
Sessions: TypeAlias = Mapping[str, Gathered]


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One benchmark: its name, what it is about, the families to play, and its two steps.

    `folder` gathers from a folder or file in the benchmark's own layout; None where that is not one of its own.
    """

    name: str
    about: str
    families: tuple[str, ...]
    gather: Callable[[Trace, str], Gathered]
    score: Callable[[Sessions], list[Measured]]
    folder: Callable[[Path], Sessions | None] = lambda path: None


def suite(name: str) -> Suite:
    """The suite of that name. Raises InputError, with the names there are, when there is none."""
    if name not in SUITES:
        raise InputError(f"no suite called {name!r}; there are {', '.join((INTERACTION, *SUITES))}")
    return SUITES[name]


# Full-Duplex-Bench v1 ---------------------------------------------------------------------------------------------------------

Tasks: TypeAlias = Mapping[str, Sample]
_V1: Mapping[str, Callable[[Sequence[Sample], Mode], list[Measured]]] = {
    "pause_handling": fdb_v1.pause_handling,
    "backchannel": fdb_v1.backchannel,
    "turn_taking": fdb_v1.turn_taking,
    "user_interruption": fdb_v1.user_interruption,
}


def _v1_of(trace: Trace, name: str) -> Tasks:
    return {f"{OURS}_{task}": sample for task, sample in v1_samples(trace, name).items()}


def _v1_folder(path: Path) -> Sessions | None:
    """`path/{data}_{task}/{id}/`, in `path` or in v1_0 in it, as the benchmark's archive unpacks; OURS is the data of what we exported."""
    ours = {subset: f"{OURS}_{task}" for task, subset in SUBSETS.items()} if is_ours(path) else {}
    subsets = [name for name in ANNOTATIONS if ANNOTATIONS[name] != "metadata.json" and sample_folders(path / name)]
    samples = [(subset, sample) for subset in subsets for sample in read_subset(path, subset)]
    return {f"{s}/{sample.id}": {ours.get(s, s): replace(sample, id=f"{s}/{sample.id}")} for s, sample in samples} or None


def _v1_score(sessions: Sessions) -> list[Measured]:
    """Every task of every data set in both modes; each score's name says data, task and mode."""
    subsets: dict[str, list[Sample]] = {}
    for tasks in sessions.values():
        for subset, sample in tasks.items():
            subsets.setdefault(subset, []).append(sample)
    found = []
    for subset, samples in sorted(subsets.items()):
        data, task = subset.split("_", 1)
        for mode in MODES:
            cut = mode == "compatible" and task == "user_interruption"
            kept = [replace(s, words=heard_from(s.words, s.mark()[1])) for s in samples] if cut else samples
            found += [
                replace(one, name=f"{data} {one.name} ({mode})", setup={**one.setup, "subset": subset}) for one in _V1[task](kept, mode)
            ]
    return found


# Full-Duplex-Bench v1.5 -------------------------------------------------------------------------------------------------------

Event: TypeAlias = tuple[str, Sample, Labelled | None]


def _v15_folder(path: Path) -> Sessions | None:
    """`path/{scenario}/{id}/`, with a judge's content_tag.json where there is one."""
    found: dict[str, Event] = {}
    for scenario in DESIRED:
        for folder in sample_folders(path / scenario):
            sample = read_sample(folder, scenario)
            found[f"{scenario}/{folder.name}"] = (scenario, sample, read_label(folder, sample.mark()))
    return found or None


def _v15_score(sessions: Sessions) -> list[Measured]:
    """Rates of the labels (not rounded) and their average, then stop and response latency at interruptions in both modes."""
    events: dict[str, Event] = {name: event for name, event in sessions.items() if event is not None}
    labels: dict[str, list[Labelled]] = {scenario: [] for scenario in DESIRED}
    for name, (scenario, _, label) in events.items():
        if label is not None:
            labels[scenario].append(replace(label, id=name))
    found = [rate for scenario, some in labels.items() if some for rate in fdb_v15.behaviour_rates(scenario, some, "clean")]
    if all(labels.values()):
        found.append(fdb_v15.four_task_average(labels))
    else:
        missing = ", ".join(scenario for scenario, some in labels.items() if not some)
        says = f"not given: there are no labels for {missing}, and a mean of fewer tasks is another number"
        setup = {**fdb_v15.BENCHMARK, "desired": dict(DESIRED)}
        nothing = Measured(
            name="v1.5 average", value=float("nan"), explanation=says, n=0, interval=None, sessions=len(sessions), setup=setup
        )
        found.append(nothing)
    interrupted = [replace(sample, id=name) for name, (scenario, sample, _) in events.items() if scenario == "user_interruption"]
    if interrupted:
        timed = [(mode, one) for mode in MODES for one in fdb_v15.timing(interrupted, mode)]
        found += [replace(one, name=f"user_interruption, {one.name} ({mode})") for mode, one in timed]
    return found


# τ-voice and latency ----------------------------------------------------------------------------------------------------------

Panel: TypeAlias = tuple[float, tuple[PanelTick, ...], str]  # length of a tick in seconds, the ticks, and how they were found


def _panel_of(trace: Trace, name: str) -> Panel:
    return trace.header.clock.tick_s, ticks_of(trace), ticks_from(trace)


def _panel_folder(path: Path) -> Sessions | None:
    """Trajectories of τ²-bench: one file, or every `*.json` of a folder or of the `simulations` folder in it."""
    files = [path] if path.suffix == ".json" else sorted([*path.glob("*.json"), *path.glob("simulations/*.json")])
    return {file.stem: (TICKS.tick_s, read_trajectory(file), "contains_speech of the trajectory") for file in files} or None


def _panel_score(sessions: Sessions) -> list[Measured]:
    lengths = {tick_s for tick_s, _, _ in sessions.values()}
    if len(lengths) > 1:
        raise InputError(f"ticks of {', '.join(f'{s:g} s' for s in sorted(lengths))} in one panel; score sessions of one clock at a time")
    ticks = {name: found for name, (_, found, _) in sessions.items()}
    return tau_voice(ticks, Windows(tick_s=lengths.pop()), source={source for _, _, source in sessions.values()})


def _latency_score(sessions: Sessions) -> list[Measured]:
    found = [one for report in latency_report(sessions) for one in (report.median, report.p95)]
    return [*found, overlap_share(sessions)]


def _instances_folder(path: Path) -> Sessions | None:
    """SimulEval's instances.log, or the output folder that holds it."""
    log = path / "instances.log" if path.is_dir() else path
    return read_instances(log) if log.name == "instances.log" and log.is_file() else None


FLOOR_FAMILIES = ("answer", "think_pause", "self_correction", "stop", "new_question", "backchannel", "other_directed", "background")

SUITES: Mapping[str, Suite] = {
    one.name: one
    for one in (
        Suite(
            name="fdb-v1",
            about="Full-Duplex-Bench v1: take-over, latency and back-channels, as the official scripts give them and as the names say",
            families=V1_FAMILIES,
            gather=_v1_of,
            score=_v1_score,
            folder=_v1_folder,
        ),
        Suite(
            name="fdb-v1.5",
            about="Full-Duplex-Bench v1.5: what is done about somebody who speaks into an answer, and how quickly",
            families=V15_FAMILIES,
            gather=v15_sample,
            score=_v15_score,
            folder=_v15_folder,
        ),
        Suite(
            name="tau-voice",
            about="τ-voice's tick panel: response, yielding, interrupting, and what is rightly passed over",
            families=FLOOR_FAMILIES,
            gather=_panel_of,
            score=_panel_score,
            folder=_panel_folder,
        ),
        Suite(
            name="latency",
            about="latencies, each with the event it starts from, the event it ends at, and what lies between",
            families=FLOOR_FAMILIES,
            gather=lambda trace, name: measure(trace),
            score=_latency_score,
        ),
        Suite(
            name="turnbench",
            about="TurnBench's events: ends of turn and interruptions, by what the agent does about them",
            families=FLOOR_FAMILIES,
            gather=lambda trace, name: noticed(trace),
            score=turnbench,
            folder=lambda path: read_conversations(path) if (path / SUBMISSION).is_file() else None,
        ),
        Suite(
            name="mtr",
            about="MTR-DuplexBench's conversational features, round after round: turns, interruptions, pauses, background speech",
            families=FLOOR_FAMILIES,
            gather=lambda trace, name: rounds_of(trace),
            score=mtr,
            folder=read_mtr,
        ),
        Suite(
            name="vap",
            about="shifts, holds and back-channels, as voice activity projection defines them",
            families=(*FLOOR_FAMILIES, "listener"),
            gather=lambda trace, name: vap_session(trace),
            score=vap,
        ),
        Suite(
            name="time-speak",
            about="speaking at moments on the clock, within 0.25, 0.5 and 1.0 s",
            families=TIME,
            gather=lambda trace, name: aimed_session(trace),
            score=lambda sessions: speak_curve("TimeSpeak", TIME, sessions),
        ),
        Suite(
            name="cue-speak",
            about="speaking at cues while others speak or move, within 0.25, 0.5 and 1.0 s",
            families=CUE,
            gather=lambda trace, name: aimed_session(trace),
            score=lambda sessions: speak_curve("CueSpeak", CUE, sessions),
        ),
        Suite(
            name="repcount",
            about="counting repetitions: within one, error, and the streaming variant",
            families=("repetitions",),
            gather=lambda trace, name: counted(trace),
            score=repcount,
        ),
        Suite(
            name="pauc",
            about="ProactiveVideoQA's area under what is known over time; silence has 25",
            families=("repetitions", "tell_when", "what_changed"),
            gather=lambda trace, name: turns_of(trace),
            score=pauc,
        ),
        Suite(
            name="background",
            about="slow work: asked for rightly, told in time and never over the user, while the talk goes on",
            families=("answer", *sorted(BACKGROUND)),
            gather=lambda trace, name: worked(trace),
            score=delegation,
        ),
        Suite(
            name="simuleval",
            about="SimulEval's BLEU and latencies of translation: AL, LAAL, AP, DAL, ATD",
            families=("translate",),
            gather=lambda trace, name: translated(trace),
            score=simultaneous,
            folder=_instances_folder,
        ),
    )
}
