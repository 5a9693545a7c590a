"""Samples of a window lie within the run they come from, whatever the rates."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.encoding import InputEncoding
from sensorkd.timeline import SECOND


@given(
    st.integers(1, 12),
    st.floats(0.2, 40.0),
    st.floats(0.2, 40.0),
    st.integers(1, 30),
    st.integers(0, 40 * SECOND),
)
def test_no_sample_outside_the_run_or_after_the_reference_is_touched(
    count: int, logged: float, wanted: float, steps: int, stop: int
) -> None:
    span = round(steps / wanted * SECOND)
    encoding = InputEncoding(
        "s", "float32", "1", 1.0, 0.0, (1,), (), steps, wanted, span, (-1.0, 1.0), "linear"
    )
    positions, coverage = encoding.positions(t0=0, rate=logged, count=count, start=stop - span, stop=stop)
    assert positions.shape == (steps,)
    before = np.ceil(stop * logged / SECOND - 1e-6)  # samples taken before the reference
    assert positions.min() >= 0
    assert positions.max() <= max(0, min(count, before) - 1)
    assert 0.0 <= coverage <= 1.0
