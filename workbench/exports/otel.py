"""OpenTelemetry: a session as OTLP/JSON, one trace of spans that any collector takes (`POST /v1/traces`).

The session is the root span. Under it stand what people and the agent said (a span a phrase) and the slow work (a span a task, its tool
calls as events of it). Yields, gates and missed deadlines are events of the root. Attributes follow the semantic conventions for generative
AI where these have a name (`gen_ai.*`; for live speech they are not settled, see semantic-conventions-genai#394) and are ours
under `microturn.` where not. What was said is left out unless asked for; it then stands under `microturn.pii.`.

Encoding: opentelemetry-proto, JSON mapping of OTLP 1: ids in hex, 64-bit integers as text (as a string value where they need more bits),
names in lowerCamelCase, enums as numbers, numbers that are not finite as "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from workbench.events import DeadlineMissed, Decision, GatesActed, ModelYielded, TickCost
from workbench.events_background import DelegationChanged, DelegationCreated, ToolUsed
from workbench.spoken import AGENT, Spoken, phrases, spoken_words
from workbench.trace import Trace
from workbench.version import VERSION

Value: TypeAlias = str | bool | int | float
Attributes: TypeAlias = Mapping[str, Value]
INTERNAL, CLIENT = 1, 3  # SpanKind
FILES = ("session.otlp.json",)
NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of a session: seconds of its clock, what it is told about, and what happened in it."""

    name: str
    start_s: float
    end_s: float
    attributes: Attributes
    kind: int = INTERNAL
    events: tuple[tuple[str, float, Attributes], ...] = ()
    parent: int | None = 0  # place of the parent in the list; the root has none
    failed: str = ""


def write_otel(trace: Trace, folder: Path, *, words: bool = False) -> list[Path]:
    """One file, session.otlp.json; with `words`, what was said stands in it."""
    path = folder / FILES[0]
    path.write_text(json.dumps(otlp(trace, words=words), indent=1) + "\n", encoding="utf-8")
    return [path]


def otlp(trace: Trace, *, words: bool = False) -> dict[str, Any]:
    """The session as an ExportTraceServiceRequest."""
    header = trace.header
    resource = {"service.name": "microturn", "service.version": VERSION, "telemetry.sdk.language": "python"}
    identity = hashlib.sha256(f"{header.created}\0{header.seed}\0{json.dumps(dict(header.labels), default=str, sort_keys=True)}".encode())
    origin_ns = _origin_ns(header.created)
    spans = [_encoded(span, place, identity.hexdigest()[:32], origin_ns) for place, span in enumerate(_spans(trace, words))]
    scope = {"name": "microturn.session", "version": VERSION}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [{"scope": scope, "spans": spans}]}]}


def _spans(trace: Trace, words: bool) -> Iterator[Span]:
    yield _session(trace)
    for phrase in phrases(spoken_words(trace)):
        yield _phrase(trace, phrase, words)
    yield from _tasks(trace, words)


def _session(trace: Trace) -> Span:
    header = trace.header
    agent = header.participants.get("agent", {})
    labels = {f"microturn.label.{name}": str(value) for name, value in header.labels.items()}
    costs = [sum(cost.stages_ms.values()) for _, cost in trace.events(TickCost)]
    told: dict[str, Value] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "microturn",
        "gen_ai.agent.name": str(agent.get("kind") or agent.get("class") or "agent"),
        "gen_ai.conversation.id": _conversation(trace),
        "gen_ai.output.type": "speech",
        "microturn.ticks": len(trace),
        "microturn.tick_ms": header.clock.tick_ms,
        "microturn.seed": header.seed,
        **labels,
    }
    if model := agent.get("model") or agent.get("checkpoint"):
        told["gen_ai.request.model"] = str(model)
    if costs:
        told |= {"microturn.cost.mean_ms": sum(costs) / len(costs), "microturn.cost.max_ms": max(costs)}
    return Span(
        name=f"invoke_agent {told['gen_ai.agent.name']}",
        start_s=0.0,
        end_s=trace.duration_s,
        attributes=told,
        kind=CLIENT,
        events=tuple(_happened(trace)),
        parent=None,
    )


def _happened(trace: Trace) -> Iterator[tuple[str, float, Attributes]]:
    clock = trace.header.clock
    for tick, decision in trace.events(Decision):
        for gate in decision.gates:
            told: Attributes = {"microturn.gate": gate.name, "microturn.reason": gate.reason, "microturn.threshold": decision.threshold}
            yield "microturn.gate", clock.seconds(tick), told
    for tick, ruled in trace.events(GatesActed):
        for gate in ruled.gates:
            yield "microturn.gate", clock.seconds(tick), {"microturn.gate": gate.name, "microturn.reason": gate.reason}
    for _, yielded in trace.events(ModelYielded):
        yield "microturn.yield", yielded.at_s, {"microturn.p_yield": yielded.p_yield, "microturn.reason": yielded.reason}
    for tick, missed in trace.events(DeadlineMissed):
        yield "microturn.deadline_missed", clock.seconds(tick), {"microturn.late_ms": missed.late_ms}


def _phrase(trace: Trace, phrase: Spoken, words: bool) -> Span:
    own = phrase.speaker == AGENT
    told: dict[str, Value] = {
        "gen_ai.conversation.id": _conversation(trace),
        "microturn.speaker": phrase.speaker,
        "microturn.words": len(phrase.text.split()),
        "microturn.tick": phrase.tick,
    }
    if words:
        told["microturn.pii.text"] = phrase.text
    return Span(name="agent speech" if own else f"{phrase.speaker} speech", start_s=phrase.start_s, end_s=phrase.end_s, attributes=told)


def _tasks(trace: Trace, words: bool) -> Iterator[Span]:
    """Slow work: from its creation to its last change of state, with its tools as events."""
    clock = trace.header.clock
    changes: dict[str, list[tuple[int, DelegationChanged]]] = {}
    for tick, change in trace.events(DelegationChanged):
        changes.setdefault(change.task, []).append((tick, change))
    tools: dict[str, list[tuple[str, float, Attributes]]] = {}
    for tick, used in trace.events(ToolUsed):
        told: Attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": used.tool, "microturn.done": used.done}
        tools.setdefault(used.task, []).append((f"execute_tool {used.tool}", clock.seconds(tick), told))
    for tick, made in trace.events(DelegationCreated):
        own = changes.get(made.task, [])
        last = own[-1] if own else None
        about: dict[str, Value] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": made.source or "background",
            "gen_ai.conversation.id": _conversation(trace),
            "microturn.task": made.task,
            "microturn.schedule": made.schedule,
            "microturn.state": last[1].after if last else "created",
        }
        if words:
            about["microturn.pii.ask"] = made.ask
        yield Span(
            name="delegation",
            start_s=clock.seconds(tick),
            end_s=clock.seconds(last[0] if last else len(trace)),
            attributes=about,
            events=tuple(tools.get(made.task, ())),
            failed=last[1].cause if last and last[1].after == "failed" else "",
        )


def _conversation(trace: Trace) -> str:
    header = trace.header
    return str(header.labels.get("session") or f"{header.labels.get('family', 'session')}-{header.seed}")


# Encoding --------------------------------------------------------------------------------------------------------------------


def _encoded(span: Span, place: int, trace_id: str, origin_ns: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "traceId": trace_id,
        "spanId": _span_id(trace_id, place),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": _time(origin_ns, span.start_s),
        "endTimeUnixNano": _time(origin_ns, max(span.start_s, span.end_s)),
        "attributes": _attributes(span.attributes),
        "events": [
            {"timeUnixNano": _time(origin_ns, at_s), "name": name, "attributes": _attributes(told)} for name, at_s, told in span.events
        ],
        "status": {"code": 2, "message": span.failed} if span.failed else {},
    }
    return body if span.parent is None else {**body, "parentSpanId": _span_id(trace_id, span.parent)}


def _span_id(trace_id: str, place: int) -> str:
    return hashlib.sha256(f"{trace_id}\0{place}".encode()).hexdigest()[:16]


def _attributes(told: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in told.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int() if -(2**63) <= value < 2**63:
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else NOT_FINITE.get(value, "NaN")}
        case _:
            return {"stringValue": str(value)}


def _time(origin_ns: int, at_s: float) -> str:
    return str(origin_ns + round(at_s * 1e9))


def _origin_ns(created: str) -> int:
    """The moment a session began, in nanoseconds since 1970, to the microsecond; 0 where its header does not say."""
    try:
        began = datetime.fromisoformat(created).astimezone(UTC)
    except ValueError:
        return 0
    return max(0, (began - EPOCH) // timedelta(microseconds=1) * 1000)
