"""Pictures: scenes change when they say they do, a lens is the same each time, and the camera is on while a view lasts."""

from __future__ import annotations

import numpy as np
import pytest

from tests.scenario_fakes import play, script_of
from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.frames import (
    FRAMES_PER_TICK,
    LIGHTS,
    MOVEMENTS,
    OFF_S,
    SIDE,
    THINGS,
    WALK_S,
    Doorway,
    Exercise,
    Lamp,
    Lens,
    Scene,
    Table,
    Thing,
    Worker,
    film,
    fitted,
    sample_lens,
    sample_setting,
)
from workbench.packets import USER_CAMERA, Frames
from workbench.scenarios.script import AfterOwn, At, Beat, View

CLOCK = ClockSpec()
HALF_OFF_S = OFF_S / 2
THREE = tuple(Thing(kind, "red", place) for place, kind in enumerate(THINGS[:3]))
SCENES: tuple[Scene, ...] = (
    Lamp(lights=((0.0, "green"), (2.0, "red"))),
    Worker(off_s=2.0 + HALF_OFF_S),
    Doorway(enters_s=2.0 + WALK_S / 2),
    Exercise(movement="squats", repetitions=((2.0, 3.0),)),
    Exercise(movement="jacks", repetitions=((2.0, 3.0),)),
    Table(before=THREE, after=THREE[:2], change_s=2.0),
)


def difference(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - two.astype(float)).mean())


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: type(scene).__name__)
def test_a_scene_stands_still_until_its_moment_and_changes_then(scene: Scene) -> None:
    frames = film(scene, 0.5, 0.2)
    assert (frames.shape, frames.dtype) == ((FRAMES_PER_TICK, SIDE, SIDE, 3), np.uint8)
    assert difference(scene.draw(-1.0), scene.draw(1.95)) < 0.01, "a little swaying at most"
    assert difference(scene.draw(1.95), scene.draw(2.55)) > 0.015


@pytest.mark.parametrize("colour", LIGHTS)
def test_a_lamp_shows_the_colour_of_its_moment(colour: str) -> None:
    lamp = Lamp(lights=((0.0, "green"), (1.0, colour)))
    below_the_shine = lamp.draw(1.0)[round(0.53 * SIDE), SIDE // 2]
    assert np.allclose(below_the_shine, LIGHTS[colour], atol=0.02)


@pytest.mark.parametrize("movement", MOVEMENTS)
def test_a_repetition_begins_and_ends_standing_and_differs_most_in_its_middle(movement) -> None:
    figure = Exercise(movement=movement, repetitions=((1.0, 2.0), (2.5, 4.0)))
    standing = figure.draw(0.0)
    assert difference(figure.draw(2.0), standing) == difference(figure.draw(4.0), standing) == 0.0
    away = [difference(figure.draw(at_s), standing) for at_s in (1.0, 1.25, 1.5)]
    assert away == sorted(away)
    assert difference(figure.draw(1.5), figure.draw(3.25)) == pytest.approx(0.0, abs=1e-6)


def test_every_kind_of_thing_looks_different_from_the_others() -> None:
    pictures = [Table(before=(Thing(kind, "blue", 0),), after=(), change_s=9.0).draw(0.0) for kind in THINGS]
    assert all(difference(a, b) > 0.005 for i, a in enumerate(pictures) for b in pictures[:i])


def test_a_lens_is_the_same_each_time_and_the_plain_one_changes_nothing() -> None:
    frames = film(SCENES[0], 0.0, 0.2)
    assert np.array_equal(Lens().take(frames, 3), frames)
    noisy = Lens(noise=8.0, shake_px=1.0, seed=5)
    assert np.array_equal(noisy.take(frames, 3), noisy.take(frames, 3))
    assert not np.array_equal(noisy.take(frames, 3), noisy.take(frames, 4))
    assert Lens(gain=0.5).take(frames, 0).mean() == pytest.approx(frames.mean() / 2, rel=0.02)
    with pytest.raises(InputError, match=r"gain=0, .* give a gain and a tint above 0"):
        Lens(gain=0)


def test_difficulty_is_what_a_lens_and_a_setting_suffer_from() -> None:
    frames = film(SCENES[3], 0.0, 0.2)

    def harm(difficulty: float) -> float:
        return float(np.mean([difference(sample_lens(np.random.default_rng(i), difficulty).take(frames, 0), frames) for i in range(20)]))

    assert harm(0.0) < harm(0.5) < harm(1.0)
    sizes = [min(sample_setting(np.random.default_rng(i), difficulty).size for i in range(20)) for difficulty in (0.0, 0.5, 1.0)]
    assert sizes[0] == 1.0
    assert sizes == sorted(sizes, reverse=True)
    with pytest.raises(InputError, match="difficulty=2 must be 0 to 1"):
        sample_lens(np.random.default_rng(0), 2)


def test_frames_of_any_size_are_fitted_without_a_change_of_brightness() -> None:
    rng = np.random.default_rng(0)
    large = np.repeat(np.repeat(rng.integers(0, 256, (5, 24, 32, 3), np.uint8), 4, axis=1), 3, axis=2)
    small = fitted(large, 2, 32)
    assert small.shape == (2, 32, 32, 3)
    assert small.mean() == pytest.approx(large[[0, 2]].mean(), abs=0.6)
    assert np.array_equal(fitted(small, 2, 32), small)
    assert fitted(small[:1], 2, 32).shape == (2, 32, 32, 3)
    with pytest.raises(InputError, match=r"camera frames are uint8 \(8, 8, 3\); they must be uint8 \(frames, height, width, 3\)"):
        fitted(np.zeros((8, 8, 3), np.uint8), 2, 32)


def seen(*beats: Beat, ticks: int = 60) -> dict[int, Frames]:
    trace = play(script_of(*beats, ending=AfterOwn(1.0), max_ticks=ticks))
    return {turn.tick: frames for turn in trace.turns if isinstance(frames := turn.get(USER_CAMERA), np.ndarray)}


def test_the_camera_is_on_from_the_beginning_of_a_beat_until_its_view_is_over() -> None:
    lamp = Lamp(lights=((0.0, "green"), (1.0, "red")))
    frames = seen(Beat(("tell me",), At(0.5), view=View(lamp, 2.0), holds_s=3.0))  # the words end at 1.15 s
    assert list(frames) == list(range(2, 16))  # 3.15 s is in tick 15
    red = [tick for tick, taken in frames.items() if np.array_equal(taken[0], film(lamp, 5.0, 0.2)[0])]
    assert red == list(range(11, 16)), "the first frame of tick 11 is taken at 2.2 s, the lamp turns at 2.15 s"


def test_a_later_view_replaces_an_earlier_one_and_what_follows_waits_for_the_hold() -> None:
    one, two = Lamp(lights=((0.0, "green"),)), Lamp(lights=((0.0, "blue"),))
    first = Beat(("look",), At(0.0), view=View(one, 30.0), holds_s=2.0)
    frames = seen(first, Beat(("look",), AfterOwn(0.5), view=View(two, 1.0)))
    at = CLOCK.tick_at(0.3 + 2.0 + 0.5)
    assert np.array_equal(frames[at - 1], film(one, 0.0, 0.2))
    assert np.array_equal(frames[at], film(two, 0.0, 0.2))
    assert max(frames) == CLOCK.tick_at(2.8 + 0.3 + 1.0 - 1e-6)


def test_a_script_without_a_view_leaves_the_camera_off() -> None:
    assert seen(Beat(("what is",), At(0.5))) == {}
