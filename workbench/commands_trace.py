"""Commands on finished traces: inspect, erase, export, sweep."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.clock import utc_now
from workbench.commands_common import (
    TRACE_NAME,
    error_console,
    nothing_there,
    out_console,
    out_folder,
    said_table,
    seconds,
    sound_trace,
    tell_missing,
    trace_path,
)
from workbench.costs import NO_MODEL, ModelFlops, bytes_of, spent_in
from workbench.explain import summary, why
from workbench.exports import EXPORTS, about, files_of
from workbench.exports import export as write_export
from workbench.exports.fdb_dataset import DATASET, DATASET_HELP, write_dataset
from workbench.retention import rule_of
from workbench.retention import sweep as sweep_in
from workbench.store import Erasure, read_trace, verify
from workbench.store import erase as erase_in
from workbench.trace import Trace

BROKEN = 1  # exit code for a trace that was changed after it was written
TracePath = Annotated[Path, typer.Argument(help="A trace file, or a folder with trace.sqlite.")]


def inspect(
    trace: TracePath,
    why_at: Annotated[str | None, typer.Option("--why", help="Explain the decision at this time, e.g. 12.4s.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """What was said when and why; with --why, one decision in words and numbers. Exit code 1 where the hash chain does not hold."""
    path = trace_path(trace)
    session, report = read_trace(path), verify(path)
    if why_at is not None:
        explanation = why(session, seconds(why_at, "--why"))
        typer.echo(json.dumps(explanation.to_json(), indent=1) if as_json else str(explanation))
    elif as_json:
        rows = [asdict(row) for row in summary(session)]
        chain = {"ok": report.ok, "problems": list(report.problems), **report.facts}
        typer.echo(json.dumps({"header": _header(session), "said": rows, "chain": chain, "cost": _costs(session, path)}, indent=1))
    else:
        out_console.print(_facts(session), markup=False)
        out_console.print(_cost(session, path), markup=False, soft_wrap=True)
        out_console.print(said_table(summary(session)))
        tell_missing(path, session, report)
        if report.ok:
            out_console.print(f"hash chain: {report}", markup=False, soft_wrap=True)
    if not report.ok:
        error_console.print(f"hash chain: {report}", markup=False, soft_wrap=True)
        raise typer.Exit(BROKEN)


def erase(
    trace: TracePath,
    stream: Annotated[str, typer.Option(help="The stream to erase, e.g. user.audio.")],
    who: Annotated[str, typer.Option(help="Who asked for it; kept in the record of the erasure.")],
    why_: Annotated[str, typer.Option("--why", help="Why; kept in the record of the erasure.")],
    from_: Annotated[str, typer.Option("--from", help="From when on, e.g. 3.2s (default: the beginning).")] = "0",
    to: Annotated[str | None, typer.Option("--to", help="Until when, e.g. 5s (default: the end).")] = None,
    words: Annotated[bool, typer.Option("--words/--keep-words", help="Erase the words that repeat it too, also later ones.")] = True,
) -> None:
    """Remove a stretch of one stream from the file for good; the hash chain still verifies, and the erasure is on record.

    Exit code 1 where the hash chain did not hold before.
    """
    path = trace_path(trace)
    session = read_trace(path)
    clock = session.header.clock
    last = len(session) - 1 if to is None else clock.first_tick_from(seconds(to, "--to")) - 1
    erasure = Erasure(stream=stream, from_tick=clock.tick_at(seconds(from_, "--from")), to_tick=last, who=who, why=why_, words=words)
    count = erase_in(path, erasure)
    report = verify(path)
    typer.echo(f"erased {count} payloads and events of {stream} in ticks {erasure.from_tick} to {last}; {report}")
    beside = [name for name in ("input.wav", "output.wav", "output.json", "timeline.html") if (path.parent / name).exists()]
    if beside:
        error_console.print(f"not touched, and may hold the same: {', '.join(beside)}; delete or export them again", markup=False)
    if not report.ok:
        raise typer.Exit(BROKEN)


def export(
    trace: Annotated[Path, typer.Argument(help=f"A trace file, or a folder with trace.sqlite; for {DATASET} a folder of those too.")],
    to: Annotated[str, typer.Option(help="; ".join(f"{name}: {about(name)}" for name in EXPORTS) + f"; {DATASET}: {DATASET_HELP}.")],
    out: Annotated[Path, typer.Option(help="Folder for the files; made if absent.", callback=out_folder)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help=f"Replace files of the format in --out; {DATASET} replaces none.")] = False,
) -> None:
    """Write a trace in the format of other programs, which --to names."""
    if to == DATASET:
        _export_dataset(trace, out)
        return
    given, beside = trace_path(trace), out / TRACE_NAME
    if to != "fdb" or not (beside.exists() and given.exists() and beside.samefile(given)):  # beside its trace, they were made of it
        nothing_there(out, files_of(to), overwrite)
    for path in write_export(sound_trace(given), to, out):
        typer.echo(str(path))


def _export_dataset(given: Path, out: Path) -> None:
    """Many traces as samples of a benchmark; says how many there are of each subset, and which traces have no place in it."""
    done = write_dataset(given, out)
    subsets = Counter(place.rpartition("/")[0] for place in done.samples)
    for subset, count in subsets.items():
        typer.echo(f"{out / subset}: {count} sample{'s' * (count != 1)}")
    for name, why_not in done.left_out.items():
        error_console.print(f"left out {name}: {why_not}", markup=False, soft_wrap=True)


def sweep(
    folder: Annotated[Path, typer.Argument(help="A folder with traces, in folders of their own or not.")],
    keep: Annotated[
        list[str],
        typer.Option(
            help="How long is kept what: STREAM=AGE with the words that repeat it, or all=AGE for whole sessions, e.g. user.audio=30d; "
            "repeat for more."
        ),
    ],
    person: Annotated[
        str, typer.Option(help="Only sessions of the person with this login or address; with --keep all=0d all that there is of them.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
) -> None:
    """Erase what is older than it may be kept: streams of sessions, or whole sessions, of everybody or of one person. For a cron job."""
    count = 0
    for swept in sweep_in(folder, [rule_of(text) for text in keep], now=utc_now(), person=person, only_tell=dry_run):
        typer.echo(str(swept))
        count += not swept.problem
    typer.echo(f"{count} {'would go' if dry_run else 'gone'}")


def _header(session: Trace) -> dict[str, object]:
    header = session.header
    names = ("seed", "participants", "versions", "consent", "labels", "created")
    return {"clock": asdict(header.clock), "duration_s": session.duration_s, **{name: getattr(header, name) for name in names}}


def _costs(session: Trace, path: Path) -> dict[str, Any]:
    """What a session has cost; `flops` is None where its trace does not tell what its model takes."""
    flops = ModelFlops.told(session.header.labels)
    cost = spent_in(session).told(session.duration_s, flops=flops, kept_bytes=bytes_of(path))
    names = ("positions", "flops", "computed_ms", "tasks", "background_s", "background_tokens", "tool_calls", "kept_bytes")
    return {name: getattr(cost, name) for name in names} | ({"flops": None} if flops == NO_MODEL else {})


def _cost(session: Trace, path: Path) -> str:
    cost = _costs(session, path)
    flops = "FLOPs not known" if cost["flops"] is None else f"{cost['flops'] / 1e9:.4g} GFLOP"
    return (
        f"cost: {cost['positions']} positions, {flops}, {cost['computed_ms'] / 1000:.1f} s of computing; "
        f"{cost['tasks']} tasks of slow work, {cost['background_s']:g} s, {cost['background_tokens']} tokens, "
        f"{cost['tool_calls']} calls of tools; {cost['kept_bytes'] / 1e6:.2f} MB kept"
    )


def _facts(session: Trace) -> str:
    header = session.header
    labels = ", ".join(f"{name} {value}" for name, value in header.labels.items()) or "no labels"
    versions = ", ".join(f"{name} {value}" for name, value in header.versions.items())
    return (
        f"{session.duration_s:.1f} s in {len(session)} micro-turns of {header.clock.tick_ms} ms, seed {header.seed}, "
        f"made {header.created} with {versions}\n{labels}\nparticipants: {json.dumps(header.participants, default=dict)}"
    )
