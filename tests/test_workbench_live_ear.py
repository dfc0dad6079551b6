"""What a person sends is gathered into ticks with a record of what went wrong, and told to the page as a timeline needs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.live_fakes import PIECE, Wall, opened
from tests.sample_session import stopped_count
from workbench.agents import SilentAgent
from workbench.clock import ClockSpec, Tick
from workbench.errors import InputError
from workbench.events import (
    AudioDoubled,
    AudioLate,
    AudioLost,
    AudioSkipped,
    ClockCorrected,
    Decision,
    Event,
    TranscriptDelta,
)
from workbench.live.ear import Ear, to_float, to_pcm
from workbench.live.protocol import RATE, Audio, Pcm, Played, Stop
from workbench.live.telling import outlines, tick_message
from workbench.packets import AGENT_AUDIO
from workbench.store import read_trace

CLOCK = ClockSpec()
SIZE = CLOCK.samples_per_tick


def piece(n: int, samples: Pcm | None = None) -> Audio:
    return Audio(n=n, at=0.0, samples=np.full(PIECE, 1000, np.int16) if samples is None else samples)


def counts(events: tuple[Event, ...]) -> dict[str, int]:
    return {e.kind: e.samples for e in events if isinstance(e, AudioLost | AudioLate | AudioDoubled | AudioSkipped)}


def test_sound_lost_late_doubled_and_skipped_stands_in_the_tick_in_which_it_was_noticed() -> None:
    ear = Ear(CLOCK, Wall().now)
    for n in range(0, SIZE, PIECE):
        ear.hear(piece(n))
    assert counts(ear.take(Tick(0)).events) == {}
    for n in range(SIZE, 2 * SIZE, PIECE):
        if n != SIZE + PIECE:
            ear.hear(piece(n))
            ear.hear(piece(n))
    assert counts(ear.take(Tick(1)).events) == {"audio.lost": PIECE, "audio.doubled": 4 * PIECE}
    ear.hear(piece(SIZE + PIECE))
    for n in range(2 * SIZE, 9 * SIZE, PIECE):
        ear.hear(piece(n))
    told = counts(ear.take(Tick(2)).events)
    assert told.keys() == {"audio.late", "audio.skipped"}
    assert told["audio.late"] == PIECE


def test_a_microphone_that_runs_fast_is_fitted_and_corrected_and_the_trace_says_so(tmp_path: Path) -> None:
    wall = Wall()
    session, page = opened(SilentAgent(), tmp_path / "a.sqlite", wall)
    ppm = 150.0
    for n in range(0, 61 * RATE, PIECE):
        wall.at((n + PIECE) / RATE / (1 + ppm / 1e6) + 0.020, lambda n=n: page.send(piece(n)))
    wall.at(61.0, lambda: page.send(Stop()))
    session.run()
    trace = read_trace(session.path)
    corrected = [e for tick, e in trace.events(ClockCorrected) if tick > 150]
    assert {e.samples for e in corrected} == {4}
    assert corrected[-1].ppm == pytest.approx(ppm, abs=20)
    assert len(corrected) == pytest.approx(150 * SIZE * ppm / 1e6 / 4, abs=2)
    assert session.ear.fit is not None
    assert session.ear.fit.arrival_s(RATE) == pytest.approx(1001.020, abs=0.002)
    assert sum(e.samples for _, e in trace.events(AudioLost)) == 0


def test_what_was_played_is_guessed_on_from_the_last_report_but_never_past_what_was_queued_or_sent() -> None:
    wall = Wall()
    ear = Ear(CLOCK, wall.now)
    assert ear.played(9600) == 0
    ear.hear(Played(position=3200, queued=1600, at=0.0))
    wall.sleep(0.05)
    assert ear.played(9600) == 4000
    wall.sleep(5)
    assert ear.played(9600) == 4800
    assert ear.played(3200) == 3200
    ear.anew()
    assert ear.played(9600) == 0


def test_sound_keeps_its_values_between_pcm16_and_float() -> None:
    samples = np.arange(-32768, 32768, 7).astype(np.int16)
    assert np.array_equal(to_pcm(to_float(samples)), samples)
    assert to_pcm(np.array([2.0, -2.0], np.float32)).tolist() == [32767, -32768]


def test_another_rate_than_the_protocols_is_refused() -> None:
    with pytest.raises(InputError, match="sample_rate=8000: a live session is sent sound at 16000 Hz"):
        Ear(ClockSpec(sample_rate=8000), Wall().now)


def test_an_outline_is_lowest_and_highest_of_ten_stretches() -> None:
    samples = np.zeros(3200, np.float32)
    samples[320:640] = np.linspace(-0.5, 1.0, 320)
    samples[-1] = -2.0
    [[told]] = outlines(samples[None, None])
    assert told[:6] == (0, 0, -64, 127, 0, 0)
    assert told[-2:] == (-127, 0)


def test_every_tick_of_a_session_tells_its_words_decision_events_and_sound() -> None:
    trace = stopped_count()
    told = [tick_message(turn, CLOCK, cost_ms=1.0, late_ms=0.0, lost=3) for turn in trace.turns]
    words = [(e.side, e.word, e.start_s, e.end_s, e.probability) for _, e in trace.events(TranscriptDelta)]
    assert [word for tick in told for word in tick.words] == words
    decisions = dict(trace.events(Decision))
    for tick in told:
        assert tick.decision is not None
        recorded = decisions[tick.tick]
        assert (tick.decision["p_speak"], tick.decision["floor"]) == (recorded.p_speak, recorded.floor)
        assert tick.decision["gates"] == [[g.name, g.wanted, g.done, g.reason] for g in recorded.gates]
    kinds = {kind for tick in told for kind, _, _ in tick.events}
    assert "model.yielded" in kinds
    assert not kinds & {"decision", "tick.cost", "transcript.delta"}
    assert np.array_equal(np.concatenate([tick.samples for tick in told]), to_pcm(trace.audio(AGENT_AUDIO)))
    assert [tick.position for tick in told] == [SIZE * n for n in range(len(told))]
