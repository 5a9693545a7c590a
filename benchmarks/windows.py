"""How fast random windows come, as a share of a copy of the same bytes from memory; all in one run.

    python benchmarks/windows.py [--quick] [--out FILE.json] [--only shares growth large training]

A window is 106 kB: acceleration 4000 x 3 int16, video 20 x 64 x 64 uint8, temperature 8 float32. The
reference is np.take from arrays in memory into a batch that is there. All variants take turns in every
repeat, and medians are told, so that what else the computer does falls on all alike. Everything is in the
page cache: a cold disk is slower by what the disk is. `training` needs the data of SENSORKD_DATA and is left
out without.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from sensorkd.encoding import InputEncoding
from sensorkd.recordings import RecordingWriter, open_recordings
from sensorkd.recordings.layout import parse_layout
from sensorkd.timeline import SECOND
from sensorkd.windows.cache import CacheSettings
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_windows
from sensorkd.windows.reading import ReadingSettings, read_plan, window_bytes

if TYPE_CHECKING:
    from sensorkd.training.batches import ArrayDataset

# torch is imported where it is needed: children that read archives import this file, and do without.
BATCH = 64
CONFIGS = Path(__file__).parents[1] / "examples" / "configs"
# name: modality, unit, rate, sample shape, dtype
SENSORS: dict[str, tuple[str, str, float, tuple[int, ...], str]] = {
    "acceleration": ("acceleration", "m/s2", 2000.0, (3,), "int16"),
    "video": ("video", "1", 10.0, (64, 64, 1), "uint8"),
    "temperature": ("temperature", "degC", 4.0, (1,), "float32"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small: only whether it runs")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    result: dict[str, Any] = {"quick": options.quick}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            place = Path(folder) / name
            place.mkdir()
            result[name] = PARTS[name](place, options.quick)
            if options.out is not None:
                options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


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


def dataset_of(path: Path, cache: Path, mode: str, told: Any = None) -> ArrayDataset:
    from sensorkd.training.batches import ArrayDataset

    recordings, kinds = open_recordings(path, told), encodings()
    plan = plan_windows(recordings, kinds, hop=SECOND)
    settings = ReadingSettings(CacheSettings(cache, jobs=2), mode)  # type: ignore[arg-type]
    windows = read_plan(recordings, plan, kinds, settings).windows
    return ArrayDataset(windows.inputs, windows.presence, np.zeros(len(windows), np.int64))


def shares(folder: Path, quick: bool) -> dict[str, Any]:
    """Batches of random windows in every way there is."""
    import torch
    from torch.utils.data import DataLoader

    from sensorkd.training.batches import collate
    from sensorkd.training.prefetch import prefetched

    torch.set_num_threads(1)
    seconds, repeats, batches = (24, 2, 2) if quick else (2000, 7, 12)
    write_archive(folder / "own.h5", seconds)
    memory = dataset_of(folder / "own.h5", folder / "c", "memory")
    cached = dataset_of(folder / "own.h5", folder / "c", "cache")
    short = min(seconds, 200)
    write_archive(folder / "short.h5", short)
    files = {
        "direct, archive of sensorkd (gzip, 4 s chunks)": dataset_of(
            folder / "short.h5", folder / "c", "direct"
        ),
        "direct, contiguous": dataset_of(
            folder / "flat.h5", folder / "c", "direct", foreign(folder / "flat.h5", short)
        ),
        "direct, h5py's own chunks + gzip": dataset_of(
            folder / "auto.h5",
            folder / "c",
            "direct",
            foreign(folder / "auto.h5", short, chunks=True, compression="gzip"),
        ),
    }
    out, floats = (
        memory.blank(BATCH),
        {k: np.empty(v.shape, np.float32) for k, v in memory.blank(BATCH).items()},
    )
    rng = np.random.default_rng(0)

    def rows(windows: ArrayDataset, count: int, size: int = BATCH) -> list[list[int]]:
        return rng.integers(0, len(windows), (count, size)).tolist()

    def gathered(windows: ArrayDataset, size: int = BATCH, convert: bool = False) -> Callable[[int], None]:
        def run(count: int) -> None:
            part = {name: values[:size] for name, values in out.items()}
            for chosen in rows(windows, count, size):
                windows.gather(chosen, part)
                if convert:
                    for name, values in part.items():
                        np.copyto(floats[name][:size], values)

        return run

    def ahead(convert: bool = False) -> Callable[[int], None]:
        def run(count: int) -> None:
            for batch in prefetched(cached, rows(cached, count)):
                if convert:
                    for name, values in floats.items():
                        np.copyto(values, batch[name].numpy())

        return run

    def loaded(workers: int) -> Callable[[int], None]:
        def run(count: int) -> None:
            loader = DataLoader(
                cached,
                batch_sampler=rows(cached, count),
                collate_fn=collate,
                num_workers=workers,  # type: ignore[arg-type]
                multiprocessing_context="forkserver" if workers else None,
            )
            stream = iter(loader)
            next(stream)  # starting the workers is not counted
            begun.append(time.perf_counter())
            for _ in stream:
                pass

        return run

    begun: list[float] = []
    # name: what to run, batches, windows a batch
    ways: dict[str, tuple[Callable[[int], None], int, int]] = {
        "memory": (gathered(memory), batches, BATCH),
        "memory, to float": (gathered(memory, convert=True), batches, BATCH),
        "sealed cache": (gathered(cached), batches, BATCH),
        "sealed cache, to float": (gathered(cached, convert=True), batches, BATCH),
        "sealed cache, prefetch thread": (ahead(), batches, BATCH),
        "sealed cache, prefetch thread, to float": (ahead(convert=True), batches, BATCH),
        **{f"sealed cache, DataLoader, {n} workers": (loaded(n), batches, BATCH) for n in (0, 1, 2)},
        **{
            name: (gathered(item, size=2 if "own" in name else 8), 1, 2 if "own" in name else 8)
            for name, item in files.items()
        },
    }
    begun_first = time.perf_counter()
    for start in range(0, len(cached) - BATCH + 1, BATCH):  # the first reading checks
        cached.gather(range(start, start + BATCH), out)
    first = time.perf_counter() - begun_first
    size = window_bytes(encodings())
    found: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, (run, count, each) in ways.items():
            if repeat > 1 and "own chunks" in name:
                continue  # seconds a window: once is enough
            begun[:] = [time.perf_counter()]
            run(count + ("DataLoader" in name))
            if repeat:  # the first is to warm up
                found[name].append(size * each * count / (time.perf_counter() - begun[-1]))
    rates = {name: statistics.median(values) for name, values in found.items()}
    plain = rates["memory"]
    table = [
        (name, f"{rate / 1e6:,.1f}", f"{rate / plain:.5f}" if rate < 0.01 * plain else f"{rate / plain:.2f}")
        for name, rate in rates.items()
    ]
    print(_table(["random 2 s windows of 106 kB", "MB/s", "share of a RAM copy"], table), end="\n\n")
    print(f"first reading of the cache, with its checksums: {len(cached) * size / first / 1e6:,.0f} MB/s\n")
    return {"rates": rates, "first_reading": len(cached) * size / first, "windows": len(cached)}


def peak() -> int:
    """Bytes of memory this process has had at most, files that are mapped included."""
    try:
        # Not ru_maxrss, which begins with that of the process it was started from.
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


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

    def opened() -> None:
        held["recordings"] = open_recordings(place / f"files{count}")

    def planned() -> None:
        held["plan"] = plan_windows(held["recordings"], kinds, hop=SECOND)

    def read(mode: str) -> Callable[[], None]:
        settings = ReadingSettings(CacheSettings(place / f"cache{count}", jobs=1), mode)  # type: ignore[arg-type]

        def run() -> None:
            held["windows"] = read_plan(held["recordings"], held["plan"], kinds, settings).windows

        return run

    def batches() -> None:
        rows = np.random.default_rng(0).integers(0, len(held["plan"]), (20, BATCH))
        for chosen in rows:
            for values in held["windows"].inputs.values():
                values[chosen]

    return {
        "open": opened,
        "plan": planned,
        "make": read("cache"),
        "again": read("cache"),
        "batches20": batches,
    }


def growth(folder: Path, quick: bool) -> dict[str, Any]:
    """From one file to a thousand: seconds of every stage, and peak memory."""
    counts = [1, 4] if quick else [1, 10, 100, 1000]
    for number in range(max(counts)):
        first = folder / f"files{max(counts)}" / f"m{number:04d}.h5"
        first.parent.mkdir(exist_ok=True)
        write_archive(first, 6.0, seed=number)
    for count in counts[:-1]:
        (folder / f"files{count}").mkdir()
        for number in range(count):
            os.link(
                folder / f"files{max(counts)}" / f"m{number:04d}.h5",
                folder / f"files{count}" / f"m{number:04d}.h5",
            )
    result = {}
    for count in counts:
        result[str(count)] = alone(grow, (folder, count))
    _print("files of 6 s", result)
    return result


def alone(function: Callable[[Any], dict[str, float]], item: Any) -> dict[str, float]:
    """In a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, item).result()


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    from sensorkd.evaluation.tables import text_table

    return text_table(header, rows)


def _print(title: str, told: Mapping[str, Mapping[str, float]]) -> None:
    keys = list(next(iter(told.values())))
    rows = [[name, *[f"{values[key]:,.4g}" for key in keys]] for name, values in told.items()]
    print(_table([title, *keys], rows), end="\n\n", flush=True)


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


def large(folder: Path, quick: bool) -> dict[str, Any]:
    """A contiguous file of 100 GB, sparse on the disk: nothing of it may be read but what is asked for."""
    seconds = 1000 if quick else 1_886_000
    path = folder / "large.h5"
    with h5py.File(path, "w") as file:
        for name, (_, _, rate, shape, dtype) in SENSORS.items():
            data = file.create_dataset(name, (round(seconds * rate), *shape), dtype, fillvalue=None)
            data[-1] = 1
    told = alone(read_large, (path, 20 if quick else 200))
    _print("contiguous, sparse", {path.name: told})
    return told


def train_share(task: tuple[str, str, Path, int]) -> dict[str, float]:
    """In a child: train for some steps, and the share of the time for which the loop waited for windows."""
    import torch

    from sensorkd.runs import load_config, train_run

    torch.set_num_threads(1)
    name, mode, out, steps = task
    changes = [
        f"training.max_steps={steps}",
        f"training.epoch_steps={max(2, steps // 4)}",
        f"out={out / f'{name}_{mode}'}",
    ]
    changes += [f"cache.mode={mode}", f"cache.folder={out / 'cache'}"]
    before = peak()
    run = train_run(load_config(CONFIGS / f"{name}.yaml", changes))
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "waited" in line]
    step = statistics.median(line["seconds"] for line in epochs) / max(2, steps // 4)
    return {
        "milliseconds_a_step": step * 1e3,
        "share_waited": statistics.median(line["waited"] / line["seconds"] for line in epochs),
        "peak_mb": (peak() - before) / 2**20,
    }


def training(folder: Path, quick: bool) -> dict[str, Any]:
    """The loader's share of a training step on real recordings."""
    result: dict[str, Any] = {}
    if not os.environ.get("SENSORKD_DATA"):
        print("training: left out, SENSORKD_DATA is not set\n")
        return result
    names, modes = (
        (["utd_mhad"], ["cache"]) if quick else (["utd_mhad", "femto"], ["memory", "cache", "direct"])
    )
    for name in names:
        for mode in modes:
            result[f"{name} {mode}"] = alone(train_share, (name, mode, folder, 4 if quick else 60))
    _print("training", result)
    return result


PARTS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {
    "shares": shares,
    "growth": growth,
    "large": large,
    "training": training,
}

if __name__ == "__main__":
    main()
