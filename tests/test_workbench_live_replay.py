"""A live session with the shipped model, over a bad line, decides the same when it is replayed from its trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live_fakes import PIECE, Slow, Wall, opened
from workbench.agents import SilentAgent
from workbench.events import AgentHeld, AudioLost, Decision, SettingChanged, TranscriptDelta
from workbench.live.ear import to_pcm
from workbench.live.protocol import RATE, Audio, Pcm, Set, Stop, TickDone
from workbench.packets import USER_AUDIO, rng_for
from workbench.replay import replay
from workbench.scenarios import build
from workbench.session import Session
from workbench.store import read_trace
from workbench.trace import Trace, record
from workbench.users import ScriptedUser


def scripted_sound(family: str, seconds: float) -> Pcm:
    """What a scripted user says to someone who never answers."""
    session = Session.start([ScriptedUser(build(family, 3, "unseen"))])
    trace = record(session)
    session.run(round(seconds * 5))
    return to_pcm(trace.audio(USER_AUDIO))


@pytest.fixture(scope="module")
def talked(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trace, list[TickDone]]:
    """Ten seconds of a person who asks for a count and says stop; pieces come in disorder, some never, and one tick far too late."""
    from workbench.neural import load_agent

    wall, rng = Wall(), rng_for(0, 0, "line")
    path = tmp_path_factory.mktemp("live") / "talk.sqlite"
    session, page = opened(Slow(load_agent(checkpoint), wall, {12: 0.7}), path, wall)
    sound = scripted_sound("stop", 10.0)
    for n in range(0, len(sound) - PIECE + 1, PIECE):
        if rng.random() < 0.02:
            continue
        message = Audio(n=n, at=1000.0 * n / RATE, samples=sound[n : n + PIECE])
        wall.at((n + PIECE) / RATE + float(rng.exponential(0.02)), lambda message=message: page.send(message))
    wall.at(5.0, lambda: page.send(Set(name="threshold", value=0.4)))
    wall.at(10.0, lambda: page.send(Stop()))
    assert session.run().reason == "stopped"
    return read_trace(path), page.of(TickDone)


def test_it_replays_to_the_same_decisions_from_its_trace(talked: tuple[Trace, list[TickDone]]) -> None:
    trace, _ = talked
    assert sum(e.samples for _, e in trace.events(AudioLost)) > 0
    assert [tick for tick, _ in trace.events(AgentHeld)] == [13]
    assert [e.value for _, e in trace.events(SettingChanged)] == [0.4]
    assert {e.threshold for _, e in trace.events(Decision)} == {0.5, 0.4}
    assert replay(trace).difference is None


def test_the_page_was_told_what_the_trace_holds(talked: tuple[Trace, list[TickDone]]) -> None:
    trace, ticks = talked
    words = [(e.side, e.word) for _, e in trace.events(TranscriptDelta)]
    assert ("user", "stop") in words or ("user", "count") in words, words
    assert any(side == "model" for side, _ in words)
    assert [(side, word) for tick in ticks for side, word, *_ in tick.words] == words
    decisions = [tick.decision["p_speak"] for tick in ticks if tick.decision]
    assert decisions == [e.p_speak for _, e in trace.events(Decision)]


def test_silence_replays_too(tmp_path: Path) -> None:
    session, page = opened(SilentAgent(), tmp_path / "a.sqlite", Wall())
    page.wall.at(1.0, lambda: page.send(Stop()))
    session.run()
    assert replay(read_trace(session.path)).difference is None
