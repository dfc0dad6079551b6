"""The official OpenAI client, as it is, holds Live sessions with the server; whatever else comes over the wire is answered by an error."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.serve_fakes import LIVE_EVENTS, Reacts, Talked, bursts, client, served
from workbench.background.by_rule import ByRule
from workbench.background.notes import notes_of
from workbench.background.wiring import background_agent
from workbench.clock import ClockSpec, RealTime
from workbench.costs import allowed_by
from workbench.events import ModelYielded
from workbench.events_background import DelegationChanged, DelegationCreated
from workbench.live.admission import Admission, Limits
from workbench.live.runtime import LiveSpec
from workbench.replay import replay
from workbench.serve.hall import Hall, Wanted
from workbench.serve.noted import Noted
from workbench.sound_formats import ULAW, Encoder, Format
from workbench.store import read_trace

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")  # of the official client's own call


def test_the_official_client_holds_a_session_with_an_interruption_and_a_delegation(tmp_path: Path) -> None:
    with served(tmp_path) as running, client(running).live.connect() as connection:
        talked = Talked(connection, LIVE_EVENTS)
        connection.session.start(session={"model": "nano", "store": True, "instructions": "be brief"}, event_id="mine")
        started = talked.wait("session.started")
        assert (started["client_event_id"], started["session"]["audio"]["format"]) == ("mine", {"type": "audio/pcm", "rate": 24_000})
        assert talked.wait("info")["code"] == "instructions_not_followed"
        sound = bursts((0.5, 1.0), (3.2, 3.7), (4.6, 5.1), seconds=11.0)
        talked.say(sound[: 24_000 * 7], lambda audio: connection.session.input_audio.append(audio=audio))
        made = talked.wait("session.delegation.created")
        connection.session.thinking.append(content="looking it up", delegation_id=made["delegation"]["id"])
        connection.session.commentary.append(content="forty two", delegation_id=made["delegation"]["id"], event_id="answer")
        talked.say(sound[24_000 * 7 :], lambda audio: connection.session.input_audio.append(audio=audio))
        assert talked.wait("session.commentary.appended")["client_event_id"] == "answer"
        connection.session.close()
        closed = talked.wait("session.closed")
        talked.wait("closed")
    talked.check()
    assert made["delegation"] == {"id": "delegation_1", "target": "client", "type": "delegation"}
    assert talked.words("session.input_transcript.delta") == "count stop look"
    said = talked.words("session.output_transcript.delta")
    assert said.startswith("one two three")
    assert "ten" not in said
    assert said.endswith("forty two")
    assert closed["reason"] == "close_requested"
    assert closed["usage"]["seconds"] >= 10
    assert talked.of("session.usage.updated")[0]["usage"]["seconds"] == 5.0
    assert 1.0 < len(talked.sound()) / 24_000 < 6.0
    assert abs(talked.sound()).max() > 3000
    [path] = tmp_path.glob("*.sqlite")
    trace = read_trace(path)
    assert any(True for _ in trace.events(ModelYielded))
    [(_, created)] = trace.events(DelegationCreated)
    assert created.ask == "look"
    assert [event.after for _, event in trace.events(DelegationChanged)] == ["running", "completed", "delivering", "delivered"]
    assert [note.text for turn in trace.turns for note in notes_of(turn)] == ["forty two"]
    assert replay(trace, agent=Noted(ByRule(Reacts(), ("look",)))).difference is None


def test_delegations_to_responses_are_worked_on_by_the_server_and_told_as_response_events(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "keys.txt").write_text("The key hangs behind the door.")
    keys = Reacts(("count", "stop", "key"))
    with (
        served(tmp_path, agent=keys, asks_at=("key",), make_worker=background_agent(f"local:{tmp_path / 'docs'}")) as running,
        client(running).live.connect() as connection,
    ):
        talked = Talked(connection, LIVE_EVENTS)
        delegation = {"type": "responses", "responses": {"model": "any"}, "acknowledgement_delay_ms": 400}
        form = {"type": "audio/pcmu", "rate": 8000}
        connection.session.start(session={"model": "nano", "delegation": delegation, "audio": {"format": form}})  # type: ignore[typeddict-item]
        assert talked.wait("session.started")["session"]["delegation"]["type"] == "responses"
        sound = bursts((0.4, 0.9), (1.4, 1.8), (2.4, 2.8), seconds=3.4, rate=16_000)
        coder = Encoder(Format(ULAW, 8_000))
        for at in range(0, len(sound), 3200):
            piece = coder.take(sound[at : at + 3200])
            connection.session.input_audio.append(audio=base64.b64encode(piece).decode())
        made = talked.wait("session.delegation.created")
        assert made["delegation"]["target"] == "responses"
        talked.wait("response.event", 3)
        talked.wait("session.output_transcript.delta", 4)
        connection.session.commentary.append(content="no", delegation_id=made["delegation"]["id"])
        assert talked.wait("error")["error"]["code"] == "delegation_not_found"
    talked.check()
    inner = [event["event"] for event in talked.of("response.event")]
    assert [event["type"] for event in inner][:3] == ["response.created", "response.output_text.done", "response.completed"]
    assert "behind the door" in inner[1]["text"]


def test_the_agent_is_under_the_rules_of_the_server_and_a_session_within_its_limits(tmp_path: Path) -> None:
    admission = Admission(Limits(sessions=1), RealTime(ClockSpec()).now)
    spec = LiveSpec(allowed=allowed_by(["trace-bytes=1"]))
    hall = Hall(Reacts, "nano", tmp_path, admission, spec, asks_at=("look",), policies=("quiet=0-100",))
    seat = hall.seat("ann", Wanted(store=True))
    assert seat.session.join(20)
    assert seat.session.end is not None
    assert seat.session.end.text == "this session has used its 1 bytes of trace; begin a new one to go on"
    agent = read_trace(seat.session.path).header.participants["agent"]
    rules = agent["agent"]["agent"]
    assert (agent["class"], agent["agent"]["class"], rules["class"]) == ("Delegating", "Noted", "Governed")
    assert rules["policies"][0]["class"] == "QuietHours"


def test_a_wrong_key_gets_401_and_no_key_is_asked_of_this_machine_where_none_is_set(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        with pytest.raises(InvalidStatus) as refused, client(running, "wrong").live.connect():
            pass
        assert refused.value.response.status_code == 401
        assert b"invalid_api_key" in refused.value.response.body
        assert [model.id for model in client(running).models.list()] == ["nano"]
    with served(tmp_path, keys={}) as running, client(running, "anything").live.connect() as connection:
        connection.session.start(session={"model": "nano"})
        assert connection.recv().type == "session.started"


def test_more_sessions_than_there_may_be_get_a_clear_error_and_a_place_is_free_again_afterwards(tmp_path: Path) -> None:
    with served(tmp_path, sessions=1) as running, client(running).live.connect() as first:
        first.session.start(session={"model": "nano"})
        assert first.recv().type == "session.started"
        with client(running).live.connect() as second:
            second.session.start(session={"model": "nano"})
            error = second.recv()
            assert error.type == "error"
            assert (error.error.type, error.error.code) == ("rate_limit_error", "too_many_sessions")
            assert "full: 1 conversation of 1 going on" in error.error.message
        first.session.close()
        while first.recv().type != "session.closed":
            pass
        for _ in range(50):
            with client(running).live.connect() as third:
                third.session.start(session={"model": "nano"})
                if third.recv().type == "session.started":
                    break
        else:
            pytest.fail("the place was not given back")
    assert list(tmp_path.glob("*.sqlite")) == []
