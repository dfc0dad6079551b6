"""Parquet and MCAP, opened by their own libraries; OpenTelemetry by its published names (for its library see `…_opened.py`)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from pyarrow import parquet

from tests.sample_session import without_decisions
from tests.scenario_fakes import Tones, one_voice
from tests.test_workbench_exports import stop_trace
from tests.workbench_fakes import assert_same_turn
from workbench.agents import AlwaysTalkingAgent, OracleAgent
from workbench.errors import TraceError
from workbench.evaluate import evaluate
from workbench.events import Decision, Gate, ModelYielded, TickCost
from workbench.events_background import DelegationChanged, DelegationCreated, ToolUsed
from workbench.exports import export
from workbench.exports.mcap import read_mcap, write_mcap
from workbench.exports.otel import otlp, write_otel
from workbench.exports.parquet import read_parquet, write_parquet, write_results
from workbench.packets import AGENT_AUDIO, USER_AUDIO
from workbench.store import as_kept
from workbench.trace import Trace


def assert_same(one: Trace, two: Trace) -> None:
    assert (one.header, len(one)) == (two.header, len(two))
    for mine, other in zip(one.turns, two.turns, strict=True):
        assert_same_turn(mine, other)


# Parquet ---------------------------------------------------------------------------------------------------------------------


def test_a_session_as_parquet_is_tables_and_gives_the_session_back(tmp_path: Path) -> None:
    trace = stop_trace()
    files = write_parquet(trace, tmp_path)
    assert [path.name for path in files] == ["session.ticks.parquet", "session.events.parquet", "session.packets.parquet"]
    ticks = parquet.read_table(tmp_path / "session.ticks.parquet")
    assert ticks.num_rows == 12
    assert (ticks["floor"][4].as_py(), ticks["floor"][5].as_py(), ticks["p_speak"][5].as_py()) == ("listen", "speak", 0.2)
    assert ticks["user_db"][8].as_py() == pytest.approx(20 * np.log10(0.5), abs=0.1)
    assert (ticks["agent_db"][0].as_py(), ticks["cost_ms"][0].as_py()) == (None, None)
    events = parquet.read_table(tmp_path / "session.events.parquet", filters=[("kind", "=", "model.yielded")]).to_pylist()
    assert [(row["tick"], json.loads(row["body"])["reason"]) for row in events] == [(10, "the user said stop")]
    assert_same(read_parquet(tmp_path), as_kept(trace))


def test_a_folder_without_a_session_as_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds no session as Parquet"):
        read_parquet(tmp_path)
    write_parquet(stop_trace(), tmp_path)
    (tmp_path / "session.events.parquet").write_bytes(b"PAR1 rubbish")
    with pytest.raises(TraceError, match="holds no session as Parquet"):
        read_parquet(tmp_path)


def test_results_are_tables_that_add_up_to_the_report(tmp_path: Path) -> None:
    agents = (OracleAgent(), AlwaysTalkingAgent())
    suites = ("interaction", "tau-voice")
    reports = [evaluate(one, ["answer", "stop"], "train", 2, 5, pick=one_voice, speaker_of=Tones, suites=suites) for one in agents]
    write_results(reports, tmp_path)
    rows = parquet.read_table(tmp_path / "outcomes.parquet").to_pylist()
    for report in reports:
        expected = sum(len(episode.outcomes) for episode in report.episodes)
        mine, rows = rows[:expected], rows[expected:]
        for family, found in report.to_json()["families"].items():
            of_family = [row["both"] for row in mine if row["family"] == family]
            assert (len(of_family), sum(of_family) / len(of_family)) == (found["n"], found["both"])
    sessions = parquet.read_table(tmp_path / "sessions.parquet").to_pylist()
    assert [row["met"] == row["expected"] for row in sessions[:4]] == [True] * 4
    scores = parquet.read_table(tmp_path / "scores.parquet").to_pylist()
    first = reports[0].suites["tau-voice"][0]
    assert (scores[0]["suite"], scores[0]["score"], scores[0]["n"]) == ("tau-voice", first.name, first.n)


# MCAP ------------------------------------------------------------------------------------------------------------------------


def test_a_session_as_mcap_is_read_by_the_library_and_gives_the_session_back(tmp_path: Path) -> None:
    trace = stop_trace()
    (path,) = write_mcap(trace, tmp_path)
    with path.open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        assert summary is not None
        topics = {
            channel.topic: (channel.message_encoding, summary.schemas[channel.schema_id].name) for channel in summary.channels.values()
        }
        assert topics["/user/audio"] == ("json", "foxglove.RawAudio")
        assert topics["/events/model.yielded"] == ("json", "microturn.Event")
        found = [one for one in reader.iter_messages(topics=["/agent/audio"]) if 1.0e9 <= one[2].log_time < 1.2e9]
    ((schema, _, message),) = found
    body = json.loads(message.data)
    assert json.loads(schema.data)["properties"].keys() == body.keys()
    assert (message.log_time, body["timestamp"], body["sample_rate"]) == (10**9, {"sec": 1, "nsec": 0}, 16_000)
    assert np.frombuffer(base64.b64decode(body["data"]), "<i2").tolist() == [-5 * 2048] * 3200
    assert_same(read_mcap(path), as_kept(trace))


def test_a_file_that_is_no_session_is_refused(tmp_path: Path) -> None:
    (path,) = write_mcap(stop_trace(), tmp_path)
    for rubbish in (b"", b"rubbish", path.read_bytes()[:200], path.read_bytes()[:-400]):
        (tmp_path / "cut.mcap").write_bytes(rubbish)
        with pytest.raises(TraceError, match="holds no session"):
            read_mcap(tmp_path / "cut.mcap")


# OpenTelemetry ---------------------------------------------------------------------------------------------------------------

# Fields of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto (v1), in their JSON names.
SPAN = set("traceId spanId traceState parentSpanId flags name kind startTimeUnixNano endTimeUnixNano attributes".split())
SPAN |= set("droppedAttributesCount events droppedEventsCount links droppedLinksCount status".split())
EVENT = {"timeUnixNano", "name", "attributes", "droppedAttributesCount"}
VALUE = {"stringValue": str, "boolValue": bool, "intValue": str, "doubleValue": float}
# Names of the registry of semantic conventions for generative AI that are used here.
GEN_AI = {"operation.name", "provider.name", "agent.name", "conversation.id", "output.type", "request.model", "tool.name"}
OPERATIONS = {"chat", "create_agent", "embeddings", "execute_tool", "generate_content", "invoke_agent", "text_completion"}


def told(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """Attributes by key, each checked against the published encoding."""
    for one in attributes:
        assert set(one) == {"key", "value"}
        ((kind, value),) = one["value"].items()
        assert isinstance(value, VALUE[kind])
        assert kind != "intValue" or str(int(value)) == value
        name = one["key"]
        assert name.startswith("microturn.") or name.removeprefix("gen_ai.") in GEN_AI, name
    return {one["key"]: next(iter(one["value"].values())) for one in attributes}


def spans_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The spans of a request, after a check of every field name, id and time."""
    assert set(body) == {"resourceSpans"}
    (resource,) = body["resourceSpans"]
    assert set(resource) <= {"resource", "scopeSpans", "schemaUrl"}
    assert {one["key"] for one in resource["resource"]["attributes"]} >= {"service.name", "service.version"}
    (scope,) = resource["scopeSpans"]
    assert set(scope) <= {"scope", "spans", "schemaUrl"}
    spans: list[dict[str, Any]] = scope["spans"]
    ids = [span["spanId"] for span in spans]
    assert len(set(ids)) == len(ids)
    for span in spans:
        assert set(span) <= SPAN
        assert (len(bytes.fromhex(span["traceId"])), len(bytes.fromhex(span["spanId"]))) == (16, 8)
        assert span.get("parentSpanId", ids[0]) in ids
        assert 0 <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert span["kind"] in range(6)
        assert set(span["status"]) <= {"code", "message"}
        operation = told(span["attributes"]).get("gen_ai.operation.name")
        assert operation is None or operation in OPERATIONS
        for event in span["events"]:
            assert set(event) <= EVENT
            told(event["attributes"])
    return spans


def busy_trace() -> Trace:
    """The stopped count, with a gate, costs, and a task that used a tool."""
    trace = stop_trace()
    gate = Gate("barge-in", "four", "<silence>", "the user began to speak")
    first = Decision(floor="listen", said="", p_speak=0.6, p_yield=0.0, p_backchannel=0.0, threshold=0.5, gates=(gate,))
    made = DelegationCreated(
        task="t1", session="s", ask="look it up", origin_tick=2, source="words", schedule="when_idle", urgency="normal", expires_at_s=60.0
    )
    used = ToolUsed(task="t1", tool="search", arguments={"query": "it"}, permission="free", done="called", reason="free")
    ended = DelegationChanged(task="t1", before="running", after="failed", cause="no answer within 60 s")
    turns = list(trace.turns)
    for tick, events in ((0, (first, TickCost(stages_ms={"trunk": 30.0, "ear": 10.0}))), (2, (made,)), (3, (used,)), (6, (ended,))):
        turns[tick] = type(turns[tick])(turns[tick].tick, turns[tick].packets, (*turns[tick].events, *events))
    return Trace(trace.header, turns)


def test_a_session_as_opentelemetry_has_the_published_fields_and_one_tree(tmp_path: Path) -> None:
    (path,) = write_otel(busy_trace(), tmp_path)
    spans = spans_of(json.loads(path.read_text()))
    root, *others = spans
    assert "parentSpanId" not in root
    assert {span["parentSpanId"] for span in others} == {root["spanId"]}
    about = told(root["attributes"])
    assert (about["gen_ai.operation.name"], about["microturn.ticks"], about["microturn.cost.mean_ms"]) == ("invoke_agent", "12", 40.0)
    assert int(root["endTimeUnixNano"]) - int(root["startTimeUnixNano"]) == 2_400_000_000
    assert [event["name"] for event in root["events"]] == ["microturn.gate", "microturn.yield"]
    names = [span["name"] for span in others]
    assert names == ["user speech", "agent speech", "user speech", "bystander speech", "delegation"]
    work = others[-1]
    assert told(work["attributes"])["microturn.state"] == "failed"
    assert work["status"] == {"code": 2, "message": "no answer within 60 s"}
    assert [event["name"] for event in work["events"]] == ["execute_tool search"]


def test_gates_are_exported_where_the_agent_left_no_decisions(tmp_path: Path) -> None:
    trace = without_decisions(busy_trace())
    (root, *_) = spans_of(json.loads(write_otel(trace, tmp_path)[0].read_text()))
    [gate] = [told(event["attributes"]) for event in root["events"] if event["name"] == "microturn.gate"]
    assert gate == {"microturn.gate": "barge-in", "microturn.reason": "the user began to speak"}
    write_parquet(trace, tmp_path)
    ticks = parquet.read_table(tmp_path / "session.ticks.parquet")
    assert ticks["gates"].to_pylist() == ["barge-in: the user began to speak", *[None] * 11]
    assert set(ticks["p_speak"].to_pylist()) == {None}
    assert_same(read_parquet(tmp_path), as_kept(trace))
    (chrome,) = export(trace, "chrome-trace", tmp_path)
    rows = json.loads(chrome.read_text())["traceEvents"]
    acted = {"wanted": "four", "done": "<silence>", "reason": "the user began to speak"}
    assert [(row["ts"], row["args"]) for row in rows if row["name"] == "gate barge-in"] == [(0, acted)]


def test_what_was_said_is_told_only_when_asked_for() -> None:
    trace = busy_trace()
    assert any(trace.events(ModelYielded))
    without, with_words = (json.dumps(otlp(trace, words=words)) for words in (False, True))
    for said in ("three", "look it up", "stop"):
        assert f'"{said}' not in without.replace("the user said stop", "")
    spans = spans_of(json.loads(with_words))
    assert [told(span["attributes"]).get("microturn.pii.text") for span in spans[1:3]] == ["count <on>", "one two three"]
    assert told(spans[-1]["attributes"])["microturn.pii.ask"] == "look it up"


def test_streams_that_are_there_are_there_in_every_format(tmp_path: Path) -> None:
    trace = stop_trace()
    write_parquet(trace, tmp_path)
    write_mcap(trace, tmp_path)
    for again in (read_parquet(tmp_path), read_mcap(tmp_path / "session.mcap")):
        for stream in (USER_AUDIO, AGENT_AUDIO):
            np.testing.assert_array_equal(again.audio(stream), as_kept(trace).audio(stream))
