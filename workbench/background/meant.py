"""Which task a request means that names none: what is under way, and no reminder that waits for its hour while more was asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workbench.background.tasks import CANCELLING, Task
from workbench.background.words import spoken_words

NAMES = {"reminder": "remind", "timer": "timer", "alarm": "alarm"}  # what users call work with an hour, and how its ask is told by


def newest(tasks: Iterable[Task]) -> Task | None:
    """The task that was asked for last; None where there is none."""
    return max(tasks, key=lambda task: int(task.id), default=None)


def meant(said: str, open_: Sequence[Task], every: Iterable[Task], now_s: float) -> Task | None:
    """The task that an amendment or a "never mind" is about, of those that are open; None if it can be about none of them.

    That is the newest whose kind is named ("cancel the timer"), else the newest. A task that only waits for its hour counts without
    being named only while nothing was asked for after it, of all the tasks that `every` has.
    """
    stems = [NAMES[name] for word in spoken_words(said) if (name := word.removesuffix("s")) in NAMES]
    named = newest(task for task in open_ if any(word.startswith(stem) for word in spoken_words(task.envelope.ask) for stem in stems))
    if named is not None:
        return named
    last = newest(every)
    return newest(task for task in open_ if not task.waits(now_s) or task is last)


def same(ask: str, authority: bool, live: Iterable[Task], now_s: float) -> Task | None:
    """The task whose result answers this ask too; None where there is none. A second alarm is another one than the first."""
    able = [task for task in live if task.state != CANCELLING and not task.waits(now_s) and not task.envelope.amendments]
    words = spoken_words(ask)
    return next((task for task in able if task.envelope.authority == authority and spoken_words(task.envelope.ask) == words), None)
