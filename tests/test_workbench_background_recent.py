"""An agent that wishes for it is given the sound and the picture of the moments before it was asked, and nobody else keeps any of them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.background_fakes import CLOCK, Knows, PlannedAgent, asked, asks, heard, played, states, together
from tests.chat_server import calls, chunk, says, serving, stream
from tests.scenario_fakes import Tones, script_of
from tests.tool_samples import add, book
from workbench.background.backends import Simulated
from workbench.background.chat import ChatAgent, ChatSpec
from workbench.background.desk import Desk
from workbench.background.ledger import Ledger
from workbench.background.media import MOST_SIDE, content, fitting, png, tokens_in, wav
from workbench.background.parts import Answer, Envelope, NeedsConsent, Part, Stop, Used
from workbench.background.recent import LATE_S, MOST_S, NOTHING, Past, Recent, Senses, senses_named
from workbench.background.telling import Delegating
from workbench.background.threads import Threads
from workbench.background.toolbox import Calls, Toolbox
from workbench.background.wiring import wired
from workbench.check import check_participant
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import Event, to_json
from workbench.events_background import DelegationRequested
from workbench.frames import Lamp, Lens
from workbench.packets import USER_AUDIO, USER_CAMERA, USER_TEXT, Audio, Frames, MicroTurn, Packet, rng_for
from workbench.replay import replay
from workbench.scenarios.script import At, Beat, View
from workbench.session import Participant, Said, Session
from workbench.store import Keep, TraceWriter, read_trace
from workbench.trace import Trace
from workbench.users import ScriptedUser

BOTH = Senses(audio_s=1.5, frame_s=1.0)
LAMP = Beat(("what is this",), At(0.3), view=View(Lamp(lights=((0.0, "green"), (1.0, "red"))), 4.0), holds_s=4.0)
FREE = Toolbox((replace(add, isolation="inline"),))


@dataclass(frozen=True)
class Looks(Knows):
    """Wants something of the recent past, and notes what it was given."""

    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    senses: Senses = BOTH
    given: list[Envelope] = field(default_factory=list)

    def work(self, envelope: Envelope, stop: Stop) -> Any:
        self.given.append(envelope)
        return super().work(envelope, stop)


@dataclass(frozen=True)
class Shows:
    """A user whose microphone and camera carry noise of their own in every tick, the camera only before tick `until`."""

    until: int = 1000
    name: str = "user"
    speaks: tuple[str, ...] = (USER_AUDIO, USER_CAMERA, USER_TEXT)
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Shows"}

    def start(self, clock: ClockSpec, seed: int) -> ClockSpec:
        return clock

    def step(self, state: ClockSpec, tick: Tick, heard: MicroTurn) -> tuple[Said, ClockSpec]:
        sound = Packet(USER_AUDIO, tick, sound_of(tick, state))
        shown = (Packet(USER_CAMERA, tick, shot_of(tick)),) if tick < self.until else ()
        return Said((sound, *shown)), state


def sound_of(tick: int, clock: ClockSpec = CLOCK) -> Audio:
    return rng_for(1, tick, USER_AUDIO).uniform(-0.5, 0.5, clock.samples_per_tick).astype(np.float32)


def shot_of(tick: int) -> Frames:
    return rng_for(1, tick, USER_CAMERA).integers(0, 256, (2, 6, 4, 3)).astype(np.uint8)


def looked(agent: Looks, plan: Mapping[int, tuple[Event, ...]], user: Participant | None = None, ticks: int = 30) -> tuple[Session, Trace]:
    """A session in which the agent has work done for what it is told, and its trace."""
    desk = Desk(Simulated(agent, (1.0, 1.0)))
    session = Session.start([user or Shows(), Delegating(PlannedAgent(plan)), desk], clock=CLOCK)
    return session, played(session, ticks)


def ledger_of(session: Session) -> Ledger:
    found = session.states[2]
    assert isinstance(found, Ledger)
    return found


def recent_of(agent: Looks, number: int = 0) -> Recent:
    found = agent.given[number].recent
    assert found is not None
    return found


# --- what is given --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tick", "colour"), [(7, "green"), (14, "red")])
def test_an_agent_that_wants_a_frame_gets_the_last_one_shown_before_the_cut_off(tick: int, colour: str) -> None:
    """A lamp before the camera is green and turns red 1 s after the question (at 0.3 s) is over: at 2.3 s of the session."""
    script = replace(script_of(LAMP), lens=Lens(noise=6.0, seed=3))
    agent = Looks(senses=Senses(frame_s=1.0))
    desk = Desk(Simulated(agent, (0.4, 0.4)))
    asks_at = together(heard((tick - 1, "what is this")), asks(tick, "what is this"))
    trace = played(Session.start([ScriptedUser(script, speaker_of=Tones), Delegating(PlannedAgent(asks_at)), desk]), 25)
    shown = [turn.frames(USER_CAMERA) for turn in trace.turns]
    before = shown[tick - 1]
    assert before is not None
    recent = recent_of(agent)
    assert recent.frame is not None
    assert np.array_equal(recent.frame, before[-1])
    assert [i for i, shot in enumerate(shown) if shot is not None and any(np.array_equal(recent.frame, one) for one in shot)] == [tick - 1]
    assert recent.frame_s == pytest.approx((tick - 1 / len(before)) * 0.2)
    assert len(recent.samples) == 0
    middle = recent.frame[12:20, 12:20].reshape(-1, 3).mean(0)
    assert (middle.argmax() == 0) == (colour == "red")


def test_the_sound_is_that_of_the_packets_up_to_the_moment_it_was_asked_for() -> None:
    agent, at_s = Looks(), 3.137
    request = DelegationRequested(act="open", ask="what is this", at_s=at_s)
    session, trace = looked(agent, together(heard((14, "what is this")), {16: (request,)}))
    recent = recent_of(agent)
    whole = np.concatenate([turn.audio(USER_AUDIO, CLOCK.samples_per_tick) for turn in trace.turns])
    assert np.array_equal(recent.samples, whole[1637:3137])
    assert (recent.samples.dtype, recent.rate, recent.from_s, recent.to_s) == (np.float32, 1000, 1.637, 3.137)
    assert recent.frame is not None
    assert np.array_equal(recent.frame, shot_of(15)[1])  # of 3.1 s; those of tick 15 were taken at 3.0 and 3.1 s
    assert recent.frame_s == pytest.approx(3.1)
    assert agent.given[0].origin_s == at_s
    assert ledger_of(session).tasks["1"].envelope.recent is None  # once the work is over


def test_a_request_of_the_first_moments_gets_what_there_is_and_one_that_comes_late_the_same_as_one_in_time() -> None:
    early, late, in_time = Looks(), Looks(), Looks()
    looked(early, asked(2, "what is this"))
    assert (recent_of(early).from_s, recent_of(early).to_s) == (0.0, 0.6)
    request = {16: (DelegationRequested(act="open", ask="what is this", at_s=3.0),)}
    for agent, tick in ((in_time, 15), (late, 15 + round(LATE_S / 0.2))):
        looked(agent, {tick: request[16]}, ticks=60)
    assert recent_of(late) == recent_of(in_time)
    assert recent_of(late).to_s == 3.0


def test_where_the_microphone_gave_nothing_there_is_silence_and_an_old_picture_is_none() -> None:
    past = Past(BOTH, CLOCK)
    for tick in (3, 4, 6):
        past = past.with_turn(MicroTurn(Tick(tick), (Packet(USER_AUDIO, Tick(tick), sound_of(tick)),)))
    recent = past.until(1.3)
    assert recent is not None
    expected = np.concatenate([sound_of(3), sound_of(4), np.zeros(200, np.float32), sound_of(6)[:100]])
    assert np.array_equal(recent.samples, expected)
    assert recent.frame is None
    agent = Looks(senses=Senses(frame_s=1.0))
    session, _ = looked(agent, together(asked(8, "what is this"), asked(14, "and what is that")), Shows(until=5))
    assert (agent.given[0].recent is None, agent.given[1].recent) == (False, None)
    assert ledger_of(session).past.shots == ()


def test_an_amended_task_gets_the_past_of_the_amendment_and_one_after_consent_that_of_the_run_before() -> None:
    agent = Looks({"what is this": (Answer(text="late", after_s=9.0),)})
    looked(agent, together(asked(4, "what is this"), heard((9, "no the other")), asks(10, "no the other", "amend")))
    assert [recent_of(agent, run).to_s for run in (0, 1)] == [1.0, 2.0]
    asked_for = NeedsConsent(call="c", tool="t", arguments={}, how="voice", text="may I")
    again = Looks({"what is this": (asked_for,)})
    looked(again, asked(4, "what is this"), ticks=200)
    assert [envelope.run for envelope in again.given[:2]] == [1, 2]
    assert recent_of(again, 0) == recent_of(again, 1)


# --- what is kept ---------------------------------------------------------------------------------------------------------------


def test_without_the_wish_nothing_is_heard_and_nothing_kept() -> None:
    plain, wishes = Looks(senses=NOTHING), Looks(senses=Senses(audio_s=1.0))
    session, trace = looked(plain, asked(4, "what is this"))
    assert not {USER_AUDIO, USER_CAMERA} & set(session.participants[2].hears)
    assert plain.given[0].recent is None
    assert (ledger_of(session).past.sounds, ledger_of(session).past.shots) == ((), ())
    assert "senses" not in trace.header.participants["background"]
    other, told = looked(wishes, asked(4, "what is this"))
    assert {USER_AUDIO, USER_CAMERA} & set(other.participants[2].hears) == {USER_AUDIO}
    assert ledger_of(other).past.shots == ()
    assert told.header.participants["background"]["senses"] == {"audio_s": 1.0, "frame_s": 0.0}


def test_what_is_kept_is_bounded() -> None:
    session, _ = looked(Looks(), {}, ticks=300)
    past = ledger_of(session).past
    assert len(past.sounds) <= (BOTH.audio_s + LATE_S) / 0.2 + 2
    assert len(past.shots) <= LATE_S / 0.2 + 2
    assert past.sounds[-1][0] == past.shots[-1][0] == 298


def test_forks_have_the_same_past_and_each_its_own_after_it() -> None:
    agent = Looks()
    plan = together(asked(4, "what is this"), asked(15, "and what is that"))
    session, _ = looked(agent, plan, ticks=10)
    before = ledger_of(session).past
    fork = session.fork()
    silence = Packet(USER_AUDIO, Tick(0), np.zeros(CLOCK.samples_per_tick, np.float32))
    for _ in range(10):
        fork.step({"user": lambda said: Said((replace(silence, tick=said.packets[0].tick),))})
    assert ledger_of(session).past is before
    session.run(10)
    silent, loud = recent_of(agent, 1), recent_of(agent, 2)
    assert (silent.from_s, silent.to_s) == (loud.from_s, loud.to_s) == (1.7, 3.2)
    assert np.array_equal(silent.samples[:300], loud.samples[:300])
    assert not silent.samples[300:].any()
    assert np.array_equal(loud.samples[300:500], sound_of(10))


def test_the_recent_past_is_a_value() -> None:
    agent, again = Looks(), Looks()
    for one in (agent, again):
        looked(one, asked(4, "what is this"))
    envelope = agent.given[0]
    assert envelope == again.given[0]
    assert recent_of(agent) != replace(recent_of(agent), samples=recent_of(agent).samples * 2)
    assert recent_of(agent) != replace(recent_of(agent), frame=None)
    assert len(repr(envelope)) < 1000
    assert "what is this" in json.dumps(asdict(replace(envelope, recent=None)))
    with pytest.raises(ValueError, match="read-only"):
        recent_of(agent).samples[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        recent_of(agent).frame[0] = 1  # type: ignore[index]


def test_a_desk_that_hears_keeps_the_rules_of_a_participant_and_a_replay_needs_no_sound(tmp_path: Path) -> None:
    assert check_participant(Desk(Simulated(Looks()))).problems == ()
    session, trace = looked(Looks(), asked(4, "what is this"))
    path = tmp_path / "trace.sqlite"
    with TraceWriter(path, trace.header, keep={USER_AUDIO: Keep("none"), USER_CAMERA: Keep("none")}) as writer:
        for turn in trace.turns:
            writer.append(turn)
    kept = read_trace(path)
    again = replay(trace, agent=session.participants[1])
    assert again.difference is None
    assert [to_json(event) for _, event in kept.all_events()] == [to_json(event) for _, event in trace.all_events()]


def test_a_wish_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="give seconds from 0"):
        Senses(audio_s=MOST_S + 1)
    with pytest.raises(InputError, match=r"senses of Looks is 'frame'; give e.g. Senses"):
        Session.start([Shows(), Desk(Simulated(Looks(senses="frame")))])  # type: ignore[arg-type]


# --- who answers for it ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Obeys:
    """Calls a tool for whatever it is given, with all of it or with what is trusted."""

    careful: bool
    name: str = "obeys"
    senses: Senses = BOTH

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Obeys"}

    def work(self, envelope: Envelope, stop: Stop) -> Iterator[Part]:
        used = Calls(FREE, envelope.trusted() if self.careful else envelope, stop)
        used.call("add", {"a": 1, "b": 2})
        yield from used.told()
        yield Answer(text="done")


@pytest.mark.parametrize(("careful", "done"), [(True, "ran"), (False, "refused")])
def test_who_has_heard_and_seen_may_call_nothing(careful: bool, done: str) -> None:
    desk = Desk(Simulated(Obeys(careful), (0.4, 0.4)))
    trace = played(Session.start([Shows(), Delegating(PlannedAgent(asked(4, "add one and two"))), desk], clock=CLOCK), 20)
    assert [event.done for _, event in trace.all_events() if event.kind == "tool.used"] == [done]  # type: ignore[attr-defined]
    assert states(trace)[-1] == "delivered"


def test_no_event_holds_what_was_heard_or_seen(tmp_path: Path) -> None:
    """Of a session whose sound and pictures are not kept the file holds neither, in any form in which they went along."""
    with serving(calls(("book", '{"table": 3, "name": "Ann"}')), says("It is booked.")) as server:
        agent = ChatAgent(ChatSpec(url=server.url, model="m", senses=BOTH), Toolbox((replace(book, isolation="inline"),)))
        plan = together(asked(4, "book table three"), heard((25, "yes")))
        trace = played(Session.start([Shows(), Delegating(PlannedAgent(plan)), Desk(Simulated(agent, (0.4, 0.4)))], clock=CLOCK), 60)
    assert states(trace)[-1] == "delivered"
    assert "input_audio" in json.dumps(server.requests[-1])
    path = tmp_path / "trace.sqlite"
    with TraceWriter(path, trace.header, keep={USER_AUDIO: Keep("features"), USER_CAMERA: Keep("none")}) as writer:
        for turn in trace.turns:
            writer.append(turn)
    told = json.dumps([to_json(event) for _, event in trace.all_events()])
    assert "base64" not in told
    assert "input_audio" not in told
    [sent] = [part for part in server.last[1]["content"] if part["type"] == "input_audio"]
    raw = path.read_bytes()
    assert sent["input_audio"]["data"][100:160].encode() not in raw
    assert base64.b64decode(sent["input_audio"]["data"])[144:204] not in raw
    assert sound_of(3).tobytes()[:60] not in raw
    assert max(len(json.dumps(to_json(event))) for _, event in trace.all_events()) < 6000


# --- a chat model ---------------------------------------------------------------------------------------------------------------


def remembered(rate: int = 16_000, seconds: float = 2.0) -> Recent:
    samples = rng_for(2, 0, USER_AUDIO).uniform(-0.9, 0.9, round(seconds * rate)).astype(np.float32)
    return Recent(samples=samples, rate=rate, from_s=1.0, frame=shot_of(3)[0], frame_s=2.9)


def envelope(**more: Any) -> Envelope:
    return Envelope(**{"session": "s", "task": "1", "run": 1, "origin_tick": 15, "origin_s": 3.0, "ask": "what is this", **more})


def chat(url: str, senses: Senses = BOTH, box: Toolbox | None = None) -> ChatAgent:
    return ChatAgent(ChatSpec(url=url, model="m", senses=senses), box or Toolbox(), sleep=lambda s: None)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_chat_model_is_sent_the_picture_and_the_sound_in_the_parts_of_the_public_protocol() -> None:
    pytest.importorskip("openai")
    from openai.types.chat import ChatCompletionContentPartParam
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
    from PIL import Image
    from pydantic import TypeAdapter

    recent = remembered()
    with serving(says("A lamp.")) as server:
        found = list(chat(server.url).work(envelope(recent=recent), lambda: False))
    assert found == [Answer(text="A lamp.", foreign=True)]
    TypeAdapter[Any](CompletionCreateParamsStreaming).validate_python(server.requests[0])
    text, picture, sound = server.last[1]["content"]
    for part in (text, picture, sound):
        checked = TypeAdapter[Any](ChatCompletionContentPartParam).validate_python(part)
        assert checked == part  # nothing in it that the protocol does not have
    assert "The task, as of 3.0 s: what is this" in text["text"]
    assert "a picture of the user's camera, taken at 2.9 s and the sound of the user's microphone from 1.5 to 3.0 s" in text["text"]
    kind, _, data = picture["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), shot_of(3)[0])
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound["input_audio"]["data"])), dtype="float32")
    assert (sound["input_audio"]["format"], rate) == ("wav", 16_000)
    assert np.abs(samples - recent.samples[8000:]).max() < 1e-4  # of the last 1.5 s, which were wished for


def test_a_chat_model_is_sent_words_only_unless_told_otherwise() -> None:
    with serving(says("Fine.")) as server:
        list(chat(server.url, NOTHING).work(envelope(recent=remembered()), lambda: False))
        list(chat(server.url).work(envelope(), lambda: False))
    assert [isinstance(request["messages"][1]["content"], str) for request in server.requests] == [True, True]
    assert chat("http://x", NOTHING).spec() == {"class": "ChatAgent", "url": "http://x", "model": "m", "tools": []}


def test_a_chat_model_calls_tools_only_before_it_has_heard_and_seen() -> None:
    asked_to = calls(("add", '{"a": 2, "b": 3}'))
    with serving(asked_to, says("Draft."), asked_to) as server:
        found = list(chat(server.url, box=FREE).work(envelope(recent=remembered()), lambda: False))
    assert [part.done for part in found if isinstance(part, Used)] == ["ran", "refused"]
    assert [isinstance(request["messages"][1]["content"], str) for request in server.requests] == [True, True, False]
    assert [request["tool_choice"] for request in server.requests] == ["auto", "auto", "none"]


def test_sound_and_picture_count_in_the_budget_of_a_server_that_does_not_count() -> None:
    agent = chat("http://127.0.0.1:1/v1")
    uncounted = stream(chunk({"content": "Yes."}), chunk({}, "stop"), b"data: [DONE]\n\n")
    with serving(uncounted) as server:
        agent = replace(agent, settings=replace(agent.settings, url=server.url))
        list(agent.work(envelope(recent=remembered()), lambda: False))
    assert agent.budget.spent_tokens == 1 + round(24 / 784 + 1.5 * 12.5)


def test_what_is_sent_is_bounded() -> None:
    long = np.zeros(round(MOST_S * 48_000), np.float32)
    pixels = rng_for(3, 0, USER_CAMERA).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
    recent = Recent(samples=long, rate=48_000, from_s=0.0, frame=pixels, frame_s=29.0)
    assert max(fitting(pixels).shape) <= MOST_SIDE
    assert fitting(pixels).shape[:2] == (270, 480)
    assert fitting(np.zeros((2, 5000, 3), np.uint8)).shape == (1, 500, 3)
    small = shot_of(0)[0]
    large, fitted = (small.repeat(by, axis=0).repeat(by, axis=1) for by in (255, 85))
    assert np.array_equal(fitting(large), fitted)
    assert fitting(small) is small
    assert len(json.dumps(content("x", recent))) < 2_500_000
    assert tokens_in(recent) == round(270 * 480 / 784 + 375)
    assert len(wav(long, 48_000)) == 44 + 2 * 16_000 * MOST_S
    assert png(pixels[:1, :1])[:4] == b"\x89PNG"


def test_the_senses_of_a_chat_model_are_named_at_the_command_line() -> None:
    agent = PlannedAgent({})
    _, (desk,) = wired(agent, "chat:http://127.0.0.1:1/v1#small,senses=frame+audio:12", [], live=True)
    assert isinstance(desk, Desk)
    assert isinstance(desk.backend, Threads)
    assert desk.senses == Senses(audio_s=12.0, frame_s=2.0)
    assert desk.hears[-2:] == (USER_AUDIO, USER_CAMERA)
    assert desk.spec()["backend"]["agent"]["model"] == "small"
    _, (plain,) = wired(agent, "chat:http://127.0.0.1:1/v1#small", [], live=True)
    assert not {USER_AUDIO, USER_CAMERA} & set(plain.hears)
    assert senses_named("audio") == Senses(audio_s=8.0)
    for text, message in (
        ("senses=smell", "'smell' is none; give frame, audio or both"),
        ("senses=audio:long", "'long' is no time in seconds"),
        ("senses=audio:60", "give seconds from 0"),
        ("sense=frame", "'sense=frame' is no option of a chat model"),
    ):
        with pytest.raises(InputError, match=message):
            wired(agent, f"chat:http://127.0.0.1:1/v1#small,{text}", [], live=True)
