from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sensorkd.encoding import InputEncoding
from sensorkd.timeline import SECOND, duration, sample_times, steps_in

G = 9.80665
PLAIN = InputEncoding(
    modality="acceleration",
    dtype="float32",
    unit="m/s2",
    scale=1.0,
    offset=0.0,
    sample_shape=(2,),
    channels=("x", "y"),
    steps=10,
    rate=10.0,
    span=SECOND,
    valid_range=(-100.0, 100.0),
    resampling="linear",
)


def before(rate: float, span: int, **changes: Any) -> InputEncoding:
    return dataclasses.replace(PLAIN, rate=rate, span=span, steps=steps_in(span, rate), **changes)


RATES = st.one_of(st.sampled_from([0.1, 1.0, 29.97, 50.0, 25_600.0]), st.floats(0.1, 50_000.0))


@given(
    t0=st.integers(-(10**18), 2 * 10**18),
    rate=RATES,
    count=st.integers(1, 3000),
    periods=st.floats(1.0, 400.0),
    when=st.floats(-0.2, 1.5),
)
def test_a_window_holds_the_samples_before_its_reference_and_no_other(
    t0: int, rate: float, count: int, periods: float, when: float
) -> None:
    span = round(periods / rate * SECOND)
    stop = t0 + round(when * duration(rate, count))
    encoding = before(rate, span)
    positions, coverage = encoding.positions(t0=t0, rate=rate, count=count, start=stop - span, stop=stop)

    # Reference: of the instants of the sensor's clock, extended both ways, the last `steps` before `stop`.
    index = np.arange(-encoding.steps - 2, max(count, round(when * count)) + encoding.steps + 3)
    times = sample_times(t0, rate, index)
    wanted = index[times < stop][-encoding.steps :]
    if len(wanted) == encoding.steps:  # fewer when `stop` lies far before the first sample
        logged = (wanted >= 0) & (wanted < count)
        assert coverage == pytest.approx(logged.mean())
        np.testing.assert_array_equal(positions[logged], wanted[logged])
        inside = sample_times(t0, rate, positions[logged])
        assert (inside < stop).all()
        assert (inside >= stop - span - 1).all()  # times are rounded to the nanosecond
    else:
        assert coverage == 0.0
    assert ((positions >= 0) & (positions <= count - 1)).all()


@given(
    ratio=st.floats(0.05, 20.0).filter(lambda ratio: abs(ratio - 1) > 0.011),
    count=st.integers(1, 2000),
    when=st.floats(0.0, 1.5),
    steps=st.integers(1, 100),
)
def test_at_another_rate_no_sample_from_the_future_is_touched_and_coverage_counts_instants(
    ratio: float, count: int, when: float, steps: int
) -> None:
    encoding = dataclasses.replace(PLAIN, rate=100.0, span=duration(100.0, steps), steps=steps)
    rate, t0 = 100.0 * ratio, 7 * SECOND
    stop = t0 + 1 + round(when * duration(rate, count))
    positions, coverage = encoding.positions(t0=t0, rate=rate, count=count, start=0, stop=stop)
    newest = int(np.ceil(positions.max()))
    assert newest == 0 or sample_times(t0, rate, newest) < stop
    end = int((sample_times(t0, rate, np.arange(count * 2 + 2)) < stop).sum())
    wanted = end - np.arange(steps, 0, -1) * ratio
    unclear = np.minimum(np.abs(wanted), np.abs(wanted - count)) < 1e-6
    counted = ((wanted >= 0) & (wanted < count))[~unclear].sum()
    assert counted <= round(coverage * steps) <= counted + unclear.sum()


@given(
    t0=st.lists(st.integers(0, 10**12), min_size=1, max_size=20),
    rate=st.floats(0.5, 200.0),
    count=st.integers(1, 500),
    stop=st.integers(0, 10**12),
)
def test_coverage_of_many_windows_is_that_of_each(t0: list[int], rate: float, count: int, stop: int) -> None:
    together = PLAIN.coverage(t0=np.array(t0), rate=rate, count=count, stop=stop)
    alone = [PLAIN.positions(t0=one, rate=rate, count=count, start=0, stop=stop)[1] for one in t0]
    np.testing.assert_array_equal(together, alone)


def test_a_rate_within_tolerance_takes_samples_as_they_are() -> None:
    positions, _ = PLAIN.positions(t0=0, rate=10.09, count=100, start=0, stop=5 * SECOND)
    assert positions.tolist() == list(range(41, 51))
    positions, _ = PLAIN.positions(t0=0, rate=10.11, count=100, start=0, stop=5 * SECOND)
    assert not (positions == np.rint(positions)).all()


def test_whole_coverage_counts_only_what_lies_inside() -> None:
    whole = dataclasses.replace(PLAIN, span=None)
    for t0, expected in ((0, 1.0), (5 * SECOND, 0.5), (-5 * SECOND, 0.5), (20 * SECOND, 0.0)):
        _, coverage = whole.positions(t0=t0, rate=10.0, count=100, start=0, stop=10 * SECOND)
        assert coverage == expected, t0


@given(arrays(np.int16, (50, 2)))
def test_g_becomes_metres_per_second_squared_within_half_a_step(raw: np.ndarray) -> None:
    encoding = dataclasses.replace(PLAIN, dtype="int16", scale=0.02, offset=1.0)
    stored = encoding.encode(raw, scale=0.001 * G, offset=0.0)
    assert stored.dtype == np.int16
    true = raw * 0.001 * G
    np.testing.assert_allclose(stored * 0.02 + 1.0, true, atol=0.01 + 1e-9)


@given(
    arrays(np.int16, (50, 2), elements=st.integers(-10_000, 10_000)),
    st.floats(1e-4, 10.0),
    st.floats(-50, 50),
)
def test_a_finer_encoding_and_back_is_the_same(raw: np.ndarray, scale: float, offset: float) -> None:
    fine = dataclasses.replace(PLAIN, dtype="int32", scale=scale / 16, offset=offset / 2)
    coarse = dataclasses.replace(PLAIN, dtype="int16", scale=scale, offset=offset)
    there = fine.encode(raw, scale=scale, offset=offset)
    np.testing.assert_array_equal(coarse.encode(there, scale=fine.scale, offset=fine.offset), raw)


def test_samples_that_are_already_so_are_handed_on_without_a_copy() -> None:
    raw = np.ones((10, 2), np.float32)
    assert PLAIN.encode(raw, scale=1.0, offset=0.0) is raw


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_what_an_integer_cannot_hold_is_clipped(dtype: str) -> None:
    encoding = dataclasses.replace(PLAIN, dtype=dtype)
    stored = encoding.encode(np.array([[-1e30, 1e30]]), scale=1.0, offset=0.0)
    limits = np.iinfo(dtype)
    assert stored[0, 0] == limits.min
    assert stored[0, 1] == pytest.approx(limits.max, rel=1e-12)
    assert stored[0, 1] > 0


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("dtype", "scale"), [("int16", 0.01), ("uint8", 1.0), ("uint16", 0.01), ("int64", 1.0)]
)
def test_what_is_not_finite_lands_outside_the_valid_range(broken: float, dtype: str, scale: float) -> None:
    encoding = dataclasses.replace(
        PLAIN, dtype=dtype, scale=scale, sample_shape=(1,), valid_range=(-90.0, 150.0)
    )
    stored = encoding.encode(np.full(encoding.shape, broken), scale=1.0, offset=0.0)
    physical = stored.astype(np.float64) * scale
    assert ((physical < -90.0) | (physical > 150.0)).all()
    assert not encoding.is_present(1.0, encoding.assess(stored).usable)


def test_a_float_too_large_for_the_encoding_becomes_infinite_and_absent_without_a_warning() -> None:
    stored = PLAIN.encode(np.full((10, 2), 1e300), scale=1.0, offset=0.0)
    assert stored.dtype == np.float32
    assert not PLAIN.is_present(1.0, PLAIN.assess(stored).usable)


@pytest.mark.parametrize(
    ("coverage", "broken", "present"), [(0.8, 0, True), (0.79, 0, False), (0.9, 1, True), (0.9, 2, False)]
)
def test_presence_needs_enough_that_is_both_logged_and_usable(
    coverage: float, broken: int, present: bool
) -> None:
    window = np.zeros((10, 2), np.float32)
    window[:broken, 0] = np.nan
    assert PLAIN.is_present(coverage, PLAIN.assess(window).usable) is present


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dtype": "str"}, "dtype"),
        ({"scale": 0.0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"offset": float("inf")}, "offset"),
        ({"steps": 0}, "steps"),
        ({"rate": -1.0}, "rate"),
        ({"span": 0}, "span"),
        ({"valid_range": (1.0, 1.0)}, "valid_range"),
        ({"valid_range": (float("nan"), 1.0)}, "valid_range"),
        ({"min_coverage": 0.0}, "min_coverage"),
        ({"rate_tolerance": -0.1}, "rate_tolerance"),
        ({"sample_shape": (0,)}, "sample_shape"),
    ],
)
def test_a_field_out_of_range_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        dataclasses.replace(PLAIN, **changes)


@pytest.mark.parametrize("span", [None, SECOND])
def test_the_json_form_goes_both_ways(span: int | None) -> None:
    encoding = dataclasses.replace(PLAIN, span=span)
    assert InputEncoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding


def test_a_json_form_with_an_unknown_or_missing_field_is_refused() -> None:
    tree = PLAIN.to_json()
    with pytest.raises(TypeError, match="colour"):
        InputEncoding.from_json({**tree, "colour": "red"})
    del tree["channels"]
    with pytest.raises(KeyError, match="channels"):
        InputEncoding.from_json(tree)
