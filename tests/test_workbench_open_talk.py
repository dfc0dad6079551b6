"""Open talk: many words, few of them the world's, no order among them; only training hears it, in place of what is said to others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from workbench import scenarios
from workbench.agents import OracleAgent
from workbench.cast import Cast
from workbench.conversations import converse, someone
from workbench.packets import rng_for
from workbench.scenarios import OPENING, build, medley
from workbench.scenarios.open_talk import FEWEST, PAUSES_S, SHARE, invented, sentence, talk
from workbench.scenarios.script import Beat, Script
from workbench.scenarios.world import USER_WORDS
from workbench.scoring.interaction import outcomes
from workbench.session import Session
from workbench.trace import record
from workbench.users import ScriptedUser

TALKATIVE = {"other_directed": 1.0, "background": 1.0, "answer": 1.0, "stop": 1.0}
MANY = 300


def said(seed: int) -> list[str]:
    return [word for part in talk(np.random.default_rng(seed)) if isinstance(part, str) for word in part.split()]


def asides(script: Script) -> list[Beat]:
    return [beat for beat in script.beats if beat.any_talk]


def test_talk_is_of_many_words_most_of_them_outside_the_world() -> None:
    words = [word for seed in range(MANY) for word in said(seed)]
    outside = [word for word in words if word not in USER_WORDS]
    assert len(set(words)) > 800
    assert 0.4 < len(outside) / len(words) < 0.9
    assert {"two", "to", "right", "one", "now", "yes", "no"} <= set(words), "words of the world come by the way, and what sounds like them"


def test_nobody_is_told_to_stop() -> None:
    assert not {"stop", "stops"} & {word for seed in range(3 * MANY) for word in said(seed)}


def test_a_talk_has_words_enough_to_tell_it_from_a_request_and_pauses_within_their_range() -> None:
    for seed in range(MANY):
        parts = talk(np.random.default_rng(seed))
        assert isinstance(parts[0], str)
        assert isinstance(parts[-1], str)
        assert all(len(part.split()) >= FEWEST for part in parts if isinstance(part, str))
        assert all(PAUSES_S[0] <= part <= PAUSES_S[1] for part in parts if isinstance(part, float))
        assert not any(isinstance(a, float) and isinstance(b, float) for a, b in pairwise(parts))


def test_some_talks_begin_or_end_in_the_middle_of_a_sentence() -> None:
    whole = {sentence(np.random.default_rng(seed)).split()[0] for seed in range(2000)}
    assert any(said(seed)[0] not in whole for seed in range(MANY))


def test_an_invented_word_can_be_read_aloud() -> None:
    words = {invented(np.random.default_rng(seed)) for seed in range(MANY)}
    assert len(words) > MANY * 0.9
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)


def test_only_what_is_said_to_others_is_replaced_and_all_else_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "OPENING", 0.0)
    changed = total = 0
    for seed in range(40):
        without, with_it = medley(seed, weights=TALKATIVE), medley(seed, weights=TALKATIVE, open_talk=True)
        assert [replaced(beat) for beat in without.beats] == [replaced(beat) for beat in with_it.beats]
        assert with_it.voices == without.voices
        assert with_it.acoustics == without.acoustics
        for before, after in zip(asides(without), asides(with_it), strict=True):
            total += 1
            changed += before.parts != after.parts
    assert SHARE - 0.15 < changed / total < SHARE + 0.15


def replaced(beat: Beat) -> tuple[object, ...]:
    """A beat without the words that do not matter."""
    return (beat.parts if not beat.any_talk else (), beat.trigger, beat.expects, beat.speaker, beat.level_db, beat.sound)


def test_an_evaluation_has_none_of_it() -> None:
    for family in ("other_directed", "background"):
        for seed in range(10):
            beats = asides(build(family, seed))
            assert all(word in known_words() for beat in beats for word in beat.words)


def known_words() -> set[str]:
    from workbench.scenarios.other_directed import every_sentence

    return {word for line in every_sentence() for word in line.split()}


def test_training_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROTURN_SPEECH", "/nowhere")
    heard = [word for number in range(6) for beat in asides(someone(number, "espeak", weights=TALKATIVE).script) for word in beat.words]
    assert set(heard) - known_words()


def test_its_words_are_in_the_truth_of_a_conversation() -> None:
    number = next(
        n for n in range(50) if any(set(beat.words) - known_words() for beat in asides(someone(n, "espeak", weights=TALKATIVE).script))
    )
    events = [event for turn in converse(number, weights=TALKATIVE).turns for event in turn.events]
    words = {event.word for event in events if hasattr(event, "word") and hasattr(event, "start_s")}
    assert words - known_words() - set(USER_WORDS)


def test_a_perfect_agent_stays_perfect() -> None:
    for seed in range(4):
        script = medley(seed, weights=TALKATIVE, open_talk=True)
        session = Session.start(Cast(OracleAgent()).of(ScriptedUser(script)), seed=seed)
        trace = record(session)
        session.run(script.longest(session.clock))
        found = list(outcomes(trace))
        assert all(outcome.both for outcome in found[:-1]), "the end of a medley cuts off its last piece"


def test_the_same_number_says_the_same() -> None:
    assert medley(7, weights=TALKATIVE, open_talk=True) == medley(7, weights=TALKATIVE, open_talk=True)
    assert talk(rng_for(3, 0, "a")) != talk(rng_for(4, 0, "a"))


def test_some_conversations_begin_with_what_is_said_to_others_and_go_on_as_before() -> None:
    begun = 0
    for seed in range(60):
        weights = {"answer": 1.0, "other_directed": 1e-9}  # so that only an opening can be one
        without, with_it = medley(seed, weights=weights), medley(seed, weights=weights, open_talk=True)
        opening = [beat for beat in with_it.beats if beat.family == "other_directed"]
        begun += bool(opening)
        assert opening in ([], [with_it.beats[0]])
        assert [beat.parts for beat in with_it.beats if beat.family == "answer"] == [beat.parts for beat in without.beats]
    assert OPENING - 0.15 < begun / 60 < OPENING + 0.15


def test_who_is_never_spoken_past_is_not_at_the_beginning_either() -> None:
    assert all(beat.family == "answer" for seed in range(20) for beat in medley(seed, weights={"answer": 1.0}, open_talk=True).beats)
