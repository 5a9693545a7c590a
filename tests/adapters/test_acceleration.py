"""The options of the acceleration adapter: what each does, and what each refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from sensorkd_adapters.acceleration import AccelerationAdapter

from sensorkd.adapters import adapter_for
from sensorkd.distillation.augmentation import Gain, Noise, Rotation, Scale, TimeWarp
from sensorkd.distillation.pretext import OSCILLATION, SPECTRAL
from sensorkd.encoding import InputEncoding
from sensorkd.errors import AdapterError
from sensorkd.models.encoders import SignalEncoder
from sensorkd.models.size import SIZES
from sensorkd.models.spectrum import SpectrumEncoder

SPAN = InputEncoding(
    modality="acceleration",
    dtype="int16",
    unit="m/s2",
    scale=0.01,
    offset=0.0,
    sample_shape=(3,),
    channels=("x", "y", "z"),
    steps=640,
    rate=1000.0,
    span=640_000_000,
    valid_range=(-300.0, 300.0),
    resampling="linear",
)
WHOLE = dataclasses.replace(SPAN, span=None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rotation": -1}, r"rotation -1 must lie in \[0, 180\] degrees"),
        ({"rotation": 180.5}, r"rotation 180\.5 must lie in \[0, 180\] degrees"),
        ({"features": "spectra"}, "features 'spectra' must be 'waveform' or 'spectrum'"),
        ({"bands": 0}, "bands 0 must be a whole number of at least 1"),
        ({"bands": 2.5}, r"bands 2\.5 must be a whole number of at least 1"),
        ({"gain": -0.1}, r"gain -0\.1 must lie in \[0, 60\] dB"),
        ({"gain": 61}, r"gain 61 must lie in \[0, 60\] dB"),
        ({"gain": float("nan")}, r"gain nan must lie in \[0, 60\] dB"),
        ({"bands": "many"}, "inputs.<name>.options"),
        ({"gains": 6}, "unexpected keyword argument 'gains'"),
    ],
)
def test_a_bad_option_is_told_with_its_range_and_where_it_was_given(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(AdapterError, match=told) as caught:
        adapter_for("acceleration", options)
    assert "correct inputs.<name>.options in the configuration" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{}, {"rotation": 0}, {"rotation": 180}, {"bands": 1}, {"bands": 16.0}, {"gain": 0}, {"gain": 60}],
)
def test_the_ends_of_each_range_are_within_it(options: dict[str, Any]) -> None:
    adapter = adapter_for("acceleration", {"features": "spectrum", **options})
    assert isinstance(adapter, AccelerationAdapter)
    assert isinstance(adapter.bands, int)


def test_features_decide_the_encoder_and_what_it_is_to_tell_apart() -> None:
    size = SIZES["tiny"]
    waveform, spectrum = AccelerationAdapter(), AccelerationAdapter(features="spectrum", bands=10)
    assert isinstance(waveform.build_encoder(3, SPAN, size), SignalEncoder)
    assert waveform.pretext() is OSCILLATION
    encoder = spectrum.build_encoder(3, SPAN, size)
    assert isinstance(encoder, SpectrumEncoder)
    assert encoder.widths == size.signal_widths
    assert 1 < encoder.spectrum.count <= 10
    assert spectrum.pretext() is SPECTRAL


def test_a_gain_takes_the_place_of_the_small_scale() -> None:
    kinds = {
        gain: [type(item) for item in AccelerationAdapter(gain=gain).augmentations(SPAN)] for gain in (0, 9)
    }
    assert kinds == {0: [Rotation, Scale, Noise], 9: [Rotation, Gain, Noise]}
    assert Gain(9) in AccelerationAdapter(gain=9).augmentations(SPAN)
    assert Rotation(3.0) in AccelerationAdapter(rotation=3.0).augmentations(SPAN)


@pytest.mark.parametrize("features", ["waveform", "spectrum"])
def test_time_is_warped_in_whole_windows_only(features: Any) -> None:
    """In a span of vibration the frequency is the finding."""
    adapter = AccelerationAdapter(features=features)
    assert TimeWarp() in adapter.augmentations(WHOLE)
    assert TimeWarp() not in adapter.augmentations(SPAN)


def test_a_spectrum_sees_the_same_at_any_start_of_a_tone() -> None:
    """Waveforms move with the phase of a tone; its power does not. That is what `spectrum` is for."""
    time = np.arange(SPAN.steps) / SPAN.rate
    tones = np.stack([np.sin(2 * np.pi * 125 * time + phase) for phase in (0.0, 1.0, 2.5)])
    x = torch.from_numpy(tones[:, None].astype(np.float32))
    encoder = AccelerationAdapter(features="spectrum").build_encoder(1, SPAN, SIZES["tiny"])
    assert isinstance(encoder, SpectrumEncoder)
    power = encoder.spectrum(x).exp()
    assert torch.allclose(power, power[:1].expand_as(power), atol=1e-3)
    assert (x[1] - x[0]).abs().max() > 0.5
