"""The Live adapter talks with our own server and with a server built from the published schema: words, voice, requests, losses, cost."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.serve_fakes import KEY, LIVE_EVENTS, bursts, served
from tests.test_workbench_serve_wire import FRAMES, frames
from workbench.adapters import adapted
from workbench.adapters.link import Saying, Used
from workbench.adapters.openai_live import LiveWire, OpenAISettings, openai_live, settings_of
from workbench.adapters.openai_realtime import RealtimeSettings, RealtimeWire
from workbench.adapters.remote import Fragments, Playout, Price, RemoteAgent
from workbench.clock import pause
from workbench.errors import InputError, PeerError
from workbench.events import LinkLost, LinkResumed, ModelSpeechStarted, TranscriptDelta
from workbench.events_background import DelegationRequested
from workbench.events_peer import PeerNote, PeerUsage
from workbench.live.ear import to_float
from workbench.replay import replay
from workbench.session import Participant, Session
from workbench.store import read_trace, save_trace
from workbench.trace import Trace, record
from workbench.users import RecordedUser, SilentUser

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")  # of the official client's own call


def together(agent: Participant, user: Participant, ticks: int) -> Trace:
    session = Session.start([user, agent])
    trace = record(session)
    session.run(ticks)
    return trace


def words(trace: Trace, side: str) -> list[str]:
    return [event.word for _, event in trace.events(TranscriptDelta) if event.side == side]


def test_a_session_with_our_own_server_has_its_words_its_voice_and_its_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    heard = to_float(bursts((0.4, 0.9), (2.6, 3.0), (4.0, 4.4), seconds=6.5, rate=16_000))
    with served(tmp_path) as running:
        url = f"http://127.0.0.1:{running.port}/v1"
        agent = adapted("openai-live", f"url={url},model=nano,rate=16000,key_env=OUR_KEY,usd_per_minute=0.6")
        trace = together(agent, RecordedUser(heard), 33)
    assert words(trace, "user") == ["count", "stop", "look"]
    said = words(trace, "model")
    assert said[:3] == ["one", "two", "three"]
    assert len(said) < 10
    assert np.abs(trace.audio("agent.audio")).max() > 0.1
    assert next(trace.events(ModelSpeechStarted))[1].at_s < 3.0
    [(_, asked)] = trace.events(DelegationRequested)
    assert asked.ask == "count stop look"
    used = next(trace.events(PeerUsage))[1]
    assert used.usd == pytest.approx(used.seconds / 60 * 0.6, abs=1e-6)
    assert replay(trace).difference is None  # as it was; nobody is asked again
    assert KEY not in repr(trace)
    assert KEY not in json.dumps(dict(agent.spec()))


# --- a server of the published schema that does what it is told ---------------------------------------------------------------------


@contextmanager
def scripted(*acts: Callable[[ServerConnection, dict[str, Any]], None]) -> Iterator[str]:
    """The address of a Live server whose n-th connection does the n-th act once a session has been started on it."""
    left = list(acts)

    def talk(connection: ServerConnection) -> None:
        act = left.pop(0)
        with suppress(ConnectionClosed):
            act(connection, json.loads(connection.recv()))

    with serve(talk, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}/v1"
        server.shutdown()


def tell(connection: ServerConnection, kind: str, **more: Any) -> None:
    """Send an event of the published schema."""
    event = {"type": kind, **({} if kind == "session.output_audio.delta" else {"event_id": "e"}), **more}
    LIVE_EVENTS.validate_python(event)
    connection.send(json.dumps(event))


def started(connection: ServerConnection, first: dict[str, Any]) -> None:
    assert first["type"] == "session.start"
    resource = {"id": "s", "expires_at": 1, "model": first["session"]["model"], "status": "active"}
    tell(connection, "session.started", session=resource)


def listens(connection: ServerConnection, first: dict[str, Any]) -> None:
    started(connection, first)
    for _ in connection:
        pass


def answers(connection: ServerConnection, first: dict[str, Any]) -> None:
    started(connection, first)
    tell(connection, "info", code="hello", message="a notice")
    tell(connection, "error", error={"code": "rate", "message": "slower", "type": "rate_limit_error"})
    tell(connection, "session.output_transcript.delta", delta="good morning", start_ms=0, end_ms=400)
    tell(connection, "session.output_audio.delta", delta=base64.b64encode(np.full(24_000, 8000, "<i2").tobytes()).decode())
    connection.send('{"type": "session.something.new", "event_id": "e"}')
    for _ in connection:
        pass


def hangs_up(connection: ServerConnection, first: dict[str, Any]) -> None:
    started(connection, first)
    connection.recv()
    connection.close(1011)


def refuses(connection: ServerConnection, first: dict[str, Any]) -> None:
    tell(connection, "error", error={"code": "model_not_found", "message": "no such model", "type": "invalid_request_error"})
    for _ in connection:
        pass


def silent(connection: ServerConnection, first: dict[str, Any]) -> None:
    for _ in connection:
        pass


def test_what_a_service_says_becomes_voice_words_and_notes() -> None:
    with scripted(answers) as url:
        trace = together(openai_live(f"url={url}"), SilentUser(), 12)
    assert words(trace, "model") == ["good", "morning"]
    sounding = np.flatnonzero(np.abs(trace.audio("agent.audio")) > 0.1)
    assert 0.9 * 16_000 < len(sounding) < 1.1 * 16_000
    assert [(note.code, note.text) for _, note in trace.events(PeerNote)] == [("hello", "a notice"), ("rate", "slower")]


def test_a_wire_that_is_lost_is_replaced_while_the_session_goes_on() -> None:
    with scripted(hangs_up, answers) as url:
        trace = together(openai_live(f"url={url}"), SilentUser(), 15)
    assert len(list(trace.events(LinkLost))) == 1
    [(_, resumed)] = trace.events(LinkResumed)
    assert resumed.away_s > 0
    assert words(trace, "model") == ["good", "morning"]


def test_a_wire_that_cannot_be_replaced_ends_the_session_with_the_cause() -> None:
    with (
        scripted(hangs_up, refuses) as url,
        pytest.raises(PeerError, match=r"broke off .* 1 attempts .*no such model.*silence would count"),
    ):
        together(openai_live(f"url={url},retries=1"), SilentUser(), 40)


def test_a_service_that_refuses_or_does_not_answer_is_named_before_the_first_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(refuses) as url, pytest.raises(PeerError, match=r"openai-live at .*model_not_found: no such model; check address, key"):
        together(openai_live(f"url={url}"), SilentUser(), 1)
    with scripted(silent) as url, pytest.raises(PeerError, match="openai-live at"):
        together(openai_live(f"url={url},open_s=0.5"), SilentUser(), 1)
    with pytest.raises(PeerError, match=r"openai-live at http://127\.0\.0\.1:9"):
        together(openai_live("url=http://127.0.0.1:9/v1"), SilentUser(), 1)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(PeerError, match="the environment has no NO_SUCH_KEY"):
        together(openai_live("url=http://192.0.2.1/v1,key_env=NO_SUCH_KEY"), SilentUser(), 1)


def test_a_fork_of_a_session_with_a_service_is_silent_and_says_so() -> None:
    with scripted(listens) as url:
        session = Session.start([SilentUser(), openai_live(f"url={url}")])
        session.run(2)
        forked = session.fork()
        turn = forked.step()
    assert [event.code for event in turn.events if isinstance(event, PeerNote)] == ["forked"]
    assert turn.get("agent.audio") is None


def test_settings_that_there_are_not_are_refused() -> None:
    with pytest.raises(InputError, match="there is no setting 'key'; there are url, model, key_env"):
        settings_of(OpenAISettings, "key=secret")
    with pytest.raises(InputError, match=r"setting 'rate=fast' has no value that fits"):
        settings_of(OpenAISettings, "rate=fast")
    with pytest.raises(InputError, match="8000 Hz is not carried"):
        settings_of(OpenAISettings, "rate=8000")
    with pytest.raises(InputError, match="is no address of a service"):
        settings_of(OpenAISettings, "url=ftp://x")


def test_words_that_come_in_pieces_are_put_together() -> None:
    pieces: Fragments[int] = Fragments()
    assert pieces.add("twen", 1) == []
    assert pieces.add("ty one", 2) == [(1, "twenty")]
    assert pieces.rested() == []
    assert pieces.add(" two ", 3) == [(2, "one"), (3, "two")]
    assert pieces.add("three", 4) + pieces.rested() == []
    assert pieces.rested() == [(4, "three")]


def test_a_voice_is_played_in_order_and_what_is_dropped_is_unsaid() -> None:
    playout = Playout()
    playout.tell([(0, "one"), (0, "two")])
    playout.add(np.full(4000, 0.5, np.float32))
    playout.tell([(4000, "three")])
    playout.add(np.full(4000, 0.25, np.float32))
    sound, begun = playout.take(3200)
    assert (sound.min(), [word for _, word in begun]) == (0.5, ["one", "two"])
    assert playout.drop() == (4800, ["three"])
    assert not playout.take(3200)[0].any()
    assert Price(usd_per_million_in=10, usd_per_million_out=20).of(Used(input_tokens=1000, output_tokens=500)) == 0.02


# --- whatever comes -----------------------------------------------------------------------------------------------------------------

LIVE_TOLD: list[dict[str, Any]] = [
    {"type": "session.output_audio.delta", "delta": base64.b64encode(np.full(960, 900, "<i2").tobytes()).decode()},
    {"type": "session.input_transcript.delta", "event_id": "e", "delta": " one", "start_ms": 100, "end_ms": 300},
    {"type": "session.output_transcript.delta", "event_id": "e", "delta": " two", "start_ms": 100, "end_ms": 300},
    {
        "type": "session.delegation.created",
        "event_id": "e",
        "offset_ms": 1,
        "delegation": {"id": "d", "target": "client", "type": "delegation"},
    },
    {"type": "session.usage.updated", "event_id": "e", "usage": {"seconds": 3.0}},
    {"type": "error", "event_id": "e", "error": {"code": "c", "message": "m", "type": "t"}},
    {"type": "info", "event_id": "e", "code": "c", "message": "m"},
]
PLACE = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0, "event_id": "e"}
REALTIME_TOLD: list[dict[str, Any]] = [
    {"type": "response.output_audio.delta", **PLACE, "delta": LIVE_TOLD[0]["delta"]},
    {"type": "response.output_audio_transcript.delta", **PLACE, "delta": " two"},
    {"type": "conversation.item.input_audio_transcription.delta", **PLACE, "delta": " one"},
    {"type": "conversation.item.input_audio_transcription.completed", **PLACE, "transcript": "one"},
    {"type": "input_audio_buffer.speech_started", "event_id": "e", "item_id": "i", "audio_start_ms": 10},
    {"type": "input_audio_buffer.speech_stopped", "event_id": "e", "item_id": "i", "audio_end_ms": 400},
    {"type": "response.function_call_arguments.done", **PLACE, "call_id": "c", "name": "delegate", "arguments": '{"ask": "one"}'},
    {"type": "response.done", "event_id": "e", "response": {"status": "failed", "usage": {"input_tokens": 3, "output_tokens": 4}}},
    {"type": "error", "event_id": "e", "error": {"message": "m", "type": "t"}},
]


class Canned:
    """A wire of the official client's parsing that has these frames to give, and then nothing more."""

    def __init__(self, wire: Any, parse: Callable[[str | bytes], Any], frames: list[str | bytes]) -> None:
        self.wire, self.parse, self.left = wire, parse, list(frames)
        self.wire._connection = self
        self.send: Callable[[Saying], None] = lambda saying: None
        self.close: Callable[[], None] = lambda: None

    def open(self) -> None:
        pass

    def recv(self) -> Any:
        return self.parse(self.left.pop(0)) if self.left else threading.Event().wait()

    def receive(self) -> Any:
        return self.wire.receive()


@pytest.mark.parametrize("kind", ["live", "realtime"])
def test_mutated_events_of_a_service_are_told_or_passed_over_and_the_trace_keeps_all(kind: str, tmp_path: Path) -> None:
    from openai.resources.live.live import LiveConnection
    from openai.resources.realtime.realtime import RealtimeConnection

    live = kind == "live"
    wire: Any = LiveWire(OpenAISettings(model="m")) if live else RealtimeWire(RealtimeSettings(model="m"))
    connection: Any = LiveConnection if live else RealtimeConnection
    canned = Canned(wire, lambda data: connection.parse_event(None, data), frames(LIVE_TOLD if live else REALTIME_TOLD, FRAMES))
    agent = RemoteAgent(lambda: canned, {"service": kind, "url": "nowhere"})
    session = Session.start([SilentUser(), agent])
    trace = record(session)
    for _ in range(2 * FRAMES):
        pause(0.05 if canned.left else 0)
    session.run(4)
    assert canned.left == []
    codes = [note.code for _, note in trace.events(PeerNote)]
    assert codes.count("malformed_event") > 100
    assert not list(trace.events(LinkLost))
    save_trace(trace, tmp_path / "t.sqlite")
    assert len(read_trace(tmp_path / "t.sqlite")) == 4
