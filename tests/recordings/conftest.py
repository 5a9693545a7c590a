"""Foreign files in the shape of UTD-MHAD, layouts for them, and what every refusal must tell."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from sensorkd.recordings import Layout, load_layout


@pytest.fixture
def utd_layout() -> Layout:
    """The layout that is shipped as an example."""
    return load_layout(Path(__file__).parents[2] / "examples" / "layouts" / "utd_mhad.yaml")


@pytest.fixture
def trials(tmp_path: Path) -> Path:
    """Three trials as UTD-MHAD keeps them: 160 inertial samples at 50 Hz, 64 frames said to be 30 fps."""
    path = tmp_path / "subject9.h5"
    with h5py.File(path, "w") as file:
        file.attrs["subject"] = np.int64(9)
        file["notes"] = "not a trial"
        for trial in (1, 2, 3):
            group = file.create_group(f"a01_t{trial}")
            group.attrs.update(subject=np.int64(9), trial=np.int64(trial), label_name="wave")
            depth = np.arange(64, dtype=np.uint16)[:, None, None] + np.zeros((6, 8), np.uint16)
            group["video/depth_mm"] = depth
            group["video/depth_mm"].attrs.update(unit="mm", nominal_fps=30.0)
            for name, unit in (("acceleration", "g"), ("gyroscope", "deg/s")):
                group[f"{name}/value"] = np.arange(480, dtype=np.float32).reshape(160, 3) + trial
                group[f"{name}/value"].attrs.update(unit=unit, rate_hz=50.0)
    return path
