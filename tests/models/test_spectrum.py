from __future__ import annotations

import itertools
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.errors import ConfigError
from sensorkd.models.encoders import SignalEncoder
from sensorkd.models.spectrum import FLOOR, LogSpectrum, SpectrumEncoder, frame_length

FRAME = 64


def signal(batch=2, channels=3, steps=300, seed=0):
    return torch.randn(batch, channels, steps, generator=torch.Generator().manual_seed(seed))


def hann(frame):
    """Periodic, and such that a sine of amplitude 1 has a power of 1 over all bins."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    return window / np.sqrt((window**2).sum() * frame / 4)


def slow_power(x, frame):
    """(B, C, T) -> (B, C, frame / 2, F): |rfft|^2 of one frame after the other, without bin 0."""
    hop, x = frame // 2, x.numpy().astype(np.float64)
    starts = range(0, x.shape[2] - frame + 1, hop)
    frames = np.stack([x[:, :, start : start + frame] * hann(frame) for start in starts], axis=2)
    return np.moveaxis(np.abs(np.fft.rfft(frames, axis=3)) ** 2, 3, 2)[:, :, 1:]


def slow_bands(power, bands):
    """Means over neighbouring bins between edges that are even in the logarithm of frequency."""
    bins = power.shape[2]
    edges = sorted({round(float(edge)) for edge in np.geomspace(1, bins + 1, min(bands, bins) + 1)})
    means = [power[:, :, low - 1 : high - 1].mean(axis=2) for low, high in itertools.pairwise(edges)]
    return np.stack(means, axis=2)


def total_power(spectrum, x):
    """Over all bins: (B * C, F)."""
    widths = (spectrum.bands > 0).sum(dim=0).reshape(1, -1, 1)
    means = torch.exp(spectrum(x.reshape(-1, 1, x.shape[2])).double()) - FLOOR
    return (means * widths).sum(dim=1)


@pytest.mark.parametrize(("frame", "bands"), [(16, 4), (64, 32), (64, 1), (128, 500), (512, 32)])
def test_log_power_is_that_of_numpys_transform_of_each_frame(frame, bands):
    x = signal(steps=3 * frame + 7)
    spectrum = LogSpectrum(frame=frame, bands=bands)
    expected = np.log(slow_bands(slow_power(x, frame), bands) + FLOOR)
    assert expected.shape[2] == spectrum.count
    found = spectrum(x).numpy()
    assert found.shape == (2, 3 * spectrum.count, expected.shape[3])
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=2e-3)


@pytest.mark.parametrize("bands", [1, 7, 32])
def test_the_power_of_all_bins_is_that_of_the_windowed_frame(bands):
    """Parseval: none is lost or made but for that of the mean, which is no vibration. The highest bin, at
    half the rate, counts twice: there cosine and its mirror are one."""
    x = signal(1, 1, FRAME)
    framed = x[0, 0].numpy().astype(np.float64) * hann(FRAME)
    highest = slow_power(x, FRAME)[0, 0, -1, 0]
    expected = FRAME * (framed**2).sum() - framed.sum() ** 2
    found = 2 * float(total_power(LogSpectrum(frame=FRAME, bands=bands), x)) - highest
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("amplitude", [0.01, 1.0, 30.0])
def test_a_sine_has_its_amplitude_squared_as_power(amplitude):
    x = amplitude * torch.sin(2 * np.pi * 10 / FRAME * torch.arange(4 * FRAME) + 0.3).reshape(1, 1, -1)
    power = total_power(LogSpectrum(frame=FRAME, bands=8), x)
    assert torch.allclose(power, torch.full_like(power, amplitude**2), rtol=0.01)


@pytest.mark.parametrize("bands", [6, 12])
@pytest.mark.parametrize("place", [1, 3, 9, 20, 31])
def test_a_sine_lands_in_the_band_of_its_frequency(bands, place):
    x = torch.sin(2 * np.pi * place / FRAME * torch.arange(5 * FRAME)).reshape(1, 1, -1)
    spectrum = LogSpectrum(frame=FRAME, bands=bands)
    (home,) = spectrum.bands[place - 1].nonzero()[:, 0].tolist()
    levels = spectrum(x)[0].mean(dim=1)
    # A bin at the edge of its band spills into the next one, whose mean may be over fewer bins.
    assert abs(int(levels.argmax()) - home) <= (place in (1, 3))
    others = [band for band in range(spectrum.count) if abs(band - home) > 1]
    assert (levels[home] - levels[others] > 4).all()


@given(st.integers(1, 2**17))
def test_a_frame_is_a_power_of_two_and_about_a_tenth_of_the_window(steps):
    frame = frame_length(steps)
    assert 16 <= frame <= 512
    assert frame & (frame - 1) == 0
    assert frame in (16, 512) or steps / 10 / 2**0.5 <= frame <= steps / 10 * 2**0.5


@given(bands=st.integers(1, 80), frame=st.sampled_from([16, 32, 64, 128]))
def test_bands_part_all_bins_and_rise(bands, frame):
    means = LogSpectrum(frame=frame, bands=bands).bands
    assert 1 <= means.shape[1] <= min(bands, frame // 2)
    assert ((means > 0).sum(dim=1) == 1).all(), "every bin in one band"
    assert torch.allclose(means.sum(dim=0), torch.ones(means.shape[1]))
    homes = means.argmax(dim=1)
    assert (homes.diff() >= 0).all()
    widths = (means > 0).sum(dim=0)
    assert (widths[1:] >= widths[:-1] - 1).all(), "even in the logarithm: high bands are wide"


@pytest.mark.parametrize("steps", [FRAME, FRAME + 31, FRAME + 32, 10 * FRAME + 5])
def test_frames_overlap_by_half_and_none_is_short(steps):
    assert LogSpectrum(frame=FRAME, bands=4)(signal(steps=steps)).shape == (2, 12, (steps - FRAME) // 32 + 1)


def test_silence_is_the_floor_and_not_minus_infinity():
    spectrum = LogSpectrum(frame=FRAME, bands=8)
    silent = spectrum(torch.zeros(1, 1, 200))
    assert torch.allclose(silent, torch.full_like(silent, float(np.log(FLOOR))))
    quiet = spectrum(1e-5 * signal(1, 1, 200))
    assert torch.allclose(quiet, silent, atol=1e-3)
    # A level is no vibration either: a Hann window keeps it to the first bin.
    level = spectrum(torch.ones(1, 1, 200))
    assert torch.allclose(level[:, 1:], silent[:, 1:], atol=1e-3)


def test_twice_the_amplitude_adds_the_same_everywhere():
    """A gain moves the whole picture, which is why amplitudes over orders of magnitude can be learned."""
    x, spectrum = signal(), LogSpectrum(frame=FRAME, bands=8)
    loud, louder = spectrum(x), spectrum(2 * x)
    assert (louder - loud)[loud > -5].numpy() == pytest.approx(2 * np.log(2.0), abs=1e-3)


def test_channels_and_windows_do_not_mix():
    x, spectrum = signal(), LogSpectrum(frame=FRAME, bands=8)
    whole = spectrum(x).reshape(2, 3, spectrum.count, -1)
    for window in range(2):
        for channel in range(3):
            alone = spectrum(x[window, channel].reshape(1, 1, -1))[0]
            assert torch.allclose(whole[window, channel], alone, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("steps", [16, 100, 2560])
def test_an_encoder_gives_a_map_a_stage(channels, steps):
    encoder = SpectrumEncoder(channels, (4, 6, 8), steps=steps, bands=12).eval()
    maps = encoder(signal(2, channels, steps))
    assert [feature_map.shape[:2] for feature_map in maps] == [(2, 4), (2, 6), (2, 8)]
    assert encoder.widths == (4, 6, 8)
    assert encoder.rank == 1
    frames = encoder.spectrum(signal(2, channels, steps)).shape[2]
    inner = SignalEncoder(channels * encoder.spectrum.count, (4, 6, 8), steps=frames)
    assert maps[0].shape[2] == inner(signal(2, channels * encoder.spectrum.count, frames))[0].shape[2]
    assert maps[-1].shape[2] <= 16


def test_a_window_shorter_than_a_frame_is_refused_with_both_lengths():
    with pytest.raises(ConfigError, match=r"15 samples(.|\n)*frame of 16(.|\n)*lengthen the input's span"):
        SpectrumEncoder(1, (4, 6), steps=15)


def test_weights_hold_no_kernels_so_that_they_fit_whatever_the_bands_are_made_of():
    one, other = (SpectrumEncoder(1, (4, 6), steps=640, bands=12) for _ in range(2))
    names = set(one.state_dict())
    assert names == {name for name in names if name.startswith("stages.")}
    assert {name for name, _ in one.named_buffers()} - names == {"spectrum.kernels", "spectrum.bands"}
    assert not [name for name, _ in one.named_parameters() if "spectrum" in name]
    other.load_state_dict(one.state_dict())
    x = signal(2, 1, 640)
    for mine, theirs in zip(one.eval()(x), other.eval()(x), strict=True):
        assert torch.equal(mine, theirs)


def test_the_exported_encoder_says_the_same(tmp_path):
    encoder = SpectrumEncoder(2, (4, 6), steps=200, bands=10).eval()
    path, batch = tmp_path / "encoder.onnx", torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder,
            (signal(2, 2, 200),),
            path,
            dynamic_shapes=({0: batch},),
            external_data=False,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    x = torch.cat([100 * signal(1, 2, 200), 1e-3 * signal(1, 2, 200), torch.zeros(1, 2, 200)])
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        expected = encoder(x)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)
