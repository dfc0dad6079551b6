"""A picture for a browser: as an address that a page can carry inside itself."""

from __future__ import annotations

import base64

from workbench.background.media import png
from workbench.packets import Frames


def data_url(pixels: Frames, scale: int = 1) -> str:
    """The picture, every pixel drawn as a square of `scale` pixels, as a `data:` address."""
    large = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    return "data:image/png;base64," + base64.b64encode(png(large)).decode("ascii")
