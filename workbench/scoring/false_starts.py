"""Words the agent said that nobody asked for, by the situation in which it began to say them."""

from __future__ import annotations

from collections import Counter

from workbench.scoring.reading import Reading, read
from workbench.scoring.wanted import wanted
from workbench.trace import Trace

TOO_EARLY = "before the moment"
SILENCES = {  # by the tag of the silence that was broken; one of another tag, e.g. in a family of one's own, is broken too early
    "pause": "in a pause",
    "other_directed": "to other-directed speech",
    "background": "to background sounds",
    "bystander_order": "to a bystander's order",
    "after_series": "after stop",
    "watching": "before it happened",
    "called_off": "after work was called off",
    "uninvited": "to a statement without an invitation",
    "harmless": "to readings below the limit",
    "no_mistake": "to a count without a mistake",
    "no_wrong_sum": "to sums without a mistake",
    "impatient": "while being asked again",
    **dict.fromkeys(
        ("before_asking", "before_invitation", "before_joining", "before_mistake", "before_warning", "before_wrong_sum", "not_before"),
        TOO_EARLY,
    ),
}
KINDS = (*dict.fromkeys(SILENCES.values()), "while being asked", "beyond the answer", "unasked")


def false_starts(trace: Trace) -> dict[str, int]:
    """How many agent words began in each situation where none was wanted; every kind is present, zero or not."""
    reading = read(trace)
    answering = wanted(reading).words
    found = Counter(_situation(reading, word.start_s) for word in reading.words if id(word) not in answering)
    return {kind: found[kind] for kind in KINDS}


def _situation(reading: Reading, at_s: float) -> str:
    for opened in reading.opened:
        expect = opened.expect
        if expect.what == "silent" and expect.anchor_s <= at_s < min(expect.anchor_s + expect.to_s, opened.closes_s):
            return next((kind for tag, kind in SILENCES.items() if tag in expect.tags), TOO_EARLY)
    for opened in reversed(reading.opened):
        if opened.expect.what == "silent" or at_s < opened.begins_s:
            continue
        if at_s < opened.expect.anchor_s:
            return "while being asked"
        return "after stop" if opened.expect.what == "yield" else "beyond the answer"
    return "unasked"
