"""Exports opened by their own tools' libraries: praatio, webvtt-py, pyannote, the OpenTelemetry protocol, and Perfetto itself.

What they read is what the trace says: times, labels and speakers, with characters that mean something to the formats. MCAP and Parquet
are opened by theirs in `test_workbench_exports_tables.py`, Full-Duplex-Bench's folders in `test_workbench_exports_dataset.py`.
"""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import viztracer
import webvtt
from google.protobuf.json_format import ParseDict, ParseError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from praatio import textgrid
from pyannote.database.util import load_rttm

from tests.conftest import CHROMIUM_FLAGS
from tests.test_workbench_exports import CLOCK, said, stop_trace
from tests.test_workbench_exports_tables import busy_trace
from workbench.clock import Tick
from workbench.events import Decision, Event, ModelYielded, TickCost, TruthExpect, TruthWord
from workbench.exports import export
from workbench.exports.otel import otlp
from workbench.exports.textgrid import write_textgrid
from workbench.packets import MicroTurn
from workbench.spoken import agent_words, heard_words, phrases, spoken_words
from workbench.trace import Header, Trace

WORDS = ("count", "<b>", "naïve", 'a & b --> "c"', "日本語", "xmin = [2]:", "🙂")
CREATED = "2026-05-11T09:30:00.250000+00:00"
BEGAN_NS = 1_778_491_800_250_000_000


def awkward_trace() -> Trace:
    """Two seconds in which labels hold mark-up, people speak at once, windows overlap, and computing takes longer than a tick."""
    events: list[list[Event]] = [[TickCost(stages_ms={"trunk": 150.125, "ear": 70.5})] for _ in range(10)]
    events[0] += [TruthWord(word=word, start_s=0.1 + 0.15 * n, end_s=0.2 + 0.15 * n) for n, word in enumerate(WORDS)]
    events[0] += [said("user", word, 0.1 + 0.15 * n, 0.2 + 0.15 * n) for n, word in enumerate(WORDS)]
    events[1] += [
        TruthWord(word="both", start_s=0.3, end_s=0.55, speaker="Dr Ada Fröst"),
        TruthWord(word="x", start_s=1.0, end_s=1.25, speaker="floor"),
    ]
    events[2] += [_expected("first", 0.0, 1.0), _expected("second", 0.5, 1.5), _expected("third", 0.6, 1.4), _expected("fourth", 1.5, 1.6)]
    events[6] += [said("model", "one", 1.3, 1.45), said("model", "two", 1.5, 1.9)]
    events[8] += [ModelYielded(at_s=1.6, p_yield=float("nan"), reason='he said "<stop>"')]
    for tick in range(10):
        floor = "speak" if tick >= 6 else "listen"
        events[tick] += [Decision(floor=floor, said="", p_speak=0.25, p_yield=0.125, p_backchannel=0.0, threshold=0.5)]
    header = Header(clock=CLOCK, seed=2**64 - 1, participants={}, labels={"family": "awkward"}, created=CREATED)
    return Trace(header, [MicroTurn(Tick(tick), (), tuple(events[tick])) for tick in range(10)])


def _expected(name: str, from_s: float, to_s: float) -> TruthExpect:
    return TruthExpect(id=name, what=name, anchor="end", anchor_s=0.3, from_s=from_s, to_s=to_s)


# Praat -----------------------------------------------------------------------------------------------------------------------


def read_tiers(path: Path) -> tuple[float, dict[str, list[tuple[Any, ...]]]]:
    """The end, and the entries of every tier; praatio stops at whatever it would otherwise only warn of.

    It leaves the doubled quotes of a point's mark as they stand in the file; those of an interval's text it undoes.
    """
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error", duplicateNamesMode="error")
    assert grid.validate(reportingMode="error")
    tiers = {name: [tuple(entry) for entry in grid.getTier(name).entries] for name in grid.tierNames}
    points = {name: [(at_s, mark.replace('""', '"')) for at_s, mark in tiers[name]] for name in tiers if len(tiers[name][0]) == 2}
    return grid.maxTimestamp, {**tiers, **points}


def test_praatio_reads_every_word_with_its_times_and_its_speaker(tmp_path: Path) -> None:
    trace = awkward_trace()
    (path,) = export(trace, "textgrid", tmp_path)
    end_s, tiers = read_tiers(path)
    assert end_s == 2.0
    assert list(tiers) == ["user", "Dr Ada Fröst", "speaker floor", "agent", "heard by agent", "floor", "yields", "expected"]
    for entries in (tiers[name] for name in list(tiers)[:6]):
        assert (entries[0][0], entries[-1][1]) == (0.0, 2.0)
        assert all(one[1] == two[0] for one, two in pairwise(entries)), "intervals tile the time"
    told = {name: [(start, end, label) for start, end, label in tiers[name] if label] for name in ("user", "Dr Ada Fröst", "agent")}
    words = [(w.speaker, round(w.start_s, 6), round(w.end_s, 6), w.text) for w in spoken_words(trace)]
    for speaker, found in told.items():
        assert found == [tuple(rest) for who, *rest in words if who == speaker]
    assert [label for *_, label in told["user"]] == list(WORDS)
    assert [e for e in tiers["heard by agent"] if e[2]] == [(round(w.start_s, 6), round(w.end_s, 6), w.text) for w in heard_words(trace)]
    assert tiers["floor"] == [(0.0, 1.2, "listen"), (1.2, 2.0, "speak")]
    assert tiers["yields"] == [(1.6, 'yield: he said "<stop>"')]
    assert tiers["expected"] == [(0.3, "first in 0 to 1 s | second in 0.5 to 1.5 s | third in 0.6 to 1.4 s | fourth in 1.5 to 1.6 s")]


def test_praatio_reads_a_tier_per_speaker_and_event_family_without_gap_or_overlap(tmp_path: Path) -> None:
    (path,) = export(stop_trace(), "textgrid", tmp_path)
    end_s, tiers = read_tiers(path)
    assert end_s == 2.4
    assert list(tiers) == ["user", "bystander", "agent", "heard by agent", "floor", "yields", "expected"]
    for entries in list(tiers.values())[:5]:
        assert (entries[0][0], entries[-1][1]) == (0.0, 2.4)
        assert all(one[1] == two[0] for one, two in pairwise(entries))
    assert [e for e in tiers["agent"] if e[2]] == [(1.0, 1.3, "one"), (1.4, 1.7, "two"), (1.7, 2.0, "three")]
    assert [e for e in tiers["bystander"] if e[2]] == [(1.8, 1.95, 'quo"te')]
    assert tiers["floor"] == [(0.0, 1.0, "listen"), (1.0, 2.0, "speak"), (2.0, 2.4, "listen")]
    assert tiers["yields"] == [(2.0, "yield: the user said stop")]
    assert tiers["expected"] == [(0.5, "reply one in 0 to 1 s")]


LABELS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(LABELS, min_size=1, max_size=4), LABELS)
def test_praatio_reads_any_label_and_any_name(tmp_path_factory: pytest.TempPathFactory, labels: list[str], speaker: str) -> None:
    words = [TruthWord(word=label, start_s=0.25 * n, end_s=0.25 * n + 0.25, speaker=speaker) for n, label in enumerate(labels)]
    trace = Trace(Header(clock=CLOCK, seed=0, participants={}), [MicroTurn(Tick(n), (), tuple(words) if not n else ()) for n in range(5)])
    (path,) = write_textgrid(trace, tmp_path_factory.getbasetemp())
    _, tiers = read_tiers(path)
    name, entries = next(iter(tiers.items()))
    assert name.removeprefix("speaker ") == (" ".join(speaker.split()) or "unknown").removeprefix("speaker ")
    assert [entry[2] for entry in entries][: len(labels)] == [" ".join(label.split()) for label in labels]


# WebVTT ----------------------------------------------------------------------------------------------------------------------


def test_webvtt_reads_every_phrase_with_its_times_and_its_speaker(tmp_path: Path) -> None:
    trace = awkward_trace()
    (path,) = export(trace, "vtt", tmp_path)
    found = [
        (html.unescape(str(cue.voice)), html.unescape(cue.text), cue.start_in_seconds, cue.start_time.milliseconds, cue.end)
        for cue in webvtt.read(str(path))
    ]
    wanted = phrases(spoken_words(trace), most_words=7)
    assert [(voice.lower(), text) for voice, text, *_ in found] == [(p.speaker.lower(), p.text) for p in wanted]
    assert found[0][:2] == ("User", " ".join(WORDS))
    assert found[1][:2] == ("Dr Ada Fröst", "both")
    assert [seconds + ms / 1000 for _, _, seconds, ms, _ in found] == pytest.approx([p.start_s for p in wanted], abs=5e-4)
    assert [end for *_, end in found] == [f"00:00:{p.end_s:06.3f}" for p in wanted]


def test_a_line_break_in_a_word_ends_no_cue(tmp_path: Path) -> None:
    broken = TruthWord(word="two\r\n\r\nlines", start_s=0.0, end_s=0.2)
    (path,) = export(Trace(Header(clock=CLOCK, seed=0, participants={}), [MicroTurn(Tick(0), (), (broken,))]), "vtt", tmp_path)
    (cue,) = webvtt.read(str(path))
    assert cue.text == "two lines"


# RTTM ------------------------------------------------------------------------------------------------------------------------


def test_pyannote_reads_who_sounds_when(tmp_path: Path) -> None:
    (path,) = export(awkward_trace(), "rttm", tmp_path)
    (name, annotation), *others = load_rttm(path).items()
    assert (name, others) == ("session", [])
    found = [(label, round(segment.start, 3), round(segment.end, 3)) for segment, _, label in annotation.itertracks(yield_label=True)]
    assert found == [("user", 0.1, 1.1), ("Dr_Ada_Fröst", 0.3, 0.55), ("floor", 1.0, 1.25), ("agent", 1.3, 1.6)]
    assert annotation.get_overlap().duration() == pytest.approx(0.35), "people who speak at once overlap"


def test_pyannote_reads_a_session_in_which_nobody_speaks(tmp_path: Path) -> None:
    (path,) = export(Trace(Header(clock=CLOCK, seed=0, participants={})), "rttm", tmp_path)
    assert {name: len(annotation) for name, annotation in load_rttm(path).items()} == {"session": 0}


def test_a_name_of_several_words_stays_one_field_and_a_breath_is_no_stretch(tmp_path: Path) -> None:
    words = (
        TruthWord(word="a", start_s=0.0, end_s=0.1996, speaker="Ada\tvan  B"),
        TruthWord(word="b", start_s=1.0, end_s=1.0004, speaker=" "),
    )
    (path,) = export(Trace(Header(clock=CLOCK, seed=0, participants={}), [MicroTurn(Tick(0), (), words)]), "rttm", tmp_path)
    assert [list(annotation.labels()) for annotation in load_rttm(path).values()] == [["Ada_van_B"]]


# OpenTelemetry ---------------------------------------------------------------------------------------------------------------

IDS = ("traceId", "spanId", "parentSpanId")


def request_of(body: dict[str, Any]) -> ExportTraceServiceRequest:
    """The request as the protocol's own library reads it: unknown names and wrong types are errors.

    OTLP writes ids in hex where the general JSON mapping of protobuf, which the library follows, has base64: these alone are rewritten.
    """
    again = json.loads(json.dumps(body))
    for span in again["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span |= {name: base64.b64encode(bytes.fromhex(span[name])).decode() for name in IDS if name in span}
    return ParseDict(again, ExportTraceServiceRequest())


def told(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def test_the_protocols_library_reads_the_session_as_one_tree_of_spans(tmp_path: Path) -> None:
    trace = awkward_trace()
    (path,) = export(trace, "otel", tmp_path)
    (resource,) = request_of(json.loads(path.read_text(encoding="utf-8"))).resource_spans
    assert told(resource.resource.attributes)["service.name"] == "microturn"
    root, *others = resource.scope_spans[0].spans
    assert (root.kind, root.parent_span_id, len(root.trace_id), len(root.span_id)) == (Span.SPAN_KIND_CLIENT, b"", 16, 8)
    assert {(span.trace_id, span.parent_span_id) for span in others} == {(root.trace_id, root.span_id)}
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (BEGAN_NS, BEGAN_NS + 2_000_000_000)
    about = told(root.attributes)
    assert (about["microturn.ticks"], about["microturn.seed"]) == (10, str(2**64 - 1)), "a seed of 64 bits fits no signed integer"
    assert about["microturn.cost.mean_ms"] == 220.625
    (given_up,) = root.events
    assert (given_up.name, given_up.time_unix_nano) == ("microturn.yield", BEGAN_NS + 1_600_000_000)
    assert told(given_up.attributes)["microturn.reason"] == 'he said "<stop>"'
    assert str(told(given_up.attributes)["microturn.p_yield"]) == "nan"
    wanted = phrases(spoken_words(trace))
    assert [told(span.attributes)["microturn.speaker"] for span in others] == [p.speaker for p in wanted]
    starts = [span.start_time_unix_nano - BEGAN_NS for span in others]
    ends = [span.end_time_unix_nano - BEGAN_NS for span in others]
    assert (starts, ends) == ([round(p.start_s * 1e9) for p in wanted], [round(p.end_s * 1e9) for p in wanted])


def test_the_protocols_library_reads_slow_work_its_tools_and_what_was_said() -> None:
    (resource,) = request_of(otlp(busy_trace(), words=True)).resource_spans
    *_, work = resource.scope_spans[0].spans
    assert (work.name, work.status.code, work.status.message) == ("delegation", Status.STATUS_CODE_ERROR, "no answer within 60 s")
    assert [event.name for event in work.events] == ["execute_tool search"]
    assert told(work.attributes)["microturn.pii.ask"] == "look it up"
    assert told(resource.scope_spans[0].spans[1].attributes)["microturn.pii.text"] == "count <on>"


def test_the_protocols_library_refuses_what_the_protocol_has_no_name_for() -> None:
    body = otlp(stop_trace())
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["words"] = "count"
    with pytest.raises(ParseError, match="words"):
        request_of(body)


# Chrome trace ----------------------------------------------------------------------------------------------------------------

PERFETTO = Path(viztracer.__file__).parent / "web_dist"  # the user interface of ui.perfetto.dev, as viztracer brings it along
SLICES = """select ts, dur, slice.name as name, thread.name as lane, slice.depth as depth
            from slice join thread_track on slice.track_id = thread_track.id join thread using (utid) order by ts, depth, lane"""
ROWS = """async (sql) => {
    const found = await app.trace.engine.query(sql), rows = [], plain = (v) => typeof v === "bigint" ? Number(v) : v;
    for (const it = found.iter({}); it.valid(); it.next())
        rows.push(Object.fromEntries(found.columns().map((name) => [name, plain(it.get(name))])));
    return rows;
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing, not even of a browser that is closed while it still loads."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)


class Perfetto:
    """Perfetto in a browser, without a network: opens a file as its button does, and answers SQL about what it found in there."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def open(self, path: Path) -> None:
        """Open a trace; returns when it has been parsed."""
        text = path.read_text(encoding="utf-8")
        opened = (
            "async (text) => app.openTraceFromBuffer({buffer: new TextEncoder().encode(text).buffer, title: 'trace', fileName: 'a.json'})"
        )
        self.page.evaluate(opened, text)
        self.page.wait_for_function("() => app.trace && app.trace.engine", timeout=90_000)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What a query gives."""
        found: list[dict[str, Any]] = self.page.evaluate(ROWS, sql)
        return found


@pytest.fixture
def perfetto(chromium: str) -> Iterator[Perfetto]:
    from playwright.sync_api import sync_playwright

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(PERFETTO)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    own = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page()
        page.route(lambda url: not url.startswith(own), lambda route: route.abort())
        page.goto(own)
        page.wait_for_function("() => window.app && app.openTraceFromBuffer", timeout=90_000)
        yield Perfetto(page)
        browser.close()
    server.shutdown()
    server.server_close()


@pytest.mark.browser
def test_perfetto_reads_every_word_window_and_stage_and_drops_nothing(perfetto: Perfetto, tmp_path: Path) -> None:
    trace = awkward_trace()
    (path,) = export(trace, "chrome-trace", tmp_path)
    perfetto.open(path)
    assert perfetto.rows("select name, value from stats where value > 0 and severity != 'info'") == []
    slices = [(row["lane"], row["name"], row["ts"], row["dur"]) for row in perfetto.rows(SLICES)]
    wanted = [(w.speaker, w.text, round(w.start_s * 1e6) * 1000, round((w.end_s - w.start_s) * 1e6) * 1000) for w in spoken_words(trace)]
    people = {"user", "Dr Ada Fröst", "agent"}
    assert [s for s in slices if s[0] in people and s[1] != "yield"] == [w for w in wanted if w[0] in people]
    assert [s[2] for s in slices if s[:2] == ("agent", "yield")] == [1_600_000_000]
    windows = {(lane, name): (ts / 1e9, dur / 1e9) for lane, name, ts, dur in slices if lane.startswith("expected")}
    assert windows == {
        ("expected", "first"): (0.3, 1.0),
        ("expected 2", "second"): (0.8, 1.0),
        ("expected 2", "third"): (0.9, 0.8),
        ("expected", "fourth"): (1.8, 0.1),
    }
    stages = [(name, dur) for lane, name, _, dur in slices if lane.startswith("computing")]
    assert sorted(set(stages)) == [("ear", 70_500_000), ("trunk", 150_125_000)]
    assert len(stages) == 20
    told = perfetto.rows("select string_value as text from args where key = 'args.reason'")
    assert [row["text"] for row in told] == ['he said "<stop>"']
    chances = perfetto.rows("select distinct t.name as name, value from counter join counter_track t on track_id = t.id order by name")
    assert [(row["name"], row["value"]) for row in chances] == [("p speak", 0.25), ("p threshold", 0.5), ("p yield", 0.125)]
    assert agent_words(trace)[-1].end_s == 1.6
