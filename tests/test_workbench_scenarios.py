"""Families: what they ask for is right, the oracle does it, and nothing hangs."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.scenario_fakes import LateOracle, chatterer, one_voice, play, play_family, script_of
from workbench.agents import OracleAgent, OracleState, ScriptedAgent, SilentAgent
from workbench.clock import Tick
from workbench.conversations import Source, someone
from workbench.errors import InputError
from workbench.events import TranscriptDelta, TruthExpect, TruthWord
from workbench.packets import TRUTH, USER_AUDIO, MicroTurn, Packet
from workbench.scenarios import (
    FAMILIES,
    FIRST_FAMILIES,
    MAX_EPISODE_S,
    PASSAGE_MANNERS,
    PASSAGE_SPEEDS,
    Recorded,
    build,
    medley,
    other_directed,
)
from workbench.scenarios.script import LISTENS_ON_S, AfterAgentDone, At, Beat, Command, Passage, Script
from workbench.scenarios.world import AGENT_WORDS, USER_WORDS, counting, number_of, number_word, spoken_number
from workbench.scoring.false_starts import false_starts
from workbench.scoring.interaction import explain, outcomes
from workbench.session import Participant, Said, Session
from workbench.trace import record
from workbench.users import ScriptedUser
from workbench.voices import pick_voice

SEEDS = range(12)
FEW_SEEDS = range(5)
LATE_S = {"redirect": 2.0, "other_one": 3.4}  # so late that an act is not in time for the beat after it either


@pytest.mark.parametrize("family", FAMILIES)
def test_the_oracle_is_right_and_in_time_in_every_family(family: str) -> None:
    for seed in SEEDS:
        trace = play_family(family, seed, difficulty=seed / 11)
        found = outcomes(trace)
        assert found, f"seed {seed} expects nothing"
        assert [explain(o) for o in found if not o.both] == [], f"seed {seed}"
        assert sum(false_starts(trace).values()) == 0
        assert trace.duration_s < MAX_EPISODE_S, "the script has to end by itself"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_silent_agent_never_hangs_a_script_and_fails_what_asks_for_an_act(family: str) -> None:
    for seed in SEEDS:
        trace = play_family(family, seed, agent=SilentAgent())
        assert trace.duration_s < MAX_EPISODE_S
        for outcome in outcomes(trace):
            assert outcome.both == (outcome.what == "silent")


AGENTS = {"silent": SilentAgent(), "speaks too soon": ScriptedAgent(((18, ("okay",)),)), "never stops": chatterer("now")}


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_everything_expected_is_judged_whatever_the_agent_does(family: str, agent: Participant) -> None:
    for seed in range(3):
        perfect, trace = play_family(family, seed), play_family(family, seed, agent=agent)
        asked = [e.id for _, e in trace.events(TruthExpect)]
        assert [o.id for o in outcomes(trace)] == asked
        assert asked == [o.id for o in outcomes(perfect)], "nor is less expected of it"


class Deaf(LateOracle):
    """A perfect agent that does not hear when it is told to be quiet."""

    def step(self, state: OracleState, tick: Tick, heard: MicroTurn) -> tuple[Said, OracleState]:
        told = heard.get(TRUTH)
        kept = tuple(c for c in told if isinstance(c, Command) and c.act != "clear") if isinstance(told, tuple) else ()
        return self.oracle.step(state, tick, MicroTurn(heard.tick, (Packet(TRUTH, heard.tick, kept),)))


def test_a_series_that_goes_on_after_stop_is_told_of() -> None:
    for seed in range(12):
        after = [o for o in outcomes(play_family("every_n", seed, agent=Deaf(0.0))) if o.what == "silent"]
        assert [o.both for o in after] == [False]


def test_a_user_listens_on_for_a_while_to_an_agent_that_never_stops() -> None:
    script = script_of(Beat(("what",), At(0.5)), Beat(("plus",), AfterAgentDone(0.9, 3.0)))
    trace = play(script, chatterer("now"))
    what, plus = (word for _, word in trace.events(TruthWord))
    assert plus.start_s == pytest.approx(what.end_s + 3.0 + LISTENS_ON_S)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_agent_that_acts_too_late_gets_credit_for_no_act(family: str) -> None:
    for seed in FEW_SEEDS:
        found = outcomes(play_family(family, seed, agent=LateOracle(LATE_S.get(family, 1.2))))
        acts = [o for o in found if o.what != "silent" and "only_to" not in o.tags]  # an end moved nearer is met until it is passed
        assert [explain(o) for o in acts if o.both] == [], f"seed {seed}"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_agent_that_talks_all_the_time_gets_no_credit(family: str) -> None:
    for seed in FEW_SEEDS:
        found = outcomes(play_family(family, seed, agent=chatterer("now")))
        assert [explain(o) for o in found if o.both] == [], f"seed {seed}"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_draws_its_timeline_and_explains_itself(family: str) -> None:
    doc = importlib.import_module(f"workbench.scenarios.{family}").__doc__ or ""
    assert "    time   0    1" in doc
    assert len(FAMILIES[family].summary) > 30


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_arguments_build_the_same_script_and_other_seeds_another(family: str) -> None:
    assert build(family, 3, "unseen") == build(family, 3, "unseen")
    assert len({repr(build(family, seed).beats) for seed in range(6)}) > 1


def sums_of(script: Script) -> list[tuple[list[int], str]]:
    """The numbers of every beat that is to be answered by a number, and that answer."""
    found = []
    for beat in script.beats:
        for expect in beat.expects:
            if expect.what == "reply":
                found.append(([n for word in beat.words if (n := number_of(word)) is not None], expect.words[0]))
    return found


@pytest.mark.parametrize("family", ["answer", "think_pause"])
def test_the_expected_word_is_the_sum_of_the_spoken_numbers(family: str) -> None:
    for seed in range(60):
        for numbers, word in sums_of(build(family, seed, pick=one_voice)):
            assert len(numbers) == 2
            assert word == number_word(sum(numbers))


def test_a_correction_replaces_the_second_number() -> None:
    kinds = set()
    for seed in range(60):
        script = build("self_correction", seed, pick=one_voice)
        asked = sums_of(script)
        if len(script.beats) == 1:
            ((first, wrong, new), word), kind = asked[0], "fast"
        else:
            ((first, wrong), earlier), ((new,), word), kind = asked[0], asked[1], "late"
            assert earlier == number_word(first + wrong)
        assert word == number_word(first + new)
        assert wrong != new
        kinds.add(kind)
    assert kinds == {"fast", "late"}


def test_a_late_correction_comes_after_the_first_answer_and_asks_for_a_second() -> None:
    for seed in range(20):
        script = build("self_correction", seed, pick=one_voice)
        if len(script.beats) == 2:
            said = [e.word for _, e in play(script).events(TranscriptDelta)]
            assert said == [beat.expects[0].words[0] for beat in script.beats]


def test_the_pause_that_must_stay_silent_is_the_pause_in_the_speech() -> None:
    for seed in range(10):
        trace = play_family("think_pause", seed)
        hold = next(e for _, e in trace.events(TruthExpect) if e.what == "silent")
        words = [e for _, e in trace.events(TruthWord)]
        assert any(word.end_s == pytest.approx(hold.anchor_s) for word in words)
        assert any(word.start_s == pytest.approx(hold.anchor_s + hold.to_s) for word in words)
        assert hold.to_s >= 0.6 - 1e-6


def test_of_the_sums_worked_out_aloud_only_the_one_to_be_corrected_is_wrong() -> None:
    kinds = set()
    for seed in range(60):
        script = build("wrong_sum", seed, pick=one_voice)
        told = [number for beat in script.beats for word in beat.words if (number := number_of(word)) is not None]
        sums = [(a + b, c) for a, b, c in zip(told[::3], told[1::3], told[2::3], strict=True)]
        wrong = [(number_word(right), said) for right, said in sums if right != said]
        assert [right for right, _ in wrong] == [word for beat in script.beats for e in beat.expects for word in e.words]
        kinds.add(len(wrong))
    assert kinds == {0, 1}


def test_back_channels_fall_inside_the_count() -> None:
    for seed in range(10):
        trace = play_family("backchannel", seed)
        numbers = [e for _, e in trace.events(TranscriptDelta)]
        request_end_s = next(e for _, e in trace.events(TruthExpect)).anchor_s
        murmurs = [e for _, e in trace.events(TruthWord) if e.start_s > request_end_s]
        assert 1 <= len(murmurs) <= 4
        assert all(numbers[0].start_s < m.start_s < numbers[-1].start_s for m in murmurs)


def test_the_grammar_of_other_directed_speech_is_wide_and_never_says_stop_during_a_count() -> None:
    assert len(set(other_directed.every_sentence())) >= 300
    during = set(other_directed.every_sentence(other_directed.ANYTIME))
    assert len(during) >= 300
    assert not [text for text in during if re.search(r"\bstop\b", text)]


def test_what_is_said_to_the_agent_is_made_of_user_words_only() -> None:
    known = set(USER_WORDS)
    assert len(USER_WORDS) == len(known) <= 160
    for family in FAMILIES.keys() - {"listener", "how_long"}:  # there the user also talks about anything
        for seed in range(40):
            for beat in build(family, seed, pick=one_voice).beats:
                if beat.orders:
                    assert set(beat.words) <= known, family


def test_what_the_agent_is_to_say_is_made_of_agent_words_only() -> None:
    for seed in range(40):
        for beat in medley(seed, pick=one_voice).beats:
            for order in beat.orders:
                assert set(order.words) <= set(AGENT_WORDS)


def test_numbers_and_words_correspond_and_a_number_outside_the_world_is_refused() -> None:
    assert [number_of(number_word(n)) for n in range(31)] == list(range(31))
    assert [number_of(spoken_number(n)) for n in range(31)] == list(range(31))
    assert (number_word(21), spoken_number(21), number_of("plus")) == ("twenty-one", "twenty one", None)
    assert counting(3) == ("one", "two", "three")
    with pytest.raises(InputError, match="number 31 is outside this world; use 0 to 30"):
        number_word(31)


def test_an_unknown_family_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(InputError, match=r"no scenario family 'juggling'; there are answer, think_pause, .*long_count"):
        build("juggling", 0)
    with pytest.raises(InputError, match=r"difficulty 1\.5 is outside 0 to 1"):
        build("answer", 0, difficulty=1.5)


def test_a_medley_mixes_families_and_the_oracle_is_right_in_it() -> None:
    kinds: set[str] = set()
    for seed in range(24):
        trace = play(medley(seed, pick=one_voice))
        assert 10.0 < trace.duration_s <= 30.0
        found = outcomes(trace)
        kinds |= {o.what for o in found}
        over = [o for o in found if o.evidence[-1] < len(trace) - 20 and o.what != "count"]  # the end may cut the last pieces
        assert [explain(o) for o in over if not o.both] == []
    assert kinds >= {"reply", "silent", "count", "moment", "yield", "time"}


def test_a_medley_takes_only_families_with_weight() -> None:
    script = medley(5, weights={"timer": 1.0, "stop": 0.0}, pick=one_voice)
    assert {e.what for beat in script.beats for e in beat.expects} == {"time"}
    with pytest.raises(InputError, match="must be zero or more, and not all zero"):
        medley(5, weights={"timer": 0.0}, pick=one_voice)
    with pytest.raises(InputError, match="no scenario family 'tmer'"):
        medley(5, weights={"tmer": 1.0}, pick=one_voice)


def test_recorded_bystanders_come_in_only_where_asked_for() -> None:
    weights = {"other_directed": 1.0}
    plain = medley(3, weights=weights, pick=one_voice)
    mixed = medley(3, weights=weights, pick=one_voice, recorded="held_back")
    assert not [beat for beat in plain.beats if beat.sound]
    passages = [beat for beat in mixed.beats if isinstance(beat.sound, Passage)]
    assert passages
    assert {(beat.speaker, beat.sound.split) for beat in passages if isinstance(beat.sound, Passage)} == {("bystander", "held_back")}
    assert [b.trigger for b in plain.beats] == [b.trigger for b in mixed.beats]


def test_recorded_bystanders_of_training_sound_like_many_people_and_held_back_ones_like_themselves() -> None:
    def passages(recorded: Recorded) -> list[Passage]:
        scripts = [medley(seed, weights={"other_directed": 1.0}, pick=one_voice, recorded=recorded) for seed in range(6)]
        return [beat.sound for script in scripts for beat in script.beats if isinstance(beat.sound, Passage)]

    assert {(passage.speed, passage.manner) for passage in passages("held_back")} == {(1.0, "alone")}
    trained = passages("train")
    assert len({passage.speed for passage in trained}) > 4
    assert all(PASSAGE_SPEEDS[0] <= passage.speed <= PASSAGE_SPEEDS[1] for passage in trained)
    assert {passage.manner for passage in trained} == set(PASSAGE_MANNERS)


@pytest.mark.parametrize("name", ["train", "unseen", "flite", "recorded", "commands", "held-back", "learners", "rhvoice", "accents"])
def test_a_bystander_is_another_person_than_the_user(name: str) -> None:
    for seed in range(60):
        voices = build("bystander_order", seed, name).voices
        assert voices["user"].person != voices["bystander"].person
        assert voices["user"] == pick_voice(name, seed)


def test_where_a_set_has_one_person_all_speak_with_that_voice() -> None:
    voices = build("bystander_order", 3, "flite:awb").voices
    assert voices["user"].person == voices["bystander"].person == "flite:awb"


@pytest.mark.parametrize(
    ("source", "speakers"), [("espeak", ()), ("accents", ()), ("rhvoice", ()), ("festival", ()), ("recorded", ("theo",)), ("recorded", ())]
)
def test_a_bystander_in_training_is_never_the_user(source: Source, speakers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.conversations.prepare", lambda voice, texts, bank: None)  # nothing is spoken here
    voices = [someone(number, source, speakers, weights={"bystander_order": 1.0}).script.voices for number in range(40)]
    assert all(found["user"].person != found["bystander"].person for found in voices)
    assert {found["user"].engine for found in voices} == {"espeak" if source == "accents" else source}


def test_a_script_names_the_speaker_without_a_voice() -> None:
    script = build("answer", 0, pick=one_voice)
    with pytest.raises(InputError, match="spoken by 'user', who has no voice"):
        Script("answer", 0, script.beats, {}, At(0.0), script.acoustics, 10)


@pytest.mark.parametrize("family", [*FIRST_FAMILIES, "cue_word", "wrong_sum"])
def test_the_oracle_is_right_with_real_voices_too(family: str) -> None:
    session = Session.start([ScriptedUser(build(family, 1, "unseen")), OracleAgent()])
    trace = record(session)
    session.run(300)
    assert [explain(o) for o in outcomes(trace) if not o.both] == []
    assert abs(trace.audio(USER_AUDIO)).max() > 0.02
