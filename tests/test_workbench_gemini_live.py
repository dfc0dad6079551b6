"""The Gemini adapter, through the official client, talks with a server whose messages are the client's own types."""

from __future__ import annotations

import asyncio
import gc
import json
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.genai import types
from websockets.sync.server import ServerConnection

from tests.peer_servers import peer, together
from workbench.adapters import adapted
from workbench.adapters.gemini_live import GeminiSettings, GeminiWire
from workbench.adapters.link import Saying
from workbench.clock import pause
from workbench.errors import InputError, PeerError
from workbench.events import LinkLost, LinkResumed, ModelYielded, TranscriptDelta, UserSpeechStarted
from workbench.events_background import DelegationRequested
from workbench.events_peer import PeerNote, PeerUsage
from workbench.packets import AGENT_AUDIO
from workbench.users import RecordedUser, SilentUser

KEY = "very-secret"
VOICE = types.Blob(data=np.full(24_000, 8000, "<i2").tobytes(), mime_type="audio/pcm;rate=24000")  # a second of it
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:google.*", "ignore::DeprecationWarning:websockets.*")


@pytest.fixture(autouse=True)
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("OUR_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)


def tell(connection: ServerConnection, **message: Any) -> None:
    """Send a message of the service, made by the client's own type and in its JSON names."""
    connection.send(types.LiveServerMessage(**message).model_dump_json(exclude_none=True, by_alias=True).encode())


def says(**content: Any) -> dict[str, Any]:
    return {"server_content": types.LiveServerContent(**content)}


def begins(connection: ServerConnection) -> dict[str, Any]:
    """The handshake; what the client asked for."""
    setup: dict[str, Any] = json.loads(connection.recv())["setup"]
    tell(connection, setup_complete=types.LiveServerSetupComplete(session_id="s"))
    return setup


def listens(connection: ServerConnection) -> None:
    begins(connection)
    for _ in connection:
        pass


def at(place: str, **more: Any) -> str:
    return ",".join([f"url=https://{place}", "model=tiny", "key_env=OUR_KEY", *(f"{name}={value}" for name, value in more.items())])


def test_a_session_has_both_sides_words_what_is_asked_for_and_its_cost(certificate: Path) -> None:
    seen: dict[str, Any] = {"told": []}

    def act(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen["path"], seen["key"] = connection.request.path, connection.request.headers["x-goog-api-key"]
        seen["setup"] = begins(connection)
        connection.send(json.dumps({"voiceActivity": {"type": "ACTIVITY_START", "audioOffset": "0.100s"}}))  # "type" on the wire only
        tell(connection, **says(input_transcription=types.Transcription(text="what is")))
        tell(connection, **says(input_transcription=types.Transcription(text=" it like")))
        call = types.FunctionCall(id="c1", name="delegate", args={"ask": "the weather in Rome"})
        tell(connection, tool_call=types.LiveServerToolCall(function_calls=[call]))
        part = types.Part(inline_data=VOICE)
        tell(connection, **says(model_turn=types.Content(parts=[part]), output_transcription=types.Transcription(text="it is")))
        tell(connection, **says(model_turn=types.Content(parts=[part]), output_transcription=types.Transcription(text=" sunny")))
        tell(connection, **says(generation_complete=True))
        usage = types.UsageMetadata(prompt_token_count=100, response_token_count=50, total_token_count=150)
        tell(connection, **says(turn_complete=True), usage_metadata=usage)
        tell(connection, usage_metadata=usage, go_away=types.LiveServerGoAway(time_left="50s"))
        for message in connection:
            seen["told"].append(json.loads(message))

    with peer(act, certificate=certificate) as place:
        agent = adapted("gemini-live", at(place, voice="Puck", silence_ms=300, usd_per_million_in=3, usd_per_million_out=12))
        trace = together(agent, RecordedUser(np.full(16_000, 0.25, np.float32)), 16)
    assert seen["path"].endswith("BidiGenerateContent")
    assert KEY not in seen["path"]
    assert seen["key"] == KEY
    generation = seen["setup"]["generationConfig"]
    assert generation["responseModalities"] == ["AUDIO"]
    asked_for = types.LiveConnectConfig(
        speech_config=types.SpeechConfig.model_validate(generation["speechConfig"]),
        realtime_input_config=types.RealtimeInputConfig.model_validate(seen["setup"]["realtimeInputConfig"]),
    ).model_dump(exclude_none=True)
    assert asked_for == {
        "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Puck"}}},
        "realtime_input_config": {"automatic_activity_detection": {"silence_duration_ms": 300}},
    }
    sent = [types.LiveClientRealtimeInput.model_validate(told["realtime_input"]) for told in seen["told"] if "realtime_input" in told]
    assert sent[1].audio is not None
    assert (sent[1].audio.mime_type, len(sent[1].audio.data or b"")) == ("audio/pcm;rate=16000", 6400)
    assert np.frombuffer(sent[1].audio.data or b"", "<i2")[0] == 8192
    by_side = {side: [e.word for _, e in trace.events(TranscriptDelta) if e.side == side] for side in ("user", "model")}
    assert (by_side["user"], by_side["model"]) == (["what", "is", "it", "like"], ["it", "is", "sunny"])
    assert np.count_nonzero(np.abs(trace.audio(AGENT_AUDIO)) > 0.1) == pytest.approx(32_000, abs=200)
    assert len(list(trace.events(UserSpeechStarted))) == 1
    [(_, asked)] = trace.events(DelegationRequested)
    assert asked.ask == "the weather in Rome"
    used = [event for _, event in trace.events(PeerUsage)]
    assert (used[-1].input_tokens, used[-1].output_tokens, used[-1].usd) == (200, 100, pytest.approx(200 * 3e-6 + 100 * 12e-6))
    assert [note.code for _, note in trace.events(PeerNote)] == ["go_away"]
    assert KEY not in repr(trace) + json.dumps(dict(agent.spec()))


def test_an_interruption_drops_what_was_not_played(certificate: Path) -> None:
    def act(connection: ServerConnection) -> None:
        begins(connection)
        part = types.Part(inline_data=VOICE)
        for words in ("one two", " three four"):
            tell(connection, **says(model_turn=types.Content(parts=[part]), output_transcription=types.Transcription(text=words)))
        for number, _ in enumerate(connection):
            if number == 4:
                tell(connection, **says(interrupted=True))

    with peer(act, certificate=certificate) as place:
        trace = together(adapted("gemini-live", at(place)), SilentUser(), 12)
    [(_, yielded)] = trace.events(ModelYielded)
    assert "four" in yielded.unsaid
    assert 0 < np.count_nonzero(np.abs(trace.audio(AGENT_AUDIO)) > 0.1) < 32_000


def test_a_session_that_ends_is_followed_by_another(certificate: Path) -> None:
    def ends(connection: ServerConnection) -> None:
        begins(connection)
        connection.close(1011, "internal error")

    with peer(ends, listens, certificate=certificate) as place:
        trace = together(adapted("gemini-live", at(place)), SilentUser(), 10)
    assert len(list(trace.events(LinkLost))) == len(list(trace.events(LinkResumed))) == 1
    assert "internal error" in next(trace.events(PeerNote))[1].text


def opened(place: str) -> GeminiWire:
    wire = GeminiWire(GeminiSettings(url=f"https://{place}", model="tiny", key_env="OUR_KEY"))
    wire.open()
    return wire


def test_typed_text_and_results_go_to_the_service_in_its_own_types(certificate: Path) -> None:
    told: queue.Queue[dict[str, Any]] = queue.Queue()

    def act(connection: ServerConnection) -> None:
        begins(connection)
        call = types.FunctionCall(id="c1", name="delegate", args={"ask": "x"})
        tell(connection, tool_call=types.LiveServerToolCall(function_calls=[call]))
        for message in connection:
            told.put(json.loads(message))

    with peer(act, certificate=certificate) as place:
        wire = opened(place)
        wire.receive()
        wire.send(Saying(np.zeros(3200, np.float32), typed="hello", answers=(("c1", "24 degrees"),)))
        messages = [told.get(timeout=20) for _ in range(3)]
        wire.close()
    assert messages[1]["realtime_input"]["text"] == "hello"
    (answer,) = messages[2]["tool_response"]["functionResponses"]
    found = types.FunctionResponse.model_validate(answer)
    assert (found.id, found.name, found.response) == ("c1", "delegate", {"result": "24 degrees"})
    assert found.scheduling == types.FunctionResponseScheduling.WHEN_IDLE


def test_a_wire_that_is_left_ends_its_thread(certificate: Path) -> None:
    with peer(listens, certificate=certificate) as place:
        wire = opened(place)
        wire.close()
        with pytest.raises(ConnectionError, match="the session was closed"):
            wire.receive()
        while not wire._loop.is_closed():
            pause(0.01)
        with pytest.raises(ConnectionError, match="the session is closed"):
            wire.send(Saying(np.zeros(3200, np.float32)))


def test_a_session_that_is_left_while_it_is_being_opened_is_not_opened(certificate: Path) -> None:
    left = threading.Event()

    def act(connection: ServerConnection) -> None:
        connection.recv()  # what it asks for, which is never answered
        wire.close()
        try:
            for _ in connection:
                pass
        finally:
            left.set()

    with peer(act, certificate=certificate) as place:
        wire = GeminiWire(GeminiSettings(url=f"https://{place}", model="tiny", key_env="OUR_KEY"))
        with pytest.raises(ConnectionError, match="the session was closed"):
            wire.open()
        assert left.wait(20)


def test_a_wire_that_is_closed_before_it_is_opened_stays_closed(certificate: Path) -> None:
    with peer(listens, certificate=certificate) as place:
        wire = GeminiWire(GeminiSettings(url=f"https://{place}", model="tiny", key_env="OUR_KEY"))
        wire.close()
        with pytest.raises(ConnectionError, match="the session was closed"):
            wire.open()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda c: c.close(1008, "API key not valid"), "API key not valid"),
        (lambda c: [None for _ in c], "was not ready within 1 s"),
    ],
)
def test_a_service_that_refuses_or_says_nothing_ends_the_start(
    act: Callable[[ServerConnection], Any], message: str, certificate: Path
) -> None:
    with peer(act, certificate=certificate) as place, pytest.raises(PeerError, match="gemini-live at https://") as raised:
        together(adapted("gemini-live", at(place, open_s=1)), SilentUser(), 1)
    assert message in str(raised.value)
    assert KEY not in str(raised.value)


def test_without_a_key_or_with_settings_that_cannot_be_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUR_KEY")
    with pytest.raises(PeerError, match="the environment has no OUR_KEY"):
        together(adapted("gemini-live", at("127.0.0.1:9")), SilentUser(), 1)
    wrong = {
        "url=http://x": "is no address of a service",
        "open_s=0": "must be above 0",
        "temperature=1": "there is no setting 'temperature'",
    }
    for text, message in wrong.items():
        with pytest.raises(InputError, match=message):
            adapted("gemini-live", text)


class Slow:
    """A session of the client that never gets anything off."""

    async def send_realtime_input(self, **given: Any) -> None:
        await asyncio.Event().wait()


async def slowly(wire: GeminiWire, ready: queue.Queue[BaseException | None]) -> None:
    wire._leave, wire._session = asyncio.Event(), Slow()  # type: ignore[assignment]
    ready.put(None)
    await wire._leave.wait()


def test_what_is_being_sent_when_the_session_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GeminiWire, "_talk", slowly)
    wire = GeminiWire(GeminiSettings(send_s=3_600.0))
    wire.open()
    threading.Timer(0.2, wire.close).start()
    with pytest.raises(ConnectionError, match="the session is closed"):
        wire.send(Saying(samples=np.zeros(3200, np.float32)))


def test_what_is_handed_over_in_the_moment_in_which_the_loop_ends_is_the_end_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = GeminiWire(GeminiSettings(send_s=0.1))
    wire._session = Slow()  # type: ignore[assignment]
    monkeypatch.setattr(wire._loop, "call_soon_threadsafe", lambda *given, **more: wire._loop.close())  # and does not run what it was given
    for _ in range(2):  # in that moment, and afterwards
        with pytest.raises(ConnectionError, match="the session is closed"):
            wire.send(Saying(samples=np.zeros(3200, np.float32)))
        monkeypatch.undo()
    gc.collect()  # a coroutine that nobody ended would tell now
