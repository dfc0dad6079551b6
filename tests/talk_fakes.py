"""A live runtime that only speaks the protocol: it echoes the user, says what a script says, and keeps all it was sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from widgets.client import style_sheet
from widgets.sockets import SocketCarrier

TICK_SAMPLES, TICK_S = 3200, 0.2
PLAIN = "{ echoCancellation: false, noiseSuppression: false, autoGainControl: false }"
USER, HEARD, AGENT = (0, 114, 178), (0, 158, 115), (213, 94, 0)  # of the light theme
INKED = """(canvas, inks) => {  // how many pixels of the live timeline have each of these colours
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), found = inks.map(() => 0);
  for (let at = 0; at < data.length; at += 4) inks.forEach((ink, i) => { found[i] += ink.every((value, j) => data[at + j] === value); });
  return found;
}"""
FAKE_MICROPHONE = ("--use-fake-device-for-media-stream",)
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Talk</title><link rel="icon" href="data:,"><link rel="stylesheet" href="talk.css">
<style>body { margin: 0; padding: 14px; background: light-dark(#fff, #0d1014); color-scheme: light dark; }</style></head>
<body><div id="root"></div><script type="module">
import * as client from "./talk.js";
window.client = client;
window.ready = true;
</script></body></html>"""


def decision(p_speak: float, said: str = "", *, threshold: float = 0.5, floor: str = "listen", gates: Sequence[Any] = ()) -> dict[str, Any]:
    """A decision record as the protocol carries it."""
    top = [[said or "one", round(p_speak, 3)], ["", round(1 - p_speak, 3)]]
    return {"floor": floor, "p_speak": p_speak, "p_yield": 0.1, "threshold": threshold, "p_user": 0.3, "top": top, "gates": list(gates)}


def outline(samples: np.ndarray) -> list[int]:
    """Ten pairs of lowest and highest, in -127 to 127."""
    parts = samples.reshape(10, -1) // 256
    return np.stack([parts.min(1).clip(-127, 0), parts.max(1).clip(0, 127)], axis=1).ravel().tolist()


class FakeRuntime:
    """Ticks by the wall clock once consent was given. `script(tick)` adds to a tick's message; `voice(tick)` is the agent's sound.

    Without a voice the agent echoes what it heard a tick ago. `heard` is every message that was fed, `said` every message sent.
    """

    def __init__(self, script: Callable[[int], Mapping[str, Any]] | None = None, voice: Callable[[int], np.ndarray] | None = None) -> None:
        self.script, self.voice = script, voice
        self.session = "s1"
        self.lanes: list[str] = []
        self.dials: list[dict[str, Any]] = []
        self.heard: list[tuple[dict[str, Any], list[bytes]]] = []
        self.said: list[dict[str, Any]] = []
        self.closed = threading.Event()
        self.silent = threading.Event()
        self.gone = threading.Event()
        self._listeners: list[Callable[[Mapping[str, Any], Sequence[bytes]], None]] = []
        self._replaced: Callable[[], object] = lambda: None
        self._ticking: threading.Thread | None = None
        self._samples = np.zeros(0, np.int16)

    def subscribe(
        self, callback: Callable[[Mapping[str, Any], Sequence[bytes]], None], replaced: Callable[[], object] = lambda: None
    ) -> Callable[[], None]:
        if self._listeners:
            self._replaced()
        self._listeners, self._replaced = [callback], replaced
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def away(self) -> None:
        self.gone.set()

    def feed(self, message: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        self.heard.append((dict(message), list(buffers)))
        match message["t"]:
            case "hello":
                kept = {"user.audio": "full", "user.camera": "features"}
                about = {"lanes": self.lanes, "dials": self.dials, "agent": "echo", "kept": kept, "tick_ms": 200, "rate": 16_000}
                self.say({"t": "welcome", "session": self.session, "token": "again", **about})
            case "consent" if message["given"] and self._ticking is None:
                self._ticking = threading.Thread(target=self._run, daemon=True)
                self._ticking.start()
            case "audio":
                self._samples = np.concatenate([self._samples, np.frombuffer(buffers[0], np.int16)])
            case "stop":
                self.say({"t": "end", "reason": "stopped", "text": "You stopped the session.", "trace": "talk-1.sqlite"})
                self.close()

    def say(self, message: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        self.said.append(message)
        if not self.silent.is_set():
            for listener in list(self._listeners):
                listener(message, buffers)

    def close(self) -> None:
        self.closed.set()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type that were fed."""
        return [message for message, _ in self.heard if message["t"] == kind]

    def captured(self) -> np.ndarray:
        """Every microphone sample so far, in the order it came."""
        return self._samples.copy()

    def _run(self) -> None:
        begun = time.monotonic()
        tick = 0
        while not self.closed.wait(max(0.0, begun + (tick + 1) * TICK_S - time.monotonic())):
            heard = self._samples[tick * TICK_SAMPLES : (tick + 1) * TICK_SAMPLES]
            heard = np.pad(heard, (0, TICK_SAMPLES - len(heard)))
            voice = self.voice(tick).astype(np.int16) if self.voice else heard
            message: dict[str, Any] = {
                "t": "tick", "tick": tick, "at_s": tick * TICK_S, "said": "", "words": [], "decision": decision(0.1), "events": [],
                "cost_ms": 24.0, "late_ms": 0.0, "lost": 0, "position": tick * TICK_SAMPLES,
                "user": outline(heard), "agent": outline(voice),
            }  # fmt: skip
            self.say({**message, **(self.script(tick) if self.script else {})}, [voice.astype("<i2").tobytes()])
            tick += 1


class Pages(ThreadingHTTPServer):
    """Serves the client's modules, its style sheet and one page, on a loopback port."""

    def __init__(self) -> None:
        style = style_sheet()
        widgets = Path(__file__).resolve().parents[1] / "widgets"

        class Handler(SimpleHTTPRequestHandler):
            extensions_map: ClassVar = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

            def do_GET(self) -> None:
                own = {"/": (PAGE, "text/html"), "/talk.css": (style, "text/css")}.get(self.path.split("?")[0])
                if own is None:
                    super().do_GET()
                    return
                body = own[0].encode()
                self.send_response(200)
                self.send_header("Content-Type", f"{own[1]}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(widgets)))
        self.address = f"http://localhost:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


@contextmanager
def visit(browser: Any, pages: Pages, runtime: FakeRuntime, *, options: str = "", agree: bool = True, **context: Any) -> Iterator[Any]:
    """A page with the panel, joined to `runtime`: Start pressed, and agreed until the microphone is open. `page.carrier` serves it."""
    carrier = SocketCarrier(runtime)
    opened = browser.new_context(**{"permissions": ["microphone"], **context})
    page = opened.new_page()
    page.carrier, page.problems = carrier, []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    try:
        page.goto(pages.address)
        page.wait_for_function("window.ready")
        page.evaluate(
            f"""window.talk = client.mount(root, {{ microphone: {PLAIN}, probe: false, {options}
            carrier: () => client.socketCarrier("{carrier.address}", "WebSocket, for a test") }})"""
        )
        page.get_by_role("button", name="Start", exact=True).click()
        if agree:
            page.get_by_role("button", name="Agree").click()
            page.wait_for_function("talk.state === 'talking'")
        yield page
        assert page.problems == []
    finally:
        opened.close()
        carrier.close()
        runtime.close()


def until(condition: Callable[[], bool], page: Any, within_s: float = 20) -> None:
    """Wait for a condition of the runtime while the page lives on."""
    limit = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < limit, "it never came true"
        page.wait_for_timeout(50)
