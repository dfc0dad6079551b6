"""What a person sees and hears of a session: `Trace -> plain tables -> figure`, each step pure.

In a notebook `Talk(session)` to speak with a live session, `Timeline(trace_or_session)` to scroll through one while or after it runs,
`show(trace)` for a finished one as figure and sound; `write_timeline(trace, path)` for a page that stands alone, `timeline` and
`training_curves` for the figures.
"""

from widgets.ablations import of_question, read_study, silence_figure, study_figure, study_table
from widgets.charts import timeline
from widgets.curves import training_curves
from widgets.inside import probe_curves
from widgets.page import write_timeline
from widgets.show import Shown, show
from widgets.talk import Talk
from widgets.theme import DARK, LIGHT, Theme
from widgets.watch import Timeline

__all__ = [
    "DARK",
    "LIGHT",
    "Shown",
    "Talk",
    "Theme",
    "Timeline",
    "of_question",
    "probe_curves",
    "read_study",
    "show",
    "silence_figure",
    "study_figure",
    "study_table",
    "timeline",
    "training_curves",
    "write_timeline",
]
