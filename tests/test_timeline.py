from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sensorkd.timeline import (
    SECOND,
    duration,
    first_index_at,
    resample,
    sample_times,
    steps_in,
    whole_positions,
)

RATES = st.one_of(
    st.sampled_from([0.01, 1 / 3, 1.0, 12.0, 14.6, 29.97, 30_000 / 1001, 50.0, 8192.0, 25_600.0, 44_100.0]),
    st.floats(0.01, 50_000.0),
)
# From 1685 to the 2080s, relative clocks included.
STARTS = st.integers(-9 * 10**18, 35 * 10**17)
INDICES = st.integers(0, 10**9)
YEARS = 1e9  # seconds: about thirty


def exact_time(rate: float, index: int) -> Fraction:
    return Fraction(index) / Fraction(rate) * SECOND


@given(RATES, INDICES)
@example(25_600.0, 10**9)
def test_sample_times_are_the_true_ones_rounded_to_a_nanosecond(rate: float, index: int) -> None:
    assume(index / rate < YEARS)
    assert abs(int(sample_times(0, rate, index)) - exact_time(rate, index)) <= 1


@given(STARTS, RATES, INDICES)
def test_first_index_at_is_the_exact_inverse_of_sample_times(t0: int, rate: float, index: int) -> None:
    assume(index / rate < YEARS)
    time = int(sample_times(t0, rate, index))
    assert first_index_at(t0, rate, time) == index
    assert first_index_at(t0, rate, time + 1) == index + 1
    assert first_index_at(t0, rate, time - 1) == index


@given(STARTS, RATES, st.integers(-(10**15), 10**18))
def test_first_index_at_splits_the_samples_at_the_time(t0: int, rate: float, later: int) -> None:
    index = int(first_index_at(t0, rate, t0 + later))
    assert sample_times(t0, rate, index) >= t0 + later
    assert index == 0 or sample_times(t0, rate, index - 1) < t0 + later


def test_first_index_at_takes_arrays_of_runs_and_times() -> None:
    t0, rate, time = np.array([0, SECOND]), np.array([50.0, 2.0]), np.array([SECOND // 2, SECOND * 3])
    assert first_index_at(t0, rate, time).tolist() == [25, 4]
    assert first_index_at(0, 10.0, [[-5, 0], [1, 10**8]]).tolist() == [[0, 0], [1, 1]]


@given(RATES, st.integers(1, 10**13))
def test_steps_in_is_what_the_span_holds_to_the_nanosecond(rate: float, span: int) -> None:
    steps = steps_in(span, rate)
    assert steps == 1 or duration(rate, steps) <= span
    assert duration(rate, steps + 1) > span


@given(RATES, st.integers(1, 10_000))
def test_a_span_of_n_periods_holds_n_samples_though_it_is_rounded(rate: float, steps: int) -> None:
    assert steps_in(duration(rate, steps), rate) == steps


def test_an_hour_of_vibration_has_no_drift() -> None:
    assert sample_times(0, 25_600.0, 25_600 * 3600) == 3600 * SECOND
    assert sample_times(0, 29.97, 2997 * 36) == 3600 * SECOND


@given(STARTS, RATES, st.integers(1, 5000), st.integers(1, 300), st.floats(0.0, 2.0), st.floats(0.1, 3.0))
def test_whole_positions_rise_and_stay_inside(
    t0: int, rate: float, count: int, steps: int, early: float, stretch: float
) -> None:
    length = duration(rate, count)
    start = t0 - int(early * length)
    stop = start + max(1, int(stretch * length))
    positions = whole_positions(t0, rate, count, start=start, stop=stop, steps=steps)
    assert positions.shape == (steps,)
    assert (np.diff(positions) >= 0).all()
    assert positions.min() >= 0.0
    assert positions.max() <= count - 1


@given(STARTS, RATES, st.integers(1, 2000))
def test_as_many_slices_as_samples_are_the_samples(t0: int, rate: float, count: int) -> None:
    stop = t0 + duration(rate, count)
    positions = whole_positions(t0, rate, count, start=t0, stop=stop, steps=count)
    np.testing.assert_allclose(positions, np.arange(count), atol=1e-3)


def test_whole_positions_are_as_exact_today_as_in_1970() -> None:
    now = 1_772_000_000 * SECOND + 123_456_789
    far, near = (
        whole_positions(t0, 50_000.0, 50_000, start=t0, stop=t0 + SECOND, steps=777) for t0 in (now, 0)
    )
    np.testing.assert_array_equal(far, near)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30), st.lists(st.floats(0.0, 1.0), min_size=1))
def test_linear_resampling_is_linear_interpolation(values: list[int], shares: list[float]) -> None:
    positions = np.array(shares) * (len(values) - 1)
    expected = np.interp(positions, np.arange(len(values)), values)
    samples = np.array(values, dtype=np.float64)
    np.testing.assert_allclose(resample(samples, positions, "linear"), expected, atol=1e-9)
    whole = resample(np.array(values, dtype=np.int16), positions, "linear")
    assert whole.dtype == np.int16
    np.testing.assert_allclose(whole, expected, atol=0.5 + 1e-9)


@given(st.integers(1, 50), st.lists(st.floats(0.0, 1.0), min_size=1))
def test_nearest_resampling_takes_a_sample_at_most_half_a_period_away(
    count: int, shares: list[float]
) -> None:
    positions = np.array(shares) * (count - 1)
    taken = resample(np.arange(count), positions, "nearest")
    assert (np.abs(taken - positions) <= 0.5).all()


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_resampling_keeps_frames_and_dtype(method: str) -> None:
    frames = np.arange(4 * 2 * 3 * 1, dtype=np.uint8).reshape(4, 2, 3, 1)
    taken = resample(frames, np.array([0.0, 1.5, 3.0]), method)  # type: ignore[arg-type]
    assert (taken.shape, taken.dtype) == ((3, 2, 3, 1), np.uint8)
    np.testing.assert_array_equal(taken[[0, 2]], frames[[0, 3]])


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_sample_is_not_spoiled_by_a_broken_one_after_it(broken: float) -> None:
    samples = np.array([1.0, 2.0, broken, 4.0, 5.0])
    taken = resample(samples, np.array([0.0, 1.0, 3.0, 3.5]), "linear")
    np.testing.assert_array_equal(taken, [1.0, 2.0, 4.0, 4.5])
    assert not np.isfinite(resample(samples, np.array([1.5, 3.5]), "linear")[0])


def test_large_integers_are_taken_exactly_where_nothing_is_mixed() -> None:
    samples = np.array([2**62 + 1, 2**62 + 3])
    assert resample(samples, np.array([0.0, 1.0]), "linear").tolist() == samples.tolist()
