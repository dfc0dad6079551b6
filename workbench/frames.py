"""What a simulated camera sees: small scenes drawn with numpy alone, and the lens they are taken through.

A scene is plain data with a clock of its own: it draws itself at any second, before zero as well. A lens then adds what real cameras add:
brightness, tint, a slope of light, shake and noise. Lengths are shares of the picture, x to the right and y downwards. Ours, unpublished.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.packets import USER_CAMERA, Frames, rng_for

SIDE = 32  # pixels
FRAMES_PER_TICK = 2  # so ten frames a second, which repetitions of a second need

Rgb: TypeAlias = tuple[float, float, float]  # 0 to 1
Picture: TypeAlias = npt.NDArray[np.float32]  # (SIDE, SIDE, 3), 0 to 1
Distance: TypeAlias = npt.NDArray[np.floating[Any]]  # of every pixel from the edge of a shape, negative inside it
Movement: TypeAlias = Literal["squats", "jacks"]
ThingKind: TypeAlias = Literal["ball", "box", "cone", "ring"]
MOVEMENTS: tuple[Movement, ...] = get_args(Movement)
THINGS: tuple[ThingKind, ...] = get_args(ThingKind)

LIGHTS: dict[str, Rgb] = {"red": (0.95, 0.1, 0.08), "green": (0.1, 0.85, 0.2), "blue": (0.15, 0.3, 1.0), "yellow": (0.98, 0.85, 0.1)}
SKINS: tuple[Rgb, ...] = ((0.95, 0.78, 0.65), (0.78, 0.57, 0.42), (0.5, 0.34, 0.24))
CLOTHES: tuple[Rgb, ...] = ((0.9, 0.45, 0.1), (0.2, 0.35, 0.7), (0.65, 0.15, 0.2), (0.15, 0.5, 0.4), (0.25, 0.25, 0.3), (0.85, 0.85, 0.85))
HELMETS: tuple[Rgb, ...] = ((0.98, 0.85, 0.1), (0.95, 0.95, 0.95), (0.9, 0.2, 0.15), (0.15, 0.4, 0.85))
OFF_S = 0.6  # a helmet is on its way for so long
WALK_S = 1.0  # from outside the picture to the place where a person stops


class Scene(Protocol):
    """Anything that can be looked at."""

    def draw(self, at_s: float) -> Picture:
        """The scene as it is at `at_s` on its own clock, without the faults of a camera."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a scene plays: colours of wall and floor, where its subject stands, and how large it is (1: as large as fits)."""

    wall: Rgb = (0.75, 0.75, 0.72)
    floor: Rgb = (0.5, 0.45, 0.4)
    horizon: float = 0.75
    x: float = 0.5
    size: float = 1.0


def sample_setting(rng: np.random.Generator, difficulty: float) -> Setting:
    """Draw a setting; difficulty makes the subject smaller, moves it aside and lets wall and floor be of any colour."""
    colourful = 0.08 + 0.22 * difficulty
    wall, floor = (np.clip(rng.uniform(low, 0.9) + rng.uniform(-colourful, colourful, 3), 0.05, 0.95) for low in (0.45, 0.2))
    return Setting(
        wall=_rgb(wall),
        floor=_rgb(floor),
        horizon=float(rng.uniform(0.65, 0.85)),
        x=float(0.5 + rng.uniform(-0.15, 0.15) * difficulty),
        size=float(rng.uniform(1.0 - 0.35 * difficulty, 1.0)),
    )


# Scenes ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """An indicator lamp on a panel; `lights` are (second, colour) in order, the first colour also before its second.

    `beside`: the colour of a second lamp that never changes.
    """

    lights: tuple[tuple[float, str], ...]
    setting: Setting = field(default_factory=Setting)
    beside: str | None = None

    def draw(self, at_s: float) -> Picture:
        sheet = Sheet.of(self.setting)
        x, size = self.setting.x, self.setting.size
        colour = [name for begins_s, name in self.lights if begins_s <= at_s or begins_s == self.lights[0][0]][-1]
        sheet.box((0.12, 0.12, 0.14), x, 0.45, 0.3 * size, 0.36 * size)
        self._light(sheet, colour, x, 0.45 - (0.14 * size if self.beside else 0.0))
        if self.beside:
            self._light(sheet, self.beside, x, 0.45 + 0.19 * size, 0.5)
        return sheet.pixels

    def _light(self, sheet: Sheet, colour: str, x: float, y: float, share: float = 1.0) -> None:
        radius = 0.19 * self.setting.size * share
        sheet.disc((0.3, 0.3, 0.32), x, y, radius * 1.25)
        sheet.disc(LIGHTS[colour], x, y, radius)
        sheet.disc((1.0, 1.0, 1.0), x - radius * 0.35, y - radius * 0.35, radius * 0.25)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Head and shoulders of a worker in a helmet, which is half off the head at `off_s` and then held beside it."""

    off_s: float
    helmet: Rgb = HELMETS[0]
    skin: Rgb = SKINS[0]
    clothes: Rgb = CLOTHES[0]
    setting: Setting = field(default_factory=Setting)

    def draw(self, at_s: float) -> Picture:
        sheet = Sheet.of(self.setting)
        size = self.setting.size
        x, head_y = self.setting.x + 0.015 * math.sin(1.3 * at_s), 0.42
        sheet.box(self.clothes, x, head_y + 0.62 * size, 0.34 * size, 0.38 * size)
        sheet.disc(self.skin, x, head_y, 0.2 * size)
        gone = _eased((at_s - self.off_s) / OFF_S + 0.5)
        lift = math.sin(math.pi * gone)
        sheet.dome(self.helmet, x + 0.36 * size * gone, head_y - 0.02 + 0.34 * size * gone - 0.12 * lift, 0.25 * size)
        return sheet.pixels


@dataclass(frozen=True, kw_only=True)
class Doorway:
    """A room into which someone walks and is half in the picture at `enters_s`; a ball may roll in at `ball_s` before."""

    enters_s: float
    from_left: bool = True
    ball_s: float | None = None
    skin: Rgb = SKINS[0]
    clothes: Rgb = CLOTHES[1]
    setting: Setting = field(default_factory=Setting)

    def draw(self, at_s: float) -> Picture:
        sheet = Sheet.of(self.setting)
        side = -1.0 if self.from_left else 1.0
        if self.ball_s is not None:
            rolled = _eased((at_s - self.ball_s) / WALK_S)
            sheet.disc((0.85, 0.3, 0.25), 0.5 - side * (0.65 - 0.4 * rolled), 0.85, 0.08)
        walked = min(max((at_s - self.enters_s) / WALK_S, -0.5), 1.0)  # half in at 0
        stride = 0.08 * math.sin(4 * math.pi * walked) if 0.0 < walked + 0.5 < 1.5 else 0.0
        x = 0.5 + side * (0.5 - 0.4 * walked)
        _stand(sheet, x, self.setting.size, self.skin, self.clothes, arms=0.08, legs=0.07 + abs(stride), crouch=0.0)
        return sheet.pixels


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A figure doing squats or jumping jacks; `repetitions` are (first second, last second) of each, in order, standing between them."""

    movement: Movement
    repetitions: tuple[tuple[float, float], ...]
    skin: Rgb = SKINS[0]
    clothes: Rgb = CLOTHES[1]
    setting: Setting = field(default_factory=Setting)

    def draw(self, at_s: float) -> Picture:
        sheet = Sheet.of(self.setting)
        share = next(((at_s - first) / (last - first) for first, last in self.repetitions if first <= at_s < last), 0.0)
        bent = 0.5 - 0.5 * math.cos(2 * math.pi * share)
        arms, legs, crouch = (0.08 + 0.1 * bent, 0.08, bent) if self.movement == "squats" else (0.08 + 0.92 * bent, 0.08 + 0.2 * bent, 0.0)
        _stand(sheet, self.setting.x, self.setting.size, self.skin, self.clothes, arms=arms, legs=legs, crouch=crouch)
        return sheet.pixels


@dataclass(frozen=True)
class Thing:
    """An object on a table: its kind, its colour (a name of LIGHTS) and which of the four places it stands on."""

    kind: ThingKind
    colour: str
    place: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """Things on a table as seen from above: `before` until `change_s`, then `after`."""

    before: tuple[Thing, ...]
    after: tuple[Thing, ...]
    change_s: float
    setting: Setting = field(default_factory=Setting)

    def draw(self, at_s: float) -> Picture:
        sheet = Sheet.of(self.setting, horizon=0.0)
        for thing in self.before if at_s < self.change_s else self.after:
            x, y = 0.27 + 0.46 * (thing.place % 2), 0.27 + 0.46 * (thing.place // 2)
            _place(sheet, thing, x, y, 0.17 * (0.4 + 0.6 * self.setting.size))
        return sheet.pixels


# Drawing ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sheet:
    """A picture being drawn; every shape is painted over what is there, with smooth edges."""

    pixels: Picture

    @classmethod
    def of(cls, setting: Setting, horizon: float | None = None) -> Sheet:
        """The empty setting: wall above, floor below the horizon."""
        _, y = _grid()
        below = _cover((setting.horizon if horizon is None else horizon) - y)[..., None]
        return cls(below * np.array(setting.floor, np.float32) + (1 - below) * np.array(setting.wall, np.float32))

    def disc(self, colour: Rgb, x: float, y: float, radius: float) -> None:
        """A filled circle."""
        self._paint(colour, _distance(x, y) - radius)

    def ring(self, colour: Rgb, x: float, y: float, radius: float) -> None:
        """A circle with a hole of half its width."""
        self._paint(colour, np.abs(_distance(x, y) - radius * 0.75) - radius * 0.25)

    def box(self, colour: Rgb, x: float, y: float, half_width: float, half_height: float) -> None:
        """A filled rectangle."""
        across, down = _grid()
        self._paint(colour, np.maximum(np.abs(across - x) - half_width, np.abs(down - y) - half_height))

    def dome(self, colour: Rgb, x: float, y: float, radius: float) -> None:
        """The upper half of a circle with a brim."""
        _, down = _grid()
        self._paint(colour, np.maximum(_distance(x, y) - radius, down - y))
        self.box(colour, x, y, radius * 1.25, 0.025)

    def cone(self, colour: Rgb, x: float, y: float, radius: float) -> None:
        """A triangle that stands on its base."""
        across, down = _grid()
        slanted = (2 * np.abs(across - x) - (down - y) - radius) / math.sqrt(5)
        self._paint(colour, np.maximum(slanted, down - y - radius))

    def limb(self, colour: Rgb, start: tuple[float, float], end: tuple[float, float], radius: float) -> None:
        """A line with round ends."""
        across, down = _grid()
        dx, dy = end[0] - start[0], end[1] - start[1]
        along = np.clip(((across - start[0]) * dx + (down - start[1]) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        self._paint(colour, np.hypot(across - start[0] - along * dx, down - start[1] - along * dy) - radius)

    def _paint(self, colour: Rgb, outside: Distance) -> None:
        """Mix the colour in where the distance `outside` the shape is below half a pixel."""
        cover = _cover(outside)[..., None]
        self.pixels[...] += cover * (np.array(colour, np.float32) - self.pixels)


@cache
def _grid() -> tuple[Picture, Picture]:
    """x and y of the middle of every pixel."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return (x + np.float32(0.5)) / np.float32(SIDE), (y + np.float32(0.5)) / np.float32(SIDE)


def _distance(x: float, y: float) -> Distance:
    across, down = _grid()
    distance: Distance = np.hypot(across - np.float32(x), down - np.float32(y))
    return distance


def _cover(outside: Distance) -> Picture:
    cover: Picture = np.clip(0.5 - outside * np.float32(SIDE), 0, 1, dtype=np.float32)
    return cover


def _eased(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _rgb(values: Sequence[float] | npt.NDArray[np.float64]) -> Rgb:
    red, green, blue = (round(float(value), 3) for value in values)
    return red, green, blue


def _stand(sheet: Sheet, x: float, size: float, skin: Rgb, clothes: Rgb, *, arms: float, legs: float, crouch: float) -> None:
    """A whole person: `arms` 0 hanging to 1 straight up, `legs` half the width between the feet, `crouch` 0 upright to 1 thighs level."""
    foot_y = 0.5 + 0.42 * size
    hip_y = foot_y - (0.36 - 0.2 * crouch) * size
    neck_y = hip_y - 0.3 * size
    dark = _rgb([0.55 * value for value in clothes])
    for side in (-1.0, 1.0):
        foot = (x + side * legs * size, foot_y)
        knee = (x + side * (legs * 0.6 + 0.16 * crouch) * size, (hip_y + foot_y) / 2)
        sheet.limb(dark, (x + side * 0.04 * size, hip_y), knee, 0.035 * size)
        sheet.limb(dark, knee, foot, 0.035 * size)
        angle = math.pi * (arms - 0.5)
        hand = (x + side * (0.08 + 0.24 * math.cos(angle)) * size, neck_y + (0.05 - 0.26 * math.sin(angle)) * size)
        sheet.limb(skin, (x + side * 0.08 * size, neck_y + 0.05 * size), hand, 0.028 * size)
    sheet.limb(clothes, (x, neck_y + 0.05 * size), (x, hip_y - 0.02 * size), 0.085 * size)
    sheet.disc(skin, x, neck_y - 0.1 * size, 0.085 * size)


def _place(sheet: Sheet, thing: Thing, x: float, y: float, radius: float) -> None:
    colour = LIGHTS[thing.colour]
    match thing.kind:
        case "ball":
            sheet.disc(colour, x, y, radius)
        case "box":
            sheet.box(colour, x, y, radius * 0.9, radius * 0.9)
        case "cone":
            sheet.cone(colour, x, y, radius)
        case "ring":
            sheet.ring(colour, x, y, radius)


# The lens --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Lens:
    """One camera in one light; the default changes nothing.

    `gain` is the brightness, `tint` a factor per colour. `slope` is how much brighter than the middle the picture is at its edge towards
    `slope_to` (radians). `shake_px` and `noise` (in levels of 256) are standard deviations, drawn anew for each frame from `seed`.
    """

    gain: float = 1.0
    tint: Rgb = (1.0, 1.0, 1.0)
    slope: float = 0.0
    slope_to: float = 0.0
    shake_px: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.gain <= 0 or min(self.tint) <= 0 or self.shake_px < 0 or self.noise < 0:
            raise InputError(
                f"gain={self.gain}, tint={self.tint}, shake_px={self.shake_px}, noise={self.noise}: "
                "give a gain and a tint above 0, and a shake and a noise of 0 or more"
            )

    def take(self, frames: Frames, tick: int) -> Frames:
        """The frames of micro-turn `tick` through this lens, same shape; the same whenever they are asked for."""
        return np.asarray(self.take_all(frames[None], (tick,))[0])

    def take_all(self, shots: Frames, ticks: Sequence[int]) -> Frames:
        """The frames of many micro-turns, uint8 (micro-turns, frames, height, width, 3), each as `take` gives them."""
        if self == Lens(seed=self.seed):
            return shots
        count, frames, height, width = shots.shape[:4]
        moves, noise = np.empty((count, frames, 2)), np.empty(shots.shape, np.float32)  # the noise becomes the picture
        for number, tick in enumerate(ticks):
            rng = rng_for(self.seed, tick, USER_CAMERA)
            moves[number] = rng.normal(0, self.shake_px, (frames, 2))
            rng.standard_normal(out=noise[number], dtype=np.float32)
        noise *= np.float32(self.noise)
        noise += _moved(shots, moves) * (self._light(height, width) * np.array(self.tint, np.float32))
        np.rint(noise, out=noise)
        return np.asarray(np.clip(noise, 0, 255, out=noise), np.uint8)

    def _light(self, height: int, width: int) -> Picture:
        across = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(math.cos(self.slope_to))
        down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(math.sin(self.slope_to))
        return (np.float32(self.gain) * (1 + np.float32(self.slope) * (across + down)))[..., None]


def sample_lens(rng: np.random.Generator, difficulty: float) -> Lens:
    """Draw a lens; difficulty 0 is nearly a perfect one, 1 covers dim light, strong tints, shake of a pixel and heavy noise."""
    if not 0 <= difficulty <= 1:
        raise InputError(f"difficulty={difficulty} must be 0 to 1")
    wide = 0.1 + 0.9 * difficulty
    return Lens(
        gain=float(rng.uniform(1.0 - 0.45 * wide, 1.0 + 0.15 * wide)),
        tint=_rgb(1.0 + rng.uniform(-0.2, 0.2, 3) * wide),
        slope=float(rng.uniform(0.0, 0.35 * wide)),
        slope_to=float(rng.uniform(0.0, 2 * math.pi)),
        shake_px=float(rng.uniform(0.0, 0.8)) * difficulty if rng.random() < 0.5 else 0.0,
        noise=float(rng.uniform(0.0, 14.0 * wide)),
        seed=int(rng.integers(2**31)),
    )


def _moved(shots: Frames, by: npt.NDArray[np.float64]) -> Frames:
    """Frames (N, F, Y, X, 3) moved by whole pixels (N, F, 2); what comes in from outside repeats the edge."""
    if not np.rint(by).any():
        return shots
    count, frames, height, width = shots.shape[:4]
    down, across = np.rint(by).astype(np.int64).transpose(2, 0, 1)[..., None]
    row = np.clip(np.arange(height) - down, 0, height - 1)
    column = np.clip(np.arange(width) - across, 0, width - 1)
    shot, frame = np.ogrid[:count, :frames]
    return np.asarray(shots[shot[..., None, None], frame[..., None, None], row[..., :, None], column[..., None, :]])


def film(scene: Scene, from_s: float, tick_s: float) -> Frames:
    """The frames of one micro-turn, uint8 (FRAMES_PER_TICK, SIDE, SIDE, 3), whose first is taken at `from_s` on the scene's clock."""
    pictures = [scene.draw(from_s + number * tick_s / FRAMES_PER_TICK) for number in range(FRAMES_PER_TICK)]
    return np.rint(np.stack(pictures) * 255).astype(np.uint8)


def fitted(frames: Frames, count: int, side: int) -> Frames:
    """Frames of any number and size as `count` frames of `side` x `side`: picked evenly in time, averaged over areas in space.

    A picture that is not square is squeezed. Raises InputError for anything but uint8 (frames, height, width, 3).
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise InputError(f"camera frames are {frames.dtype} {frames.shape}; they must be uint8 (frames, height, width, 3)")
    picked = frames[np.arange(count) * len(frames) // count]
    if picked.shape[1:3] == (side, side):
        return picked
    rows, columns = (_averaging(size, side) for size in picked.shape[1:3])
    averaged = np.einsum("ay,fyxc,bx->fabc", rows, picked.astype(np.float32), columns, optimize=True)
    return np.asarray(np.rint(averaged), np.uint8)


@cache
def _averaging(size: int, side: int) -> Picture:
    """(side, size): row i averages the stretch of `size` pixels that target pixel i covers."""
    edges = np.linspace(0, size, side + 1)
    inside = np.minimum(edges[1:, None], np.arange(1, size + 1)) - np.maximum(edges[:-1, None], np.arange(size))
    return np.asarray(np.clip(inside, 0, None) * side / size, np.float32)
