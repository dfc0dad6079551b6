"""What was found inside the model, drawn: probe scores by layer, and the cells that made the agent decide."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from widgets.theme import BLUE, GREEN, LIGHT, ORANGE, PURPLE, VERMILION, Theme, faded
from workbench.errors import InputError
from workbench.inside import Attribution, Influence, ProbeScore

CYCLE = (VERMILION, ORANGE, BLUE, PURPLE, GREEN)
NAMED = 0.08  # a heard word is written out when its influence is at least this share of the largest


def probe_curves(scores: Sequence[ProbeScore], theme: Theme = LIGHT) -> go.Figure:
    """Score by hook point (0 to 1), one line per target with its chance level dotted. Raises InputError when there are no scores."""
    if not scores:
        raise InputError("there are no probe scores to draw; give those of probe_layers")
    figure = go.Figure()
    for place, target in enumerate(dict.fromkeys(score.target for score in scores)):
        rows = [score for score in scores if score.target == target]
        colour = CYCLE[place % len(CYCLE)]
        points = [row.point.removesuffix(".residual").replace("layer.", "layer ") for row in rows]
        hover = [
            f"<b>{escape(target)}</b> at {escape(row.point)}<br>{row.metric} {row.score:.3f}, chance {row.chance:.3f}<br>"
            f"{row.num_train} cells fitted, {row.num_test} tested" + (f", {row.num_classes} classes" if row.num_classes else "")
            for row in rows
        ]
        more = {"hovertext": hover, "hovertemplate": "%{hovertext}<extra></extra>", "legendgroup": target}
        name = f"{target} ({'R²' if rows[0].metric == 'R2' else rows[0].metric})"
        line = {"color": colour, "width": 2.5}
        figure.add_trace(go.Scatter(x=points, y=[row.score for row in rows], mode="lines+markers", name=name, line=line, **more))
        dotted = {"color": colour, "width": 1.2, "dash": "dot"}
        chance = [row.chance for row in rows]
        figure.add_trace(go.Scatter(x=points, y=chance, mode="lines", name=f"{target}, chance", line=dotted, showlegend=False, **more))
    figure.update_layout(
        height=380,
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        paper_bgcolor=theme.page,
        plot_bgcolor=theme.lane,
        font={"family": theme.font, "size": 12, "color": theme.ink},
        xaxis={"gridcolor": theme.grid},
        yaxis={"gridcolor": theme.grid, "range": [min(-0.1, *(s.score for s in scores)), 1.02], "zerolinecolor": theme.grid},
        yaxis_title="score on other conversations (dotted: chance)",
    )
    return figure


def influence_note(found: Attribution) -> str:
    """What the lane of influences is about, as in 'for "<yield>" at 5.6 s'."""
    largest = max((abs(i.effect) for i in found.influences), default=0.0)
    return f'for "{escape(found.act, quote=False)}" at {found.at_s:.1f} s<br>largest {largest:.2g} nats'


def influence_marks(found: Attribution, tick_s: float, theme: Theme) -> list[go.Bar | go.Scatter]:
    """The lane of influences, scaled to the largest: above the line spoke for the decision, below against it."""
    largest = max((abs(i.effect) for i in found.influences), default=0.0) or 1.0
    sounds = [i for i in found.influences if i.what == "sound"]
    words = [i for i in found.influences if i.what == "word"]
    at_s = found.at_s + tick_s / 2
    line = {"color": theme.agent, "width": 1.6, "dash": "dash"}
    here = f"<b>{escape(found.act)}</b> at {found.at_s:.1f} s, probability {found.probability:.3f}"
    return [
        _bars(sounds, largest, faded(theme.user, 0.75), "influence_sound"),
        _bars(words, largest, theme.heard, "influence_word"),
        go.Scatter(
            x=[(i.start_s + i.end_s) / 2 for i in words],
            y=[i.effect / largest for i in words],
            mode="text",
            text=[escape(i.label) if abs(i.effect) >= NAMED * largest else "" for i in words],
            textposition="middle right",
            textfont={"color": theme.heard, "size": 11},
            hoverinfo="skip",
            name="influence_label",
        ),
        go.Scatter(
            x=[at_s, at_s], y=[-1, 1], mode="lines", line=line, hovertext=here, hovertemplate="%{hovertext}<extra></extra>", name="decision"
        ),
    ]


def _bars(influences: Sequence[Influence], largest: float, colour: str, name: str) -> go.Bar:
    hover = [
        f"<b>{escape(i.label) or 'sound'}</b> · {i.start_s:.1f} to {i.end_s:.1f} s<br>"
        f"{abs(i.effect):.3g} nats {'for' if i.effect >= 0 else 'against'} the decision"
        for i in influences
    ]
    return go.Bar(
        x=[(i.start_s + i.end_s) / 2 for i in influences],
        y=[i.effect / largest for i in influences],
        width=[(0.86 if i.what == "sound" else 0.4) * (i.end_s - i.start_s) for i in influences],
        marker={"color": colour, "line": {"width": 0}},
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        name=name,
    )
