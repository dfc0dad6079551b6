"""A finished session in a notebook: its timeline, and its sound."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from widgets import player
from widgets.charts import timeline
from widgets.theme import LIGHT, Theme
from widgets.views import agent_words
from workbench.trace import Trace

RENDER_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class Shown:
    """A session as a notebook displays it: `figure` and `audio`, or `problem` when the picture could not be drawn."""

    trace: Trace
    figure: go.Figure | None
    problem: str = ""

    def __repr__(self) -> str:
        words = " ".join(span.word for span in agent_words(self.trace))
        return f"<session of {self.trace.duration_s:.1f} s, {len(self.trace)} micro-turns; the agent says {words!r}>"

    @property
    def audio(self) -> Any:
        """An IPython audio element: the user on the left, the agent on the right."""
        from IPython import display

        element: Any = display.Audio
        return element(player.stereo(self.trace).T, rate=self.trace.header.clock.sample_rate, normalize=False)

    def _ipython_display_(self) -> None:
        from IPython import display

        if self.figure is None:
            print(repr(self))  # noqa: T201 - the plain fallback of a rich display
            return
        put: Any = display.display
        put(self.figure)
        put(self.audio)


def show(trace: Trace, theme: Theme = LIGHT) -> Shown:
    """A value that a notebook displays as timeline and player.

    A session that cannot be drawn shows as one plain line, with a warning that says why: a picture never stops an experiment.
    """
    try:
        figure = timeline(trace, theme)
    except RENDER_ERRORS as error:
        problem = f"{type(error).__name__}: {error}"
        warnings.warn(f"this session cannot be drawn ({problem}); its trace is unharmed", RuntimeWarning, stacklevel=2)
        return Shown(trace, None, problem)
    return Shown(trace, figure)
