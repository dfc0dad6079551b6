"""Commands that run sessions: run, replay, fork."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.background.tool_files import tools_of
from workbench.background.wiring import wired
from workbench.cast import Cast
from workbench.clock import ClockSpec
from workbench.commands_common import (
    AGENT_HELP,
    RECORDED,
    TRACE_NAME,
    VOICES_HELP,
    AtMost,
    Background,
    Fetch,
    Kept,
    Policies,
    ToolFiles,
    checkpoint_there,
    error_console,
    fresh_folder,
    make_agent,
    nothing_lost,
    out_console,
    out_folder,
    progress,
    said_table,
    seconds,
    sound_trace,
    trace_path,
    write_run,
)
from workbench.compare import differing_choices
from workbench.conditions import EXAMPLES
from workbench.costs import Meter, Metered, allowed_by, bytes_of, in_words, model_flops_of
from workbench.errors import InputError
from workbench.events import Decision
from workbench.explain import summary
from workbench.exports.fdb import FILES
from workbench.given import keeps_of, seed_within, streams_there
from workbench.own_families import known
from workbench.packets import USER_AUDIO
from workbench.scenarios.dial import USUAL
from workbench.session import Participant, Session
from workbench.store import RETENTIONS, Keep, TraceWriter, read_trace, rounded, save_trace
from workbench.trace import Trace, record
from workbench.typist import Line, silence, typing
from workbench.users import RecordedUser, ScriptedUser

EXACT = Keep(codec="f32")  # what was run replays bit for bit

OutFolder = Annotated[Path, typer.Option(help="Folder for the files; made if absent.", callback=out_folder)]


def _known(asked: str | None) -> str | None:
    """The name of a family, read from its file where it is the user's own."""
    return None if asked is None else known(asked)


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run that is already in --out.")]
Checkpoint = Annotated[
    Path | None, typer.Option(help="Checkpoint of the neural agent (default: the shipped one).", callback=checkpoint_there)
]
Under = Annotated[
    list[str] | None,
    typer.Option("--condition", help=f"{EXAMPLES}; repeat for more."),
]
OwnScenario = Annotated[str | None, typer.Option(help="own:FILE.py, where the session was of a family of yours.", callback=_known)]
Threshold = Annotated[float | None, typer.Option(help="p(speak) at which the neural agent speaks (default 0.5).")]


def run(
    out: OutFolder,
    user: Annotated[Path | None, typer.Option(help="A sound file to play to the agent (any rate, width, channels).")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="A scenario family to play, e.g. answer, stop, timer; own:FILE.py is yours.", callback=_known)
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same scenario.", callback=seed_within)] = 0,
    voice: Annotated[str, typer.Option("--voice", "--voices", help=VOICES_HELP)] = "unseen",
    difficulty: Annotated[
        float | None, typer.Option(help=f"Of the scenario, from 0 to 1; what it changes stands with the family (default {USUAL:g}).")
    ] = None,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TIME:TEXT", help='A line that the user types, e.g. "2.0s:count to eight"; repeat for more.'),
    ] = None,
    lasts: Annotated[str, typer.Option(help="How long a session lasts in which lines are only typed, e.g. 12s.")] = "",
    agent: Annotated[str, typer.Option(help=f"{AGENT_HELP}.")] = "nano",
    checkpoint: Checkpoint = None,
    threshold: Threshold = None,
    condition: Under = None,
    background: Background = "",
    fetch: Fetch = None,
    tools: ToolFiles = None,
    policy: Policies = None,
    limit: AtMost = None,
    keep: Kept = None,
    overwrite: Overwrite = False,
) -> None:
    """Let an agent hear a recording or a scenario; write trace, sound, words and timeline, and print what was said when and why."""
    recorded = Path(agent.removeprefix(RECORDED)) if agent.startswith(RECORDED) else None
    if recorded is not None and scenario is None and user is None:
        user = recorded / "input.wav"
    files = [recorded / name for name in FILES] if recorded is not None else []
    nothing_lost(out, [*files, *(path for path in (user, checkpoint, *(tools or [])) if path is not None)])
    asked = Asked(
        recording=user,
        scenario=scenario,
        seed=seed,
        voice=voice,
        conditions=tuple(condition or []),
        difficulty=difficulty,
        typed=tuple(type_ or []),
        lasts=lasts,
    )
    person, labels, ticks = _user(asked)
    if agent == "oracle" and scenario is None:
        raise InputError("agent 'oracle' follows the orders of a scenario; give --scenario FAMILY instead of --user")
    keeps = keeps_of(keep or [], EXACT.codec)
    made = make_agent(agent, checkpoint, threshold)
    flops = model_flops_of(made)
    meter = Meter(ClockSpec(), allowed_by(limit or []), flops)
    labels |= flops.label
    chosen, beside = wired(made, background, policy or [], live=False, fetch=fetch or [], tools=tools_of(tools or []))
    scripted = person if isinstance(person, ScriptedUser) and not beside else None
    session = Session.start([person, chosen, *beside] if scripted is None else Cast(chosen).of(scripted), seed=seed)
    streams_there(keeps, session.participants)
    trace = record(session, labels=labels, consent={"retention": {name: how.retention for name, how in keeps.items()}})
    out = fresh_folder(out, overwrite)
    with TraceWriter(out / TRACE_NAME, trace.header, keep=keeps, default=EXACT) as writer:
        session.sinks = (Metered(meter, (*session.sinks, writer), lambda: bytes_of(out / TRACE_NAME)),)
        with progress("running", ticks) as show:
            while not session.done and session.tick < ticks and meter.reached is None:
                session.step()
                show(session.tick)
    if meter.reached is not None:
        error_console.print(f"ended at {meter.reached.at_s:.1f} s: {in_words(meter.reached)}, or give another --limit", markup=False)
    _print_run(trace, _write(trace, out, keeps))


def replay(
    trace: Annotated[Path, typer.Argument(help="A trace file, or a folder with trace.sqlite.")],
    checkpoint: Checkpoint = None,
    threshold: Threshold = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files of the new run; none are written without it.", callback=out_folder)
    ] = None,
    overwrite: Overwrite = False,
    scenario: OwnScenario = None,
) -> None:
    """Run a recorded session again and compare: exit code 0 when every decision is the same, 1 when not.

    With --checkpoint or --threshold what was chosen is compared, not how likely it was; and where a simulated session's sound was rounded
    as it was kept, as evaluate keeps it.
    """
    from workbench.replay import other_weights
    from workbench.replay import replay as run_again

    if out is not None:
        nothing_lost(out, [trace_path(trace), *([checkpoint] if checkpoint else [])])
    recorded = sound_trace(trace_path(trace))
    agent = _other_agent(recorded, checkpoint, threshold)
    with progress("replaying", None):
        again = run_again(recorded, agent=agent)
    if out is not None:
        folder = fresh_folder(out, overwrite)
        _print_run(again.trace, _save(again.trace, folder, recorded))
    if weights := other_weights(recorded.header, again.trace.header):
        error_console.print(f"{trace_path(trace)}: {weights}", markup=False, soft_wrap=True)
    coarse = again.difference is not None and not recorded.header.labels.get("live") and rounded(trace_path(trace))
    if coarse:
        told = f"{trace_path(trace)}: sound was kept as PCM16 ({', '.join(coarse)}), so the agent hears it rounded; choices are compared"
        error_console.print(told, markup=False, soft_wrap=True)
    by_choice = (agent is not None or bool(coarse)) and any(recorded.events(Decision))
    found = next(iter(differing_choices(recorded, again.trace)), None) if by_choice else again.difference
    if found is None:
        out_console.print(f"the same {'choices ' if by_choice else ''}in all {len(recorded)} ticks")
        return
    at_s = recorded.header.clock.seconds(found.tick)
    out_console.print(f"{'chose otherwise' if by_choice else 'differs'} from {at_s:.1f} s on: {found}", markup=False)
    raise typer.Exit(1)


def fork(
    trace: Annotated[Path, typer.Argument(help="A trace file, or a folder with trace.sqlite.")],
    at: Annotated[str, typer.Option(help="From when on the session is changed, e.g. 12.4s.")],
    out: OutFolder,
    threshold: Annotated[float | None, typer.Option(help="The agent's p(speak) threshold from then on.")] = None,
    mute_user: Annotated[str, typer.Option(help="The user says nothing for this long from then on, e.g. 2s.")] = "0",
    checkpoint: Checkpoint = None,
    overwrite: Overwrite = False,
    scenario: OwnScenario = None,
) -> None:
    """What would have happened otherwise: the session as it was until --at, then changed and run on."""
    from workbench.replay import Edit
    from workbench.replay import fork as run_fork

    at_s, mute_s = seconds(at, "--at"), seconds(mute_user, "--mute-user")
    if threshold is None and mute_s == 0:
        raise InputError("a fork without an edit is a replay; give --threshold 0.7, --mute-user 2s, or both")
    edit = Edit(threshold=threshold, mute_user_s=mute_s)
    nothing_lost(out, [trace_path(trace), *([checkpoint] if checkpoint else [])])
    recorded = sound_trace(trace_path(trace))
    agent = _other_agent(recorded, checkpoint, None)
    with progress("forking", None):
        what_if = run_fork(recorded, at_s, edit, agent=agent)
    folder = fresh_folder(out, overwrite)
    files = _save(what_if.trace, folder, recorded)
    out_console.print(said_table([row for row in summary(recorded) if row.end_s >= at_s], f"as it was, from {at_s:g} s"))
    out_console.print(said_table([row for row in summary(what_if.trace) if row.end_s >= at_s], f"what if, from {at_s:g} s"))
    _print_files(files)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The user side of a run as a command line asks for it."""

    recording: Path | None
    scenario: str | None
    seed: int
    voice: str
    conditions: tuple[str, ...]
    difficulty: float | None
    typed: tuple[str, ...]
    lasts: str

    def __post_init__(self) -> None:
        if self.scenario is not None and self.typed:
            raise InputError(f"--type {self.typed[0]!r} is for a session without a scenario; give --condition typed:100 beside --scenario")
        if (self.recording is None) == (self.scenario is None) and (self.scenario is not None or not self.typed):
            raise InputError("give either --user FILE or --scenario FAMILY, and not both; or --type TIME:TEXT, alone or beside --user")
        if self.scenario is None and self.conditions:
            where = f"--condition {self.conditions[0]} changes the surroundings of a scenario"
            raise InputError(f"{where}; give --scenario FAMILY instead of --user")
        if self.scenario is None and self.difficulty is not None:
            raise InputError(f"--difficulty {self.difficulty:g} is that of a scenario; give --scenario FAMILY, or leave it out")
        if self.lasts and (self.recording is not None or not self.typed):
            raise InputError(f"--lasts {self.lasts} is for lines that are typed alone; leave it out, or give --type without --user")
        if self.typed and self.recording is None and not self.lasts:
            raise InputError(f"--type {self.typed[0]!r} alone does not say when the session is over; give --lasts too, e.g. --lasts 12s")


def _user(asked: Asked) -> tuple[Participant, dict[str, Any], int]:
    """The user side of a run, its labels, and how many ticks it lasts at most."""
    if asked.scenario is not None:
        from workbench.conditions import parse_condition
        from workbench.scenarios import build

        drawn = build(asked.scenario, asked.seed, asked.voice, USUAL if asked.difficulty is None else asked.difficulty)
        script = parse_condition("+".join(asked.conditions)).on(drawn)
        return ScriptedUser(script), {"family": script.family, **script.labels}, script.max_ticks
    from workbench.audio_io import read_audio

    clock, labels = ClockSpec(), {}
    if asked.recording is None:
        recorded = silence(seconds(asked.lasts, "--lasts"))
    else:
        recorded = RecordedUser(read_audio(asked.recording), label=asked.recording.name)
        labels = {"recording": asked.recording.name}
    ticks = clock.ticks_in(len(recorded.samples) / clock.sample_rate + recorded.tail_s)
    return typing([_line(option) for option in asked.typed], recorded) if asked.typed else recorded, labels, ticks


def _line(option: str) -> Line:
    """A line and its time from `TIME:TEXT`."""
    at, _, text = option.partition(":")
    if not text.strip():
        raise InputError(f"--type {option!r} is not TIME:TEXT; e.g. --type '2.0s:count to eight'")
    return Line(seconds(at, "--type"), " ".join(text.split()))


def _write(trace: Trace, out: Path, keeps: dict[str, Keep]) -> list[Path]:
    """The files of a run; when a stream is not to be kept in full, they are made of what the trace file kept."""
    limited = any(keep.retention != "full" for keep in keeps.values())
    if limited and keeps.get(USER_AUDIO, EXACT).retention != "full":
        error_console.print("user.audio is not kept: input.wav and the timeline are silent on the user's side", markup=False)
    return write_run(read_trace(out / TRACE_NAME) if limited else trace, out)


def _save(trace: Trace, out: Path, made_of: Trace) -> list[Path]:
    """The files of a session that was made of another, its trace among them; they keep no more of a stream than the other was to keep."""
    keeps = _keeps_of(made_of)
    save_trace(trace, out / TRACE_NAME, keep=keeps, default=EXACT)
    return _write(trace, out, keeps)


def _keeps_of(trace: Trace) -> dict[str, Keep]:
    """How the streams are kept that a trace was not to keep in full: those that were said, and those that were only agreed on."""
    agreed = trace.header.consent.get("retention")
    retentions = {**(agreed if isinstance(agreed, Mapping) else {}), **trace.not_kept}
    return {stream: Keep(how, EXACT.codec) for stream, how in retentions.items() if how in RETENTIONS and how != "full"}


def _other_agent(recorded: Trace, checkpoint: Path | None, threshold: float | None) -> Participant | None:
    """An agent to put in place of the recorded one; None when nothing was asked for."""
    from workbench.made_again import neural_instead

    return None if checkpoint is None and threshold is None else neural_instead(recorded, checkpoint, threshold)


def _print_run(trace: Trace, files: Sequence[Path]) -> None:
    from workbench.scoring.interaction import scores

    rows = summary(trace)
    out_console.print(said_table(rows, f"{trace.duration_s:.1f} s in {len(trace)} micro-turns") if rows else "nobody said anything")
    for score in scores(trace):
        out_console.print(f"{'✓' if score.value else '✗'} {score.explanation}", markup=False)
    _print_files(files)


def _print_files(files: Sequence[Path]) -> None:
    out_console.print("written: " + ", ".join(str(path) for path in files), markup=False, soft_wrap=True)
