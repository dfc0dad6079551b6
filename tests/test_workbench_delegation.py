"""A model asks for slow work in its own output, is told what came of it, and is scored on both."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from model.layout import DELEGATIONS, NO_TOKEN
from tests.scenario_fakes import Tones, one_voice, play, play_family
from workbench.agents import OracleAgent, SilentAgent
from workbench.asking import ACTS, parted, requested, told, written
from workbench.background.backends import Simulated
from workbench.background.desk import Desk
from workbench.background.directory import Directory
from workbench.background.ledger import DeskSpec
from workbench.background.notes import Note, lines, notes_of
from workbench.background.parts import Answer, Envelope, Failure
from workbench.background.telling import Delegating
from workbench.cast import Cast
from workbench.costs import TICK_FLOPS, spent_in
from workbench.events import TickCost, TranscriptDelta
from workbench.events_background import BackgroundArrived, DelegationChanged, DelegationCreated, DelegationRequested, DelegationResult
from workbench.neural.cells import cells_of, packed, unpacked, vocabulary
from workbench.packets import AGENT_TEXT, BACKGROUND_SHOWN, BACKGROUND_TEXT, Packet
from workbench.replay import Edit, fork, replay
from workbench.scenarios import BACKGROUND, build
from workbench.scenarios.facts import Facts
from workbench.scenarios.script import AfterOwn
from workbench.scenarios.world import NAMES, numbers_joined
from workbench.scoring.delegation import COSTS, PER_SOLVED, SMALL_TALK, delegation, worked
from workbench.scoring.interaction import outcomes
from workbench.session import Said, Session
from workbench.trace import Trace, record
from workbench.users import ScriptedUser


def states(trace: Trace) -> list[str]:
    return [event.after for _, event in trace.events(DelegationChanged)]


def found_out(ask: str, *amendments: str, salt: int = 3) -> Answer | Failure:
    envelope = Envelope(session="s", task="1", run=1, origin_tick=0, origin_s=0.0, ask=ask, amendments=amendments)
    (part,) = Directory(Facts(salt)).work(envelope, lambda: False)
    assert isinstance(part, Answer | Failure)
    return part


def test_the_layout_and_the_workbench_name_the_same_control_tokens() -> None:
    assert tuple(ACTS) == DELEGATIONS
    assert vocabulary().delegates


def test_a_request_is_read_as_it_was_written() -> None:
    for item in ("<open> look up anna", "<show> draw a chart", "<amend> ben", "<cancel> never mind"):
        assert written(requested(item, 1.2)) == item
    assert written(DelegationRequested(act="open", at_s=0.0, ask="look up anna", schedule="interrupt")) == "<open> look up anna"
    assert parted(["okay", "<open>", "look", "up", "anna"]) == (["okay"], ["<open> look up anna"])
    assert parted(["<cancel>", "it", "<open>", "two"]) == ([], ["<cancel> it", "<open> two"])


def test_a_note_is_read_with_its_kind_and_numbers_of_two_words_as_one() -> None:
    assert told(Note(task="1", what="result", text="21")) == ("<open>", "twenty-one")
    assert told(Note(task="1", what="result", text="a red chart", schedule="silent")) == ("<show>",)
    assert told(Note(task="1", what="problem", text="nothing is known about tom")) == ("<cancel>",)


def test_facts_are_the_same_within_a_script_and_others_in_the_next() -> None:
    numbers = {seed: tuple(Facts(seed).number(name) for name in NAMES) for seed in range(40)}
    assert len(set(numbers.values())) == 40
    known = [number for row in numbers.values() for number in row if number]
    assert 0.8 < len(known) / 400 < 0.95
    assert len(set(known)) == 30
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([1, 2])))
    before = Facts.of(rng)
    rng.random(100)
    assert Facts.of(rng) == before


def test_the_directory_answers_by_its_facts_and_says_when_it_does_not_know() -> None:
    facts = Facts(3)
    name = next(n for n in NAMES if facts.number(n))
    assert found_out(f"look up {name}").text == str(facts.number(name)).replace("-", " ")  # type: ignore[union-attr]
    assert found_out("look up nobody", name).text == str(facts.number(name)).replace("-", " ")  # type: ignore[union-attr]
    assert found_out("three times four").text == "twelve"  # type: ignore[union-attr]
    chart = found_out("draw a chart", "make it red")
    assert isinstance(chart, Answer)
    assert chart.shown is not None
    assert chart.shown["figure"]["data"][0]["marker"]["color"] == "red"
    for ask in ("look up nobody", "nine times nine", "times", "three times soon", "sing"):
        assert isinstance(found_out(ask), Failure)


def spoken(family: str) -> Trace:
    """An episode in a synthesised voice, from which a trace can be made again."""
    user = ScriptedUser(build(family, 4))
    session = Session.start(Cast(OracleAgent()).of(user), seed=4)
    trace = record(session, labels={"family": family, **user.script.labels})
    session.run(user.script.max_ticks)
    return trace


def test_every_family_asks_something_of_the_background() -> None:
    for family in BACKGROUND:
        assert play_family(family, 4).events(DelegationCreated), family


def test_a_perfect_run_replays_bit_for_bit_with_its_desk() -> None:
    assert replay(spoken("other_one")).difference is None


def test_a_result_is_delivered_a_cancelled_one_is_not_and_a_chart_is_shown_in_its_new_colour() -> None:
    assert states(play_family("look_up", 4))[:4] == ["running", "completed", "delivering", "delivered"]
    assert states(play_family("call_off", 4))[-1] == "cancelled"
    shown = [turn.text(BACKGROUND_SHOWN) for turn in play_family("chart", 4).turns if turn.text(BACKGROUND_SHOWN)]
    assert len(shown) == 2
    assert shown[0] != shown[1]


class Wrong(OracleAgent):
    """The oracle with another request, and another word for every number it was told."""

    def step(self, state, tick, heard):  # type: ignore[no-untyped-def]
        said, after = super().step(state, tick, heard)
        events = tuple(replace(e, ask=f"{e.ask} please") if isinstance(e, DelegationRequested) else e for e in said.events)
        return Said(said.packets, events), after


def test_a_request_in_other_words_is_no_right_one() -> None:
    trace = play(build("look_up", 4, pick=one_voice), Wrong())
    found = [outcome for outcome in outcomes(trace) if outcome.what == "delegate"]
    assert found
    assert not any(outcome.meaning for outcome in found)
    assert all(outcome.timing for outcome in found)


def test_a_result_over_the_users_words_is_not_in_time() -> None:
    trace = play_family("meanwhile", 4)
    result = next(o for o in outcomes(trace) if o.what == "result")
    assert result.both
    user_s = [(e.start_s, e.end_s) for _, e in trace.all_events() if getattr(e, "kind", "") == "truth.word"]
    inside_s = user_s[-1][0] + 0.01
    at_s = result.said_start_s[0]

    def moved(turn):  # type: ignore[no-untyped-def]
        events = tuple(
            replace(e, start_s=inside_s) if isinstance(e, TranscriptDelta) and e.side == "model" and e.start_s == at_s else e
            for e in turn.events
        )
        return replace(turn, events=events)

    early = Trace(trace.header, [moved(turn) for turn in trace.turns])
    judged = [o for o in outcomes(early) if o.what == "result"]
    assert not judged[0].both


def test_the_suite_finds_nothing_to_blame_in_a_perfect_agent_and_everything_in_a_silent_one() -> None:
    families = ("answer", *sorted(BACKGROUND))
    perfect, silent = (
        {score.name: score for score in delegation({name: worked(play_family(name, 4, agent=agent)) for name in families})}
        for agent in (OracleAgent(), SilentAgent())
    )
    assert {perfect[name].value for name in ("asked rightly", "results said", "corrections reflected")} == {1.0}
    assert {perfect[name].value for name in ("results over the user", "called off, and said all the same", "tasks under way")} == {0.0}
    assert perfect["tasks cancelled"].value == pytest.approx(1 / perfect["tasks cancelled"].n)
    assert 0.6 < perfect[SMALL_TALK].value < 1.6
    assert silent["asked rightly"].value == 0.0
    assert silent["results over the user"].n == silent["tasks delivered"].n == 0


def test_how_tasks_ended_and_how_quickly_small_talk_was_answered_show_where_to_look() -> None:
    traces = {name: play_family(name, 4) for name in ("call_off", "meanwhile")}
    found = {score.name: score for score in delegation({name: worked(trace) for name, trace in traces.items()})}
    for state in ("cancelled", "delivered"):
        ended = {(name, tick) for name, trace in traces.items() for tick, e in trace.events(DelegationChanged) if e.after == state}
        assert {(m.session, round(m.end_s / 0.2)) for m in found[f"tasks {state}"].moments} == ended
        assert len(found[f"tasks {state}"].evidence) == len(ended) > 0
    assert found["tasks failed"].moments == ()
    asked = [tick for tick, _ in traces["meanwhile"].events(DelegationCreated)]
    assert found[SMALL_TALK].n == len(found[SMALL_TALK].evidence) > 0
    assert all(moment.session == "meanwhile" for moment in found[SMALL_TALK].moments)
    assert min(found[SMALL_TALK].evidence) > min(asked)


def test_cells_hold_the_request_and_what_came_of_it() -> None:
    trace = play_family("look_up", 4)
    words = vocabulary()
    cells = cells_of(trace, words)
    out = [[words.tokens[token] for token in row if token != NO_TOKEN] for row in cells.out]
    handed = [[words.tokens[token] for token in row if token != NO_TOKEN] for row in cells.background]
    asked = next(row for row in out if "<open>" in row)
    assert asked[0] == "okay"
    assert asked[1] == "<open>"
    told_at = next(at for at, row in enumerate(handed) if row)
    assert handed[told_at][0] == "<open>"
    assert out[told_at] == handed[told_at][1:]
    assert trace.turns[told_at].text(AGENT_TEXT).split() == out[told_at]
    older = {name: array for name, array in packed(cells).items() if name != "background"}
    assert np.all(unpacked(older).background == NO_TOKEN)


def test_a_what_if_asks_the_background_of_the_scenario_again() -> None:
    trace = spoken("other_one")
    changed = next(tick for tick, e in trace.events(DelegationRequested) if e.act == "amend")
    what_if = fork(trace, trace.header.clock.seconds(changed), Edit(mute_user_s=0.2))
    assert states(what_if.trace)[-1] == "delivered"


def test_a_cast_gives_every_scenario_the_same_agent() -> None:
    cast = Cast(OracleAgent())
    plain = cast.of(ScriptedUser(build("answer", 1)))
    first, second = (cast.of(ScriptedUser(build("look_up", seed))) for seed in (1, 2))
    assert [p.name for p in plain] == ["user", "agent"]
    assert [p.name for p in first] == ["user", "agent", "background"]
    assert first[1] is second[1]
    assert first[2].spec() != second[2].spec()


# Late results ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Impatient(OracleAgent):
    """The oracle, to whom an answer is of use for `lasts_s` only."""

    lasts_s: float = 4.0

    def step(self, state, tick, heard):  # type: ignore[no-untyped-def]
        said, after = super().step(state, tick, heard)
        events = tuple(replace(e, expires_s=self.lasts_s) if isinstance(e, DelegationRequested) else e for e in said.events)
        return Said(said.packets, events), after


class Unabashed(OracleAgent):
    """The oracle, but it says every result as if it had just been asked for."""

    def step(self, state, tick, heard):  # type: ignore[no-untyped-def]
        fresh = [Note(**{**vars(note), "about": ""}) for note in notes_of(heard)]
        packets = tuple(replace(p, payload=lines(fresh)) if p.stream == BACKGROUND_TEXT else p for p in heard.packets)
        return super().step(state, tick, replace(heard, packets=packets))


def answered_late(agent: OracleAgent, late_s: float, seed: int = 4, **settings: float) -> Trace:
    """An episode of `look_up` in which whoever works in the background answers that much too late, and the talk goes on after it."""
    script = replace(build("look_up", seed, pick=one_voice), max_ticks=150, ending=AfterOwn(22.0))
    assert script.facts is not None
    desk = Desk(
        Simulated(Directory(script.facts), (late_s, late_s)), DeskSpec(quiet_s=0.8, sources=("user.speech", "user.text"), **settings)
    )
    session = Session.start([ScriptedUser(script, speaker_of=Tones), Delegating(agent), desk], seed=script.seed)
    trace = record(session, labels={"family": "look_up"})
    session.run(script.max_ticks)
    return trace


def lateness(trace: Trace) -> dict[str, tuple[float, int]]:
    found = {score.name: score for score in delegation({"look_up-4": worked(trace)})}
    return {name: (found[name].value, found[name].n) for name in ("stale results spoken", "late results said as fresh")}


def test_a_stale_result_is_dropped_and_never_spoken() -> None:
    trace = answered_late(Impatient(), 8.0)
    stale = [tick for tick, event in trace.events(DelegationChanged) if event.after == "stale"]
    assert stale
    assert [event for _, event in trace.events(DelegationResult)] == []
    assert not [o for o in outcomes(trace) if o.what == "result" and o.acted]
    (value, n), _ = lateness(trace).values()
    assert (value, n) == (0.0, len(stale))


def test_a_stale_result_that_is_said_all_the_same_is_counted() -> None:
    trace = answered_late(OracleAgent(), 0.0)
    tick, event = next((tick, event) for tick, event in trace.events(DelegationChanged) if event.after == "delivering")
    answer = next(e.part["text"] for _, e in trace.events(BackgroundArrived) if e.task == event.task and e.part["part"] == "answer")
    late = replace(event, after="stale", before="completed")
    said = [TranscriptDelta(side="model", word=w, start_s=tick * 0.2 + 1 + 0.3 * i, end_s=tick * 0.2 + 1.2 + 0.3 * i)
            for i, w in enumerate(answer.split())]  # fmt: skip

    def turned(turn, *more):  # type: ignore[no-untyped-def]
        kept = [e for e in turn.events if not (isinstance(e, DelegationChanged) and e.task == event.task and turn.tick >= tick)]
        kept = [e for e in kept if not (isinstance(e, TranscriptDelta) and e.side == "model")]
        return replace(turn, events=(*kept, *more))

    unsaid = Trace(trace.header, [turned(turn, *([late] if turn.tick == tick else [])) for turn in trace.turns])
    spoken_ = Trace(trace.header, [turned(turn, *([late, *said] if turn.tick == tick else [])) for turn in trace.turns])
    assert lateness(unsaid)["stale results spoken"] == (0.0, 1)
    assert lateness(spoken_)["stale results spoken"] == (1.0, 1)


def test_a_late_result_is_said_with_what_it_answers() -> None:
    trace = answered_late(OracleAgent(), 4.0, soften_s=3.0)
    late = [event for _, event in trace.events(DelegationResult) if event.about]
    assert late
    words = " ".join(e.word for _, e in trace.events(TranscriptDelta) if e.side == "model")
    assert all(f"{event.about} {event.text.replace(' ', '-')}" in words for event in late)
    assert lateness(trace)["late results said as fresh"] == (0.0, len(late))
    as_fresh = answered_late(Unabashed(), 4.0, soften_s=3.0)
    assert lateness(as_fresh)["late results said as fresh"][0] == 1.0


# Cost ------------------------------------------------------------------------------------------------------------------------


def test_the_cost_of_a_solved_task_is_all_that_was_spent_by_what_was_solved() -> None:
    def with_model(trace: Trace, positions: int) -> Trace:
        costs = [
            replace(turn, events=(*turn.events, TickCost(stages_ms={}, positions=positions * (turn.tick + 1)))) for turn in trace.turns
        ]
        return Trace(replace(trace.header, labels={**trace.header.labels, TICK_FLOPS: 2e9}), costs)

    right, wrong = with_model(play_family("look_up", 4), 9), with_model(play_family("look_up", 4, agent=Wrong()), 9)
    talk = with_model(play_family("answer", 4), 9)
    solved = sum(o.both for o in outcomes(right) if o.what == "result")
    assert solved == 2
    assert not any(o.both for o in outcomes(wrong) if o.what == "result")
    found = {one.name: one for one in delegation({"look_up-4": worked(right), "look_up-5": worked(wrong), "answer-4": worked(talk)})}
    ticks = len(right) + len(wrong)  # what a wrong session took counts, what small talk took does not
    costs = {name.removeprefix(PER_SOLVED): one for name, one in found.items() if name.startswith(PER_SOLVED)}
    assert list(costs) == list(COSTS)
    assert costs["micro-turns"].value == ticks / 2
    assert costs["positions"].value == 9 * ticks / 2
    assert costs["model"].value == pytest.approx(2 * ticks / 2)
    assert costs["background work"].value == pytest.approx((spent_in(right).background_s + spent_in(wrong).background_s) / 2)
    assert costs["tool calls"].value == costs["background tokens"].value == 0.0
    assert {(one.n, one.sessions) for one in costs.values()} == {(2, 2)}
    assert "results said rightly" in costs["model"].explanation


def test_without_a_solved_task_or_a_known_model_a_cost_is_not_given() -> None:
    found = {one.name: one for one in delegation({"look_up-4": worked(play_family("look_up", 4, agent=SilentAgent()))})}
    assert math.isnan(found[f"{PER_SOLVED}micro-turns"].value)
    known = {one.name: one for one in delegation({"look_up-4": worked(play_family("look_up", 4))})}
    assert math.isnan(known[f"{PER_SOLVED}model"].value)
    assert known[f"{PER_SOLVED}model"].to_json()["value"] is None
    assert "not told by all of them" in known[f"{PER_SOLVED}model"].explanation
    lockstep = play_family("look_up", 4)
    turns = [replace(turn, events=(*turn.events, TickCost(stages_ms={}, positions=0))) for turn in lockstep.turns]
    untold = {one.name: one for one in delegation({"look_up-4": worked(Trace(lockstep.header, turns))})}
    assert math.isnan(untold[f"{PER_SOLVED}positions"].value)
    assert untold[f"{PER_SOLVED}positions"].interval is None


def test_a_result_that_comes_late_is_handed_over_and_said_with_what_it_answers() -> None:
    trace = play_family("late_result", 4)
    (result,) = [event for _, event in trace.events(DelegationResult)]
    assert result.about.startswith("look up ")
    assert result.waited_s > DeskSpec().soften_s
    (outcome,) = [outcome for outcome in outcomes(trace) if outcome.what == "result"]
    assert outcome.both
    assert outcome.said == (*result.about.split(), *numbers_joined(result.text.split()))
    assert all(outcome.both for outcome in outcomes(trace)), "the count is not longer for the result after it"
    note = Note(task="1", what="result", text="21", about="look up anna")
    assert told(note) == ("<open>", "look", "up", "anna", "twenty-one")


class Bare(OracleAgent):
    """The oracle, told of every result as if it were fresh."""

    def step(self, state, tick, heard):  # type: ignore[no-untyped-def]
        fresh = [replace(note, about="") for note in notes_of(heard)]
        rest = tuple(packet for packet in heard.packets if packet.stream != BACKGROUND_TEXT)
        told_ = (Packet(BACKGROUND_TEXT, heard.tick, lines(fresh)),) if fresh else ()
        return super().step(state, tick, replace(heard, packets=(*rest, *told_)))


def test_a_late_result_said_as_if_it_were_fresh_is_not_right() -> None:
    trace = play(build("late_result", 4, pick=one_voice), Bare())
    (outcome,) = [outcome for outcome in outcomes(trace) if outcome.what == "result"]
    assert outcome.timing
    assert not outcome.meaning
