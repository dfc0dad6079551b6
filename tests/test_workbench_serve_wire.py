"""What comes over the wire is answered, whatever it is: mutated frames of each protocol give events of the schema, and no crash.

A thousand frames, or as many as MICROTURN_MUTATIONS says if that is more.
"""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai.types.live.client_event import ClientEvent
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter

from tests.serve_fakes import LIVE_EVENTS, REALTIME_EVENTS, Reacts, served
from tests.test_workbench_mutations import COUNT
from workbench.clock import ClockSpec, RealTime
from workbench.errors import InputError
from workbench.live.admission import Admission, Limits
from workbench.live.protocol import RATE, End, Problem
from workbench.serve.hall import Hall, Seat, Wanted
from workbench.serve.live import LiveEvents
from workbench.serve.realtime import RealtimeEvents
from workbench.serve.server import Events
from workbench.serve.wire import Refused, event_id_of, frame_of, read_frame
from workbench.sound_formats import ALAW, PCM, ULAW, Decoder, Encoder, Format, Resampler, levels

AUDIO = base64.b64encode(np.zeros(2400, "<i2").tobytes()).decode()
LIVE_SAMPLES: list[dict[str, Any]] = [
    {"type": "session.start", "event_id": "a", "session": {"model": "nano", "audio": {"format": {"type": "audio/pcm", "rate": 16000}}}},
    {
        "type": "session.start",
        "session": {"model": "nano", "delegation": {"type": "responses", "responses": {"model": "m"}}, "store": True, "instructions": "x"},
    },
    {"type": "session.update", "session": {"delegation": {"type": "client", "acknowledgement_delay_ms": 100}, "triggers": []}},
    {"type": "session.input_audio.append", "audio": AUDIO},
    {"type": "session.input_audio.mute", "event_id": "m"},
    {"type": "session.input_audio.unmute"},
    {"type": "session.commentary.append", "content": "forty two", "delegation_id": "delegation_1"},
    {"type": "session.thinking.append", "content": "hm", "delegation_id": None},
    {"type": "session.instructions.append", "content": "be brief", "delegation_id": None},
    {"type": "session.output_audio.fixture.play", "audio": AUDIO},
    {"type": "response.create"},
    {"type": "session.close"},
]
REALTIME_SAMPLES: list[dict[str, Any]] = [
    {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}}}, "tools": []}},
    {"type": "input_audio_buffer.append", "audio": AUDIO},
    {"type": "input_audio_buffer.commit", "event_id": "c"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "count"}]}},
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "call_1", "output": "{}"}},
    {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 10},
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "response.create", "response": {}},
    {"type": "response.cancel"},
]
ODD: tuple[Any, ...] = (None, True, -1, 2**70, 1e308, "", "\ud800", "x" * 5000, [], {}, [None], {"type": 1}, "audio/pcm", "NaN", 0.5)

FRAMES = max(1000, COUNT)


def mutated(event: Any, rng: random.Random) -> Any:
    """The event with one of its values, names or places changed."""
    if isinstance(event, dict) and event and rng.random() < 0.85:
        name = rng.choice(list(event))
        kind = rng.randrange(4)
        if kind == 0:
            return {key: value for key, value in event.items() if key != name}
        if kind == 1:
            return {**event, rng.choice(("extra", "type", "session", "event_id")): rng.choice(ODD)}
        return {**event, name: mutated(event[name], rng)}
    if isinstance(event, list) and event and rng.random() < 0.7:
        return [*event[:-1], mutated(event[-1], rng)]
    return rng.choice(ODD)


def frames(samples: list[dict[str, Any]], count: int) -> list[str | bytes]:
    """So many frames: events with changes in them, and text with bytes changed."""
    rng, found = random.Random(7), list[str | bytes]()
    for number in range(count):
        text = json.dumps(mutated(rng.choice(samples), rng))
        if number % 3 == 0:
            data = bytearray(text.encode())
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            found.append(bytes(data[: rng.randrange(1, len(data) + 1)]) if number % 2 else bytes(data))
        else:
            found.append(text)
    return found


def hall(folder: Path) -> Hall:
    agent = Reacts()
    return Hall(lambda: agent, "nano", folder, Admission(Limits(sessions=2000, visitor_minutes=10**6), RealTime(ClockSpec()).now))


def answered(events: Events, data: str | bytes) -> list[dict[str, Any]]:
    """What a frame is answered with, as the server does it."""
    try:
        return events.heard(read_frame(data))
    except Refused as error:
        return [events.error(error.code, str(error), param=error.param, kind=error.kind, client_event_id=event_id_of(data))]


def test_samples_are_events_of_the_published_schemas() -> None:
    for sample in LIVE_SAMPLES:
        TypeAdapter(ClientEvent).validate_python(sample)
    for sample in REALTIME_SAMPLES:
        TypeAdapter(RealtimeClientEvent).validate_python(sample)


def test_mutated_live_frames_are_each_answered_in_the_schema(tmp_path: Path) -> None:
    there, seats, wrong = hall(tmp_path), list[Seat](), 0

    def begin(wanted: Wanted) -> Seat:
        if not seats:
            seats.append(there.seat("anybody", wanted))
        return seats[0]

    sessions = [LiveEvents("nano", begin, lambda: 1)]
    answered(sessions[0], json.dumps(LIVE_SAMPLES[0]))
    for data in [*frames(LIVE_SAMPLES, FRAMES), b"\xff\xfe", "[" * 100_000, "", "null", "1" * 10_000]:
        if (
            sessions[-1].seat is not None
            and len(sessions) < 200
            and b"session.start" in (data if isinstance(data, bytes) else data.encode("utf-8", "replace"))
        ):
            sessions.append(LiveEvents("nano", begin, lambda: 1))
        told = answered(sessions[-1], data)
        for event in told:
            LIVE_EVENTS.validate_python(json.loads(frame_of(event)))
            wrong += event["type"] == "error"
    assert FRAMES / 2 < wrong < FRAMES + 5
    there.close()


def test_mutated_realtime_frames_are_each_answered_in_the_schema(tmp_path: Path) -> None:
    there = hall(tmp_path)
    events, wrong = RealtimeEvents("nano", "", lambda wanted: there.seat("anybody", wanted), lambda: 1), 0
    events.opened()
    for data in [*frames(REALTIME_SAMPLES, FRAMES), b"\xff\xfe", "[" * 100_000, "", "null"]:
        for event in answered(events, data):
            REALTIME_EVENTS.validate_python(json.loads(frame_of(event)))
            wrong += event["type"] == "error"
    assert FRAMES / 2 < wrong < FRAMES + 5
    there.close()


def test_a_connection_survives_wrong_frames_and_goes_on(tmp_path: Path) -> None:
    from websockets.sync.client import connect

    with served(tmp_path, keys={}) as running, connect(f"ws://127.0.0.1:{running.port}/v1/live/sessions") as connection:
        for data in frames(LIVE_SAMPLES[2:-1], 60):
            connection.send(data)
        connection.send(json.dumps({"type": "session.start", "event_id": "last", "session": {"model": "nano"}}))
        told = [json.loads(connection.recv(20))]
        while told[-1]["type"] != "session.started":
            told.append(json.loads(connection.recv(20)))
        assert len(told) == 61
        assert {event["type"] for event in told[:-1]} == {"error"}


def test_errors_name_the_field_and_the_command(tmp_path: Path) -> None:
    live = LiveEvents("nano", hall(tmp_path).seat, lambda: 1)  # type: ignore[arg-type]
    [error] = answered(live, json.dumps({"type": "session.start", "event_id": "mine", "session": {"model": "gpt-live-1"}}))
    assert (error["error"]["code"], error["error"]["param"], error["error"]["client_event_id"]) == (
        "model_not_found",
        "session.model",
        "mine",
    )
    [error] = answered(live, json.dumps({"type": "session.close"}))
    assert error["error"]["code"] == "session_not_started"
    [error] = answered(live, json.dumps({"type": "session.start", "session": {"model": "nano", "tempo": 3}}))
    assert (error["error"]["code"], error["error"]["param"]) == ("unknown_parameter", "session.tempo")
    [error] = answered(live, json.dumps({"type": "session.start", "session": {"model": "nano", "delegation": {"type": "decisions"}}}))
    assert error["error"]["code"] == "not_supported"
    [error] = answered(live, "no json")
    assert error["error"]["code"] == "invalid_json"


def test_problems_and_ends_of_a_session_are_told_in_the_schema(tmp_path: Path) -> None:
    there = hall(tmp_path)
    live = LiveEvents("nano", lambda wanted: there.seat("anybody", wanted), lambda: 1)
    realtime = RealtimeEvents("nano", "", lambda wanted: there.seat("anybody", wanted), lambda: 1)
    answered(live, json.dumps(LIVE_SAMPLES[0]))
    realtime.opened()
    slow, over = Problem(code="slow", text="3 ticks were thrown away"), End(reason="limit", text="too long", trace=None)
    failed = End(reason="error", text="broke off", trace=None)
    told = [*live.told(slow), *live.told(over), *live.told(failed)]
    assert [event["type"] for event in told] == ["info", "session.closed", "error", "session.closed"]
    assert [event.get("reason") for event in told] == [None, "expired", None, "connection_lost"]
    said = [*realtime.told(slow), *realtime.told(over)]
    assert [event["error"]["code"] for event in said] == ["slow", "session_expired"]
    for event in told:
        LIVE_EVENTS.validate_python(event)
    for event in said:
        REALTIME_EVENTS.validate_python(event)
    there.close()


# --- sound ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "to_rate"), [(16_000, 24_000), (24_000, 16_000), (16_000, 8_000), (8_000, 16_000)])
def test_a_stream_at_another_rate_is_the_same_sound_whatever_its_pieces(rate: int, to_rate: int) -> None:
    at = np.arange(rate) / rate
    tone = (8000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)
    whole = Resampler(rate, to_rate).take(tone)
    stream, rng, pieces, place = Resampler(rate, to_rate), random.Random(1), list[Any](), 0
    while place < len(tone):
        size = rng.randrange(1, 700)
        pieces.append(stream.take(tone[place : place + size]))
        place += size
    assert np.array_equal(np.concatenate(pieces), whole)
    assert abs(len(whole) - to_rate) <= 1
    spectrum = np.abs(np.fft.rfft(whole[1000:].astype(float) * np.hanning(len(whole) - 1000)))
    assert np.argmax(spectrum) * to_rate / (len(whole) - 1000) == pytest.approx(440, abs=2)
    assert np.abs(whole[2000:-2000]).max() == pytest.approx(8000, rel=0.01)


def test_g711_is_the_standard_s() -> None:
    assert [int(levels(ULAW)[code]) for code in (0xFF, 0x80, 0x00, 0x7F)] == [0, 32124, -32124, 0]
    assert [int(levels(ALAW)[code]) for code in (0xD5, 0x55, 0xAA, 0x2A)] == [8, -8, 32256, -32256]
    for kind in (ULAW, ALAW):
        known = levels(kind).astype(float)
        stream = Encoder(Format(kind, 8_000))
        coded = np.frombuffer(stream.take(np.zeros(160, np.int16)), np.uint8)
        assert len(coded) == 80
        assert np.abs(known[coded]).max() <= 8


def test_sound_there_and_back_is_the_same_but_for_the_coding() -> None:
    tone = (8000 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)).astype(np.int16)
    for form, off in ((Format(PCM, 16_000), 0), (Format(PCM, 24_000), 60), (Format(ULAW, 8_000), 400), (Format(ALAW, 8_000), 400)):
        back = Decoder(form).take(Encoder(form).take(tone))[: len(tone)].astype(float)
        best = min(np.abs(back[2000 + lag : 14_000 + lag] - tone[2000:14_000]).max() for lag in range(120))
        assert best <= off, form
    with pytest.raises(InputError, match="has 3 bytes; PCM16 has two a sample"):
        Decoder(Format()).take(b"abc")
