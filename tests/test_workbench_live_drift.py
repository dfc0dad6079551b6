"""The clock of a microphone is fitted from arrivals that are late in bursts, and what it drifts is taken out before it adds up."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.live.drift import LEAP_S, STEP, Drift
from workbench.live.jitter import JitterBuffer
from workbench.live.protocol import RATE
from workbench.packets import rng_for

PIECE = 640  # 40 ms
SIZE = 3200


def listened(ppm: float, seconds: int, seed: int, offset_s: float = 100.0) -> Drift:
    """Arrivals of a microphone that is `ppm` fast, each late by an exponential 15 ms, one in twenty by up to 200 ms more."""
    rng, drift = rng_for(seed, 0, "arrivals"), Drift()
    for n in range(PIECE, seconds * RATE, PIECE):
        late_s = rng.exponential(0.015) + (rng.uniform(0, 0.2) if rng.random() < 0.05 else 0.0)
        drift = drift.seen(n, offset_s + n / RATE / (1 + ppm / 1e6) + late_s)
    return drift


@pytest.mark.parametrize("ppm", [-150.0, -20.0, 0.0, 60.0, 200.0])
def test_the_fit_finds_rate_and_offset_under_late_arrivals(ppm: float) -> None:
    fit = listened(ppm, 70, seed=1).fit
    assert fit is not None
    assert fit.ppm == pytest.approx(ppm, abs=25)
    n = 60 * RATE
    assert fit.arrival_s(n) == pytest.approx(100.0 + 60 / (1 + ppm / 1e6), abs=0.003)


def test_no_correction_before_enough_was_heard_nor_for_what_is_no_drift() -> None:
    assert listened(200.0, 15, seed=2).due(SIZE)[0] == 0
    drift = listened(5000.0, 40, seed=2)
    assert all((drift := drift.due(SIZE)[1]).owed == 0 for _ in range(50))


def test_corrections_add_up_to_the_drift_in_steps() -> None:
    drift = listened(120.0, 70, seed=3)
    assert drift.fit is not None
    total, steps = 0, []
    for _ in range(5000):
        samples, drift = drift.due(SIZE)
        total += samples
        steps += [samples] if samples else []
    assert set(steps) == {STEP}
    assert total == pytest.approx(5000 * SIZE * drift.fit.ppm / 1e6, abs=STEP)


def test_a_capture_that_was_stopped_for_a_while_is_fitted_anew() -> None:
    drift = listened(50.0, 40, seed=4)
    assert drift.fit is not None
    leapt = drift.seen(41 * RATE, 100.0 + 41 + 2 * LEAP_S)
    assert leapt.fit is None
    assert len(leapt.marks) == 1


@pytest.mark.parametrize("ppm", [-180.0, 180.0])
def test_with_corrections_a_drifting_microphone_is_heard_for_eight_minutes_without_loss_and_at_one_delay(ppm: float) -> None:
    buffer, drift, sent, late = JitterBuffer(), Drift(), 0, rng_for(5, 0, "late")
    lost, waiting = [], []
    sound = np.ones(PIECE, np.int16)
    for tick in range(2500):
        now_s = (tick + 1) * 0.2
        while (sent + PIECE) / RATE / (1 + ppm / 1e6) <= now_s - 0.005:
            drift = drift.seen(sent + PIECE, (sent + PIECE) / RATE / (1 + ppm / 1e6) + 0.005 * late.random())
            buffer, sent = buffer.push(sent, sound), sent + PIECE
        correct, drift = drift.due(SIZE)
        pulled, buffer = buffer.pull(SIZE, correct)
        lost.append(pulled.lost + pulled.skipped)
        waiting.append(pulled.buffered)
    assert sum(lost[200:]) == 0
    assert 0 <= min(waiting[200:]) <= max(waiting[200:]) <= 1600
