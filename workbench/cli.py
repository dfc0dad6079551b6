"""The console command `microturn`. Each command lives in a `commands_*` module; errors of the workbench end in one line and exit code 2."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console

from workbench import (
    commands_dashboard,
    commands_evaluate,
    commands_judge,
    commands_live,
    commands_run,
    commands_score,
    commands_serve,
    commands_trace,
)
from workbench.errors import WorkbenchError

FAILED = 2  # exit code of an error that names its fix

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run, train, score, replay and inspect interaction models: agents that listen and speak at once in 200 ms micro-turns.",
)
app.command()(commands_run.run)
app.command()(commands_score.train)
app.command()(commands_evaluate.evaluate)
app.command()(commands_score.score)
app.command()(commands_judge.judge)
app.command()(commands_run.replay)
app.command()(commands_run.fork)
app.command()(commands_live.talk)
app.command()(commands_serve.serve)
app.command()(commands_trace.inspect)
app.command()(commands_trace.erase)
app.command()(commands_trace.export)
app.command()(commands_trace.sweep)
app.command()(commands_dashboard.dashboard)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line (default: that of the process). Ends the process: 0 done, 1 a comparison failed, 2 an error."""
    try:
        app(args=None if arguments is None else list(arguments))
    except WorkbenchError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", markup=False, style="red")
        raise SystemExit(FAILED) from None
    except OSError as error:
        if error.filename is None:  # not about a file: a mistake of ours, to be seen whole
            raise
        told = f"error: {error.filename}: {error.strerror}; check the path, its permissions and the room that is left"
        Console(stderr=True, soft_wrap=True, highlight=False).print(told, markup=False, style="red")
        raise SystemExit(FAILED) from None
