"""The official OpenAI client, unmodified, in two-minute Live sessions with `microturn serve` and the shipped model, several at once.

    python benchmarks/serve_session.py --sessions 1 --sessions 4 --seconds 120

Each session has a voice of its own that asks for sums, has the model count and stops it, and asks for something that is delegated: the
application answers three seconds later. Printed are what was said, how long after the user's last word the answer's sound came and how long
the voice went on after "stop", both as the client has it, and from the traces how many ticks were late.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from openai import OpenAI
from websockets.exceptions import ConnectionClosed

from workbench.events import DeadlineMissed, ModelYielded, TickCost
from workbench.speech import pick_voice, speaker
from workbench.store import read_trace, verify

RATE = 16_000
PIECE_S = 0.1
ROOT = Path(__file__).resolve().parents[1]
LINES = (  # when, what is said, and what it is
    (3.0, "what is two plus three", "sum"),
    (10.0, "count to twenty", "count"),
    (17.0, "stop", "stop"),
    (33.0, "can you look up anna", "delegated"),
    (45.0, "how much is seven plus one", "sum"),
    (60.0, "count to ten", "count"),
    (64.5, "stop", "stop"),
    (75.0, "what is four plus nine", "sum"),
    (95.0, "how much is six plus six", "sum"),
)
ANSWER, ANSWER_AFTER_S = "twelve", 3.0


@dataclass
class Client:
    """One session of the official client: what it sends, and what has come, each event with its second."""

    address: str
    seed: int
    seconds: float
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    ends: list[tuple[float, float, str]] = field(default_factory=list)  # of every line: begin, end, what it is
    problem: str = ""
    _began_s: float = 0.0

    def run(self) -> None:
        """The whole session."""
        sound = self._sound()
        asked: Any = {"model": "nano", "store": True, "audio": {"format": {"type": "audio/pcm", "rate": RATE}}}
        client = OpenAI(base_url=self.address, api_key="none")
        try:
            with client.live.connect() as connection:
                connection.session.start(session=asked)
                assert connection.recv().type == "session.started"
                self._began_s = time.perf_counter()
                listener = threading.Thread(target=self._listen, args=(connection,), daemon=True)
                listener.start()
                size = round(PIECE_S * RATE)
                for number, at in enumerate(range(0, len(sound), size)):
                    time.sleep(max(0.0, self._began_s + number * PIECE_S - time.perf_counter()))
                    data = sound[at : at + size].tobytes()
                    connection.session.input_audio.append(audio=base64.b64encode(data).decode())
                connection.session.close()
                listener.join(30)
        except Exception as error:  # noqa: BLE001 (a session that breaks is a result)
            self.problem = f"{type(error).__name__}: {error}"

    def _sound(self) -> np.ndarray:
        voice = speaker(pick_voice("unseen", self.seed))
        sound = np.zeros(round(self.seconds * RATE), np.float32)
        for at_s, text, what in LINES:
            if at_s + 4 < self.seconds:
                spoken = voice.say([text]).samples
                begin = round(at_s * RATE)
                sound[begin : begin + len(spoken)] += spoken
                self.ends.append((at_s, at_s + len(spoken) / RATE, what))
        sound += np.random.default_rng(self.seed).normal(0, 1e-3, len(sound)).astype(np.float32)
        return (np.clip(sound, -1, 1) * 32_767).astype("<i2")

    def _listen(self, connection: Any) -> None:
        try:
            while True:
                event = json.loads(connection.recv_bytes())
                self.events.append((time.perf_counter() - self._began_s, event))
                if event["type"] == "session.delegation.created":
                    ident = event["delegation"]["id"]
                    threading.Timer(
                        ANSWER_AFTER_S, connection.session.commentary.append, kwargs={"content": ANSWER, "delegation_id": ident}
                    ).start()
        except ConnectionClosed:
            pass

    # --- what came of it ---

    def words(self, side: str) -> str:
        return "".join(event["delta"] for _, event in self.events if event["type"] == f"session.{side}_transcript.delta")

    def sounding(self) -> list[tuple[float, bool]]:
        """When sound came, and whether it was audible."""
        deltas = [(at_s, event["delta"]) for at_s, event in self.events if event["type"] == "session.output_audio.delta"]
        return [(at_s, bool(np.abs(np.frombuffer(base64.b64decode(data), "<i2")).max(initial=0) > 300)) for at_s, data in deltas]

    def after(self, what: str, until_s: float = 6.0) -> list[float]:
        """For every line of a kind: seconds from its end to the first sound; for "stop", from its beginning to the last of the voice."""
        sounds = [at_s for at_s, audible in self.sounding() if audible]
        found = []
        for begin_s, end_s, kind in self.ends:
            if kind != what:
                continue
            if what == "stop":
                last = begin_s
                for at_s in (s for s in sounds if s >= begin_s - 0.2):
                    if at_s - last > 1.0:
                        break
                    last = max(last, at_s)
                found.append(last - begin_s)
            else:
                first = next((at_s for at_s in sounds if at_s > end_s - 0.1), None)
                if first is not None and first - end_s < until_s:
                    found.append(first - end_s)
        return found


@contextmanager
def server(out: Path) -> Iterator[tuple[str, int]]:
    """The address of `microturn serve` in a process of its own, and the process."""
    code = "from workbench.cli import main; main()"
    command = [sys.executable, "-u", "-c", code, "serve", "--port", "0", "--out", str(out), "--ask-at", "anna,hey", "--sessions", "8"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("serving ").strip(), process.pid
        process.terminate()


def cpu_s(process: int) -> float:
    """CPU seconds that a process has taken (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shown(client: Client) -> None:
    kinds: dict[str, int] = {}
    for _, event in client.events:
        kinds[event["type"]] = kinds.get(event["type"], 0) + 1
    closed = next((event for _, event in client.events if event["type"] == "session.closed"), None)
    print(f"  session of voice {client.seed}: {client.problem or (closed or {}).get('reason', 'not closed')}")
    print(f"    heard: {client.words('input')}")
    print(f"    said:  {client.words('output')}")
    times = {what: ", ".join(f"{s:.2f}" for s in client.after(what)) for what in ("sum", "count", "stop")}
    print(f"    first sound after a sum {times['sum']} s, after 'count' {times['count']} s; voice after 'stop' began {times['stop']} s")
    print(f"    events: {', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}")


def traced(out: Path) -> None:
    for path in sorted(out.glob("*.sqlite")):
        trace = read_trace(path)
        costs = sorted(sum(event.stages_ms.values()) for _, event in trace.events(TickCost))
        late, yields = sum(1 for _ in trace.events(DeadlineMissed)), sum(1 for _ in trace.events(ModelYielded))
        print(
            f"  trace of {trace.duration_s:.0f} s, verifies {verify(path).ok}, {yields} yields, {late} of {len(trace)} ticks late, "
            f"model {costs[len(costs) // 2]:.0f} ms a tick, 95 % within {costs[len(costs) * 95 // 100]:.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, action="append", help="sessions at once; repeat for more runs")
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    for count in options.sessions or [1, 4]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "traces"
            with server(out) as (address, process):
                before_s = cpu_s(process)
                clients = [Client(address, seed, options.seconds) for seed in range(count)]
                threads = [threading.Thread(target=client.run) for client in clients]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                spent = (cpu_s(process) - before_s) / (count * options.seconds)
            print(f"{count} at once, {options.seconds:g} s each; the server took {spent:.3f} s of CPU for a second of a session")
            for client in clients:
                shown(client)
            traced(out)


if __name__ == "__main__":
    main()
