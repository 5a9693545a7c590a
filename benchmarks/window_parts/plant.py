"""Three sensors of one machine, and files of them as sensorkd and as others write them.

No torch here: children that only read archives do without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.encoding import InputEncoding
from sensorkd.recordings import RecordingWriter
from sensorkd.recordings.layout import parse_layout
from sensorkd.timeline import SECOND

# name: modality, unit, rate, sample shape, dtype
SENSORS: dict[str, tuple[str, str, float, tuple[int, ...], str]] = {
    "acceleration": ("acceleration", "m/s2", 2000.0, (3,), "int16"),
    "video": ("video", "1", 10.0, (64, 64, 1), "uint8"),
    "temperature": ("temperature", "degC", 4.0, (1,), "float32"),
}


def encodings() -> dict[str, InputEncoding]:
    return {
        name: InputEncoding(
            modality=modality,
            dtype=dtype,
            unit=unit,
            scale=1.0,
            offset=0.0,
            sample_shape=shape,
            channels=(),
            steps=round(2 * rate),
            rate=rate,
            span=2 * SECOND,
            valid_range=(-1e9, 1e9),
            resampling="nearest" if modality == "video" else "linear",
        )
        for name, (modality, unit, rate, shape, dtype) in SENSORS.items()
    }


def samples_of(name: str, seconds: float, seed: int = 0) -> np.ndarray:
    """Samples as noisy as those of a sensor are: the upper half of their bits is not noise."""
    _, _, rate, shape, dtype = SENSORS[name]
    count = round(seconds * rate)
    noise = np.random.default_rng(seed).integers(0, 16, (count, *shape), dtype=np.uint8)
    return (noise + np.linspace(0, 100, count).reshape(-1, *[1] * len(shape))).astype(dtype)


def write_archive(path: Path, seconds: float, seed: int = 0) -> None:
    with RecordingWriter(path) as writer:
        draft = writer.recording("r", clock="relative", identity={"machine": path.stem})
        for name, (modality, unit, rate, _, _) in SENSORS.items():
            draft.add_stream(name, samples_of(name, seconds, seed), rate=rate, modality=modality, unit=unit)


def foreign(path: Path, seconds: float, **storage: Any) -> Any:
    """The same samples in a file as others write it, and the layout for it."""
    with h5py.File(path, "w") as file:
        for name in SENSORS:
            file.create_dataset(name, data=samples_of(name, seconds), **storage)
    return layout()


def layout() -> Any:
    axes = {
        name: ["time", "height", "width", "channel"] if name == "video" else ["time", "channel"]
        for name in SENSORS
    }
    streams = {
        name: {"modality": modality, "unit": unit, "samples": name, "rate": rate, "axes": axes[name]}
        for name, (modality, unit, rate, _, _) in SENSORS.items()
    }
    return parse_layout({"schema": "layout-1.0", "name": "b", "clock": "relative", "streams": streams})
