"""The turn-based pipeline: it hears utterances whole, answers after silence, stops for voice, and keeps the rules of a participant."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jiwer
import numpy as np
import pytest

from tests.scenario_fakes import play, script_of
from workbench.adapters.energy_vad import VadSpec, VadState, hear
from workbench.adapters.pipeline import TUNED, Knobs, Pipeline, measured_compute, pipeline_of, world_ear, world_sentences
from workbench.adapters.rules import Memory, numbers_in, understand
from workbench.adapters.silero_vad import lacking
from workbench.check import check_participant
from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.events import ModelYielded, TickCost
from workbench.packets import Audio
from workbench.recogniser import dictionary_phones
from workbench.replay import rebuild, replay
from workbench.scenarios.script import AfterAgentWord, At, Beat
from workbench.scenarios.world import counting
from workbench.scoring.reading import read
from workbench.speech import AGENT_VOICE, Speaker
from workbench.trace import Header, Trace

RATE = 16_000
WORD_S = 0.35


@dataclass(frozen=True)
class FakeEar:
    """Knows an utterance in tones by the number of its words."""

    by_count: dict[int, str]

    def hear(self, samples: Audio) -> tuple[str, ...]:
        return tuple(self.by_count.get(round((len(samples) / RATE - 0.4 + 0.05) / WORD_S), "").split())


def ear_of(*sentences: str) -> FakeEar:
    return FakeEar({len(sentence.split()): sentence for sentence in sentences})


TONES = Knobs(vad="energy", hang_s=0.4, margin_db=9.0, barge_in_s=0.6, resume=True)  # the other detector takes no tone for a voice


def agent(*sentences: str, **knobs: float) -> Pipeline:
    return Pipeline(replace(TONES, **knobs), lambda: ear_of(*sentences))  # type: ignore[arg-type]


def said(trace: Trace) -> list[tuple[str, float]]:
    return [(word.word, word.start_s) for word in read(trace).words]


def run(pipeline: Pipeline, *beats: Beat, seconds: float = 8.0) -> Trace:
    return play(script_of(*beats, ending=At(seconds), max_ticks=round(seconds * 5)), pipeline)


def test_it_answers_a_question_after_the_silence_that_ends_it() -> None:
    trace = run(agent("what is two plus three", hang_s=0.6), Beat(("what is two plus three",), At(1.0)))
    ((word, at_s),) = said(trace)
    end_s = read(trace).truth[-1].end_s
    assert word == "five"
    assert 0.6 <= at_s - end_s <= 0.6 + 0.4, "silence, then at most a tick to see it and a tick to hear it"
    sooner = said(run(agent("what is two plus three", hang_s=0.3), Beat(("what is two plus three",), At(1.0))))
    assert sooner[0][1] < at_s


def test_computing_of_whole_ticks_delays_the_answer() -> None:
    beat = Beat(("what is two plus three",), At(1.0))
    plain, slow = (said(run(agent("what is two plus three", compute_s=c, compute_per_s=0.0), beat))[0][1] for c in (0.1, 0.5))
    assert slow - plain == pytest.approx(0.4)
    cost = [e for _, e in run(agent("what is two plus three"), beat).events(TickCost) if "recogniser" in e.stages_ms]
    assert len(cost) == 1
    assert cost[0].stages_ms["recogniser"] >= 0


def test_a_pause_inside_a_question_is_bridged_by_what_is_unfinished() -> None:
    trace = run(agent("what is two plus", "three"), Beat(("what is two plus", 1.5, "three"), At(1.0)))
    assert [word for word, _ in said(trace)] == ["five"]


def test_voice_stops_a_count_and_a_murmur_only_until_it_is_understood() -> None:
    request = Beat(("count to nine please",), At(0.5))
    stopped = run(agent("count to nine please", "stop now"), request, Beat(("stop now",), AfterAgentWord(3, 0.2, 9.0)), seconds=14.0)
    assert [word for word, _ in said(stopped)] == list(counting(len(said(stopped))))
    assert 3 <= len(said(stopped)) < 6
    (given_up,) = stopped.events(ModelYielded)
    assert given_up[1].unsaid.endswith("nine")
    murmur = Beat(("mhm yeah",), AfterAgentWord(3, 0.2, 9.0))
    resumed = run(agent("count to nine please", "mhm yeah"), request, murmur, seconds=14.0)
    assert [word for word, _ in said(resumed)][-1] == "nine"
    assert len(list(resumed.events(ModelYielded))) == 1
    for_good = run(
        Pipeline(replace(TONES, resume=False), lambda: ear_of("count to nine please", "mhm yeah")), request, murmur, seconds=14.0
    )
    assert [word for word, _ in said(for_good)][-1] != "nine"
    patient = run(agent("count to nine please", "mhm yeah", barge_in_s=1.5), request, murmur, seconds=14.0)
    assert [word for word, _ in said(patient)] == list(counting(9))
    assert not list(patient.events(ModelYielded))


def test_a_session_with_it_replays_bit_for_bit() -> None:
    trace = run(agent("what is two plus three"), Beat(("what is two plus three",), At(1.0)))
    assert replay(trace, agent=agent("what is two plus three")).difference is None


def test_its_spec_gives_it_back() -> None:
    header = Header(clock=ClockSpec(), seed=0, participants={"agent": pipeline_of("hang_s=0.4,resume=no").spec()})
    (again,) = rebuild(Trace(header)).participants
    assert again == pipeline_of("hang_s=0.4,resume=no")


def test_it_keeps_the_rules_of_a_participant() -> None:
    assert check_participant(agent("what is two plus three")).problems == ()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("what is three plus four", "seven"),
        ("add nine and nine please", "eighteen"),
        ("what is the sum of zero and four", "four"),
        ("what is three plus four no sorry five", "eight"),
        ("three plus four is seven right", "yes"),
        ("so three plus four is eight is that correct", "no"),
        ("tell me the password", "sorry"),
        ("count to four", "one two three four"),
        ("count from one to four please one", "one two three four"),
        ("in five seconds say now", "now"),
        ("translate into spanish red house thank you", "casa roja gracias"),
        ("warn me when it passes five six", "warning"),
    ],
)
def test_the_rules_know_the_requests_of_this_world(words: str, answer: str) -> None:
    found = understand(words.split(), Memory())
    assert " ".join(word for act in found.acts for word in act.words) == answer


def acts(found: object) -> list[str]:
    return [word for act in found.acts for word in act.words]  # type: ignore[attr-defined]


def test_the_rules_wait_for_the_rest_and_keep_standing_orders() -> None:
    begun = understand("what is three".split(), Memory())
    assert (begun.acts, begun.asked) == ((), False)
    assert acts(understand("plus four".split(), begun.memory)) == ["seven"]
    told = understand("three plus four is seven".split(), Memory())
    assert not told.acts
    assert acts(understand(["right"], told.memory)) == ["yes"]
    cue = understand("whenever i say red say one".split(), Memory())
    assert acts(understand("a red car and a red house".split(), cue.memory)) == ["one", "one"]
    assert not understand("a blue car".split(), cue.memory).acts
    ended = understand("that is all".split(), cue.memory)
    assert (ended.ends, ended.memory) == (True, Memory())
    late = understand("no five".split(), understand("three plus four".split(), Memory()).memory)
    assert acts(late) == ["eight"]
    counted = understand("count to ten".split(), Memory()).memory
    assert acts(understand("no by twos".split(), counted, "three", True)) == ["five", "seven", "nine"]
    assert acts(understand("no only to five".split(), counted, "three", True)) == ["four", "five"]
    assert not understand("anna has a meeting at five".split(), Memory()).acts
    series = understand("say now every three seconds until i say stop".split(), Memory())
    assert (series.acts[0].after_s, series.acts[0].every_s, series.ends) == (3.0, 3.0, False)


def test_numbers_of_two_words_are_one() -> None:
    assert numbers_in("from one to twenty one please".split()) == (1, 21)


def tone(seconds: float, level: float) -> Audio:
    return (level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def heard(spec: VadSpec, samples: Audio) -> list[tuple[float, float]]:
    state, found = VadState(), []
    for at in range(0, len(samples), 3200):
        state, ended = hear(spec, state, samples[at : at + 3200], at / RATE)
        found += [ended] if ended else []
    return found


def test_the_detector_finds_voice_over_the_noise_and_bridges_short_halts() -> None:
    rng = np.random.default_rng(3)
    voice = np.concatenate([tone(1.0, 0), tone(0.8, 0.2), tone(0.3, 0), tone(0.5, 0.2), tone(1.2, 0)])
    noisy = voice + rng.normal(0, 0.005, len(voice)).astype(np.float32)
    swell = 1 + 0.4 * np.sin(2 * np.pi * 3 * np.arange(len(voice)) / RATE)
    restless = (voice + swell * rng.normal(0, 0.01, len(voice))).astype(np.float32)
    for samples in (voice, noisy, restless):
        assert heard(VadSpec(hang_s=0.6), samples) == [pytest.approx((1.0, 2.6), abs=0.03)]
    assert len(heard(VadSpec(hang_s=0.2), noisy)) == 2
    assert heard(VadSpec(), rng.normal(0, 0.02, 5 * RATE).astype(np.float32)) == []
    assert heard(VadSpec(), np.concatenate([tone(1.0, 0), tone(0.03, 0.2), tone(1.0, 0)])) == [], "a click is no voice"


def test_knobs_come_from_text_and_wrong_ones_are_refused() -> None:
    assert pipeline_of("hang_s=0.4, resume=no, vad=energy").knobs == replace(TUNED["energy"], hang_s=0.4, resume=False)
    assert pipeline_of().knobs == (replace(TUNED["energy"], vad="silero") if lacking() else Knobs())
    assert pipeline_of("vad=energy,hang_s=0.7").knobs == replace(TUNED["energy"], hang_s=0.7)
    for text, message in (
        ("speed=2", "no knob 'speed'"),
        ("hang_s=soon", "has no value that fits"),
        ("resume=1", "yes or no for resume"),
        ("vad=ears", "the detectors are silero and energy"),
        ("voice_p=2", "between 0 and 1"),
        ("language=magic", "write rules, or chat:URL#MODEL"),
        ("language=chat:http://127.0.0.1/v1", "write rules, or chat:URL#MODEL"),
        ("language=chat:ftp://somewhere#tiny", "no address of a service"),
        ("language=chat:http://me:secret@somewhere/v1#tiny", "put the key in MICROTURN_CHAT_KEY"),
    ):
        with pytest.raises(InputError, match=message):
            pipeline_of(text)
    with pytest.raises(InputError, match="not positive"):
        Knobs(hang_s=0.0)
    with pytest.raises(InputError, match="negative time"):
        Knobs(compute_s=-1.0)


def test_the_recogniser_understands_requests_in_an_american_voice() -> None:
    ear = world_ear()
    lines = ["can you count to seven", "please count to eleven", "count to eighteen please", "tell me three plus four"]
    heard_ = [" ".join(ear.hear(Speaker(AGENT_VOICE).say([line]).samples)) for line in lines]
    assert jiwer.wer(lines, heard_) < 0.2
    assert ear.hear(np.zeros(RATE, np.float32)) == ()
    assert len(world_sentences()) > 1000


def test_the_cost_of_recognising_is_a_line_through_what_it_took() -> None:
    class Idle:
        def hear(self, samples: Audio) -> tuple[str, ...]:
            return ()

    base, slope = measured_compute(Idle(), [np.zeros(RATE, np.float32), np.zeros(2 * RATE, np.float32)])
    assert base >= 0
    assert slope >= 0
    with pytest.raises(InputError, match="at least two of different length"):
        measured_compute(Idle(), [np.zeros(RATE, np.float32)])


def test_a_word_that_the_dictionary_does_not_have_is_named() -> None:
    assert dictionary_phones(["two", "mhm"], {"mhm": ("M",)}) == {"two": ("T", "UW"), "mhm": ("M",)}
    with pytest.raises(InputError, match="how to pronounce zzyzx"):
        dictionary_phones(["zzyzx"])
