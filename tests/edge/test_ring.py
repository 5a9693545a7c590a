"""What becomes of chunks that come twice, late, in parts, otherwise, or on a clock that is a little off."""

from __future__ import annotations

import numpy as np
import pytest

from sensorkd.edge.ring import Ring
from sensorkd.edge.stillness import Stillness
from sensorkd.timeline import SECOND

RATE = 100.0
PERIOD = 10_000_000


@pytest.fixture
def ring() -> Ring:
    return Ring(RATE, tolerance=0.01, block=32)


def numbers(first: int, stop: int) -> np.ndarray:
    """Samples that tell their own place."""
    return np.arange(first, stop, dtype=np.int16)[:, None]


def held(ring: Ring) -> list[list[int]]:
    return [chain.read(chain.skipped, chain.count)[:, 0].tolist() for chain in ring.chains()]


def test_chunks_in_any_order_are_one_run(ring):
    for first in (20, 0, 30, 10):
        assert ring.add(first * PERIOD, numbers(first, first + 10)).accepted == 10
    assert held(ring) == [list(range(40))]
    assert ring.gaps == 0
    assert (ring.start, ring.end) == (0, 40 * PERIOD)


def test_what_comes_twice_is_taken_once_however_it_is_cut(ring):
    ring.add(0, numbers(0, 20))
    again = ring.add(15 * PERIOD, numbers(15, 30))
    assert (again.accepted, again.duplicate, again.conflicting) == (10, 5, 0)
    assert held(ring) == [list(range(30))]


def test_nan_that_comes_twice_is_the_same_sample():
    ring = Ring(RATE, tolerance=0.01, block=32)
    broken = np.array([[1.0], [np.nan], [3.0]], np.float32)
    ring.add(0, broken)
    assert ring.add(0, broken).duplicate == 3


def test_another_sample_at_the_same_time_is_refused_and_its_time_told(ring):
    ring.add(0, numbers(0, 20))
    other = numbers(10, 20)
    other[3] = -1
    found = ring.add(10 * PERIOD, other)
    assert (found.accepted, found.duplicate, found.conflicting) == (0, 9, 1)
    assert found.conflict == 13 * PERIOD
    assert held(ring) == [list(range(20))]


def test_missing_samples_are_a_gap_until_they_come(ring):
    ring.add(0, numbers(0, 10))
    ring.add(12 * PERIOD, numbers(12, 20))
    assert ring.gaps == 1
    assert held(ring) == [list(range(10)), list(range(12, 20))]
    ring.add(10 * PERIOD, numbers(10, 12))
    assert ring.gaps == 0
    assert held(ring) == [list(range(20))]


def test_what_comes_after_its_window_is_late_unless_it_came_before(ring):
    ring.add(0, numbers(0, 20))
    ring.add(25 * PERIOD, numbers(25, 30))
    ring.closed = 30 * PERIOD
    found = ring.add(15 * PERIOD, numbers(15, 35))
    assert (found.duplicate, found.late, found.accepted) == (10, 5, 5)


def test_what_is_forgotten_does_not_tear_its_run(ring):
    for first in range(0, 400, 10):
        ring.add(first * PERIOD, numbers(first, first + 10))
        ring.evict(first * PERIOD - 50 * PERIOD)
    (chain,) = ring.chains()
    assert len(ring) < 130
    assert (chain.t0, chain.count) == (0, 400)
    assert chain.read(395, 400)[:, 0].tolist() == [395, 396, 397, 398, 399]
    assert ring.gaps == 0
    ring.evict(500 * PERIOD)
    ring.add(400 * PERIOD, numbers(400, 410))
    (chain,) = ring.chains()
    assert (chain.t0, chain.count, chain.skipped) == (0, 410, 400)


@pytest.mark.parametrize("true_rate", [99.2, 100.8])
def test_a_clock_that_is_a_little_off_makes_no_gaps(ring, true_rate):
    """Chunks of a hundred, each stamped when it begins; they overlap or lie apart by almost a sample."""
    for number in range(50):
        begun = round(number * 100 / true_rate * SECOND)
        assert ring.add(begun, numbers(number * 100, number * 100 + 100)).accepted == 100
    assert ring.gaps == 0
    chain = ring.chain_before(10**18)
    # The newest samples are where their stamps say.
    assert abs(chain.end - round(5000 / true_rate * SECOND)) <= 2 * PERIOD
    assert chain.measured == pytest.approx(true_rate, rel=1e-3)


def test_single_samples_that_jitter_are_one_run(ring):
    rng = np.random.default_rng(0)
    for index in rng.permutation(200).tolist():
        jitter = int(rng.uniform(-0.2, 0.2) * PERIOD)
        ring.add(index * PERIOD + jitter, numbers(index, index + 1))
    assert held(ring) == [list(range(200))]


def test_stillness_goes_on_over_what_is_forgotten():
    ring = Ring(RATE, tolerance=0.01, block=16, stillness=Stillness())
    ring.add(0, numbers(0, 30))
    ring.add(30 * PERIOD, np.full((100, 1), 7, np.int16))
    ring.evict(110 * PERIOD)
    assert len(ring) < 60
    chain = ring.chain_before(10**18)
    assert ring.still_before(chain, chain.count) == 100
    assert ring.still_before(chain, chain.count - 3) == 97


@pytest.mark.parametrize(
    ("parts", "longest"),
    [
        ([[[1, 1]], [[2, 1]], [[3, 1]]], 3),
        ([[[1, 1], [1, 2]], [[1, 3]]], 3),
        ([[[1, 1], [2, 2]]], 1),
        ([[[1.0, 2.0]], [[np.nan, 2.5]], [[np.nan, 3.0]]], 1),
        ([], 0),
    ],
)
def test_stillness_is_of_the_stillest_channel(parts, longest):
    still = Stillness()
    for part in parts:
        still.push(np.array(part))
    assert still.with_more([]) == longest


def test_frames_stand_still_as_a_whole():
    frames = np.zeros((6, 2, 2, 1), np.uint8)
    frames[:3, 0, 0] = 1
    still = Stillness()
    still.push(frames[:4])
    assert still.with_more([frames[4:]]) == 3
