"""Scripted users react at the right sample; recorded and silent users and the small agents do what they say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.scenario_fakes import Tones, one_voice, play, script_of
from workbench.acoustics import Acoustics
from workbench.agents import EchoAgent, Mouth, OracleAgent, ScriptedAgent, SilentAgent
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import (
    Decision,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelYielded,
    TranscriptDelta,
    TruthExpect,
    TruthWithdrawn,
    TruthWord,
)
from workbench.neural import cells_of, vocabulary
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO
from workbench.recordings import recordings_available
from workbench.scenarios import build, medley
from workbench.scenarios.script import (
    BEGIN,
    AfterAgentDone,
    AfterAgentStarts,
    AfterAgentWord,
    AfterBegin,
    AfterOwn,
    Anchor,
    At,
    Beat,
    Burst,
    Expect,
    Lasting,
    Manner,
    Order,
    Passage,
    Trigger,
    onward,
)
from workbench.session import Participant, Session
from workbench.sounds import NOISE, UNKNOWN_WORDS, recorded_passage
from workbench.trace import Trace, record
from workbench.users import RecordedUser, ScriptedUser, SilentUser
from workbench.utterance import Utterance

CLOCK = ClockSpec()
FIRST = Beat(("what is",), At(0.5))  # sounds from 0.5 to 1.15 s


def starts(trace: Trace) -> list[float]:
    """The start of the first word of every beat in `trace`, told by gaps of more than 0.1 s."""
    words = [e for _, e in trace.events(TruthWord)]
    return [w.start_s for i, w in enumerate(words) if i == 0 or w.start_s - words[i - 1].end_s > 0.1]


def second_start(trigger: Trigger, agent: Participant) -> float:
    return starts(play(script_of(FIRST, Beat(("plus",), trigger)), agent))[1]


def says(*plan: tuple[int, str]) -> ScriptedAgent:
    return ScriptedAgent(tuple((tick, tuple(words.split())) for tick, words in plan))


def test_speech_begins_at_the_very_sample_of_its_true_word() -> None:
    trace = play(script_of(Beat(("one two", 0.37, "three"), At(0.5123)), Beat(("four",), AfterOwn(0.2501))), SilentAgent())
    heard = trace.audio(USER_AUDIO)
    words = [e for _, e in trace.events(TruthWord)]
    assert [w.word for w in words] == ["one", "two", "three", "four"]
    loud = np.abs(heard) > 0
    for word in words:
        first, last = round(word.start_s * 16_000), round(word.end_s * 16_000)
        assert not loud[first - 10 : first].any()
        assert loud[first]
        assert loud[last - 1]
        assert not loud[last + 1 : last + 10].any()


def test_a_true_word_stands_in_the_tick_in_which_it_begins() -> None:
    trace = play(build("answer", 2, pick=one_voice))
    assert all(tick == CLOCK.tick_at(e.start_s) for tick, e in trace.events(TruthWord))


def test_after_own_counts_from_the_end_of_the_beat_before() -> None:
    assert second_start(AfterOwn(0.25), SilentAgent()) == pytest.approx(1.15 + 0.25, abs=1e-4)


def test_after_agent_starts_counts_from_the_first_agent_sound() -> None:
    agent = says((10, "seven"))
    onset_s = 2.0
    assert second_start(AfterAgentStarts(0.63), agent) == pytest.approx(onset_s + 0.63, abs=0.03)


def test_after_agent_word_counts_words_since_the_beat_before_began() -> None:
    agent = says((1, "zero"), (10, "one"), (13, "two"), (16, "three"))
    assert second_start(AfterAgentWord(2, 0.45, 9.0), agent) == pytest.approx(13 * 0.2 + 0.45, abs=1e-4)


def test_after_agent_done_waits_for_the_last_sound() -> None:
    agent = says((10, "one"), (13, "two"))
    trace = play(script_of(FIRST, Beat(("plus",), AfterAgentDone(0.9, 9.0))), agent)
    last_s = max(e.at_s for _, e in trace.events(ModelSpeechStopped))
    assert starts(trace)[1] == pytest.approx(last_s + 0.9, abs=0.05)


@pytest.mark.parametrize(
    "trigger", [AfterAgentStarts(0.5, timeout_s=1.3), AfterAgentWord(2, 0.5, timeout_s=1.3), AfterAgentDone(0.5, timeout_s=1.3)]
)
def test_a_silent_agent_is_waited_for_only_until_the_time_out(trigger: Trigger) -> None:
    assert second_start(trigger, SilentAgent()) == pytest.approx(1.15 + 1.3, abs=1e-4)


def test_a_beat_cannot_react_before_it_has_heard() -> None:
    heard_at = 11 * 0.2  # a word said in tick 10 is heard in tick 11
    assert second_start(AfterAgentWord(1, 0.0, 9.0), says((10, "one"))) == pytest.approx(heard_at, abs=1e-4)


def test_an_aside_during_a_count_does_not_hide_that_the_agent_is_done() -> None:
    aside = Beat(("we need six eggs today",), AfterAgentWord(1, 0.2, 9.0))
    ask = Beat(("count",), At(0.5), orders=(Order("count", 0.4, ("one", "two"), 3),))
    trace = play(script_of(ask, aside, Beat(("plus",), AfterAgentDone(0.3, 20.0))))
    aside_end_s = [e for _, e in trace.events(TruthWord)][-2].end_s
    assert starts(trace)[-1] - aside_end_s < 0.6


def test_expectations_and_withdrawals_are_anchored_on_words() -> None:
    expect = Expect("reply", "end of the question", 0.0, 1.0, words=("two",))
    hold = Expect("silent", "pause", 0.1, anchor=Anchor(0), until=Anchor(1, "start"))
    ask = Beat(("one", 1.0, "plus one"), At(0.0), (Order("say", 0.4, ("two",)),), (hold, expect))
    back = Beat(("no two",), AfterOwn(1.5), withdraws=BEGIN)
    trace = play(script_of(ask, back))
    silent, reply = [e for _, e in trace.events(TruthExpect)]
    assert (silent.anchor_s, silent.anchor_s + silent.to_s) == pytest.approx((0.3, 1.3))
    assert reply.anchor_s == pytest.approx(1.95)
    (withdrawn,) = [e for _, e in trace.events(TruthWithdrawn)]
    assert withdrawn.id == reply.id
    assert withdrawn.at_s == pytest.approx(1.95 + 1.5, abs=1e-4)


def test_a_bystander_is_as_loud_as_the_beat_says_and_named_as_such() -> None:
    loud, quiet = Beat(("one",), At(0.2)), Beat(("one",), AfterOwn(0.5), speaker="bystander", level_db=-12.0)
    trace = play(script_of(loud, quiet), SilentAgent())
    heard = trace.audio(USER_AUDIO)
    first, second = ([e for _, e in trace.events(TruthWord)][i] for i in (0, 1))
    levels = [np.std(heard[round(w.start_s * 16_000) : round(w.end_s * 16_000)]) for w in (first, second)]
    assert 20 * np.log10(levels[1] / levels[0]) == pytest.approx(-12.0, abs=0.1)
    assert (first.speaker, second.speaker) == ("user", "bystander")


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_a_passage_that_is_played_faster_sounds_higher_and_lasts_as_long_as_asked(monkeypatch: pytest.MonkeyPatch, speed: float) -> None:
    tone = np.sin(2 * np.pi * 400 * np.arange(10 * 16_000) / 16_000).astype(np.float32)
    monkeypatch.setattr("workbench.sounds.recordings.sentence", lambda rng, split: Utterance(tone, (), "a tone"))
    heard = recorded_passage(Passage("sentence", "train", 3, 2.0, speed))
    assert heard.duration_s == pytest.approx(2.0, abs=1e-3)
    assert np.abs(np.fft.rfft(heard.samples)).argmax() / heard.duration_s == pytest.approx(400 * speed, abs=1)


def tone_of(rng: np.random.Generator, split: str) -> Utterance:
    """One of many people, each of whom is a tone."""
    hz = 200 + 100 * int(rng.integers(40))
    return Utterance(np.sin(2 * np.pi * hz * np.arange(10 * 16_000) / 16_000).astype(np.float32), (), f"{hz} Hz")


@pytest.mark.parametrize(
    ("manner", "at_once", "in_all"), [("alone", (1, 1), (1, 1)), ("two_at_once", (2, 2), (2, 2)), ("fragments", (1, 1), (3, 12))]
)
def test_two_talk_at_once_and_several_in_fragments(
    monkeypatch: pytest.MonkeyPatch, manner: Manner, at_once: tuple[int, int], in_all: tuple[int, int]
) -> None:
    for kind in ("sentence", "meeting"):
        monkeypatch.setattr(f"workbench.sounds.recordings.{kind}", tone_of)
    for seed in range(8):
        passage = Passage("sentence", "train", seed, 4.0, manner=manner)
        heard = recorded_passage(passage)
        assert np.array_equal(heard.samples, recorded_passage(passage).samples)
        assert 3.7 < heard.duration_s < 4.001 if manner == "fragments" else heard.duration_s == pytest.approx(4.0, abs=1e-3)
        assert np.abs(heard.samples[-800:]).max() > 0.1, "it ends where the truth says"
        assert [(w.word, w.end_s) for w in heard.words] == [(UNKNOWN_WORDS, heard.duration_s)]
        frames = heard.samples[: len(heard.samples) // 1600 * 1600].reshape(-1, 1600)  # 100 ms: bins of 10 Hz, a tone in every tenth
        tones = np.abs(np.fft.rfft(frames))[:, ::10] > 0.25 * 800
        assert at_once[0] <= np.median(tones.sum(1)[tones.any(1)]) <= at_once[1], seed
        assert in_all[0] <= tones.any(0).sum() <= in_all[1], seed


@pytest.mark.recordings
@pytest.mark.skipif(not recordings_available(), reason="no folder of recordings")
def test_a_recorded_bystander_sounds_and_keeps_the_same_excerpt() -> None:
    aside = Beat((), At(0.5), speaker="bystander", sound=Passage("meeting", "train", 3, 2.0))
    first, again = play(script_of(aside), SilentAgent()), play(script_of(aside), SilentAgent())
    (word,) = [e for _, e in first.events(TruthWord)]
    assert (word.word, word.speaker) == (UNKNOWN_WORDS, "bystander")
    assert (word.start_s, word.end_s) == pytest.approx((0.5, 2.5), abs=1e-3)
    heard = first.audio(USER_AUDIO)
    assert np.array_equal(heard, again.audio(USER_AUDIO))
    assert np.std(heard[8000:40_000]) > 0.005
    assert not heard[:7999].any()


def test_a_burst_of_noise_sounds_as_loud_as_its_beat_says_and_is_no_voice() -> None:
    bang = Beat((), At(0.5), speaker="bystander", level_db=-6.0, sound=Burst("pink", 3, 1.5))
    trace = play(script_of(bang), SilentAgent())
    heard = trace.audio(USER_AUDIO)
    speech_db = Acoustics().level_db
    assert 20 * np.log10(np.std(heard[8000:32_000])) == pytest.approx(speech_db - 6.0, abs=2.0)
    assert not heard[:7999].any()
    assert not heard[32_100:].any()
    assert [(e.word, e.start_s, e.end_s) for _, e in trace.events(TruthWord)] == [(NOISE, 0.5, 2.0)]
    cells = cells_of(trace, vocabulary())
    assert not cells.active.any()
    assert not cells.heard.any()


def test_a_steady_rhythm_is_kept_from_beginning_to_beginning() -> None:
    count = [Beat((text,), AfterBegin(0.8)) for text in ("one", "two", "three four five", "six")]
    words = [e.start_s for _, e in play(script_of(FIRST, *count), SilentAgent()).events(TruthWord)]
    assert words == pytest.approx([0.5, 0.85, 1.3, 2.1, 2.9, 3.25, 3.6, 3.9], abs=1e-4)  # "six" waits until "five" has ended


def test_an_order_that_is_taken_back_is_not_carried_out() -> None:
    ask = Beat(("one",), At(0.0), (Order("say", 1.0, ("seven",)), Order("say", 2.5, ("now",))))
    again = Beat(("two",), AfterOwn(0.2), (Order("clear", 0.0, anchor=BEGIN), Order("say", 0.4, ("nine",))))
    said = [e.word for _, e in play(script_of(ask, again, ending=AfterOwn(4.0))).events(TranscriptDelta)]
    assert said == ["nine"]


def test_an_amended_count_keeps_its_pace() -> None:
    line = ("one", "two", "three", "four", "five", "six")
    ask = Beat(("count",), At(0.0), (Order("count", 0.4, line, 3),))
    change = Beat(("by twos",), AfterAgentWord(3, 0.0, 9.0), (Order("amend", -0.4, line, 3, step=2),))
    said = [e for _, e in play(script_of(ask, change, ending=AfterOwn(4.0))).events(TranscriptDelta)]
    assert [e.word for e in said] == ["one", "two", "three", "five"]
    assert np.diff([e.start_s for e in said]) == pytest.approx([0.6] * 3, abs=0.05)


def test_what_follows_in_a_line() -> None:
    line = ("one", "two", "three", "four", "five")
    assert onward(line, "two", 1) == ("three", "four", "five")
    assert onward(line, "two", 2) == ("four",)
    assert onward(line, "three", -1) == ("two", "one")
    assert onward(line, "one", -1) == onward(line, "five", 2) == onward(line, "nine", 1) == ()


def test_the_length_of_a_stretch_is_known_once_the_beat_sounds() -> None:
    stretch = Lasting(BEGIN, Anchor(3))  # four words of 0.3 s with gaps of 0.05 s, and a pause
    ask = Beat(
        ("one two", 1.2, "one two", 0.5, "how long"),
        At(0.0),
        (Order("say", 0.4, lasting=stretch),),
        (Expect("reply", "", 0.0, 1.0, lasting=stretch),),
    )
    trace = play(script_of(ask, ending=AfterOwn(2.0)))
    (expect,) = [e for _, e in trace.events(TruthExpect)]
    assert (expect.words, expect.accepts) == (("two",), ("two", "three"))  # 2.5 s
    assert [e.word for _, e in trace.events(TranscriptDelta)] == ["two"]


def test_noise_fills_the_microphone_also_when_nobody_speaks() -> None:
    noisy = Acoustics(noises=(("pink", 15.0),), seed=3)
    quiet_part = play(script_of(FIRST, acoustics=noisy), SilentAgent()).audio(USER_AUDIO)[: round(0.4 * 16_000)]
    assert 20 * np.log10(np.std(quiet_part)) == pytest.approx(-23 - 15, abs=3)


def test_a_run_repeats_bit_for_bit_and_a_fork_goes_on_alike() -> None:
    script = medley(4, seconds=10.0, pick=one_voice)
    first, again = play(script), play(script)
    assert [t.events for t in first.turns] == [t.events for t in again.turns]
    assert np.array_equal(first.audio(USER_AUDIO), again.audio(USER_AUDIO))
    session = Session.start([ScriptedUser(script, speaker_of=Tones), OracleAgent()], seed=script.seed).run(20)
    fork = session.fork()
    later = record(fork)
    fork.run(script.max_ticks)
    assert [t.events for t in later.turns] == [t.events for t in first.turns[20:]]


def test_an_anchor_on_a_word_that_is_not_there_is_refused() -> None:
    beat = Beat(("one",), At(0.0), (Order("say", 0.4, ("one",), anchor=Anchor(4)),))
    with pytest.raises(InputError, match=r"anchor on word 4 of \['one'\]; use a word the beat has"):
        play(script_of(beat))


def test_a_recording_is_played_once_and_followed_by_three_seconds_of_silence() -> None:
    samples = np.linspace(-0.5, 0.5, 7000).astype(np.float32)
    session = Session.start([RecordedUser(samples), SilentAgent()])
    trace = record(session)
    session.run(100)
    heard = trace.audio(USER_AUDIO)
    assert np.array_equal(heard[:7000], samples)
    assert not heard[7000:].any()
    assert 3.0 <= trace.duration_s - 7000 / 16_000 < 3.2


def test_a_silent_user_says_nothing_for_as_long_as_asked() -> None:
    session = Session.start([SilentUser(ticks=7), SilentAgent()])
    trace = record(session)
    session.run(100)
    assert len(trace) == 7
    assert not trace.audio(USER_AUDIO).any()


def test_the_echo_agent_plays_back_one_tick_later() -> None:
    trace = play(script_of(FIRST), EchoAgent())
    assert np.array_equal(trace.audio(AGENT_AUDIO)[3200:], trace.audio(USER_AUDIO)[:-3200])


def test_a_mouth_says_words_in_their_tick_and_reports_what_it_left_unsaid() -> None:
    trace = play(script_of(FIRST, ending=AfterOwn(2.0)), says((3, "one two three"), (5, "<yield> now")))
    words = [(tick, e.word, e.start_s) for tick, e in trace.events(TranscriptDelta)]
    assert words[0] == (3, "one", pytest.approx(0.6))
    assert [w for _, w, _ in words] == ["one", "two", "now"]
    (yielded,) = [e for _, e in trace.events(ModelYielded)]
    assert (yielded.at_s, yielded.unsaid) == (1.0, "two three")
    assert [trace.turns[t].text(AGENT_TEXT) for t in (3, 4, 5)] == ["one two three", "", "now"]


def test_a_yield_is_quiet_within_ten_milliseconds() -> None:
    trace = play(script_of(FIRST), says((3, "seventeen"), (4, "<yield>")))
    sound = trace.audio(AGENT_AUDIO)
    assert np.abs(sound[round(0.65 * 16_000) : round(0.8 * 16_000)]).max() > 0.01
    assert not sound[round(0.81 * 16_000) :].any()
    assert [e.at_s for _, e in trace.events(ModelSpeechStopped)] == [pytest.approx(0.81)]


def test_speech_events_frame_the_sound() -> None:
    trace = play(script_of(FIRST), says((3, "seven")))
    (began,), (ended,) = ([e for _, e in trace.events(kind)] for kind in (ModelSpeechStarted, ModelSpeechStopped))
    loud = np.flatnonzero(trace.audio(AGENT_AUDIO)) / 16_000
    assert began.at_s == 0.6 <= loud[0] < 0.65
    assert loud[-1] < ended.at_s < loud[-1] + 0.05


def test_a_mouth_that_has_nothing_to_say_sends_no_packets() -> None:
    mouth = Mouth()
    packets, events, _ = mouth.act(mouth.start(), CLOCK, Tick(0))
    assert (packets, events) == ((), ())


def test_the_oracle_decides_every_tick_with_certainty() -> None:
    trace = play(build("stop", 1, pick=one_voice))
    decisions = [e for _, e in trace.events(Decision)]
    assert len(decisions) == len(trace)
    assert {d.p_speak for d in decisions} == {0.0, 1.0}
    assert [d.said for d in decisions].count("<yield>") == 1
    assert {"listen", "wait", "speak"} <= {d.floor for d in decisions}
