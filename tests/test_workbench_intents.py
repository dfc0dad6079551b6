"""What the user seems to be asking for is estimated while they speak, and noted tick by tick."""

from __future__ import annotations

import pytest

from tests.test_workbench_guard import Hears
from workbench.agents import ScriptedAgent
from workbench.check import check_participant
from workbench.events import from_json, to_json
from workbench.events_rules import IntentEstimated
from workbench.intents import EXAMPLES, Guessing, intents_of
from workbench.policy_text import governed_by
from workbench.replay import rebuild
from workbench.session import Session
from workbench.trace import record
from workbench.users import SilentUser


def guess(text: str, sure: float = 1.0) -> tuple[tuple[str, float], ...]:
    return intents_of([(word, sure) for word in text.split()])


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("how much is nine plus", "work out a sum"),
        ("could you count to", "count"),
        ("please stop", "stop"),
        ("remind me in", "remind"),
        ("can you look up", "look up"),
        ("plot the", "draw"),
        ("no i mean", "correct"),
        ("never mind", "call off"),
        ("tell me when it turns", "watch for"),
    ],
)
def test_an_unfinished_sentence_gives_its_intent(text: str, intent: str) -> None:
    top = guess(text)
    assert top[0][0] == intent
    assert len(top) == 3
    assert 0.5 < top[0][1] <= 1
    assert sum(p for _, p in intents_of([(w, 1.0) for w in text.split()], len(EXAMPLES))) == pytest.approx(1, abs=1e-3)


def test_more_words_and_surer_hearing_make_a_surer_guess() -> None:
    assert guess("count")[0][1] < guess("count to")[0][1] < guess("count to ten")[0][1]
    assert guess("count to ten", 0.3)[0][1] < guess("count to ten")[0][1]
    assert intents_of([]) == ()


def test_estimates_are_events_of_the_ticks_that_bring_words() -> None:
    agent = Hears(ScriptedAgent(()), {3: "could you", 4: "count to", 5: "ten", 20: "stop"})
    trace = record(session := Session.start([Guessing(agent)]))
    session.run(25)
    told = [(tick, event.words, event.top[0][0]) for tick, event in trace.events(IntentEstimated)]
    assert told[1:] == [(4, "could you count to", "count"), (5, "could you count to ten", "count"), (20, "stop", "stop")]
    event = next(event for _, event in trace.events(IntentEstimated))
    assert from_json(to_json(event)) == event


def test_it_is_a_participant_named_among_the_rules() -> None:
    agent = governed_by(ScriptedAgent(((3, ("one",)),)), ["intents"])
    assert agent == Guessing(ScriptedAgent(((3, ("one",)),)))
    assert check_participant(agent).ok, check_participant(agent)
    assert rebuild(record(Session.start([SilentUser(9), agent]))).participants[1] == agent
