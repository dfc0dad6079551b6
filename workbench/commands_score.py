"""Commands that judge finished sessions and train: score, train."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.live import Live
from rich.table import Table

from workbench.adapters.recorded import is_recording, recorded_trace
from workbench.commands_common import TRACE_NAME, error_console, nothing_lost, nothing_there, out_console, sound_trace
from workbench.commands_evaluate import SUITE_HELP
from workbench.commands_run import OutFolder, Overwrite
from workbench.errors import InputError
from workbench.given import seed_within
from workbench.suites import INTERACTION, Suite
from workbench.suites import suite as find_suite
from workbench.tables import families_table, suite_table
from workbench.trace import Trace

if TYPE_CHECKING:
    from workbench.neural import Recipe

LABELS = {"loss": "loss", "family_loss": "family loss", "scores": "score", "family_scores": "family score"}  # of a run's log
PARTS = ("model", "voice")
RECIPES = sorted(path.stem for path in (Path(__file__).parents[1] / "model" / "recipes").glob("*.toml"))  # that come along
RESUME_HELP = (
    "Go on from the last save of the training in --out, if there is one. The same model bit for bit as without the break: by a recipe that "
    "counts steps, from a pool that is full, without evaluations on the way or helpers."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


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
    if given.is_dir() and not _has_traces(given) and (folders := _recordings(given)):
        yield from ((path, recorded_trace(path)) for path in folders)
        return
    yield from ((path, sound_trace(path)) for path in _trace_files(given))


def _score_interaction(traces: Sequence[Path], as_json: bool) -> None:
    """Every expectation in a sentence, then shares and latencies."""
    from workbench.scoring.interaction import explain, outcomes
    from workbench.scoring.summary import summarise

    judged = []
    by_family: dict[str, list[Any]] = {}
    for path in [file for given in traces for file in _trace_files(given)]:
        trace = sound_trace(path)
        found = outcomes(trace)
        family = str(trace.header.labels.get("family", "session"))
        by_family.setdefault(family, []).append(found)
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


def train(
    out: OutFolder,
    part: Annotated[str, typer.Option(help="What to train: model, or voice (its own voice; the teacher needs flite).")] = "model",
    head: Annotated[Literal["regression", "flow"], typer.Option(help="With --part voice: what predicts the mel.")] = "regression",
    recipe: Annotated[str, typer.Option(help=f"A recipe file, or one that comes along: {', '.join(RECIPES)}.")] = "nano",
    minutes: Annotated[float | None, typer.Option(help="Wall time of training, in place of the minutes or steps of the recipe.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the weights and of the order of the data, if not the recipe's.", callback=seed_within)
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that make conversations, if not the recipe's.")] = None,
    begin_from: Annotated[
        Path | None, typer.Option("--from", help="A checkpoint to begin from; with --part voice, the one that gets the voice.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help=RESUME_HELP)] = False,
    overwrite: Overwrite = False,
) -> None:
    """Train an interaction model by a recipe on conversations made on the fly; writes the checkpoint, the run log and its page.

    With --part voice: train the voice it speaks with, and write it alone or, with --from, also into a copy of that checkpoint.
    """
    if part not in PARTS:
        raise InputError(f"no part {part!r} to train; there is {', '.join(PARTS)}")
    if minutes is not None and minutes <= 0:
        raise InputError(f"minutes {minutes:g} is no time to train; give a positive number, e.g. --minutes 100")
    from workbench.neural import VoiceRecipe, give_voice, load_recipe, read_checkpoint, train_recipe, train_voice

    chosen = _changed(load_recipe(recipe), minutes, seed, workers, begin_from)
    speaking = VoiceRecipe(minutes=VoiceRecipe.minutes if minutes is None else minutes, head=head, seed=seed or 0)
    budget, steps = (speaking.minutes, 0) if part == "voice" else (chosen.train.minutes, chosen.train.steps)
    if part == "voice" and begin_from:  # before the time of a training is spent
        nothing_lost(out, [begin_from], [begin_from.name])
        nothing_there(out, [begin_from.name], overwrite or resume)
        speaking = speaking.also(read_checkpoint(begin_from, "--from").vocabulary.agent_words)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started, if it did
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
                live.update(_progress_table(latest, budget, steps), refresh=True)
            else:
                error_console.print(_progress_line(row), markup=False, soft_wrap=True)

        if part == "voice":
            voice = train_voice(speaking, out, resume=resume, overwrite=overwrite, report=show)
            written = [voice, *([give_voice(begin_from, voice, out / begin_from.name)] if begin_from else [])]
        else:
            checkpoint = train_recipe(chosen, out, resume=resume, overwrite=overwrite, report=show)
            written = [checkpoint, out / "recipe.toml", out / "log.jsonl", *_page(out)]
    if not first:
        return
    out_console.print(_progress_table(latest, budget, steps))
    out_console.print("written: " + ", ".join(map(str, written)), markup=False, soft_wrap=True)


def _changed(recipe: Recipe, minutes: float | None, seed: int | None, workers: int | None, begin_from: Path | None) -> Recipe:
    """The recipe with what the command line says otherwise; minutes take the place of steps, which would count alone.

    Raises InputError for what no recipe may say.
    """
    try:
        if minutes is not None:
            recipe = replace(recipe, train=replace(recipe.train, minutes=minutes, steps=0))
        if seed is not None:
            recipe = replace(recipe, train=replace(recipe.train, seed=seed))
        if workers is not None:
            recipe = replace(recipe, pool=replace(recipe.pool, workers=workers))
    except ValueError as error:
        raise InputError(str(error)) from None
    return recipe if begin_from is None else replace(recipe, begin_from=str(begin_from))


def _recordings(folder: Path) -> list[Path]:
    """The folder, or those in it, where they hold both sides of a conversation."""
    return [path for path in (folder, *sorted(folder.iterdir())) if is_recording(path)]


def _has_traces(folder: Path) -> bool:
    return next(folder.glob("*.sqlite"), None) is not None


def _trace_files(given: Path) -> list[Path]:
    """The trace files meant by a path: a file, trace.sqlite in a folder, or every *.sqlite in it."""
    if not given.is_dir():
        return [given]
    files = [given / TRACE_NAME] if (given / TRACE_NAME).exists() else sorted(given.glob("*.sqlite"))
    if not files and (recorded := _recordings(given)):
        raise InputError(
            f"{recorded[0]} holds a recording, and no truth to judge it by; give --suite tau-voice or --suite vap, which need none, "
            f"or make a trace to look at: microturn run --agent recorded:{recorded[0]} --out DIR"
        )
    if not files:
        raise InputError(f"folder {given} holds no trace; give a folder with {TRACE_NAME} or other .sqlite files")
    return files


def _progress_table(row: dict[str, Any], minutes: float, steps: int) -> Table:
    """The newest of everything a training has reported; it lasts so many steps, or with 0 of them so many minutes."""
    step, passed = row.get("step", 0), f"{row.get('minutes', 0.0):.1f}"
    far = f"step {step} of {steps}, {passed} minutes" if steps else f"step {step}, {passed} of {minutes:g} minutes"
    table = Table(title=far, title_justify="left")
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
