"""Apache Parquet: a session as tables that give it back, and the results of evaluations as tables to compute with.

Needs pyarrow (`microturn[exports]`). A session is three files: `session.ticks.parquet` with one row a micro-turn (what was decided, how
likely, how loud both sides were), `session.events.parquet` with every event as JSON, and `session.packets.parquet` with every payload as
a trace file keeps it by default: pictures and texts as they were, sound rounded to 16 bits, also where the trace has it exactly (as
`microturn run` writes it). Not in it are remarks, features of streams whose sound was not kept, and the hash chain. The header stands in
the metadata of the tables, under "microturn.header".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from workbench.clock import Tick
from workbench.errors import InputError, TraceError
from workbench.events import Decision, Event, TickCost, gates_in, kind_of
from workbench.packets import AGENT_AUDIO, USER_AUDIO, MicroTurn, Packet
from workbench.store_format import decode, dump_event, dump_header, encode, features, load_event, load_header
from workbench.trace import Trace

if TYPE_CHECKING:
    from workbench.evaluate import Report

Row: TypeAlias = Mapping[str, Any]
HEADER = b"microturn.header"
TICKS, EVENTS, PACKETS = "session.ticks.parquet", "session.events.parquet", "session.packets.parquet"
FILES = (TICKS, EVENTS, PACKETS)
SESSIONS, OUTCOMES, SCORES = "sessions.parquet", "outcomes.parquet", "scores.parquet"

_TICKS: Mapping[str, str] = {
    "tick": "int64",
    "start_s": "float64",
    "floor": "string",
    "said": "string",
    "p_speak": "float64",
    "p_yield": "float64",
    "p_backchannel": "float64",
    "p_user_speaking": "float64",
    "threshold": "float64",
    "gates": "string",
    "user_db": "float64",
    "agent_db": "float64",
    "cost_ms": "float64",
}
_EVENTS: Mapping[str, str] = {"tick": "int64", "start_s": "float64", "kind": "string", "body": "string"}
_PACKETS: Mapping[str, str] = {"tick": "int64", "stream": "string", "codec": "string", "data": "binary"}
_SESSION: Mapping[str, str] = {"agent": "string", "condition": "string", "voices": "string", "family": "string", "seed": "int64"}
_SESSIONS: Mapping[str, str] = {
    **_SESSION,
    "voice": "string",
    "ticks": "int64",
    "expected": "int64",
    "met": "int64",
    "heard_errors": "int64",
    "heard_words": "int64",
    "false_starts": "int64",
}
_OUTCOMES: Mapping[str, str] = {
    **_SESSION,
    "id": "string",
    "what": "string",
    "tags": "string",
    "meaning": "bool",
    "timing": "bool",
    "both": "bool",
    "acted": "bool",
    "latency_s": "float64",
    "error_s": "float64",
    "wanted": "string",
    "said": "string",
}
_SCORES: Mapping[str, str] = {
    **{name: kind for name, kind in _SESSION.items() if name not in ("family", "seed")},
    "suite": "string",
    "score": "string",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "unit": "string",
    "n": "int64",
    "sessions": "int64",
    "explanation": "string",
}


def write_parquet(trace: Trace, folder: Path) -> list[Path]:
    """Three files: ticks, events, packets. Raises InputError where pyarrow is missing."""
    header, clock = dump_header(trace.header), trace.header.clock
    events = [
        {"tick": turn.tick, "start_s": clock.seconds(turn.tick), "kind": kind_of(event), "body": dump_event(event)[1].decode()}
        for turn in trace.turns
        for event in turn.events
    ]
    packets = [
        {"tick": turn.tick, "stream": packet.stream, "codec": stored[0], "data": stored[1]}
        for turn in trace.turns
        for packet in turn.packets
        if (stored := encode(packet.stream, packet.payload, "pcm16")) is not None
    ]
    return [
        _table(folder / TICKS, _TICKS, [_tick_row(turn, trace) for turn in trace.turns], header),
        _table(folder / EVENTS, _EVENTS, events, header),
        _table(folder / PACKETS, _PACKETS, packets, header),
    ]


def read_parquet(folder: Path) -> Trace:
    """The session in the three files of a folder, its sound rounded to 16 bits. Raises TraceError where they are none."""
    parquet = _pyarrow("pyarrow.parquet")
    try:
        ticks, events, packets = (parquet.read_table(folder / name) for name in (TICKS, EVENTS, PACKETS))
        header = load_header(ticks.schema.metadata[HEADER].decode())
        happened: dict[int, list[Event]] = {tick: [] for tick in ticks["tick"].to_pylist()}
        carried: dict[int, list[Packet]] = {tick: [] for tick in happened}
        for row in events.to_pylist():
            happened[row["tick"]].append(load_event(row["body"]))
        for row in packets.to_pylist():
            carried[row["tick"]].append(Packet(row["stream"], Tick(row["tick"]), decode(row["codec"], row["data"])))
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, MemoryError) as error:  # pyarrow's own errors are of these
        raise TraceError(f"{folder} holds no session as Parquet ({error}); give a folder that `export --to parquet` wrote") from error
    return Trace(header, [MicroTurn(Tick(t), tuple(carried[t]), tuple(happened[t])) for t in happened])


def write_results(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Sessions, expectations and suite scores of evaluations, one table each. Raises InputError where pyarrow is missing."""
    return [
        _table(folder / SESSIONS, _SESSIONS, _session_rows(reports)),
        _table(folder / OUTCOMES, _OUTCOMES, _outcome_rows(reports)),
        _table(folder / SCORES, _SCORES, _score_rows(reports)),
    ]


def has_pyarrow() -> bool:
    """Whether tables can be written."""
    try:
        import_module("pyarrow")
    except ImportError:
        return False
    return True


def _tick_row(turn: MicroTurn, trace: Trace) -> Row:
    decision = next((event for event in turn.events if isinstance(event, Decision)), None)
    costs = [sum(event.stages_ms.values()) for event in turn.events if isinstance(event, TickCost)]
    row: dict[str, Any] = {"tick": turn.tick, "start_s": trace.header.clock.seconds(turn.tick), "cost_ms": sum(costs) if costs else None}
    for side, stream in (("user_db", USER_AUDIO), ("agent_db", AGENT_AUDIO)):
        sound = turn.get(stream)
        row[side] = None if sound is None else features(sound).get("level_db")
    if decision is not None:
        row |= {name: getattr(decision, name) for name in _TICKS if name != "gates" and hasattr(decision, name)}
    gates = gates_in(turn.events)
    if decision is not None or gates:
        row["gates"] = "; ".join(f"{gate.name}: {gate.reason}" for gate in gates)
    return row


def _of(report: Report) -> dict[str, Any]:
    return {"agent": report.agent, "condition": str(report.plan.condition), "voices": report.plan.voices}


def _session_rows(reports: Sequence[Report]) -> Iterable[Row]:
    for report in reports:
        for e in report.episodes:
            yield {
                **_of(report),
                "family": e.family,
                "seed": e.seed,
                "voice": e.voice,
                "ticks": e.ticks,
                "expected": len(e.outcomes),
                "met": sum(outcome.both for outcome in e.outcomes),
                "heard_errors": e.heard.errors,
                "heard_words": e.heard.words,
                "false_starts": sum(e.false_starts.values()),
            }


def _outcome_rows(reports: Sequence[Report]) -> Iterable[Row]:
    for report in reports:
        for episode in report.episodes:
            for outcome in episode.outcomes:
                told = {name: getattr(outcome, name) for name in _OUTCOMES if hasattr(outcome, name)}
                texts = {name: " ".join(told[name]) for name in ("tags", "wanted", "said")}
                yield {**_of(report), "family": episode.family, "seed": episode.seed, **told, **texts}


def _score_rows(reports: Sequence[Report]) -> Iterable[Row]:
    for report in reports:
        for suite, scores in report.suites.items():
            for one in scores:
                low, high = one.interval or (None, None)
                told = {"value": one.to_json()["value"], "low": low, "high": high, "unit": one.unit, "n": one.n, "sessions": one.sessions}
                yield {**_of(report), "suite": suite, "score": one.name, **told, "explanation": one.explanation}


def _table(path: Path, columns: Mapping[str, str], rows: Iterable[Row], header: str = "") -> Path:
    """Write one table; a column that a row does not name is null there."""
    arrow, parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    kinds = {"int64": arrow.int64(), "float64": arrow.float64(), "string": arrow.string(), "bool": arrow.bool_(), "binary": arrow.binary()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns.items()], metadata={HEADER: header.encode()} if header else None)
    parquet.write_table(arrow.Table.from_pylist([dict(row) for row in rows], schema=schema), path, compression="zstd")
    return path


def _pyarrow(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError("Parquet needs the package pyarrow; install microturn[exports]") from error
