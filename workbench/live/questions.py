"""The questions of consent that a page may answer with a click.

A question is known by its name and by the digest of all that is shown of it. A click counts while its question is open, once, and only with
that digest: whoever clicked has been shown this call of this tool with these arguments, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.digests import content_key
from workbench.errors import InputError
from workbench.events import Event
from workbench.events_background import ConsentAsked, ConsentClicked, ConsentGiven, ConsentUncounted, ConsentWithdrawn
from workbench.live.protocol import Click, Question, Settled

DIGITS = 16  # hexadecimal, of the digest


@dataclass(frozen=True, kw_only=True)
class _Open:
    question: Question
    shown_s: float
    until_s: float
    clicked: bool = False
    uncounted: str = ""  # why the last answer in words did not count


@dataclass(frozen=True)
class Questions:
    """The questions that are open, by name, in the order in which they were asked."""

    waiting: Mapping[str, _Open] = field(default_factory=dict)

    def after(self, events: Iterable[Event], at_s: float) -> tuple[Questions, tuple[Question | Settled, ...]]:
        """With what these events of a tick, which began at `at_s`, ask and settle; and what a page is told of it."""
        waiting, told = dict(self.waiting), list[Question | Settled]()
        for event in events:
            match event:
                case ConsentAsked(question=name) if name:
                    asked = _Open(question=question_of(event, at_s), shown_s=at_s, until_s=event.until_s)
                    waiting[name] = asked
                    told.append(asked.question)
                case ConsentUncounted(question=name, cause=cause) if name in waiting:
                    waiting[name] = replace(waiting[name], uncounted=cause)
                case ConsentGiven(question=name, given=given, how=how) if (one := waiting.pop(name, None)) is not None:
                    told.append(Settled(question=name, given=given, how=how, text=one.uncounted if how == "silence" else ""))
                case ConsentWithdrawn(question=name, cause=cause) if waiting.pop(name, None) is not None:
                    told.append(Settled(question=name, given=None, how="withdrawn", text=cause))
                case _:
                    pass
        return Questions(waiting), tuple(told)

    def at(self, at_s: float) -> tuple[Question, ...]:
        """Those still to be answered, as a page is told that comes at `at_s`."""
        return tuple(
            replace(one.question, left_s=round(max(0.0, one.until_s - at_s), 3)) for one in self.waiting.values() if not one.clicked
        )

    def clicked(self, click: Click) -> tuple[Questions, ConsentClicked]:
        """With that question answered; and the record of it. Raises InputError when it is not open, or something else was shown."""
        found = self.waiting.get(click.question)
        if found is None or found.clicked:
            raise InputError(f"question {click.question!r} is not open: it was answered, its time is over, or its task has changed")
        question = found.question
        if click.version != question.version:
            raise InputError(
                f"question {click.question!r} is version {question.version!r}, and {click.version!r} was answered; reload the page"
            )
        event = ConsentClicked(
            question=question.question, given=click.given, text=question.text, version=question.version, shown_s=found.shown_s
        )
        return Questions({**self.waiting, click.question: replace(found, clicked=True)}), event


def question_of(event: ConsentAsked, at_s: float) -> Question:
    """What a page is told of a question that is asked at `at_s`, with the digest of what it is to show."""
    shown: dict[str, Any] = {
        "tool": event.tool,
        "arguments": dict(event.arguments),
        "how": event.how,
        "text": event.text,
        "reason": event.reason,
    }
    left_s = round(max(0.0, event.until_s - at_s), 3)
    return Question(question=event.question, left_s=left_s, version=content_key(shown)[:DIGITS], **shown)
