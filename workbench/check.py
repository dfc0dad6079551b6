"""A conformance check for people who write their own participant.

    print(check_participant(MyAgent()))

Each broken rule gives one message: what was seen, the rule, and the fix. An exception raised inside the participant is not caught: its
traceback is the message.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from workbench.clock import ClockSpec, Tick
from workbench.compare import turn_difference
from workbench.errors import InputError
from workbench.events import Event, TranscriptDelta, from_json, to_json
from workbench.packets import AGENT_TEXT, TRUTH, MicroTurn, Packet, Payload, is_audio, misfit, rng_for
from workbench.report import Report
from workbench.session import Participant, Said, Session

EVENT_TYPES = get_args(Event)
UNTOLD = "ticks with words on agent.text and no transcript.delta, by which words are scored (workbench.agents.Mouth tells them):"


@dataclass
class _Problems:
    """The first message of every broken rule."""

    found: dict[str, str] = field(default_factory=dict)

    def add(self, rule: str, message: str) -> None:
        self.found.setdefault(rule, message)


def check_participant(participant: Participant, clock: ClockSpec | None = None, ticks: int = 50) -> Report:
    """Whether a participant keeps the rules of `workbench.session.Participant`; facts: ticks run, packets and events said.

    It hears made-up packets (bursts of noise, words, pictures) on the streams it asks for. Checked are its shape, its spec, what it says
    (own streams, current tick, payload types and lengths), the JSON round trip of its events, that neither what it heard nor what it said
    is changed afterwards, that the same seed gives the same run, that sessions and forks do not touch each other, and that an unedited fork
    goes on as the session itself. Later groups are checked once the earlier ones hold.
    """
    if ticks < 4:
        raise InputError(f"ticks={ticks}: a check needs at least 4 to fork in the middle; the default is 50")
    clock, problems = clock or ClockSpec(), _Problems()
    facts: dict[str, Any] = {"ticks": ticks}
    _check_shape(participant, problems)
    if not problems.found:
        _check_spec(participant, problems)
        facts |= _check_what_is_said(participant, clock, ticks, problems)
    if not problems.found:
        _check_runs(participant, clock, ticks, problems)
    name = getattr(participant, "name", None)
    return Report(f"{type(participant).__name__} {name!r}", tuple(problems.found.values()), facts)


def shape_problems(participant: Any) -> tuple[str, ...]:
    """What hinders anything from taking part in a session at all, by its attributes and its spec: a message for each rule it breaks."""
    problems = _Problems()
    _check_shape(participant, problems)
    if not problems.found:
        _check_spec(participant, problems)
    return tuple(problems.found.values())


def _check_shape(participant: Participant, problems: _Problems) -> None:
    name = getattr(participant, "name", None)
    if not isinstance(name, str) or not name:
        problems.add("name", f"name is {name!r}; it must be a non-empty str: set `name` on the class")
    for streams in ("speaks", "hears"):
        value = getattr(participant, streams, None)
        if not isinstance(value, tuple) or not all(isinstance(s, str) for s in value):
            problems.add(streams, f'{streams} is {value!r}; it must be a tuple of stream names, e.g. ("agent.audio", "agent.text")')
    for method, use in (("spec", "spec()"), ("start", "start(clock, seed)"), ("step", "step(state, tick, heard)")):
        if not callable(getattr(participant, method, None)):
            problems.add(method, f"{method} is missing; a participant has a method {use}: define it")


def _check_spec(participant: Participant, problems: _Problems) -> None:
    spec: Any = participant.spec()
    try:
        if not isinstance(spec, Mapping):
            raise TypeError(f"{type(spec).__name__} is no mapping")
        back = json.loads(json.dumps(dict(spec)))
    except (TypeError, ValueError) as error:
        problems.add("spec", f"spec() is not JSON ({error}); a trace stores it to rebuild the run: return numbers, text, lists, mappings")
        return
    if not any(key in back for key in ("class", "kind")):
        problems.add("spec kind", f"spec() {back!r} does not say what it describes; add a 'class' or 'kind' entry")


def _check_what_is_said(participant: Participant, clock: ClockSpec, ticks: int, problems: _Problems) -> dict[str, int]:
    """Step by hand on made-up packets and look at every `Said`; how many packets and events came."""
    state = participant.start(clock, 1)
    packets = events = untold = 0
    heard_arrays, said_arrays = _Arrays(), _Arrays()
    for tick in range(ticks):
        heard = _heard(participant.hears, clock, tick, 1)
        heard_arrays.keep(heard.packets)
        result: Any = participant.step(state, Tick(tick), heard)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Said):
            problems.add("step", f"step() gave {type(result).__name__} at tick {tick}; it must return (Said, state)")
            break
        said, state = result
        said_arrays.keep(said.packets)
        _check_packets(participant, said, tick, clock, problems)
        _check_events(said, tick, problems)
        packets, events = packets + len(said.packets), events + len(said.events)
        untold += any(packet.stream == AGENT_TEXT for packet in said.packets) and not any(map(_tells_a_word, said.events))
    if changed := heard_arrays.changed():
        others = "all who hear it and the trace hold the same array"
        problems.add("heard", f"what it heard on {_place(changed)} was changed in place; {others}: work on a .copy()")
    if changed := said_arrays.changed():
        rule = "a trace keeps the array that was said, not a copy"
        problems.add("said", f"what it said on {_place(changed)} was changed later; {rule}: say a new array in every tick")
    told = {"packets": packets, "events": events}
    return told | ({UNTOLD: untold} if untold else {})


def _tells_a_word(event: object) -> bool:
    return isinstance(event, TranscriptDelta) and event.side == "model"


@dataclass
class _Arrays:
    """The arrays of packets, each with a copy of what it held at first."""

    kept: list[tuple[Packet, np.ndarray[Any, Any], bytes]] = field(default_factory=list)

    def keep(self, packets: Iterable[Packet]) -> None:
        arrays = ((packet, packet.payload) for packet in packets)
        self.kept += [(packet, array, array.tobytes()) for packet, array in arrays if isinstance(array, np.ndarray)]

    def changed(self) -> Packet | None:
        """The first packet whose array holds something else now."""
        return next((packet for packet, array, before in self.kept if array.tobytes() != before), None)


def _place(packet: Packet) -> str:
    return f"{packet.stream!r} in tick {packet.tick}"


def _check_packets(participant: Participant, said: Said, tick: int, clock: ClockSpec, problems: _Problems) -> None:
    streams = [packet.stream for packet in said.packets]
    for packet in said.packets:
        if packet.stream not in participant.speaks:
            message = f"a packet on {packet.stream!r} at tick {tick}; it may speak on {participant.speaks}: add the stream to `speaks`"
            problems.add("stream", message)
        if packet.tick != tick:
            problems.add("tick", f"a packet for tick {packet.tick} during tick {tick}; packets are for the current tick: use `tick`")
        if streams.count(packet.stream) > 1:
            problems.add("once", f"{packet.stream!r} carried several packets in tick {tick}; a stream carries one per tick: join them")
        wrong = _wrong_payload(packet, clock)
        if wrong:
            problems.add(f"payload {packet.stream}", f"{packet.stream!r} carried {wrong} (tick {tick})")


def _wrong_payload(packet: Packet, clock: ClockSpec) -> str | None:
    payload: Any = packet.payload
    wrong = misfit(packet.stream, payload, clock.samples_per_tick)
    if not wrong and is_audio(packet.stream) and (not np.isfinite(payload).all() or np.abs(payload).max(initial=0) > 1):
        return "samples that are not finite or beyond full scale; audio lies in -1 to 1: clip it"
    return wrong or None


def _check_events(said: Said, tick: int, problems: _Problems) -> None:
    events: tuple[Any, ...] = said.events
    for event in events:
        if not isinstance(event, EVENT_TYPES):
            message = f"{type(event).__name__} among the events of tick {tick}; use the classes of workbench.events"
            problems.add("event type", f"{message} (Unknown for a kind of your own)")
            continue
        try:
            same = from_json(json.loads(json.dumps(to_json(event)))) == event
        except (TypeError, ValueError) as error:
            problems.add(f"json {event.kind}", f"event {event.kind!r} of tick {tick} is not JSON ({error}); use plain numbers and text")
            continue
        if not same:
            message = f"event {event.kind!r} of tick {tick} comes back from JSON changed; use tuples for lists and str for keys: {event!r}"
            problems.add(f"json {event.kind}", message)


def _check_runs(participant: Participant, clock: ClockSpec, ticks: int, problems: _Problems) -> None:
    """The same seed gives the same run: alone, again, beside another session, after a fork has gone its own way, and in a fork."""
    alone = _run(participant, clock, ticks)
    again = _run(participant, clock, ticks)
    if problem := _differ(alone, again):
        problems.add("determinism", f"two runs with seed 1 differ: {problem}. Draw randomness from rng_for(seed, tick, stream) only")
        return
    one, other = _session(participant, clock, 1), _session(participant, clock, 2)
    beside = []
    for _ in range(ticks):
        beside.append(one.step())
        other.step()
    if problem := _differ(alone, beside):
        problems.add("sessions", f"a second session changes the first: {problem}. Keep what changes in the state, not on self")
        return
    session = _session(participant, clock, 1)
    forked = [session.step() for _ in range(ticks // 2)]
    fork = session.fork()
    for _ in range(ticks - ticks // 2):
        fork.step(instead={_Feeder.name: Said(_other_packets(participant, clock, fork.tick))})
        forked.append(session.step())
    if problem := _differ(alone, forked):
        problems.add(
            "fork", f"a fork changes the session it came from: {problem}. Give the state a clone() that copies what step() changes"
        )
        return
    session = _session(participant, clock, 1)
    before = [session.step() for _ in range(ticks // 2)]
    fork = session.fork()
    if problem := _differ(alone, before + [fork.step() for _ in range(ticks - ticks // 2)]):
        rule = "an unedited fork goes on as the session itself would"
        problems.add("copy", f"a fork forgets its past: {problem}. Give the state a clone() that copies all of it; {rule}")


def _run(participant: Participant, clock: ClockSpec, ticks: int) -> list[MicroTurn]:
    session = _session(participant, clock, 1)
    return [session.step() for _ in range(ticks)]


def _differ(one: list[MicroTurn], two: list[MicroTurn]) -> str:
    for a, b in zip(one, two, strict=True):
        found = turn_difference(a, b, exact=True)
        if found:
            return str(found)
    return ""


@dataclass(frozen=True)
class _Feeder:
    """Says made-up packets on the streams that the checked participant hears."""

    speaks: tuple[str, ...]
    name = "feeder of the check"
    hears: tuple[str, ...] = ()

    def spec(self) -> Mapping[str, Any]:
        return {"class": "_Feeder"}

    def start(self, clock: ClockSpec, seed: int) -> tuple[ClockSpec, int]:
        return clock, seed

    def step(self, state: tuple[ClockSpec, int], tick: Tick, heard: MicroTurn) -> tuple[Said, tuple[ClockSpec, int]]:
        clock, seed = state
        return Said(_made_up(self.speaks, clock, tick, seed)), state


def _session(participant: Participant, clock: ClockSpec, seed: int) -> Session:
    fed = tuple(stream for stream in participant.hears if stream not in participant.speaks)
    return Session.start([_Feeder(fed), participant], clock=clock, seed=seed)


def _other_packets(participant: Participant, clock: ClockSpec, tick: int) -> tuple[Packet, ...]:
    return _made_up(tuple(s for s in participant.hears if s not in participant.speaks), clock, tick, 4)


def _heard(streams: tuple[str, ...], clock: ClockSpec, tick: int, seed: int) -> MicroTurn:
    return MicroTurn(Tick(tick - 1), _made_up(streams, clock, tick - 1, seed) if tick else ())


def _made_up(streams: tuple[str, ...], clock: ClockSpec, tick: int, seed: int) -> tuple[Packet, ...]:
    """What someone might say in one tick: bursts of noise with silence between, now and then a word or a picture."""
    packets = []
    for stream in streams:
        rng = rng_for(seed, tick, stream)
        payload = _made_up_payload(stream.rpartition(".")[2], clock, tick, rng) if stream != TRUTH else None
        if payload is not None:
            packets.append(Packet(stream, Tick(tick), payload))
    return tuple(packets)


def _made_up_payload(kind: str, clock: ClockSpec, tick: int, rng: np.random.Generator) -> Payload | None:
    if kind == "audio":
        level = 0.2 if tick // 5 % 2 else 0.0
        return (level * rng.uniform(-1, 1, clock.samples_per_tick)).astype(np.float32)
    if kind == "camera":
        return rng.integers(0, 256, (2, 48, 64, 3), np.uint8)
    return str(rng.choice(["one", "two", "stop"])) if tick % 7 == 3 else None
