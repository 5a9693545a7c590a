"""What the guard costs: microseconds an object of a file, next to h5py, which checks nothing.

    OMP_NUM_THREADS=1 python benchmarks/guard.py [--recordings 1000] [--streams 3] [--rounds 5] [--out FILE]

A file holds groups of datasets, contiguous ones and chunked ones. Both ways reach every group and every
dataset by its path, as a layout does; the guard then also walks the whole tree, as for recording-1.0. Ways
are timed in turn, each on a file opened anew, in seconds of the processor; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.recordings.guard import GuardedFile

STORAGE: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (50, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recordings", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    groups = [f"/r{number:04d}" for number in range(options.recordings)]
    datasets = [f"{group}/s{number}/value" for group in groups for number in range(options.streams)]
    rows: dict[str, dict[str, float]] = {}
    for kind, storage in STORAGE.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "archive.h5"
            write(path, datasets, storage)
            rows[kind] = measure(path, groups, datasets, options.rounds)
    print(f"{len(groups):,} groups and {len(datasets):,} datasets; microseconds an object")
    print(f"{'storage':<12}{'h5py':>8}{'guard':>8}{'ratio':>8}{'walk':>8}")
    for kind, row in rows.items():
        print(f"{kind:<12}{row['h5py']:>8.1f}{row['guard']:>8.1f}{row['ratio']:>8.2f}{row['walk']:>8.1f}")
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def write(path: Path, datasets: list[str], storage: dict[str, Any]) -> None:
    samples = np.random.default_rng(0).integers(0, 100, (100, 3), dtype=np.int16)
    with h5py.File(path, "w") as file:
        for inside in datasets:
            file.create_dataset(inside, data=samples, **storage)


def measure(path: Path, groups: list[str], datasets: list[str], rounds: int) -> dict[str, float]:
    def bare() -> int:
        with h5py.File(path, "r") as file:
            return len([file[inside] for inside in (*groups, *datasets)])

    def guarded() -> int:
        with GuardedFile(path) as file:
            return len([*map(file.group, groups), *map(file.dataset, datasets)])

    def walked() -> int:
        with GuardedFile(path) as file:
            return sum(1 for _ in file.walk())

    ways: dict[str, Callable[[], int]] = {"h5py": bare, "guard": guarded, "walk": walked}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            objects = way()
            taken[name].append((time.process_time() - begun) / objects * 1e6)
    row = {name: statistics.median(values) for name, values in taken.items()}
    return {**row, "ratio": row["guard"] / row["h5py"]}


if __name__ == "__main__":
    main()
