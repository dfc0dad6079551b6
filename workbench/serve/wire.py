"""Frames and events: one JSON object a frame. What a client sends is read field by field, and every mistake has its name and its fix."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from workbench.errors import InputError
from workbench.given import WHOLE_TEXT, whole_text

Json: TypeAlias = dict[str, Any]
LARGEST_FRAME = 4 << 20  # bytes; of audio in base64 about a minute at 24 kHz
LONGEST_ID = 512
LONGEST_SHOWN = 80  # characters of a wrong value that an error repeats


class Refused(InputError):
    """What a client asked for cannot be done: `code` for programs, `param` the field, `kind` the category of the error."""

    def __init__(self, code: str, text: str, *, param: str | None = None, kind: str = "invalid_request_error") -> None:
        super().__init__(text)
        self.code, self.param, self.kind = code, param, kind


def read_frame(data: str | bytes) -> Json:
    """The event in a frame. Raises Refused when it is no JSON object, or its type or event_id is no text."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_json", f"a frame cannot be read as JSON ({_short(str(error))}); send one JSON object a frame") from None
    if not isinstance(body, dict):
        raise Refused("invalid_event", f"a frame holds a {type(body).__name__}; send one JSON object with 'type'")
    Fields(body).text("type", LONGEST_ID)
    return body


def event_id_of(data: str | bytes) -> str | None:
    """The event_id in a frame, if there is one that can be given back."""
    try:
        return Fields(read_frame(data)).maybe_text("event_id", LONGEST_ID)
    except Refused:
        return None


def frame_of(event: Json) -> str:
    """The frame that carries an event."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


def base64_of(data: bytes) -> str:
    """Bytes as the text that carries them."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Fields:
    """The fields of an object that a client sent; `path` is where it stands in the event."""

    body: Mapping[str, Any]
    path: str = ""

    def only(self, *names: str) -> Fields:
        """Itself. Raises Refused when there are other fields than these."""
        for name in self.body:
            if name not in names:
                raise Refused(
                    "unknown_parameter", f"{self._at(_short(name))!r} is not known here; there is {', '.join(names)}", param=self._at(name)
                )
        return self

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self.body.get(name) is not None

    def text(self, name: str, most: int) -> str:
        """A text of at most so many characters."""
        value = self._of(name, str, "text")
        if len(value) > most:
            raise Refused(
                "string_above_max_length", f"{self._at(name)!r} has {len(value)} characters; send at most {most}", param=self._at(name)
            )
        if not whole_text(value):
            raise self._wrong(name, WHOLE_TEXT)
        return str(value)

    def maybe_text(self, name: str, most: int) -> str | None:
        """The same, or None where it is missing or null."""
        return self.text(name, most) if self.has(name) else None

    def choice(self, name: str, *known: str) -> str:
        """One of these words."""
        value = self.body.get(name)
        if value not in known or not isinstance(value, str):
            raise self._wrong(name, f"one of {', '.join(map(repr, known))}")
        return value

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number in a range."""
        value = self.body.get(name)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value != int(value)
            or not low <= value <= high
        ):
            raise self._wrong(name, f"a whole number from {low} to {high}")
        return int(value)

    def flag(self, name: str) -> bool:
        """true or false; false where it is missing or null."""
        return bool(self._of(name, bool, "true or false")) if self.has(name) else False

    def inside(self, name: str) -> Fields:
        """The fields of an object in it."""
        return Fields(self._of(name, dict, "an object"), self._at(name))

    def items(self, name: str, most: int) -> list[Fields]:
        """The objects of a list in it."""
        value = self._of(name, list, "a list")
        if len(value) > most:
            raise Refused(
                "array_above_max_length", f"{self._at(name)!r} has {len(value)} entries; send at most {most}", param=self._at(name)
            )
        for place, item in enumerate(value):
            if not isinstance(item, dict):
                raise Refused(
                    "invalid_type", f"'{self._at(name)}[{place}]' is {_short(item)}; send an object", param=f"{self._at(name)}[{place}]"
                )
        return [Fields(item, f"{self._at(name)}[{place}]") for place, item in enumerate(value)]

    def audio(self, name: str) -> bytes:
        """The bytes of a base64 text."""
        value = self._of(name, str, "base64 text")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused("invalid_audio", f"{self._at(name)!r} is no base64 ({_short(str(error))})", param=self._at(name)) from None

    def _of(self, name: str, kind: type, said: str) -> Any:
        if name not in self.body:
            raise Refused("missing_required_parameter", f"{self._at(name)!r} is missing; send {said}", param=self._at(name))
        if not isinstance(self.body[name], kind):
            raise self._wrong(name, said)
        return self.body[name]

    def _wrong(self, name: str, said: str) -> Refused:
        code = "missing_required_parameter" if name not in self.body else "invalid_value"
        return Refused(code, f"{self._at(name)!r} is {_short(self.body.get(name))}; send {said}", param=self._at(name))

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else f"{type(value).__name__} of {len(value)}" if isinstance(value, dict | list) else repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
