"""What the desk hands to the agent on `background.text`, and what it shows on `background.shown`: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import InputError
from workbench.packets import BACKGROUND_TEXT, MicroTurn


@dataclass(frozen=True, kw_only=True)
class Note:
    """One thing the agent should know.

    Attributes:
        task: of which delegation.
        what: "result", "partial", "ask" (a question of consent to put to the user) or "problem" (there will be no result).
        text: in words; of a result or a question, those that have to be said.
        schedule: "silent" is not to be spoken, "when_idle" was handed over in a pause, "interrupt" is to be said now.
        about: the ask, when so much time has passed that the result needs an introduction.
        sources: what a result rests on.
        shown: whether it is to be seen as well.
    """

    task: str
    what: str
    text: str
    schedule: str = "when_idle"
    about: str = ""
    sources: tuple[str, ...] = ()
    shown: bool = False


def lines(bodies: Iterable[Note | Mapping[str, Any]]) -> str:
    """The text of a packet that carries these."""
    return "\n".join(json.dumps(_told(body) if isinstance(body, Note) else dict(body), ensure_ascii=False) for body in bodies)


def _told(note: Note) -> dict[str, Any]:
    """The fields of a note; `shown` only where it is, so that sessions of versions without it have the same text."""
    return {name: value for name, value in asdict(note).items() if name != "shown" or value}


def bodies(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a packet's text; lines that are none are left out."""
    found = []
    for line in text.splitlines():
        try:
            body = json.loads(line)
        except ValueError:
            continue
        if isinstance(body, dict):
            found.append(body)
    return found


def notes_of(turn: MicroTurn) -> tuple[Note, ...]:
    """The notes that a micro-turn carries. Raises InputError for one with fields that this version does not know."""
    found = []
    for body in bodies(turn.text(BACKGROUND_TEXT)):
        try:
            found.append(Note(**{**body, "sources": tuple(body.get("sources", ()))}))
        except TypeError as error:
            raise InputError(f"{body!r} is no note of the background: {error}") from error
    return tuple(found)
