"""`check_participant` passes what keeps the rules and names every rule that is broken."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.workbench_fakes import SMALL, agent, user
from workbench.check import check_participant, shape_problems
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import Decision, Event, TranscriptDelta, Unknown
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, MicroTurn, Packet
from workbench.session import Said


class Good:
    """Answers every loud tick with a quiet one; the base from which the broken ones are made."""

    name = "agent"
    speaks = (AGENT_AUDIO, AGENT_TEXT)
    hears = (USER_AUDIO,)

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Good"}

    def start(self, clock: ClockSpec, seed: int) -> Any:
        return {"clock": clock, "loud": 0}

    def step(self, state: Any, tick: Tick, heard: MicroTurn) -> Any:
        size = state["clock"].samples_per_tick
        state["loud"] += bool(np.abs(heard.audio(USER_AUDIO, size)).max() > 0.01)
        return Said(self.packets(tick, size, state["loud"]), self.events(tick)), state

    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_AUDIO, Tick(tick), np.full(size, min(1.0, loud / 100), np.float32)),)

    def events(self, tick: int) -> tuple[Event, ...]:
        return (Decision(floor="idle", said="", p_speak=0.1, p_yield=0.0, p_backchannel=0.0, threshold=0.5),)


class NoName(Good):
    name = ""


class ListOfStreams(Good):
    speaks = [AGENT_AUDIO]  # type: ignore[assignment]  # noqa: RUF012


class NoStep(Good):
    step = None  # type: ignore[assignment]


class SpecWithAnObject(Good):
    def spec(self) -> Mapping[str, Any]:
        return {"class": "Good", "voice": object()}


class SpecWithoutClass(Good):
    def spec(self) -> Mapping[str, Any]:
        return {"size": 3}


class ForgetsState(Good):
    def step(self, state: Any, tick: Tick, heard: MicroTurn) -> Any:
        return super().step(state, tick, heard)[0]


class ForeignStream(Good):
    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(USER_AUDIO, Tick(tick), np.zeros(size, np.float32)),)


class WrongTick(Good):
    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_TEXT, Tick(tick + 1), "soon"),)


class Twice(Good):
    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_TEXT, Tick(tick), "one"), Packet(AGENT_TEXT, Tick(tick), "two"))


class Float64(Good):
    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_AUDIO, Tick(tick), np.zeros(size)),)  # type: ignore[arg-type]


class TooShort(Good):
    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_AUDIO, Tick(tick), np.zeros(size - 1, np.float32)),)


class TooLoud(Good):
    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_AUDIO, Tick(tick), np.full(size, 1.5, np.float32)),)


class TextAsBytes(Good):
    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_TEXT, Tick(tick), b"hello"),)  # type: ignore[arg-type]


class EventWithObject(Good):
    def events(self, tick: int) -> tuple[Event, ...]:
        return (Unknown(name="mine", body={"thing": object()}),)


class EventWithTuple(Good):
    def events(self, tick: int) -> tuple[Event, ...]:
        return (Unknown(name="mine", body={"thing": (1, 2)}),)


class ChangesWhatItHears(Good):
    """Silences the user for itself, and so for everybody and for the trace."""

    def step(self, state: Any, tick: Tick, heard: MicroTurn) -> Any:
        sound = heard.get(USER_AUDIO)
        if isinstance(sound, np.ndarray):
            sound *= 0
        return super().step(state, tick, heard)


class ReusesOneBuffer(Good):
    """Says the same array again and again, so every tick of a trace holds the last of it."""

    def start(self, clock: ClockSpec, seed: int) -> Any:
        return np.zeros(clock.samples_per_tick, np.float32)

    def step(self, state: Any, tick: Tick, heard: MicroTurn) -> Any:
        state[:] = heard.audio(USER_AUDIO, len(state)) * 0.5
        return Said((Packet(AGENT_AUDIO, tick, state),)), state


class PicturesWithAlpha(Good):
    speaks = (USER_CAMERA,)

    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(USER_CAMERA, Tick(tick), np.zeros((2, 8, 8, 4), np.uint8)),)


class NoEvent(Good):
    def events(self, tick: int) -> tuple[Event, ...]:
        return ("hello",)  # type: ignore[arg-type]


class Dice(Good):
    """Its numbers go on from one run to the next."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_TEXT, Tick(tick), str(next(self._numbers))),)


class KeepsOnSelf(Good):
    """Counts on itself, from zero at each start: alone it repeats, beside another session it does not."""

    def start(self, clock: ClockSpec, seed: int) -> Any:
        self._count = 0
        return super().start(clock, seed)

    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        self._count += 1
        return (Packet(AGENT_TEXT, Tick(tick), str(self._count)),)


@dataclass
class Shallow:
    """A state whose clone() shares the list that step() changes."""

    clock: ClockSpec
    heard: list[float] = field(default_factory=list)

    def clone(self) -> Shallow:
        return Shallow(self.clock, self.heard)


class SharesWithItsFork(Good):
    def start(self, clock: ClockSpec, seed: int) -> Any:
        return Shallow(clock)

    def step(self, state: Any, tick: Tick, heard: MicroTurn) -> Any:
        state.heard.append(float(heard.audio(USER_AUDIO, 1).sum()))
        return Said((Packet(AGENT_TEXT, tick, f"{sum(state.heard):.6f}"),)), state


@dataclass
class Forgetful:
    """A state whose clone() begins anew."""

    heard: float = 0.0

    def clone(self) -> Forgetful:
        return Forgetful()


class ForkForgets(Good):
    def start(self, clock: ClockSpec, seed: int) -> Any:
        return Forgetful()

    def step(self, state: Any, tick: Tick, heard: MicroTurn) -> Any:
        state.heard += float(heard.audio(USER_AUDIO, 1).sum())
        return Said((Packet(AGENT_TEXT, tick, f"{state.heard:.6f}"),)), state


BROKEN: list[tuple[type, str]] = [
    (NoName, r"name is ''; it must be a non-empty str"),
    (ListOfStreams, r"speaks is \['agent.audio'\]; it must be a tuple of stream names"),
    (NoStep, r"step is missing; a participant has a method step\(state, tick, heard\)"),
    (SpecWithAnObject, r"spec\(\) is not JSON \(Object of type object is not JSON serializable\)"),
    (SpecWithoutClass, r"spec\(\) \{'size': 3\} does not say what it describes; add a 'class' or 'kind' entry"),
    (ForgetsState, r"step\(\) gave Said at tick 0; it must return \(Said, state\)"),
    (ForeignStream, r"a packet on 'user.audio' at tick 0; it may speak on \('agent.audio', 'agent.text'\): add the stream"),
    (WrongTick, r"a packet for tick 1 during tick 0; packets are for the current tick: use `tick`"),
    (Twice, r"'agent.text' carried several packets in tick 0; a stream carries one per tick: join them"),
    (Float64, r"'agent.audio' carried float64 \(200,\); audio is float32 of 200 samples per tick: convert"),
    (TooShort, r"'agent.audio' carried float32 \(199,\); audio is float32 of 200 samples per tick"),
    (TooLoud, r"audio lies in -1 to 1: clip it"),
    (TextAsBytes, r"'agent.text' carried bytes b'hello'; text is str: decode"),
    (PicturesWithAlpha, r"'user.camera' carried uint8 \(2, 8, 8, 4\); frames are uint8 \(frames, height, width, 3\): convert"),
    (EventWithObject, r"event 'unknown' of tick 0 is not JSON .*; use plain numbers and text"),
    (EventWithTuple, r"event 'unknown' of tick 0 comes back from JSON changed"),
    (ChangesWhatItHears, r"what it heard on 'user.audio' in tick \d+ was changed in place; .* and the trace .*: work on a .copy\(\)"),
    (ReusesOneBuffer, r"what it said on 'agent.audio' in tick \d+ was changed later; a trace keeps the array .*: say a new array"),
    (NoEvent, r"str among the events of tick 0; use the classes of workbench.events"),
    (Dice, r"two runs with seed 1 differ: tick 0, agent.text: '50' against '100'. Draw randomness from rng_for"),
    (KeepsOnSelf, r"a second session changes the first: tick 1, agent.text: '2' against '3'. Keep what changes in the state"),
    (SharesWithItsFork, r"a fork changes the session it came from: tick \d+, .*Give the state a clone\(\)"),
    (ForkForgets, r"a fork forgets its past: tick 25, .*Give the state a clone\(\) that copies all of it; an unedited fork goes on as"),
]


@pytest.mark.parametrize("good", [Good(), user(), agent()], ids=["Good", "user", "agent"])
def test_a_participant_that_keeps_the_rules_passes(good: Any) -> None:
    report = check_participant(good, SMALL, ticks=20)
    assert report.ok, str(report)
    assert report.facts["packets"] >= 20


@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[cls.__name__ for cls, _ in BROKEN])
def test_a_broken_rule_is_named_with_value_rule_and_fix(broken: type, message: str) -> None:
    report = check_participant(broken(), SMALL, ticks=50)
    assert not report.ok
    assert len(report.problems) == 1, str(report)
    with pytest.raises(InputError, match=message):
        report.or_raise(InputError)


def test_the_agents_and_users_of_the_workbench_pass() -> None:
    from workbench.agents import EchoAgent, SilentAgent
    from workbench.users import RecordedUser, SilentUser

    samples = np.sin(np.arange(30_000) / 7).astype(np.float32)
    for participant in (EchoAgent(), SilentAgent(), RecordedUser(samples), SilentUser()):
        report = check_participant(participant, ticks=12)
        assert report.ok, str(report)


def test_a_check_of_too_few_ticks_is_refused() -> None:
    with pytest.raises(InputError, match="ticks=2: a check needs at least 4"):
        check_participant(Good(), SMALL, ticks=2)


class Writes(Good):
    """Says its words as text, and tells nobody that it said them."""

    def packets(self, tick: int, size: int, loud: int) -> tuple[Packet, ...]:
        return (Packet(AGENT_TEXT, Tick(tick), "yes"),)

    def events(self, tick: int) -> tuple[Event, ...]:
        return ()


class Tells(Writes):
    def events(self, tick: int) -> tuple[Event, ...]:
        return (TranscriptDelta(side="model", word="yes", start_s=0.2 * tick, end_s=0.2 * tick + 0.2),)


def test_words_that_no_score_will_see_are_told_of() -> None:
    found = check_participant(Writes())
    assert found.ok
    assert str(found).endswith("no transcript.delta, by which words are scored (workbench.agents.Mouth tells them): 50)")
    assert "transcript.delta" not in str(check_participant(Tells()))


def test_what_hinders_anything_from_taking_part_is_told_without_a_tick() -> None:
    assert shape_problems(Good()) == ()
    assert [text.partition(";")[0] for text in shape_problems(object())][:2] == ["name is None", "speaks is None"]
