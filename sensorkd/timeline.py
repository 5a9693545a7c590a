"""Arithmetic of sensor clocks, shared by the reader of archives and by the device. NumPy only.

Times are int64 nanoseconds. A uniform run of samples is `(t0, rate, n)`: sample i was taken at
`t0 + i / rate`. Windows are half-open: [start, stop).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SECOND",
    "Resampling",
    "duration",
    "first_index_at",
    "resample",
    "sample_times",
    "steps_in",
    "whole_positions",
]

SECOND = 1_000_000_000
Resampling = Literal["linear", "nearest"]
Int64 = NDArray[np.int64]


def sample_times(t0: int, rate: float, index: Any) -> Int64:
    """Times in ns of the samples with the given index or indices.

    Whole seconds are counted in integers, so an hour of 25.6 kHz is as exact as its first second.

    >>> sample_times(0, 50.0, [0, 1, 50]).tolist()
    [0, 20000000, 1000000000]
    """
    whole, rest = np.divmod(np.asarray(index, dtype=np.float64), rate)
    seconds = np.asarray(whole, dtype=np.int64) * SECOND
    return np.asarray(t0 + seconds + np.rint(rest / rate * SECOND).astype(np.int64), dtype=np.int64)


def first_index_at(t0: int, rate: float, time: int) -> int:
    """Smallest i >= 0 whose sample is at `time` (ns) or later; it may lie beyond the last sample.

    >>> first_index_at(0, 50.0, 20_000_000), first_index_at(0, 50.0, 20_000_001)
    (1, 2)
    """
    if time <= t0:
        return 0
    whole, rest = divmod(time - t0, SECOND)
    index = math.floor(whole * rate + rest * rate / SECOND)
    # Floating point may be off by one either way; the sample times decide.
    while index > 0 and sample_times(t0, rate, index - 1) >= time:
        index -= 1
    while sample_times(t0, rate, index) < time:
        index += 1
    return index


def duration(rate: float, count: int) -> int:
    """Length in ns of `count` samples, each holding for one period."""
    return int(sample_times(0, rate, count))


def steps_in(span: int, rate: float) -> int:
    """Number of samples that fit into `span` ns at `rate`: never more than the span holds, at least 1.

    >>> steps_in(SECOND, 12.0), steps_in(SECOND // 2, 25600.0)
    (12, 12800)
    """
    return max(1, math.floor(span * rate / SECOND + 1e-6))


def whole_positions(
    t0: int, rate: float, count: int, *, start: int, stop: int, steps: int
) -> NDArray[np.float64]:
    """Fractional sample positions of `steps` equal slices of [start, stop), taken at their middles.

    A sample holds for the period that begins with it, so position p covers [p, p + 1) periods.
    Positions are clipped to the samples there are.

    >>> whole_positions(0, 1.0, 4, start=0, stop=4 * SECOND, steps=2).tolist()
    [0.5, 2.5]
    """
    middle = start + (np.arange(steps) + 0.5) * ((stop - start) / steps)
    position = (middle - t0) * (rate / SECOND) - 0.5
    return np.clip(position, 0.0, max(count - 1, 0))


def resample(samples: NDArray[Any], positions: NDArray[np.float64], method: Resampling) -> NDArray[Any]:
    """Take samples (T, ...) at fractional positions; the dtype stays, integers are rounded.

    >>> resample(np.array([0, 10, 20]), np.array([0.5, 1.6]), "linear").tolist()
    [5, 16]
    >>> resample(np.array([0, 10, 20]), np.array([0.4, 1.6]), "nearest").tolist()
    [0, 20]
    """
    if method == "nearest":
        return np.asarray(samples[np.floor(positions + 0.5).astype(np.int64)])
    low = np.floor(positions).astype(np.int64)
    high = np.minimum(low + 1, len(samples) - 1)
    weight = (positions - low).reshape(-1, *[1] * (samples.ndim - 1))
    mixed = samples[low] * (1.0 - weight) + samples[high] * weight
    if np.issubdtype(samples.dtype, np.integer):
        mixed = np.rint(mixed)
    return np.asarray(mixed.astype(samples.dtype))
