"""What it costs to log: share of a core, how much faster than real time, what flushing and syncing add.

    OMP_NUM_THREADS=1 python benchmarks/logger.py [--seconds 60] [--out FILE]

Blocks of 0.1 s are handed in as fast as they are taken. Samples are noise over a slow wave, which packs to
about two thirds. The share of a core is the processor time of the writing process for each second of sensor
time (Linux only); the size is that of the files relative to the bare samples. Ways are run in turn, three
rounds, and the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.recordings import RecordingLogger, StreamFormat, seal
from sensorkd.recordings.manifest import MANIFEST

ROUNDS, BLOCK = 3, 0.1
SHAKE = StreamFormat("acceleration", "g", np.dtype("i2"), (2,), 25_600.0)
VIDEO = StreamFormat("video", "1", np.dtype("u1"), (64, 64, 3), 20.0)
HEAT = StreamFormat("temperature", "degC", np.dtype("f4"), (1,), 10.0)
STREAMS = {"one stream": {"shake": SHAKE}, "three streams": {"shake": SHAKE, "video": VIDEO, "heat": HEAT}}
WAYS: dict[str, dict[str, Any]] = {
    "as by default": {},
    "sync every second": {"sync_seconds": 1.0},
    "never sync": {"sync_seconds": None},
    "flush after every block": {"each": 1},
    "flush after every second": {"each": 10},
}


def signal(told: StreamFormat, seconds: float) -> NDArray[Any]:
    """Noise over a slow wave, in the dtype of the stream."""
    count = round(seconds * told.rate)
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(count) / told.rate).reshape(-1, *[1] * len(told.sample_shape))
    scale = 100 if told.dtype == np.dtype("u1") else 1000
    return (scale * (1 + wave) + scale / 20 * rng.normal(size=(count, *told.sample_shape))).astype(told.dtype)


def processor_seconds(process: int) -> float:
    """What a process has used so far, of itself and of the system for it."""
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(streams: dict[str, StreamFormat], seconds: float, each: int = 0, **options: Any) -> dict[str, float]:
    """Seconds of sensors a second, MB/s, and bytes of files for each byte of samples."""
    samples = {name: signal(told, seconds) for name, told in streams.items()}
    blocks = {name: max(1, round(BLOCK * told.rate)) for name, told in streams.items()}
    total = sum(block.nbytes for block in samples.values())
    with tempfile.TemporaryDirectory() as folder:
        logger = RecordingLogger(
            folder, clock="relative", identity={}, streams=streams, timeout=60.0, **options
        )
        begun = time.perf_counter()
        for number in range(round(seconds / BLOCK)):
            for name, step in blocks.items():
                logger.append(
                    name, samples[name][number * step : (number + 1) * step], t0=0 if not number else None
                )
            if each and number % each == 0:
                logger.flush()
        logger.flush()
        took = time.perf_counter() - begun
        busy = processor_seconds(logger.process_id)
        logger.close()
        closed = time.perf_counter() - begun - took
        size = sum(path.stat().st_size for path in Path(folder).glob("*.h5"))
        (Path(folder) / MANIFEST).unlink()
        again = time.perf_counter()
        for path in Path(folder).glob("*.h5"):
            seal(path)
        sealed = time.perf_counter() - again
    return {
        "share_of_a_core": busy / seconds,
        "times_real_time": seconds / took,
        "megabytes_a_second": total / took / 1e6,
        "size": size / total,
        "seconds_to_close": closed,
        "sealed_megabytes_a_second": total / sealed / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of sensor time for each run")
    parser.add_argument("--out", type=Path, help="also write the table here, as JSON")
    options = parser.parse_args()
    table: dict[str, dict[str, dict[str, float]]] = {}
    for kind, streams in STREAMS.items():
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, changes in WAYS.items():
                runs[way].append(run(streams, options.seconds, **changes))
        table[kind] = {
            way: {key: float(np.median([item[key] for item in rows])) for key in rows[0]}
            for way, rows in runs.items()
        }
        for way, row in table[kind].items():
            print(
                f"{kind:14} {way:26} {100 * row['share_of_a_core']:5.1f} % of a core, "
                f"{row['times_real_time']:6.1f} x real time, "
                f"{row['megabytes_a_second']:6.1f} MB/s, {row['size']:5.2f} of the bare size, "
                f"sealed at {row['sealed_megabytes_a_second']:4.0f} MB/s"
            )
    if options.out is not None:
        options.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
