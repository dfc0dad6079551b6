"""The messages between a browser and a live session survive both carriers, and what is wrong in one is named."""

from __future__ import annotations

import contextlib
import json
import struct
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.live.protocol import (
    MESSAGES,
    Audio,
    Click,
    Consent,
    Drop,
    End,
    Frame,
    Hello,
    Message,
    Played,
    Problem,
    Question,
    Set,
    Settled,
    Stop,
    Text,
    TickDone,
    Welcome,
    decode,
    encode,
    pack,
    unpack,
)

COUNTS = st.integers(0, 2**53 - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(max_size=40)
OUTLINES = st.lists(st.integers(-127, 127), min_size=20, max_size=20).map(tuple)
OBJECTS = st.dictionaries(WORDS, st.none() | st.booleans() | NUMBERS | WORDS, max_size=3)
ROWS = st.lists(st.tuples(WORDS, NUMBERS), max_size=3).map(tuple)


QUIET: dict[str, Any] = {
    "tick": 3, "at_s": 0.6, "said": "", "words": (), "decision": None, "events": (), "cost_ms": 1.0, "late_ms": 0.0, "lost": 0,
    "user": (0,) * 20, "agent": (0,) * 20, "position": 9600,
}  # fmt: skip


def pcm(low: int, high: int) -> st.SearchStrategy[Any]:
    return st.integers(low, high).map(lambda size: np.random.default_rng(size).integers(-32768, 32768, size).astype(np.int16))


def frames() -> st.SearchStrategy[Any]:
    shapes = st.tuples(st.integers(1, 8), st.integers(1, 64), st.integers(1, 64))
    return shapes.map(lambda shape: np.random.default_rng(shape[1]).integers(0, 256, (*shape, 3)).astype(np.uint8))


def messages() -> st.SearchStrategy[Message]:
    return st.one_of(
        st.builds(Hello, rate=st.integers(1, 96_000), client=WORDS, settings=OBJECTS, resume=st.none() | WORDS),
        st.builds(Consent, given=st.booleans(), text=WORDS),
        st.builds(Audio, n=COUNTS, at=NUMBERS, samples=pcm(320, 3200)),
        st.builds(Frame, at=NUMBERS, frames=frames()),
        st.builds(Text, text=WORDS),
        st.builds(Played, position=COUNTS, queued=COUNTS, at=NUMBERS),
        st.builds(Set, name=WORDS, value=NUMBERS),
        st.builds(Click, question=WORDS, given=st.booleans(), version=WORDS),
        st.builds(
            Question,
            question=WORDS, tool=WORDS, arguments=OBJECTS, how=WORDS, text=WORDS, reason=WORDS, left_s=NUMBERS.map(abs), version=WORDS,
        ),
        st.builds(Settled, question=WORDS, given=st.none() | st.booleans(), how=WORDS, text=WORDS),
        st.builds(Stop),
        st.builds(
            Welcome,
            session=WORDS, token=WORDS, tick_ms=st.just(200), rate=st.just(16_000), kept=OBJECTS, lanes=st.lists(WORDS), agent=WORDS,
        ),
        st.builds(
            TickDone,
            tick=COUNTS, at_s=NUMBERS.map(abs), said=WORDS, words=ROWS, decision=st.none() | OBJECTS, events=ROWS, cost_ms=NUMBERS,
            late_ms=NUMBERS, lost=COUNTS, user=OUTLINES, agent=OUTLINES, position=COUNTS, heard=st.none() | COUNTS, typed=WORDS, tasks=ROWS,
            samples=pcm(0, 4000), seen=st.none() | frames().map(lambda whole: whole[0]),
        ),
        st.builds(Drop, from_position=COUNTS),
        st.builds(Problem, code=WORDS, text=WORDS),
        st.builds(End, reason=WORDS, text=WORDS, trace=st.none() | WORDS),
    )  # fmt: skip


def assert_same(one: Message, two: Message) -> None:
    assert type(one) is type(two)
    for f in fields(one):
        mine, other = getattr(one, f.name), getattr(two, f.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == other.dtype
            assert np.array_equal(mine, other)
        else:
            assert mine == other


@given(messages())
def test_a_message_survives_one_binary_message_and_json_with_buffers(message: Message) -> None:
    body, buffers = encode(message)
    assert_same(decode(json.loads(json.dumps(body)), buffers), message)
    assert_same(decode(*unpack(pack(body, buffers))), message)


def test_numbers_and_text_that_are_no_common_json_are_packed_all_the_same() -> None:
    odd = {"t": "hello", "big": 2**70, "half": "\ud800", "numpy": np.float32(0.5), 3: "a number for a name"}
    assert unpack(pack(odd)) == ({"t": "hello", "big": 2**70, "half": "\ud800", "numpy": 0.5, "3": "a number for a name"}, [])


def test_every_message_is_known_by_its_type() -> None:
    sent, told = "hello consent audio frame text played set click stop", "welcome tick question settled drop problem end"
    assert sorted(MESSAGES) == sorted(f"{sent} {told}".split())


def test_the_binary_form_is_length_json_and_buffers() -> None:
    data = pack(*encode(Audio(n=640, at=1.5, samples=np.arange(320, dtype=np.int16))))
    (length,) = struct.unpack_from("<I", data)
    assert json.loads(data[4 : 4 + length]) == {"t": "audio", "n": 640, "at": 1.5, "buffers": [640]}
    assert data[4 + length : 4 + length + 4] == b"\x00\x00\x01\x00"
    assert decode({"t": "drop", "from": 3200}) == Drop(from_position=3200)
    assert json.loads(pack(*encode(Stop()))[4:]) == {"t": "stop"}


def test_a_tick_of_an_older_side_has_no_picture_no_tasks_and_does_not_say_what_was_heard() -> None:
    body, buffers = encode(TickDone(**QUIET, samples=np.zeros(4, np.int16)))
    older = decode({name: value for name, value in body.items() if name not in ("heard", "typed", "tasks")}, buffers)
    assert isinstance(older, TickDone)
    assert (older.heard, older.typed, older.tasks, older.seen) == (None, "", (), None)


@pytest.mark.parametrize(
    ("seen", "pictures", "told"), [([4], [bytes(48)], r"give \[width, height\]"), ([4, 4], [bytes(47)], "one buffer of 48")]
)
def test_a_picture_that_does_not_fit_its_size_is_refused(seen: list[int], pictures: list[bytes], told: str) -> None:
    body, buffers = encode(TickDone(**QUIET, samples=np.zeros(4, np.int16)))
    with pytest.raises(InputError, match=told):
        decode({**body, "seen": seen}, [*buffers, *pictures])


def test_what_a_newer_side_adds_is_passed_over() -> None:
    assert decode({"t": "text", "text": "two plus three", "colour": "blue"}) == Text(text="two plus three")


@pytest.mark.parametrize(
    ("body", "buffers", "told"),
    [
        ({"t": "sing"}, [], r"type 'sing' is not known; 't' is one of hello"),
        ({"t": ["hello"]}, [], r"type \['hello'\] is not known"),
        ({}, [], "type None is not known"),
        ({"t": "text"}, [], "'text' has no 'text'"),
        ({"t": "text", "text": "a" * 501}, [], "text of at most 500 characters"),
        ({"t": "text", "text": "no\ud83d"}, [], r"'text' of 'text' is 'no\\ud83d'; give text of whole characters, not half a surrogate"),
        ({"t": "consent", "given": 1}, [], "'given' of 'consent' is 1; give true or false"),
        ({"t": "audio", "n": -1, "at": 0}, [bytes(640)], "'n' of 'audio' is -1; give a whole number from 0"),
        ({"t": "audio", "n": 1.5, "at": 0}, [bytes(640)], "'n' of 'audio' is 1.5"),
        ({"t": "audio", "n": True, "at": 0}, [bytes(640)], "'n' of 'audio' is True"),
        ({"t": "audio", "n": 0, "at": float("nan")}, [bytes(640)], "'at' of 'audio' is nan; give a finite number"),
        ({"t": "audio", "n": float("inf"), "at": 0}, [bytes(640)], "'n' of 'audio' is inf"),
        ({"t": "audio", "n": 0, "at": 0}, [], r"'audio' came with buffers of \[\] bytes; it carries one of PCM16"),
        ({"t": "audio", "n": 0, "at": 0}, [bytes(641)], "two bytes a sample"),
        ({"t": "audio", "n": 0, "at": 0}, [bytes(6402)], "carries 3201 samples; send 320 to 3200"),
        ({"t": "frame", "at": 0, "w": 32, "h": 32, "count": 99}, [bytes(3)], "'count' of 'frame' is 99; give a whole number from 1 to 8"),
        ({"t": "frame", "at": 0, "w": 2, "h": 2, "count": 2}, [bytes(23)], "2 frames of 2x2 in RGB8 are one buffer of 24"),
        ({"t": "stop"}, [b"x"], "'stop' came with 1 buffers; it carries none"),
        ({"t": "set", "name": "threshold", "value": "high"}, [], "'value' of 'set' is 'high'"),
    ],
)
def test_a_message_that_breaks_a_rule_is_refused_by_name(body: dict[str, Any], buffers: list[bytes], told: str) -> None:
    with pytest.raises(InputError, match=told):
        decode(body, buffers)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "0 bytes says that its JSON has -1"),
        (struct.pack("<I", 99) + b"{}", "6 bytes says that its JSON has 99"),
        (struct.pack("<I", 3) + b"{]}", "cannot be read"),
        (struct.pack("<I", 4) + b"\xff\xfe{}", "send UTF-8 JSON"),
        (struct.pack("<I", 2) + b"[]", "a message of list is none"),
        (struct.pack("<I", 2) + b"{}more", "4 bytes follow the JSON"),
        (pack({"t": "stop"})[:4] + b'{"t":"stop"}' + b"x", "1 bytes follow the JSON"),
        (struct.pack("<I", 16) + b'{"buffers":[-1]}', r"'buffers' says \[-1\]"),
    ],
)
def test_a_binary_message_whose_lengths_do_not_fit_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        unpack(data)


@given(st.binary(max_size=64))
def test_no_bytes_break_the_reader_in_another_way(data: bytes) -> None:
    with contextlib.suppress(InputError):
        decode(*unpack(data))
