"""Foreign files of one dataset, and the layout that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.recordings import Layout
from sensorkd.recordings.layout import parse_layout

__all__ = ["lab", "made", "made_with_filter"]


def lab(samples: str = "data") -> Layout:
    """A layout of one stream of samples (time, channel) at 50 Hz."""
    stream = {
        "modality": "acceleration",
        "samples": samples,
        "axes": ["time", "channel"],
        "unit": "g",
        "rate": 50.0,
    }
    tree = {"schema": "layout-1.0", "name": "lab", "clock": "relative", "streams": {"shake": stream}}
    return parse_layout(tree)


def made(path: Path, **options: Any) -> Path:
    """Writes /data, (1000, 2) int16, samples that tell their own place."""
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.arange(2000, dtype=np.int16).reshape(1000, 2), **options)
    return path


def made_with_filter(path: Path, code: int) -> Path:
    """Writes /data with a filter that this computer need not have: it stays named in the file."""
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((100, 2))
        # Optional, so that HDF5 without the filter writes the chunks plainly.
        properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (0, 2))
        space = h5py.h5s.create_simple((1000, 2))
        h5py.Dataset(h5py.h5d.create(file.id, b"data", h5py.h5t.STD_I16LE, space, dcpl=properties))[:] = 1
    return path
