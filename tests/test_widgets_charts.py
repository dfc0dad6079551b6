"""Tables -> figures: what the figures hold, read from their data."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.sample_session import COUNTED, GATE_TICK, TICKS, YIELD_TICK, stopped_count, without_decisions
from tests.scenario_fakes import one_voice, play
from widgets import DARK, LIGHT, show, timeline, training_curves
from widgets.charts import LABEL_STEP_PX, NOMINAL_PX_PER_S, label_shifts_px
from widgets.page import decisions_table
from widgets.player import stereo
from widgets.views import notable, session_view
from workbench.clock import ClockSpec, Tick
from workbench.conditions import Condition
from workbench.errors import InputError
from workbench.events import Decision, Gate, TickCost, TranscriptDelta
from workbench.packets import AGENT_AUDIO, USER_AUDIO, MicroTurn, Packet
from workbench.scenarios import build
from workbench.trace import Header, Trace

LANES = ["user_wave", "user_words", "heard_words", "floor", "p_speak", "p_yield", "agent_words", "agent_wave", "expected", "cost"]


@pytest.fixture(scope="module")
def figure() -> go.Figure:
    return timeline(stopped_count())


LONG_TICKS = 3_050  # ten minutes


def long_session() -> Trace:
    """Both sides talk in turns of three seconds, with a decision record in every tick."""
    rng, clock = np.random.default_rng(0), ClockSpec()
    trace = Trace(Header(clock=clock, seed=0, participants={}))
    wave = rng.normal(0, 0.1, clock.samples_per_tick).astype(np.float32)
    for number in range(LONG_TICKS):
        speaks, at_s = number // 15 % 2 == 1, clock.seconds(number)
        top = tuple((word, 0.1234567) for word in ("one", "two", "three", "four", ""))
        gates = (Gate("patience", "one", "", "the user still speaks"),) if number % 100 == 7 else ()
        decision = Decision(
            floor="speak" if speaks else "listen", said="one" if speaks and number % 3 == 0 else "", p_speak=float(rng.random()),
            p_yield=float(rng.random()), p_backchannel=0.0, threshold=0.5 if number < 1000 else 0.6, top=top, gates=gates,
        )  # fmt: skip
        events: list[Any] = [decision, TickCost(stages_ms={"trunk": 20.0, "heads": 4.0})]
        if number % 3 == 0:
            events.append(TranscriptDelta(side="model" if speaks else "user", word=f"word{number}", start_s=at_s, end_s=at_s + 0.4))
        packets = (Packet(AGENT_AUDIO if speaks else USER_AUDIO, Tick(number), wave),)
        trace.append(MicroTurn(Tick(number), packets, tuple(events)))
    return trace


def test_an_hour_stays_under_five_megabytes_and_keeps_the_numbers_of_every_tick() -> None:
    figure = timeline(long_session())
    assert len(figure.to_json()) / LONG_TICKS * 18_000 < 5e6
    assert len(_trace(figure, "p_speak").x) == LONG_TICKS
    record = _trace(figure, "p_speak_record")
    assert record.customdata.shape == (LONG_TICKS, 6)
    assert record.customdata[2000, :2] == pytest.approx([2000, 400.0])
    assert "said <b>one</b><br>top: one 0.12" in record.hovertext[15]
    assert "gate <b>patience</b>: one → , the user still speaks" in record.hovertext[107]
    threshold = _trace(figure, "threshold")
    assert (list(threshold.x), list(threshold.y)) == (pytest.approx([0, 200, 610]), [0.5, 0.6, 0.6])
    go.Figure(json.loads(figure.to_json()))  # what is written is a figure again


def _trace(figure: go.Figure, name: str) -> Any:
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


def _lane_names(figure: go.Figure) -> list[str]:
    return [note.name.removeprefix("lane ") for note in figure.layout.annotations if note.name.startswith("lane ")]


def test_lanes_stand_in_the_order_of_the_plan(figure: go.Figure) -> None:
    assert _lane_names(figure) == LANES


def test_lanes_do_not_overlap(figure: go.Figure) -> None:
    domains = [figure.layout[f"yaxis{place if place > 1 else ''}"].domain for place in range(1, len(LANES) + 1)]
    assert domains[0][1] == pytest.approx(1.0)
    assert domains[-1][0] == pytest.approx(0.0, abs=1e-9)
    assert all(above[0] > below[1] for above, below in itertools.pairwise(domains))


def test_lanes_without_data_are_left_out() -> None:
    turn = MicroTurn(Tick(0), (Packet(USER_AUDIO, Tick(0), np.zeros(3200, np.float32)),))
    bare = timeline(Trace(Header(clock=ClockSpec(), seed=0, participants={}), [turn]))
    assert _lane_names(bare) == ["user_wave", "agent_words", "agent_wave"]


def test_an_empty_trace_still_gives_a_figure() -> None:
    empty = timeline(Trace(Header(clock=ClockSpec(), seed=0, participants={})))
    assert empty.layout.xaxis.range == (0, pytest.approx(0.2))


def test_every_word_stands_at_its_time(figure: go.Figure) -> None:
    words = _trace(figure, "agent_words")
    assert list(words.text) == list(COUNTED)
    assert list(words.base) == pytest.approx([2.0, 2.6, 3.2, 3.8, 4.4])
    said = [note.text for note in figure.layout.annotations if note.name == "word"]
    assert said == ["count", "to", "twenty", "stop"] * 2


def test_each_micro_turn_has_one_bar_and_one_record_in_the_probability_lanes(figure: go.Figure) -> None:
    for name in ("p_speak", "p_yield", "p_speak_record", "p_yield_record"):
        assert len(_trace(figure, name).x) == TICKS
    record = _trace(figure, "p_speak_record").hovertext[YIELD_TICK]
    assert "said <b>&lt;yield&gt;</b>" in record
    assert "p(yield) 0.970" in record
    assert "top: &lt;yield&gt; 0.90" in record


def test_the_threshold_spans_the_session_and_gates_are_marked(figure: go.Figure) -> None:
    threshold = _trace(figure, "threshold")
    assert (threshold.x[0], threshold.x[-1]) == (0.0, pytest.approx(8.0))
    assert set(threshold.y) == {0.5}
    gates = _trace(figure, "gates")
    assert list(gates.x) == pytest.approx([6.3])
    assert "p(speak) 0.42 &lt; threshold 0.50" in gates.hovertext[0]


def test_gates_have_a_lane_and_a_row_where_the_agent_left_no_decisions() -> None:
    view = session_view(without_decisions(stopped_count()))
    figure = timeline(view)
    gates = _trace(figure, "gates")
    assert list(gates.x) == pytest.approx([6.3])
    assert "p(speak) 0.42 &lt; threshold 0.50" in gates.hovertext[0]
    assert not {"p_speak", "p_yield", "threshold"} & {trace.name for trace in figure.data}, "nobody had these numbers"
    table = decisions_table(notable(view), view.gates)
    assert table.count("<tr class=") == 1
    assert f"<td>6.2 s</td><td>{GATE_TICK}</td><td></td>" in table
    assert "threshold gate: wanted six, did &lt;silence&gt;" in table
    undecided = session_view(Trace(Header(clock=ClockSpec(), seed=0, participants={})))
    assert "no decision records" in decisions_table(notable(undecided), undecided.gates)


def test_the_wave_keeps_its_shape_and_stays_in_its_lane(figure: go.Figure) -> None:
    view = session_view(stopped_count())
    high = np.asarray(next(trace for trace in figure.data if trace.name == "agent_wave").y)
    assert high.min() == pytest.approx(-1.0, abs=0.1)
    assert len(high) == len(view.agent_wave.at_s)
    assert np.abs(high).max() <= 1.0


def test_overlaps_are_shaded(figure: go.Figure) -> None:
    (band,) = [shape for shape in figure.layout.shapes if shape.name == "overlap"]
    assert (band.x0, band.x1) == (pytest.approx(4.4), pytest.approx(4.62))


def test_the_grid_of_micro_turns_is_the_tick(figure: go.Figure) -> None:
    assert figure.layout.xaxis.minor.dtick == pytest.approx(0.2)
    assert figure.layout.xaxis.minor.showgrid


def test_cost_bars_show_every_stage_and_the_deadline(figure: go.Figure) -> None:
    assert "trunk" in _trace(figure, "cost_record").hovertext[0]
    assert set(_trace(figure, "deadline").y) == {200.0}


def test_themes_change_colours_and_nothing_else() -> None:
    light, dark = (timeline(stopped_count(), theme) for theme in (LIGHT, DARK))
    assert light.layout.paper_bgcolor != dark.layout.paper_bgcolor
    assert [t.name for t in light.data] == [t.name for t in dark.data]
    assert light.layout.height == dark.layout.height


def test_text_of_a_session_cannot_become_markup() -> None:
    trace = stopped_count()
    evil = TranscriptDelta(side="model", word="<b>x</b>", start_s=6.0, end_s=6.4)
    trace.turns[30] = MicroTurn(Tick(30), trace.turns[30].packets, (*trace.turns[30].events, evil))
    assert "<b>x</b>" not in timeline(trace).to_json()


def test_slanted_labels_keep_their_distance_and_move_no_more_than_needed() -> None:
    starts = [0.0, 0.05, 0.10, 2.0]
    shifts = label_shifts_px(starts)
    placed = [start * NOMINAL_PX_PER_S + shift for start, shift in zip(starts, shifts, strict=True)]
    assert all(b - a >= LABEL_STEP_PX - 1e-9 for a, b in itertools.pairwise(placed))
    assert shifts[0] == 0.0
    assert shifts[3] == 0.0


def test_training_curves_have_a_line_per_loss_and_per_score() -> None:
    rows = [
        {"step": 0, "minutes": 0.0, "loss": {"words": 3.0, "silence": 1.0}, "cells_per_s": 900},
        {"step": 50, "minutes": 1.0, "loss": {"words": 2.0, "silence": 0.2}, "scores": {"answer": 0.1}, "cells_per_s": 900},
    ]
    curves = training_curves(rows)
    assert {t.name: (list(t.x), list(t.y)) for t in curves.data} == {
        "words": ([0.0, 1.0], [3.0, 2.0]),
        "silence": ([0.0, 1.0], [1.0, 0.2]),
        "answer": ([1.0], [0.1]),
    }
    assert curves.layout.yaxis.type == "log"


def test_every_group_of_the_log_has_its_panel_and_its_legend_beside_it() -> None:
    row = {"step": 1, "minutes": 1.0, "rate": 1e-3, "loss": {"word": 1.0}, "family_loss": {"stop": 2.0}}
    judged = {"step": 1, "minutes": 1.0, "scores": {"mean_both": 0.5}, "family_scores": {"stop": 0.4}}
    curves = training_curves([row, judged])
    assert [(t.name, t.yaxis, t.legend) for t in curves.data] == [
        ("word", "y", "legend"),
        ("stop", "y2", "legend2"),
        ("mean_both", "y3", "legend3"),
        ("stop", "y4", "legend4"),
        ("rate", "y5", "legend5"),
    ]
    assert [curves.layout[f"yaxis{n}"].type for n in ("", 2, 3, 4, 5)] == ["log", "log", None, None, "log"]
    tops = [curves.layout[f"legend{n}"].y for n in ("", 2, 3, 4, 5)]
    assert tops == sorted(tops, reverse=True)
    assert tops[0] == 1.0


def test_training_curves_of_a_log_without_losses_say_what_is_wrong() -> None:
    with pytest.raises(InputError, match="none of the 1 rows of the run log has a 'loss'"):
        training_curves([{"step": 1, "minutes": 0.0}])


def test_a_shown_session_has_a_figure_and_its_sound_on_two_ears() -> None:
    trace = stopped_count()
    shown = show(trace)
    assert shown.figure is not None
    assert "one two three four five" in repr(shown)
    sound = stereo(trace)
    assert sound.shape == (8 * 16_000, 2)
    assert np.array_equal(sound[:, 0], trace.audio(USER_AUDIO))
    assert len(shown.audio.data) > 2 * sound.size


def test_a_session_that_cannot_be_drawn_shows_as_text_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    trace = stopped_count()
    broken = Packet(USER_AUDIO, Tick(3), np.zeros((2, 2, 2), np.float32))
    trace.turns[3] = MicroTurn(Tick(3), (broken,))
    with pytest.warns(RuntimeWarning, match="cannot be drawn"):
        shown = show(trace)
    assert shown.figure is None
    shown._ipython_display_()
    assert capsys.readouterr().out.startswith("<session of 8.0 s, 40 micro-turns")


def test_what_was_typed_stands_where_it_was_sent() -> None:
    script = Condition(typed=1.0).on(build("answer", 3, "train", pick=one_voice))
    view = session_view(play(script))
    assert view.typed
    figure = timeline(view)
    titles = [str(mark.text) for mark in figure.layout.annotations]
    assert any("typed" in text for text in titles)
    shown = [mark for mark in figure.layout.annotations if mark.text == view.typed[0].word]
    assert [mark.x for mark in shown] == [view.typed[0].end_s]
    bars = next(bar for bar in figure.data if bar.name == "typed")
    assert list(bars.base) == [message.start_s for message in view.typed]
