"""The adapters that come with sensorkd pass the suite that it ships for everyone's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sensorkd_adapters.acceleration import AccelerationAdapter

from sensorkd.distillation.pretext import OSCILLATION
from sensorkd.testing.adapter_checks import AdapterChecks, AdapterExample


def wandering(count: int, channels: int, *, level: float, step: float, seed: int = 0) -> NDArray[np.float32]:
    walk = np.random.default_rng(seed).normal(0, step, (count, channels)).cumsum(axis=0)
    return (level + walk - walk.mean(axis=0)).astype(np.float32)


class TestAcceleration(AdapterChecks):
    modality = "acceleration"

    def example(self) -> AdapterExample:
        samples = np.random.default_rng(0).normal(0, 3000, (2000, 3)).astype(np.int16)
        return AdapterExample(
            samples, rate=400.0, unit="m/s2", span=1.0, scale=0.01, channels=("x", "y", "z")
        )


class TestAccelerationOfOneAxisInG(AdapterChecks):
    modality = "acceleration"

    def example(self) -> AdapterExample:
        samples = np.random.default_rng(1).normal(0, 1, (1000, 1)).astype(np.float32)
        return AdapterExample(samples, rate=50.0, unit="g", span=2.56, options={"rotation": 0.0})


class TestAccelerationAsSpectrum(AdapterChecks):
    modality = "acceleration"

    def example(self) -> AdapterExample:
        samples = np.random.default_rng(5).normal(0, 2000, (2400, 2)).astype(np.int16)
        options = {"features": "spectrum", "bands": 12, "gain": 6.0}
        return AdapterExample(samples, rate=400.0, unit="m/s2", span=1.5, scale=0.01, options=options)


def test_the_suite_finds_transforms_that_the_features_do_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign flip changes the samples and not their power."""
    monkeypatch.setattr(AccelerationAdapter, "pretext", lambda self: OSCILLATION)
    with pytest.raises(AssertionError, match="do not show transform 2 beside transform 0"):
        TestAccelerationAsSpectrum().test_transforms_keep_the_shape_and_differ(tmp_path)


class TestTemperature(AdapterChecks):
    modality = "temperature"

    def example(self) -> AdapterExample:
        return AdapterExample(wandering(400, 1, level=40, step=0.1), rate=2.0, unit="degC", span=20.0)


class TestGyroscope(AdapterChecks):
    modality = "gyroscope"

    def example(self) -> AdapterExample:
        return AdapterExample(wandering(600, 3, level=0, step=5), rate=50.0, unit="deg/s", span=2.0)


class TestFlow(AdapterChecks):
    modality = "flow"

    def example(self) -> AdapterExample:
        return AdapterExample(wandering(400, 2, level=8, step=0.05), rate=10.0, unit="l/min", span=6.0)


class TestPressure(AdapterChecks):
    modality = "pressure"

    def example(self) -> AdapterExample:
        return AdapterExample(wandering(400, 1, level=160, step=0.5), rate=100.0, unit="bar", span=0.5)


class TestColourVideo(AdapterChecks):
    modality = "video"

    def example(self) -> AdapterExample:
        frames = np.random.default_rng(2).integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)
        names = ("red", "green", "blue")
        return AdapterExample(
            frames,
            rate=12.0,
            unit="1",
            span=1.0,
            scale=1 / 255,
            channels=names,
            options={"pretext": "rotations"},
        )


class TestDepthVideo(AdapterChecks):
    modality = "video"

    def example(self) -> AdapterExample:
        generator = np.random.default_rng(3)
        depth = generator.integers(1500, 3000, (48, 30, 40, 1), dtype=np.uint16)
        depth[:, :, :12] = 0
        return AdapterExample(depth, rate=15.0, unit="mm", span=0.8, channels=("depth",), options={"pool": 2})


class TestThermalVideo(AdapterChecks):
    modality = "video"

    def example(self) -> AdapterExample:
        frames = np.random.default_rng(4).normal(45, 8, (40, 24, 32, 1)).astype(np.float32)
        return AdapterExample(frames, rate=8.0, unit="degC", span=1.0, channels=("temperature",))


class TestVibration(AdapterChecks):
    modality = "vibration"

    def example(self) -> AdapterExample:
        return AdapterExample(wandering(600, 1, level=2.8, step=0.02), rate=1.0, unit="mm/s", span=60.0)


class TestCurrent(AdapterChecks):
    modality = "current"

    def example(self) -> AdapterExample:
        return AdapterExample(wandering(400, 3, level=12, step=0.1), rate=10.0, unit="A", span=4.0)


class TestVoltage(AdapterChecks):
    modality = "voltage"

    def example(self) -> AdapterExample:
        return AdapterExample(wandering(400, 3, level=230, step=0.4), rate=10.0, unit="V", span=4.0)


class TestPower(AdapterChecks):
    modality = "power"

    def example(self) -> AdapterExample:
        return AdapterExample(wandering(400, 1, level=2500, step=15), rate=100.0, unit="W", span=1.0)
