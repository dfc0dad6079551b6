"""Pictures in a trace file: kept as they were said, or as their brightness, or not at all; and played back from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.scenario_fakes import play, script_of
from workbench.agents import SilentAgent
from workbench.errors import TraceError
from workbench.frames import Lamp, Lens
from workbench.packets import USER_AUDIO, USER_CAMERA, Frames
from workbench.replay import TraceUser
from workbench.scenarios.script import At, Beat, View
from workbench.session import Session
from workbench.store import Erasure, Keep, TraceWriter, erase, read_features, read_trace, save_trace, verify
from workbench.store_format import decode, encode
from workbench.trace import Trace, record

WATCHING = Beat(("tell me",), At(0.3), view=View(Lamp(lights=((0.0, "green"), (1.0, "red"))), 2.0), holds_s=2.0)


def watched(lens: Lens | None = None) -> Trace:
    return play(replace(script_of(WATCHING), lens=lens or Lens(noise=6.0, seed=3)))


def camera(trace: Trace) -> dict[int, Frames]:
    return {turn.tick: frames for turn in trace.turns if (frames := turn.frames(USER_CAMERA)) is not None}


def same(one: dict[int, Frames], two: dict[int, Frames]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[tick], two[tick]) for tick in one)


def stored(trace: Trace, path: Path, keep: Keep) -> Trace:
    with TraceWriter(path, trace.header, keep={USER_CAMERA: keep}) as writer:
        for turn in trace.turns:
            writer.append(turn)
    assert verify(path).ok
    return read_trace(path)


def test_pictures_come_back_bit_for_bit_and_only_where_the_camera_was_on(tmp_path: Path) -> None:
    trace = watched()
    back = stored(trace, tmp_path / "t.sqlite", Keep())
    assert camera(trace)
    assert len(camera(trace)) < len(trace)
    assert same(camera(back), camera(trace))


def test_a_camera_of_which_nothing_is_kept_leaves_no_picture_in_the_file(tmp_path: Path) -> None:
    trace = watched()
    none = stored(trace, tmp_path / "none.sqlite", Keep("none"))
    assert camera(none) == {}
    assert none.audio(USER_AUDIO).any(), "the other streams are kept as they were to be"
    assert camera(stored(trace, tmp_path / "features.sqlite", Keep("features"))) == {}
    means = {feature.tick: feature.values["mean"] for feature in read_features(tmp_path / "features.sqlite", USER_CAMERA)}
    assert means == {tick: pytest.approx(frames.mean(), abs=0.06) for tick, frames in camera(trace).items()}


def test_erased_pictures_are_gone_and_the_chain_holds(tmp_path: Path) -> None:
    trace = watched()
    path = save_trace(trace, tmp_path / "t.sqlite")
    first, last = min(camera(trace)), max(camera(trace))
    erase(path, Erasure(stream=USER_CAMERA, from_tick=first, to_tick=last - 1, who="the user", why="seen by mistake"))
    assert list(camera(read_trace(path))) == [last]
    assert verify(path).ok


def test_a_picture_that_stands_still_takes_a_tenth_of_its_room() -> None:
    frames = next(iter(camera(watched(Lens())).values()))
    kept = encode(USER_CAMERA, frames, "pcm16")
    assert kept is not None
    codec, data = kept
    assert len(data) < frames.nbytes / 10
    with pytest.raises(TraceError, match="bytes that do not fit it"):
        decode(codec, data[:-9])


def test_a_stored_session_shows_the_same_pictures_again(tmp_path: Path) -> None:
    trace = stored(watched(), tmp_path / "t.sqlite", Keep())
    session = Session.start([TraceUser(trace), SilentAgent()])
    again = record(session)
    session.run(len(trace))
    assert same(camera(again), camera(trace))
