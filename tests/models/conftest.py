"""Students over the built-in kinds of sensors, from encodings alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from sensorkd.encoding import InputEncoding
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.size import size_named
from sensorkd.runs.build import adapters_for, build_layered, build_student, families_of

# Small tensors: a second thread only waits.
torch.set_num_threads(1)

PLAIN = InputEncoding(
    modality="acceleration",
    dtype="float32",
    unit="m/s2",
    scale=1.0,
    offset=0.0,
    sample_shape=(3,),
    channels=("x", "y", "z"),
    steps=40,
    rate=50.0,
    span=None,
    valid_range=(-100.0, 100.0),
    resampling="linear",
)
ENCODINGS = {
    "shake": PLAIN,
    "heat": dataclasses.replace(
        PLAIN, modality="temperature", dtype="int16", unit="degC", scale=0.01, sample_shape=(1,),
        channels=("t",), steps=20, valid_range=(-90.0, 300.0),
    ),
    "camera": dataclasses.replace(
        PLAIN, modality="video", dtype="uint16", unit="mm", sample_shape=(16, 20, 1), channels=("depth",),
        steps=6, valid_range=(0.0, 20_000.0), resampling="nearest",
    ),
}  # fmt: skip


@pytest.fixture
def plain_encoding():
    return PLAIN


@pytest.fixture
def encodings():
    return dict(ENCODINGS)


def make(size="tiny", seed=0, classes="abcd") -> LayeredStudent:
    stats = {
        name: ChannelStats((0.0,) * e.sample_shape[-1], (3.0,) * e.sample_shape[-1])
        for name, e in ENCODINGS.items()
    }
    adapters = adapters_for(ENCODINGS, {})
    student = build_student(
        ENCODINGS, stats, adapters, classes=tuple(classes), size=size_named(size), seed=seed
    )
    return build_layered(student, families_of(adapters), seed=seed)


@pytest.fixture
def make_layered():
    return make


@pytest.fixture
def make_student_of_steps():
    """Shake of 40 samples and heat of so many, and three windows of both."""

    def build(steps):
        encodings = {
            "shake": PLAIN,
            "heat": dataclasses.replace(PLAIN, modality="temperature", sample_shape=(1,), steps=steps),
        }
        stats = {
            name: ChannelStats((0.0,) * e.sample_shape[-1], (1.0,) * e.sample_shape[-1])
            for name, e in encodings.items()
        }
        student = build_student(
            encodings, stats, adapters_for(encodings, {}), classes=("a", "b"), size=size_named("tiny"), seed=0
        )
        return student, {name: torch.randn(3, *encoding.shape) for name, encoding in encodings.items()}

    return build


@pytest.fixture
def layered():
    return make()


@pytest.fixture
def student(layered):
    return layered.student


@pytest.fixture
def inputs():
    """Five windows as logged."""
    rng = np.random.default_rng(0)
    arrays = {
        "shake": rng.normal(0, 3, (5, 40, 3)).astype(np.float32),
        "heat": rng.integers(2000, 3000, (5, 20, 1)).astype(np.int16),
        "camera": rng.integers(0, 4000, (5, 6, 16, 20, 1)).astype(np.uint16),
    }
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
