"""Hand-made features: finite wherever a sensor is there, and what they do not depend on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kurtosis, skew

from sensorkd.encoding import InputEncoding
from sensorkd.evaluation.features import BANDS, window_features

STEPS, RATE = 128, 100.0
SHAKE = InputEncoding(
    modality="acceleration",
    dtype="float32",
    unit="m/s2",
    scale=1.0,
    offset=0.0,
    sample_shape=(1,),
    channels=("x",),
    steps=STEPS,
    rate=RATE,
    span=1_280_000_000,
    valid_range=(-1000.0, 1000.0),
    resampling="linear",
)
HEAT = dataclasses.replace(
    SHAKE, modality="temperature", dtype="int16", unit="degC", scale=0.1, steps=8, valid_range=(-90.0, 1000.0)
)
CAMERA = dataclasses.replace(
    SHAKE, modality="video", dtype="uint8", unit="1", scale=1 / 255, sample_shape=(9, 10, 3), steps=4,
    valid_range=(-0.001, 1.001), resampling="nearest",
)  # fmt: skip
ALL = {"shake": SHAKE, "heat": HEAT, "camera": CAMERA}
# Of a signal of one channel; then mean and deviation of each of eight parts; then the bands.
NAMES = ["mean", "deviation", "lowest", "highest", "last", "slope", "skewness", "kurtosis", "crest"]
PARTS = slice(9, 25)
SPECTRUM = slice(25, None)


def of_signal(*rows: Any, encoding: InputEncoding = SHAKE) -> np.ndarray:
    values = np.array(rows, dtype=encoding.dtype)[:, :, None]
    encoding = dataclasses.replace(encoding, steps=values.shape[1])
    return window_features({"x": values}, np.ones((len(values), 1), np.float32), {"x": encoding})


def windows(count: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "shake": rng.normal(0, 3, (count, STEPS, 1)).astype(np.float32),
        "heat": rng.integers(200, 400, (count, 8, 1)).astype(np.int16),
        "camera": rng.integers(0, 256, (count, 4, 9, 10, 3)).astype(np.uint8),
    }


def sine(frequency: float, amplitude: float = 1.0, phase: float = 0.3) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(STEPS) / RATE + phase)


@given(arrays(np.float32, (6, 3), elements=st.sampled_from([0.0, 1.0])))
@settings(max_examples=20)
def test_features_are_missing_exactly_where_an_input_is(presence: np.ndarray) -> None:
    inputs = windows()
    found = window_features(inputs, presence, ALL)
    widths = [window_features({n: inputs[n]}, presence[:, :1], {n: ALL[n]}).shape[1] for n in ALL]
    missing = np.repeat(presence == 0, widths, axis=1)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), missing)
    assert np.isfinite(found[~missing]).all()


@given(
    arrays(
        np.float32,
        (2, 16, 1),
        elements=st.floats(width=32) | st.sampled_from([0.0, 1.0, 999.0, 1e30, float("nan"), float("inf")]),
    )
)
def test_whatever_is_logged_gives_finite_features_and_no_warning(values: np.ndarray) -> None:
    encoding = dataclasses.replace(SHAKE, steps=16)
    found = window_features({"x": values}, np.ones((2, 1), np.float32), {"x": encoding})
    assert np.isfinite(found).all()
    # Warnings are errors in these tests: neither flat, nor empty, nor huge samples raise any.


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 40])
def test_windows_of_any_length_have_as_many_features_each(steps: int) -> None:
    found = of_signal(*np.random.default_rng(0).normal(0, 1, (5, steps)))
    assert np.isfinite(found).all()
    assert found.shape == (5, len(NAMES) + 2 * min(8, steps) + of_spectrum(steps))


def of_spectrum(steps: int) -> int:
    """How many bands there are: as many edges, even in the logarithm, as fall on different bins."""
    bins = steps // 2
    if bins < 2:
        return 0
    return len(np.unique(np.geomspace(1, bins, min(BANDS, bins) + 1).astype(int))) - 1


def test_no_window_gives_no_rows() -> None:
    assert (
        window_features({"x": np.zeros((0, STEPS, 1), "f4")}, np.ones((0, 1), "f4"), {"x": SHAKE}).shape[0]
        == 0
    )


def test_features_are_those_of_the_physical_values() -> None:
    """Whatever the gain, the offset and the unit's zero."""
    samples = np.random.default_rng(1).integers(-300, 300, (4, STEPS))
    plain = of_signal(*(0.5 * samples - 20))
    stored = dataclasses.replace(SHAKE, dtype="int16", scale=0.5, offset=-20.0)
    np.testing.assert_allclose(of_signal(*samples, encoding=stored), plain, rtol=1e-4, atol=1e-4)


def test_figures_of_one_window_worked_out_one_by_one() -> None:
    x = np.random.default_rng(2).gamma(2.0, 1.0, STEPS)
    found = dict(zip(NAMES, of_signal(x)[0], strict=False))
    x = x.astype(np.float32).astype(np.float64)
    time = np.linspace(-0.5, 0.5, STEPS)
    expected = {
        "mean": x.mean(),
        "deviation": np.log(x.std()),
        "lowest": x.min(),
        "highest": x.max(),
        "last": x[-1],
        "slope": np.polyfit(time, x, 1)[0],
        "skewness": skew(x),
        "kurtosis": kurtosis(x),
        "crest": np.abs(x - x.mean()).max() / x.std(),
    }
    assert found == pytest.approx(expected, rel=1e-4)
    parts = [value for part in np.split(x, 8) for value in (part.mean(), part.std())]
    np.testing.assert_allclose(of_signal(x)[0, PARTS], parts, rtol=1e-4)


def test_a_straight_line_has_its_rise_over_the_window_as_slope() -> None:
    assert of_signal(np.linspace(3, 10, STEPS))[0, NAMES.index("slope")] == pytest.approx(7.0)


@pytest.mark.parametrize("place", [2, 5, 11, 30, 60])
def test_the_power_of_a_sine_lies_in_the_band_of_its_frequency(place: int) -> None:
    edges = np.unique(np.geomspace(1, STEPS // 2, BANDS + 1).astype(int))
    home = int(np.searchsorted(edges[:-1], place, side="right")) - 1
    bands = of_signal(sine(place * RATE / STEPS))[0, SPECTRUM]
    assert len(bands) == len(edges) - 1
    assert int(bands.argmax()) == home
    assert bands[home] == pytest.approx(np.log(STEPS / 4), abs=1e-3)
    assert (bands[home] - np.delete(bands, home) > 10).all()


def test_all_bands_together_hold_the_variance() -> None:
    """Parseval: without its middle, twice the power of bins 1 to n / 2 is the sum of squares; the highest
    bin counts once."""
    x = np.random.default_rng(3).normal(5, 2, STEPS)
    power = np.abs(np.fft.rfft(x - x.mean())) ** 2 / STEPS
    bands = np.exp(of_signal(x)[0, SPECTRUM].astype(np.float64))
    assert 2 * bands.sum() - power[-1] == pytest.approx(STEPS * x.var(), rel=1e-4)


@given(st.floats(0.01, 50.0), st.integers(0, 50))
@settings(max_examples=30)
def test_a_gain_moves_levels_and_leaves_shapes_alone(gain: float, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0, 3, STEPS)
    before, after = of_signal(x, gain * x)
    for name in ("skewness", "kurtosis", "crest"):
        at = NAMES.index(name)
        assert after[at] == pytest.approx(before[at], rel=1e-3, abs=1e-3)
    at = NAMES.index("deviation")
    assert after[at] - before[at] == pytest.approx(np.log(gain), abs=1e-3)
    np.testing.assert_allclose(after[SPECTRUM] - before[SPECTRUM], 2 * np.log(gain), atol=1e-2)


@given(st.floats(-500, 500), st.integers(0, 50))
@settings(max_examples=30)
def test_a_level_moves_means_and_nothing_else(level: float, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0, 3, STEPS)
    before, after = of_signal(x, x + level)
    for name in ("mean", "lowest", "highest", "last"):
        at = NAMES.index(name)
        assert after[at] - before[at] == pytest.approx(level, abs=1e-3)
    for name in ("deviation", "slope", "skewness", "kurtosis", "crest"):
        at = NAMES.index(name)
        assert after[at] == pytest.approx(before[at], abs=1e-2), name
    np.testing.assert_allclose(after[PARTS][1::2], before[PARTS][1::2], atol=1e-3)
    np.testing.assert_allclose(after[SPECTRUM], before[SPECTRUM], atol=0.05)


def test_when_something_happens_does_not_change_its_spectrum() -> None:
    x = np.random.default_rng(4).normal(0, 1, STEPS)
    before, after = of_signal(x, np.roll(x, 37))
    np.testing.assert_allclose(after[SPECTRUM], before[SPECTRUM], atol=1e-3)
    assert np.abs(after[PARTS] - before[PARTS]).max() > 0.01


def test_unusable_samples_count_as_the_mean() -> None:
    x = np.random.default_rng(5).normal(0, 1, STEPS)
    broken = x.copy()
    broken[[3, 60, 127]] = np.nan, 9e9, -np.inf
    filled = x.copy()
    filled[[3, 60, 127]] = np.delete(x, [3, 60, 127]).mean()
    np.testing.assert_allclose(*of_signal(broken, filled), rtol=1e-3, atol=1e-3)


def test_inputs_stand_side_by_side_and_do_not_mix() -> None:
    inputs, ones = windows(), np.ones((6, 3), np.float32)
    together = window_features(inputs, ones, ALL)
    alone = [window_features({n: inputs[n]}, ones[:, :1], {n: ALL[n]}) for n in ALL]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=1))
    for name, values in inputs.items():
        assert np.array_equal(values, windows()[name]), "samples were changed"


@pytest.mark.parametrize("size", [(9, 10), (4, 4), (2, 3), (1, 1)])
def test_a_film_is_told_by_light_and_change_in_fields(size: tuple[int, int]) -> None:
    frames = np.zeros((2, 4, *size, 1), np.uint8)
    frames[0, :, 0, 0] = 200
    frames[1, 2:, -1, -1] = 100
    encoding = dataclasses.replace(CAMERA, sample_shape=(*size, 1))
    found = window_features({"c": frames}, np.ones((2, 1), np.float32), {"c": encoding})
    fields = min(4, size[0]) * min(4, size[1])
    assert found.shape == (2, 4 * fields)
    assert np.isfinite(found).all()
    still = found.reshape(2, fields, 4)[0, :, 2:]
    assert not still.any(), "nothing changes in the first film"
    light, change = found.reshape(2, fields, 4)[1, -1, [0, 2]]
    assert light > 0
    assert change > 0
    if fields > 1:
        assert not found.reshape(2, fields, 4)[1, 0].any()


def test_a_field_without_a_usable_pixel_is_nought() -> None:
    frames = np.full((1, 4, 8, 8, 1), 0.5, np.float32)
    frames[:, :, :2, :2] = np.nan
    encoding = dataclasses.replace(CAMERA, dtype="float32", scale=1.0, sample_shape=(8, 8, 1))
    found = window_features({"c": frames}, np.ones((1, 1), np.float32), {"c": encoding})
    assert found[0, :4].tolist() == [0, 0, 0, 0]
    assert found[0, 4] == 0.5
