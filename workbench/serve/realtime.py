"""OpenAI's Realtime events over a session of ours: `wss://…/v1/realtime?model=nano`, for programs that were written for turns.

A session has no turns; what the events say of them is laid over it:

  input_audio_buffer.append          the user's sound; held back when it comes faster than it sounds
  input_audio_buffer.speech_started, .speech_stopped, .committed   when the model heard a voice begin and end, then an item of the user
  input_audio_buffer.commit, .clear  an item of what was heard so far; nothing (what was heard is heard)
  conversation.item.input_audio_transcription.delta, .completed    words as the model heard them
  response.created … response.done   a stretch of the agent's voice, over once it is silent for 1 s; "cancelled" where it gave way
  conversation.item.create           typed text of the user, or the output of a function call; other texts are kept and not read
  conversation.item.truncate         how much of the agent's voice has been played (`playback.position`)
  function call "delegate"           a delegation, where the session has a tool of that name: {"ask": the words that were heard}

What differs from Realtime, and why: the model speaks when it decides to. `response.create` is accepted and asks for nothing;
`response.cancel`, `output_audio_buffer.clear`, deleting items, MCP and transcription sessions are refused with an error. Turn detection,
instructions, voice and other settings are kept and shown, and change nothing. Usage is not counted in tokens. See also `live.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import InputError
from workbench.live.protocol import LONGEST_TEXT, RATE, End, FromRuntime, Problem, TickDone
from workbench.serve.context import INSTRUCTIONS, Appended
from workbench.serve.hall import Seat, Wanted
from workbench.serve.live import LONGEST_APPEND, LONGEST_INSTRUCTIONS, NOT_SUPPORTED, VOICE
from workbench.serve.wire import LONGEST_ID, Fields, Json, Refused, base64_of
from workbench.sound_formats import PCM, RATES, Decoder, Encoder, Format

DELEGATE = "delegate"  # the name of the function that a delegation calls
OVER_TICKS = 5  # of silence, after which a response is over
WORDS_TICKS = 4  # after the user's voice, in which words of it may still come
MOST_KEPT = 200  # items that can be retrieved
MOST_MS = 24 * 3600 * 1000
SETTINGS = (
    "type",
    "audio",
    "include",
    "instructions",
    "max_output_tokens",
    "model",
    "output_modalities",
    "parallel_tool_calls",
    "prompt",
    "reasoning",
    "tool_choice",
    "tools",
    "tracing",
    "truncation",
)
NOT_HERE = ("response.cancel", "output_audio_buffer.clear", "conversation.item.delete")


@dataclass
class _Voice:
    """A stretch of the agent's voice: its response, its item, the sample it began at, its words, and for how long it has been silent."""

    response: str
    item: str
    began: int
    words: list[str] = field(default_factory=list)
    silent: int = 0

    @property
    def transcript(self) -> str:
        return " ".join(self.words)

    def place(self) -> Json:
        return {"response_id": self.response, "item_id": self.item, "output_index": 0, "content_index": 0}


@dataclass
class RealtimeEvents:
    """One connection: client events in, server events out. `model` is the one that is served, `asked` the one that was asked for.

    Not safe to use from two threads at once. Wrong events raise Refused.
    """

    model: str
    asked: str
    begin: Callable[[Wanted], Seat]
    expires_at: Callable[[], int]
    seat: Seat | None = None
    _count: int = 0
    _session: Json = field(default_factory=dict)
    _decoder: Decoder = field(default_factory=lambda: Decoder(Format()))
    _encoder: Encoder = field(default_factory=lambda: Encoder(Format()))
    _voice: _Voice | None = None
    _user_item: str = ""  # of the user's voice that sounds, or sounded last and whose words may still come
    _user_words: list[str] = field(default_factory=list)
    _user_over: int = -1  # ticks since it ended; -1 while it sounds, or where there is none
    _user_told: bool = True
    _began: dict[str, int] = field(default_factory=dict)  # item of the agent to the sample it began at
    _items: dict[str, Json] = field(default_factory=dict)
    _calls: dict[str, str] = field(default_factory=dict)  # call to the task that it is

    def opened(self) -> list[Json]:
        """The session begins with the connection."""
        if self.asked not in ("", self.model):
            raise Refused("model_not_found", f"there is no model {self.asked[:60]!r} here; this server has {self.model!r}", param="model")
        self.seat = self.begin(Wanted(client="OpenAI Realtime"))
        form = {"type": PCM, "rate": 24_000}
        self._session = {
            "type": "realtime",
            "object": "realtime.session",
            "id": self.seat.session.name,
            "expires_at": self.expires_at(),
            "model": self.model,
            "output_modalities": ["audio"],
            "audio": {"input": {"format": form, "turn_detection": {"type": "semantic_vad"}}, "output": {"format": form, "voice": VOICE}},
            "tools": [],
        }
        return [self._event("session.created", session=self._session)]

    def heard(self, body: Json) -> list[Json]:
        """What a client event is answered with; some are not."""
        kind, fields = str(body["type"]), Fields(body)
        fields.maybe_text("event_id", LONGEST_ID)
        if kind in NOT_HERE:
            raise Refused(
                NOT_SUPPORTED, f"{kind!r} is not served here: the model decides when it speaks, and does not forget", param="type"
            )
        if kind not in _HANDLERS:
            raise Refused("unknown_event", f"{kind[:60]!r} is no event of this protocol; there is {', '.join(_HANDLERS)}")
        assert self.seat is not None
        return _HANDLERS[kind](self, self.seat, fields)

    def told(self, message: FromRuntime) -> list[Json]:
        """The events that a message of the session is."""
        match message:
            case TickDone():
                return self._ticked(message)
            case Problem(code=code, text=text):
                return [self.error(code.replace("-", "_"), text, kind="server_error")]
            case End():
                done = self._over("cancelled") if self._voice is not None else []
                codes = {"limit": "session_expired", "error": "session_failed"}
                return [*done, *([self.error(codes[message.reason], message.text, kind="server_error")] if message.reason in codes else [])]
            case _:
                return []

    # --- client events ---

    def _update(self, seat: Seat, fields: Fields) -> list[Json]:
        session = fields.only("type", "event_id", "session").inside("session").only(*SETTINGS)
        if session.choice("type", "realtime", "transcription") == "transcription":
            raise Refused(NOT_SUPPORTED, "transcription sessions are not served here; use type 'realtime'", param="session.type")
        if session.has("model") and session.text("model", LONGEST_ID) != self.model:
            raise Refused("invalid_value", "the model of a session is fixed; connect with another one", param="session.model")
        tools = [dict(tool.body) for tool in session.items("tools", 128)] if session.has("tools") else self._session["tools"]
        instructions = session.maybe_text("instructions", LONGEST_INSTRUCTIONS)
        heard, said = _formats(session)
        if heard is not None:
            self._decoder = Decoder(heard)
        if said is not None:
            self._encoder = Encoder(said)
        if instructions:
            seat.append(Appended(what=INSTRUCTIONS, text=instructions))
        changes = {name: value for name, value in session.body.items() if name not in ("audio", "model")}
        audio = {side: {**self._session["audio"][side], **given} for side, given in (session.body.get("audio") or {}).items()}
        self._session |= changes | {"audio": self._session["audio"] | audio, "tools": tools}
        return [self._event("session.updated", session=self._session)]

    def _sound(self, seat: Seat, fields: Fields) -> list[Json]:
        data = fields.only("type", "event_id", "audio").audio("audio")
        try:
            seat.hear(self._decoder.take(data))
        except InputError as error:
            raise Refused("invalid_audio", str(error), param="audio") from None
        return []

    def _commit(self, seat: Seat, fields: Fields) -> list[Json]:
        fields.only("type", "event_id")
        item = self._user_item or self._fresh("item")
        return self._committed(item)

    def _clear(self, seat: Seat, fields: Fields) -> list[Json]:
        fields.only("type", "event_id")
        return [self._event("input_audio_buffer.cleared")]

    def _create_item(self, seat: Seat, fields: Fields) -> list[Json]:
        item = fields.only("type", "event_id", "item", "previous_item_id").inside("item")
        ident = item.maybe_text("id", LONGEST_ID) or self._fresh("item")
        if ident in self._items:
            raise Refused("item_exists", f"there is an item {ident[:60]!r} already; give another id, or none", param="item.id")
        kind = item.choice("type", "message", "function_call_output")
        if kind == "function_call_output":
            call, output = item.text("call_id", LONGEST_ID), item.text("output", LONGEST_APPEND)
            if call not in self._calls:
                raise Refused("call_not_found", f"no call {call[:60]!r} waits for an output here", param="item.call_id")
            seat.answer(self._calls.pop(call), _said(output))
            return self._added({"id": ident, "type": kind, "call_id": call, "output": output})
        role = item.choice("role", "user", "assistant", "system")
        parts = item.items("content", 16)
        texts = [part.text("text", LONGEST_TEXT if role == "user" else LONGEST_APPEND) for part in parts if part.has("text")]
        if len(texts) != len(parts) or not texts:
            raise Refused(NOT_SUPPORTED, "items of text are served here; send audio with input_audio_buffer.append", param="item.content")
        for text in texts:
            if role == "user":
                seat.type(text)
            else:
                seat.append(Appended(what=INSTRUCTIONS, text=text))
        kinds = {"user": "input_text", "assistant": "output_text", "system": "input_text"}
        content = [{"type": kinds[role], "text": text} for text in texts]
        return self._added({"id": ident, "type": "message", "role": role, "content": content})

    def _retrieve(self, seat: Seat, fields: Fields) -> list[Json]:
        ident = fields.only("type", "event_id", "item_id").text("item_id", LONGEST_ID)
        if ident not in self._items:
            raise Refused("item_not_found", f"there is no item {ident[:60]!r}; the last {MOST_KEPT} are kept", param="item_id")
        return [self._event("conversation.item.retrieved", item=self._items[ident])]

    def _truncate(self, seat: Seat, fields: Fields) -> list[Json]:
        fields.only("type", "event_id", "item_id", "content_index", "audio_end_ms")
        ident = fields.text("item_id", LONGEST_ID)
        index, end_ms = fields.whole("content_index", 0, 0), fields.whole("audio_end_ms", 0, MOST_MS)
        if ident not in self._began:
            raise Refused("item_not_found", f"the agent has not spoken an item {ident[:60]!r}", param="item_id")
        seat.played(self._began[ident] + end_ms * RATE // 1000)
        return [self._event("conversation.item.truncated", item_id=ident, content_index=index, audio_end_ms=end_ms)]

    def _create_response(self, seat: Seat, fields: Fields) -> list[Json]:
        if fields.only("type", "event_id", "response").has("response"):
            fields.inside("response")
        return []

    # --- what the session says ---

    def _ticked(self, tick: TickDone) -> list[Json]:
        events: list[Json] = []
        for kind, at_s, _ in tick.events:
            if kind == "user.speech.started":
                events += self._user_began(round(1000 * at_s))
            elif kind == "user.speech.stopped":
                events += self._user_ended(round(1000 * at_s))
        for side, word, *_ in tick.words:
            events += self._user_said(word) if side == "user" else self._agent_said(word, tick) if side == "model" else []
        events += self._sounded(tick)
        if self._voice is not None and any(kind == "model.yielded" for kind, *_ in tick.events):
            events += self._over("cancelled")
        for task, state, text in tick.tasks:
            if state == "created" and any(tool.get("name") == DELEGATE for tool in self._session["tools"]):
                events += self._called(str(task), str(text))
        if self._user_over >= 0:
            self._user_over += 1
            events += self._user_done() if self._user_over > WORDS_TICKS else []
        return events

    def _user_began(self, at_ms: int) -> list[Json]:
        done = self._user_done()
        self._user_item, self._user_over, self._user_told = self._fresh("item"), -1, False
        return [*done, self._event("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._user_item)]

    def _user_ended(self, at_ms: int) -> list[Json]:
        if not self._user_item:
            return []
        self._user_over = 0
        stopped = self._event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._user_item)
        return [stopped, *self._committed(self._user_item)]

    def _user_said(self, word: str) -> list[Json]:
        if not self._user_item:
            self._user_item, self._user_over, self._user_told = self._fresh("item"), 0, False
        delta = word if not self._user_words else f" {word}"
        self._user_words.append(word)
        kind = "conversation.item.input_audio_transcription.delta"
        return [self._event(kind, item_id=self._user_item, content_index=0, delta=delta)]

    def _user_done(self) -> list[Json]:
        """The whole transcript of what the user said, once."""
        item, words, told = self._user_item, self._user_words, self._user_told
        self._user_item, self._user_words, self._user_over, self._user_told = "", [], -1, True
        if told or not item:
            return []
        usage = {"type": "duration", "seconds": 0.0}
        kind = "conversation.item.input_audio_transcription.completed"
        return [self._event(kind, item_id=item, content_index=0, transcript=" ".join(words), usage=usage)]

    def _committed(self, item: str) -> list[Json]:
        previous = next(reversed(self._items), None)
        message = {"id": item, "type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}
        if item in self._items:
            return [self._event("input_audio_buffer.committed", item_id=item, previous_item_id=previous)]
        return [self._event("input_audio_buffer.committed", item_id=item, previous_item_id=previous), *self._added(message)]

    def _agent_said(self, word: str, tick: TickDone) -> list[Json]:
        began = self._speaking(tick.position)
        assert self._voice is not None
        delta = word if not self._voice.words else f" {word}"
        self._voice.words.append(word)
        return [*began, self._event("response.output_audio_transcript.delta", **self._voice.place(), delta=delta)]

    def _sounded(self, tick: TickDone) -> list[Json]:
        sounds, events = bool(tick.samples.any()), list[Json]()
        if sounds:
            events += self._speaking(tick.position)
        if self._voice is None:
            return events
        self._voice.silent = 0 if sounds else self._voice.silent + 1
        data = self._encoder.take(tick.samples)
        events.append(self._event("response.output_audio.delta", **self._voice.place(), delta=base64_of(data)))
        return events + (self._over("completed") if self._voice.silent >= OVER_TICKS else [])

    def _speaking(self, position: int) -> list[Json]:
        """The beginning of a response, unless one is going on."""
        if self._voice is not None:
            return []
        voice = self._voice = _Voice(self._fresh("resp"), self._fresh("item"), position)
        self._began[voice.item] = position
        item = self._message(voice, "in_progress", [])
        return [
            self._event("response.created", response=self._response(voice.response, "in_progress", [])),
            self._event("response.output_item.added", response_id=voice.response, output_index=0, item=item),
            self._event("conversation.item.added", item=item, previous_item_id=next(reversed(self._items), None)),
            self._event("response.content_part.added", **voice.place(), part={"type": "audio", "transcript": ""}),
        ]

    def _over(self, status: str) -> list[Json]:
        """The end of the response that is going on."""
        assert self._voice is not None
        voice, self._voice = self._voice, None
        content = [{"type": "output_audio", "transcript": voice.transcript}]
        item = self._message(voice, "completed" if status == "completed" else "incomplete", content)
        self._keep(item)
        return [
            self._event("response.output_audio.done", **voice.place()),
            self._event("response.output_audio_transcript.done", **voice.place(), transcript=voice.transcript),
            self._event("response.content_part.done", **voice.place(), part={"type": "audio", "transcript": voice.transcript}),
            self._event("response.output_item.done", response_id=voice.response, output_index=0, item=item),
            self._event("conversation.item.done", item=item),
            self._event("response.done", response=self._response(voice.response, status, [item])),
        ]

    def _called(self, task: str, ask: str) -> list[Json]:
        """A delegation as a call of the function that the client has named for it."""
        response, ident, call = self._fresh("resp"), self._fresh("item"), self._fresh("call")
        self._calls[call] = task
        arguments = json.dumps({"ask": ask})
        item = {"id": ident, "type": "function_call", "name": DELEGATE, "call_id": call, "arguments": arguments, "status": "completed"}
        self._keep(item)
        place = {"response_id": response, "output_index": 0}
        named = {"item_id": ident, "call_id": call, "name": DELEGATE, "arguments": arguments}
        return [
            self._event("response.created", response=self._response(response, "in_progress", [])),
            self._event("response.output_item.added", **place, item=item | {"status": "in_progress"}),
            self._event("response.function_call_arguments.done", **place, **named),
            self._event("response.output_item.done", **place, item=item),
            self._event("response.done", response=self._response(response, "completed", [item])),
        ]

    # --- events and items ---

    def _added(self, item: Json) -> list[Json]:
        previous = next(reversed(self._items), None)
        item = {"object": "realtime.item", "status": "completed", **item}
        self._keep(item)
        return [self._event(f"conversation.item.{what}", item=item, previous_item_id=previous) for what in ("added", "done")]

    def _keep(self, item: Json) -> None:
        self._items[item["id"]] = item
        for old in list(self._items)[:-MOST_KEPT]:
            self._items.pop(old)
            self._began.pop(old, None)

    def _message(self, voice: _Voice, status: str, content: list[Json]) -> Json:
        return {"id": voice.item, "object": "realtime.item", "type": "message", "role": "assistant", "status": status, "content": content}

    def _response(self, ident: str, status: str, output: list[Json]) -> Json:
        details: Mapping[str, Any] = {"type": "cancelled", "reason": "turn_detected"} if status == "cancelled" else {"type": "completed"}
        told = {} if status == "in_progress" else {"status_details": details}
        body = {"id": ident, "object": "realtime.response", "status": status, "output": output, "output_modalities": ["audio"]}
        return {**body, **told, "conversation_id": "conv_1"}

    def error(
        self, code: str, text: str, *, param: str | None = None, kind: str = "invalid_request_error", client_event_id: str | None = None
    ) -> Json:
        """The event that says what is wrong."""
        body = {"type": kind, "code": code, "message": text, "param": param, "event_id": client_event_id}
        return self._event("error", error=body)

    def _event(self, kind: str, **fields: Any) -> Json:
        return {"type": kind, "event_id": self._fresh("event"), **fields}

    def _fresh(self, what: str) -> str:
        self._count += 1
        return f"{what}_{self._count}"


_HANDLERS: dict[str, Callable[[RealtimeEvents, Seat, Fields], list[Json]]] = {
    "session.update": RealtimeEvents._update,
    "input_audio_buffer.append": RealtimeEvents._sound,
    "input_audio_buffer.commit": RealtimeEvents._commit,
    "input_audio_buffer.clear": RealtimeEvents._clear,
    "conversation.item.create": RealtimeEvents._create_item,
    "conversation.item.retrieve": RealtimeEvents._retrieve,
    "conversation.item.truncate": RealtimeEvents._truncate,
    "response.create": RealtimeEvents._create_response,
}


def _formats(session: Fields) -> tuple[Format | None, Format | None]:
    """The formats of both directions, where the update has them."""
    if not session.has("audio"):
        return None, None
    audio = session.inside("audio").only("input", "output")
    found: list[Format | None] = []
    for side, names in (
        ("input", ("format", "noise_reduction", "transcription", "turn_detection")),
        ("output", ("format", "speed", "voice")),
    ):
        given = audio.inside(side).only(*names) if side in audio.body else Fields({})
        found.append(_format(given.inside("format").only("type", "rate")) if given.has("format") else None)
    return found[0], found[1]


def _format(given: Fields) -> Format:
    kind = given.choice("type", *RATES)
    rate = given.whole("rate", 1, 192_000) if given.has("rate") else RATES[kind][-1]
    if rate not in RATES[kind]:
        raise Refused(
            "invalid_value",
            f"{kind} at {rate} Hz is not carried; {kind} has {' or '.join(map(str, RATES[kind]))} Hz",
            param="session.audio",
        )
    return Format(kind, rate)


def _said(output: str) -> str:
    """What of a function's output is to be spoken: its "say", "result" or "text" where it is an object with one, else all of it."""
    try:
        body = json.loads(output)
    except (ValueError, RecursionError):
        return output
    if isinstance(body, dict):
        return next((str(body[name]) for name in ("say", "result", "text") if isinstance(body.get(name), str | int | float)), output)
    return str(body) if isinstance(body, str | int | float) else output
