"""OpenAI's Live API as an agent, through the official client: a full-duplex service that decides by itself when it speaks.

By the crosswalk: `session.output_audio.delta` is its voice, transcript deltas are words of both sides,
`session.delegation.created` a request for slow work (its text are the words heard since the last one, as the event has none), and what
the desk answers is sent as `session.commentary.append`. It tells of neither interruptions nor voice activity. Typed text
has no place in its protocol and is not sent (a `peer.note` says so, once).

The key is read from the environment when the connection is opened, and stands in no spec, event or message.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.adapters.link import Asked, LinkSpec, News, Saying, Sound, Told, Used, Words, number_of, text_of
from workbench.adapters.remote import Price, RemoteAgent
from workbench.errors import InputError, PeerError
from workbench.given import service_url
from workbench.live.ear import to_float, to_pcm
from workbench.sound_formats import PCM, Decoder, Encoder, Format

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.live.server_event import ServerEvent

OPENAI = "https://api.openai.com/v1"
LARGEST_FRAME = 16 << 20
CLOSED = "session.closed"


@dataclass(frozen=True, kw_only=True)
class OpenAISettings:
    """Where the service is and how it is asked. `key_env` names the variable that holds the key; `rate` is of the sound on the way.

    Prices are not known here: with `usd_per_minute` (Live) or `usd_per_million_in` and `_out` (Realtime) the trace has the cost.
    """

    url: str = OPENAI
    model: str = ""
    key_env: str = "OPENAI_API_KEY"
    voice: str = ""
    instructions: str = ""
    rate: int = 24_000
    open_s: float = 15.0
    retries: int = 4
    usd_per_minute: float = 0.0
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0

    def __post_init__(self) -> None:
        service_url(self.url, ("http", "https"), "http(s)://HOST/v1")
        if self.open_s <= 0 or min(self.usd_per_minute, self.usd_per_million_in, self.usd_per_million_out) < 0:
            raise InputError(f"{self}: open_s must be above 0, prices 0 or more")
        Format(PCM, self.rate)

    def about(self, service: str) -> dict[str, Any]:
        """The spec of the agent, without its key."""
        return {"service": service, **{f.name: getattr(self, f.name) for f in fields(self)}}

    def price(self) -> Price:
        return Price(
            usd_per_minute=self.usd_per_minute, usd_per_million_in=self.usd_per_million_in, usd_per_million_out=self.usd_per_million_out
        )


Settings = TypeVar("Settings")


def settings_of(cls: type[Settings], text: str, **defaults: Any) -> Settings:
    """Settings from text such as "url=http://localhost:8000/v1,model=nano". Raises InputError for a name or value that there is not."""
    kinds: dict[str, Callable[[str], Any]] = {f.name: type(f.default) for f in fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = dict(defaults)
    for part in (piece.strip() for piece in text.split(",") if piece.strip()):
        name, _, value = part.partition("=")
        if name not in kinds:
            raise InputError(f"there is no setting {name!r}; there are {', '.join(kinds)}")
        try:
            values[name] = kinds[name](value)
        except ValueError:
            raise InputError(f"setting {part!r} has no value that fits; give a number") from None
    return cls(**values)


def openai_client(settings: OpenAISettings) -> OpenAI:
    """The official client. Raises PeerError where the package or the key is missing; services of this machine need no key."""
    try:
        from openai import OpenAI
    except ImportError:
        raise PeerError("the package openai is not installed; install microturn[peers]") from None
    key = os.environ.get(settings.key_env, "")
    if not key and settings.url.startswith(("http://localhost", "http://127.0.0.1")):
        key = "none"
    if not key:
        raise PeerError(f"the environment has no {settings.key_env}; put the key of the service there")
    return OpenAI(api_key=key, base_url=settings.url, timeout=settings.open_s, max_retries=0)


class Deadline:
    """Calls `act` unless it is left within so many seconds: for calls that have no time-out of their own."""

    def __init__(self, seconds: float, act: Any) -> None:
        self._timer = threading.Timer(seconds, act)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


MALFORMED = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)


def next_news(connection: Any, news: Callable[[Any], list[News]]) -> list[News]:
    """What the next event of an official connection is; one that is not as published is told of, and passed over."""
    try:
        return news(connection.recv())
    except MALFORMED as error:
        return [passed_over(error)]


def passed_over(error: Exception) -> Told:
    """What is told of an event that is not as published."""
    return Told("malformed_event", f"an event that is not as published was passed over ({type(error).__name__}: {str(error)[:200]})")


class LiveWire:
    """One Live session over one WebSocket of the official client."""

    def __init__(self, settings: OpenAISettings) -> None:
        self.settings = settings
        self._form = Format(PCM, settings.rate)
        self._encoder, self._decoder = Encoder(self._form), Decoder(self._form)
        self._connection: Any = None
        self._ready: list[News] = []
        self._typed_told = False

    def open(self) -> None:
        options: Any = {"max_size": LARGEST_FRAME, "open_timeout": self.settings.open_s}
        self._connection = openai_client(self.settings).live.connect(websocket_connection_options=options).enter()
        with Deadline(self.settings.open_s, self._connection.close):
            self._connection.session.start(session=self._session())
            while (event := self._connection.recv()).type != "session.started":
                if event.type == "error":
                    raise PeerError(f"{event.error.code}: {event.error.message}")
                self._ready += self._news(event)

    def send(self, saying: Saying) -> None:
        data = self._encoder.take(to_pcm(saying.samples))
        self._connection.session.input_audio.append(audio=base64.b64encode(data).decode())
        for call, text in saying.answers:
            self._connection.session.commentary.append(content=text, delegation_id=call or None)
        if saying.typed and not self._typed_told:
            self._typed_told = True
            self._ready.append(Told("typed_text_not_sent", "the Live protocol has no typed text; what is typed does not reach the service"))

    def receive(self) -> Iterable[News]:
        came = next_news(self._connection, self._news)
        ready, self._ready = self._ready, []
        return [*ready, *came]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _session(self) -> Any:
        session: dict[str, Any] = {
            "model": self.settings.model,
            "audio": {"format": {"type": PCM, "rate": self.settings.rate}},
            "delegation": {"type": "client"},
        }
        if self.settings.voice:
            session["audio"]["output"] = {"voice": self.settings.voice}
        if self.settings.instructions:
            session["instructions"] = self.settings.instructions
        return session

    def _news(self, event: ServerEvent) -> list[News]:
        match event.type:
            case "session.output_audio.delta":
                return [Sound(to_float(self._decoder.take(base64.b64decode(event.delta))))]
            case "session.input_transcript.delta":
                return [Words("user", text_of(event.delta), number_of(event.start_ms) / 1000, number_of(event.end_ms) / 1000)]
            case "session.output_transcript.delta":
                return [Words("model", text_of(event.delta))]
            case "session.delegation.created":
                return [Asked(text_of(event.delegation.id))] if event.delegation.target == "client" else []
            case "session.usage.updated":
                return [Used(seconds=number_of(event.usage.seconds))]
            case "session.closed":
                raise ConnectionError(f"the service ended the session ({event.reason})")
            case "error":
                return [Told(text_of(event.error.code), text_of(event.error.message))]
            case "info":
                return [Told(text_of(event.code), text_of(event.message))]
            case _:
                return []


def openai_live(text: str = "") -> RemoteAgent:
    """The Live API as an agent, with settings from text. Raises InputError for a setting that there is not."""
    settings = settings_of(OpenAISettings, text, model="gpt-live-1")
    patience = LinkSpec(retries=settings.retries)
    return RemoteAgent(lambda: LiveWire(settings), settings.about("openai-live"), settings.price(), patience)
