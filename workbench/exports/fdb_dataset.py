"""Many traces as the data sets of Full-Duplex-Bench: `v1_0/{subset}/{id}/` and `v1_5/{scenario}/{id}/`, as its archive unpacks.

Which trace is a sample of what, where its annotated event lies and where the sample ends is what `workbench.scoring.fdb_scenarios` says, so
that the files score as the traces do. Subsets have the benchmark's names, since its readers know no others; the data in them are ours
and no others, and `about.json` at the top says so (`microturn score` then calls the data "scenario"), says of which session each sample
is, and names what was left out and why. Beside the benchmark's own files a sample has `voice.json`: where the truth has people speak
and the agent sounds, which a detector would guess.

Not written, since no trace has them: `clean_output.*` (run an agent on `clean_input.wav`, where the event is silence) and the histograms of
people's back-channels. `output.json` holds the agent's words of the whole sample, also in `synthetic_user_interruption`, where the
official recogniser step leaves those after the interruption; `microturn score` does so itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.audio_io import write_wav
from workbench.errors import InputError, TraceError
from workbench.events import TruthExpect, TruthWord
from workbench.exports.fdb import words_body
from workbench.exports.fdb_folder import VERSIONS, sample_folders, write_annotation, write_label, write_voice
from workbench.given import folder_to_write
from workbench.packets import AGENT_AUDIO, USER_AUDIO, Audio
from workbench.scoring.fdb_sample import Sample, Span
from workbench.scoring.fdb_scenarios import V1_FAMILIES, V15_FAMILIES, v1_samples, v15_sample
from workbench.scoring.fdb_v15 import DESIRED, Labelled
from workbench.sounds import NOISE
from workbench.store import read_trace, verified
from workbench.trace import Trace
from workbench.version import VERSION

DATASET = "fdb-dataset"
DATASET_HELP = "traces as the data sets of Full-Duplex-Bench v1 and v1.5, with annotations"
ABOUT, MADE_WITH = "about.json", "made_with"
SUBSETS: Mapping[str, str] = {
    "pause_handling": "synthetic_pause_handling",
    "turn_taking": "candor_turn_taking",
    "backchannel": "icc_backchannel",
    "user_interruption": "synthetic_user_interruption",
}
OURS = (
    "sessions of the Microturn Workbench's own scenarios, not the recordings of Full-Duplex-Bench; "
    "numbers on them are not to be set beside numbers on the benchmark"
)


@dataclass(frozen=True)
class Dataset:
    """What was written: folders of samples below the top with the session of each, and the sessions left out with the reason."""

    samples: Mapping[str, str]
    left_out: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One sample on its way into files: its place below the top, what is read of it, and in v1.5 the label that the truth gives."""

    version: str
    subset: str
    sample: Sample
    label: Labelled | None = None


def write_dataset(given: Path, root: Path) -> Dataset:
    """Write the trace or the folder of traces `given` below `root`, made if absent.

    Samples are numbered from 1 in each subset, in the order of the trace files. Raises InputError where there is no trace, where none of
    them has a place in the benchmark, and where `root` holds samples already, TraceError where the only trace cannot be read or was
    changed after it was written.
    """
    files = trace_files(given)
    _refuse_old(root)
    counts: dict[str, int] = {}
    samples: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, path in files.items():
        try:
            verified(path)
            trace = read_trace(path)
        except TraceError as error:
            if len(files) == 1:
                raise
            left_out[name] = str(error)
            continue
        cases = [] if _silent(trace) else list(cases_of(trace, name))
        if not cases:
            left_out[name] = _why_not(trace)
        for case in cases:
            counts[case.subset] = counts.get(case.subset, 0) + 1
            place = f"{case.version}/{case.subset}/{counts[case.subset]}"
            _write(trace, case, root / place)
            samples[place] = name
    if not samples:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:3])
        raise InputError(f"none of the {len(files)} traces of {str(given)!r} has a place in Full-Duplex-Bench ({reasons})")
    body = {"benchmark": "Full-Duplex-Bench, layouts v1.0 and v1.5", "data": OURS, MADE_WITH: f"microturn {VERSION}"}
    _write_json(root / ABOUT, {**body, "samples": samples, "left_out": left_out})
    return Dataset(samples, left_out)


def is_ours(root: Path) -> bool:
    """Whether a folder, or the one above it, is a data set that `write_dataset` wrote, and not the benchmark's."""
    for path in (root / ABOUT, root.parent / ABOUT):
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(body, dict) and str(body.get(MADE_WITH, "")).startswith("microturn"):
            return True
    return False


def trace_files(given: Path) -> dict[str, Path]:
    """The trace files that a path means, by their names below it: a file, or every *.sqlite in a folder and the folders in it."""
    if given.is_file():
        return {given.name: given}
    files = {path.relative_to(given).as_posix(): path for path in sorted(given.rglob("*.sqlite"))} if given.is_dir() else {}
    if not files:
        raise InputError(
            f"{str(given)!r} is no trace and no folder with traces; give one with .sqlite files, e.g. the --out of microturn run"
        )
    return files


def cases_of(trace: Trace, name: str) -> Iterator[Case]:
    """The samples of one trace: at most one a task of v1, and one of v1.5."""
    for task, sample in v1_samples(trace, name).items():
        yield Case(version="v1_0", subset=SUBSETS[task], sample=sample)
    if (event := v15_sample(trace, name)) is not None:
        scenario, sample, label = event
        yield Case(version="v1_5", subset=scenario, sample=sample, label=label)


def _refuse_old(root: Path) -> None:
    """Numbers of an older export would stay beside new ones."""
    folder_to_write(root)
    old = [
        f"{version}/{subset}" for version in VERSIONS for subset in (*SUBSETS.values(), *DESIRED) if sample_folders(root / version / subset)
    ]
    if old:
        raise InputError(f"{str(root)!r} holds samples already ({', '.join(old)}); give another folder, or delete them first")


def _silent(trace: Trace) -> list[str]:
    """The streams of sound that the file of a trace was not to keep: a sample of it would be silence under another name."""
    return [stream for stream in (USER_AUDIO, AGENT_AUDIO) if stream in trace.not_kept]


def _why_not(trace: Trace) -> str:
    if silent := _silent(trace):
        return f"{' and '.join(silent)} {'was' if len(silent) == 1 else 'were'} not kept in it, and a sample is sound"
    if not any(trace.events(TruthExpect)):
        return "it knows no truth, and the benchmark needs annotated times; write it by itself with --to fdb"
    family = trace.header.labels.get("family", "session")
    there = f"v1.0 looks for its own in {', '.join(V1_FAMILIES)}, v1.5 in {', '.join(V15_FAMILIES)}"
    return f"in this session of {str(family)!r} no situation of the benchmark comes up; {there}"


# The files of one sample -----------------------------------------------------------------------------------------------------


def _write(trace: Trace, case: Case, folder: Path) -> None:
    """Everything of one sample, cut where it ends."""
    sample, rate = case.sample, trace.header.clock.sample_rate
    folder.mkdir(parents=True)
    ends = trace.header.clock.samples(sample.duration_s)
    heard = trace.audio(USER_AUDIO)[:ends]
    write_wav(folder / "input.wav", heard, rate)
    write_wav(folder / "output.wav", trace.audio(AGENT_AUDIO)[:ends], rate)
    _write_json(folder / "output.json", words_body([(w.text, w.start_s, w.until_s) for w in sample.words]))
    write_voice(folder, sample)
    words = _people(trace, sample.duration_s)
    texts = _texts(words, sample.mark())
    write_annotation(folder, case.subset, [sample.mark()], texts)
    if case.version == "v1_5":
        _write_pair(folder, case, words, heard, rate)
    else:
        _write_json(folder / "transcription.json", _transcription(words))
    if case.subset == SUBSETS["user_interruption"]:
        begins, stops = (round(at_s * rate) for at_s in sample.mark())
        write_wav(folder / "context.wav", heard[:begins], rate)
        write_wav(folder / "interrupt.wav", heard[begins:stops], rate)


def _write_pair(folder: Path, case: Case, words: Sequence[TruthWord], heard: Audio, rate: int) -> None:
    """What v1.5 has besides: the user's side without the event, both sides' words as text, and the label."""
    begins_s, ends_s = case.sample.mark()
    clean = heard.copy()
    clean[round(begins_s * rate) : round(ends_s * rate)] = 0
    write_wav(folder / "clean_input.wav", clean, rate)
    outside = [word for word in words if not begins_s <= word.start_s < ends_s]
    for name, kept in (("input.json", words), ("clean_input.json", outside)):
        _write_json(folder / name, words_body([(word.word, word.start_s, word.end_s) for word in kept]))
    if case.label is not None:
        write_label(folder, case.label)


def _people(trace: Trace, ends_s: float) -> list[TruthWord]:
    """What people say in a sample, in order."""
    return sorted((e for _, e in trace.events(TruthWord) if e.word != NOISE and e.start_s < ends_s), key=lambda e: e.start_s)


def _texts(words: Sequence[TruthWord], event: Span) -> tuple[str, str]:
    """What people said before an event, and in it."""
    before = [word.word for word in words if word.start_s < event[0]]
    return " ".join(before), " ".join(word.word for word in words if event[0] <= word.start_s < event[1])


def _transcription(words: Sequence[TruthWord]) -> list[dict[str, Any]]:
    """Words by speaker, the first who speaks is 0: the shape of transcription.json."""
    speakers = dict.fromkeys(word.speaker for word in words)
    return [
        {
            "speaker": number,
            "item": [{"text": word.word, "timestamp": [word.start_s, word.end_s]} for word in words if word.speaker == speaker],
        }
        for number, speaker in enumerate(speakers)
    ]


def _write_json(path: Path, body: object) -> None:
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
