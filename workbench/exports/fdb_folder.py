"""Folders of Full-Duplex-Bench read and written: one folder a sample, `{subset}/{id}/`, v1.0 and v1.5.

Every sample has `output.wav` and `output.json`, and an annotation named after its subset:

| subset | annotation | what it marks |
|---|---|---|
| candor_pause_handling, synthetic_pause_handling | pause.json | every pause of the user |
| candor_turn_taking | turn_taking.json | from the end of the user's turn on |
| icc_backchannel | none | |
| synthetic_user_interruption | interrupt.json | the interruption |
| user_interruption, user_backchannel, talking_to_other, background_speech (v1.5) | metadata.json | the overlapping event in input.wav |

Subsets are looked for in a folder itself and, as the archive unpacks, in `v1_0/` and `v1_5/` in it. `voice.json` is ours: where somebody
who knows says that the user and the agent sound: `{"user": [[start_s, end_s], ...], "agent": ..., "source": "how that is known",
"of": digest of that agent's output}`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from workbench.audio_io import read_audio
from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.exports.fdb import write_fdb
from workbench.exports.numbers import finite
from workbench.packets import Audio
from workbench.scoring.fdb_sample import Sample, Span, Word
from workbench.scoring.fdb_v15 import Label, Labelled
from workbench.scoring.reading import sound_spans
from workbench.trace import Trace
from workbench.utterance import RATE

Detect: TypeAlias = Callable[[Audio], Sequence[Span]]  # where a detector finds voice in 16 kHz mono

ANNOTATIONS: Mapping[str, str | None] = {
    "candor_pause_handling": "pause.json",
    "synthetic_pause_handling": "pause.json",
    "candor_turn_taking": "turn_taking.json",
    "icc_backchannel": None,
    "synthetic_user_interruption": "interrupt.json",
    "user_interruption": "metadata.json",
    "user_backchannel": "metadata.json",
    "talking_to_other": "metadata.json",
    "background_speech": "metadata.json",
}
VERSIONS = ("v1_0", "v1_5")
VOICE, TAG, RATING = "voice.json", "content_tag.json", "rating.json"
JUDGED = f"judge ({TAG})"
TEXTS = {"pause.json": "[PAUSE]", "turn_taking.json": "[TURN-TAKING]"}


def read_subset(root: Path, subset: str, detect: Detect | None = None) -> list[Sample]:
    """Every sample of `root/subset`, by name of its folder, numbers in their order. Raises InputError for a broken or missing file."""
    _annotation(subset)
    folder = subset_folder(root, subset)
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}; the benchmark keeps its samples in {{root}}/{{subset}}/{{id}}/")
    return [read_sample(path, subset, detect) for path in sample_folders(folder)]


def subset_folder(root: Path, subset: str) -> Path:
    """Where a subset lies: in `root`, in v1_0 or v1_5 in it; `root/subset` where it is nowhere."""
    places = [root / subset, *(root / version / subset for version in VERSIONS)]
    return next((place for place in places if place.is_dir()), places[0])


def sample_folders(folder: Path) -> list[Path]:
    """The folders of the samples of `{root}/{subset}`, numbers in their order; none where there is no such subset."""
    folder = subset_folder(folder.parent, folder.name)
    found = (p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else ()
    return sorted(found, key=lambda p: (not p.name.isdigit(), p.name.zfill(12), p.name))


def read_sample(folder: Path, subset: str, detect: Detect | None = None) -> Sample:
    """One sample. `detect` finds voice in input.wav and output.wav; without it voice.json tells, or else the energy rule of `sound_spans`.

    The histogram of people's back-channels is kept in one file for all speakers: add it with `dataclasses.replace(sample, reference=...)`.
    """
    name = _annotation(subset)
    output = read_audio(folder / "output.wav")
    relevance, rated_by = _rating(folder / RATING)
    agent, user, source = _voices(folder, output, detect)
    return Sample(
        id=folder.name,
        words=read_words(folder / "output.json"),
        duration_s=len(output) / RATE,
        marks=_marks(folder / name) if name else (),
        voice=agent,
        user_voice=user,
        relevance=relevance,
        rated_by=rated_by,
        source=source,
    )


def _voices(folder: Path, output: Audio, detect: Detect | None) -> tuple[tuple[Span, ...], tuple[Span, ...], str]:
    """Where the agent and the user sound in a sample, and how that and its words are known."""
    voice = detect or (lambda sound: sound_spans(sound, ClockSpec()))
    if detect is None and (folder / VOICE).is_file():
        agent, user, source = _told(folder / VOICE)
        return (agent, user, source) if agent is not None else (tuple(voice(output)), user, f"words and energy of the output; {source}")
    heard = folder / "input.wav"
    found = tuple(voice(read_audio(heard))) if heard.is_file() else ()
    how = getattr(detect, "__name__", "a detector") if detect else "energy"
    return tuple(voice(output)), found, f"words of output.json; voice by {how}"


def _told(path: Path) -> tuple[tuple[Span, ...] | None, tuple[Span, ...], str]:
    """Where the agent and the user sound, and how that is known, by a voice.json; None for an agent whose output is another by now."""
    body = _json(path)
    sides = [body.get(side) for side in ("agent", "user")] if isinstance(body, dict) else []
    spans = [_pairs(side) for side in sides]
    if len(spans) != 2 or None in spans or not isinstance(body.get("source"), str):
        shape = '{"user": [[start_s, end_s], ...], "agent": ..., "source": text}'
        raise InputError(f"{str(path)!r} is not {shape}; mend it, or delete it to have voice detected")
    agent = (spans[0] or ()) if body.get("of") == output_digest(path.parent) else None
    return agent, spans[1] or (), body["source"] if agent is not None else f"the user's as {VOICE} tells"


def _pairs(spans: Any) -> tuple[Span, ...] | None:
    """Spans of a file, None where one is no pair of numbers in order."""
    if not isinstance(spans, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in spans):
        return None
    found = [(finite(start_s), finite(end_s)) for start_s, end_s in spans]
    kept = tuple((a, b) for a, b in found if a is not None and b is not None and a <= b)
    return kept if len(kept) == len(found) else None


def write_voice(folder: Path, sample: Sample) -> None:
    """Keep where the sides of a sample sound in its folder, once its output is there, so that it need not be detected in it again."""
    spans = {"user": [list(span) for span in sample.user_voice], "agent": [list(span) for span in sample.voice]}
    body = {**spans, "source": sample.source, "of": output_digest(folder)}
    (folder / VOICE).write_text(json.dumps(body) + "\n", encoding="utf-8")


def write_label(folder: Path, label: Labelled) -> None:
    """Keep a label of a sample's output, and whose it is."""
    body = {"behaviour": [label.label], "by": label.by, "of": output_digest(folder)}
    (folder / TAG).write_text(json.dumps(body) + "\n", encoding="utf-8")


def output_digest(folder: Path) -> str:
    """What an output is told from another by: what somebody knew of this one (`of`) says nothing about that of another agent."""
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in ("output.wav", "output.json"))).hexdigest()


def read_words(path: Path) -> tuple[Word, ...]:
    """The timed words of an output.json; an end may be null. Raises InputError naming the chunk that breaks the format."""
    chunks = _json(path)
    if not isinstance(chunks, dict) or not isinstance(chunks.get("chunks"), list):
        raise InputError(f'{str(path)!r} is not {{"text": ..., "chunks": [...]}}; write it as the benchmark\'s recogniser step does')
    words = []
    for number, chunk in enumerate(chunks["chunks"]):
        start_s, end_s = _times(chunk, path, number)
        text = chunk.get("text", "")
        if not isinstance(text, str):
            raise InputError(f"chunk {number} of {str(path)!r} has the text {text!r}; it must be a string")
        words.append(Word(text=text, start_s=start_s, end_s=end_s))
    return tuple(words)


def _rating(path: Path) -> tuple[float | None, str]:
    """A judge's relevance, 0 to 5, and which judge's; None where no judge has been, or only of another output (`of`).

    Raises InputError for a broken file.
    """
    if not path.is_file():
        return None, ""
    body = _json(path)
    rating = finite(body.get("rating")) if isinstance(body, dict) else None
    if rating is None or not 0 <= rating <= 5:
        raise InputError(f'{str(path)!r} is not {{"rating": 0 to 5}}; let the judge rate it again')
    if "of" in body and body["of"] != output_digest(path.parent):
        return None, ""
    return rating, _whose(body, f"judge ({RATING})")


def read_label(folder: Path, event: Span) -> Labelled | None:
    """The label of a v1.5 sample, from content_tag.json, and whose it is: a judge's, where the file names nobody else in "by".

    None where nobody has labelled it, or only another output (`of`). Raises InputError for a broken file.
    """
    path = folder / TAG
    if not path.is_file():
        return None
    body = _json(path)
    tags = body.get("behaviour", body.get("behavior")) if isinstance(body, dict) else None
    if not isinstance(tags, list) or len(tags) != 1 or not isinstance(tags[0], str):
        raise InputError(f'{str(path)!r} is not {{"behaviour": [label]}} with exactly one label; let the judge label it again')
    if "of" in body and body["of"] != output_digest(folder):
        return None
    return Labelled(id=folder.name, label=cast(Label, tags[0]), event=event, by=_whose(body, JUDGED))


def _whose(body: dict[str, Any], judge: str) -> str:
    """Who judged, as a file tells; a judge without a name where it does not."""
    by = body.get("by")
    return by if isinstance(by, str) else judge


def write_sample(trace: Trace, root: Path, subset: str, name: str, marks: Sequence[Span], texts: Sequence[str] = ()) -> Path:
    """The folder of one trace as a sample of `subset`, with its annotation; the folder. `texts`: (context, current turn) of an event."""
    _annotation(subset)
    folder = root / subset / name
    folder.mkdir(parents=True, exist_ok=True)
    write_fdb(trace, folder)
    write_annotation(folder, subset, marks, texts)
    return folder


def write_annotation(folder: Path, subset: str, marks: Sequence[Span], texts: Sequence[str] = ()) -> None:
    """The annotation of a sample: its marks in seconds, with `texts` (context, current turn) where it has any; none for back-channels.

    Raises InputError where the subset needs a mark and there is none.
    """
    annotation = _annotation(subset)
    if annotation is None:
        return
    if not marks:
        raise InputError(f"a sample of {subset!r} needs a marked time for {annotation}; give (start_s, end_s)")
    context, turn = (*texts, "", "")[:2]
    spans = [list(mark) for mark in marks]
    body: Any = [{"text": TEXTS.get(annotation), "timestamp": span} for span in spans]
    if annotation == "interrupt.json":
        body = [{"context": context, "interrupt": turn, "timestamp": span} for span in spans]
    elif annotation == "metadata.json":
        body = {"context_text": context, "current_turn_text": turn, "timestamps": spans[0]}
    (folder / annotation).write_text(json.dumps(body, indent=1) + "\n")


def _annotation(subset: str) -> str | None:
    if subset not in ANNOTATIONS:
        raise InputError(f"no subset {subset!r} in Full-Duplex-Bench; there are {', '.join(ANNOTATIONS)}")
    return ANNOTATIONS[subset]


def _marks(path: Path) -> tuple[Span, ...]:
    body = _json(path)
    entries = body if isinstance(body, list) else [body]
    found = []
    for number, entry in enumerate(entries):
        start_s, end_s = _times(entry, path, number)
        if end_s is None:
            raise InputError(f"entry {number} of {str(path)!r} has no end; an annotation is [start_s, end_s]")
        found.append((start_s, end_s))
    return tuple(found)


def _times(entry: Any, path: Path, number: int) -> tuple[float, float | None]:
    times = entry.get("timestamp", entry.get("timestamps")) if isinstance(entry, dict) else None
    pair = times if isinstance(times, list) and len(times) == 2 else (None, None)
    start_s, end_s = map(finite, pair)
    if start_s is None or (end_s is None and pair[1] is not None):
        raise InputError(f"entry {number} of {str(path)!r} has the times {times!r}; they must be [start_s, end_s] in seconds")
    return start_s, end_s


def _json(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}; this subset needs it")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is not JSON ({error}); write it again") from error
