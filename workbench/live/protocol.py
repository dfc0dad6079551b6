"""The messages between a browser and a live session.

A message is a JSON object and zero or more binary buffers. A carrier with buffers of its own (a widget comm) takes the two as they are,
from `encode` to `decode`. One without (a WebSocket) takes one binary message, from `pack` to `unpack`: the length of the JSON (uint32,
little-endian), the JSON (UTF-8), then the buffers one after the other, whose lengths the JSON names in `buffers`.

Audio is PCM16, little-endian, mono, 16 kHz. `n` counts samples since the capture began, `at` is the sender's clock in milliseconds. Fields
that a newer side adds are passed over; a field that is missing or out of its range is refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from workbench.errors import InputError
from workbench.given import WHOLE_TEXT, whole_text
from workbench.packets import Frames

Pcm: TypeAlias = npt.NDArray[np.int16]
Json: TypeAlias = Mapping[str, Any]
Buffers: TypeAlias = Sequence[bytes | bytearray | memoryview]
Check: TypeAlias = Callable[[Any], Any]  # the value as Python has it; raises ValueError with the rule

RATE = 16_000
SHORTEST_AUDIO, LONGEST_AUDIO = RATE * 20 // 1000, RATE * 200 // 1000  # samples of one audio message
LONGEST_TEXT = 500  # characters of one typed line
LONGEST_JSON = 65_536
LARGEST_COUNT = 2**53 - 1  # the largest whole number a browser counts to
WIDEST_FRAME, MOST_FRAMES = 64, 8
OUTLINE_PAIRS = 10


# Rules -----------------------------------------------------------------------------------------------------------------------


def _whole(low: int = 0, high: int = LARGEST_COUNT) -> Check:
    def check(value: Any) -> int:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high or value != int(value):
            raise ValueError(f"give a whole number from {low} to {high}")
        return int(value)

    return check


def _number(low: float = -math.inf, high: float = math.inf) -> Check:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
            raise ValueError("give a finite number" if math.isinf(low) and math.isinf(high) else f"give a number from {low:g} to {high:g}")
        return float(value)

    return check


def _text(most: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(f"give text of at most {most} characters")
        if not whole_text(value):
            raise ValueError(f"give {WHOLE_TEXT}")
        return value

    return check


def _of(kind: type, name: str) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"give {name}")
        return value

    return check


def _or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _outline(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) != 2 * OUTLINE_PAIRS:
        raise ValueError(f"give {2 * OUTLINE_PAIRS} whole numbers from -127 to 127")
    return tuple(map(_whole(-127, 127), value))


def _rows(value: Any) -> tuple[tuple[Any, ...], ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(row, list | tuple) for row in value):
        raise ValueError("give a list of lists")
    return tuple(tuple(row) for row in value)


def _objects(value: Any) -> tuple[Json, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError("give a list of objects")
    return tuple(value)


def _field(check: Check, *, wire: str = "", default: Any = dataclasses.MISSING) -> Any:
    return dataclasses.field(default=default, metadata={"check": check, "wire": wire})


# Messages --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Message:
    t: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class Hello(_Message):
    """The first message of a client: the rate it captures at, what it is, what its microphone's settings are, and a session to resume."""

    t: ClassVar[str] = "hello"
    rate: int = _field(_whole(1))
    client: str = _field(_text(200))
    settings: Mapping[str, Any] = _field(_of(Mapping, "an object"))
    resume: str | None = _field(_or_null(_text(200)), default=None)


@dataclass(frozen=True, kw_only=True)
class Consent(_Message):
    """Whether the person agrees to be heard and to what is kept, and the text in which they were asked; before it no audio is taken."""

    t: ClassVar[str] = "consent"
    given: bool = _field(_of(bool, "true or false"))
    text: str = _field(_text(2000), default="")


@dataclass(frozen=True, kw_only=True, eq=False)
class Audio(_Message):
    """20 to 200 ms of microphone: the number of its first sample, when it was sent, and the samples."""

    t: ClassVar[str] = "audio"
    n: int = _field(_whole())
    at: float = _field(_number())
    samples: Pcm


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame(_Message):
    """What the camera saw in about one tick: uint8 (count, h, w, 3)."""

    t: ClassVar[str] = "frame"
    at: float = _field(_number())
    frames: Frames


@dataclass(frozen=True, kw_only=True)
class Text(_Message):
    """A typed line."""

    t: ClassVar[str] = "text"
    text: str = _field(_text(LONGEST_TEXT))


@dataclass(frozen=True, kw_only=True)
class Played(_Message):
    """The loudspeaker has come to sample `position` of the agent's stream; `queued` samples wait."""

    t: ClassVar[str] = "played"
    position: int = _field(_whole())
    queued: int = _field(_whole())
    at: float = _field(_number())


@dataclass(frozen=True, kw_only=True)
class Set(_Message):
    """A setting of the agent, e.g. its threshold."""

    t: ClassVar[str] = "set"
    name: str = _field(_text(40))
    value: float = _field(_number())


@dataclass(frozen=True, kw_only=True)
class Click(_Message):
    """The person's answer to a question, by a click; `version` is that of the question which was shown."""

    t: ClassVar[str] = "click"
    question: str = _field(_text(100))
    given: bool = _field(_of(bool, "true or false"))
    version: str = _field(_text(100))


@dataclass(frozen=True, kw_only=True)
class Stop(_Message):
    """The person ends the session."""

    t: ClassVar[str] = "stop"


@dataclass(frozen=True, kw_only=True)
class Welcome(_Message):
    """The answer to a hello: the session, the token that resumes it, its clock, what is kept of each stream, the lanes, the agent.

    `dials` are the settings beside the threshold that `set` takes, as `workbench.dials` tells them. `sent` says what of the session goes to
    other computers; empty when nothing does.
    """

    t: ClassVar[str] = "welcome"
    session: str = _field(_text(100))
    token: str = _field(_text(200))
    tick_ms: int = _field(_whole(1))
    rate: int = _field(_whole(1))
    kept: Mapping[str, Any] = _field(_of(Mapping, "an object"))
    lanes: Sequence[str] = _field(_of(Sequence, "a list"))
    agent: str = _field(_text(100))
    dials: Sequence[Json] = _field(_objects, default=())
    sent: str = _field(_text(2000), default="")


@dataclass(frozen=True, kw_only=True, eq=False)
class TickDone(_Message):
    """One tick of the session, as the timeline draws it, and the agent's sound in it.

    `words` are (side, word, start_s, end_s, p), `events` (kind, at_s, text), `user` and `agent` the outlines of the two waves, ten pairs of
    lowest and highest in -127 to 127. `position` is the number of the first sample of `samples` in the agent's stream, `heard` how many of
    that stream had left the loudspeaker, as far as was known. `typed` is what the user typed. `tasks` are (id, state, text) of background
    work, `shown` what the agent shows from this tick on (`workbench.background.shown`), `seen` (h, w, 3) is the last frame of the tick that
    the model was shown. What is None was not there.
    """

    t: ClassVar[str] = "tick"
    tick: int = _field(_whole())
    at_s: float = _field(_number(0))
    said: str = _field(_text(LONGEST_JSON))
    words: tuple[tuple[Any, ...], ...] = _field(_rows)
    decision: Mapping[str, Any] | None = _field(_or_null(_of(Mapping, "an object")))
    events: tuple[tuple[Any, ...], ...] = _field(_rows)
    cost_ms: float = _field(_number())
    late_ms: float = _field(_number())
    lost: int = _field(_whole())
    user: tuple[int, ...] = _field(_outline)
    agent: tuple[int, ...] = _field(_outline)
    position: int = _field(_whole())
    heard: int | None = _field(_or_null(_whole()), default=None)
    typed: str = _field(_text(LONGEST_JSON), default="")
    tasks: tuple[tuple[Any, ...], ...] = _field(_rows, default=())
    shown: Sequence[Json] = _field(_objects, default=())
    samples: Pcm
    seen: Frames | None = None


@dataclass(frozen=True, kw_only=True)
class Question(_Message):
    """A tool may be called only if the person agrees; to be shown, as plain text, until it is settled.

    `question` names it; `tool` and `arguments` are the call, `text` asks for it in words, `reason` is what the person had wanted. `how` is
    voice or click: the first may be answered either way. `left_s` is how long it is open. `version` is the digest of what is to be shown.
    """

    t: ClassVar[str] = "question"
    question: str = _field(_text(100))
    tool: str = _field(_text(LONGEST_JSON))
    arguments: Mapping[str, Any] = _field(_of(Mapping, "an object"))
    how: str = _field(_text(40))
    text: str = _field(_text(LONGEST_JSON))
    reason: str = _field(_text(LONGEST_JSON))
    left_s: float = _field(_number(0))
    version: str = _field(_text(100))


@dataclass(frozen=True, kw_only=True)
class Settled(_Message):
    """A question is not open any more: what the answer was, null if there was none, and by what: voice, click, silence or withdrawn.

    `text` says why it was withdrawn, or why what was said or typed before the silence did not count.
    """

    t: ClassVar[str] = "settled"
    question: str = _field(_text(100))
    given: bool | None = _field(_or_null(_of(bool, "true or false")))
    how: str = _field(_text(40))
    text: str = _field(_text(LONGEST_JSON), default="")


@dataclass(frozen=True, kw_only=True)
class Drop(_Message):
    """Throw away what of the agent's stream is not played yet, from this sample on."""

    t: ClassVar[str] = "drop"
    from_position: int = _field(_whole(), wire="from")


@dataclass(frozen=True, kw_only=True)
class Problem(_Message):
    """What is wrong, why, and what to do; `code` is for programs."""

    t: ClassVar[str] = "problem"
    code: str = _field(_text(40))
    text: str = _field(_text(2000))


@dataclass(frozen=True, kw_only=True)
class End(_Message):
    """The session is over: stopped, left, limit or error; and the name of its trace."""

    t: ClassVar[str] = "end"
    reason: str = _field(_text(40))
    text: str = _field(_text(2000))
    trace: str | None = _field(_or_null(_text(500)))


FromClient: TypeAlias = Hello | Consent | Audio | Frame | Text | Played | Set | Click | Stop
FromRuntime: TypeAlias = Welcome | TickDone | Question | Settled | Drop | Problem | End
Message: TypeAlias = FromClient | FromRuntime

MESSAGES: Mapping[str, type[Message]] = {
    cls.t: cls
    for cls in (Hello, Consent, Audio, Frame, Text, Played, Set, Click, Stop, Welcome, TickDone, Question, Settled, Drop, Problem, End)
}
# What of a message is in its JSON: the name there, and the name of the field.
WIRES: Mapping[type, tuple[tuple[str, str], ...]] = {
    cls: tuple((f.metadata["wire"] or f.name, f.name) for f in fields(cls) if "check" in f.metadata) for cls in MESSAGES.values()
}


# Messages to JSON and buffers, and back --------------------------------------------------------------------------------------


def encode(message: Message) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON object and the buffers of a message."""
    body: dict[str, Any] = {"t": message.t, **{wire: getattr(message, name) for wire, name in WIRES[type(message)]}}
    match message:
        case Audio():
            return body, [_bytes(message.samples)]
        case TickDone():
            if message.seen is None:
                return body, [_bytes(message.samples)]
            height, width, _ = message.seen.shape
            return {**body, "seen": [width, height]}, [_bytes(message.samples), message.seen.tobytes()]
        case Frame():
            count, height, width, _ = message.frames.shape
            return {**body, "w": width, "h": height, "count": count}, [message.frames.tobytes()]
        case _:
            return body, []


def decode(body: Json, buffers: Buffers = ()) -> Message:
    """The message of a JSON object and its buffers. Raises InputError, naming the field, its value and the rule."""
    if not isinstance(body, Mapping):
        raise InputError(f"a message of {type(body).__name__} is none; send a JSON object with 't'")
    cls = MESSAGES.get(body.get("t", "")) if isinstance(body.get("t"), str) else None
    if cls is None:
        raise InputError(f"message type {_short(body.get('t'))} is not known; 't' is one of {', '.join(MESSAGES)}")
    values = {f.name: _read(body, f, cls.t) for f in fields(cls) if "check" in f.metadata}
    if cls is Audio:
        values["samples"] = _pcm(cls, buffers)
    elif cls is TickDone:
        seen = body.get("seen")
        values["samples"] = _pcm(cls, buffers if seen is None else buffers[:1])
        values["seen"] = None if seen is None else _seen(seen, buffers[1:])
    elif cls is Frame:
        values["frames"] = _frames(body, buffers)
    elif buffers:
        raise InputError(f"{cls.t!r} came with {len(buffers)} buffers; it carries none")
    return cls(**values)


def decode_from_client(body: Json, buffers: Buffers = ()) -> FromClient:
    """The same, for a message that a client may send. Raises InputError for any other."""
    message = decode(body, buffers)
    if isinstance(message, FromRuntime):
        raise InputError(f"{message.t!r} is for a page; send hello, consent, audio, frame, text, played, set, click or stop")
    return message


def pack(body: Json, buffers: Buffers = ()) -> bytes:
    """One binary message of a JSON object and its buffers."""
    whole = {**body, "buffers": [len(buffer) for buffer in buffers]} if buffers else dict(body)
    text = _text_of(whole)
    return b"".join((struct.pack("<I", len(text)), text, *map(bytes, buffers)))


def _text_of(body: Json) -> bytes:
    """JSON in UTF-8; what orjson refuses (a whole number over 64 bits, half a surrogate pair) is left to json, which is slower."""
    try:
        return orjson.dumps(body, default=_plain)
    except TypeError:
        return json.dumps(body, separators=(",", ":"), default=_plain).encode()


def unpack(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON object and the buffers of one binary message. Raises InputError when lengths and content do not fit."""
    length = struct.unpack_from("<I", data)[0] if len(data) >= 4 else -1
    if not 2 <= length <= min(LONGEST_JSON, len(data) - 4):
        raise InputError(
            f"a binary message of {len(data)} bytes says that its JSON has {length}; begin with the length of the JSON "
            f"as uint32, little-endian, at most {LONGEST_JSON}"
        )
    try:
        body = json.loads(data[4 : 4 + length].decode())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"the JSON of a binary message cannot be read ({error}); send UTF-8 JSON") from error
    if not isinstance(body, dict):
        raise InputError(f"a message of {type(body).__name__} is none; send a JSON object with 't'")
    sizes, at, buffers = body.pop("buffers", []), 4 + length, []
    known = isinstance(sizes, list) and all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in sizes)
    if not known or sum(sizes) != len(data) - at:
        raise InputError(
            f"'buffers' says {_short(sizes)} but {len(data) - at} bytes follow the JSON; give the length of each buffer in bytes"
        )
    for size in sizes:
        buffers.append(data[at : at + size])
        at += size
    return body, buffers


def _read(body: Json, f: dataclasses.Field[Any], t: str) -> Any:
    name = f.metadata["wire"] or f.name
    if name not in body:
        if f.default is not dataclasses.MISSING:
            return f.default
        raise InputError(f"{t!r} has no {name!r}; every {t!r} message carries it")
    try:
        return f.metadata["check"](body[name])
    except ValueError as error:
        raise InputError(f"{name!r} of {t!r} is {_short(body[name])}; {error}") from None


def _pcm(cls: type[Audio] | type[TickDone], buffers: Buffers) -> Pcm:
    if len(buffers) != 1 or len(buffers[0]) % 2:
        raise InputError(f"{cls.t!r} came with buffers of {[len(b) for b in buffers]} bytes; it carries one of PCM16, two bytes a sample")
    samples = np.frombuffer(buffers[0], "<i2").astype(np.int16)
    if cls is Audio and not SHORTEST_AUDIO <= len(samples) <= LONGEST_AUDIO:
        raise InputError(f"'audio' carries {len(samples)} samples; send {SHORTEST_AUDIO} to {LONGEST_AUDIO}, which is 20 to 200 ms")
    return samples


def _bytes(samples: Pcm) -> bytes:
    return samples.astype("<i2", copy=False).tobytes()


def _seen(size: Any, buffers: Buffers) -> Frames:
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise InputError(f"'seen' of 'tick' is {_short(size)}; give [width, height]")
    frame: Frames = _frames({"count": 1, "w": size[0], "h": size[1]}, buffers)[0]
    return frame


def _frames(body: Json, buffers: Buffers) -> Frames:
    shape = []
    for name, most in (("count", MOST_FRAMES), ("h", WIDEST_FRAME), ("w", WIDEST_FRAME)):
        try:
            shape.append(_whole(1, most)(body.get(name)))
        except ValueError as error:
            raise InputError(f"{name!r} of 'frame' is {_short(body.get(name))}; {error}") from None
    if len(buffers) != 1 or len(buffers[0]) != 3 * math.prod(shape):
        raise InputError(
            f"'frame' came with buffers of {[len(b) for b in buffers]} bytes; {shape[0]} frames of {shape[2]}x{shape[1]} in RGB8 are "
            f"one buffer of {3 * math.prod(shape)}"
        )
    return np.frombuffer(buffers[0], np.uint8).reshape(*shape, 3).copy()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
