"""OpenAI's Live events over a session of ours: `wss://…/v1/live/sessions`, as the official client speaks it.

What maps, and how:

  session.start                      a session begins: admission, an agent, a trace; session.started has what it resolved to
  session.input_audio.append         the user's sound; held back when it comes faster than it sounds
  session.input_audio.mute, .unmute  silence in its place
  session.commentary.append          the answer to a delegation, or text that the agent may speak in a pause
  session.thinking.append, session.instructions.append   text on the timeline, never spoken
  session.close                      the end; session.closed with the usage
  transcripts                        one word a delta, with its times, as the model heard it and as it said it
  session.output_audio.delta         200 ms of the agent's sound; where there is no event, it is silent
  session.delegation.created         from `delegation.created` of the desk; its task text is in the transcript, as with Live
  response.event                     the life of a delegation that LocalAgent works on ("responses")

What differs from Live, and why:

- The model is the one that is served: it does not follow instructions, has one voice, and does not read history, thinking or
  instructions. It is told so in `info` events; the text is in the trace.
- Where it has not learned to ask for slow work by itself, it does so by rule, at words that the server was given (`--ask-at`), and results
  and commentary are spoken by a synthesiser, in pauses. The user's voice cuts them off; a result is then said again, commentary is not.
- A delegation has one answer, its first commentary. Later ones are general commentary; after its end they are put down silently (`info`).
- "responses" is done by LocalAgent on the server, whatever model is named. "decisions", triggers, response.* and decision.* commands,
  fixtures, sideband, forks, WebRTC and SIP are not there: an error says so.
- An append has at most 2,000 characters (500 tokens). `usage` counts seconds of the session; nothing is billed.
- What was sent counts as heard, as no client reports what it has played.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.clock import Tick
from workbench.errors import InputError
from workbench.live.protocol import End, FromRuntime, Problem, TickDone
from workbench.serve.context import COMMENTARY, INSTRUCTIONS, THINKING, Appended
from workbench.serve.hall import CLIENT, LOCAL, Seat, Wanted
from workbench.serve.wire import LONGEST_ID, Fields, Json, Refused, base64_of
from workbench.sound_formats import PCM, RATES, Decoder, Encoder, Format

LONGEST_APPEND = 2_000  # characters: 500 tokens of four
LONGEST_INSTRUCTIONS = 65_536
MOST_HISTORY = 128
USAGE_EVERY_TICKS = 25
VOICE = "nano"
NOT_SUPPORTED = "not_supported"
REASONS = {"stopped": "close_requested", "limit": "expired", "left": "connection_lost", "error": "connection_lost"}
APPENDS = {"session.commentary.append": COMMENTARY, "session.thinking.append": THINKING, "session.instructions.append": INSTRUCTIONS}
NOT_HERE = (
    "session.output_audio.fixture.play",
    "response.create",
    "response.item.create",
    "decision.create",
    "decision.item.create",
    "decision.item.delete",
    "transport.dtmf.send",
)
OVER = ("delivered", "failed", "cancelled", "stale")  # states of a task that nothing more comes of


@dataclass
class LiveEvents:
    """One connection: client events in, server events out. `begin` gives the seat of a session, `expires_at` the unix time of its end.

    Not safe to use from two threads at once. Wrong events raise Refused.
    """

    model: str
    begin: Callable[[Wanted], Seat]
    expires_at: Callable[[], int]
    seat: Seat | None = None
    _count: int = 0
    _session: Json = field(default_factory=dict)
    _target: str = CLIENT
    _muted: bool = False
    _decoder: Decoder = field(default_factory=lambda: Decoder(Format()))
    _encoder: Encoder = field(default_factory=lambda: Encoder(Format()))
    _sounding: bool = False
    _said: set[str] = field(default_factory=set)  # the sides of the transcript that have begun
    _tasks: dict[str, str] = field(default_factory=dict)  # delegation to its task's state
    _answered: set[str] = field(default_factory=set)
    _appends: dict[int, tuple[str, str | None]] = field(default_factory=dict)  # by number: the event's type and id
    _tick: TickDone | None = None

    def opened(self) -> list[Json]:
        """What is said before the client has said anything."""
        return []

    def heard(self, body: Json) -> list[Json]:
        """What a client event is answered with; most are not."""
        kind, fields = str(body["type"]), Fields(body)
        its_id = fields.maybe_text("event_id", LONGEST_ID)
        if kind in NOT_HERE:
            raise Refused(
                NOT_SUPPORTED, f"{kind!r} is not served here; the docstring of workbench/serve/live.py lists what is", param="type"
            )
        if kind == "session.start":
            return self._start(fields.only("type", "event_id", "session").inside("session"), its_id)
        if kind not in (*APPENDS, *_OTHERS):
            raise Refused(
                "unknown_event", f"{kind!r} is no event of this protocol; there is session.start, {', '.join((*APPENDS, *_OTHERS))}"
            )
        if self.seat is None:
            raise Refused("session_not_started", f"{kind!r} came before the session; send session.start first and wait for session.started")
        if kind in APPENDS:
            return self._append(self.seat, kind, fields.only("type", "event_id", "content", "delegation_id"), its_id)
        return _OTHERS[kind](self, self.seat, fields, its_id)

    def told(self, message: FromRuntime) -> list[Json]:
        """The events that a message of the session is."""
        match message:
            case TickDone():
                return self._ticked(message)
            case Problem(code=code, text=text):
                return [self._event("info", code=code.replace("-", "_"), message=text)]
            case End():
                return self._ended(message)
            case _:
                return []

    # --- client events ---

    def _start(self, session: Fields, its_id: str | None) -> list[Json]:
        if self.seat is not None:
            raise Refused("session_already_started", "this connection has its session already; open another connection for another session")
        session.only(*_SESSION)
        model = session.text("model", LONGEST_ID)
        if model != self.model:
            raise Refused(
                "model_not_found", f"there is no model {model[:60]!r} here; this server has {self.model!r}", param="session.model"
            )
        for name in ("triggers", "client"):
            if session.has(name):
                raise Refused(NOT_SUPPORTED, f"'session.{name}' is not served here; leave it out", param=f"session.{name}")
        form, voice = _audio(session)
        self._target, shown = _delegation(session)
        history = len(session.items("input", MOST_HISTORY)) if session.has("input") else 0
        instructions = session.maybe_text("instructions", LONGEST_INSTRUCTIONS)
        store = session.flag("store")
        session.maybe_text("safety_identifier", LONGEST_ID)
        self._decoder, self._encoder = Decoder(form), Encoder(form)
        self.seat = self.begin(Wanted(delegation=CLIENT if self._target == "client" else LOCAL, store=store, client="OpenAI Live"))
        if instructions:
            self.seat.append(Appended(what=INSTRUCTIONS, text=instructions))
        self._session = {
            "id": self.seat.session.name,
            "expires_at": self.expires_at(),
            "model": self.model,
            "status": "active",
            "audio": {"format": {"type": form.kind, "rate": form.rate}, "output": {"voice": VOICE}},
            "delegation": shown,
            "instructions": instructions,
            "store": store,
        }
        notes = [("instructions_not_followed", "the model has no language of instructions; they are kept with the session")] * bool(
            instructions
        )
        notes += [("history_not_read", "the model does not read earlier conversations; 'input' was left aside")] * bool(history)
        notes += [("voice_fixed", f"the model has one voice, {VOICE!r}")] * (voice not in (None, VOICE))
        started = self._event("session.started", its_id, session=self._session)
        return [started, *(self._event("info", its_id, code=code, message=text) for code, text in notes)]

    def _append(self, seat: Seat, kind: str, fields: Fields, its_id: str | None) -> list[Json]:
        text = fields.text("content", LONGEST_APPEND)
        given, what, task = fields.maybe_text("delegation_id", LONGEST_ID), APPENDS[kind], ""
        if given is not None:
            if self._target != "client" or given not in self._tasks:
                why = (
                    "delegations of this session are worked on here"
                    if self._target != "client"
                    else "no delegation of this session has that id"
                )
                raise Refused(
                    "delegation_not_found",
                    f"'delegation_id' is {given[:60]!r}; {why}: send null, or an id of this session",
                    param="delegation_id",
                )
            task = _task_of(given)
        infos = []
        if what == COMMENTARY and given is not None:
            if self._tasks[given] in OVER:
                infos.append(
                    self._event(
                        "info", its_id, code="delegation_over", message=f"{given} has ended ({self._tasks[given]}); nothing of it is said"
                    )
                )
                what = THINKING
            elif given not in self._answered:
                self._answered.add(given)
                seat.answer(task, text)
                what = THINKING  # it is said as the answer
        self._appends[seat.append(Appended(what=what, text=text, task=task))] = (kind, its_id)
        return infos

    def _update(self, seat: Seat, fields: Fields, its_id: str | None) -> list[Json]:
        session = fields.only("type", "event_id", "session").inside("session").only("delegation", "triggers")
        if session.has("triggers") and session.items("triggers", 1):
            raise Refused(NOT_SUPPORTED, "'session.triggers' is not served here; leave it out", param="session.triggers")
        if session.has("delegation"):
            target, shown = _delegation(session)
            if target != self._target:
                raise Refused(
                    "invalid_value",
                    f"who does delegated work is fixed ({self._target!r}); begin another session",
                    param="session.delegation",
                )
            self._session["delegation"] = self._session["delegation"] | shown
        return [self._event("session.updated", its_id, session=self._session)]

    def _sound(self, seat: Seat, fields: Fields, its_id: str | None) -> list[Json]:
        data = fields.only("type", "event_id", "audio").audio("audio")
        try:
            samples = self._decoder.take(data)
        except InputError as error:
            raise Refused("invalid_audio", str(error), param="audio") from None
        seat.hear(np.zeros_like(samples) if self._muted else samples)
        return []

    def _mute(self, seat: Seat, fields: Fields, its_id: str | None) -> list[Json]:
        self._muted = fields.only("type", "event_id").body["type"] == "session.input_audio.mute"
        return [self._event(f"session.input_audio.{'muted' if self._muted else 'unmuted'}", its_id)]

    def _close(self, seat: Seat, fields: Fields, its_id: str | None) -> list[Json]:
        fields.only("type", "event_id")
        seat.stop()
        return []

    # --- what the session says ---

    def _ticked(self, tick: TickDone) -> list[Json]:
        assert self.seat is not None
        self._tick = tick
        events = [self._transcript(word) for word in tick.words if word[0] in ("user", "model")]
        for task, state, text in tick.tasks:
            events += self._task(str(task), str(state), str(text), tick)
        sounds = bool(tick.samples.any())
        if sounds or self._sounding:
            events.append({"type": "session.output_audio.delta", "delta": base64_of(self._encoder.take(tick.samples))})
        self._sounding = sounds
        for number, at in self.seat.context.placed(tick.tick):  # type: ignore[arg-type]
            kind, its_id = self._appends.pop(number, ("", None))
            if kind:
                at_ms = round(1000 * self.seat.session.session.clock.seconds(at))
                events.append(self._event(f"{kind}ed", its_id, start_ms=at_ms, end_ms=at_ms))
        if (tick.tick + 1) % USAGE_EVERY_TICKS == 0:
            told_s = self.seat.session.session.clock.seconds(Tick(tick.tick + 1))  # up to this tick; the session may be further
            events.append(self._event("session.usage.updated", usage=_usage(told_s)))
        return events

    def _transcript(self, word: tuple[Any, ...]) -> Json:
        side, text, start_s, end_s = word[:4]
        first = side not in self._said
        self._said.add(side)
        kind = f"session.{'input' if side == 'user' else 'output'}_transcript.delta"
        times = {"start_ms": round(1000 * start_s), "end_ms": round(1000 * end_s)}
        return self._event(kind, delta=text if first else f" {text}", **times)

    def _task(self, task: str, state: str, text: str, tick: TickDone) -> list[Json]:
        ident = _delegation_id(task)
        if state == "created":
            self._tasks[ident] = "queued"
            made = {"id": ident, "target": self._target, "type": "delegation"}
            if self._target == "responses":
                made["response_id"] = f"resp_{task}"
            return [self._event("session.delegation.created", delegation=made, offset_ms=round(1000 * tick.at_s))]
        if state in ("running", *OVER, "queued", "completed", "delivering", "cancelling"):
            self._tasks[ident] = state
        if self._target != "responses":
            return []
        return [self._event("response.event", delegation_id=ident, event=inner) for inner in _response_events(task, state, text)]

    def _ended(self, end: End) -> list[Json]:
        reason = "remote_hangup" if "server was stopped" in end.text else REASONS.get(end.reason, "connection_lost")
        events = [self.error("session_failed", end.text, kind="server_error")] if end.reason == "error" else []
        assert self.seat is not None
        return [*events, self._event("session.closed", reason=reason, session=self._session, usage=_usage(self.seat.at_ms / 1000))]

    def error(
        self, code: str, text: str, *, param: str | None = None, kind: str = "invalid_request_error", client_event_id: str | None = None
    ) -> Json:
        """The event that says what is wrong."""
        body: Json = {"type": kind, "code": code, "message": text}
        body |= {} if param is None else {"param": param}
        body |= {} if client_event_id is None else {"client_event_id": client_event_id}
        return self._event("error", client_event_id, error=body)

    def _event(self, kind: str, client_event_id: str | None = None, **fields: Any) -> Json:
        self._count += 1
        told = {} if client_event_id is None else {"client_event_id": client_event_id}
        return {"type": kind, "event_id": f"event_{self._count}", **told, **fields}


_OTHERS: dict[str, Callable[[LiveEvents, Seat, Fields, str | None], list[Json]]] = {
    "session.update": LiveEvents._update,
    "session.input_audio.append": LiveEvents._sound,
    "session.input_audio.mute": LiveEvents._mute,
    "session.input_audio.unmute": LiveEvents._mute,
    "session.close": LiveEvents._close,
}
_SESSION = ("model", "audio", "client", "delegation", "input", "instructions", "safety_identifier", "store", "triggers")


def _usage(seconds: float) -> Json:
    return {"seconds": float(round(seconds * 1000) // 1000)}


def _audio(session: Fields) -> tuple[Format, str | None]:
    """The format of both sides, and the voice that was asked for."""
    if not session.has("audio"):
        return Format(), None
    audio = session.inside("audio").only("format", "output")
    form, voice = Format(), None
    if audio.has("format"):
        given = audio.inside("format").only("type", "rate")
        kind = given.choice("type", *RATES)
        rate = given.whole("rate", 1, 192_000) if given.has("rate") or kind == PCM else RATES[kind][0]
        if rate not in RATES[kind]:
            raise Refused(
                "invalid_value",
                f"{kind} at {rate} Hz is not carried; {kind} has {' or '.join(map(str, RATES[kind]))} Hz",
                param="session.audio.format.rate",
            )
        form = Format(kind, rate)
    if audio.has("output"):
        output = audio.inside("output").only("voice")
        voice = str(output.body.get("voice"))[:LONGEST_ID] if output.has("voice") else None
    return form, voice


def _delegation(session: Fields) -> tuple[str, Json]:
    """Who does delegated work, and how the session shows it."""
    if not session.has("delegation"):
        return "client", {"type": "client"}
    given = session.inside("delegation")
    kind = given.choice("type", "client", "responses", "decisions")
    if kind == "decisions":
        raise Refused(NOT_SUPPORTED, "'decisions' are not served here; use client or responses", param="session.delegation.type")
    given.only("type", "acknowledgement_delay_ms", *(("responses",) if kind == "responses" else ()))
    shown: Json = {"type": kind}
    if given.has("acknowledgement_delay_ms"):
        shown["acknowledgement_delay_ms"] = given.whole("acknowledgement_delay_ms", 0, 60_000)
    if kind == "responses":
        shown["responses"] = {"model": "local"}
    return kind, shown


def _response_events(task: str, state: str, text: str) -> list[Json]:
    """What the Responses API would say of a task of LocalAgent."""
    response: Json = {"id": f"resp_{task}", "object": "response", "model": "local"}
    if state == "running":
        return [{"type": "response.created", "response": response | {"status": "in_progress"}}]
    if state == "result":
        item = {"item_id": f"msg_{task}", "output_index": 0, "content_index": 0}
        done = {"type": "response.output_text.done", **item, "text": text, "logprobs": []}
        return [done, {"type": "response.completed", "response": response | {"status": "completed"}}]
    if state == "failed":
        failure = {"code": "server_error", "message": text}
        return [{"type": "response.failed", "response": response | {"status": "failed", "error": failure}}]
    return []


def _delegation_id(task: str) -> str:
    return f"delegation_{task}"


def _task_of(delegation: str) -> str:
    return delegation.removeprefix("delegation_")
