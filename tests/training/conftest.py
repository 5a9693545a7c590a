"""A toy problem: three classes told apart by the trend of one signal and the level of another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from sensorkd.distillation.augmentation import Noise, Scale
from sensorkd.distillation.methods import Method, method_named
from sensorkd.distillation.pretext import FLUCTUATION, OSCILLATION
from sensorkd.encoding import InputEncoding
from sensorkd.models.encoders import SignalEncoder
from sensorkd.models.frontend import ChannelStats, SignalFrontend
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.student import Student
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.config import TrainingConfig
from sensorkd.training.recipe import Recipe

# Small tensors: a second thread only waits.
torch.set_num_threads(1)

SHAKE = InputEncoding(
    modality="acceleration",
    dtype="float32",
    unit="m/s2",
    scale=1.0,
    offset=0.0,
    sample_shape=(2,),
    channels=("x", "y"),
    steps=24,
    rate=10.0,
    span=None,
    valid_range=(-100.0, 100.0),
    resampling="linear",
)
HEAT = dataclasses.replace(
    SHAKE, modality="temperature", dtype="int16", scale=0.1, sample_shape=(1,), channels=("t",), steps=12
)
# Targets softened by an earlier self, which is not in the numbers of `lsskd`.
SOFTENED = Method(
    "softened",
    sad=1,
    cross=0.5,
    deep=0.5,
    feat=0.005,
    out=1,
    views=2,
    earlier="snapshot",
    alpha=0.3,
    warmup=0.1,
)
METHODS = {
    "ce": Method("ce"),
    "lsskd": dataclasses.replace(method_named("lsskd"), warmup=0.1),
    "softened": SOFTENED,
    "ema": dataclasses.replace(SOFTENED, earlier="ema"),
    "ps_kd": method_named("ps_kd"),
}


def windows(count=48, seed=0, *, labels=None, noise=0.4) -> ArrayDataset:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 if labels is None else np.asarray(labels)
    count = len(labels)
    rise = np.linspace(-1, 1, 24)[None, :, None] * (labels - 1)[:, None, None] * 2
    shake = (rise + rng.normal(0, noise, (count, 24, 2))).astype(np.float32)
    heat = np.rint(10 * ((labels - 1)[:, None, None] + rng.normal(0, noise, (count, 12, 1)))).astype(np.int16)
    presence = np.ones((count, 2), np.float32)
    presence[::7, 1] = 0
    presence[3::11, 0] = 0
    return ArrayDataset({"shake": shake, "heat": heat}, presence, labels.astype(np.int64))


def build(seed=0) -> LayeredStudent:
    torch.manual_seed(seed)
    student = Student(
        {
            "shake": SignalFrontend(SHAKE, ChannelStats((0.0, 0.0), (1.0, 1.0))),
            "heat": SignalFrontend(HEAT, ChannelStats((0.0,), (1.0,))),
        },
        {"shake": SignalEncoder(2, (6, 8), steps=24), "heat": SignalEncoder(1, (6, 8), steps=12)},
        {"shake": torch.zeros(1, 24, 2), "heat": torch.zeros(1, 12, 1, dtype=torch.int16)},
        classes=3,
        embedding=12,
        time_bins=2,
        space_bins=1,
        dropout=0.1,
    )
    return LayeredStudent(student, {"shake": 4, "heat": 4})


def make(method="ce", seed=0, unlabelled_shares=None, **config) -> Recipe:
    return Recipe(
        method=METHODS[method] if isinstance(method, str) else method,
        config=TrainingConfig(**{"steps": 12, "epoch_steps": 4, "batch_size": 16, **config}),
        families={"shake": OSCILLATION, "heat": FLUCTUATION},
        augmentations={"shake": (Scale(), Noise()), "heat": (Noise(),)},
        seed=seed,
        unlabelled_shares=unlabelled_shares,
    )


@pytest.fixture
def encodings():
    return {"shake": SHAKE, "heat": HEAT}


@pytest.fixture
def make_layered():
    return build


@pytest.fixture
def layered():
    return build()


@pytest.fixture
def make_windows():
    return windows


@pytest.fixture
def make_recipe():
    return make
