"""MCAP, the log format of robotics: every stream but pictures a channel of JSON messages with its schema, on one clock in nanoseconds.

Needs mcap (`microturn[exports]`). Sound is in `foxglove.RawAudio` messages, one a micro-turn, rounded to 16 bits; words, decisions and all
other events have a channel a kind, `/events/KIND`, with the event as the trace holds it. The header is the metadata record "microturn". Log
times are seconds of the session: zero is its first micro-turn. Pictures are left out: whoever needs them reads the trace, or exports it to
parquet.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError, TraceError
from workbench.events import Event, kind_of
from workbench.packets import MicroTurn, Packet
from workbench.store_format import decode, dump_event, dump_header, encode, load_event, load_header
from workbench.trace import Trace
from workbench.version import VERSION

FILES = ("session.mcap",)
NAME, PROFILE = "microturn", "microturn"
EVENT, TEXT = "microturn.Event", "microturn.Text"
AUDIO = "foxglove.RawAudio"
TIME = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    AUDIO: {
        "title": AUDIO,
        "type": "object",
        "properties": {
            "timestamp": TIME,
            "data": {"type": "string", "contentEncoding": "base64"},
            "format": {"type": "string"},
            "sample_rate": {"type": "integer"},
            "number_of_channels": {"type": "integer"},
        },
    },
    TEXT: {"title": TEXT, "type": "object", "properties": {"timestamp": TIME, "text": {"type": "string"}}},
    EVENT: {"title": EVENT, "type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]},
}


def write_mcap(trace: Trace, folder: Path) -> list[Path]:
    """One file, session.mcap. Pictures are left out: a trace keeps them. Raises InputError where mcap is missing."""
    path = folder / FILES[0]
    with path.open("wb") as file:
        writer = _mcap("mcap.writer").Writer(file)
        writer.start(profile=PROFILE, library=f"microturn {VERSION}")
        writer.add_metadata(NAME, {"header": dump_header(trace.header), "ticks": str(len(trace))})
        schemas = {
            name: writer.register_schema(name=name, encoding="jsonschema", data=json.dumps(body).encode()) for name, body in SCHEMAS.items()
        }
        channels: dict[str, int] = {}
        for number, (topic, schema, tick, body) in enumerate(_messages(trace)):
            if topic not in channels:
                channels[topic] = writer.register_channel(topic=topic, message_encoding="json", schema_id=schemas[schema])
            at_ns = _nanoseconds(trace.header.clock, tick)
            writer.add_message(channel_id=channels[topic], log_time=at_ns, publish_time=at_ns, sequence=number, data=body)
        writer.finish()
    return [path]


def read_mcap(path: Path) -> Trace:
    """The session in a file that `write_mcap` wrote, without pictures. Raises TraceError for another file."""
    reader = _mcap("mcap.reader")
    try:
        with path.open("rb") as file:
            opened = reader.make_reader(file)
            told = {record.name: record.metadata for record in opened.iter_metadata()}[NAME]
            header = load_header(told["header"])
            packets: dict[int, list[Packet]] = {tick: [] for tick in range(int(told["ticks"]))}
            events: dict[int, list[Event]] = {tick: [] for tick in packets}
            messages = sorted(opened.iter_messages(), key=lambda found: int(found[2].sequence))
            for schema, channel, message in messages:
                tick = _tick(header.clock, message.log_time)
                if schema.name == EVENT:
                    events[tick].append(load_event(message.data.decode()))
                else:
                    packets[tick].append(_packet(schema.name, channel.topic, tick, json.loads(message.data)))
    except Exception as error:  # the library raises its own, those of struct and those of its codecs
        raise TraceError(f"{path} holds no session ({error}); give a file that `microturn export --to mcap` wrote") from error
    return Trace(header, [MicroTurn(Tick(tick), tuple(packets[tick]), tuple(events[tick])) for tick in packets])


def _messages(trace: Trace) -> Iterator[tuple[str, str, int, bytes]]:
    """Topic, schema, tick and JSON of every message, in the order of the trace."""
    clock = trace.header.clock
    for turn in trace.turns:
        at_ns = _nanoseconds(clock, turn.tick)
        stamp = {"sec": at_ns // 10**9, "nsec": at_ns % 10**9}
        for packet in turn.packets:
            topic = "/" + packet.stream.replace(".", "/")
            if isinstance(packet.payload, str):
                yield topic, TEXT, turn.tick, json.dumps({"timestamp": stamp, "text": packet.payload}).encode()
            elif isinstance(packet.payload, np.ndarray) and packet.payload.dtype == np.float32:
                stored = encode(packet.stream, packet.payload, "pcm16")
                assert stored is not None, "sound is always stored"
                body = {
                    "timestamp": stamp,
                    "data": base64.b64encode(stored[1]).decode(),
                    "format": "pcm-s16",
                    "sample_rate": clock.sample_rate,
                    "number_of_channels": 1,
                }
                yield topic, AUDIO, turn.tick, json.dumps(body).encode()
        for event in turn.events:
            yield f"/events/{kind_of(event)}", EVENT, turn.tick, dump_event(event)[1]


def _packet(schema: str, topic: str, tick: int, body: Mapping[str, Any]) -> Packet:
    stream = topic.removeprefix("/").replace("/", ".")
    payload = body["text"] if schema == TEXT else decode("pcm16", base64.b64decode(body["data"], validate=True))
    return Packet(stream, Tick(tick), payload)


def _nanoseconds(clock: ClockSpec, tick: int) -> int:
    return tick * clock.tick_ms * 1_000_000


def _tick(clock: ClockSpec, at_ns: int) -> int:
    return int(at_ns) // (clock.tick_ms * 1_000_000)


def _mcap(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError("MCAP needs the package mcap; install microturn[exports]") from error
