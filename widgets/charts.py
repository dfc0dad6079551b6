"""Tables -> one figure: the timeline of a finished session, with one lane under the other on a shared clock.

Lanes, top to bottom: the user's wave, words, typed text and what the agent heard of them · which cells made it decide, where that was
looked into · what the camera saw · floor state · p(speak) and p(yield), one bar per micro-turn, with threshold and gates; gates alone where
an agent leaves no decisions · the agent's words and wave · the windows a perfect agent acts in · background tasks, state by state · cost
against the deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from widgets.canvas import Canvas, Lane, bars, hover_cells
from widgets.decisions import gate_marks, probabilities
from widgets.inside import influence_marks, influence_note
from widgets.picture import data_url
from widgets.theme import LIGHT, Theme, faded
from widgets.views import PICTURE_S, Envelope, SessionView, Span, WordSpan, rows_of, session_view
from widgets.work import ROW_PX, result_marks, task_boxes, task_rows
from workbench.frames import fitted
from workbench.trace import Trace

WINDOW_S = 12.0  # seconds in sight when the figure opens; longer sessions are panned
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 186, 24, 54, 30
GAP_PX, JOINED_PX = 14, 3
NOMINAL_PX_PER_S, LABEL_STEP_PX = 95.0, 16.0
THUMBNAIL_PX = 96  # twice the height of its lane, for screens of high density
STRIP = 0.2  # height of the boxes under slanted words, as a share of their lane
ACT_COLOUR = "#009E73"
EXPECT_COLOURS = {
    **dict.fromkeys(("reply", "count", "time", "moment", "tally", "amend", "delegate", "result", "only"), ACT_COLOUR),
    "yield": "#CC79A7",
    "silent": "#9AA3AD",
}


def timeline(session: Trace | SessionView, theme: Theme = LIGHT, window_s: float = WINDOW_S) -> go.Figure:
    """The whole session as a figure; `window_s` is what is in sight at first (drag to pan, scroll to zoom, double-click for all).

    Of a session longer than `views.LONG_S` it holds the numbers of every tick, the whole record only of those in which something was done,
    and no slanted words: an hour stays under 5 MB.
    """
    view = session if isinstance(session, SessionView) else session_view(session)
    lanes = _lanes(view, theme)
    axes = {lane.key: "y" if place == 1 else f"y{place}" for place, lane in enumerate(lanes, 1)}
    canvas = Canvas(go.Figure(), axes, view, theme)
    _wave(canvas, "user_wave", view.user_wave, theme.user)
    _words(canvas, "user_words", view.user_words, theme.user)
    _typed(canvas)
    _words(canvas, "heard_words", view.heard_words, theme.heard)
    for mark in influence_marks(view.attribution, view.tick_s, theme) if view.attribution else ():
        canvas.add("influence", mark)
    _camera(canvas)
    _floor(canvas)
    probabilities(canvas)
    gate_marks(canvas)
    _words(canvas, "agent_words", view.agent_words, theme.agent)
    _wave(canvas, "agent_wave", view.agent_wave, theme.agent)
    _expected(canvas)
    _tasks(canvas)
    _yields(canvas)
    _costs(canvas)
    _layout(canvas, lanes, window_s)
    return canvas.figure


# Lanes -----------------------------------------------------------------------------------------------------------------------


def _lanes(view: SessionView, theme: Theme) -> list[Lane]:
    threshold = _threshold_note(view, theme)
    lanes = [Lane("user_wave", 74, _ink("User", theme.user), "microphone")]
    if view.user_words:
        others = any(word.speaker != "user" for word in view.user_words)
        note = f"words said, {_ink('other people', theme.other, bold=False)}" if others else "words said"
        lanes.append(Lane("user_words", 62, "", note, joined=True))
    if view.typed:
        lanes.append(Lane("typed", 22, "", "typed", joined=True))
    if view.heard_words:
        lanes.append(Lane("heard_words", 62, "", f"{_ink('words heard', theme.heard, bold=False)} by the agent", joined=True))
    if view.attribution:
        lanes.append(Lane("influence", 74, _ink("Influence", theme.user), influence_note(view.attribution)))
    if view.pictures:
        lanes.append(Lane("camera", 48, _ink("Camera", theme.user), "where the picture changes"))
    if view.decisions:
        lanes += [
            Lane("floor", 24, "Floor", "state per micro-turn"),
            Lane("p_speak", 104, _ink("p(speak)", theme.agent), threshold),
            Lane("p_yield", 44, _ink("p(yield)", theme.yielded), "give up the floor"),
        ]
    elif view.gates:
        lanes.append(Lane("gates", 24, _ink("Gates", theme.gate), "a rule acted"))
    lanes.append(Lane("agent_words", 34, _ink("Agent", theme.agent), "words"))
    lanes.append(Lane("agent_wave", 74, "", "loudspeaker", joined=True))
    if view.expected:
        rows = max(rows_of(view.expected)) + 1
        lanes.append(Lane("expected", 18 * rows, "", "expected in this window", joined=True))
    if view.tasks:
        lanes.append(Lane("tasks", ROW_PX * task_rows(view.tasks), "Tasks", "in the background"))
    if view.costs:
        total = np.array([row.total_ms for row in view.costs])
        note = f"median {np.median(total):.0f}, worst {total.max():.0f} ms"
        lanes.append(Lane("cost", 44, f"Cost of {view.tick_s * 1000:.0f} ms", note))
    return lanes


def _threshold_note(view: SessionView, theme: Theme) -> str:
    bars = sorted({row.decision.threshold for row in view.decisions})
    if not bars:
        return ""
    value = f"{bars[0]:.2f}" if len(bars) == 1 else f"{bars[0]:.2f} to {bars[-1]:.2f}"
    note = f"{_ink('- - threshold', theme.threshold, bold=False)} {value}"
    return f"{note}<br>{_ink('◆ gate acted', theme.gate, bold=False)}" if view.gates else note


def _ink(text: str, colour: str, bold: bool = True) -> str:
    inner = f"<b>{text}</b>" if bold else text
    return f'<span style="color:{colour}">{inner}</span>'


def _wave(canvas: Canvas, lane: str, wave: Envelope, colour: str) -> None:
    """The outline of a sound as a filled band, scaled to its own peak (never louder than it was by more than 20 dB)."""
    scale = max(wave.peak, 0.1)
    x = canvas.numbers(wave.at_s + wave.bin_s / 2)
    line = {"color": colour, "width": 0.5}
    canvas.add(lane, go.Scatter(x=x, y=wave.high / scale, mode="lines", line=line, hoverinfo="skip"))
    canvas.add(
        lane,
        go.Scatter(
            x=x, y=wave.low / scale, mode="lines", line=line, fill="tonexty", fillcolor=faded(colour, 0.55), hoverinfo="skip", name=lane
        ),
    )


def _words(canvas: Canvas, lane: str, words: Sequence[WordSpan], colour: str) -> None:
    """The agent's words written in their boxes; the user's, which come faster, as slanted labels over thin boxes."""
    if lane not in canvas.axes or not words:
        return
    theme, slanted = canvas.theme, lane != "agent_words"
    inks = [theme.other if word.speaker not in ("user", "agent") else colour for word in words]
    fill = [faded(ink, 0.35 + 0.65 * word.probability) for word, ink in zip(words, inks, strict=True)]
    height = STRIP if slanted else 1.0
    canvas.add(
        lane,
        go.Bar(
            orientation="h",
            base=canvas.numbers([word.start_s for word in words]),
            x=canvas.numbers([max(word.end_s - word.start_s, 0.02) for word in words]),
            y=canvas.numbers([height / 2] * len(words)),
            width=height,
            text=None if slanted else [escape(word.word) for word in words],
            textposition="none" if slanted else "inside",
            insidetextanchor="middle",
            constraintext="inside",
            textangle=0,
            textfont={"color": theme.on_colour, "size": 13},
            marker={"color": fill, "line": {"color": theme.lane, "width": 1.5}, "cornerradius": 4},
            hovertext=[_word_hover(word) for word in words],
            hovertemplate="%{hovertext}<extra></extra>",
            name=lane,
        ),
    )
    if slanted and not canvas.long:
        shifts = label_shifts_px([word.start_s for word in words])
        canvas.labels.extend(_slanted(w, ink, canvas.axes[lane], shift) for w, ink, shift in zip(words, inks, shifts, strict=True))


def _typed(canvas: Canvas) -> None:
    """What was typed, written from the moment it was sent."""
    view, colour = canvas.view, canvas.theme.user
    if not view.typed:
        return
    canvas.add(
        "typed",
        go.Bar(
            orientation="h",
            base=[message.start_s for message in view.typed],
            x=[view.tick_s] * len(view.typed),
            y=[0.5] * len(view.typed),
            width=0.8,
            marker={"color": faded(colour, 0.9), "line": {"width": 0}, "cornerradius": 3},
            hovertext=[f"<b>typed</b> at {message.start_s:.1f} s<br>{escape(message.word)}" for message in view.typed],
            hovertemplate="%{hovertext}<extra></extra>",
            name="typed",
        ),
    )
    for message in view.typed:
        place = {"x": message.end_s, "y": 0.5, "xref": "x", "yref": canvas.axes["typed"], "xanchor": "left", "yanchor": "middle"}
        canvas.labels.append(
            {**place, "text": escape(message.word), "showarrow": False, "font": {"size": 12, "color": colour}, "name": "word"}
        )


def label_shifts_px(starts_s: Sequence[float]) -> list[float]:
    """How far right each slanted label moves so that no two are nearer than a line of text, at the scale the figure opens with."""
    shifts, free_px = [], -np.inf
    for start_s in starts_s:
        wanted_px = start_s * NOMINAL_PX_PER_S
        placed_px = max(wanted_px, free_px)
        shifts.append(float(placed_px - wanted_px))
        free_px = placed_px + LABEL_STEP_PX
    return shifts


def _slanted(word: WordSpan, ink: str, axis: str, shift_px: float) -> dict[str, Any]:
    place = {"x": word.start_s, "y": STRIP, "xref": "x", "yref": axis, "xanchor": "left", "yanchor": "bottom", "xshift": shift_px - 4}
    return {**place, "text": escape(word.word), "textangle": -50, "showarrow": False, "font": {"size": 12, "color": ink}, "name": "word"}


def _word_hover(word: WordSpan) -> str:
    certainty = f"<br>probability {word.probability:.2f}" if word.probability < 1 else ""
    return f"<b>{escape(word.word)}</b> · {escape(word.speaker)}<br>{word.start_s:.2f} to {word.end_s:.2f} s{certainty}"


def _camera(canvas: Canvas) -> None:
    """A thumbnail where the picture changes, at the left of a bar that lasts as long as it looked like that."""
    shown = canvas.view.pictures
    if not shown:
        return
    colour = canvas.theme.user
    canvas.add(
        "camera",
        go.Bar(
            orientation="h",
            base=[picture.start_s for picture in shown],
            x=[picture.end_s - picture.start_s for picture in shown],
            y=[0.5] * len(shown),
            width=1.0,
            marker={"color": faded(colour, 0.14), "line": {"color": canvas.theme.lane, "width": 1}},
            hovertext=[f"<b>camera</b><br>{picture.start_s:.1f} to {picture.end_s:.1f} s" for picture in shown],
            hovertemplate="%{hovertext}<extra></extra>",
            name="camera",
        ),
    )
    for picture in shown:
        place = {"x": picture.start_s, "y": 0.5, "xref": "x", "yref": canvas.axes["camera"], "xanchor": "left", "yanchor": "middle"}
        scale = max(1, round(THUMBNAIL_PX / picture.pixels.shape[1]))
        source = data_url(fitted(picture.pixels[None], 1, THUMBNAIL_PX)[0] if scale == 1 else picture.pixels, scale)
        canvas.figure.add_layout_image(source=source, sizex=PICTURE_S, sizey=1.0, sizing="contain", layer="above", name="camera", **place)


def _floor(canvas: Canvas) -> None:
    spans = canvas.view.floor
    if not spans:
        return
    canvas.add("floor", _boxes(spans, [canvas.theme.floor_colour(s.label) for s in spans], canvas.theme, "floor"))


def _boxes(spans: Sequence[Span], colours: Sequence[str], theme: Theme, name: str) -> go.Bar:
    return go.Bar(
        orientation="h",
        base=[span.start_s for span in spans],
        x=[span.duration_s for span in spans],
        y=[0.5] * len(spans),
        width=1.0,
        text=[span.label if span.duration_s > 0.35 else "" for span in spans],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        constraintext="inside",
        textfont={"color": theme.ink, "size": 12},
        marker={"color": list(colours), "line": {"color": theme.lane, "width": 1}},
        hovertext=[f"<b>{escape(s.label)}</b><br>{s.start_s:.1f} to {s.end_s:.1f} s" for s in spans],
        hovertemplate="%{hovertext}<extra></extra>",
        name=name,
    )


def _expected(canvas: Canvas) -> None:
    spans = canvas.view.expected
    if not spans:
        return
    rows = rows_of(spans)
    height = 1 / (max(rows) + 1)
    colours = [EXPECT_COLOURS.get(span.what, EXPECT_COLOURS["silent"]) for span in spans]
    text = [_expect_label(span.what, span.words) for span in spans]
    hover = [
        f"<b>expected: {escape(label)}</b><br>{s.start_s:.2f} to {s.end_s:.2f} s<br>measured from {escape(s.anchor)} ({s.anchor_s:.2f} s)"
        + ("" if s.withdrawn_s is None else f"<br>withdrawn at {s.withdrawn_s:.2f} s")
        for s, label in zip(spans, text, strict=True)
    ]
    canvas.add(
        "expected",
        go.Bar(
            orientation="h",
            base=[s.start_s for s in spans],
            x=[max(s.end_s - s.start_s, 0.02) for s in spans],
            y=[1 - (row + 0.5) * height for row in rows],
            width=height,
            text=[escape(label) for label in text],
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
            constraintext="inside",
            textfont={"color": canvas.theme.ink, "size": 11},
            marker={"color": [faded(c, 0.18) for c in colours], "line": {"color": colours, "width": 1.2}},
            hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
            name="expected",
        ),
    )


def _tasks(canvas: Canvas) -> None:
    if canvas.view.tasks:
        canvas.add("tasks", task_boxes(canvas.view.tasks, canvas.theme))
        canvas.add("tasks", result_marks(canvas.view.results, task_rows(canvas.view.tasks), canvas.theme))


def _expect_label(what: str, words: tuple[str, ...]) -> str:
    said = " ".join(words) if len(words) <= 3 else f"{words[0]} … {words[-1]}"
    return f"{what} {said}".strip()


def _yields(canvas: Canvas) -> None:
    marks = canvas.view.yields
    if not marks:
        return
    text = [
        f"<b>yielded</b> · {m.at_s:.2f} s · p(yield) {m.p_yield:.2f}<br>{escape(m.reason)}"
        + (f"<br>unsaid: {escape(m.unsaid)}" if m.unsaid else "")
        for m in marks
    ]
    colour = canvas.theme.yielded
    marker = {"symbol": "octagon", "size": 15, "color": colour, "line": {"color": canvas.theme.page, "width": 1.5}}
    x, y = [m.at_s for m in marks], [0.62] * len(marks)
    hover = {"hovertext": text, "hovertemplate": "%{hovertext}<extra></extra>"}
    font = {"color": colour, "size": 12}
    canvas.add(
        "agent_wave",
        go.Scatter(
            x=x,
            y=y,
            mode="markers+text",
            marker=marker,
            text=[" yields"] * len(x),
            textposition="middle right",
            textfont=font,
            name="yields",
            **hover,
        ),
    )


def _costs(canvas: Canvas) -> None:
    view, theme = canvas.view, canvas.theme
    if not view.costs:
        return
    budget_ms = view.tick_s * 1000
    x = [row.at_s + view.tick_s / 2 for row in view.costs]
    total = [row.total_ms for row in view.costs]
    fill = [theme.agent if ms > budget_ms else theme.cost for ms in total]
    canvas.add("cost", bars(canvas, x, total, fill, "cost"))
    if not canvas.long:
        text = [
            f"<b>{row.total_ms:.1f} of {budget_ms:.0f} ms</b> · tick {row.tick}<br>"
            + "<br>".join(f"{escape(stage)} {ms:.1f} ms" for stage, ms in row.stages_ms.items())
            for row in view.costs
        ]
        canvas.add("cost", hover_cells(x, text, view.tick_s, "cost_record", max(budget_ms, *total)))
    line = {"color": theme.threshold, "width": 1.4, "dash": "dash"}
    ends = [0.0, max(view.duration_s, view.tick_s)]
    canvas.add("cost", go.Scatter(x=ends, y=[budget_ms, budget_ms], mode="lines", line=line, hoverinfo="skip", name="deadline"))


# Layout ----------------------------------------------------------------------------------------------------------------------


def _layout(canvas: Canvas, lanes: Sequence[Lane], window_s: float) -> None:
    theme, view = canvas.theme, canvas.view
    gaps = [0 if i == 0 else JOINED_PX if lane.joined else GAP_PX for i, lane in enumerate(lanes)]
    inner = sum(lane.height_px for lane in lanes) + sum(gaps)
    domains, top = [], inner
    for lane, gap in zip(lanes, gaps, strict=True):
        top -= gap
        domains.append(((top - lane.height_px) / inner, top / inner))
        top -= lane.height_px
    axes = {"yaxis" + canvas.axes[lane.key][1:]: _y_axis(lane, view, domain, theme) for lane, domain in zip(lanes, domains, strict=True)}
    canvas.figure.update_layout(
        height=inner + TOP_PX + BOTTOM_PX,
        margin={"l": LEFT_PX, "r": RIGHT_PX, "t": TOP_PX, "b": BOTTOM_PX},
        paper_bgcolor=theme.page,
        plot_bgcolor=theme.lane,
        font={"family": theme.font, "size": 12, "color": theme.ink},
        title={"text": escape(view.title), "x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 16}, "font": {"size": 17}},
        hoverlabel={"bgcolor": theme.page, "bordercolor": theme.grid, "font": {"color": theme.ink, "size": 12}, "align": "left"},
        barmode="overlay",
        dragmode="pan",
        hovermode="closest",
        showlegend=False,
        xaxis=_x_axis(canvas.axes[lanes[-1].key], view, theme, window_s),
        shapes=_shapes(view, theme),
        annotations=[*_titles(lanes, domains, theme), *canvas.labels],
        **axes,
    )


def _x_axis(below: str, view: SessionView, theme: Theme, window_s: float) -> dict[str, Any]:
    end_s = max(view.duration_s, view.tick_s)
    return {
        "anchor": below,
        "range": [0, min(end_s, window_s)],
        "minallowed": 0,
        "maxallowed": end_s,
        "ticksuffix": " s",
        "dtick": 1 if end_s <= 40 else None,
        "gridcolor": theme.grid,
        "minor": {"dtick": view.tick_s, "showgrid": True, "gridcolor": theme.grid_minor, "gridwidth": 1},
        "zeroline": False,
        "showspikes": True,
        "spikemode": "across",
        "spikesnap": "cursor",
        "spikethickness": 1,
        "spikedash": "solid",
        "spikecolor": theme.muted,
    }


def _y_axis(lane: Lane, view: SessionView, domain: tuple[float, float], theme: Theme) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "domain": domain,
        "anchor": "x",
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
        "showticklabels": False,
    }
    if lane.key.endswith("_wave") or lane.key == "influence":
        return {**axis, "range": [-1.08, 1.08], "zeroline": True, "zerolinecolor": theme.grid}
    if lane.key in ("p_speak", "p_yield"):
        ticks = {"tickvals": [0.5, 1] if lane.key == "p_speak" else [1], "tickfont": {"size": 10, "color": theme.muted}}
        top = 1.18 if lane.key == "p_speak" else 1.05
        return {**axis, "range": [0, top], "showticklabels": True, "showgrid": True, "gridcolor": theme.grid_minor, **ticks}
    if lane.key == "cost":
        top = max([view.tick_s * 1000, *(row.total_ms for row in view.costs)])
        ticks = {"tickvals": [view.tick_s * 1000], "tickfont": {"size": 10, "color": theme.muted}}
        return {**axis, "range": [0, top * 1.08], "showticklabels": True, **ticks}
    return {**axis, "range": [0, 1]}


def _shapes(view: SessionView, theme: Theme) -> list[dict[str, Any]]:
    both = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": s.start_s,
            "x1": s.end_s,
            "y0": 0,
            "y1": 1,
            "fillcolor": faded(theme.yielded, 0.13),
            "line": {"width": 0},
            "layer": "below",
            "name": "overlap",
        }
        for s in view.overlaps
    ]
    edits = [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": at_s,
            "x1": at_s,
            "y0": 0,
            "y1": 1,
            "line": {"color": theme.gate, "width": 2, "dash": "dot"},
            "name": "edit",
        }
        for at_s in view.edits_s
    ]
    return both + edits


def _titles(lanes: Sequence[Lane], domains: Sequence[tuple[float, float]], theme: Theme) -> list[dict[str, Any]]:
    notes = []
    for lane, (low, high) in zip(lanes, domains, strict=True):
        title = f"<b>{lane.title}</b><br>" if lane.title and lane.height_px > 30 else f"<b>{lane.title}</b> " if lane.title else ""
        note = f'<span style="font-size:11px;color:{theme.muted}">{lane.note}</span>' if lane.note else ""
        notes.append(
            {
                "text": title + note,
                "xref": "paper",
                "yref": "paper",
                "x": 0,
                "y": (low + high) / 2,
                "xanchor": "right",
                "yanchor": "middle",
                "xshift": -30,
                "showarrow": False,
                "align": "right",
                "font": {"size": 13},
                "name": f"lane {lane.key}",
            }
        )
    return notes
