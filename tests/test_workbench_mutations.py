"""Files that were damaged give a clear error or a result, never another exception: seeded mutations of every file that scoring reads.

MICROTURN_MUTATIONS sets how many mutations each parser gets (default 400); the files are small, so 100,000 take minutes.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from workbench.adapters.pipeline import pipeline_of
from workbench.audio_io import read_audio
from workbench.errors import WorkbenchError
from workbench.exports.fdb_folder import read_label, read_sample, read_words
from workbench.exports.mtr import read_rounds
from workbench.exports.simuleval import read_instances
from workbench.exports.tau_voice import read_trajectory
from workbench.exports.turnbench import read_conversations, read_marks, read_submission
from workbench.scoring.mtr import judge
from workbench.scoring.tau_voice import tau_voice
from workbench.scoring.turnbench import Marked, match, turnbench

COUNT = int(os.environ.get("MICROTURN_MUTATIONS", "400"))
SCRAPS = (
    b"null",
    b"NaN",
    b"-1",
    b"1e999",
    b"[]",
    b"{}",
    b'""',
    b"true",
    b"[[",
    b"\x00",
    b"\xff\xfe",
    b"9" * 400,
    b"-",
    b'"\\ud800"',
    b"[" * 2000,
)

COMMON = b'0123456789.,:[]{}"-e '

WORDS = {"text": "one two", "chunks": [{"text": "one", "timestamp": [0.5, 0.8]}, {"text": "two", "timestamp": [1.1, None]}]}
MARK = [{"context": "a", "interrupt": "b", "timestamp": [0.2, 0.9]}]
TICK = {
    "user_chunk": {
        "contains_speech": True,
        "turn_taking_action": {"action": "backchannel"},
        "source_effects": {"speech_insert": {"type": "vocal_tic", "text": "um"}},
    },
    "agent_chunk": {"contains_speech": False},
}
EVENTS = {"eot": [0.5, 2.5], "interruption": [1.0]}
INSTANCE = {"index": 0, "prediction": "a b", "delays": [1.5, 2.0], "reference": "a b", "source": "s t", "source_length": 2}
SUBMISSION = {"schema_version": 1, "predictions": [{"conversation_id": "c", "speaker_1": EVENTS, "speaker_2": EVENTS}]}
MARKED = {kind: {"positives": [0.5, 2.0], "negatives": [[2.4, 3.0]]} for kind in EVENTS}
MARKS = {"schema_version": 1, "marks": [{"conversation_id": "c", "speaker_1": MARKED, "speaker_2": MARKED}]}
GOLD_LISTS = {
    f"{kind}_{key}": rows
    for kind in ("eot", "int")
    for key, rows in (
        ("positive_events", [{"speaker": 1, "time_s": 2.0}, {"speaker": 2, "time_s": 0.5}]),
        ("negative_spans", [{"speaker": 1, "start": 2.4, "end": 3.0}]),
        ("excluded", [{"speaker": 2, "start": 1.5, "end": 1.75}]),
    )
}
WINDOWS = {"tau_pre_s": 0.25, "tau_max_s": 3.0}
GOLD = {"scorer_sha": "0dda64e", "dataset_revision": "r", **WINDOWS, "conversations": {"c": {"duration_s": 9.5, **GOLD_LISTS}}}
TURN = {"user_start": 1.0, "user_end": 2.0, "model_start": 3.0, "model_end": 4.0}
ROUND = {"dialogue_id": "7", "round_num": 1, "scenario": "smooth-turntaking", "timestamp": TURN}
HEARD = {
    "audio_file": "dialogue_7.wav",
    "user_channel": "left",
    "right_segments": [{"timestamp": [3.1, 4.0], "text": "a b", "words": [{"start": 3.1, "end": 4.0}]}],
}


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four changes: a byte flipped, a stretch deleted, doubled or moved, a scrap put in, or the end cut off."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, to = sorted((rng.randint(0, len(found)), rng.randint(0, len(found))))
        to = min(to, at + 40)
        match rng.randrange(6):
            case 0 if found:
                found[min(at, len(found) - 1)] = rng.choice(COMMON) if rng.random() < 0.8 else rng.randrange(256)
            case 1:
                del found[at:to]
            case 2:
                found[at:at] = found[at:to]
            case 3:
                found[at:to] = rng.choice(SCRAPS)
            case 4:
                piece = found[at:to]
                del found[at:to]
                place = rng.randint(0, len(found))
                found[place:place] = piece
            case _:
                del found[rng.randint(0, len(found)) :]
    return bytes(found)


def survives(original: bytes, path: Path, read: Callable[[], object], seed: int) -> int:
    """Read COUNT mutations; how many gave a result. Any other exception than one of ours fails the test; the file is then still there."""
    rng, messages = random.Random(seed), list[str]()
    for _ in range(COUNT):
        path.write_bytes(mutated(original, rng))
        try:
            read()
        except WorkbenchError as error:
            messages.append(str(error))
    assert all(messages), "an error without a message"
    return COUNT - len(messages)


def as_json(body: Any) -> bytes:
    return json.dumps(body).encode()


def submission_scored(path: Path) -> object:
    return [match(Marked((1.0, 2.0), ((3.0, 4.0),)), said["eot"]) for who in read_submission(path).values() for said in who.values()]


def marks_scored(path: Path) -> object:
    return [match(marked, [0.5, 2.5]) for who in read_marks(path).values() for kinds in who.values() for marked in kinds.values()]


def gold_scored(path: Path) -> object:
    (path.parent / "submission.json").write_bytes(as_json(SUBMISSION))
    return turnbench(read_conversations(path.parent))


def rounds_scored(encoding: Path, recognised: Path) -> object:
    rounds = [one for ones in read_rounds(encoding, "smooth", recognised).values() for one in ones]
    return [(judge(one, "compatible"), judge(one, "clean")) for one in rounds]


def test_a_damaged_gold_is_an_error_or_a_result(tmp_path: Path) -> None:
    path = tmp_path / "gold.json"
    assert 0 < survives(as_json(GOLD), path, lambda: gold_scored(path), seed=9) < COUNT


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (WORDS, read_words),
        ({"behaviour": ["C_RESPOND"]}, lambda path: read_label(path.parent, (1.0, 2.0))),
        ({"ticks": [TICK, TICK]}, lambda path: tau_voice({"one": read_trajectory(path)})),
        (SUBMISSION, submission_scored),
        (MARKS, marks_scored),
        (INSTANCE, read_instances),
    ],
    ids=["output.json", "content_tag.json", "trajectory", "submission", "marks", "instances.log"],
)
def test_damaged_json_is_an_error_or_a_result(tmp_path: Path, body: Any, read: Callable[[Path], object]) -> None:
    path = tmp_path / "content_tag.json"
    assert survives(as_json(body), path, lambda: read(path), seed=7) < COUNT


def test_a_damaged_encoding_and_damaged_speech_are_an_error_or_a_result(tmp_path: Path) -> None:
    encoding, recognised = tmp_path / "scenario_encoding_smooth.json", tmp_path / "asr_results.json"
    recognised.write_bytes(as_json([HEARD]))
    assert survives(as_json([ROUND]), encoding, lambda: rounds_scored(encoding, recognised), seed=11) < COUNT
    encoding.write_bytes(as_json([ROUND]))
    assert survives(as_json([HEARD]), recognised, lambda: rounds_scored(encoding, recognised), seed=12) < COUNT


def test_a_damaged_annotation_is_an_error_or_a_result(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "output.wav", np.zeros(160), 16_000)
    (tmp_path / "output.json").write_bytes(as_json(WORDS))
    path = tmp_path / "interrupt.json"
    assert survives(as_json(MARK), path, lambda: read_sample(tmp_path, "synthetic_user_interruption"), seed=8) < COUNT


def test_damaged_sound_is_an_error_or_a_result(tmp_path: Path) -> None:
    path = tmp_path / "input.wav"
    soundfile.write(path, np.zeros(320), 16_000, subtype="PCM_16")
    assert survives(path.read_bytes(), path, lambda: read_audio(path), seed=9) < COUNT


def test_mangled_knobs_are_an_error_or_a_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "knobs"
    survives(b"hang_s=0.4,resume=no", path, lambda: pipeline_of(path.read_bytes().decode("latin-1")), seed=10)
