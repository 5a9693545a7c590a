"""Arithmetic of sensor clocks, shared by the reader of archives and by the device. NumPy only.

Times are int64 nanoseconds. A uniform run of samples is `(t0, rate, n)`: sample i was taken at
`t0 + i / rate`. Windows are half-open: [start, stop).
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LIMIT",
    "SECOND",
    "Resampling",
    "Runs",
    "duration",
    "first_index_at",
    "resample",
    "sample_times",
    "steps_in",
    "whole_positions",
]

SECOND = 1_000_000_000
# ns, of times that a stream may tell, 1843 to 2096: two of them are less than 2**63 apart.
LIMIT = 4 * 10**18
Resampling = Literal["linear", "nearest"]
Int64 = NDArray[np.int64]


class Runs(Protocol):
    """Runs of samples without a gap, one row each, in order of time: those of an archive, or of a device."""

    @property
    def t0(self) -> Int64:
        """(S,) ns, time of the first sample."""

    @property
    def rate(self) -> NDArray[np.float64]:
        """(S,) Hz."""

    @property
    def offset(self) -> Int64:
        """(S,) index of the first sample in the array that holds them all."""

    @property
    def count(self) -> Int64:
        """(S,) samples."""


def sample_times(t0: Any, rate: Any, index: Any) -> Int64:
    """Times in ns of the samples with the given indices, elementwise.

    Whole seconds are counted in integers, so an hour of 25.6 kHz is as exact as its first second.

    >>> sample_times(0, 50.0, [0, 1, 50]).tolist()
    [0, 20000000, 1000000000]
    """
    whole, rest = np.divmod(np.asarray(index, dtype=np.float64), rate)
    seconds = np.asarray(whole, dtype=np.int64) * SECOND
    return np.asarray(t0 + seconds + np.rint(rest / rate * SECOND).astype(np.int64), dtype=np.int64)


def first_index_at(t0: Any, rate: Any, time: Any) -> Int64:
    """Smallest i >= 0 whose sample is at `time` (ns) or later, elementwise; maybe beyond the last sample.

    >>> first_index_at(0, 50.0, [20_000_000, 20_000_001]).tolist()
    [1, 2]
    """
    time = np.asarray(time, dtype=np.int64)
    whole, rest = np.divmod(time - t0, SECOND)
    index = np.maximum(np.floor(whole * rate + rest * rate / SECOND), 0).astype(np.int64)
    # Floating point may be off by one either way; the sample times decide.
    while (late := (index > 0) & (sample_times(t0, rate, index - 1) >= time)).any():
        index = index - late
    while (early := sample_times(t0, rate, index) < time).any():
        index = index + early
    return np.asarray(index, dtype=np.int64)


def duration(rate: float, count: int) -> int:
    """Length in ns of `count` samples, each holding for one period."""
    return int(sample_times(0, rate, count))


def steps_in(span: int, rate: float) -> int:
    """Number of samples whose periods fit into `span` ns at `rate`, to the nanosecond; at least 1.

    >>> steps_in(SECOND, 12.0), steps_in(SECOND // 2, 25600.0)
    (12, 12800)
    """
    return max(1, int(first_index_at(0, rate, span + 1)) - 1)


def whole_positions(
    t0: int, rate: float, count: int, *, start: int, stop: int, steps: int
) -> NDArray[np.float64]:
    """Fractional sample positions of `steps` equal slices of [start, stop), taken at their middles.

    A sample holds for the period that begins with it, so position p covers [p, p + 1) periods.
    Positions are clipped to the samples there are.

    >>> whole_positions(0, 1.0, 4, start=0, stop=4 * SECOND, steps=2).tolist()
    [0.5, 2.5]
    """
    # Relative to the first sample: as floats, times since 1970 are only good to 256 ns.
    middle = (start - t0) + (np.arange(steps) + 0.5) * ((stop - start) / steps)
    position = middle * (rate / SECOND) - 0.5
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
    weight = positions - low
    if not weight.any():
        return np.asarray(samples[low])
    # Where the weight is 0, the neighbour is the sample itself: a NaN after it must not reach it.
    high = np.ceil(positions).astype(np.int64)
    weight = weight.reshape(-1, *[1] * (samples.ndim - 1))
    with np.errstate(invalid="ignore"):  # inf times 0: not finite either way
        mixed = samples[low] * (1.0 - weight) + samples[high] * weight
    if np.issubdtype(samples.dtype, np.integer):
        mixed = np.rint(mixed)
    return np.asarray(mixed.astype(samples.dtype))
