"""The official client holds Realtime sessions with the server, and the Realtime adapter talks with it and with a server of the schema."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.serve_fakes import KEY, REALTIME_EVENTS, Talked, bursts, client, served
from workbench.adapters.openai_realtime import openai_realtime
from workbench.background.backends import Simulated
from workbench.background.desk import Desk
from workbench.background.parts import Answer
from workbench.background.telling import Delegating
from workbench.errors import InputError
from workbench.events import AudioDropped, ModelYielded, TranscriptDelta, UserSpeechStarted
from workbench.events_background import DelegationRequested
from workbench.events_peer import PeerUsage
from workbench.live.ear import to_float
from workbench.session import Session
from workbench.trace import record
from workbench.users import RecordedUser

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")  # of the official client's own call
DELEGATE: Any = {"type": "function", "name": "delegate", "parameters": {"type": "object", "properties": {"ask": {"type": "string"}}}}


def test_the_official_client_holds_a_realtime_session(tmp_path: Path) -> None:
    with served(tmp_path) as running, client(running).realtime.connect(model="nano") as connection:
        talked = Talked(connection, REALTIME_EVENTS)
        assert talked.wait("session.created")["session"]["model"] == "nano"
        connection.session.update(session={"type": "realtime", "tools": [DELEGATE], "instructions": "be brief"})
        assert talked.wait("session.updated")["session"]["tools"] == [DELEGATE]
        sound = bursts((0.4, 0.9), (2.8, 3.2), (4.2, 4.6), seconds=6.5)
        talked.say(sound, lambda audio: connection.input_audio_buffer.append(audio=audio))
        call = talked.wait("response.function_call_arguments.done")
        assert json.loads(call["arguments"]) == {"ask": "look"}
        connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call["call_id"], "output": '{"result": "forty two"}'}
        )
        connection.response.create()
        talked.say(bursts(seconds=4.0), lambda audio: connection.input_audio_buffer.append(audio=audio))
        spoken = talked.wait("response.output_audio_transcript.done", 2)
        assert spoken["transcript"] == "forty two"
        connection.conversation.item.truncate(item_id=spoken["item_id"], content_index=0, audio_end_ms=300)
        assert talked.wait("conversation.item.truncated")["audio_end_ms"] == 300
        connection.conversation.item.retrieve(item_id=spoken["item_id"])
        assert talked.wait("conversation.item.retrieved")["item"]["content"][0]["transcript"] == "forty two"
        connection.response.cancel()
        assert talked.wait("error")["error"]["code"] == "not_supported"
        connection.conversation.item.create(item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "count"}]})
        talked.wait("response.created", 4)  # counting, the call, its answer, and counting again
    talked.check()
    heard = [event["transcript"] for event in talked.of("conversation.item.input_audio_transcription.completed")]
    assert heard == ["count", "stop", "look"]
    first = talked.of("response.done")[0]["response"]
    assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert first["output"][0]["content"][0]["transcript"].startswith("one two")
    assert len(talked.of("input_audio_buffer.speech_started")) == len(talked.of("input_audio_buffer.committed")) == 3
    assert abs(talked.sound("response.output_audio.delta")).max() > 3000


def test_the_realtime_adapter_talks_with_our_own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    heard = to_float(bursts((0.4, 0.9), (2.6, 3.0), (4.0, 4.4), seconds=6.5, rate=16_000))

    class Knows:
        name = "knows"

        def spec(self) -> dict[str, str]:
            return {"class": "Knows"}

        def work(self, envelope: Any, stop: Any) -> tuple[Answer]:
            return (Answer(text="forty two"),)

    with served(tmp_path) as running:
        agent = openai_realtime(f"url=http://127.0.0.1:{running.port}/v1,model=nano")
        desk = Desk(Simulated(Knows(), (0.2, 0.2)))
        session = Session.start([RecordedUser(heard), Delegating(agent), desk])
        trace = record(session)
        session.run(55)
    words = {side: [e.word for _, e in trace.events(TranscriptDelta) if e.side == side] for side in ("user", "model")}
    assert words["user"] == ["count", "stop", "look"]
    assert words["model"][:2] == ["one", "two"]
    assert words["model"][-2:] == ["forty", "two"]
    assert [event.ask for _, event in trace.events(DelegationRequested)] == ["look"]
    assert len(list(trace.events(UserSpeechStarted))) == 3


# --- a server of the published schema ------------------------------------------------------------------------------------------------


def tell(connection: ServerConnection, kind: str, **more: Any) -> None:
    event = {"type": kind, "event_id": "e", **more}
    REALTIME_EVENTS.validate_python(event)
    connection.send(json.dumps(event))


@contextmanager
def scripted(seen: list[dict[str, Any]]) -> Iterator[str]:
    """The address of a service that says 3 s of sound at once, and hears a voice once it has been sent 1 s."""

    def talk(connection: ServerConnection) -> None:
        place = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        tell(connection, "session.created", session={"type": "realtime"})
        tell(connection, "session.updated", session=json.loads(connection.recv())["session"])
        for word in ("a", " long", " an", "swer"):
            tell(connection, "response.output_audio_transcript.delta", **place, delta=word)
            tell(
                connection, "response.output_audio.delta", **place, delta=base64.b64encode(np.full(18_000, 8000, "<i2").tobytes()).decode()
            )
        usage = {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150}
        tell(connection, "response.done", response={"id": "r", "status": "completed", "output": [], "usage": usage})
        for number, data in enumerate(connection):
            seen.append(json.loads(data))
            if number == 5:
                tell(connection, "input_audio_buffer.speech_started", audio_start_ms=900, item_id="u")

    def quietly(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            talk(connection)

    with serve(quietly, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}/v1"
        server.shutdown()


def test_a_voice_cuts_off_what_came_faster_than_it_is_played_and_the_service_is_told_how_much_was() -> None:
    seen: list[dict[str, Any]] = []
    with scripted(seen) as url:
        agent = openai_realtime(f"url={url},usd_per_million_in=10,usd_per_million_out=20")
        session = Session.start([RecordedUser(np.zeros(16_000 * 3, np.float32)), agent])
        trace = record(session)
        session.run(14)
    [(_, yielded)] = trace.events(ModelYielded)
    [(tick, dropped)] = trace.events(AudioDropped)
    assert yielded.unsaid.split()[-1] == "answer"
    assert next(trace.events(PeerUsage))[1].usd == 0.002
    [cut] = [event for event in seen if event["type"] == "conversation.item.truncate"]
    assert cut["item_id"] == "i"
    played = np.flatnonzero(np.abs(trace.audio("agent.audio")) > 0.1)
    assert len(played) == pytest.approx(cut["audio_end_ms"] * 16, abs=60)  # the filter rises in a millisecond
    assert dropped.samples == pytest.approx(3 * 16_000 - len(played), abs=100)
    assert tick * 3200 >= played[-1]


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="cut_at 'never' is none of speech_started"):
        openai_realtime("cut_at=never")
