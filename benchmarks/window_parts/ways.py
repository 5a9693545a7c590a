"""Every way in which batches of random windows come, each as a function of how many batches to draw."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from sensorkd.recordings import open_recordings
from sensorkd.timeline import SECOND
from sensorkd.training.batches import ArrayDataset, collate
from sensorkd.training.prefetch import prefetched
from sensorkd.windows.cache import CacheSettings
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.reading import ReadingMode, ReadingSettings, read_plan
from window_parts.plant import encodings, foreign, write_archive

BATCH = 64


@dataclass(frozen=True)
class Way:
    """draw: so many batches; it returns when it began, on `time.perf_counter`. count: how many a repeat;
    size: windows of a batch. once: it takes so long that one repeat is enough."""

    draw: Callable[[int], float]
    count: int
    size: int = BATCH
    once: bool = False


def dataset_of(path: Path, cache: Path, mode: ReadingMode, told: Any = None) -> ArrayDataset:
    recordings, kinds = open_recordings(path, told), encodings()
    plan = plan_windows(recordings, kinds, hop=SECOND)
    windows = read_plan(recordings, plan, kinds, ReadingSettings(CacheSettings(cache, jobs=2), mode)).windows
    return ArrayDataset(windows.inputs, windows.presence, np.zeros(len(windows), np.int64))


class Batch:
    """Memory that batches are copied into, as the sensors' dtypes and, where asked, as floats."""

    def __init__(self, windows: ArrayDataset) -> None:
        self.native: dict[str, np.ndarray] = windows.blank(BATCH)
        self.floats = {name: np.empty(values.shape, np.float32) for name, values in self.native.items()}

    def convert(self, values: Mapping[str, Any]) -> None:
        for name, floats in self.floats.items():
            part = np.asarray(values[name])
            np.copyto(floats[: len(part)], part)


def gathered(windows: ArrayDataset, batch: Batch, *, size: int = BATCH, convert: bool = False) -> Any:
    """Copied into memory that is there, in this thread."""
    rng = np.random.default_rng(0)
    part = {name: values[:size] for name, values in batch.native.items()}

    def draw(count: int) -> float:
        begun = time.perf_counter()
        for chosen in _rows(rng, windows, count, size):
            windows.gather(chosen, part)
            if convert:
                batch.convert(part)
        return begun

    return draw


def ahead(windows: ArrayDataset, batch: Batch, *, convert: bool = False) -> Any:
    """By sensorkd's own thread, as in training."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> float:
        begun = time.perf_counter()
        for values in prefetched(windows, _rows(rng, windows, count, BATCH)):
            if convert:
                batch.convert(values)
        return begun

    return draw


def loaded(windows: ArrayDataset, workers: int) -> Any:
    """By torch's DataLoader; that its workers start is not counted."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> float:
        loader: Any = DataLoader(
            windows,
            batch_sampler=_rows(rng, windows, count + 1, BATCH),
            collate_fn=collate,
            num_workers=workers,
            multiprocessing_context="forkserver" if workers else None,
        )
        stream = iter(loader)
        next(stream)
        begun = time.perf_counter()
        for _ in stream:
            pass
        return begun

    return draw


def _rows(rng: np.random.Generator, windows: ArrayDataset, count: int, size: int) -> list[list[int]]:
    rows: list[list[int]] = rng.integers(0, len(windows), (count, size)).tolist()
    return rows


def in_memory_and_cache(
    memory: ArrayDataset, cached: ArrayDataset, batch: Batch, count: int
) -> dict[str, Way]:
    return {
        "memory": Way(gathered(memory, batch), count),
        "memory, to float": Way(gathered(memory, batch, convert=True), count),
        "sealed cache": Way(gathered(cached, batch), count),
        "sealed cache, to float": Way(gathered(cached, batch, convert=True), count),
        "sealed cache, prefetch thread": Way(ahead(cached, batch), count),
        "sealed cache, prefetch thread, to float": Way(ahead(cached, batch, convert=True), count),
        **{f"sealed cache, DataLoader, {n} workers": Way(loaded(cached, n), count) for n in (0, 1, 2)},
    }


def from_files(folder: Path, seconds: float, batch: Batch) -> dict[str, Way]:
    """Straight from archives: sensorkd's own, and those of others."""
    own, flat, auto, cache = (folder / name for name in ("short.h5", "flat.h5", "auto.h5", "c"))
    write_archive(own, seconds)
    chunked = foreign(auto, seconds, chunks=True, compression="gzip")
    files = {
        "direct, archive of sensorkd (gzip, 4 s chunks)": dataset_of(own, cache, "direct"),
        "direct, contiguous": dataset_of(flat, cache, "direct", foreign(flat, seconds)),
    }
    ways = {name: Way(gathered(windows, batch, size=8), 1, 8) for name, windows in files.items()}
    slow = gathered(dataset_of(auto, cache, "direct", chunked), batch, size=2)
    return {**ways, "direct, h5py's own chunks + gzip": Way(slow, 1, 2, once=True)}
