"""Scoring gives credit only where meaning and timing are both right, and says what it counted."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenario_fakes import one_voice
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import Event, TranscriptDelta, TruthExpect, TruthWithdrawn, TruthWord
from workbench.packets import AGENT_AUDIO, MicroTurn, Packet
from workbench.scenarios import FAMILIES, build
from workbench.scenarios.world import counting
from workbench.scoring.false_starts import SILENCES, false_starts
from workbench.scoring.heard import WordErrors, edit_distance, heard_words
from workbench.scoring.interaction import outcomes, scores
from workbench.scoring.reading import sound_spans
from workbench.scoring.score import Outcome, quantile, wilson
from workbench.scoring.summary import latencies, rates, summarise
from workbench.trace import Header, Trace

CLOCK = ClockSpec()


def trace_of(*events: Event, seconds: float = 20.0, sound: bool = True) -> Trace:
    """A trace with each event in the tick of its time; every agent word sounds from its start to its end."""
    ticks = CLOCK.ticks_in(seconds)
    wave = np.zeros(ticks * CLOCK.samples_per_tick, np.float32)
    rows: list[list[Event]] = [[] for _ in range(ticks)]
    for event in events:
        match event:
            case TranscriptDelta(start_s=start_s, end_s=end_s, side=side):
                if side == "model" and sound:
                    wave[CLOCK.samples(start_s) : CLOCK.samples(end_s)] = 0.2
                at_s = start_s
            case TruthWord(start_s=start_s):
                at_s = start_s
            case TruthExpect(anchor_s=anchor_s):
                at_s = event.extra.get("beat_s", anchor_s)
            case TruthWithdrawn(at_s=at_s):
                pass
        rows[CLOCK.tick_at(at_s)].append(event)
    trace = Trace(Header(clock=CLOCK, seed=0, participants={}))
    for number, row in enumerate(rows):
        piece = wave[number * CLOCK.samples_per_tick : (number + 1) * CLOCK.samples_per_tick]
        trace.append(MicroTurn(Tick(number), (Packet(AGENT_AUDIO, Tick(number), piece),), tuple(row)))
    return trace


def says(*words: tuple[str, float]) -> list[Event]:
    return [TranscriptDelta(side="model", word=word, start_s=at_s, end_s=at_s + 0.3) for word, at_s in words]


def beat(begins_s: float, *words: str) -> list[Event]:
    return [TruthWord(word=w, start_s=begins_s + 0.3 * i, end_s=begins_s + 0.3 * i + 0.3) for i, w in enumerate(words)]


def expect(
    what: str, begins_s: float, anchor_s: float, window: tuple[float, float], *words: str, name: str = "0.0", tags: str = ""
) -> Event:
    return TruthExpect(
        id=name, what=what, anchor="", anchor_s=anchor_s, from_s=window[0], to_s=window[1], words=words, tags=tuple(tags.split()),
        extra={"beat_s": begins_s},
    )  # fmt: skip


def question(begins_s: float = 1.0, *words: str, tags: str = "plain") -> list[Event]:
    """A question of 0.6 s that asks for `words`."""
    return [
        expect("reply", begins_s, begins_s + 0.6, (0.0, 1.0), *(words or ("seven",)), name=f"{begins_s}", tags=tags),
        *beat(begins_s, "three", "four"),
    ]


def request(upto: int) -> list[Event]:
    """A request at 1.0 to 1.6 s to count."""
    return [expect("count", 1.0, 1.6, (0.0, 1.0), *counting(upto), tags="backchannel"), *beat(1.0, "count", "to")]


def numbers(upto: int, from_s: float = 2.0, every_s: float = 0.6) -> list[tuple[str, float]]:
    return [(word, from_s + i * every_s) for i, word in enumerate(counting(upto))]


def only_outcome(*events: Event) -> Outcome:
    (found,) = outcomes(trace_of(*events))
    return found


@pytest.mark.parametrize(
    ("words", "meaning", "timing"),
    [
        ([("seven", 2.1)], True, True),
        ([("seven", 2.6)], True, True),
        ([("seven", 2.61)], True, False),
        ([("eight", 2.1)], False, True),
        ([("eight", 1.9), ("seven", 2.3)], False, True),
        ([("seven", 1.5)], False, False),
        ([], False, False),
    ],
)
def test_a_reply_is_the_first_word_after_the_question(words: list[tuple[str, float]], meaning: bool, timing: bool) -> None:
    outcome = only_outcome(*question(), *says(*words))
    assert (outcome.meaning, outcome.timing, outcome.both) == (meaning, timing, meaning and timing)


def test_a_reply_gives_its_latency_and_the_tick_that_shows_it() -> None:
    outcome = only_outcome(*question(), *says(("seven", 2.1)))
    assert outcome.latency_s == pytest.approx(0.5)
    assert outcome.evidence == (10,)


def test_a_reply_that_comes_after_the_user_went_on_is_no_reply() -> None:
    first, second = outcomes(trace_of(*question(1.0, "seven"), *question(3.0, "nine"), *says(("seven", 3.1), ("nine", 4.0))))
    assert not first.meaning
    assert second.both


def test_silence_is_broken_by_a_word_or_by_a_sound_that_begins() -> None:
    hold = [expect("silent", 1.0, 1.6, (0.1, 2.0), tags="pause"), *beat(1.0, "three", "plus"), *beat(3.6, "four")]
    assert only_outcome(*hold).both
    assert only_outcome(*hold, *says(("seven", 3.7))).both
    assert not only_outcome(*hold, *says(("seven", 2.5))).both
    noise_only = trace_of(*hold)
    turn = noise_only.turns[12]
    noise_only.turns[12] = MicroTurn(turn.tick, (Packet(AGENT_AUDIO, turn.tick, np.full(3200, 0.1, np.float32)),), turn.events)
    assert not outcomes(noise_only)[0].both


def test_a_sound_that_began_before_the_window_does_not_break_silence() -> None:
    hold = [expect("silent", 1.0, 1.6, (0.1, 2.0)), *beat(1.0, "three", "plus")]
    assert only_outcome(*hold, TranscriptDelta(side="model", word="now", start_s=1.5, end_s=2.0)).both


@pytest.mark.parametrize(
    ("said", "meaning", "even"),
    [
        (numbers(8), True, True),
        (numbers(7), False, True),
        (numbers(9), False, True),
        (numbers(8)[:3] + numbers(8)[4:], False, True),
        (numbers(8, every_s=1.4), True, True),
        (numbers(8, every_s=1.45), True, False),
        ([], False, False),
    ],
)
def test_a_count_is_complete_in_order_and_even(said: list[tuple[str, float]], meaning: bool, even: bool) -> None:
    outcome = only_outcome(*request(8), *says(*said))
    assert (outcome.meaning, outcome.timing, outcome.carried) == (meaning, even, meaning and even)


def test_a_count_that_begins_late_is_carried_but_not_in_time() -> None:
    outcome = only_outcome(*request(8), *says(*numbers(8, from_s=2.8)))
    assert (outcome.meaning, outcome.timing, outcome.carried) == (True, False, True)


def stopped(*words: tuple[str, float]) -> tuple[Outcome, Outcome]:
    """The outcomes of a count to twenty that is stopped by "stop" from 5.0 to 5.3 s."""
    halt = [
        expect("yield", 5.0, 5.3, (0.0, 1.0), name="1.0", tags="stop"),
        TruthWord(word="stop", start_s=5.0, end_s=5.3),
        TruthWithdrawn(id="0.0", at_s=5.3),
    ]
    count, halted = outcomes(trace_of(*request(20), *halt, *says(*words)))
    return count, halted


def test_a_stopped_count_is_right_as_far_as_it_went() -> None:
    count, halted = stopped(*numbers(6))  # the sixth is said from 5.0 to 5.3 s
    assert count.both
    assert halted.both
    assert halted.latency_s == pytest.approx(0.0, abs=0.011)
    assert halted.onset_latency_s == pytest.approx(0.3, abs=0.011)


@pytest.mark.parametrize(("upto", "latency_s", "meaning", "timing"), [(7, 0.6, True, True), (8, 1.2, True, False), (9, 1.8, False, False)])
def test_a_stop_is_judged_by_the_last_sound_and_the_last_word(upto: int, latency_s: float, meaning: bool, timing: bool) -> None:
    _, halted = stopped(*numbers(upto))
    assert halted.latency_s == pytest.approx(latency_s, abs=0.011)
    assert (halted.meaning, halted.timing) == (meaning, timing)


def test_a_count_that_had_died_before_the_stop_is_wrong_and_nothing_was_stopped() -> None:
    count, halted = stopped(*numbers(2))
    assert count.meaning
    assert not count.carried
    assert not halted.acted
    assert not halted.both
    assert halted.latency_s is None


@pytest.mark.parametrize(("at_s", "error_s", "timing"), [(6.6, 0.0, True), (7.1, 0.5, True), (6.0, -0.6, False), (7.3, 0.7, False)])
def test_a_timer_is_judged_by_its_distance_from_the_moment_asked_for(at_s: float, error_s: float, timing: bool) -> None:
    ask = [expect("time", 1.0, 1.6, (4.5, 5.5), "now"), *beat(1.0, "in", "five")]
    outcome = only_outcome(*ask, *says(("now", at_s)))
    assert outcome.error_s == pytest.approx(error_s)
    assert (outcome.meaning, outcome.timing) == (True, timing)
    assert not only_outcome(*ask, *says(("five", 3.0), ("now", at_s))).meaning


def test_an_expectation_whose_window_the_trace_does_not_reach_is_left_out() -> None:
    assert outcomes(trace_of(*question(), seconds=2.0)) == []


def test_an_unknown_expectation_is_refused() -> None:
    with pytest.raises(
        InputError,
        match="asks for 'dance'; this suite knows reply, silent, count, amend, moment, tally, delegate, result, only, yield and time",
    ):
        outcomes(trace_of(expect("dance", 1.0, 1.6, (0.0, 1.0))))


def test_scores_explain_themselves() -> None:
    (score,) = scores(trace_of(*question(), *says(("eight", 2.1))))
    assert (score.value, score.evidence) == (0.0, (10,))
    assert score.explanation == "reply: wanted seven, got eight 0.50 s after the anchor: not what was wanted"


def every(*due_s: float, word: str = "now", tags: str = "") -> list[Event]:
    """A request from 1.0 to 1.6 s for `word` at these times after its end, half a second early or late."""
    wanted = [expect("moment", 1.0, 1.6, (s - 0.5, s + 0.5), word, name=f"0.{n}", tags=tags) for n, s in enumerate(due_s)]
    return [*wanted, *beat(1.0, "say", "now")]


@pytest.mark.parametrize(
    ("words", "meaning", "timing"),
    [
        ([("now", 3.6), ("now", 5.6)], [True, True], [True, True]),
        ([("now", 3.1), ("now", 6.1)], [True, True], [True, True]),
        ([("now", 2.9), ("now", 6.2)], [True, True], [False, False]),  # the right word, too early and too late
        ([("now", 2.5), ("now", 5.6)], [False, True], [False, True]),  # too early for any moment, so it is one too many
        ([("now", 5.6)], [False, True], [False, True]),
        ([("yes", 3.6), ("now", 5.6)], [False, True], [False, True]),
        ([("now", 3.6), ("now", 4.2), ("now", 5.6)], [False, True], [True, True]),  # one too many, nearest to the first
        ([("now", 3.6), ("now", 5.2), ("now", 5.8)], [True, False], [True, True]),
        ([], [False, False], [False, False]),
    ],
)
def test_every_moment_counts_and_a_word_too_many_costs_the_nearest(
    words: list[tuple[str, float]], meaning: list[bool], timing: list[bool]
) -> None:
    found = outcomes(trace_of(*every(2.0, 4.0), *says(*words)))
    assert [o.meaning for o in found] == meaning
    assert [o.timing for o in found] == timing


def test_a_moment_tells_how_far_off_it_was_and_a_word_too_many_is_a_false_start() -> None:
    trace = trace_of(*every(2.0, 4.0), *says(("now", 3.8), ("now", 4.4), ("now", 5.5)))
    assert [o.error_s for o in outcomes(trace)] == [pytest.approx(0.2), pytest.approx(-0.1)]
    assert sum(false_starts(trace).values()) == false_starts(trace)["beyond the answer"] == 1


def redirected(step: int, line: tuple[str, ...], *words: tuple[str, float]) -> tuple[Outcome, Outcome]:
    """A count to twelve, changed by a correction that ends at 5.0 s."""
    change = TruthExpect(
        id="1.0", what="amend", anchor="", anchor_s=5.0, from_s=0.0, to_s=1.0, words=line, step=step, extra={"beat_s": 4.4}
    )
    gone = TruthWithdrawn(id="0.0", at_s=5.0)
    count, amend = outcomes(trace_of(*request(12), *beat(4.4, "by", "twos"), change, gone, *says(*words)))
    return count, amend


@pytest.mark.parametrize(
    ("step", "after", "right"),
    [
        (2, ("seven", "nine", "eleven"), True),
        (2, ("six", "eight", "ten", "twelve"), True),  # one more of the old kind
        (2, ("six", "seven", "nine", "eleven"), False),  # the second begins after the window
        (2, ("seven", "nine"), False),
        (2, ("eight", "ten", "twelve"), False),
        (2, (), False),
        (-1, ("four", "three", "two", "one"), True),
        (-1, ("six", "five", "four", "three", "two", "one"), True),
        (-1, ("five", "four", "three", "two", "one"), False),
    ],
)
def test_an_amended_count_goes_on_from_where_it_was(step: int, after: tuple[str, ...], right: bool) -> None:
    begun = numbers(5)  # up to "five" at 4.4 s
    count, amend = redirected(step, counting(12), *begun, *[(word, 5.2 + 0.9 * i) for i, word in enumerate(after)])
    assert count.both
    assert (amend.meaning, amend.carried) == (right, right)


def test_an_amended_count_that_halts_is_right_but_not_in_time() -> None:
    _, amend = redirected(-1, counting(12), *numbers(5), *[(w, 6.0 + 0.6 * i) for i, w in enumerate(("four", "three", "two", "one"))])
    assert amend.meaning
    assert not amend.timing
    with pytest.raises(InputError, match="amends a count, and none was asked for"):
        outcomes(trace_of(expect("amend", 4.4, 5.0, (0.0, 1.0), "one"), *beat(4.4, "by", "twos")))


def test_an_answer_in_the_same_breath_is_not_a_failure_to_yield() -> None:
    ask = [
        expect("yield", 3.0, 3.6, (0.0, 0.8), name="1.0", tags="new_question"),
        expect("reply", 3.0, 4.8, (0.0, 1.0), "four", name="1.1"),
        *beat(3.0, "what", "is", "two", "plus", "two"),
        TruthWithdrawn(id="0.0", at_s=3.6),
    ]
    count, halt, answer = outcomes(trace_of(*request(20), *ask, *says(*numbers(3), ("four", 5.2))))
    assert (count.both, halt.both, answer.both) == (True, True, True)
    _, halt, answer = outcomes(trace_of(*request(20), *ask, *says(*numbers(20))))
    assert (halt.both, answer.both) == (False, False)


def test_a_number_that_is_near_enough_is_as_right() -> None:
    ask = TruthExpect(id="0.0", what="reply", anchor="", anchor_s=1.6, from_s=0.0, to_s=1.0, words=("three",), accepts=("three", "two"))
    for word, right in (("three", True), ("two", True), ("four", False)):
        assert only_outcome(ask, *beat(1.0, "how", "long"), *says((word, 2.0))).both is right


def test_false_starts_are_sorted_by_situation() -> None:
    hold = [expect("silent", 1.0, 1.6, (0.1, 1.5), name="0.1", tags="pause"), *beat(1.0, "three", "plus")]
    reply = expect("reply", 1.0, 3.4, (0.0, 1.0), "seven", name="0.2")
    aside = [expect("silent", 8.0, 8.0, (0.0, 2.0), name="1.0", tags="other_directed"), *beat(8.0, "we", "need")]
    words = says(("one", 0.4), ("two", 1.2), ("three", 2.0), ("seven", 4.0), ("eight", 5.0), ("nine", 8.5))
    found = false_starts(trace_of(*hold, reply, *aside, *words))
    assert found == {
        "in a pause": 1,
        "to other-directed speech": 1,
        "to background sounds": 0,
        "to a bystander's order": 0,
        "after stop": 0,
        "before the moment": 0,
        "while being asked": 1,
        "beyond the answer": 1,
        "unasked": 1,
        "before it happened": 0,
        "after work was called off": 0,
        "to a statement without an invitation": 0,
        "to readings below the limit": 0,
        "to a count without a mistake": 0,
        "to sums without a mistake": 0,
        "while being asked again": 0,
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_silence_of_a_family_has_its_label(family: str) -> None:
    scripts = [build(family, seed, pick=one_voice) for seed in range(60)]
    holds = [expect for script in scripts for beat in script.beats for expect in beat.expects if expect.what == "silent"]
    assert [hold.tags for hold in holds if not set(hold.tags) & set(SILENCES)] == []


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("called_off", "after work was called off"),
        ("uninvited", "to a statement without an invitation"),
        ("harmless", "to readings below the limit"),
        ("no_mistake", "to a count without a mistake"),
        ("no_wrong_sum", "to sums without a mistake"),
        ("before_wrong_sum", "before the moment"),
        ("impatient", "while being asked again"),
        ("not_before", "before the moment"),
        ("one_of_my_own", "before the moment"),
    ],
)
def test_a_word_that_breaks_a_silence_is_told_by_what_the_silence_was_for(tag: str, kind: str) -> None:
    hold = [expect("silent", 1.0, 1.6, (0.0, 2.0), tags=tag), *beat(1.0, "three", "plus")]
    found = false_starts(trace_of(*hold, *says(("seven", 2.0))))
    assert {name: n for name, n in found.items() if n} == {kind: 1}


def test_words_after_a_stop_are_false_starts() -> None:
    halt = [expect("yield", 5.0, 5.3, (0.0, 1.0), name="1.0"), *beat(5.0, "stop"), TruthWithdrawn(id="0.0", at_s=5.3)]
    assert false_starts(trace_of(*request(20), *halt, *says(*numbers(9))))["after stop"] == 1


def test_sounds_are_found_to_ten_milliseconds_and_short_gaps_bridged() -> None:
    wave = np.zeros(32_000, np.float32)
    wave[1600:4800] = 0.1
    wave[5120:8000] = -0.1  # 20 ms later
    wave[16_000:16_800] = 0.1
    assert sound_spans(wave, CLOCK) == (pytest.approx((0.1, 0.5)), pytest.approx((1.0, 1.05)))
    assert sound_spans(np.zeros(0, np.float32), CLOCK) == ()


def heard(*words: tuple[str, float]) -> list[Event]:
    return [TranscriptDelta(side="user", word=word, start_s=at_s, end_s=at_s + 0.3) for word, at_s in words]


def test_heard_words_are_compared_with_the_users_own_words_of_the_world() -> None:
    spoken = [*beat(1.0, "what", "is", "three", "plus", "four"), *beat(4.0, "gladly", "two")]
    right = heard(("what", 1.0), ("is", 1.3), ("three", 1.6), ("plus", 1.9), ("four", 2.2), ("two", 4.3))
    assert heard_words(trace_of(*spoken, *right)) == WordErrors(0, 6, 6)
    wrong = heard(("what", 1.0), ("three", 1.6), ("plus", 1.9), ("five", 2.2), ("two", 4.3), ("two", 4.6))
    assert heard_words(trace_of(*spoken, *wrong)).errors == 3


def test_words_noticed_while_another_person_speaks_do_not_count() -> None:
    other = TruthWord(word="six", start_s=5.0, end_s=5.4, speaker="bystander")
    found = heard_words(trace_of(*beat(1.0, "one"), other, *heard(("one", 1.0), ("six", 5.1))))
    assert found == WordErrors(0, 1, 1)


def test_an_agent_without_a_transcript_has_no_word_error_rate() -> None:
    assert heard_words(trace_of(*beat(1.0, "one"))).rate is None
    assert (WordErrors(1, 4, 3) + WordErrors(1, 4, 4)).rate == 0.25


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_edit_distance_equals_that_of_jiwer(reference: list[str], hypothesis: list[str]) -> None:
    judged = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    assert edit_distance(reference, hypothesis) == judged.substitutions + judged.deletions + judged.insertions


def test_wilson_intervals_and_quantiles_have_their_textbook_values() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(100, 100) == pytest.approx((0.9630, 1.0), abs=1e-4)
    assert quantile([], 0.5) is None
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([float(n) for n in range(101)], 0.95) == pytest.approx(95.0)


@given(st.integers(0, 50), st.integers(1, 50))
def test_a_wilson_interval_holds_its_rate(hits: int, more: int) -> None:
    low, high = wilson(hits, hits + more)
    assert 0.0 <= low <= hits / (hits + more) <= high <= 1.0


def test_the_summary_counts_every_outcome_once_and_names_both_ends_of_a_latency() -> None:
    right = only_outcome(*question(), *says(("seven", 2.1)))
    late = only_outcome(*question(), *says(("seven", 2.9)))
    whole = summarise({"answer": [[right, right], [right, late]], "stop": [stopped(*numbers(7))]})
    answer = whole["families"]["answer"]
    assert {key: answer[key] for key in ("group", "n", "sessions", "meaning", "timing", "both")} == {
        "group": "floor", "n": 4, "sessions": 2, "meaning": 1.0, "timing": 0.75, "both": 0.75,
    }  # fmt: skip
    assert answer["meaning_ci95"] == pytest.approx(wilson(2, 2)), "all right in two sessions is no more than two of two"
    assert whole["mean_both"] == pytest.approx((0.75 + 1.0) / 2)
    assert {name: (row["families"], row["mean_both"]) for name, row in whole["groups"].items()} == {
        "floor": (1, 0.75),
        "interruption": (1, 1.0),
    }
    assert whole["rates"]["replies within 1.0 s"]["value"] == 0.75
    assert whole["rates"]["sum right, plain"]["value"] == 1.0
    reply = whole["latency_s"]["reply"]
    assert (reply["from"], reply["to"], reply["n"]) == ("end of the question", "start of the first word", 4)
    assert reply["median"] == pytest.approx(0.5)
    assert whole["latency_s"]["yield"]["from"] == "end of the word stop"


def test_rates_and_latencies_without_cases_are_left_out() -> None:
    right = only_outcome(*question(), *says(("seven", 2.1)))
    assert [r.name for r in rates({"answer": [[right]]})] == ["replies within 1.0 s", "sum right, plain"]
    assert set(latencies({"answer": [[right]]})) == {"reply"}
