"""An agent that reacts to bursts of sound, a server with it on a loopback port, and a person at the official client."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from openai import OpenAI
from openai.types.live.server_event import ServerEvent
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from workbench.agents import Mouth, MouthState
from workbench.clock import ClockSpec, RealTime, Tick, pause
from workbench.events import Decision, Event, TranscriptDelta, UserSpeechStarted, UserSpeechStopped
from workbench.live.admission import Admission, Limits
from workbench.live.protocol import Pcm
from workbench.live.runtime import LiveSpec
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_TEXT, MicroTurn
from workbench.serve.hall import Hall
from workbench.serve.server import Door, Served
from workbench.session import Said

NUMBERS = tuple("one two three four five six seven eight nine ten".split())
KEY = "a key of the tests"
LIVE_EVENTS: TypeAdapter[Any] = TypeAdapter(ServerEvent)
REALTIME_EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
LOUD = 0.05


@dataclass(frozen=True)
class Reacting:
    clock: ClockSpec
    mouth: MouthState
    loud: bool = False
    bursts: int = 0
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reacts:
    """Takes the n-th burst of sound for the n-th of its `words`, heard when it ends: at "count" it counts; a burst, or "stop", cuts it."""

    words: tuple[str, ...] = ("count", "stop", "look")
    name: str = "agent"
    speaks: tuple[str, ...] = (AGENT_AUDIO, AGENT_TEXT)
    hears: tuple[str, ...] = (USER_AUDIO, USER_TEXT)
    mouth: Mouth = field(default_factory=Mouth)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Reacts"}

    def start(self, clock: ClockSpec, seed: int) -> Reacting:
        return Reacting(clock, self.mouth.start(seed))

    def step(self, state: Reacting, tick: Tick, heard: MicroTurn) -> tuple[Said, Reacting]:
        at_s = state.clock.seconds(max(0, tick - 1))
        loud = bool(np.abs(heard.audio(USER_AUDIO, state.clock.samples_per_tick)).max() > LOUD)
        events: list[Event] = []
        told, bursts, left = heard.text(USER_TEXT).split(), state.bursts, state.left
        if loud and not state.loud:
            events.append(UserSpeechStarted(at_s=at_s))
        if state.loud and not loud:
            word = self.words[bursts % len(self.words)]
            events += [UserSpeechStopped(at_s=at_s), TranscriptDelta(side="user", word=word, start_s=max(0.0, at_s - 0.3), end_s=at_s)]
            told, bursts = [*told, word], bursts + 1
        yields = (bool(events) and loud) or "stop" in told
        left = NUMBERS if "count" in told else () if yields else left
        say = left[:1] if state.mouth.speech.pending_s < state.clock.tick_s and not loud else ()
        cut = yields and state.mouth.speech.speaking
        packets, said, mouth = self.mouth.act(state.mouth, state.clock, tick, say, cut, reason="heard a burst", planned=state.left)
        p = float(loud)
        decision = Decision(
            floor="speak" if say else "listen",
            said=" ".join(say),
            p_speak=1 - p,
            p_yield=p,
            p_backchannel=0.0,
            threshold=0.5,
            p_user_speaking=p,
        )
        return Said(packets, (decision, *events, *said)), Reacting(state.clock, mouth, loud, bursts, left[len(say) :])


@contextmanager
def served(
    folder: Path,
    *,
    keys: Mapping[str, str] | None = None,
    sessions: int = 4,
    spec: LiveSpec | None = None,
    asks_at: Sequence[str] = ("look",),
    agent: Reacts | None = None,
    **more: Any,
) -> Iterator[Served]:
    """A server with the agent of the tests on a free port of this machine."""
    limits = Limits(sessions=sessions, visitor_minutes=600, visitor_bytes=2**40)
    reacts = agent or Reacts()
    hall = Hall(lambda: reacts, "nano", folder, Admission(limits, RealTime(ClockSpec()).now), spec or LiveSpec(), tuple(asks_at), **more)
    with Served(hall, Door(keys={"tests": KEY} if keys is None else keys)) as running:
        yield running


def client(running: Served, key: str = KEY) -> OpenAI:
    """The official client, told where the server is and nothing else."""
    return OpenAI(base_url=f"http://127.0.0.1:{running.port}/v1", api_key=key)


def bursts(*spans_s: tuple[float, float], seconds: float, rate: int = 24_000) -> Pcm:
    """Silence with noise in some spans."""
    sound = np.zeros(round(seconds * rate), np.int16)
    noise = np.random.default_rng(1).integers(-8000, 8000, len(sound))
    for begin_s, end_s in spans_s:
        sound[round(begin_s * rate) : round(end_s * rate)] = noise[round(begin_s * rate) : round(end_s * rate)]
    return sound


@dataclass
class Talked:
    """What came over a connection, each event with the second at which it came, checked against the published schema."""

    connection: Any
    schema: TypeAdapter[Any]
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    watch: RealTime = field(default_factory=lambda: RealTime(ClockSpec()))
    began_s: float = 0.0
    _came: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.began_s = self.watch.now()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                event = json.loads(self.connection.recv_bytes())
                with self._came:
                    self.events.append((self.watch.now() - self.began_s, event))
                    self._came.notify_all()
        except ConnectionClosed as closed:
            with self._came:
                self.events.append((self.watch.now() - self.began_s, {"type": "closed", "code": closed.rcvd.code if closed.rcvd else None}))
                self._came.notify_all()

    def say(self, sound: Pcm, send: Callable[[str], None], rate: int = 24_000, piece_s: float = 0.1) -> None:
        """Send a sound as a microphone would, in its own time."""
        size, begun_s = round(piece_s * rate), self.watch.now()
        for number, at in enumerate(range(0, len(sound), size)):
            pause(max(0.0, begun_s + number * piece_s - self.watch.now()))
            send(base64.b64encode(sound[at : at + size].tobytes()).decode())

    def wait(self, kind: str, count: int = 1, timeout_s: float = 20.0) -> dict[str, Any]:
        """The count-th event of a kind, once it has come."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.of(kind)) >= count, timeout_s), f"no {kind}; there were {self.kinds()}"
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for _, event in self.events if event["type"] == kind]

    def kinds(self) -> list[str]:
        return [event["type"] for _, event in self.events]

    def at_s(self, kind: str) -> list[float]:
        return [at_s for at_s, event in self.events if event["type"] == kind]

    def check(self) -> None:
        """Every event is one of the published ones."""
        for _, event in self.events:
            if event["type"] != "closed":
                self.schema.validate_python(event)

    def sound(self, kind: str = "session.output_audio.delta") -> Pcm:
        return np.frombuffer(b"".join(base64.b64decode(event["delta"]) for event in self.of(kind)), "<i2")

    def words(self, kind: str) -> str:
        return "".join(event["delta"] for event in self.of(kind))
