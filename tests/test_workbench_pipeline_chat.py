"""A chat model as the pipeline's language step: what it is asked, what is said of its answer and when, its troubles, and its replay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import Answering, ChatServer, chunk, says, serving, stalls, status
from tests.scenario_fakes import Tones, play, script_of
from tests.test_workbench_pipeline import TONES, ear_of, said
from workbench.adapters.chat_step import chat_settings, messages, timed_words, with_line
from workbench.adapters.pipeline import Pipeline, pipeline_of
from workbench.background.backends import Recorded
from workbench.background.wiring import KEY
from workbench.clock import StopWatch, pause
from workbench.costs import spent_in
from workbench.events import ModelYielded, TickCost
from workbench.events_background import BackgroundArrived
from workbench.replay import Edit, fork, rebuild, replay
from workbench.scenarios.script import AfterAgentWord, At, Beat
from workbench.scoring.reading import read
from workbench.session import Session
from workbench.store import Erasure, erase, read_trace, save_trace
from workbench.trace import Trace, record
from workbench.users import ScriptedUser

QUESTION = Beat(("what is two plus three",), At(1.0))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def agent(server: ChatServer, *sentences: str) -> Pipeline:
    return Pipeline(replace(TONES, language=f"chat:{server.url}#tiny"), lambda: ear_of(*sentences))


def run(pipeline: Pipeline, *beats: Beat, seconds: float = 5.0) -> Trace:
    return play(script_of(*beats, ending=At(seconds), max_ticks=round(seconds * 5)), pipeline)


def slow(seconds: float, then: Answering) -> Answering:
    """A reply that takes its time."""

    def answer(handler: Any, server: ChatServer) -> None:
        pause(seconds)
        then(handler, server)

    return answer


def words(trace: Trace) -> list[str]:
    return [word for word, _ in said(trace)]


def parts(trace: Trace) -> list[Mapping[str, Any]]:
    return [event.part for _, event in trace.events(BackgroundArrived)]


def test_the_words_of_the_answer_are_said_and_the_question_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "secret")
    with serving(says("Fi", "ve", tokens=12)) as server:
        trace = run(agent(server, "what is two plus three"), QUESTION)
    assert words(trace) == ["five"]
    assert server.keys == ["Bearer secret"]
    (request,) = server.requests
    assert [line["role"] for line in request["messages"]] == ["system", "user"]
    assert request["messages"][1]["content"] == "what is two plus three"
    assert (request["model"], request["stream"], "tools" in request) == ("tiny", True, False)
    assert spent_in(trace).background_tokens == 12
    header = json.dumps(trace.header.participants["agent"])
    assert f"chat:{server.url}#tiny" in header
    assert "secret" not in header + json.dumps(parts(trace))


def test_the_answer_comes_as_late_as_the_server_is_and_the_ticks_do_not_wait_for_it() -> None:
    late = []
    for seconds in (0.0, 1.0):
        with serving(slow(seconds, says("five"))) as server:
            trace = run(agent(server, "what is two plus three"), QUESTION, seconds=6.0)
        late.append(said(trace)[0][1])
        (part,) = parts(trace)
        assert seconds <= part["after_s"] < seconds + 5.0, "measured by the wall clock"
        late[-1] -= part["after_s"]
    assert abs(late[1] - late[0]) <= 0.4, "said when it came, in the ticks' own time"
    asked = [tick for tick, event in trace.events(TickCost) if "recogniser" in event.stages_ms]
    assert len(asked) == 1


def test_a_live_session_is_not_held_up_by_a_server_that_stalls() -> None:
    with serving(stalls(chunk({"role": "assistant", "content": "one "}))) as server:
        pipeline = agent(server, "what is two plus three")
        session = Session.start([ScriptedUser(script_of(QUESTION, ending=At(4.0)), speaker_of=Tones), pipeline])
        watch, longest = StopWatch(), 0.0
        for _ in range(20):
            watch.lap_ms()
            session.step()
            took = watch.lap_ms()
            longest = max(longest, took)
            pause(max(0.0, 0.2 - took / 1000))
    assert longest < 1000, "a paced session never waits for the wall clock, nor for the server"


def test_sentences_are_said_as_they_come() -> None:
    with serving(says("It is five. ", "That was easy.")) as server:
        trace = run(agent(server, "what is two plus three"), QUESTION, seconds=6.0)
    assert words(trace) == "it is five that was easy".split()
    assert [part["part"] for part in parts(trace)] == ["partial", "answer"]


def test_the_model_hears_what_was_heard_of_it_and_no_more() -> None:
    request = Beat(("count to nine please",), At(0.5))
    stop = Beat(("stop now",), AfterAgentWord(3, 0.2, 9.0))
    answers = [says("[0.6] one [0.6] two [0.6] three [0.6] four [0.6] five [0.6] six [0.6] seven [0.6] eight [0.6] nine"), says(".")]
    with serving(*answers) as server:
        trace = run(agent(server, "count to nine please", "stop now"), request, stop, seconds=10.0)
    heard = words(trace)
    assert 3 <= len(heard) < 7
    assert [(line["role"], line["content"]) for line in server.last[1:]] == [
        ("user", "count to nine please"),
        ("assistant", " ".join(heard)),
        ("user", "stop now"),
    ]
    starts = [at_s for _, at_s in said(trace)]
    assert all(0.35 <= later - sooner <= 0.85 for sooner, later in pairwise(starts)), "at the pace that was asked for"
    assert len(list(trace.events(ModelYielded))) == 1


def test_a_murmur_lets_it_go_on_where_it_was_cut() -> None:
    request = Beat(("count to four please",), At(0.5))
    murmur = Beat(("mhm yeah",), AfterAgentWord(2, 0.2, 9.0))
    with serving(says("[0.6] one [0.6] two [0.6] three [0.6] four"), says("-")) as server:
        trace = run(agent(server, "count to four please", "mhm yeah"), request, murmur, seconds=9.0)
    assert words(trace)[-1] == "four"
    assert len(server.requests) == 2


def test_a_server_that_fails_is_told_of_and_the_agent_is_sorry() -> None:
    with serving(status(400, "no such model")) as server:
        trace = run(agent(server, "what is two plus three"), QUESTION)
    assert words(trace) == ["sorry"]
    assert "the server answered 400" in parts(trace)[0]["cause"]


def test_a_replay_asks_nobody_and_a_changed_session_gets_no_answer_that_it_did_not_ask_for(tmp_path: Path) -> None:
    with serving(slow(0.3, says("five"))) as server:
        pipeline = agent(server, "what is two plus three")
        trace = run(pipeline, QUESTION)
        asked = len(server.requests)
        kept = read_trace(save_trace(trace, tmp_path / "trace.sqlite"))
        again = replace(pipeline, make_backend=lambda: Recorded.of_trace(kept, language=True))
        assert replay(kept, agent=again).difference is None
        muted = fork(kept, 0.8, Edit(mute_user_s=3.0), agent=again, user="recorded")
        assert words(muted.trace) == []
        assert len(server.requests) == asked
    rebuilt = rebuild(kept).participants[1]
    assert isinstance(rebuilt, Pipeline)
    assert rebuilt.knobs == pipeline.knobs == pipeline_of(f"vad=energy,barge_in_s=0.6,hang_s=0.4,language=chat:{server.url}#tiny").knobs
    assert rebuilt.make_backend is not None
    assert isinstance(rebuilt.make_backend(), Recorded)


def test_what_the_model_answered_goes_when_the_words_of_the_user_are_erased(tmp_path: Path) -> None:
    with serving(says("five")) as server:
        trace = run(agent(server, "what is two plus three"), QUESTION)
    path = save_trace(trace, tmp_path / "trace.sqlite")
    erase(path, Erasure(stream="user.audio", from_tick=0, to_tick=len(trace), who="them", why="asked"))
    assert parts(read_trace(path)) == []


def test_a_fork_of_a_session_does_not_take_the_open_question_along() -> None:
    with serving(slow(0.5, says("five"))) as server:
        session = Session.start(
            [ScriptedUser(script_of(QUESTION, ending=At(6.0)), speaker_of=Tones), agent(server, "what is two plus three")]
        )
        trace = record(session)
        while not server.requests:
            session.step()
        other = session.fork()
        beside = record(other)
        session.run(15)
        other.run(15)
    assert words(trace) == ["five"]
    assert "went on in the session" in parts(beside)[0]["cause"]
    assert read(beside).words[0].word == "sorry"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Seven.", ((0.0, "seven"),)),
        ("It is 21!", ((0.0, "it"), (0.0, "is"), (0.0, "twenty-one"))),
        ("twenty one", ((0.0, "twenty-one"),)),
        ("[5] now [ 2.5 s ] **now**", ((5.0, "now"), (2.5, "now"))),
        ("[1] [1]", ()),
        ("[900] now", ((120.0, "now"),)),
        ("- 99 don't", ((0.0, "99"), (0.0, "don't"))),
        ("", ()),
    ],
)
def test_an_answer_becomes_words_with_waits(text: str, expected: object) -> None:
    assert timed_words(text) == expected


def test_the_conversation_is_told_in_turns() -> None:
    lines: tuple[tuple[str, str], ...] = ()
    for role, spoken in (("user", "what is"), ("user", "two plus two"), ("assistant", "four"), ("user", "")):
        lines = with_line(lines, role, spoken.split())
    assert [(line["role"], line["content"]) for line in messages(lines)[1:]] == [("user", "what is two plus two"), ("assistant", "four")]
    many: tuple[tuple[str, str], ...] = ()
    for number in range(100):
        many = with_line(many, ("user", "assistant")[number % 2], [str(number)])
    assert len(many) == 40
    assert chat_settings("chat:http://127.0.0.1:8000/v1#tiny").model == "tiny"
