"""What several commands share: agents by name, traces by path, times by text, tables and progress on the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from workbench.adapters import ADAPTERS, adapted, usage
from workbench.background.tool_files import TOOLS_HELP
from workbench.background.wiring import BACKGROUND_HELP, FETCH_HELP
from workbench.clock import StopWatch
from workbench.costs import LIMIT_HELP
from workbench.errors import CheckpointError, InputError
from workbench.events import PayloadErased
from workbench.explain import Row
from workbench.exports import export
from workbench.exports.fdb import FILES
from workbench.given import KEEP_HELP, folder_to_write
from workbench.policy_text import POLICY_HELP
from workbench.report import Report
from workbench.session import Participant
from workbench.store import read_trace, verified
from workbench.trace import Trace
from workbench.voices import VOICE_SETS

TRACE_NAME = "trace.sqlite"
WRITTEN = (TRACE_NAME, *FILES, "timeline.html")  # of a run
AGENTS = ("nano", "silent", "always-talking", "oracle", "echo")  # those that are ours; workbench.adapters has the others
RECORDED = "recorded:"
AGENT_HELP = ", ".join((*AGENTS, *usage()))
VOICES_HELP = f"Voice set of the scenario: {', '.join(VOICE_SETS)}; part of a set: flite:NAME, recorded:NAME, learners:LANGUAGE."

Background = Annotated[str, typer.Option("--background", help=BACKGROUND_HELP)]
Fetch = Annotated[list[str] | None, typer.Option("--fetch", help=FETCH_HELP)]
ToolFiles = Annotated[list[Path] | None, typer.Option("--tools", help=TOOLS_HELP)]
AtMost = Annotated[list[str] | None, typer.Option("--limit", help=LIMIT_HELP)]
Policies = Annotated[list[str] | None, typer.Option("--policy", help=POLICY_HELP)]
Kept = Annotated[list[str] | None, typer.Option("--keep", help=KEEP_HELP)]

PIPE_WIDTH = 160  # columns of tables that go to a file or a pipe

out_console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
error_console = Console(stderr=True, highlight=False)


def make_agent(name: str, checkpoint: Path | None = None, threshold: float | None = None) -> Participant:
    """The agent of that name; `checkpoint` and `threshold` are for the neural one. Raises InputError or CheckpointError.

    What follows a colon is an adapter's settings: "recorded:FOLDER" says what output.wav of the folder says, "pipeline:NAME=VALUE,..." is
    the pipeline with these knobs.
    """
    kind, _, more = name.partition(":")
    if name not in AGENTS and kind not in ADAPTERS:
        raise InputError(f"no agent called {name!r}; there are {AGENT_HELP}")
    if name == "nano":
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError(f"threshold {threshold} is no probability; give a number from 0 to 1")
        from workbench.neural import load_agent

        return load_agent(checkpoint, 0.5 if threshold is None else threshold)
    if checkpoint is not None or threshold is not None:
        raise InputError(f"agent {name!r} has no checkpoint and no threshold; leave --checkpoint and --threshold out, or use --agent nano")
    if kind in ADAPTERS:
        return adapted(kind, more)
    from workbench.agents import AlwaysTalkingAgent, EchoAgent, OracleAgent, SilentAgent

    simple: dict[str, Callable[[], Participant]] = {
        "silent": SilentAgent,
        "always-talking": AlwaysTalkingAgent,
        "oracle": OracleAgent,
        "echo": EchoAgent,
    }
    return simple[name]()


def trace_path(path: Path) -> Path:
    """The trace file meant by a path: the file itself, or trace.sqlite in a folder."""
    return path / TRACE_NAME if path.is_dir() else path


def seconds(text: str, option: str) -> float:
    """A time such as "12.4" or "12.4s" in seconds. Raises InputError for anything else."""
    try:
        value = float(text.strip().removesuffix("s"))
    except ValueError:
        raise InputError(f"{option} {text!r} is no time; give seconds, e.g. 12.4 or 12.4s") from None
    if not math.isfinite(value):
        raise InputError(f"{option} {text!r} is no time; give seconds, e.g. 12.4 or 12.4s")
    if value < 0:
        raise InputError(f"{option} {text!r} lies before the session; give seconds from 0 on, e.g. 12.4s")
    return value


def out_folder(out: Path | None) -> Path | None:
    """What --out names, before anything is done for it. Raises InputError where it cannot be a folder."""
    return out if out is None else folder_to_write(out, "--out")


def checkpoint_there(checkpoint: Path | None) -> Path | None:
    """The checkpoint, before what loads it is imported. Raises CheckpointError where there is none."""
    if checkpoint is not None and not checkpoint.exists():
        raise CheckpointError(f"no checkpoint at {checkpoint}; give --checkpoint FILE, or train one with `make train`")
    return checkpoint


def sound_trace(path: Path) -> Trace:
    """The session of a file whose hash chain holds; what was erased of it or not kept is told on the error stream.

    Raises TraceError for a file that was changed after it was written: what is said of such a session is said of another.
    """
    report = verified(path)
    trace = read_trace(path)
    tell_missing(path, trace, report)
    return trace


def tell_missing(path: Path, trace: Trace, report: Report) -> None:
    """What was erased of a session or not kept, on the error stream; `report` is that of `verify`."""
    for line in (*_erased(trace, report), *_not_kept(trace)):
        error_console.print(f"{path}: {line}", markup=False, soft_wrap=True)


def _erased(trace: Trace, report: Report) -> list[str]:
    """What was erased of a session: a line for each erasure on record, or how much is gone without one."""
    erasures = [event for _, event in trace.events(PayloadErased)]
    payloads, events = report.facts["erased"], report.facts["erased_events"]
    if (payloads or events) and not erasures:
        return [f"{payloads} payloads and {events} events are gone, and no erasure is on record"]
    return [
        f"{e.stream} was erased in ticks {e.from_tick} to {e.to_tick} ({e.who}: {e.why}); what rests on it cannot be told any more"
        for e in erasures
    ]


def _not_kept(trace: Trace) -> list[str]:
    """What the file of a session was not to keep, a line for each stream."""
    return [
        f"{stream} was not kept (retention {how!r}); it is empty here, and what rests on it cannot be told"
        for stream, how in trace.not_kept.items()
    ]


def nothing_lost(out: Path, reads: Sequence[Path], names: Sequence[str] = WRITTEN) -> None:
    """That none of the files that are read is one of those of `names` that are to be written in `out`. Raises InputError otherwise."""
    for path in reads:
        if any(path.exists() and (out / name).exists() and path.samefile(out / name) for name in names):
            raise InputError(f"{path} is read here and would be written over; give another folder with --out")


def nothing_there(out: Path, names: Sequence[str], overwrite: bool) -> None:
    """That no file of these names is in `out`, or may be replaced. Raises InputError otherwise."""
    there = [out / name for name in names if (out / name).exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]} exists; give another --out, or --overwrite to replace what is there")


def fresh_folder(out: Path, overwrite: bool) -> Path:
    """The folder for a run, made if absent.

    Raises InputError when a file of a run's is in it already, which may be somebody's own recording, and `overwrite` is not given.
    """
    nothing_there(out, WRITTEN, overwrite)
    out.mkdir(parents=True, exist_ok=True)
    for companion in ("", "-wal", "-shm"):
        (out / f"{TRACE_NAME}{companion}").unlink(missing_ok=True)
    return out


def write_run(trace: Trace, out: Path) -> list[Path]:
    """The files of a run beside its trace: both sides as WAV, the agent's timed words, and the timeline page."""
    files = export(trace, "fdb", out)
    page = import_module("widgets.page").write_timeline(trace, out / "timeline.html")
    return [out / TRACE_NAME, *files, Path(page)]


def said_table(rows: Sequence[Row], title: str = "") -> Table:
    """What was said when and why, for the terminal."""
    table = Table(title=title or None, title_justify="left", expand=False)
    for name, justify in (("from, s", "right"), ("to, s", "right"), ("ticks", "right"), ("who", "left"), ("said", "left"), ("why", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    for row in rows:
        first, last = row.ticks
        ticks = str(first) if first == last else f"{first}-{last}"
        cells = (f"{row.start_s:.2f}", f"{row.end_s:.2f}", ticks, row.who, row.what, row.why)
        table.add_row(*(cell.replace("[", r"\[") for cell in cells), style="bold" if row.who == "agent" else "")
    return table


class Show(Protocol):
    """Takes how much is done so far, and of how much when that was not known before."""

    def __call__(self, done: int, total: int | None = None) -> None: ...


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Show]:
    """A progress bar on the error stream where that is a terminal; yields the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=error_console, transient=True, disable=not error_console.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def show(done: int, total: int | None = None) -> None:
            bar.update(task, completed=done, total=total)

        yield show


@contextmanager
def long_progress(what: str, each: str, every_s: float = 30.0, watch: StopWatch | None = None) -> Iterator[Show]:
    """Progress with an estimate of what is left: a bar on a terminal, elsewhere a line of the error stream every `every_s`.

    What is done in the first call was done before, and does not count for the estimate.
    """
    if error_console.is_terminal:
        with progress(what) as show:
            yield show
        return
    lap = (watch or StopWatch()).lap_ms
    before: list[int] = []
    elapsed_s, told_s = 0.0, 0.0

    def tell(done: int, total: int | None = None) -> None:
        nonlocal elapsed_s, told_s
        if not before:
            before.append(done)
        elapsed_s += lap() / 1000
        if elapsed_s - told_s >= every_s:
            told_s = elapsed_s
            error_console.print(f"{what}: {estimate(before[0], done, total or done, elapsed_s, each)}", markup=False, soft_wrap=True)

    yield tell


def estimate(before: int, done: int, total: int, elapsed_s: float, each: str) -> str:
    """How far something is, how fast it goes and how long it will take; `before` of it had been done when it began."""
    rate = (done - before) / elapsed_s if elapsed_s > 0 else 0.0
    if rate == 0:
        return f"{done} of {total} {each}"
    left_s = (total - done) / rate
    left = f"{left_s / 3600:.1f} h" if left_s >= 5400 else f"{left_s / 60:.0f} min" if left_s >= 90 else f"{left_s:.0f} s"
    return f"{done} of {total} {each}, {rate:.2g} a second, about {left} left"
