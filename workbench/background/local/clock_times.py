"""What time it is, and reminders. The time of day is the session's beginning plus the time since, so a replay hears the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from workbench.background.words import read_number
from workbench.errors import InputError

_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_WORD = re.compile(r"\d[\d,]*(?:\.\d+)?|[a-z']+")
LONGEST_S = 24 * 3600


def time_text(epoch: str | None, at_s: float, ask: str) -> str:
    """The time of day, or the day, in UTC; without an epoch the time since the session began."""
    if epoch is None:
        return f"the session is {int(at_s)} seconds old; nobody told me the time of day"
    now = datetime.fromisoformat(epoch).astimezone(UTC) + timedelta(seconds=at_s)
    if re.search(r"\b(day|date)\b", ask.lower()):
        return f"it is {now:%A} the {now.day} of {now:%B} {now.year}"
    return f"it is {now.hour} {now.minute:02d}" if now.minute else f"it is {now.hour} o'clock"


def reminder(ask: str) -> tuple[float, str]:
    """In how many seconds a reminder is due, and what it says. Raises InputError when it does not say when."""
    words = _WORD.findall(ask.lower())
    total, last = Fraction(0), -1
    for place in range(len(words)):
        number = read_number(words[place:]) if place > last else None
        unit = words[place + number[1]].removesuffix("s") if number and place + number[1] < len(words) else ""
        if number is not None and unit in _SECONDS:
            total, last = total + number[0] * _SECONDS[unit], place + number[1]
    if total <= 0 or total > LONGEST_S:
        raise InputError(f"{ask!r} does not say in how many seconds, minutes or hours, up to 24 hours")
    about = re.search(r"\b(?:to|that|of|about)\s+(.+)$", ask, re.IGNORECASE)
    text = re.sub(r"\s+in\s+\S+(?:\s+\S+)?\s+(?:second|minute|hour)s?\b.*$", "", about[1], flags=re.IGNORECASE) if about else ""
    return float(total), f"reminder: {text}" if text else "the time is up"
