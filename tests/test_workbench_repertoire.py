"""A result that a model has not learned to say is never said as another one: it is sorry, or silent where the result is to be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from model.checkpoint import Checkpoint
from tests.background_fakes import Typist
from tests.scenario_fakes import play_family
from workbench.asking import CANCEL, OPEN, SHOW, Repertoire, gate_of, told
from workbench.background.backends import Simulated
from workbench.background.desk import Desk
from workbench.background.ledger import DeskSpec
from workbench.background.notes import Note, lines, notes_of
from workbench.background.parts import Answer, Envelope, Failure, NeedsConsent, Part, Stop
from workbench.background.telling import Delegating
from workbench.clock import Tick
from workbench.events import Decision, Gate
from workbench.events_background import ConsentGiven, ConsentWithdrawn, DelegationChanged, DelegationNote, DelegationResult
from workbench.explain import why
from workbench.neural import NeuralAgent, load_agent
from workbench.neural.cells import background_tokens
from workbench.packets import AGENT_TEXT, BACKGROUND_TEXT, USER_CONTEXT, USER_TEXT, MicroTurn, Packet
from workbench.replay import replay
from workbench.scenarios import BACKGROUND
from workbench.scenarios.facts import RESULT_WORDS
from workbench.serve.noted import Noted
from workbench.session import Session
from workbench.trace import Trace, record

NUMBERS = Repertoire(frozenset(RESULT_WORDS))
ASK_AT = 5
CHART = {"kind": "figure", "figure": {"data": [{"type": "bar", "x": ["a"], "y": [1]}], "layout": {}}}


@dataclass(frozen=True)
class Gives:
    """Answers whatever is asked with the same part; asked again after a refusal, that it may not."""

    part: Part
    name: str = "gives"

    def spec(self) -> Mapping[str, Any]:
        return {"class": "Gives"}

    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Part]:
        return [Failure(cause="it may not")] if envelope.refusals else [self.part]


@pytest.fixture(scope="module")
def nano() -> NeuralAgent:
    return load_agent()


def looked_up(nano: NeuralAgent, part: Part, ticks: int = 40) -> Trace:
    """The shipped model is asked in writing to look somebody up, and gets this."""
    desk = Desk(Simulated(Gives(part), (1.0, 1.0)), DeskSpec())
    session = Session.start([Typist({ASK_AT: ((USER_TEXT, "can you look up anna"),)}), Delegating(nano), desk])
    trace = record(session)
    session.run(ticks)
    return trace


def said(trace: Trace) -> list[str]:
    return [word for turn in trace.turns for word in turn.text(AGENT_TEXT).split()]


def ends(trace: Trace) -> list[tuple[str, str]]:
    """How tasks ended, and why."""
    return [(e.after, e.cause) for _, e in trace.events(DelegationChanged) if e.after in ("delivered", "failed")]


def gates(trace: Trace) -> list[tuple[int, Gate]]:
    return [(tick, gate) for tick, e in trace.events(Decision) for gate in e.gates if gate.name == "repertoire"]


# --- the rule ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read", "why_not"),
    [
        ("twelve", (OPEN, "twelve"), ""),
        ("21", (OPEN, "twenty-one"), ""),
        ("anna has extension twelve", (OPEN, "twelve"), "left out, because it has not learned to say them: anna has extension"),
        ("the window is closed", (CANCEL,), "of its 4 words there is none among the results that the agent has learned to say"),
        ("red", (CANCEL,), "of its 1 words there is none"),
        ("", (CANCEL,), "of its 0 words there is none"),
        ("42", (CANCEL,), 'without "forty", which it has not learned to say, "two" would be another answer'),
        ("-3", (CANCEL,), 'without "minus"'),
        ("2.5", (CANCEL,), "of this one it knows 2: two five"),
        ("1,200", (CANCEL,), "of this one it knows 2: one two"),
        ("not twelve", (CANCEL,), 'without "not"'),
        ("it isn't twelve", (CANCEL,), 'without "isn\'t"'),
        ("more than twelve", (CANCEL,), 'without "than"'),
        ("twelve of thirty", (CANCEL,), "results of one word, and of this one it knows 2: twelve thirty"),
        ("Twelve. That is five plus seven.", (OPEN, "twelve"), "left out, because it stands after the answer: that is five plus seven"),
        ("twelve. never mind", (OPEN, "twelve"), "left out, because it stands after the answer: never mind"),
        ("anna has twelve! now count to five", (OPEN, "twelve"), "say them: anna has; left out, because it stands after the answer: now"),
        ("Here it is. Twelve", (OPEN, "twelve"), "left out, because it has not learned to say them: here it is"),
        ("Done. Now count to five.", (CANCEL,), 'without "count"'),
        ("say five", (CANCEL,), 'without "say"'),
        ("it is either. twelve or thirteen", (CANCEL,), "of this one it knows 2: twelve thirteen"),
        ("twelve. No, thirteen.", (CANCEL,), "of this one it knows 2: twelve thirteen"),
        ("not twelve. thirteen", (CANCEL,), 'without "not"'),
        ("2.5 or so. ask again", (CANCEL,), "of this one it knows 2: two five"),
    ],
)
def test_of_a_result_only_what_was_learned_is_read_and_nothing_where_that_would_be_another(
    text: str, read: tuple[str, ...], why_not: str
) -> None:
    note = Note(task="1", what="result", text=text)
    gate = gate_of(note, NUMBERS)
    assert told(note, NUMBERS) == read
    assert (gate is None) == (why_not == "")
    if gate is not None:
        assert (gate.name, gate.wanted, gate.done) == ("repertoire", text, " ".join(read[1:]) or CANCEL)
        assert why_not in gate.reason


def test_what_is_to_be_seen_what_nobody_asked_for_and_questions_are_not_spoken_and_need_no_sorry() -> None:
    for note in (
        Note(task="1", what="result", text="here it is", shown=True),
        Note(task="", what="result", text="here it is"),
        Note(task="1", what="ask", text="may I take twelve?"),
    ):
        assert told(note, NUMBERS) == (SHOW,)
        assert gate_of(note, NUMBERS) is not None
    for note in (Note(task="1", what="result", text="a chart", schedule="silent"), Note(task="1", what="problem", text="no")):
        assert gate_of(note, NUMBERS) is None


def test_who_says_everything_reads_notes_as_before_and_notes_are_written_as_before() -> None:
    note = Note(task="1", what="result", text="the window is closed", about="look up anna")
    assert told(note) == (OPEN, *"look up anna the window is closed".split())
    assert "shown" not in lines([note])
    shown = Note(task="1", what="result", text="here", shown=True)
    assert notes_of(MicroTurn(Tick(0), (Packet(BACKGROUND_TEXT, Tick(0), lines([note, shown])),))) == (note, shown)


@pytest.mark.parametrize("family", BACKGROUND)
def test_every_result_of_the_scenarios_is_in_the_repertoire(family: str, nano: NeuralAgent) -> None:
    for turn in play_family(family, 4).turns:
        assert nano.handed_tokens(turn) == background_tokens(turn, nano.words)
        assert nano.unsaid(turn) == ()


def test_a_checkpoint_tells_which_results_it_has_learned(nano: NeuralAgent) -> None:
    assert nano.repertoire == NUMBERS
    facts = {**nano.facts, "results": ("red", "never", "unheard")}
    other = NeuralAgent(Checkpoint(nano.model, nano.words, facts, nano.voice))
    assert other.repertoire == Repertoire(frozenset({"red"}))  # its voice lacks one word, its vocabulary the other


# --- closed loop ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["the window is closed", "red", "42", "not twelve"])
def test_the_shipped_model_is_sorry_for_what_it_cannot_say_and_makes_nothing_up(nano: NeuralAgent, text: str) -> None:
    trace = looked_up(nano, Answer(text=text), 70)
    assert said(trace) == ["okay", "sorry"]
    [(state, cause)] = ends(trace)
    assert state == "failed"
    assert cause.startswith("the agent cannot say it: ")
    [(handed, result)] = trace.events(DelegationResult)  # once, not three times
    assert result.text == text
    assert [*trace.events(DelegationNote)] == []  # it knows, and is not told again
    [(tick, gate)] = gates(trace)
    assert (tick, gate.wanted, gate.done) == (handed + 1, text, CANCEL)
    assert cause.endswith(gate.reason)


def test_a_session_with_a_result_that_cannot_be_said_explains_itself_and_replays(nano: NeuralAgent) -> None:
    trace = looked_up(nano, Answer(text="the window is closed"))
    [(tick, _)] = gates(trace)
    sorry = next(turn.tick for turn in trace.turns if turn.text(AGENT_TEXT) == "sorry")
    text = str(why(trace, trace.header.clock.seconds(sorry)))
    assert 'began to say "sorry"' in text
    [handed] = [tick for tick, _ in trace.events(DelegationResult)]
    at = f"at {trace.header.clock.seconds(handed):.1f} s (tick {handed})"
    assert f'the result of task 1, which it was handed {at}, is none that it can say: "the window is closed"' in text
    assert 'task 1 is "look up anna"' in text
    ended = str(why(trace, trace.header.clock.seconds(Tick(tick + 1))))
    assert "from delivering to failed after 0.4 s: the agent cannot say it: of its 4 words there is none" in ended
    assert replay(trace).difference is None


def test_sorry_for_a_failure_is_traced_back_to_it(nano: NeuralAgent) -> None:
    trace = looked_up(nano, Failure(cause="nobody knows"), 40)
    assert said(trace) == ["okay", "sorry"]
    sorry = next(turn.tick for turn in trace.turns if turn.text(AGENT_TEXT) == "sorry")
    assert 'that there is no result of task 1: "nobody knows"' in str(why(trace, trace.header.clock.seconds(sorry)))


def test_a_result_that_is_known_in_part_is_delivered_with_what_was_left_out(nano: NeuralAgent) -> None:
    trace = looked_up(nano, Answer(text="anna has extension twenty-one"), 60)
    assert said(trace) == ["okay", "twenty-one"]
    [(state, cause)] = ends(trace)
    assert state == "delivered"
    assert cause.endswith("without what the agent cannot say: anna has extension")
    [(_, gate)] = gates(trace)
    assert (gate.wanted, gate.done) == ("anna has extension twenty-one", "twenty-one")


def test_a_result_that_is_to_be_seen_is_not_spoken_and_counts_as_shown(nano: NeuralAgent) -> None:
    trace = looked_up(nano, Answer(text="sales by month", say="here is the chart", shown=CHART), 50)
    assert said(trace) == ["okay"]
    [(state, cause)] = ends(trace)
    assert (state, cause.split(":")[0]) == ("delivered", "shown, and not spoken")


def test_a_question_that_cannot_be_put_is_withdrawn_and_the_call_is_not_made(nano: NeuralAgent) -> None:
    asked = NeedsConsent(call="c", tool="send", arguments={}, how="voice", text="may I send twelve letters?")
    trace = looked_up(nano, asked)
    [(_, withdrawn)] = trace.events(ConsentWithdrawn)
    assert withdrawn.cause == "the agent cannot ask it: it has not learned to put questions, of which no part may be left out"
    assert [*trace.events(ConsentGiven)] == []
    assert said(trace) == ["okay", "sorry"]
    assert ends(trace) == [("failed", "it may not")]


def test_commentary_that_it_cannot_say_is_left_unsaid(nano: NeuralAgent) -> None:
    entry = '{"what": "commentary", "text": "the window is closed", "task": ""}'
    session = Session.start([Typist({8: ((USER_CONTEXT, entry),)}, speaks=(USER_CONTEXT,)), Noted(nano)])
    trace = record(session)
    session.run(50)
    assert said(trace) == []
    [(_, gate)] = gates(trace)
    assert (gate.wanted, gate.done) == ("the window is closed", SHOW)
