"""What other programs and services send, damaged: an error that says so or a right result, for every frame and file that is read here.

MICROTURN_MUTATIONS sets how many mutations each parser gets, as in test_workbench_mutations.py.
"""

from __future__ import annotations

import base64
import json
import math
import pickle
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.genai.types import LiveServerMessage, UsageMetadata

from tests.test_workbench_cells import cell, run
from tests.test_workbench_exports import stop_trace
from tests.test_workbench_mutations import COUNT, mutated, survives
from tests.test_workbench_ogg_opus import STREAM
from workbench.adapters.gemini_live import GeminiSettings, GeminiWire
from workbench.adapters.link import News, Sound, Told, Used, Voice, Words
from workbench.adapters.moshi import MoshiSettings, MoshiWire
from workbench.adapters.vllm_omni import VllmOmniSettings, VllmOmniWire
from workbench.agents import OracleAgent
from workbench.cells import _read_judgement
from workbench.errors import InputError, WorkbenchError
from workbench.exports.mcap import read_mcap, write_mcap
from workbench.exports.parquet import read_parquet, write_parquet
from workbench.judge.verdicts import BEHAVIOUR_ONSET, RELEVANCE, verdict_in
from workbench.live.protocol import Audio, Consent, Frame, Hello, Played, Stop, Text, decode_from_client, encode, pack, unpack
from workbench.store import read_trace, save_trace, verify

CLEAR = (ValueError, ConnectionError)  # a link meets them with another wire; our InputError is a ValueError
DELTA = {
    "type": "response.output_audio.delta",
    "response_id": "r1",
    "delta": base64.b64encode(bytes(400)).decode(),
    "sample_rate_hz": 24_000,
    "server_event_seq": 7,
}
EVENTS: list[dict[str, Any]] = [
    DELTA,
    {"type": "response.output_audio_transcript.delta", "response_id": "r1", "delta": "it is"},
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "transcript": "what is it"},
    {"type": "input_audio_buffer.speech_started", "audio_start_ms": 100, "item_id": "u"},
    {"type": "response.function_call_arguments.done", "call_id": "c", "arguments": '{"ask": "x"}'},
    {"type": "response.done", "response": {"status": "cancelled", "status_details": {"reason": "barge_in"}, "usage": {"input_tokens": 3}}},
    {"type": "error", "error": {"type": "server_error", "code": "x", "message": "y"}},
    {"type": "session.closed", "reason": "timeout"},
]


PART = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": base64.b64encode(bytes(400)).decode()}}
GEMINI: list[dict[str, Any]] = [
    {"setupComplete": {"sessionId": "s"}},
    {"voiceActivity": {"voiceActivityType": "ACTIVITY_START", "audioOffset": "0.100s"}},
    {"serverContent": {"modelTurn": {"parts": [PART]}, "outputTranscription": {"text": "it is"}}},
    {"serverContent": {"inputTranscription": {"text": "what is"}, "interrupted": True}},
    {"toolCall": {"functionCalls": [{"id": "c", "name": "delegate", "args": {"ask": "x"}}]}},
    {"toolCallCancellation": {"ids": ["c"]}},
    {"usageMetadata": {"promptTokenCount": 3, "responseTokenCount": 4}, "goAway": {"timeLeft": "50s"}},
]
PLACES = [
    *(("session", "header"), ("stream", "name"), ("digest", "what"), ("digest", "tick"), ("digest", "hash"), ("tick", "entry")),
    *((table, column) for table in ("event", "blob") for column in ("entry", "tick", "digest", "salt")),
    *(("event", "kind"), ("event", "body"), ("blob", "stream"), ("blob", "codec"), ("blob", "bytes")),
]


class Socket:
    """A socket from which one message comes."""

    def __init__(self) -> None:
        self.message: str | bytes = ""

    def recv(self, timeout: float | None = None) -> str | bytes:
        return self.message


def other(value: Any, rng: random.Random) -> Any:
    """Another value in the place of one: damaged, or of another kind."""
    if isinstance(value, str | bytes) and rng.random() < 0.7:
        changed = mutated(value.encode() if isinstance(value, str) else value, rng)
        return changed.decode("utf-8", "replace") if isinstance(value, str) else changed
    return rng.choice(
        (0, -1, 7, 2**62, 1.5, "x", "", b"", b"\xff\x00", "pcm16", "features", "[]", "{}", '{"kind": []}', '{"kind": "decision"}')
    )


def sound(news: Iterable[News]) -> bool:
    """Whether news can be used: numbers are numbers, sound is sound."""
    for one in news:
        match one:
            case Sound(samples):
                assert samples.dtype == np.float32
                assert np.isfinite(samples).all()
            case Voice(_, at_s):
                assert at_s is None or isinstance(at_s, float)
            case Words(_, text):
                assert isinstance(text, str)
            case Used(seconds, tokens_in, tokens_out):
                assert all(math.isfinite(number) for number in (seconds, tokens_in, tokens_out))
            case _:
                pass
    return True


def received(wire: Any, originals: list[bytes], seed: int) -> int:
    """Let a wire receive COUNT mutated messages; how many were news."""
    rng, socket, fine, messages = random.Random(seed), Socket(), 0, list[str]()
    wire._socket = socket
    for number in range(COUNT):
        socket.message = mutated(originals[number % len(originals)], rng)
        try:
            fine += sound(wire.receive())
        except CLEAR as error:
            messages.append(str(error))
    assert all(messages), "an error without a message"
    return fine


def test_damaged_events_of_vllm_omni_are_news_or_an_error() -> None:
    originals = [json.dumps(event).encode() for event in EVENTS]
    assert 0 < received(VllmOmniWire(VllmOmniSettings()), originals, seed=21) < COUNT


def test_damaged_messages_of_moshi_are_news_or_an_error() -> None:
    class Fresh:
        """A wire whose stream begins with every message."""

        _socket: Any = None

        def receive(self) -> Iterable[News]:
            wire: Any = MoshiWire(MoshiSettings())
            wire._socket = self._socket
            return wire.receive()  # type: ignore[no-any-return]

    originals = [b"\x01" + STREAM[0][:1200], b"\x02 good morning", b'\x04{"model": "x"}', b"\x05too many", b"\x00", b"\x06"]
    assert 0 < received(Fresh(), originals, seed=22) < COUNT


def test_numbers_beyond_any_measure_are_passed_over() -> None:
    wire = GeminiWire(GeminiSettings())
    wire._come.put(LiveServerMessage(usage_metadata=UsageMetadata(prompt_token_count=10**400)))
    [told] = wire.receive()
    assert isinstance(told, Told)
    assert told.code == "malformed_event"
    socket, omni = Socket(), VllmOmniWire(VllmOmniSettings())
    omni._socket = socket  # type: ignore[assignment]
    socket.message = json.dumps({"type": "input_audio_buffer.speech_started", "audio_start_ms": 10**400, "item_id": "u"})
    assert [one.at_s for one in omni.receive() if isinstance(one, Voice)] == [None]


@pytest.mark.filterwarnings("ignore:.*is not a valid:UserWarning")  # of the client, which takes an unknown value as it is
def test_damaged_messages_of_gemini_are_news_or_an_error() -> None:
    class Parsed:
        """What the official client makes of a message, and then our wire."""

        _socket: Any = None

        def receive(self) -> Iterable[News]:
            wire = GeminiWire(GeminiSettings())
            wire._come.put(LiveServerMessage.model_validate_json(self._socket.recv()))
            return wire.receive()

    assert 0 < received(Parsed(), [json.dumps(message).encode() for message in GEMINI], seed=29) < COUNT


def test_damaged_messages_of_a_page_are_messages_or_an_error() -> None:
    """As they come over a WebSocket: the length of the JSON, the JSON, the buffers."""
    frame = Frame(at=1.0, frames=np.zeros((1, 4, 4, 3), np.uint8))
    hello = Hello(rate=48_000, client="page", settings={"echo": True}, resume=None)
    several = [hello, Consent(given=True, text="yes"), Audio(n=0, at=0.5, samples=np.arange(320, dtype=np.int16)), frame]
    originals = [pack(*encode(message)) for message in (*several, Text(text="one"), Played(position=3200, queued=0, at=1.5), Stop())]
    rng, messages = random.Random(30), list[str]()
    for number in range(COUNT):
        try:
            decode_from_client(*unpack(mutated(originals[number % len(originals)], rng)))
        except InputError as error:
            messages.append(str(error))
    assert 0 < len(messages) < COUNT
    assert all(messages)


def test_a_damaged_trace_is_an_error_or_a_session(tmp_path: Path) -> None:
    path = tmp_path / "trace.sqlite"
    save_trace(stop_trace(), path)
    assert survives(path.read_bytes(), path, lambda: (read_trace(path), verify(path)), seed=31) < COUNT


def test_damaged_rows_of_a_trace_are_an_error_or_a_session(tmp_path: Path) -> None:
    """The database is sound and what stands in it is not; a tenth as many, for every one is a transaction."""
    whole, path = tmp_path / "whole.sqlite", tmp_path / "trace.sqlite"
    save_trace(stop_trace(), whole)
    rng, messages = random.Random(32), list[str]()
    for _ in range(COUNT // 10 or 1):
        path.write_bytes(whole.read_bytes())
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for table, column in rng.sample(PLACES, rng.randint(1, 3)):
                (key,) = rng.choice(connection.execute(f"SELECT rowid FROM {table}").fetchall())
                (value,) = connection.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (key,)).fetchone()
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = ?", (other(value, rng), key))
        try:
            read_trace(path)
            verify(path)
        except WorkbenchError as error:
            messages.append(str(error))
    assert messages
    assert all(messages)


def test_damaged_files_of_a_session_are_an_error_or_a_session(tmp_path: Path) -> None:
    trace = stop_trace()
    (path,) = write_mcap(trace, tmp_path)
    assert survives(path.read_bytes(), path, lambda: read_mcap(path), seed=23) < COUNT
    for place, file in enumerate(write_parquet(trace, tmp_path)):
        whole = file.read_bytes()
        survives(whole, file, lambda: read_parquet(tmp_path), seed=24 + place)
        file.write_bytes(whole)


def test_a_damaged_judgement_is_none_or_a_judgement(tmp_path: Path) -> None:
    run(cell(OracleAgent, tmp_path, families=("answer",), count=1))
    path, rng = tmp_path / "judgements" / "answer-5.pickle", random.Random(27)
    whole = path.read_bytes()
    for _ in range(COUNT):
        path.write_bytes(mutated(whole, rng))
        found = _read_judgement(tmp_path, ("answer", 5))
        assert found is None or pickle.dumps(found)


@pytest.mark.parametrize(("reply", "rubric"), [(b'{"reason": "a", "label": "C_RESUME"}', BEHAVIOUR_ONSET), (b'{"rating": 4}', RELEVANCE)])
def test_a_mangled_verdict_is_none_or_one_that_is_allowed(reply: bytes, rubric: Any) -> None:
    rng = random.Random(28)
    for _ in range(COUNT):
        found = verdict_in(mutated(reply, rng).decode("latin-1"), rubric)
        assert found is None or found[0] in rubric.allowed
