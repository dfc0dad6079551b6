"""A chat model as the language step of the pipeline: what it answers to each utterance, how long that took, and the plan made of it.

A question is worked on in a thread (`background/threads.py`) by the client of `background/chat.py`, with its time-outs, retries, budget and
key from the environment; the tick loop takes what has come. Every part says how long after the one before it came, by the wall clock, and
is taken up in the tick in which that time is over. A live session is as fast as the wall clock anyway; a simulated one is held back to it
while a question is open, so that the latency in its trace is the server's and not zero.

Each part is an event (`background.arrived`, its task named "language …"), from which a replay takes it: the server is not asked again, and
what a changed session asks otherwise stays without an answer.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from workbench.background.backends import CHAT, LANGUAGE, Arrival, Backend, Recorded, Run
from workbench.background.chat import Budget, ChatAgent, ChatSpec
from workbench.background.parts import LAST, Answer, BackgroundAgent, Envelope, Part, Partial, Stop, part_json
from workbench.background.threads import Threads
from workbench.background.wiring import KEY
from workbench.clock import ClockSpec, StopWatch, Tick, pause
from workbench.errors import InputError
from workbench.events import Event
from workbench.events_background import BackgroundArrived
from workbench.scenarios.world import MAX_NUMBER, numbers_joined, spoken_number

Line: TypeAlias = tuple[str, str]  # role of the protocol, and words
TimedWords: TypeAlias = tuple[tuple[float, str], ...]  # seconds to wait before it, and the word

GO_ON, END, FAILED = "-", ".", "sorry"
MOST_LINES = 40  # of the conversation that the model is given
MOST_WORDS = 80  # of one reply
MOST_AT_ONCE = 50  # parts that are taken up in one tick
LONGEST_WAIT_S = 120.0
LOOK_S = 0.005  # between two looks at what has come, while a simulated session waits
INSTRUCTIONS = (
    "You are the voice in a spoken conversation. What the user says comes from a speech recogniser and may hold errors. Answer with the "
    "words to be spoken and nothing else: as few as will do, numbers as words, no lists, no markup. Where time is asked for, write the "
    "seconds to wait before a word in square brackets: [5] now. Count with [0.6] before each number. Where nothing is asked of you (a "
    "murmur such as mhm, talk to somebody else, a sentence that is not finished), answer with a single dash: - Where you are told to stop, "
    "answer with a single full stop: . Never tell passwords or codes: say sorry."
)
_TOKEN = re.compile(r"\[\s*(\d+(?:\.\d+)?)\s*s?\s*\]|([^\s\[\]]+)")


def chat_settings(text: str) -> ChatSpec:
    """The server and model of "chat:URL#MODEL". Raises InputError for anything else, and for an address with a password or a key in it."""
    url, _, model = text.removeprefix(CHAT).partition("#")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InputError(f"language={text}: {url!r} is no address ({error})") from None
    if not text.startswith(CHAT) or not model:
        raise InputError(f"language={text}: write rules, or chat:URL#MODEL, e.g. chat:http://127.0.0.1:8000/v1#tiny")
    if "@" in parts.netloc or parts.query:
        raise InputError(f"language=chat:…#{model}: an address stands in every trace, so no key belongs in it; put the key in {KEY}")
    return ChatSpec(
        url=url,
        model=model,
        instructions=INSTRUCTIONS,
        connect_s=5.0,
        stall_s=10.0,
        total_s=20.0,
        retries=1,
        backoff_s=0.3,
        rounds=1,
        max_tokens=200,
    )


def chat_backend(settings: ChatSpec) -> Backend:
    """Asks that server, in threads, with a budget and the key that the environment has now."""
    return Threads(Timed(ChatAgent(settings, budget=Budget(), key=os.environ.get(KEY, ""))), workers=4)


@dataclass(frozen=True)
class Timed:
    """An agent whose parts tell how long after the part before they came, or after it was asked (s, wall clock)."""

    agent: BackgroundAgent
    name: str = "timed"

    def spec(self) -> Mapping[str, Any]:
        return self.agent.spec()

    def work(self, envelope: Envelope, stop: Stop) -> Iterator[Part]:
        watch = StopWatch()
        for part in self.agent.work(envelope, stop):
            yield replace(part, after_s=round(watch.lap_ms() / 1000, 3))


def with_line(lines: tuple[Line, ...], role: str, words: Sequence[str]) -> tuple[Line, ...]:
    """The conversation with these words of a role, joined to what it said last if nobody spoke since; the newest lines only."""
    text = " ".join(words)
    if not text:
        return lines
    if lines and lines[-1][0] == role:
        return (*lines[:-1], (role, f"{lines[-1][1]} {text}"))
    return (*lines, (role, text))[-MOST_LINES:]


def messages(lines: Sequence[Line], instructions: str = INSTRUCTIONS) -> list[dict[str, Any]]:
    """The conversation as the protocol has it."""
    return [{"role": "system", "content": instructions}, *({"role": role, "content": text} for role, text in lines)]


@dataclass(frozen=True)
class Reply:
    """What a part of an answer comes to: words, each with the seconds of waiting asked for before it; whether the reply is over.

    `asked`: whether the utterance was for the agent at all. `ends`: whether what it was saying ends.
    """

    words: TimedWords = ()
    over: bool = False
    asked: bool = True
    ends: bool = False


def timed_words(text: str) -> TimedWords:
    """The words of a reply as they are spoken, each after so many seconds of waiting: "[5] Now!" gives ((5.0, "now"),)."""
    found: list[tuple[float, str]] = []
    wait_s = 0.0
    for seconds, word in _TOKEN.findall(text):
        if seconds:
            wait_s = min(wait_s + float(seconds), LONGEST_WAIT_S)
            continue
        for spoken in _spoken(word):
            found.append((wait_s, spoken))
            wait_s = 0.0
    return tuple(_joined(found)[:MOST_WORDS])


def _spoken(word: str) -> list[str]:
    plain = re.sub(r"[^\w'’-]", "", word.lower()).strip("-_'’")
    small = plain.isascii() and plain.isdigit() and int(plain) <= MAX_NUMBER
    return (spoken_number(int(plain)) if small else plain).split()


def _joined(words: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """With numbers of two words as one, as the voice says them."""
    found: list[tuple[float, str]] = []
    for wait_s, word in words:
        both = numbers_joined([found[-1][1], word]) if found and not wait_s else []
        if len(both) == 1:
            found[-1] = (found[-1][0], both[0])
        else:
            found.append((wait_s, word))
    return found


@dataclass
class Asking:
    """The questions of one session, one open at a time; a new one calls off the one before. Changed in place; `clone` is for forks."""

    run: Run
    clock: ClockSpec
    recorded: bool
    instructions: str = INSTRUCTIONS
    task: str = ""  # the open question
    since: int = 0  # tick in which it was asked
    elapsed_s: float = 0.0  # since that tick began, by the wall clock
    come_s: float = 0.0  # when the newest part came, on the same clock
    begun: bool = False  # whether some of the answer was given already
    waiting: list[tuple[float, Arrival]] = field(default_factory=list)
    watch: StopWatch = field(default_factory=StopWatch)
    sleep: Callable[[float], None] = pause

    def clone(self) -> Asking:
        return replace(self, run=self.run.clone(), waiting=list(self.waiting), watch=StopWatch())

    def ask(self, tick: Tick, lines: Sequence[Line], spent_s: float) -> None:
        """Ask for an answer to this conversation, `spent_s` after the tick has begun."""
        self.call_off(tick)
        text = "\n".join(words for _, words in lines)
        self.task, self.since, self.begun = f"{LANGUAGE}{tick}-{zlib.crc32(text.encode()):08x}", tick, False
        self.elapsed_s = self.come_s = spent_s
        self.watch.lap_ms()
        at_s = self.clock.seconds(tick)
        resume = {"messages": messages(lines, self.instructions)}
        ask = lines[-1][1] if lines else ""
        envelope = Envelope(session="", task=self.task, run=1, origin_tick=tick, origin_s=at_s, ask=ask, resume=resume)
        self.run.submit(tick, envelope)

    def call_off(self, tick: Tick) -> None:
        """Nothing more of the open question is wanted."""
        if self.task:
            self.run.cancel(tick, self.task, 1)
        self.task = ""

    def hear(self, tick: Tick) -> tuple[list[Reply], list[Event]]:
        """What of the answer has come by this tick, and what is to be recorded of it."""
        replies, events = list[Reply](), list[Event]()
        for arrival in self._due(tick):
            events.append(BackgroundArrived(task=arrival.task, run=arrival.run, part=part_json(arrival.part)))
            if arrival.task == self.task:
                reply = _reply(arrival.part, self.begun)
                self.begun = self.begun or bool(reply.words)
                self.task = "" if reply.over else self.task
                replies.append(reply)
        return replies, events

    def _due(self, tick: Tick) -> list[Arrival]:
        """What is to be taken up now. While a question of a simulated session is open, waits until the wall clock is there as well."""
        if self.recorded:
            return self.run.collect(tick, MOST_AT_ONCE)
        now_s = (tick - self.since) * self.clock.tick_s
        self._collect(tick)
        if self.elapsed_s < now_s - self.clock.tick_s / 2:  # a live session is never so far ahead
            while self.task and not self._ended() and self.elapsed_s < now_s:
                self.sleep(LOOK_S)
                self._collect(tick)
        due = [item for item in self.waiting if item[0] <= now_s + 1e-9 or item[1].task != self.task]
        self.waiting = [item for item in self.waiting if item not in due]
        return [arrival for _, arrival in due]

    def _collect(self, tick: Tick) -> None:
        self.elapsed_s += self.watch.lap_ms() / 1000
        for arrival in self.run.collect(tick, MOST_AT_ONCE):
            self.come_s += arrival.part.after_s if arrival.task == self.task else 0.0
            self.waiting.append((self.come_s, arrival))

    def _ended(self) -> bool:
        return any(arrival.task == self.task and isinstance(arrival.part, LAST) for _, arrival in self.waiting)


def _reply(part: Part, begun: bool) -> Reply:
    """What a part of an answer comes to; `begun` tells that some of it was given before."""
    match part:
        case Partial(text=text):
            return Reply(timed_words(text))
        case Answer(text=text, say=say):
            if not begun and text.strip() in (GO_ON, END):
                return Reply(over=True, asked=text.strip() == END, ends=text.strip() == END)
            return Reply(timed_words(say if begun else text), over=True)
        case _:
            return Reply(() if begun else ((0.0, FAILED),), over=True)


def asking(backend: Backend, clock: ClockSpec, seed: int) -> Asking:
    """The questions of a session that begins."""
    return Asking(backend.start(clock, seed), clock, isinstance(backend, Recorded))
