"""Server-sent events of a chat-completions server, put together from bytes as they come.

Follows the HTML standard's event stream format and OpenAI's public description of streamed chat completions: `data:` lines hold one JSON
chunk each, `data: [DONE]` ends the stream; a chunk's `choices[0].delta` carries pieces of text and of tool calls, the latter by index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_LINE, MOST_STREAM, MOST_CALLS, MOST_ARGUMENTS = 1_000_000, 5_000_000, 16, 10_000


class StreamError(Exception):
    """A stream that is not what the protocol describes."""


def data_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """The data of every event, comments and other fields left out. Raises StreamError for a stream, or a line, without end."""
    rest, total, data = b"", 0, list[str]()
    for piece in pieces:
        total += len(piece)
        rest += piece
        if total > MOST_STREAM or len(rest) > MOST_LINE + len(piece):
            raise StreamError(f"flood: the server sent {total} bytes")
        *lines, rest = rest.replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            if text.startswith("data:"):
                data.append(text[5:].removeprefix(" "))
            elif not text.strip() and data:
                yield "\n".join(data)
                data = []
    last = rest.decode("utf-8", "replace")
    data += [last[5:].strip()] if last.startswith("data:") else []
    if data:
        yield "\n".join(data)


@dataclass
class Call:
    """A tool call as far as it has come."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass
class Reply:
    """A reply as far as it has come. `finished` is the server's reason for its end, `tokens` what it counted."""

    text: str = ""
    calls: dict[int, Call] = field(default_factory=dict)
    finished: str = ""
    tokens: int = 0
    malformed: int = 0

    def take(self, data: str) -> str:
        """Take up one event; the new text in it. What is no chunk is counted. Raises StreamError when the server reports one."""
        try:
            chunk = json.loads(data)
            if isinstance(chunk, dict) and chunk.get("error"):
                raise StreamError(f"the server reports: {str(chunk['error'])[:200]}")
            return self._chunk(chunk)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            self.malformed += 1
            return ""

    def _chunk(self, chunk: Any) -> str:
        usage = chunk.get("usage")
        if usage:
            self.tokens = int(usage["total_tokens"])
        choices = chunk["choices"]
        if not choices:
            return ""
        choice = choices[0]
        delta = choice.get("delta") or {}
        text = delta.get("content") or ""
        if not isinstance(text, str):
            raise TypeError("content")
        for piece in delta.get("tool_calls") or ():
            self._call(piece)
        self.finished = str(choice.get("finish_reason") or self.finished)
        self.text += text
        return text

    def _call(self, piece: Any) -> None:
        index = int(piece.get("index", 0))
        if index not in self.calls and len(self.calls) >= MOST_CALLS:
            raise StreamError(f"flood: the server wants more than {MOST_CALLS} calls at once")
        call = self.calls.setdefault(index, Call())
        call.id = str(piece.get("id") or call.id)
        function = piece.get("function") or {}
        call.name += str(function.get("name") or "") if function.get("name") != call.name else ""
        call.arguments += str(function.get("arguments") or "")
        if len(call.arguments) > MOST_ARGUMENTS:
            raise StreamError(f"flood: the arguments of {call.name} have more than {MOST_ARGUMENTS} characters")

    def message(self) -> dict[str, Any]:
        """The reply as a message of the conversation."""
        calls = [
            {"id": call.id or f"call_{index}", "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for index, call in sorted(self.calls.items())
        ]
        return {"role": "assistant", "content": self.text or None, **({"tool_calls": calls} if calls else {})}
