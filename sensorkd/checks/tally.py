"""What the samples of one stream are like, gathered block by block: counts, first places, extremes.

Axes: T samples, C channels, H height, W width. What counts as a fault is what `sensorkd.quality` makes
inputs absent for; there it is judged by window, here over the whole stream.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.checks.runs import EqualRuns
from sensorkd.quality import Limits

__all__ = ["ChannelTally", "Faulty", "StreamTally"]

# A signal that is not clipped reaches its very extreme once, or a few times if it is coarse.
CLIPS = 10


@dataclass
class Faulty:
    """Samples with one kind of fault: how many, where the first is, and the value furthest out."""

    count: int = 0
    first: int = -1
    extreme: float = math.nan

    def add(self, bad: NDArray[np.bool_], values: NDArray[Any], start: int, size: int = 1) -> None:
        """Values (n * size,), bad where they are faulty, `size` to a sample; the first's index is `start`."""
        where = np.flatnonzero(bad)
        if not len(where):
            return
        if not self.count:
            self.first = start + int(where[0]) // size
        self.count += len(where)
        worst = values[where]
        furthest = float(worst[np.abs(worst).argmax()])
        if not abs(furthest) <= abs(self.extreme):  # also when there is none yet
            self.extreme = furthest


@dataclass
class Rail:
    """The lowest, or the highest, value of a signal: how often it occurs, and how often twice in a row."""

    value: float = math.nan
    count: int = 0
    pairs: int = 0

    def add(self, extreme: float, values: NDArray[Any], further: bool) -> None:
        """extreme: of the values (n,); further: whether it lies beyond what there was."""
        if further or math.isnan(self.value):
            self.value, self.count, self.pairs = extreme, 0, 0
        if extreme == self.value:
            there = values == extreme
            self.count += int(there.sum())
            self.pairs += int((there[1:] & there[:-1]).sum())


@dataclass
class ChannelTally:
    """One channel of a signal, or all pixels of a video. Values are physical; those of the rails are raw.

    count: of all samples seen. bottom, top: of signals alone.
    """

    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    squares: float = 0.0
    not_finite: Faulty = field(default_factory=Faulty)
    out_of_range: Faulty = field(default_factory=Faulty)
    saturated: Faulty = field(default_factory=Faulty)
    bottom: Rail = field(default_factory=Rail)
    top: Rail = field(default_factory=Rail)

    @property
    def finite(self) -> int:
        """Samples that are numbers."""
        return self.count - self.not_finite.count

    @property
    def constant(self) -> bool:
        """Whether there is but one value."""
        return self.finite > 0 and self.low == self.high

    @property
    def clipped(self) -> bool:
        """Whether lowest and highest value lie alike on either side, and each comes often and in a row."""
        rails = (self.bottom, self.top)
        often = all(rail.count >= CLIPS and 3 * rail.pairs >= rail.count for rail in rails)
        middle = abs(self.bottom.value + self.top.value)
        return often and not self.constant and middle <= 0.01 * (self.top.value - self.bottom.value)

    @property
    def mean(self) -> float:
        """Of the finite values."""
        return self.total / self.finite if self.finite else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation of the finite values."""
        return math.sqrt(max(0.0, self.squares / self.finite - self.mean**2)) if self.finite else math.nan


class StreamTally:
    """Gathers a stream of signals (T, C) or frames (T, H, W, C).

    limits: in which physical value = sample * scale + offset, towards the unit of the valid range.
    """

    def __init__(self, limits: Limits, sample_shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.limits = limits
        self.frames = len(sample_shape) > 1
        self.channels = [ChannelTally() for _ in range(1 if self.frames else sample_shape[0])]
        self.runs = [EqualRuns(limits.stuck_run or (1 << 62)) for _ in self.channels]
        self.blank = Faulty()
        self._rails = () if self.frames else _rails(limits, dtype)
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, start: int, samples: NDArray[Any]) -> None:
        """The next samples (n, ...), n >= 1, whose first has the index `start`."""
        samples = np.ascontiguousarray(samples)
        self._digest.update(samples.view(np.uint8).data)
        if self.frames:
            self._add_frames(start, samples)
            return
        for channel, tally in enumerate(self.channels):
            column = samples[:, channel]
            self.runs[channel].add(start, column)
            self._add_values(tally, start, column, 1)

    def end(self) -> None:
        """No more samples follow."""
        for runs in self.runs:
            runs.end()

    @property
    def digest(self) -> str:
        """Hash of all samples, in hex."""
        return self._digest.hexdigest()

    def _add_frames(self, start: int, frames: NDArray[Any]) -> None:
        self.runs[0].add(start, frames)
        pixels = frames[0].size
        self._add_values(self.channels[0], start, frames.reshape(-1), pixels)
        flat = frames.reshape(len(frames), -1)
        low = flat.min(axis=1)
        self.blank.add(low == flat.max(axis=1), low.astype(np.float64), start)

    def _add_values(self, tally: ChannelTally, start: int, values: NDArray[Any], size: int) -> None:
        """Values (n * size,), `size` to a sample."""
        tally.count += len(values)
        scale, offset = self.limits.scale, self.limits.offset
        ends = [float(values.min()), float(values.max())]  # NaN if one is
        low, high = sorted(end * scale + offset for end in ends)
        clean = math.isfinite(low) and math.isfinite(high)
        finite = values
        if not clean:
            fine = np.isfinite(values)
            tally.not_finite.add(~fine, values, start, size)
            finite = values[fine]
        if not len(finite):
            return
        if not clean:
            low, high = sorted(float(end) * scale + offset for end in (finite.min(), finite.max()))
        tally.low, tally.high = min(tally.low, low), max(tally.high, high)
        if not self.frames:
            bottom, top = float(finite.min()), float(finite.max())
            tally.bottom.add(bottom, values, bottom < tally.bottom.value)
            tally.top.add(top, values, top > tally.top.value)
            physical = finite * np.float64(scale) + offset
            with np.errstate(over="ignore"):
                tally.total += float(physical.sum())
                tally.squares += float(physical @ physical)
        valid = self.limits.valid_range
        if not (valid[0] <= low and high <= valid[1]):
            physical = values * np.float64(scale) + offset
            outside = np.isfinite(physical) & ~((physical >= valid[0]) & (physical <= valid[1]))
            tally.out_of_range.add(outside, physical, start, size)
        if self._rails and (tally.bottom.value <= self._rails[0] or tally.top.value >= self._rails[1]):
            railed = (values <= self._rails[0]) | (values >= self._rails[1])
            tally.saturated.add(railed, values * np.float64(scale) + offset, start)


def _rails(limits: Limits, dtype: np.dtype[Any]) -> tuple[float, ...]:
    """Raw values at and beyond which a signal is saturated; empty where that cannot be told."""
    if not np.issubdtype(dtype, np.integer) or dtype.itemsize == 1:
        return ()
    kind = np.iinfo(dtype)
    return (float(kind.min) if kind.min < 0 else -math.inf, float(kind.max))
