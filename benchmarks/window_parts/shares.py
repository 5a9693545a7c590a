"""How fast batches of random windows come, as a share of a copy from memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorkd.windows.reading import window_bytes
from window_parts.measuring import table
from window_parts.plant import encodings, write_archive

if TYPE_CHECKING:
    from sensorkd.training.batches import ArrayDataset
    from window_parts.ways import Batch, Way


def shares(folder: Path, quick: bool) -> dict[str, Any]:
    """Batches of random windows in every way there is."""
    import torch

    from window_parts.ways import Batch, dataset_of, from_files, in_memory_and_cache

    torch.set_num_threads(1)
    seconds, repeats, batches = (24, 2, 2) if quick else (2000, 7, 12)
    write_archive(folder / "own.h5", seconds)
    memory, cached = (dataset_of(folder / "own.h5", folder / "c", mode) for mode in ("memory", "cache"))
    batch = Batch(memory)
    ways = {
        **in_memory_and_cache(memory, cached, batch, batches),
        **from_files(folder, min(seconds, 200), batch),
    }
    first = _first_reading(cached, batch)
    rates = _rates(ways, repeats)
    plain = rates["memory"]
    rows = [
        (name, f"{rate / 1e6:,.1f}", f"{rate / plain:.5f}" if rate < 0.01 * plain else f"{rate / plain:.2f}")
        for name, rate in rates.items()
    ]
    print(table(["random 2 s windows of 106 kB", "MB/s", "share of a RAM copy"], rows), end="\n\n")
    print(f"first reading of the cache, with its checksums: {first / 1e6:,.0f} MB/s\n")
    return {"rates": rates, "first_reading": first, "windows": len(cached)}


def _first_reading(cached: ArrayDataset, batch: Batch) -> float:
    """Bytes a second when the cache is read for the first time, which checks it."""
    size = len(next(iter(batch.native.values())))
    begun = time.perf_counter()
    for start in range(0, len(cached) - size + 1, size):
        cached.gather(range(start, start + size), batch.native)
    return len(cached) * window_bytes(encodings()) / (time.perf_counter() - begun)


def _rates(ways: Mapping[str, Way], repeats: int) -> dict[str, float]:
    """Bytes a second of each way, the median of repeats in which all take turns; the first is to warm up."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            if way.once and repeat > 1:
                continue
            begun = way.draw(way.count)
            if repeat:
                taken = time.perf_counter() - begun
                found[name].append(window_bytes(encodings()) * way.size * way.count / taken)
    return {name: statistics.median(values) for name, values in found.items()}
