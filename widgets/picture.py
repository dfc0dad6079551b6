"""A picture for a browser: pixels as a PNG file, and as an address that a page can carry inside itself."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from workbench.packets import Frames

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BIT_RGB = bytes([8, 2, 0, 0, 0])


def png(pixels: Frames) -> bytes:
    """uint8 (height, width, 3) as a PNG file."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # each row begins with its filter: none
    header = struct.pack(">II", width, height) + _EIGHT_BIT_RGB
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + _chunk(b"IEND", b"")


def data_url(pixels: Frames, scale: int = 1) -> str:
    """The picture, every pixel drawn as a square of `scale` pixels, as a `data:` address."""
    large = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    return "data:image/png;base64," + base64.b64encode(png(large)).decode("ascii")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
