"""What a logger's choices cost: bytes on disk, time to write, and time to read random windows of two seconds.

    OMP_NUM_THREADS=1 python benchmarks/storage.py [--seconds 600] [--out FILE]

A simulated machine's acceleration (2 kHz, 3 axes, int16) and video (64 x 64 x 3, uint8, 12 Hz) are laid down
in one dataset each, once a way of storing it. Reading is told in multiples of a copy of the same bytes in
memory. Files lie in the page cache, so that what is measured is unpacking and not the disk. Ways are read in
turn, and the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sensorkd.recordings import open_recordings
from sensorkd.testing.plant import write_plant

WINDOW, ROUNDS, READS = 2.0, 5, 20
GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def ways(rate: float, shape: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """Names of the ways to store, and what they are to h5py."""

    def chunks(seconds: float) -> tuple[int, ...]:
        return (max(1, min(shape[0], round(seconds * rate))), *shape[1:])

    return {
        "contiguous": {},
        "4 s chunks": {"chunks": chunks(4)},
        "4 s, fletcher32": {"chunks": chunks(4), "fletcher32": True},
        "4 s, shuffle, gzip 1, fletcher32": {"chunks": chunks(4), "fletcher32": True, **GZIP},
        "4 s, gzip 1 without shuffle": {"chunks": chunks(4), "compression": "gzip", "compression_opts": 1},
        "4 s, shuffle, gzip 9": {"chunks": chunks(4), **GZIP, "compression_opts": 9},
        "4 s, shuffle, lzf": {"chunks": chunks(4), "shuffle": True, "compression": "lzf"},
        "0.1 s, shuffle, gzip 1": {"chunks": chunks(0.1), **GZIP},
        "60 s, shuffle, gzip 1": {"chunks": chunks(60), **GZIP},
        "h5py's own chunks, gzip 4": {"chunks": True, "compression": "gzip"},
        "4 s, float64, shuffle, gzip 1": {"chunks": chunks(4), "dtype": "f8", **GZIP},
    }


def measure(samples: NDArray[Any], rate: float, folder: Path) -> dict[str, dict[str, float]]:
    """One row a way: bytes relative to the bare ones, MB/s of writing, window reads in RAM copies."""
    rows: dict[str, dict[str, float]] = {}
    readers: dict[str, Callable[[int], Any]] = {"": lambda first: samples[first : first + steps].copy()}
    steps = round(WINDOW * rate)
    files = []
    for number, (name, options) in enumerate(ways(rate, samples.shape).items()):
        path = folder / f"{samples.ndim}-{number}.h5"
        begun = time.perf_counter()
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            file.create_dataset("samples", data=samples, **options)
        seconds = time.perf_counter() - begun
        rows[name] = {"size": path.stat().st_size / samples.nbytes, "write": samples.nbytes / 1e6 / seconds}
        # Without h5py's cache of chunks: windows lie at random in an archive far larger than it.
        files.append(h5py.File(path, "r", rdcc_nbytes=0))
        readers[name] = lambda first, dataset=files[-1]["samples"]: dataset[first : first + steps]
    taken: dict[str, list[float]] = {name: [] for name in readers}
    generator = np.random.default_rng(0)
    for _ in range(ROUNDS):
        starts = generator.integers(0, len(samples) - steps, READS).tolist()
        for name, read in readers.items():
            begun = time.perf_counter()
            for first in starts:
                read(first)
            taken[name].append((time.perf_counter() - begun) / READS)
    floor = float(np.median(taken.pop("")))
    for name, times in taken.items():
        rows[name] |= {"read": float(np.median(times)) / floor, "ms": float(np.median(times)) * 1e3}
    for file in files:
        file.close()
    return rows


def main() -> None:
    """Print a table a stream, and write it all as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, samples, rate in streams(folder / "plant", arguments.seconds):
            rows = result[name] = measure(samples, rate, folder)
            print(f"{name}: {samples.dtype} {samples.shape}, {rate:g} Hz, {samples.nbytes / 1e6:.1f} MB bare")
            print(f"  {'stored as':<34} {'size':>6} {'write':>10} {'2 s window':>14} {'':>9}")
            for way, row in rows.items():
                print(
                    f"  {way:<34} {row['size']:6.2f} {row['write']:5.0f} MB/s"
                    f" {row['read']:8.1f} x RAM {row['ms']:6.2f} ms"
                )
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def streams(folder: Path, seconds: float) -> list[tuple[str, NDArray[Any], float]]:
    """Name, samples and rate of what is stored: the runs of one simulated machine laid end to end."""
    write_plant(folder, machines=1)
    recordings = open_recordings(folder)
    found = []
    for name in ("acceleration", "video"):
        streams = [recording.streams[name] for recording in recordings]
        samples = np.concatenate([stream.read(0, stream.source.count) for stream in streams])
        wanted = round(seconds * streams[0].rate)
        # What repeats after minutes is beyond the 32 kB that gzip looks back.
        parts = [samples] * -(-wanted // len(samples))
        found.append((name, np.concatenate(parts)[:wanted], streams[0].rate))
    return found


if __name__ == "__main__":
    main()
