"""MTR-DuplexBench's files read: scenario encodings and recognised speech, as its scripts take them, without sound.

```
{folder}/Scenarios_encoding/single_scenario/scenario_encoding_{smooth,interruption,pause,background}.json
{folder}/Scenarios_encoding/multi_scenarios/scenario_encoding_{1,2,3,4}.json
{folder}/results/asr_results.json, or one of each task: results/asr_results_{task}.json
```

The upper folders may be left out (`data/` may be there), and only tasks with an encoding are read. An encoding is a list of rounds,
`{"dialogue_id", "round_num", "scenario", "timestamp": {"user_start": s, "user_end": s, "model_start": s, ...}}`: the list that the
benchmark's scripts take for `--round_start_json`, with the times that its functions look up. Recognised speech is what its
asr_incremental_save.py writes, `[{"audio_file", "user_channel", "left_segments", "right_segments"}]`, but each segment
`{"timestamp": [s, e], "text"}` needs its `"words": [{"start", "end"}]`, which that script leaves out and the functions read. The sound
of a round is dialogue_{dialogue_id}_round_{round_num}_{scenario}.wav, of a whole dialogue dialogue_{dialogue_id}.wav.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from workbench.errors import InputError
from workbench.exports.numbers import finite
from workbench.scoring.fdb_sample import Span
from workbench.scoring.mtr import TASKS, Round, Segment, Task

ENCODINGS = ("", "single_scenario", "multi_scenarios")
ABOVE = ("", "Scenarios_encoding", "data/Scenarios_encoding")
RECOGNISED = ("", "results")
SOURCE = "encodings and word times of asr_results.json"
Speech: TypeAlias = Mapping[str, tuple[Segment, ...]]


def read_mtr(folder: Path) -> Mapping[str, tuple[Round, ...]] | None:
    """The rounds of every dialogue, by task and dialogue; None where the folder holds no encoding.

    Raises InputError naming the file and the entry that break the format, or the round that has no recognised speech.
    """
    found: dict[str, tuple[Round, ...]] = {}
    for task in TASKS:
        encoding = _first(folder, [f"{a}/{b}/scenario_encoding_{task}.json" for a in ABOVE for b in ENCODINGS])
        if encoding is None:
            continue
        names = [f"{above}/asr_results{of}.json" for of in (f"_{task}", "") for above in RECOGNISED]
        recognised = _first(folder, names)
        if recognised is None:
            raise InputError(f"{str(encoding)!r} has no recognised speech beside it; put asr_results.json into {str(folder / 'results')!r}")
        for dialogue, rounds in read_rounds(encoding, task, recognised).items():
            found[f"{folder}/{task}/{dialogue}"] = rounds
    return found or None


def _first(folder: Path, names: list[str]) -> Path | None:
    return next((path for name in names if (path := folder / name.lstrip("/")).is_file()), None)


def read_rounds(encoding: Path, task: Task, recognised: Path) -> Mapping[str, tuple[Round, ...]]:
    """The rounds of a task by their dialogue, in order of their numbers. Raises InputError naming what breaks the format."""
    speech = read_speech(recognised)
    found: dict[str, dict[tuple[int, str], Round]] = {}
    for dialogue, one in _encoded(encoding, task):
        names = (f"dialogue_{dialogue}_round_{one.number}_{one.scenario}", f"dialogue_{dialogue}")
        name = next((name for name in names if name in speech), None)
        if name is None:
            raise InputError(f"{str(recognised)!r} has no audio_file {names[0]}.wav, nor {names[1]}.wav of all rounds; recognise them")
        key, of_dialogue = (one.number, one.scenario), found.setdefault(dialogue, {})
        if key in of_dialogue:
            raise InputError(f"{str(encoding)!r} has round {one.number} {one.scenario!r} of dialogue {dialogue!r} twice; give it once")
        of_dialogue[key] = replace(one, segments=speech[name])
    return {dialogue: tuple(rounds[key] for key in sorted(rounds)) for dialogue, rounds in found.items()}


def _encoded(path: Path, task: Task) -> Iterator[tuple[str, Round]]:
    for number, row in enumerate(_list(path)):
        where = f"entry {number} of {str(path)!r}"
        dialogue, scenario, times = (row.get(key) for key in ("dialogue_id", "scenario", "timestamp"))
        if not isinstance(dialogue, str | int) or not isinstance(scenario, str) or not isinstance(times, dict):
            raise InputError(f'{where} is no round; it needs "dialogue_id", "round_num", "scenario" (a name) and "timestamp" (an object)')
        yield (
            str(dialogue),
            Round(number=_number(row.get("round_num"), where), task=task, scenario=scenario, times=_times(times, where), source=SOURCE),
        )


def _number(value: Any, where: str) -> int:
    """The number of a round, which is written as a number or as text."""
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"{where} has the round_num {text[:40]!r}; it must be a whole number, such as 1")
    return int(text)


def _times(body: Mapping[str, Any], where: str) -> Mapping[str, float]:
    """The times that are there; null is none. Raises InputError for what is no time, or a span that ends before it starts."""
    found: dict[str, float] = {}
    for name, value in body.items():
        if value is None:
            continue
        at_s = finite(value)
        if at_s is None:
            raise InputError(f"{where} has the {name} {str(value)[:40]!r}; it must be seconds, or null where there is none")
        found[name] = at_s
    for name, start_s in found.items():
        end_s = found.get(f"{name.removesuffix('_start')}_end", start_s)
        if name.endswith("_start") and end_s < start_s:
            raise InputError(f"{where} has {name} {start_s:g} s and its end {end_s:g} s; a span must not end before it starts")
    return found


def read_speech(path: Path) -> Speech:
    """The model's segments by the name of each sound, without folder and suffix. Raises InputError naming what breaks the format."""
    found: dict[str, tuple[Segment, ...]] = {}
    for number, row in enumerate(_list(path)):
        where = f"entry {number} of {str(path)!r}"
        audio, user = row.get("audio_file"), row.get("user_channel", "left")
        if not isinstance(audio, str) or user not in ("left", "right"):
            raise InputError(f"{where} has the audio_file {audio!r} and the user_channel {user!r}; it needs a path, and left or right")
        side = "right_segments" if user == "left" else "left_segments"
        rows = row.get(side)
        if not isinstance(rows, list):
            raise InputError(f"{where} has no list of {side}, the model's channel; recognise a sound of two channels with --save_segments")
        name = PurePosixPath(audio.replace("\\", "/")).stem
        if name in found:
            raise InputError(f"{str(path)!r} has the sound {name!r} twice; write one asr_results_{{task}}.json for each task")
        found[name] = tuple(_segment(one, f"{side} {place} of {where}") for place, one in enumerate(rows))
    return found


def _segment(body: Any, where: str) -> Segment:
    if not isinstance(body, dict) or not isinstance(body.get("text"), str):
        raise InputError(f'{where} is not {{"timestamp": [start, end], "text": ..., "words": [...]}}')
    if not isinstance(body.get("words"), list):
        raise InputError(f"{where} has no words; asr_incremental_save.py drops them: keep those that whisper_timestamped gives")
    start_s, end_s = _span(body.get("timestamp"), where)
    words = tuple(
        _span([word.get("start"), word.get("end")] if isinstance(word, dict) else word, f"word {place} of {where}")
        for place, word in enumerate(body["words"])
    )
    return Segment(start_s=start_s, end_s=end_s, text=body["text"], words=words)


def _span(value: Any, where: str) -> Span:
    times = [at_s for t in value if (at_s := finite(t)) is not None] if isinstance(value, list) else []
    if not isinstance(value, list) or len(value) != 2 or len(times) != 2 or times[1] < times[0]:
        raise InputError(f"{where} is from {str(value)[:60]}; it needs a start and an end in seconds, the end not before the start")
    return times[0], times[1]


def _list(path: Path) -> list[Mapping[str, Any]]:
    """The objects of a file that is a list of them."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON ({error})") from error
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise InputError(f"{str(path)!r} is not a list of objects; it must be as the benchmark's scripts write it")
    return body
