"""How an agent writes a request to the background among what it says: a control token and, after it, the words of the request.

    okay <open> look up anna        "okay" is spoken, "look up anna" is asked for and told when there is a pause
    <show> draw a chart             the same, but what comes of it is shown and not spoken
    <amend> make it red             changes what was asked for last
    <cancel> never mind             ends it

Ours, because the published model's syntax is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from workbench.background.notes import Note, notes_of
from workbench.background.words import answer_and_rest, spoken_words, turns_what_is_left
from workbench.events import Gate
from workbench.events_background import DelegationRequested
from workbench.packets import MicroTurn
from workbench.scenarios.world import numbers_joined

SORRY = "sorry"  # said when there is no result
REPERTOIRE = "repertoire"  # the gate of an agent that cannot say what it was handed
WANTED_CHARS = 200  # of what it was handed, in that gate
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
    """What a perfect agent says at once of the notes that a micro-turn brings: of a result the answer alone (`answer_and_rest`)."""
    said: list[str] = []
    for note in notes_of(heard):
        control, *words = told(replace(note, text=answer_and_rest(note.text)[0]))
        said += words if control == OPEN else [SORRY] if control == CANCEL else []
    return said


@dataclass(frozen=True)
class Repertoire:
    """The results that an agent has learned to say: each is one of `words`. Handed another one, it would make words up.

    Of a result of several sentences the first is the answer, if it has one of the words: no instruction after it is ever read.
    """

    words: frozenset[str]

    def part(self, note: Note) -> tuple[tuple[str, ...], str]:
        """What the agent can say of a note that is to be spoken, and why that is not all of it: "" where it is."""
        answer, rest = answer_and_rest(note.text)
        words = numbers_joined(spoken_words(answer))
        if not self.words.intersection(words):  # "here it is. twelve"
            words, rest = numbers_joined(spoken_words(note.text)), ""
        known = [word for word in words if word in self.words]
        left = [word for word in words if word not in self.words]
        if note.what == "ask":
            return (), "it has not learned to put questions, of which no part may be left out"
        if not known:
            return (), f"of its {len(words)} words there is none among the results that the agent has learned to say"
        if len(known) > 1:
            return (), f"it has learned to say results of one word, and of this one it knows {len(known)}: {' '.join(known)}"
        if turning := [word for word in left if turns_what_is_left(word)]:
            return (), f'without "{" ".join(turning)}", which it has not learned to say, "{known[0]}" would be another answer'
        reasons = [f"left out, because it has not learned to say them: {' '.join(left)}"] if left else []
        if rest:
            reasons.append(f"left out, because it stands after the answer: {' '.join(spoken_words(rest))}")
        return (known[0],), "; ".join(reasons)


def told(note: Note, repertoire: Repertoire | None = None) -> tuple[str, ...]:
    """A note of the background as the agent reads it: a control token that says what it is, and the words that have to be said.

    <open>: say this now, a result that comes late with what it answers before it. <cancel>: there is no result. <show>: something is
    shown, or is known, of which nothing need be said. With a `repertoire`, a result that is not in it is read as none; where it is to be
    seen as well, or nobody asked for it, as one of which nothing need be said.
    """
    if note.what == "problem":
        return (CANCEL,)
    if _unspoken(note):
        return (SHOW,)
    words = numbers_joined(spoken_words(note.text)) if repertoire is None else repertoire.part(note)[0]
    if repertoire is not None and not words:
        return (CANCEL,) if note.what == "result" and note.task and not note.shown else (SHOW,)
    return (OPEN, *numbers_joined(spoken_words(note.about)), *words)


def gate_of(note: Note, repertoire: Repertoire) -> Gate | None:
    """What a decision record tells of a note that the agent cannot say as it is; None of any other.

    `wanted` is the note's text as far as WANTED_CHARS, `done` the words of it that are said, or the control token that is read instead.
    """
    if note.what == "problem" or _unspoken(note):
        return None
    said, reason = repertoire.part(note)
    return Gate(REPERTOIRE, note.text[:WANTED_CHARS], " ".join(said) or told(note, repertoire)[0], reason) if reason else None


def _unspoken(note: Note) -> bool:
    return note.schedule == "silent" or note.what == "partial"
