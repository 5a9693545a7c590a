from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sensorkd.quality import FAULTS, Limits, assess, holds_still


def share(samples: np.ndarray, scale: float = 1.0, offset: float = 0.0) -> float:
    return assess(samples, Limits(scale, offset, (-10.0, 10.0))).usable


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 1254.0, 1e30, -10.001])
def test_what_is_not_finite_or_out_of_range_is_not_usable(broken: float) -> None:
    assert share(np.array([[0.0], [broken], [-10.0], [10.0]])) == 0.75


def test_the_worst_channel_decides() -> None:
    samples = np.zeros((10, 3))
    samples[:, 1] = np.nan
    samples[:4, 2] = 99.0
    assert share(samples[:, [0, 2]]) == pytest.approx(0.6)
    assert share(samples) == 0.0


def test_every_pixel_of_a_frame_counts_alike() -> None:
    frames = np.random.default_rng(0).random((2, 4, 5, 1)).astype(np.float32)
    frames[0, 0] = np.nan
    assert share(frames) == pytest.approx(1 - 5 / 40)


def test_nothing_is_not_usable() -> None:
    assert share(np.zeros((0, 3))) == 0.0


def test_limits_are_in_physical_units_also_for_a_negative_scale() -> None:
    samples = np.array([[-100], [100], [200], [300]], dtype=np.int16)
    assert share(samples, scale=-0.1, offset=15.0) == 0.5  # 25, 5, -5, -15


@given(
    arrays(np.int16, (20, 2)),
    st.floats(0.001, 100.0) | st.floats(-100.0, -0.001),
    st.floats(-1000.0, 1000.0),
)
def test_integers_are_judged_as_the_same_numbers_in_float(
    samples: np.ndarray, scale: float, offset: float
) -> None:
    physical = samples * scale + offset
    clear = np.abs(np.abs(physical) - 10.0) > 1e-9  # rounding may decide on the limit itself
    samples = np.where(clear, samples, 0).astype(np.int16)
    if abs(abs(offset) - 10.0) > 1e-9:
        assert share(samples, scale, offset) == share(samples.astype(np.float64), scale, offset)


def test_a_value_that_overflows_its_float_is_out_of_range_and_no_warning() -> None:
    assert share(np.array([[3e38], [1.0]], dtype=np.float32), scale=100.0, offset=-99.0) == 0.5


WIDE = Limits(1.0, 0.0, (-1e9, 1e9))


def shares(samples: np.ndarray, limits: Limits) -> dict[str, float]:
    """The faults that were found, by name."""
    found = assess(samples, limits).faults
    return {name: round(float(share), 6) for name, share in zip(FAULTS, found, strict=True) if share}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def test_each_value_has_one_fault() -> None:
    samples = np.array([[0.0], [np.nan], [np.inf], [1254.0]])
    assert shares(samples, Limits(1.0, 0.0, (-10.0, 10.0))) == {"not finite": 0.5, "out of range": 0.25}


def test_a_signed_integer_at_its_ends_is_saturated() -> None:
    samples = np.array([[32767], [-32768], [0], [32766]], dtype=np.int16)
    assert shares(samples, WIDE) == {"saturated": 0.5}
    assert assess(samples, WIDE).usable == 0.5


def test_nought_of_an_unsigned_sensor_is_no_end() -> None:
    assert shares(np.array([[0], [0], [65535], [7]], dtype=np.uint16), WIDE) == {"saturated": 0.25}


def test_floats_are_saturated_at_the_full_scale_that_is_told() -> None:
    samples = np.array([[16.0], [-16.0], [15.9], [0.0]])
    assert shares(samples, WIDE) == {}
    told = Limits(1.0, 0.0, (-1e9, 1e9), full_scale=(-16.0, 16.0))
    assert shares(samples, told) == {"saturated": 0.5}
    counts = Limits(-0.5, 1.0, (-1e9, 1e9), full_scale=(-16.0, 16.0))
    assert shares(np.array([[34], [-30], [33], [-29]], dtype=np.int16), counts) == {"saturated": 0.5}


def test_a_value_that_stays_for_the_set_time_is_stuck_and_only_then() -> None:
    samples = noise(200, 2)
    samples[50:90, 1] = samples[50, 1]
    assert shares(samples, Limits(1.0, 0.0, (-9.0, 9.0), stuck_run=40)) == {"stuck": 0.2}
    assert shares(samples, Limits(1.0, 0.0, (-9.0, 9.0), stuck_run=41)) == {}
    assert shares(samples, Limits(1.0, 0.0, (-9.0, 9.0))) == {}


def test_a_machine_at_rest_is_not_stuck() -> None:
    resting = np.rint(9.81 / 0.005 + noise(4000, 3)).astype(np.int16)  # gravity, and noise of a step
    assert shares(resting, Limits(0.005, 0.0, (-200.0, 200.0), stuck_run=32)) == {}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), min_size=1, max_size=12), st.integers(2, 15)
)
def test_runs_are_found_wherever_they_lie(runs: list[tuple[int, int]], run: int) -> None:
    values = np.concatenate([np.full(length, float(value)) for value, length in runs])
    stuck = 0
    for value in range(len(values)):  # reference: a sample is stuck if some window of equals holds it
        first = max(0, value - run + 1)
        stuck += any(
            len(set(values[start : start + run].tolist())) == 1 and start + run <= len(values)
            for start in range(first, value + 1)
        )
    expected = {"stuck": pytest.approx(stuck / len(values), abs=1e-5)} if stuck else {}
    assert shares(values[:, None], Limits(1.0, 0.0, (-9.0, 9.0), stuck_run=run)) == expected


def test_frozen_frames_are_found_and_a_single_repeat_is_not() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (20, 4, 5, 3)).astype(np.uint8)
    frames[3] = frames[2]
    limits = Limits(1 / 255, 0.0, (0.0, 1.0), stuck_run=5)
    assert shares(frames, limits) == {}
    frames[10:15] = frames[10]
    assert shares(frames, limits) == {"frozen": 0.25}
    assert assess(frames, limits).usable == 0.75


def test_black_frames_are_blank() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (10, 4, 5, 3)).astype(np.uint8)
    frames[::2] = 0
    assert shares(frames, Limits(1 / 255, 0.0, (0.0, 1.0))) == {"blank": 0.5}


def test_faults_add_up_in_the_worst_channel() -> None:
    samples = noise(100, 2)
    samples[:10, 0] = np.nan
    samples[50:90, 0] = 1.0
    samples[:30, 1] = 99.0
    found = assess(samples, Limits(1.0, 0.0, (-9.0, 9.0), stuck_run=32))
    assert found.usable == pytest.approx(0.5)


def test_holding_still_is_for_a_channel_or_a_whole_frame() -> None:
    samples = noise(10, 2)
    assert not holds_still(samples)
    samples[:, 1] = 3.0
    assert holds_still(samples)
    frames = np.zeros((3, 2, 2, 1))
    assert holds_still(frames)
    frames[1, 0, 0] = 1
    assert not holds_still(frames)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_no_sample_even_where_any_number_may_be_true(value: float) -> None:
    samples = np.ones((4, 1), np.float32)
    samples[2] = value
    found = assess(samples, Limits(1.0, 0.0, (-np.inf, np.inf)))
    assert found.usable == 0.75
    assert dict(zip(FAULTS, found.faults.tolist(), strict=True))["not finite"] == 0.25


@given(
    st.lists(
        st.sampled_from([0.0, 1.0, 5.0, 5.5, -0.5, 3e38, np.nan, np.inf, -np.inf]), min_size=1, max_size=9
    ),
    st.sampled_from([1.0, -1.0, 0.5, 1e30]),
)
def test_a_window_is_judged_by_its_samples_one_by_one(values: list[float], scale: float) -> None:
    """The ends of a good window are enough to know it; what they tell must be what every sample tells."""
    samples = np.array(values, np.float32)[:, None]
    found = assess(samples, Limits(scale, 0.0, (0.0, 5.0)))
    with np.errstate(over="ignore", invalid="ignore"):
        physical = samples[:, 0] * scale
    good = np.isfinite(physical) & (physical >= 0) & (physical <= 5)
    assert found.usable == pytest.approx(good.mean())
