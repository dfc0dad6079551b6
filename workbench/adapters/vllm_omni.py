"""vLLM-Omni's duplex runtime as an agent (`/v1/realtime?duplex=1`): the words of OpenAI's Realtime API, and a model that owns its turns.

By the crosswalk: `response.output_audio.delta` is its voice, `…transcript.delta` its words, a response that ends `cancelled` gives way (how
much of it was heard is told by a `playback.ack` that truncates), `input_audio_buffer.speech_started` and `.speech_stopped` are the user's
voice, `conversation.item.input_audio_transcription.completed` the user's words, a function call a request for slow work. What the server
decided about overlap (`overlap.decision`) and its errors are told as `peer.note`. Nothing is committed: the model listens all the time.

Source: the wire contract in vLLM-Omni's documentation (serving/realtime_duplex_api). The key, where a server wants one, is read from the
environment when the connection is opened, and stands in no spec, event or message.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from websockets.sync.client import ClientConnection, connect

from workbench.adapters.link import MOST_NUMBER, USED_EVERY, Asked, Interrupted, LinkSpec, News, Saying, Sound, Told, Used, Voice, Words
from workbench.adapters.openai_live import LARGEST_FRAME, settings_of
from workbench.adapters.remote import Price, RemoteAgent
from workbench.errors import InputError, PeerError
from workbench.given import service_url
from workbench.live.ear import to_float, to_pcm
from workbench.live.protocol import Pcm
from workbench.packets import Audio
from workbench.sound_formats import Resampler
from workbench.utterance import RATE

OUT_RATE = 24_000
RATES = (8_000, 16_000, OUT_RATE, 48_000)
HEARTBEAT = 100  # sayings between two signs of life
OVERLAP = ("listen_only", "barge_in_on_speech", "drop")


@dataclass(frozen=True, kw_only=True)
class VllmOmniSettings:
    """Where the server is and how it is asked. `ref_audio` is a sound file with the voice that it is to have; MiniCPM-o needs one.

    `overlap` is what it does about a user who speaks into its voice. `open_s` and `stall_s` are how long it may take to be ready, and
    between two events.
    """

    url: str = "ws://localhost:8099/v1/realtime"
    model: str = ""
    key_env: str = "VLLM_API_KEY"
    instructions: str = ""
    ref_audio: str = ""
    overlap: str = "barge_in_on_speech"
    open_s: float = 60.0
    stall_s: float = 30.0
    retries: int = 4
    usd_per_minute: float = 0.0

    def __post_init__(self) -> None:
        service_url(self.url, ("ws", "wss"), "ws(s)://HOST:8099/v1/realtime")
        if self.overlap not in OVERLAP:
            raise InputError(f"overlap {self.overlap!r} is none of {', '.join(OVERLAP)}")
        if min(self.open_s, self.stall_s) <= 0 or self.usd_per_minute < 0:
            raise InputError(f"{self}: open_s and stall_s must be above 0, prices 0 or more")
        if self.ref_audio and not Path(self.ref_audio).is_file():
            raise InputError(f"ref_audio {self.ref_audio!r} is no file; give a WAV with the voice that the model is to have")

    def about(self) -> dict[str, Any]:
        """The spec of the agent, without its key."""
        return {"service": "vllm-omni", **{f.name: getattr(self, f.name) for f in fields(self)}}

    def session(self) -> dict[str, Any]:
        """What the session is opened with."""
        session: dict[str, Any] = {
            "modalities": ["audio", "text"],
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "turn_detection": None,
            "overlap_policy": self.overlap,
            "playback_commit_policy": "commit_all_on_done",
        }
        if self.model:
            session["model"] = self.model
        if self.instructions:
            session["instructions"] = self.instructions
        if self.ref_audio:
            session["ref_audio"] = "data:audio/wav;base64," + base64.b64encode(Path(self.ref_audio).read_bytes()).decode()
        return session


class VllmOmniWire:
    """One session over one WebSocket."""

    def __init__(self, settings: VllmOmniSettings) -> None:
        self.settings = settings
        self._socket: ClientConnection | None = None
        self._open = ExitStack()  # closes the socket
        self._down = Resampler(OUT_RATE, RATE)
        self._response = ""  # that sound came for last
        self._said = 0  # sayings sent
        self._told = 0  # those of them that were counted last
        self._sent = 0  # samples
        self._tokens = Used()
        self._seen = 0  # the last event's number
        self._ready: list[News] = []

    def open(self) -> None:
        key = os.environ.get(self.settings.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else None
        query = urlencode({"duplex": "1"} | ({"model": self.settings.model} if self.settings.model else {}))
        address, patience = f"{self.settings.url}?{query}", self.settings.open_s
        opening = connect(address, additional_headers=headers, open_timeout=patience, max_size=LARGEST_FRAME)
        self._socket = self._open.enter_context(opening)
        self._tell("session.update", session=self.settings.session())
        while (event := self._event(self.settings.open_s))["type"] != "session.created":
            if event["type"] == "error":
                raise PeerError(": ".join(_error(event)))
        capabilities = _part(_part(event, "session"), "capabilities")
        if not capabilities.get("implementation_level"):
            raise PeerError("the server answers in turns: it was not started with session_mode: duplex")

    def send(self, saying: Saying) -> None:
        if saying.cut_samples is not None and self._response:
            heard_ms = saying.cut_samples * 1000 // RATE
            self._tell("playback.ack", response_id=self._response, played_ms=heard_ms, committed_ms=heard_ms, truncate=True)
        pcm = to_pcm(saying.samples)
        self._tell(
            "input_audio_buffer.append",
            audio=base64.b64encode(pcm.astype("<i2").tobytes()).decode(),
            format="pcm16",
            sample_rate_hz=RATE,
            duration_ms=len(pcm) * 1000 // RATE,
        )
        if saying.typed:
            content = [{"type": "input_text", "text": saying.typed}]
            self._tell("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        for call, text in saying.answers:
            self._tell("conversation.item.create", item={"type": "function_call_output", "call_id": call, "output": text})
        self._said, self._sent = self._said + 1, self._sent + len(pcm)
        if self._said % HEARTBEAT == 0:
            self._tell("session.heartbeat")
            self._tell("session.event_ack", server_event_seq=self._seen)

    def receive(self) -> Iterable[News]:
        found = self._news(self._event(self.settings.stall_s))
        if self._said >= self._told + USED_EVERY:
            self._told = self._said
            found.append(self._counted())
        return found

    def close(self) -> None:
        with self._open:
            if self._socket is not None:
                self._tell("session.close")

    def _tell(self, kind: str, **more: Any) -> None:
        assert self._socket is not None, "opened before anything is said"
        self._socket.send(json.dumps({"type": kind, **more}))

    def _event(self, patience_s: float) -> Mapping[str, Any]:
        """The next event. Raises TimeoutError when none comes, ConnectionError for what is none."""
        assert self._socket is not None, "opened before anything is received"
        text = self._socket.recv(timeout=patience_s)
        try:
            event = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConnectionError(f"the server sent {text[:80]!r}, which is no JSON ({error})") from error
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise ConnectionError(f"the server sent {str(event)[:80]!r}, which is no event")
        number = event.get("server_event_seq")
        self._seen = number if isinstance(number, int) else self._seen
        return event

    def _news(self, event: Mapping[str, Any]) -> list[News]:
        match event["type"]:
            case "response.output_audio.delta":
                return [Sound(self._sound(event))]
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                return [Words("model", str(event.get("delta") or ""))]
            case "response.output_audio_transcript.done" | "response.output_text.done":
                return [Words("model", " ")]
            case "conversation.item.input_audio_transcription.completed":
                return [Words("user", f" {event.get('transcript') or ''} ")]
            case "input_audio_buffer.speech_started":
                return [Voice(True, _seconds(event.get("audio_start_ms")))]
            case "input_audio_buffer.speech_stopped":
                return [Voice(False, _seconds(event.get("audio_end_ms")))]
            case "response.function_call_arguments.done":
                return [Asked(str(event.get("call_id") or ""), str(event.get("arguments") or ""))]
            case "response.done":
                response = _part(event, "response")
                if usage := _part(response, "usage"):
                    self._tokens += Used(0.0, _count(usage.get("input_tokens")), _count(usage.get("output_tokens")))
                return [*([self._counted()] if usage else []), *_done(response)]
            case "overlap.decision":
                return [Told("overlap.decision", f"{event.get('action')}: {event.get('reason')} ({event.get('policy')})")]
            case "session.closed" | "session.expired" | "session.replaced":
                raise ConnectionError(f"the server ended the session ({event.get('reason') or event['type']})")
            case "error":
                return [Told(*_error(event))]
            case _:
                return []

    def _counted(self) -> Used:
        """Seconds of sound sent, which the server does not count, and the tokens of its responses."""
        return Used(self._sent / RATE) + self._tokens

    def _sound(self, event: Mapping[str, Any]) -> Audio:
        """The samples of a delta at our rate; another response begins another stream."""
        rate, response = event.get("sample_rate_hz", OUT_RATE), str(event.get("response_id") or "")
        if rate not in RATES:
            raise ConnectionError(f"the server sent sound at {rate!r} Hz; there are {', '.join(map(str, RATES))}")
        if rate != self._down.rate or response != self._response:
            self._down, self._response = Resampler(rate, RATE), response
        return to_float(self._down.take(_pcm(base64.b64decode(str(event.get("delta") or "")))))


def _pcm(data: bytes) -> Pcm:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)


def _done(response: Mapping[str, Any]) -> list[News]:
    found: list[News] = []
    reason = _part(response, "status_details").get("reason")
    if response.get("status") == "cancelled":
        found.append(Interrupted(f"the server cancelled its response ({reason or 'no reason was given'})"))
    if response.get("status") == "failed":
        found.append(Told("response_failed", str(reason or "no reason was given")))
    return found


def _error(event: Mapping[str, Any]) -> tuple[str, str]:
    """Code and message, of both shapes that an error has."""
    body = event.get("error")
    if isinstance(body, Mapping):
        return str(body.get("code") or body.get("type") or "error"), str(body.get("message") or "")
    return str(event.get("code") or "error"), str(body or "")


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _count(number: object) -> int:
    return number if isinstance(number, int) and abs(number) < MOST_NUMBER else 0


def _seconds(ms: object) -> float | None:
    return ms / 1000 if isinstance(ms, int | float) and abs(ms) < MOST_NUMBER else None


def vllm_omni(text: str = "") -> RemoteAgent:
    """A vLLM-Omni server as an agent, with settings from text. Raises InputError for a setting that there is not."""
    settings = settings_of(VllmOmniSettings, text)
    price = Price(usd_per_minute=settings.usd_per_minute)
    return RemoteAgent(lambda: VllmOmniWire(settings), settings.about(), price, LinkSpec(retries=settings.retries))
