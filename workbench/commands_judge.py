"""The command that lets a language model judge what no truth says: behaviour and relevance in folders of Full-Duplex-Bench."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from workbench.background.chat import ChatSpec
from workbench.commands_common import long_progress, out_console
from workbench.judge.folders import READINGS, Judged, judge_folder
from workbench.judge.verdicts import REVISION, Judge


def judge(
    folder: Annotated[Path, typer.Argument(help="A folder in the benchmark's layout, {subset}/{id}/.")],
    url: Annotated[str, typer.Option(help="A server that speaks chat completions, e.g. http://127.0.0.1:8000/v1.")],
    model: Annotated[str, typer.Option(help="The name by which the server knows the model.")],
    key_env: Annotated[str, typer.Option(help="The variable of the environment that holds the key.")] = "JUDGE_API_KEY",
    reading: Annotated[str, typer.Option(help=f"Which label counts: {', '.join(READINGS)}.")] = "onset",
    cache: Annotated[Path | None, typer.Option(help="Where verdicts are kept (default: verdicts in the folder).")] = None,
) -> None:
    """Let a model label behaviour (content_tag.json) and rate relevance (rating.json); what it has judged it is not asked again."""
    asked = Judge(ChatSpec(url=url, model=model), cache or folder / "verdicts", os.environ.get(key_env, ""))
    done = 0
    with long_progress(f"{model} judges", "samples") as show:

        def told(one: Judged) -> None:
            nonlocal done
            done += 1
            show(done)

        found = judge_folder(folder, asked, reading, told)
    verdicts = [verdict for one in found for verdict in one.verdicts]
    kept = sum(verdict.kept for verdict in verdicts)
    out_console.print(f"{len(found)} samples judged by {model}, rubrics revision {REVISION}; {kept} of {len(verdicts)} verdicts were there")
    for (rubric, value), number in sorted(Counter((verdict.rubric, str(verdict.value)) for verdict in verdicts).items()):
        out_console.print(f"  {rubric}: {value} {number}", markup=False)
