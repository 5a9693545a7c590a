from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from sensorkd.models.frontend import ChannelStats, DepthFrontend, ImageFrontend, SignalFrontend

STATS = ChannelStats((1.0, -2.0, 9.8), (2.0, 2.0, 2.0))
BAD = [math.nan, math.inf, -math.inf, 1e30, -101.0]


def frames(encoding, dtype="uint16", shape=(6, 8, 1), **changes):
    return dataclasses.replace(
        encoding,
        modality="video",
        dtype=dtype,
        sample_shape=shape,
        steps=3,
        **{"valid_range": (0.0, 5000.0), **changes},
    )


def test_signals_are_standardised_and_time_comes_last(plain_encoding):
    samples = torch.randn(4, 40, 3)
    got = SignalFrontend(plain_encoding, STATS)(samples)
    expected = (samples.double().numpy() - np.array(STATS.mean)) / 2.0
    assert got.shape == (4, 3, 40)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), expected.transpose(0, 2, 1), atol=1e-6)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("limits", [(-100.0, 100.0), (-math.inf, math.inf)])
def test_unusable_samples_become_the_mean(plain_encoding, bad, limits):
    """With open limits too, as far as float32 can hold the value."""
    frontend = SignalFrontend(dataclasses.replace(plain_encoding, valid_range=limits), STATS)
    samples = torch.randn(2, 40, 3)
    broken = samples.clone()
    broken[0, 7, 1] = bad
    got, expected = frontend(broken), frontend(samples)
    usable = math.isinf(limits[0]) and math.isfinite(bad)
    assert torch.isfinite(got).all()
    if not usable:
        expected[0, 1, 7] = 0.0
        assert torch.equal(got, expected)


def test_values_at_the_limits_are_usable(plain_encoding):
    frontend = SignalFrontend(plain_encoding, ChannelStats((0.0,) * 3, (1.0,) * 3))
    samples = torch.zeros(1, 40, 3)
    samples[0, 0], samples[0, 1] = -100.0, 100.0
    assert frontend(samples)[0, 0, :2].tolist() == [-100.0, 100.0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float64"])
def test_samples_of_any_dtype_come_to_physical_units(plain_encoding, dtype):
    encoding = dataclasses.replace(plain_encoding, dtype=dtype, scale=0.5, offset=-3.0)
    samples = np.arange(120).reshape(1, 40, 3).astype(dtype)
    got = SignalFrontend(encoding, STATS)(torch.from_numpy(samples))
    expected = (samples * 0.5 - 3.0 - np.array(STATS.mean)) / 2.0
    np.testing.assert_allclose(got.numpy(), expected.transpose(0, 2, 1), atol=1e-5)


def test_counts_of_g_and_metres_per_second_squared_give_the_same_floats(plain_encoding):
    physical = np.random.default_rng(0).normal(0, 5, (3, 40, 3))
    counts = np.rint(physical / 9.80665 / 1e-3).astype(np.int16)
    in_g = SignalFrontend(dataclasses.replace(plain_encoding, dtype="int16", scale=1e-3 * 9.80665), STATS)
    in_si = SignalFrontend(plain_encoding, STATS)
    si = torch.from_numpy((counts * (1e-3 * 9.80665)).astype(np.float32))
    assert torch.allclose(in_g(torch.from_numpy(counts)), in_si(si), atol=1e-5)


def test_colour_is_standardised_by_channel_then_pooled(plain_encoding):
    encoding = frames(plain_encoding, "uint8", (6, 8, 3), scale=1 / 255, valid_range=(-1e-6, 1 + 1e-6))
    stats = ChannelStats((0.2, 0.4, 0.6), (0.5, 0.25, 0.1))
    samples = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 8, 3)).astype(np.uint8)
    got = ImageFrontend(encoding, stats, pool=2)(torch.from_numpy(samples))
    normal = (samples / 255 - np.array(stats.mean)) / np.array(stats.std)
    expected = normal.reshape(2, 3, 3, 2, 4, 2, 3).mean((3, 5)).transpose(0, 4, 1, 2, 3)
    assert got.shape == (2, 3, 3, 3, 4)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)


def test_black_and_white_are_usable_at_eight_bits(plain_encoding):
    encoding = frames(plain_encoding, "uint8", scale=1 / 255, valid_range=(-1e-6, 1 + 1e-6))
    frontend = ImageFrontend(encoding, ChannelStats((0.5,), (1.0,)))
    samples = torch.zeros(1, 3, 6, 8, 1, dtype=torch.uint8)
    samples[..., 4:, :] = 255
    assert sorted(frontend(samples).unique().tolist()) == [-0.5, 0.5]


def slow_depth(samples, reach, limit):
    """(B, T, H, W) mm -> mask and centred depth, pixel by pixel."""
    mask, depth = np.zeros(samples.shape), np.zeros(samples.shape)
    for b, window in enumerate(samples.astype(float)):
        seen = [v for v in window.flat if 0 < v <= limit]
        centre = sum(seen) / max(1, len(seen))
        for place, value in np.ndenumerate(window):
            if 0 < value <= limit:
                mask[(b, *place)] = 1
                depth[(b, *place)] = (value - centre) / reach
    return np.stack([mask, depth], axis=1)


def test_depth_is_foreground_and_depth_about_its_mean(plain_encoding):
    rng = np.random.default_rng(1)
    samples = rng.integers(0, 7000, (2, 3, 6, 8, 1)).astype(np.uint16)
    samples[rng.random(samples.shape) < 0.3] = 0
    got = DepthFrontend(frames(plain_encoding), reach=250.0)(torch.from_numpy(samples))
    np.testing.assert_allclose(got.numpy(), slow_depth(samples[..., 0], 250.0, 5000), atol=1e-4)


def test_pooled_depth_is_the_mean_of_centred_pixels_about_all_pixels_of_the_window(plain_encoding):
    rng = np.random.default_rng(2)
    samples = rng.integers(1000, 4000, (2, 3, 7, 8, 1)).astype(np.uint16)
    samples[rng.random(samples.shape) < 0.3] = 0
    got = DepthFrontend(frames(plain_encoding, shape=(7, 8, 1)), pool=2)(torch.from_numpy(samples))
    # The last row fills no square: it counts for the centre, and is dropped after.
    pixels = slow_depth(samples[..., 0], 300.0, 5000)[:, :, :, :6]
    expected = pixels.reshape(2, 2, 3, 3, 2, 4, 2).mean((4, 6))
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-4)


def test_where_a_person_stands_does_not_matter(plain_encoding):
    samples = np.random.default_rng(1).integers(1000, 1500, (2, 3, 6, 8, 1)).astype(np.uint16)
    frontend = DepthFrontend(frames(plain_encoding), pool=2)
    near, far = (frontend(torch.from_numpy(samples + shift)) for shift in (np.uint16(0), np.uint16(900)))
    assert torch.allclose(near, far, atol=1e-4)
    assert near.shape == (2, 2, 3, 3, 4)


def test_frames_in_which_nothing_is_seen_are_zero(plain_encoding):
    frontend = DepthFrontend(frames(plain_encoding))
    assert not frontend(torch.zeros(1, 3, 6, 8, 1, dtype=torch.uint16)).any()
    broken = torch.full((1, 3, 6, 8, 1), math.nan)
    assert not frontend(broken).any()


def test_pooling_drops_the_pixels_that_fill_no_square(plain_encoding):
    frontend = ImageFrontend(frames(plain_encoding, shape=(7, 9, 1)), ChannelStats((0.0,), (1.0,)), pool=2)
    assert frontend(torch.zeros(1, 3, 7, 9, 1, dtype=torch.uint16)).shape == (1, 1, 3, 3, 4)


@pytest.mark.parametrize("stats", [((0.0,), (0.0,)), ((0.0,), (math.nan,)), ((0.0, 0.0), (1.0,))])
def test_a_deviation_that_would_blow_samples_up_is_refused(stats):
    with pytest.raises(ValueError, match="finite deviation above 0 for each channel"):
        ChannelStats(*stats)
