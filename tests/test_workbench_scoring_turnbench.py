"""TurnBench's marks beyond moments and spans: excluded spans, and events that coincide."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.exports.turnbench import read_marks, write_marks
from workbench.scoring.turnbench import Marked, match


def test_predictions_in_an_excluded_span_neither_find_an_event_nor_raise_an_alarm() -> None:
    marked = Marked((2.0, 9.0), ((5.0, 6.0),), ((2.1, 2.3), (5.5, 5.5)))
    found = match(marked, [2.2, 5.5, 9.1])
    assert (found.taken, found.missed) == (((9.0, 9.1),), (2.0,))
    assert (found.alarms, found.quiet) == ((), ((5.0, 6.0),))
    assert match(marked, [2.2, 2.4]).taken == ((2.0, 2.4),), "the next prediction outside takes the event"


def test_events_at_one_moment_have_the_same_window_and_need_a_prediction_each() -> None:
    found = match(Marked((2.0, 2.0, 4.0)), [2.5, 3.0, 3.5])
    assert (found.taken, found.missed) == (((2.0, 2.5), (2.0, 3.0)), (4.0,))
    assert match(Marked((2.0, 2.0)), [2.5]).missed == (2.0,)


def test_excluded_spans_and_equal_moments_are_read_as_they_were_written(tmp_path: Path) -> None:
    marked = Marked((1.0, 1.0), (), ((0.5, 0.75),))
    path = write_marks({"c": {"speaker_1": {"interruption": marked}}}, tmp_path / "marks.json")
    assert read_marks(path)["c"]["speaker_1"]["interruption"] == marked


def test_an_excluded_span_that_is_none_is_refused(tmp_path: Path) -> None:
    path = write_marks({"c": {"speaker_1": {"eot": Marked((), (), ((1.0, 2.0),))}}}, tmp_path / "marks.json")
    path.write_text(path.read_text().replace("2.0", '"two"'))
    with pytest.raises(InputError, match="an excluded span of eot of speaker_1 in 'c' is no \\[start, end\\] in seconds"):
        read_marks(path)
    with pytest.raises(InputError, match="spans end after they start"):
        Marked((), (), ((2.0, 1.0),))
