"""Every colour can be read: text and marks stand out from their ground, and no two streams look alike, to colour-blind eyes either."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from widgets.theme import DARK, LIGHT, Theme

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
TEXT, MARK = 4.5, 3.0  # contrast that WCAG 2.2 asks of text (1.4.3) and of parts of a picture (1.4.11)
APART = 10.0  # CIELAB 1976: about four times what is just told apart
STREAMS = ("user", "heard", "agent", "other")  # drawn as boxes in lanes that lie beside each other
EYES = {  # Machado, Oliveira and Fernandes (2009), table of severity 1.0, for linear RGB
    "all cones": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])  # of sRGB, D65


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((float(XYZ[1] @ linear(colour)) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, eyes: str) -> np.ndarray:
    seen = np.clip(EYES[eyes] @ linear(colour), 0, 1)
    x, y, z = np.cbrt(np.maximum(XYZ @ seen / (XYZ @ np.ones(3)), 1e-4))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@THEMES
def test_text_and_marks_stand_out_from_their_ground(theme: Theme) -> None:
    found = {(text, on): contrast(getattr(theme, text), getattr(theme, on)) for text in ("ink", "muted") for on in ("page", "lane")}
    found |= {("ink", state): contrast(theme.ink, colour) for state, colour in theme.floor.items()}
    assert {key: value for key, value in found.items() if value < TEXT} == {}
    marks = {name: contrast(getattr(theme, name), theme.lane) for name in ("user", "heard", "agent", "threshold", "yielded")}
    assert {key: value for key, value in marks.items() if value < MARK} == {}


@THEMES
@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("kind", ["streams", "states of the floor"])
def test_no_two_look_alike(theme: Theme, eyes: str, kind: str) -> None:
    colours = {name: getattr(theme, name) for name in STREAMS} if kind == "streams" else theme.floor
    seen = {name: lab(colour, eyes) for name, colour in colours.items()}
    apart = {(one, other): float(np.linalg.norm(seen[one] - seen[other])) for one, other in combinations(seen, 2)}
    assert {pair: round(value, 1) for pair, value in apart.items() if value < APART} == {}
