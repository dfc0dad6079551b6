"""What time it is, and reminders. The time of day is the session's beginning plus the time since, so a replay hears the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from zoneinfo import ZoneInfo, available_timezones

from workbench.background.local.reading import Token, Value, like_a_number, quantities, tokens, values, why_unread
from workbench.errors import InputError

_UNITS = {1: "second seconds sec secs s", 60: "minute minutes min mins", 3600: "hour hours hr hrs h"}
_SECONDS = {name: seconds for seconds, names in _UNITS.items() for name in names.split()}
_TIMERS = ("timer", "timers", "alarm", "alarms")
_ABOUT = frozenset("about exactly".split())
_TO_ANOTHER = frozenset("make set change move that it this to for in after rather better say please ,".split())  # before another time
_INSTEAD = frozenset("instead rather please from now later . !".split())  # and behind it
_ASKING = frozenset("what what's tell".split())
_CLOCK = _ASKING | frozenset(
    "time day date is it the me now moment right here today today's current please can could you do we have and , ? . !".split()
)
LONGEST_S = 24 * 3600


def is_time_question(ask: str) -> bool:
    """Whether a text asks what time or what day it is, perhaps somewhere, and nothing besides."""
    said, _ = _said_and_place(ask)
    return set(said) <= _CLOCK and not _ASKING.isdisjoint(said) and not {"time", "day", "date"}.isdisjoint(said)


def time_text(epoch: str | None, at_s: float, ask: str) -> str:
    """The time of day, or the day, and where; in UTC if no place is named. Without an epoch the time since the session began.

    Raises InputError for a place of which the time is not known.
    """
    if epoch is None:
        return f"the session is {int(at_s)} seconds old; nobody told me the time of day"
    said, place = _said_and_place(ask)
    now = datetime.fromisoformat(epoch).astimezone(UTC) + timedelta(seconds=at_s)
    zone, where = _zone(place, now) if place else (UTC, "UTC")
    now = now.astimezone(zone)
    day = f"{now:%A} the {now.day} of {now:%B} {now.year}"
    hour = f"{now.hour} {now.minute:02d}" if now.minute else f"{now.hour} o'clock"
    if {"day", "date"}.isdisjoint(said):
        return f"it is {hour} in {where}"
    return f"it is {hour} on {day} in {where}" if "time" in said else f"it is {day} in {where}"


def reminder(ask: str) -> tuple[float, str]:
    """In how many seconds a reminder is due, and what it says. Raises InputError when it does not say when, or not in one way only."""
    read = tokens(ask)
    due_s, first, last = _when(read, ask)
    left = f"{ask[: read[first].start].rstrip()} {ask[read[last - 1].end :].lstrip()}"
    about = re.search(r"\b(?:to|that|of|about)\s+(.+)$", left, re.IGNORECASE)
    text = re.sub(r"[\s,]*(?:please)?[\s.,!?]*$", "", about[1], flags=re.IGNORECASE) if about else ""
    return float(due_s), f"reminder: {text}" if text else "the time is up"


def at_another_time(ask: str, change: str) -> str | None:
    """A reminder's ask with the time of a change such as "make it an hour" in place of its own; None for a change of more than that."""
    read = tokens(change)
    said = [token.value for token in read]
    first = next((place for place, value in enumerate(said) if value not in _TO_ANOTHER), len(said))
    parts, end = quantities(said, first, _unit_at)
    if not parts or any(value not in _INSTEAD for value in said[end:]):
        return None
    time = change[read[first].start : read[end - 1].end]
    try:
        _, first, last = _when(tokens(ask), ask)
    except InputError:
        return f"{ask} in {time}"
    old = tokens(ask)[first:last]
    into = "in " if old[0].value in ("in", "after") or old[-1].value in ("now", "later") else ""
    return f"{ask[: old[0].start]}{into}{time}{ask[old[-1].end :]}"


def _when(read: Sequence[Token], ask: str) -> tuple[Fraction, int, int]:
    """The seconds, and which tokens say them. "in ten minutes" says when; other durations only do of a timer."""
    said = [token.value for token in read]
    sure: list[tuple[Fraction, int, int]] = []
    perhaps: list[tuple[Fraction, int, int]] = []
    place = 0
    while place < len(said):
        parts, end = quantities(said, place, _unit_at)
        if not parts:
            place += 1
            continue
        seconds = sum((number * _SECONDS[unit] for number, unit in parts), Fraction(0))
        before = place - 1 - (place > 0 and said[place - 1] in _ABOUT)
        after = 2 if said[end : end + 2] == ["from", "now"] else 1 if said[end : end + 1] == ["later"] else 0
        if after or (before >= 0 and said[before] in ("in", "after")):
            sure.append((seconds, place if after else before, end + after))
        elif _of_a_timer(said, before, end):
            perhaps.append((seconds, place, end))
        place = end
    found = sure or perhaps
    if len(found) != 1 or not 0 < found[0][0] <= LONGEST_S or _goes_on(said, found[0][2]):
        why = why_unread(said) or "say e.g. in ten minutes, once"
        raise InputError(f"{ask[:100]!r} does not say in how many seconds, minutes or hours, up to 24 hours; {why}")
    return found[0]


def _of_a_timer(said: Sequence[Value], before: int, end: int) -> bool:
    """Whether a duration belongs to a timer: "timer 90 seconds", "a timer for 5 minutes", "a 5 minute timer"."""
    named = [value for value in said if value in _TIMERS]
    last = said[before] if before >= 0 else ""
    return bool(named) and (last in ("for", *_TIMERS) or said[end : end + 1] == named[:1] or (last == "of" and said[before - 1] in _TIMERS))


def _goes_on(said: Sequence[Value], end: int) -> bool:
    """Whether what follows a duration changes it: "in five minutes thirty", "in five minutes or ten"."""
    after = end + (end < len(said) and said[end] in ("and", ","))
    return (end < len(said) and said[end] in ("or", "-", "/", "+")) or (after < len(said) and like_a_number(said[after]))


def _unit_at(said: Sequence[Value], place: int) -> str | None:
    unit = said[place] if place < len(said) else None
    return unit if isinstance(unit, str) and unit in _SECONDS else None


def _said_and_place(ask: str) -> tuple[list[Value], str]:
    """The words of a question about the time, and the place it names."""
    said = values(re.sub(r"\btime of (?:the )?day\b", "time", re.sub(r"\bof the week\b", "", ask.lower())))
    at = next((place for place, value in enumerate(said) if value in ("in", "at")), len(said))
    place = said[at + 1 :]
    while place and place[-1] in _CLOCK:
        place.pop()
    return said[:at], " ".join(map(str, place))


def _zone(place: str, now: datetime) -> tuple[tzinfo, str]:
    """The time zone of a place, and its name. Raises InputError for one that the zone database does not name, or names twice."""
    found = [name for name in sorted(available_timezones()) if _plain(name) == place.removeprefix("the ")]
    zones = [ZoneInfo(name) for name in found]
    if len({now.astimezone(zone).utcoffset() for zone in zones}) != 1:
        raise InputError(f"I do not know what time it is in {place!r}; name a city of the time zone database, such as Tokyo, or UTC")
    return zones[0], found[0].rpartition("/")[2].replace("_", " ")


def _plain(zone: str) -> str:
    return zone.rpartition("/")[2].lower().replace("_", " ").replace("-", " ")
