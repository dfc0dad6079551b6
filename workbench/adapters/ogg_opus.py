"""Opus in Ogg as a stream (RFC 7845), through libsndfile: pages as soon as there is sound for them, and sound as soon as pages come.

libsndfile writes such a stream, and gives pages soon once it is told to (its command SET_OGG_PAGE_LATENCY, which the package soundfile does
not expose by name). It reads whole files only; so what has come is read packet by packet, and every batch of packets is decoded as a small
file of its own, behind what came before it. For speech a decoder has found its state again after 80 ms (RFC 7845, section 4.6); a pure
tone takes it longer, so 800 ms are decoded again.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import soundfile

from workbench.errors import InputError
from workbench.packets import Audio

SET_OGG_PAGE_LATENCY_MS = 0x1302  # of libsndfile's sf_command
PAGE_MS = 20.0
GRANULES = 48_000  # a second, whatever the rate
PREROLL_MS = 800.0
LONGEST_PAGE = 27 + 255 + 255 * 255
CAPTURE = b"OggS"
CONTINUED, FIRST, LAST = 1, 2, 4
FRAME_MS = (10, 20, 40, 60) * 3 + (10, 20) * 2 + (2.5, 5, 10, 20) * 4  # by the configuration in a packet's first byte (RFC 6716, 3.1)


class _Growing(io.RawIOBase):
    """A file that is written at its end, of which the new bytes can be taken."""

    def __init__(self) -> None:
        self._fresh, self._size = bytearray(), 0

    def write(self, data: object) -> int:
        new = bytes(data)  # type: ignore[call-overload]
        self._fresh += new
        self._size += len(new)
        return len(new)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._size

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        fresh, self._fresh = bytes(self._fresh), bytearray()
        return fresh


class OpusWriter:
    """Mono sound at `rate` into one Ogg stream; `take` gives the pages that are full by then, the first time with the headers."""

    def __init__(self, rate: int = 24_000) -> None:
        self._file = _Growing()
        self._sound = soundfile.SoundFile(self._file, "w", rate, 1, format="OGG", subtype="OPUS")
        latency = soundfile._ffi.new("double *", PAGE_MS)
        soundfile._snd.sf_command(self._sound._file, SET_OGG_PAGE_LATENCY_MS, latency, 8)

    def take(self, samples: Audio) -> bytes:
        """The pages of the next samples; what does not fill a frame waits for the next time."""
        self._sound.write(samples)
        self._sound.flush()
        return self._file.taken()

    def close(self) -> bytes:
        """The last pages."""
        self._sound.close()
        return self._file.taken()


@dataclass
class OpusReader:
    """One Ogg stream into mono sound at `rate`; `take` gives what is in the pages that are whole by then.

    Raises InputError for what is no such stream.
    """

    rate: int = 24_000
    _bytes: bytearray = field(default_factory=bytearray)
    _part: bytearray = field(default_factory=bytearray)  # of a packet that goes on in the next page
    _heads: int = 0
    _before: list[bytes] = field(default_factory=list)
    _skip: int = 0  # samples of the beginning that are none

    def take(self, data: bytes) -> Audio:
        self._bytes += data
        fresh: list[bytes] = []
        for page in self._pages():
            for packet in self._packets(page):
                self._heads += 1
                if self._heads == 1:
                    self._begin(packet)
                elif self._heads > 2:  # the second are comments
                    fresh.append(packet)
        return self._decoded(fresh) if fresh else np.zeros(0, np.float32)

    def _pages(self) -> Iterator[bytes]:
        while len(self._bytes) >= 27:
            if self._bytes[:4] != CAPTURE or self._bytes[4] != 0:
                raise InputError(f"{bytes(self._bytes[:5])!r} begins no Ogg page; sound is sent as one stream of Ogg pages with Opus in it")
            count = self._bytes[26]
            size = 27 + count + sum(self._bytes[27 : 27 + count])
            if len(self._bytes) < 27 + count or len(self._bytes) < size:
                return
            page, self._bytes = bytes(self._bytes[:size]), self._bytes[size:]
            if checksum(page[:22] + bytes(4) + page[26:]) != int.from_bytes(page[22:26], "little"):
                raise InputError("an Ogg page does not have its checksum; it was damaged on its way")
            yield page

    def _packets(self, page: bytes) -> Iterator[bytes]:
        if page[5] & FIRST:  # another stream begins
            self._heads, self._before, self._part = 0, [], bytearray()
        at = 27 + page[26]
        for size in page[27:at]:
            self._part += page[at : at + size]
            at += size
            if size < 255:
                packet, self._part = bytes(self._part), bytearray()
                yield packet

    def _begin(self, head: bytes) -> None:
        if len(head) < 19 or head[:8] != b"OpusHead" or head[9] != 1:
            raise InputError(f"the stream begins with {head[:8]!r}; it must be mono Opus (OpusHead, one channel)")
        self._skip = int.from_bytes(head[10:12], "little") * self.rate // GRANULES

    def _decoded(self, fresh: Sequence[bytes]) -> Audio:
        whole = [*self._before, *fresh]
        try:
            samples, _ = soundfile.read(io.BytesIO(_file_of(whole, self.rate)), dtype="float32")
        except soundfile.SoundFileError as error:
            raise InputError(f"the packets are no Opus ({error}); sound is sent as Opus in Ogg") from error
        new = samples[len(samples) - round(sum(map(packet_ms, fresh)) * self.rate / 1000) :]
        skip, self._skip = self._skip, max(0, self._skip - len(new))
        while whole and sum(map(packet_ms, whole[1:])) >= PREROLL_MS:
            whole.pop(0)
        self._before = whole
        return np.asarray(new[skip:], np.float32)


def packet_ms(packet: bytes) -> float:
    """How much sound an Opus packet holds (RFC 6716, section 3)."""
    if not packet:
        return 0.0
    kind = packet[0] & 3
    frames = 1 if kind == 0 else 2 if kind < 3 else packet[1] & 63 if len(packet) > 1 else 0
    return float(FRAME_MS[packet[0] >> 3]) * frames


def _file_of(packets: Sequence[bytes], rate: int) -> bytes:
    """A whole file of these packets, from its first sample on."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, rate, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 0) + struct.pack("<I", 0)
    pages = [_page(head, 0, 0, FIRST), _page(tags, 1, 0, 0)]
    granule = 0.0
    for number, packet in enumerate(packets):
        granule += packet_ms(packet) * GRANULES / 1000
        pages.append(_page(packet, number + 2, round(granule), LAST if number == len(packets) - 1 else 0))
    return b"".join(pages)


def _page(packet: bytes, number: int, granule: int, kind: int) -> bytes:
    """One page with one packet."""
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    head = CAPTURE + struct.pack("<BBqIII", 0, kind, granule, 1, number, 0) + bytes([len(lacing)]) + lacing
    page = head + packet
    return page[:22] + struct.pack("<I", checksum(page)) + page[26:]


def checksum(page: bytes) -> int:
    """The checksum of an Ogg page whose own field is zero: a CRC of 32 bits, polynomial 0x04C11DB7, nothing reflected."""
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        found.append(crc)
    return tuple(found)


_TABLE = _table()
