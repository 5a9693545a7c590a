"""A contiguous file of 100 GB, sparse on the disk: nothing of it may be read but what is asked for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.recordings import open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_windows
from window_parts.measuring import alone, peak, tell
from window_parts.plant import SENSORS, encodings, layout


def large(folder: Path, quick: bool) -> dict[str, Any]:
    """Open it, plan it, read some windows."""
    seconds = 1000 if quick else 1_886_000
    path = folder / "large.h5"
    with h5py.File(path, "w") as file:
        for name, (_, _, rate, shape, dtype) in SENSORS.items():
            data = file.create_dataset(name, (round(seconds * rate), *shape), dtype, fillvalue=None)
            data[-1] = 1
    told = alone(read_large, (path, 20 if quick else 200))
    tell("contiguous, sparse", {path.name: told})
    return told


def read_large(task: tuple[Path, int]) -> dict[str, float]:
    """In a child: random windows of one large file, as it lies."""
    path, windows = task
    kinds, before = encodings(), peak()
    begun = time.perf_counter()
    recordings = open_recordings(path, layout())
    plan = plan_windows(recordings, kinds, hop=SECOND)
    planned = time.perf_counter()
    some = plan.select(np.sort(np.random.default_rng(0).choice(len(plan), windows, replace=False)))
    read_windows(recordings, some, kinds)
    return {
        "gigabytes": path.stat().st_size / 1e9,
        "windows": len(plan),
        "open_and_plan": planned - begun,
        "milliseconds_a_window": (time.perf_counter() - planned) / windows * 1e3,
        "peak_mb": (peak() - before) / 2**20,
    }
