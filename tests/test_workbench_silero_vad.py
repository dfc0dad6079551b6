"""Voice activity by Silero's network: what it finds, in streams as in one piece, and what stands in for it where it is not installed."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from tests.scenario_fakes import script_of
from workbench.adapters import silero_vad
from workbench.adapters.pipeline import Knobs, Pipeline, pipeline_again
from workbench.adapters.silero_vad import SileroSpec, SileroState, hear, lacking, probabilities
from workbench.check import check_participant
from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.events import UserSpeechStarted, UserSpeechStopped
from workbench.packets import Audio
from workbench.replay import rebuild, replay
from workbench.scenarios.script import At, Beat
from workbench.session import Session
from workbench.speech import AGENT_VOICE, Speaker
from workbench.trace import Header, Trace, record
from workbench.users import ScriptedUser, SilentUser

RATE, TICK = 16_000, 3_200
pytestmark = pytest.mark.skipif(bool(lacking()), reason="the extra `peers` is not installed")


class Deaf:
    """A recogniser that hears no word."""

    def hear(self, samples: Audio) -> tuple[str, ...]:
        return ()


def spoken(before_s: float = 1.0, after_s: float = 1.4) -> tuple[Audio, float]:
    """A sentence between silences, whole ticks of it, and where the sentence ends (s)."""
    said = Speaker(AGENT_VOICE).say(["what is two plus three"]).samples
    whole = np.concatenate([np.zeros(round(before_s * RATE), np.float32), said, np.zeros(round(after_s * RATE), np.float32)])
    return whole[: len(whole) // TICK * TICK], before_s + len(said) / RATE


def utterances(samples: Audio, spec: SileroSpec, step: int = TICK) -> list[tuple[float, float]]:
    state, found = SileroState(), []
    for at in range(0, len(samples), step):
        state, ended = hear(spec, state, samples[at : at + step], at / RATE)
        found += [ended] if ended else []
    return found


def test_it_finds_a_sentence_and_takes_tones_and_noise_for_no_voice() -> None:
    samples, ends_s = spoken()
    assert utterances(samples, SileroSpec(hang_s=0.5)) == [pytest.approx((1.0, ends_s), abs=0.1)]
    noise = np.random.default_rng(1).normal(0, 0.05, 4 * RATE).astype(np.float32)
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    assert utterances(np.concatenate([noise, tone, np.zeros(RATE, np.float32)]), SileroSpec()) == []


def test_a_stream_gives_what_the_whole_gives_whatever_the_pieces() -> None:
    samples, _ = spoken()
    _, whole = probabilities(SileroState(), samples)
    for step in (TICK, 512, 700):
        state, pieces = SileroState(), list[float]()
        for at in range(0, len(samples), step):
            state, found = probabilities(state, samples[at : at + step])
            pieces += found
        assert pieces == whole
    assert len(whole) == len(samples) // 512


def test_its_state_is_a_value() -> None:
    samples, _ = spoken()
    early, _ = probabilities(SileroState(), samples[: 6 * TICK])
    first, one = probabilities(early, samples[6 * TICK :])
    probabilities(early, np.zeros(RATE, np.float32))
    second, other = probabilities(early, samples[6 * TICK :])
    assert one == other
    assert first.net.tobytes() == second.net.tobytes()


def test_a_bar_that_is_no_probability_is_refused() -> None:
    with pytest.raises(InputError, match="voice_p must lie between 0 and 1"):
        SileroSpec(voice_p=1.0)
    with pytest.raises(InputError, match="times must be above 0"):
        SileroSpec(hang_s=0.0)


def test_a_session_heard_with_it_says_so_and_replays_bit_for_bit() -> None:
    pipeline = Pipeline(Knobs(vad="silero"), Deaf)
    script = script_of(Beat(("what is two plus three",), At(1.0)), ending=At(4.0), max_ticks=20)
    session = Session.start([ScriptedUser(script), pipeline])
    trace = record(session)
    session.run(20)
    assert [event.by for _, event in trace.events(UserSpeechStarted) if event.by] == ["silero"]
    assert len([event for _, event in trace.events(UserSpeechStopped) if event.by == "silero"]) == 1
    assert trace.header.participants["agent"]["voice_activity"].startswith("silero-vad ")
    assert replay(trace, agent=pipeline).difference is None


def test_a_pipeline_with_it_keeps_the_rules_of_a_participant() -> None:
    assert check_participant(Pipeline(Knobs(vad="silero"), Deaf)).problems == ()


def test_without_the_package_the_energy_detector_stands_in_and_is_named_once() -> None:
    pipeline = Pipeline(Knobs(vad="silero"), Deaf, lacks=lambda: "silero-vad (of this test)")
    with pytest.warns(UserWarning, match=r"silero-vad \(of this test\) not installed: the pipeline listens with its energy detector"):
        pipeline.start(ClockSpec(), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.start(ClockSpec(), 0)
    spec = pipeline.spec()
    assert (spec["vad"], spec["voice_activity"]) == ("energy", "energy, as silero-vad (of this test) is not installed")
    again = pipeline_again(spec, Trace(Header(clock=ClockSpec(), seed=0, participants={})))
    assert again.knobs == replace(Knobs(), vad="energy"), "a replay hears as the session did, whatever is installed by now"


def test_a_trace_from_before_there_were_two_detectors_is_rebuilt_with_energy() -> None:
    spec = {key: value for key, value in Pipeline(Knobs(vad="energy")).spec().items() if key not in ("vad", "voice_p", "language")}
    session = rebuild(record(Session.start([SilentUser(3), Named(spec)])))
    assert session.participants[1] == Pipeline(Knobs(vad="energy", voice_p=0.5))


class Named:
    """Says nothing, under a spec that is given."""

    name = "agent"
    speaks: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()

    def __init__(self, spec: dict[str, object]) -> None:
        self._spec = spec

    def spec(self) -> dict[str, object]:
        return self._spec

    def start(self, clock: ClockSpec, seed: int) -> None:
        return None


def test_the_detector_runs_without_torch() -> None:
    reads = "from workbench.adapters.silero_vad import network; network()"
    code = f"import sys; {reads}; print('torch' in sys.modules, 'silero_vad' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
    assert silero_vad.about().startswith("silero-vad")
