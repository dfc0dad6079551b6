"""What arrives in time comes out once and in place, gaps are silence of their length, and the delay never grows without bound."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.live.jitter import JitterBuffer, JitterSpec, Pulled
from workbench.live.protocol import Pcm

SIZE = 3200
SPEC = JitterSpec()
PIECE = 640  # 40 ms


def capture(begin: int, end: int) -> Pcm:
    """Samples whose value tells their number, never 0."""
    return (np.arange(begin, end) % 30_000 + 1).astype(np.int16)


def number_of(samples: Pcm) -> list[int]:
    return [int(v) - 1 for v in samples if v]


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """For each of some ticks the pieces (begin, end) captured in it: cut at random, some lost, some doubled, in any order."""
    ticks = []
    for tick in range(draw(st.integers(1, 6))):
        cuts = sorted(draw(st.sets(st.integers(1, 9), max_size=6)))
        edges = [0, *(cut * 320 for cut in cuts), SIZE]
        pieces = [(tick * SIZE + a, tick * SIZE + b) for a, b in itertools.pairwise(edges)]
        kept = [piece for piece in pieces if draw(st.integers(0, 4)) > 0]
        again = [piece for piece in kept if draw(st.integers(0, 4)) == 0]
        ticks.append(draw(st.permutations(kept + again)))
    return ticks


@given(arrivals())
def test_what_arrives_in_time_comes_out_once_in_place_and_gaps_are_silence_of_their_length(ticks: list[list[tuple[int, int]]]) -> None:
    buffer = JitterBuffer().push(0, capture(0, SIZE))
    expected = np.zeros(SPEC.margin + (len(ticks) + 3) * SIZE, np.int16)
    expected[SPEC.margin : SPEC.margin + SIZE] = capture(0, SIZE)
    pulls = []
    pulled, buffer = buffer.pull(SIZE)
    pulls.append(pulled)
    for pieces in ticks:
        for begin, end in pieces:
            buffer = buffer.push(SIZE + begin, capture(SIZE + begin, SIZE + end))
            expected[SPEC.margin + SIZE + begin : SPEC.margin + SIZE + end] = capture(SIZE + begin, SIZE + end)
        pulled, buffer = buffer.pull(SIZE)
        pulls.append(pulled)
    last = (len(ticks) + 1) * SIZE
    pulled, buffer = buffer.push(last, capture(last, last + SIZE)).pull(SIZE)
    pulls.append(pulled)
    expected[SPEC.margin + last : SPEC.margin + last + SIZE] = capture(last, last + SIZE)
    out = np.concatenate([p.samples for p in pulls])
    assert np.array_equal(out, expected[: len(out)])
    assert sum(p.lost for p in pulls) == int((expected[SPEC.margin : len(out)] == 0).sum())
    assert sum(p.doubled for p in pulls) == sum((e - b) * (p.count((b, e)) - 1) for p in ticks for b, e in set(p))
    assert [p.late for p in pulls] == [p.skipped for p in pulls] == [0] * len(pulls)


@st.composite
def anything(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """For each of some pulls what arrives before it, (begin, length): anything at all, within one capture."""
    piece = st.tuples(st.integers(0, 24_000), st.integers(1, 3200))
    return draw(st.lists(st.lists(piece, max_size=6), min_size=1, max_size=12))


@given(anything())
def test_every_sample_that_comes_is_given_out_once_in_order_or_counted(pulls: list[list[tuple[int, int]]]) -> None:
    buffer, came, given_out, counted, lost, size_all = JitterBuffer(), 0, list[int](), 0, 0, 0
    unique = set[int]()
    for pieces in pulls:
        for begin, length in pieces:
            buffer = buffer.push(begin, capture(begin, begin + length))
            came += length
            unique.update(range(begin, begin + length))
        pulled, buffer = buffer.pull(SIZE)
        assert len(pulled.samples) == SIZE
        assert pulled.buffered <= SPEC.most
        given_out += number_of(pulled.samples)
        counted += pulled.late + pulled.skipped
        lost, size_all = lost + pulled.lost, size_all + SIZE
        came -= pulled.doubled
    held = sum(len(piece) for _, piece in buffer.held)
    assert given_out == sorted(set(given_out))
    assert came == len(unique) == len(given_out) + counted + held
    assert lost <= size_all - len(given_out)


def steady(buffer: JitterBuffer, first_tick: int, ticks: int) -> tuple[list[Pulled], JitterBuffer]:
    """Ticks of an undisturbed capture."""
    pulls = []
    for tick in range(first_tick, first_tick + ticks):
        for begin in range(tick * SIZE, (tick + 1) * SIZE, PIECE):
            buffer = buffer.push(begin, capture(begin, begin + PIECE))
        pulled, buffer = buffer.pull(SIZE)
        pulls.append(pulled)
    return pulls, buffer


def test_before_anything_came_a_pull_is_silence_that_nobody_lost() -> None:
    pulled, buffer = JitterBuffer().pull(SIZE)
    assert (pulled.first, pulled.lost, int(np.abs(pulled.samples).max())) == (None, 0, 0)
    pulled, _ = buffer.push(0, capture(0, 320)).pull(SIZE)
    assert (pulled.first, pulled.lost) == (None, 0)


def test_sound_begins_the_margin_behind_the_newest_sample() -> None:
    pulls, _ = steady(JitterBuffer(), 0, 2)
    assert (pulls[0].first, pulls[0].lost, pulls[0].buffered) == (-SPEC.margin, 0, SPEC.margin)
    assert number_of(np.concatenate([p.samples for p in pulls])) == list(range(2 * SIZE - SPEC.margin))


def test_a_piece_that_comes_a_tick_late_is_heard_later_and_the_delay_is_taken_back() -> None:
    _, buffer = steady(JitterBuffer(), 0, 2)
    stalled, buffer = buffer.pull(SIZE)
    assert (stalled.lost, stalled.buffered) == (SIZE - SPEC.margin, 0)
    for begin in range(2 * SIZE, 3 * SIZE, PIECE):
        buffer = buffer.push(begin, capture(begin, begin + PIECE))
    pulls, buffer = steady(buffer, 3, 1)
    assert number_of(pulls[0].samples) == [n % 30_000 for n in range(2 * SIZE, 3 * SIZE)]
    assert (pulls[0].lost, pulls[0].late, pulls[0].buffered) == (0, 0, SIZE)
    pulls, buffer = steady(buffer, 4, 400)
    assert all(p.lost == p.skipped == 0 and 0 <= p.corrected <= SPEC.squeeze for p in pulls)
    assert SPEC.margin <= buffer.waiting <= SPEC.margin + SPEC.spare


def test_a_piece_between_others_that_comes_too_late_is_thrown_away_and_counted_once() -> None:
    _, buffer = steady(JitterBuffer(), 0, 2)
    hole = 2 * SIZE + PIECE
    for begin in range(2 * SIZE, 3 * SIZE, PIECE):
        if begin != hole:
            buffer = buffer.push(begin, capture(begin, begin + PIECE))
    pulled, buffer = buffer.pull(SIZE)
    assert pulled.lost == PIECE
    again = buffer.push(hole, capture(hole, hole + PIECE)).push(hole, capture(hole, hole + PIECE))
    pulls, _ = steady(again, 3, 1)
    assert (pulls[0].late, pulls[0].doubled, pulls[0].lost) == (PIECE, PIECE, 0)


def test_a_burst_after_a_long_stall_is_skipped_down_to_the_margin() -> None:
    _, buffer = steady(JitterBuffer(), 0, 2)
    for _ in range(15):
        pulled, buffer = buffer.pull(SIZE)
    assert pulled.lost == SIZE
    for begin in range(2 * SIZE, 18 * SIZE, PIECE):
        buffer = buffer.push(begin, capture(begin, begin + PIECE))
    pulled, buffer = buffer.pull(SIZE)
    assert (pulled.lost, pulled.buffered) == (0, SPEC.margin)
    assert pulled.skipped == 16 * SIZE + SPEC.margin - SIZE - SPEC.margin - SPEC.margin
    assert number_of(pulled.samples)[-1] == (18 * SIZE - SPEC.margin - 1) % 30_000


def test_a_sender_who_runs_ahead_piles_up_no_more_than_the_far_bound() -> None:
    buffer = JitterBuffer()
    for begin in range(0, 60 * 16_000, SIZE):
        buffer = buffer.push(begin, capture(begin, begin + SIZE))
    assert buffer.waiting <= SPEC.far
    assert sum(len(piece) for _, piece in buffer.held) <= SPEC.far


def test_a_capture_that_begins_anew_is_followed() -> None:
    _, buffer = steady(JitterBuffer(), 0, 100)
    pulls, _ = steady(buffer, 0, 3)
    assert number_of(pulls[2].samples)[-1] == 3 * SIZE - SPEC.margin - 1
    assert pulls[0].skipped == SPEC.margin


def test_a_correction_makes_a_tick_of_more_or_fewer_samples_without_a_leap() -> None:
    wave = (8000 * np.sin(np.arange(10 * SIZE) / 20)).astype(np.int16)
    buffer = JitterBuffer()
    for tick in range(3):
        buffer = buffer.push(tick * SIZE, wave[tick * SIZE : (tick + 1) * SIZE])
        pulled, buffer = buffer.pull(SIZE, correct=(0, 7, -5)[tick])
        assert pulled.corrected == (0, 7, -5)[tick]
        assert len(pulled.samples) == SIZE
        assert int(np.abs(np.diff(pulled.samples[SPEC.margin :].astype(int))).max()) <= 410
    assert buffer.waiting == SPEC.margin - 2


def test_a_correction_waits_until_enough_has_come() -> None:
    buffer = replace(JitterBuffer(JitterSpec(margin=0)), next=0).push(0, capture(0, SIZE))
    pulled, _ = buffer.pull(SIZE, correct=9)
    assert (pulled.corrected, pulled.lost) == (0, 0)


def test_lengths_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="give 0 <= margin < most < far"):
        JitterSpec(margin=9000)
