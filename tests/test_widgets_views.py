"""Trace -> plain tables."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.sample_session import COUNT_TICKS, COUNTED, GATE_TICK, YIELD_TICK, stopped_count, without_decisions
from widgets import views
from workbench.clock import ClockSpec, Tick
from workbench.events import FloorOverlap, ModelYielded, TranscriptDelta, TruthExpect, TruthWithdrawn
from workbench.packets import AGENT_TEXT, MicroTurn, Packet
from workbench.trace import Header, Trace


def _empty(*turns: MicroTurn, **labels: Any) -> Trace:
    return Trace(Header(clock=ClockSpec(), seed=3, participants={}, labels=labels), list(turns))


def test_words_of_both_sides_are_read_from_their_own_events() -> None:
    trace = stopped_count()
    assert [w.word for w in views.user_words(trace)] == ["count", "to", "twenty", "stop"]
    assert [w.word for w in views.heard_words(trace)] == ["count", "to", "twenty", "stop"]
    assert [w.word for w in views.agent_words(trace)] == list(COUNTED)
    assert views.heard_words(trace)[0].start_s == pytest.approx(views.user_words(trace)[0].start_s + 0.05)
    assert {w.probability for w in views.heard_words(trace)} == {0.9}


def test_a_word_that_was_being_said_ends_where_the_agent_yielded() -> None:
    events = (
        TranscriptDelta(side="model", word="one", start_s=0.2, end_s=0.6),
        TranscriptDelta(side="model", word="two", start_s=0.8, end_s=1.2),
        ModelYielded(at_s=1.0, p_yield=0.9, reason="the user said stop"),
    )
    spans = views.agent_words(_empty(MicroTurn(Tick(0), events=events)))
    assert [(s.word, s.end_s) for s in spans] == [("one", 0.6), ("two", 1.0)]


def test_agent_words_without_word_times_share_their_tick() -> None:
    trace = _empty(MicroTurn(Tick(0)), MicroTurn(Tick(1), (Packet(AGENT_TEXT, Tick(1), "okay now"),)))
    spans = views.agent_words(trace)
    assert [(s.word, round(s.start_s, 3), round(s.end_s, 3)) for s in spans] == [("okay", 0.2, 0.3), ("now", 0.3, 0.4)]


def test_floor_spans_cover_the_session_without_gaps_and_never_repeat_a_state() -> None:
    spans = views.floor_spans(stopped_count())
    assert spans[0].start_s == 0.0
    assert spans[-1].end_s == pytest.approx(8.0)
    for before, after in itertools.pairwise(spans):
        assert before.end_s == pytest.approx(after.start_s)
        assert before.label != after.label
    assert "dual" in {s.label for s in spans}


def test_the_envelope_holds_the_extremes_of_every_bin() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 16_000 + 100).astype(np.float32)
    wave = views.envelope(samples, 16_000, bin_ms=20)
    assert len(wave.at_s) == 51
    for place in (0, 7, 50):
        part = samples[place * 320 : (place + 1) * 320]
        assert wave.low[place] == part.min()
        assert wave.high[place] == part.max()
    assert wave.peak == pytest.approx(float(np.abs(samples).max()))
    assert wave.at_s[1] == pytest.approx(0.02)


def test_an_empty_trace_gives_empty_tables() -> None:
    view = views.session_view(_empty())
    assert (view.decisions, view.floor, view.user_words, view.agent_words, view.costs) == ((), (), (), (), ())
    assert len(view.user_wave.at_s) == 0
    assert view.user_wave.peak == 0.0
    assert view.duration_s == 0.0


def test_gates_yields_and_costs_carry_their_tick_and_numbers() -> None:
    view = views.session_view(stopped_count())
    assert [(g.tick, g.gate.name) for g in view.gates] == [(GATE_TICK, "threshold")]
    assert [(y.at_s, y.unsaid) for y in view.yields] == [(5.0, "six")]
    assert len(view.costs) == 40
    assert view.costs[0].total_ms == pytest.approx(10.0)
    assert views.session_view(without_decisions(stopped_count())).gates == view.gates


def test_overlap_is_where_both_sides_words_sound() -> None:
    (span,) = views.overlaps(stopped_count())
    assert (span.start_s, span.end_s) == (pytest.approx(4.4), pytest.approx(4.62))


def test_reported_overlaps_win_and_neighbours_are_joined() -> None:
    turn = MicroTurn(Tick(0), events=(FloorOverlap(at_s=0.1, duration_s=0.1), FloorOverlap(at_s=0.2, duration_s=0.2)))
    (span,) = views.overlaps(_empty(turn))
    assert (span.start_s, span.end_s) == (0.1, pytest.approx(0.4))


def test_an_expectation_is_cut_where_it_was_withdrawn_and_dropped_when_that_came_before_it() -> None:
    window = {"anchor": "end of the question", "anchor_s": 2.0, "from_s": 0.0, "to_s": 1.0}
    events = (
        TruthExpect(id="kept", what="reply", **window),
        TruthExpect(id="cut", what="count", **window),
        TruthExpect(id="gone", what="silent", **window),
        TruthWithdrawn(id="cut", at_s=2.4),
        TruthWithdrawn(id="gone", at_s=1.9),
    )
    spans = views.expected(_empty(MicroTurn(Tick(0), events=events)))
    assert [(s.what, s.start_s, s.end_s) for s in spans] == [("reply", 2.0, 3.0), ("count", 2.0, 2.4)]


def test_notable_ticks_are_those_with_an_act_a_gate_or_a_close_call() -> None:
    rows = views.notable(views.session_view(stopped_count()))
    assert [row.tick for row in rows] == sorted([*COUNT_TICKS, YIELD_TICK - 1, YIELD_TICK, GATE_TICK])


def test_the_reason_of_a_row_names_the_rule_that_decided() -> None:
    reasons = {row.tick: row.reason for row in views.decisions(stopped_count())}
    assert "reached its threshold 0.50" in reasons[COUNT_TICKS[0]]
    assert "p(speak) 0.42 < threshold 0.50" in reasons[GATE_TICK]
    assert "the user said stop" in reasons[YIELD_TICK]
    assert "unsaid: six" in reasons[YIELD_TICK]


def test_the_title_names_family_and_seed() -> None:
    assert views.title(_empty(family="think_pause")) == "think pause · seed 3"
    assert views.title(_empty()) == "session · seed 3"


def test_a_session_that_no_seed_made_has_none_in_its_title() -> None:
    assert views.title(_empty(live=True)) == "live session"
    assert views.title(_empty(recording="call.wav")) == "recording"
    assert views.title(_empty(live=True, family="stop")) == "stop · seed 3"


def test_windows_that_overlap_stand_in_rows_of_their_own() -> None:
    spans = [views.ExpectSpan("moment", "", 0.0, start_s, end_s, (), None) for start_s, end_s in ((0, 2), (1, 3), (2, 4), (2.5, 5), (6, 7))]
    assert views.rows_of(spans) == (0, 1, 0, 2, 0)
    assert views.rows_of([]) == ()
