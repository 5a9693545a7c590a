"""A small layered student over a movement, a vibration and a camera, with families of 4, 3 and 2."""

from __future__ import annotations

import pytest
import torch

from sensorkd.distillation.pretext import FLIPS, FLUCTUATION, OSCILLATION
from sensorkd.encoding import InputEncoding
from sensorkd.models.encoders import SignalEncoder, VideoEncoder
from sensorkd.models.frontend import ChannelStats, ImageFrontend, SignalFrontend
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.student import Student

# Small tensors: a second thread only waits.
torch.set_num_threads(1)

FAMILIES = {"shake": OSCILLATION, "heat": FLUCTUATION[:3], "camera": FLIPS[:2]}
CLASSES = 3


def encoding(shape, steps):
    return InputEncoding(
        modality="any",
        dtype="float32",
        unit="1",
        scale=1.0,
        offset=0.0,
        sample_shape=shape,
        channels=tuple("xyz"[: shape[-1]]),
        steps=steps,
        rate=10.0,
        span=None,
        valid_range=(-100.0, 100.0),
        resampling="linear",
    )


def build(*, widths=(4, 6), seed=0, dropout=0.0):
    torch.manual_seed(seed)
    encodings = {"shake": encoding((3,), 24), "heat": encoding((1,), 12), "camera": encoding((8, 8, 1), 4)}
    plain = {
        name: ChannelStats((0.0,) * e.sample_shape[-1], (1.0,) * e.sample_shape[-1])
        for name, e in encodings.items()
    }
    student = Student(
        {
            "shake": SignalFrontend(encodings["shake"], plain["shake"]),
            "heat": SignalFrontend(encodings["heat"], plain["heat"]),
            "camera": ImageFrontend(encodings["camera"], plain["camera"]),
        },
        {
            "shake": SignalEncoder(3, widths, steps=24),
            "heat": SignalEncoder(1, widths, steps=12),
            "camera": VideoEncoder(1, widths, steps=4),
        },
        {name: torch.zeros(1, *e.shape) for name, e in encodings.items()},
        classes=CLASSES,
        embedding=5,
        time_bins=2,
        space_bins=1,
        dropout=dropout,
    )
    return LayeredStudent(student, {name: len(family) for name, family in FAMILIES.items()})


@pytest.fixture
def families():
    return dict(FAMILIES)


@pytest.fixture
def make_layered():
    return build


@pytest.fixture
def layered():
    return build()


@pytest.fixture
def prepared():
    """Floats as the frontends give them, of six windows."""
    generator = torch.Generator().manual_seed(3)
    shapes = {"shake": (6, 3, 24), "heat": (6, 1, 12), "camera": (6, 1, 4, 8, 8)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
