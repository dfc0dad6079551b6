"""The command that evaluates: agents, conditions and policies side by side, on one machine or many, and the files and tables of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from workbench.cells import TRACES, Cell, Ran, first_of_each, run_cells, trace_path
from workbench.commands_common import AGENT_HELP, VOICES_HELP, AtMost, error_console, long_progress, make_agent, out_console, out_folder
from workbench.commands_run import Checkpoint, Threshold, Under
from workbench.conditions import parse_condition
from workbench.costs import allowed_by
from workbench.errors import InputError
from workbench.evaluate import Report, families_for, other_suites
from workbench.exports.parquet import has_pyarrow, write_results
from workbench.farm import farm
from workbench.given import seed_within
from workbench.own_families import files_of, known
from workbench.playing import Plan, Trained
from workbench.policy_text import BARE, POLICY_HELP, governed
from workbench.scenarios import checked_difficulty as dialled
from workbench.scenarios.dial import USUAL
from workbench.session import Participant
from workbench.suites import INTERACTION, SUITES
from workbench.sweeps import ROBUSTNESS, THRESHOLDS, Setting, Sweep
from workbench.tables import comparison_table, suite_table

SUITE_HELP = f"One of {', '.join((INTERACTION, *SUITES))}."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a command line asks for, apart from where it is done."""

    agents: tuple[str, ...]
    conditions: tuple[str, ...]
    policies: tuple[str, ...]
    checkpoint: Path | None
    threshold: float | None
    families: tuple[str, ...] | None
    suites: tuple[str, ...]
    plan: Plan  # of a cell, but for its families and its condition
    batch: int
    robustness: int
    thresholds: int
    keep_traces: bool
    out: Path | None


@dataclass(frozen=True)
class Column:
    """One agent under one condition and one policy: its own cell, and those of its sweeps by name."""

    cell: Cell
    sweeps: Mapping[str, tuple[Sequence[Setting], Sequence[Cell]]]


def evaluate(
    agent: Annotated[list[str] | None, typer.Option(help=f"{AGENT_HELP} (default: nano); repeat for a table of several.")] = None,
    suite: Annotated[list[str] | None, typer.Option(help=f"{SUITE_HELP} Repeat for more.")] = None,
    voices: Annotated[str, typer.Option("--voices", "--voice", help=VOICES_HELP)] = "unseen",
    families: Annotated[
        str | None,
        typer.Option(
            help="Families, separated by commas (default: those of the suites; interaction: those trained on, or all). Yours: own:FILE.py."
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="Episodes of each family.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the first episode; the others follow.", callback=seed_within)] = 1_000_000,
    difficulty: Annotated[float, typer.Option(help="Of the scenarios, 0 to 1; each says what it changes.", callback=dialled)] = USUAL,
    condition: Under = None,
    also_under: Annotated[list[str] | None, typer.Option(help="Beside that, all of it under this condition too; repeat for more.")] = None,
    policy: Annotated[
        list[str] | None, typer.Option(help=f"Rules, joined by commas, or none; repeat to compare several: {POLICY_HELP}.")
    ] = None,
    limit: AtMost = None,
    recorded_bystanders: Annotated[
        bool, typer.Option("--recorded-bystanders", help="Half of the bystanders in other_directed, background are held-back recordings.")
    ] = False,
    checkpoint: Checkpoint = None,
    threshold: Threshold = None,
    batch: Annotated[int, typer.Option(help="Sessions run in lockstep.")] = 32,
    executor: Annotated[str, typer.Option(help="pool, dask (a cluster on this machine) or dask:ADDRESS.")] = "pool",
    workers: Annotated[int, typer.Option(help="Processes that play sessions.")] = 1,
    keep_traces: Annotated[bool, typer.Option(help="Keep every session's trace in --out, or only those that are in the page.")] = True,
    robustness: Annotated[int, typer.Option(help="Also under noise, loss, jitter, echo ...: this many episodes a family each.")] = 0,
    thresholds: Annotated[int, typer.Option(help="Also at thresholds 0.2 to 0.9, who has one: this many episodes a family each.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for numbers, scoreboard.html, its sessions and their traces; what is in it already is not played again.",
            callback=out_folder,
        ),
    ] = None,
) -> None:
    """Play agents through scenarios and count: meaning, timing, both, with intervals; latencies with the events they run between."""
    if out is None and (robustness or thresholds):
        raise InputError("--robustness and --thresholds write files; give --out DIR for them")
    wanted = None if families is None else tuple(known(name.strip()) for name in families.split(",") if name.strip())
    people: Literal["held_back"] | None = "held_back" if recorded_bystanders else None
    plan = Plan(
        families=(), voices=voices, count=count, seed=seed, difficulty=difficulty, bystanders=people, allowed=allowed_by(limit or [])
    )
    asked = Asked(
        agents=tuple(dict.fromkeys(agent or ["nano"])),
        conditions=tuple(dict.fromkeys(["+".join(condition or []), *(also_under or [])])),
        policies=tuple(dict.fromkeys(policy or [BARE])),
        checkpoint=checkpoint,
        threshold=threshold,
        families=wanted,
        suites=tuple(dict.fromkeys(suite or [INTERACTION])),
        plan=plan,
        batch=batch,
        robustness=robustness,
        thresholds=thresholds,
        keep_traces=keep_traces,
        out=out,
    )
    columns = _columns(asked)
    cells = [cell for column in columns for cell in (column.cell, *(c for _, several in column.sweeps.values() for c in several))]
    with farm(executor, workers) as plot, long_progress(f"evaluating {', '.join(asked.agents)} on {voices} voices", "sessions") as show:
        ran = run_cells(cells, plot, show)
    _show(asked, columns, dict(zip(cells, ran.reports, strict=True)), as_json=as_json)
    error_console.print(_counts(ran), markup=False)
    if not keep_traces:
        _drop_traces(cells, ran)


# Columns ---------------------------------------------------------------------------------------------------------------------


def _columns(asked: Asked) -> list[Column]:
    other_suites(asked.suites)
    single = len(asked.agents) * len(asked.conditions) * len(asked.policies) == 1
    grid = [(agent, condition, policy) for agent in asked.agents for condition in asked.conditions for policy in asked.policies]
    families = asked.families or _families(asked)
    columns = [_column(asked, families, *place, single=single) for place in grid]
    if asked.thresholds and not any("thresholds" in column.sweeps for column in columns):
        raise InputError(f"agent {asked.agents[0]!r} has no threshold to move; leave --thresholds out, or use --agent nano")
    return columns


def _families(asked: Asked) -> tuple[str, ...]:
    """The same for every agent: those of the suites, of which `interaction` has those that one of the agents was trained on, or all."""
    several = [agent_under(agent, *_given(asked, agent), BARE) for agent in asked.agents]
    return families_for(next((one for one in several if isinstance(one, Trained)), several[0]), asked.suites)


def _given(asked: Asked, agent: str) -> tuple[Path | None, float | None]:
    """Checkpoint and threshold of an agent, which are the neural one's."""
    return (asked.checkpoint, asked.threshold) if agent == "nano" or "nano" not in asked.agents else (None, None)


def _column(asked: Asked, families: tuple[str, ...], agent: str, condition: str, policy: str, *, single: bool) -> Column:
    given = _given(asked, agent)
    make = partial(agent_under, agent, *given, policy)
    participant = make()
    own = tuple(files_of(families).values())
    plan = replace(asked.plan, families=families, condition=parse_condition(condition), own=own)
    name = _name(asked, agent, condition, policy)
    folder = asked.out if single or asked.out is None else asked.out / _slug(name)
    cell = Cell(name=name, make=make, plan=plan, suites=asked.suites, batch=asked.batch, folder=folder)
    sweeps: dict[str, tuple[Sequence[Setting], Sequence[Cell]]] = {}
    if asked.robustness:
        unchanged = replace(cell, plan=replace(plan, count=asked.robustness), suites=(INTERACTION,))
        cells = [replace(unchanged, plan=replace(unchanged.plan, condition=parse_condition(s.text))) for s in ROBUSTNESS]
        sweeps["robustness"] = ROBUSTNESS, _in_folders(cells, ROBUSTNESS, folder, "robustness")
    if asked.thresholds and getattr(participant, "with_threshold", None) is not None:
        few = replace(cell, plan=replace(plan, count=asked.thresholds), suites=(INTERACTION,))
        cells = [replace(few, make=partial(agent_under, agent, given[0], float(s.text), policy)) for s in THRESHOLDS]
        sweeps["thresholds"] = THRESHOLDS, _in_folders(cells, THRESHOLDS, folder, "thresholds")
    return Column(cell, sweeps)


@lru_cache(maxsize=2)
def agent_under(name: str, checkpoint: Path | None, threshold: float | None, policy: str) -> Participant:
    """The agent of that name under policies; made once in a process, as loading a checkpoint takes seconds."""
    return governed(make_agent(name, checkpoint, threshold), policy)


def _in_folders(cells: Sequence[Cell], settings: Sequence[Setting], folder: Path | None, name: str) -> list[Cell]:
    places = [None if folder is None else folder / name / _slug(setting.text or setting.label) for setting in settings]
    return [replace(cell, folder=place) for cell, place in zip(cells, places, strict=True)]


def _name(asked: Asked, agent: str, condition: str, policy: str) -> str:
    parts = [agent]
    parts += [condition or "as drawn"] if len(asked.conditions) > 1 else []
    parts += ["no policy" if policy == BARE else policy] if len(asked.policies) > 1 else []
    return ", ".join(parts)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")


# What is shown and written ---------------------------------------------------------------------------------------------------


def _show(asked: Asked, columns: Sequence[Column], reports: Mapping[Cell, Report], *, as_json: bool) -> None:
    several = len(columns) > 1
    shown: list[Any] = []  # the columns of the page of several, with the folders of their sessions
    for column in columns:
        report, folder = reports[column.cell], column.cell.folder
        swept = {name: Sweep.of(name, settings, [reports[c] for c in cells]) for name, (settings, cells) in column.sweeps.items()}
        written: list[Path] = []
        if folder is not None and asked.out is not None:
            written, on_page = _write(column, report, swept, folder, keep_traces=asked.keep_traces)
            shown.append(on_page.seen_from(folder.relative_to(asked.out).as_posix()) if several else on_page)
        if not as_json:
            _print(report, () if several else asked.suites, swept.values(), written)
    bodies = {column.cell.name: reports[column.cell].to_json() for column in columns}
    whole = {"agents": bodies} if several else next(iter(bodies.values()))
    if as_json:
        typer.echo(json.dumps(whole, indent=1))
    elif several:
        out_console.print(comparison_table(bodies))
    if asked.out is not None:
        found = [reports[column.cell] for column in columns]
        files = []
        if several:
            files = [asked.out / "comparison.json", _board().write_scoreboard(shown, asked.out / "scoreboard.html")]
            files[0].write_text(json.dumps(whole, indent=1) + "\n")
        files += write_results(found, asked.out) if has_pyarrow() else []
        if files:
            error_console.print("written: " + ", ".join(map(str, files)), markup=False, soft_wrap=True)


def _write(column: Column, report: Report, swept: Mapping[str, Sweep], out: Path, *, keep_traces: bool) -> tuple[list[Path], Any]:
    """The files of one column: its numbers, those of its sweeps, and the page that shows them; and the column of that page."""
    out.mkdir(parents=True, exist_ok=True)
    report.write(out / "evaluation.json")
    for name, sweep in swept.items():
        sweep.write(out / f"{name}.json")
    page, on_page = out / "scoreboard.html", _board().Column.of(report, **swept)
    if keep_traces:
        points = [(one, cell) for settings, cells in column.sweeps.values() for one, cell in zip(settings, cells, strict=True)]
        lie = {(one.curve, one.label): cell.folder / TRACES for one, cell in points if cell.folder is not None}
        with long_progress(f"drawing sessions of {report.agent}", "pages") as show:
            on_page = _board().with_pages(on_page, page, out / TRACES, show, swept=lie)
    _board().write_scoreboard([on_page], page)
    return [out / "evaluation.json", *(out / f"{name}.json" for name in swept), page], on_page


def _board() -> Any:
    """The module that draws scoreboards; widgets are imported where a command needs them."""
    return import_module("widgets.board")


def _print(report: Report, suites: Sequence[str], swept: Iterable[Sweep], written: Sequence[Path]) -> None:
    """The tables of one column: of these suites, and of its sweeps."""
    if INTERACTION in suites:
        out_console.print(report.table())
    others = (suite_table(f"{name}, {len(report.episodes)} episodes", found) for name, found in report.suites.items() if name in suites)
    for table in (*others, *(sweep.table() for sweep in swept)):
        out_console.print(table)
    if written:
        out_console.print("written: " + ", ".join(map(str, written)), markup=False, soft_wrap=True)


def _counts(ran: Ran) -> str:
    return f"{ran.played} sessions played, {ran.judged} judged again, {ran.found} found as they were"


def _drop_traces(cells: Sequence[Cell], ran: Ran) -> None:
    """Delete the traces that no page shows; what was said of them stays, so that nothing is played twice."""
    for cell, report in zip(cells, ran.reports, strict=True):
        if cell.folder is not None:
            shown = {episode.job for episode in first_of_each(report)}
            for job in set(cell.plan.jobs()) - shown:
                trace_path(cell, job).unlink(missing_ok=True)
