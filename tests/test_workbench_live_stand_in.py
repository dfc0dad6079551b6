"""A user who stands in for a person: it talks through the messages of a page, hears what its loudspeaker plays, and pages look on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.test_workbench_live_protocol import QUIET
from workbench.agents import EchoAgent
from workbench.clock import ClockSpec, RealTime, Tick
from workbench.errors import InputError
from workbench.events import PlaybackPosition
from workbench.live.admission import Admission, Limits
from workbench.live.host import Host
from workbench.live.protocol import RATE, End, Hello, Problem, Question, Settled, TickDone, Welcome, encode
from workbench.live.stand_in import Loudspeaker, StandIn, user_named
from workbench.packets import AGENT_AUDIO, USER_AUDIO, USER_TEXT, MicroTurn, Packet
from workbench.session import Said
from workbench.store import read_trace, verify
from workbench.users import RecordedUser, ScriptedUser

SIZE = ClockSpec().samples_per_tick
LEVEL = 0.25


@dataclass
class Caller:
    """Sounds and types until it hears itself come back `times` times, then is done."""

    times: int = 3
    name: str = "user"
    speaks: tuple[str, ...] = (USER_AUDIO, USER_TEXT)
    hears: tuple[str, ...] = (AGENT_AUDIO,)
    heard: list[float] = field(default_factory=list)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Caller"}

    def start(self, clock: ClockSpec, seed: int) -> None:
        self.heard.clear()

    def step(self, state: None, tick: Tick, heard: MicroTurn) -> tuple[Said, None]:
        self.heard.append(float(heard.audio(AGENT_AUDIO, SIZE).max()))
        packets = [Packet(USER_AUDIO, tick, np.full(SIZE, LEVEL, np.float32))]
        if tick == 0:
            packets.append(Packet(USER_TEXT, tick, "hello"))
        return Said(tuple(packets), done=sum(level > LEVEL / 2 for level in self.heard) >= self.times), None


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(EchoAgent, tmp_path, Admission(Limits(sessions=1), RealTime(ClockSpec()).now))
    yield made
    made.close()


class Page:
    """A page that looks on, and keeps what it is told."""

    def __init__(self, stand_in: StandIn) -> None:
        self.told: list[dict[str, Any]] = []
        self._came = threading.Condition()
        self.leave = stand_in.subscribe(self._hear)

    def _hear(self, message: Mapping[str, Any], buffers: object) -> None:
        with self._came:
            self.told.append(dict(message))
            self._came.notify_all()

    def wait_for(self, t: str, count: int = 1) -> None:
        with self._came:
            assert self._came.wait_for(lambda: sum(m["t"] == t for m in self.told) >= count, 60), [m["t"] for m in self.told]


def hello(**settings: Any) -> Mapping[str, Any]:
    return encode(Hello(rate=RATE, client="test 1", settings=settings))[0]


def test_it_is_heard_and_answered_over_the_runtime_and_stops(host: Host) -> None:
    user = Caller()
    stand_in = StandIn(host.open("notebook"), user).begin()
    end = stand_in.wait(60)
    assert isinstance(end, End)
    assert (end.reason, stand_in.session is not None) == ("stopped", True)
    trace = read_trace(host.folder / str(end.trace))
    assert verify(host.folder / str(end.trace)).ok
    assert trace.header.labels["client"] == "stand-in 1"
    assert trace.header.labels["settings"] == {"user": {"class": "Caller"}}
    assert np.abs(trace.audio(USER_AUDIO)).max() == pytest.approx(LEVEL, abs=1e-4)
    assert "hello" in [turn.text(USER_TEXT) for turn in trace.turns]
    assert max(user.heard) == pytest.approx(LEVEL, abs=1e-4)
    assert max(event.heard_s for _, event in trace.events(PlaybackPosition)) > 0


def test_a_page_looks_on_may_stop_it_and_may_begin_it_again(host: Host) -> None:
    stand_in = StandIn(host.open("notebook"), Caller(times=10_000)).begin()
    page = Page(stand_in)
    stand_in.feed(hello())
    page.wait_for("tick", 3)
    stand_in.feed({"t": "audio", "n": 0, "at": 0.0}, [bytes(640)])
    stand_in.feed({"t": "consent", "given": False})
    stand_in.away()
    page.wait_for("tick", 6)
    assert page.told[0]["t"] == "welcome"
    assert page.told[0]["token"] == ""
    stand_in.feed({"t": "stop"})
    page.wait_for("end")
    first = page.told[0]["session"]
    late = Page(stand_in)
    stand_in.feed(hello())
    late.wait_for("end")
    assert [message["t"] for message in late.told[:2]] == ["welcome", "tick"]
    assert late.told[1]["tick"] == 0
    page.leave()
    stand_in.feed(hello(begin=True))
    late.wait_for("welcome", 2)
    late.wait_for("tick", 3 + sum(message["t"] == "tick" for message in late.told))
    assert late.told[-1]["t"] == "tick"
    assert [m["session"] for m in late.told if m["t"] == "welcome"][-1] != first
    stand_in.close()
    late.wait_for("end", 2)


def test_where_there_is_no_place_it_says_why(host: Host) -> None:
    other = StandIn(host.open("ann"), Caller(times=10_000)).begin()
    Page(other).wait_for("tick")
    refused = StandIn(host.open("bob"), Caller()).begin().wait(60)
    assert isinstance(refused, Problem)
    assert refused.code == "full"
    other.close()


def tick_of(number: int) -> TickDone:
    return TickDone(**{**QUIET, "tick": number, "position": number * SIZE, "said": f"w{number}"}, samples=np.full(SIZE, 1000, np.int16))


def test_a_loudspeaker_plays_tick_by_tick_and_throws_away_what_is_dropped() -> None:
    speaker = Loudspeaker(SIZE)
    for number in range(4):
        speaker.put(tick_of(number))
    played = speaker.play(Tick(7))
    assert (played.tick, played.text("agent.text"), speaker.position, speaker.queued) == (7, "w0", SIZE, 3 * SIZE)
    speaker.drop(SIZE + 100)
    assert np.flatnonzero(speaker.play(Tick(8)).audio(AGENT_AUDIO, SIZE)).tolist() == list(range(100))
    assert speaker.play(Tick(9)).packets == ()
    assert (speaker.position, speaker.queued) == (2 * SIZE, 0)


def test_a_user_is_named_by_a_family_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, np.zeros(800), 8000)
    recorded = user_named(str(path))
    assert isinstance(recorded, RecordedUser)
    assert (recorded.label, len(recorded.samples)) == ("two.wav", 1600)
    scripted = user_named("stop", seed=3)
    assert isinstance(scripted, ScriptedUser)
    assert (scripted.script.family, scripted.script.seed) == ("stop", 3)
    assert user_named(recorded) is recorded
    with pytest.raises(InputError, match="'stopp' is neither a scenario family nor a sound file; families are answer"):
        user_named("stopp")
    with pytest.raises(InputError, match="there is no sound file"):
        user_named("none.wav")


class Told:
    """A connection that keeps what it is fed, and says what a test says."""

    def __init__(self) -> None:
        self.fed: list[dict[str, Any]] = []
        self.say: Any = None

    def feed(self, message: Mapping[str, Any], buffers: object = ()) -> None:
        self.fed.append(dict(message))

    def subscribe(self, callback: Any, replaced: Any = None) -> Any:
        self.say = lambda message: callback(*encode(message))
        return lambda: None

    def close(self) -> None:
        pass


def test_a_page_that_looks_on_may_answer_a_question_also_when_it_comes_later() -> None:
    line = Told()
    stand_in = StandIn(line, Caller())
    line.say(Welcome(session="s", token="t", tick_ms=200, rate=RATE, kept={}, lanes=(), agent="a"))
    asked = [
        Question(question=f"{n}.1", tool="pay", arguments={}, how="click", text="may I", reason="", left_s=9, version="v") for n in (1, 2)
    ]
    for question in asked:
        line.say(question)
    line.say(Settled(question="1.1", given=False, how="silence"))
    page = Page(stand_in)
    stand_in.feed(hello())
    assert [message["question"] for message in page.told if message["t"] == "question"] == ["2.1"]
    click = {"t": "click", "question": "2.1", "given": True, "version": "v"}
    stand_in.feed(click)
    assert line.fed == [click]
