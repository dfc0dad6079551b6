"""Someone who talks in a person's place: a scripted or recorded user, through the same messages that a page would send, in real time.

Its loudspeaker plays what it is sent as a page's would, one tick after another, and that is what the user hears. Pages look on: they are
told what is said and done, and may type, set the threshold, answer a question by a click and stop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from workbench.audio_io import read_audio
from workbench.clock import ClockSpec, RealTime, Tick
from workbench.errors import InputError
from workbench.live.ear import to_float, to_pcm
from workbench.live.host import Callback
from workbench.live.protocol import (
    RATE,
    Audio,
    Consent,
    Drop,
    End,
    Frame,
    FromClient,
    FromRuntime,
    Hello,
    Json,
    Played,
    Problem,
    Question,
    Settled,
    Stop,
    Text,
    TickDone,
    Welcome,
    decode,
    encode,
)
from workbench.live.runtime import LiveSession
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, USER_TEXT, MicroTurn, Packet
from workbench.scenarios import FAMILIES, build
from workbench.session import Participant
from workbench.users import RecordedUser, ScriptedUser

User: TypeAlias = str | Path | Participant

CLIENT = "stand-in 1"
PIECE_MS = 40  # how much sound is sent at once, as by a page
ANSWER_S = 20.0  # how long a welcome may take
RECALLED = 300  # ticks that a page which comes later is told of: a minute


def user_named(user: User, seed: int = 0, voices: str = "unseen") -> Participant:
    """The user of a scenario family, of a sound file, or as given.

    Raises InputError when a name is neither that of a family nor of a file.
    """
    if not isinstance(user, str | Path):
        return user
    if str(user) in FAMILIES:
        return ScriptedUser(build(str(user), seed, voices)).prepare()
    if Path(user).suffix or Path(user).exists():
        return RecordedUser(read_audio(user), label=Path(user).name)
    raise InputError(f"{str(user)!r} is neither a scenario family nor a sound file; families are {', '.join(FAMILIES)}")


class Line(Protocol):
    """What a stand-in talks over: a connection of a host."""

    def feed(self, message: Json, buffers: Sequence[bytes]) -> None: ...
    def subscribe(self, callback: Callback, replaced: Callable[[], object] = ...) -> Callable[[], None]: ...
    def close(self) -> None: ...


class Loudspeaker:
    """What was sent to be played and has not been; a tick of it is played at a time."""

    def __init__(self, size: int) -> None:
        self.size, self.position = size, 0
        self._waiting: deque[TickDone] = deque()

    @property
    def queued(self) -> int:
        """Samples that wait."""
        return len(self._waiting) * self.size

    def put(self, tick: TickDone) -> None:
        self._waiting.append(tick)

    def drop(self, position: int) -> None:
        """Throw away what lies behind this sample of the agent's stream."""
        kept = [tick for tick in self._waiting if tick.position < position]
        if kept and kept[-1].position + self.size > position:
            samples = kept[-1].samples.copy()
            samples[position - kept[-1].position :] = 0
            kept[-1] = replace(kept[-1], samples=samples)
        self._waiting = deque(kept)

    def play(self, tick: Tick) -> MicroTurn:
        """The sound and the words of the next tick that waits, as what is heard in `tick`; nothing where none waits."""
        if not self._waiting:
            return MicroTurn(tick)
        played = self._waiting.popleft()
        self.position = played.position + self.size
        packets = [Packet(AGENT_AUDIO, tick, to_float(played.samples))] if played.samples.any() else []
        if played.said:
            packets.append(Packet(AGENT_TEXT, tick, played.said))
        return MicroTurn(tick, tuple(packets))


class StandIn:
    """A runtime for carriers in which `user` talks, over `connection`; `begin` starts it, and a page that says hello looks on.

    A page whose hello has the setting `begin` starts another session when the last one is over.
    """

    def __init__(self, connection: Line, user: Participant, make_pace: Callable[[ClockSpec], RealTime] = RealTime) -> None:
        self.connection, self.user = connection, user
        self.end: End | None = None
        self.problem: Problem | None = None
        self._make_pace = make_pace
        self._page: tuple[Callback, Callable[[], object]] | None = None
        self._welcome: Welcome | None = None
        self._told: deque[TickDone] = deque(maxlen=RECALLED)
        self._questions: dict[str, Question] = {}
        self._speaker = Loudspeaker(ClockSpec().samples_per_tick)
        self._answered, self._over = threading.Event(), threading.Event()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._leave = connection.subscribe(self._hear)

    @property
    def session(self) -> LiveSession | None:
        """The session in which it talks, or has talked last."""
        session: LiveSession | None = getattr(self.connection, "session", None)
        return session

    def begin(self) -> StandIn:
        """Say hello, and talk in a thread of its own, unless it talks already; itself. From then on there is a session, or a problem."""
        with self._lock:
            if self._thread is None or self._over.is_set():
                self.end, self.problem, self._welcome = None, None, None
                self._told.clear()
                self._questions.clear()
                self._speaker = Loudspeaker(ClockSpec().samples_per_tick)
                self._answered, self._over = threading.Event(), threading.Event()
                self._send(Hello(rate=RATE, client=CLIENT, settings={"user": dict(self.user.spec())}))
                self._thread = threading.Thread(target=self._run, args=(self._answered, self._over), name="microturn-stand-in", daemon=True)
                self._thread.start()
        return self

    def wait(self, timeout_s: float | None = None) -> End | Problem | None:
        """How the session ended, or why there is none, once that is known; None when it takes longer."""
        self._over.wait(timeout_s)
        return self.end or self.problem

    # --- a runtime, as carriers see it ---

    def feed(self, message: Json, buffers: Sequence[bytes] = ()) -> None:
        """Take a message of a page that looks on: hello, set, text, click and stop. The rest is of a person who is not there."""
        match message.get("t"):
            case "hello":
                if dict(message.get("settings") or {}).get("begin"):
                    self.begin()
                self._recall()
            case "set" | "text" | "click" | "stop":
                self.connection.feed(message, buffers)
            case _:
                pass

    def subscribe(self, callback: Callback, replaced: Callable[[], object] = lambda: None) -> Callable[[], None]:
        """Call a page back, as a connection does."""
        with self._lock:
            before, self._page = self._page, (callback, replaced)
        if before is not None:
            before[1]()
        return lambda: self._unsubscribed(callback)

    def away(self) -> None:
        """A page that looked on is gone; whoever talks is still there."""

    def close(self) -> None:
        """End the session, and wait a moment for its end to be told."""
        self.connection.close()
        if self._thread is not None:
            self._over.wait(ANSWER_S)
        self._leave()
        self._over.set()

    def _unsubscribed(self, callback: Callback) -> None:
        with self._lock:
            if self._page is not None and self._page[0] is callback:
                self._page = None

    def _tell(self, message: FromRuntime) -> None:
        with self._lock:
            page = self._page
        if page is not None:
            page[0](*encode(message))

    def _recall(self) -> None:
        """Tell a page what there has been so far: the newest ticks without their sound."""
        with self._lock:
            if self._welcome is not None:
                self._tell(self._welcome)
            for tick in self._told:
                self._tell(replace(tick, samples=tick.samples[:0]))
            for question in self._questions.values():
                self._tell(question)
            over = self.end or self.problem
            if over is not None:
                self._tell(over)

    def _hear(self, message: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """Called by the connection, in its own thread, with what a page would be told."""
        told = decode(message, buffers)
        with self._lock:
            match told:
                case Welcome():
                    told = self._welcome = replace(told, token="")
                    self._answered.set()
                case TickDone():
                    self._told.append(told)
                    self._speaker.put(told)
                case Question():
                    self._questions[told.question] = told
                case Settled():
                    self._questions.pop(told.question, None)
                case Drop():
                    self._speaker.drop(told.from_position)
                case End():
                    self.end = told
                    self._over.set()
                case Problem():
                    self.problem = told
                    self._answered.set()
                case _:
                    pass
            self._tell(told)  # type: ignore[arg-type]

    # --- the person's side: one thread ---

    def _run(self, answered: threading.Event, over: threading.Event) -> None:
        if not answered.wait(ANSWER_S) or self._welcome is None:
            over.set()
            return
        self._say(Consent(given=True), over)
        self._talk(self._make_pace(ClockSpec(tick_ms=PIECE_MS)), over)

    def _talk(self, pace: RealTime, over: threading.Event) -> None:
        clock = ClockSpec()
        pieces = clock.tick_ms // PIECE_MS
        state, tick, n = self.user.start(clock, 0), Tick(0), 0
        while not over.is_set():
            with self._lock:
                heard = self._speaker.play(Tick(tick - 1))
                self._say(Played(position=self._speaker.position, queued=self._speaker.queued, at=clock.seconds(tick) * 1000), over)
            said, state = self.user.step(state, tick, heard)
            turn = MicroTurn(tick, said.packets)
            self._show(turn, clock.seconds(tick) * 1000, over)
            for samples in np.split(to_pcm(turn.audio(USER_AUDIO, clock.samples_per_tick)), pieces):
                pace.wait(n // len(samples) + 1)  # it is captured by then
                self._say(Audio(n=n, at=n * 1000 / RATE, samples=samples), over)
                n += len(samples)
            if said.done:
                self._say(Stop(), over)
                return
            tick = Tick(tick + 1)

    def _show(self, turn: MicroTurn, at: float, over: threading.Event) -> None:
        """Send what is typed and seen in a tick."""
        frames = turn.frames(USER_CAMERA)
        if frames is not None:
            self._say(Frame(at=at, frames=frames), over)
        if text := turn.text(USER_TEXT):
            self._say(Text(text=text), over)

    def _say(self, message: FromClient, over: threading.Event) -> None:
        """Send it in the session that this thread talks in, and not in one that was begun after it."""
        with self._lock:
            if not over.is_set():
                self._send(message)

    def _send(self, message: FromClient) -> None:
        self.connection.feed(*encode(message))
