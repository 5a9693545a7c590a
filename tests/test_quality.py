from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sensorkd.quality import usable_share


def share(samples: np.ndarray, scale: float = 1.0, offset: float = 0.0) -> float:
    return usable_share(samples, scale=scale, offset=offset, valid_range=(-10.0, 10.0))


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
    frames = np.zeros((2, 4, 5, 1), np.float32)
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
