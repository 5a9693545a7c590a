"""A million windows over a thousand recordings: planned, labelled and split, with no sample read.

The recordings are made up in memory, with streams of all three sensors that lie nowhere, and labels that
change every 20 s: what is measured is the plan, and not the opening of files, which `growth` measures.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.recordings import LabelTrack, Recording, Segments, Stream
from sensorkd.recordings.stream import SampleSource
from sensorkd.timeline import SECOND
from sensorkd.windows.labels import encode_labels, label_windows
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.splits import groups_of, split_by_group
from window_parts.measuring import alone, peak, tell
from window_parts.plant import SENSORS, encodings

CLASSES = ("ok", "worn")


def planning(folder: Path, quick: bool) -> dict[str, Any]:
    """A thousandth of it where quick."""
    told = alone(plan_many, (10, 101) if quick else (1000, 1001))
    tell("recordings in memory", {"a window a second": told})
    return told


def plan_many(task: tuple[int, int]) -> dict[str, float]:
    """In a child: so many recordings of so many seconds."""
    count, seconds = task
    recordings, kinds = [machine(number, seconds) for number in range(count)], encodings()
    before, marks = peak(), [time.perf_counter()]
    plan = plan_windows(recordings, kinds, hop=SECOND)
    marks.append(time.perf_counter())
    labels = label_windows(recordings, plan, "state", encodings=kinds, rule="majority")
    known = encode_labels(labels, CLASSES)
    marks.append(time.perf_counter())
    groups = groups_of(recordings, plan, "machine")
    rows = split_by_group(groups, dev=("m01",), test=("m02",)).rows(groups, "train")
    marks.append(time.perf_counter())
    assert len(known) == len(plan) > len(rows)
    plan_s, label_s, split_s = np.diff(marks).tolist()
    return {
        "recordings": count,
        "windows": len(plan),
        "plan_s": plan_s,
        "label_s": label_s,
        "split_s": split_s,
        "peak_mb": (peak() - before) / 2**20,
    }


def machine(number: int, seconds: int) -> Recording:
    path = Path(f"{number:04d}.h5")
    streams = {}
    for name, (modality, unit, rate, shape, dtype) in SENSORS.items():
        samples = round(seconds * rate)
        axes = ("time", "channel") if len(shape) == 1 else ("time", "height", "width", "channel")
        streams[name] = Stream(
            name=name,
            modality=modality,
            unit=unit,
            segments=Segments.uniform(t0=0, rate=rate, count=samples),
            source=SampleSource(path, f"/{name}", axes, (samples, *shape)),
            dtype=np.dtype(dtype),
        )
    times = np.arange(0, seconds, 20) * SECOND
    track = LabelTrack(times, times + 20 * SECOND, tuple(CLASSES[i % 2] for i in range(len(times))))
    identity = {"machine": f"m{number % 10:02d}"}
    return Recording(f"{path}::r", path, "/r", "relative", identity, streams, {"state": track})
