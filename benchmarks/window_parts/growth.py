"""From one file to a thousand: seconds of every stage, and peak memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.recordings import open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.cache import CacheSettings
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.reading import ReadingSettings, read_plan
from window_parts.measuring import alone, peak, tell
from window_parts.plant import encodings, write_archive

BATCH = 64


def growth(folder: Path, quick: bool) -> dict[str, Any]:
    """Folders of ever more files of 6 s."""
    counts = [1, 4] if quick else [1, 10, 100, 1000]
    most = folder / f"files{max(counts)}"
    most.mkdir()
    names = [f"m{number:04d}.h5" for number in range(max(counts))]
    for number, name in enumerate(names):
        write_archive(most / name, 6.0, seed=number)
    for count in counts[:-1]:
        (folder / f"files{count}").mkdir()
        for name in names[:count]:
            os.link(most / name, folder / f"files{count}" / name)
    result = {str(count): alone(grow, (folder, count)) for count in counts}
    tell("files of 6 s", result)
    return result


def grow(task: tuple[Path, int]) -> dict[str, float]:
    """In a child: open, plan, make a cache of and read so many small files."""
    place, count = task
    times, before = {}, peak()
    for stage, run in _stages(place, count).items():
        begun = time.perf_counter()
        run()
        times[stage] = time.perf_counter() - begun
    return {**times, "peak_mb": (peak() - before) / 2**20, "base_mb": before / 2**20}


def _stages(place: Path, count: int) -> Mapping[str, Callable[[], Any]]:
    held: dict[str, Any] = {}
    kinds = encodings()
    settings = ReadingSettings(CacheSettings(place / f"cache{count}", jobs=1), "cache")

    def opened() -> None:
        held["recordings"] = open_recordings(place / f"files{count}")

    def planned() -> None:
        held["plan"] = plan_windows(held["recordings"], kinds, hop=SECOND)

    def read() -> None:
        held["windows"] = read_plan(held["recordings"], held["plan"], kinds, settings).windows

    def batches() -> None:
        rows = np.random.default_rng(0).integers(0, len(held["plan"]), (20, BATCH))
        for chosen in rows:
            for values in held["windows"].inputs.values():
                values[chosen]

    return {"open": opened, "plan": planned, "make": read, "again": read, "batches20": batches}
