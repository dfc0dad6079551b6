"""How an agent writes a request to the background among what it says: a control token and, after it, the words of the request.

    okay <open> look up anna        "okay" is spoken, "look up anna" is asked for and told when there is a pause
    <show> draw a chart             the same, but what comes of it is shown and not spoken
    <amend> make it red             changes what was asked for last
    <cancel> never mind             ends it

Ours, because the published model's syntax is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.background.notes import Note, notes_of
from workbench.background.words import spoken_words
from workbench.events_background import DelegationRequested
from workbench.packets import MicroTurn
from workbench.scenarios.world import numbers_joined

SORRY = "sorry"  # said when there is no result
OPEN, SHOW, AMEND, CANCEL = "<open>", "<show>", "<amend>", "<cancel>"
ACTS: Mapping[str, tuple[str, str]] = {  # of each control token: act and schedule
    OPEN: ("open", "when_idle"),
    SHOW: ("open", "silent"),
    AMEND: ("amend", "when_idle"),
    CANCEL: ("cancel", "when_idle"),
}


def is_request(item: str) -> bool:
    """Whether something planned is a request, such as "<open> look up anna", and not a word to be spoken."""
    return item.split(" ", 1)[0] in ACTS


def requested(item: str, at_s: float) -> DelegationRequested:
    """The event of a request as it is written."""
    control, _, ask = item.partition(" ")
    act, schedule = ACTS[control]
    return DelegationRequested(act=act, at_s=at_s, ask=ask, schedule=schedule)


def written(event: DelegationRequested) -> str:
    """How a request is written; the inverse of `requested`. One of another schedule is written as the first of its act."""
    of_act = [name for name, (act, _) in ACTS.items() if act == event.act] or [AMEND]
    control = next((name for name in of_act if ACTS[name][1] == event.schedule), of_act[0])
    return f"{control} {event.ask}".rstrip()


def parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of one cell, parted into those to be spoken and the requests after them, each written in one piece."""
    spoken: list[str] = []
    requests: list[str] = []
    for word in words:
        if word in ACTS:
            requests.append(word)
        elif requests:
            requests[-1] += f" {word}"
        else:
            spoken.append(word)
    return spoken, requests


def results_in(heard: MicroTurn) -> list[str]:
    """What a perfect agent says at once of the notes that a micro-turn brings."""
    said: list[str] = []
    for note in notes_of(heard):
        control, *words = told(note)
        said += words if control == OPEN else [SORRY] if control == CANCEL else []
    return said


def told(note: Note) -> tuple[str, ...]:
    """A note of the background as the agent reads it: a control token that says what it is, and the words that have to be said.

    <open>: say this now, a result that comes late with what it answers before it. <cancel>: there is no result. <show>: something is
    shown, or is known, of which nothing need be said.
    """
    if note.what == "problem":
        return (CANCEL,)
    if note.schedule == "silent" or note.what == "partial":
        return (SHOW,)
    return (OPEN, *numbers_joined(spoken_words(note.about)), *numbers_joined(spoken_words(note.text)))
