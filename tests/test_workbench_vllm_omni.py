"""The vLLM-Omni adapter talks with a server of the published duplex contract: voice, words, giving way, requests, errors, losses."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from websockets.sync.server import ServerConnection

from tests.peer_servers import peer, send, together
from workbench.adapters import adapted
from workbench.adapters.vllm_omni import HEARTBEAT, VllmOmniSettings, VllmOmniWire
from workbench.errors import InputError, PeerError
from workbench.events import LinkLost, LinkResumed, ModelSpeechStarted, ModelYielded, TranscriptDelta, UserSpeechStarted
from workbench.events_background import DelegationRequested
from workbench.events_peer import PeerNote
from workbench.packets import AGENT_AUDIO
from workbench.users import RecordedUser, SilentUser

SHARED = TypeAdapter[Any](RealtimeServerEvent)  # the events that the contract takes over from OpenAI's Realtime API unchanged
VOICE = base64.b64encode(np.full(24_000, 8000, "<i2").tobytes()).decode()  # a second of it
IDS = {"event_id": "e", "response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}


def tell(connection: ServerConnection, kind: str, **more: Any) -> None:
    """Send an event that OpenAI's API has too, checked by its official types."""
    SHARED.validate_python({"type": kind, **more})
    send(connection, kind, **more, server_event_seq=7)


def begins(connection: ServerConnection, level: str = "model_native_duplex") -> dict[str, Any]:
    """The handshake of the contract; what the client opened the session with."""
    first = json.loads(connection.recv())
    assert first["type"] == "session.update"
    capabilities = {"implementation_level": level, "chunk_period_ms": 1000} if level else {}
    session = {"object": "realtime.session", "type": "realtime", "id": "duplex-1", "capabilities": capabilities}
    send(connection, "session.created", attachment_generation=1, resume_token="rt", session=session, server_event_seq=1)
    send(connection, "session.updated", session=session, server_event_seq=2)
    return dict(first["session"])


def speaks(connection: ServerConnection) -> None:
    """Says a sentence of two seconds."""
    send(connection, "response.speak", response_id="r1", item_id="i1", output_index=0, content_index=0, metadata={"model_speak": True})
    for words in ("it is", " sunny today"):
        tell(connection, "response.output_audio.delta", **IDS, delta=VOICE, format="pcm16", sample_rate_hz=24_000, metadata={"epoch": 0})
        tell(connection, "response.output_audio_transcript.delta", **IDS, delta=words)
    tell(connection, "response.output_audio_transcript.done", **IDS, transcript="it is sunny today")


def test_a_session_has_both_sides_words_and_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "very-secret")
    (tmp_path / "voice.wav").write_bytes(b"RIFF")
    seen: dict[str, Any] = {"told": []}

    def act(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen["path"], seen["key"] = connection.request.path, connection.request.headers["Authorization"]
        seen["session"] = begins(connection)
        send(connection, "response.listen", session_id="duplex-1", epoch=0, response={"status": "listening"})
        tell(connection, "input_audio_buffer.speech_started", event_id="e", item_id="u1", audio_start_ms=0)
        tell(connection, "input_audio_buffer.speech_stopped", event_id="e", item_id="u1", audio_end_ms=100)
        done = {"item_id": "u1", "content_index": 0, "transcript": "what is it like", "usage": {"type": "duration", "seconds": 1.0}}
        tell(connection, "conversation.item.input_audio_transcription.completed", event_id="e", **done)
        called = {"response_id": "r0", "item_id": "f", "output_index": 0, "call_id": "c1", "name": "look", "arguments": '{"city": "Rome"}'}
        tell(connection, "response.function_call_arguments.done", event_id="e", **called)
        speaks(connection)
        send(connection, "error", error={"type": "server_error", "code": "runtime_append_failed", "message": "stale epoch"})
        for message in connection:
            seen["told"].append(json.loads(message))

    with peer(act) as place:
        settings = f"url=ws://{place}/v1/realtime,model=tiny,key_env=OUR_KEY,ref_audio={tmp_path / 'voice.wav'},instructions=be brief"
        agent = adapted("vllm-omni", settings)
        trace = together(agent, RecordedUser(np.full(16_000, 0.25, np.float32)), 16)
    assert (seen["path"], seen["key"]) == ("/v1/realtime?duplex=1&model=tiny", "Bearer very-secret")
    assert seen["session"]["turn_detection"] is None
    assert seen["session"]["ref_audio"].startswith("data:audio/wav;base64,")
    appended = [event for event in seen["told"] if event["type"] == "input_audio_buffer.append"]
    first = np.frombuffer(base64.b64decode(appended[1]["audio"]), "<i2")
    assert (len(first), first[0], appended[1]["duration_ms"]) == (3200, 8192, 200)
    by_side = {side: [e.word for _, e in trace.events(TranscriptDelta) if e.side == side] for side in ("user", "model")}
    assert by_side["user"] == ["what", "is", "it", "like"]
    assert by_side["model"] == ["it", "is", "sunny", "today"]
    sound = trace.audio(AGENT_AUDIO)
    assert np.count_nonzero(np.abs(sound) > 0.1) == pytest.approx(32_000, abs=200)
    assert len(list(trace.events(ModelSpeechStarted))) == len(list(trace.events(UserSpeechStarted))) == 1
    [(_, asked)] = trace.events(DelegationRequested)
    assert "Rome" in asked.ask
    assert [(note.code, note.text) for _, note in trace.events(PeerNote)] == [("runtime_append_failed", "stale epoch")]
    assert "very-secret" not in repr(trace) + json.dumps(dict(agent.spec()))


def test_giving_way_drops_the_rest_and_tells_how_much_was_heard() -> None:
    acks: list[dict[str, Any]] = []

    def act(connection: ServerConnection) -> None:
        begins(connection)
        speaks(connection)
        heard = 0
        for message in connection:
            event = json.loads(message)
            if event["type"] == "playback.ack":
                acks.append(event)
                continue
            heard += 1
            if heard == 4:
                decision = {"policy": "barge_in_on_speech", "action": "barge_in", "reason": "server_vad_utterance_active"}
                send(connection, "overlap.decision", session_id="duplex-1", epoch=0, **decision)
                response = {"id": "r1", "object": "realtime.response", "status": "cancelled"}
                ended = response | {"status_details": {"type": "cancelled", "reason": "barge_in"}}
                send(connection, "response.done", response_id="r1", response=ended)

    with peer(act) as place:
        trace = together(adapted("vllm-omni", f"url=ws://{place}/v1/realtime"), SilentUser(), 12)
    [(_, yielded)] = trace.events(ModelYielded)
    assert "barge_in" in yielded.reason
    played_ms = np.count_nonzero(np.abs(trace.audio(AGENT_AUDIO)) > 0.1) / 16
    assert 0 < played_ms < 2000
    assert [(ack["response_id"], ack["truncate"]) for ack in acks] == [("r1", True)]
    assert acks[0]["played_ms"] == pytest.approx(played_ms, abs=201)
    assert [note.code for _, note in trace.events(PeerNote)] == ["overlap.decision"]


def test_a_session_that_ends_is_followed_by_another() -> None:
    def ends(connection: ServerConnection) -> None:
        begins(connection)
        send(connection, "session.closed", session_id="duplex-1", epoch=0, reason="timeout")

    def stays(connection: ServerConnection) -> None:
        begins(connection)
        for _ in connection:
            pass

    with peer(ends, stays) as place:
        trace = together(adapted("vllm-omni", f"url=ws://{place}/v1/realtime"), SilentUser(), 8)
    assert len(list(trace.events(LinkLost))) == len(list(trace.events(LinkResumed))) == 1
    assert "the server ended the session (timeout)" in next(trace.events(PeerNote))[1].text


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda c: begins(c, level=""), "the server answers in turns: it was not started with session_mode: duplex"),
        (lambda c: send(c, "error", error={"code": "resource_exhausted", "message": "limit=4"}), "resource_exhausted: limit=4"),
        (lambda c: send(c, "error", error="ref audio is needed", code="ref_audio_required"), "ref_audio_required: ref audio is needed"),
        (lambda c: c.send("[]"), "which is no event"),
        (lambda c: c.send("{"), "which is no JSON"),
    ],
)
def test_a_server_that_cannot_hold_a_session_is_named_with_its_reason(answer: Any, message: str) -> None:
    def act(connection: ServerConnection) -> None:
        answer(connection)
        for _ in connection:
            pass

    with peer(act) as place, pytest.raises(PeerError, match="vllm-omni at ws://") as raised:
        together(adapted("vllm-omni", f"url=ws://{place}/v1/realtime,open_s=10"), SilentUser(), 1)
    assert message in str(raised.value)


def test_signs_of_life_are_sent_and_events_acknowledged() -> None:
    class Socket:
        sent: list[dict[str, Any]] = []  # noqa: RUF012

        def send(self, text: str) -> None:
            self.sent.append(json.loads(text))

    from workbench.adapters.link import Saying

    wire: Any = VllmOmniWire(VllmOmniSettings())
    wire._socket, wire._seen = Socket(), 48
    for _ in range(HEARTBEAT):
        wire.send(Saying(np.zeros(3200, np.float32), typed="", answers=()))
    assert [event for event in Socket.sent if event["type"] != "input_audio_buffer.append"] == [
        {"type": "session.heartbeat"},
        {"type": "session.event_ack", "server_event_seq": 48},
    ]
    wire.send(Saying(np.zeros(3200, np.float32), typed="hello", answers=(("c1", "24 degrees"),)))
    items = [event["item"]["type"] for event in Socket.sent if event["type"] == "conversation.item.create"]
    assert items == ["message", "function_call_output"]


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    wrong = {
        "url=https://x": "is no address of a service",
        "overlap=shout": "is none of listen_only",
        "stall_s=-1": "must be above 0",
        f"ref_audio={tmp_path / 'none.wav'}": "is no file",
    }
    for text, message in wrong.items():
        with pytest.raises(InputError, match=message):
            adapted("vllm-omni", text)
