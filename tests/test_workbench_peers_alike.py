"""What every service elsewhere is held to, whatever its protocol: time-outs, a lost connection, its cost, and a key that no trace keeps."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.genai import types
from websockets.sync.server import ServerConnection

from tests.peer_servers import Act, peer, send, together
from tests.test_workbench_gemini_live import begins as gemini_begins
from tests.test_workbench_gemini_live import tell as gemini_tells
from tests.test_workbench_openai_live import started
from tests.test_workbench_openai_live import tell as live_tells
from tests.test_workbench_serve_realtime import tell as realtime_tells
from tests.test_workbench_vllm_omni import begins as vllm_begins
from workbench.adapters import adapted
from workbench.adapters.link import USED_EVERY, Link, Saying
from workbench.adapters.ogg_opus import OpusWriter
from workbench.clock import ClockSpec, pause
from workbench.errors import InputError, PeerError
from workbench.events import LinkLost, LinkResumed
from workbench.events_peer import PeerNote, PeerUsage
from workbench.store import save_trace
from workbench.users import SilentUser
from workbench.utterance import RATE

STUCK_S, PATIENCE_S = 2.0, 120.0
KEY = "sk-very-secret-0123456789"
ECHO = f"Incorrect API key provided: {KEY}"
pytestmark = pytest.mark.filterwarnings(
    "ignore:connect.. must be used as a context manager",  # of the official client's own call
    "ignore::DeprecationWarning:google.*",
    "ignore::DeprecationWarning:websockets.*",
)


@dataclass(frozen=True)
class Service:
    """One protocol: its address, how a session begins, how it tells of an error, how it counts, and what a count of it costs."""

    url: str
    begins: Callable[[ServerConnection], Any]
    errs: Callable[[ServerConnection], Any]
    counts: Callable[[ServerConnection], Any]
    prices: str
    usd: float  # of what is counted once


def live_begins(connection: ServerConnection) -> None:
    started(connection, json.loads(connection.recv()))


def realtime_begins(connection: ServerConnection) -> None:
    realtime_tells(connection, "session.created", session={"type": "realtime"})
    realtime_tells(connection, "session.updated", session=json.loads(connection.recv())["session"])


def realtime_counts(connection: ServerConnection) -> None:
    usage = {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150}
    realtime_tells(connection, "response.done", response={"id": "r", "status": "completed", "output": [], "usage": usage})


def gemini_errs(connection: ServerConnection) -> None:
    gemini_tells(connection, server_content=types.LiveServerContent(output_transcription=types.Transcription(text=ECHO)))


def gemini_counts(connection: ServerConnection) -> None:
    gemini_tells(connection, usage_metadata=types.UsageMetadata(prompt_token_count=100, response_token_count=50, total_token_count=150))


def moshi_counts(connection: ServerConnection) -> None:
    """It counts nothing; it goes on sending sound, so that the client takes the time to count."""
    writer = OpusWriter(24_000)
    for _ in connection:
        connection.send(b"\x01" + writer.take(np.zeros(4800, np.float32)))


def vllm_counts(connection: ServerConnection) -> None:
    response = {"id": "r", "status": "completed", "usage": {"input_tokens": 100, "output_tokens": 50}}
    for number, _ in enumerate(connection, 1):
        if number == USED_EVERY:
            send(connection, "response.done", response=response)


TOKENS = "usd_per_million_in=10,usd_per_million_out=20"
MINUTE_USD, TOKENS_USD = 0.6, 0.002
SERVICES: dict[str, Service] = {
    "openai-live": Service(
        "http://{place}/v1",
        live_begins,
        lambda c: live_tells(c, "error", error={"code": "invalid_api_key", "message": ECHO, "type": "invalid_request_error"}),
        lambda c: live_tells(c, "session.usage.updated", usage={"seconds": 5.0}),
        f"usd_per_minute={MINUTE_USD}",
        MINUTE_USD / 12,
    ),
    "openai-realtime": Service(
        "http://{place}/v1",
        realtime_begins,
        lambda c: realtime_tells(c, "error", error={"code": "invalid_api_key", "message": ECHO, "type": "invalid_request_error"}),
        realtime_counts,
        TOKENS,
        TOKENS_USD,
    ),
    "gemini-live": Service("https://{place}", gemini_begins, gemini_errs, gemini_counts, TOKENS, TOKENS_USD),
    "moshi": Service(
        "ws://{place}/api/chat",
        lambda c: c.send(b"\x00"),
        lambda c: c.send(b"\x05" + ECHO.encode()),
        moshi_counts,
        f"usd_per_minute={MINUTE_USD}",
        MINUTE_USD / 12,
    ),
    "vllm-omni": Service(
        "ws://{place}/v1/realtime",
        vllm_begins,
        lambda c: send(c, "error", error={"code": "invalid_api_key", "message": ECHO}),
        vllm_counts,
        f"usd_per_minute={MINUTE_USD}",
        MINUTE_USD / 12,
    ),
}
every_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(autouse=True)
def keys(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("OUR_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)


@contextmanager
def serving(name: str, certificate: Path, *acts: Act, more: str = "") -> Iterator[Any]:
    """The agent of a server whose n-th connection does the n-th act."""
    with peer(*acts, certificate=certificate if name == "gemini-live" else None) as place:
        yield adapted(name, f"url={SERVICES[name].url.format(place=place)},key_env=OUR_KEY{more and ','}{more}")


def stays(connection: ServerConnection) -> None:
    for _ in connection:
        pass


def after(*acts: Callable[[ServerConnection], Any]) -> Act:
    def act(connection: ServerConnection) -> None:
        for one in acts:
            one(connection)

    return act


@every_service
def test_a_service_that_takes_the_connection_and_says_nothing_ends_the_start(name: str, certificate: Path) -> None:
    with serving(name, certificate, stays, more="open_s=0.7") as agent, pytest.raises(PeerError, match=f"^{name} at .*check address, key"):
        together(agent, SilentUser(), 1)


@every_service
def test_a_connection_that_is_lost_is_replaced_and_what_it_cost_still_counts(name: str, certificate: Path) -> None:
    service = SERVICES[name]
    counted = name not in ("moshi", "vllm-omni")  # those are counted here, after so many ticks
    once = [service.counts] if counted else []
    lost = after(service.begins, *once, lambda c: c.recv(), lambda c: c.close(1011, "gone"))
    with serving(name, certificate, lost, after(service.begins, *once, stays), more=service.prices) as agent:
        trace = together(agent, SilentUser(), 10)
    assert len(list(trace.events(LinkLost))) == len(list(trace.events(LinkResumed))) == 1
    if counted:
        assert [event.usd for _, event in trace.events(PeerUsage)] == pytest.approx([service.usd, 2 * service.usd])


@pytest.mark.parametrize("name", ["moshi", "vllm-omni"])
def test_a_server_that_counts_no_seconds_is_charged_for_the_sound_that_it_was_sent(name: str, certificate: Path) -> None:
    service = SERVICES[name]
    with serving(name, certificate, after(service.begins, service.counts), more=service.prices) as agent:
        trace = together(agent, SilentUser(), USED_EVERY + 5)
    last = [event for _, event in trace.events(PeerUsage)][-1]
    assert last.seconds == pytest.approx(USED_EVERY * 0.2, abs=1.0)
    assert last.usd == pytest.approx(service.usd, rel=0.2)
    assert (last.input_tokens, last.output_tokens) == ((100, 50) if name == "vllm-omni" else (0, 0))


@every_service
def test_a_key_is_in_no_trace_even_where_the_service_repeats_it(name: str, certificate: Path, tmp_path: Path) -> None:
    service = SERVICES[name]
    with serving(name, certificate, after(service.begins, service.errs, stays)) as agent:
        trace = together(agent, SilentUser(), 6)
    told = [note.text for _, note in trace.events(PeerNote)]
    assert any("API key provided: (key)" in text for text in told) or name == "gemini-live", "it has no event for errors"
    assert KEY not in repr(trace) + json.dumps(dict(agent.spec()))
    assert KEY.encode() not in save_trace(trace, tmp_path / "t.sqlite").read_bytes()
    assert "(key)" in repr(trace)


@every_service
def test_a_refusal_that_repeats_the_key_is_told_without_it(name: str, certificate: Path) -> None:
    def refuses(connection: ServerConnection) -> None:
        if name in ("openai-live", "vllm-omni"):
            connection.recv()
        connection.close(1008, ECHO)

    with serving(name, certificate, refuses) as agent, pytest.raises(PeerError) as raised:
        together(agent, SilentUser(), 1)
    assert KEY not in str(raised.value)
    assert "(key)" in str(raised.value)


@every_service
@pytest.mark.parametrize("secret", ["://ann:SECRET@host", "://host/v1?key=SECRET", "://host/v1#SECRET"], ids=["user", "query", "fragment"])
def test_an_address_that_holds_a_key_is_refused_without_repeating_it(name: str, secret: str) -> None:
    scheme = SERVICES[name].url.partition(":")[0]
    with pytest.raises(InputError, match=r"would stand in every trace; give .*, and a key in the environment") as refused:
        adapted(name, f"url={scheme}{secret}")
    assert "SECRET" not in str(refused.value)


@every_service
def test_a_server_that_reads_no_more_holds_nothing_up_and_the_oldest_is_thrown_away(name: str, certificate: Path) -> None:
    def sent_within(link: Link, seconds: float) -> bool:
        for _ in range(round(100 * seconds)):
            if not link._out:
                return True
            pause(0.01)
        return False

    reads_on = threading.Event()
    noise = np.random.default_rng(0).normal(0.0, 0.2, 10 * RATE).astype(np.float32)
    patient = "stall_s=120" if name in ("moshi", "vllm-omni") else ""  # it says nothing either, which is another way to be lost
    act = after(SERVICES[name].begins, lambda c: reads_on.wait(PATIENCE_S), stays)
    with serving(name, certificate, act, more=patient) as agent:
        state = agent.start(ClockSpec(), 0)  # which keeps the connection
        link = state.link
        assert any(not (link.say(Saying(noise, "")) or sent_within(link, STUCK_S)) for _ in range(200)), "sockets hold only so much"
        assert link.skipped == 0
        for _ in range(link.spec.waiting + 3):
            link.say(Saying(noise, ""))  # never waits
        assert link.skipped >= 3 * len(noise)
        reads_on.set()
        assert sent_within(link, PATIENCE_S), "what was kept is sent once it reads again"
        link.close()
