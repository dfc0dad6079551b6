"""Opus in Ogg as a stream: what is written is a file that libsndfile reads, and is read in whatever pieces it comes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.adapters.ogg_opus import OpusReader, OpusWriter, checksum, packet_ms
from workbench.errors import InputError

RATE = 24_000
TICK = RATE // 5


def sweep(seconds: float) -> np.ndarray:
    """A tone that rises from 200 to 2000 Hz."""
    at = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * (200 + 900 * at / seconds) * at)).astype(np.float32)


def written(samples: np.ndarray) -> list[bytes]:
    """The pages that came with each 200 ms, and the last ones."""
    writer = OpusWriter(RATE)
    return [*(writer.take(samples[at : at + TICK]) for at in range(0, len(samples), TICK)), writer.close()]


SWEEP = sweep(3.0)
STREAM = written(SWEEP)


def test_pages_come_within_the_tick_and_make_a_file() -> None:
    assert all(len(piece) > 200 for piece in STREAM[:10]), "no tick waits for a page of a second"
    whole, rate = soundfile.read(io.BytesIO(b"".join(STREAM)), dtype="float32")
    assert (rate, len(whole)) == (RATE, len(SWEEP))
    assert np.corrcoef(whole[2400:], SWEEP[2400:])[0, 1] > 0.9


def test_a_stream_is_read_as_it_comes_and_says_what_the_file_says() -> None:
    reader = OpusReader(RATE)
    pieces = [reader.take(piece) for piece in STREAM]
    assert all(len(piece) >= TICK // 2 for piece in pieces[:10])
    heard = np.concatenate(pieces)[: len(SWEEP)]
    whole, _ = soundfile.read(io.BytesIO(b"".join(STREAM)), dtype="float32")
    assert len(heard) == len(SWEEP)
    assert np.abs(heard[2400:] - whole[2400:]).max() < 0.02, "what came before brings the decoder back to its state"


@settings(max_examples=15)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=12))
def test_the_pieces_it_comes_in_do_not_matter(sizes: list[int]) -> None:
    data, reader, at, heard = b"".join(STREAM[:4]), OpusReader(RATE), 0, []
    for size in [*sizes, len(data)]:
        heard.append(reader.take(data[at : at + size]))
        at += size
    other = OpusReader(RATE)
    whole = np.concatenate([other.take(piece) for piece in STREAM[:4]])
    assert abs(len(np.concatenate(heard)) - len(whole)) == 0


def test_a_stream_that_begins_anew_is_read_on() -> None:
    reader = OpusReader(RATE)
    for _ in range(2):
        assert sum(len(reader.take(piece)) for piece in STREAM) >= len(SWEEP)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF" + bytes(60), "begins no Ogg page"),
        (STREAM[0][:60] + b"\x55" + STREAM[0][61:], "does not have its checksum"),
        (STREAM[0].replace(b"OpusHead", b"OpusHand"), "does not have its checksum"),
    ],
)
def test_what_is_no_stream_of_opus_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        OpusReader(RATE).take(data)


@settings(max_examples=60)
@given(st.integers(0, len(STREAM[0]) + len(STREAM[1]) - 1), st.integers(0, 255))
def test_a_damaged_byte_is_an_error_or_does_no_harm(place: int, value: int) -> None:
    data = bytearray(STREAM[0] + STREAM[1])
    data[place] = value
    try:
        OpusReader(RATE).take(bytes(data))
    except InputError:
        return


def test_the_checksum_and_the_length_of_a_packet_are_those_of_the_standards() -> None:
    page = STREAM[0][: 28 + STREAM[0][27]]
    assert checksum(page[:22] + bytes(4) + page[26:]) == int.from_bytes(page[22:26], "little")
    assert [packet_ms(bytes([toc, 3])) for toc in (0 << 3, 3 << 3, (15 << 3) | 1, (16 << 3) | 3)] == [10.0, 60.0, 40.0, 7.5]
    assert packet_ms(b"") == 0.0
