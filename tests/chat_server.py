"""A chat-completions server for tests, written from the public description of the protocol: it answers one request after the other as told.

Streamed replies are `data:` lines of chat.completion.chunk objects, ended by `data: [DONE]`; errors are JSON objects with a status.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

Out: TypeAlias = Any  # the open response
Answering: TypeAlias = Callable[[BaseHTTPRequestHandler, "ChatServer"], None]


@dataclass
class ChatServer:
    """Where it is, what it was asked, and what it will answer; the last answer is given again and again."""

    url: str
    answers: list[Answering] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def last(self) -> list[dict[str, Any]]:
        """The messages of the last request."""
        found: list[dict[str, Any]] = self.requests[-1]["messages"]
        return found


@contextmanager
def serving(*answers: Answering) -> Iterator[ChatServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            server.requests.append(json.loads(body))
            server.keys.append(self.headers.get("authorization", ""))
            answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
            self.close_connection = True
            assert self.path == "/v1/chat/completions"
            answer(self, server)

        def log_message(self, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = ChatServer(f"http://127.0.0.1:{http.server_address[1]}/v1", list(answers))
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        http.shutdown()
        http.server_close()
        thread.join()


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": choices, **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def usage(tokens: int) -> bytes:
    """The chunk that counts, which has no choices."""
    return chunk({}, usage={"prompt_tokens": 1, "completion_tokens": tokens - 1, "total_tokens": tokens}).replace(
        b'"choices": [{"index": 0, "delta": {}, "finish_reason": null, "logprobs": null}]', b'"choices": []'
    )


DONE = b"data: [DONE]\n\n"


def stream(*pieces: bytes) -> Answering:
    """A stream of these bytes."""

    def answer(handler: BaseHTTPRequestHandler, server: ChatServer) -> None:
        _begin(handler)
        for piece in pieces:
            _send(handler, piece)

    return answer


def says(*texts: str, tokens: int = 10) -> Answering:
    """A reply in these pieces."""
    return stream(
        chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts), chunk({}, "stop"), usage(tokens), DONE
    )


def calls(*wanted: tuple[str, str]) -> Answering:
    """A reply that calls tools, their arguments in pieces of three characters."""
    pieces = [chunk({"role": "assistant", "content": None})]
    for index, (name, arguments) in enumerate(wanted):
        function = {"name": name, "arguments": ""}
        pieces.append(chunk({"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]}))
        for at in range(0, len(arguments), 3):
            pieces.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments[at : at + 3]}}]}))
    return stream(*pieces, chunk({}, "tool_calls"), usage(20), DONE)


def status(code: int, message: str = "no", **headers: str) -> Answering:
    """An error of the protocol."""

    def answer(handler: BaseHTTPRequestHandler, server: ChatServer) -> None:
        body = json.dumps({"error": {"message": message, "type": "error", "code": code}}).encode()
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def stalls(*pieces: bytes) -> Answering:
    """A stream that begins and then stands still."""

    def answer(handler: BaseHTTPRequestHandler, server: ChatServer) -> None:
        stream(*pieces)(handler, server)
        server.let_go.wait()

    return answer


def pings(count: int, every_s: float = 0.01) -> Answering:
    """A stream of nothing but comments, which a server sends to keep the connection open."""

    def answer(handler: BaseHTTPRequestHandler, server: ChatServer) -> None:
        _begin(handler)
        for _ in range(count):
            _send(handler, b": ping\n\n")
            if server.let_go.wait(every_s):
                break

    return answer


def obeys(messages_seen: Callable[[Sequence[dict[str, Any]]], Answering]) -> Answering:
    """An answer that depends on the conversation: a model that can be talked into anything."""

    def answer(handler: BaseHTTPRequestHandler, server: ChatServer) -> None:
        messages_seen(server.last)(handler, server)

    return answer


def _begin(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Connection", "close")
    handler.end_headers()


def _send(handler: BaseHTTPRequestHandler, piece: bytes) -> None:
    try:
        handler.wfile.write(piece)
        handler.wfile.flush()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the client has left
