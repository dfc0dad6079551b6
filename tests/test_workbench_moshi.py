"""The Moshi adapter talks with a server of its protocol: sound both ways, words, errors, silence of the server, a lost connection."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from websockets.sync.server import ServerConnection

from tests.peer_servers import peer, together
from workbench.adapters import adapted
from workbench.adapters.moshi import MoshiSettings, MoshiWire
from workbench.adapters.ogg_opus import OpusReader, OpusWriter
from workbench.errors import InputError, PeerError
from workbench.events import LinkLost, LinkResumed, ModelSpeechStarted, TranscriptDelta
from workbench.events_peer import PeerNote
from workbench.packets import AGENT_AUDIO
from workbench.users import RecordedUser, SilentUser

RATE = 24_000


def tone(seconds: float, hertz: float = 440.0, rate: int = RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


class Model:
    """What a test tells the model to do, and what it heard."""

    def __init__(self, *said: bytes) -> None:
        self.said, self.heard, self.headers = said, list[np.ndarray](), list[str]()
        self.lock = threading.Lock()

    def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        with self.lock:
            self.headers.append(connection.request.headers.get("Authorization", ""))
        connection.send(b"\x00")
        writer, reader = OpusWriter(RATE), OpusReader(RATE)
        connection.send(b"\x01" + writer.take(np.zeros(RATE // 10, np.float32)))
        for message in self.said:
            connection.send(message)
        connection.send(b"\x01" + writer.take(np.concatenate([tone(0.6), np.zeros(RATE // 5, np.float32)])))
        for message in connection:
            assert isinstance(message, bytes)
            assert message[0] == 1, "a client sends sound only"
            with self.lock:
                self.heard.append(reader.take(message[1:]))
            connection.send(b"\x01" + writer.take(np.zeros(RATE // 5, np.float32)))


def test_sound_goes_both_ways_and_words_come_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "very-secret")
    model = Model(b"\x02 good", b"\x02 morning ", b"\x04" + json.dumps({"model": "tiny"}).encode(), b"\x06", b"\x03\x00")
    with peer(model) as place:
        agent = adapted("moshi", f"url=ws://{place}/api/chat,key_env=OUR_KEY")
        trace = together(agent, RecordedUser(tone(1.0, rate=16_000)), 10)
    heard = np.concatenate(model.heard)
    assert len(heard) >= 1.0 * RATE
    loud = np.abs(np.fft.rfft(heard[4800:19_200]))
    assert abs(loud.argmax() * RATE / 14_400 - 440) < 5, "the user's tone arrives at its pitch"
    sound = trace.audio(AGENT_AUDIO)
    assert 0.4 < np.count_nonzero(np.abs(sound) > 0.05) / 16_000 < 0.7, "0.6 s of tone are played once"
    assert [event.word for _, event in trace.events(TranscriptDelta)] == ["good", "morning"]
    assert next(trace.events(ModelSpeechStarted))[1].at_s < 1.2
    assert [note.code for _, note in trace.events(PeerNote)] == ["metadata"]
    assert model.headers == ["Bearer very-secret"]
    assert "very-secret" not in repr(trace) + json.dumps(dict(agent.spec()))


def test_a_server_that_falls_silent_or_hangs_up_is_met_again() -> None:
    def silent(connection: ServerConnection) -> None:
        connection.send(b"\x00")
        for _ in connection:
            pass

    def hangs_up(connection: ServerConnection) -> None:
        connection.send(b"\x00")
        connection.recv()

    model = Model()
    with peer(hangs_up, silent, model) as place:
        trace = together(adapted("moshi", f"url=ws://{place}/api/chat,stall_s=1.5"), SilentUser(), 24)
    assert len(list(trace.events(LinkLost))) >= 2
    assert len(list(trace.events(LinkResumed))) >= 2
    causes = [note.text.split(":")[0] for _, note in trace.events(PeerNote) if note.code == "link"]
    assert causes[0].startswith("ConnectionClosed")
    assert causes[1] == "TimeoutError"
    assert model.heard, "what the user says goes to the new connection, as a stream that begins anew"


def test_a_server_that_refuses_or_is_not_there_ends_the_start() -> None:
    def refuses(connection: ServerConnection) -> None:
        connection.send(b"\x05too many sessions")
        for _ in connection:
            pass

    def never(connection: ServerConnection) -> None:
        for _ in connection:
            pass

    with peer(refuses) as place, pytest.raises(PeerError, match=r"moshi at ws://.*too many sessions"):
        together(adapted("moshi", f"url=ws://{place}/api/chat"), SilentUser(), 1)
    with peer(never) as place, pytest.raises(PeerError, match="TimeoutError"):
        together(adapted("moshi", f"url=ws://{place}/api/chat,open_s=0.5"), SilentUser(), 1)
    with pytest.raises(PeerError, match=r"moshi at ws://127\.0\.0\.1:9/"):
        together(adapted("moshi", "url=ws://127.0.0.1:9/api/chat"), SilentUser(), 1)


@pytest.mark.parametrize("message", [b"", b"\x01", b"\x01OggS", b"\x02\xff\xfe", b"\x07what", b"\x05" + b"x" * 2000, b"\x04{"])
def test_messages_that_are_odd_are_news_or_nothing(message: bytes) -> None:
    wire: Any = MoshiWire(MoshiSettings())
    found = wire._news(message[0] if message else 6, message[1:])
    assert all(len(getattr(one, "text", "")) <= 500 for one in found)


def test_settings_that_cannot_be_are_refused() -> None:
    for text, message in (
        ("url=http://x", "is no address of a service"),
        ("stall_s=0", "must be above 0"),
        ("rate=8000", "there is no setting 'rate'"),
    ):
        with pytest.raises(InputError, match=message):
            adapted("moshi", text)
