"""Google's Live API (Gemini) as an agent, through the official client: turns by its voice detector, sound faster than it is played.

By the crosswalk: the sound in `model_turn` is its voice, `output_transcription` its words, `input_transcription` the user's,
`voice_activity` the user's voice, `interrupted` gives way (what was not played is dropped), a `tool_call` a request for slow work, whose
result goes back as a function response that may be said when the model is free (`WHEN_IDLE`), and `usage_metadata` the cost. What else it
tells (`go_away`, a call that it takes back) is a `peer.note`.

The key is read from the environment when the connection is opened, and stands in no spec, event or message. The client is asynchronous:
each wire has a thread with an event loop of its own.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.adapters.link import Asked, Interrupted, LinkSpec, News, Saying, Sound, Told, Used, Voice, Words, number_of
from workbench.adapters.openai_live import MALFORMED, passed_over, settings_of
from workbench.adapters.remote import Price, RemoteAgent
from workbench.errors import InputError, PeerError
from workbench.given import service_url
from workbench.live.ear import to_float, to_pcm
from workbench.sound_formats import PCM, Decoder, Format
from workbench.utterance import RATE

if TYPE_CHECKING:
    from google.genai.live import AsyncSession
    from google.genai.types import FunctionCall, LiveServerContent, LiveServerMessage

R = TypeVar("R")
GOOGLE = "https://generativelanguage.googleapis.com"
OUT_RATE = 24_000
CLOSED = "the session is closed"
DELEGATE = "delegate"
DELEGATE_IS = "Have something looked up, calculated or done that takes a while. The result comes later; go on talking meanwhile."


@dataclass(frozen=True, kw_only=True)
class GeminiSettings:
    """Where the service is and how it is asked. `key_env` names the variable that holds the key. Prices are not known here.

    `silence_ms` is how long the user must be silent for a turn to end, 0 for the service's own. `send_s` is how long a tick of sound may
    take to be sent.
    """

    url: str = GOOGLE
    model: str = "gemini-live-2.5-flash-native-audio"
    key_env: str = "GEMINI_API_KEY"
    voice: str = ""
    instructions: str = ""
    silence_ms: int = 0
    open_s: float = 20.0
    send_s: float = 5.0
    retries: int = 4
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0

    def __post_init__(self) -> None:
        service_url(self.url, ("https",), "https://HOST")
        if min(self.open_s, self.send_s) <= 0 or min(self.silence_ms, self.usd_per_million_in, self.usd_per_million_out) < 0:
            raise InputError(f"{self}: open_s and send_s must be above 0, silence_ms and prices 0 or more")

    def about(self) -> dict[str, Any]:
        """The spec of the agent, without its key."""
        return {"service": "gemini-live", **{f.name: getattr(self, f.name) for f in fields(self)}}

    def config(self) -> dict[str, Any]:
        """What the session is opened with."""
        ask = {"type": "OBJECT", "properties": {"ask": {"type": "STRING", "description": "What is wanted."}}, "required": ["ask"]}
        declared = {"name": DELEGATE, "description": DELEGATE_IS, "parameters": ask, "behavior": "NON_BLOCKING"}
        config: dict[str, Any] = {
            "response_modalities": ["AUDIO"],
            "input_audio_transcription": {},
            "output_audio_transcription": {},
            "tools": [{"function_declarations": [declared]}],
        }
        if self.voice:
            config["speech_config"] = {"voice_config": {"prebuilt_voice_config": {"voice_name": self.voice}}}
        if self.instructions:
            config["system_instruction"] = self.instructions
        if self.silence_ms:
            config["realtime_input_config"] = {"automatic_activity_detection": {"silence_duration_ms": self.silence_ms}}
        return config


class GeminiWire:
    """One session over one WebSocket of the official client."""

    def __init__(self, settings: GeminiSettings) -> None:
        self.settings = settings
        self._decoder = Decoder(Format(PCM, OUT_RATE))
        self._loop = asyncio.new_event_loop()
        self._come: queue.Queue[LiveServerMessage | BaseException] = queue.Queue()
        self._session: AsyncSession | None = None
        self._leave = asyncio.Event()
        self._names: dict[str, str] = {}  # of functions, by the call
        self._used = Used()

    def open(self) -> None:
        ready: queue.Queue[BaseException | None] = queue.Queue()
        threading.Thread(target=self._run, args=(ready,), name="gemini", daemon=True).start()
        try:
            problem = ready.get(timeout=self.settings.open_s)
        except queue.Empty:
            raise PeerError(f"the service was not ready within {self.settings.open_s:g} s") from None
        if problem is not None:
            raise problem

    def send(self, saying: Saying) -> None:
        from google.genai import types

        session = self._session
        assert session is not None, "opened before anything is said"
        pcm = to_pcm(saying.samples).astype("<i2").tobytes()
        self._now(session.send_realtime_input(audio=types.Blob(data=pcm, mime_type=f"audio/pcm;rate={RATE}")))
        if saying.typed:
            self._now(session.send_realtime_input(text=saying.typed))
        if saying.answers:
            scheduling = types.FunctionResponseScheduling.WHEN_IDLE
            answers = [
                types.FunctionResponse(id=call, name=self._names.get(call, DELEGATE), response={"result": text}, scheduling=scheduling)
                for call, text in saying.answers
            ]
            self._now(session.send_tool_response(function_responses=answers))

    def receive(self) -> Iterable[News]:
        message = self._come.get()
        if isinstance(message, BaseException):
            raise message
        try:
            return self._news(message)
        except MALFORMED as error:
            return [passed_over(error)]

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._leave.set)

    # --- the loop of the client ---

    def _run(self, ready: queue.Queue[BaseException | None]) -> None:
        try:
            self._loop.run_until_complete(self._talk(ready))
        except Exception as error:  # noqa: BLE001 (the client raises its own)
            ready.put(error)
            self._come.put(error)
        finally:
            self._loop.run_until_complete(_called_off())
            self._loop.close()

    async def _talk(self, ready: queue.Queue[BaseException | None]) -> None:
        """Hold the session until it is left, also while it is being opened, or lost. Raises what ended it."""
        holding, leaving = asyncio.ensure_future(self._hold(ready)), asyncio.ensure_future(self._leave.wait())
        await asyncio.wait((holding, leaving), return_when=asyncio.FIRST_COMPLETED)
        for task in (holding, leaving):
            task.cancel()
        how, _ = await asyncio.gather(holding, leaving, return_exceptions=True)
        raise how if isinstance(how, Exception) else ConnectionError("the session was closed")

    async def _hold(self, ready: queue.Queue[BaseException | None]) -> None:
        """Open the session and take what comes."""
        client = _client(self.settings)
        async with client.aio.live.connect(model=self.settings.model, config=self.settings.config()) as session:
            self._session = session
            ready.put(None)
            while True:
                async for message in session.receive():  # ends with every turn of the model
                    self._come.put(message)

    def _now(self, doing: Coroutine[Any, Any, R]) -> R:
        """Do this in the loop of the client. Raises TimeoutError when it takes too long, ConnectionError when the session ends first."""
        try:
            future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        except RuntimeError:  # of a loop that is closed
            doing.close()
            raise ConnectionError(CLOSED) from None
        try:
            return future.result(self.settings.send_s)
        except CancelledError:
            raise ConnectionError(CLOSED) from None
        except TimeoutError:
            future.cancel()
            if not self._loop.is_closed():
                raise
            doing.close()  # handed over in the moment in which the loop ended
            raise ConnectionError(CLOSED) from None

    # --- what comes ---

    def _news(self, message: LiveServerMessage) -> list[News]:
        found: list[News] = []
        if message.voice_activity is not None and message.voice_activity.voice_activity_type is not None:
            began = message.voice_activity.voice_activity_type.value == "ACTIVITY_START"
            found.append(Voice(began, _seconds(message.voice_activity.audio_offset)))
        if message.server_content is not None:
            found += self._content(message.server_content)
        if message.tool_call is not None:
            found += [self._asked(call) for call in message.tool_call.function_calls or ()]
        if message.tool_call_cancellation is not None:
            found.append(Told("call_cancelled", ", ".join(message.tool_call_cancellation.ids or ())))
        if message.go_away is not None:
            found.append(Told("go_away", f"the service will end the session in {message.go_away.time_left}"))
        if (usage := message.usage_metadata) is not None:  # of one turn
            tokens_in, tokens_out = (int(number_of(n or 0)) for n in (usage.prompt_token_count, usage.response_token_count))
            self._used = Used(0.0, self._used.input_tokens + tokens_in, self._used.output_tokens + tokens_out)
            found.append(self._used)
        return found

    def _content(self, content: LiveServerContent) -> list[News]:
        found: list[News] = []
        if content.input_transcription is not None and content.input_transcription.text:
            heard = content.input_transcription
            found.append(Words("user", heard.text or "", _seconds(heard.start_offset), _seconds(heard.end_offset)))
        if content.output_transcription is not None and content.output_transcription.text:
            found.append(Words("model", content.output_transcription.text))
        for part in (content.model_turn.parts if content.model_turn is not None else None) or ():
            if part.inline_data is not None and part.inline_data.data:
                found.append(Sound(self._sound(part.inline_data.data, part.inline_data.mime_type or "")))
        if content.interrupted:
            found.append(Interrupted("the service heard a voice"))
        if content.turn_complete or content.generation_complete:
            found.append(Words("model", " "))
        return found

    def _sound(self, data: bytes, mime_type: str) -> Any:
        """The samples of a part at our rate."""
        _, _, rate = mime_type.partition("rate=")
        form = Format(PCM, int(rate) if rate.isdigit() else OUT_RATE)
        if form != self._decoder.form:
            self._decoder = Decoder(form)
        return to_float(self._decoder.take(data[: len(data) // 2 * 2]))

    def _asked(self, call: FunctionCall) -> Asked:
        name, arguments = call.name or DELEGATE, call.args or {}
        self._names[call.id or ""] = name
        return Asked(call.id or "", str(arguments.get("ask") or arguments or name))


async def _called_off() -> None:
    """End what was handed to the loop of a session that is over, so that nobody waits for it."""
    await asyncio.sleep(0)  # what has just been handed over is a task then
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _client(settings: GeminiSettings) -> Any:
    """The official client. Raises PeerError where the package or the key is missing."""
    try:
        from google import genai
    except ImportError:
        raise PeerError("the package google-genai is not installed; install microturn[peers]") from None
    key = os.environ.get(settings.key_env, "")
    if not key:
        raise PeerError(f"the environment has no {settings.key_env}; put the key of the service there")
    return genai.Client(api_key=key, vertexai=False, http_options={"base_url": settings.url})


def _seconds(offset: str | None) -> float | None:
    """A duration such as "1.250s"; None where there is none."""
    try:
        return float((offset or "").removesuffix("s"))
    except ValueError:
        return None


def gemini_live(text: str = "") -> RemoteAgent:
    """The Live API as an agent, with settings from text. Raises InputError for a setting that there is not."""
    settings = settings_of(GeminiSettings, text)
    price = Price(usd_per_million_in=settings.usd_per_million_in, usd_per_million_out=settings.usd_per_million_out)
    return RemoteAgent(lambda: GeminiWire(settings), settings.about(), price, LinkSpec(retries=settings.retries))
