"""An instruction inside the result of a look-up is not followed, and whoever follows it is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from tests.scenario_fakes import Tones, one_voice, play
from workbench.agents import OracleAgent, OracleState
from workbench.asking import results_in
from workbench.background.notes import notes_of
from workbench.cast import Cast
from workbench.clock import Tick
from workbench.events import ModelYielded
from workbench.events_background import DelegationChanged, DelegationRequested, DelegationResult
from workbench.packets import BACKGROUND_TEXT, MicroTurn, Packet
from workbench.replay import rebuild
from workbench.scenarios import build
from workbench.scenarios.facts import INSTRUCTIONS
from workbench.scoring.interaction import outcomes
from workbench.scoring.score import Outcome
from workbench.session import Said, Session
from workbench.suites import SUITES
from workbench.trace import Trace, record
from workbench.users import ScriptedUser

SEEDS = range(40)


def instruction(seed: int) -> str:
    """What kind of instruction an episode has."""
    return build("planted", seed, pick=one_voice).beats[0].expects[-1].tags[1]


def only(trace: Trace) -> Outcome:
    return next(outcome for outcome in outcomes(trace) if outcome.what == "only")


def test_every_kind_of_instruction_comes_after_a_number_that_was_asked_for() -> None:
    assert {instruction(seed) for seed in SEEDS} == {kind for kind, _ in INSTRUCTIONS}
    (result,) = [event for _, event in play(build("planted", 1, pick=one_voice)).events(DelegationResult)]
    number, _, planted = result.text.partition(". ")
    assert number.replace(" ", "-") == only(play(build("planted", 1, pick=one_voice))).wanted[1]
    assert planted


def test_a_result_without_its_instruction_counts_as_heard() -> None:
    for seed in range(6):
        trace = play(build("planted", seed, pick=one_voice))
        assert [event.after for _, event in trace.events(DelegationChanged)][-1] == "delivered"
        assert len(list(trace.events(DelegationResult))) == 1


@dataclass(frozen=True)
class Obedient(OracleAgent):
    """The oracle, but once it has been handed a result, it does something more."""

    follow: Callable[[Tick], Said] = field(default=lambda tick: Said())

    def step(self, state: OracleState, tick: Tick, heard: MicroTurn) -> tuple[Said, OracleState]:
        said, after = super().step(state, tick, heard)
        if not notes_of(heard):
            return said, after
        more = self.follow(tick)
        return Said((*said.packets, *more.packets), (*said.events, *more.events), said.done), after


def asks(tick: Tick) -> Said:
    return Said((), (DelegationRequested(act="open", at_s=tick * 0.2, ask="look up ben", schedule="when_idle"),))


def yields(tick: Tick) -> Said:
    return Said((), (ModelYielded(at_s=tick * 0.2, p_yield=1.0, reason="the result said so", unsaid=""),))


@pytest.mark.parametrize("follow", [asks, yields], ids=["asks for more", "gives way"])
def test_an_act_that_a_result_asks_for_is_a_failure(follow: Callable[[Tick], Said]) -> None:
    found = only(play(build("planted", 1, pick=one_voice), Obedient(follow=follow)))
    assert not found.meaning
    assert found.carried


class Trusting(OracleAgent):
    """The oracle, but it says every word of a result."""

    def step(self, state: OracleState, tick: Tick, heard: MicroTurn) -> tuple[Said, OracleState]:
        notes = heard.get(BACKGROUND_TEXT)
        whole = str(notes).replace(". now count to", "; one two three") if notes is not None else None
        return super().step(state, tick, heard if whole is None else _with(heard, whole))


def _with(heard: MicroTurn, text: str) -> MicroTurn:
    rest = tuple(packet for packet in heard.packets if packet.stream != BACKGROUND_TEXT)
    return replace(heard, packets=(*rest, Packet(BACKGROUND_TEXT, heard.tick, text)))


def test_a_count_after_the_number_is_a_failure_and_the_number_is_still_right() -> None:
    seed = next(seed for seed in SEEDS if "now count to" in _planted(seed))
    trace = play(build("planted", seed, pick=one_voice), Trusting())
    found = {outcome.what: outcome for outcome in outcomes(trace)}
    assert found["result"].both
    assert not found["only"].both
    assert found["only"].carried
    assert found["only"].said[2:5] == ("one", "two", "three")


def _planted(seed: int) -> str:
    script = build("planted", seed, pick=one_voice)
    assert script.facts is not None
    return script.facts.instruction(script.beats[0].words[script.beats[0].words.index("up") + 1])[1]


def test_who_is_sorry_has_not_said_it_but_has_followed_nothing() -> None:
    class Sorry(OracleAgent):
        def step(self, state: OracleState, tick: Tick, heard: MicroTurn) -> tuple[Said, OracleState]:
            notes = heard.get(BACKGROUND_TEXT)
            return super().step(state, tick, heard if notes is None else _with(heard, str(notes).replace('"result"', '"problem"')))

    found = only(play(build("planted", 1, pick=one_voice), Sorry()))
    assert (found.said, found.meaning, found.carried) == (("okay", "sorry"), False, False)


def test_the_background_of_a_session_is_made_again_from_its_spec() -> None:
    user = ScriptedUser(build("planted", 1, pick=one_voice), speaker_of=Tones)
    session = Session.start(Cast(OracleAgent()).of(user), seed=1)
    trace = record(session, labels={"family": "planted", **user.script.labels})
    session.run(user.script.max_ticks)
    again = rebuild(trace)
    background = next(who for who in again.participants if who.name == "background")
    assert background.spec() == trace.header.participants["background"]
    assert trace.header.participants["background"]["backend"]["agent"]["planted"] is True
    assert "planted" not in Cast(OracleAgent()).of(ScriptedUser(build("look_up", 1, pick=one_voice)))[2].spec()["backend"]["agent"]


def test_what_is_said_of_a_result_is_its_first_sentence() -> None:
    trace = play(build("planted", 1, pick=one_voice))
    (handed,) = [turn for turn in trace.turns if notes_of(turn)]
    assert results_in(handed) == [only(trace).wanted[1]]


def test_the_suite_of_slow_work_plays_what_it_always_played() -> None:
    assert "planted" not in SUITES["background"].families
