"""Commands that measure and train: score, evaluate, train."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.live import Live
from rich.table import Table

from workbench.adapters.recorded import is_recording, recorded_trace
from workbench.commands_common import AGENT_HELP, TRACE_NAME, error_console, make_agent, out_console, progress
from workbench.commands_run import Checkpoint, OutFolder, Threshold, Under
from workbench.errors import InputError
from workbench.session import Participant
from workbench.store import read_trace
from workbench.suites import INTERACTION, SUITES, Suite
from workbench.suites import suite as find_suite
from workbench.tables import comparison_table, families_table, suite_table
from workbench.trace import Trace

if TYPE_CHECKING:
    from workbench.evaluate import Report
    from workbench.neural import Recipe
    from workbench.sweeps import Sweep

LABELS = {"loss": "loss", "family_loss": "family loss", "scores": "score", "family_scores": "family score"}  # of a run's log
PARTS = ("model", "voice")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SUITE_HELP = f"One of {', '.join((INTERACTION, *SUITES))}."


def score(
    traces: Annotated[list[Path], typer.Argument(help="Trace files, folders with trace files, or folders in the benchmark's own layout.")],
    suite: Annotated[str, typer.Option(help=SUITE_HELP)] = INTERACTION,
    as_json: AsJson = False,
) -> None:
    """Judge finished sessions: by the ground truth in their traces, or by a benchmark's rules, with intervals and what they depend on."""
    if suite == INTERACTION:
        _score_interaction(traces, as_json)
        return
    chosen = find_suite(suite)
    sessions: dict[str, Any] = {}
    for given in traces:
        sessions |= _gathered(chosen, given)
    found = chosen.score(sessions)
    if not any(one.n for one in found):
        raise InputError(f"none of the {len(sessions)} sessions holds what suite {suite!r} judges ({chosen.about})")
    if as_json:
        typer.echo(json.dumps({"suite": suite, "sessions": len(sessions), "scores": [one.to_json() for one in found]}, indent=1))
        return
    out_console.print(suite_table(f"{suite}, {len(sessions)} sessions", found))


def _gathered(chosen: Suite, given: Path) -> Mapping[str, Any]:
    """What a suite needs of the sessions that a path means: traces and recordings first, then files of the benchmark's own layout."""
    plain = given.suffix == ".sqlite" or (given.is_dir() and (_has_traces(given) or is_recording(given)))
    if not plain and (own := chosen.folder(given)) is not None:
        return own
    return {str(path): chosen.gather(trace, str(path)) for path, trace in _traces_of(given)}


def _traces_of(given: Path) -> Iterator[tuple[Path, Trace]]:
    """The traces that a path means: trace files, else the conversations recorded in the folder or in the folders in it."""
    if given.is_dir() and not _has_traces(given):
        folders = [path for path in (given, *sorted(given.iterdir())) if is_recording(path)]
        if folders:
            yield from ((path, recorded_trace(path)) for path in folders)
            return
    yield from ((path, read_trace(path)) for path in _trace_files(given))


def _score_interaction(traces: Sequence[Path], as_json: bool) -> None:
    """Every expectation in a sentence, then shares and latencies."""
    from workbench.scoring.interaction import explain, outcomes
    from workbench.scoring.summary import summarise

    judged = []
    by_family: dict[str, list[Any]] = {}
    for path in [file for given in traces for file in _trace_files(given)]:
        trace = read_trace(path)
        found = outcomes(trace)
        family = str(trace.header.labels.get("family", "session"))
        by_family.setdefault(family, []).extend(found)
        judged.append((path, family, found))
    if not any(found for _, _, found in judged):
        raise InputError(f"none of the {len(judged)} traces holds an expectation; this suite judges traces of scenarios (run --scenario)")
    whole = summarise(by_family)
    if as_json:
        files = [{"trace": str(path), "family": family, "outcomes": [asdict(o) for o in found]} for path, family, found in judged]
        typer.echo(json.dumps({"suite": INTERACTION, "traces": files, **whole}, indent=1))
        return
    for path, family, found in judged:
        out_console.print(f"{path} ({family})", markup=False, soft_wrap=True)
        for outcome in found:
            out_console.print(f"  {'✓' if outcome.both else '✗'} {explain(outcome)}", markup=False)
    out_console.print(families_table(whole))


def evaluate(
    agent: Annotated[list[str] | None, typer.Option(help=f"{AGENT_HELP} (default: nano); repeat for a table of several.")] = None,
    suite: Annotated[list[str] | None, typer.Option(help=f"{SUITE_HELP} Repeat for more.")] = None,
    voices: Annotated[str, typer.Option("--voices", "--voice", help="train, unseen, flite, recorded or held-back.")] = "unseen",
    families: Annotated[
        str | None,
        typer.Option(help="Families, separated by commas (default: those of the suites; interaction: those trained on, or all)."),
    ] = None,
    count: Annotated[int, typer.Option(help="Episodes of each family.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the first episode; the others follow.")] = 1_000_000,
    condition: Under = None,
    recorded_bystanders: Annotated[
        bool, typer.Option("--recorded-bystanders", help="Half of the bystanders are people's recordings, held back from training.")
    ] = False,
    checkpoint: Checkpoint = None,
    threshold: Threshold = None,
    batch: Annotated[int, typer.Option(help="Sessions run in lockstep.")] = 32,
    workers: Annotated[int, typer.Option(help="Processes that synthesise speech.")] = 1,
    keep_traces: Annotated[bool, typer.Option("--keep-traces", help="Write every session's trace into --out.")] = False,
    robustness: Annotated[int, typer.Option(help="Also under noise, loss, jitter, echo ...: this many episodes a family each.")] = 0,
    thresholds: Annotated[int, typer.Option(help="Also at thresholds 0.2 to 0.9: this many episodes a family each.")] = 0,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for evaluation.json, scoreboard.html (and traces), of several agents one each.")
    ] = None,
) -> None:
    """Play agents through scenarios and count: meaning, timing, both, with intervals; latencies with the events they run between."""
    from workbench.conditions import parse_condition
    from workbench.evaluate import evaluate as run_evaluation

    agents, suites = tuple(dict.fromkeys(agent or ["nano"])), tuple(dict.fromkeys(suite or [INTERACTION]))
    for name in suites:
        if name != INTERACTION:
            find_suite(name)
    if out is None and (keep_traces or robustness or thresholds):
        raise InputError("--keep-traces, --robustness and --thresholds write files; give --out DIR for them")
    chosen = None if families is None else [name.strip() for name in families.split(",") if name.strip()]
    participants = {name: _fitted(name, agents, checkpoint, threshold) for name in agents}
    unmoved = [name for name, one in participants.items() if not hasattr(one, "with_threshold")]
    if thresholds and unmoved:
        raise InputError(f"agent {unmoved[0]!r} has no threshold to move; leave --thresholds out, or use --agent nano")
    people: Literal["held_back"] | None = "held_back" if recorded_bystanders else None
    under = parse_condition("+".join(condition or []))
    judge = partial(run_evaluation, families=chosen, voices=voices, seed=seed, batch=batch, workers=workers, bystanders=people)
    reports: dict[str, Report] = {}
    for name, participant in participants.items():
        folder = out / name.replace("/", "_") if out is not None and len(agents) > 1 else out
        keep = folder / "traces" if keep_traces and folder is not None else None
        with progress(f"evaluating {name} on {voices} voices") as show:
            reports[name] = judge(participant, count=count, condition=under, progress=show, keep=keep, suites=suites)
        swept = {}
        if robustness:
            swept["robustness"] = _robustness(partial(judge, participant, count=robustness))
        if thresholds:
            swept["thresholds"] = _thresholds(partial(judge, count=thresholds, condition=under), participant)
        written = [] if folder is None else _write_evaluation(reports[name], swept, folder)
        if not as_json:
            _show_evaluation(reports[name], suites if len(agents) == 1 else (), list(swept.values()), written)
    _show_together(reports, out, as_json)


def _fitted(name: str, agents: Sequence[str], checkpoint: Path | None, threshold: float | None) -> Participant:
    """The agent of that name; of several, only the neural one gets the checkpoint and the threshold."""
    given = (checkpoint, threshold) if name == "nano" or "nano" not in agents else (None, None)
    return make_agent(name, *given)


def _show_evaluation(report: Report, suites: Sequence[str], swept: Sequence[Sweep], written: Sequence[Path]) -> None:
    """The tables of one agent: of these suites, and of its sweeps."""
    if INTERACTION in suites:
        out_console.print(report.table())
    others = (suite_table(f"{name}, {len(report.episodes)} episodes", found) for name, found in report.suites.items() if name in suites)
    for table in (*others, *(sweep.table() for sweep in swept)):
        out_console.print(table)
    if written:
        out_console.print("written: " + ", ".join(map(str, written)), markup=False, soft_wrap=True)


def _show_together(reports: Mapping[str, Report], out: Path | None, as_json: bool) -> None:
    """One agent as a JSON object if asked for; several as one object or as one table, and in a file."""
    bodies = {name: report.to_json() for name, report in reports.items()}
    whole = next(iter(bodies.values())) if len(bodies) == 1 else {"agents": bodies}
    if as_json:
        typer.echo(json.dumps(whole, indent=1))
    elif len(bodies) > 1:
        out_console.print(comparison_table(bodies))
    if out is not None and len(bodies) > 1:
        path = out / "comparison.json"
        path.write_text(json.dumps(whole, indent=1) + "\n")
        error_console.print(f"written: {path}", markup=False, soft_wrap=True)


def _robustness(judge: Callable[..., Report]) -> Sweep:
    from workbench.sweeps import robustness

    with progress("robustness") as show:
        return robustness(lambda condition, told: _told(f"{condition}" or "as drawn", judge(condition=condition, progress=told)), show)


def _thresholds(judge: Callable[..., Report], agent: Any) -> Sweep:
    from workbench.sweeps import thresholds

    with progress("thresholds") as show:
        return thresholds(
            lambda threshold, told: _told(f"threshold {threshold:g}", judge(agent.with_threshold(threshold), progress=told)), show
        )


def _told(setting: str, report: Report) -> Report:
    """The report, after a line on the error stream that says how it came out: sweeps are long."""
    error_console.print(f"{setting}: both right {report.to_json()['mean_both']:.3f}", markup=False)
    return report


def _write_evaluation(report: Report, swept: dict[str, Sweep], out: Path) -> list[Path]:
    """The files of an evaluation: its numbers, those of its sweeps, and the page that shows them."""
    out.mkdir(parents=True, exist_ok=True)
    report.write(out / "evaluation.json")
    for name, sweep in swept.items():
        sweep.write(out / f"{name}.json")
    page = import_module("widgets.board").write_scoreboard(report, out / "scoreboard.html", **swept)
    return [out / "evaluation.json", *(out / f"{name}.json" for name in swept), page]


def train(
    out: OutFolder,
    part: Annotated[str, typer.Option(help="What to train: model, or voice (its own voice; the teacher needs flite).")] = "model",
    recipe: Annotated[str, typer.Option(help="A recipe file, or one that comes along: nano, micro.")] = "nano",
    minutes: Annotated[float | None, typer.Option(help="Wall time of training, if not the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the weights and of the order of the data, if not the recipe's.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that make conversations, if not the recipe's.")] = None,
    begin_from: Annotated[
        Path | None, typer.Option("--from", help="A checkpoint to begin from; with --part voice, the one that gets the voice.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the training in --out, if there is one.")] = False,
) -> None:
    """Train an interaction model by a recipe on conversations made on the fly; writes the checkpoint, the run log and its page.

    With --part voice: train the voice it speaks with, and write it alone or, with --from, also into a copy of that checkpoint.
    """
    if part not in PARTS:
        raise InputError(f"no part {part!r} to train; there is {', '.join(PARTS)}")
    if minutes is not None and minutes <= 0:
        raise InputError(f"minutes {minutes:g} is no time to train; give a positive number, e.g. --minutes 100")
    from workbench.neural import VoiceRecipe, give_voice, load_recipe, train_recipe, train_voice

    chosen = _changed(load_recipe(recipe), minutes, seed, workers, begin_from)
    speaking = VoiceRecipe(minutes=VoiceRecipe.minutes if minutes is None else minutes, seed=seed or 0)
    budget = speaking.minutes if part == "voice" else chosen.train.minutes
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started, if it did
    going_on = resume and (out / "training.pt").exists()
    latest: dict[str, Any] = {}
    with ExitStack() as stack:
        live = (
            stack.enter_context(Live(console=error_console, auto_refresh=False, transient=True))
            if first and error_console.is_terminal
            else None
        )

        def show(row: dict[str, Any]) -> None:
            latest.update(row)
            if live:
                live.update(_progress_table(latest, budget), refresh=True)
            else:
                error_console.print(_progress_line(row), markup=False, soft_wrap=True)

        if part == "voice":
            voice = train_voice(speaking, out, resume=resume, report=show)
            written = [voice, *([give_voice(begin_from, voice, out / begin_from.name)] if begin_from else [])]
        else:
            written = [train_recipe(chosen, out, resume=going_on, report=show), out / "recipe.toml", out / "log.jsonl", *_page(out)]
    if not first:
        return
    out_console.print(_progress_table(latest, budget))
    out_console.print("written: " + ", ".join(map(str, written)), markup=False, soft_wrap=True)


def _changed(recipe: Recipe, minutes: float | None, seed: int | None, workers: int | None, begin_from: Path | None) -> Recipe:
    """The recipe with what the command line says otherwise."""
    if minutes is not None:
        recipe = replace(recipe, train=replace(recipe.train, minutes=minutes))
    if seed is not None:
        recipe = replace(recipe, train=replace(recipe.train, seed=seed))
    if workers is not None:
        recipe = replace(recipe, pool=replace(recipe.pool, workers=workers))
    return recipe if begin_from is None else replace(recipe, begin_from=str(begin_from))


def _has_traces(folder: Path) -> bool:
    return next(folder.glob("*.sqlite"), None) is not None


def _trace_files(given: Path) -> list[Path]:
    """The trace files meant by a path: a file, trace.sqlite in a folder, or every *.sqlite in it."""
    if not given.is_dir():
        return [given]
    files = [given / TRACE_NAME] if (given / TRACE_NAME).exists() else sorted(given.glob("*.sqlite"))
    if not files:
        raise InputError(f"folder {given} holds no trace; give a folder with {TRACE_NAME} or other .sqlite files")
    return files


def _progress_table(row: dict[str, Any], minutes: float) -> Table:
    """The newest of everything a training has reported."""
    table = Table(title=f"step {row.get('step', 0)}, {row.get('minutes', 0.0):.1f} of {minutes:g} minutes", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    if "conversations" in row:
        table.add_row("conversations made before the first step", f"{row['conversations']} of {row['wanted']}")
    if "rate" in row:
        table.add_row("learning rate", f"{row['rate']:.2e}")
    if "cells_per_s" in row:
        table.add_row("cells per second", f"{row['cells_per_s']:.0f}")
    for group, label in LABELS.items():
        for name, value in row.get(group, {}).items():
            table.add_row(f"{label}: {name}", f"{value:.4f}")
    return table


def _progress_line(row: dict[str, Any]) -> str:
    """One report of a training as a line of a log."""
    numbers = {name: value for name, value in row.items() if not isinstance(value, dict)}
    for group, label in LABELS.items():
        numbers |= {f"{label} {name}": value for name, value in row.get(group, {}).items()}
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())


def _page(out: Path) -> list[Path]:
    """The page of the run; none while the log has no losses yet."""
    log = out / "log.jsonl"
    if not log.exists() or '"loss"' not in log.read_text(encoding="utf-8"):
        return []
    path: Path = import_module("widgets.run").write_run(out)
    return [path]
