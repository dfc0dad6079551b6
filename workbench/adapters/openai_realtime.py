"""OpenAI's Realtime API as an agent, through the official client: turns by the service's voice detector, sound faster than it is played.

By the crosswalk: `input_audio_buffer.speech_started` and `.speech_stopped` are the user's voice, and at the first the agent gives way (what
was not played is dropped, and told to the service by `conversation.item.truncate`); `response.output_audio.delta` is its voice,
`…transcript.delta` its words, `conversation.item.input_audio_transcription.delta` the user's, a call of the function "delegate" a request
for slow work, whose answer is the call's output, and the usage of `response.done` the cost. Typed text is an item of the user.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workbench.adapters.link import Asked, Interrupted, LinkSpec, News, Saying, Sound, Told, Used, Voice, Words, number_of, text_of
from workbench.adapters.openai_live import LARGEST_FRAME, Deadline, OpenAISettings, next_news, openai_client, settings_of
from workbench.adapters.remote import RemoteAgent
from workbench.errors import InputError, PeerError
from workbench.live.ear import to_float, to_pcm
from workbench.sound_formats import PCM, Decoder, Encoder, Format
from workbench.utterance import RATE

DELEGATE: dict[str, Any] = {
    "type": "function",
    "name": "delegate",
    "description": "Have something looked up, calculated or done that takes a while. The result comes later; go on talking meanwhile.",
    "parameters": {"type": "object", "properties": {"ask": {"type": "string", "description": "What is wanted."}}, "required": ["ask"]},
}
CUTS = ("speech_started", "response.done")


@dataclass(frozen=True, kw_only=True)
class RealtimeSettings(OpenAISettings):
    """`cut_at` says when the agent gives way: as soon as a voice is heard, or only when the service says that a response was cancelled."""

    cut_at: str = "speech_started"
    transcriber: str = "gpt-4o-mini-transcribe"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cut_at not in CUTS:
            raise InputError(f"cut_at {self.cut_at!r} is none of {', '.join(CUTS)}")


class RealtimeWire:
    """One Realtime session over one WebSocket of the official client."""

    def __init__(self, settings: RealtimeSettings) -> None:
        self.settings = settings
        self._form = Format(PCM, settings.rate)
        self._encoder, self._decoder = Encoder(self._form), Decoder(self._form)
        self._connection: Any = None
        self._used = Used()
        self._item = ""  # that sound came for last
        self._received = 0  # samples of it
        self._deltas: set[str] = set()  # items of the user whose words came in pieces

    def open(self) -> None:
        options: Any = {"max_size": LARGEST_FRAME, "open_timeout": self.settings.open_s}
        realtime = openai_client(self.settings).realtime
        self._connection = realtime.connect(model=self.settings.model, websocket_connection_options=options).enter()
        with Deadline(self.settings.open_s, self._connection.close):
            self._until("session.created")
            self._connection.session.update(session=self._session())
            self._until("session.updated")

    def send(self, saying: Saying) -> None:
        connection = self._connection
        if saying.cut_samples is not None and self._item:
            end_ms = min(saying.cut_samples, self._received) * 1000 // RATE
            connection.conversation.item.truncate(item_id=self._item, content_index=0, audio_end_ms=end_ms)
        data = self._encoder.take(to_pcm(saying.samples))
        connection.input_audio_buffer.append(audio=base64.b64encode(data).decode())
        if saying.typed:
            content = [{"type": "input_text", "text": saying.typed}]
            connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        for call, text in saying.answers:
            connection.conversation.item.create(item={"type": "function_call_output", "call_id": call, "output": text})
        if saying.typed or saying.answers:
            connection.response.create()

    def receive(self) -> Iterable[News]:
        return next_news(self._connection, self._news)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _until(self, kind: str) -> None:
        while (event := self._connection.recv()).type != kind:
            if event.type == "error":
                raise PeerError(f"{event.error.code}: {event.error.message}")

    def _session(self) -> Any:
        form = {"type": PCM, "rate": self.settings.rate}
        detection = {"type": "server_vad", "create_response": True, "interrupt_response": True}
        heard = {"format": form, "turn_detection": detection, "transcription": {"model": self.settings.transcriber}}
        said = {"format": form, **({"voice": self.settings.voice} if self.settings.voice else {})}
        session = {"type": "realtime", "audio": {"input": heard, "output": said}, "tools": [DELEGATE], "tool_choice": "auto"}
        return session | ({"instructions": self.settings.instructions} if self.settings.instructions else {})

    def _news(self, event: Any) -> list[News]:
        match event.type:
            case "response.output_audio.delta":
                samples = self._decoder.take(base64.b64decode(event.delta))
                self._received = len(samples) + (self._received if event.item_id == self._item else 0)
                self._item = event.item_id
                return [Sound(to_float(samples))]
            case "response.output_audio_transcript.delta":
                return [Words("model", text_of(event.delta))]
            case "response.output_audio_transcript.done":
                return [Words("model", " ")]
            case "conversation.item.input_audio_transcription.delta":
                self._deltas.add(event.item_id)
                return [Words("user", text_of(event.delta or ""))]
            case "conversation.item.input_audio_transcription.completed":
                return [Words("user", " " if event.item_id in self._deltas else f" {text_of(event.transcript)} ")]
            case "input_audio_buffer.speech_started":
                cut = [Interrupted("the service heard a voice")] if self.settings.cut_at == "speech_started" else []
                return [Voice(True, number_of(event.audio_start_ms) / 1000), *cut]
            case "input_audio_buffer.speech_stopped":
                return [Voice(False, number_of(event.audio_end_ms) / 1000)]
            case "response.function_call_arguments.done":
                return [Asked(text_of(event.call_id), text_of(_ask(event.arguments)))]
            case "response.done":
                return self._done(event.response)
            case "error":
                return [Told(text_of(event.error.code or event.error.type), text_of(event.error.message))]
            case _:
                return []

    def _done(self, response: Any) -> list[News]:
        found: list[News] = []
        if response.usage is not None:
            tokens_in, tokens_out = int(number_of(response.usage.input_tokens or 0)), int(number_of(response.usage.output_tokens or 0))
            self._used = Used(0.0, self._used.input_tokens + tokens_in, self._used.output_tokens + tokens_out)
            found.append(self._used)
        if response.status == "cancelled" and self.settings.cut_at == "response.done":
            found.append(Interrupted("the service cancelled its response"))
        if response.status == "failed":
            error = response.status_details.error if response.status_details is not None else None
            why = getattr(error, "message", None) or getattr(error, "code", None) or "no reason was given"
            found.append(Told("response_failed", text_of(why)))
        return found


def _ask(arguments: str) -> str:
    """What a call of "delegate" asks for; its arguments as they are where they are not as declared."""
    try:
        body = json.loads(arguments)
    except ValueError:
        return arguments
    return str(body["ask"]) if isinstance(body, dict) and "ask" in body else arguments


def openai_realtime(text: str = "") -> RemoteAgent:
    """The Realtime API as an agent, with settings from text. Raises InputError for a setting that there is not."""
    settings = settings_of(RealtimeSettings, text, model="gpt-realtime-2")
    patience = LinkSpec(retries=settings.retries)
    return RemoteAgent(lambda: RealtimeWire(settings), settings.about("openai-realtime"), settings.price(), patience)
